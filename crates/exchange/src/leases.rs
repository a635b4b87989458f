//! Leases: given, started, ended. Every change of a lease and what it means for job and money is one transaction.

use ed25519_dalek::VerifyingKey;
use kernel::{Amount, LeaseId, Seconds};
use ledger::Hold;
use market::Offer;
use metering::{Head, receipt};
use protocol::live::{Live, Topic};
use protocol::state::{JobStep, LeaseState, RunEnd};
use protocol::view::{JobEvent, JobEventKind, Receipt};
use protocol::worker::{Assignment, ToWorker};
use store::{Job, Lease, StoreError, Tx};

use crate::desk::{Exchange, LeaseLive, secret_hash};
use crate::error::Error;
use crate::views::{meter, offer_view};

/// A lease that was written and is told to memory and worker after the commit.
pub(crate) struct Granted {
    lease: Lease,
    worker_key: VerifyingKey,
    device_uuid: String,
    transfer_token: String,
    log_seq: u64,
    event: JobEvent,
}

impl Granted {
    pub(crate) const fn lease(&self) -> LeaseId {
        self.lease.id
    }
}

/// How a lease comes to its end.
pub(crate) enum LeaseEnd {
    /// The worker reports it.
    Reported(RunEnd),
    /// The worker does not want it: another one may.
    Rejected(String),
    /// The worker was silent for too long, or has forgotten the lease.
    Lost,
}

impl Exchange {
    /// Writes a lease on an offer that was taken: money, epoch, job and lease in the caller's transaction.
    /// `used`: seconds that earlier leases of the job delivered; its time limit is for all of them together.
    pub(crate) async fn grant(
        &self,
        tx: &mut Tx,
        job: &mut Job,
        hold: &mut Hold,
        offer: &Offer,
        used: Seconds,
    ) -> Result<Granted, Error> {
        let now = self.now();
        let settings = &self.inner.settings;
        let fees = self.fees();
        let remaining = job.spec.duration().minus_or_zero(used);
        let cost = |seconds| {
            // Beyond all amounts is beyond every balance, too.
            fees.charge(offer.price, seconds)
                .map_or(Amount::MAX, |charge| charge.requester_pays)
        };
        let wanted = cost(remaining.min(settings.escrow_window));
        let minimum = cost(remaining.min(settings.escrow_minimum));
        let available = tx.balance(ledger::BookId::Available(job.account)).await?;
        let money = hold.left().checked_add(available)?;
        if money < minimum {
            return Err(Error::InsufficientFunds {
                needed: minimum,
                available: money,
            });
        }
        let add = wanted.minus_or_zero(hold.left()).min(available);
        let plan = hold.add(add)?;
        let funded = fees.seconds_for(offer.price, hold.left(), remaining);
        job.state = job
            .state
            .step(JobStep::Leased)
            .map_err(|error| Error::Internal(error.to_string()))?;
        job.epoch = job.epoch.next();
        job.queued_at = None;
        let (node, device) = {
            let memory = self.memory();
            let (node, device) = memory
                .device(offer.device)
                .ok_or(Error::NotFound("the device"))?;
            (node.node.clone(), device.clone())
        };
        let transfer_token = self.secret("");
        let lease = Lease {
            id: LeaseId::new(now, self.random()),
            job: job.id,
            account: job.account,
            epoch: job.epoch,
            node: offer.node,
            device: offer.device,
            owner: offer.owner,
            price: offer.price,
            fees,
            state: LeaseState::Granted,
            end: None,
            funded,
            transfer_hash: secret_hash(&transfer_token),
            head: Head::default(),
            charged: Amount::ZERO,
            earned: Amount::ZERO,
            granted_at: now,
            started_at: None,
            ended_at: None,
        };
        let event = JobEvent {
            at: now,
            kind: JobEventKind::Leased,
            detail: format!("{} on {}", device.model, node.name),
        };
        tx.put_hold(hold).await?;
        self.post_all(tx, &plan, now)
            .await
            .map_err(|error| match error {
                StoreError::Insufficient => Error::InsufficientFunds {
                    needed: minimum,
                    available: money,
                },
                other => other.into(),
            })?;
        tx.update_job(job).await?;
        tx.insert_lease(&lease).await?;
        tx.add_event(job.id, &event).await?;
        let worker_key = receipt::public_key(&node.public_key)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let (log_seq, _) = if job.restarts == 0 {
            (0, 0)
        } else {
            self.inner.store.log_end(job.id, lease.id).await?
        };
        Ok(Granted {
            lease,
            worker_key,
            device_uuid: device.uuid,
            transfer_token,
            log_seq,
            event,
        })
    }

