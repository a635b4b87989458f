//! The jobs that compute a slice again, and the machines that they keep away from.

use std::collections::BTreeSet;

use kernel::{AccountId, Amount, DeviceId, Epoch, HoldId, JobId, NodeId};
use ledger::Hold;
use market::{Request, Scope};
use protocol::JobSpec;
use protocol::recompute::{CheckState, CheckView, Recompute};
use protocol::spec::{NAME_MAX, Placement, Resources};
use protocol::state::JobState;
use protocol::view::{JobEvent, JobEventKind};
use store::{Job, Lease};

use crate::desk::Exchange;
use crate::error::Error;

/// The machine of a check is drawn among so many.
const AMONG: usize = 64;
/// A check waits so long for another owner's machine.
const WAIT_SECONDS: u64 = 3_600;

/// Which job is sent for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The second, of a slice that was drawn; or the third, where the two differ.
    Next,
    /// The one that computed it last brought no result: the same on another owner's machine.
    Again,
}

impl Exchange {
    /// Sends the job that computes a slice for the second time, or for the third.
    pub(super) async fn send_check(
        &self,
        before: CheckView,
        job: &Job,
        recompute: &Recompute,
        sent: Sent,
    ) -> Result<(), Error> {
        let _turn = self.inner.desk.lock().await;
        let now = self.now();
        let owners = self.owners_of(&before).await?;
        let lease = self.inner.store.lease(before.lease).await?;
        let lease = lease.ok_or(Error::NotFound("the lease"))?;
        let mut tx = self.inner.store.begin().await?;
        let stored = tx.check(before.job, before.slice).await?;
        let Some(stored) = stored.filter(|stored| is_where(stored, &before)) else {
            return Ok(());
        };
        let id = JobId::new(now, self.random());
        let (state, second, third) = match (stored.state, sent) {
            (CheckState::Drawn, _) | (CheckState::Second, Sent::Again) => {
                (CheckState::Second, Some(id), None)
            }
            _ => (CheckState::Third, stored.second, Some(id)),
        };
        let failed = stored.third.or(stored.second);
        let failed = failed.filter(|_| sent == Sent::Again);
        let new = Job {
            id,
            account: job.account,
            spec: self.spec_of_check(job, recompute, before.slice, &lease),
            state: JobState::Matching,
            end: None,
            members: 1,
            epoch: Epoch::default(),
            restarts: 0,
            stop_requested: false,
            wanted_device: None,
            promised: None,
            created_at: now,
            queued_at: Some(now),
            started_at: None,
            ended_at: None,
        };
        let hold = Hold::new(HoldId::new(now, self.random()), job.account, id);
        let event = JobEvent {
            at: now,
            kind: JobEventKind::Submitted,
            detail: format!("computes slice {} of {} again", before.slice, job.id),
        };
        tx.insert_job(&new).await?;
        tx.put_hold(&hold).await?;
        tx.add_event(id, &event).await?;
        let check = CheckView {
            state,
            second,
            third,
            ..before
        };
        tx.put_check(&check).await?;
        if let Some(failed) = failed {
            tx.add_failed_check(&check, failed).await?;
        }
        tx.commit().await?;
        {
            let mut memory = self.memory();
            memory.apart.insert(id, owners);
            if let Some(failed) = failed {
                memory.apart.remove(&failed);
            }
        }
        self.publish_job(id, Some(event)).await;
        self.publish_job(job.id, None).await;
        Ok(())
    }

