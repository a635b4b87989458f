//! What the account was told.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;

use super::whole;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    let (view, shown) = whole("notices", t.notices_title(), t.notices_lead(), tabs);
    crate::session::watch_notices(move || shown.refresh());
    view
}
