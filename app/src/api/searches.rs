//! Saved searches.

use kernel::SearchId;
use leptos::prelude::*;

use crate::fault::Fault;

#[server(prefix = "/fn", endpoint = "save-search")]
pub async fn save_search(name: String, q: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.save_search(&actor, &name, &q).await?;
    super::answer_form("/searches");
    Ok(())
}

/// An empty name leaves it; `seen` marks its alerts as seen.
#[server(prefix = "/fn", endpoint = "change-search")]
pub async fn change_search(
    id: SearchId,
    #[server(default)] name: String,
    #[server(default)] seen: bool,
) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let name = Some(name.as_str()).filter(|name| !name.is_empty());
    super::exchange()?
        .change_search(&actor, id, name, seen)
        .await?;
    super::answer_form("/searches");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "delete-search")]
pub async fn delete_search(id: SearchId) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.delete_search(&actor, id).await?;
    super::answer_form("/searches");
    Ok(())
}
