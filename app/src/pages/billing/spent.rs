//! Spending by day and by job.

use exchange::Actor;
use kernel::Amount;
use leptos::prelude::*;
use protocol::money::DayView;
use protocol::view::JobSummary;

use crate::api::exchange;
use crate::components::{Cell, Column, Parts, Tone, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::wording;

const DAYS: u32 = 30;
const JOBS: u32 = 50;

pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let days = exchange.by_day(actor, DAYS).await?;
    let jobs = exchange.jobs(actor, None, JOBS).await?.items;
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            <section><h2 class="mb-3">{t.days_title()}</h2>{by_day(&days, t)}</section>
            <section>
                <h2>{t.by_job_title()}</h2>
                <p class="hint mb-3">{t.by_job_text()}</p>
                {by_job(&jobs, t)}
            </section>
        </div>
    }
    .into_any())
}

/// `2026-11-25`.
fn date(day: &DayView) -> String {
    let text = day.day.to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

fn by_day(days: &[DayView], t: &'static Words) -> AnyView {
    let moved = |day: &&DayView| {
        let all = [day.spent, day.refunded, day.earned];
        all.iter().any(|amount| !amount.is_zero())
    };
    if !days.iter().any(|day| moved(&day)) {
        return notice(Tone::Idle, t.days_none());
    }
    let rows = days
        .iter()
        .rev()
        .filter(moved)
        .map(|day| {
            row(vec![
                Cell::title(date(day)),
                Cell::end(t.days_spent(), format::io(day.spent)),
                Cell::end(t.days_refunded(), format::io(day.refunded)),
                Cell::end(t.days_earned(), format::io(day.earned)),
            ])
        })
        .parts();
    let sum = |pick: fn(&DayView) -> Amount| {
        let all = days.iter().map(pick);
        format::io(all.fold(Amount::ZERO, |sum, one| {
            sum.checked_add(one).unwrap_or(Amount::MAX)
        }))
    };
    let columns = vec![
        Column::new(t.col_day()),
        Column::end(t.days_spent()),
        Column::end(t.days_refunded()),
        Column::end(t.days_earned()),
    ];
    view! {
        <dl class="figures mb-4">
            <div><dt>{t.days_spent()}" · "{t.days_sum()}</dt><dd>{sum(|day| day.spent)}</dd></div>
            <div><dt>{t.days_refunded()}" · "{t.days_sum()}</dt><dd>{sum(|day| day.refunded)}</dd></div>
            <div><dt>{t.days_earned()}" · "{t.days_sum()}</dt><dd>{sum(|day| day.earned)}</dd></div>
        </dl>
        {bars(days, t)}
        <div class="mt-4">{table(t.days_title(), columns, rows)}</div>
    }
    .into_any()
}

/// One bar a day, from zero.
fn bars(days: &[DayView], t: &'static Words) -> AnyView {
    let most = days
        .iter()
        .map(|day| day.spent)
        .max()
        .unwrap_or(Amount::ZERO);
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return ().into_any();
    };
    if most.is_zero() {
        return ().into_any();
    }
    let name = fill(
        t.days_chart(),
        &[&format::io(most), &date(first), &date(last)],
    );
    let bars = days
        .iter()
        .enumerate()
        .filter(|(_, day)| !day.spent.is_zero())
        .map(|(index, day)| {
            // Tenths of a percent of the highest, and never so little that it cannot be seen.
            let share = i128::from(day.spent.base()) * 990 / i128::from(most.base()).max(1);
            let height = share.max(10);
            let (x, y) = (index * 10 + 1, 1_000 - height);
            view! {
                <rect x=x.to_string() y=format!("{}.{}", y / 10, y % 10) width="8"
                    height=format!("{}.{}", height / 10, height % 10)>
                    <title>{format!("{} · {}", date(day), format::io(day.spent))}</title>
                </rect>
            }
        })
        .parts();
    view! {
        <figure class="chart">
            <div class="plot">
                <svg viewBox=format!("0 0 {} 100", days.len() * 10) preserveAspectRatio="none" role="img" aria-label=name class="bars">
                    <path class="grid" d=format!("M0 0H{0}M0 50H{0}M0 100H{0}", days.len() * 10)/>
                    {bars}
                </svg>
                <div class="ylabels" aria-hidden="true"><span>{format::io(most)}</span><span></span><span>"0"</span></div>
            </div>
            <div class="xlabels" aria-hidden="true"><span>{date(first)}</span><span>{date(last)}</span></div>
        </figure>
    }
    .into_any()
}

fn by_job(jobs: &[JobSummary], t: &'static Words) -> AnyView {
    if jobs.is_empty() {
        return notice(Tone::Idle, t.jobs_empty());
    }
    let rows = jobs
        .iter()
        .map(|job| {
            let href = format!("/jobs/{}?tab=cost", job.id);
            row(vec![
                Cell::title(view! { <a href=href data-row="1">{job.name.clone()}</a> }),
                Cell::new(t.col_state(), wording::job_state(job.state, t)),
                Cell::end(t.col_delivered(), format::duration(job.seconds, t)),
                Cell::end(t.col_spent(), format::io(job.spent)),
                Cell::end(t.col_created(), format::moment(job.created_at)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_job()),
        Column::new(t.col_state()),
        Column::end(t.col_delivered()),
        Column::end(t.col_spent()),
        Column::end(t.col_created()),
    ];
    table(t.by_job_title(), columns, rows)
}
