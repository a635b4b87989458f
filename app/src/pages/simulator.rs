//! What a device would earn, by what the market really hired. Public: owners look here before they join.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;

use super::nodes::earn_tabs;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    super::whole("simulator", t.sim_title(), t.sim_lead(), earn_tabs()).0
}
