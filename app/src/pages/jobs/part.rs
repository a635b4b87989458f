//! The list, as the server writes it.

use leptos::prelude::*;
use protocol::view::JobSummary;

use crate::api::{actor, exchange};
use crate::components::{Cell, Column, Parts, empty, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, words};
use crate::pages::wording;

const JOBS_PER_PAGE: u32 = 50;

/// `before` is the job that the list goes on after; empty for the newest.
pub async fn part(before: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let page = exchange()?
        .jobs(&actor, before.parse().ok(), JOBS_PER_PAGE)
        .await?;
    let t = words();
    if page.items.is_empty() {
        return Ok(empty(
            t.jobs_empty(),
            t.jobs_empty_text(),
            Some((t.launch(), "/launch".to_owned())),
        ));
    }
    let rows = page.items.iter().map(|job| job_row(job, t)).parts();
    let columns = vec![
        Column::new(t.col_job()),
        Column::new(t.col_state()),
        Column::new(t.col_device()),
        Column::end(t.col_price()),
        Column::end(t.col_time()),
        Column::end(t.col_spent()),
        Column::end(t.col_created()),
    ];
    let older = page.next.map(|before| {
        view! { <p class="mt-4"><a class="btn" href=format!("/jobs?before={before}")>{t.older()}</a></p> }
    });
    Ok(view! { {table(t.jobs_title(), columns, rows)}{older} }.into_any())
}

fn job_row(job: &JobSummary, t: &'static Words) -> AnyView {
    let href = format!("/jobs/{}", job.id);
    let device = job
        .device_model
        .clone()
        .unwrap_or_else(|| job.device_class.label().to_owned());
    row(vec![
        Cell::title(view! { <a href=href data-row="1">{job.name.clone()}</a> }),
        Cell::new(t.col_state(), wording::job_state(job.state, t)),
        Cell::new(t.col_device(), device),
        Cell::end(
            t.col_price(),
            job.per_hour
                .map_or_else(|| "–".to_owned(), |price| format::per_hour_amount(price, t)),
        ),
        Cell::end(t.col_time(), format::duration(job.seconds, t)),
        Cell::end(t.col_spent(), format::io(job.spent)),
        Cell::end(t.col_created(), format::moment(job.created_at)),
    ])
}
