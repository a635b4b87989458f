//! Money out and in: payouts of earnings, deposits, and the demo's faucet.
//!
//! The door for a chain is here: it reports deposits with [`Exchange::record_deposit`] and
//! [`Exchange::decide_deposit`], takes payouts that are approved, and says what became of them with
//! [`Exchange::move_payout`]. Until there is one, admins do both by hand.

use kernel::{Amount, ApprovalId, DepositId, PayoutId, Seconds};
use ledger::{BookId, plans};
use protocol::money::{
    ApprovalAction, ApprovalView, DepositState, DepositStep, DepositView, PayoutState, PayoutStep,
    PayoutView,
};
use store::{Approval, Deposit, Payout, StoreError, Tx};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::once::Once;

const PAYOUT_ROUTE: &str = "POST /api/v1/payouts";
const CONVERT_ROUTE: &str = "POST /api/v1/earnings/convert";
const DEPOSIT_ROUTE: &str = "POST /api/v1/deposits";
/// Payouts of one account that are not over.
const OPEN_MAX: u64 = 10;
const SHOWN: u32 = 200;
const NOTE_MAX: usize = 500;
const REFERENCE_MAX: usize = 120;
/// A proposal that nobody confirms is over after this.
const APPROVAL_TTL: Seconds = Seconds::DAY;

/// `0x` and up to 64 hexadecimal digits; written in full and small, so that one address has one form.
fn address(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix("0x")?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // The first sixteen addresses are Aptos' own; nobody has their keys.
    let own = digits.trim_start_matches('0').len() > 1;
    let fits = hex && own && digits.len() <= 64;
    fits.then(|| format!("0x{:0>64}", digits.to_ascii_lowercase()))
}

/// A text that a person writes to a decision.
fn note(field: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NOTE_MAX {
        return Err(Error::invalid(
            field,
            format!("say why, in at most {NOTE_MAX} characters"),
        ));
    }
    Ok(text.to_owned())
}

fn reference(text: &str) -> Result<String, Error> {
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

/// What an admin, or the chain, does with a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutMove {
    Approve,
    /// Handed over under this name; one name pays one payout.
    Send {
        reference: String,
    },
    Confirm,
    Fail {
        why: String,
    },
    Refuse {
        why: String,
    },
}

impl Exchange {
    /// Takes earnings out to a wallet.
    ///
    /// # Errors
    /// An address that is none; less than the least, or more than is withdrawable; too many that are not over; not with
    /// an API key.
    pub async fn request_payout(
        &self,
        actor: &Actor,
        amount: Amount,
        to: &str,
        key: Option<&str>,
    ) -> Result<PayoutView, Error> {
        actor.require_person()?;
        let once = Once::new(PAYOUT_ROUTE, key, &(amount, to))?;
        let wallet = address(to).ok_or_else(|| {
            Error::invalid(
                "address",
                "an Aptos address: 0x and up to 64 digits 0-9 a-f",
            )
        })?;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let least = self.inner.settings.payout_min;
        if amount < least {
            return Err(Error::invalid("amount", format!("at least {least}")));
        }
        let there = tx.balance(BookId::Withdrawable(actor.account)).await?;
        if amount > there {
            return Err(Error::invalid(
                "amount",
                format!("at most {there}, which is what is withdrawable"),
            ));
        }
        if tx.count_open_payouts(actor.account).await? >= OPEN_MAX {
            return Err(Error::Conflict(format!(
                "{OPEN_MAX} payouts of yours are under way, as many as may be; wait until one is over"
            )));
        }
        let now = self.now();
        let payout = Payout {
            id: PayoutId::new(now, self.random()),
            account: actor.account,
            amount,
            address: wallet,
            state: PayoutState::Requested,
            requested_at: now,
            changed_at: now,
            changed_by: None,
            reference: None,
            note: String::new(),
        };
        tx.insert_payout(&payout).await?;
        let plan = [plans::payout(payout.id, payout.account, amount)];
        self.post_all(&mut tx, &plan, now).await?;
        let view = payout.view(None);
        once.answer(self, &mut tx, actor, &view).await?;
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
        let mut books = self.inner.store.balances(actor.account).await?;
        books.withdrawable = tx.balance(BookId::Withdrawable(actor.account)).await?;
        books.available = tx.balance(BookId::Available(actor.account)).await?;
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
        actor.require(protocol::view::Scope::Read)?;
        let payouts = self.inner.store.payouts(actor.account, SHOWN).await?;
        Ok(payouts.iter().map(|payout| payout.view(None)).collect())
    }

