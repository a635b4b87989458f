//! The price editor of one device: prices of each kind of rent, a price that follows the index, hours; and what a price
//! would mean before it is set.

#[cfg(feature = "ssr")]
mod hours;
#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::fragment::Fragment;
use super::nodes::earn_tabs;
use crate::components::{PageHead, skeleton_block};
use crate::i18n::words;
use crate::rent_form::RentForm;
#[cfg(feature = "ssr")]
pub use hours::{read_hours, read_offset};
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let editor = Fragment::new("price", move || {
        // A form that is sent to be checked comes back with what was typed.
        let typed = query.with(|query| {
            let text = |name: &'static str| query.get(name).unwrap_or_default();
            RentForm {
                device: text("device"),
                per_hour: text("per_hour"),
                spot: text("spot"),
                term_price: text("term_price"),
                term_hours: text("term_hours"),
                percent: text("percent"),
                floor: text("floor"),
                ceiling: text("ceiling"),
                shortest: text("shortest"),
                longest: text("longest"),
                offset: text("offset"),
                hours: text("hours"),
            }
        });
        serde_json::to_string(&typed).unwrap_or_default()
    });
    view! {
        <PageHead title=t.rent_title() lead=t.rent_lead()
            actions=view! { <a class="btn" href="/nodes">{t.rent_back()}</a> }.into_any()/>
        {earn_tabs()}
        {editor.view(|t| skeleton_block(t.loading()))}
    }
}
