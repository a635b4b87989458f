//! What one shell showed, as text with times, and the list of a job's shells.

use exchange::{Actor, TRANSCRIPT_LINES_MAX};
use kernel::{JobId, Seconds};
use leptos::prelude::*;
use protocol::audit::RecordingView;

use crate::api::{exchange, parse_id};
use crate::components::{Cell, Column, Parts, Tone, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::downloads;

/// How long it was open, or that it is.
fn length(recording: &RecordingView, t: &'static Words) -> String {
    let Some(end) = recording.closed_at else {
        return t.recording_is_open().to_owned();
    };
    let millis = end.millis_since(recording.opened_at).max(0);
    let seconds = u64::try_from(millis).unwrap_or_default() / 1_000;
    format::duration(Seconds::new(seconds), t)
}

/// The program, where it was not simply a shell.
fn program(recording: &RecordingView, t: &'static Words) -> String {
    if recording.program.is_empty() {
        t.shell_title().to_owned()
    } else {
        recording.program.clone()
    }
}

pub async fn view(actor: &Actor, id: &str) -> Result<AnyView, Fault> {
    let t = words();
    let id = parse_id(id)?;
    let (job, recording, lines) = exchange()?.recording_text(actor, id).await?;
    let fact = |label: &'static str, value: AnyView| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let cut = recording.cut.then(|| notice(Tone::Warn, t.recording_cut()));
    let all = lines.len();
    let more = (all > TRANSCRIPT_LINES_MAX).then(|| {
        let text = fill(
            t.recording_more(),
            &[&TRANSCRIPT_LINES_MAX.to_string(), &all.to_string()],
        );
        notice(Tone::Idle, text)
    });
    let shown = if lines.is_empty() {
        notice(Tone::Idle, t.recording_empty())
    } else {
        let lines: Vec<String> = lines
            .iter()
            .take(TRANSCRIPT_LINES_MAX)
            .map(|line| {
                let seconds = line.at.as_secs();
                let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
                format!(
                    "{hours:02}:{minutes:02}:{:02}  {}\n",
                    seconds % 60,
                    line.text
                )
            })
            .collect();
        let lines = lines.concat();
        view! { <pre class="code" tabindex="0" role="region" aria-label=t.recording_title()>{lines}</pre> }
            .into_any()
    };
    let href = format!("/jobs/{job}?tab=work");
    let job_link = if exchange()?.job(actor, job).await.is_ok() {
        view! { <a class="mono" href=href>{job.to_string()}</a> }.into_any()
    } else {
        view! { <span class="mono">{job.to_string()}</span> }.into_any()
    };
    let digest = recording.sha256.clone().map(|sha256| {
        fact(
            "SHA-256",
            view! { <span class="mono break-all">{sha256}</span> }.into_any(),
        )
    });
    let files = [(format!("/api/v1/recordings/{id}"), t.recording_download())];
    Ok(view! {
        <section class="grid grid-cols-1 gap-4">
            <h2>{t.recording_title()}</h2>
            <dl class="facts">
                {fact(t.job(), job_link)}
                {fact(t.audit_actor(), view! { <span class="break-all">{recording.by.clone()}</span> }.into_any())}
                {fact(t.recording_program(), view! { <span class="mono">{program(&recording, t)}</span> }.into_any())}
                {fact(t.col_when(), view! { <span>{format::moment(recording.opened_at)}" · "{length(&recording, t)}</span> }.into_any())}
                {digest}
            </dl>
            <p class="hint prose">{t.recording_note()}</p>
            {cut}{shown}{more}
            {downloads(&files)}
        </section>
    }
    .into_any())
}

/// Shells that were opened in a job; nothing where there was none.
pub async fn list(actor: &Actor, job: JobId, t: &'static Words) -> Result<AnyView, Fault> {
    let recordings = exchange()?.recordings(actor, job).await?;
    if recordings.is_empty() {
        return Ok(().into_any());
    }
    let rows = recordings
        .iter()
        .map(|recording| {
            let href = format!("/activity?recording={}", recording.id);
            row(vec![
                Cell::title(view! { <a href=href>{format::moment(recording.opened_at)}</a> }),
                Cell::new(t.recording_program(), program(recording, t)),
                Cell::new(
                    t.audit_actor(),
                    view! { <span class="break-all">{recording.by.clone()}</span> },
                ),
                Cell::end(t.recording_length(), length(recording, t)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.recording_opened()),
        Column::new(t.recording_program()),
        Column::new(t.audit_actor()),
        Column::end(t.recording_length()),
    ];
    let list = table(t.recordings_title(), columns, rows);
    Ok(view! {
        <section class="grid grid-cols-1 gap-3">
            <h2>{t.recordings_title()}</h2>
            <p class="hint prose">{t.recording_note()}</p>
            {list}
        </section>
    }
    .into_any())
}
