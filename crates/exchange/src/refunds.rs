//! What is given back without being asked for: seconds that a lost node cost a job beyond its bound, and all of a lease
//! whose machine was not what was hired, or delivered what it did not compute. Each reason once a lease, together never more than was
//! paid for it, posted as new transfers. What the platform's books cannot pay is owed, stands as an incident, and is paid when they can.

use kernel::{Amount, DeviceId, LeaseId, Seconds, Timestamp};
use ledger::{BookId, LedgerError, plans};
use protocol::money::{DisputeState, RefundReason};
use protocol::notice::Notice;
use protocol::proof::{DeviceProof, ProofReason, ProofState};
use protocol::spec::DeviceClass;
use protocol::state::{JobStep, RunEnd};
use store::{Device, Job, Lease, PromisedDevice, Refund, Tx};

use crate::desk::Exchange;
use crate::error::Error;
use crate::limits::start_of_day;

/// Of those that are owed, so many are tried in one round.
const OWED_AT_ONCE: u32 = 100;

/// Why a lease's machine is not what was hired, by what its worker says of it now. `None`: it is.
pub(crate) fn spec_missed(lease: &Lease, devices: &[Device]) -> Option<String> {
    lease.promised.iter().find_map(|promised| {
        let mut there = devices.iter();
        missed(promised, there.find(|device| device.id == promised.device))
    })
}

/// The same of one of its devices.
pub(crate) fn missed(promised: &PromisedDevice, now: Option<&Device>) -> Option<String> {
    let now = now.filter(|device| device.present);
    let Some(now) = now else {
        return Some(format!("the {} is not there any more.", promised.model));
    };
    if now.model != promised.model {
        return Some(format!(
            "it shows a {} where a {} was hired.",
            now.model, promised.model
        ));
    }
    // A CPU's memory is its host's, and is not what is hired.
    let less = now.class == DeviceClass::Gpu && now.memory_mib < promised.memory_mib;
    less.then(|| {
        format!(
            "its {} shows {} MiB of memory where {} MiB were hired.",
            now.model, now.memory_mib, promised.memory_mib
        )
    })
}

/// Why a lease is not what was hired though its machine says so: a card that had shown what it is then is not held for that any more, as it
/// failed or describes itself otherwise. That a slice of another job was wrong says nothing of what it is. `None`: all are held for it.
pub(crate) fn fell<'a>(
    lease: &Lease,
    proof: impl Fn(DeviceId) -> Option<&'a DeviceProof>,
) -> Option<String> {
    lease.promised.iter().find_map(|promised| {
        let held = proof(promised.device).is_some_and(|proof| {
            matches!(proof.state, ProofState::Proven | ProofState::Suspect)
                || proof.reason == Some(ProofReason::WrongSlice)
        });
        (promised.proven && !held).then(|| {
            format!(
                "its {} had shown that it is one, and is not held for it any more.",
                promised.model
            )
        })
    })
}

/// Delivered seconds that are lost beyond what the job allows, of a lease that is over.
fn beyond_bound(job: &Job, lease: &Lease, saved: Seconds) -> Seconds {
    let Some(bound) = job.spec.limits.loss_bound_seconds else {
        return Seconds::ZERO;
    };
    let lost = lease.head.seconds.minus_or_zero(saved);
    lost.minus_or_zero(Seconds::new(bound))
}

/// What was paid for a lease's last seconds.
fn paid_for_last(lease: &Lease, seconds: Seconds) -> Amount {
    let cost = |seconds| lease.fees.cost(lease.price, seconds);
    let all = lease.head.seconds;
    cost(all).minus_or_zero(cost(all.minus_or_zero(seconds)))
}

impl Exchange {
    /// Gives back what a lease that is over has cost its job in vain, in the caller's transaction and before the lease's
    /// earnings mature.
    pub(crate) async fn give_back(
        &self,
        tx: &mut Tx,
        job: &Job,
        lease: &Lease,
        step: JobStep,
        end: &RunEnd,
    ) -> Result<(), Error> {
        // The market's notice is for writing a checkpoint; a requester's own stop loses nothing to a machine; and what one
        // pays oneself is no loss.
        let lost = step == JobStep::Lost && *end != RunEnd::Preempted;
        if !lost {
            return Ok(());
        }
        if let RunEnd::SpecMissed { reason } = end {
            // Whoever else ended the job: it was not what was hired.
            let seconds = lease.head.seconds;
            return self.not_hired(tx, job, lease, seconds, reason).await;
        }
        // Another member ended the job, or it was to end: nothing starts again.
        if job.stop_requested || job.end.is_some() {
            return Ok(());
        }
        let saved = tx.given(lease.id).await?.saved;
        let seconds = beyond_bound(job, lease, saved);
        self.refund(tx, job, lease, RefundReason::LossBound, seconds, "")
            .await
    }

