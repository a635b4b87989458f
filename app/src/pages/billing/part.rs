//! Balance and movements, as the server writes them.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::view::EntryView;

use crate::api::billing::TakeDemoCredit;
use crate::api::{Post, actor, exchange};
use crate::components::{Cell, Column, Kind, Meter, Parts, Submit, empty, row, table};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::wording;
use crate::session::reading;

const ENTRIES_PER_PAGE: u32 = 50;

pub async fn balance_part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let balance = exchange()?.balance(&actor).await?;
    let t = words();
    let demo = balance.demo_credit.map(|credit| {
        view! {
            <div class="card mt-4">
                <h2>{t.demo_title()}</h2>
                <p class="prose mb-4">{fill(t.demo_text(), &[&format::io(credit)])}</p>
                {form_fault(Post::to::<TakeDemoCredit>().fault(), &[])}
                <form method="post" action=TakeDemoCredit::url() data-done=t.demo_taken()><Submit label=t.demo_take() kind=Kind::Primary/></form>
            </div>
        }
    });
    let reading = reading(&balance.meter, t);
    Ok(view! {
        <dl class="figures">
            <div><dt>{t.book_available()}</dt><dd>{format::io(balance.available)}</dd></div>
            <div><dt>{t.book_held()}</dt><dd>{format::io(balance.held)}</dd></div>
            <div><dt>{t.book_earned()}</dt><dd>{format::io(balance.earned)}</dd></div>
            <div><dt>{t.book_withdrawable()}</dt><dd>{format::io(balance.withdrawable)}</dd></div>
        </dl>
        <div class="panel-meter mt-4"><Meter reading=Signal::stored(reading)/></div>
        <p class="hint prose mt-3">{t.billing_note()}</p>
        {demo}
    }
    .into_any())
}

/// `before` is the movement that the list goes on after; empty for the newest.
pub async fn entries_part(before: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let page = exchange()?
        .entries(&actor, before.parse().ok(), ENTRIES_PER_PAGE)
        .await?;
    let t = words();
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
