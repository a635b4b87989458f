//! Money out: payouts of earnings, and what two admins decide about them.
//!
//! With a chain configured, those that are approved go out over it (`settle.rs`), and it alone says what became of them.
//! Without one admins do it by hand, with [`Exchange::move_payout`].

use kernel::{AccountId, Amount, ApprovalId, PayoutId};
use ledger::{BookId, plans};
use protocol::audit::AuditAction;
use protocol::money::{
    ApprovalAction, ApprovalView, PayoutMove, PayoutState, PayoutStep, PayoutView,
};
use protocol::notice::Notice;
use protocol::problem::FieldProblem;
use protocol::view::{Page, Scope};
use store::{Approval, Payout, Tx};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use crate::once::Once;
use crate::payout_address::check_payee;
use crate::prose::prose;

const PAYOUT_ROUTE: &str = "POST /api/v1/payouts";
const CONVERT_ROUTE: &str = "POST /api/v1/earnings/convert";
const CANCEL_ROUTE: &str = "POST /api/v1/payouts/{id}/cancel";
const MOVE_ROUTE: &str = "POST /api/v1/admin/payouts/{id}/steps";
const SHOWN: u32 = 200;
const NOTE_MAX: usize = 500;
const REFERENCE_MAX: usize = 120;

/// A text that a person writes to a decision.
pub(crate) fn note(field: &str, text: &str) -> Result<String, Error> {
    let asked = format!("say why, in at most {NOTE_MAX} characters");
    prose(field, text, NOTE_MAX, &asked)
}

pub(crate) fn reference(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= REFERENCE_MAX && text.is_ascii();
    if !fits || text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::invalid(
            "reference",
            format!("what the transaction is called outside, at most {REFERENCE_MAX} characters"),
        ));
    }
    Ok(text.to_owned())
}

/// One page of a list; full, it goes on before its last.
pub(crate) fn page<T, I: std::fmt::Display>(
    items: Vec<T>,
    limit: u32,
    id: impl Fn(&T) -> I,
) -> Page<T> {
    let full = items.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = items
        .last()
        .filter(|_| full)
        .map(|last| id(last).to_string());
    Page { items, next }
}

impl Exchange {
    /// Takes earnings out to the account's payout address. `to` says where that is expected to be; the first one becomes it.
    ///
    /// # Errors
    /// An address that is none or another one; less than the least, or more than is withdrawable; too many that are not over; not with
    /// an API key.
    pub async fn request_payout(
        &self,
        actor: &Actor,
        amount: Amount,
        to: Option<&str>,
        key: Option<&str>,
    ) -> Result<PayoutView, Error> {
        actor.require_person()?;
        let once = Once::new(PAYOUT_ROUTE, key, &(amount, to))?;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let least = self.inner.settings.payout_min;
        let there = tx.balance(BookId::Withdrawable(actor.account)).await?;
        let message = if amount < least {
            Some(format!("at least {least}"))
        } else if amount > there {
            Some(format!("at most {there}, which is what is withdrawable"))
        } else {
            None
        };
        let mut wrong: Vec<_> = message
            .map(|message| FieldProblem::new("amount", message))
            .into_iter()
            .collect();
        if let Some(Err(Error::Invalid(fields))) = to.map(check_payee) {
            wrong.extend(fields);
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let most = self.inner.settings.payouts_open_max;
        if tx.count_open_payouts(actor.account).await? >= most {
            return Err(Error::Conflict(format!(
                "{most} payouts of yours are under way, as many as may be; wait until one is over"
            )));
        }
        let wallet = self.payout_to(&mut tx, actor, to).await?;
        let now = self.now();
        let payout = Payout {
            id: PayoutId::new(now, self.random()),
            account: actor.account,
            amount,
            address: wallet.to_string(),
            state: PayoutState::Requested,
            requested_at: now,
            changed_at: now,
            changed_by: None,
            reference: None,
            note: String::new(),
            rate: None,
        };
        tx.insert_payout(&payout).await?;
        let plan = [plans::payout(payout.id, payout.account, amount)];
        self.post_all(&mut tx, &plan, now).await?;
        self.tell_payout(&mut tx, &payout).await?;
        let view = payout.view(None);
        once.answer(self, &mut tx, actor, &view).await?;
        let act = Act::by(actor, AuditAction::PayoutRequested, payout.id)
            .with("amount", payout.amount)
            .with("address", wallet);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        tracing::info!(payout = %payout.id, amount = %payout.amount, "a payout was requested");
        Ok(view)
    }

    /// Makes withdrawable earnings money to spend here.
    ///
    /// # Errors
    /// Nothing, or more than is withdrawable.
    pub async fn convert_earnings(
        &self,
        actor: &Actor,
        amount: Amount,
        key: Option<&str>,
    ) -> Result<protocol::money::BalanceView, Error> {
        actor.require_person()?;
        let once = Once::new(CONVERT_ROUTE, key, &amount)?;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let there = tx.balance(BookId::Withdrawable(actor.account)).await?;
        if amount.is_zero() || amount > there {
            return Err(Error::invalid(
                "amount",
                format!("more than nothing and at most {there}, which is what is withdrawable"),
            ));
        }
        let now = self.now();
        let id = kernel::TransferId::new(now, self.random());
        let transfer = plans::convert(actor.account, id, amount);
        tx.post_all(&[(id, transfer)], now).await?;
        // The answer is what stands after it, and is remembered with it.
        let books = tx.balances(actor.account).await?;
        let view = self.balance_view(actor.account, &books).await?;
        once.answer(self, &mut tx, actor, &view).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// The account's payouts, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn payouts(&self, actor: &Actor) -> Result<Vec<PayoutView>, Error> {
        Ok(self.payouts_page(actor, None, SHOWN).await?.items)
    }

    /// The same page by page.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn payouts_page(
        &self,
        actor: &Actor,
        before: Option<PayoutId>,
        limit: u32,
    ) -> Result<Page<PayoutView>, Error> {
        actor.require(Scope::Read)?;
        let store = &self.inner.store;
        let payouts = store.payouts(actor.account, before, limit).await?;
        let views = payouts.iter().map(|payout| payout.view(None)).collect();
        Ok(page(views, limit, |payout| payout.id))
    }

