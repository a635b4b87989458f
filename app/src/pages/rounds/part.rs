//! Rounds, as the server writes them.

use exchange::Exchange;
use kernel::{Amount, PricePerSecond};
use leptos::prelude::*;
use protocol::round::{
    Chosen, Occasion, ReplayCheck, ReplayStep, Round, RoundOp, RoundRange, RoundRecord,
    RoundRequest, RoundTerm, RoundView,
};

use crate::api::exchange;
use crate::components::{
    Cell, Column, CopyLine, Icon, Parts, Tone, empty, icon, notice, row, table,
};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, words};
use crate::pages::wording;

const ROUNDS_PER_PAGE: u32 = 25;

/// `before` is the round that the list goes on after; empty for the newest.
pub async fn list_part(before: &str) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let page = exchange
        .rounds(before.parse().ok(), ROUNDS_PER_PAGE)
        .await?;
    let pays = pays(&exchange);
    let t = words();
    let Some(newest) = page.items.first() else {
        return Ok(empty(
            t.rounds_empty(),
            t.rounds_empty_text(),
            Some((t.model_back(), "/".to_owned())),
        ));
    };
    let root = before.is_empty().then(|| {
        view! {
            <dl class="facts mb-4">
                <div class="contents"><dt>{t.rounds_root()}</dt><dd class="mono break-all">{newest.round.root.clone()}</dd></div>
            </dl>
        }
    });
    let rows = page
        .items
        .iter()
        .map(|record| list_row(record, &pays, t))
        .parts();
    let columns = vec![
        Column::new(t.col_round()),
        Column::new(t.round_kind()),
        Column::new(t.round_asked()),
        Column::new(t.round_pays()),
        Column::end(t.col_offers()),
        Column::end(t.col_when()),
    ];
    let older = page.next.map(|before| {
        view! { <p class="mt-4"><a class="btn" href=format!("/rounds?before={before}")>{t.older()}</a></p> }
    });
    Ok(
        view! { {root}{fee_note(&exchange, t)}{table(t.rounds_title(), columns, rows)}{older} }
            .into_any(),
    )
}

/// What a requester pays at an owner's price: rounds hold the owners', people ask with the fee.
type Pays = dyn Fn(PricePerSecond) -> String;

fn pays(exchange: &Exchange) -> impl Fn(PricePerSecond) -> String + 'static {
    let (exchange, t) = (exchange.clone(), words());
    move |price| format::per_hour_amount(exchange.with_fee(price), t)
}

fn fee_note(exchange: &Exchange, t: &'static Words) -> AnyView {
    let points = exchange.settings().fee_requester.get();
    let fee = format!("{}.{:02}", points / 100, points % 100);
    view! { <p class="hint mb-3">{fill(t.round_fee_note(), &[&fee])}</p> }.into_any()
}

fn list_row(record: &RoundRecord, pays: &Pays, t: &'static Words) -> AnyView {
    let round = &record.round;
    let number = round.number;
    let winner = match round.chosen.as_slice() {
        [] => t.round_nobody().to_owned(),
        [one] => pays(one.price),
        more => fill(t.round_devices(), &[&more.len().to_string()]),
    };
    row(vec![
        Cell::title(
            view! { <a href=format!("/rounds/{number}") data-row="1">{fill(t.round_number(), &[&number.to_string()])}</a> },
        ),
        Cell::new(t.round_kind(), wording::kind(&round.request.kind, t)),
        Cell::wide(t.round_asked(), asked(&round.request, pays)),
        Cell::new(t.round_pays(), winner),
        Cell::end(t.col_offers(), round.offers.to_string()),
        Cell::end(t.col_when(), format::moment(round.at)),
    ])
}

