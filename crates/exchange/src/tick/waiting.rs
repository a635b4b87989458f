//! Waiting jobs: each gets devices as soon as there are some that fit; one that waited too long, or cannot be paid for, ends.

use std::collections::BTreeSet;
use std::fmt::Write;

use kernel::{JobId, Timestamp};
use market::NoMatch;
use protocol::round::Occasion;
use protocol::state::RunEnd;
use protocol::view::{JobEvent, JobEventKind};
use protocol::worker::StopReason;
use store::Job;

use super::Round;
use crate::desk::Exchange;
use crate::error::Error;
use crate::leases::Seat;
use crate::members::{Wanted, used};
use crate::preempt::Claim;
use crate::rounds::Asked;
use crate::views::per_hour;

/// Of an order that something fits when its time is over already.
const TOO_LATE: &str = "What fits came after the time that it was to wait.";

impl Exchange {
    /// After a slot became free. A failure is not that of the worker whose message freed it; the next tick tries again.
    pub(crate) async fn place_waiting_now(&self) {
        if let Err(error) = self.place_waiting().await {
            tracing::error!(%error, "waiting jobs could not be placed");
        }
    }

    /// Gives waiting jobs a device, oldest first; ends those that waited too long.
    pub(crate) async fn place_waiting(&self) -> Result<(), Error> {
        let waiting = self.inner.store.waiting_jobs().await?;
        let ids: BTreeSet<JobId> = waiting.iter().map(|job| job.id).collect();
        {
            let mut memory = self.memory();
            memory.told.retain(|job, _| ids.contains(job));
            let mut refused = std::mem::take(&mut memory.refused_by);
            refused
                .retain(|job, _| ids.contains(job) || memory.leases_of_job(*job).next().is_some());
            memory.refused_by = refused;
        }
        let mut round = Round::default();
        for job in waiting {
            if !self.is_due(&job) {
                continue;
            }
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.place(job.id).await) {
                break;
            }
        }
        round.outcome
    }

    /// Whether something can be done for a waiting job now. Many wait for long, and most looks find nothing: this one
    /// needs no transaction.
    fn is_due(&self, job: &Job) -> bool {
        let over = self.is_over(job);
        // A query that cannot be read any more is for `place` to report.
        let fits = |request: &market::Request| self.memory().book.has(request);
        // One that lost its node is told why it waits, once; from then on it asks what it asked then.
        let (lost, again) = match self.memory().told.get(&job.id) {
            _ if job.epoch.get() == 0 => (false, None),
            None => (true, None),
            Some(requests) => (false, Some(requests.clone())),
        };
        let request = || {
            let mut request = self.request(&job.spec, job.wanted_device)?;
            request.avoid = self.avoided(job.id);
            if let Some(most) = job.promised {
                request.cap(most);
            }
            Ok::<_, Error>(request)
        };
        let promised = self.memory().room_until(job.id).is_some();
        if promised {
            // Until its device is free there is nothing to look for.
            return request().map_or(true, |request| self.is_due_room(job.id, &request));
        }
        over || lost
            || request().map_or(true, |request| {
                let found = match &again {
                    Some(requests) => requests.iter().any(fits),
                    None => fits(&request),
                };
                found || job.members == 1 && self.is_due_room(job.id, &request)
            })
    }

    pub(crate) async fn place(&self, id: JobId) -> Result<(), Error> {
        let leases = self.inner.store.leases_of_job(id).await?;
        let mut tx = self.inner.store.begin().await?;
        let Some(mut job) = tx
            .job(id)
            .await?
            .filter(|job| job.queued_at.is_some() && job.end.is_none())
        else {
            return Ok(());
        };
        let Some(mut wanted) = self.wanted(&job, &leases)? else {
            job.queued_at = None;
            tx.update_job(&job).await?;
            return Ok(tx.commit().await?);
        };
        let limit = job.spec.duration();
        if wanted
            .members
            .iter()
            .any(|member| used(&leases, *member) >= limit)
        {
            let seconds = limit.get();
            return self
                .give_up(tx, &mut job, RunEnd::TimeLimit { seconds })
                .await;
        }
        self.begin_record(&mut tx).await?;
        let occasion = match job.epoch.get() {
            0 => Occasion::Waiting,
            _ => Occasion::Restarted,
        };
        // An order counts for as long as it was to wait and not until somebody looks. One that waits for nothing but the room
        // that is made for it has no such time.
        let expired =
            self.is_over(&job) && job.epoch.get() == 0 && job.spec.limits.wait_seconds > 0;
        if expired && self.memory().promise_to(id).is_none() {
            let (reason, asked) = match self.why_nothing(&wanted, occasion) {
                Some((why, asked)) => (self.reason_of(&job, &wanted, &why), Some(asked)),
                None => (TOO_LATE.to_owned(), None),
            };
            return self.end_order(tx, &mut job, reason, asked).await;
        }
        let mut broken = false;
        let elsewhere = |wanted: &Wanted| {
            let (taken, asked) = self.take_slots(wanted, id, occasion);
            (taken, Some(asked))
        };
        let (taken, asked) = match self.claim(id, &wanted, occasion) {
            Claim::Waits => return Ok(()),
            Claim::Taken(choice, asked) => (Ok(choice), asked),
            Claim::Nothing => elsewhere(&wanted),
            // It looks elsewhere, now and as long as it waits, for no more than it was told.
            Claim::Broken(most) => {
                broken = true;
                job.promised = Some(job.promised.map_or(most, |told| told.min(most)));
                tx.drop_promise(id).await?;
                tx.update_job(&job).await?;
                for request in &mut wanted.requests {
                    request.cap(most);
                }
                elsewhere(&wanted)
            }
        };
        let choice = match taken {
            Ok(choice) => choice,
            Err(why) => {
                return self
                    .not_placed(tx, &mut job, wanted, why, asked, broken)
                    .await;
            }
        };
        self.memory().told.remove(&id);
        let seats = wanted.seats(&choice, &leases);
        let queued = job.queued_at.filter(|_| wanted.more);
        match self.place_on(tx, &mut job, &seats, queued, asked).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.free_slots(&choice, id);
                match error {
                    Error::InsufficientFunds { .. } | Error::OverLimit { .. } => {
                        self.end_unfunded(job.id).await
                    }
                    // It is hired in the database; the next tick looks elsewhere.
                    Error::Store(error) if error.is_conflict() => self.adopt_holders(&choice).await,
                    other => Err(other),
                }
            }
        }
    }

    /// Nothing is free for it: a spot job makes room, or it waits on, or its time is over. `broken`: what it was promised fell away.
    async fn not_placed(
        &self,
        mut tx: store::Tx,
        job: &mut Job,
        wanted: Wanted,
        why: NoMatch,
        asked: Option<Asked>,
        broken: bool,
    ) -> Result<(), Error> {
        if let Some(notice) = self.make_room(&mut tx, job, &wanted).await? {
            job.promised = Some(notice.price());
            tx.update_job(job).await?;
            tx.commit().await?;
            self.after_notice(notice).await;
        } else if self.is_over(job) {
            let reason = self.reason_of(job, &wanted, &why);
            self.end_order(tx, job, reason, asked).await?;
        } else if job.epoch.get() > 0 {
            self.tell_waiting(tx, job, &why.sentence(), asked).await?;
            self.memory().told.insert(job.id, wanted.requests);
        } else if broken {
            tx.commit().await?;
        }
        Ok(())
    }

    fn is_over(&self, job: &Job) -> bool {
        let until = self.waits_until(job);
        until.is_some_and(|until| until <= self.now())
    }

    /// Why nothing was found for a job whose time is over.
    fn reason_of(&self, job: &Job, wanted: &Wanted, why: &NoMatch) -> String {
        let mut reason = why.sentence();
        if let Some(price) = wanted.dearest() {
            let hour = self.limit_text(&job.spec, price);
            _ = write!(reason, " It may cost at most {hour} per hour.");
        }
        reason
    }

    /// Ends a job whose time in the market is over.
    async fn end_order(
        &self,
        mut tx: store::Tx,
        job: &mut Job,
        reason: String,
        asked: Option<Asked>,
    ) -> Result<(), Error> {
        let noted = self.note_asked(&mut tx, asked, job.id).await?;
        self.conclude(&mut tx, job, RunEnd::NoCapacity { reason })
            .await?;
        tx.commit().await?;
        noted.kept();
        self.given_up(job.id).await;
        Ok(())
    }

    /// The most that an hour may cost: as it was typed where it is the requester's own limit.
    fn limit_text(&self, spec: &protocol::JobSpec, price: kernel::PricePerSecond) -> String {
        let typed = spec.limits.max_price_per_hour.as_deref();
        let typed = typed.and_then(|text| kernel::Amount::parse_io(text).ok());
        typed
            .filter(|limit| self.price_within(*limit) == price)
            .unwrap_or_else(|| per_hour(self.fees(), price))
            .to_string()
    }

    /// Says once why a job that lost its node waits; of the many looks that find nothing only this one is a round.
    async fn tell_waiting(
        &self,
        mut tx: store::Tx,
        job: &Job,
        why: &str,
        asked: Option<Asked>,
    ) -> Result<(), Error> {
        let events = self.inner.store.events(job.id).await?;
        if events
            .last()
            .is_some_and(|event| event.kind == JobEventKind::Waiting)
        {
            // A promise that fell away goes out of the database all the same.
            return Ok(tx.commit().await?);
        }
        let event = JobEvent {
            at: self.now(),
            kind: JobEventKind::Waiting,
            detail: why.to_owned(),
        };
        tx.add_event(job.id, &event).await?;
        let noted = self.note_asked(&mut tx, asked, job.id).await?;
        tx.commit().await?;
        noted.kept();
        self.publish_job(job.id, Some(event)).await;
        Ok(())
    }

    async fn place_on(
        &self,
        mut tx: store::Tx,
        job: &mut Job,
        seats: &[Seat<'_>],
        queued: Option<Timestamp>,
        asked: Option<Asked>,
    ) -> Result<(), Error> {
        let mut hold = tx.hold(job.id).await?.ok_or(Error::NotFound("the hold"))?;
        let granted = self.grant(&mut tx, job, &mut hold, seats, queued).await?;
        tx.drop_promise(job.id).await?;
        let noted = self.note_asked(&mut tx, asked, job.id).await?;
        tx.commit()
            .await
            .map_err(|error| self.doubt_all(granted.leases(), error.into()))?;
        noted.kept();
        self.after_grant(job.clone(), granted).await;
        Ok(())
    }

    async fn end_unfunded(&self, id: JobId) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        let Some(mut job) = tx.job(id).await? else {
            return Ok(());
        };
        self.give_up(tx, &mut job, RunEnd::OutOfFunds).await
    }

    /// Ends a job that cannot have what it needs; members that run are stopped first.
    async fn give_up(&self, mut tx: store::Tx, job: &mut Job, end: RunEnd) -> Result<(), Error> {
        self.conclude(&mut tx, job, end).await?;
        tx.commit().await?;
        self.given_up(job.id).await;
        Ok(())
    }

    async fn given_up(&self, job: JobId) {
        self.order_stop(job, StopReason::JobOver);
        self.publish_job(job, None).await;
    }
}
