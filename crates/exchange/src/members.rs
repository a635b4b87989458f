//! Jobs on several nodes: which members lack a place, what they ask of the market, and what one member's end means for
//! the job. A job on one node is a job with one member.
//!
//! The rule: all members get their place together, or none does. A member that loses its node is replaced alone, near the
//! others; they go on. A member that finishes is done, and the job is finished when all are. A member that fails, or
//! meets a limit, ends the job, and the others are stopped.

use std::borrow::Cow;
use std::collections::BTreeSet;

use kernel::{Amount, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp};
use market::{Choice, Near, NoMatch, Offer, Request};
use protocol::round::Occasion;
use protocol::state::{JobStep, RunEnd};
use protocol::worker::StopReason;
use store::{Job, LeaseRow, Tx};

use crate::desk::{Exchange, Memory, Stopping};
use crate::error::Error;
use crate::jobs::STOP_GRACE_MS;
use crate::leases::Seat;
use crate::markets::cap;
use crate::rounds::Asked;

/// What a job still asks of the market.
pub(crate) struct Wanted {
    /// The members that the choice is for, in its order.
    pub members: Vec<u32>,
    /// The first that has an answer is taken: near the other members before farther away.
    pub requests: Vec<Request>,
    /// Other members still lack a place after this.
    pub more: bool,
}

impl Wanted {
    /// All members of a new job.
    pub fn whole(request: Request, members: u32) -> Self {
        Self {
            members: (0..members).collect(),
            requests: vec![request],
            more: false,
        }
    }

    /// What was chosen, node by node.
    pub fn seats<'a>(&self, choice: &'a Choice, leases: &[LeaseRow]) -> Vec<Seat<'a>> {
        let nodes = choice
            .offers
            .chunk_by(|one: &Offer, other: &Offer| one.node == other.node);
        let seat = |(member, offers)| Seat {
            member,
            offers,
            used: used(leases, member),
        };
        self.members.iter().copied().zip(nodes).map(seat).collect()
    }

    pub fn dearest(&self) -> Option<PricePerSecond> {
        self.requests.first().and_then(Request::dearest)
    }
}

/// Delivered by all leases of a member.
pub(crate) fn used(leases: &[LeaseRow], member: u32) -> Seconds {
    let own = leases.iter().filter(|row| row.lease.member == member);
    own.fold(Seconds::ZERO, |sum, row| sum.plus(row.lease.head.seconds))
}

/// The most that a member paid so far.
fn paid(leases: &[LeaseRow], member: u32) -> Option<PricePerSecond> {
    let own = leases.iter().filter(|row| row.lease.member == member);
    own.map(|row| row.lease.price).max()
}

const fn is_done(row: &LeaseRow) -> bool {
    matches!(row.lease.end, Some(RunEnd::Exited { code: 0 }))
}

impl Exchange {
    /// What a job that looks for devices asks now. `None`: nothing, all its members have a place or are done.
    ///
    /// # Errors
    /// A query that cannot be read.
    pub(crate) fn wanted(&self, job: &Job, leases: &[LeaseRow]) -> Result<Option<Wanted>, Error> {
        let mut request = self.request(&job.spec, job.wanted_device)?;
        let placed: Vec<&LeaseRow> = leases.iter().filter(|row| row.lease.is_live()).collect();
        let settled: BTreeSet<u32> = leases
            .iter()
            .filter(|row| row.lease.is_live() || is_done(row))
            .map(|row| row.lease.member)
            .collect();
        let missing: Vec<u32> = (0..job.members).filter(|n| !settled.contains(n)).collect();
        let Some(first) = missing.first().copied() else {
            return Ok(None);
        };
        request.avoid = self.avoided(job.id);
        if let Some(most) = job.promised {
            request.cap(most);
        }
        if self.memory().apart.contains_key(&job.id) {
            // One slice, whatever the query asks for all.
            request.ask.nodes = 1;
            self.anywhere(&mut request);
        }
        if settled.is_empty() {
            let all = missing.iter().map(|member| paid(leases, *member));
            let all: Option<Vec<_>> = all.collect();
            cap(&mut request, all.map(PricePerSecond::total));
            return Ok(Some(Wanted::whole(request, job.members)));
        }
        // What the limit leaves beside the members that have their place.
        let others = PricePerSecond::total(placed.iter().map(|row| row.lease.price));
        match request.most_together {
            Some(most) => request.cap(PricePerSecond::from_amount(
                most.per_second().minus_or_zero(others.per_second()),
            )),
            None => cap(&mut request, paid(leases, first)),
        }
        let done = leases.iter().filter(|row| is_done(row));
        let stand: Vec<&LeaseRow> = placed.iter().copied().chain(done).collect();
        let requests = self.beside(&request, &placed, &stand);
        Ok(Some(Wanted {
            members: vec![first],
            requests,
            more: missing.len() > 1,
        }))
    }

