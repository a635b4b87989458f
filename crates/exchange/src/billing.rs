//! Receipts into money, and money into funded seconds.

use kernel::{Amount, JobId, LeaseId, Seconds, Timestamp};
use ledger::{Payment, plans};
use metering::receipt;
use metering::{Charge, Head};
use protocol::live::{Live, Topic};
use protocol::notice::Notice;
use protocol::state::LeaseState;
use protocol::view::{JobEvent, JobEventKind, Receipt};
use protocol::worker::ToWorker;
use store::{Lease, StoreError, Tx};

use crate::desk::{Exchange, LeaseLive};
use crate::error::Error;
use crate::jobs::STOP_GRACE_MS;
use crate::members::used;
use crate::recompute::is_drawn_later;

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
        let (earned_before, seconds_before) = (lease.earned, lease.head.seconds);
        lease.earned = lease.earned.checked_add(part.owner_gets)?;
        lease.head = head;
        let seconds = lease.head.seconds.minus_or_zero(seconds_before);
        for (device, _) in &lease.devices {
            let share = |earned| lease.share(*device, earned);
            let more = share(lease.earned).checked_sub(share(earned_before))?;
            tx.add_earned(*device, seconds, more).await?;
        }
        // After its transfers, which never are before those before them: both stand in the same month.
        let posted_at = now.max(tx.chain_end().await?.at);
        tx.insert_receipt(&receipt, &lease.head.hash, part.requester_pays, posted_at)
            .await?;
        let hours = |seconds: Seconds| seconds.get() / Seconds::HOUR.get();
        let is_full = hours(lease.head.seconds) > hours(seconds_before);
        // What may be withheld at its end matures without this receipt: one that was held back for minutes would carry all of them
        // over the hour.
        let may_wait = is_drawn_later(&live.spec, lease)
            || lease.promised.iter().any(|promised| promised.proven);
        if is_full && may_wait {
            self.mature(tx, lease.id, now).await?;
        }
        tx.update_lease(lease).await?;
        if is_full && !may_wait {
            self.mature(tx, lease.id, now).await?;
        }
        Ok((lease.head.seq, lease.head.hash.clone()))
    }

    /// What a lease earned becomes withdrawable, or is promised by a voucher: each hour, and when it is over, unless it is
    /// withheld until something is shown.
    pub(crate) async fn mature(
        &self,
        tx: &mut Tx,
        lease: LeaseId,
        now: Timestamp,
    ) -> Result<(), Error> {
        if tx.is_withheld(lease).await? {
            return Ok(());
        }
        let Some(so_far) = tx.maturity(lease).await? else {
            return Ok(());
        };
        let vouched = self.clear(tx, lease, &so_far, now).await?;
        let matured = so_far.matured.checked_add(vouched)?;
        let plan = plans::mature(so_far.owner, lease, matured, so_far.earned);
        if let Some(transfer) = plan {
            self.post_all(tx, &[transfer], now).await?;
        }
        if so_far.earned > so_far.matured {
            tx.put_matured(lease, so_far.earned, now).await?;
        }
        Ok(tx.mature_disputed(lease).await?)
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

    /// A lease with no more funded seconds ahead runs low.
    pub(crate) fn low_mark(&self) -> Seconds {
        Seconds::new(self.inner.settings.escrow_window.get() / 2)
    }

    /// Whether a lease has used half of what was set aside for it, and may go on.
    pub(crate) fn runs_low(&self, live: &LeaseLive) -> bool {
        let ahead = live.lease.funded.minus_or_zero(live.seconds());
        live.lease.state == LeaseState::Active
            && live.stop.is_none()
            && ahead <= self.low_mark()
            && live.lease.funded < live.spec.duration()
    }

    /// Sets more money aside for a job of which a lease runs low: for all of its leases equally far ahead, since they
    /// run together or not at all. Warns when there is none left. The caller holds the desk.
    pub(crate) async fn fund(&self, job: JobId) -> Result<(), Error> {
        let mut seats = self.seats_of(job).await?;
        let due = |seat: &Funding| self.runs_low(&seat.live) && seat.live.lease.funded < seat.limit;
        if !seats.iter().any(due) {
            return Ok(());
        }
        let settings = &self.inner.settings;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let mut hold = tx.hold(job).await?.ok_or(Error::NotFound("the hold"))?;
        let available = self.spendable(&mut tx, hold.account).await?.left;
        let money = hold.left().checked_add(available)?;
        // What the hold has to cover: all seconds so far ahead, less what is paid already.
        let wanted = |window: Seconds| {
            seats.iter().fold(Amount::ZERO, |sum, seat| {
                sum.checked_add(seat.open_cost(window))
                    .unwrap_or(Amount::MAX)
            })
        };
        let window = most_seconds(settings.escrow_window, |window| wanted(window) <= money);
        let plan = hold.add(wanted(window).minus_or_zero(hold.left()).min(available))?;
        let mut changed = Vec::new();
        let (mut left, mut news) = (None, false);
        for seat in &mut seats {
            let funded = seat.target(window);
            let ahead = funded.minus_or_zero(seat.live.seconds());
            let low = funded < seat.limit && ahead <= settings.funds_low;
            if low {
                left = Some(left.map_or(ahead, |least: Seconds| least.min(ahead)));
                news |= !seat.live.warned;
            }
            if funded != seat.live.lease.funded || low != seat.live.warned {
                seat.live.warned = low;
                seat.live.lease.funded = funded;
                changed.push(seat.live.clone());
            }
        }
        if changed.is_empty() {
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
        for live in &changed {
            tx.update_lease(&live.lease).await?;
        }
        let event = left.filter(|_| news).map(|left| JobEvent {
            at: now,
            kind: JobEventKind::FundsLow,
            detail: format!(
                "the balance lasts {} s more; then the job is stopped",
                left.get()
            ),
        });
        if let Some(event) = &event {
            tx.add_event(job, event).await?;
        }
        if let (Some(left), true, Some(seat)) = (left, news, seats.first()) {
            let notice = Notice::JobFundsLow {
                job,
                name: seat.live.spec.name.clone(),
                seconds_left: left,
            };
            self.notify(&mut tx, hold.account, notice).await?;
        }
        let leases = changed.iter().map(|live| live.lease.id);
        tx.commit()
            .await
            .map_err(|error| self.doubt_all(leases, error.into()))?;
        for live in &changed {
            self.replace_lease(&live.lease);
            let mut memory = self.memory();
            if let Some(memory_live) = memory.leases.get_mut(&live.lease.id) {
                memory_live.warned = live.warned;
            }
            memory.send(live.lease.node, fund_message(&live.lease));
        }
        if event.is_some() {
            self.publish_job(job, event).await;
        }
        Ok(())
    }

    /// When what is set aside for a job without a lease goes back.
    pub(crate) fn idle_until(&self) -> Timestamp {
        self.now().plus(self.inner.settings.requeue_patience)
    }

    /// Gives back what nothing used until its time was over. The caller holds the desk.
    pub(crate) async fn expire_hold(&self, job: JobId) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let Some(mut hold) = tx.hold(job).await? else {
            return Ok(());
        };
        let plan = hold.expire(now)?;
        self.post_all(&mut tx, &plan, now).await?;
        tx.put_hold(&hold).await?;
        let event = plan.first().map(|back| JobEvent {
            at: now,
            kind: JobEventKind::Waiting,
            detail: format!(
                "The {} that were set aside for it are free again. It waits on, and sets money aside anew when its turn comes.",
                back.amount
            ),
        });
        if let Some(event) = &event {
            tx.add_event(job, event).await?;
        }
        tx.commit().await?;
        self.publish_job(job, event).await;
        Ok(())
    }

    /// Whether a lease had all the seconds that its job's time limit leaves it, but for those of the grace in which it may have ended. Its worker
    /// knows only how many are paid for; when those are over, it is the limit that was met and not the money that ran out.
    pub(crate) async fn met_its_limit(
        &self,
        live: &LeaseLive,
        delivered: Seconds,
    ) -> Result<bool, Error> {
        let lease = live.lease.id;
        let seats = self.seats_of(live.lease.job).await?;
        let own = seats.into_iter().find(|seat| seat.live.lease.id == lease);
        let reached = delivered
            .max(live.seconds())
            .plus(Seconds::new(STOP_GRACE_MS / 1_000));
        Ok(own.is_some_and(|seat| seat.left <= live.lease.funded.min(reached)))
    }

    /// The job's live leases, and how many seconds each may have at most: the job's time limit less what its member's
    /// earlier leases delivered.
    async fn seats_of(&self, job: JobId) -> Result<Vec<Funding>, Error> {
        let lives: Vec<LeaseLive> = self.memory().leases_of_job(job).cloned().collect();
        let again = lives.iter().any(|live| live.lease.epoch.get() > 1);
        let earlier = if again {
            let mut leases = self.inner.store.leases_of_job(job).await?;
            leases.retain(|row| lives.iter().all(|live| live.lease.id != row.lease.id));
            leases
        } else {
            Vec::new()
        };
        let seat = |live: LeaseLive| {
            let left = live
                .spec
                .duration()
                .minus_or_zero(used(&earlier, live.lease.member));
            let limit = match live.stop {
                None => left,
                // What ends gets no more.
                Some(_) => live.lease.funded,
            };
            Funding { live, left, limit }
        };
        Ok(lives.into_iter().map(seat).collect())
    }
}

