//! One lease as the worker holds it: what it has delivered, what it still has to say, and its receipts.

use kernel::{Epoch, LeaseId, Seconds, Timestamp};
use metering::receipt::{NO_PREVIOUS, sign_worker};
use protocol::state::RunEnd;
use protocol::view::Receipt;
use protocol::worker::{Assignment, LeaseClaim, Metric, Phase, Sample, StopReason, Stream};
use std::collections::VecDeque;

use crate::devices::{GpuLoad, whole};
use crate::energy::{EnergyMeter, Reading};
use crate::logs::{Decoder, LogBuffer};
use crate::metrics::MetricReader;
use crate::redact::{Redactor, Values};
use crate::sandbox::{self, End, Usage};

const MIB: f32 = 1024.0 * 1024.0;
/// Samples kept for a server that is away; older ones are dropped.
const SAMPLES_KEPT: usize = 300;
/// Samples are not acknowledged: so many are said again on a new connection (repeated ones are dropped there).
const SAMPLES_AGAIN: u64 = 10;

/// Counts what is billed: the time a process ran and was not frozen. All in milliseconds of `CLOCK_BOOTTIME`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunClock {
    started: Option<u64>,
    frozen_since: Option<u64>,
    frozen: u64,
    ended: Option<u64>,
}

impl RunClock {
    pub fn start(&mut self, at: u64) {
        self.started.get_or_insert(at);
    }

    pub fn freeze(&mut self, at: u64) {
        // Packing may be frozen too; it is not billed anyway.
        if self.ended.is_none() {
            self.frozen_since.get_or_insert(at);
        }
    }

    pub fn thaw(&mut self, at: u64) {
        if let Some(since) = self.frozen_since.take() {
            self.frozen += at.saturating_sub(since);
        }
    }

    /// The process ended. What follows (packing, uploading) is not billed.
    pub fn end(&mut self, at: u64) {
        if self.started.is_some() && self.ended.is_none() {
            self.thaw(at);
            self.ended = Some(at);
        }
    }

    pub const fn started_at(&self) -> Option<u64> {
        self.started
    }

    pub fn ran_ms(&self, now: u64) -> u64 {
        let Some(started) = self.started else {
            return 0;
        };
        let until = self.ended.or(self.frozen_since).unwrap_or(now);
        until.saturating_sub(started).saturating_sub(self.frozen)
    }

    /// Whether this moment is billed.
    pub const fn is_counting(&self) -> bool {
        self.started.is_some() && self.frozen_since.is_none() && self.ended.is_none()
    }

    pub const fn has_started(&self) -> bool {
        self.started.is_some()
    }
}

/// Where the work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Preparing(Option<Phase>),
    Running,
    /// The process is over; artefacts travel.
    Uploading,
    /// All is done; `Ended` is repeated until the exchange closes the lease.
    Over(RunEnd),
    Rejected(String),
}

#[derive(Debug)]
pub struct Lease {
    pub assignment: Assignment,
    pub stage: Stage,
    pub clock: RunClock,
    pub energy: EnergyMeter,
    pub log: LogBuffer,
    pub funded: Seconds,
    /// What the exchange asked for; names the end that follows.
    pub stop: Option<StopReason>,
    /// When the heartbeat was sent by which it was last renewed.
    pub renewed_at: u64,
    pub end: Option<RunEnd>,
    decoders: [Decoder; 2],
    redactors: [Redactor; 2],
    metrics: [MetricReader; 2],
    samples: VecDeque<Sample>,
    next_sample: u64,
    samples_sent: u64,
    last_usage: Option<(u64, Usage)>,
    /// Of the last countersigned receipt.
    head: (u64, String),
}

impl Lease {
    pub fn new(assignment: Assignment, renewed_at: u64) -> Self {
        let names = &assignment.spec.metrics;
        Self {
            stage: Stage::Preparing(None),
            clock: RunClock::default(),
            energy: EnergyMeter::default(),
            log: LogBuffer::new(assignment.log_bytes_max),
            funded: assignment.funded,
            stop: None,
            renewed_at,
            end: None,
            decoders: [Decoder::default(), Decoder::default()],
            redactors: [Redactor::default(), Redactor::default()],
            metrics: [MetricReader::new(names), MetricReader::new(names)],
            samples: VecDeque::new(),
            next_sample: 1,
            samples_sent: 0,
            last_usage: None,
            head: (0, NO_PREVIOUS.to_owned()),
            assignment,
        }
    }

    pub const fn id(&self) -> LeaseId {
        self.assignment.lease
    }

    pub const fn epoch(&self) -> Epoch {
        self.assignment.epoch
    }

    pub const fn claim(&self) -> LeaseClaim {
        LeaseClaim {
            lease: self.assignment.lease,
            epoch: self.assignment.epoch,
        }
    }