    /// Gives back a lease's last seconds, which were not what was hired: the owner's share out of its earnings.
    pub(crate) async fn not_hired(
        &self,
        tx: &mut Tx,
        job: &Job,
        lease: &Lease,
        seconds: Seconds,
        detail: &str,
    ) -> Result<(), Error> {
        self.refund(tx, job, lease, RefundReason::SpecMissed, seconds, detail)
            .await
    }

    /// Gives back all of a lease, which delivered what others do not compute.
    pub(crate) async fn not_computed(
        &self,
        tx: &mut Tx,
        job: &Job,
        lease: &Lease,
        detail: &str,
    ) -> Result<(), Error> {
        let seconds = lease.head.seconds;
        self.refund(tx, job, lease, RefundReason::WrongSlice, seconds, detail)
            .await
    }

    /// Gives back what a lease's last seconds cost, once for a reason, less what was given back of them for another.
    async fn refund(
        &self,
        tx: &mut Tx,
        job: &Job,
        lease: &Lease,
        reason: RefundReason,
        seconds: Seconds,
        detail: &str,
    ) -> Result<(), Error> {
        if lease.owner == lease.account || lease.charged.is_zero() {
            return Ok(());
        }
        let before = tx.refunds_of(lease.id).await?;
        if before.iter().any(|refund| refund.reason == reason) {
            return Ok(());
        }
        let before = before
            .iter()
            .try_fold(Amount::ZERO, |sum, refund| sum.checked_add(refund.amount))?;
        let given = tx.given(lease.id).await?;
        let open = lease.charged.minus_or_zero(given.back);
        // Of these seconds some may be contested, or given back by a ruling.
        let from = lease.head.seconds.minus_or_zero(seconds);
        let contested = self.contested_after(tx, lease.id, from).await?;
        let amount = paid_for_last(lease, seconds)
            .minus_or_zero(contested)
            // All are for the last seconds, so what was given back lies within these or goes beyond.
            .minus_or_zero(before)
            .min(open);
        if amount.is_zero() {
            return Ok(());
        }
        let now = self.now();
        let mut refund = Refund {
            lease: lease.id,
            reason,
            key: format!("refund:{}:{}", lease.id, reason.as_str()),
            job: job.id,
            account: job.account,
            seconds,
            charged: lease.charged,
            amount,
            owed: amount,
            at: now,
            paid_at: None,
        };
        if reason != RefundReason::LossBound {
            let from_owner = self.take_from_owner(tx, &refund, lease).await?;
            refund.owed = amount.minus_or_zero(from_owner);
            let notice = Notice::LeaseRefunded {
                lease: lease.id,
                node: lease.node,
                amount: from_owner,
                detail: detail.to_owned(),
            };
            self.notify(tx, lease.owner, notice).await?;
        }
        // Who waits longer is paid first.
        let others_wait = !self.inner.store.owed_refunds(1).await?.is_empty();
        if !others_wait && self.platform_gives(tx, &refund, lease, now).await? {
            refund.owed = Amount::ZERO;
            refund.paid_at = Some(now);
        }
        tx.insert_refund(&refund).await?;
        let paid = amount.minus_or_zero(refund.owed);
        tx.add_refunded(lease.id, paid).await?;
        let notice = Notice::JobRefunded {
            job: job.id,
            name: job.spec.name.clone(),
            lease: lease.id,
            reason,
            seconds,
            amount,
            owed: refund.owed,
        };
        self.notify(tx, job.account, notice).await?;
        tracing::info!(job = %job.id, lease = %lease.id, reason = reason.as_str(), %amount, owed = %refund.owed, "given back");
        Ok(())
    }

