//! What happens by itself: each tick re-reads the state and acts on it; a tick that is missed is made up by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use kernel::{AccountId, JobId, LeaseId, NodeId, Timestamp};
use protocol::live::{Live, Topic};
use protocol::round::Occasion;
use protocol::state::RunEnd;
use protocol::view::{JobEvent, JobEventKind};
use protocol::worker::{StopReason, ToWorker};
use store::{Balances, Job, LogRow, SampleRow};

use crate::desk::Exchange;
use crate::error::Error;
use crate::leases::{LeaseEnd, Seat};
use crate::members::{Wanted, used};
use crate::preempt::Claim;
use crate::rounds::Asked;
use crate::views::{meter, per_hour};

const METER_EVERY_MS: i64 = 1_000;
/// Idempotency keys are remembered for a day.
const REMEMBER_MS: i64 = 86_400_000;

impl Exchange {
    /// Once every quarter of a second: ends what expired, posts receipts, funds leases, places waiting jobs, writes
    /// logs and samples, moves the meters.
    ///
    /// # Errors
    /// The first that failed; the rest was tried all the same.
    pub async fn tick(&self) -> Result<(), Error> {
        self.refresh_hours();
        let results = [
            self.open_record().await,
            self.flush().await,
            self.write_telemetry().await,
            self.settle_doubts().await,
            self.look_after_leases().await,
            self.expire_holds().await,
            self.settle_promises().await,
            self.place_waiting().await,
            self.look_after_checks().await,
            self.watch_searches().await,
            self.watch_runways().await,
            self.publish_meters().await,
            self.publish_notices().await,
        ];
        results.into_iter().collect()
    }

