//! What happens by itself: each tick re-reads the state and acts on it; a tick that is missed is made up by the next. Here
//! are the order of a tick and of the minute's pruning; what they do to leases is in [`due_leases`], to waiting jobs in
//! [`waiting`], to logs and samples in [`flush`], and what watchers are told each second in [`meters`].

mod due_leases;
mod flush;
mod meters;
mod waiting;

use crate::desk::Exchange;
use crate::error::Error;

/// Idempotency keys are remembered for a day.
const REMEMBER_MS: i64 = 86_400_000;

impl Exchange {
    /// Once every quarter of a second: ends what expired, posts receipts, funds leases, places waiting jobs, writes
    /// logs and samples, moves the meters.
    ///
    /// # Errors
    /// The first that failed; the rest was tried all the same.
    pub async fn tick(&self) -> Result<(), Error> {
        self.refresh_hours();
        let results = [
            self.open_record().await,
            self.flush().await,
            self.write_telemetry().await,
            self.settle_doubts().await,
            self.look_after_leases().await,
            self.expire_holds().await,
            self.settle_promises().await,
            self.place_waiting().await,
            self.watch_searches().await,
            self.watch_runways().await,
            self.publish_meters().await,
            self.publish_notices().await,
        ];
        results.into_iter().collect()
    }

    /// Each minute: forgets what is over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(&self) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        tx.prune(now, now.plus_millis(REMEMBER_MS.saturating_neg()))
            .await?;
        self.prune_quotes(&mut tx).await?;
        let seen: Vec<_> = {
            let memory = self.memory();
            let linked = memory.nodes.values().filter_map(|live| {
                live.link
                    .as_ref()
                    .map(|link| (live.node.id, link.last_beat))
            });
            linked.collect()
        };
        for (node, at) in seen {
            tx.node_seen(node, at).await?;
        }
        tx.commit().await?;
        self.end_maintained();
        self.live().prune();
        let results = [
            self.prune_bundles().await,
            self.prune_recordings().await,
            self.prune_notices().await,
            self.note_prices().await,
            self.mature_over().await,
            self.pay_owed().await,
            self.note_payout_addresses().await,
            self.keep_rounds().await,
            self.prune_challenges().await,
            self.prune_telemetry().await,
            self.note_uptime().await,
            self.note_own_switches().await,
            self.note_reputations().await,
        ];
        results.into_iter().collect()
    }
}

/// A walk over many leases or jobs: the first failure is remembered, and the others have their turn all the same.
pub(crate) struct Round {
    pub outcome: Result<(), Error>,
}

impl Default for Round {
    fn default() -> Self {
        Self { outcome: Ok(()) }
    }
}

impl Round {
    /// Whether to go on: not when the database cannot be reached at all, since each try would wait for it.
    pub fn goes_on(&mut self, result: Result<(), Error>) -> bool {
        let Err(error) = result else {
            return true;
        };
        let unreachable = matches!(&error, Error::Store(error) if error.is_unreachable());
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        } else {
            tracing::error!(%error, "another lease or job failed in the same round");
        }
        !unreachable
    }
}
