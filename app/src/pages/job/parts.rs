//! What a job is, costs and leaves, as the server writes it. `id` comes from the address bar.

use leptos::prelude::*;
use protocol::state::JobState;
use protocol::view::{JobEvent, JobEventKind, JobSummary, JobView, ReceiptView};

use crate::api::jobs::parse;
use crate::api::{actor, exchange};
use crate::components::{Cell, Column, Parts, Tone, hash, notice, row, shape, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, told, words};
use crate::pages::{checks, downloads, telemetry, wording};

pub(super) async fn job(id: &str) -> Result<JobView, Fault> {
    let actor = actor().await?;
    Ok(exchange()?.job(&actor, parse(id)?).await?)
}

/// State, the way it went, and how it ended.
pub async fn head(id: &str) -> Result<AnyView, Fault> {
    let job = job(id).await?;
    let t = words();
    let summary = &job.summary;
    let end = summary.end.as_ref().filter(|_| summary.state.is_final());
    let end = end.map(|end| notice(wording::end_tone(end), wording::run_end(end, t)));
    // Lost its machine and waits for another: said plainly, with what it costs (nothing).
    let again = summary.restarts > 0 && summary.state == JobState::Matching;
    let again = again.then(|| notice(Tone::Warn, t.job_again()));
    // A spot job that was given notice, as long as it runs.
    let mut newest = job.events.iter().rev();
    let notified = newest.find(|event| {
        matches!(
            event.kind,
            JobEventKind::Notice | JobEventKind::Preempted | JobEventKind::NodeLost
        )
    });
    let notified = notified
        .filter(|event| event.kind == JobEventKind::Notice && !summary.state.is_final())
        .map(|event| {
            notice(
                Tone::Warn,
                view! { <p class="font-medium">{t.event_notice()}</p><p>{told(&event.detail, locale())}</p> },
            )
        });
    let waits = summary.waits_until.map(|until| {
        let why =
            job.events.iter().rev().find(|event| {
                matches!(event.kind, JobEventKind::Waiting | JobEventKind::MakingRoom)
            });
        let why = why.map(|event| view! { <p class="hint">{told(&event.detail, locale())}</p> });
        notice(
            Tone::Busy,
            view! { <p>{fill(t.job_waits(), &[&format::moment(until)])}</p>{why} },
        )
    });
    let pulling = job
        .pulled_percent
        .map(|percent| notice(Tone::Busy, fill(t.job_pulling(), &[&percent.to_string()])));
    let several = if summary.members > 1 {
        let (devices, nodes) = (summary.devices.to_string(), summary.members.to_string());
        Some(fill(t.job_on_nodes(), &[&devices, &nodes]))
    } else if summary.devices > 1 {
        Some(fill(t.job_on_devices(), &[&summary.devices.to_string()]))
    } else {
        None
    };
    let endpoint = super::endpoint::card(&actor().await?, &job, t).await?;
    Ok(view! {
        <div class="flex flex-wrap items-center gap-x-4 gap-y-1 mb-3">
            <span role="status">{wording::job_state(summary.state, t)}</span>
            {several.map(|several| view! { <span class="hint">{several}</span> })}
        </div>
        <h2 class="sr">{t.job_steps()}</h2>
        {steps(&job, t)}
        {rounds(&job, t)}
        <div class="mt-4 empty:hidden">{end}{again}{notified}{waits}{pulling}</div>
        {endpoint}
    }
    .into_any())
}

/// How the market answered, for those who want to ask it again.
fn rounds(job: &JobView, t: &'static Words) -> AnyView {
    if job.rounds.is_empty() {
        return ().into_any();
    }
    let links = job
        .rounds
        .iter()
        .map(|number| {
            let word = fill(t.round_number(), &[&number.to_string()]);
            view! { <a class="chip" href=format!("/rounds/{number}")>{word}</a> }.into_any()
        })
        .parts();
    view! { <nav class="chips mt-3" aria-label=t.job_rounds()>{links}</nav> }.into_any()
}