    /// How many of the account's payouts are not over.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn payouts_open(&self, actor: &Actor) -> Result<u64, Error> {
        actor.require(Scope::Read)?;
        let mut tx = self.inner.store.begin().await?;
        Ok(tx.count_open_payouts(actor.account).await?)
    }

    /// # Errors
    /// The key lacks `read`; not this account's, unless an admin asks.
    pub async fn payout(&self, actor: &Actor, id: PayoutId) -> Result<PayoutView, Error> {
        actor.require(Scope::Read)?;
        let found = self.inner.store.payout(id).await?;
        let (payout, email) = found.ok_or(Error::NotFound("the payout"))?;
        if payout.account == actor.account {
            return Ok(payout.view(None));
        }
        if actor.require_admin().is_err() {
            return Err(Error::NotFound("the payout"));
        }
        Ok(payout.view(Some(email)))
    }

    /// Takes a payout back that was not sent yet.
    ///
    /// # Errors
    /// Not this account's; sent or over; frozen.
    pub async fn cancel_payout(
        &self,
        actor: &Actor,
        id: PayoutId,
        key: Option<&str>,
    ) -> Result<PayoutView, Error> {
        actor.require_person()?;
        let once = Once::new(CANCEL_ROUTE, key, &id)?;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let payout = tx.payout(id).await?;
        let mut payout = payout
            .filter(|payout| payout.account == actor.account)
            .ok_or(Error::NotFound("the payout"))?;
        self.step(
            &mut tx,
            Some(actor.account),
            &mut payout,
            PayoutStep::Cancel,
        )
        .await?;
        let view = payout.view(None);
        once.answer(self, &mut tx, actor, &view).await?;
        let act = Act::by(actor, AuditAction::PayoutCancelled, id);
        self.audit(&mut tx, act.with("amount", payout.amount))
            .await?;
        tx.commit().await?;
        Ok(view)
    }

    /// `by`: an admin or its owner; nobody when the platform does it by itself.
    pub(crate) async fn step(
        &self,
        tx: &mut Tx,
        by: Option<AccountId>,
        payout: &mut Payout,
        step: PayoutStep,
    ) -> Result<(), Error> {
        payout.state = payout
            .state
            .step(step)
            .map_err(|wrong| Error::Conflict(wrong.to_string()))?;
        payout.changed_at = self.now();
        payout.changed_by = by;
        if payout.state == PayoutState::Paid {
            payout.rate = self.inner.settings.io_rate;
        }
        tx.update_payout(payout).await?;
        let end = plans::payout_end(payout.id, payout.account, payout.amount, payout.state);
        if let Some(transfer) = end {
            self.post_all(tx, &[transfer], payout.changed_at).await?;
        }
        self.tell_payout(tx, payout).await
    }

    async fn tell_payout(&self, tx: &mut Tx, payout: &Payout) -> Result<(), Error> {
        let notice = Notice::PayoutUpdated {
            payout: payout.id,
            state: payout.state,
            amount: payout.amount,
            reason: Some(payout.note.clone()).filter(|note| !note.is_empty()),
        };
        self.notify(tx, payout.account, notice).await?;
        Ok(())
    }

    /// Of all accounts; those that are not over first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn all_payouts(&self, actor: &Actor) -> Result<Vec<PayoutView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.all_payouts(SHOWN).await?)
    }

    /// Of all accounts, newest first, page by page: those that are not over, those that are, or both.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn find_payouts(
        &self,
        actor: &Actor,
        open: Option<bool>,
        before: Option<PayoutId>,
        limit: u32,
    ) -> Result<Page<PayoutView>, Error> {
        actor.require_admin()?;
        let found = self.inner.store.find_payouts(open, before, limit).await?;
        Ok(page(found, limit, |payout| payout.id))
    }

    /// What an admin does with a payout. Nobody decides their own.
    ///
    /// # Errors
    /// Not an admin, or the admin's own; a step that its state does not allow; a reference that paid another one.
    pub async fn move_payout(
        &self,
        actor: &Actor,
        id: PayoutId,
        change: PayoutMove,
        key: Option<&str>,
    ) -> Result<PayoutView, Error> {
        actor.require_admin()?;
        let once = Once::new(MOVE_ROUTE, key, &(id, &change))?;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let mut payout = tx.payout(id).await?.ok_or(Error::NotFound("the payout"))?;
        if payout.account == actor.account {
            return Err(Error::Forbidden("another admin"));
        }
        if tx.is_in_batch(id).await? {
            return Err(Error::Conflict(
                "it went out over the chain, which alone says what becomes of it".to_owned(),
            ));
        }
        let step = match change {
            PayoutMove::Approve => PayoutStep::Approve,
            PayoutMove::Send { reference: text } => {
                payout.reference = Some(reference(&text)?);
                PayoutStep::Send
            }
            PayoutMove::Confirm => PayoutStep::Confirm,
            PayoutMove::Fail { why } => {
                payout.note = note("why", &why)?;
                PayoutStep::Fail
            }
            PayoutMove::Refuse { why } => {
                payout.note = note("why", &why)?;
                PayoutStep::Refuse
            }
        };
        self.step(&mut tx, Some(actor.account), &mut payout, step)
            .await
            .map_err(|error| match error {
                Error::Store(error) if error.is_conflict() => Error::invalid(
                    "reference",
                    "this one paid another payout; one transaction outside pays one payout here",
                ),
                other => other,
            })?;
        let view = payout.view(None);
        once.answer(self, &mut tx, actor, &view).await?;
        let action = match step {
            PayoutStep::Send => AuditAction::PayoutSent,
            PayoutStep::Confirm => AuditAction::PayoutConfirmed,
            PayoutStep::Fail => AuditAction::PayoutFailed,
            PayoutStep::Refuse => AuditAction::PayoutRefused,
            _ => AuditAction::PayoutApproved,
        };
        let act = Act::by_admin(actor, action, id, Some(payout.account));
        self.audit(&mut tx, act.with("amount", payout.amount))
            .await?;
        tx.commit().await?;
        tracing::info!(payout = %payout.id, state = payout.state.as_str(), by = %actor.account, "a payout was moved");
        Ok(view)
    }

    /// What admins proposed and confirmed, newest first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn approvals(&self, actor: &Actor) -> Result<Vec<ApprovalView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.approvals(SHOWN).await?)
    }

    /// One of them.
    ///
    /// # Errors
    /// Not an admin; unknown.
    pub async fn approval(&self, actor: &Actor, id: ApprovalId) -> Result<ApprovalView, Error> {
        actor.require_admin()?;
        let found = self.inner.store.approval(id).await?;
        found.ok_or(Error::NotFound("the proposal"))
    }

    /// The first of two admins: proposes that a payout is frozen, or thawed. Nothing is changed yet.
    ///
    /// # Errors
    /// Not an admin, or the payout is their own; its state does not allow it; something is proposed for it already.
    pub async fn propose(
        &self,
        actor: &Actor,
        payout: PayoutId,
        action: ApprovalAction,
        reason: &str,
    ) -> Result<ApprovalId, Error> {
        actor.require_admin()?;
        let reason = note("reason", reason)?;
        let mut tx = self.inner.store.begin().await?;
        let row = tx.payout(payout).await?;
        let row = row.ok_or(Error::NotFound("the payout"))?;
        if row.account == actor.account {
            return Err(Error::Forbidden("another admin"));
        }
        row.state
            .step(step_of(action))
            .map_err(|wrong| Error::Conflict(wrong.to_string()))?;
        let now = self.now();
        let approval = Approval {
            id: ApprovalId::new(now, self.random()),
            action,
            payout,
            reason,
            proposed_by: actor.account,
            proposed_at: now,
            confirmed_by: None,
            decided_at: None,
            dropped: false,
        };
        let ttl = self.inner.settings.approval_ttl;
        tx.drop_old_approvals(now.minus(ttl), now).await?;
        match tx.insert_approval(&approval).await {
            Err(error) if error.is_conflict() => Err(Error::Conflict(
                "something is proposed for this payout already; confirm it or drop it first".into(),
            )),
            other => {
                other?;
                let action = match action {
                    ApprovalAction::FreezePayout => AuditAction::FreezeProposed,
                    ApprovalAction::ThawPayout => AuditAction::ThawProposed,
                };
                let act = Act::by_admin(actor, action, payout, Some(row.account));
                self.audit(&mut tx, act.with("approval", approval.id))
                    .await?;
                tx.commit().await?;
                Ok(approval.id)
            }
        }
    }

    /// The second: it happens now. Or anybody of them drops it.
    ///
    /// # Errors
    /// Not an admin; the one who proposed; decided or over; the payout's own account.
    pub async fn decide_proposal(
        &self,
        actor: &Actor,
        id: ApprovalId,
        confirm: bool,
    ) -> Result<(), Error> {
        actor.require_admin()?;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let approval = tx.approval(id).await?;
        let mut approval = approval.ok_or(Error::NotFound("the proposal"))?;
        let over = approval.proposed_at.plus(self.inner.settings.approval_ttl) <= now;
        if approval.decided_at.is_some() || approval.dropped || over {
            return Err(Error::Conflict("it is decided or over already".into()));
        }
        approval.decided_at = Some(now);
        let payout = tx.payout(approval.payout).await?;
        let mut payout = payout.ok_or(Error::NotFound("the payout"))?;
        // Whoever proposed may drop it. Nobody keeps their own payout from being held back.
        let is_second = approval.proposed_by != actor.account;
        if payout.account == actor.account || (confirm && !is_second) {
            return Err(Error::Forbidden("another admin"));
        }
        if confirm {
            approval.confirmed_by = Some(actor.account);
            self.step(
                &mut tx,
                Some(actor.account),
                &mut payout,
                step_of(approval.action),
            )
            .await?;
        } else {
            approval.dropped = true;
        }
        tx.decide_approval(&approval).await?;
        let action = match approval.action {
            _ if !confirm => AuditAction::ProposalDropped,
            ApprovalAction::FreezePayout => AuditAction::PayoutFrozen,
            ApprovalAction::ThawPayout => AuditAction::PayoutThawed,
        };
        let act = Act::by_admin(actor, action, payout.id, Some(payout.account));
        self.audit(&mut tx, act.with("approval", id)).await?;
        Ok(tx.commit().await?)
    }
}

const fn step_of(action: ApprovalAction) -> PayoutStep {
    match action {
        ApprovalAction::FreezePayout => PayoutStep::Freeze,
        ApprovalAction::ThawPayout => PayoutStep::Thaw,
    }
}
