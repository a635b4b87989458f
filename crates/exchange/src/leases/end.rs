//! A lease ends: its last receipt is posted, its slot is free, and its job ends or looks for another node.

use kernel::{Amount, LeaseId};
use protocol::state::{JobStep, LeaseState, RunEnd};
use protocol::view::{JobEvent, JobEventKind, Receipt};
use protocol::worker::{Phase, StopReason};
use store::{Job, Tx, Withheld};

use crate::desk::Exchange;
use crate::error::Error;
use crate::recompute::is_drawn_later;

/// How a lease comes to its end.
pub(crate) enum LeaseEnd {
    /// The worker reports it.
    Reported(RunEnd),
    /// The worker does not want it: another one may.
    Rejected(String),
    /// The worker was silent for too long, or has forgotten the lease.
    Lost,
    /// A server stopped before the word of the lease reached the worker.
    Unheard,
    /// The machine is not what was hired, and why.
    SpecMissed(String),
}

impl Exchange {
    /// Ends a job in the caller's transaction: state, end, and what is left of its hold goes back.
    pub(crate) async fn finish_job(
        &self,
        tx: &mut Tx,
        job: &mut Job,
        step: JobStep,
        end: RunEnd,
    ) -> Result<(), Error> {
        let now = self.now();
        job.state = job.state.step(step)?;
        let detail = end.sentence();
        job.end = Some(end);
        job.ended_at = Some(now);
        job.queued_at = None;
        tx.drop_promise(job.id).await?;
        let mut cost = Amount::ZERO;
        if let Some(mut hold) = tx.hold(job.id).await? {
            let plan = hold.release();
            self.post_all(tx, &plan, now).await?;
            tx.put_hold(&hold).await?;
            cost = hold.paid;
        }
        tx.update_job(job).await?;
        self.tell_ended(tx, job, cost).await?;
        tx.add_event(
            job.id,
            &JobEvent {
                at: now,
                kind: JobEventKind::Ended,
                detail,
            },
        )
        .await?;
        Ok(())
    }

    /// Ends a lease: its last receipt is posted, the slot is free, the job goes on to its end or to another node.
    /// The caller holds the desk.
    pub(crate) async fn end_lease(
        &self,
        id: LeaseId,
        end: LeaseEnd,
        last: Option<Receipt>,
    ) -> Result<(), Error> {
        self.try_end_lease(id, end, last)
            .await
            .map_err(|error| self.doubt(id, error))
    }

    async fn try_end_lease(
        &self,
        id: LeaseId,
        end: LeaseEnd,
        last: Option<Receipt>,
    ) -> Result<(), Error> {
        let Some(mut live) = self.memory().leases.get(&id).cloned() else {
            return Ok(());
        };
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let mut job = tx
            .job(live.lease.job)
            .await?
            .ok_or(Error::NotFound("the job"))?;
        // What another machine than was hired delivered last is not charged in order to be given back.
        let unposted = match &end {
            LeaseEnd::SpecMissed(_) => None,
            _ => live.draft.clone(),
        };
        // Where the last one asks for too much, what was acknowledged before is still owed.
        for receipt in last.into_iter().chain(unposted) {
            let seq = receipt.seq;
            match self.post_receipt(&mut tx, &mut live, receipt).await {
                Ok(_) => break,
                // What a worker signs wrongly is not paid; the lease ends all the same.
                Err(Error::Conflict(reason)) => {
                    tracing::warn!(lease = %id, seq, reason, "the last receipt was refused");
                }
                Err(other) => return Err(other),
            }
        }
        let (run_end, step, kind) = match &end {
            LeaseEnd::Reported(run_end) => (run_end.clone(), run_end.job_step(), None),
            LeaseEnd::Rejected(reason) => (
                RunEnd::FailedToStart {
                    reason: reason.clone(),
                },
                JobStep::Lost,
                Some(JobEventKind::Rejected),
            ),
            LeaseEnd::SpecMissed(reason) => (
                RunEnd::SpecMissed {
                    reason: reason.clone(),
                },
                JobStep::Lost,
                None,
            ),
            LeaseEnd::Lost | LeaseEnd::Unheard => (
                RunEnd::LeaseLost,
                JobStep::Lost,
                Some(JobEventKind::NodeLost),
            ),
        };
        let unshown = match &end {
            LeaseEnd::Lost if live.lease.owner != live.lease.account => {
                self.unshown(&self.memory(), id)
            }
            _ => Vec::new(),
        };
        let unshown = Self::withhold_unshown(&mut tx, id, unshown, now).await?;
        if is_drawn_later(&live.spec, &live.lease) {
            tx.withhold(id, Withheld::Draw, now).await?;
        }
        live.lease.state = LeaseState::Ended;
        live.lease.end = Some(run_end.clone());
        live.lease.ended_at = Some(now);
        tx.update_lease(&live.lease).await?;
        // While an image comes it is its registry's doing as a rule, and the requester chose that.
        if matches!(end, LeaseEnd::Rejected(_)) && live.phase != Some(Phase::Pulling) {
            tx.lease_refused(id).await?;
        }
        // Taken back by the market is no fault of a machine.
        let lost = match run_end {
            RunEnd::Preempted => JobEventKind::Preempted,
            _ => JobEventKind::NodeLost,
        };
        let kind = kind.or((step == JobStep::Lost).then_some(lost));
        let kind = kind.or((job.members > 1).then_some(JobEventKind::MemberEnded));
        if let Some(kind) = kind {
            let what = match &end {
                LeaseEnd::Rejected(reason) => reason.clone(),
                _ => run_end.sentence(),
            };
            let who = live.lease.named_member(job.members);
            let detail = if who.is_empty() {
                what
            } else {
                format!("{who}: {what}")
            };
            let event = JobEvent {
                at: now,
                kind,
                detail,
            };
            tx.add_event(job.id, &event).await?;
        }
        // Taken back by the market, never heard of, or not what was hired: no fault of the job's, and no restart that is
        // counted.
        let counted = run_end != RunEnd::Preempted
            && !matches!(end, LeaseEnd::Unheard | LeaseEnd::SpecMissed(_));
        self.give_back(&mut tx, &job, &live.lease, step, &run_end)
            .await?;
        self.after_member(&mut tx, &mut job, step, run_end, counted)
            .await?;
        self.mature(&mut tx, id, now).await?;
        if live
            .stop
            .is_some_and(|stop| stop.reason == StopReason::Preempted)
        {
            tx.drop_notice(id).await?;
        }
        tx.commit().await?;
        tracing::info!(job = %job.id, lease = %id, state = %job.state, seconds = live.lease.head.seconds.get(), "a lease ended");
        {
            let mut memory = self.memory();
            memory.drop_lease(&live.lease);
            for device in &unshown {
                memory.stands(device.node, device.id, &device.proof);
                memory.ask_soon(device.node);
            }
            // What it asks from now on is another thing.
            memory.told.remove(&job.id);
            if matches!(end, LeaseEnd::Rejected(_) | LeaseEnd::SpecMissed(_)) {
                memory
                    .refused_by
                    .entry(job.id)
                    .or_default()
                    .push(live.lease.node);
            }
            if job.state.is_final() {
                memory.refused_by.remove(&job.id);
            }
        }
        if job.end.is_some() && !job.state.is_final() {
            self.order_stop(job.id, StopReason::JobOver);
        }
        self.publish_job(job.id, None).await;
        self.publish_node(live.lease.node);
        Ok(())
    }
}
