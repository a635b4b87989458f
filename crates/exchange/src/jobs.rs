//! Jobs: submit, look at, stop.

use std::collections::BTreeMap;

use kernel::{Amount, DeviceId, Epoch, HoldId, JobId, LeaseId, QuoteId};
use ledger::Hold;
use market::Choice;
use protocol::JobSpec;
use protocol::audit::AuditAction;
use protocol::live::Topic;
use protocol::round::Occasion;
use protocol::state::{JobState, JobStep, RunEnd};
use protocol::view::{
    JobEvent, JobEventKind, JobSummary, JobView, LogPage, Page, ReceiptView, SampleView, Scope,
};
use protocol::worker::{Phase, StopReason};
use store::{Balances, Job, JobAnswer, LeaseRow, Tx};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use crate::files::artefact_view;
use crate::leases::Granted;
use crate::members::Wanted;
use crate::once::Once;
use crate::views::{lease_view, meter};

const SUBMIT_ROUTE: &str = "POST /api/v1/jobs";
const SAMPLES_SHOWN: u64 = 600;
const ROUNDS_SHOWN: u32 = 20;
/// So many jobs of one account may wait in the market: each of them is looked at whenever something changes.
const WAITING_MAX: u64 = 1_000;
/// How often a submission looks for another slot after losing one to somebody else.
const SLOT_TRIES: usize = 20;
/// Between the order to stop and the end by force.
pub(crate) const STOP_GRACE_MS: u64 = 10_000;

impl Exchange {
    /// The account's own job, or not found: whose it is else is not told.
    pub(crate) async fn own_job(
        &self,
        actor: &Actor,
        id: JobId,
        scope: Scope,
    ) -> Result<Job, Error> {
        actor.require(scope)?;
        match self.inner.store.job(id).await? {
            Some(job) if job.account == actor.account => Ok(job),
            _ => Err(Error::NotFound("the job")),
        }
    }

    /// Finds a device, sets the money aside, gives the lease: one transaction, then the worker is told.
    ///
    /// With an idempotency key the same request again answers the same job, and another request is refused.
    ///
    /// # Errors
    /// Bad fields, [`Error::NoMatch`], [`Error::InsufficientFunds`], [`Error::IdempotencyMismatch`].
    pub async fn submit(
        &self,
        actor: &Actor,
        spec: JobSpec,
        device: Option<DeviceId>,
        idempotency_key: Option<&str>,
    ) -> Result<JobView, Error> {
        self.submit_quoted(actor, spec, device, None, idempotency_key)
            .await
    }

