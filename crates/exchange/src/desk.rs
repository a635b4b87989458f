//! The desk: what an [`Exchange`] is made of, its memory, and how it starts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ed25519_dalek::{SigningKey, VerifyingKey};
use kernel::{AccountId, Clock, DeviceId, JobId, LeaseId, NodeId, Seconds, Timestamp};
use market::{Country, Hours, Listing, Offer, Request, Supply, Version};
use metering::receipt::Terms;
use protocol::JobSpec;
use protocol::money::ProofView;
use protocol::spec::DeviceClass;
use protocol::state::LeaseState;
use protocol::view::{Kind, Receipt};
use protocol::worker::{HostLoad, Phase, StopReason, ToWorker};
use store::{Device, Lease, LogRow, Node, Promise, RoundHead, SampleRow, Store};
use tokio::sync::{Semaphore, mpsc};

use crate::due::Due;
use crate::error::Error;
use crate::explorer::Sums;
use crate::journal::Journal;
use crate::leases::LeaseEnd;
use crate::live::LiveHub;
use crate::ports::Entropy;
use crate::proofs::{Proofs, level, may_be_hired};
use crate::runway::Runways;
use crate::searches::Watch;
use crate::settings::Settings;
use crate::settle::Watched;
use crate::telemetry::NodeTelemetry;

/// After a stop and its grace: for what the job left to be uploaded.
pub(crate) const UPLOAD_ALLOWANCE_MS: u64 = 90_000;
/// From the lease to the run: inputs travel and the sandbox is made.
const EXPORTS_AT_ONCE: usize = 2;
const START_WITHIN_MS: u64 = 15 * 60_000;
/// Delivered before a stop was told, and not heard of then: what is on its way.
const UNHEARD: Seconds = Seconds::new(8);

/// The application. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Exchange {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub settings: Settings,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub key: SigningKey,
    pub live: LiveHub,
    /// When this process took over from the one before.
    pub opened_at: Timestamp,
    memory: Mutex<Memory>,
    /// What was seen of endpoints.
    pub boards: crate::endpoints::Boards,
    /// Commands that change a lease run one after the other: each reads, writes and commits before the next.
    pub desk: tokio::sync::Mutex<()>,
    /// Bundles are stored and removed one after the other, each with its row.
    pub shelf: tokio::sync::Mutex<()>,
    /// Who writes what the memory holds of logs and samples.
    pub flushing: tokio::sync::Mutex<()>,
    /// Where the record of rounds ends, as far as it is known. Taken within a transaction, and held until it is over.
    pub record: tokio::sync::Mutex<Option<RoundHead>>,
    /// A replay hashes a whole book: one at a time.
    pub replaying: Semaphore,
    /// Invoices and exports hold what they tell in memory: a few at once.
    pub exporting: Semaphore,
    /// One round with the chain at a time.
    pub settling: tokio::sync::Mutex<()>,
    /// One look of the reconciler at a time.
    pub reconciling: tokio::sync::Mutex<()>,
    /// The newest proof of the books.
    pub proof: tokio::sync::Mutex<Option<ProofView>>,
    /// Who reached what of jobs within the hour, as far as it is in the audit log.
    pub reached: Mutex<crate::doors::Reached>,
    /// What the chain told last.
    pub watched: std::sync::RwLock<Watched>,
    /// The newest sums over all payouts and jobs.
    pub sums: tokio::sync::Mutex<Option<Sums>>,
    /// Password hashing is made slow on purpose; more at once would starve everything else.
    pub hashing: Semaphore,
}

