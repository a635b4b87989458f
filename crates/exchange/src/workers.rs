//! What workers report: heartbeats, logs, samples, ends.

use std::collections::BTreeSet;

use kernel::{DeviceId, LeaseId, NodeId, Seconds};
use protocol::live::{Live, Topic};
use protocol::state::{LeaseState, REASON_CHARS_MAX, RunEnd};
use protocol::view::{JobEvent, JobEventKind, LogLine, Receipt, SampleView};
use protocol::worker::{
    FromWorker, HostLoad, LOG_CHUNK_BYTES_MAX, LeaseBeat, LeaseClaim, Metric, Phase,
    SAMPLES_PER_MESSAGE_MAX, Sample, StopReason, Stream, ToWorker,
};
use store::{LogRow, SampleRow};

use crate::admission::NodeSession;
use crate::desk::{Exchange, LeaseLive};
use crate::error::Error;
use crate::leases::LeaseEnd;
use crate::refunds::fell;

/// How far a lease's samples may be ahead of its age: clocks differ a little.
const SAMPLES_AHEAD: u64 = 64;

impl Exchange {
    /// # Errors
    /// [`Error::SupersededConnection`]
    fn current(&self, session: &NodeSession) -> Result<(), Error> {
        let memory = self.memory();
        let link = memory
            .nodes
            .get(&session.node)
            .and_then(|node| node.link.as_ref());
        link.filter(|link| link.connection == session.connection)
            .map(drop)
            .ok_or(Error::SupersededConnection)
    }

    /// Whether the lease is this node's with this epoch.
    ///
    /// # Errors
    /// [`Error::SupersededConnection`] when the connection is no longer the node's: nothing is to be said on it about
    /// leases, which may well live on.
    fn holds(&self, session: &NodeSession, claim: LeaseClaim) -> Result<bool, Error> {
        self.current(session)?;
        let memory = self.memory();
        Ok(memory
            .leases
            .get(&claim.lease)
            .is_some_and(|live| live.lease.node == session.node && live.lease.epoch == claim.epoch))
    }

    /// Takes a message of a worker; the answers go back in order.
    ///
    /// # Errors
    /// [`Error::SupersededConnection`]: close the socket. Others are ours: log them, the worker will repeat itself.
    pub async fn worker_message(
        &self,
        session: &NodeSession,
        message: FromWorker,
    ) -> Result<Vec<ToWorker>, Error> {
        let claim = match &message {
            FromWorker::Hello(_) => {
                return Err(Error::Conflict("a connection says hello once".into()));
            }
            FromWorker::Heartbeat { .. }
            | FromWorker::Proof { .. }
            | FromWorker::Telemetry { .. } => None,
            FromWorker::Preparing { lease, epoch, .. }
            | FromWorker::Started { lease, epoch, .. }
            | FromWorker::Log { lease, epoch, .. }
            | FromWorker::Samples { lease, epoch, .. }
            | FromWorker::Ended { lease, epoch, .. }
            | FromWorker::SecretKey { lease, epoch, .. }
            | FromWorker::Rejected { lease, epoch, .. } => Some(LeaseClaim {
                lease: *lease,
                epoch: *epoch,
            }),
        };
        if let Some(claim) = claim
            && !self.holds(session, claim)?
        {
            let LeaseClaim { lease, epoch } = claim;
            return Ok(vec![ToWorker::LeaseRefused { lease, epoch }]);
        }
        match message {
            FromWorker::Hello(_) => Ok(Vec::new()),
            FromWorker::Heartbeat {
                seq,
                draining,
                load,
                leases,
            } => self.heartbeat(session, seq, draining, load, leases),
            FromWorker::Proof { challenge, answer } => {
                Ok(self.proof_answer(session, challenge, *answer))
            }
            FromWorker::Telemetry { series, batches } => {
                self.current(session)?;
                self.measured(session.node, series, batches).await?;
                Ok(Vec::new())
            }
            FromWorker::Preparing {
                lease,
                phase,
                percent,
                ..
            } => {
                let percent = percent.filter(|_| phase == Phase::Pulling);
                self.preparing(lease, phase, percent)
                    .await
                    .map(|()| Vec::new())
            }
            FromWorker::Started {
                lease, elapsed_ms, ..
            } => {
                self.started(lease, elapsed_ms).await?;
                self.publish_node(session.node);
                Ok(Vec::new())
            }
            FromWorker::Log {
                lease,
                epoch,
                offset,
                stream,
                text,
            } => Ok(self
                .log(LeaseClaim { lease, epoch }, offset, stream, text)
                .into_iter()
                .collect()),
            FromWorker::Samples { lease, samples, .. } => {
                self.sampled(lease, samples);
                Ok(Vec::new())
            }
            FromWorker::Ended {
                lease,
                epoch,
                end,
                receipt,
            } => {
                let receipt = receipt.map(|receipt| *receipt);
                self.ended(LeaseClaim { lease, epoch }, end, receipt).await
            }
            FromWorker::SecretKey {
                lease,
                epoch,
                key,
                signature,
            } => {
                self.seal_secrets(LeaseClaim { lease, epoch }, &key, &signature)
                    .await
            }
            FromWorker::Rejected {
                lease,
                epoch,
                reason,
            } => {
                let plain = reason.chars().filter(|c| !c.is_control());
                let reason = plain.take(REASON_CHARS_MAX).collect();
                let turn = self.inner.desk.lock().await;
                // Before its start it costs nothing. Later it would be an end that nobody measures.
                let runs = |live: &LeaseLive| live.lease.state == LeaseState::Active;
                let end = if self.memory().leases.get(&lease).is_some_and(runs) {
                    LeaseEnd::SpecMissed(format!("it gave the job back in mid-run: {reason}"))
                } else {
                    LeaseEnd::Rejected(reason)
                };
                self.end_lease(lease, end, None).await?;
                drop(turn);
                self.place_waiting_now().await;
                Ok(vec![ToWorker::Closed { lease, epoch }])
            }
        }
    }

