//! Endpoints: a job whose members answer requests. Here is decided who answers the next one, and what was seen is counted;
//! the server carries the requests.

mod board;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::{AccountId, JobId};
use protocol::endpoint::{EndpointView, ReplicaView};
use protocol::spec::Port;
use protocol::state::LeaseState;
use protocol::view::Scope;

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::doors::Place;
use crate::error::Error;
use board::Board;
pub use board::{Heard, Look};

/// What was seen of each endpoint since this process started.
#[derive(Default)]
pub(crate) struct Boards(Mutex<HashMap<JobId, Board>>);

impl Boards {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Board>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint that runs.
#[derive(Debug, Clone)]
pub struct Served {
    pub account: AccountId,
    pub port: Port,
    /// Its members that run.
    pub places: Vec<Place>,
}

impl Exchange {
    /// The job as an endpoint; `None` when it is none, or nothing of it runs.
    pub fn served(&self, job: JobId) -> Option<Served> {
        let memory = self.memory();
        let mut found: Option<(AccountId, Port)> = None;
        let mut members = Vec::new();
        for live in memory.leases_of_job(job) {
            let port = live.spec.endpoint()?;
            found.get_or_insert_with(|| (live.lease.account, port.clone()));
            if live.lease.state == LeaseState::Active {
                members.push(live.lease.member);
            }
        }
        drop(memory);
        members.sort_unstable();
        let (account, port) = found?;
        let places = members
            .into_iter()
            .filter_map(|member| self.place_of(job, member))
            .collect();
        Some(Served {
            account,
            port,
            places,
        })
    }

    /// All endpoints of which something runs; what was seen of others is forgotten.
    pub fn endpoints(&self) -> Vec<(JobId, Served)> {
        let jobs: Vec<JobId> = {
            let memory = self.memory();
            let serving = memory.leases.values();
            let serving = serving.filter(|live| live.spec.endpoint().is_some());
            let mut jobs: Vec<JobId> = serving.map(|live| live.lease.job).collect();
            jobs.sort_unstable();
            jobs.dedup();
            jobs
        };
        self.inner.boards.lock().retain(|job, _| jobs.contains(job));
        let served = |job| Some((job, self.served(job)?));
        jobs.into_iter().filter_map(served).collect()
    }

    /// Whether this actor may ask the endpoint.
    ///
    /// # Errors
    /// It is not public, and the actor is nobody, or another, or has a key without the scope `read`.
    pub fn may_ask(&self, served: &Served, actor: Option<&Actor>) -> Result<(), Error> {
        if served.port.public {
            return Ok(());
        }
        let actor = actor.ok_or(Error::Unauthenticated)?;
        actor.require(Scope::Read)?;
        if actor.account == served.account {
            Ok(())
        } else {
            Err(Error::NotFound("the endpoint"))
        }
    }

    /// Who answers next, besides those that were tried. What comes of it is told to [`Exchange::endpoint_ended`].
    pub fn endpoint_pick(&self, job: JobId, served: &Served, tried: &[u32]) -> Option<Place> {
        let mut boards = self.inner.boards.lock();
        let board = boards.entry(job).or_default();
        board.have(&members(served));
        let picked = board.pick(tried)?;
        let place = served.places.iter().find(|place| place.member == picked);
        place.copied()
    }

    pub fn endpoint_ended(&self, job: JobId, member: u32, heard: Heard) {
        let now = self.now_ms();
        if let Some(board) = self.inner.boards.lock().get_mut(&job) {
            board.ended(member, heard, now);
        }
    }

    /// A member says something: an answer begins, or goes on.
    pub fn endpoint_says(&self, job: JobId, member: u32) {
        let now = self.now_ms();
        if let Some(board) = self.inner.boards.lock().get_mut(&job) {
            board.says(member, now);
        }
    }

    /// A request that nobody could answer.
    pub fn endpoint_refused(&self, job: JobId) {
        self.inner.boards.lock().entry(job).or_default().refused();
    }

    /// Who was looked at, and what was seen. What changed since the last look is told to the job's watchers.
    pub async fn endpoint_looked(&self, job: JobId, served: &Served, member: u32, look: Look) {
        let now = self.now_ms();
        let news = {
            let mut boards = self.inner.boards.lock();
            let board = boards.entry(job).or_default();
            board.have(&members(served));
            board.looked(member, look, now);
            board.news()
        };
        if news {
            self.publish_job(job, None).await;
        }
    }

    /// How an endpoint of the actor's does.
    ///
    /// # Errors
    /// Not this account's job, or no endpoint.
    pub async fn endpoint(&self, actor: &Actor, job: JobId) -> Result<EndpointView, Error> {
        let own = self.own_job(actor, job, Scope::Read).await?;
        let port = own.spec.endpoint().ok_or(Error::NotFound("the endpoint"))?;
        let served = self.served(job);
        let now = self.now_ms();
        let mut board = {
            let boards = self.inner.boards.lock();
            boards.get(&job).cloned().unwrap_or_default()
        };
        board.have(&served.as_ref().map(members).unwrap_or_default());
        let replica = |(member, well, under_way)| ReplicaView {
            member,
            well,
            under_way,
        };
        Ok(EndpointView {
            job,
            base_url: format!("{}/api/v1/endpoints/{job}/v1", self.settings().public_url),
            public: port.public,
            replicas: board.members().map(replica).collect(),
            requests: board.requests,
            failed: board.failed,
            retried: board.retried,
            tokens: board.tokens,
            tokens_per_second_tenths: board.pace_tenths(now),
            latency_p50_ms: board.latency(50),
            latency_p95_ms: board.latency(95),
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.now().millis()).unwrap_or(0)
    }
}

fn members(served: &Served) -> Vec<(u32, kernel::LeaseId)> {
    let places = served.places.iter();
    places.map(|place| (place.member, place.lease)).collect()
}
