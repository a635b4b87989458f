//! Contesting a receipt.

use leptos::prelude::*;

use crate::fault::Fault;

/// `claimed`: a decimal number of IO; empty for all that was paid.
#[server(prefix = "/fn", endpoint = "dispute")]
pub async fn open_dispute(
    lease: String,
    seq: u64,
    claimed: String,
    reason: String,
) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let claimed = match claimed.trim() {
        "" => None,
        text => Some(super::amount("claimed", text)?),
    };
    let lease = super::parse_id(&lease)?;
    // A receipt is contested once, so a second press needs no key.
    super::exchange()?
        .open_dispute(&actor, lease, seq, claimed, &reason, None)
        .await?;
    super::answer_form("/disputes");
    Ok(())
}

/// Of either side, or of an admin.
#[server(prefix = "/fn", endpoint = "evidence")]
pub async fn add_evidence(id: String, text: String, admin: bool) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?.add_evidence(&actor, id, &text).await?;
    super::answer_form(if admin {
        "/admin?tab=disputes"
    } else {
        "/disputes"
    });
    Ok(())
}

#[server(prefix = "/fn", endpoint = "withdraw-dispute")]
pub async fn withdraw_dispute(id: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?
        .withdraw_dispute(&actor, id, None)
        .await?;
    super::answer_form("/disputes");
    Ok(())
}