    /// For one more member: on another node than the placed ones, of another owner where that is asked, as near to them
    /// as can be had within what the job allows.
    /// `stand`: those that have a place, and those that had one and are done.
    fn beside(&self, request: &Request, placed: &[&LeaseRow], stand: &[&LeaseRow]) -> Vec<Request> {
        let memory = self.memory();
        let nodes: Vec<NodeId> = placed.iter().map(|row| row.lease.node).collect();
        let mut one = request.clone();
        one.ask.nodes = 1;
        one.ask.spread = false;
        if request.ask.spread {
            let owners: BTreeSet<_> = placed.iter().map(|row| row.lease.owner).collect();
            let theirs = memory
                .nodes
                .values()
                .filter(|live| owners.contains(&live.node.owner));
            one.avoid.extend(theirs.map(|live| live.node.id));
        }
        one.avoid.extend(nodes);
        let anchors: Vec<Offer> = stand
            .iter()
            .filter_map(|row| memory.book.get(row.lease.device))
            .collect();
        if anchors.is_empty() {
            return vec![one];
        }
        let levels = Near::ALL
            .into_iter()
            .filter(|near| *near <= request.ask.near);
        let near = levels.filter_map(|near| {
            anchors.iter().find_map(|anchor| {
                let mut request = one.clone();
                request.near(near, anchor)?;
                Some(request)
            })
        });
        let mut requests: Vec<Request> = near.collect();
        if requests.is_empty() {
            // None of them says any more where it stands: nothing is known to be near.
            one.near_nothing();
            requests.push(one);
        }
        requests
    }

    /// Takes what a job asks out of the market. Give it back with [`Exchange::free_slots`] if it comes to nothing, and
    /// note the round that it was where somebody hears of the answer.
    pub(crate) fn take_slots(
        &self,
        wanted: &Wanted,
        job: kernel::JobId,
        occasion: Occasion,
    ) -> (Result<Choice, NoMatch>, Asked) {
        let mut memory = self.memory();
        let (answer, asked) = self.ask(&mut memory, wanted, occasion);
        for offer in answer.iter().flat_map(|choice| &choice.offers) {
            let taken = memory.book.take(offer.device, job);
            debug_assert!(taken, "a chosen offer is free");
        }
        (answer, asked)
    }

    /// Why there is nothing for a job whose time is over, and the round that says so. `None`: there is something, and it comes
    /// too late.
    pub(crate) fn why_nothing(
        &self,
        wanted: &Wanted,
        occasion: Occasion,
    ) -> Option<(NoMatch, Asked)> {
        let (answer, asked) = self.ask(&mut self.memory(), wanted, occasion);
        answer.err().map(|why| (why, asked))
    }

    fn ask(
        &self,
        memory: &mut Memory,
        wanted: &Wanted,
        occasion: Occasion,
    ) -> (Result<Choice, NoMatch>, Asked) {
        let now = self.now();
        let mut asked = Asked::of(&mut memory.book, occasion, now);
        let requests = with_newcomers(memory, &wanted.requests, now);
        let (which, answer) = answer(memory, &requests);
        asked.answered(&requests, which, answer.as_ref().ok());
        (answer.map_err(|why| self.priced(why)), asked)
    }

    pub(crate) fn free_slots(&self, choice: &Choice, job: kernel::JobId) {
        let mut memory = self.memory();
        for offer in &choice.offers {
            memory.book.free(offer.device, job);
        }
    }

    /// What of a job's hold its live leases may still use.
    pub(crate) fn spoken_for(&self, job: kernel::JobId) -> Amount {
        let memory = self.memory();
        memory.leases_of_job(job).fold(Amount::ZERO, |sum, live| {
            let lease = &live.lease;
            let cost = lease.fees.cost(lease.price, lease.funded);
            sum.checked_add(cost.minus_or_zero(lease.charged))
                .unwrap_or(Amount::MAX)
        })
    }

