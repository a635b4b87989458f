//! Taking spot jobs back. A job that pays the on-demand price or a term's, and that finds nothing free, gives notice to a
//! spot job on a device that would suit it; the device is promised to it from then on, and to nobody else.
//!
//! Which one is published: the spot lease that pays least a second; of equal ones the youngest.

use std::cmp::Reverse;

use kernel::{AccountId, Amount, DeviceId, JobId, LeaseId, PricePerSecond, Seconds, Timestamp};
use market::{Choice, Kind, Near, Offer, Request, Supply};
use protocol::JobSpec;
use protocol::round::Occasion;
use protocol::view::{JobEvent, JobEventKind};
use protocol::worker::StopReason;
use store::{Job, Promise, Tx};

use crate::desk::{Exchange, Memory, Stopping, UPLOAD_ALLOWANCE_MS};
use crate::error::Error;
use crate::members::Wanted;
use crate::rounds::Asked;

/// Between a device's return and the lease that it was taken back for.
const AFTER_PROMISE: Seconds = Seconds::new(60);

/// What was written of a notice, for memory, worker and watchers after the commit.
pub(crate) struct Notice {
    promise: Promise,
    spot: (JobId, JobEvent),
    waits: JobEvent,
}

impl Notice {
    /// What the job that it is for pays at most.
    pub const fn price(&self) -> PricePerSecond {
        self.promise.price
    }
}

/// How a job that was promised a device stands.
pub(crate) enum Claim {
    /// Nothing is promised to it.
    Nothing,
    /// The spot job is still there; its time is bounded.
    Waits,
    /// The device is free and taken for it; with the round that it was, if the market would say the same.
    Taken(Choice, Option<Asked>),
    /// The device is no longer what was promised. What was promised to be paid at most.
    Broken(PricePerSecond),
}

impl Memory {
    pub fn promise_to(&self, job: JobId) -> Option<&Promise> {
        self.promises.values().find(|promise| promise.job == job)
    }

    /// By when the device that a job was promised is free, whatever its worker does.
    pub fn room_until(&self, job: JobId) -> Option<Timestamp> {
        self.promise_to(job).map(latest)
    }

    fn is_leased(&self, device: DeviceId) -> bool {
        let mut leases = self.leases.values();
        leases.any(|live| live.lease.has_device(device))
    }

    /// A lease is over: its device is held for the job that it was promised to.
    pub fn keep_promise(&mut self, device: DeviceId) {
        let Some(promise) = self.promises.get(&device) else {
            return;
        };
        if !self.is_leased(device) {
            self.book.set_holder(device, promise.job);
        }
    }

    /// The spot lease that makes room for a request, and the offer that its device then is.
    fn makes_room(&self, request: &Request) -> Option<(LeaseId, Offer)> {
        let kind = request.ask.kind;
        if kind == Kind::Spot || !request.ask.is_single() {
            return None;
        }
        let book = self.book.of(kind);
        let candidates = self.spot.iter().filter_map(|id| self.leases.get(id));
        let stay = candidates.filter(|live| live.stop.is_none());
        let slots = stay.flat_map(|live| {
            let devices = live.lease.devices.iter();
            devices.map(move |(device, _)| (live, *device))
        });
        let fits = slots.filter_map(|(live, device)| {
            let offer = book.get(device)?;
            let fits = offer.supply == Supply::Offered && request.admits(&offer);
            fits.then_some((live, offer))
        });
        // The whole lease goes, however many devices it has: what all of them pay is lost.
        let least = fits.min_by_key(|(live, offer)| {
            let lease = &live.lease;
            let youngest = (Reverse(lease.granted_at), Reverse(lease.id));
            (lease.price, youngest, offer.device)
        });
        least.map(|(live, offer)| (live.lease.id, offer))
    }
}

/// The notice, and the time that is given for what the job leaves.
fn latest(promise: &Promise) -> Timestamp {
    let allowance = i64::try_from(UPLOAD_ALLOWANCE_MS).unwrap_or(i64::MAX);
    promise.until.plus_millis(allowance)
}

impl Exchange {
    fn notice(&self, at: Timestamp) -> Stopping {
        Stopping {
            at,
            reason: StopReason::Preempted,
            grace_ms: self.inner.settings.spot_notice.get().saturating_mul(1_000),
            delivered: None,
        }
    }

    /// The device that a spot job would give back for a request, and within how long.
    pub(crate) fn room_for(&self, memory: &Memory, request: &Request) -> Option<(Choice, Seconds)> {
        let (_, offer) = memory.makes_room(request)?;
        let choice = Choice {
            offers: vec![offer],
            near: Near::Any,
        };
        let uploads = Seconds::new(UPLOAD_ALLOWANCE_MS / 1_000);
        Some((choice, self.inner.settings.spot_notice.plus(uploads)))
    }

