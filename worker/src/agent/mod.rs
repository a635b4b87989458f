//! The agent: holds leases, keeps the line to the exchange, and decides what the jobs' tasks do.
//!
//! One loop owns all state; jobs run in tasks of their own and talk to it through a bounded channel. Nothing of a running job is
//! kept on disk: when the agent dies, its jobs die with it, and the exchange gives them to others.

mod inbox;
mod jobs;
mod proofs;
mod telemetry;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use kernel::{ChallengeId, LeaseId, Timestamp};
use protocol::proof::Answer;
use protocol::worker::{FromWorker, Hello, LeaseBeat, LeaseClaim, PROTOCOL_VERSION, StopReason};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::devices::{Devices, LoadMeter, Sources, host_facts};
use crate::executor::Executor;
use crate::identity::{self, Identity, IdentityError, State};
use crate::image::{ImageOptions, Images};
use crate::job::{JobEvent, Order, SecretValues, Spare};
use crate::lease::{Lease, Stage};
use crate::link::{Backoff, Link, LinkError, Welcome, work_until};
use crate::proof::Provers;
use crate::sandbox::engine::{Choice, Engine, Kept};
use crate::sandbox::{self, Sandbox, boottime_ms};
use crate::telemetry::{Asked, start as measure};
use crate::update::{UpdateSettings, Updates};

/// A heartbeat that is not answered within this time means that the line is dead, however open it looks.
const ANSWER_WITHIN_MS: u64 = 2_500;
const IDLE_ANSWER_WITHIN_MS: u64 = 10_000;
const FLUSH_EVERY: Duration = Duration::from_millis(100);
const SAY_ENDED_EVERY: Duration = Duration::from_secs(2);
/// Of all leases together in one flush: well below what the exchange admits in a second.
const FLUSH_BYTES_MAX: usize = 512 * 1024;
/// From SIGTERM to SIGKILL for jobs that are still there when draining is over.
const DRAIN_GRACE_MS: u64 = 5_000;
/// How long ended work waits to be accounted for when the worker stops.
const ACCOUNT_WITHIN: Duration = Duration::from_secs(10);
/// After the drain timeout, stopped jobs have so long to end and to send their files; then the worker leaves regardless.
/// With the usual timeout it stays below the `TimeoutStopSec` of docs/worker.md.
const FILES_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(
        "cannot make an HTTP client: {0} (are there certificates of authorities? On Debian: apt-get install ca-certificates)"
    )]
    Client(#[from] reqwest::Error),
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// What the owner decides.
#[derive(Debug, Clone)]
pub struct Settings {
    pub sandbox: sandbox::Options,
    /// Jobs run in containers of this engine, instead of in our own sandbox.
    pub engine: Option<Choice>,
    pub images: ImageOptions,
    /// Main memory for jobs, their disks included; `None`: all but a reserve for the owner.
    pub memory_mib: Option<u64>,
    pub drain_timeout: Duration,
    pub sources: Sources,
    /// Where the owner's Prometheus reads the newest values.
    pub metrics: Option<std::net::SocketAddr>,
    /// Absent: this program stays as it is.
    pub updates: Option<UpdateSettings>,
}

/// A lease and what is needed to carry it out.
struct Held {
    lease: Lease,
    until: watch::Sender<u64>,
    orders: mpsc::Sender<Order>,
    log_room: Arc<Semaphore>,
    task: Option<JoinHandle<()>>,
    /// Until the job's secrets have come.
    secrets: Option<Secrets>,
    /// Ways into the job that are open; they end with the lease.
    tunnels: JoinSet<()>,
    /// The one among them that carries the packets of the job's machines.
    mesh: Option<AbortHandle>,
    spool: PathBuf,
    flushed_at: Instant,
    said_ended_at: Option<Instant>,
    over_at: Option<Instant>,
}

/// A key that was made for one lease's secrets, and who waits for them.
struct Secrets {
    key: [u8; 32],
    wait: oneshot::Sender<SecretValues>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Ends the job at once if it still runs: its sandbox hangs on the task.
        if let Some(task) = &self.task {
            task.abort();
        }
        let _ = std::fs::remove_dir_all(&self.spool);
    }
}

