//! The offers, as the server writes them.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::state::DeviceState;
use protocol::view::{Kind, NetworkView, OfferFilter, OfferView, OffersView};

use super::{Query, compare};
use crate::api::searches::SaveSearch;
use crate::api::{actor_or_none, exchange};
use crate::components::{Cell, Column, Parts, Sorted, Tone, empty, notice, row, table, tag};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, reason, told, translate, words};
use crate::pages::wording;

/// The columns that can be sorted; each has one useful direction.
const SORTS: [(&str, Sorted); 3] = [
    ("price", Sorted::Up),
    ("memory", Sorted::Down),
    ("reputation", Sorted::Down),
];

/// Terms that can be put on and taken off by a press: what people ask most.
const CHIPS: [&str; 8] = [
    "class=gpu",
    "class=cpu",
    "vram>=24",
    "price<=1",
    "reputation>=90",
    "region=EU",
    "kind=spot",
    "kind=reserved",
];
/// What an offer, or a question, has one value of, by all its names.
const SINGLE: [&[&str]; 2] = [&["class"], &["kind", "type"]];
/// Offers on one page; another order than the price's is that of so many cheapest.
const PAGE: u32 = 50;
const SORTED: u32 = 500;
/// So many are compared at once.
const COMPARED: usize = 3;

/// Whether a word is `field=value` of a field with one of these names.
fn is_about(word: &str, names: &[&str]) -> bool {
    let field = word.split_once('=').map(|(field, _)| field);
    field.is_some_and(|field| names.iter().any(|name| name.eq_ignore_ascii_case(field)))
}

impl Query {
    fn filter(&self) -> OfferFilter {
        let sorts = !matches!(self.sort.as_str(), "" | "price");
        OfferFilter {
            q: (!self.q.is_empty()).then(|| self.q.clone()),
            idle: self.idle.then_some(true),
            offset: self.from.parse().ok(),
            limit: Some(if sorts { SORTED } else { PAGE }),
            ..OfferFilter::default()
        }
    }

    pub(super) fn href(&self) -> String {
        // `_` and `,` need no escape in a query, and addresses that are shared are read by people.
        let escape = |text: &str| {
            let escaped = leptos_router::location::Url::escape(text);
            escaped.replace("%5F", "_").replace("%2C", ",")
        };
        let idle = if self.idle { "1" } else { "" };
        let parts = [
            ("q", &*self.q),
            ("idle", idle),
            ("sort", &*self.sort),
            ("from", &*self.from),
            ("compare", &*self.compare),
        ];
        let set = parts.into_iter().filter(|(_, value)| !value.is_empty());
        let set: Vec<String> = set
            .map(|(key, value)| format!("{key}={}", escape(value)))
            .collect();
        if set.is_empty() {
            "/".to_owned()
        } else {
            format!("/?{}", set.join("&"))
        }
    }

    /// The same filter in another order.
    fn sorted_by(&self, sort: &str) -> String {
        Self {
            sort: sort.to_owned(),
            from: String::new(),
            ..self.clone()
        }
        .href()
    }

    fn has(&self, term: &str) -> bool {
        self.q
            .split_whitespace()
            .any(|word| word.eq_ignore_ascii_case(term))
    }

    /// The same with a term put on or taken off.
    fn toggled(&self, term: &str) -> String {
        let on = self.has(term);
        // Of a field with one value another one gives way: both together are refused, or match nothing.
        let gives_way = |word: &str| match SINGLE.iter().find(|names| is_about(term, names)) {
            Some(names) if !on => is_about(word, names),
            _ => word.eq_ignore_ascii_case(term),
        };
        let others = self.q.split_whitespace().filter(|word| !gives_way(word));
        let mut words: Vec<&str> = others.collect();
        if !on {
            words.push(term);
        }
        Self {
            q: words.join(" "),
            from: String::new(),
            ..self.clone()
        }
        .href()
    }

