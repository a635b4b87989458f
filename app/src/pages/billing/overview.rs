//! What there is, how to get more, and what jobs may take of it.

use exchange::{Actor, Exchange};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{DepositView, LimitsView};

use super::channels;
use crate::api::billing::{RequestCredit, SetLimits, TakeDemoCredit};
use crate::api::{Post, exchange};
use crate::components::{
    Cell, Column, Field, Kind, Meter, Parts, Submit, Tone, notice, row, table, tag,
};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::wallet::{Purpose, block};
use crate::pages::{field_error, on_chain, wording};
use crate::session::reading;

pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let balance = exchange.balance(actor).await?;
    let deposits = exchange.deposits(actor).await?;
    let limits = exchange.limits(actor).await?;
    let faucet = exchange.settings().faucet_max;
    let demo = balance.demo_credit.map(|credit| {
        view! {
            <section class="card">
                <h2>{t.demo_title()}</h2>
                <p class="prose mb-4">{fill(t.demo_text(), &[&format::io(credit)])}</p>
                {form_fault(Post::to::<TakeDemoCredit>().fault(), &[])}
                <form method="post" action=TakeDemoCredit::url() data-done=t.demo_taken()><Submit label=t.demo_take() kind=Kind::Primary/></form>
            </section>
        }
    });
    let wallet = exchange.settings().network.as_ref();
    let channels = match wallet {
        Some(chain) => Some(channels::section(
            &exchange.channels(actor).await?,
            chain,
            t,
        )),
        None => None,
    };
    let wallet = wallet.map(|chain| from_wallet(chain, t));
    let faucet = faucet.map(|most| ask_faucet(most, &deposits, t));
    let no_way = (demo.is_none()
        && faucet.is_none()
        && deposits.is_empty()
        && exchange.settings().network.is_none())
    .then(|| notice(Tone::Idle, t.topup_none()));
    let reading = reading(&balance.meter, t);
    let disputed = (!balance.disputed.is_zero()).then(|| {
        view! { <div><dt>{t.book_disputed()}</dt><dd>{format::io(balance.disputed)}</dd></div> }
    });
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            <div>
                <dl class="figures">
                    <div><dt>{t.book_available()}</dt><dd>{format::io(balance.available)}</dd></div>
                    <div><dt>{t.book_held()}</dt><dd>{format::io(balance.held)}</dd></div>
                    <div><dt>{t.book_earned()}</dt><dd>{format::io(balance.earned)}</dd></div>
                    <div><dt>{t.book_withdrawable()}</dt><dd>{format::io(balance.withdrawable)}</dd></div>
                    {disputed}
                </dl>
                <div class="panel-meter mt-4"><Meter reading=Signal::stored(reading)/></div>
                <p class="hint prose mt-3">{t.billing_note()}</p>
            </div>
            {demo}
            {wallet}
            {channels}
            {faucet}
            {no_way}
            {budgets(&limits, t)}
            {deposit_list(&exchange, &deposits, t)}
        </div>
    }
    .into_any())
}

fn from_wallet(chain: &exchange::Network, t: &'static Words) -> AnyView {
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="wallet-deposit" data-deposit="">
            <h2>{t.deposit_wallet_title()}</h2>
            <p class="prose">{t.deposit_wallet_text()}</p>
            <Field name="amount" id="wallet-amount" label=t.col_amount() unit="IO" input_mode="decimal"/>
            {block(&Purpose::Deposit, chain, t)}
        </section>
    }
    .into_any()
}

fn ask_faucet(most: kernel::Amount, deposits: &[DepositView], t: &'static Words) -> AnyView {
    let fault = Post::to::<RequestCredit>().fault();
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="faucet">
            <h2>{t.faucet_title()}</h2>
            <p class="prose">{fill(t.faucet_text(), &[&format::io(most)])}</p>
            {form_fault(fault, &["amount"])}
            <form method="post" action=RequestCredit::url() data-done=t.faucet_asked() class="row-actions items-end">
                {crate::pages::after(deposits.first().map(|last| last.id.to_string()))}
                <Field name="amount" id="faucet-amount" label=t.col_amount() unit="IO" input_mode="decimal" required=true
                    error=field_error(fault, "amount")/>
                <Submit label=t.faucet_ask()/>
            </form>
        </section>
    }
    .into_any()
}

fn budgets(view: &LimitsView, t: &'static Words) -> AnyView {
    let fault = Post::to::<SetLimits>().fault();
    let limits = view.limits;
    let number =
        |limit: Option<kernel::Amount>| limit.map(kernel::Amount::to_io).unwrap_or_default();
    let used = |amount| fill(t.limits_used(), &[&format::io(amount)]);
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="budgets">
            <h2>{t.limits_title()}</h2>
            <p class="prose">{t.limits_text()}</p>
            <p>{fill(t.limits_left(), &[&format::io(view.left)])}</p>
            {form_fault(fault, &["keep", "per_day", "per_month"])}
            <form method="post" action=SetLimits::url() data-done=t.limits_saved() class="grid gap-4 max-w-md">
                <Field name="keep" label=t.limits_keep() unit="IO" input_mode="decimal" value=number(limits.keep)
                    hint=t.limits_keep_hint() error=field_error(fault, "keep")/>
                <Field name="per_day" label=t.limits_day() unit="IO" input_mode="decimal" value=number(limits.per_day)
                    hint=used(view.today) error=field_error(fault, "per_day")/>
                <Field name="per_month" label=t.limits_month() unit="IO" input_mode="decimal" value=number(limits.per_month)
                    hint=used(view.month) error=field_error(fault, "per_month")/>
                <Submit label=t.limits_save()/>
            </form>
        </section>
    }
    .into_any()
}

fn deposit_list(exchange: &Exchange, deposits: &[DepositView], t: &'static Words) -> AnyView {
    if deposits.is_empty() {
        return ().into_any();
    }
    let rows = deposits
        .iter()
        .map(|deposit| {
            let demo = deposit.demo.then(|| tag(t.deposit_demo()));
            let said = match &deposit.reference {
                Some(reference) if deposit.note.is_empty() => {
                    on_chain::reference(exchange, reference)
                }
                _ => deposit.note.clone().into_any(),
            };
            row(vec![
                Cell::title(
                    view! { <span class="flex items-center gap-2">{format::io(deposit.amount)}{demo}</span> },
                ),
                Cell::new(t.col_state(), wording::deposit_state(deposit.state, t)),
                Cell::new(t.col_note(), said),
                Cell::end(t.col_when(), format::moment(deposit.requested_at)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_amount()),
        Column::new(t.col_state()),
        Column::new(t.col_note()),
        Column::end(t.col_when()),
    ];
    view! { <section><h2 class="mb-3">{t.deposits_title()}</h2>{table(t.deposits_title(), columns, rows)}</section> }
        .into_any()
}
