//! Offers side by side, as the server writes them. Which ones stands in the address: it can be shared, and it works without
//! JavaScript.

use leptos::prelude::*;
use protocol::state::DeviceState;
use protocol::view::OfferView;

use super::Query;
use super::part::{device_memory, place};
use crate::components::Parts;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::wording;

/// Puts an offer beside the others, or takes it away.
pub fn toggle(offer: &OfferView, query: &Query, t: &'static Words) -> AnyView {
    let device = offer.device.to_string();
    let on = query.compared().contains(&device.as_str());
    let Some(href) = query.beside(&device) else {
        return view! { <span class="hint">{t.compare_full()}</span> }.into_any();
    };
    let label = fill(t.compare_label(), &[&offer.model, &offer.node_name]);
    let mark = if on { "✓" } else { "" };
    view! {
        <a class="chip" href=href aria-current=on.then_some("true") aria-label=label data-noscroll="true" data-key=format!("compare-{device}")>
            <span class="box" aria-hidden="true">{mark}</span>"\u{a0}"{t.compare()}
        </a>
    }
    .into_any()
}

/// Stays in sight while offers are chosen.
pub fn bar(query: &Query, count: usize, t: &'static Words) -> AnyView {
    if count == 0 {
        return ().into_any();
    }
    let clear = Query {
        compare: String::new(),
        ..query.clone()
    };
    let words = if count == 1 {
        view! { <span>{t.compare_one()}</span> }.into_any()
    } else {
        let show = format!("{}#compare", query.href());
        view! { <a class="btn primary" href=show rel="external">{fill(t.compare_show(), &[&count.to_string()])}</a> }.into_any()
    };
    view! {
        <div class="compare-bar" role="region" aria-label=t.compare()>
            {words}
            <a class="btn" href=clear.href() data-noscroll="true">{t.compare_clear()}</a>
        </div>
    }
    .into_any()
}

/// One property of each offer.
type Property = (&'static str, Vec<String>);

fn properties(offers: &[OfferView], t: &'static Words) -> Vec<Property> {
    let each = |value: &dyn Fn(&OfferView) -> String| offers.iter().map(value).collect::<Vec<_>>();
    let number = |value: Option<u32>, unit: &str| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value} {unit}"))
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    vec![
        (
            t.col_price(),
            each(&|offer| format::per_hour_amount(offer.per_hour, t)),
        ),
        (
            t.filter_class(),
            each(&|offer| wording::class(offer.class).to_owned()),
        ),
        (t.filter_model(), each(&|offer| offer.model.clone())),
        (t.col_memory(), each(&device_memory)),
        (
            t.col_cpus(),
            each(&|offer| format!("{} · {}", offer.cpus, format::mib(offer.memory_mib))),
        ),
        (t.need_disk(), each(&|offer| format::mib(offer.disk_mib))),
        (t.compare_cards(), each(&|offer| offer.cards.to_string())),
        (
            t.compare_up(),
            each(&|offer| number(offer.up_mbit, "Mbit/s")),
        ),
        (
            t.compare_down(),
            each(&|offer| number(offer.down_mbit, "Mbit/s")),
        ),
        (t.compare_driver(), each(&|offer| text(&offer.driver))),
        ("CUDA", each(&|offer| text(&offer.cuda))),
        (t.compare_watts(), each(&|offer| number(offer.watts, "W"))),
        (
            t.col_reputation(),
            each(&|offer| format!("{} / 100", offer.reputation)),
        ),
        (
            t.compare_claims(),
            each(&|offer| {
                let word = if offer.proven {
                    t.proven()
                } else {
                    t.claimed()
                };
                word.to_owned()
            }),
        ),
        (t.col_region(), each(&|offer| place(offer))),
        (
            t.need_minutes(),
            each(&|offer| {
                let longest = offer.max_duration;
                longest.map_or_else(|| "–".to_owned(), |longest| format::duration(longest, t))
            }),
        ),
    ]
}

/// What they have, line by line; where they differ a sign says so.
pub fn section(offers: &[OfferView], t: &'static Words) -> AnyView {
    if offers.len() < 2 {
        return ().into_any();
    }
    let heads = offers
        .iter()
        .map(|offer| {
            let rent = (offer.state == DeviceState::Idle).then(|| {
                let href = super::launch_link(offer.device, offer.kind);
                let label = fill(t.rent_label(), &[&offer.model, &offer.node_name]);
                view! { <a class="btn" href=href aria-label=label>{t.rent()}</a> }
            });
            view! { <th role="columnheader" scope="col"><span class="grid gap-1">{offer.node_name.clone()}{rent}</span></th> }
        })
        .parts();
    let rows = properties(offers, t)
        .into_iter()
        .map(|(name, values)| {
            let differs = values.iter().any(|value| Some(value) != values.first());
            let sign = differs.then(|| view! { <span aria-hidden="true">"≠ "</span><span class="sr">{t.compare_differs()}" "</span> });
            let class = if differs { "differs" } else { "" };
            let cells = values
                .into_iter()
                .map(|value| view! { <td role="cell">{value}</td> })
                .parts();
            view! { <tr role="row" class=class><th role="rowheader" scope="row">{sign}{name}</th>{cells}</tr> }
        })
        .parts();
    let class = if offers.len() == 3 {
        "compare three"
    } else {
        "compare"
    };
    view! {
        <section id="compare" class="card mb-4">
            <h2>{t.compare_title()}</h2>
            <p class="hint mb-2">{t.compare_legend()}</p>
            <table class=class role="table">
                <caption class="sr">{t.compare_title()}</caption>
                <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col"><span class="sr">{t.compare_property()}</span></th>{heads}</tr></thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}