/// `arg` is the round's number, and `replay` behind it when it is to be asked again.
pub async fn one_part(arg: &str) -> Result<AnyView, Fault> {
    let (number, replay) = match arg.split_once(' ') {
        Some((number, _)) => (number, true),
        None => (arg, false),
    };
    let t = words();
    let Ok(number) = number.parse::<u64>() else {
        return Err(protocol::Problem::new(protocol::Code::NotFound, t.round_none()).into());
    };
    let exchange = exchange()?;
    let view = exchange.round(number).await?;
    let found = if replay {
        Some(match exchange.replay(number).await {
            Ok((_, steps)) => steps_view(&steps, t),
            // The round itself is there: what cannot be replayed here still can be elsewhere.
            Err(error) => {
                let fault: Fault = error.into();
                notice(Tone::Warn, fault.sentence(locale()))
            }
        })
    } else {
        None
    };
    let pays = pays(&exchange);
    let url = &exchange.settings().public_url;
    let command = format!("iog-server replay --from {url} --round {number}");
    Ok(view! {
        <div class="grid gap-6 lg:grid-cols-2 items-start">
            <section class="card grid gap-4 min-w-0">
                <h2>{fill(t.round_number(), &[&number.to_string()])}</h2>
                {facts(&view, t)}
            </section>
            <section class="card grid gap-4 min-w-0" id="replay">
                <h2>{t.round_replay()}</h2>
                <p class="prose">{t.round_replay_text()}</p>
                {found}
                <p><a class="btn primary" href=format!("/rounds/{number}?replay=1")>{t.round_replay_now()}</a></p>
                <p class="prose">{t.round_yourself()}</p>
                <CopyLine text=command label=t.round_copy()/>
                <p class="row-actions"><a href=format!("/api/v1/market/rounds/{number}") rel="external">"JSON"</a></p>
            </section>
        </div>
        <section class="mt-6 grid gap-3">
            <h2>{t.round_asked()}</h2>
            {request(&view.record.round, &pays, t)}
        </section>
        <section class="mt-6 grid gap-3">
            <h2>{t.round_winner()}</h2>
            {winners(&view.record.round.chosen, &pays, t)}
            {fee_note(&exchange, t)}
        </section>
        {neighbours(&view, t)}
    }
    .into_any())
}

fn facts(view: &RoundView, t: &'static Words) -> AnyView {
    let round = &view.record.round;
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let hash = |label: &'static str, value: &str| {
        let value = value.to_owned();
        view! { <div class="contents"><dt>{label}</dt><dd class="mono break-all">{value}</dd></div> }
    };
    let occasion = match round.occasion {
        Occasion::Submitted => t.round_submitted(),
        Occasion::Waiting => t.round_waiting(),
        Occasion::Restarted => t.round_restarted(),
    };
    let book = fill(
        t.round_book_of(),
        &[
            &round.offers.to_string(),
            &view.snapshot.step.to_string(),
            &view.changes.to_string(),
        ],
    );
    view! {
        <dl class="facts">
            {fact(t.col_when(), format::moment(round.at))}
            {fact(t.round_occasion(), occasion.to_owned())}
            {fact(t.round_book(), book)}
            {hash(t.round_root(), &round.root)}
            {hash(t.round_hash(), &view.record.hash)}
            {hash(t.round_previous(), &round.previous)}
        </dl>
    }
    .into_any()
}

fn steps_view(steps: &[ReplayStep], t: &'static Words) -> AnyView {
    let same = steps.iter().all(ReplayStep::holds);
    let items = steps
        .iter()
        .map(|step| {
            let (class, drawing, word) = if step.holds() {
                ("tone-ok", Icon::Done, t.round_same())
            } else {
                ("tone-bad", Icon::Cross, t.round_different())
            };
            let what = match step.what {
                ReplayCheck::Hash => t.round_hash(),
                ReplayCheck::Previous => t.round_previous(),
                ReplayCheck::Snapshot => t.round_snapshot(),
                ReplayCheck::Root => t.round_root(),
                ReplayCheck::Winners => t.round_winner(),
            };
            let found = step.found.clone();
            view! {
                <li>
                    <span class=class>{icon(drawing)}</span>
                    <span class="min-w-0">{what}": "{word}<br/><span class="hint mono break-all">{found}</span></span>
                </li>
            }
        })
        .parts();
    let (tone, sentence) = if same {
        (Tone::Ok, t.round_all_same())
    } else {
        (Tone::Bad, t.round_not_same())
    };
    view! { <div role="status">{notice(tone, sentence)}</div><ul class="checklist">{items}</ul> }
        .into_any()
}

/// A bound as people read it.
fn bound(field: &str, value: u64, pays: &Pays, t: &'static Words) -> String {
    let price = || {
        let base = i64::try_from(value).ok()?;
        Amount::try_from_base(base).ok()
    };
    match field {
        "vram" | "memory" | "disk" => format::mib(value),
        "price" => price().map_or_else(
            || value.to_string(),
            |price| pays(PricePerSecond::from_amount(price)),
        ),
        "up" | "down" => format!("{value} Mbit/s"),
        "watts" => format!("{value} W"),
        "driver" | "cuda" => format!("{}.{}", value / 1_000, value % 1_000),
        "min_duration" | "max_duration" => format::duration(kernel::Seconds::new(value), t),
        _ => value.to_string(),
    }
}

