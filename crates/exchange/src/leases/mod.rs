//! Leases: given ([`grant`]), started, ended ([`end`]), and told to watchers ([`publish`]). Every change of a lease and what
//! it means for job and money is one transaction.

mod end;
mod grant;
mod publish;

use kernel::LeaseId;
use protocol::state::{JobState, JobStep, LeaseState};
use protocol::view::{JobEvent, JobEventKind};
use store::Lease;

use crate::desk::{Exchange, LeaseLive};
use crate::error::Error;

pub(crate) use end::LeaseEnd;
pub(crate) use grant::{Granted, Seat};

impl Exchange {
    /// The process runs: the job is running and its seconds count from now, or from `elapsed_ms` ago if the worker
    /// could not tell us before; never from before the lease was given.
    pub(crate) async fn started(&self, id: LeaseId, elapsed_ms: u64) -> Result<(), Error> {
        // Whoever does not say that it prepares is measured now.
        self.measure_unless_asked(id);
        let now = self.now();
        // Each worker that comes back says it again of all that runs: no need to wait for the desk then.
        let is_new = |live: &LeaseLive| live.lease.state == LeaseState::Granted;
        if !self.memory().leases.get(&id).is_some_and(is_new) {
            return Ok(());
        }
        let _turn = self.inner.desk.lock().await;
        let Some(mut live) = self.memory().leases.get(&id).cloned() else {
            return Ok(());
        };
        if live.lease.state != LeaseState::Granted {
            return Ok(());
        }
        let elapsed = i64::try_from(elapsed_ms).unwrap_or(i64::MAX);
        let started = now
            .plus_millis(elapsed.saturating_neg())
            .max(live.lease.granted_at);
        live.lease.state = LeaseState::Active;
        live.lease.started_at = Some(started);
        let mut tx = self.inner.store.begin().await?;
        let mut job = tx
            .job(live.lease.job)
            .await?
            .ok_or(Error::NotFound("the job"))?;
        // The first of several members makes it run.
        let runs_now = job.state == JobState::Starting;
        if runs_now {
            job.state = job.state.step(JobStep::Started)?;
        }
        job.started_at = job.started_at.or(Some(started));
        let event = JobEvent {
            at: now,
            kind: JobEventKind::Running,
            detail: live.lease.named_member(job.members),
        };
        tx.update_lease(&live.lease).await?;
        tx.update_job(&job).await?;
        tx.add_event(job.id, &event).await?;
        if runs_now {
            self.tell_started(&mut tx, &job).await?;
        }
        tx.commit()
            .await
            .map_err(|error| self.doubt(id, error.into()))?;
        self.replace_lease(&live.lease);
        self.publish_job(job.id, Some(event)).await;
        Ok(())
    }

    /// Puts what was committed of a lease into memory, and nothing else: heartbeats may have changed the rest.
    pub(crate) fn replace_lease(&self, lease: &Lease) {
        let now = self.now();
        let mut memory = self.memory();
        if let Some(live) = memory.leases.get_mut(&lease.id) {
            let other_rate = live.lease.state != lease.state || live.lease.price != lease.price;
            live.lease = lease.clone();
            if live
                .draft
                .as_ref()
                .is_some_and(|draft| draft.seq <= lease.head.seq)
            {
                live.draft = None;
            }
            if other_rate {
                memory.runways.rate_changes(lease.account);
            }
        }
        // What is due of it may be so sooner now.
        memory.look_at(lease.id, now);
    }
}