    /// What the end of a member, which is written, means for its job: it ends, goes on without it, or looks for another
    /// place for it. In the caller's transaction.
    pub(crate) async fn after_member(
        &self,
        tx: &mut Tx,
        job: &mut Job,
        step: JobStep,
        end: RunEnd,
        counted: bool,
    ) -> Result<(), Error> {
        let leases = if job.members > 1 {
            tx.members_of(job.id).await?
        } else {
            Vec::new()
        };
        let running = leases.iter().any(|member| member.live);
        let done = |n: u32| {
            let mut own = leases.iter().filter(|member| member.member == n);
            own.any(|member| matches!(member.end, Some(RunEnd::Exited { code: 0 })))
        };
        match step {
            JobStep::Lost if job.stop_requested => {
                job.end.get_or_insert(RunEnd::StoppedByUser);
            }
            // Another member has ended the job: this one needs no other place.
            JobStep::Lost if job.end.is_some() => {}
            JobStep::Lost if !counted => {
                job.queued_at.get_or_insert(self.now());
            }
            JobStep::Lost if job.restarts >= job.spec.limits.max_restarts => {
                let restarts = job.restarts;
                job.end = Some(RunEnd::TooManyRestarts { restarts });
            }
            JobStep::Lost => {
                job.restarts = job.restarts.saturating_add(1);
                job.queued_at.get_or_insert(self.now());
            }
            JobStep::Finish if job.members > 1 && !(0..job.members).all(done) => {}
            _ => {
                job.end.get_or_insert(end);
            }
        }
        if job.stop_requested && !running {
            job.end.get_or_insert(RunEnd::StoppedByUser);
        }
        match job.end.clone() {
            Some(end) if !running => {
                let step = end.job_step();
                return self.finish_job(tx, job, step, end).await;
            }
            Some(_) => job.queued_at = None,
            None if !running => {
                job.state = job.state.step(JobStep::Lost)?;
                self.keep_for_now(tx, job.id).await?;
            }
            None => {}
        }
        Ok(tx.update_job(job).await?)
    }

    /// Nothing uses a job's money any more: it stays set aside for as long as another place is hoped for.
    async fn keep_for_now(&self, tx: &mut Tx, job: kernel::JobId) -> Result<(), Error> {
        if let Some(mut hold) = tx.hold(job).await? {
            hold.expires_at = Some(self.idle_until());
            tx.put_hold(&hold).await?;
        }
        Ok(())
    }

    /// Ends a job for a reason of the market's or the money's, in the caller's transaction: at once when nothing of it
    /// runs; else its members are stopped, for which the caller orders [`Exchange::order_stop`] after the commit.
    pub(crate) async fn conclude(
        &self,
        tx: &mut Tx,
        job: &mut Job,
        end: RunEnd,
    ) -> Result<(), Error> {
        let leases = tx.members_of(job.id).await?;
        if leases.iter().any(|member| member.live) {
            job.queued_at = None;
            job.end.get_or_insert(end);
            return Ok(tx.update_job(job).await?);
        }
        self.finish_job(tx, job, end.job_step(), end).await
    }

    /// Marks a job's leases as stopping and tells their workers; heartbeats repeat the order until it is done.
    pub(crate) fn order_stop(&self, job: kernel::JobId, reason: StopReason) {
        let at = self.now();
        let mut memory = self.memory();
        let ids: Vec<LeaseId> = memory
            .leases_of_job(job)
            .map(|live| live.lease.id)
            .collect();
        for id in ids {
            let Some(live) = memory.leases.get_mut(&id) else {
                continue;
            };
            // The first order counts: asking again lengthens nothing.
            let delivered = Some(live.seconds());
            let stop = *live.stop.get_or_insert(Stopping {
                at,
                reason,
                grace_ms: STOP_GRACE_MS,
                delivered,
            });
            let (node, order) = (live.lease.node, stop.order(&live.lease));
            memory.send(node, order);
        }
    }
}

/// The best that the market has for what is wanted.
pub(crate) fn choose(memory: &Memory, wanted: &Wanted) -> Result<Choice, NoMatch> {
    answer(memory, &wanted.requests).1
}

/// What a round asks: when its seed says that it is the newcomers' turn, one of them for no more than the best asks, before
/// all others (docs/reputation.md). It is a request like any other, so the round replays as it is.
fn with_newcomers<'a>(
    memory: &Memory,
    requests: &'a [Request],
    now: Timestamp,
) -> Cow<'a, [Request]> {
    if let [request] = requests
        && market::is_newcomers_turn(&memory.round_seed)
        && let Some(best) = memory.book.of(request.ask.kind).best(request)
        && let Some(newcomers) = request.of_newcomers(&best, now)
    {
        return Cow::Owned(vec![newcomers, request.clone()]);
    }
    Cow::Borrowed(requests)
}

/// Which of the requests is answered, and how; nothing for all of them is the last one's answer.
pub(crate) fn answer(memory: &Memory, requests: &[Request]) -> (usize, Result<Choice, NoMatch>) {
    let Some((last, nearer)) = requests.split_last() else {
        return (0, Err(NoMatch::NOTHING));
    };
    let found = nearer.iter().enumerate().find_map(|(n, request)| {
        let choice = || {
            memory
                .book
                .choose(request)
                .ok()
                .map(|choice| (n, Ok(choice)))
        };
        memory.book.has(request).then(choice)?
    });
    found.unwrap_or_else(|| (nearer.len(), memory.book.choose(last)))
}
