//! What the books held at a moment, and the proof of all books.

use exchange::Actor;
use kernel::Timestamp;
use leptos::prelude::*;

use crate::api::exchange;
use crate::components::{Cell, Column, Parts, Submit, Tone, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::{downloads, wording};

/// `day` as a date field writes it, `2026-11-25`; its last millisecond counts.
fn end_of(day: &str) -> Option<Timestamp> {
    let plain = day.len() == 10;
    let at = format!("{day}T23:59:59.999Z").parse().ok();
    at.filter(|_| plain)
}

/// After `2026-11` comes `2026-12`.
fn next_month(month: &str) -> Option<String> {
    let (year, month) = month.split_once('-')?;
    let (year, month): (u32, u32) = (year.parse().ok()?, month.parse().ok()?);
    Some(match month {
        12 => format!("{:04}-01", year.saturating_add(1)),
        _ => format!("{year:04}-{:02}", month.saturating_add(1)),
    })
}

pub async fn view(actor: &Actor, day: Option<&str>, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let proof = exchange.ledger_proof().await?;
    let today = proof.at.to_string();
    let day = day.or(today.get(..10)).unwrap_or_default().to_owned();
    let held = match end_of(&day) {
        Some(at) => {
            // Of a day that is not over: as it stands now.
            let statement = exchange.statement(actor, at.min(proof.at)).await?;
            let rows = statement.books.iter().map(|book| {
                row(vec![
                    Cell::title(wording::book(Some(book.book), t)),
                    Cell::end(t.col_balance(), format!("{} IO", book.balance.to_io())),
                ])
            });
            let columns = vec![Column::new(t.col_book()), Column::end(t.col_balance())];
            let seq = statement.seq.to_string();
            view! {
                <p class="hint mb-3">{fill(t.statement_at(), &[&format::moment(statement.at), &seq])}</p>
                {table(t.statement_title(), columns, rows.parts())}
            }
            .into_any()
        }
        None => notice(Tone::Bad, t.statement_bad_day()),
    };
    let fact = |label: &'static str, value: String, class: &'static str| {
        view! { <div class="contents"><dt>{label}</dt><dd class=class>{value}</dd></div> }
    };
    let base = |units: i64| format!("{} IO", format::signed(units));
    // The month that the chosen day is in.
    let month = day.get(..7).unwrap_or_default().to_owned();
    let invoice = format!("/api/v1/billing/invoices/{month}");
    let within = match next_month(&month) {
        Some(next) => format!("from={month}-01&to={next}-01"),
        None => String::new(),
    };
    let files = [
        (format!("{invoice}?format=pdf"), t.invoice_pdf()),
        (invoice.clone(), t.invoice_json()),
        (format!("{invoice}?format=csv"), t.invoice_csv()),
        (
            format!("/api/v1/billing/ledger?format=csv&{within}"),
            t.ledger_csv(),
        ),
        (format!("/api/v1/billing/ledger?{within}"), t.ledger_json()),
    ];
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            <section>
                <h2>{t.statement_title()}</h2>
                <p class="prose my-3">{t.statement_text()}</p>
                <form method="get" action="/billing" class="row-actions items-end mb-4">
                    <input type="hidden" name="tab" value="statement"/>
                    <div class="field"><label for="at">{t.statement_day()}</label>
                        <input class="input" type="date" id="at" name="at" value=day max=today.get(..10).map(str::to_owned) required/></div>
                    <Submit label=t.statement_show()/>
                </form>
                {held}
            </section>
            <section>
                <h2>{t.downloads_title()}</h2>
                <p class="prose mt-3">{t.downloads_text()}</p>
                {downloads(&files)}
            </section>
            <section class="card">
                <h2>{t.proof_title()}</h2>
                <p class="prose mb-4">{t.proof_text()}</p>
                <dl class="facts">
                    {fact(t.proof_seq(), proof.seq.to_string(), "")}
                    {fact(t.proof_persons(), base(proof.persons), "")}
                    {fact(t.proof_platform(), base(proof.platform), "")}
                    {fact(t.proof_sum(), base(proof.sum), "")}
                    {fact(t.proof_hash(), proof.hash, "mono")}
                    {fact(t.proof_signature(), proof.signature, "mono")}
                </dl>
            </section>
        </div>
    }
    .into_any())
}

#[cfg(test)]
mod tests {
    use super::{end_of, next_month};

    #[test]
    fn december_is_followed_by_january() {
        assert_eq!(next_month("2026-12").as_deref(), Some("2027-01"));
        assert_eq!(next_month("2026-09").as_deref(), Some("2026-10"));
        assert_eq!(next_month("x"), None);
    }

    #[test]
    fn a_day_ends_with_its_last_millisecond() {
        let end = end_of("2026-11-25").map(|at| at.to_string());
        assert_eq!(end.as_deref(), Some("2026-11-25T23:59:59.999Z"));
        for wrong in ["", "2026-13-01", "25.11.2026", "2026-11-25T10"] {
            assert_eq!(end_of(wrong), None, "{wrong}");
        }
    }
}
