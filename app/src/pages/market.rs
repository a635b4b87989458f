//! The market, which is also the front door: what can be rented now and what an hour costs.

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
use crate::components::{PageHead, Parts, skeleton_rows};
use crate::i18n::words;
use crate::live::watch_market;
#[cfg(feature = "ssr")]
pub use part::part;

/// What the address bar says: the filter as texts, and the order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Query {
    model: String,
    class: String,
    max: String,
    country: String,
    idle: bool,
    sort: String,
}

impl Query {
    fn read() -> Signal<Self> {
        let query = use_query_map();
        Signal::derive(move || {
            query.with(|query| {
                let text = |key| query.get(key).unwrap_or_default().trim().to_owned();
                Self {
                    model: text("model"),
                    class: text("class"),
                    max: text("max"),
                    country: text("country").to_uppercase(),
                    idle: !text("idle").is_empty(),
                    sort: text("sort"),
                }
            })
        })
    }

    fn is_empty(&self) -> bool {
        *self
            == Self {
                sort: self.sort.clone(),
                ..Self::default()
            }
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
        {filters(query)}
        <div class="row-actions justify-end my-3">{live_dot()}</div>
        {stale_notice()}
        {offers.view(|t| skeleton_rows(t.loading(), 4))}
    }
}

/// A GET form: the filter lives in the address, so it can be shared and works without JavaScript.
fn filters(query: Signal<Query>) -> AnyView {
    let t = words();
    let now = query.get_untracked();
    let open = !now.is_empty();
    let navigate = use_navigate();
    let search = move |event: leptos::ev::SubmitEvent| {
        let form = event
            .current_target()
            .and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok());
        let query = form.and_then(|form| form_data(&form));
        if let Some(query) = query {
            event.prevent_default();
            navigate(
                &format!("/?{}", String::from(query.to_string())),
                NavigateOptions::default(),
            );
        }
    };
    let classes = [("", t.filter_any()), ("gpu", "GPU"), ("cpu", "CPU")]
        .into_iter()
        .map(|(code, word)| {
            let selected = code == now.class;
            view! { <option value=code selected=selected>{word}</option> }
        })
        .parts();
    view! {
        <search>
            <details class="filter" open=open>
            <summary class="btn">{t.filter_title()}</summary>
            <form method="get" action="/" on:submit=search>
                <div class="chips">
                    <div class="field">
                        <label for="model">{t.filter_model()}</label>
                        <input class="input" type="search" id="model" name="model" value=now.model data-search="1" autocomplete="off"/>
                    </div>
                    <div class="field">
                        <label for="class">{t.filter_class()}</label>
                        <select class="input" id="class" name="class">{classes}</select>
                    </div>
                    <div class="field">
                        <label for="max">{t.filter_max()}</label>
                        <input class="input" id="max" name="max" inputmode="decimal" value=now.max autocomplete="off"/>
                    </div>
                    <div class="field">
                        <label for="country">{t.filter_country()}</label>
                        <input class="input" id="country" name="country" maxlength="2" value=now.country autocomplete="off"/>
                    </div>
                    <input type="hidden" name="sort" value=now.sort/>
                    <label class="check"><input type="checkbox" name="idle" value="1" checked=now.idle/><span>{t.filter_idle()}</span></label>
                    <button class="btn" type="submit">{t.filter_apply()}</button>
                </div>
            </form>
            </details>
        </search>
    }
    .into_any()
}