    /// The same work for one slice: for its time, at no more than twice what was paid for it, on any machine that can run it. The
    /// requester may be in league with some owners: what it asked for beyond that, and its limit price, would lead the check to them.
    fn spec_of_check(
        &self,
        job: &Job,
        recompute: &Recompute,
        slice: u32,
        lease: &Lease,
    ) -> JobSpec {
        let mut spec = job.spec.clone();
        let name = format!("Slice {slice} again: {}", spec.name.trim());
        spec.name = name.chars().take(NAME_MAX).collect();
        spec.env
            .insert(recompute.variable.clone(), slice.to_string());
        spec.recompute = None;
        spec.metrics.clear();
        spec.resources = self.resources_of_check(job, lease);
        spec.placement = Placement::default();
        spec.limits.duration_seconds = recompute.seconds;
        spec.limits.wait_seconds = WAIT_SECONDS;
        // Whatever ends it, the next try is another owner's.
        spec.limits.max_restarts = 0;
        spec.limits.loss_bound_seconds = None;
        let paid = lease.fees.per_hour(lease.price).unwrap_or(Amount::MAX);
        let twice = paid.checked_add(paid).unwrap_or(Amount::MAX);
        spec.limits.max_price_per_hour = Some(twice.to_io());
        spec
    }

    /// What a template says that its program needs. Of a requester's own program, for which nobody is blamed, the class that it ran on
    /// and the size that it asked for.
    fn resources_of_check(&self, job: &Job, lease: &Lease) -> Resources {
        if let Some(own) = self.own_program(&job.spec) {
            return own.resources;
        }
        let memory = self.memory();
        let ran_on = memory.device(lease.device).map(|(_, device)| device.class);
        Resources {
            class: ran_on.unwrap_or(job.spec.resources.class),
            model: None,
            ..job.spec.resources.clone()
        }
    }

    /// On whose machines a check is not to run: who computed the slice before or failed to, and who pays for it.
    async fn owners_of(&self, check: &CheckView) -> Result<BTreeSet<AccountId>, Error> {
        let store = &self.inner.store;
        let mut owners = BTreeSet::new();
        if let Some(lease) = store.lease(check.lease).await? {
            owners.extend([lease.owner, lease.account]);
        }
        let mut before = store.failed_checks(check.job, check.slice).await?;
        before.extend(check.second.iter().chain(&check.third));
        for job in before {
            let rows = store.leases_of_job(job).await?;
            owners.extend(rows.iter().map(|row| row.lease.owner));
        }
        Ok(owners)
    }

    /// The machine of a check is drawn among the cheapest that there are, not the cheapest: nobody places a machine so that it is the one
    /// which checks an accomplice's work.
    pub(crate) fn anywhere(&self, request: &mut Request) {
        let memory = self.memory();
        let there = memory
            .book
            .of(request.ask.kind)
            .list(&request.filter, Scope::Open, 0, AMONG);
        let mut there: Vec<DeviceId> = there
            .into_iter()
            .filter(|offer| !request.avoid.contains(&offer.node) && request.admits(offer))
            .map(|offer| offer.device)
            .collect();
        drop(memory);
        if there.is_empty() {
            return;
        }
        let dice = usize::try_from(u64::from_be_bytes(self.random())).unwrap_or_default();
        request.device = Some(there.swap_remove(dice % there.len()));
    }

    /// After a start: the machines that open checks keep away from.
    pub(crate) async fn load_apart(&self) -> Result<(), Error> {
        for mut check in self.inner.store.open_checks().await? {
            let running = check.third.take().or(check.second);
            // It keeps away from those before it, and may go on where it is.
            if running == check.second {
                check.second = None;
            }
            if let Some(job) = running {
                let owners = self.owners_of(&check).await?;
                self.memory().apart.insert(job, owners);
            }
        }
        Ok(())
    }

    /// The nodes that a job is not to be placed on: they refused it, or it checks their owner's work.
    pub(crate) fn avoided(&self, job: JobId) -> Vec<NodeId> {
        let memory = self.memory();
        let mut nodes = memory.refused_by.get(&job).cloned().unwrap_or_default();
        if let Some(owners) = memory.apart.get(&job) {
            let all = memory.nodes.values();
            let theirs = all.filter(|live| owners.contains(&live.node.owner));
            nodes.extend(theirs.map(|live| live.node.id));
            nodes.sort_unstable();
            nodes.dedup();
        }
        nodes
    }
}

/// Whether a check is still as it was read: nothing was sent for it since.
pub(super) fn is_where(stored: &CheckView, read: &CheckView) -> bool {
    (stored.state, stored.second, stored.third) == (read.state, read.second, read.third)
}
