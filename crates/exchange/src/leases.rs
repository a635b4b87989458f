//! Leases: given, started, ended. Every change of a lease and what it means for job and money is one transaction.

use ed25519_dalek::VerifyingKey;
use kernel::{Amount, LeaseId, PricePerSecond, Seconds, Timestamp};
use ledger::Hold;
use market::Offer;
use metering::{Head, receipt};
use protocol::live::{Live, Topic};
use protocol::state::{JobState, JobStep, LeaseState, RunEnd};
use protocol::view::{JobEvent, JobEventKind, Kind, Receipt};
use protocol::worker::{Assignment, CheckpointFile, StopReason, ToWorker};
use store::{Balances, Job, Lease, PromisedDevice, StoreError, Tx, Withheld};

use crate::billing::most_seconds;
use crate::desk::{Exchange, LeaseLive, secret_hash};
use crate::error::Error;
use crate::recompute::is_drawn_later;
use crate::views::{meter, offer_view};

/// Leases that were written and are told to memory and workers after the commit.
pub(crate) struct Granted(Vec<GrantedLease>);

struct GrantedLease {
    lease: Lease,
    worker_key: VerifyingKey,
    device_uuids: Vec<String>,
    transfer_token: String,
    log_seq: u64,
    checkpoint: Vec<CheckpointFile>,
    event: JobEvent,
}

impl Granted {
    pub(crate) fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.0.iter().map(|granted| granted.lease.id)
    }
}

/// A member of a job and the devices of one node that were taken for it.
pub(crate) struct Seat<'a> {
    pub member: u32,
    pub offers: &'a [Offer],
    /// Seconds that the member's earlier leases delivered; its time limit is for all of them together.
    pub used: Seconds,
}

impl Seat<'_> {
    /// What its devices ask together.
    fn price(&self) -> PricePerSecond {
        PricePerSecond::total(self.offers.iter().map(|offer| offer.price))
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
    /// A server stopped before the word of the lease reached the worker.
    Unheard,
    /// The machine is not what was hired, and why.
    SpecMissed(String),
}

