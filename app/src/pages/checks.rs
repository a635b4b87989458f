//! Slices that were computed again, as the server writes them into the pages of jobs and machines.

use leptos::prelude::*;
use protocol::recompute::{CheckState, CheckView};

use crate::components::{Cell, Column, Parts, Tone, row, state, table};
use crate::format;
use crate::i18n::Words;

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

/// Nothing where nothing was drawn.
pub fn section(checks: &[CheckView], t: &'static Words) -> Option<AnyView> {
    if checks.is_empty() {
        return None;
    }
    let rows = checks.iter().map(|check| {
        row(vec![
            Cell::title(check.path.clone()),
            Cell::new(t.col_drawn(), format::moment(check.drawn_at)),
            Cell::wide(t.col_result(), result(check.state, t)),
        ])
    });
    let columns = vec![
        Column::new(t.col_file()),
        Column::new(t.col_drawn()),
        Column::new(t.col_result()),
    ];
    Some(
        view! {
            <section class="my-4">
                <h2 class="mb-3">{t.checks_title()}</h2>
                <p class="hint mb-3 prose">{t.checks_note()}</p>
                {table(t.checks_title(), columns, rows.parts())}
            </section>
        }
        .into_any(),
    )
}