/// The index over the database. Never locked across an await.
#[derive(Default)]
pub(crate) struct Memory {
    pub book: Journal,
    pub nodes: HashMap<NodeId, NodeLive>,
    pub leases: HashMap<LeaseId, LeaseLive>,
    /// When each is to be looked at next, and each linked node: a tick touches what is due, not all that lives.
    pub due: Due<LeaseId>,
    pub due_nodes: Due<NodeId>,
    /// The live leases of an account's jobs, and those on a node.
    pub of_account: HashMap<AccountId, BTreeSet<LeaseId>>,
    pub of_node: HashMap<NodeId, BTreeSet<LeaseId>>,
    /// The jobs that have a live lease.
    pub jobs: HashMap<JobId, JobLive>,
    /// Those of spot jobs.
    pub spot: BTreeSet<LeaseId>,
    /// Devices that are taken back from spot jobs, and for whom.
    pub promises: BTreeMap<DeviceId, Promise>,
    /// Log pieces and samples that the next tick writes.
    pub logs: Vec<LogRow>,
    pub samples: Vec<SampleRow>,
    /// Transactions that people had tried for their wallets within the last minute: since when, and how many.
    pub tries: HashMap<AccountId, (Timestamp, u64)>,
    /// Nodes that refused a job.
    pub refused_by: HashMap<JobId, Vec<NodeId>>,
    /// Jobs that check a slice, and the owners whose machines they keep away from.
    pub apart: HashMap<JobId, BTreeSet<AccountId>>,
    /// When checks were looked after last.
    pub checked_at: Timestamp,
    /// Waiting jobs that lost their node and were told why they wait, with what they asked then.
    pub told: HashMap<JobId, Vec<Request>>,
    /// Leases of which the database may know more than we do: a commit failed, and it is not known whether before or
    /// after it took effect. The next tick reads them anew.
    pub doubtful: BTreeSet<LeaseId>,
    pub connections: u64,
    /// The hash of the last round that is written: the seed of the next.
    pub round_seed: String,
    /// Up to when the time of machines and of the platform is noted, and in which hour reputations were computed last.
    pub uptime_at: Option<Timestamp>,
    pub reputed_hour: Option<i64>,
    /// How many per cent of each model were hired in the median of the last day.
    pub scarce: BTreeMap<(DeviceClass, String), u32>,
    pub searches: Watch,
    pub proofs: Proofs,
    pub telemetry: HashMap<NodeId, NodeTelemetry>,
    /// Devices that more than one node claims, by their UUID.
    pub uuids: HashMap<String, BTreeSet<(NodeId, DeviceId)>>,
    pub runways: Runways,
    pub meters_at: Timestamp,
    /// When the last tick was, for what depends on the time: schedules.
    pub now: Timestamp,
    pub hours_at: Timestamp,
}

pub(crate) struct NodeLive {
    pub node: Node,
    pub devices: Vec<Device>,
    pub link: Option<Link>,
    pub draining: bool,
    pub load: Option<HostLoad>,
    /// Its GPUs may be hired before they have shown what they are.
    pub unproven_gpus: bool,
}

/// A node's present connection.
pub(crate) struct Link {
    pub connection: u64,
    pub sender: mpsc::Sender<ToWorker>,
    pub since: Timestamp,
    pub last_beat: Timestamp,
    /// Leases stop being renewed for good when the node is silent for their life; so does its offer.
    pub silent: bool,
    /// Up to when its newest heartbeat renewed leases.
    pub renewed_until: Timestamp,
    /// The step at which it is looked at next; as late as can be where none is set.
    pub look: i64,
}

/// A job of which something lives.
#[derive(Default)]
pub(crate) struct JobLive {
    pub leases: Vec<LeaseId>,
    /// The number of its newest log piece; its members write one log.
    pub log_seq: u64,
}

/// A worker was told to end a lease's work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopping {
    pub at: Timestamp,
    pub reason: StopReason,
    /// From SIGTERM to SIGKILL; nothing is billed beyond it.
    pub grace_ms: u64,
    /// What was delivered and acknowledged then. Not known after a start of the server.
    pub delivered: Option<Seconds>,
}

impl Stopping {
    pub fn order(&self, lease: &Lease) -> ToWorker {
        ToWorker::Stop {
            lease: lease.id,
            epoch: lease.epoch,
            reason: self.reason,
            grace_ms: self.grace_ms,
        }
    }
}

#[derive(Clone)]
pub(crate) struct LeaseLive {
    pub lease: Lease,
    pub spec: JobSpec,
    pub worker_key: VerifyingKey,
    /// The newest receipt that the worker signed and that is not yet posted.
    pub draft: Option<Receipt>,
    pub expires: Timestamp,
    /// Its worker is asked to stop it.
    pub stop: Option<Stopping>,
    /// The last step before or after the run that was told to watchers.
    pub phase: Option<Phase>,
    /// While it pulls its image.
    pub pulled_percent: Option<u8>,
    /// When its cards were last asked, within this lease, to show what they are.
    pub measured_at: Option<Timestamp>,
    pub warned: bool,
    pub log_end: u64,
    pub sample_seq: u64,
    /// The step at which it is looked at next; as late as can be where none is set.
    pub look: i64,
}