    fn heartbeat(
        &self,
        session: &NodeSession,
        seq: u64,
        draining: bool,
        load: HostLoad,
        leases: Vec<LeaseBeat>,
    ) -> Result<Vec<ToWorker>, Error> {
        let now = self.now();
        let renewal_ms = self.inner.settings.lease_life_ms();
        let interval = self.inner.settings.receipt_interval;
        let (mut renewed, mut refused, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        let (changed, maintenance) = {
            let mut memory = self.memory();
            let node = memory
                .nodes
                .get_mut(&session.node)
                .ok_or(Error::SupersededConnection)?;
            let link = node
                .link
                .as_mut()
                .filter(|link| link.connection == session.connection);
            let link = link.ok_or(Error::SupersededConnection)?;
            link.last_beat = now;
            link.renewed_until = now.plus_millis(renewal_ms);
            let renewed_until = link.renewed_until;
            let changed = link.silent || node.draining != draining;
            let back = link.silent;
            if back {
                // Nobody looks at one that is silent.
                link.look = i64::MAX;
            }
            link.silent = false;
            if node.draining != draining {
                node.draining = draining;
                node.draining_since = now;
            }
            let maintenance = node.node.maintenance.is_some();
            node.load = Some(load);
            memory.look_at_node(session.node, renewed_until);
            let (mut soon, mut moved_on) = (Vec::new(), 0_usize);
            for beat in leases {
                let claim = LeaseClaim {
                    lease: beat.lease,
                    epoch: beat.epoch,
                };
                let live = memory.leases.get_mut(&beat.lease);
                let live = live.filter(|live| {
                    live.lease.node == session.node && live.lease.epoch == beat.epoch
                });
                let Some(live) = live else {
                    refused.push(claim);
                    continue;
                };
                // One that is named twice counts once.
                moved_on = moved_on.saturating_add(usize::from(live.expires != renewed_until));
                live.expires = renewed_until;
                renewed.push(claim);
                if let Some(stop) = live.stop {
                    answers.push(stop.order(&live.lease));
                }
                if let Some(receipt) = beat.receipt {
                    let expected = live.lease.head.seq.saturating_add(1);
                    if live
                        .lease
                        .head
                        .admits(&receipt, &live.terms(), live.bound(now))
                        .is_ok()
                    {
                        // One that comes late takes no second back that was acknowledged.
                        let newer = live.draft.as_ref().is_none_or(|draft| {
                            draft.seq != receipt.seq || draft.seconds <= receipt.seconds
                        });
                        if newer {
                            live.draft = Some(receipt);
                        }
                    } else if receipt.seq != expected {
                        // It has not heard of the last one: a message was lost with an older connection.
                        answers.push(posted(live));
                    }
                }
                if live.owes_receipt(interval) || self.runs_low(live) {
                    soon.push((beat.lease, now));
                } else if let Some(at) = live.overdue_at() {
                    soon.push((beat.lease, at));
                }
            }
            for (lease, at) in soon {
                memory.look_at(lease, at);
            }
            // Some may be left out.
            if memory.of_node.get(&session.node).map_or(0, BTreeSet::len) > moved_on {
                memory.look_when_over(session.node, renewed_until);
            }
            if back {
                // A lease may have been lost meanwhile, and its cards have to show themselves.
                memory.ask_soon(session.node);
            }
            if changed {
                memory.refresh_offers(session.node);
            }
            (changed, maintenance)
        };
        if changed {
            self.publish_node(session.node);
        }
        answers.insert(
            0,
            ToWorker::Renewed {
                seq,
                renewed,
                refused,
                maintenance,
            },
        );
        Ok(answers)
    }

    /// Each step is told once, in their order, whatever the worker repeats; how far it is, as often as that grows.
    async fn preparing(
        &self,
        lease: LeaseId,
        phase: Phase,
        percent: Option<u8>,
    ) -> Result<(), Error> {
        let (job, known) = {
            let mut memory = self.memory();
            let Some(live) = memory.leases.get_mut(&lease) else {
                return Ok(());
            };
            let known = live.phase >= Some(phase);
            let percent = percent.map(|percent| percent.min(100));
            if known && (live.phase != Some(phase) || live.pulled_percent >= percent) {
                return Ok(());
            }
            live.pulled_percent = percent;
            (live.lease.job, known)
        };
        if known {
            self.publish_job(job, None).await;
            return Ok(());
        }
        let kind = match phase {
            Phase::Fetching => JobEventKind::Fetching,
            Phase::Pulling => JobEventKind::Pulling,
            Phase::Isolating => JobEventKind::Isolating,
            Phase::Uploading => JobEventKind::Uploading,
        };
        let event = JobEvent {
            at: self.now(),
            kind,
            detail: String::new(),
        };
        let mut tx = self.inner.store.begin().await?;
        tx.add_event(job, &event).await?;
        tx.commit().await?;
        if let Some(live) = self.memory().leases.get_mut(&lease) {
            live.phase = Some(phase);
        }
        if matches!(phase, Phase::Fetching | Phase::Uploading) {
            self.measure(lease);
        }
        self.publish_job(job, Some(event)).await;
        Ok(())
    }

    /// Keeps a piece of log; it is acknowledged when the next tick has written it.
    fn log(
        &self,
        claim: LeaseClaim,
        offset: u64,
        stream: Stream,
        text: String,
    ) -> Option<ToWorker> {
        let settings = &self.inner.settings;
        let mut memory = self.memory();
        let live = memory.leases.get_mut(&claim.lease)?;
        if text.is_empty() {
            return None;
        }
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let again = || {
            Some(ToWorker::LogAck {
                lease: claim.lease,
                epoch: claim.epoch,
                offset: live.log_end,
            })
        };
        // Sent again after a reconnect, beyond a gap, too long, or past what is kept: say where we stand.
        if offset != live.log_end
            || text.len() > LOG_CHUNK_BYTES_MAX
            || live.log_end.saturating_add(length) > settings.log_bytes_max.saturating_add(4_096)
        {
            return again();
        }
        live.log_end = live.log_end.saturating_add(length);
        let (job, member, log_end) = (live.lease.job, live.lease.member, live.log_end);
        let of_job = memory.jobs.entry(job).or_default();
        of_job.log_seq = of_job.log_seq.saturating_add(1);
        let seq = of_job.log_seq;
        memory.logs.push(LogRow {
            job,
            lease: claim.lease,
            seq,
            log_end,
            stream,
            text: text.clone(),
        });
        drop(memory);
        self.live().publish(
            Topic::Job(job),
            Live::Log {
                lines: vec![LogLine {
                    seq,
                    member,
                    stream,
                    text,
                }],
            },
        );
        None
    }

    fn sampled(&self, lease: LeaseId, samples: Vec<Sample>) {
        let at = self.now();
        let mut memory = self.memory();
        let Some(live) = memory.leases.get_mut(&lease) else {
            return;
        };
        let (job, member) = (live.lease.job, live.lease.member);
        // One a second: numbers rise, and none may be ahead of the lease's age, so that neither the table nor a number
        // can be driven beyond what a lease can have measured.
        let newest = at
            .seconds_since(live.lease.granted_at)
            .get()
            .saturating_add(SAMPLES_AHEAD);
        let mut fresh = Vec::new();
        for mut sample in samples.into_iter().take(SAMPLES_PER_MESSAGE_MAX) {
            if sample.seq <= live.sample_seq || sample.seq > newest || !is_finite(&sample) {
                continue;
            }
            live.sample_seq = sample.seq;
            keep_wanted(&mut sample.metrics, &live.spec.metrics);
            fresh.push(sample);
        }
        if fresh.is_empty() {
            return;
        }
        let rows = fresh.iter().map(|sample| SampleRow {
            job,
            lease,
            at,
            sample: sample.clone(),
        });
        memory.samples.extend(rows);
        drop(memory);
        let samples = fresh
            .into_iter()
            .map(|data| SampleView {
                at,
                lease,
                member,
                data,
            })
            .collect();
        self.live()
            .publish(Topic::Job(job), Live::Samples { samples });
    }

    /// The run is over. A last receipt that does not follow ours is answered with where we stand, so that the worker
    /// signs it anew; any other fault of it costs the owner that receipt, and the lease ends.
    async fn ended(
        &self,
        claim: LeaseClaim,
        end: RunEnd,
        last: Option<Receipt>,
    ) -> Result<Vec<ToWorker>, Error> {
        let LeaseClaim { lease, epoch } = claim;
        // The end counts whether or not the last lines could be written; the next tick tries them again.
        if let Err(error) = self.flush().await {
            tracing::error!(%lease, %error, "log lines and samples could not be written before a lease's end");
        }
        let turn = self.inner.desk.lock().await;
        let Some(live) = self.memory().leases.get(&lease).cloned() else {
            return Ok(vec![ToWorker::LeaseRefused { lease, epoch }]);
        };
        if let Some(receipt) = &last
            && receipt.seq != live.lease.head.seq.saturating_add(1)
        {
            return Ok(vec![posted(&live)]);
        }
        let delivered = last.as_ref().map_or(Seconds::ZERO, |last| last.seconds);
        if self.end_awaits_measure(lease, delivered.max(live.seconds())) {
            return Ok(Vec::new());
        }
        let noticed = live
            .stop
            .is_some_and(|stop| stop.reason == StopReason::Preempted);
        let end = match end.as_reported(live.stop.is_some(), noticed) {
            RunEnd::OutOfFunds if self.met_its_limit(&live, delivered).await? => {
                RunEnd::TimeLimit {
                    seconds: live.spec.limits.duration_seconds,
                }
            }
            other => other,
        };
        let fallen = {
            let memory = self.memory();
            fell(&live.lease, |id| {
                memory.device(id).map(|(_, device)| &device.proof)
            })
        };
        let end = fallen.map_or(LeaseEnd::Reported(end), LeaseEnd::SpecMissed);
        self.end_lease(lease, end, last).await?;
        drop(turn);
        self.place_waiting_now().await;
        Ok(vec![ToWorker::Closed { lease, epoch }])
    }

    /// Tells the owner's watchers, and those of the market, how a node stands.
    pub(crate) fn publish_node(&self, node: NodeId) {
        let devices: Vec<DeviceId> = self
            .memory()
            .nodes
            .get(&node)
            .map(|live| live.devices.iter().map(|device| device.id).collect())
            .unwrap_or_default();
        for device in devices {
            self.publish_offer(device);
        }
        if self.live().watched(Topic::Node(node))
            && let Some(view) = self.node_view(node)
        {
            self.live().publish(
                Topic::Node(node),
                Live::Node {
                    node: Box::new(view),
                },
            );
        }
    }
}

/// A number that JSON cannot hold would be written as null and never be read again.
fn is_finite(sample: &Sample) -> bool {
    let gpu = [sample.gpu_percent, sample.gpu_memory_mib];
    let all = [sample.cpu_percent, sample.memory_mib];
    all.into_iter()
        .chain(gpu.into_iter().flatten())
        .all(f32::is_finite)
}

/// Metrics that the specification names, each once.
fn keep_wanted(metrics: &mut Vec<Metric>, wanted: &[String]) {
    let mut seen: Vec<String> = Vec::new();
    metrics.retain(|metric| {
        let keep = metric.value.is_finite()
            && wanted.contains(&metric.name)
            && !seen.contains(&metric.name);
        if keep {
            seen.push(metric.name.clone());
        }
        keep
    });
}

fn posted(live: &LeaseLive) -> ToWorker {
    ToWorker::ReceiptPosted {
        lease: live.lease.id,
        epoch: live.lease.epoch,
        seq: live.lease.head.seq,
        hash: live.lease.head.hash.clone(),
    }
}
