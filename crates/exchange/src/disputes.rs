//! Disputes: a requester contests a receipt, both sides say what they know, an admin decides, and the ruling is posted as
//! new transfers. Nothing that was posted is ever changed.

use kernel::{Amount, DisputeId, LeaseId, Seconds};
use ledger::plans::Contested;
use ledger::{BookId, LedgerError};
use metering::receipt;
use protocol::audit::AuditAction;
use protocol::money::{DisputeState, DisputeStep, DisputeView, EvidenceView, Party};
use protocol::notice::Notice;
use protocol::view::{Page, Receipt, Scope};
use store::{Dispute, Lease, Tx};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use crate::once::Once;
use crate::payouts::page;
use crate::prose::prose;

const OPEN_ROUTE: &str = "POST /api/v1/disputes";
const WITHDRAW_ROUTE: &str = "POST /api/v1/disputes/{id}/withdraw";
const RULE_ROUTE: &str = "POST /api/v1/admin/disputes/{id}/ruling";
const TEXT_MAX: usize = 4_000;
const EVIDENCE_MAX: u64 = 40;
const SHOWN: u32 = 200;

fn text(field: &str, text: &str) -> Result<String, Error> {
    let asked = format!("1 to {TEXT_MAX} characters");
    prose(field, text, TEXT_MAX, &asked)
}

/// In days where it is whole ones, or in seconds.
fn span(time: Seconds) -> String {
    match (time.get() / 86_400, time.get() % 86_400) {
        (1, 0) => "a day".to_owned(),
        (days, 0) if days > 0 => format!("{days} days"),
        _ => format!("{} seconds", time.get()),
    }
}

fn contested(dispute: &Dispute) -> Contested {
    Contested {
        id: dispute.id,
        requester: dispute.account,
        owner: dispute.owner,
        job: dispute.job,
        paid: dispute.paid,
        owner_part: dispute.owner_part,
        set_aside: dispute.set_aside,
        unmatured: dispute.unmatured,
    }
}

/// How an account stands to a dispute.
fn party(dispute: &Dispute, actor: &Actor) -> Option<Party> {
    if dispute.account == actor.account {
        Some(Party::Requester)
    } else if dispute.owner == actor.account {
        Some(Party::Owner)
    } else {
        None
    }
}

