//! What the jobs' tasks report, and what of it goes out.

use kernel::LeaseId;
use protocol::state::RunEnd;
use protocol::worker::{FromWorker, Phase, SAMPLES_PER_MESSAGE_MAX};
use std::time::Duration;
use tokio::time::Instant;

use super::{Agent, FLUSH_BYTES_MAX, FLUSH_EVERY, SAY_ENDED_EVERY, wall_clock};
use crate::job::JobEvent;
use crate::lease::Stage;
use crate::sandbox::{Report, boottime_ms};

/// The end waits so long for the log to be acknowledged.
const LOG_FIRST: Duration = Duration::from_secs(5);

impl Agent {
    pub(super) async fn on_job(&mut self, id: LeaseId, event: JobEvent) {
        // A task that was just ended may have left a word in the channel.
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let (lease, epoch) = (id, held.lease.epoch());
        match event {
            JobEvent::Phase(phase) => {
                held.lease.stage = if phase == Phase::Uploading {
                    Stage::Uploading
                } else {
                    Stage::Preparing(Some(phase))
                };
                self.say(FromWorker::Preparing {
                    lease,
                    epoch,
                    phase,
                    percent: None,
                })
                .await;
            }
            JobEvent::Pulled(percent) => {
                self.say(FromWorker::Preparing {
                    lease,
                    epoch,
                    phase: Phase::Pulling,
                    percent: Some(percent),
                })
                .await;
            }
            JobEvent::Note(remark) => held.lease.note(&remark),
            JobEvent::Started { at_ms } => {
                let energy = self.devices.energy(held.lease.assignment.device_uuids());
                held.lease.started(at_ms, energy);
                let elapsed_ms = boottime_ms().saturating_sub(at_ms);
                self.say(FromWorker::Started {
                    lease,
                    epoch,
                    elapsed_ms,
                })
                .await;
                self.refill_soon();
            }
            JobEvent::Output { stream, bytes } => {
                let free = held.lease.output(stream, &bytes);
                held.log_room.add_permits(free);
                if held.flushed_at.elapsed() >= FLUSH_EVERY {
                    let mut budget = FLUSH_BYTES_MAX;
                    self.flush_log(id, &mut budget).await;
                }
            }
            JobEvent::Usage(usage) => {
                let gpu = self.devices.gpus_load(held.lease.assignment.device_uuids());
                let energy = self.devices.energy(held.lease.assignment.device_uuids());
                held.lease.usage(usage, gpu, &energy, boottime_ms());
                self.flush_samples(id).await;
            }
            JobEvent::Frozen { at_ms } => {
                tracing::warn!(%lease, "the lease is not renewed: the job is frozen");
                held.lease.clock.freeze(at_ms);
            }
            JobEvent::Thawed { at_ms } => {
                tracing::info!(%lease, "the lease is renewed: the job goes on");
                held.lease.clock.thaw(at_ms);
            }
            JobEvent::ProcessEnded { at_ms } => {
                let energy = self.devices.energy(held.lease.assignment.device_uuids());
                held.lease.process_ended(at_ms, &energy);
            }
            JobEvent::Over(report) => self.process_over(id, &report),
            JobEvent::FailedToStart(reason) => {
                self.over(id, RunEnd::FailedToStart { reason }).await;
            }
            JobEvent::Rejected(reason) => {
                tracing::error!(%lease, reason, "the job cannot be run here");
                held.lease.stage = Stage::Rejected(reason);
                self.say_ended(id, true).await;
            }
            JobEvent::Done(remarks) => {
                for remark in remarks {
                    held.lease.note(&remark);
                }
                let end = held.lease.end.clone().unwrap_or(RunEnd::NodeDrained);
                self.over(id, end).await;
            }
        }
    }

