//! The line to the exchange: connecting, heartbeats, and what a lost one means for the leases.

use std::sync::Arc;
use std::time::Duration;

use kernel::LeaseId;
use protocol::worker::{FromWorker, LeaseBeat, Refusal};
use tokio::time::Instant;

use super::{Agent, AgentError, wall_clock};
use crate::lease::Stage;
use crate::link::{Link, LinkError, work_until};
use crate::sandbox::boottime_ms;

/// A heartbeat that is not answered within this time means that the line is dead, however open it looks.
const ANSWER_WITHIN_MS: u64 = 2_500;
const IDLE_ANSWER_WITHIN_MS: u64 = 10_000;
/// So often a worker that the exchange no longer understands looks for a newer program.
const OUTDATED_LOOKS: Duration = Duration::from_mins(1);

impl Agent {
    pub(super) fn connect(&mut self) {
        let (identity, hello) = (Arc::clone(&self.identity), self.hello());
        let task = tokio::spawn(async move { Link::open(&identity, hello).await });
        self.connecting = Some((boottime_ms(), task));
    }

    pub(super) async fn on_attempt(
        &mut self,
        result: Result<Result<Link, LinkError>, tokio::task::JoinError>,
    ) -> Result<(), AgentError> {
        let began = self.connecting.take().map_or(0, |(began, _)| began);
        let error = match result {
            Ok(Ok(link)) => {
                self.connected(link).await?;
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(_) => LinkError::Silent("the attempt was given up".to_owned()),
        };
        let outdated = matches!(
            error,
            LinkError::Refused {
                reason: Refusal::Protocol,
                ..
            }
        );
        // One that updates itself looks for the program that speaks as the exchange does now.
        self.outdated = outdated && self.updates.are_on();
        if self.outdated {
            self.updates.look_within(OUTDATED_LOOKS);
        } else if error.is_final() {
            return Err(error.into());
        }
        if matches!(error, LinkError::Down(_)) {
            self.server_is_down(began);
        }
        let wait = self.backoff.next(self.has_work(), rand::random());
        self.retry_at = Instant::now() + wait;
        tracing::warn!(%error, retry_ms = wait.as_millis(), "no line to the exchange");
        Ok(())
    }

    async fn connected(&mut self, link: Link) -> Result<(), AgentError> {
        let welcome = link.welcome.clone();
        tracing::info!(node = %welcome.node, name = welcome.node_name, server = self.state.server, "connected");
        self.remember(&welcome)?;
        self.backoff.reset();
        self.outdated = false;
        // The exchange has welcomed it: a program on trial has passed.
        self.updates.passed();
        self.alive_at = self.alive_at.max(link.greeted_at);
        self.welcome = Some(welcome);
        self.telemetry.rewind();
        self.link = Some(link);
        self.beats.clear();
        self.beat_seq = 0;
        let ids: Vec<LeaseId> = self.held.keys().copied().collect();
        for id in ids {
            if let Some(held) = self.held.get_mut(&id) {
                held.lease.rewind();
                held.said_ended_at = None;
            }
            self.say_status(id).await;
        }
        self.beat().await;
        Ok(())
    }

    pub(super) fn line_lost(&mut self, error: &LinkError) {
        tracing::warn!(%error, "the line to the exchange is lost");
        self.link = None;
        self.beats.clear();
        self.provers.end_all();
        self.retry_at = Instant::now();
    }

    /// Somebody answers for the server that it is not there: our leases go on, within the grace.
    fn server_is_down(&mut self, seen_at: u64) {
        let Some(welcome) = &self.welcome else { return };
        for held in self.held.values() {
            let until = work_until(
                held.lease.renewed_at,
                Some(seen_at),
                welcome.lease_ttl_ms,
                welcome.server_down_grace_ms,
            );
            held.extend(until);
        }
    }

    /// Sends when there is a line; a message that is lost with it is said again on the next one.
    pub(super) async fn say(&mut self, message: FromWorker) {
        let Some(link) = &mut self.link else { return };
        if let Err(error) = link.send(&message).await {
            self.line_lost(&error);
        }
    }

    pub(super) async fn beat(&mut self) {
        let (now, issued_at) = (boottime_ms(), wall_clock());
        let patience = if self.has_work() {
            ANSWER_WITHIN_MS
        } else {
            IDLE_ANSWER_WITHIN_MS
        };
        if self
            .beats
            .front()
            .is_some_and(|(_, sent)| now.saturating_sub(*sent) > patience)
        {
            self.line_lost(&LinkError::Silent("heartbeats are not answered".to_owned()));
            return;
        }
        let key = self.identity.key();
        let leases = self
            .held
            .values()
            .filter(|held| !matches!(held.lease.stage, Stage::Rejected(_)))
            .map(|held| LeaseBeat {
                lease: held.lease.id(),
                epoch: held.lease.epoch(),
                // The last receipt travels with `Ended` alone.
                receipt: if held.lease.is_over() {
                    None
                } else {
                    held.lease.receipt(key, now, issued_at)
                },
            })
            .collect();
        self.beat_seq += 1;
        let beat = FromWorker::Heartbeat {
            seq: self.beat_seq,
            draining: self.draining.is_some() || self.identity.in_maintenance(),
            load: self.load.look(),
            leases,
        };
        self.beats.push_back((self.beat_seq, now));
        let every = self
            .welcome
            .as_ref()
            .map_or(Duration::from_secs(1), |welcome| welcome.heartbeat);
        self.next_beat = Instant::now() + every;
        self.say(beat).await;
        let over: Vec<LeaseId> = self
            .held
            .iter()
            .filter(|(_, held)| held.lease.is_over())
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.say_ended(id, false).await;
        }
    }
}
