//! Receipts into money, and money into funded seconds.

use kernel::{LeaseId, Seconds};
use ledger::Payment;
use metering::receipt;
use metering::{Charge, Head};
use protocol::live::{Live, Topic};
use protocol::view::{JobEvent, JobEventKind, Receipt};
use protocol::worker::ToWorker;
use store::{Lease, StoreError, Tx};

use crate::desk::{Exchange, LeaseLive};
use crate::error::Error;
use crate::members::used;

impl Exchange {
    /// Countersigns a receipt and pays for what it adds, in the caller's transaction. `live` is the caller's copy.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the reason when it is not the lease's next valid receipt; nothing was written then.
    pub(crate) async fn post_receipt(
        &self,
        tx: &mut Tx,
        live: &mut LeaseLive,
        receipt: Receipt,
    ) -> Result<(u64, String), Error> {
        let now = self.now();
        let refuse = |reason: &dyn std::fmt::Display| Error::Conflict(reason.to_string());
        live.lease
            .head
            .admits(&receipt, &live.terms(), live.bound(now))
            .map_err(|error| refuse(&error))?;
        let receipt = receipt::countersign(receipt, &live.worker_key, &self.inner.key)
            .map_err(|error| refuse(&error))?;
        let head = Head::after(&receipt).map_err(|error| refuse(&error))?;
        let lease = &mut live.lease;
        let total = lease.fees.charge(lease.price, receipt.seconds)?;
        let before = lease.fees.charge(lease.price, lease.head.seconds)?;
        let part: Charge = total.since(before)?;
        let mut hold = tx
            .hold(lease.job)
            .await?
            .ok_or(Error::NotFound("the hold"))?;
        let plan = hold.pay(Payment {
            lease: lease.id,
            receipt: receipt.seq,
            owner: lease.owner,
            owner_gets: part.owner_gets,
            platform_gets: part.platform_gets,
        })?;
        self.post_all(tx, &plan, now).await?;
        tx.put_hold(&hold).await?;
        lease.charged = lease.charged.checked_add(part.requester_pays)?;
        lease.earned = lease.earned.checked_add(part.owner_gets)?;
        lease.head = head;
        tx.insert_receipt(&receipt, &lease.head.hash, part.requester_pays, now)
            .await?;
        tx.update_lease(lease).await?;
        Ok((lease.head.seq, lease.head.hash.clone()))
    }

    /// Posts the newest draft of a lease. The caller holds the desk.
    pub(crate) async fn post_draft(&self, id: LeaseId) -> Result<(), Error> {
        let Some(mut live) = self.memory().leases.get(&id).cloned() else {
            return Ok(());
        };
        let Some(draft) = live.draft.clone() else {
            return Ok(());
        };
        let mut tx = self.inner.store.begin().await?;
        let (seq, hash) = match self.post_receipt(&mut tx, &mut live, draft).await {
            Ok(posted) => posted,
            Err(Error::Conflict(reason)) => {
                tracing::warn!(lease = %id, reason, "a receipt was refused");
                if let Some(live) = self.memory().leases.get_mut(&id) {
                    live.draft = None;
                }
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        tx.commit()
            .await
            .map_err(|error| self.doubt(id, error.into()))?;
        self.replace_lease(&live.lease);
        self.tell_posted(&live, seq, hash);
        Ok(())
    }

    pub(crate) fn tell_posted(&self, live: &LeaseLive, seq: u64, hash: String) {
        let (lease, epoch) = (live.lease.id, live.lease.epoch);
        let posted = ToWorker::ReceiptPosted {
            lease,
            epoch,
            seq,
            hash,
        };
        self.memory().send(live.lease.node, posted);
        self.live()
            .publish(Topic::Job(live.lease.job), Live::Receipt { seq, lease });
    }

    /// Sets more money aside for a lease that has used half of its window; warns when there is none left.
    /// The caller holds the desk.
    pub(crate) async fn fund(&self, id: LeaseId) -> Result<(), Error> {
        let Some(mut live) = self.memory().leases.get(&id).cloned() else {
            return Ok(());
        };
        let settings = &self.inner.settings;
        let lease = &live.lease;
        let others = self.spoken_for(lease.job, Some(id));
        let ahead = lease.funded.minus_or_zero(live.seconds());
        let limit = self.seconds_allowed(&live).await?;
        if lease.funded >= limit || ahead.get() > settings.escrow_window.get() / 2 {
            return Ok(());
        }
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let mut hold = tx
            .hold(lease.job)
            .await?
            .ok_or(Error::NotFound("the hold"))?;
        let available = tx.balance(ledger::BookId::Available(lease.account)).await?;
        let target = live.seconds().plus(settings.escrow_window).min(limit);
        let cost = |seconds| lease.fees.cost(lease.price, seconds);
        // What the hold still has to cover: all seconds up to the target less what this lease has paid already.
        let wanted = cost(target).minus_or_zero(lease.charged);
        let own = hold.left().minus_or_zero(others);
        let plan = hold.add(wanted.minus_or_zero(own).min(available))?;
        let money = hold
            .left()
            .minus_or_zero(others)
            .checked_add(lease.charged)?;
        let funded = lease
            .fees
            .seconds_for(lease.price, money, limit)
            .max(lease.funded);
        let low = funded < limit && funded.minus_or_zero(live.seconds()) <= settings.funds_low;
        let warn = low && !live.warned;
        if funded == lease.funded && !warn {
            return Ok(());
        }
        self.post_all(&mut tx, &plan, now)
            .await
            .map_err(|error| match error {
                StoreError::Insufficient => {
                    Error::Internal("the balance changed within one transaction".into())
                }
                other => other.into(),
            })?;
        tx.put_hold(&hold).await?;
        live.lease.funded = funded;
        tx.update_lease(&live.lease).await?;
        let left = funded.minus_or_zero(live.seconds());
        let event = warn.then(|| JobEvent {
            at: now,
            kind: JobEventKind::FundsLow,
            detail: format!(
                "the balance lasts {} s more; then the job is stopped",
                left.get()
            ),
        });
        if let Some(event) = &event {
            tx.add_event(live.lease.job, event).await?;
        }
        tx.commit()
            .await
            .map_err(|error| self.doubt(id, error.into()))?;
        self.replace_lease(&live.lease);
        {
            let mut memory = self.memory();
            if let Some(memory_live) = memory.leases.get_mut(&id) {
                memory_live.warned = low;
            }
            memory.send(live.lease.node, fund_message(&live.lease));
        }
        if event.is_some() {
            self.publish_job(live.lease.job, event).await;
        }
        Ok(())
    }

    /// How many seconds this lease may have at most: the job's time limit less what its member's earlier leases delivered.
    async fn seconds_allowed(&self, live: &LeaseLive) -> Result<Seconds, Error> {
        let limit = live.spec.duration();
        if live.lease.epoch.get() <= 1 {
            return Ok(limit);
        }
        let mut leases = self.inner.store.leases_of_job(live.lease.job).await?;
        leases.retain(|row| row.lease.id != live.lease.id);
        Ok(limit.minus_or_zero(used(&leases, live.lease.member)))
    }
}

/// How many seconds of a lease are paid for, for its worker.
pub(crate) const fn fund_message(lease: &Lease) -> ToWorker {
    ToWorker::Fund {
        lease: lease.id,
        epoch: lease.epoch,
        funded: lease.funded,
    }
}