fn range(field: &str, range: RoundRange, pays: &Pays, t: &'static Words) -> String {
    let bound = |value| bound(field, value, pays, t);
    match (range.min, range.max) {
        (min, None) => format!("≥ {}", bound(min)),
        (0, Some(max)) => format!("≤ {}", bound(max)),
        (min, Some(max)) if min == max => format!("= {}", bound(min)),
        (min, Some(max)) => format!("{} – {}", bound(min), bound(max)),
    }
}

fn term(term: &RoundTerm, pays: &Pays, t: &'static Words) -> String {
    let mut all: Vec<String> = term
        .ranges
        .iter()
        .map(|one| range(&term.field, *one, pays, t))
        .collect();
    all.extend(term.values.iter().cloned());
    let not = if term.op == RoundOp::NotIn {
        "≠ "
    } else {
        ""
    };
    format!("{not}{}", all.join(", "))
}

/// A request in one line.
fn asked(request: &RoundRequest, pays: &Pays) -> String {
    let t = words();
    let mut all: Vec<String> = request
        .terms
        .iter()
        .map(|own| format!("{} {}", own.field, term(own, pays, t)))
        .collect();
    if request.count > 1 || request.nodes > 1 {
        all.push(format!("count {} nodes {}", request.count, request.nodes));
    }
    if let Some(device) = request.device {
        let device = format::short_id(&device.to_string());
        all.push(fill(t.round_pinned(), &[&device]));
    }
    all.join(" · ")
}

fn request(round: &Round, pays: &Pays, t: &'static Words) -> AnyView {
    let request = &round.request;
    let mut lines: Vec<(String, String)> = request
        .terms
        .iter()
        .map(|own| (own.field.clone(), term(own, pays, t)))
        .collect();
    let mut add = |name: &str, value: String| lines.push((name.to_owned(), value));
    add("kind", wording::kind(&request.kind, t).to_owned());
    add("count", request.count.to_string());
    add("nodes", request.nodes.to_string());
    if request.nodes > 1 {
        add("near", request.near.clone());
        if request.spread {
            add("spread", "owner".to_owned());
        }
    }
    if let Some(device) = request.device {
        add("device", device.to_string());
    }
    for node in &request.avoid {
        add("avoid", node.to_string());
    }
    if let Some(since) = request.newcomers_since {
        add("newcomers", format!("≥ {}", format::moment(since)));
    }
    let rows = lines
        .into_iter()
        .map(|(field, asks)| {
            row(vec![
                Cell::title(view! { <span class="mono">{field}</span> }),
                Cell::wide(t.round_condition(), asks),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.round_field()),
        Column::new(t.round_condition()),
    ];
    let rule = view! { <p class="hint">{t.round_rule()}</p> };
    view! { {table(t.round_asked(), columns, rows)}{rule} }.into_any()
}

fn winners(chosen: &[Chosen], pays: &Pays, t: &'static Words) -> AnyView {
    if chosen.is_empty() {
        return view! { <p class="hint">{t.round_nobody_text()}</p> }.into_any();
    }
    let rows = chosen
        .iter()
        .map(|won| {
            row(vec![
                Cell::title(view! { <span class="mono break-all">{won.device.to_string()}</span> }),
                Cell::end(t.round_owner_price(), format::owner_per_hour(won.price, t)),
                Cell::end(t.round_with_fee(), pays(won.price)),
                Cell::end(t.col_reputation(), won.reputation.to_string()),
                Cell::end(t.fact_joined(), format::moment(won.joined_at)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.round_device()),
        Column::end(t.round_owner_price()),
        Column::end(t.round_with_fee()),
        Column::end(t.col_reputation()),
        Column::end(t.fact_joined()),
    ];
    table(t.round_winner(), columns, rows)
}

fn neighbours(view: &RoundView, t: &'static Words) -> AnyView {
    let number = view.record.round.number;
    let before = (number > 1 && view.before.is_some()).then(|| {
        let number = number.saturating_sub(1);
        view! { <a class="btn" href=format!("/rounds/{number}")>{fill(t.round_number(), &[&number.to_string()])}</a> }
    });
    view! { <nav class="mt-6" aria-label=t.round_all()>{before}</nav> }.into_any()
}
