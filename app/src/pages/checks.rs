//! Slices that were computed again, as the server writes them into the pages of jobs and machines.

use kernel::JobId;
use leptos::prelude::*;
use protocol::recompute::{CheckState, CheckView};
use protocol::state::JobState;
use protocol::view::JobView;

use crate::components::{Cell, Column, Parts, Tone, row, state, table};
use crate::format;
use crate::i18n::{Words, fill, told};

fn result(check: CheckState, t: &'static Words) -> AnyView {
    let (tone, word) = match check {
        CheckState::Drawn => (Tone::Busy, t.check_drawn()),
        CheckState::Second => (Tone::Busy, t.check_second()),
        CheckState::Third => (Tone::Warn, t.check_third()),
        CheckState::Same => (Tone::Ok, t.check_same()),
        CheckState::FirstAlone => (Tone::Bad, t.check_first()),
        CheckState::SecondAlone => (Tone::Ok, t.check_other()),
        CheckState::AllDiffer => (Tone::Warn, t.check_all()),
        CheckState::Undecided => (Tone::Idle, t.check_undecided()),
    };
    state(tone, word)
}

/// What came of it, why, and the jobs that computed it again: for who pays for them; the machine's owner has no way into these.
fn outcome(check: &CheckView, reader: Reader, t: &'static Words) -> AnyView {
    let told = told(&check.detail, t.locale());
    let why = (!told.is_empty()).then(|| view! { <p class="hint">{told}</p> });
    let again = |job: Option<JobId>, word: &'static str| {
        let job = job.filter(|_| reader == Reader::Requester)?;
        Some(view! { <a href=format!("/jobs/{job}")>{word}</a> })
    };
    let second = again(check.second, t.check_second_job());
    let third = again(check.third, t.check_third_job());
    let jobs = (second.is_some() || third.is_some())
        .then(|| view! { <p class="flex flex-wrap gap-3">{second}{third}</p> });
    view! { <div class="grid gap-1">{result(check.state, t)}{why}{jobs}</div> }.into_any()
}

/// Whose page it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Requester,
    Owner,
}

/// Nothing where nothing was drawn.
pub fn section(checks: &[CheckView], reader: Reader, t: &'static Words) -> Option<AnyView> {
    if checks.is_empty() {
        return None;
    }
    let rows = checks.iter().map(|check| {
        // A machine has done parts of many jobs, which name their files alike.
        let job = (reader == Reader::Owner).then(|| format::short_id(&check.job.to_string()));
        let job = job.map(|job| view! { <span class="mono">{job}</span>" " });
        row(vec![
            Cell::title(view! { {job}{check.path.clone()} }),
            Cell::new(t.col_drawn(), format::moment(check.drawn_at)),
            Cell::wide(t.col_result(), outcome(check, reader, t)),
        ])
    });
    let columns = vec![
        Column::new(t.col_file()),
        Column::new(t.col_drawn()),
        Column::new(t.col_result()),
    ];
    let cost = (reader == Reader::Requester).then(|| t.checks_cost());
    Some(
        view! {
            <section class="my-4">
                <h2 class="mb-3">{t.checks_title()}</h2>
                <p class="hint mb-3 prose">{t.checks_note()}" "{cost}</p>
                {table(t.checks_title(), columns, rows.parts())}
            </section>
        }
        .into_any(),
    )
}

/// A job whose work may be computed again, before anything of it was drawn or when nothing was.
pub fn none_yet(job: &JobView, t: &'static Words) -> Option<AnyView> {
    let recompute = job.spec.recompute.as_ref()?;
    if recompute.percent == 0 || !job.checks.is_empty() {
        return None;
    }
    let text = match job.summary.state {
        JobState::Finished => t.checks_none().to_owned(),
        JobState::Failed | JobState::Stopped => t.checks_never().to_owned(),
        _ => {
            let (percent, slices) = (recompute.percent.to_string(), recompute.slices.to_string());
            fill(t.checks_later(), &[&percent, &slices])
        }
    };
    Some(
        view! {
            <section class="my-4">
                <h2 class="mb-3">{t.checks_title()}</h2>
                <p class="hint prose">{text}</p>
            </section>
        }
        .into_any(),
    )
}
