//! The other tabs of a job, and what happened to it.

use kernel::JobId;
use leptos::prelude::*;
use protocol::view::{JobView, LogLine, ReceiptView, Stream};

use crate::components::{
    Cell, Column, Icon, LogTail, LogView, Parts, Tone, icon, notice, part, row, skeleton_block,
    skeleton_rows, table,
};
use crate::format;
use crate::i18n::{Words, words};
use crate::pages::wording;

/// Takes lines into what is shown; the worker's own remarks look like errors, because they explain them.
pub fn take_lines(tail: &mut LogTail, lines: &[LogLine]) {
    for line in lines {
        tail.push(line.seq, line.stream != Stream::Stdout, &line.text);
    }
}

pub fn logs(log: RwSignal<Option<LogTail>>, id: JobId) -> AnyView {
    let t = words();
    let loaded = Memo::new(move |_| log.with(Option::is_some));
    let tail = Signal::derive(move || log.get().unwrap_or_default());
    let download = format!("/api/v1/jobs/{id}/logs");
    view! {
        {part(move || if loaded.get() {
            view! { <LogView tail=tail label=t.tab_logs/> }.into_any()
        } else {
            skeleton_block(t.loading)
        })}
        <p class="mt-2"><a class="btn quiet" href=download rel="external">{icon(Icon::Download)}{t.log_json}</a></p>
    }
    .into_any()
}

fn fact(label: &'static str, value: String) -> AnyView {
    view! { <div><dt>{label}</dt><dd>{value}</dd></div> }.into_any()
}

pub fn cost(job: RwSignal<JobView>) -> AnyView {
    let t = words();
    let figures = part(move || {
        job.with(|job| {
            let summary = &job.summary;
            let left = job.spec.duration().minus_or_zero(summary.seconds);
            view! {
                {fact(t.cost_spent, format::io(summary.spent))}
                {fact(t.cost_rate, summary.per_hour.map_or_else(|| "–".to_owned(), |price| format::per_hour_amount(price, t)))}
                {fact(t.cost_seconds, format::duration(summary.seconds, t))}
                {fact(t.cost_held, format::io(job.meter.held))}
                {fact(t.cost_limit_left, format::duration(left, t))}
            }
        })
    });
    let leases = part(move || {
        job.with(|job| {
            let rows = job.leases.iter().map(|lease| lease_row(lease, t)).parts();
            if job.leases.is_empty() {
                return notice(Tone::Idle, t.leases_none);
            }
            let columns = vec![
                Column::new(t.col_machine),
                Column::new(t.col_state),
                Column::end(t.col_price),
                Column::end(t.col_time),
                Column::end(t.col_charged),
                Column::new(t.col_end),
            ];
            table(t.leases_title, columns, rows)
        })
    });
    view! {
        <dl class="figures">{figures}</dl>
        <p class="hint my-3 prose">{t.cost_note}</p>
        <h2 class="mb-3">{t.leases_title}</h2>
        {leases}
    }
    .into_any()
}

fn lease_row(lease: &protocol::view::LeaseView, t: &'static Words) -> AnyView {
    let end = lease
        .end
        .as_ref()
        .map(|end| wording::run_end(end, t))
        .unwrap_or_default();
    row(vec![
        Cell::title(format!("{} · {}", lease.node_name, lease.device_model)),
        Cell::new(t.col_state, wording::lease_state(lease.state, t)),
        Cell::end(t.col_price, format::per_hour(lease.price, t)),
        Cell::end(t.col_time, format::duration(lease.seconds, t)),
        Cell::end(t.col_charged, format::io(lease.charged)),
        Cell::wide(t.col_end, end),
    ])
}