impl LeaseLive {
    pub fn terms(&self) -> Terms {
        Terms {
            lease: self.lease.id,
            job: self.lease.job,
            node: self.lease.node,
            device: self.lease.device,
            epoch: self.lease.epoch,
            price: self.lease.price,
        }
    }

    /// Whether its cards were not asked since it delivered the last of so many seconds. Two are allowed, as in [`Self::bound`].
    pub fn owes_measure(&self, seconds: Seconds) -> bool {
        let covers = |asked: Timestamp, started| {
            asked.seconds_since(started).get().saturating_add(2) >= seconds.get()
        };
        let asked = self.measured_at.zip(self.lease.started_at);
        seconds > Seconds::ZERO && !asked.is_some_and(|(asked, started)| covers(asked, started))
    }

    /// Delivered and acknowledged so far, posted or not.
    pub fn seconds(&self) -> Seconds {
        let draft = self
            .draft
            .as_ref()
            .map_or(Seconds::ZERO, |draft| draft.seconds);
        draft.max(self.lease.head.seconds)
    }

    /// The most seconds that can have been delivered by our own clock and are paid for: none before the run is known
    /// to have started, then those since the lease was given (what a worker says of its start is believed that far
    /// back), and none after a stop and its grace. Two seconds are allowed for messages that travel at different
    /// speeds; they do not add up, since receipts are cumulative.
    pub fn bound(&self, now: Timestamp) -> Seconds {
        if self.lease.started_at.is_none() {
            return Seconds::ZERO;
        }
        let until = self.stop.map_or(now, |stop| {
            let grace = i64::try_from(stop.grace_ms).unwrap_or(i64::MAX);
            now.min(stop.at.plus_millis(grace))
        });
        // What was not used of the time before the start cannot be used after a stop.
        let stopped = self.stop.and_then(|stop| {
            let since = until.seconds_since(stop.at);
            Some(stop.delivered?.plus(since).plus(UNHEARD))
        });
        until
            .seconds_since(self.lease.granted_at)
            .min(stopped.unwrap_or(Seconds::new(u64::MAX)))
            .plus(Seconds::new(2))
            .min(self.lease.funded)
    }

    /// Whether its newest draft adds so much that it is to be posted.
    pub fn owes_receipt(&self, interval: Seconds) -> bool {
        let due = self.lease.head.seconds.plus(interval);
        self.draft
            .as_ref()
            .is_some_and(|draft| draft.seconds >= due)
    }

    /// When it is to be looked at next, if nothing is heard until then but seconds as they pass, and heartbeats that renew
    /// it. What comes sooner than by the clock (many seconds in one message, a stop) a message has looked at.
    pub fn next_look(&self, now: Timestamp, interval: Seconds, low: Seconds) -> Timestamp {
        let after = |seconds: Seconds| now.plus(seconds.minus_or_zero(self.seconds()));
        let mut next = after(self.lease.head.seconds.plus(interval));
        // One that has no more to be funded is low for good, and nothing comes of it.
        let fund = after(self.lease.funded.minus_or_zero(low));
        if fund > now {
            next = next.min(fund);
        }
        self.overdue_at().map_or(next, |at| next.min(at))
    }

    /// When it should be over at the latest: a stop that its worker does not carry out, or a run that was never begun.
    pub fn overdue_at(&self) -> Option<Timestamp> {
        let after = |since: Timestamp, millis: u64| {
            since.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX))
        };
        match self.stop {
            Some(stop) => Some(after(
                stop.at,
                stop.grace_ms.saturating_add(UPLOAD_ALLOWANCE_MS),
            )),
            None => (self.lease.state == LeaseState::Granted)
                .then(|| after(self.lease.granted_at, START_WITHIN_MS)),
        }
    }

    /// How it ends if it should be over by now.
    pub fn overdue(&self, now: Timestamp) -> Option<LeaseEnd> {
        self.overdue_at().filter(|at| *at <= now)?;
        let minutes = START_WITHIN_MS / 60_000;
        let rejected = || {
            LeaseEnd::Rejected(format!(
                "the machine did not start it within {minutes} minutes."
            ))
        };
        let reported = |stop: Stopping| LeaseEnd::Reported(stop.reason.end(&self.spec));
        Some(self.stop.map_or_else(rejected, reported))
    }
}

