//! Disputes about receipts: those the account opened, and those about its devices.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;

use super::whole;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::{card, part};

pub fn page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    let (view, shown) = whole("disputes", t.disputes_title(), t.disputes_lead(), tabs);
    crate::session::watch_notices(move || shown.refresh());
    view
}