pub fn receipts(receipts: RwSignal<Option<Vec<ReceiptView>>>, id: JobId) -> AnyView {
    let t = words();
    let list = part(move || {
        receipts.with(|receipts| {
            let Some(receipts) = receipts else {
                return skeleton_rows(t.loading, 2);
            };
            if receipts.is_empty() {
                return notice(Tone::Idle, t.receipts_none);
            }
            let rows = receipts
                .iter()
                .map(|receipt| receipt_row(receipt, t))
                .parts();
            let columns = vec![
                Column::new(t.col_receipt),
                Column::end(t.col_delivered),
                Column::end(t.col_charged),
                Column::end(t.col_posted),
                Column::new(t.col_hash),
            ];
            table(t.tab_receipts, columns, rows)
        })
    });
    let json = format!("/api/v1/jobs/{id}/receipts");
    view! {
        <p class="prose mb-3">{t.receipts_note}</p>
        {list}
        <p class="mt-2"><a class="btn quiet" href=json rel="external">{icon(Icon::Download)}{t.receipts_json}</a></p>
    }
    .into_any()
}

fn receipt_row(view: &ReceiptView, t: &'static Words) -> AnyView {
    let receipt = &view.receipt;
    let last = receipt
        .last
        .then(|| view! { <span class="tag">{t.receipt_last}</span> });
    let hash = view.hash.get(..16).unwrap_or(&view.hash).to_owned();
    row(vec![
        Cell::title(view! {
            <span class="flex items-center gap-2">
                <span class="mono">{format!("{} · {}", format::short_id(&receipt.lease.to_string()), receipt.seq)}</span>{last}
            </span>
        }),
        Cell::end(t.col_delivered, format::duration(receipt.seconds, t)),
        Cell::end(t.col_charged, format::io(view.charged)),
        Cell::end(t.col_posted, format::moment(view.posted_at)),
        Cell::wide(t.col_hash, view! { <span class="mono">{hash}"…"</span> }),
    ])
}

pub fn files(job: RwSignal<JobView>) -> AnyView {
    let t = words();
    part(move || {
        job.with(|job| {
            if job.artefacts.is_empty() {
                let text = if job.summary.state.is_final() { t.files_none } else { t.files_not_yet };
                return notice(Tone::Idle, text);
            }
            let rows = job
                .artefacts
                .iter()
                .map(|file| {
                    let href = format!("/api/v1/jobs/{}/artefacts/{}", job.summary.id, file.id);
                    let hash = file.sha256.get(..16).unwrap_or(&file.sha256).to_owned();
                    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
                    let size = format::bytes(file.size_bytes as f64);
                    row(vec![
                        Cell::title(view! { <a class="mono" href=href rel="external" download=file.path.clone()>{file.path.clone()}</a> }),
                        Cell::end(t.col_size, size),
                        Cell::wide("SHA-256", view! { <span class="mono">{hash}"…"</span> }),
                    ])
                })
                .parts();
            table(t.tab_files, vec![Column::new(t.col_file), Column::end(t.col_size), Column::new("SHA-256")], rows)
        })
    })
    .into_any()
}

/// The events, newest first.
pub fn happened(job: RwSignal<JobView>) -> AnyView {
    let t = words();
    let locale = crate::i18n::locale();
    let events = part(move || {
        job.with(|job| {
            job.events
                .iter()
                .rev()
                .map(|event| {
                    let time = format::moment(event.at);
                    // The detail is the server's English; beside Chinese words it would only repeat them.
                    let detail = (locale == crate::i18n::Locale::En && !event.detail.is_empty())
                        .then(|| event.detail.clone());
                    view! {
                        <li>
                            <p class="font-medium">{wording::event(event.kind, t)}</p>
                            {detail.map(|detail| view! { <p>{detail}</p> })}
                            <p class="hint"><time datetime=event.at.to_string()>{time}</time></p>
                        </li>
                    }
                })
                .parts()
        })
    });
    view! {
        <div class="card">
            <h2>{t.happened}</h2>
            <ol class="timeline">{events}</ol>
        </div>
    }
    .into_any()
}