impl Exchange {
    /// Contests a receipt: what it added to the one before. Of the owner's earnings the share in the claim is set aside
    /// until it is decided. `claimed`: all that was paid for it, if absent.
    ///
    /// # Errors
    /// Not of a job of this account; nothing was paid for it; its time is over; it was contested before.
    pub async fn open_dispute(
        &self,
        actor: &Actor,
        lease: LeaseId,
        seq: u64,
        claimed: Option<Amount>,
        reason: &str,
        key: Option<&str>,
    ) -> Result<DisputeView, Error> {
        actor.require(Scope::Jobs)?;
        let once = Once::new(OPEN_ROUTE, key, &(lease, seq, claimed, reason))?;
        let reason = text("reason", reason)?;
        // What has matured of a lease, and what of it was taken, change under the desk.
        let _turn = self.inner.desk.lock().await;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let lease = self.inner.store.lease(lease).await?;
        let lease = lease.filter(|lease| lease.account == actor.account);
        let lease = lease.ok_or(Error::NotFound("the lease"))?;
        let pair = tx.receipt_pair(lease.id, seq).await?;
        let now = self.now();
        let (receipt, paid, posted_at) = pair
            .first()
            .filter(|(receipt, _, _)| receipt.seq == seq)
            .ok_or(Error::NotFound("the receipt"))?;
        let window = self.inner.settings.dispute_window;
        if posted_at.plus(window) <= now {
            return Err(Error::Conflict(format!(
                "a receipt can be contested for {} after it was posted",
                span(window)
            )));
        }
        let claimed = claimed.unwrap_or(*paid);
        if paid.is_zero() {
            return Err(Error::Conflict("nothing was paid for this receipt".into()));
        }
        if claimed.is_zero() || claimed > *paid {
            return Err(Error::invalid(
                "claimed",
                format!("more than nothing and at most {paid}, which was paid for it"),
            ));
        }
        // Seconds are given back once, unasked or by a ruling.
        let refunds = tx.refunds_of(lease.id).await?;
        let seconds = refunds.iter().map(|refund| refund.seconds).max();
        if let Some(seconds) = seconds
            && receipt.seconds > lease.head.seconds.minus_or_zero(seconds)
        {
            return Err(Error::Conflict(format!(
                "the last {} seconds of this machine were given back already, and this receipt is among them",
                seconds.get()
            )));
        }
        // Of a lease never more is given back than was paid for it, unasked or by a ruling.
        let back = tx.given(lease.id).await?.back;
        let left = lease.charged.minus_or_zero(back);
        if claimed > left {
            return Err(Error::Conflict(format!(
                "of what was paid for this machine {back} was given back already or is contested; at most {left} can be claimed"
            )));
        }
        let most = self.inner.settings.disputes_open_max;
        if tx.count_open_disputes(actor.account).await? >= most {
            return Err(Error::Conflict(format!(
                "{most} disputes of yours are open, as many as may be; wait until one is decided"
            )));
        }
        let before = pair.get(1).map_or(Seconds::ZERO, |(r, _, _)| r.seconds);
        let total = lease.fees.charge(lease.price, receipt.seconds)?;
        let part = total.since(lease.fees.charge(lease.price, before)?)?;
        let mut dispute = Dispute {
            id: DisputeId::new(now, self.random()),
            account: lease.account,
            owner: lease.owner,
            job: lease.job,
            lease: lease.id,
            seq,
            paid: *paid,
            owner_part: part.owner_gets,
            claimed,
            set_aside: Amount::ZERO,
            unmatured: Amount::ZERO,
            refunded: Amount::ZERO,
            state: DisputeState::Open,
            opened_at: now,
            decided_at: None,
            decided_by: None,
            ruling: String::new(),
        };
        let shown = self.shown(&lease, receipt, before, *paid);
        self.set_earnings_aside(&mut tx, &mut dispute).await?;
        for (by, who, said) in [
            (Party::Requester, Some(actor.account), reason),
            (Party::Platform, None, shown.await?),
        ] {
            let said = EvidenceView {
                by,
                at: now,
                text: said,
            };
            tx.add_evidence(dispute.id, who, &said).await?;
        }
        self.tell_sides(&mut tx, &dispute).await?;
        let view = view(&dispute, Some(Party::Requester));
        once.answer(self, &mut tx, actor, &view).await?;
        tx.commit().await?;
        tracing::info!(dispute = %dispute.id, lease = %lease.id, seq, "a receipt is contested");
        Ok(view)
    }

    /// As much of the owner's share as is still here: first what this lease's earnings have not matured, then the rest.
    async fn set_earnings_aside(&self, tx: &mut Tx, dispute: &mut Dispute) -> Result<(), Error> {
        let share = contested(dispute).owner_share(dispute.claimed);
        let maturity = tx.maturity(dispute.lease).await?;
        let maturity = maturity.ok_or(Error::NotFound("the lease"))?;
        let open = maturity.earned.minus_or_zero(maturity.matured);
        let from_earned = share.min(open);
        let there = tx.balance(BookId::Withdrawable(dispute.owner)).await?;
        let from_matured = share.minus_or_zero(from_earned).min(there);
        dispute.set_aside = from_earned.checked_add(from_matured)?;
        dispute.unmatured = from_earned;
        tx.insert_dispute(dispute).await.map_err(|error| {
            if error.is_conflict() {
                Error::Conflict(
                    "this receipt was contested before; each can be contested once".into(),
                )
            } else {
                error.into()
            }
        })?;
        // What is taken here does not mature until it comes back.
        let matured = maturity.matured.checked_add(from_earned)?;
        tx.put_matured(dispute.lease, matured, dispute.opened_at)
            .await?;
        let plan = contested(dispute).open(from_earned);
        self.post_all(tx, &plan, dispute.opened_at).await?;
        Ok(())
    }

