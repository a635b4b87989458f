//! The market, which is also the front door: what can be rented now and what an hour costs.

#[cfg(feature = "ssr")]
mod compare;
#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_query_map};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;

use super::fragment::Fragment;
use super::{live_dot, stale_notice};
use crate::api::form_data;
use crate::components::{PageHead, skeleton_rows};
use crate::i18n::words;
use crate::live::watch_market;
#[cfg(feature = "ssr")]
pub use part::part;

/// Where an offer is rented, as the kind that it was shown as.
#[cfg(feature = "ssr")]
pub fn launch_link(device: kernel::DeviceId, kind: protocol::view::Kind) -> String {
    use protocol::view::Kind;
    let filter = match kind {
        Kind::OnDemand => String::new(),
        kind => format!("&filter=kind%3D{}", kind.as_str()),
    };
    format!("/launch?device={device}{filter}")
}

/// What the address bar says: the query of the market, which offers, in which order, from where on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Query {
    q: String,
    idle: bool,
    sort: String,
    from: String,
    /// Devices that are compared, separated by commas.
    compare: String,
}

impl Query {
    fn read() -> Signal<Self> {
        let query = use_query_map();
        Signal::derive(move || {
            query.with(|query| {
                let text = |key| query.get(key).unwrap_or_default().trim().to_owned();
                Self {
                    q: text("q"),
                    idle: !text("idle").is_empty(),
                    sort: text("sort"),
                    from: text("from"),
                    compare: text("compare"),
                }
            })
        })
    }
}

pub fn page() -> impl IntoView {
    let t = words();
    let query = Query::read();
    let offers = Fragment::new("market", move || {
        query.with(|query| serde_json::to_string(query).unwrap_or_default())
    });
    watch_market(move || offers.refresh());
    view! {
        <PageHead title=t.market_title() lead=t.market_lead()
            actions=view! { <a class="btn primary" href="/launch">{t.launch()}</a> }.into_any()/>
        {search(query)}
        <div class="row-actions justify-end my-3">{live_dot()}</div>
        {stale_notice()}
        {offers.view(|t| skeleton_rows(t.loading(), 4))}
    }
}

/// A GET form: the query lives in the address, so it can be shared and works without JavaScript.
fn search(query: Signal<Query>) -> AnyView {
    let t = words();
    let navigate = use_navigate();
    let submit = move |event: leptos::ev::SubmitEvent| {
        let form = event
            .current_target()
            .and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok());
        if let Some(query) = form.and_then(|form| form_data(&form)) {
            event.prevent_default();
            navigate(
                &format!("/?{}", String::from(query.to_string())),
                NavigateOptions::default(),
            );
        }
    };
    view! {
        <search class="search">
            <form method="get" action="/" on:submit=submit>
                <div class="field">
                    <label for="q">{t.market_query()}</label>
                    <input class="input mono" type="search" id="q" name="q" prop:value=move || query.get().q
                        value=query.get_untracked().q data-search="1" autocomplete="off" autocapitalize="none"
                        spellcheck="false" maxlength="2000" aria-describedby="q-help"/>
                    <p class="hint" id="q-help">{t.market_query_help()}</p>
                </div>
                <input type="hidden" name="compare" prop:value=move || query.get().compare value=query.get_untracked().compare/>
                <input type="hidden" name="sort" prop:value=move || query.get().sort value=query.get_untracked().sort/>
                <div class="chips">
                    <label class="check"><input type="checkbox" name="idle" value="1" prop:checked=move || query.get().idle
                        checked=query.get_untracked().idle/><span>{t.filter_idle()}</span></label>
                    <button class="btn" type="submit">{t.filter_apply()}</button>
                </div>
            </form>
        </search>
    }
    .into_any()
}
