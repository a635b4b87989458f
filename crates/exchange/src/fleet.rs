//! An owner's machines together: how each stands, how long it was there, what ran on it, prices of many, maintenance.

use std::collections::BTreeMap;

use kernel::{AccountId, Amount, DeviceId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp};
use protocol::audit::AuditAction;
use protocol::fleet::{Maintenance, NodeLeaseView, Standing, UptimeSpan, UptimeView};
use protocol::proof::ProofState;
use protocol::view::{NodeView, Page, Scope};
use protocol::worker::StopReason;
use store::{Device, HOUR_MS, LeaseRow, NodeHour};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::{Exchange, NodeLive, Stopping};
use crate::error::Error;
use crate::jobs::STOP_GRACE_MS;
use crate::payouts::page;

/// Days and hours of the strips.
const STRIP_DAYS: i64 = 30;
const STRIP_HOURS: i64 = 48;
const DAY_HOURS: i64 = 24;
/// Leases in one answer.
const LEASES: u32 = 50;
/// Devices whose price is changed at once.
const DEVICES_MAX: usize = 500;
/// What runs in maintenance may go on for so long, if the owner says a time at all.
const STOP_WITHIN: Seconds = Seconds::new(30 * 86_400);

/// How prices of several devices are changed.
#[derive(Debug, Clone, Copy)]
pub enum PriceMove {
    To(PricePerSecond),
    /// So many per cent dearer; below zero cheaper. Rounded down to whole base units a second.
    By(i32),
}

impl PriceMove {
    fn of(self, price: PricePerSecond) -> Option<PricePerSecond> {
        let percent = match self {
            Self::To(price) => return Some(price),
            Self::By(percent) => percent,
        };
        let factor = i64::from(percent).checked_add(100)?;
        let base = price.per_second().base().checked_mul(factor)?;
        let base = base.checked_div(100)?;
        Amount::try_from_base(base)
            .ok()
            .map(PricePerSecond::from_amount)
    }
}

/// What a machine says for so long of taking jobs is its own switch. A worker that stops says the same, but leaves within 80 seconds
/// (docs/worker.md, "Running it"); and what comes often must not fill a log that nothing may be deleted from.
const SWITCHED_MS: i64 = 120_000;

/// It has shown that it is not what it says.
fn is_suspect(device: &Device) -> bool {
    let state = device.proof.state;
    device.present && matches!(state, ProofState::Failed | ProofState::Suspect)
}

impl NodeLive {
    pub fn standing(&self) -> Standing {
        if self.link.as_ref().is_none_or(|link| link.silent) {
            Standing::Offline
        } else if self.draining {
            Standing::Draining
        } else if self.node.maintenance.is_some() {
            Standing::Maintenance
        } else if !self.node.host.isolation_problems.is_empty() {
            Standing::NotIsolated
        } else if self.devices.iter().any(is_suspect) {
            Standing::Suspect
        } else {
            Standing::Online
        }
    }
}

fn span(from: i64, hour: &NodeHour) -> UptimeSpan {
    let seconds = |millis: i64| u64::try_from(millis / 1_000).unwrap_or(0);
    UptimeSpan {
        from: Timestamp::from_millis(from.saturating_mul(HOUR_MS)),
        up_seconds: seconds(hour.up_ms),
        online_seconds: seconds(hour.online_ms),
        away_seconds: seconds(hour.away_ms),
    }
}

fn lease_view(row: LeaseRow) -> NodeLeaseView {
    let lease = row.lease;
    NodeLeaseView {
        lease: lease.id,
        job: lease.job,
        device: lease.device,
        model: row.device_model,
        kind: lease.kind,
        price: lease.price,
        granted_at: lease.granted_at,
        started_at: lease.started_at,
        ended_at: lease.ended_at,
        seconds: lease.head.seconds,
        earned: lease.earned,
        end: lease.end,
    }
}

impl Exchange {
    /// The hour with which the strips of 30 days begin: that of a day.
    fn strip_begins(&self) -> i64 {
        let day = store::day_of(self.now()).saturating_sub(STRIP_DAYS.saturating_sub(1));
        day.saturating_mul(DAY_HOURS)
    }

