//! What the account was told, and how it wants to be told.

#[cfg(feature = "ssr")]
mod part;
#[cfg(feature = "ssr")]
mod settings;

use leptos::prelude::*;

use super::whole;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;
#[cfg(feature = "ssr")]
pub use settings::part as settings_part;

pub fn page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    let (view, shown) = whole("notices", t.notices_title(), t.notices_lead(), tabs);
    crate::session::watch_notices(move || shown.refresh());
    view
}

/// `/notifications`: e-mail, warnings of the runway, webhooks.
pub fn settings_page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    let (view, _) = whole("notifications", t.told_title(), t.told_lead(), tabs);
    view
}