    /// Whether a job that pays could take a spot job's device, and has the money to begin: what it set aside already, and
    /// its account's. Without money nobody is sent away for it.
    pub(crate) async fn could_make_room(
        &self,
        tx: &mut Tx,
        account: AccountId,
        spec: &JobSpec,
        wanted: &Wanted,
        set_aside: Amount,
    ) -> Result<bool, Error> {
        let Some(request) = wanted.requests.last() else {
            return Ok(false);
        };
        let Some((_, offer)) = self.memory().makes_room(request) else {
            return Ok(false);
        };
        let least = spec.duration().min(self.inner.settings.escrow_minimum);
        let needed = self.fees().cost(offer.price, least);
        let spendable = self.spendable(tx, account).await?;
        let available = spendable.left.checked_add(set_aside)?;
        if available < needed {
            return Err(spendable.short(needed, available));
        }
        Ok(true)
    }

    /// Whether something can be done for a waiting job: its promised device is free, or one could be promised.
    pub(crate) fn is_due_room(&self, job: JobId, request: &Request) -> bool {
        let memory = self.memory();
        match memory.promise_to(job) {
            Some(promise) => !memory.leases.contains_key(&promise.lease),
            None => memory.makes_room(request).is_some(),
        }
    }

    /// Takes the device that was promised to a job, once it is free.
    pub(crate) fn claim(&self, job: JobId, wanted: &Wanted, occasion: Occasion) -> Claim {
        let now = self.now();
        let mut memory = self.memory();
        let Some(promise) = memory.promise_to(job).cloned() else {
            return Claim::Nothing;
        };
        if memory.leases.contains_key(&promise.lease) {
            return Claim::Waits;
        }
        // After a start no worker is back yet; the promise holds until it may be.
        let grace = i64::try_from(self.inner.settings.startup_grace_ms).unwrap_or(i64::MAX);
        let until = latest(&promise).max(self.inner.opened_at.plus_millis(grace));
        let offer = memory.book.get(promise.device);
        if offer.is_some_and(|offer| offer.supply == Supply::Down) && now < until {
            return Claim::Waits;
        }
        memory.promises.remove(&promise.device);
        memory.book.free(promise.device, job);
        let Some(request) = wanted.requests.last() else {
            return Claim::Broken(promise.price);
        };
        let mut this = Request {
            device: Some(promise.device),
            ..request.clone()
        };
        // Nobody pays more than what stood when the notice was given.
        this.cap(promise.price);
        let mut asked = Asked::of(&mut memory.book, occasion, now);
        match memory.book.best(&this) {
            Some(offer) if memory.book.take(offer.device, job) => {
                let choice = Choice {
                    offers: vec![offer],
                    near: Near::Any,
                };
                asked.answered(&[this], 0, Some(&choice));
                return Claim::Taken(choice, Some(asked));
            }
            _ => {}
        }
        // Its owner asks more by now. The promise counts; as with a quote, there is no round to be asked again then.
        let kind = this.ask.kind;
        let dearer = memory.book.of(kind).get(promise.device);
        let promised = dearer.map(|offer| Offer {
            price: offer.price.min(promise.price),
            ..offer
        });
        match promised {
            Some(offer)
                if offer.supply == Supply::Offered
                    && this.admits(&offer)
                    && memory.book.take(offer.device, job) =>
            {
                let choice = Choice {
                    offers: vec![offer],
                    near: Near::Any,
                };
                Claim::Taken(choice, None)
            }
            _ => Claim::Broken(promise.price),
        }
    }

