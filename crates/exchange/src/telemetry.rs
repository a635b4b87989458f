//! What machines measure: taken in the order of its numbers, summed by the minute in memory, written every few seconds with the
//! highest number, and then acknowledged. docs/telemetry.md.

use std::collections::{BTreeMap, HashMap};

use kernel::{AccountId, JobId, NodeId, Seconds, Timestamp};
use protocol::notice::Notice;
use protocol::telemetry::{
    BATCHES_MAX, Batch, DeviceEvent, DeviceMinutes, EventView, JobTelemetryView,
    LeaseTelemetryView, MinuteView, NodeTelemetryView, Reading, SeriesView, Stat, Stats, Values,
    is_series, merge, prometheus,
};
use protocol::view::Scope;
use protocol::worker::ToWorker;
use store::MINUTE_MS;

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;

/// Sums wait so long in memory; the machine keeps what is not acknowledged.
const WRITE_EVERY_MS: i64 = 20_000;
/// Unless so many batches of one machine wait: it was away, and has more to say.
const WRITE_BATCHES: usize = 300;
const MINUTES_KEPT: Seconds = Seconds::new(7 * 86_400);
const EVENTS_KEPT: Seconds = Seconds::new(90 * 86_400);
/// Clocks differ; what is from later than that, or older than what is kept, is counted and not kept.
const AHEAD: Seconds = Seconds::new(300);
/// Boots of one machine that are remembered in memory.
const SERIES_MAX: usize = 16;
/// A machine's own name among its devices.
const HOST: &str = "host";
const EVENTS_SHOWN: u32 = 100;
/// Minutes in one answer.
const SHOWN: i64 = 24 * 60;
/// An owner may ask for so many.
const HOURS_MAX: u32 = 24;
/// The owner is called about one device once in so long.
const CALL_AGAIN: Seconds = Seconds::new(3_600);

/// What the memory holds of one machine's telemetry.
#[derive(Default)]
pub(crate) struct NodeTelemetry {
    series: BTreeMap<String, SeriesView>,
    /// Series with numbers that are not written.
    fresh: BTreeMap<String, u64>,
    minutes: BTreeMap<(String, i64), Stats>,
    events: Vec<(String, u64, u64, DeviceEvent)>,
    waiting: usize,
    since: Option<Timestamp>,
    /// The newest second.
    at: Option<Timestamp>,
    host: Values,
    devices: Vec<Reading>,
    /// When the owner was last called about a device.
    called: BTreeMap<String, Timestamp>,
}

/// What one write takes along; it comes back when the write fails.
#[derive(Default)]
struct Taken {
    series: Vec<SeriesView>,
    minutes: BTreeMap<(String, i64), Stats>,
    events: Vec<(String, u64, u64, DeviceEvent)>,
    calls: Vec<DeviceEvent>,
}