/// A lease of a job that is to be funded together with the others.
struct Funding {
    live: LeaseLive,
    /// What the job's time limit leaves it.
    left: Seconds,
    /// How far it is funded at most.
    limit: Seconds,
}

impl Funding {
    /// Funded seconds with so many ahead. What is set aside already stays so.
    fn target(&self, ahead: Seconds) -> Seconds {
        let lease = &self.live.lease;
        lease
            .funded
            .max(self.live.seconds().plus(ahead).min(self.limit))
    }

    /// What these seconds cost beyond what is paid.
    fn open_cost(&self, ahead: Seconds) -> Amount {
        let lease = &self.live.lease;
        let cost = lease.fees.cost(lease.price, self.target(ahead));
        cost.minus_or_zero(lease.charged)
    }
}

/// The most seconds up to `limit` that are affordable, found by halving: a cost never falls as seconds rise. 0 seconds
/// are taken to be affordable.
pub(crate) fn most_seconds(limit: Seconds, affordable: impl Fn(Seconds) -> bool) -> Seconds {
    let (mut enough, mut border) = (0_u64, limit.get().saturating_add(1));
    while enough.saturating_add(1) < border {
        let middle = enough.midpoint(border);
        if affordable(Seconds::new(middle)) {
            enough = middle;
        } else {
            border = middle;
        }
    }
    Seconds::new(enough)
}

/// How many seconds of a lease are paid for, for its worker.
pub(crate) const fn fund_message(lease: &Lease) -> ToWorker {
    ToWorker::Fund {
        lease: lease.id,
        epoch: lease.epoch,
        funded: lease.funded,
    }
}