    fn process_over(&mut self, id: LeaseId, report: &Report) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        tracing::info!(lease = %id, end = ?report.end, ran_ms = report.ran_ms, "the job's process is over");
        let end = held.lease.run_end(&report.end);
        if end == RunEnd::LeaseLost {
            held.lease
                .note("The exchange could not be heard in time; the job was stopped here.");
        }
        held.lease.energy.end();
        // A helper that was killed could not say when the process ended.
        let clock = &mut held.lease.clock;
        let told = clock.started_at().filter(|_| report.ran_ms > 0);
        clock.end(told.map_or_else(boottime_ms, |at| at.saturating_add(report.ran_ms)));
        held.lease.end = Some(end);
        if held.lease.clock.has_started() {
            held.lease.stage = Stage::Uploading;
        }
        self.refill_soon();
    }

    /// All is done here; what remains is to be accounted for.
    pub(super) async fn over(&mut self, id: LeaseId, end: RunEnd) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.lease.output_over();
        held.lease.last_metrics(boottime_ms());
        held.lease.stage = Stage::Over(end);
        held.over_at = Some(Instant::now());
        let _ = std::fs::remove_dir_all(&held.spool);
        let mut budget = FLUSH_BYTES_MAX;
        self.flush_samples(id).await;
        self.flush_log(id, &mut budget).await;
        self.say_ended(id, false).await;
    }

    /// `Ended` (or `Rejected`), until the exchange closes the lease. `now`: although it was said a moment ago.
    pub(super) async fn say_ended(&mut self, id: LeaseId, now: bool) {
        let Some(held) = self.held.get_mut(&id).filter(|_| self.link.is_some()) else {
            return;
        };
        let waits_for_log =
            !held.lease.log.drained() && held.over_at.is_some_and(|at| at.elapsed() < LOG_FIRST);
        let said_lately = held
            .said_ended_at
            .is_some_and(|at| at.elapsed() < SAY_ENDED_EVERY);
        if said_lately && !now {
            return;
        }
        let (lease, epoch) = (id, held.lease.epoch());
        let message = match &held.lease.stage {
            Stage::Over(end) if !waits_for_log => {
                let receipt = held
                    .lease
                    .receipt(self.identity.key(), boottime_ms(), wall_clock());
                FromWorker::Ended {
                    lease,
                    epoch,
                    end: end.clone(),
                    receipt: receipt.map(Box::new),
                }
            }
            Stage::Rejected(reason) => FromWorker::Rejected {
                lease,
                epoch,
                reason: reason.clone(),
            },
            _ => return,
        };
        held.said_ended_at = Some(Instant::now());
        self.say(message).await;
    }

    pub(super) async fn flush(&mut self) {
        let mut budget = FLUSH_BYTES_MAX;
        let ids: Vec<LeaseId> = self.held.keys().copied().collect();
        for id in ids {
            self.flush_log(id, &mut budget).await;
        }
    }

    async fn flush_log(&mut self, id: LeaseId, budget: &mut usize) {
        while self.link.is_some() && *budget > 0 {
            let Some(held) = self.held.get_mut(&id) else {
                return;
            };
            held.flushed_at = Instant::now();
            let Some(chunk) = held.lease.log.next() else {
                return;
            };
            *budget = budget.saturating_sub(chunk.text.len());
            let epoch = held.lease.epoch();
            self.say(FromWorker::Log {
                lease: id,
                epoch,
                offset: chunk.offset,
                stream: chunk.stream,
                text: chunk.text,
            })
            .await;
        }
    }

    async fn flush_samples(&mut self, id: LeaseId) {
        while self.link.is_some() {
            let Some(held) = self.held.get_mut(&id) else {
                return;
            };
            let samples = held.lease.take_samples(SAMPLES_PER_MESSAGE_MAX);
            if samples.is_empty() {
                return;
            }
            let epoch = held.lease.epoch();
            self.say(FromWorker::Samples {
                lease: id,
                epoch,
                samples,
            })
            .await;
        }
    }
}
