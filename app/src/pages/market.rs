//! The market, which is also the front door: what can be rented now and what an hour costs.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_query_map};
use protocol::live::{Live, Topic};
use protocol::spec::DeviceClass;
use protocol::state::DeviceState;
use protocol::view::{NetworkView, OfferFilter, OfferView, OffersView};

use wasm_bindgen::JsCast;

use super::wording;
use super::{live_dot, load, stale_notice};
use crate::api::market::{Network, Offers};
use crate::api::{Ask, Data, ask, data, decode, then};
use crate::components::{
    Cell, Column, PageHead, Parts, Sorted, empty, part, row, skeleton_rows, table, tag,
};
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::live::{News, watch};

/// What the address bar says: the filter as texts, and the order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Query {
    model: String,
    class: String,
    max: String,
    country: String,
    idle: bool,
    sort: String,
}

/// The columns that can be sorted; each has one useful direction.
const SORTS: [(&str, Sorted); 3] = [
    ("price", Sorted::Up),
    ("memory", Sorted::Down),
    ("reputation", Sorted::Down),
];

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

    /// The part that the exchange filters by.
    fn filter(&self) -> OfferFilter {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        OfferFilter {
            class: DeviceClass::parse(&self.class),
            model: some(&self.model),
            min_device_memory_mib: None,
            max_price_per_hour: some(&self.max),
            country: some(&self.country),
            min_reputation: None,
            idle: self.idle.then_some(true),
        }
    }

    fn is_empty(&self) -> bool {
        *self
            == Self {
                sort: self.sort.clone(),
                ..Self::default()
            }
    }

    /// The same filter in another order.
    fn sorted_by(&self, sort: &str) -> String {
        let escape = |text: &str| leptos_router::location::Url::escape(text);
        let mut href = format!("/?sort={sort}");
        for (key, value) in [
            ("model", &self.model),
            ("class", &self.class),
            ("max", &self.max),
            ("country", &self.country),
        ] {
            if !value.is_empty() {
                href.push_str(&format!("&{key}={}", escape(value)));
            }
        }
        if self.idle {
            href.push_str("&idle=1");
        }
        href
    }

    fn order(&self, offers: &mut [OfferView]) {
        match self.sort.as_str() {
            "memory" => offers.sort_by_key(|offer| {
                std::cmp::Reverse(offer.device_memory_mib.max(offer.memory_mib))
            }),
            "reputation" => offers.sort_by_key(|offer| std::cmp::Reverse(offer.reputation)),
            _ => offers.sort_by_key(|offer| offer.per_hour),
        }
    }

    fn column(&self, label: &'static str, sort: &str, end: bool) -> Column {
        let current = if self.sort.is_empty() {
            "price"
        } else {
            &self.sort
        };
        let sorted = SORTS
            .iter()
            .find(|(name, _)| *name == sort && *name == current)
            .map(|(_, way)| *way);
        let column = if end {
            Column::end(label)
        } else {
            Column::new(label)
        };
        column.sorted_by(self.sorted_by(sort), sorted)
    }
}

pub fn page() -> impl IntoView {
    let t = words();
    let query = Query::read();
    let asked = Signal::derive(move || {
        ask(Offers {
            filter: query.with(Query::filter),
        })
    });
    let found = data(asked);
    let supply = ask(Network {}).data();
    view! {
        <PageHead title=t.market_title lead=t.market_lead
            actions=view! { <a class="btn primary" href="/launch">{t.launch}</a> }.into_any()/>
        {filters(query)}
        <div class="row-actions justify-between my-3">{supply_line(supply)}{live_dot()}</div>
        {stale_notice()}
        {load(found, |t| skeleton_rows(t.loading, 4), move |found| results(found, query, asked))}
    }
}

/// The network in one line; claimed and proven supply stand apart. It is left out rather than shown wrong.
fn supply_line(supply: Data) -> AnyView {
    let t = words();
    view! {
        <p class="hint">
            <Transition fallback=move || t.loading>
                {part(move || Suspend::new(async move {
                    supply.await.ok().and_then(|text| decode::<NetworkView>(&text).ok()).map(|n| {
                        let count = |n: u32| n.to_string();
                        fill(t.market_supply, &[
                            &count(n.nodes_online), &count(n.gpus_proven), &count(n.gpus_claimed),
                            &count(n.cpus_claimed), &count(n.jobs_running),
                        ])
                    })
                }))}
            </Transition>
        </p>
    }
    .into_any()
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
        let data = form.and_then(|form| web_sys::FormData::new_with_form(&form).ok());
        let query = data
            .and_then(|data| web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok());
        if let Some(query) = query {
            event.prevent_default();
            navigate(
                &format!("/?{}", String::from(query.to_string())),
                NavigateOptions::default(),
            );
        }
    };
    let classes = [("", t.filter_any), ("gpu", "GPU"), ("cpu", "CPU")]
        .into_iter()
        .map(|(code, word)| {
            let selected = code == now.class;
            view! { <option value=code selected=selected>{word}</option> }
        })
        .parts();
    view! {
        <search>
            <details class="filter" open=open>
            <summary class="btn">{t.filter_title}</summary>
            <form method="get" action="/" on:submit=search>
                <div class="chips">
                    <div class="field">
                        <label for="model">{t.filter_model}</label>
                        <input class="input" type="search" id="model" name="model" value=now.model data-search="1" autocomplete="off"/>
                    </div>
                    <div class="field">
                        <label for="class">{t.filter_class}</label>
                        <select class="input" id="class" name="class">{classes}</select>
                    </div>
                    <div class="field">
                        <label for="max">{t.filter_max}</label>
                        <input class="input" id="max" name="max" inputmode="decimal" value=now.max autocomplete="off"/>
                    </div>
                    <div class="field">
                        <label for="country">{t.filter_country}</label>
                        <input class="input" id="country" name="country" maxlength="2" value=now.country autocomplete="off"/>
                    </div>
                    <input type="hidden" name="sort" value=now.sort/>
                    <label class="check"><input type="checkbox" name="idle" value="1" checked=now.idle/><span>{t.filter_idle}</span></label>
                    <button class="btn" type="submit">{t.filter_apply}</button>
                </div>
            </form>
            </details>
        </search>
    }
    .into_any()
}