/// Where the job is on its way.
fn steps(job: &JobView, t: &'static Words) -> AnyView {
    let state = job.summary.state;
    let last = match state {
        JobState::Failed => (JobState::Failed, t.job_failed()),
        JobState::Stopped => (JobState::Stopped, t.job_stopped()),
        _ => (JobState::Finished, t.job_finished()),
    };
    let done = steps_done(&job.summary, !job.leases.is_empty());
    let items = [
        (JobState::Matching, t.job_matching()),
        (JobState::Starting, t.job_starting()),
        (JobState::Running, t.job_running()),
        last,
    ]
    .into_iter()
    .map(|(step, word)| {
        let current = (step == state).then_some("step");
        let tone = tone_of(step, state, done);
        let missed = (state.is_final() && step != state && tone == Tone::Idle)
            .then(|| view! { <span class="sr">" ("{t.job_not_done()}")"</span> });
        view! { <li aria-current=current><span class=tone.class()>{shape(tone)}</span>{word}{missed}</li> }
    })
    .parts();
    let restarts = job.summary.restarts;
    let again = (restarts > 0)
        .then(|| view! { <li>{fill(t.job_restarts(), &[&restarts.to_string()])}</li> });
    view! { <ol class="steps" aria-label=t.job_steps()>{items}{again}</ol> }.into_any()
}

/// How many of the steps a job is through: found a machine, started, ran.
fn steps_done(summary: &JobSummary, leased: bool) -> u8 {
    if summary.started_at.is_some() || summary.state == JobState::Finished {
        3
    } else {
        u8::from(leased)
    }
}

/// How `step` looks to a job in `state`: behind it, where it is, or still ahead; once it is over, what it did not come to.
fn tone_of(step: JobState, state: JobState, done: u8) -> Tone {
    let order = |state| match state {
        JobState::Matching => 0,
        JobState::Starting => 1,
        JobState::Running => 2,
        JobState::Finished | JobState::Failed | JobState::Stopped => 3,
    };
    if state.is_final() && step != state && order(step) >= done {
        return Tone::Idle;
    }
    match state {
        JobState::Failed if step == state => Tone::Bad,
        JobState::Stopped if step == state => Tone::Idle,
        JobState::Finished if step == state => Tone::Ok,
        _ if order(step) < order(state) => Tone::Ok,
        _ if step == state => Tone::Busy,
        _ => Tone::Idle,
    }
}

fn fact(label: &'static str, value: String) -> AnyView {
    view! { <div><dt>{label}</dt><dd>{value}</dd></div> }.into_any()
}

pub async fn cost(id: &str) -> Result<AnyView, Fault> {
    let job = job(id).await?;
    let t = words();
    let summary = &job.summary;
    let left = job.spec.duration().minus_or_zero(summary.seconds);
    let rate = summary
        .per_hour
        .map_or_else(|| "–".to_owned(), |price| format::per_hour_amount(price, t));
    let leases = if job.leases.is_empty() {
        notice(Tone::Idle, t.leases_none())
    } else {
        let members = summary.members;
        let rows = job
            .leases
            .iter()
            .map(|lease| lease_row(lease, members, t))
            .parts();
        let columns = vec![
            Column::new(t.col_machine()),
            Column::new(t.col_state()),
            Column::end(t.col_price()),
            Column::end(t.col_time()),
            Column::end(t.col_charged()),
            Column::new(t.col_end()),
        ];
        table(t.leases_title(), columns, rows)
    };
    let refunds = job.refunds.iter().map(|refund| {
        let (reason, seconds) = (refund.reason, refund.seconds);
        let told = wording::refund(reason, seconds, refund.amount, refund.owed, t);
        notice(Tone::Warn, told)
    });
    let refunds = refunds.parts();
    Ok(view! {
        <dl class="figures">
            {fact(t.cost_spent(), format::io(summary.spent))}
            {fact(t.cost_rate(), rate)}
            {fact(t.cost_seconds(), format::duration(summary.seconds, t))}
            {fact(t.cost_held(), format::io(job.meter.held))}
            {fact(t.cost_limit_left(), format::duration(left, t))}
        </dl>
        <p class="hint my-3 prose">{t.cost_note()}</p>
        {refunds}
        {checks::section(&job.checks, checks::Reader::Requester, t)}
        {checks::none_yet(&job, t)}
        <h2 class="mb-3">{t.leases_title()}</h2>
        {leases}
    }
    .into_any())
}

