//! Memory from the database: all of it at a start, one lease when a commit's outcome is not known.

use std::collections::HashMap;

use kernel::{DeviceId, LeaseId, NodeId, Timestamp};
use metering::receipt;
use store::Lease;

use crate::desk::{Exchange, LeaseLive, NodeLive};
use crate::error::Error;
use crate::leases::LeaseEnd;
use crate::tick::Round;

impl Exchange {
    /// Fills the memory from the database. Leases that live get a time of grace for their workers to come back:
    /// we were silent, not they.
    pub(crate) async fn rebuild(&self) -> Result<(), Error> {
        let store = &self.inner.store;
        let mut nodes: HashMap<NodeId, NodeLive> = HashMap::new();
        for node in store.all_nodes().await? {
            let live = NodeLive {
                node,
                devices: Vec::new(),
                link: None,
                draining: false,
                load: None,
            };
            nodes.insert(live.node.id, live);
        }
        for device in store.all_devices().await? {
            if let Some(live) = nodes.get_mut(&device.node) {
                live.devices.push(device);
            }
        }
        let grace = i64::try_from(self.inner.settings.startup_grace_ms).unwrap_or(i64::MAX);
        let expires = self.now().plus_millis(grace);
        let mut leases = Vec::new();
        for lease in store.live_leases().await? {
            leases.push(self.lease_live(lease, expires).await?);
        }
        let orphans: Vec<LeaseId> = leases
            .iter()
            .filter(|live| !nodes.contains_key(&live.lease.node))
            .map(|live| live.lease.id)
            .collect();
        {
            let mut memory = self.memory();
            let offers = nodes.values().flat_map(|live| {
                let present = live.devices.iter().filter(|device| device.present);
                present.map(|device| live.offer(device))
            });
            memory.book = offers.collect();
            memory.nodes = nodes;
            tracing::info!(
                nodes = memory.nodes.len(),
                leases = leases.len(),
                "the index was rebuilt from the database"
            );
        }
        for live in leases {
            self.adopt(live);
        }
        // Its node was removed: nobody will come back for it.
        for lease in orphans {
            let _turn = self.inner.desk.lock().await;
            self.end_lease(lease, LeaseEnd::Lost, None).await?;
        }
        Ok(())
    }

    /// What memory holds of a lease, from what the database knows. A stop that was asked for is asked for again when
    /// the worker is back, so its grace begins anew.
    async fn lease_live(&self, lease: Lease, expires: Timestamp) -> Result<LeaseLive, Error> {
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
        Ok(LeaseLive {
            spec: job.spec,
            worker_key,
            draft: None,
            expires,
            stop_at: job.stop_requested.then_some(expires),
            phase: None,
            warned: false,
            log_seq,
            log_end,
            sample_seq: store.last_sample_seq(lease.id).await?,
            lease,
        })
    }

    fn adopt(&self, live: LeaseLive) {
        self.memory().add_lease(live);
    }

    /// Whoever could not commit a change of a lease says so here, and passes the error on.
    pub(crate) fn doubt(&self, lease: LeaseId, error: Error) -> Error {
        if matches!(error, Error::Store(_)) {
            self.memory().doubtful.insert(lease);
        }
        error
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
                self.adopt(self.lease_live(lease, expires).await?);
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

    /// A device that the book called free is hired in the database: takes up the lease that was missed, so that the
    /// next try looks elsewhere. The caller holds the desk.
    pub(crate) async fn adopt_holder(&self, device: DeviceId) -> Result<(), Error> {
        match self.inner.store.live_lease_on(device).await? {
            Some(lease) => {
                tracing::warn!(lease = %lease.id, %device, "a lease was found in the database alone");
                self.reread(lease.id).await
            }
            None => Ok(()),
        }
    }
}