impl NodeLive {
    pub fn supply(&self, device: &Device, now: Timestamp) -> Supply {
        let linked = self.link.as_ref().is_some_and(|link| !link.silent) && !self.draining;
        if !linked || !device.present {
            Supply::Down
        } else if !self.node.host.isolation_problems.is_empty()
            || !may_be_hired(device, self.unproven_gpus)
        {
            Supply::Blocked
        } else if device.paused || self.node.maintenance.is_some() {
            Supply::Paused
        } else if matches!(
            Hours::at(device.rules.schedule.as_ref(), now),
            Hours::Closed { .. }
        ) {
            Supply::Closed
        } else {
            Supply::Offered
        }
    }

    /// How a device stands in the books, were all of its host free.
    pub fn listing(&self, device: &Device, now: Timestamp) -> Listing {
        Listing::of(self.offer(device, now), &device.rules, now)
    }

    fn offer(&self, device: &Device, now: Timestamp) -> Offer {
        let (node, host) = (&self.node, &self.node.host);
        let version =
            |text: &Option<String>| text.as_deref().and_then(Version::parse).unwrap_or_default();
        let same = |other: &&Device| other.present && other.model == device.model;
        Offer {
            device: device.id,
            node: node.id,
            owner: node.owner,
            class: device.class,
            model: device.model.as_str().into(),
            // A CPU's memory is the host's; only cards have their own.
            device_memory_mib: match device.class {
                DeviceClass::Gpu => device.memory_mib,
                DeviceClass::Cpu => 0,
            },
            cards: u32::try_from(self.devices.iter().filter(same).count()).unwrap_or(u32::MAX),
            driver: version(&device.details.driver),
            cuda: version(&device.details.cuda),
            cpus: host.cpus,
            memory_mib: host.memory_mib,
            disk_mib: host.disk_mib,
            up_mbit: host.up_mbit.unwrap_or(0),
            down_mbit: host.down_mbit.unwrap_or(0),
            country: node.country.as_deref().and_then(Country::parse),
            group: host.group.as_deref().map(group),
            reputation: node.reputation,
            verified: level(device, now),
            watts: device.details.watts.unwrap_or(0),
            min_duration: device.rules.min_duration,
            max_duration: device.rules.max_duration,
            price: device.price,
            joined_at: node.joined_at,
            supply: self.supply(device, now),
            holder: None,
        }
    }
}

/// A group's name as queries are read: they know no capital letters, and `_` is a blank to them.
fn group(name: &str) -> Arc<str> {
    name.trim().to_lowercase().replace('_', " ").into()
}

/// A lease is not among those of this key any more.
fn forget<K: std::hash::Hash + Eq>(of: &mut HashMap<K, BTreeSet<LeaseId>>, key: &K, id: LeaseId) {
    if let Some(own) = of.get_mut(key) {
        own.remove(&id);
        if own.is_empty() {
            of.remove(key);
        }
    }
}

impl Memory {
    /// Brings the offers of a node up to date.
    pub fn refresh_offers(&mut self, node: NodeId) {
        let Some(live) = self.nodes.get(&node) else {
            return;
        };
        let ids = self.of_node.get(&node).into_iter().flatten();
        let leases: Vec<&LeaseLive> = ids.filter_map(|id| self.leases.get(id)).collect();
        for device in &live.devices {
            if !device.present {
                self.book.remove(device.id);
                continue;
            }
            let mut listing = live.listing(device, self.now);
            let offer = &mut listing.offer;
            // The host is one: what jobs on its other devices have of it cannot be had again.
            for other in leases
                .iter()
                .filter(|other| !other.lease.has_device(device.id))
            {
                let taken = &other.spec.resources;
                let memory = taken.memory_mib.saturating_add(taken.disk_mib);
                offer.cpus = offer.cpus.saturating_sub(taken.cpus);
                offer.memory_mib = offer.memory_mib.saturating_sub(memory);
                offer.disk_mib = offer.disk_mib.saturating_sub(taken.disk_mib);
            }
            self.book.put(&listing);
            if let Some(own) = leases.iter().find(|own| own.lease.has_device(device.id)) {
                self.book.set_holder(device.id, own.lease.job);
            }
        }
    }

