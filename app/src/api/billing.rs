//! Balance, holds and what was booked.

use kernel::TransferId;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use protocol::view::{BalanceView, EntryView, Page};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
const ENTRIES_PER_PAGE: u32 = 50;

#[server(prefix = "/fn", endpoint = "balance", input = Json)]
pub async fn balance() -> Result<BalanceView, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?.balance(&actor).await?)
}

#[server(prefix = "/fn", endpoint = "entries", input = Json)]
pub async fn entries(before: Option<TransferId>) -> Result<Page<EntryView>, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?
        .entries(&actor, before, ENTRIES_PER_PAGE)
        .await?)
}

#[server(prefix = "/fn", endpoint = "demo-credit")]
pub async fn take_demo_credit() -> Result<BalanceView, Fault> {
    let actor = super::actor().await?;
    let balance = super::exchange()?.take_demo_credit(&actor).await?;
    super::answer_form("/billing");
    Ok(balance)
}
