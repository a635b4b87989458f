//! The agent: holds leases, keeps the line to the exchange, and decides what the jobs' tasks do.
//!
//! One loop owns all state; jobs run in tasks of their own and talk to it through a bounded channel. Nothing of a running job is
//! kept on disk: when the agent dies, its jobs die with it, and the exchange gives them to others.
//!
//! Here is that loop, and what it owns; `line` is the connection and its heartbeats, `inbox` what the exchange says, `jobs`
//! what the jobs report, `leaving` the way out, `proofs` and `telemetry` what is measured.

mod inbox;
mod jobs;
mod leaving;
mod line;
mod proofs;
mod telemetry;
mod ways;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use kernel::{ChallengeId, LeaseId, Timestamp};
use protocol::proof::Answer;
use protocol::worker::{Hello, PROTOCOL_VERSION, StopReason};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::devices::{Devices, LoadMeter, Sources, host_facts};
use crate::executor::Executor;
use crate::identity::{self, Identity, IdentityError, State};
use crate::image::{ImageOptions, Images};
use crate::job::{JobEvent, Order, SecretValues, Spare};
use crate::lease::Lease;
use crate::link::{Backoff, Link, LinkError, Welcome};
use crate::proof::Provers;
use crate::sandbox::engine::{Choice, Engine, Kept};
use crate::sandbox::{self, Sandbox};
use crate::telemetry::{Asked, start as measure};
use crate::uninstall;
use crate::update::{UpdateSettings, Updates};
use leaving::Draining;
use ways::Ways;

const FLUSH_EVERY: Duration = Duration::from_millis(100);
const SAY_ENDED_EVERY: Duration = Duration::from_secs(2);
/// Of all leases together in one flush: well below what the exchange admits in a second.
const FLUSH_BYTES_MAX: usize = 512 * 1024;

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
    ways: Ways,
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
    /// The exchange speaks another version, and a program that speaks it is looked for.
    outdated: bool,
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
            outdated: false,
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

    /// After a join that failed: what was made for it goes again, unless the exchange may have taken the key and only its answer
    /// was lost. Then the same command, with the same key, joins as the same node.
    pub fn give_up(self, why: &AgentError) {
        let identity = Arc::clone(&self.identity);
        let refused = matches!(why, AgentError::Link(LinkError::Refused { .. }));
        // With what it holds open, and has ready for jobs.
        drop(self);
        if refused || !identity.is_shown() {
            uninstall::take_back(&identity);
        }
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
            let looks = (linked || self.outdated) && self.updates.looks(self.held.is_empty());
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
    fn refill(&mut self, after: Duration) {
        if let (Some(executor), None) = (&self.executor, &self.draining) {
            self.spare.refill(executor, after);
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