fn lease_row(lease: &protocol::view::LeaseView, members: u32, t: &'static Words) -> AnyView {
    let end = lease
        .end
        .as_ref()
        .map(|end| wording::run_end(end, t))
        .unwrap_or_default();
    let devices = match lease.devices.len() {
        0 | 1 => lease.device_model.clone(),
        n => format!("{n} × {}", lease.device_model),
    };
    let what = format!("{} · {devices}", lease.node_name);
    row(vec![
        Cell::title(if members > 1 {
            let member = lease.member.to_string();
            format!("{} · {what}", fill(t.job_member(), &[&member]))
        } else {
            what
        }),
        Cell::new(t.col_state(), wording::lease_state(lease.state, t)),
        Cell::end(t.col_price(), format::per_hour(lease.price, t)),
        Cell::end(t.col_time(), format::duration(lease.seconds, t)),
        Cell::end(t.col_charged(), format::io(lease.charged)),
        Cell::wide(t.col_end(), end),
    ])
}

pub async fn receipts(id: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let receipts = exchange()?.receipts(&actor, parse(id)?).await?;
    let t = words();
    let list = if receipts.is_empty() {
        notice(Tone::Idle, t.receipts_none())
    } else {
        let rows = receipts
            .iter()
            .map(|receipt| receipt_row(id, receipt, t))
            .parts();
        let columns = vec![
            Column::new(t.col_receipt()),
            Column::end(t.receipt_so_far()),
            Column::end(t.receipt_adds()),
            Column::end(t.col_posted()),
            Column::new(t.col_hash()),
            Column::action(t.dispute_link()),
        ];
        table(t.tab_receipts(), columns, rows)
    };
    let api = format!("/api/v1/jobs/{id}");
    let links = downloads(&[
        (format!("{api}/invoice?format=pdf"), t.invoice_pdf()),
        (format!("{api}/invoice"), t.invoice_json()),
        (format!("{api}/invoice?format=csv"), t.invoice_csv()),
        (format!("{api}/receipts"), t.receipts_json()),
    ]);
    Ok(view! {
        <p class="prose mb-3">{t.receipts_note()}</p>
        {list}
        {links}
        <p class="hint prose mt-2">{t.invoice_check()}" "<a href="/verify">{t.invoice_verify()}</a></p>
    }
    .into_any())
}

fn receipt_row(job: &str, view: &ReceiptView, t: &'static Words) -> AnyView {
    let receipt = &view.receipt;
    // What cost nothing cannot be contested.
    let contest = (!view.charged.is_zero()).then(|| {
        let href = format!(
            "/disputes?job={job}&lease={}&seq={}",
            receipt.lease, receipt.seq
        );
        view! { <a class="btn small" href=href>{t.dispute_link()}</a> }
    });
    let last = receipt
        .last
        .then(|| view! { <span class="tag">{t.receipt_last()}</span> });
    row(vec![
        Cell::title(view! {
            <span class="flex items-center gap-2 whitespace-nowrap">
                <span class="mono">{format!("{} · {}", format::short_id(&receipt.lease.to_string()), receipt.seq)}</span>{last}
            </span>
        }),
        // Its seconds are all of the lease so far; what was charged for it is what it added.
        Cell::end(t.receipt_so_far(), format::duration(receipt.seconds, t)),
        Cell::end(t.receipt_adds(), format::io(view.charged)),
        Cell::end(t.col_posted(), format::moment(view.posted_at)),
        Cell::wide(t.col_hash(), hash(&view.hash)),
        Cell::action(contest),
    ])
}

pub async fn files(id: &str) -> Result<AnyView, Fault> {
    let job = job(id).await?;
    let t = words();
    let actor = actor().await?;
    let recordings = crate::pages::activity::recording::list(&actor, job.summary.id, t).await?;
    let left = left(&job, t);
    Ok(view! { {left}<div class="mt-6 empty:hidden">{recordings}</div> }.into_any())
}

