//! "Why not hired", for an owner: the rounds of the last day that a device missed, as the server writes it.

use leptos::prelude::*;
use protocol::round::{MissedGroup, MissedRound, MissedView};
use protocol::view::NodeDeviceView;

use crate::api::{actor, exchange};
use crate::components::{Cell, Column, Parts, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, told_owner, words};

/// `arg` is the device that was chosen; else it is the first one.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let nodes = exchange.nodes(&actor).await?;
    let t = words();
    let devices: Vec<(&str, &NodeDeviceView)> = nodes
        .iter()
        .flat_map(|node| {
            node.devices
                .iter()
                .map(|device| (node.name.as_str(), device))
        })
        .collect();
    let chosen = devices
        .iter()
        .find(|(_, device)| device.id.to_string() == arg);
    let Some((_, device)) = chosen.or(devices.first()) else {
        return Ok(().into_any());
    };
    let view = exchange.missed(&actor, device.id).await?;
    let links = (devices.len() > 1).then(|| {
        let links = devices
            .iter()
            .map(|(node, own)| {
                let href = format!("/nodes?device={}#missed", own.id);
                let on = (own.id == device.id).then_some("true");
                view! { <a class="chip" href=href aria-current=on>{format!("{node} · {}", own.model)}</a> }.into_any()
            })
            .parts();
        view! { <nav class="chips" aria-label=t.missed_which()>{links}</nav> }
    });
    Ok(view! {
        <section class="card grid gap-4 mt-6 min-w-0" id="missed">
            <h2>{t.missed_title()}</h2>
            <p class="prose">{t.missed_lead()}</p>
            {links}
            {summary(&view, t)}
            {groups(&view, t)}
        </section>
    }
    .into_any())
}

fn summary(view: &MissedView, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: u32| view! { <div class="contents"><dt>{label}</dt><dd class="num">{value.to_string()}</dd></div> };
    let bounded = (view.rounds >= view.rounds_max).then(|| {
        view! { <p class="hint">{fill(t.missed_bound(), &[&view.rounds_max.to_string()])}</p> }
    });
    view! {
        <dl class="facts">
            {fact(t.missed_rounds(), view.rounds)}
            {fact(t.missed_fitted(), view.fitted)}
            {fact(t.missed_won(), view.won)}
        </dl>
        {bounded}
    }
    .into_any()
}

fn groups(view: &MissedView, t: &'static Words) -> AnyView {
    if view.missed.is_empty() {
        return view! { <p class="hint">{t.missed_none()}</p> }.into_any();
    }
    let rows = view.missed.iter().map(|group| group_row(group, t)).parts();
    let columns = vec![
        Column::new(t.missed_reason()),
        Column::end(t.missed_times()),
        Column::end(t.missed_alone()),
        Column::new(t.missed_last()),
    ];
    table(t.missed_title(), columns, rows)
}

fn group_row(group: &MissedGroup, t: &'static Words) -> AnyView {
    let examples = group
        .examples
        .iter()
        .map(|example| example_line(example, t))
        .parts();
    row(vec![
        Cell::title(view! { <strong>{reason(group, t)}</strong> }),
        Cell::end(t.missed_times(), group.rounds.to_string()),
        Cell::end(t.missed_alone(), group.alone.to_string()),
        Cell::wide(
            t.missed_last(),
            view! { <ul class="grid gap-2">{examples}</ul> },
        ),
    ])
}

fn reason(group: &MissedGroup, t: &'static Words) -> String {
    let word = match (group.field.as_str(), group.outranked) {
        ("price", true) => t.missed_price(),
        ("reputation", true) => t.missed_reputation(),
        ("joined_at", true) => t.missed_joined(),
        ("id", true) => t.missed_id(),
        ("place", true) => t.missed_place(),
        ("hired", _) => t.missed_hired(),
        ("paused", _) => t.missed_paused(),
        ("offline", _) => t.missed_offline(),
        ("blocked", _) => t.missed_blocked(),
        ("closed", _) => t.missed_closed(),
        ("kind", _) => t.missed_kind(),
        ("unlisted", _) => t.missed_unlisted(),
        ("agreed_price", _) => t.missed_agreed(),
        ("refused_before", _) => t.missed_refused(),
        ("another_device", _) => t.missed_another(),
        ("newcomers", _) => t.missed_newcomers(),
        (field, _) => return fill(t.missed_field(), &[field]),
    };
    word.to_owned()
}

fn example_line(example: &MissedRound, t: &'static Words) -> AnyView {
    let number = example.number;
    let compared = (!example.asked.is_empty())
        .then(|| [&example.asked, &example.had].map(|text| told_owner(text, locale())))
        .map(|[asked, had]| fill(t.missed_compared(), &[&asked, &had]));
    let wins = example.price_to_win.map(|price| {
        let price = format::owner_per_hour(price, t);
        view! { <br/><span>{fill(t.missed_wins(), &[&price])}</span> }
    });
    view! {
        <li class="num">
            <a href=format!("/rounds/{number}")>{fill(t.round_number(), &[&number.to_string()])}</a>
            " · "{format::moment(example.at)}
            {compared.map(|compared| view! { <br/><span class="hint">{compared}</span> })}
            {wins}
        </li>
    }
    .into_any()
}
