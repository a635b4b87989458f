//! What goes out over the chain: how it stands, batches of payouts, and one of them with all that was signed for it.

use exchange::{Actor, Exchange};
use leptos::prelude::*;
use protocol::money::{BatchDetail, BatchLineView, SettlementView, TransactionView};

use crate::api::{exchange, parse_id};
use crate::components::{Cell, Column, Parts, Tone, notice, row, state, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::{Asked, explorer, on_chain, wording};

const BATCHES_PER_PAGE: u32 = 50;
/// Aptos counts in hundred-millionths, as IO does.
const OCTAS: u64 = 100_000_000;

pub async fn view(actor: &Actor, asked: &Asked, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    if let Some(id) = asked.get("batch") {
        let detail = exchange.batch(actor, parse_id(&id)?).await?;
        return Ok(one(&exchange, &detail, t));
    }
    let stands = exchange.settlement(actor)?;
    let before = asked.get("before").and_then(|before| before.parse().ok());
    let page = exchange.batches(actor, before, BATCHES_PER_PAGE).await?;
    let list = if page.items.is_empty() {
        notice(Tone::Idle, t.explorer_no_batches())
    } else {
        explorer::batch_table(&page.items, true, t)
    };
    let older = page.next.map(|before| {
        let href = format!("/admin?tab=settlement&before={before}");
        view! { <p class="mt-4"><a class="btn" href=href>{t.older()}</a></p> }
    });
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            {standing(&stands, t)}
            <section><h2 class="mb-3">{t.explorer_batches()}</h2>{list}{older}</section>
        </div>
    }
    .into_any())
}

fn standing(stands: &SettlementView, t: &'static Words) -> AnyView {
    let Some(chain) = &stands.chain else {
        return notice(Tone::Idle, t.explorer_by_hand());
    };
    let trouble = stands
        .trouble
        .as_ref()
        .map(|why| notice(Tone::Bad, fill(t.settlement_trouble(), &[why])));
    let vault = chain.vault.map(|vault| {
        let (tone, word) = if vault.held == vault.owed {
            (Tone::Ok, t.explorer_vault_equal())
        } else {
            (Tone::Bad, t.explorer_vault_differs())
        };
        view! {
            <div class="row-actions justify-between"><h2>{t.explorer_vault()}</h2>{state(tone, word)}</div>
            <dl class="facts">
                <div class="contents"><dt>{t.explorer_vault_held()}</dt><dd>{explorer::exact(vault.held)}</dd></div>
                <div class="contents"><dt>{t.explorer_vault_owed()}</dt><dd>{explorer::exact(vault.owed)}</dd></div>
            </dl>
            <p class="hint">{format::moment(vault.at)}</p>
        }
    });
    let fees = stands
        .fees
        .iter()
        .map(|account| {
            let name = on_chain::named(Some(&account.address), account.url.clone());
            let (whole, part) = (account.balance / OCTAS, account.balance % OCTAS);
            view! { <div class="contents"><dt>{name}</dt><dd>{format!("{whole}.{part:08} APT")}</dd></div> }
        })
        .parts();
    let fees = if stands.fees.is_empty() {
        view! { <p class="hint">{t.settlement_fees_none()}</p> }.into_any()
    } else {
        view! { <dl class="facts">{fees}</dl> }.into_any()
    };
    view! {
        {trouble}
        <section class="card grid grid-cols-1 gap-3" data-key="standing">
            {vault}
            <h3>{t.settlement_fees()}</h3>
            {fees}
            <p><a href="/explorer">{t.settlement_explorer()}</a></p>
        </section>
    }
    .into_any()
}

fn one(exchange: &Exchange, detail: &BatchDetail, t: &'static Words) -> AnyView {
    let batch = &detail.batch;
    let lines = detail.lines.iter().map(|line| line_row(exchange, line, t));
    let signed = detail.transactions.iter().map(|one| signed_row(one, t));
    let line_columns = vec![
        Column::new(t.col_line()),
        Column::new(t.col_account()),
        Column::new(t.col_wallet()),
        Column::end(t.col_amount()),
        Column::new(t.col_state()),
        Column::new(t.col_note()),
    ];
    let signed_columns = vec![
        Column::new(t.col_transaction()),
        Column::end(t.col_attempt()),
        Column::new(t.col_state()),
        Column::end(t.col_gas()),
        Column::new(t.col_note()),
        Column::end(t.col_when()),
    ];
    view! {
        <div class="grid grid-cols-1 gap-6">
            <p><a class="btn" href="/admin?tab=settlement">{t.settlement_back()}</a></p>
            <section class="card grid grid-cols-1 gap-3" data-key=batch.id.clone()>
                <div class="row-actions justify-between"><h2>{t.settlement_batch()}</h2>{explorer::batch_state(batch, t)}</div>
                <dl class="facts">
                    <div class="contents"><dt>"ID"</dt><dd class="mono break-all">{batch.id.clone()}</dd></div>
                    <div class="contents"><dt>{t.col_amount()}</dt><dd>{explorer::exact(batch.total)}</dd></div>
                    <div class="contents"><dt>{t.col_transaction()}</dt>
                        <dd>{on_chain::named(batch.transaction.as_deref(), batch.transaction_url.clone())}</dd></div>
                    <div class="contents"><dt>{t.col_when()}</dt><dd>{format::moment(batch.made_at)}</dd></div>
                </dl>
            </section>
            <section><h2 class="mb-3">{t.settlement_transactions()}</h2>
                {table(t.settlement_transactions(), signed_columns, signed.parts())}</section>
            <section><h2 class="mb-3">{t.settlement_lines()}</h2>
                {table(t.settlement_lines(), line_columns, lines.parts())}</section>
        </div>
    }
    .into_any()
}

fn line_row(exchange: &Exchange, line: &BatchLineView, t: &'static Words) -> AnyView {
    row(vec![
        Cell::title(line.line.to_string()),
        Cell::new(t.col_account(), on_chain::who(&line.email)),
        Cell::new(t.col_wallet(), on_chain::account(exchange, &line.address)),
        Cell::end(t.col_amount(), format::io(line.amount)),
        Cell::new(t.col_state(), wording::payout_state(line.state, t)),
        Cell::wide(t.col_note(), line.note.clone()),
    ])
}

fn signed_row(one: &TransactionView, t: &'static Words) -> AnyView {
    let tone = match one.state.as_str() {
        "landed" => Tone::Ok,
        "failed" | "absent" => Tone::Warn,
        _ => Tone::Busy,
    };
    let gas = match one.gas_used {
        Some(used) => used.to_string(),
        None => fill(t.settlement_fee_max(), &[&one.fee_max.to_string()]),
    };
    row(vec![
        Cell::title(on_chain::named(Some(&one.hash), one.url.clone())),
        Cell::end(t.col_attempt(), one.attempt.to_string()),
        Cell::new(t.col_state(), state(tone, one.state.clone())),
        Cell::end(t.col_gas(), gas),
        Cell::wide(t.col_note(), one.status.clone()),
        Cell::end(t.col_when(), format::moment(one.changed_at)),
    ])
}
