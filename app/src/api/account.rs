//! API keys.

use kernel::KeyId;
use leptos::prelude::*;
use protocol::view::NewKeyView;
#[cfg(feature = "ssr")]
use protocol::{Problem, view::Scope};

use crate::fault::Fault;

/// What a plain form leaves for the account page, to show it once.
#[cfg(feature = "ssr")]
pub(crate) const KEY_FLASH: &str = "iog_key";

/// Each scope is its own box, absent when it is not ticked: lists do not survive every form encoding.
#[server(prefix = "/fn", endpoint = "make-key")]
pub async fn make_key(
    name: String,
    #[server(default)] read: String,
    #[server(default)] jobs: String,
    #[server(default)] nodes: String,
) -> Result<NewKeyView, Fault> {
    let actor = super::actor().await?;
    let scopes: Vec<Scope> = [read, jobs, nodes]
        .iter()
        .filter_map(|scope| Scope::parse(scope))
        .collect();
    if scopes.is_empty() {
        return Err(
            Problem::field("scopes", "choose at least one thing that the key may do").into(),
        );
    }
    let key = super::exchange()?
        .create_key(&actor, &name, &scopes)
        .await?;
    super::flash("/account", KEY_FLASH, &key.secret);
    Ok(key)
}

#[server(prefix = "/fn", endpoint = "revoke-key")]
pub async fn revoke_key(id: KeyId) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.revoke_key(&actor, id).await?;
    super::answer_form("/account");
    Ok(())
}
