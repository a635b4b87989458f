//! What the exchange says.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Epoch, LeaseId};
use protocol::tunnel::{Closed, Door, TunnelOrder};
use protocol::worker::{
    Assignment, FromWorker, LeaseClaim, StopReason, ToWorker, secret_key_bytes, secrets_context,
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::ways::Ways;
use super::{Agent, AgentError, Held, Secrets};
use crate::executor::Executor;
use crate::files::Files;
use crate::job::{JobTask, OUTPUT_KEPT, Order, SecretValues};
use crate::lease::{Lease, Stage};
use crate::link::LinkError;
use crate::redact::Values;
use crate::sandbox;
use crate::tunnel;

impl Agent {
    pub(super) async fn on_message(&mut self, message: ToWorker) -> Result<(), AgentError> {
        match message {
            ToWorker::Assign(assignment) => self.assign(*assignment).await,
            ToWorker::Renewed {
                seq,
                renewed,
                refused,
                maintenance,
            } => {
                if let Err(error) = self.identity.note_portal_maintenance(maintenance) {
                    tracing::debug!(%error, "the portal's maintenance cannot be noted");
                }
                self.renewed(seq, &renewed, &refused);
            }
            ToWorker::ReceiptPosted {
                lease,
                epoch,
                seq,
                hash,
            } => {
                if let Some(held) = self.of_epoch(lease, epoch) {
                    held.lease.posted(seq, hash);
                    // An end that was signed over the receipt before must be signed anew.
                    self.say_ended(lease, true).await;
                }
            }
            ToWorker::Fund {
                lease,
                epoch,
                funded,
            } => {
                if let Some(held) = self.of_epoch(lease, epoch) {
                    held.lease.funded = held.lease.funded.max(funded);
                    let order = Order::Fund {
                        ms: held.lease.funded.get().saturating_mul(1_000),
                    };
                    if held.orders.try_send(order).is_err() {
                        tracing::warn!(%lease, "more funds could not be told to the job's sandbox");
                    }
                }
            }
            ToWorker::Stop {
                lease,
                epoch,
                reason,
                grace_ms,
            } => self.stop(lease, epoch, reason, grace_ms).await,
            ToWorker::LogAck {
                lease,
                epoch,
                offset,
            } => {
                if let Some(held) = self.of_epoch(lease, epoch) {
                    let free = held.lease.log.acknowledge(offset);
                    held.log_room.add_permits(free);
                    self.say_ended(lease, false).await;
                }
            }
            ToWorker::Closed { lease, epoch } => {
                if self.of_epoch(lease, epoch).is_some() {
                    tracing::info!(%lease, "the lease is closed");
                    self.held.remove(&lease);
                }
            }
            ToWorker::LeaseRefused { lease, epoch } => self.discard(LeaseClaim { lease, epoch }),
            ToWorker::Prove { challenge, ask } => self.prove(challenge, ask).await,
            ToWorker::Refused { reason, message } => {
                let error = LinkError::Refused { reason, message };
                if error.is_final() {
                    return Err(error.into());
                }
                self.line_lost(&error);
                self.retry_at = Instant::now() + self.backoff.next(self.has_work(), rand::random());
            }
            ToWorker::Tunnel(order) => self.tunnel(order),
            ToWorker::TelemetryAck { series, seq } => self.telemetry.acknowledge(&series, seq),
            ToWorker::Secrets {
                lease,
                epoch,
                sealed,
            } => self.secrets(LeaseClaim { lease, epoch }, &sealed),
            // Both belong to the beginning of a connection; here they say nothing.
            ToWorker::Challenge { .. } | ToWorker::Welcome { .. } => {}
        }
        Ok(())
    }

    /// The lease, when it is the one and the epoch that is meant.
    pub(super) fn of_epoch(&mut self, lease: LeaseId, epoch: Epoch) -> Option<&mut Held> {
        self.held
            .get_mut(&lease)
            .filter(|held| held.lease.epoch() == epoch)
    }

    /// The job's secrets have come: from here on its log shows none of them, and it may start.
    fn secrets(&mut self, claim: LeaseClaim, sealed: &str) {
        let Some(held) = self.of_epoch(claim.lease, claim.epoch) else {
            return;
        };
        let Some(secrets) = held.secrets.take() else {
            return;
        };
        let context = secrets_context(claim.lease, claim.epoch);
        let opened = hex::decode(sealed)
            .ok()
            .and_then(|sealed| sealed::unseal(&secrets.key, &context, &sealed).ok())
            .and_then(|text| serde_json::from_slice::<SecretValues>(&text).ok());
        // Nobody waits on where one of these is not there: the job is rejected, and goes to another machine.
        let Some(values) = opened else {
            tracing::error!(lease = %claim.lease, "a job's secrets cannot be opened");
            return;
        };
        match Values::new(values.values().cloned()) {
            Ok(values) => held.lease.hide(&values),
            Err(error) => {
                tracing::error!(lease = %claim.lease, %error, "a job's secrets cannot be hidden");
                return;
            }
        }
        // It may have been stopped meanwhile.
        let _ = secrets.wait.send(values);
    }

    /// Asks for a job's secrets, as long as they have not come.
    pub(super) async fn ask_for_secrets(&mut self, id: LeaseId) {
        let Some(held) = self.held.get(&id) else {
            return;
        };
        let Some(secrets) = &held.secrets else {
            return;
        };
        let key = hex::encode(sealed::public_key(&secrets.key));
        let epoch = held.lease.epoch();
        let signature = self.identity.sign(&secret_key_bytes(id, epoch, &key));
        self.say(FromWorker::SecretKey {
            lease: id,
            epoch,
            key,
            signature,
        })
        .await;
    }

    /// Somebody wants into a job. Who that may be the exchange knows; here it is only a lease of ours, and not too many at once.
    fn tunnel(&mut self, order: TunnelOrder) {
        let server = self.state.server.clone();
        let Some(held) = self.of_epoch(order.lease, order.epoch) else {
            let why = "the job does not run on this machine any more";
            tokio::spawn(tunnel::refuse(server, order, Closed::NotRunning, why));
            return;
        };
        let is_mesh = matches!(order.door, Door::Mesh {});
        if !held.ways.have_room(is_mesh) {
            let why = "too many connections into this job are open";
            tokio::spawn(tunnel::refuse(server, order, Closed::TooMany, why));
            return;
        }
        let orders = held.orders.clone();
        let spec = &held.lease.assignment.spec;
        let mesh = spec.mesh(held.lease.assignment.member);
        let way = tunnel::run(server, order, orders, mesh);
        held.ways.open(is_mesh, way);
    }

    fn renewed(&mut self, seq: u64, renewed: &[LeaseClaim], refused: &[LeaseClaim]) {
        let Some(sent_at) = self
            .beats
            .iter()
            .find(|(number, _)| *number == seq)
            .map(|(_, sent)| *sent)
        else {
            return;
        };
        self.beats.retain(|(number, _)| *number > seq);
        self.alive_at = self.alive_at.max(sent_at);
        let ttl = self
            .welcome
            .as_ref()
            .map_or(0, |welcome| welcome.lease_ttl_ms);
        for claim in renewed {
            if let Some(held) = self.of_epoch(claim.lease, claim.epoch) {
                held.lease.renewed_at = held.lease.renewed_at.max(sent_at);
                held.extend(sent_at.saturating_add(ttl));
            }
        }
        for claim in refused {
            self.discard(*claim);
        }
    }

    /// The lease is not ours any more: whatever runs ends now, and nothing more is said about it.
    fn discard(&mut self, claim: LeaseClaim) {
        if self.of_epoch(claim.lease, claim.epoch).is_some() {
            tracing::warn!(lease = %claim.lease, epoch = claim.epoch.get(), "the exchange no longer acknowledges this lease; its work ends");
            self.held.remove(&claim.lease);
        }
    }

    pub(super) async fn stop(
        &mut self,
        lease: LeaseId,
        epoch: Epoch,
        reason: StopReason,
        grace_ms: u64,
    ) {
        let Some(held) = self.of_epoch(lease, epoch) else {
            return;
        };
        tracing::info!(%lease, ?reason, "a job is to stop");
        let why = match reason {
            StopReason::Drained => sandbox::StopReason::Drain,
            _ => sandbox::StopReason::Requested,
        };
        held.stop(why, reason, grace_ms);
        if matches!(held.lease.stage, Stage::Preparing(_)) {
            // Nothing ran yet that could end politely.
            if let Some(task) = held.task.take() {
                task.abort();
            }
            let end = reason.end(&held.lease.assignment.spec);
            self.over(lease, end).await;
        }
    }

    /// How this machine can run it: where, and with which nodes of /dev.
    ///
    /// # Errors
    /// Why it will not.
    fn admit(&self, assignment: &Assignment) -> Result<(Arc<dyn Executor>, Vec<String>), String> {
        if self.draining.is_some() {
            return Err("this worker is shutting down".to_owned());
        }
        let Some(executor) = &self.executor else {
            return Err(format!(
                "this machine cannot isolate jobs: {}",
                self.isolation_problems.join("; ")
            ));
        };
        let resources = &assignment.spec.resources;
        let wanted = resources.memory_mib.saturating_add(resources.disk_mib);
        let offered = self.devices.offered_mib;
        if wanted > offered {
            return Err(format!(
                "memory and disk together need {wanted} MiB, this machine offers {offered}"
            ));
        }
        let mut nodes = Vec::new();
        for uuid in assignment.device_uuids() {
            nodes.extend(self.devices.nodes(uuid)?);
        }
        // The driver's own doors are the same for all.
        nodes.sort_unstable();
        nodes.dedup();
        Ok((Arc::clone(executor), nodes))
    }

    /// The exchange gives a device to one lease: an older one on the same device, or of an older epoch, is over.
    fn end_stale(&mut self, assignment: &Assignment) {
        let stale: Vec<LeaseId> = self
            .held
            .values()
            .map(|held| &held.lease)
            .filter(|lease| {
                let mut own = lease.assignment.device_uuids();
                let same_device =
                    own.any(|uuid| assignment.device_uuids().any(|other| other == uuid));
                lease.id() == assignment.lease || lease.is_working() && same_device
            })
            .map(Lease::id)
            .collect();
        for old in stale {
            tracing::warn!(lease = %old, "the exchange gave its device to another lease; its work ends");
            self.held.remove(&old);
        }
    }

    async fn assign(&mut self, assignment: Assignment) {
        let (id, epoch) = (assignment.lease, assignment.epoch);
        if self.of_epoch(id, epoch).is_some() {
            // Given again after an outage.
            self.say_status(id).await;
            return;
        }
        tracing::info!(lease = %id, epoch = epoch.get(), job = %assignment.job, name = assignment.spec.name, "a job is assigned");
        self.provers.spare(assignment.device_uuids());
        let admitted = self.admit(&assignment);
        if admitted.is_ok() {
            self.end_stale(&assignment);
        }
        let ttl = self
            .welcome
            .as_ref()
            .map_or(0, |welcome| welcome.lease_ttl_ms);
        let (until, lease_until) = watch::channel(self.alive_at.saturating_add(ttl));
        let (orders, received) = mpsc::channel(32);
        let mut held = Held {
            until,
            orders,
            log_room: Arc::new(Semaphore::new(OUTPUT_KEPT)),
            task: None,
            secrets: None,
            ways: Ways::default(),
            spool: self.identity.directory().join("spool").join(id.to_string()),
            flushed_at: Instant::now(),
            said_ended_at: None,
            over_at: None,
            lease: Lease::new(assignment, self.alive_at),
        };
        match admitted {
            Ok((executor, device_nodes)) => {
                let mut secrets = None;
                if !held.lease.assignment.spec.secrets.is_empty() {
                    let (wait, come) = oneshot::channel();
                    let key = rand::random();
                    held.secrets = Some(Secrets { key, wait });
                    secrets = Some(come);
                }
                let task = JobTask {
                    assignment: held.lease.assignment.clone(),
                    executor,
                    lent: self.settings.sandbox.lent.clone(),
                    spare: if device_nodes.is_empty() && held.lease.assignment.spec.image.is_none()
                    {
                        self.spare.take().await
                    } else {
                        None
                    },
                    device_nodes,
                    secrets,
                    files: Files {
                        client: self.client.clone(),
                        server: self.state.server.clone(),
                        token: held.lease.assignment.transfer_token.clone(),
                    },
                    images: self.images.clone(),
                    spool: held.spool.clone(),
                    lease_until,
                    orders: received,
                    events: self.events.clone(),
                    log_room: Arc::clone(&held.log_room),
                };
                held.task = Some(tokio::spawn(task.run()));
                self.held.insert(id, held);
                self.ask_for_secrets(id).await;
            }
            Err(reason) => {
                tracing::warn!(lease = %id, reason, "the job is rejected");
                held.lease.stage = Stage::Rejected(reason);
                self.held.insert(id, held);
                self.say_ended(id, true).await;
            }
        }
    }

    /// Where a lease is, in full: after a new connection, or when the exchange asks by assigning it again.
    pub(super) async fn say_status(&mut self, id: LeaseId) {
        let now = sandbox::boottime_ms();
        let Some(held) = self.held.get(&id) else {
            return;
        };
        let lease = &held.lease;
        let (lease_id, epoch) = (lease.id(), lease.epoch());
        let started = lease.clock.has_started().then(|| FromWorker::Started {
            lease: lease_id,
            epoch,
            elapsed_ms: lease.clock.ran_ms(now),
        });
        let preparing = match lease.stage {
            Stage::Preparing(Some(phase)) => Some(FromWorker::Preparing {
                lease: lease_id,
                epoch,
                phase,
                percent: None,
            }),
            Stage::Uploading => Some(FromWorker::Preparing {
                lease: lease_id,
                epoch,
                phase: protocol::worker::Phase::Uploading,
                percent: None,
            }),
            _ => None,
        };
        for message in started.into_iter().chain(preparing) {
            self.say(message).await;
        }
        self.ask_for_secrets(id).await;
        self.say_ended(id, true).await;
    }

    /// After a job has started, another sandbox is made ready.
    pub(super) fn refill_soon(&mut self) {
        self.refill(Duration::from_millis(20));
    }
}
