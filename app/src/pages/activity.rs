//! What was done with the account, by whom; and, of one shell in a job, what it showed.

#[cfg(feature = "ssr")]
pub mod entries;
#[cfg(feature = "ssr")]
pub mod recording;

use leptos::prelude::*;

use super::whole;
use crate::i18n::words;

pub fn page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    let (view, _) = whole("activity", t.activity_title(), t.activity_lead(), tabs);
    view
}

#[cfg(feature = "ssr")]
pub async fn part(query: &str) -> Result<AnyView, crate::fault::Fault> {
    let actor = crate::api::actor().await?;
    let asked = super::Asked::of(query);
    match asked.get("recording") {
        Some(id) => recording::view(&actor, &id).await,
        None => entries::view(&actor, &asked, entries::Of::Own).await,
    }
}