    /// The last 30 days of each of the account's machines.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn uptimes(&self, actor: &Actor) -> Result<BTreeMap<NodeId, Vec<UptimeSpan>>, Error> {
        actor.require(Scope::Read)?;
        let days = self.days_of(actor, self.strip_begins(), DAY_HOURS).await?;
        Ok(days)
    }

    /// How long an own machine was there: by day and by hour.
    ///
    /// # Errors
    /// Not this account's node.
    pub async fn uptime(&self, actor: &Actor, id: NodeId) -> Result<UptimeView, Error> {
        actor.require(Scope::Read)?;
        self.check_own(actor, id)?;
        let since = self
            .now()
            .millis()
            .div_euclid(HOUR_MS)
            .saturating_sub(STRIP_HOURS);
        let mut days = self.days_of(actor, self.strip_begins(), DAY_HOURS).await?;
        let mut hours = self.days_of(actor, since.saturating_add(1), 1).await?;
        Ok(UptimeView {
            node: id,
            days: days.remove(&id).unwrap_or_default(),
            hours: hours.remove(&id).unwrap_or_default(),
        })
    }

    /// Spans of so many hours of the account's machines.
    async fn days_of(
        &self,
        actor: &Actor,
        since: i64,
        hours: i64,
    ) -> Result<BTreeMap<NodeId, Vec<UptimeSpan>>, Error> {
        let spans = self
            .inner
            .store
            .node_hours(actor.account, since, hours)
            .await?;
        let each = |(node, spans): (&NodeId, &Vec<NodeHour>)| {
            let spans = spans
                .iter()
                .map(|own| span(own.hour.saturating_mul(hours), own));
            (*node, spans.collect())
        };
        Ok(spans.iter().map(each).collect())
    }

    pub(crate) fn check_own(&self, actor: &Actor, id: NodeId) -> Result<(), Error> {
        let memory = self.memory();
        let live = memory.nodes.get(&id);
        let own = live.is_some_and(|live| live.node.owner == actor.account);
        own.then_some(()).ok_or(Error::NotFound("the node"))
    }

    /// What ran on an own machine, newest first.
    ///
    /// # Errors
    /// Not this account's node.
    pub async fn node_leases(
        &self,
        actor: &Actor,
        id: NodeId,
        before: Option<LeaseId>,
    ) -> Result<Page<NodeLeaseView>, Error> {
        actor.require(Scope::Read)?;
        self.check_own(actor, id)?;
        let rows = self.inner.store.leases_of_node(id, before, LEASES).await?;
        let leases: Vec<NodeLeaseView> = rows.into_iter().map(lease_view).collect();
        Ok(page(leases, LEASES, |lease| lease.lease))
    }

    /// Changes the prices of several devices, all or none; running leases keep theirs. Prices that follow the index stay within their
    /// bounds.
    ///
    /// # Errors
    /// Not this account's devices; none or too many; a price that cannot be.
    pub async fn change_prices(
        &self,
        actor: &Actor,
        ids: &[DeviceId],
        change: PriceMove,
    ) -> Result<Vec<NodeView>, Error> {
        actor.require(Scope::Nodes)?;
        if ids.is_empty() || ids.len() > DEVICES_MAX {
            return Err(Error::invalid(
                "devices",
                format!("choose 1 to {DEVICES_MAX} devices"),
            ));
        }
        let _turn = self.inner.desk.lock().await;
        let mut devices: BTreeMap<DeviceId, Device> = BTreeMap::new();
        for id in ids {
            let mut device = self.own_device(actor, *id)?;
            device.price = change.of(device.price).ok_or_else(|| {
                Error::invalid(
                    "percent",
                    "from -100 up, and no price beyond all IO there can be",
                )
            })?;
            let problems = device.rules.problems(device.price);
            if !problems.is_empty() {
                return Err(Error::Invalid(problems));
            }
            if let Some(auto) = device.rules.auto {
                device.price = device.price.clamp(auto.floor, auto.ceiling);
            }
            devices.insert(*id, device);
        }
        let devices: Vec<Device> = devices.into_values().collect();
        self.write_devices(&devices).await?;
        self.nodes(actor).await
    }

    /// Keeps a machine from new work, or offers it again. What runs goes on: to its end, or until the time that is given.
    ///
    /// # Errors
    /// Not this account's node; a time that is too far off.
    pub async fn set_maintenance(
        &self,
        actor: &Actor,
        id: NodeId,
        on: bool,
        stop_after: Option<Seconds>,
    ) -> Result<NodeView, Error> {
        actor.require(Scope::Nodes)?;
        let _turn = self.inner.desk.lock().await;
        self.check_own(actor, id)?;
        if stop_after.is_some_and(|after| !on || after > STOP_WITHIN) {
            return Err(Error::invalid(
                "stop_after_seconds",
                "within 30 days, and only where maintenance begins",
            ));
        }
        let stops_at = stop_after.map(|after| self.now().plus(after));
        let maintenance = on.then_some(Maintenance { stops_at });
        let mut tx = self.inner.store.begin().await?;
        tx.set_maintenance(id, maintenance).await?;
        let action = match maintenance {
            Some(_) => AuditAction::MaintenanceOn,
            None => AuditAction::MaintenanceOff,
        };
        let mut act = Act::by(actor, action, id);
        if let Some(at) = stops_at {
            act = act.with("stops_at", at);
        }
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        {
            let mut memory = self.memory();
            if let Some(live) = memory.nodes.get_mut(&id) {
                live.node.maintenance = maintenance;
            }
            memory.refresh_offers(id);
        }
        tracing::info!(node = %id, on = maintenance.is_some(), "an owner changed a machine's maintenance");
        self.publish_node(id);
        self.own_node(actor.account, id).await
    }

    /// Each minute: machines that were switched, at the machine itself, to take no jobs, or to take them again, leave an entry in the
    /// audit log. It is the log that is asked what it said last, so a restart of the server or a new connection says nothing twice.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn note_own_switches(&self) -> Result<(), Error> {
        let is_known = self.memory().declining.is_some();
        if !is_known {
            let declining = self.inner.store.audit_declining().await?;
            self.memory().declining = Some(declining.into_iter().collect());
        }
        let now = self.now();
        let switched: Vec<(NodeId, AccountId, bool, Timestamp)> = {
            let memory = self.memory();
            let noted = |id: NodeId| {
                let own = memory.declining.as_ref();
                own.is_some_and(|own| own.contains(&id))
            };
            let is_switched = |live: &&NodeLive| {
                live.link.as_ref().is_some_and(|link| !link.silent)
                    && live.draining != noted(live.node.id)
                    && now.millis_since(live.draining_since) >= SWITCHED_MS
            };
            let all = memory.nodes.values().filter(is_switched);
            all.map(|live| {
                let node = &live.node;
                (node.id, node.owner, live.draining, live.draining_since)
            })
            .collect()
        };
        for (node, owner, declines, since) in switched {
            let action = if declines {
                AuditAction::NodeTakesNoJobs
            } else {
                AuditAction::NodeTakesJobs
            };
            let act = Act::by_node(node, owner, action).with("since", since);
            self.audit_alone(act).await?;
            let mut memory = self.memory();
            let noted = memory.declining.get_or_insert_default();
            if declines {
                noted.insert(node);
            } else {
                noted.remove(&node);
            }
        }
        Ok(())
    }

    /// Each minute: stops what still runs on machines whose owners said until when it may.
    pub(crate) fn end_maintained(&self) {
        let at = self.now();
        let mut memory = self.memory();
        let over = |live: &&NodeLive| {
            let stops_at = live
                .node
                .maintenance
                .and_then(|maintenance| maintenance.stops_at);
            stops_at.is_some_and(|stops_at| stops_at <= at)
        };
        let nodes: Vec<NodeId> = memory
            .nodes
            .values()
            .filter(over)
            .map(|live| live.node.id)
            .collect();
        for node in nodes {
            let leases: Vec<LeaseId> = memory
                .of_node
                .get(&node)
                .into_iter()
                .flatten()
                .copied()
                .collect();
            for lease in leases {
                let Some(live) = memory
                    .leases
                    .get_mut(&lease)
                    .filter(|live| live.stop.is_none())
                else {
                    continue;
                };
                let delivered = Some(live.seconds());
                let stop = *live.stop.insert(Stopping {
                    at,
                    reason: StopReason::Drained,
                    grace_ms: STOP_GRACE_MS,
                    delivered,
                });
                let order = stop.order(&live.lease);
                memory.send(node, order);
            }
        }
    }
}
