//! What happens by itself: each tick re-reads the state and acts on it; a tick that is missed is made up by the next.

use std::collections::BTreeMap;

use kernel::{AccountId, JobId, LeaseId, Seconds};
use protocol::live::{Live, Topic};
use protocol::state::{JobStep, LeaseState, RunEnd};
use protocol::worker::ToWorker;
use store::Job;

use crate::desk::Exchange;
use crate::error::Error;
use crate::leases::LeaseEnd;
use crate::views::meter;

const METER_EVERY_MS: i64 = 1_000;
/// Idempotency keys are remembered for a day.
const REMEMBER_MS: i64 = 86_400_000;

impl Exchange {
    /// Once every quarter of a second: ends what expired, posts receipts, funds leases, places waiting jobs, writes
    /// logs and samples, moves the meters.
    ///
    /// # Errors
    /// The first that failed; the rest was tried all the same.
    pub async fn tick(&self) -> Result<(), Error> {
        let results = [
            self.flush().await,
            self.expire().await,
            self.post_due().await,
            self.fund_all().await,
            self.place_waiting().await,
            self.publish_meters().await,
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
        self.live().prune();
        Ok(())
    }

    /// Writes log pieces and samples that came since the last time, and acknowledges the log to the workers.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let (logs, samples) = {
            let mut memory = self.memory();
            (
                std::mem::take(&mut memory.logs),
                std::mem::take(&mut memory.samples),
            )
        };
        if logs.is_empty() && samples.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = self.inner.store.begin().await?;
            tx.insert_logs(&logs).await?;
            tx.insert_samples(&samples).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            // Back to the front, to be tried again; the workers stop sending when their window is full.
            let mut memory = self.memory();
            let later = std::mem::replace(&mut memory.logs, logs);
            memory.logs.extend(later);
            let later = std::mem::replace(&mut memory.samples, samples);
            memory.samples.extend(later);
            return Err(error.into());
        }
        let mut ends: BTreeMap<LeaseId, u64> = BTreeMap::new();
        for row in &logs {
            ends.insert(row.lease, row.log_end);
        }
        let memory = self.memory();
        for (lease, offset) in ends {
            if let Some(live) = memory.leases.get(&lease)
                && let Some(node) = memory.nodes.get(&live.lease.node)
            {
                node.send(ToWorker::LogAck {
                    lease,
                    epoch: live.lease.epoch,
                    offset,
                });
            }
        }
        Ok(())
    }

    /// Ends leases that were not renewed, and takes silent nodes out of the market.
    async fn expire(&self) -> Result<(), Error> {
        let now = self.now();
        let life = self.inner.settings.lease_life_ms();
        let (over, silent) = {
            let mut memory = self.memory();
            let over: Vec<LeaseId> = memory
                .leases
                .values()
                .filter(|live| live.expires <= now)
                .map(|live| live.lease.id)
                .collect();
            let mut silent = Vec::new();
            for live in memory.nodes.values_mut() {
                if let Some(link) = live.link.as_mut()
                    && !link.silent
                    && now.millis_since(link.last_beat) >= life
                {
                    link.silent = true;
                    silent.push(live.node.id);
                }
            }
            for node in &silent {
                memory.refresh_offers(*node);
            }
            (over, silent)
        };
        for node in silent {
            tracing::warn!(%node, "a worker is silent; its offers are down until it is heard again");
            self.publish_node(node);
        }
        for lease in over {
            let _turn = self.inner.desk.lock().await;
            // It may have been renewed while we waited for our turn.
            let still = self
                .memory()
                .leases
                .get(&lease)
                .is_some_and(|live| live.expires <= self.now());
            if still {
                self.end_lease(lease, LeaseEnd::Lost, None).await?;
            }
        }
        Ok(())
    }

    /// Posts the receipts of leases that delivered an interval since their last one.
    async fn post_due(&self) -> Result<(), Error> {
        let interval = self.inner.settings.receipt_interval;
        let due: Vec<LeaseId> = {
            let memory = self.memory();
            let due = memory.leases.values().filter(|live| {
                live.draft
                    .as_ref()
                    .is_some_and(|draft| draft.seconds >= live.lease.head.seconds.plus(interval))
            });
            due.map(|live| live.lease.id).collect()
        };
        for lease in due {
            let _turn = self.inner.desk.lock().await;
            self.post_draft(lease).await?;
        }
        Ok(())
    }

    async fn fund_all(&self) -> Result<(), Error> {
        let half = self.inner.settings.escrow_window.get() / 2;
        let low: Vec<LeaseId> = {
            let memory = self.memory();
            let low = memory.leases.values().filter(|live| {
                let ahead = live.lease.funded.minus_or_zero(live.seconds());
                live.lease.state == LeaseState::Active
                    && ahead.get() <= half
                    && live.lease.funded < live.spec.duration()
            });
            low.map(|live| live.lease.id).collect()
        };
        for lease in low {
            let _turn = self.inner.desk.lock().await;
            self.fund(lease).await?;
        }
        Ok(())
    }

    /// Gives waiting jobs a device, oldest first; ends those that waited too long.
    pub(crate) async fn place_waiting(&self) -> Result<(), Error> {
        let waiting = self.inner.store.waiting_jobs().await?;
        for job in waiting {
            let _turn = self.inner.desk.lock().await;
            self.place(job.id).await?;
        }
        Ok(())
    }

    async fn place(&self, id: JobId) -> Result<(), Error> {
        let now = self.now();
        let leases = self.inner.store.leases_of_job(id).await?;
        let used = leases
            .iter()
            .fold(Seconds::ZERO, |sum, row| sum.plus(row.lease.head.seconds));
        let mut tx = self.inner.store.begin().await?;
        let Some(mut job) = tx
            .job(id)
            .await?
            .filter(|job| job.state == protocol::state::JobState::Matching)
        else {
            return Ok(());
        };
        let limit = job.spec.duration();
        if used >= limit {
            let end = RunEnd::TimeLimit {
                seconds: limit.get(),
            };
            self.finish_job(&mut tx, &mut job, JobStep::Stop, end)
                .await?;
            tx.commit().await?;
            self.publish_job(id, None).await;
            return Ok(());
        }
        let mut request = self.request(&job.spec, job.wanted_device);
        request.avoid = self
            .memory()
            .refused_by
            .get(&id)
            .cloned()
            .unwrap_or_default();
        let offer = match self.take_slot(&request, id) {
            Ok(offer) => offer,
            Err(no_match) => {
                let waited = job
                    .queued_at
                    .map_or(Seconds::ZERO, |since| now.seconds_since(since));
                if waited >= self.inner.settings.requeue_patience {
                    let end = RunEnd::NoCapacity {
                        reason: no_match.sentence(),
                    };
                    self.finish_job(&mut tx, &mut job, JobStep::Fail, end)
                        .await?;
                    tx.commit().await?;
                    self.publish_job(id, None).await;
                }
                return Ok(());
            }
        };
        match self.place_on(tx, &mut job, &offer, used).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.free_slot(offer.device, id);
                match error {
                    Error::InsufficientFunds { .. } => self.end_unfunded(job.id).await,
                    // Another process took it in the database; the next tick looks again.
                    Error::Store(error) if error.is_conflict() => Ok(()),
                    other => Err(other),
                }
            }
        }
    }

    async fn place_on(
        &self,
        mut tx: store::Tx,
        job: &mut Job,
        offer: &market::Offer,
        used: Seconds,
    ) -> Result<(), Error> {
        let mut hold = tx.hold(job.id).await?.ok_or(Error::NotFound("the hold"))?;
        let granted = self.grant(&mut tx, job, &mut hold, offer, used).await?;
        tx.commit().await?;
        self.after_grant(job.clone(), granted).await;
        Ok(())
    }

    async fn end_unfunded(&self, id: JobId) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        let Some(mut job) = tx.job(id).await? else {
            return Ok(());
        };
        self.finish_job(&mut tx, &mut job, JobStep::Stop, RunEnd::OutOfFunds)
            .await?;
        tx.commit().await?;
        self.publish_job(id, None).await;
        Ok(())
    }

    /// Once a second, for those who watch.
    async fn publish_meters(&self) -> Result<(), Error> {
        let now = self.now();
        let accounts: BTreeMap<AccountId, Vec<JobId>> = {
            let mut memory = self.memory();
            if now.millis_since(memory.meters_at) < METER_EVERY_MS {
                return Ok(());
            }
            memory.meters_at = now;
            let mut accounts: BTreeMap<AccountId, Vec<JobId>> = BTreeMap::new();
            for live in memory.leases.values() {
                accounts
                    .entry(live.lease.account)
                    .or_default()
                    .push(live.lease.job);
            }
            accounts
        };
        for (account, jobs) in accounts {
            let watched = |topic| self.live().watched(topic);
            if !watched(Topic::Account(account))
                && !jobs.iter().any(|job| watched(Topic::Job(*job)))
            {
                continue;
            }
            let [available, held, _] = self.inner.store.balances(account).await?;
            let (all, each) = {
                let memory = self.memory();
                let all = meter(memory.leases_of_account(account), available, held);
                let each: Vec<_> = jobs
                    .into_iter()
                    .map(|job| {
                        (
                            job,
                            meter(memory.lease_of_job(job).into_iter(), available, held),
                        )
                    })
                    .collect();
                (all, each)
            };
            self.live().publish(
                Topic::Account(account),
                Live::Meter {
                    meter: all,
                    at: now,
                },
            );
            for (job, meter) in each {
                self.live()
                    .publish(Topic::Job(job), Live::Meter { meter, at: now });
            }
        }
        let nodes: Vec<_> = {
            let memory = self.memory();
            memory
                .nodes
                .values()
                .filter(|live| live.link.is_some())
                .map(|live| live.node.id)
                .collect()
        };
        for node in nodes {
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
        Ok(())
    }
}
