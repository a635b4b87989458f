//! The machine's page, as the server writes it.

use kernel::{LeaseId, NodeId};
use leptos::prelude::*;
use protocol::fleet::{NodeLeaseView, UptimeView};
use protocol::reputation::{ReputationDay, ReputationInput, ReputationView};
use protocol::state::RunEnd;
use protocol::view::Page;

use crate::api::{actor, exchange};
use crate::components::{Cell, Column, Parts, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::nodes::strip::{share, strip};
use crate::pages::{Asked, checks, telemetry, wording};

const DAYS: usize = 30;
const HOURS: usize = 48;
/// Days of the table; the others are in the REST answer.
const DAYS_SHOWN: usize = 30;

/// `arg` is the page's query: which machine, and from where its leases go on.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let asked = Asked::of(arg);
    let unknown = || exchange::Error::NotFound("the node");
    let id: Option<NodeId> = asked.get("node").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(unknown)?;
    let before: Option<LeaseId> = asked.get("before").and_then(|id| id.parse().ok());
    let node = exchange.node(&actor, id).await?;
    let reputation = exchange.reputation(&actor, id).await?;
    let uptime = exchange.uptime(&actor, id).await?;
    let leases = exchange.node_leases(&actor, id, before).await?;
    let measured = exchange.node_telemetry(&actor, id, 1).await?;
    let checked = exchange.checks_of_node(&actor, id).await?;
    let t = words();
    Ok(view! {
        <div class="flex flex-wrap items-center justify-between gap-3 mb-4">
            <h2>{node.name.clone()}</h2>
            <span class="flex flex-wrap items-center gap-3">{wording::standing(node.standing, t)}<a class="btn" href="/nodes">{t.machine_back()}</a></span>
        </div>
        <div class="grid gap-6">
            {telemetry::section(&measured, t)}
            {strips(&uptime, t)}
            {made_of(&reputation, t)}
            {checks::section(&checked, checks::Reader::Owner, t)}
            {history(&reputation.days, t)}
            {ran(&leases, id, t)}
        </div>
    }
    .into_any())
}

fn strips(uptime: &UptimeView, t: &'static Words) -> AnyView {
    let line = |share: Option<String>| {
        share.map(|share| view! { <p class="num">{fill(t.strip_text(), &[&share])}</p> })
    };
    let hours =
        (!uptime.hours.is_empty()).then(|| strip(&uptime.hours, HOURS, t.strip_hours_label(), t));
    view! {
        <section class="card grid gap-3">
            <h2>{t.machine_uptime()}</h2>
            {line(share(&uptime.days))}
            {strip(&uptime.days, DAYS, t.strip_label(), t)}
            {hours}
            <p class="hint">{t.strip_legend()}</p>
        </section>
    }
    .into_any()
}

const fn input(input: ReputationInput, t: &Words) -> &'static str {
    match input {
        ReputationInput::Online => t.rep_online(),
        ReputationInput::Work => t.rep_work(),
        ReputationInput::ChallengesPassed => t.rep_passed(),
        ReputationInput::Offline => t.rep_offline(),
        ReputationInput::Interrupted => t.rep_interrupted(),
        ReputationInput::SpecMissed => t.rep_spec(),
        ReputationInput::ChallengesFailed => t.rep_failed(),
        ReputationInput::DisputesLost => t.rep_disputes(),
    }
}

/// Hundredths with two decimal places.
fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn effect(value: i64) -> String {
    let sign = match value {
        0 => "±",
        _ if value > 0 => "+",
        _ => "−",
    };
    format!("{sign}{}", hundredths(value.unsigned_abs()))
}