    /// The devices that are compared.
    pub(super) fn compared(&self) -> Vec<&str> {
        let devices = self.compare.split(',').filter(|device| !device.is_empty());
        devices.take(COMPARED).collect()
    }

    /// The same with a device put beside the others or taken away; `None`: there are as many as can be.
    pub(super) fn beside(&self, device: &str) -> Option<String> {
        let mut devices = self.compared();
        match devices.iter().position(|known| *known == device) {
            Some(at) => _ = devices.remove(at),
            None if devices.len() == COMPARED => return None,
            None => devices.push(device),
        }
        let compare = devices.join(",");
        let query = Self {
            compare,
            ..self.clone()
        };
        Some(query.href())
    }

    fn order(&self, offers: &mut [OfferView]) {
        match self.sort.as_str() {
            "memory" => offers.sort_by_key(|offer| {
                // A CPU has none of its own: behind all that do, by its machine's.
                std::cmp::Reverse((offer.device_memory_mib, offer.memory_mib))
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
    let network = exchange.network().await?;
    let t = words();
    let fault = (!query.q.is_empty()).then(|| exchange.query_fault(&query.q));
    let fault = fault.flatten();
    let readable = fault.is_none();
    let found = if let Some((pointed, message)) = fault {
        let message = translate(&message, locale());
        unreadable(pointed, message, t)
    } else {
        let mut found = exchange.offers(&query.filter())?;
        query.order(&mut found.offers);
        if found.offers.is_empty() {
            nothing(&found, &query, &network, t)?
        } else {
            results(&found, &query, t)
        }
    };
    let compared: Vec<OfferView> = query
        .compared()
        .into_iter()
        .filter_map(|device| exchange.offer(device.parse().ok()?))
        .collect();
    let signed = actor_or_none().await?.is_some();
    Ok(view! {
        <nav class="chips mb-3" aria-label=t.market_chips()>{chips(&query)}</nav>
        <p class="hint mb-3">{supply(&network, t)}</p>
        {keep(&query, signed, readable, t)}
        {compare::section(&compared, t)}
        {found}
        {compare::bar(&query, compared.len(), t)}
    }
    .into_any())
}

fn chips(query: &Query) -> AnyView {
    let chip = |term: &&'static str| {
        let on = query.has(term).then_some("true");
        view! { <a class="chip mono" href=query.toggled(term) aria-current=on data-row="1" data-key=*term>{*term}</a> }.into_any()
    };
    CHIPS.iter().map(chip).parts()
}

/// Keeps the query under a name, for those who are signed in.
fn keep(query: &Query, signed: bool, readable: bool, t: &'static Words) -> AnyView {
    let list =
        signed.then(|| view! { <a class="btn quiet" href="/searches">{t.searches_title()}</a> });
    let form = (signed && readable && !query.q.is_empty()).then(|| {
        let name: String = query.q.chars().take(80).collect();
        view! {
            <details id="save-search">
                <summary class="legend min-h-11 flex items-center">{t.search_save()}</summary>
                <form class="row-actions" method="post" action=SaveSearch::url() data-done=t.search_saved()>
                    <input type="hidden" name="q" value=query.q.clone()/>
                    <div class="field"><label for="search-name">{t.name()}</label>
                        <input class="input" id="search-name" name="name" value=name maxlength="80" autocomplete="off"/></div>
                    <button class="btn" type="submit">{t.search_save_button()}</button>
                </form>
                <p class="hint">{t.search_save_hint()}</p>
            </details>
        }
    });
    view! { <div class="row-actions justify-between items-start mb-3">{form}{list}</div> }
        .into_any()
}

/// The query with a mark under the place that cannot be read.
fn unreadable(pointed: String, message: String, t: &'static Words) -> AnyView {
    notice(
        Tone::Bad,
        view! {
            <p class="font-medium">{t.market_unreadable()}</p>
            <pre class="mono overflow-x-auto">{pointed}</pre>
            <p>{message}</p>
        },
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

/// Why there is nothing to show: no machine, no machine in this way, or what the query asks.
fn nothing(
    found: &OffersView,
    query: &Query,
    network: &NetworkView,
    t: &'static Words,
) -> Result<AnyView, Fault> {
    let clear = Some((t.market_none_action(), "/".to_owned()));
    if found.total == 0 && network.nodes_online == 0 {
        let connect = Some((t.market_empty_action(), "/nodes".to_owned()));
        return Ok(empty(t.market_empty(), t.market_empty_text(), connect));
    }
    if found.total == 0 {
        let kind = exchange()?.kind_asked(&query.filter())?;
        let kind = wording::kind(kind.as_str(), t);
        let text = fill(
            t.market_kind_none_text(),
            &[&network.nodes_online.to_string(), kind],
        );
        let text = view! { <p>{text}</p> }.into_any();
        return Ok(nothing_because(t.market_kind_none(), text, t));
    }
    let why = exchange()?.why_none(&query.filter())?;
    if found.matching > 0 || why.is_empty() {
        return Ok(empty(t.market_none(), t.market_none_text(), clear));
    }
    let locale = locale();
    let lines = why
        .iter()
        .map(|removed| {
            let name = reason(&removed.field, locale).to_owned();
            let message = told(&removed.message, locale);
            view! { <li><strong>{name}</strong>": "{message}</li> }
        })
        .parts();
    let text =
        view! { <p>{t.market_none_why()}</p><ul class="grid gap-1" id="why-none">{lines}</ul> };
    Ok(nothing_because(t.market_none(), text.into_any(), t))
}

/// As [`empty`] looks, with a reason of its own.
fn nothing_because(title: &'static str, why: AnyView, t: &'static Words) -> AnyView {
    view! { <div class="empty"><h2>{title}</h2>{why}<a class="btn primary" href="/">{t.market_none_action()}</a></div> }
        .into_any()
}

fn results(found: &OffersView, query: &Query, t: &'static Words) -> AnyView {
    let offers = &found.offers;
    let rows = offers
        .iter()
        .map(|offer| offer_row(offer, query, t))
        .parts();
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
    let count = fill(
        t.market_count(),
        &[&found.matching.to_string(), &found.total.to_string()],
    );
    let best = (!query.q.is_empty()).then(|| {
        let href = format!(
            "/launch?filter={}",
            leptos_router::location::Url::escape(&query.q)
        );
        view! { <a class="btn" href=href>{t.market_rent_best()}</a> }
    });
    let page = |from: u32, word: &'static str| {
        let from = if from == 0 {
            String::new()
        } else {
            from.to_string()
        };
        let href = Query {
            from,
            ..query.clone()
        }
        .href();
        view! { <a class="btn" href=href>{word}</a> }
    };
    let from: u32 = query.from.parse().unwrap_or(0);
    let before = (from > 0).then(|| page(from.saturating_sub(PAGE), t.market_before()));
    let next = found.next.map(|next| page(next, t.market_next()));
    view! {
        <div class="row-actions justify-between mb-3"><p class="hint" role="status">{count}</p>{best}</div>
        {table(t.market_title(), columns, rows)}
        <div class="row-actions mt-3">{before}{next}</div>
    }
    .into_any()
}

fn offer_row(offer: &OfferView, query: &Query, t: &'static Words) -> AnyView {
    let rent = if offer.state == DeviceState::Idle {
        let href = super::launch_link(offer.device, offer.kind);
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
                <a class="row-link" href=model_href(offer) data-row="1">{offer.model.clone()}</a>{tag(wording::class(offer.class))}
                <span class="hint">{offer.node_name.clone()}" · "{proven}</span>
            </span>
        }),
        Cell::end(
            t.col_price(),
            view! { <strong>{format::per_hour_amount(offer.per_hour, t)}</strong>{others(offer, t)} },
        ),
        Cell::end(t.col_memory(), device_memory(offer)),
        Cell::end(
            t.col_cpus(),
            format!("{} · {}", offer.cpus, format::mib(offer.memory_mib)),
        ),
        Cell::end(t.col_reputation(), format!("{} / 100", offer.reputation)),
        Cell::new(t.col_region(), place(offer)),
        Cell::new(t.col_state(), wording::device_state(offer.state, t)),
        Cell::action(
            view! { <span class="row-actions justify-end">{compare::toggle(offer, query, t)}{rent}</span> },
        ),
    ])
}

/// A CPU has no memory of its own; its machine's stands in another column.
pub(super) fn device_memory(offer: &OfferView) -> String {
    match offer.device_memory_mib {
        0 => "–".to_owned(),
        mib => format::mib(mib),
    }
}

/// What it costs as other kinds of rent.
fn others(offer: &OfferView, t: &'static Words) -> Option<AnyView> {
    let spot = offer.spot_per_hour.filter(|_| offer.kind != Kind::Spot);
    let spot = spot.map(|spot| fill(t.rent_has_spot(), &[&format::per_hour_amount(spot, t)]));
    let term = offer
        .reserved_per_hour
        .filter(|_| offer.kind != Kind::Reserved);
    let term = term.map(|term| fill(t.rent_has_term(), &[&format::per_hour_amount(term, t)]));
    let all: Vec<String> = [spot, term].into_iter().flatten().collect();
    let show = |all: Vec<String>| view! { <span class="hint block">{all.join(" · ")}</span> };
    (!all.is_empty()).then(|| show(all).into_any())
}

fn model_href(offer: &OfferView) -> String {
    let name = leptos_router::location::Url::escape(&offer.model);
    format!("/model?class={}&name={name}", offer.class.as_str())
}

/// `CH · hall-1`
pub(super) fn place(offer: &OfferView) -> String {
    let parts: Vec<&str> = [&offer.country, &offer.group]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if parts.is_empty() {
        "–".to_owned()
    } else {
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_what_they_do_not_change() {
        let query = Query {
            q: "rtx 4090 vram>=24".into(),
            idle: true,
            from: "50".into(),
            ..Query::default()
        };
        let href = query.sorted_by("memory");
        assert!(
            href.starts_with("/?q=rtx") && href.ends_with("&idle=1&sort=memory"),
            "{href}"
        );
        assert!(!href.contains(' ') && !href.contains('>'), "{href}");
        assert!(query.has("VRAM>=24") && !query.toggled("vram>=24").contains("vram"));
        assert!(query.toggled("class=gpu").contains("class%3Dgpu"));
        let chosen = Query {
            q: "Class=gpu type=reserved vram>=24".into(),
            ..Query::default()
        };
        for (chip, q) in [
            ("class=cpu", "type=reserved vram>=24 class=cpu"),
            ("kind=spot", "Class=gpu vram>=24 kind=spot"),
            ("class=gpu", "type=reserved vram>=24"),
            ("price<=1", "Class=gpu type=reserved vram>=24 price<=1"),
        ] {
            let q = q.into();
            let wanted = Query {
                q,
                ..Query::default()
            };
            assert_eq!(chosen.toggled(chip), wanted.href(), "{chip}");
        }
        assert_eq!(Query::default().href(), "/");
        assert_eq!(
            query
                .beside("dev_1")
                .as_deref()
                .map(|href| href.ends_with("&compare=dev_1")),
            Some(true)
        );
        let three = Query {
            compare: "dev_1,dev_2,dev_3,dev_4".into(),
            ..Query::default()
        };
        assert_eq!(three.compared().len(), 3);
        assert_eq!(three.beside("dev_9"), None);
        assert_eq!(
            three.beside("dev_2").as_deref(),
            Some("/?compare=dev_1,dev_3")
        );
    }
}