impl NodeTelemetry {
    /// Takes what is new of these: numbers that were taken are passed over, numbers between are missing for good.
    fn take(&mut self, series: &str, batches: Vec<Batch>, now: Timestamp) {
        let head = self
            .series
            .entry(series.to_owned())
            .or_insert_with(|| SeriesView {
                series: series.to_owned(),
                seq: 0,
                received: 0,
                missing: 0,
                at: now,
            });
        let (oldest, newest) = (now.minus(MINUTES_KEPT), now.plus(AHEAD));
        for mut batch in batches.into_iter().take(BATCHES_MAX) {
            if batch.seq <= head.seq || i64::try_from(batch.seq).is_err() {
                continue;
            }
            let between = batch.seq.saturating_sub(head.seq).saturating_sub(1);
            head.missing = head.missing.saturating_add(between);
            head.received = head.received.saturating_add(1);
            head.seq = batch.seq;
            head.at = now;
            self.fresh.insert(series.to_owned(), batch.seq);
            self.waiting = self.waiting.saturating_add(1);
            self.since.get_or_insert(now);
            batch.tidy();
            if batch.at < oldest || batch.at > newest {
                continue;
            }
            let minute = batch.at.millis().div_euclid(MINUTE_MS);
            let mut add = |uuid: &str, values: &Values| {
                if values.is_empty() {
                    return;
                }
                let stats: Stats = values
                    .iter()
                    .map(|(field, value)| (*field, Stat::of(*value)))
                    .collect();
                merge(
                    self.minutes.entry((uuid.to_owned(), minute)).or_default(),
                    &stats,
                );
            };
            add(HOST, &batch.host);
            for device in &batch.devices {
                add(&device.uuid, &device.values);
            }
            for (place, event) in (0..).zip(batch.events) {
                self.events
                    .push((series.to_owned(), batch.seq, place, event));
            }
            if !batch.host.is_empty() && self.at.is_none_or(|at| at <= batch.at) {
                self.at = Some(batch.at);
                self.host = batch.host;
                self.devices = batch.devices;
            }
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        !self.events.is_empty()
            || self.waiting >= WRITE_BATCHES
            || self
                .since
                .is_some_and(|since| now.millis_since(since) >= WRITE_EVERY_MS)
    }

    fn taken(&mut self, now: Timestamp) -> Taken {
        let fresh = std::mem::take(&mut self.fresh);
        let events = std::mem::take(&mut self.events);
        let mut calls = Vec::new();
        for (_, _, _, event) in events
            .iter()
            .filter(|(_, _, _, event)| event.what.is_fault())
        {
            let lately = self.called.get(&event.uuid).copied();
            if lately.is_none_or(|at| at.plus(CALL_AGAIN) <= now) {
                self.called.insert(event.uuid.clone(), now);
                calls.push(event.clone());
            }
        }
        self.waiting = 0;
        self.since = None;
        Taken {
            series: fresh
                .keys()
                .filter_map(|name| self.series.get(name).cloned())
                .collect(),
            minutes: std::mem::take(&mut self.minutes),
            events,
            calls,
        }
    }

    fn give_back(&mut self, taken: Taken, now: Timestamp) {
        for series in taken.series {
            self.fresh.entry(series.series).or_insert(series.seq);
        }
        for (key, stats) in taken.minutes {
            merge(self.minutes.entry(key).or_default(), &stats);
        }
        let later = std::mem::replace(&mut self.events, taken.events);
        self.events.extend(later);
        for call in taken.calls {
            self.called.remove(&call.uuid);
        }
        self.since.get_or_insert(now);
    }
}

impl Exchange {
    /// A machine's batches, as far as they are new. They are acknowledged when they are written.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn measured(
        &self,
        node: NodeId,
        series: String,
        batches: Vec<Batch>,
    ) -> Result<(), Error> {
        if !is_series(&series) {
            return Ok(());
        }
        // Numbers that an earlier process of ours took are in the database alone.
        if !self.memory().telemetry.contains_key(&node) {
            let known = self.inner.store.telemetry_series(node).await?;
            let known = known.into_iter().rev().take(SERIES_MAX);
            let telemetry = NodeTelemetry {
                series: known.map(|head| (head.series.clone(), head)).collect(),
                ..NodeTelemetry::default()
            };
            self.memory().telemetry.entry(node).or_insert(telemetry);
        }
        let now = self.now();
        let mut memory = self.memory();
        if let Some(telemetry) = memory.telemetry.get_mut(&node) {
            if telemetry.series.len() >= SERIES_MAX && !telemetry.series.contains_key(&series) {
                let oldest = telemetry.series.values().min_by_key(|head| head.at);
                let oldest = oldest.map(|head| head.series.clone()).unwrap_or_default();
                if !telemetry.fresh.contains_key(&oldest) {
                    telemetry.series.remove(&oldest);
                }
            }
            telemetry.take(&series, batches, now);
        }
        Ok(())
    }

