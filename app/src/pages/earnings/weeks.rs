//! What an owner earned in the closed weeks, each with its proof, and the table for a tax office.

use kernel::Timestamp;
use leptos::prelude::*;
use protocol::money::OwnWeekView;

use crate::components::{Cell, Column, Icon, Parts, Tone, icon, notice, row, table};
use crate::format;
use crate::i18n::{Words, fill};

/// Years of which the page offers the table.
const YEARS: i32 = 3;

pub fn section(weeks: &[OwnWeekView], now: Timestamp, t: &'static Words) -> AnyView {
    let list = if weeks.is_empty() {
        notice(Tone::Idle, t.weeks_none())
    } else {
        list(weeks, t)
    };
    let year: Option<i32> = now.to_string().get(..4).and_then(|year| year.parse().ok());
    let tables = year
        .into_iter()
        .flat_map(|year| (0..YEARS).map(move |back| year.saturating_sub(back)))
        .map(|year| {
            let href = format!("/api/v1/earnings/tax?year={year}");
            let word = fill(t.weeks_tax(), &[&year.to_string()]);
            view! { <a class="btn" href=href rel="external" download="">{icon(Icon::Download)}{word}</a> }
        })
        .parts();
    view! {
        <section>
            <h2 class="mb-3">{t.weeks_title()}</h2>
            <p class="prose mb-3">{t.weeks_text()}" "<a href="/reports">{t.reports_title()}</a></p>
            {list}
            <p class="hint mt-3">{t.weeks_tax_text()}</p>
            <p class="row-actions mt-3">{tables}</p>
        </section>
    }
    .into_any()
}

fn list(weeks: &[OwnWeekView], t: &'static Words) -> AnyView {
    let rows = weeks
        .iter()
        .map(|week| {
            let proof = if week.is_published {
                let href = format!("/api/v1/reports/{}/proof", week.week);
                view! { <a class="btn small" href=href rel="external" download="">{icon(Icon::Download)}{t.weeks_proof()}</a> }
                    .into_any()
            } else {
                view! { <span class="hint">{t.report_waits()}</span> }.into_any()
            };
            row(vec![
                Cell::title(week.monday.clone()),
                Cell::end(t.report_version(), week.version.to_string()),
                Cell::end(t.col_earned(), format::io(week.amount)),
                Cell::action(proof),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.report_week()),
        Column::end(t.report_version()),
        Column::end(t.col_earned()),
        Column::action(t.weeks_proof()),
    ];
    table(t.weeks_title(), columns, rows)
}
