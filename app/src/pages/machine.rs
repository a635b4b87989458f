//! One machine of an owner: what its reputation is made of, how long it was there, and what ran on it.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;

use super::nodes::earn_tabs;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    super::whole("machine", t.machine_title(), t.machine_lead(), earn_tabs()).0
}