    /// Tells memory, worker and watchers of a lease that is committed.
    pub(crate) async fn after_grant(&self, job: Job, granted: Granted) {
        let Granted {
            lease,
            worker_key,
            device_uuid,
            transfer_token,
            log_seq,
            event,
        } = granted;
        let id = job.id;
        tracing::info!(job = %id, lease = %lease.id, node = %lease.node, epoch = lease.epoch.get(), "a lease was granted");
        let assignment = Assignment {
            lease: lease.id,
            epoch: lease.epoch,
            job: id,
            account: job.account,
            node: lease.node,
            device: lease.device,
            device_uuid,
            price: lease.price,
            spec: job.spec.clone(),
            funded: lease.funded,
            transfer_token,
            log_bytes_max: self.inner.settings.log_bytes_max,
            granted_at: lease.granted_at,
        };
        let expires = self.now().plus_millis(self.inner.settings.lease_life_ms());
        {
            let mut memory = self.memory();
            let log_seq = log_seq.max(
                memory
                    .logs
                    .iter()
                    .filter(|row| row.job == id)
                    .map(|row| row.seq)
                    .max()
                    .unwrap_or(0),
            );
            let node = lease.node;
            let live = LeaseLive {
                lease,
                spec: job.spec,
                worker_key,
                draft: None,
                expires,
                stop_at: None,
                phase: None,
                warned: false,
                log_seq,
                log_end: 0,
                sample_seq: 0,
            };
            memory.add_lease(live);
            memory.send(node, ToWorker::Assign(Box::new(assignment)));
        }
        self.publish_job(id, Some(event)).await;
    }

    /// The process runs: the job is running and its seconds count from now, or from `elapsed_ms` ago if the worker
    /// could not tell us before; never from before the lease was given.
    pub(crate) async fn started(&self, id: LeaseId, elapsed_ms: u64) -> Result<(), Error> {
        let _turn = self.inner.desk.lock().await;
        let Some(mut live) = self.memory().leases.get(&id).cloned() else {
            return Ok(());
        };
        if live.lease.state != LeaseState::Granted {
            return Ok(());
        }
        let now = self.now();
        let elapsed = i64::try_from(elapsed_ms).unwrap_or(i64::MAX);
        let started = now
            .plus_millis(elapsed.saturating_neg())
            .max(live.lease.granted_at);
        live.lease.state = LeaseState::Active;
        live.lease.started_at = Some(started);
        let mut tx = self.inner.store.begin().await?;
        let mut job = tx
            .job(live.lease.job)
            .await?
            .ok_or(Error::NotFound("the job"))?;
        job.state = job
            .state
            .step(JobStep::Started)
            .map_err(|error| Error::Internal(error.to_string()))?;
        job.started_at = job.started_at.or(Some(started));
        let event = JobEvent {
            at: now,
            kind: JobEventKind::Running,
            detail: String::new(),
        };
        tx.update_lease(&live.lease).await?;
        tx.update_job(&job).await?;
        tx.add_event(job.id, &event).await?;
        tx.commit()
            .await
            .map_err(|error| self.doubt(id, error.into()))?;
        self.replace_lease(&live.lease);
        self.publish_job(job.id, Some(event)).await;
        Ok(())
    }

    /// Puts what was committed of a lease into memory, and nothing else: heartbeats may have changed the rest.
    pub(crate) fn replace_lease(&self, lease: &Lease) {
        if let Some(live) = self.memory().leases.get_mut(&lease.id) {
            live.lease = lease.clone();
            if live
                .draft
                .as_ref()
                .is_some_and(|draft| draft.seq <= lease.head.seq)
            {
                live.draft = None;
            }
        }
    }

