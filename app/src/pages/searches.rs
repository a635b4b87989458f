//! Saved searches and their alerts.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;

use super::fragment::Fragment;
use super::{live_dot, stale_notice};
use crate::components::{PageHead, effect, skeleton_rows};
use crate::i18n::words;
use crate::session::SessionContext;
#[cfg(feature = "ssr")]
pub use part::part;

pub fn page() -> impl IntoView {
    let t = words();
    let searches = Fragment::new("searches", String::new);
    if let Some(context) = use_context::<SessionContext>() {
        effect(move || {
            if context.alerts.get().is_some() {
                searches.refresh();
            }
        });
    }
    view! {
        <PageHead title=t.searches_title() lead=t.searches_lead()
            actions=view! { <a class="btn" href="/">{t.model_back()}</a> }.into_any()/>
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        {stale_notice()}
        {searches.view(|t| skeleton_rows(t.loading(), 2))}
    }
}