fn results(found: OffersView, query: Signal<Query>, asked: Signal<Ask>) -> AnyView {
    let t = words();
    let list = RwSignal::new(found.offers);
    let reread = move || {
        then(asked.get_untracked(), move |fresh: OffersView| {
            _ = list.try_set(fresh.offers);
        });
    };
    watch(Topic::Market, move |news| match news {
        News::Frame(Live::Offer { offer }) => {
            let known = list.try_update(|list| {
                let known = list.iter_mut().find(|known| known.device == offer.device);
                known.map(|known| known.clone_from(offer)).is_some()
            });
            // A new one: whether it passes the filter is the exchange's to say.
            if known == Some(false) {
                reread();
            }
        }
        News::Frame(Live::OfferGone { device }) => {
            _ = list.try_update(|list| list.retain(|offer| offer.device != *device))
        }
        News::Frame(_) => {}
        News::Reread => reread(),
    });
    part(move || {
        let mut offers = list.get();
        let query = query.get();
        if offers.is_empty() {
            return if query.is_empty() {
                empty(
                    t.market_empty,
                    t.market_empty_text,
                    Some((t.market_empty_action, "/nodes".to_owned())),
                )
            } else {
                empty(
                    t.market_none,
                    t.market_none_text,
                    Some((t.market_none_action, "/".to_owned())),
                )
            };
        }
        query.order(&mut offers);
        let rows = offers.iter().map(|offer| offer_row(offer, t)).parts();
        let columns = vec![
            Column::new(t.col_device),
            query.column(t.col_price, "price", true),
            query.column(t.col_memory, "memory", true),
            Column::end(t.col_cpus),
            query.column(t.col_reputation, "reputation", true),
            Column::new(t.col_region),
            Column::new(t.col_state),
            Column::action(t.col_action),
        ];
        table(t.market_title, columns, rows)
    })
    .into_any()
}

fn offer_row(offer: &OfferView, t: &'static Words) -> AnyView {
    let memory = if offer.device_memory_mib > 0 {
        offer.device_memory_mib
    } else {
        offer.memory_mib
    };
    let rent = if offer.state == DeviceState::Idle {
        let href = format!("/launch?device={}", offer.device);
        let label = fill(t.rent_label, &[&offer.model, &offer.node_name]);
        view! { <a class="btn" href=href aria-label=label data-row="1">{t.rent}</a> }.into_any()
    } else {
        view! { <span class="hint">{t.rent_not_now}</span> }.into_any()
    };
    let proven = if offer.proven { t.proven } else { t.claimed };
    row(vec![
        Cell::title(view! {
            <span class="flex flex-wrap items-center gap-x-2 gap-y-1">
                <span>{offer.model.clone()}</span>{tag(wording::class(offer.class))}
                <span class="hint">{offer.node_name.clone()}" · "{proven}</span>
            </span>
        }),
        Cell::end(
            t.col_price,
            view! { <strong>{format::per_hour_amount(offer.per_hour, t)}</strong> },
        ),
        Cell::end(t.col_memory, format::mib(memory)),
        Cell::end(
            t.col_cpus,
            format!("{} · {}", offer.cpus, format::mib(offer.memory_mib)),
        ),
        Cell::end(t.col_reputation, format!("{} / 100", offer.reputation)),
        Cell::new(
            t.col_region,
            offer.country.clone().unwrap_or_else(|| "–".to_owned()),
        ),
        Cell::new(t.col_state, wording::device_state(offer.state, t)),
        Cell::action(rent),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_keeps_the_filter() {
        let query = Query {
            model: "RTX 4090".into(),
            idle: true,
            ..Query::default()
        };
        let href = query.sorted_by("memory");
        assert!(href.starts_with("/?sort=memory&model=RTX"), "{href}");
        assert!(href.ends_with("&idle=1") && !href.contains(' '), "{href}");
        assert!(!query.is_empty());
        assert!(
            Query {
                sort: "memory".into(),
                ..Query::default()
            }
            .is_empty()
        );
    }
}
