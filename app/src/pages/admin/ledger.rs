//! The ledger inspector: books by name or owner, and the transfers of a book, of a job or under a key.

use exchange::Actor;
use leptos::prelude::*;
use leptos_router::location::Url;
use protocol::money::{BookView, TransferView};

use crate::api::{exchange, parse_id};
use crate::components::{Cell, Column, Parts, Submit, Tone, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::{Asked, on_chain, wording};

fn link(name: &str, value: &str) -> String {
    format!("/admin?tab=ledger&{name}={}", Url::escape(value))
}

pub async fn view(actor: &Actor, asked: &Asked, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let [search, book, job, key, before] =
        ["search", "book", "job", "key", "before"].map(|name| asked.get(name));
    let transfers_wanted = book.is_some() || job.is_some() || key.is_some();
    let books = if transfers_wanted {
        Vec::new()
    } else {
        exchange
            .books(actor, search.as_deref().unwrap_or_default())
            .await?
    };
    let job_id = job.as_deref().map(parse_id).transpose()?;
    let before = before.and_then(|before| before.parse().ok());
    let page = exchange
        .inspect(actor, book.as_deref(), job_id, key.as_deref(), before)
        .await?;
    let older = page.next.as_ref().map(|next| {
        let mut href = format!("/admin?tab=ledger&before={next}");
        for (name, value) in [("book", &book), ("job", &job), ("key", &key)] {
            if let Some(value) = value {
                href = format!("{href}&{name}={}", Url::escape(value));
            }
        }
        view! { <p class="mt-4"><a class="btn" href=href>{t.ledger_older()}</a></p> }
    });
    let field = |name: &'static str, label: &'static str, value: &Option<String>| {
        let value = value.clone().unwrap_or_default();
        view! {
            <form method="get" action="/admin" class="row-actions items-end">
                <input type="hidden" name="tab" value="ledger"/>
                <div class="field flex-1"><label for=format!("ledger-{name}")>{label}</label>
                    <input class="input" id=format!("ledger-{name}") name=name value=value autocomplete="off"/></div>
                <Submit label=t.ledger_find()/>
            </form>
        }
    };
    let books = (!transfers_wanted).then(|| {
        let list = if books.is_empty() {
            notice(Tone::Idle, t.ledger_no_books())
        } else {
            book_table(&books, t)
        };
        view! { <section><h2 class="mb-3">{t.ledger_books()}</h2>{list}</section> }
    });
    let transfers = if page.items.is_empty() {
        notice(Tone::Idle, t.ledger_none())
    } else {
        let rows = page.items.iter().map(|transfer| transfer_row(transfer, t));
        let columns = vec![
            Column::new("#"),
            Column::new(t.col_entry()),
            Column::end(t.col_amount()),
            Column::new(t.col_from()),
            Column::new(t.col_to()),
            Column::end(t.col_when()),
        ];
        table(t.ledger_transfers(), columns, rows.parts())
    };
    let of = book.as_ref().or(job.as_ref()).or(key.as_ref()).map(|what| {
        view! { <p class="mono mb-3">{what.clone()}</p> }
    });
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            <div class="grid gap-3 lg:grid-cols-3 items-end">
                {field("search", t.ledger_search(), &search)}
                {field("job", t.ledger_job(), &job)}
                {field("key", t.ledger_key(), &key)}
            </div>
            {books}
            <section><h2 class="mb-3">{t.ledger_transfers()}</h2>{of}{transfers}{older}</section>
        </div>
    }
    .into_any())
}

fn book_table(books: &[BookView], t: &'static Words) -> AnyView {
    let rows = books
        .iter()
        .map(|book| {
            row(vec![
                Cell::title(
                    view! { <a class="mono" href=link("book", &book.book)>{book.book.clone()}</a> },
                ),
                Cell::new(
                    t.col_account(),
                    on_chain::who(book.email.as_deref().unwrap_or_default()),
                ),
                Cell::end(t.col_balance(), format::signed(book.balance)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_book()),
        Column::new(t.col_account()),
        Column::end(t.col_balance()),
    ];
    table(t.ledger_books(), columns, rows)
}

fn transfer_row(transfer: &TransferView, t: &'static Words) -> AnyView {
    let after = fill(
        t.ledger_after(),
        &[
            &format::signed(transfer.from_after),
            &format::signed(transfer.to_after),
        ],
    );
    let job = transfer.job.map(|job| {
        let job = job.to_string();
        view! { <a class="mono" href=link("job", &job)>{format::short_id(&job)}</a> }
    });
    let book = |name: &str| {
        // `available:acc_0198…`: the end of the id tells accounts apart.
        let short = match name.split_once(':') {
            Some((kind, id)) if id.starts_with("acc_") => {
                format!("{kind}:{}", format::short_id(id))
            }
            _ => name.to_owned(),
        };
        view! { <a class="mono" href=link("book", name) title=name.to_owned()>{short}</a> }
    };
    row(vec![
        Cell::new(
            "#",
            view! { <span class="whitespace-nowrap">{transfer.seq}</span> },
        ),
        Cell::wide(
            t.col_entry(),
            view! {
                <p>{wording::entry(transfer.kind, t)}" "{job}</p>
                <p class="mono hint">{transfer.key.clone()}</p>
                <p class="mono hint" title=transfer.hash.clone()>{transfer.hash.get(..16).map(|start| format!("{start}…"))}</p>
            },
        ),
        Cell::end(
            t.col_amount(),
            view! { <p>{transfer.amount.to_io()}</p><p class="hint">{after}</p> },
        ),
        Cell::new(t.col_from(), book(&transfer.from)),
        Cell::new(t.col_to(), book(&transfer.to)),
        Cell::end(t.col_when(), format::moment(transfer.at)),
    ])
}
