//! The list of jobs, newest first.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use protocol::live::Live;
use protocol::view::{JobSummary, Page};

use super::wording;
use super::{live_dot, load, stale_notice};
use crate::api::jobs::Jobs;
use crate::api::{ask, data, then};
use crate::components::{Cell, Column, PageHead, Parts, empty, part, row, skeleton_rows, table};
use crate::format;
use crate::i18n::{Words, words};
use crate::live::{News, watch};
use crate::session::SessionContext;

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let before = move || query.with(|query| query.get("before").and_then(|id| id.parse().ok()));
    let jobs = data(Signal::derive(move || ask(Jobs { before: before() })));
    view! {
        <PageHead title=t.jobs_title lead=t.jobs_lead
            actions=view! { <a class="btn primary" href="/launch">{t.launch}</a> }.into_any()/>
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        {stale_notice()}
        {load(jobs, |t| skeleton_rows(t.loading, 4), move |page| list(page, untrack(before).is_none()))}
    }
}

fn list(page: Page<JobSummary>, first: bool) -> AnyView {
    let t = words();
    let next = page.next;
    let jobs = RwSignal::new(page.items);
    if first {
        follow(jobs);
    }
    let older = next.map(|before| view! { <p class="mt-4"><a class="btn" href=format!("/jobs?before={before}")>{t.older}</a></p> });
    view! {
        {part(move || {
            let jobs = jobs.get();
            if jobs.is_empty() {
                return empty(t.jobs_empty, t.jobs_empty_text, Some((t.launch, "/launch".to_owned())));
            }
            let rows = jobs.iter().map(|job| job_row(job, t)).parts();
            let columns = vec![
                Column::new(t.col_job), Column::new(t.col_state), Column::new(t.col_device), Column::end(t.col_price),
                Column::end(t.col_time), Column::end(t.col_spent), Column::end(t.col_created),
            ];
            table(t.jobs_title, columns, rows)
        })}
        {older}
    }
    .into_any()
}

/// Keeps the first page as the account's topic tells it.
fn follow(jobs: RwSignal<Vec<JobSummary>>) {
    let Some(context) = use_context::<SessionContext>() else {
        return;
    };
    let Some(session) = context.known() else {
        return;
    };
    watch(wording::account_topic(&session), move |news| match news {
        News::Frame(Live::Job { job, .. }) => {
            _ = jobs.try_update(
                |jobs| match jobs.iter_mut().find(|known| known.id == job.id) {
                    Some(known) => known.clone_from(job),
                    None => jobs.insert(0, (**job).clone()),
                },
            );
        }
        News::Frame(_) => {}
        News::Reread => then(
            ask(Jobs { before: None }),
            move |fresh: Page<JobSummary>| {
                _ = jobs.try_set(fresh.items);
            },
        ),
    });
}

fn job_row(job: &JobSummary, t: &'static Words) -> AnyView {
    let href = format!("/jobs/{}", job.id);
    let device = job
        .device_model
        .clone()
        .unwrap_or_else(|| job.device_class.label().to_owned());
    row(vec![
        Cell::title(view! { <a href=href data-row="1">{job.name.clone()}</a> }),
        Cell::new(t.col_state, wording::job_state(job.state, t)),
        Cell::new(t.col_device, device),
        Cell::end(
            t.col_price,
            job.per_hour
                .map_or_else(|| "–".to_owned(), |price| format::per_hour_amount(price, t)),
        ),
        Cell::end(t.col_time, format::duration(job.seconds, t)),
        Cell::end(t.col_spent, format::io(job.spent)),
        Cell::end(t.col_created, format::moment(job.created_at)),
    ])
}