    /// What the platform's own records show of a receipt.
    async fn shown(
        &self,
        lease: &Lease,
        receipt: &Receipt,
        before: Seconds,
        paid: Amount,
    ) -> Result<String, Error> {
        let worker = self.inner.store.node_key(lease.node).await?;
        let worker = worker.and_then(|key| receipt::public_key(&key).ok());
        let word = |holds: bool| if holds { "verifies" } else { "DOES NOT VERIFY" };
        let by_worker = worker.is_some_and(|key| receipt::verify_worker(receipt, &key).is_ok());
        let platform = self.inner.key.verifying_key();
        let by_platform = receipt::verify_platform(receipt, &platform).is_ok();
        let until = lease
            .ended_at
            .map_or_else(|| "now".to_owned(), |at| at.to_string());
        Ok(format!(
            "Receipt {} of {}, epoch {}: the worker's signature {}, the platform's {}. It says {} to {} s; {} was paid for it. \
             The lease was given at {}, its run began at {} and it lasted until {}.",
            receipt.seq,
            lease.id,
            receipt.epoch.get(),
            word(by_worker),
            word(by_platform),
            before.get(),
            receipt.seconds.get(),
            paid,
            lease.granted_at,
            lease
                .started_at
                .map_or_else(|| "no time that is known".to_owned(), |at| at.to_string()),
            until,
        ))
    }

