//! The balance, what is set aside, and every movement.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use protocol::view::{BalanceView, EntryView, Page};

use super::{live_dot, load, stale_notice, wording};
use crate::api::billing::{Balance, Entries, TakeDemoCredit};
use crate::api::{Post, PostForm, ask, data};
use crate::components::{
    Cell, Column, Kind, Meter, PageHead, Parts, Submit, empty, part, row, skeleton_block,
    skeleton_rows, table,
};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::session::{SessionContext, reading};

pub fn page() -> impl IntoView {
    let t = words();
    let take = Post::to::<TakeDemoCredit>();
    let query = use_query_map();
    let before = move || query.with(|query| query.get("before").and_then(|id| id.parse().ok()));
    let version = RwSignal::new(0_u32);
    take.on_answer(move |_: BalanceView| version.update(|version| *version += 1));
    let now = data(Signal::derive(move || ask(Balance {}).nth(version.get())));
    let moves = data(Signal::derive(move || {
        ask(Entries { before: before() }).nth(version.get())
    }));
    view! {
        <PageHead title=t.billing_title lead=t.billing_lead/>
        {super::account::me_tabs()}
        {stale_notice()}
        {load(now, |t| skeleton_block(t.loading), move |balance| balance_card(balance, take))}
        <h2 class="mt-6 mb-3">{t.entries_title}</h2>
        {load(moves, |t| skeleton_rows(t.loading, 4), entry_table)}
    }
}

fn balance_card(balance: BalanceView, take: Post) -> AnyView {
    let t = words();
    let live = use_context::<SessionContext>().map(|context| context.meter);
    let first = balance.meter;
    let meter = Signal::derive(move || live.and_then(|live| live.get()).unwrap_or(first));
    let shown = Signal::derive(move || reading(&meter.get(), t));
    let fault = take.fault();
    let demo = balance.demo_credit.map(|credit| {
        view! {
            <div class="card mt-4">
                <h2>{t.demo_title}</h2>
                <p class="prose mb-4">{fill(t.demo_text, &[&format::io(credit)])}</p>
                {form_fault(fault, &[])}
                <PostForm post=take><Submit label=t.demo_take kind=Kind::Primary busy=take.pending/></PostForm>
            </div>
        }
    });
    let earned = format::io(balance.earned);
    view! {
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        <dl class="figures">
            <div><dt>{t.book_available}</dt><dd>{part(move || format::io(meter.get().available))}</dd></div>
            <div><dt>{t.book_held}</dt><dd>{part(move || format::io(meter.get().held))}</dd></div>
            <div><dt>{t.book_earned}</dt><dd>{earned}</dd></div>
        </dl>
        <div class="panel-meter mt-4"><Meter reading=shown/></div>
        <p class="hint prose mt-3">{t.billing_note}</p>
        {demo}
    }
    .into_any()
}

fn entry_table(page: Page<EntryView>) -> AnyView {
    let t = words();
    if page.items.is_empty() {
        return empty(
            t.entries_empty,
            t.entries_empty_text,
            Some((t.launch, "/launch".to_owned())),
        );
    }
    let rows = page.items.iter().map(|entry| entry_row(entry, t)).parts();
    let columns = vec![
        Column::new(t.col_entry),
        Column::end(t.col_amount),
        Column::new(t.col_from),
        Column::new(t.col_to),
        Column::new(t.col_job),
        Column::end(t.col_when),
    ];
    let older = page.next.map(|before| view! { <p class="mt-4"><a class="btn" href=format!("/billing?before={before}")>{t.older}</a></p> });
    view! { {table(t.entries_title, columns, rows)}{older} }.into_any()
}

fn entry_row(entry: &EntryView, t: &'static Words) -> AnyView {
    let job = entry.job.map(|job| {
        let id = job.to_string();
        view! { <a class="mono" href=format!("/jobs/{id}") data-row="1">{format::short_id(&id)}</a> }
    });
    row(vec![
        Cell::title(wording::entry(entry.kind, t)),
        Cell::end(t.col_amount, format::io(entry.amount)),
        Cell::new(t.col_from, wording::book(entry.from, t)),
        Cell::new(t.col_to, wording::book(entry.to, t)),
        Cell::new(t.col_job, job),
        Cell::end(t.col_when, format::moment(entry.at)),
    ])
}