    /// Gives notice to a spot lease for a job that finds nothing free, in the caller's transaction. The caller holds the
    /// desk. `None`: there is none that makes room, or the job cannot pay.
    pub(crate) async fn make_room(
        &self,
        tx: &mut Tx,
        job: &Job,
        wanted: &Wanted,
    ) -> Result<Option<Notice>, Error> {
        let Some(request) = wanted.requests.last().filter(|_| job.members == 1) else {
            return Ok(None);
        };
        let hold = tx.hold(job.id).await?;
        let set_aside = hold.map_or(Amount::ZERO, |hold| hold.left());
        match self
            .could_make_room(tx, job.account, &job.spec, wanted, set_aside)
            .await
        {
            Ok(true) => {}
            // It waits for its money as for all else.
            Ok(false) | Err(Error::InsufficientFunds { .. } | Error::OverLimit { .. }) => {
                return Ok(None);
            }
            Err(other) => return Err(other),
        }
        let found = {
            let memory = self.memory();
            let found = memory.makes_room(request);
            found.and_then(|(lease, offer)| {
                let spot = memory.leases.get(&lease)?;
                Some((lease, offer, spot.lease.job))
            })
        };
        let Some((lease, offer, spot)) = found else {
            return Ok(None);
        };
        let now = self.now();
        // Its first minute is set aside, so that the same money does not send several spot jobs away.
        let least = job.spec.duration().min(self.inner.settings.escrow_minimum);
        let needed = self.fees().cost(offer.price, least);
        let mut hold = tx.hold(job.id).await?.ok_or(Error::NotFound("the hold"))?;
        let plan = hold.add(needed.minus_or_zero(hold.left()))?;
        let promise = Promise {
            device: offer.device,
            job: job.id,
            lease,
            price: offer.price,
            at: now,
            until: now.plus(self.inner.settings.spot_notice),
        };
        // However short the patience is: the money stays for as long as the promise may take, and a tick for its lease.
        let kept = latest(&promise).plus(AFTER_PROMISE);
        hold.expires_at = Some(self.idle_until().max(kept));
        tx.put_hold(&hold).await?;
        self.post_all(tx, &plan, now).await?;
        let event = |kind, detail| JobEvent {
            at: now,
            kind,
            detail,
        };
        let notice = Notice {
            spot: (
                spot,
                event(
                    JobEventKind::Notice,
                    format!(
                        "A job that pays the full price takes the device. It was told to end; it has until {} to write its \
                         checkpoint, and goes on elsewhere.",
                        promise.until
                    ),
                ),
            ),
            waits: event(
                JobEventKind::MakingRoom,
                format!(
                    "A spot job makes room until {}, at the latest until {}.",
                    promise.until,
                    latest(&promise)
                ),
            ),
            promise,
        };
        tx.put_promise(&notice.promise).await?;
        tx.add_event(spot, &notice.spot.1).await?;
        tx.add_event(job.id, &notice.waits).await?;
        Ok(Some(notice))
    }

    /// Tells memory, the worker and watchers of a notice that is committed.
    pub(crate) async fn after_notice(&self, notice: Notice) {
        let Notice {
            promise,
            spot,
            waits,
        } = notice;
        tracing::info!(lease = %promise.lease, for_job = %promise.job, "a spot lease was given notice");
        let (job, lease) = (promise.job, promise.lease);
        {
            let mut memory = self.memory();
            memory.promises.insert(promise.device, promise);
            let told = memory.leases.get_mut(&lease).map(|live| {
                let stop = self.notice(self.now());
                live.stop = Some(stop);
                (live.lease.node, stop.order(&live.lease))
            });
            if let Some((node, order)) = told {
                memory.send(node, order);
            }
        }
        self.publish_job(spot.0, Some(spot.1)).await;
        self.publish_job(job, Some(waits)).await;
    }

    /// What stood of promises when the last process ended: those leases are told again, and their time begins anew, as
    /// with every stop.
    pub(crate) async fn load_promises(&self) -> Result<(), Error> {
        let promises = self.inner.store.promises().await?;
        let waiting = self.inner.store.waiting_jobs().await?;
        let mut memory = self.memory();
        for promise in promises {
            let device = promise.device;
            if let Some(live) = memory.leases.get_mut(&promise.lease) {
                live.stop.get_or_insert(self.notice(live.expires));
            }
            // What it was for may be over; that it was given still decides how the lease ends.
            if waiting.iter().any(|job| job.id == promise.job) {
                memory.promises.insert(device, promise);
                memory.keep_promise(device);
            }
        }
        Ok(())
    }

    /// Takes promises back whose job does not wait any more: it has its lease, or was stopped.
    pub(crate) async fn settle_promises(&self) -> Result<(), Error> {
        let promises: Vec<Promise> = self.memory().promises.values().cloned().collect();
        for promise in promises {
            let _turn = self.inner.desk.lock().await;
            let job = self.inner.store.job(promise.job).await?;
            if job.is_some_and(|job| job.queued_at.is_some() && job.end.is_none()) {
                continue;
            }
            let mut tx = self.inner.store.begin().await?;
            tx.drop_promise(promise.job).await?;
            tx.commit().await?;
            let mut memory = self.memory();
            memory.promises.remove(&promise.device);
            if !memory.is_leased(promise.device) {
                memory.book.free(promise.device, promise.job);
            }
            drop(memory);
            self.publish_offer(promise.device);
        }
        Ok(())
    }
}