    /// Ends a job in the caller's transaction: state, end, and what is left of its hold goes back.
    pub(crate) async fn finish_job(
        &self,
        tx: &mut Tx,
        job: &mut Job,
        step: JobStep,
        end: RunEnd,
    ) -> Result<(), Error> {
        let now = self.now();
        job.state = job
            .state
            .step(step)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let detail = end.sentence();
        job.end = Some(end);
        job.ended_at = Some(now);
        job.queued_at = None;
        if let Some(mut hold) = tx.hold(job.id).await? {
            let plan = hold.release();
            self.post_all(tx, &plan, now).await?;
            tx.put_hold(&hold).await?;
        }
        tx.update_job(job).await?;
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
        // Where the last one asks for too much, what was acknowledged before is still owed.
        for receipt in last.into_iter().chain(live.draft.clone()) {
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
            LeaseEnd::Lost => (
                RunEnd::LeaseLost,
                JobStep::Lost,
                Some(JobEventKind::NodeLost),
            ),
        };
        live.lease.state = LeaseState::Ended;
        live.lease.end = Some(run_end.clone());
        live.lease.ended_at = Some(now);
        tx.update_lease(&live.lease).await?;
        let kind = kind.or((step == JobStep::Lost).then_some(JobEventKind::NodeLost));
        if let Some(kind) = kind {
            let detail = match &end {
                LeaseEnd::Rejected(reason) => reason.clone(),
                _ => run_end.sentence(),
            };
            tx.add_event(
                job.id,
                &JobEvent {
                    at: now,
                    kind,
                    detail,
                },
            )
            .await?;
        }
        match step {
            JobStep::Lost if job.stop_requested => {
                self.finish_job(&mut tx, &mut job, JobStep::Stop, RunEnd::StoppedByUser)
                    .await?;
            }
            JobStep::Lost if job.restarts >= job.spec.limits.max_restarts => {
                let end = RunEnd::TooManyRestarts {
                    restarts: job.restarts,
                };
                self.finish_job(&mut tx, &mut job, JobStep::Fail, end)
                    .await?;
            }
            JobStep::Lost => {
                job.state = job
                    .state
                    .step(JobStep::Lost)
                    .map_err(|error| Error::Internal(error.to_string()))?;
                job.restarts = job.restarts.saturating_add(1);
                job.queued_at = Some(now);
                tx.update_job(&job).await?;
            }
            step => self.finish_job(&mut tx, &mut job, step, run_end).await?,
        }
        tx.commit().await?;
        tracing::info!(job = %job.id, lease = %id, state = %job.state, seconds = live.lease.head.seconds.get(), "a lease ended");
        {
            let mut memory = self.memory();
            memory.drop_lease(&live.lease);
            if matches!(end, LeaseEnd::Rejected(_)) {
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
        self.publish_job(job.id, None).await;
        self.publish_node(live.lease.node);
        Ok(())
    }

    /// Tells the watchers of a job and of its account how it stands.
    pub(crate) async fn publish_job(&self, id: kernel::JobId, event: Option<JobEvent>) {
        if let Err(error) = self.try_publish_job(id, event).await {
            tracing::error!(job = %id, %error, "a change of a job could not be told to its watchers");
        }
    }

    async fn try_publish_job(
        &self,
        id: kernel::JobId,
        event: Option<JobEvent>,
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        let Some(job) = store.job(id).await? else {
            return Ok(());
        };
        let (topic, account) = (Topic::Job(id), Topic::Account(job.account));
        if self.live().watched(topic) || self.live().watched(account) {
            let leases = store.leases_of_job(id).await?;
            let [available, held, _] = store.balances(job.account).await?;
            let (summary, own, all) = {
                let memory = self.memory();
                let summary = self.summary(&memory, &job, &leases);
                let mut own = meter(memory.lease_of_job(id).into_iter(), available, held);
                own.spent = summary.spent;
                let all = meter(memory.leases_of_account(job.account), available, held);
                (summary, own, all)
            };
            let frame = |meter| Live::Job {
                job: Box::new(summary.clone()),
                event: event.clone(),
                meter,
            };
            self.live().publish(topic, frame(own));
            self.live().publish(account, frame(all));
        }
        let device = self.memory().lease_of_job(id).map(|live| live.lease.device);
        if let Some(device) = device {
            self.publish_offer(device);
        }
        Ok(())
    }

    pub(crate) fn publish_offer(&self, device: kernel::DeviceId) {
        if !self.live().watched(Topic::Market) {
            return;
        }
        let frame = {
            let memory = self.memory();
            match memory.book.get(device) {
                Some(offer) => Live::Offer {
                    offer: Box::new(offer_view(&memory, &offer, self.fees())),
                },
                None => Live::OfferGone { device },
            }
        };
        self.live().publish(Topic::Market, frame);
    }
}