    /// The same at the prices of a held quote.
    ///
    /// # Errors
    /// Besides: the quote is not this account's, for another job, over, used, or what it promised cannot be had any more.
    pub async fn submit_quoted(
        &self,
        actor: &Actor,
        spec: JobSpec,
        device: Option<DeviceId>,
        quote: Option<QuoteId>,
        idempotency_key: Option<&str>,
    ) -> Result<JobView, Error> {
        actor.require(Scope::Jobs)?;
        Error::check(&spec)?;
        let once = match quote {
            None => Once::new(SUBMIT_ROUTE, idempotency_key, &(&spec, device))?,
            Some(quote) => Once::new(SUBMIT_ROUTE, idempotency_key, &(&spec, device, quote))?,
        };
        for _ in 0..SLOT_TRIES {
            match self.try_submit(actor, &spec, device, quote, &once).await {
                Ok(id) => return self.job_view(id).await,
                Err(Error::Store(error)) if error.is_conflict() => {
                    tracing::debug!("a slot was taken meanwhile; trying again");
                }
                // The next try finds its answer.
                Err(Error::SameRequest) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Error::Conflict(
            "the market moves too fast at the moment; please try again".into(),
        ))
    }

    async fn try_submit(
        &self,
        actor: &Actor,
        spec: &JobSpec,
        device: Option<DeviceId>,
        quote: Option<QuoteId>,
        once: &Once<'_>,
    ) -> Result<JobId, Error> {
        let now = self.now();
        let id = JobId::new(now, self.random());
        let mut tx = self.inner.store.begin().await?;
        if let Some(JobAnswer { job }) = once.answered(&mut tx, actor).await? {
            return Ok(job);
        }
        // Within the transaction: bundles that nobody needs are forgotten after a time.
        if let Some(hash) = &spec.bundle
            && !tx.has_bundle(actor.account, hash).await?
        {
            return Err(Error::invalid(
                "bundle",
                "upload it to /api/v1/bundles first",
            ));
        }
        Self::has_secrets(&mut tx, actor.account, spec).await?;
        let request = self.runnable(spec, device)?;
        let members = request.ask.nodes;
        let wanted = Wanted::whole(request, members);
        self.begin_record(&mut tx).await?;
        let (taken, asked) = match quote {
            None => {
                let (taken, asked) = self.take_slots(&wanted, id, Occasion::Submitted);
                (taken, Some(asked))
            }
            Some(quote) => {
                let held = self.held_quote(&mut tx, actor, quote, spec, device).await?;
                let (choice, asked) = self.take_promised(&wanted, &held, id)?;
                (Ok(choice), asked)
            }
        };
        let makes_room = taken.is_err()
            && match self
                .could_make_room(&mut tx, actor.account, spec, &wanted, Amount::ZERO)
                .await
            {
                // It may wait for its money, as it would without a spot job in the market.
                Err(Error::InsufficientFunds { .. } | Error::OverLimit { .. })
                    if spec.limits.wait_seconds > 0 =>
                {
                    false
                }
                other => other?,
            };
        let waits = spec.limits.wait_seconds > 0 || makes_room;
        let choice = match taken {
            Ok(choice) => Ok(choice),
            Err(no_match) if waits => Err(no_match.sentence()),
            Err(no_match) => {
                if let Some(asked) = asked {
                    let noted = self.note_round(&mut tx, asked, None).await?;
                    tx.commit().await?;
                    noted.kept();
                }
                return Err(Error::NoMatch(no_match));
            }
        };
        // From here on the slots must be given back on every way out but success.
        let slots = choice.as_ref().ok().map(|choice| SlotGuard {
            exchange: self,
            choice,
            job: id,
            kept: false,
        });
        let mut job = Job {
            id,
            account: actor.account,
            spec: spec.clone(),
            state: JobState::Matching,
            end: None,
            members,
            epoch: Epoch::default(),
            restarts: 0,
            stop_requested: false,
            wanted_device: device,
            promised: None,
            created_at: now,
            queued_at: Some(now),
            started_at: None,
            ended_at: None,
        };
        let mut hold = Hold::new(HoldId::new(now, self.random()), actor.account, id);
        tx.insert_job(&job).await?;
        if let Some(quote) = quote
            && !tx.use_quote(quote, id).await?
        {
            return Err(Error::used_quote());
        }
        let submitted = JobEvent {
            at: now,
            kind: JobEventKind::Submitted,
            detail: String::new(),
        };
        tx.add_event(id, &submitted).await?;
        let granted = match &choice {
            Ok(choice) => {
                let seats = wanted.seats(choice, &[]);
                match self.grant(&mut tx, &mut job, &mut hold, &seats, None).await {
                    Ok(granted) => Some(granted),
                    Err(error) => {
                        drop((tx, slots));
                        self.after_conflict(&error, choice).await?;
                        return Err(error);
                    }
                }
            }
            Err(why) => {
                self.wait(&mut tx, &hold, why).await?;
                None
            }
        };
        once.answer(self, &mut tx, actor, &JobAnswer { job: id })
            .await?;
        let noted = match asked {
            Some(asked) => Some(self.note_round(&mut tx, asked, Some(id)).await?),
            None => None,
        };
        let leases = granted.iter().flat_map(Granted::leases);
        tx.commit()
            .await
            .map_err(|error| self.doubt_all(leases, error.into()))?;
        if let Some(noted) = noted {
            noted.kept();
        }
        if let Some(slots) = slots {
            slots.keep();
        }
        match granted {
            Some(granted) => self.after_grant(job, granted).await,
            None => self.publish_job(id, None).await,
        }
        if makes_room {
            // The job stands and waits; should this fail, the next tick gives the notice.
            let _turn = self.inner.desk.lock().await;
            if let Err(error) = self.place(id).await {
                tracing::error!(job = %id, %error, "no notice could be given for a new job yet");
            }
        }
        Ok(id)
    }

    /// A new job that found nothing waits in the market; its money is set aside when its turn comes.
    async fn wait(&self, tx: &mut Tx, hold: &Hold, why: &str) -> Result<(), Error> {
        if tx.count_waiting(hold.account).await? > WAITING_MAX {
            return Err(Error::Conflict(format!(
                "your account has {WAITING_MAX} jobs that wait in the market, as many as it may; stop some of them, or send \
                 this one without limits.wait_seconds"
            )));
        }
        let waiting = JobEvent {
            at: self.now(),
            kind: JobEventKind::Waiting,
            detail: why.to_owned(),
        };
        tx.put_hold(hold).await?;
        tx.add_event(hold.job, &waiting).await?;
        Ok(())
    }

    /// When the database knows a holder of a slot that memory called free.
    async fn after_conflict(&self, error: &Error, choice: &Choice) -> Result<(), Error> {
        if matches!(error, Error::Store(error) if error.is_conflict()) {
            let _turn = self.inner.desk.lock().await;
            self.adopt_holders(choice).await?;
        }
        Ok(())
    }

    /// The account's jobs, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn jobs(
        &self,
        actor: &Actor,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<Page<JobSummary>, Error> {
        actor.require(Scope::Read)?;
        let limit = limit.clamp(1, 100);
        let jobs = self.inner.store.jobs(actor.account, before, limit).await?;
        let (Some(newest), Some(oldest)) = (jobs.first(), jobs.last()) else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let next = (jobs.len() == usize::try_from(limit).unwrap_or(usize::MAX))
            .then(|| oldest.id.to_string());
        let leases = self
            .inner
            .store
            .leases_of_account(actor.account, oldest.id, newest.id)
            .await?;
        let memory = self.memory();
        let items = jobs
            .iter()
            .map(|job| {
                let own: Vec<LeaseRow> = leases
                    .iter()
                    .filter(|row| row.lease.job == job.id)
                    .cloned()
                    .collect();
                self.summary(&memory, job, &own)
            })
            .collect();
        Ok(Page { items, next })
    }

    /// # Errors
    /// Not this account's job.
    pub async fn job(&self, actor: &Actor, id: JobId) -> Result<JobView, Error> {
        self.own_job(actor, id, Scope::Read).await?;
        self.job_view(id).await
    }

    pub(crate) async fn job_view(&self, id: JobId) -> Result<JobView, Error> {
        let store = &self.inner.store;
        let job = store.job(id).await?.ok_or(Error::NotFound("the job"))?;
        let leases = store.leases_of_job(id).await?;
        let events = store.events(id).await?;
        let artefacts = store.artefacts(id).await?;
        let Balances {
            available, held, ..
        } = store.balances(job.account).await?;
        let means = self.means(job.account, available, held).await?;
        let rounds = store.rounds_of_job(id, ROUNDS_SHOWN).await?;
        let refunds = store.refunds_of_job(id).await?;
        let checks = store.checks_of_job(id).await?;
        // What a member left twice counts as it was left last; what it left before its node was lost stays. Ids rise with
        // the time.
        let mut last: BTreeMap<(u32, &str), LeaseId> = BTreeMap::new();
        for file in &artefacts {
            let newest = last.entry((file.member, &file.path)).or_insert(file.lease);
            *newest = file.lease.max(*newest);
        }
        let memory = self.memory();
        let log_bytes = memory
            .leases_of_job(id)
            .fold(0_u64, |sum, live| sum.saturating_add(live.log_end));
        let pulled_percent = memory
            .leases_of_job(id)
            .filter(|live| live.phase == Some(Phase::Pulling))
            .filter_map(|live| live.pulled_percent)
            .min();
        let summary = self.summary(&memory, &job, &leases);
        let mut own_meter = meter(memory.leases_of_job(id), means);
        own_meter.spent = summary.spent;
        Ok(JobView {
            leases: leases.iter().map(|row| lease_view(&memory, row)).collect(),
            events,
            artefacts: artefacts
                .iter()
                .filter(|a| last.get(&(a.member, a.path.as_str())) == Some(&a.lease))
                .map(artefact_view)
                .collect(),
            meter: own_meter,
            log_bytes,
            rounds,
            refunds,
            checks,
            pulled_percent: pulled_percent.filter(|_| !summary.state.is_final()),
            summary,
            spec: job.spec,
        })
    }

    /// Asks a job to end: SIGTERM, ten seconds later SIGKILL. What ran is billed, the rest of the hold returns.
    ///
    /// # Errors
    /// Not this account's job; a job that has ended is a conflict.
    pub async fn stop(&self, actor: &Actor, id: JobId) -> Result<JobView, Error> {
        self.own_job(actor, id, Scope::Jobs).await?;
        let _turn = self.inner.desk.lock().await;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let mut job = tx.job(id).await?.ok_or(Error::NotFound("the job"))?;
        if job.state.is_final() {
            return Err(Error::Conflict(format!(
                "this job has ended already: it is {}",
                job.state
            )));
        }
        let mut event = None;
        if !job.stop_requested {
            job.stop_requested = true;
            let asked = JobEvent {
                at: now,
                kind: JobEventKind::StopRequested,
                detail: String::new(),
            };
            tx.add_event(id, &asked).await?;
            event = Some(asked);
        }
        job.queued_at = None;
        if job.state == JobState::Matching {
            self.finish_job(&mut tx, &mut job, JobStep::Stop, RunEnd::StoppedByUser)
                .await?;
        }
        tx.update_job(&job).await?;
        if event.is_some() {
            let act = Act::by(actor, AuditAction::JobStopped, id);
            self.audit(&mut tx, act).await?;
        }
        tx.commit().await?;
        // Also when it was asked for before: that request may have ended between its commit and this order.
        self.order_stop(id, StopReason::User);
        if event.is_some() {
            self.publish_job(id, event).await;
        }
        self.job_view(id).await
    }

    /// # Errors
    /// Not this account's job.
    pub async fn logs(
        &self,
        actor: &Actor,
        id: JobId,
        after: u64,
        limit: u32,
    ) -> Result<LogPage, Error> {
        self.own_job(actor, id, Scope::Read).await?;
        self.flush().await?;
        let limit = limit.clamp(1, 2_000);
        let lines = self.inner.store.logs(id, after, limit).await?;
        let next = lines.last().map_or(after, |line| line.seq);
        let more = lines.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(LogPage { lines, next, more })
    }

    /// What was measured each second, thinned to at most 600 points; points with metrics of the job are kept first.
    ///
    /// # Errors
    /// Not this account's job.
    pub async fn samples(&self, actor: &Actor, id: JobId) -> Result<Vec<SampleView>, Error> {
        self.own_job(actor, id, Scope::Read).await?;
        self.flush().await?;
        let rows = self.inner.store.samples(id, SAMPLES_SHOWN).await?;
        let leases = self.inner.store.leases_of_job(id).await?;
        let members: BTreeMap<LeaseId, u32> = leases
            .iter()
            .map(|row| (row.lease.id, row.lease.member))
            .collect();
        Ok(rows
            .into_iter()
            .map(|row| SampleView {
                at: row.at,
                lease: row.lease,
                member: members.get(&row.lease).copied().unwrap_or(0),
                data: row.sample,
            })
            .collect())
    }

    /// The countersigned receipts, with the keys to check them.
    ///
    /// # Errors
    /// Not this account's job.
    pub async fn receipts(&self, actor: &Actor, id: JobId) -> Result<Vec<ReceiptView>, Error> {
        self.own_job(actor, id, Scope::Read).await?;
        let platform_key = self.platform_key();
        let posted = self.inner.store.receipts(id).await?;
        Ok(posted
            .into_iter()
            .map(|posted| ReceiptView {
                receipt: posted.receipt,
                hash: posted.hash,
                worker_key: posted.worker_key,
                platform_key: platform_key.clone(),
                charged: posted.charged,
                posted_at: posted.posted_at,
            })
            .collect())
    }

    /// Whether this actor may watch a topic.
    ///
    /// # Errors
    /// The database failed.
    pub async fn may_watch(&self, actor: Option<&Actor>, topic: Topic) -> Result<bool, Error> {
        let Some(actor) = actor else {
            return Ok(topic == Topic::Market);
        };
        if actor.require(Scope::Read).is_err() {
            return Ok(topic == Topic::Market);
        }
        Ok(match topic {
            Topic::Market => true,
            Topic::Account(account) => account == actor.account,
            Topic::Job(id) => self
                .inner
                .store
                .job(id)
                .await?
                .is_some_and(|job| job.account == actor.account),
            Topic::Node(id) => self
                .memory()
                .nodes
                .get(&id)
                .is_some_and(|node| node.node.owner == actor.account),
        })
    }
}

/// Gives slots back unless they were kept.
struct SlotGuard<'a> {
    exchange: &'a Exchange,
    choice: &'a Choice,
    job: JobId,
    kept: bool,
}

impl SlotGuard<'_> {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.exchange.free_slots(self.choice, self.job);
        }
    }
}