    /// Takes a payout back that was not sent yet.
    ///
    /// # Errors
    /// Not this account's; sent or over; frozen.
    pub async fn cancel_payout(&self, actor: &Actor, id: PayoutId) -> Result<PayoutView, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let payout = tx.payout(id).await?;
        let mut payout = payout
            .filter(|payout| payout.account == actor.account)
            .ok_or(Error::NotFound("the payout"))?;
        self.step(&mut tx, actor, &mut payout, PayoutStep::Cancel)
            .await?;
        tx.commit().await?;
        Ok(payout.view(None))
    }

    async fn step(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        payout: &mut Payout,
        step: PayoutStep,
    ) -> Result<(), Error> {
        payout.state = payout
            .state
            .step(step)
            .map_err(|wrong| Error::Conflict(wrong.to_string()))?;
        payout.changed_at = self.now();
        payout.changed_by = Some(actor.account);
        tx.update_payout(payout).await?;
        let end = plans::payout_end(payout.id, payout.account, payout.amount, payout.state);
        if let Some(transfer) = end {
            self.post_all(tx, &[transfer], payout.changed_at).await?;
        }
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

    /// What an admin does with a payout. Nobody decides their own.
    ///
    /// # Errors
    /// Not an admin, or the admin's own; a step that its state does not allow; a reference that paid another one.
    pub async fn move_payout(
        &self,
        actor: &Actor,
        id: PayoutId,
        change: PayoutMove,
    ) -> Result<PayoutView, Error> {
        actor.require_admin()?;
        let mut tx = self.inner.store.begin().await?;
        let mut payout = tx.payout(id).await?.ok_or(Error::NotFound("the payout"))?;
        if payout.account == actor.account {
            return Err(Error::Forbidden("another admin"));
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
        self.step(&mut tx, actor, &mut payout, step)
            .await
            .map_err(|error| match error {
                Error::Store(error) if error.is_conflict() => Error::invalid(
                    "reference",
                    "this one paid another payout; one transaction outside pays one payout here",
                ),
                other => other,
            })?;
        tx.commit().await?;
        tracing::info!(payout = %payout.id, state = payout.state.as_str(), by = %actor.account, "a payout was moved");
        Ok(payout.view(None))
    }

    /// What admins proposed and confirmed, newest first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn approvals(&self, actor: &Actor) -> Result<Vec<ApprovalView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.approvals(SHOWN).await?)
    }

    /// The first of two admins: proposes that a payout is frozen, or thawed. Nothing is changed yet.
    ///
    /// # Errors
    /// Not an admin; the payout's state does not allow it; something is proposed for it already.
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
        tx.drop_old_approvals(now.minus(APPROVAL_TTL), now).await?;
        match tx.insert_approval(&approval).await {
            Err(error) if error.is_conflict() => Err(Error::Conflict(
                "something is proposed for this payout already; confirm it or drop it first".into(),
            )),
            other => {
                other?;
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
        let over = approval.proposed_at.plus(APPROVAL_TTL) <= now;
        if approval.decided_at.is_some() || approval.dropped || over {
            return Err(Error::Conflict("it is decided or over already".into()));
        }
        approval.decided_at = Some(now);
        if confirm {
            let payout = tx.payout(approval.payout).await?;
            let mut payout = payout.ok_or(Error::NotFound("the payout"))?;
            if approval.proposed_by == actor.account || payout.account == actor.account {
                return Err(Error::Forbidden("another admin"));
            }
            approval.confirmed_by = Some(actor.account);
            self.step(&mut tx, actor, &mut payout, step_of(approval.action))
                .await?;
        } else {
            approval.dropped = true;
        }
        tx.decide_approval(&approval).await?;
        Ok(tx.commit().await?)
    }

    /// Asks the demo's faucet for credit, which an admin gives. Not real money.
    ///
    /// # Errors
    /// This server has no faucet; more than it gives at once; a request is open already.
    pub async fn request_credit(
        &self,
        actor: &Actor,
        amount: Amount,
        key: Option<&str>,
    ) -> Result<DepositView, Error> {
        actor.require_person()?;
        let Some(most) = self.inner.settings.faucet_max else {
            return Err(Error::Forbidden(
                "a demo server has a faucet; on this one that",
            ));
        };
        let once = Once::new(DEPOSIT_ROUTE, key, &amount)?;
        if amount.is_zero() || amount > most {
            return Err(Error::invalid(
                "amount",
                format!("more than nothing and at most {most}"),
            ));
        }
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let now = self.now();
        let deposit = Deposit {
            id: DepositId::new(now, self.random()),
            account: actor.account,
            amount,
            state: DepositState::Requested,
            demo: true,
            reference: None,
            requested_at: now,
            decided_at: None,
            decided_by: None,
            note: String::new(),
        };
        tx.insert_deposit(&deposit).await.map_err(|error| {
            one_at_a_time(error, "a request of yours waits for an admin already")
        })?;
        let view = deposit.view(None);
        once.answer(self, &mut tx, actor, &view).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// The account's deposits, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn deposits(&self, actor: &Actor) -> Result<Vec<DepositView>, Error> {
        actor.require(protocol::view::Scope::Read)?;
        let deposits = self.inner.store.deposits(actor.account, SHOWN).await?;
        Ok(deposits.iter().map(|deposit| deposit.view(None)).collect())
    }

    /// Of all accounts; those to be decided first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn all_deposits(&self, actor: &Actor) -> Result<Vec<DepositView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.all_deposits(SHOWN).await?)
    }

    /// Something came in from outside for an account: it is in transit until it is certain.
    ///
    /// # Errors
    /// Not an admin; an unknown account; the same reference was recorded before, and is credited once.
    pub async fn record_deposit(
        &self,
        actor: &Actor,
        email: &str,
        amount: Amount,
        outside: &str,
    ) -> Result<DepositView, Error> {
        actor.require_admin()?;
        let outside = reference(outside)?;
        if amount.is_zero() {
            return Err(Error::invalid("amount", "more than nothing"));
        }
        let account = self.inner.store.account_by_email(email.trim()).await?;
        let account = account.ok_or_else(|| Error::invalid("email", "no account has it"))?;
        let now = self.now();
        let deposit = Deposit {
            id: DepositId::new(now, self.random()),
            account: account.id,
            amount,
            state: DepositState::InTransit,
            demo: false,
            reference: Some(outside),
            requested_at: now,
            decided_at: None,
            decided_by: None,
            note: String::new(),
        };
        let mut tx = self.inner.store.begin().await?;
        tx.insert_deposit(&deposit).await.map_err(|error| {
            one_at_a_time(error, "a deposit with this reference is recorded already")
        })?;
        let seen = plans::deposit_seen(deposit.id, amount);
        self.post_all(&mut tx, &[seen], now).await?;
        tx.commit().await?;
        Ok(deposit.view(Some(account.email)))
    }

    /// Credits a deposit, or (with a reason) refuses it. Nobody decides their own.
    ///
    /// # Errors
    /// Not an admin, or the admin's own; decided already.
    pub async fn decide_deposit(
        &self,
        actor: &Actor,
        id: DepositId,
        refused: Option<&str>,
    ) -> Result<DepositView, Error> {
        actor.require_admin()?;
        let mut tx = self.inner.store.begin().await?;
        let deposit = tx.deposit(id).await?;
        let mut deposit = deposit.ok_or(Error::NotFound("the deposit"))?;
        if deposit.account == actor.account {
            return Err(Error::Forbidden("another admin"));
        }
        let step = match refused {
            None => DepositStep::Credit,
            Some(why) => {
                deposit.note = note("why", why)?;
                DepositStep::Refuse
            }
        };
        deposit.state = deposit
            .state
            .step(step)
            .map_err(|wrong| Error::Conflict(wrong.to_string()))?;
        let now = self.now();
        (deposit.decided_at, deposit.decided_by) = (Some(now), Some(actor.account));
        tx.update_deposit(&deposit).await?;
        let (id, account, amount) = (deposit.id, deposit.account, deposit.amount);
        let end = plans::deposit_end(id, account, amount, deposit.demo, refused.is_none());
        if let Some(transfer) = end {
            self.post_all(&mut tx, &[transfer], now).await?;
        }
        tx.commit().await?;
        Ok(deposit.view(None))
    }
}

const fn step_of(action: ApprovalAction) -> PayoutStep {
    match action {
        ApprovalAction::FreezePayout => PayoutStep::Freeze,
        ApprovalAction::ThawPayout => PayoutStep::Thaw,
    }
}

fn one_at_a_time(error: StoreError, words: &str) -> Error {
    if error.is_conflict() {
        Error::Conflict(words.into())
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        let full = format!("0x{}ab", "0".repeat(62));
        assert_eq!(address(" 0xAB "), Some(full.clone()));
        assert_eq!(address(&full), Some(full));
        let long = format!("0x{}", "1".repeat(65));
        for wrong in ["", "0x", "ab", "0x0", "0x1", "0xf", "0xgg", "0x1 2", &long] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