struct Draining {
    deadline: Instant,
    stopped: bool,
    idle_since: Option<Instant>,
}

pub struct Agent {
    identity: Arc<Identity>,
    state: State,
    settings: Settings,
    join_token: Option<String>,
    devices: Devices,
    executor: Option<Arc<dyn Executor>>,
    isolation_problems: Vec<String>,
    images: Option<Arc<Images>>,
    client: reqwest::Client,
    held: BTreeMap<LeaseId, Held>,
    events: mpsc::Sender<(LeaseId, JobEvent)>,
    heard: mpsc::Receiver<(LeaseId, JobEvent)>,
    spare: Spare,
    link: Option<Link>,
    connecting: Option<(u64, JoinHandle<Result<Link, LinkError>>)>,
    backoff: Backoff,
    retry_at: Instant,
    next_beat: Instant,
    /// Heartbeats of this connection that are not answered yet: number, when sent.
    beats: VecDeque<(u64, u64)>,
    beat_seq: u64,
    /// The exchange knew us alive after this moment: what was last answered was sent then.
    alive_at: u64,
    welcome: Option<Welcome>,
    draining: Option<Draining>,
    load: LoadMeter,
    provers: Provers,
    proved: mpsc::Receiver<(ChallengeId, Answer)>,
    telemetry: telemetry::Telemetry,
    updates: Updates,
}

/// Why an agent has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Stopped,
    /// A newer program is to be started in its place.
    ForUpdate,
}

/// What the owner chose, if it can isolate a job here. An engine never takes the sandbox's place by itself, nor the sandbox an
/// engine's.
async fn executor(settings: &Settings, state: &Path) -> Result<Arc<dyn Executor>, Vec<String>> {
    let (options, directory) = (settings.sandbox.clone(), state.join(identity::ENGINE));
    let left = match Choice::kept(&directory) {
        Kept::Choice(before) if settings.engine.as_ref() != Some(&before) => {
            before.clean(&options.instance).await.map(drop)
        }
        _ => Ok(()),
    };
    if let Err(why) = left {
        tracing::warn!(
            why,
            "the engine that was used before may have containers of this worker"
        );
    } else if settings.engine.is_none() {
        _ = std::fs::remove_dir_all(&directory);
    }
    Ok(match &settings.engine {
        Some(choice) => Arc::new(Engine::probe(options, choice, directory).await?),
        None => Arc::new(Sandbox::probe(options).await?),
    })
}