impl Exchange {
    /// Writes a lease for each seat: money, epochs, job and leases in the caller's transaction. `queued`: since when the
    /// job looks for devices for still other members.
    pub(crate) async fn grant(
        &self,
        tx: &mut Tx,
        job: &mut Job,
        hold: &mut Hold,
        seats: &[Seat<'_>],
        queued: Option<Timestamp>,
    ) -> Result<Granted, Error> {
        let funded = self.set_aside(tx, job, hold, seats).await?;
        if job.state == JobState::Matching {
            job.state = job.state.step(JobStep::Leased)?;
        }
        job.queued_at = queued;
        let mut granted = Vec::with_capacity(seats.len());
        for (seat, funded) in seats.iter().zip(funded) {
            job.epoch = job.epoch.next();
            granted.push(self.grant_one(job, seat, funded).await?);
        }
        tx.update_job(job).await?;
        for new in &granted {
            tx.insert_lease(&new.lease).await?;
            tx.add_event(job.id, &new.event).await?;
        }
        Ok(Granted(granted))
    }

    /// Sets money aside for new seats, and answers how many seconds are paid for on each: as many on one as on another.
    async fn set_aside(
        &self,
        tx: &mut Tx,
        job: &Job,
        hold: &mut Hold,
        seats: &[Seat<'_>],
    ) -> Result<Vec<Seconds>, Error> {
        let settings = &self.inner.settings;
        let fees = self.fees();
        let remaining = |seat: &Seat<'_>| job.spec.duration().minus_or_zero(seat.used);
        let cost = |most: Seconds| {
            seats.iter().fold(Amount::ZERO, |sum, seat| {
                let cost = fees.cost(seat.price(), remaining(seat).min(most));
                sum.checked_add(cost).unwrap_or(Amount::MAX)
            })
        };
        let minimum = cost(settings.escrow_minimum);
        let spendable = self.spendable(tx, job.account).await?;
        let available = spendable.left;
        let free = hold.left().minus_or_zero(self.spoken_for(job.id));
        let money = free.checked_add(available)?;
        let short = || spendable.short(minimum, money);
        if money < minimum {
            return Err(short());
        }
        let add = cost(settings.escrow_window)
            .minus_or_zero(free)
            .min(available);
        let plan = hold.add(add)?;
        let budget = free.checked_add(add)?;
        hold.expires_at = None;
        tx.put_hold(hold).await?;
        self.post_all(tx, &plan, self.now())
            .await
            .map_err(|error| match error {
                StoreError::Insufficient => short(),
                other => other.into(),
            })?;
        let longest = seats.iter().map(remaining).max().unwrap_or(Seconds::ZERO);
        let most = most_seconds(longest, |seconds| cost(seconds) <= budget);
        Ok(seats.iter().map(|seat| remaining(seat).min(most)).collect())
    }

    async fn grant_one(
        &self,
        job: &Job,
        seat: &Seat<'_>,
        funded: Seconds,
    ) -> Result<GrantedLease, Error> {
        let now = self.now();
        let first = seat.offers.first().ok_or(Error::NotFound("the device"))?;
        let (node, devices) = {
            let memory = self.memory();
            let named = |offer: &Offer| {
                let (node, device) = memory.device(offer.device)?;
                Some((node.node.clone(), device.clone()))
            };
            let all: Option<Vec<_>> = seat.offers.iter().map(named).collect();
            let all = all.ok_or(Error::NotFound("the device"))?;
            let node = all.first().map(|(node, _)| node.clone());
            let devices: Vec<_> = all.into_iter().map(|(_, device)| device).collect();
            (node.ok_or(Error::NotFound("the device"))?, devices)
        };
        let transfer_token = self.secret("");
        let lease = Lease {
            id: LeaseId::new(now, self.random()),
            job: job.id,
            account: job.account,
            epoch: job.epoch,
            member: seat.member,
            node: first.node,
            device: first.device,
            devices: seat
                .offers
                .iter()
                .map(|offer| (offer.device, offer.price))
                .collect(),
            promised: devices
                .iter()
                .map(|device| PromisedDevice {
                    device: device.id,
                    model: device.model.clone(),
                    memory_mib: device.memory_mib,
                })
                .collect(),
            owner: first.owner,
            kind: self.kind_of(&job.spec),
            price: seat.price(),
            fees: self.fees(),
            state: LeaseState::Granted,
            end: None,
            funded,
            transfer_hash: secret_hash(&transfer_token),
            head: Head::default(),
            charged: Amount::ZERO,
            earned: Amount::ZERO,
            refunded: Amount::ZERO,
            granted_at: now,
            started_at: None,
            ended_at: None,
        };
        let model = devices.first().map_or("", |device| device.model.as_str());
        let what = match devices.len() {
            1 => format!("{model} on {}", node.name),
            n => format!("{n} × {model} on {}", node.name),
        };
        let event = JobEvent {
            at: now,
            kind: JobEventKind::Leased,
            detail: if job.members > 1 {
                format!("node {}: {what}", seat.member)
            } else {
                what
            },
        };
        let worker_key = receipt::public_key(&node.public_key)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let (log_seq, checkpoint) = if job.epoch.get() > 1 {
            let (log_seq, _) = self.inner.store.log_end(job.id, lease.id).await?;
            (log_seq, self.checkpoint(job.id, seat.member).await?)
        } else {
            (0, Vec::new())
        };
        Ok(GrantedLease {
            lease,
            worker_key,
            device_uuids: devices.into_iter().map(|device| device.uuid).collect(),
            transfer_token,
            log_seq,
            checkpoint,
            event,
        })
    }

    /// Tells memory, workers and watchers of leases that are committed.
    pub(crate) async fn after_grant(&self, job: Job, granted: Granted) {
        let id = job.id;
        let mut events = Vec::with_capacity(granted.0.len());
        for new in granted.0 {
            events.push(self.tell_granted(&job, new));
        }
        for event in events {
            self.publish_job(id, Some(event)).await;
        }
    }

    fn tell_granted(&self, job: &Job, granted: GrantedLease) -> JobEvent {
        let GrantedLease {
            lease,
            worker_key,
            device_uuids,
            transfer_token,
            log_seq,
            checkpoint,
            event,
        } = granted;
        let id = job.id;
        tracing::info!(job = %id, lease = %lease.id, node = %lease.node, epoch = lease.epoch.get(), "a lease was granted");
        let mut device_uuids = device_uuids.into_iter();
        let assignment = Assignment {
            lease: lease.id,
            epoch: lease.epoch,
            job: id,
            account: job.account,
            node: lease.node,
            device: lease.device,
            device_uuid: device_uuids.next().unwrap_or_default(),
            more_device_uuids: device_uuids.collect(),
            member: lease.member,
            members: job.members,
            price: lease.price,
            spec: job.spec.clone(),
            funded: lease.funded,
            transfer_token,
            log_bytes_max: self.inner.settings.log_bytes_max,
            checkpoint,
            granted_at: lease.granted_at,
        };
        let expires = self.now().plus_millis(self.inner.settings.lease_life_ms());
        let mut memory = self.memory();
        let unwritten = memory.logs.iter().filter(|row| row.job == id);
        let log_seq = log_seq.max(unwritten.map(|row| row.seq).max().unwrap_or(0));
        let node = lease.node;
        let live = LeaseLive {
            lease,
            spec: job.spec.clone(),
            worker_key,
            draft: None,
            expires,
            stop: None,
            phase: None,
            pulled_percent: None,
            measured_at: None,
            warned: false,
            log_end: 0,
            sample_seq: 0,
            look: i64::MAX,
        };
        memory.add_lease(live, log_seq);
        memory.send(node, ToWorker::Assign(Box::new(assignment)));
        event
    }

    /// The process runs: the job is running and its seconds count from now, or from `elapsed_ms` ago if the worker
    /// could not tell us before; never from before the lease was given.
    pub(crate) async fn started(&self, id: LeaseId, elapsed_ms: u64) -> Result<(), Error> {
        // Whoever does not say that it prepares is measured now.
        self.measure_unless_asked(id);
        let now = self.now();
        // Each worker that comes back says it again of all that runs: no need to wait for the desk then.
        let is_new = |live: &LeaseLive| live.lease.state == LeaseState::Granted;
        if !self.memory().leases.get(&id).is_some_and(is_new) {
            return Ok(());
        }
        let _turn = self.inner.desk.lock().await;
        let Some(mut live) = self.memory().leases.get(&id).cloned() else {
            return Ok(());
        };
        if live.lease.state != LeaseState::Granted {
            return Ok(());
        }
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
        // The first of several members makes it run.
        let runs_now = job.state == JobState::Starting;
        if runs_now {
            job.state = job.state.step(JobStep::Started)?;
        }
        job.started_at = job.started_at.or(Some(started));
        let event = JobEvent {
            at: now,
            kind: JobEventKind::Running,
            detail: live.lease.named_member(job.members),
        };
        tx.update_lease(&live.lease).await?;
        tx.update_job(&job).await?;
        tx.add_event(job.id, &event).await?;
        if runs_now {
            self.tell_started(&mut tx, &job).await?;
        }
        tx.commit()
            .await
            .map_err(|error| self.doubt(id, error.into()))?;
        self.replace_lease(&live.lease);
        self.publish_job(job.id, Some(event)).await;
        Ok(())
    }

    /// Puts what was committed of a lease into memory, and nothing else: heartbeats may have changed the rest.
    pub(crate) fn replace_lease(&self, lease: &Lease) {
        let now = self.now();
        let mut memory = self.memory();
        if let Some(live) = memory.leases.get_mut(&lease.id) {
            let other_rate = live.lease.state != lease.state || live.lease.price != lease.price;
            live.lease = lease.clone();
            if live
                .draft
                .as_ref()
                .is_some_and(|draft| draft.seq <= lease.head.seq)
            {
                live.draft = None;
            }
            if other_rate {
                memory.runways.rate_changes(lease.account);
            }
        }
        // What is due of it may be so sooner now.
        memory.look_at(lease.id, now);
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
        if matches!(end, LeaseEnd::Rejected(_)) {
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
            let Balances {
                available, held, ..
            } = store.balances(job.account).await?;
            let (summary, own, all) = {
                let memory = self.memory();
                let summary = self.summary(&memory, &job, &leases);
                let mut own = meter(memory.leases_of_job(id), available, held);
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
        let devices: Vec<_> = {
            let memory = self.memory();
            let leases = memory.leases_of_job(id);
            leases
                .flat_map(|live| live.lease.devices.iter().map(|(device, _)| *device))
                .collect()
        };
        for device in devices {
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
                    offer: Box::new(offer_view(&memory, &offer, Kind::OnDemand, self.fees())),
                },
                None => Live::OfferGone { device },
            }
        };
        self.live().publish(Topic::Market, frame);
    }
}
