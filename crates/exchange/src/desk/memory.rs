//! The memory: the index over the database. Which leases, jobs and nodes live, what is to be looked at next, and how the
//! books of the market follow when a lease comes or goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kernel::{AccountId, DeviceId, JobId, LeaseId, NodeId, Timestamp};
use market::Request;
use protocol::spec::DeviceClass;
use protocol::view::Kind;
use protocol::worker::ToWorker;
use store::{Device, Lease, LogRow, Promise, SampleRow};

use super::{LeaseLive, NodeLive};
use crate::due::Due;
use crate::journal::Journal;
use crate::proofs::Proofs;
use crate::runway::Runways;
use crate::searches::Watch;
use crate::telemetry::NodeTelemetry;

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
    /// Machines of which the audit log said last that they take no jobs; none until it was asked.
    pub declining: Option<BTreeSet<NodeId>>,
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

/// A job of which something lives.
#[derive(Default)]
pub(crate) struct JobLive {
    pub leases: Vec<LeaseId>,
    /// The number of its newest log piece; its members write one log.
    pub log_seq: u64,
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
