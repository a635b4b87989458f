//! The list of jobs, newest first.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::fragment::Fragment;
use super::{live_dot, stale_notice};
use crate::components::{PageHead, skeleton_rows};
use crate::i18n::words;
use crate::session::watch_account;
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let jobs = Fragment::new("jobs", move || {
        query.with(|query| query.get("before").unwrap_or_default())
    });
    watch_account(move || jobs.refresh());
    view! {
        <PageHead title=t.jobs_title() lead=t.jobs_lead()
            actions=view! { <a class="btn primary" href="/launch">{t.launch()}</a> }.into_any()/>
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        {stale_notice()}
        {jobs.view(|t| skeleton_rows(t.loading(), 4))}
    }
}
