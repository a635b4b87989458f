//! The meter, and the demo's money.

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
