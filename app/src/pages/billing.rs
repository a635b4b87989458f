//! The balance, what is set aside, and every movement.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::fragment::Fragment;
use super::{live_dot, stale_notice};
use crate::components::{PageHead, skeleton_block, skeleton_rows};
use crate::i18n::words;
use crate::session::watch_account;
#[cfg(feature = "ssr")]
pub use part::{balance_part, entries_part};

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let balance = Fragment::new("balance", String::new);
    let entries = Fragment::new("entries", move || {
        query.with(|query| query.get("before").unwrap_or_default())
    });
    watch_account(move || {
        balance.refresh();
        entries.refresh();
    });
    view! {
        <PageHead title=t.billing_title() lead=t.billing_lead()/>
        {super::account::me_tabs()}
        {stale_notice()}
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        {balance.view(|t| skeleton_block(t.loading()))}
        <h2 class="mt-6 mb-3">{t.entries_title()}</h2>
        {entries.view(|t| skeleton_rows(t.loading(), 4))}
    }
}
