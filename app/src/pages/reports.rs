//! The weekly earnings reports, and the check of a proof against the chain. The server writes the page with all its words; the
//! module of /verify does the check (`verify/`).

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::fragment::Fragment;
use crate::components::{PageHead, effect, skeleton_rows};
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let reports = Fragment::new("reports", move || {
        query.with(|query| query.get("before").unwrap_or_default())
    });
    effect(super::verify::load);
    view! {
        <PageHead title=t.reports_title() lead=t.reports_lead()/>
        {reports.view(|t| skeleton_rows(t.loading(), 4))}
    }
}
