//! Money in: deposits, and the demo's faucet.
//!
//! Over a chain they are credited by its events (`settle/events.rs`). Without one admins do it by hand, with
//! [`Exchange::record_deposit`] and [`Exchange::decide_deposit`].

use kernel::{Amount, DepositId};
use ledger::plans;
use protocol::audit::AuditAction;
use protocol::money::{DepositState, DepositStep, DepositView, UnclaimedView};
use protocol::notice::Notice;
use protocol::view::{Page, Scope};
use store::{Deposit, StoreError, Tx, Unclaimed};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use crate::once::Once;
use crate::payouts::{note, page, reference};

const CREDIT_ROUTE: &str = "POST /api/v1/deposits";
const RECORD_ROUTE: &str = "POST /api/v1/admin/deposits";
const DECIDE_ROUTE: &str = "POST /api/v1/admin/deposits/{id}/decision";
const CLAIM_ROUTE: &str = "POST /api/v1/admin/unclaimed-deposits/{id}/claim";
const SHOWN: u32 = 200;

impl Exchange {
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
        let once = Once::new(CREDIT_ROUTE, key, &amount)?;
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
        self.tell_deposit(&mut tx, &deposit).await?;
        once.answer(self, &mut tx, actor, &view).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// The account's deposits, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn deposits(&self, actor: &Actor) -> Result<Vec<DepositView>, Error> {
        Ok(self.deposits_page(actor, None, SHOWN).await?.items)
    }

    /// The same page by page.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn deposits_page(
        &self,
        actor: &Actor,
        before: Option<DepositId>,
        limit: u32,
    ) -> Result<Page<DepositView>, Error> {
        actor.require(Scope::Read)?;
        let store = &self.inner.store;
        let deposits = store.deposits(actor.account, before, limit).await?;
        let views = deposits.iter().map(|deposit| deposit.view(None)).collect();
        Ok(page(views, limit, |deposit| deposit.id))
    }

    /// Of all accounts; those to be decided first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn all_deposits(&self, actor: &Actor) -> Result<Vec<DepositView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.all_deposits(SHOWN).await?)
    }

    /// Of all accounts, newest first, page by page: those that are not decided, those that are, or both.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn find_deposits(
        &self,
        actor: &Actor,
        open: Option<bool>,
        before: Option<DepositId>,
        limit: u32,
    ) -> Result<Page<DepositView>, Error> {
        actor.require_admin()?;
        let found = self.inner.store.find_deposits(open, before, limit).await?;
        Ok(page(found, limit, |deposit| deposit.id))
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
        key: Option<&str>,
    ) -> Result<DepositView, Error> {
        actor.require_admin()?;
        let once = Once::new(RECORD_ROUTE, key, &(email, amount, outside))?;
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
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        tx.insert_deposit(&deposit).await.map_err(|error| {
            one_at_a_time(error, "a deposit with this reference is recorded already")
        })?;
        let seen = plans::deposit_seen(deposit.id, amount);
        self.post_all(&mut tx, &[seen], now).await?;
        let view = deposit.view(Some(account.email));
        self.tell_deposit(&mut tx, &deposit).await?;
        once.answer(self, &mut tx, actor, &view).await?;
        let (action, concerned) = (AuditAction::DepositRecorded, Some(account.id));
        let act = Act::by_admin(actor, action, deposit.id, concerned);
        self.audit(&mut tx, act.with("amount", amount)).await?;
        tx.commit().await?;
        Ok(view)
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
        key: Option<&str>,
    ) -> Result<DepositView, Error> {
        actor.require_admin()?;
        let once = Once::new(DECIDE_ROUTE, key, &(id, refused))?;
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let deposit = tx.deposit(id).await?;
        let mut deposit = deposit.ok_or(Error::NotFound("the deposit"))?;
        if deposit.account == actor.account {
            return Err(Error::Forbidden("another admin"));
        }
        let step = match refused {
            None => DepositStep::Credit,
            Some(why) => {
                deposit.note = note("why", why)?;
                // A reference that was recorded for the wrong account is free again for the right one.
                if let Some(reference) = deposit.reference.take() {
                    deposit.note = format!("{} ({reference})", deposit.note);
                }
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
        let view = deposit.view(None);
        self.tell_deposit(&mut tx, &deposit).await?;
        once.answer(self, &mut tx, actor, &view).await?;
        let action = match (deposit.demo, refused) {
            (true, None) => AuditAction::DemoCreditApproved,
            (true, Some(_)) => AuditAction::DemoCreditRefused,
            (false, None) => AuditAction::DepositCredited,
            (false, Some(_)) => AuditAction::DepositRefused,
        };
        let act = Act::by_admin(actor, action, id, Some(account));
        self.audit(&mut tx, act.with("amount", amount)).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// What came in over the chain for nobody who is known here, the oldest first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn unclaimed_deposits(&self, actor: &Actor) -> Result<Vec<UnclaimedView>, Error> {
        actor.require_admin()?;
        let pages = self.pages();
        let waiting = self.inner.store.unclaimed(SHOWN).await?;
        let view = |one: Unclaimed| UnclaimedView {
            id: one.id,
            amount: one.amount,
            sender: one.sender.to_string(),
            sender_url: pages.of_account(one.sender),
            tag: one.tag.map(|tag| hex::encode(tag.as_bytes())),
            transaction_url: pages.of_reference(&one.reference),
            reference: one.reference,
            at: one.at,
        };
        Ok(waiting.into_iter().map(view).collect())
    }

    /// Says whose it is; it is credited.
    ///
    /// # Errors
    /// Not an admin, or the admin's own account; an unknown account; it is claimed already.
    pub async fn claim_deposit(
        &self,
        actor: &Actor,
        id: DepositId,
        email: &str,
        key: Option<&str>,
    ) -> Result<DepositView, Error> {
        actor.require_admin()?;
        let once = Once::new(CLAIM_ROUTE, key, &(id, email))?;
        let account = self.inner.store.account_by_email(email.trim()).await?;
        let account = account.ok_or_else(|| Error::invalid("email", "no account has it"))?;
        if account.id == actor.account {
            return Err(Error::Forbidden("another admin"));
        }
        let mut tx = self.inner.store.begin().await?;
        if let Some(answer) = once.answered(&mut tx, actor).await? {
            return Ok(answer);
        }
        let unclaimed = tx.take_unclaimed(id).await?;
        let unclaimed = unclaimed.ok_or(Error::NotFound("a deposit that waits for its account"))?;
        let now = self.now();
        let deposit = Deposit {
            id,
            account: account.id,
            amount: unclaimed.amount,
            state: DepositState::Credited,
            demo: false,
            reference: Some(unclaimed.reference.clone()),
            requested_at: unclaimed.at,
            decided_at: Some(now),
            decided_by: Some(actor.account),
            note: String::new(),
        };
        tx.insert_deposit(&deposit).await?;
        tx.update_deposit(&deposit).await?;
        let end = plans::deposit_end(id, account.id, deposit.amount, false, true);
        self.post_all(&mut tx, &end.into_iter().collect::<Vec<_>>(), now)
            .await?;
        tx.drop_chain_fault(&format!("deposit: {}", unclaimed.reference))
            .await?;
        let view = deposit.view(Some(account.email));
        self.tell_deposit(&mut tx, &deposit).await?;
        once.answer(self, &mut tx, actor, &view).await?;
        let (action, concerned) = (AuditAction::DepositClaimed, Some(account.id));
        let act = Act::by_admin(actor, action, id, concerned);
        self.audit(&mut tx, act.with("amount", deposit.amount))
            .await?;
        tx.commit().await?;
        Ok(view)
    }

    pub(crate) async fn tell_deposit(&self, tx: &mut Tx, deposit: &Deposit) -> Result<(), Error> {
        let notice = Notice::DepositUpdated {
            deposit: deposit.id,
            state: deposit.state,
            amount: deposit.amount,
            reason: Some(deposit.note.clone()).filter(|note| !note.is_empty()),
        };
        self.notify(tx, deposit.account, notice).await?;
        Ok(())
    }
}

fn one_at_a_time(error: StoreError, words: &str) -> Error {
    if error.is_conflict() {
        Error::Conflict(words.into())
    } else {
        error.into()
    }
}
