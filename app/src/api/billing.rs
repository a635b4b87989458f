//! The meter, top-ups and budgets.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use protocol::view::Meter;

use crate::fault::Fault;

#[server(prefix = "/fn", endpoint = "meter", input = Json)]
pub async fn read_meter() -> Result<Meter, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?.meter(&actor).await?)
}

#[server(prefix = "/fn", endpoint = "demo-credit")]
pub async fn take_demo_credit() -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.take_demo_credit(&actor).await?;
    super::answer_form("/billing");
    Ok(())
}

/// Asks the demo's faucet. `request` makes a second press the same request.
#[server(prefix = "/fn", endpoint = "ask-credit")]
pub async fn request_credit(amount: String, request: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let amount = super::amount("amount", &amount)?;
    super::exchange()?
        .request_credit(&actor, amount, Some(&request))
        .await?;
    super::answer_form("/billing");
    Ok(())
}

/// An empty field is no limit.
#[server(prefix = "/fn", endpoint = "limits")]
pub async fn set_limits(keep: String, per_day: String, per_month: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let mut typed = super::Typed::default();
    let mut optional =
        |field, text: &str| (!text.trim().is_empty()).then(|| typed.amount(field, text));
    let limits = protocol::money::Limits {
        keep: optional("keep", &keep),
        per_day: optional("per_day", &per_day),
        per_month: optional("per_month", &per_month),
    };
    typed.done()?;
    super::exchange()?.set_limits(&actor, limits).await?;
    super::answer_form("/billing");
    Ok(())
}
