//! Payouts of all accounts, and what waits for a second admin.

use exchange::{Actor, Exchange};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{ApprovalAction, ApprovalView, PayoutStep, PayoutView};

use super::{Saying, button};
use crate::api::admin::{DecideProposal, MovePayout, Propose};
use crate::api::{Post, exchange};
use crate::components::{Parts, Tone, notice};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::{on_chain, wording};

pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let payouts = exchange.all_payouts(actor).await?;
    let approvals = exchange.approvals(actor).await?;
    let (ttl, now) = (exchange.settings().approval_ttl, exchange.now());
    let waiting: Vec<&ApprovalView> = approvals
        .iter()
        .filter(|approval| {
            let over = approval.proposed_at.plus(ttl) <= now;
            approval.decided_at.is_none() && !approval.dropped && !over
        })
        .collect();
    let proposals = (!waiting.is_empty()).then(|| {
        let cards = waiting.iter().map(|approval| proposal(approval, t)).parts();
        view! { <section class="grid grid-cols-1 gap-3"><h2>{t.admin_proposals()}</h2>{cards}</section> }
    });
    let list = if payouts.is_empty() {
        notice(Tone::Idle, t.admin_no_payouts())
    } else {
        payouts
            .iter()
            .map(|payout| card(&exchange, payout, t))
            .parts()
    };
    let refused = [
        Post::to::<MovePayout>(),
        Post::to::<Propose>(),
        Post::to::<DecideProposal>(),
    ]
    .map(|post| form_fault(post.fault(), &[]));
    Ok(
        view! { <div class="grid grid-cols-1 gap-4">{refused.into_iter().parts()}{proposals}{list}</div> }
            .into_any(),
    )
}

fn proposal(approval: &ApprovalView, t: &'static Words) -> AnyView {
    let id = approval.id.to_string();
    let payout = format::short_id(&approval.payout.to_string());
    let what = match approval.action {
        ApprovalAction::FreezePayout => fill(t.admin_proposal_freeze(), &[&payout]),
        ApprovalAction::ThawPayout => fill(t.admin_proposal_thaw(), &[&payout]),
    };
    let decide = |confirm: bool, word| {
        let fields = [("id", id.clone()), ("confirm", confirm.to_string())];
        button(DecideProposal::url(), &fields, word, t.admin_decided())
    };
    view! {
        <div class="card grid grid-cols-1 gap-2" data-key=id.clone()>
            <p class="font-medium">{what}</p>
            <p>{approval.reason.clone()}</p>
            <p class="hint">{fill(t.admin_proposed_by(), &[&approval.proposed_by])}" · "{format::moment(approval.proposed_at)}</p>
            <div class="row-actions">{decide(true, t.admin_confirm())}{decide(false, t.admin_drop())}</div>
        </div>
    }
    .into_any()
}

fn card(exchange: &Exchange, payout: &PayoutView, t: &'static Words) -> AnyView {
    let id = payout.id.to_string();
    let fact = |label: &'static str, value: String, class: &'static str| {
        view! { <div class="contents"><dt>{label}</dt><dd class=class>{value}</dd></div> }
    };
    let may = |step| payout.state.step(step).is_ok();
    let step = |step: &str, word, done| {
        let fields = [("id", id.clone()), ("step", step.to_owned())];
        button(MovePayout::url(), &fields, word, done)
    };
    let saying = |step: &str, label, word, done| {
        Saying {
            id: &format!("{id}-{step}"),
            action: MovePayout::url(),
            fields: &[("id", id.clone()), ("step", step.to_owned())],
            name: "text",
            label,
            word,
            done,
        }
        .view()
    };
    let propose = |action: ApprovalAction, word| {
        Saying {
            id: &format!("{id}-{}", action.as_str()),
            action: Propose::url(),
            fields: &[("payout", id.clone()), ("what", action.as_str().to_owned())],
            name: "reason",
            label: t.admin_why(),
            word,
            done: t.admin_proposed(),
        }
        .view()
    };
    let plain = view! {
        <div class="row-actions">
            {may(PayoutStep::Approve).then(|| step("approve", t.admin_approve(), t.admin_approved()))}
            {may(PayoutStep::Confirm).then(|| step("confirm", t.admin_confirm_paid(), t.admin_was_paid()))}
        </div>
    };
    let more = view! {
        {may(PayoutStep::Send).then(|| saying("send", t.admin_send(), t.admin_mark_sent(), t.admin_was_sent()))}
        {may(PayoutStep::Fail).then(|| saying("fail", t.admin_why(), t.admin_mark_failed(), t.admin_was_failed()))}
        {may(PayoutStep::Refuse).then(|| saying("refuse", t.admin_why(), t.admin_refuse(), t.admin_refused()))}
        {may(PayoutStep::Freeze).then(|| propose(ApprovalAction::FreezePayout, t.admin_freeze()))}
        {may(PayoutStep::Thaw).then(|| propose(ApprovalAction::ThawPayout, t.admin_thaw()))}
    };
    let reference = payout.reference.as_ref().map(|reference| {
        let shown = on_chain::reference(exchange, reference);
        view! { <div class="contents"><dt>{t.col_reference()}</dt><dd>{shown}</dd></div> }
    });
    let said = (!payout.note.is_empty()).then(|| fact(t.col_note(), payout.note.clone(), ""));
    let decide = (!payout.state.is_final()).then(|| {
        view! {
            {plain}
            <details data-key=format!("steps-{id}")>
                <summary class="legend min-h-11 flex items-center">{t.admin_payout_steps()}</summary>
                <div class="grid gap-3 mt-2">{more}</div>
            </details>
        }
    });
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key=id.clone()>
            <div class="row-actions justify-between"><h2>{format::io(payout.amount)}</h2>{wording::payout_state(payout.state, t)}</div>
            <dl class="facts">
                <div class="contents"><dt>{t.col_account()}</dt><dd>{on_chain::who(payout.email.as_deref().unwrap_or_default())}</dd></div>
                {fact(t.col_wallet(), payout.address.clone(), "mono")}
                {fact("ID", id.clone(), "mono")}
                {fact(t.col_asked(), format::moment(payout.requested_at), "")}
                {reference}
                {said}
            </dl>
            {decide}
        </section>
    }
    .into_any()
}
