//! A lease is given: money is set aside, the lease is written for each seat of a job, and after the commit memory, worker
//! and watchers are told.

use ed25519_dalek::VerifyingKey;
use kernel::{Amount, LeaseId, PricePerSecond, Seconds, Timestamp};
use ledger::Hold;
use market::Offer;
use metering::{Head, receipt};
use protocol::proof::ProofState;
use protocol::spec::DeviceClass;
use protocol::state::{JobState, JobStep, LeaseState};
use protocol::view::{JobEvent, JobEventKind};
use protocol::worker::{Assignment, CheckpointFile, ToWorker};
use store::{Job, Lease, PromisedDevice, StoreError, Tx};

use crate::billing::most_seconds;
use crate::desk::{Exchange, LeaseLive, secret_hash};
use crate::error::Error;

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
        // From now on what it pays is in its lease.
        job.promised = None;
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
                    proven: device.class == DeviceClass::Gpu
                        && device.proof.state == ProofState::Proven,
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
}
