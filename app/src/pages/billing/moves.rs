//! Every movement of the account's books, newest first.

use exchange::Actor;
use leptos::prelude::*;
use protocol::view::EntryView;

use crate::api::exchange;
use crate::components::{Cell, Column, Parts, empty, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::Words;
use crate::pages::wording;

const ENTRIES_PER_PAGE: u32 = 50;

/// `before` is the movement that the list goes on after.
pub async fn view(
    actor: &Actor,
    before: Option<&str>,
    t: &'static Words,
) -> Result<AnyView, Fault> {
    let before = before.and_then(|before| before.parse().ok());
    let page = exchange()?.entries(actor, before, ENTRIES_PER_PAGE).await?;
    if page.items.is_empty() {
        return Ok(empty(
            t.entries_empty(),
            t.entries_empty_text(),
            Some((t.launch(), "/launch".to_owned())),
        ));
    }
    let rows = page.items.iter().map(|entry| entry_row(entry, t)).parts();
    let columns = vec![
        Column::new(t.col_entry()),
        Column::end(t.col_amount()),
        Column::new(t.col_from()),
        Column::new(t.col_to()),
        Column::new(t.col_job()),
        Column::end(t.col_when()),
    ];
    let older = page.next.map(|before| {
        view! { <p class="mt-4"><a class="btn" href=format!("/billing?before={before}")>{t.older()}</a></p> }
    });
    Ok(view! { {table(t.entries_title(), columns, rows)}{older} }.into_any())
}

fn entry_row(entry: &EntryView, t: &'static Words) -> AnyView {
    let job = entry.job.map(|job| {
        let id = job.to_string();
        view! { <a class="mono" href=format!("/jobs/{id}") data-row="1">{format::short_id(&id)}</a> }
    });
    row(vec![
        Cell::title(wording::entry(entry.kind, t)),
        Cell::end(t.col_amount(), format::io(entry.amount)),
        Cell::new(t.col_from(), wording::book(entry.from, t)),
        Cell::new(t.col_to(), wording::book(entry.to, t)),
        Cell::new(t.col_job(), job),
        Cell::end(t.col_when(), format::moment(entry.at)),
    ])
}