    /// Each minute: forgets what is over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(&self) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        tx.prune(now, now.plus_millis(REMEMBER_MS.saturating_neg()))
            .await?;
        self.prune_quotes(&mut tx).await?;
        let seen: Vec<_> = {
            let memory = self.memory();
            let linked = memory.nodes.values().filter_map(|live| {
                live.link
                    .as_ref()
                    .map(|link| (live.node.id, link.last_beat))
            });
            linked.collect()
        };
        for (node, at) in seen {
            tx.node_seen(node, at).await?;
        }
        tx.commit().await?;
        self.end_maintained();
        self.live().prune();
        let results = [
            self.prune_bundles().await,
            self.prune_recordings().await,
            self.prune_notices().await,
            self.note_prices().await,
            self.mature_over().await,
            self.pay_owed().await,
            self.note_payout_addresses().await,
            self.keep_rounds().await,
            self.prune_challenges().await,
            self.prune_telemetry().await,
            self.note_uptime().await,
            self.note_reputations().await,
        ];
        results.into_iter().collect()
    }

    /// Writes log pieces, samples and changes of the book that came since the last time, and acknowledges the log to
    /// the workers.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        // One after the other: who comes second finds written what the first took.
        let _turn = self.inner.flushing.lock().await;
        let (logs, samples) = {
            let mut memory = self.memory();
            (
                std::mem::take(&mut memory.logs),
                std::mem::take(&mut memory.samples),
            )
        };
        if logs.is_empty() && samples.is_empty() && !self.memory().book.has_unwritten() {
            return Ok(());
        }
        // One that cannot be written, ever, must not stand in the way of all others.
        let mut unwritten = Unwritten {
            exchange: self,
            logs,
            samples,
        };
        unwritten.logs.retain(|row| {
            row.storable()
                .inspect_err(
                    |error| tracing::error!(job = %row.job, %error, "a log piece was dropped"),
                )
                .is_ok()
        });
        unwritten.samples.retain(|row| {
            row.storable()
                .inspect_err(
                    |error| tracing::error!(job = %row.job, %error, "a sample was dropped"),
                )
                .is_ok()
        });
        let mut tx = self.inner.store.begin().await?;
        tx.insert_logs(&unwritten.logs).await?;
        tx.insert_samples(&unwritten.samples).await?;
        let noted = self.note_book(&mut tx).await?;
        tx.commit().await?;
        noted.kept();
        let logs = unwritten.written();
        self.acknowledge(&logs);
        Ok(())
    }

    /// Tells the workers up to where their log is kept.
    fn acknowledge(&self, logs: &[LogRow]) {
        let ends: BTreeMap<LeaseId, u64> =
            logs.iter().map(|row| (row.lease, row.log_end)).collect();
        let mut memory = self.memory();
        for (lease, offset) in ends {
            if let Some(live) = memory.leases.get(&lease) {
                let (node, epoch) = (live.lease.node, live.lease.epoch);
                let acknowledged = ToWorker::LogAck {
                    lease,
                    epoch,
                    offset,
                };
                memory.send(node, acknowledged);
            }
        }
    }

    /// Takes silent nodes out of the market, ends leases that were not renewed, posts receipts of those that delivered an
    /// interval since their last one, funds those that run low. Looks at what is due alone.
    async fn look_after_leases(&self) -> Result<(), Error> {
        self.find_silent();
        let due = self.find_due();
        let results = [
            self.expire(due.over).await,
            self.post_due(due.post).await,
            self.fund_all(due.low).await,
        ];
        results.into_iter().collect()
    }

    fn find_silent(&self) {
        let now = self.now();
        let life = self.inner.settings.lease_life_ms();
        let mut silent = Vec::new();
        {
            let mut memory = self.memory();
            for (step, node) in memory.due_nodes.take(now) {
                let link = memory.nodes.get_mut(&node);
                let link = link.and_then(|live| live.link.as_mut());
                let Some(link) = link.filter(|link| link.look == step && !link.silent) else {
                    continue;
                };
                link.look = i64::MAX;
                if now.millis_since(link.last_beat) >= life {
                    link.silent = true;
                    silent.push(node);
                } else {
                    let next = link.last_beat.plus_millis(life);
                    memory.look_at_node(node, next);
                }
            }
            for node in &silent {
                memory.look_when_over(*node, Timestamp::from_millis(i64::MAX));
                memory.refresh_offers(*node);
            }
        }
        for node in silent {
            tracing::warn!(%node, "a worker is silent; its offers are down until it is heard again");
            self.publish_node(node);
        }
    }

    /// What of the leases is to be done now. Each is looked at again in the next tick, in case that it fails.
    fn find_due(&self) -> DueNow {
        let now = self.now();
        let settings = &self.inner.settings;
        let (interval, low) = (settings.receipt_interval, self.low_mark());
        let mut due = DueNow::default();
        let mut memory = self.memory();
        for (step, id) in memory.due.take(now) {
            let Some(live) = memory.leases.get(&id).filter(|live| live.look == step) else {
                continue;
            };
            let mut next = now;
            if live.expires <= now || live.overdue(now).is_some() {
                due.over.push(id);
            } else {
                let (owes, low_now) = (live.owes_receipt(interval), self.runs_low(live));
                if owes {
                    due.post.push(id);
                }
                if low_now {
                    due.low.insert(live.lease.job);
                }
                if !owes && !low_now {
                    next = live.next_look(now, interval, low);
                    if !memory.is_renewed(live) {
                        next = next.min(live.expires);
                    }
                }
            }
            if let Some(live) = memory.leases.get_mut(&id) {
                live.look = i64::MAX;
            }
            memory.look_at(id, next);
        }
        due
    }

    async fn expire(&self, over: Vec<LeaseId>) -> Result<(), Error> {
        let mut round = Round::default();
        for lease in over {
            let _turn = self.inner.desk.lock().await;
            // It may have been renewed while we waited for our turn.
            let now = self.now();
            let end = self.end_by_time(lease, now);
            if let Some(end) = end
                && !round.goes_on(self.end_lease(lease, end, None).await)
            {
                break;
            }
        }
        round.outcome
    }

    /// How a lease whose time is over ends.
    fn end_by_time(&self, lease: LeaseId, now: Timestamp) -> Option<LeaseEnd> {
        let memory = self.memory();
        let live = memory.leases.get(&lease)?;
        let lost = || (live.expires <= now).then_some(LeaseEnd::Lost);
        let end = live.overdue(now).or_else(lost)?;
        // Who lets the time run out instead of answering is not paid for it.
        if memory.is_measured_now(lease) {
            let why = "its card was asked to show what it is, and did not.".to_owned();
            return Some(LeaseEnd::SpecMissed(why));
        }
        // Nor who was told to stop, is there, and never says that it did. One that is not there is lost.
        if live.stop.is_some() && !self.unshown(&memory, lease).is_empty() {
            let why = "it was told to stop, and its card was not shown after.".to_owned();
            return lost().or(Some(LeaseEnd::SpecMissed(why)));
        }
        Some(end)
    }

    async fn post_due(&self, due: Vec<LeaseId>) -> Result<(), Error> {
        let mut round = Round::default();
        for lease in due {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.post_draft(lease).await) {
                break;
            }
        }
        round.outcome
    }

    async fn fund_all(&self, low: BTreeSet<JobId>) -> Result<(), Error> {
        let mut round = Round::default();
        for job in low {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.fund(job).await) {
                break;
            }
        }
        round.outcome
    }

    /// Gives back what was set aside for jobs that have found no other place for too long; they wait on.
    async fn expire_holds(&self) -> Result<(), Error> {
        let mut round = Round::default();
        for job in self.inner.store.holds_to_expire(self.now()).await? {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.expire_hold(job).await) {
                break;
            }
        }
        round.outcome
    }

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
        let over = self
            .waits_until(job)
            .is_some_and(|until| until <= self.now());
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
        let now = self.now();
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
        let limit_price = wanted.dearest();
        self.begin_record(&mut tx).await?;
        let occasion = match job.epoch.get() {
            0 => Occasion::Waiting,
            _ => Occasion::Restarted,
        };
        let elsewhere = |wanted: &Wanted| {
            let (taken, asked) = self.take_slots(wanted, id, occasion);
            (taken, Some(asked))
        };
        let (taken, asked) = match self.claim(id, &wanted, occasion) {
            Claim::Waits => return Ok(()),
            Claim::Taken(choice, asked) => (Ok(choice), asked),
            Claim::Nothing => elsewhere(&wanted),
            // It looks elsewhere, for no more than it was told.
            Claim::Broken(most) => {
                tx.drop_promise(id).await?;
                for request in &mut wanted.requests {
                    request.cap(most);
                }
                elsewhere(&wanted)
            }
        };
        let choice = match taken {
            Ok(choice) => choice,
            Err(no_match) => {
                if let Some(notice) = self.make_room(&mut tx, &job, &wanted).await? {
                    tx.commit().await?;
                    self.after_notice(notice).await;
                    return Ok(());
                }
                if self.waits_until(&job).is_some_and(|until| until <= now) {
                    let mut reason = no_match.sentence();
                    if let Some(price) = limit_price {
                        let hour = self.limit_text(&job.spec, price);
                        _ = write!(reason, " It may cost at most {hour} per hour.");
                    }
                    let end = RunEnd::NoCapacity { reason };
                    let noted = self.note_asked(&mut tx, asked, id).await?;
                    self.conclude(&mut tx, &mut job, end).await?;
                    tx.commit().await?;
                    noted.kept();
                    self.given_up(id).await;
                } else if job.epoch.get() > 0 {
                    self.tell_waiting(tx, &job, &no_match.sentence(), asked)
                        .await?;
                    self.memory().told.insert(id, wanted.requests);
                }
                return Ok(());
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
            return Ok(());
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

    /// Once a second, for those who watch.
    async fn publish_meters(&self) -> Result<(), Error> {
        let now = self.now();
        let watched = self.live().watched_topics();
        let accounts: BTreeMap<AccountId, Vec<JobId>> = {
            let mut memory = self.memory();
            if now.millis_since(memory.meters_at) < METER_EVERY_MS {
                return Ok(());
            }
            memory.meters_at = now;
            let owner = |topic: &Topic| match topic {
                Topic::Account(account) => Some(*account),
                Topic::Job(job) => memory
                    .leases_of_job(*job)
                    .next()
                    .map(|live| live.lease.account),
                Topic::Market | Topic::Node(_) => None,
            };
            let accounts: BTreeSet<AccountId> = watched.iter().filter_map(owner).collect();
            let jobs = |account| {
                let leases = memory.leases_of_account(account);
                leases.map(|live| live.lease.job).collect()
            };
            let all = accounts.into_iter().map(|account| (account, jobs(account)));
            all.filter(|(_, jobs): &(_, Vec<JobId>)| !jobs.is_empty())
                .collect()
        };
        for (account, jobs) in accounts {
            let Balances {
                available, held, ..
            } = self.inner.store.balances(account).await?;
            let (all, each) = {
                let memory = self.memory();
                let all = meter(memory.leases_of_account(account), available, held);
                let each: Vec<_> = jobs
                    .into_iter()
                    .map(|job| (job, meter(memory.leases_of_job(job), available, held)))
                    .collect();
                (all, each)
            };
            self.live().publish(
                Topic::Account(account),
                Live::Meter {
                    meter: all,
                    at: now,
                },
            );
            for (job, meter) in each {
                self.live()
                    .publish(Topic::Job(job), Live::Meter { meter, at: now });
            }
        }
        let linked = |node: &NodeId| {
            let memory = self.memory();
            memory
                .nodes
                .get(node)
                .is_some_and(|live| live.link.is_some())
        };
        let nodes = watched.into_iter().filter_map(|topic| match topic {
            Topic::Node(node) => Some(node),
            _ => None,
        });
        for node in nodes.filter(linked) {
            if let Some(view) = self.node_view(node) {
                self.live().publish(
                    Topic::Node(node),
                    Live::Node {
                        node: Box::new(view),
                    },
                );
            }
        }
        Ok(())
    }
}

/// Leases and jobs for which there is something to do.
#[derive(Default)]
struct DueNow {
    over: Vec<LeaseId>,
    post: Vec<LeaseId>,
    low: BTreeSet<JobId>,
}

/// A walk over many leases or jobs: the first failure is remembered, and the others have their turn all the same.
pub(crate) struct Round {
    pub outcome: Result<(), Error>,
}

impl Default for Round {
    fn default() -> Self {
        Self { outcome: Ok(()) }
    }
}

impl Round {
    /// Whether to go on: not when the database cannot be reached at all, since each try would wait for it.
    pub fn goes_on(&mut self, result: Result<(), Error>) -> bool {
        let Err(error) = result else {
            return true;
        };
        let unreachable = matches!(&error, Error::Store(error) if error.is_unreachable());
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        } else {
            tracing::error!(%error, "another lease or job failed in the same round");
        }
        !unreachable
    }
}

/// Rows that were taken from the memory. Dropped before they are written (an error, or a caller who went away) they go
/// back to the front; the workers stop sending when their window is full.
struct Unwritten<'a> {
    exchange: &'a Exchange,
    logs: Vec<LogRow>,
    samples: Vec<SampleRow>,
}

impl Unwritten<'_> {
    fn written(mut self) -> Vec<LogRow> {
        self.samples.clear();
        std::mem::take(&mut self.logs)
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if self.logs.is_empty() && self.samples.is_empty() {
            return;
        }
        let mut memory = self.exchange.memory();
        let later = std::mem::replace(&mut memory.logs, std::mem::take(&mut self.logs));
        memory.logs.extend(later);
        let later = std::mem::replace(&mut memory.samples, std::mem::take(&mut self.samples));
        memory.samples.extend(later);
    }
}