    /// Those that the account opened, or that are about its devices; newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn disputes(&self, actor: &Actor) -> Result<Vec<DisputeView>, Error> {
        Ok(self.disputes_page(actor, None, SHOWN).await?.items)
    }

    /// The same page by page.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn disputes_page(
        &self,
        actor: &Actor,
        before: Option<DisputeId>,
        limit: u32,
    ) -> Result<Page<DisputeView>, Error> {
        actor.require(Scope::Read)?;
        let store = &self.inner.store;
        let all = store.disputes(actor.account, before, limit).await?;
        let mut views = Vec::with_capacity(all.len());
        for dispute in &all {
            views.push(DisputeView {
                evidence: store.evidence(dispute.id).await?,
                ..view(dispute, party(dispute, actor))
            });
        }
        Ok(page(views, limit, |dispute| dispute.id))
    }

    /// One, with all that was said in it.
    ///
    /// # Errors
    /// The key lacks `read`; this account is no side of it, unless an admin asks.
    pub async fn dispute(&self, actor: &Actor, id: DisputeId) -> Result<DisputeView, Error> {
        actor.require(Scope::Read)?;
        let store = &self.inner.store;
        let found = store.dispute(id).await?;
        let (dispute, parties) = found.ok_or(Error::NotFound("the dispute"))?;
        let admin = actor.require_admin().is_ok();
        let reader = party(&dispute, actor).or(admin.then_some(Party::Admin));
        if reader.is_none() {
            return Err(Error::NotFound("the dispute"));
        }
        Ok(DisputeView {
            evidence: store.evidence(id).await?,
            parties: (reader == Some(Party::Admin)).then_some(parties),
            ..view(&dispute, reader)
        })
    }

    /// Of all accounts; the open ones first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn all_disputes(&self, actor: &Actor) -> Result<Vec<DisputeView>, Error> {
        actor.require_admin()?;
        let all = self.inner.store.all_disputes(SHOWN).await?;
        self.whole_disputes(all).await
    }

    /// Of all accounts, newest first, page by page: the open ones, the decided ones, or both.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn find_disputes(
        &self,
        actor: &Actor,
        open: Option<bool>,
        before: Option<DisputeId>,
        limit: u32,
    ) -> Result<Page<DisputeView>, Error> {
        actor.require_admin()?;
        let found = self.inner.store.find_disputes(open, before, limit).await?;
        let views = self.whole_disputes(found).await?;
        Ok(page(views, limit, |dispute| dispute.id))
    }

    /// As an admin sees them.
    async fn whole_disputes(
        &self,
        all: Vec<(Dispute, [String; 2])>,
    ) -> Result<Vec<DisputeView>, Error> {
        let mut views = Vec::with_capacity(all.len());
        for (dispute, parties) in all {
            views.push(DisputeView {
                evidence: self.inner.store.evidence(dispute.id).await?,
                parties: Some(parties),
                ..view(&dispute, Some(Party::Admin))
            });
        }
        Ok(views)
    }

    /// Adds what a side, or an admin, knows.
    ///
    /// # Errors
    /// Not a side of it; decided already; too much was said.
    pub async fn add_evidence(
        &self,
        actor: &Actor,
        id: DisputeId,
        said: &str,
    ) -> Result<(), Error> {
        actor.require_person()?;
        let said = text("text", said)?;
        let mut tx = self.inner.store.begin().await?;
        let dispute = tx
            .dispute(id)
            .await?
            .ok_or(Error::NotFound("the dispute"))?;
        let admin = || actor.require_admin().is_ok().then_some(Party::Admin);
        let by = party(&dispute, actor).or_else(admin);
        let by = by.ok_or(Error::NotFound("the dispute"))?;
        if dispute.state != DisputeState::Open {
            return Err(Error::Conflict("it is decided already".into()));
        }
        let said = EvidenceView {
            by,
            at: self.now(),
            text: said,
        };
        let before = tx.add_evidence(id, Some(actor.account), &said).await?;
        if before >= EVIDENCE_MAX {
            return Err(Error::TooLarge(format!(
                "{EVIDENCE_MAX} texts were added to it, as many as may be"
            )));
        }
        Ok(tx.commit().await?)
    }

    /// The requester takes it back: what was set aside is the owner's again, and waits if it waited before.
    ///
    /// # Errors
    /// Not this account's; decided already; the lease's earnings wait for a check.
    pub async fn withdraw_dispute(
        &self,
        actor: &Actor,
        id: DisputeId,
        key: Option<&str>,
    ) -> Result<DisputeView, Error> {
        actor.require(Scope::Jobs)?;
        let once = Once::new(WITHDRAW_ROUTE, key, &id)?;
        let _turn = self.inner.desk.lock().await;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let dispute = tx.dispute(id).await?;
        let dispute = dispute.filter(|dispute| dispute.account == actor.account);
        let dispute = dispute.ok_or(Error::NotFound("the dispute"))?;
        let (step, nothing) = (DisputeStep::Withdraw, Amount::ZERO);
        let dispute = self
            .decide(&mut tx, actor, dispute, step, nothing, String::new())
            .await?;
        let view = view(&dispute, Some(Party::Requester));
        once.answer(self, &mut tx, actor, &view).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// An admin's ruling: a refund, in full or in part, or none. Both sides read its reason; it is final.
    ///
    /// # Errors
    /// Not an admin, or one of the sides; more than was claimed; the platform's books do not cover its share; the lease's
    /// earnings wait for a check, and some of them would be the owner's again.
    pub async fn rule(
        &self,
        actor: &Actor,
        id: DisputeId,
        refund: Amount,
        reason: &str,
        key: Option<&str>,
    ) -> Result<DisputeView, Error> {
        actor.require_admin()?;
        let once = Once::new(RULE_ROUTE, key, &(id, refund, reason))?;
        let reason = text("ruling", reason)?;
        let _turn = self.inner.desk.lock().await;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let dispute = tx
            .dispute(id)
            .await?
            .ok_or(Error::NotFound("the dispute"))?;
        if party(&dispute, actor).is_some() {
            return Err(Error::Forbidden("another admin, who is no side of it,"));
        }
        if refund > dispute.claimed {
            return Err(Error::invalid(
                "refund",
                format!("at most {}, which is claimed", dispute.claimed),
            ));
        }
        let step = if refund.is_zero() {
            DisputeStep::Reject
        } else {
            DisputeStep::Refund
        };
        let dispute = self
            .decide(&mut tx, actor, dispute, step, refund, reason)
            .await?;
        let view = view(&dispute, Some(Party::Admin));
        once.answer(self, &mut tx, actor, &view).await?;
        let concerned = Some(dispute.account);
        let act = Act::by_admin(actor, AuditAction::RulingPosted, id, concerned)
            .with("refund", refund)
            .with("lease", dispute.lease);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        tracing::info!(dispute = %id, %refund, by = %actor.account, "a dispute was decided");
        Ok(view)
    }

    async fn decide(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        mut dispute: Dispute,
        step: DisputeStep,
        refund: Amount,
        ruling: String,
    ) -> Result<Dispute, Error> {
        dispute.state = dispute
            .state
            .step(step)
            .map_err(|wrong| Error::Conflict(wrong.to_string()))?;
        // Part of what was set aside may have been withdrawable, or set aside by a version that did not note what was not:
        // before the check is over it would be freed.
        let (_, back) = contested(&dispute).divided(refund);
        if !back.is_zero() && tx.is_withheld(dispute.lease).await? {
            return Err(Error::Conflict(
                "what this machine earned waits for a check, and part of it would be its owner's again: decide once the check is over"
                    .into(),
            ));
        }
        let now = self.now();
        (dispute.refunded, dispute.ruling) = (refund, ruling);
        (dispute.decided_at, dispute.decided_by) = (Some(now), Some(actor.account));
        tx.update_dispute(&dispute).await?;
        tx.add_refunded(dispute.lease, refund).await?;
        let fees = tx.balance(BookId::Fees).await?;
        let treasury = tx.balance(BookId::Treasury).await?;
        let plan = contested(&dispute).rule(refund, fees, treasury);
        let plan = plan.map_err(|error| match error {
            LedgerError::Insufficient { amount, .. } => Error::Conflict(format!(
                "the platform's books lack part of it: {amount} would have to come from the treasury, which has {treasury}"
            )),
            other => other.into(),
        })?;
        self.post_all(tx, &plan, now).await?;
        // What had not matured, and would not have meanwhile, waits again for the lease's hour or end.
        let (waits, _) = contested(&dispute).given_back(refund);
        if !waits.is_zero() {
            let maturity = tx.maturity(dispute.lease).await?;
            let maturity = maturity.ok_or(Error::NotFound("the lease"))?;
            let matured = maturity.matured.minus_or_zero(waits);
            tx.put_matured(dispute.lease, matured, now).await?;
        }
        self.tell_sides(tx, &dispute).await?;
        Ok(dispute)
    }

    /// The owner is not told whose job it was.
    async fn tell_sides(&self, tx: &mut Tx, dispute: &Dispute) -> Result<(), Error> {
        let decided = dispute.decided_at.is_some();
        for (side, job) in [(dispute.account, Some(dispute.job)), (dispute.owner, None)] {
            let notice = Notice::DisputeUpdated {
                dispute: dispute.id,
                state: dispute.state,
                job,
                lease: dispute.lease,
                refunded: decided.then_some(dispute.refunded),
                ruling: Some(dispute.ruling.clone()).filter(|ruling| !ruling.is_empty()),
            };
            self.notify(tx, side, notice).await?;
        }
        Ok(())
    }
}

/// Without its evidence. An owner learns of the lease, not of the job.
fn view(dispute: &Dispute, reader: Option<Party>) -> DisputeView {
    DisputeView {
        id: dispute.id,
        job: (reader != Some(Party::Owner)).then_some(dispute.job),
        lease: dispute.lease,
        seq: dispute.seq,
        paid: dispute.paid,
        claimed: dispute.claimed,
        set_aside: dispute.set_aside,
        state: dispute.state,
        refunded: dispute.refunded,
        opened_at: dispute.opened_at,
        decided_at: dispute.decided_at,
        ruling: dispute.ruling.clone(),
        evidence: Vec::new(),
        parties: None,
    }
}