/// What raised it and what lowered it.
fn made_of(reputation: &ReputationView, t: &'static Words) -> AnyView {
    let rows = reputation
        .lines
        .iter()
        .map(|line| {
            row(vec![
                Cell::title(input(line.input, t)),
                Cell::end(t.rep_points(), hundredths(line.milli_points / 10)),
                Cell::end(t.rep_effect(), effect(line.effect_hundredths)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.rep_input()),
        Column::end(t.rep_points()),
        Column::end(t.rep_effect()),
    ];
    let exact = hundredths(u64::from(reputation.score_hundredths));
    view! {
        <section class="card grid gap-3">
            <h2>{t.rep_title()}</h2>
            <p class="num">{fill(t.rep_now(), &[&reputation.reputation.to_string(), &exact])}</p>
            {table(t.rep_title(), columns, rows)}
            <p class="hint">{t.rep_formula()}</p>
        </section>
    }
    .into_any()
}

fn history(days: &[ReputationDay], t: &'static Words) -> AnyView {
    let shown = if days.is_empty() {
        view! { <p class="hint">{t.rep_days_none()}</p> }.into_any()
    } else {
        let rows = days
            .iter()
            .rev()
            .take(DAYS_SHOWN)
            .map(|day| day_row(day, t))
            .parts();
        let columns = vec![
            Column::new(t.rep_day()),
            Column::end(t.rep_at_end()),
            Column::end(t.rep_there()),
            Column::end(t.rep_absent()),
            Column::end(t.rep_done()),
            Column::end(t.rep_broken()),
        ];
        table(t.rep_days(), columns, rows)
    };
    view! { <section class="card grid gap-3"><h2>{t.rep_days()}</h2>{shown}</section> }.into_any()
}

fn day_row(day: &ReputationDay, t: &'static Words) -> AnyView {
    let facts = &day.facts;
    let long = |seconds| format::duration(kernel::Seconds::new(seconds), t);
    let date = day.day.to_string();
    let date = date.split('T').next().unwrap_or_default().to_owned();
    let broken = format!("{} · {} · {}", facts.lost, facts.drained, facts.refused);
    row(vec![
        Cell::title(view! { <strong class="num">{date}</strong> }),
        Cell::end(t.rep_at_end(), hundredths(u64::from(day.score_hundredths))),
        Cell::end(t.rep_there(), long(facts.online_seconds)),
        Cell::end(t.rep_absent(), long(facts.offline_seconds)),
        Cell::end(t.rep_done(), facts.finished.to_string()),
        Cell::end(t.rep_broken(), broken),
    ])
}

fn ran(leases: &Page<NodeLeaseView>, node: NodeId, t: &'static Words) -> AnyView {
    let shown = if leases.items.is_empty() {
        view! { <p class="hint">{t.ran_none()}</p> }.into_any()
    } else {
        let rows = leases.items.iter().map(|lease| lease_row(lease, t)).parts();
        let columns = vec![
            Column::new(t.ran_job()),
            Column::new(t.col_begun()),
            Column::end(t.ran_seconds()),
            Column::end(t.col_earned()),
            Column::new(t.ran_end()),
        ];
        table(t.ran_title(), columns, rows)
    };
    let older = leases.next.as_ref().map(|before| {
        let href = format!("/machine?node={node}&before={before}");
        view! { <p><a class="btn" href=href>{t.ran_older()}</a></p> }
    });
    view! { <section class="card grid gap-3"><h2>{t.ran_title()}</h2>{shown}{older}</section> }
        .into_any()
}

fn lease_row(lease: &NodeLeaseView, t: &'static Words) -> AnyView {
    let job = format::short_id(&lease.job.to_string());
    let end = match &lease.end {
        None => t.ran_now().to_owned(),
        // To an owner "you" is not who stopped it.
        Some(RunEnd::StoppedByUser) => t.ran_stopped().to_owned(),
        // Nor is anything billed to an owner.
        Some(RunEnd::Exited { code: 0 }) => t.job_finished().to_owned(),
        Some(end) => wording::run_end(end, t),
    };
    row(vec![
        Cell::title(view! { <span class="mono">{job}</span>" "{lease.model.clone()} }),
        Cell::new(
            t.col_begun(),
            format::moment(lease.started_at.unwrap_or(lease.granted_at)),
        ),
        Cell::end(t.ran_seconds(), format::duration(lease.seconds, t)),
        Cell::end(t.col_earned(), format::io(lease.earned)),
        Cell::wide(t.ran_end(), end),
    ])
}