    /// Whether a process may be running, so that its device is taken.
    pub const fn is_working(&self) -> bool {
        matches!(self.stage, Stage::Preparing(_) | Stage::Running)
    }

    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_) | Stage::Rejected(_))
    }

    /// Output of the job. Answers log permits that are free at once.
    pub fn output(&mut self, stream: Stream, bytes: &[u8]) -> usize {
        let index = usize::from(stream == Stream::Stderr);
        let (Some(decoder), Some(redactor), Some(metrics)) = (
            self.decoders.get_mut(index),
            self.redactors.get_mut(index),
            self.metrics.get_mut(index),
        ) else {
            return bytes.len();
        };
        let text = redactor.pass(&decoder.decode(bytes));
        metrics.read(&text);
        self.log.push(stream, &text, bytes.len())
    }

    /// From here on its output shows none of these.
    pub fn hide(&mut self, values: &Values) {
        self.redactors = [Redactor::new(values.clone()), Redactor::new(values.clone())];
    }

    /// A remark of the worker, on a line of its own.
    pub fn note(&mut self, text: &str) {
        self.log.push(Stream::Note, &format!("{text}\n"), 0);
    }

    /// No more output will come.
    pub fn output_over(&mut self) {
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        let ends = self.decoders.iter_mut().zip(&mut self.redactors);
        for (stream, (decoder, redactor)) in streams.zip(ends) {
            let mut rest = redactor.pass(&decoder.finish());
            rest.push_str(&redactor.finish());
            if !rest.is_empty() {
                self.log.push(stream, &rest, 0);
            }
        }
        for metrics in &mut self.metrics {
            metrics.read("\n");
        }
    }

    /// The process runs.
    pub fn started(&mut self, at: u64, energy: Vec<Option<Reading>>) {
        self.clock.start(at);
        self.energy.start(at, energy);
        self.stage = Stage::Running;
    }

    /// The process is over, and what its devices say last.
    pub fn process_ended(&mut self, at: u64, energy: &[Option<Reading>]) {
        self.energy.look(at, energy, self.clock.is_counting());
        self.energy.end();
        self.clock.end(at);
    }

    /// One second's sample.
    pub fn usage(
        &mut self,
        usage: Usage,
        gpu: Option<GpuLoad>,
        energy: &[Option<Reading>],
        now: u64,
    ) {
        self.energy.look(now, energy, self.clock.is_counting());
        let (before, was) = self
            .last_usage
            .unwrap_or((now.saturating_sub(1_000), Usage::default()));
        let elapsed_us = now.saturating_sub(before).max(1).saturating_mul(1_000);
        let cpu_percent =
            whole(usage.cpu_us.saturating_sub(was.cpu_us)) * 100.0 / whole(elapsed_us);
        self.last_usage = Some((now, usage));
        let metrics = self.take_metrics();
        self.sample(cpu_percent, usage, gpu, metrics, now);
    }

    /// Numbers printed since the last sample, at the end.
    pub fn last_metrics(&mut self, now: u64) {
        let metrics = self.take_metrics();
        if !metrics.is_empty() {
            let usage = self.last_usage.map(|(_, usage)| usage).unwrap_or_default();
            self.sample(0.0, usage, None, metrics, now);
        }
    }

    fn take_metrics(&mut self) -> Vec<Metric> {
        self.metrics
            .iter_mut()
            .flat_map(MetricReader::take)
            .collect()
    }

    fn sample(
        &mut self,
        cpu_percent: f32,
        usage: Usage,
        gpu: Option<GpuLoad>,
        metrics: Vec<Metric>,
        now: u64,
    ) {
        let sample = Sample {
            seq: self.next_sample,
            second: self.clock.ran_ms(now) / 1_000,
            cpu_percent,
            memory_mib: whole(usage.memory_bytes) / MIB,
            gpu_percent: gpu.map(|gpu| gpu.percent),
            gpu_memory_mib: gpu.map(|gpu| gpu.memory_mib),
            metrics,
        };
        self.next_sample += 1;
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES_KEPT {
            self.samples.pop_front();
        }
    }

    /// Samples not yet sent on this connection, at most so many.
    pub fn take_samples(&mut self, most: usize) -> Vec<Sample> {
        let sent = self.samples_sent;
        let samples: Vec<Sample> = self
            .samples
            .iter()
            .filter(|sample| sample.seq > sent)
            .take(most)
            .cloned()
            .collect();
        if let Some(last) = samples.last() {
            self.samples_sent = last.seq;
        }
        let keep_from = self.samples_sent.saturating_sub(SAMPLES_AGAIN);
        while self
            .samples
            .front()
            .is_some_and(|sample| sample.seq <= keep_from)
        {
            self.samples.pop_front();
        }
        samples
    }

    /// A new connection: what may have been lost goes again.
    pub fn rewind(&mut self) {
        self.log.rewind();
        self.samples_sent = self.samples_sent.saturating_sub(SAMPLES_AGAIN);
    }

    /// The exchange has countersigned; the chain goes on from there.
    pub fn posted(&mut self, seq: u64, hash: String) {
        if seq > self.head.0 {
            self.head = (seq, hash);
        }
    }

    /// The receipt for all seconds delivered so far, signed; `None` before the first whole second.
    pub fn receipt(
        &self,
        key: &ed25519_dalek::SigningKey,
        now_ms: u64,
        issued_at: Timestamp,
    ) -> Option<Receipt> {
        let seconds = Seconds::new(self.clock.ran_ms(now_ms) / 1_000).min(self.funded);
        if seconds == Seconds::ZERO {
            return None;
        }
        let assignment = &self.assignment;
        let receipt = Receipt {
            lease: assignment.lease,
            job: assignment.job,
            node: assignment.node,
            device: assignment.device,
            epoch: assignment.epoch,
            seq: self.head.0 + 1,
            seconds,
            price: assignment.price,
            amount: assignment.price.times(seconds).ok()?,
            energy_mj: self.energy.total(),
            last: matches!(self.stage, Stage::Over(_)),
            issued_at,
            previous: self.head.1.clone(),
            worker_signature: String::new(),
            platform_signature: None,
        };
        sign_worker(receipt, key)
            .inspect_err(|error| tracing::error!(%error, "a receipt cannot be signed"))
            .ok()
    }

    /// The end as the exchange names it.
    pub fn run_end(&self, end: &End) -> RunEnd {
        let spec = &self.assignment.spec;
        match end {
            End::Exited { code } => RunEnd::Exited { code: *code },
            End::Signalled { signal } => RunEnd::Signalled { signal: *signal },
            End::OutOfMemory => RunEnd::OutOfMemory {
                limit_mib: spec.resources.memory_mib,
            },
            End::DiskFull => RunEnd::DiskFull {
                limit_mib: spec.resources.disk_mib,
            },
            End::PidLimit => RunEnd::TooManyProcesses {
                limit: spec.resources.pids,
            },
            End::TimeLimit => RunEnd::TimeLimit {
                seconds: spec.limits.duration_seconds,
            },
            End::FailedToStart { why } => RunEnd::FailedToStart {
                reason: sentence(why),
            },
            End::Killed { reason } => match reason {
                sandbox::StopReason::Requested => self
                    .stop
                    .map_or(RunEnd::NodeDrained, |reason| reason.end(spec)),
                sandbox::StopReason::Funds => RunEnd::OutOfFunds,
                sandbox::StopReason::TimeLimit => RunEnd::TimeLimit {
                    seconds: spec.limits.duration_seconds,
                },
                sandbox::StopReason::PidLimit => RunEnd::TooManyProcesses {
                    limit: spec.resources.pids,
                },
                sandbox::StopReason::Lease => RunEnd::LeaseLost,
                // The job's own fault in none of these: it is to run again elsewhere.
                sandbox::StopReason::Drain
                | sandbox::StopReason::AgentLost
                | sandbox::StopReason::HelperLost => RunEnd::NodeDrained,
            },
        }
    }
}