    /// A lease that lives: its slots are taken, and its share of the host. `log_seq`: where its job's log ends.
    pub fn add_lease(&mut self, live: LeaseLive, log_seq: u64) {
        let node = live.lease.node;
        self.enter_lease(live, log_seq);
        self.refresh_neighbours(node);
    }

    /// All that were given before this process, each with its log's end.
    pub fn add_leases(&mut self, leases: Vec<(LeaseLive, u64)>) {
        let nodes: BTreeSet<NodeId> = leases.iter().map(|(live, _)| live.lease.node).collect();
        for (live, log_seq) in leases {
            self.enter_lease(live, log_seq);
        }
        for node in nodes {
            self.refresh_neighbours(node);
        }
    }

    fn enter_lease(&mut self, live: LeaseLive, log_seq: u64) {
        let (id, node, job) = (live.lease.id, live.lease.node, live.lease.job);
        for (device, _) in &live.lease.devices {
            self.book.set_holder(*device, job);
            self.spare(*device);
        }
        if live.lease.kind == Kind::Spot {
            self.spot.insert(id);
        }
        self.runways.rate_changes(live.lease.account);
        self.of_account
            .entry(live.lease.account)
            .or_default()
            .insert(id);
        self.of_node.entry(node).or_default().insert(id);
        self.leases.insert(id, live);
        // At once: whatever it needs, the next tick sees.
        self.look_at(id, self.now);
        let of_job = self.jobs.entry(job).or_default();
        of_job.log_seq = of_job.log_seq.max(log_seq);
        if !of_job.leases.contains(&id) {
            of_job.leases.push(id);
        }
    }

    /// A lease that is over.
    pub fn drop_lease(&mut self, lease: &Lease) {
        self.leases.remove(&lease.id);
        self.spot.remove(&lease.id);
        self.runways.rate_changes(lease.account);
        forget(&mut self.of_account, &lease.account, lease.id);
        forget(&mut self.of_node, &lease.node, lease.id);
        for (device, _) in &lease.devices {
            self.book.free(*device, lease.job);
            self.keep_promise(*device);
        }
        if let Some(of_job) = self.jobs.get_mut(&lease.job) {
            of_job.leases.retain(|own| *own != lease.id);
            if of_job.leases.is_empty() {
                self.jobs.remove(&lease.job);
            }
        }
        self.refresh_neighbours(lease.node);
    }

    fn refresh_neighbours(&mut self, node: NodeId) {
        if self
            .nodes
            .get(&node)
            .is_some_and(|live| live.devices.len() > 1)
        {
            self.refresh_offers(node);
        }
    }

    /// Puts a message into a worker's queue. One that does not fit ends the connection: the worker comes back, and its
    /// hello and our welcome repeat whatever still counts. Going on would leave it without, say, the seconds just paid for.
    pub fn send(&mut self, node: NodeId, message: ToWorker) {
        let Some(live) = self.nodes.get_mut(&node) else {
            return;
        };
        if let Some(link) = &live.link
            && link.sender.try_send(message).is_err()
        {
            tracing::warn!(%node, "the worker's queue is full or closed; its connection is dropped");
            self.unlink(node);
        }
    }

    /// A connection is over. No heartbeat renews the node's leases until it returns.
    pub fn unlink(&mut self, node: NodeId) {
        if let Some(live) = self.nodes.get_mut(&node) {
            live.link = None;
            live.load = None;
        }
        self.look_when_over(node, Timestamp::from_millis(i64::MAX));
        self.refresh_offers(node);
    }

    pub fn leases_of_account(&self, account: AccountId) -> impl Iterator<Item = &LeaseLive> {
        let ids = self.of_account.get(&account).into_iter().flatten();
        ids.filter_map(|id| self.leases.get(id))
    }

    /// The live leases of a job, one for each member that has a place.
    pub fn leases_of_job(&self, job: JobId) -> impl Iterator<Item = &LeaseLive> {
        let ids = self.jobs.get(&job).map(|of_job| of_job.leases.as_slice());
        ids.unwrap_or_default()
            .iter()
            .filter_map(|id| self.leases.get(id))
    }

    pub fn lease_on_device(&self, device: DeviceId) -> Option<&LeaseLive> {
        self.leases
            .values()
            .find(|live| live.lease.has_device(device))
    }

