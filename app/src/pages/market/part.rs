//! The offers, as the server writes them.

use leptos::prelude::*;
use protocol::spec::DeviceClass;
use protocol::state::DeviceState;
use protocol::view::{NetworkView, OfferFilter, OfferView};

use super::Query;
use crate::api::exchange;
use crate::components::{Cell, Column, Parts, Sorted, empty, row, table, tag};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::wording;

/// The columns that can be sorted; each has one useful direction.
const SORTS: [(&str, Sorted); 3] = [
    ("price", Sorted::Up),
    ("memory", Sorted::Down),
    ("reputation", Sorted::Down),
];

impl Query {
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
                href.push('&');
                href.push_str(key);
                href.push('=');
                href.push_str(&escape(value));
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

/// `arg` is a [`Query`] as JSON; one that cannot be read is an empty one.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let query: Query = serde_json::from_str(arg).unwrap_or_default();
    let exchange = exchange()?;
    let mut offers = exchange.offers(&query.filter())?.offers;
    let network = exchange.network().await?;
    query.order(&mut offers);
    let t = words();
    Ok(
        view! { <p class="hint mb-3">{supply(&network, t)}</p>{results(&offers, &query, t)} }
            .into_any(),
    )
}

/// The network in one line; claimed and proven supply stand apart.
fn supply(network: &NetworkView, t: &Words) -> String {
    let count = |n: u32| n.to_string();
    fill(
        t.market_supply(),
        &[
            &count(network.nodes_online),
            &count(network.gpus_proven),
            &count(network.gpus_claimed),
            &count(network.cpus_claimed),
            &count(network.jobs_running),
        ],
    )
}

fn results(offers: &[OfferView], query: &Query, t: &'static Words) -> AnyView {
    if offers.is_empty() {
        return if query.is_empty() {
            empty(
                t.market_empty(),
                t.market_empty_text(),
                Some((t.market_empty_action(), "/nodes".to_owned())),
            )
        } else {
            empty(
                t.market_none(),
                t.market_none_text(),
                Some((t.market_none_action(), "/".to_owned())),
            )
        };
    }
    let rows = offers.iter().map(|offer| offer_row(offer, t)).parts();
    let columns = vec![
        Column::new(t.col_device()),
        query.column(t.col_price(), "price", true),
        query.column(t.col_memory(), "memory", true),
        Column::end(t.col_cpus()),
        query.column(t.col_reputation(), "reputation", true),
        Column::new(t.col_region()),
        Column::new(t.col_state()),
        Column::action(t.col_action()),
    ];
    table(t.market_title(), columns, rows)
}

fn offer_row(offer: &OfferView, t: &'static Words) -> AnyView {
    let memory = if offer.device_memory_mib > 0 {
        offer.device_memory_mib
    } else {
        offer.memory_mib
    };
    let rent = if offer.state == DeviceState::Idle {
        let href = format!("/launch?device={}", offer.device);
        let label = fill(t.rent_label(), &[&offer.model, &offer.node_name]);
        view! { <a class="btn" href=href aria-label=label data-row="1">{t.rent()}</a> }.into_any()
    } else {
        view! { <span class="hint">{t.rent_not_now()}</span> }.into_any()
    };
    let proven = if offer.proven {
        t.proven()
    } else {
        t.claimed()
    };
    row(vec![
        Cell::title(view! {
            <span class="flex flex-wrap items-center gap-x-2 gap-y-1">
                <span>{offer.model.clone()}</span>{tag(wording::class(offer.class))}
                <span class="hint">{offer.node_name.clone()}" · "{proven}</span>
            </span>
        }),
        Cell::end(
            t.col_price(),
            view! { <strong>{format::per_hour_amount(offer.per_hour, t)}</strong> },
        ),
        Cell::end(t.col_memory(), format::mib(memory)),
        Cell::end(
            t.col_cpus(),
            format!("{} · {}", offer.cpus, format::mib(offer.memory_mib)),
        ),
        Cell::end(t.col_reputation(), format!("{} / 100", offer.reputation)),
        Cell::new(
            t.col_region(),
            offer.country.clone().unwrap_or_else(|| "–".to_owned()),
        ),
        Cell::new(t.col_state(), wording::device_state(offer.state, t)),
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
