//! Withdrawing and converting, and the payouts so far, as the server writes them.

use exchange::Exchange;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{EarningsView, PayoutStep, PayoutView};
use protocol::wallet::PayoutAddressView;

use super::{address, vouchers, weeks};
use crate::api::earnings::{CancelPayout, ConvertEarnings, RequestPayout};
use crate::api::{Post, actor, exchange};
use crate::components::{Cell, Column, Field, Kind, Parts, Submit, Tone, notice, row, table};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::{after, downloads, field_error, on_chain, wording};

pub async fn part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let made = exchange.earnings(&actor).await?;
    let t = words();
    if made.devices.is_empty() && made.withdrawable.is_zero() && made.payouts.is_empty() {
        // The part above says how to begin.
        return Ok(().into_any());
    }
    let least = exchange.settings().payout_min;
    // Each movement makes the next conversion another request.
    let entries = exchange.entries(&actor, None, 1).await?;
    let newest = entries.items.first().map(|entry| entry.id.to_string());
    let weeks = weeks::section(&exchange.own_weeks(&actor).await?, exchange.now(), t);
    let month = exchange.now().to_string();
    let since = format!("from={}-01", month.get(..7).unwrap_or_default());
    let given_back = (!made.given_back.is_zero()).then(|| {
        view! { <div><dt>{t.earnings_given_back()}</dt><dd>{format::io(made.given_back)}</dd></div> }
    });
    let vouched = (!made.vouched.is_zero()).then(|| {
        view! { <div><dt>{t.book_vouched()}</dt><dd>{format::io(made.vouched)}</dd></div> }
    });
    let disputed = (!made.disputed.is_zero()).then(|| {
        view! { <div><dt>{t.book_disputed()}</dt><dd>{format::io(made.disputed)}</dd></div> }
    });
    let goes = exchange.payout_address(&actor).await?;
    let place = address::card(&goes, t);
    let vouchers = vouchers::section(&exchange, &exchange.vouchers(&actor).await?, t);
    let ways = if made.withdrawable.is_zero() {
        notice(Tone::Idle, t.payout_nothing())
    } else {
        view! { <div class="grid gap-4 lg:grid-cols-2 items-start">{withdraw(&made, &goes, least, t)}{convert(newest, t)}</div> }.into_any()
    };
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            <dl class="figures">
                <div><dt>{t.earnings_in_transit()}</dt><dd>{format::io(made.in_transit)}</dd></div>
                <div><dt>{t.earnings_paid_out()}</dt><dd>{format::io(made.paid_out)}</dd></div>
                {vouched}
                {disputed}
                {given_back}
            </dl>
            {ways}
            {vouchers}
            {place}
            <section>
                <h2 class="mb-3">{t.payouts_title()}</h2>
                {form_fault(Post::to::<CancelPayout>().fault(), &[])}
                {list(&exchange, &made.payouts, t)}
                {downloads(&[
                    (format!("/api/v1/earnings/export?format=csv&{since}"), t.earnings_csv()),
                    (format!("/api/v1/earnings/export?{since}"), t.earnings_json()),
                ])}
            </section>
            {weeks}
        </div>
    }
    .into_any())
}

fn withdraw(
    made: &EarningsView,
    goes: &PayoutAddressView,
    least: kernel::Amount,
    t: &'static Words,
) -> AnyView {
    let fault = Post::to::<RequestPayout>().fault();
    let last = made.payouts.first().map(|payout| payout.id.to_string());
    let to = match &goes.address {
        Some(address) => view! { <p class="hint">{t.payout_address()}": "<span class="mono break-all">{address.clone()}</span></p> }.into_any(),
        // The first one becomes the payout address.
        None => view! {
            <Field name="address" id="payout-first" label=t.payout_address() required=true max_length=66
                hint=t.payout_address_hint() error=field_error(fault, "address")/>
        }
        .into_any(),
    };
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="withdraw">
            <h2>{t.payout_title()}</h2>
            <p class="prose">{t.payout_text()}</p>
            {form_fault(fault, &["amount", "address"])}
            <form method="post" action=RequestPayout::url() data-done=t.payout_asked() class="grid grid-cols-1 gap-3">
                {after(last)}
                <Field name="amount" id="payout-amount" label=t.col_amount() unit="IO" input_mode="decimal" required=true
                    value=made.withdrawable.to_io() hint=fill(t.payout_least(), &[&format::io(least)]) error=field_error(fault, "amount")/>
                {to}
                <Submit label=t.payout_ask() kind=Kind::Primary/>
            </form>
        </section>
    }
    .into_any()
}

fn convert(newest: Option<String>, t: &'static Words) -> AnyView {
    let fault = Post::to::<ConvertEarnings>().fault();
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="convert">
            <h2>{t.convert_title()}</h2>
            <p class="prose">{t.convert_text()}</p>
            {form_fault(fault, &["amount"])}
            <form method="post" action=ConvertEarnings::url() data-done=t.convert_done() class="grid grid-cols-1 gap-3">
                {after(newest)}
                <Field name="amount" id="convert-amount" label=t.col_amount() unit="IO" input_mode="decimal" required=true
                    error=field_error(fault, "amount")/>
                <Submit label=t.convert_do()/>
            </form>
        </section>
    }
    .into_any()
}

fn list(exchange: &Exchange, payouts: &[PayoutView], t: &'static Words) -> AnyView {
    if payouts.is_empty() {
        return notice(Tone::Idle, t.payouts_none());
    }
    let rows = payouts
        .iter()
        .map(|payout| {
            let id = payout.id.to_string();
            let back = payout.state.step(PayoutStep::Cancel).is_ok().then(|| {
                view! {
                    <form method="post" action=CancelPayout::url() data-done=t.payout_cancelled_done() data-key=format!("cancel-{id}")>
                        <input type="hidden" name="id" value=id.clone()/>
                        <button class="btn small" type="submit">{t.payout_cancel()}</button>
                    </form>
                }
            });
            let said = match &payout.reference {
                Some(reference) if payout.note.is_empty() => {
                    on_chain::reference(exchange, reference)
                }
                _ => payout.note.clone().into_any(),
            };
            row(vec![
                Cell::title(format::io(payout.amount)),
                Cell::new(t.col_state(), wording::payout_state(payout.state, t)),
                Cell::wide(t.col_wallet(), on_chain::account(exchange, &payout.address)),
                Cell::wide(t.col_note(), said),
                Cell::end(t.col_asked(), format::moment(payout.requested_at)),
                Cell::action(back),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_amount()),
        Column::new(t.col_state()),
        Column::new(t.col_wallet()),
        Column::new(t.col_note()),
        Column::end(t.col_asked()),
        Column::action(t.payout_cancel()),
    ];
    table(t.payouts_title(), columns, rows)
}
