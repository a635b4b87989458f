//! Leaving: on a signal, or for a newer program. Running jobs have until the timeout; what has ended is accounted for.

use std::time::Duration;

use protocol::worker::{LeaseClaim, StopReason};
use tokio::time::Instant;

use super::Agent;

/// From SIGTERM to SIGKILL for jobs that are still there when draining is over.
const DRAIN_GRACE_MS: u64 = 5_000;
/// How long ended work waits to be accounted for when the worker stops.
const ACCOUNT_WITHIN: Duration = Duration::from_secs(10);
/// After the drain timeout, stopped jobs have so long to end and to send their files; then the worker leaves regardless.
/// With the usual timeout it stays below the `TimeoutStopSec` of docs/worker.md.
const FILES_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Draining {
    deadline: Instant,
    stopped: bool,
    idle_since: Option<Instant>,
}

impl Agent {
    /// A newer program lies ready: no new jobs, and as soon as nothing is held this one leaves for it.
    pub(super) fn leave_for_update(&mut self) {
        tracing::info!("a newer worker is ready; leaving for it");
        self.updates.leave();
        self.drain();
    }

    pub(super) fn has_work(&self) -> bool {
        !self.held.is_empty()
    }

    /// The first signal begins to drain; answers true for the second, which ends everything now.
    pub(super) fn drain(&mut self) -> bool {
        if self.draining.is_some() {
            tracing::warn!("stopping at once");
            return true;
        }
        let working = self
            .held
            .values()
            .filter(|held| !held.lease.is_over())
            .count();
        tracing::info!(
            working,
            "draining: no new jobs; running ones have until the timeout; signal again to stop at once"
        );
        self.draining = Some(Draining {
            deadline: Instant::now() + self.settings.drain_timeout,
            stopped: false,
            idle_since: None,
        });
        self.next_beat = Instant::now();
        false
    }

    pub(super) async fn drain_on(&mut self) {
        let now = Instant::now();
        // A job whose files still travel is not done: without its end it would run again elsewhere.
        let all_over = self.held.values().all(|held| held.lease.is_over());
        let Some(draining) = &mut self.draining else {
            return;
        };
        if all_over {
            draining.idle_since.get_or_insert(now);
        } else if !draining.stopped && now >= draining.deadline {
            draining.stopped = true;
            let working: Vec<LeaseClaim> = self
                .held
                .values()
                .filter(|held| held.lease.is_working())
                .map(|held| held.lease.claim())
                .collect();
            for LeaseClaim { lease, epoch } in working {
                self.stop(lease, epoch, StopReason::Drained, DRAIN_GRACE_MS)
                    .await;
            }
        }
    }

    pub(super) fn may_leave(&self) -> bool {
        let Some(draining) = &self.draining else {
            return false;
        };
        self.held.is_empty()
            || draining
                .idle_since
                .is_some_and(|since| since.elapsed() > ACCOUNT_WITHIN)
            || draining.deadline.elapsed() > FILES_WITHIN
    }
}

impl Draining {
    /// Looks again soon: what it waits for is in other hands.
    pub(super) fn wakes_at(&self) -> Instant {
        let soon = Instant::now() + Duration::from_millis(200);
        if self.stopped {
            soon
        } else {
            soon.min(self.deadline.max(Instant::now() + Duration::from_millis(1)))
        }
    }
}