    /// A device that is offered, or was before its worker left.
    pub fn device(&self, device: DeviceId) -> Option<(&NodeLive, &Device)> {
        let own = |node: &NodeLive| node.devices.iter().position(|own| own.id == device);
        let offered = self
            .book
            .get(device)
            .and_then(|offer| self.nodes.get(&offer.node));
        let node = offered.or_else(|| self.nodes.values().find(|node| own(node).is_some()))?;
        own(node).map(|at| (node, &node.devices[at]))
    }
}

impl Exchange {
    /// Opens the database, brings it up to date, reads or makes the platform's key, rebuilds the index.
    ///
    /// # Errors
    /// The database or the data directory cannot be used; the message names it.
    pub async fn open(
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        for folder in ["", "bundles", "artefacts", "incoming", "recordings"] {
            let path = settings.data_dir.join(folder);
            std::fs::create_dir_all(&path)
                .map_err(|source| file_error("making the data directory", &path, source))?;
        }
        let key = platform_key(&settings.data_dir.join("platform.key"), entropy.as_ref())?;
        let store = Store::open(&settings.database_url).await?;
        let mut boot = [0; 8];
        entropy.fill(&mut boot);
        let inner = Inner {
            settings,
            store,
            opened_at: clock.now(),
            clock,
            entropy,
            key,
            live: LiveHub::new(hex::encode(boot)),
            memory: Mutex::default(),
            boards: crate::endpoints::Boards::default(),
            desk: tokio::sync::Mutex::default(),
            shelf: tokio::sync::Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
            record: tokio::sync::Mutex::default(),
            replaying: Semaphore::new(1),
            exporting: Semaphore::new(EXPORTS_AT_ONCE),
            settling: tokio::sync::Mutex::default(),
            reconciling: tokio::sync::Mutex::default(),
            proof: tokio::sync::Mutex::default(),
            reached: Mutex::default(),
            watched: std::sync::RwLock::default(),
            sums: tokio::sync::Mutex::default(),
            hashing: Semaphore::new(2),
        };
        let exchange = Self {
            inner: Arc::new(inner),
        };
        exchange.rebuild().await?;
        exchange.learn_scarcity().await?;
        Ok(exchange)
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub fn live(&self) -> &LiveHub {
        &self.inner.live
    }

    /// The platform's public key, 64 hexadecimal digits.
    pub fn platform_key(&self) -> String {
        hex::encode(self.inner.key.verifying_key().as_bytes())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.inner.store.ping().await?)
    }

    /// Writes what is still in memory and closes the database. Leases stay as they are.
    pub async fn shutdown(&self) {
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last log lines and samples could not be written");
        }
        self.inner.store.close().await;
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.inner
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.inner.entropy.fill(&mut bytes);
        bytes
    }

    /// A new secret: 32 random bytes as hexadecimal digits behind a prefix that tells what it is.
    pub(crate) fn secret(&self, prefix: &str) -> String {
        format!("{prefix}{}", hex::encode(self.random::<32>()))
    }

    pub(crate) fn data(&self, folder: &str, name: &str) -> PathBuf {
        self.inner.settings.data_dir.join(folder).join(name)
    }
}

/// What is stored of a secret.
pub(crate) fn secret_hash(secret: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(secret.as_bytes()))
}

pub(crate) fn file_error(what: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File {
        what,
        path: path.display().to_string(),
        source,
    }
}

/// The key that countersigns receipts. It is made once; without it old receipts stay valid, but their platform could no
/// longer be the same one, so a file that cannot be read is an error and never replaced.
fn platform_key(path: &Path, entropy: &dyn Entropy) -> Result<SigningKey, Error> {
    secret_key_file(path, entropy).map(|bytes| SigningKey::from_bytes(&bytes))
}

/// 32 bytes that nobody else on this machine may read, made when there are none.
pub(crate) fn secret_key_file(path: &Path, entropy: &dyn Entropy) -> Result<[u8; 32], Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if path.exists() {
        let text = std::fs::read_to_string(path)
            .map_err(|source| file_error("reading a key", path, source))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| {
            Error::Internal(format!(
                "{} does not hold a key of 64 hexadecimal digits",
                path.display()
            ))
        })?;
        return Ok(bytes);
    }
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(hex::encode(bytes).as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| file_error("writing a key", path, source))?;
    Ok(bytes)
}
