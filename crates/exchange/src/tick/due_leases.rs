//! What is due of leases: those of silent nodes end, receipts are posted, what runs low is funded, and what was set aside
//! for too long goes back.

use std::collections::BTreeSet;

use kernel::{JobId, LeaseId, Timestamp};

use super::Round;
use crate::desk::Exchange;
use crate::error::Error;
use crate::leases::LeaseEnd;

impl Exchange {
    /// Takes silent nodes out of the market, ends leases that were not renewed, posts receipts of those that delivered an
    /// interval since their last one, funds those that run low. Looks at what is due alone.
    pub(super) async fn look_after_leases(&self) -> Result<(), Error> {
        self.find_silent();
        let due = self.find_due();
        let results = [
            self.expire(due.over).await,
            self.post_due(due.post).await,
            self.fund_all(due.low).await,
        ];
        results.into_iter().collect()
    }

    fn find_silent(&self) {
        let now = self.now();
        let life = self.inner.settings.lease_life_ms();
        let mut silent = Vec::new();
        {
            let mut memory = self.memory();
            for (step, node) in memory.due_nodes.take(now) {
                let link = memory.nodes.get_mut(&node);
                let link = link.and_then(|live| live.link.as_mut());
                let Some(link) = link.filter(|link| link.look == step && !link.silent) else {
                    continue;
                };
                link.look = i64::MAX;
                if now.millis_since(link.last_beat) >= life {
                    link.silent = true;
                    silent.push(node);
                } else {
                    let next = link.last_beat.plus_millis(life);
                    memory.look_at_node(node, next);
                }
            }
            for node in &silent {
                memory.look_when_over(*node, Timestamp::from_millis(i64::MAX));
                memory.refresh_offers(*node);
            }
        }
        for node in silent {
            tracing::warn!(%node, "a worker is silent; its offers are down until it is heard again");
            self.publish_node(node);
        }
    }

    /// What of the leases is to be done now. Each is looked at again in the next tick, in case that it fails.
    fn find_due(&self) -> DueNow {
        let now = self.now();
        let settings = &self.inner.settings;
        let (interval, low) = (settings.receipt_interval, self.low_mark());
        let mut due = DueNow::default();
        let mut memory = self.memory();
        for (step, id) in memory.due.take(now) {
            let Some(live) = memory.leases.get(&id).filter(|live| live.look == step) else {
                continue;
            };
            let mut next = now;
            if live.expires <= now || live.overdue(now).is_some() {
                due.over.push(id);
            } else {
                let (owes, low_now) = (live.owes_receipt(interval), self.runs_low(live));
                if owes {
                    due.post.push(id);
                }
                if low_now {
                    due.low.insert(live.lease.job);
                }
                if !owes && !low_now {
                    next = live.next_look(now, interval, low);
                    if !memory.is_renewed(live) {
                        next = next.min(live.expires);
                    }
                }
            }
            if let Some(live) = memory.leases.get_mut(&id) {
                live.look = i64::MAX;
            }
            memory.look_at(id, next);
        }
        due
    }

    async fn expire(&self, over: Vec<LeaseId>) -> Result<(), Error> {
        let mut round = Round::default();
        for lease in over {
            let _turn = self.inner.desk.lock().await;
            // It may have been renewed while we waited for our turn.
            let now = self.now();
            let end = self.end_by_time(lease, now);
            if let Some(end) = end
                && !round.goes_on(self.end_lease(lease, end, None).await)
            {
                break;
            }
        }
        round.outcome
    }

    /// How a lease whose time is over ends.
    fn end_by_time(&self, lease: LeaseId, now: Timestamp) -> Option<LeaseEnd> {
        let memory = self.memory();
        let live = memory.leases.get(&lease)?;
        let lost = || (live.expires <= now).then_some(LeaseEnd::Lost);
        let end = live.overdue(now).or_else(lost)?;
        // Who lets the time run out instead of answering is not paid for it.
        if memory.is_measured_now(lease) {
            let why = "its card was asked to show what it is, and did not.".to_owned();
            return Some(LeaseEnd::SpecMissed(why));
        }
        // Nor who was told to stop, is there, and never says that it did. One that is not there is lost.
        if live.stop.is_some() && !self.unshown(&memory, lease).is_empty() {
            let why = "it was told to stop, and its card was not shown after.".to_owned();
            return lost().or(Some(LeaseEnd::SpecMissed(why)));
        }
        Some(end)
    }

    async fn post_due(&self, due: Vec<LeaseId>) -> Result<(), Error> {
        let mut round = Round::default();
        for lease in due {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.post_draft(lease).await) {
                break;
            }
        }
        round.outcome
    }

    async fn fund_all(&self, low: BTreeSet<JobId>) -> Result<(), Error> {
        let mut round = Round::default();
        for job in low {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.fund(job).await) {
                break;
            }
        }
        round.outcome
    }

    /// Gives back what was set aside for jobs that have found no other place for too long; they wait on.
    pub(super) async fn expire_holds(&self) -> Result<(), Error> {
        let mut round = Round::default();
        for job in self.inner.store.holds_to_expire(self.now()).await? {
            let _turn = self.inner.desk.lock().await;
            if !round.goes_on(self.expire_hold(job).await) {
                break;
            }
        }
        round.outcome
    }
}

/// Leases and jobs for which there is something to do.
#[derive(Default)]
struct DueNow {
    over: Vec<LeaseId>,
    post: Vec<LeaseId>,
    low: BTreeSet<JobId>,
}
