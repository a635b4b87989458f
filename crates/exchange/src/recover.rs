//! Memory from the database: all of it at a start, one lease when a commit's outcome is not known.

use std::collections::HashMap;

use kernel::{LeaseId, NodeId, Timestamp};
use market::Choice;
use metering::receipt;
use protocol::worker::StopReason;
use store::Lease;

use crate::desk::{Exchange, LeaseLive, NodeLive, Stopping};
use crate::error::Error;
use crate::jobs::STOP_GRACE_MS;
use crate::journal::Journal;
use crate::leases::LeaseEnd;
use crate::searches::Watch;
use crate::tick::Round;

impl Exchange {
    /// Fills the memory from the database. Leases that live get a time of grace for their workers to come back:
    /// we were silent, not they.
    pub(crate) async fn rebuild(&self) -> Result<(), Error> {
        let store = &self.inner.store;
        // Both are long: they are read beside each other.
        let devices = tokio::spawn({
            let store = store.clone();
            async move { store.all_devices().await }
        });
        let mut nodes: HashMap<NodeId, NodeLive> = HashMap::new();
        for node in store.all_nodes().await? {
            let live = NodeLive {
                node,
                devices: Vec::new(),
                link: None,
                draining: false,
                draining_since: self.now(),
                load: None,
                unproven_gpus: self.inner.settings.unproven_gpus,
            };
            nodes.insert(live.node.id, live);
        }
        let devices = devices
            .await
            .map_err(|error| Error::Internal(format!("reading the devices: {error}")))?;
        for device in devices? {
            if let Some(live) = nodes.get_mut(&device.node) {
                live.devices.push(device);
            }
        }
        for live in nodes.values_mut() {
            live.devices.sort_unstable_by_key(|device| device.id);
        }
        let grace = i64::try_from(self.inner.settings.startup_grace_ms).unwrap_or(i64::MAX);
        let expires = self.now().plus_millis(grace);
        let shared = store.shared_uuids().await?;
        let mut leases = Vec::new();
        for lease in store.live_leases().await? {
            leases.push(self.lease_live(lease, expires).await?);
        }
        let orphans: Vec<LeaseId> = leases
            .iter()
            .filter(|(live, _)| !nodes.contains_key(&live.lease.node))
            .map(|(live, _)| live.lease.id)
            .collect();
        {
            let mut memory = self.memory();
            let now = self.now();
            memory.now = now;
            let offers = nodes.values().flat_map(|live| {
                let present = live.devices.iter().filter(|device| device.present);
                present.map(|device| live.listing(device, now))
            });
            memory.book = Journal::of(offers.collect());
            memory.searches = Watch::settle(self.now(), self.inner.settings.startup_grace_ms);
            memory.nodes = nodes;
            for (uuid, node, device) in shared {
                memory.uuids.entry(uuid).or_default().insert((node, device));
            }
            tracing::info!(
                nodes = memory.nodes.len(),
                leases = leases.len(),
                "the index was rebuilt from the database"
            );
        }
        self.memory().add_leases(leases);
        self.load_promises().await?;
        self.load_apart().await?;
        // Its node was removed: nobody will come back for it.
        for lease in orphans {
            let _turn = self.inner.desk.lock().await;
            self.end_lease(lease, LeaseEnd::Lost, None).await?;
        }
        Ok(())
    }

    /// What memory holds of a lease, from what the database knows, and where its job's log ends. A stop that was asked
    /// for is asked for again when the worker is back, so its grace begins anew.
    async fn lease_live(
        &self,
        lease: Lease,
        expires: Timestamp,
    ) -> Result<(LeaseLive, u64), Error> {
        let store = &self.inner.store;
        let job = store
            .job(lease.job)
            .await?
            .ok_or(Error::NotFound("the lease's job"))?;
        let key = store
            .node_key(lease.node)
            .await?
            .ok_or(Error::NotFound("the lease's node"))?;
        let worker_key = receipt::public_key(&key)
            .map_err(|error| Error::Internal(format!("a stored node key: {error}")))?;
        let (log_seq, log_end) = store.log_end(lease.job, lease.id).await?;
        let stop = |reason| Stopping {
            at: expires,
            reason,
            grace_ms: STOP_GRACE_MS,
            delivered: None,
        };
        let stop = match (job.stop_requested, &job.end) {
            (true, _) => Some(stop(StopReason::User)),
            (false, Some(_)) => Some(stop(StopReason::JobOver)),
            (false, None) => None,
        };
        let live = LeaseLive {
            spec: job.spec,
            worker_key,
            draft: None,
            expires,
            stop,
            phase: None,
            pulled_percent: None,
            measured_at: None,
            warned: false,
            log_end,
            sample_seq: store.last_sample_seq(lease.id).await?,
            look: i64::MAX,
            lease,
        };
        Ok((live, log_seq))
    }

    /// Whoever could not commit a change of a lease says so here, and passes the error on.
    pub(crate) fn doubt(&self, lease: LeaseId, error: Error) -> Error {
        if matches!(error, Error::Store(_)) {
            self.memory().doubtful.insert(lease);
        }
        error
    }

    /// As [`Exchange::doubt`], of leases that were to be committed together.
    pub(crate) fn doubt_all(&self, leases: impl Iterator<Item = LeaseId>, error: Error) -> Error {
        leases.fold(error, |error, lease| self.doubt(lease, error))
    }

    /// Reads the leases anew of which the database may know more than we do.
    pub(crate) async fn settle_doubts(&self) -> Result<(), Error> {
        let doubtful: Vec<LeaseId> = self.memory().doubtful.iter().copied().collect();
        let mut round = Round::default();
        for lease in doubtful {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.reread(lease).await) {
                break;
            }
        }
        round.outcome
    }

    /// Brings memory to what the database says of one lease. The caller holds the desk.
    async fn reread(&self, id: LeaseId) -> Result<(), Error> {
        let stored = self.inner.store.lease(id).await?;
        let stored = stored.filter(Lease::is_live);
        let known = self.memory().leases.get(&id).map(|live| live.lease.clone());
        match stored {
            Some(lease) if known.is_some() => self.replace_lease(&lease),
            Some(lease) => {
                let expires = self.now().plus_millis(self.inner.settings.lease_life_ms());
                let (live, log_seq) = self.lease_live(lease, expires).await?;
                self.memory().add_lease(live, log_seq);
            }
            None => {
                if let Some(lease) = known {
                    self.memory().drop_lease(&lease);
                    self.publish_job(lease.job, None).await;
                    self.publish_node(lease.node);
                }
            }
        }
        self.memory().doubtful.remove(&id);
        Ok(())
    }

    /// Devices that the book called free are hired in the database: takes up the leases that were missed, so that the
    /// next try looks elsewhere. The caller holds the desk.
    pub(crate) async fn adopt_holders(&self, choice: &Choice) -> Result<(), Error> {
        for offer in &choice.offers {
            let device = offer.device;
            if let Some(lease) = self.inner.store.live_lease_on(device).await?
                && !self.memory().leases.contains_key(&lease.id)
            {
                tracing::warn!(lease = %lease.id, %device, "a lease was found in the database alone");
                self.reread(lease.id).await?;
            }
        }
        Ok(())
    }
}