fn sentence(why: &str) -> String {
    let why = why.trim();
    if why.ends_with(['.', '!', '?']) {
        why.to_owned()
    } else {
        format!("{why}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_time_is_not_billed() {
        let mut clock = RunClock::default();
        assert_eq!(clock.ran_ms(9_999), 0);
        clock.start(1_000);
        assert_eq!(clock.ran_ms(3_500), 2_500);
        clock.freeze(4_000);
        clock.freeze(4_500);
        assert_eq!(clock.ran_ms(9_000), 3_000);
        clock.thaw(9_000);
        assert_eq!(clock.ran_ms(9_500), 3_500);
        clock.end(10_000);
        assert_eq!(clock.ran_ms(99_000), 4_000);
    }

    #[test]
    fn packing_is_not_billed_even_when_it_is_frozen() {
        let mut clock = RunClock::default();
        clock.start(0);
        clock.end(3_000);
        clock.freeze(4_000);
        clock.thaw(5_000);
        clock.end(60_000);
        assert_eq!(clock.ran_ms(60_000), 3_000);
    }

    #[test]
    fn a_process_that_dies_frozen_is_billed_until_it_was_frozen() {
        let mut clock = RunClock::default();
        clock.start(0);
        clock.freeze(5_000);
        clock.end(6_000);
        assert_eq!(clock.ran_ms(60_000), 5_000);
    }
}