    /// What disputes have, or ask, of the seconds of a lease after the first ones.
    async fn contested_after(
        &self,
        tx: &mut Tx,
        lease: LeaseId,
        from: Seconds,
    ) -> Result<Amount, Error> {
        let mut sum = Amount::ZERO;
        for dispute in tx.disputes_of_lease(lease).await? {
            let pair = tx.receipt_pair(lease, dispute.seq).await?;
            let within = pair
                .first()
                .is_some_and(|(receipt, ..)| receipt.seconds > from);
            let taken = match dispute.state {
                DisputeState::Open => dispute.claimed,
                _ => dispute.refunded,
            };
            if within {
                sum = sum.checked_add(taken)?;
            }
        }
        Ok(sum)
    }

    /// What the owner earned with the refunded seconds, as far as it is still here.
    async fn take_from_owner(
        &self,
        tx: &mut Tx,
        refund: &Refund,
        lease: &Lease,
    ) -> Result<Amount, Error> {
        let plan = plan(refund, lease);
        let share = plan.owner_share(lease.earned, lease.charged);
        let maturity = tx.maturity(lease.id).await?;
        let maturity = maturity.ok_or(Error::NotFound("the lease"))?;
        let earned = share.min(maturity.earned.minus_or_zero(maturity.matured));
        let there = tx.balance(BookId::Withdrawable(lease.owner)).await?;
        let matured = share.minus_or_zero(earned).min(there);
        self.post_all(tx, &plan.owner_gives(earned, matured), refund.at)
            .await?;
        // What is taken here does not mature.
        let so_far = maturity.matured.checked_add(earned)?;
        tx.put_matured(lease.id, so_far, refund.at).await?;
        Ok(earned.checked_add(matured)?)
    }

    /// Pays what is owed of a refund, all of it or nothing. A day has its limit, so that whoever found a way to be given
    /// back too much empties no book before somebody looks.
    async fn platform_gives(
        &self,
        tx: &mut Tx,
        refund: &Refund,
        lease: &Lease,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if refund.owed.is_zero() {
            return Ok(true);
        }
        let mut today = refund.owed;
        for book in [BookId::Fees, BookId::Treasury] {
            let out = tx.refunded_since(book, start_of_day(now)).await?;
            today = today.checked_add(out)?;
        }
        if today > self.inner.settings.refunds_per_day {
            return Ok(false);
        }
        let fees = tx.balance(BookId::Fees).await?;
        let treasury = tx.balance(BookId::Treasury).await?;
        match plan(refund, lease).platform_gives(refund.owed, fees, treasury) {
            Ok(plan) => {
                self.post_all(tx, &plan, now).await?;
                Ok(true)
            }
            Err(LedgerError::Insufficient { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Pays refunds that are owed, the longest owed first, as far as the platform's books can; nobody is passed over.
    pub(crate) async fn pay_owed(&self) -> Result<(), Error> {
        for (lease, reason) in self.inner.store.owed_refunds(OWED_AT_ONCE).await? {
            let _turn = self.inner.desk.lock().await;
            if !self.pay_one(lease, reason).await? {
                break;
            }
        }
        Ok(())
    }

    /// `false`: it cannot be paid now.
    async fn pay_one(&self, id: LeaseId, reason: RefundReason) -> Result<bool, Error> {
        let Some(lease) = self.inner.store.lease(id).await? else {
            return Ok(true);
        };
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let Some(refund) = tx.owed_refund(id, reason).await? else {
            return Ok(true);
        };
        if !self.platform_gives(&mut tx, &refund, &lease, now).await? {
            return Ok(false);
        }
        tx.pay_refund(id, reason, now).await?;
        tx.add_refunded(id, refund.owed).await?;
        let job = tx
            .job(refund.job)
            .await?
            .ok_or(Error::NotFound("the job"))?;
        let notice = Notice::JobRefunded {
            job: job.id,
            name: job.spec.name,
            lease: id,
            reason: refund.reason,
            seconds: refund.seconds,
            amount: refund.amount,
            owed: Amount::ZERO,
        };
        self.notify(&mut tx, refund.account, notice).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn plan<'a>(refund: &'a Refund, lease: &Lease) -> plans::Refund<'a> {
    plans::Refund {
        key: &refund.key,
        job: refund.job,
        requester: refund.account,
        owner: lease.owner,
        amount: refund.amount,
    }
}
