//! Templates: the list by kind, and one with its form. The server writes both; a small script of their own
//! (`public/template.js`) keeps the quote up to what is typed.

#[cfg(feature = "ssr")]
mod form;
#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map};

use super::fragment::Fragment;
use crate::components::{PageHead, effect, skeleton_block, skeleton_rows};
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::{list_part, one_part};

const QUOTE_SCRIPT: &str = "/template.js";

pub fn page() -> impl IntoView {
    let t = words();
    let search = use_location().search;
    let list = Fragment::new("templates", move || search.get());
    view! {
        <PageHead title=t.templates_title() lead=t.templates_lead()
            actions=view! { <a class="btn" href="/launch?template=own" rel="external">{t.templates_own()}</a> }.into_any()/>
        {list.view(|t| skeleton_rows(t.loading(), 4))}
    }
}

pub fn one_page() -> impl IntoView {
    let params = use_params_map();
    let search = use_location().search;
    let one = Fragment::new("template", move || {
        let id = params.with(|params| params.get("id").unwrap_or_default());
        format!("{id}?{}", search.get().trim_start_matches('?'))
    });
    effect(|| super::script(QUOTE_SCRIPT));
    let t = words();
    view! {
        <PageHead title=t.template_title()/>
        {one.view(|t| skeleton_block(t.loading()))}
    }
}
