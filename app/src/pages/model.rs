//! One model: what it costs, how that is known, how it was, and its order book.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

use super::fragment::Fragment;
use super::{live_dot, stale_notice};
use crate::components::{PageHead, skeleton_block};
use crate::i18n::words;
use crate::live::watch_market;
#[cfg(feature = "ssr")]
pub use part::part;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Asked {
    name: String,
    class: String,
    days: String,
}

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let text = move |key: &'static str| query.with(|query| query.get(key).unwrap_or_default());
    let model = Fragment::new("model", move || {
        let asked = Asked {
            name: text("name"),
            class: text("class"),
            days: text("days"),
        };
        serde_json::to_string(&asked).unwrap_or_default()
    });
    watch_market(move || model.refresh());
    view! {
        <PageHead title=t.model_title() lead=t.model_lead()
            actions=view! { <a class="btn" href="/">{t.model_back()}</a> }.into_any()/>
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        {stale_notice()}
        {model.view(|t| skeleton_block(t.loading()))}
    }
}
