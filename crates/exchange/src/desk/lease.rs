//! What the memory holds of a live lease: its newest receipt, its stop, how much may be billed of it, and when it is to be
//! looked at next.

use ed25519_dalek::VerifyingKey;
use kernel::{Seconds, Timestamp};
use metering::receipt::Terms;
use protocol::JobSpec;
use protocol::state::LeaseState;
use protocol::view::Receipt;
use protocol::worker::{Phase, StopReason, ToWorker};
use store::Lease;

use crate::leases::LeaseEnd;

/// After a stop and its grace: for what the job left to be uploaded.
pub(crate) const UPLOAD_ALLOWANCE_MS: u64 = 90_000;
/// From the lease to the run: inputs travel and the sandbox is made.
const START_WITHIN_MS: u64 = 15 * 60_000;
/// Delivered before a stop was told, and not heard of then: what is on its way.
const UNHEARD: Seconds = Seconds::new(8);

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