impl Agent {
    /// Looks at the machine and makes ready; does not connect yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub async fn new(
        identity: Identity,
        state: State,
        settings: Settings,
        join_token: Option<String>,
    ) -> Result<Self, AgentError> {
        let chosen = executor(&settings, identity.directory()).await;
        let (executor, isolation_problems) = match chosen {
            Ok(executor) => (Some(executor), Vec::new()),
            Err(missing) => (None, missing),
        };
        for problem in &isolation_problems {
            tracing::error!(
                problem,
                "jobs cannot be isolated here, so none will be taken"
            );
        }
        let devices = Devices::find(
            &identity.public_key(),
            settings.memory_mib,
            &settings.sources,
        );
        // Spools are of this directory's agent alone, and the lock says that no other lives.
        let _ = std::fs::remove_dir_all(identity.directory().join("spool"));
        let images = Images::open(&identity.directory().join("images"), &settings.images)
            .inspect_err(|error| tracing::error!(%error, "no container images can be kept here"))
            .ok()
            .map(Arc::new);
        let (events, heard) = mpsc::channel(256);
        let (provers, proved) =
            Provers::new(identity.public_key(), identity.directory().to_owned());
        let updates = Updates::of(settings.updates.clone(), identity.directory());
        let measured = measure(Asked::of(&devices, &settings.sources));
        let telemetry =
            telemetry::Telemetry::open(identity.directory(), measured, settings.metrics).await;
        let mut agent = Self {
            identity: Arc::new(identity),
            state,
            settings,
            join_token,
            devices,
            executor,
            isolation_problems,
            images,
            client: crate::files::client()?,
            held: BTreeMap::new(),
            events,
            heard,
            spare: Spare::default(),
            link: None,
            connecting: None,
            backoff: Backoff::default(),
            retry_at: Instant::now(),
            next_beat: Instant::now(),
            beats: VecDeque::new(),
            beat_seq: 0,
            alive_at: 0,
            welcome: None,
            draining: None,
            load: LoadMeter::default(),
            provers,
            proved,
            telemetry,
            updates,
        };
        agent.refill(Duration::ZERO);
        Ok(agent)
    }

    /// Connects once, so that the exchange takes the join token and remembers this node; then leaves.
    ///
    /// # Errors
    /// Why it was refused.
    pub async fn enroll(&mut self) -> Result<Welcome, AgentError> {
        let link = Link::open(&self.identity, self.hello()).await?;
        let welcome = link.welcome.clone();
        self.remember(&welcome)?;
        link.close().await;
        Ok(welcome)
    }

    /// Runs until it is told to stop, or is refused for good.
    ///
    /// # Errors
    /// A final refusal, which names what the owner can do.
    pub async fn run(mut self) -> Result<Left, AgentError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut flush = interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.may_leave() {
            let linked = self.link.is_some();
            let wants_flush = linked && !self.held.is_empty();
            let disconnected = !linked && self.connecting.is_none();
            let looks = linked && self.updates.looks(self.held.is_empty());
            let line = OptionFuture::from(self.link.as_mut().map(Link::next));
            let attempt = OptionFuture::from(self.connecting.as_mut().map(|(_, task)| task));
            let drain_at = self
                .draining
                .as_ref()
                .map_or(self.next_beat, Draining::wakes_at);
            tokio::select! {
                Some((lease, event)) = self.heard.recv() => self.on_job(lease, event).await,
                Some(batch) = self.telemetry.seen.recv() => self.measured(batch).await,
                Some((challenge, answer)) = self.proved.recv() => self.proven(challenge, answer).await,
                Some(message) = line, if linked => match message {
                    Ok(message) => self.on_message(message).await?,
                    Err(error) => self.line_lost(&error),
                },
                Some(result) = attempt => self.on_attempt(result).await?,
                () = sleep_until(self.retry_at), if disconnected => self.connect(),
                () = sleep_until(self.next_beat), if linked => self.beat().await,
                _ = flush.tick(), if wants_flush => self.flush().await,
                () = sleep_until(drain_at), if self.draining.is_some() => self.drain_on().await,
                staged = self.updates.next(&self.state.server), if looks => if staged { self.leave_for_update() },
                _ = terminate.recv() => if self.drain() { break },
                _ = interrupt.recv() => if self.drain() { break },
            }
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        tracing::info!("stopped");
        Ok(if self.updates.leaving() {
            Left::ForUpdate
        } else {
            Left::Stopped
        })
    }

    /// A newer program lies ready: no new jobs, and as soon as nothing is held this one leaves for it.
    fn leave_for_update(&mut self) {
        tracing::info!("a newer worker is ready; leaving for it");
        self.updates.leave();
        self.drain();
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            public_key: self.identity.public_key(),
            server: self.state.server.clone(),
            signature: String::new(),
            join_token: self.join_token.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: self.state.name.clone(),
            country: self.state.country.clone(),
            price: self.state.price,
            host: host_facts(
                self.identity.directory(),
                self.devices.offered_mib,
                &self.state.network,
                self.isolation_problems.clone(),
                self.devices.problems.clone(),
            ),
            devices: self.devices.facts.clone(),
            leases: self.held.values().map(|held| held.lease.claim()).collect(),
        }
    }

    fn remember(&mut self, welcome: &Welcome) -> Result<(), IdentityError> {
        self.join_token = None;
        let state = State {
            node: Some(welcome.node),
            name: welcome.node_name.clone(),
            ..self.state.clone()
        };
        // Compared with the disk: `run --server` has changed what is in memory only.
        if self.identity.state().ok().as_ref() != Some(&state) {
            self.identity.save(&state)?;
        }
        self.state = state;
        Ok(())
    }

    // ---- The line ----------------------------------------------------------------------------------------------

    fn connect(&mut self) {
        let (identity, hello) = (Arc::clone(&self.identity), self.hello());
        let task = tokio::spawn(async move { Link::open(&identity, hello).await });
        self.connecting = Some((boottime_ms(), task));
    }

    async fn on_attempt(
        &mut self,
        result: Result<Result<Link, LinkError>, tokio::task::JoinError>,
    ) -> Result<(), AgentError> {
        let began = self.connecting.take().map_or(0, |(began, _)| began);
        let error = match result {
            Ok(Ok(link)) => {
                self.connected(link).await?;
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(_) => LinkError::Silent("the attempt was given up".to_owned()),
        };
        if error.is_final() {
            return Err(error.into());
        }
        if matches!(error, LinkError::Down(_)) {
            self.server_is_down(began);
        }
        let wait = self.backoff.next(self.has_work(), rand::random());
        self.retry_at = Instant::now() + wait;
        tracing::warn!(%error, retry_ms = wait.as_millis(), "no line to the exchange");
        Ok(())
    }

    async fn connected(&mut self, link: Link) -> Result<(), AgentError> {
        let welcome = link.welcome.clone();
        tracing::info!(node = %welcome.node, name = welcome.node_name, server = self.state.server, "connected");
        self.remember(&welcome)?;
        self.backoff.reset();
        // The exchange has welcomed it: a program on trial has passed.
        self.updates.passed();
        self.alive_at = self.alive_at.max(link.greeted_at);
        self.welcome = Some(welcome);
        self.telemetry.rewind();
        self.link = Some(link);
        self.beats.clear();
        self.beat_seq = 0;
        let ids: Vec<LeaseId> = self.held.keys().copied().collect();
        for id in ids {
            if let Some(held) = self.held.get_mut(&id) {
                held.lease.rewind();
                held.said_ended_at = None;
            }
            self.say_status(id).await;
        }
        self.beat().await;
        Ok(())
    }

    fn line_lost(&mut self, error: &LinkError) {
        tracing::warn!(%error, "the line to the exchange is lost");
        self.link = None;
        self.beats.clear();
        self.provers.end_all();
        self.retry_at = Instant::now();
    }

    /// Somebody answers for the server that it is not there: our leases go on, within the grace.
    fn server_is_down(&mut self, seen_at: u64) {
        let Some(welcome) = &self.welcome else { return };
        for held in self.held.values() {
            let until = work_until(
                held.lease.renewed_at,
                Some(seen_at),
                welcome.lease_ttl_ms,
                welcome.server_down_grace_ms,
            );
            held.extend(until);
        }
    }

    /// Sends when there is a line; a message that is lost with it is said again on the next one.
    async fn say(&mut self, message: FromWorker) {
        let Some(link) = &mut self.link else { return };
        if let Err(error) = link.send(&message).await {
            self.line_lost(&error);
        }
    }

    async fn beat(&mut self) {
        let (now, issued_at) = (boottime_ms(), wall_clock());
        let patience = if self.has_work() {
            ANSWER_WITHIN_MS
        } else {
            IDLE_ANSWER_WITHIN_MS
        };
        if self
            .beats
            .front()
            .is_some_and(|(_, sent)| now.saturating_sub(*sent) > patience)
        {
            self.line_lost(&LinkError::Silent("heartbeats are not answered".to_owned()));
            return;
        }
        let key = self.identity.key();
        let leases = self
            .held
            .values()
            .filter(|held| !matches!(held.lease.stage, Stage::Rejected(_)))
            .map(|held| LeaseBeat {
                lease: held.lease.id(),
                epoch: held.lease.epoch(),
                // The last receipt travels with `Ended` alone.
                receipt: if held.lease.is_over() {
                    None
                } else {
                    held.lease.receipt(key, now, issued_at)
                },
            })
            .collect();
        self.beat_seq += 1;
        let beat = FromWorker::Heartbeat {
            seq: self.beat_seq,
            draining: self.draining.is_some() || self.identity.in_maintenance(),
            load: self.load.look(),
            leases,
        };
        self.beats.push_back((self.beat_seq, now));
        let every = self
            .welcome
            .as_ref()
            .map_or(Duration::from_secs(1), |welcome| welcome.heartbeat);
        self.next_beat = Instant::now() + every;
        self.say(beat).await;
        let over: Vec<LeaseId> = self
            .held
            .iter()
            .filter(|(_, held)| held.lease.is_over())
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.say_ended(id, false).await;
        }
    }

    // ---- Leaving -----------------------------------------------------------------------------------------------

    fn has_work(&self) -> bool {
        !self.held.is_empty()
    }

    /// The first signal begins to drain; answers true for the second, which ends everything now.
    fn drain(&mut self) -> bool {
        if self.draining.is_some() {
            tracing::warn!("stopping at once");
            return true;
        }
        let working = self
            .held
            .values()
            .filter(|held| !held.lease.is_over())
            .count();
        tracing::info!(
            working,
            "draining: no new jobs; running ones have until the timeout; signal again to stop at once"
        );
        self.draining = Some(Draining {
            deadline: Instant::now() + self.settings.drain_timeout,
            stopped: false,
            idle_since: None,
        });
        self.next_beat = Instant::now();
        false
    }

    async fn drain_on(&mut self) {
        let now = Instant::now();
        // A job whose files still travel is not done: without its end it would run again elsewhere.
        let all_over = self.held.values().all(|held| held.lease.is_over());
        let Some(draining) = &mut self.draining else {
            return;
        };
        if all_over {
            draining.idle_since.get_or_insert(now);
        } else if !draining.stopped && now >= draining.deadline {
            draining.stopped = true;
            let working: Vec<LeaseClaim> = self
                .held
                .values()
                .filter(|held| held.lease.is_working())
                .map(|held| held.lease.claim())
                .collect();
            for LeaseClaim { lease, epoch } in working {
                self.stop(lease, epoch, StopReason::Drained, DRAIN_GRACE_MS)
                    .await;
            }
        }
    }

    fn may_leave(&self) -> bool {
        let Some(draining) = &self.draining else {
            return false;
        };
        self.held.is_empty()
            || draining
                .idle_since
                .is_some_and(|since| since.elapsed() > ACCOUNT_WITHIN)
            || draining.deadline.elapsed() > FILES_WITHIN
    }

    fn refill(&mut self, after: Duration) {
        if let (Some(executor), None) = (&self.executor, &self.draining) {
            self.spare.refill(executor, after);
        }
    }
}

impl Draining {
    /// Looks again soon: what it waits for is in other hands.
    fn wakes_at(&self) -> Instant {
        let soon = Instant::now() + Duration::from_millis(200);
        if self.stopped {
            soon
        } else {
            soon.min(self.deadline.max(Instant::now() + Duration::from_millis(1)))
        }
    }
}

impl Held {
    /// Never shortens.
    fn extend(&self, until: u64) {
        self.until.send_if_modified(|now| {
            let longer = until > *now;
            if longer {
                *now = until;
            }
            longer
        });
    }

    fn stop(&mut self, reason: sandbox::StopReason, told: StopReason, grace_ms: u64) {
        self.lease.stop.get_or_insert(told);
        if self
            .orders
            .try_send(Order::Stop { reason, grace_ms })
            .is_err()
        {
            tracing::warn!(lease = %self.lease.id(), "the job does not listen; it ends with its lease");
        }
    }
}

/// The wall clock, for what people read.
pub fn wall_clock() -> Timestamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Timestamp::from_millis(
        now.tv_sec
            .saturating_mul(1_000)
            .saturating_add(now.tv_nsec / 1_000_000),
    )
}
