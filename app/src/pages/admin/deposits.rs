//! Deposits and requests of the demo's faucet, of all accounts.

use exchange::{Actor, Exchange};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{DepositStep, DepositView};

use super::{Saying, button};
use crate::api::admin::{DecideDeposit, RecordDeposit};
use crate::api::{Post, exchange};
use crate::components::{Field, Parts, Submit, Tone, notice, tag};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::Words;
use crate::pages::{field_error, on_chain, wording};

pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let deposits = exchange.all_deposits(actor).await?;
    let list = if deposits.is_empty() {
        notice(Tone::Idle, t.admin_no_deposits())
    } else {
        deposits
            .iter()
            .map(|deposit| card(&exchange, deposit, t))
            .parts()
    };
    let unclaimed = super::unclaimed::view(actor, t).await?;
    let fault = Post::to::<RecordDeposit>().fault();
    Ok(view! {
        <div class="grid grid-cols-1 gap-4">
            {form_fault(Post::to::<DecideDeposit>().fault(), &[])}
            {unclaimed}
            {list}
            <section class="card grid grid-cols-1 gap-3" data-key="record">
                <h2>{t.admin_record()}</h2>
                <p class="prose">{t.admin_record_text()}</p>
                {form_fault(fault, &["email", "amount", "reference"])}
                <form method="post" action=RecordDeposit::url() data-done=t.admin_recorded() class="grid gap-3 max-w-md">
                    <Field name="email" label=t.email() required=true error=field_error(fault, "email")/>
                    <Field name="amount" label=t.col_amount() unit="IO" input_mode="decimal" required=true error=field_error(fault, "amount")/>
                    <Field name="reference" label=t.col_reference() required=true error=field_error(fault, "reference")/>
                    <Submit label=t.admin_record()/>
                </form>
            </section>
        </div>
    }
    .into_any())
}

fn card(exchange: &Exchange, deposit: &DepositView, t: &'static Words) -> AnyView {
    let id = deposit.id.to_string();
    let demo = deposit.demo.then(|| tag(t.deposit_demo()));
    let said = (!deposit.note.is_empty()).then(|| view! { <p>{deposit.note.clone()}</p> });
    let came_in = deposit.reference.as_ref().map(|reference| {
        view! { <p class="hint">{t.col_reference()}" "{on_chain::reference(exchange, reference)}</p> }
    });
    let decide = deposit.state.step(DepositStep::Credit).is_ok().then(|| {
        let refuse = Saying {
            id: &id,
            action: DecideDeposit::url(),
            fields: &[("id", id.clone()), ("decision", "refuse".to_owned())],
            name: "why",
            label: t.admin_why(),
            word: t.admin_refuse(),
            done: t.admin_refused(),
        };
        view! {
            {button(DecideDeposit::url(), &[("id", id.clone()), ("decision", "credit".to_owned())], t.admin_credit(), t.admin_credited())}
            {refuse.view()}
        }
    });
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key=id.clone()>
            <div class="row-actions justify-between">
                <h2 class="flex items-center gap-2">{format::io(deposit.amount)}{demo}</h2>
                {wording::deposit_state(deposit.state, t)}
            </div>
            <p>{on_chain::who(deposit.email.as_deref().unwrap_or_default())}<span class="hint">" · "{format::moment(deposit.requested_at)}</span></p>
            {came_in}
            {said}
            {decide}
        </section>
    }
    .into_any()
}