/// What the job left, or that there is nothing (yet).
fn left(job: &JobView, t: &'static Words) -> AnyView {
    if job.artefacts.is_empty() {
        let text = if job.summary.state.is_final() {
            t.files_none()
        } else {
            t.files_not_yet()
        };
        return notice(Tone::Idle, text);
    }
    let several = job.summary.members > 1;
    let rows = job
        .artefacts
        .iter()
        .map(|file| {
            let shown = if several {
                format!("{}/{}", file.member, file.path)
            } else {
                file.path.clone()
            };
            let href = format!("/api/v1/jobs/{}/artefacts/{}", job.summary.id, file.id);
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            let size = format::bytes(file.size_bytes as f64);
            row(vec![
                Cell::title(view! { <a class="mono" href=href rel="external" download=file.path.clone()>{shown}</a> }),
                Cell::end(t.col_size(), size),
                Cell::wide("SHA-256", hash(&file.sha256)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_file()),
        Column::end(t.col_size()),
        Column::new("SHA-256"),
    ];
    let pictures = super::pictures::pictures(job, t);
    let table = table(t.tab_files(), columns, rows);
    view! { {pictures}<div class="mt-6">{table}</div> }.into_any()
}

/// Shells and files put into a running job, of which so many in a row are told one by one. Each command that `iog ssh` runs leaves two,
/// and what became of the job would be lost among them.
const WORK_SHOWN: usize = 2;

const fn is_work(kind: JobEventKind) -> bool {
    use JobEventKind::{FileStored, ShellClosed, ShellOpened};
    matches!(kind, ShellOpened | ShellClosed | FileStored)
}

/// The events, newest first.
pub async fn happened(id: &str) -> Result<AnyView, Fault> {
    let job = job(id).await?;
    let (t, locale) = (words(), locale());
    let measured = exchange()?
        .job_telemetry(&actor().await?, job.summary.id)
        .await?;
    let devices = telemetry::of_job(&measured, t);
    let entry = |event: &JobEvent| {
        let detail = (!event.detail.is_empty()).then(|| told(&event.detail, locale));
        view! {
            <li>
                <p class="font-medium">{wording::event(event.kind, t)}</p>
                {detail.map(|detail| view! { <p>{detail}</p> })}
                <p class="hint"><time datetime=event.at.to_string()>{format::moment(event.at)}</time></p>
            </li>
        }
    };
    let newest: Vec<&JobEvent> = job.events.iter().rev().collect();
    let events = newest
        .chunk_by(|a, b| is_work(a.kind) && is_work(b.kind))
        .map(|run| match run {
            [.., oldest] if is_work(oldest.kind) && run.len() > WORK_SHOWN => {
                let entries = run.iter().map(|event| entry(event)).parts();
                let words = fill(t.event_work(), &[&run.len().to_string()]);
                // By its oldest entry: what is added at the other end leaves it open.
                view! {
                    <li>
                        <details data-key=format!("work-{}", oldest.at.millis())>
                            <summary>{words}</summary>
                            <ol class="timeline">{entries}</ol>
                        </details>
                    </li>
                }
                .into_any()
            }
            run => run.iter().map(|event| entry(event)).parts().into_any(),
        })
        .parts();
    Ok(
        view! { {devices}<div class="card"><h2>{t.happened()}</h2><ol class="timeline">{events}</ol></div> }
            .into_any(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_job_is_shown_as_it_went() {
        use JobState::{Failed, Finished, Matching, Running, Starting, Stopped};
        assert_eq!(tone_of(Matching, Running, 3), Tone::Ok);
        assert_eq!(tone_of(Running, Running, 3), Tone::Busy);
        assert_eq!(tone_of(Finished, Running, 3), Tone::Idle);
        assert_eq!(tone_of(Failed, Failed, 3), Tone::Bad);
        assert_eq!(tone_of(Stopped, Stopped, 3), Tone::Idle);
        // What ended before it ran was never running.
        let way = |end, done| [Matching, Starting, Running].map(|step| tone_of(step, end, done));
        assert_eq!(way(Failed, 0), [Tone::Idle, Tone::Idle, Tone::Idle]);
        assert_eq!(way(Failed, 1), [Tone::Ok, Tone::Idle, Tone::Idle]);
        assert_eq!(way(Stopped, 3), [Tone::Ok, Tone::Ok, Tone::Ok]);
    }
}
