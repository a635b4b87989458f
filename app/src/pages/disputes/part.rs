//! The form for a new dispute, and the disputes so far, as the server writes them.

use kernel::{JobId, LeaseId};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{DisputeState, DisputeView};

use crate::api::disputes::{AddEvidence, OpenDispute, WithdrawDispute};
use crate::api::{Post, actor, exchange, parse_id};
use crate::components::{Field, Parts, Submit, TextField, empty};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, locale, told, words};
use crate::pages::{Asked, field_error, wording};

/// `query` may name a receipt to contest: `job`, `lease` and `seq`.
pub async fn part(query: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let t = words();
    let asked = Asked::of(query);
    let disputes = exchange.disputes(&actor).await?;
    let mut form = ().into_any();
    if let (Some(job), Some(lease), Some(seq)) =
        (asked.get("job"), asked.get("lease"), asked.get("seq"))
    {
        let job: JobId = parse_id(&job)?;
        let lease: LeaseId = parse_id(&lease)?;
        let seq: u64 = parse_id(&seq)?;
        let is_open = disputes
            .iter()
            .any(|dispute| (dispute.lease, dispute.seq) == (lease, seq));
        let receipts = exchange.receipts(&actor, job).await?;
        let receipt = receipts
            .iter()
            .find(|view| view.receipt.lease == lease && view.receipt.seq == seq);
        if let Some(receipt) = receipt.filter(|_| !is_open) {
            form = new(lease, seq, receipt.charged, t);
        }
    }
    let refused = form_fault(Post::to::<WithdrawDispute>().fault(), &[]);
    let list = if disputes.is_empty() {
        empty(
            t.disputes_none(),
            t.disputes_none_text(),
            Some((t.nav_jobs(), "/jobs".to_owned())),
        )
    } else {
        let cards = disputes.iter().map(|dispute| {
            let owner = dispute.job.is_none();
            card(dispute, owner, false, t)
        });
        cards.parts()
    };
    Ok(view! { <div class="grid grid-cols-1 gap-6">{form}{refused}{list}</div> }.into_any())
}

fn new(lease: LeaseId, seq: u64, paid: kernel::Amount, t: &'static Words) -> AnyView {
    let fault = Post::to::<OpenDispute>().fault();
    let short = format::short_id(&lease.to_string());
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="new-dispute">
            <h2>{fill(t.dispute_new(), &[&seq.to_string(), &short])}</h2>
            <p class="prose">{fill(t.dispute_paid(), &[&format::io(paid)])}</p>
            {form_fault(fault, &["claimed", "reason"])}
            <form method="post" action=OpenDispute::url() data-done=t.dispute_opened() data-back="/disputes" class="grid gap-3 max-w-xl">
                <input type="hidden" name="lease" value=lease.to_string()/>
                <input type="hidden" name="seq" value=seq.to_string()/>
                <Field name="claimed" label=t.dispute_claimed() unit="IO" input_mode="decimal" hint=t.dispute_claimed_hint()
                    error=field_error(fault, "claimed")/>
                <TextField name="reason" label=t.dispute_reason() rows=4 error=field_error(fault, "reason")/>
                <Submit label=t.dispute_open()/>
            </form>
        </section>
    }
    .into_any()
}

/// One dispute. `admin`: in the console, where the answer leads back to.
pub fn card(dispute: &DisputeView, owner: bool, admin: bool, t: &'static Words) -> AnyView {
    let id = dispute.id.to_string();
    let short = format::short_id(&dispute.lease.to_string());
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let job = dispute.job.map(|job| {
        let job = job.to_string();
        let shown = format::short_id(&job);
        // An admin cannot open another's job.
        let word = if admin {
            shown.into_any()
        } else {
            view! { <a class="mono" href=format!("/jobs/{job}?tab=receipts")>{shown}</a> }
                .into_any()
        };
        view! { <div class="contents"><dt>{t.col_job()}</dt><dd>{word}</dd></div> }
    });
    let sides = dispute
        .parties
        .as_ref()
        .map(|[one, other]| view! { <p class="hint">{fill(t.dispute_sides(), &[one, other])}</p> });
    let said = dispute
        .evidence
        .iter()
        .map(|said| {
            view! {
                <li>
                    <p class="font-medium">{wording::party(said.by, t)}</p>
                    <p class="mono whitespace-pre-wrap">{said.text.clone()}</p>
                    <p class="hint"><time datetime=said.at.to_string()>{format::moment(said.at)}</time></p>
                </li>
            }
        })
        .parts();
    let decided = dispute.decided_at.map(|at| {
        if dispute.state == DisputeState::Withdrawn {
            return fact(t.dispute_withdrawn(), format::moment(at)).into_any();
        }
        view! {
            {fact(t.dispute_refunded(), format::io(dispute.refunded))}
            {fact(t.dispute_ruling(), format!("{} ({})", told(&dispute.ruling, locale()), format::moment(at)))}
        }
        .into_any()
    });
    let open = dispute.state == DisputeState::Open;
    let add = open.then(|| {
        let field = format!("text-{id}");
        view! {
            <details data-key=format!("add-{id}")>
                <summary class="legend min-h-11 flex items-center">{t.dispute_add()}</summary>
                <form method="post" action=AddEvidence::url() data-done=t.dispute_added() class="grid gap-3 mt-2 max-w-xl">
                    <input type="hidden" name="id" value=id.clone()/>
                    <input type="hidden" name="admin" value=admin.to_string()/>
                    <div class="field"><label for=field.clone()>{t.dispute_add()}</label>
                        <textarea class="input" id=field name="text" rows="3" required maxlength="2000"></textarea></div>
                    <Submit label=t.dispute_add()/>
                </form>
            </details>
        }
    });
    let withdraw = (open && !owner && !admin).then(|| {
        view! {
            <form method="post" action=WithdrawDispute::url() data-done=t.dispute_withdrawn()>
                <input type="hidden" name="id" value=id.clone()/>
                <button class="btn" type="submit">{t.dispute_withdraw()}</button>
            </form>
        }
    });
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key=id.clone()>
            <div class="row-actions justify-between">
                <h2>{fill(t.dispute_of_receipt(), &[&dispute.seq.to_string(), &short])}</h2>
                {wording::dispute_state(dispute.state, t)}
            </div>
            {sides}
            <dl class="facts">
                {job}
                {fact(t.dispute_was_paid(), format::io(dispute.paid))}
                {fact(t.dispute_claim(), format::io(dispute.claimed))}
                {fact(t.dispute_set_aside(), format::io(dispute.set_aside))}
                {fact(t.dispute_opened_at(), format::moment(dispute.opened_at))}
                {decided}
            </dl>
            <div><h3 class="mb-2">{t.dispute_evidence()}</h3><ol class="timeline">{said}</ol></div>
            {add}
            {withdraw}
        </section>
    }
    .into_any()
}
