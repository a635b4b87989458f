//! What admins decide. Each door asks the exchange, which refuses everybody else.

use leptos::prelude::*;

use crate::fault::Fault;

#[server(prefix = "/fn", endpoint = "reconcile")]
pub async fn reconcile() -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.reconcile_now(&actor).await?;
    super::answer_form("/admin");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "close-incident")]
pub async fn close_incident(id: String, note: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?.close_incident(&actor, id, &note).await?;
    super::answer_form("/admin");
    Ok(())
}

/// `step`: approve, send, confirm, fail or refuse. `text` is a reference for `send`, and why for the last two.
#[server(prefix = "/fn", endpoint = "move-payout")]
pub async fn move_payout(id: String, step: String, text: Option<String>) -> Result<(), Fault> {
    use exchange::PayoutMove as Move;

    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    let text = text.unwrap_or_default();
    let change = match step.as_str() {
        "approve" => Move::Approve,
        "send" => Move::Send { reference: text },
        "confirm" => Move::Confirm,
        "fail" => Move::Fail { why: text },
        "refuse" => Move::Refuse { why: text },
        _ => return Err(protocol::Problem::field("step", "no such step").into()),
    };
    super::exchange()?
        .move_payout(&actor, id, change, None)
        .await?;
    super::answer_form("/admin?tab=payouts");
    Ok(())
}

/// The first of two admins. `what`: not `action`, since a field of that name hides the form's own address from scripts.
#[server(prefix = "/fn", endpoint = "propose")]
pub async fn propose(payout: String, what: String, reason: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let action = protocol::money::ApprovalAction::parse(&what)
        .ok_or_else(|| protocol::Problem::field("what", "no such action"))?;
    let payout = super::parse_id(&payout)?;
    super::exchange()?
        .propose(&actor, payout, action, &reason)
        .await?;
    super::answer_form("/admin?tab=payouts");
    Ok(())
}

/// The second, or anybody of them who drops it.
#[server(prefix = "/fn", endpoint = "decide-proposal")]
pub async fn decide_proposal(id: String, confirm: bool) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?
        .decide_proposal(&actor, id, confirm)
        .await?;
    super::answer_form("/admin?tab=payouts");
    Ok(())
}

/// `decision`: credit or refuse; `why` says why it is refused. An empty field must never decide for money.
#[server(prefix = "/fn", endpoint = "decide-deposit")]
pub async fn decide_deposit(
    id: String,
    decision: String,
    #[server(default)] why: String,
) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    let refused = match decision.as_str() {
        "credit" => None,
        "refuse" => Some(why.as_str()),
        _ => return Err(protocol::Problem::field("decision", "credit or refuse").into()),
    };
    super::exchange()?
        .decide_deposit(&actor, id, refused, None)
        .await?;
    super::answer_form("/admin?tab=deposits");
    Ok(())
}

/// Says whose a deposit is that named nobody. The deposit's id is there once: a second press finds nothing to claim.
#[server(prefix = "/fn", endpoint = "claim-deposit")]
pub async fn claim_deposit(id: String, email: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?
        .claim_deposit(&actor, id, &email, None)
        .await?;
    super::answer_form("/admin?tab=deposits");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "record-deposit")]
pub async fn record_deposit(email: String, amount: String, reference: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let amount = super::amount("amount", &amount)?;
    super::exchange()?
        .record_deposit(&actor, &email, amount, &reference, None)
        .await?;
    super::answer_form("/admin?tab=deposits");
    Ok(())
}

/// `refund`: a decimal number of IO; 0 decides for the owner.
#[server(prefix = "/fn", endpoint = "rule")]
pub async fn rule(id: String, refund: String, ruling: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    let refund = super::amount("refund", &refund)?;
    super::exchange()?
        .rule(&actor, id, refund, &ruling, None)
        .await?;
    super::answer_form("/admin?tab=disputes");
    Ok(())
}