    /// Writes what is due, and acknowledges it.
    pub(crate) async fn write_telemetry(&self) -> Result<(), Error> {
        // One after the other: a number must not be written after a higher one.
        let _turn = self.inner.flushing.lock().await;
        let now = self.now();
        let due: Vec<(NodeId, Option<AccountId>, Taken)> = {
            let mut memory = self.memory();
            let memory = &mut *memory;
            let nodes = &memory.nodes;
            let due = memory
                .telemetry
                .iter_mut()
                .filter(|(_, own)| own.is_due(now));
            due.map(|(node, own)| {
                let owner = nodes.get(node).map(|live| live.node.owner);
                (*node, owner, own.taken(now))
            })
            .collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        let written = self.write_taken(&due).await;
        let mut memory = self.memory();
        for (node, _, taken) in due {
            match &written {
                Ok(()) => {
                    for series in taken.series {
                        let ack = ToWorker::TelemetryAck {
                            series: series.series,
                            seq: series.seq,
                        };
                        memory.send(node, ack);
                    }
                }
                Err(_) => {
                    if let Some(own) = memory.telemetry.get_mut(&node) {
                        own.give_back(taken, now);
                    }
                }
            }
        }
        written
    }

    async fn write_taken(&self, due: &[(NodeId, Option<AccountId>, Taken)]) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        for (node, owner, taken) in due {
            for ((uuid, minute), stats) in &taken.minutes {
                tx.add_minute(*node, uuid, *minute, stats).await?;
            }
            for (series, seq, place, event) in &taken.events {
                tx.insert_device_event(*node, series, (*seq, *place), event)
                    .await?;
            }
            for series in &taken.series {
                tx.put_series(*node, series).await?;
            }
            for event in &taken.calls {
                let Some((owner, notice)) = owner.zip(self.fault_notice(*node, event)) else {
                    continue;
                };
                self.notify(&mut tx, owner, notice).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    fn fault_notice(&self, node: NodeId, event: &DeviceEvent) -> Option<Notice> {
        let memory = self.memory();
        let live = memory.nodes.get(&node)?;
        let device = live.devices.iter().find(|own| own.uuid == event.uuid)?;
        Some(Notice::DeviceFault {
            node,
            name: live.node.name.clone(),
            model: device.model.clone(),
            uuid: event.uuid.clone(),
            fault: event.what,
        })
    }

    /// Each minute: forgets what is old, and machines that have gone.
    pub(crate) async fn prune_telemetry(&self) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        tx.prune_telemetry(now.minus(MINUTES_KEPT), now.minus(EVENTS_KEPT))
            .await?;
        tx.commit().await?;
        let mut memory = self.memory();
        let memory = &mut *memory;
        let nodes = &memory.nodes;
        let gone = |node: &NodeId| nodes.get(node).is_none_or(|live| live.link.is_none());
        memory
            .telemetry
            .retain(|node, own| !gone(node) || own.waiting > 0 || !own.fresh.is_empty());
        Ok(())
    }

    /// Minutes of one device: those that are written, and those that wait.
    async fn minutes_of(
        &self,
        node: NodeId,
        uuid: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<MinuteView>, Error> {
        let from = from.max(to.saturating_sub(SHOWN));
        let stored = self
            .inner
            .store
            .telemetry_minutes(node, uuid, from, to)
            .await?;
        let mut minutes: BTreeMap<i64, Stats> = stored
            .into_iter()
            .map(|minute| (minute.at.millis().div_euclid(MINUTE_MS), minute.values))
            .collect();
        if let Some(own) = self.memory().telemetry.get(&node) {
            for ((_, minute), stats) in own
                .minutes
                .iter()
                .filter(|((own, minute), _)| own == uuid && (from..to).contains(minute))
            {
                merge(minutes.entry(*minute).or_default(), stats);
            }
        }
        Ok(minutes
            .into_iter()
            .map(|(minute, values)| MinuteView {
                at: Timestamp::from_millis(minute.saturating_mul(MINUTE_MS)),
                values,
            })
            .collect())
    }

    /// Names and models of a machine's devices.
    fn models(&self, node: NodeId) -> BTreeMap<String, String> {
        let memory = self.memory();
        let devices = memory.nodes.get(&node).map(|live| live.devices.iter());
        devices.map_or_else(BTreeMap::new, |devices| {
            devices
                .map(|device| (device.uuid.clone(), device.model.clone()))
                .collect()
        })
    }

    /// What an own machine measured within the last hours (1 to 24), and what happened to its devices.
    ///
    /// # Errors
    /// Not this account's node; hours out of range.
    pub async fn node_telemetry(
        &self,
        actor: &Actor,
        node: NodeId,
        hours: u32,
    ) -> Result<NodeTelemetryView, Error> {
        actor.require(Scope::Read)?;
        self.check_own(actor, node)?;
        if !(1..=HOURS_MAX).contains(&hours) {
            return Err(Error::invalid("hours", "a whole number from 1 to 24"));
        }
        self.write_telemetry().await?;
        let now = self.now();
        let to = now.plus(AHEAD).millis().div_euclid(MINUTE_MS);
        let from = to.saturating_sub(i64::from(hours).saturating_mul(60));
        let models = self.models(node);
        let host = self.minutes_of(node, HOST, from, to).await?;
        let mut devices = Vec::new();
        for (uuid, model) in &models {
            let minutes = self.minutes_of(node, uuid, from, to).await?;
            devices.push(DeviceMinutes {
                uuid: uuid.clone(),
                model: model.clone(),
                minutes,
            });
        }
        let store = &self.inner.store;
        let since = now.minus(EVENTS_KEPT);
        let events = store
            .device_events(node, since, now.plus(AHEAD), EVENTS_SHOWN)
            .await?;
        let mut series: BTreeMap<String, SeriesView> = store
            .telemetry_series(node)
            .await?
            .into_iter()
            .map(|head| (head.series.clone(), head))
            .collect();
        let memory = self.memory();
        let own = memory.telemetry.get(&node);
        if let Some(own) = own {
            series.extend(own.series.clone());
        }
        let mut series: Vec<SeriesView> = series.into_values().collect();
        series.sort_by_key(|head| std::cmp::Reverse(head.at));
        Ok(NodeTelemetryView {
            node,
            at: own.and_then(|own| own.at),
            host_now: own.map(|own| own.host.clone()).unwrap_or_default(),
            now: own.map(|own| own.devices.clone()).unwrap_or_default(),
            series,
            host,
            devices,
            events: viewed(events, &models),
        })
    }

    /// The newest second of an own machine, as Prometheus reads it.
    ///
    /// # Errors
    /// Not this account's node.
    pub fn node_metrics(&self, actor: &Actor, node: NodeId) -> Result<String, Error> {
        actor.require(Scope::Read)?;
        self.check_own(actor, node)?;
        let models = self.models(node);
        let memory = self.memory();
        let Some(own) = memory.telemetry.get(&node) else {
            return Ok(String::new());
        };
        let model = |uuid: &str| models.get(uuid).cloned().unwrap_or_default();
        Ok(prometheus(&own.host, &own.devices, &model))
    }

    /// What the devices measured that an own job has or had: whole minutes in which they were the job's alone.
    ///
    /// # Errors
    /// Not this account's job.
    pub async fn job_telemetry(&self, actor: &Actor, id: JobId) -> Result<JobTelemetryView, Error> {
        self.own_job(actor, id, Scope::Read).await?;
        let now = self.now();
        let mut leases = Vec::new();
        for row in self.inner.store.leases_of_job(id).await? {
            let lease = row.lease;
            let until = lease.ended_at.unwrap_or(now);
            // The first minute that began with the lease, the last that ended in it.
            let from = lease
                .granted_at
                .millis()
                .saturating_add(MINUTE_MS.saturating_sub(1))
                .div_euclid(MINUTE_MS);
            let to = until.millis().div_euclid(MINUTE_MS);
            let to = if lease.ended_at.is_none() {
                to.saturating_add(1)
            } else {
                to
            };
            let known: HashMap<_, _> = {
                let memory = self.memory();
                let node = memory.nodes.get(&lease.node);
                let devices = node.map(|live| live.devices.iter());
                devices.map_or_else(HashMap::new, |devices| {
                    devices
                        .filter(|device| lease.devices.iter().any(|(own, _)| *own == device.id))
                        .map(|device| (device.uuid.clone(), device.model.clone()))
                        .collect()
                })
            };
            let models: BTreeMap<String, String> = known.into_iter().collect();
            let mut devices = Vec::new();
            for (uuid, model) in &models {
                let minutes = self.minutes_of(lease.node, uuid, from, to).await?;
                devices.push(DeviceMinutes {
                    uuid: uuid.clone(),
                    model: model.clone(),
                    minutes,
                });
            }
            let events = self
                .inner
                .store
                .device_events(lease.node, lease.granted_at, until, EVENTS_SHOWN)
                .await?;
            let events = events
                .into_iter()
                .filter(|event| models.contains_key(&event.uuid))
                .collect();
            leases.push(LeaseTelemetryView {
                lease: lease.id,
                member: lease.member,
                devices,
                events: viewed(events, &models),
            });
        }
        Ok(JobTelemetryView { job: id, leases })
    }
}

fn viewed(events: Vec<DeviceEvent>, models: &BTreeMap<String, String>) -> Vec<EventView> {
    events
        .into_iter()
        .map(|event| EventView {
            model: models.get(&event.uuid).cloned().unwrap_or_default(),
            event,
        })
        .collect()
}
