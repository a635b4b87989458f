//! What an account was told.

use leptos::prelude::*;

use crate::fault::Fault;

/// Up to the newest that the page showed, so that what came since stays unread.
#[server(prefix = "/fn", endpoint = "read-notices")]
pub async fn read_notices(up_to: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let up_to = super::parse_id(&up_to)?;
    super::exchange()?.read_notices(&actor, Some(up_to)).await?;
    super::answer_form("/notices");
    Ok(())
}
