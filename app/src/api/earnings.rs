//! Taking earnings out, or spending them here.

use leptos::prelude::*;

use crate::fault::Fault;

/// `request` makes a second press the same payout.
#[server(prefix = "/fn", endpoint = "payout")]
pub async fn request_payout(
    amount: String,
    #[server(default)] address: String,
    request: String,
) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let to = Some(address.as_str()).filter(|address| !address.is_empty());
    let mut typed = super::Typed::default();
    let amount = typed.checked(super::amount("amount", &amount));
    let Some(amount) = amount else {
        // Otherwise the exchange looks at both.
        typed.checked(to.map_or(Ok(()), exchange::check_payee));
        return typed.done();
    };
    super::exchange()?
        .request_payout(&actor, amount, to, Some(&request))
        .await?;
    super::answer_form("/earnings");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "cancel-payout")]
pub async fn cancel_payout(id: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?.cancel_payout(&actor, id, None).await?;
    super::answer_form("/earnings");
    Ok(())
}

/// `request` makes a second press the same movement.
#[server(prefix = "/fn", endpoint = "convert")]
pub async fn convert_earnings(amount: String, request: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let amount = super::amount("amount", &amount)?;
    super::exchange()?
        .convert_earnings(&actor, amount, Some(&request))
        .await?;
    super::answer_form("/earnings");
    Ok(())
}
