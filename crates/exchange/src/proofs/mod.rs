//! Proof of devices: when they are challenged, the talk, and what becomes of it. The numbers are the crate `proof`'s; docs/proof.md
//! has the argument.
//!
//! All idle devices of a node are asked at the same time, so that one card cannot answer for several. A device that is hired is not
//! asked, and one that is hired meanwhile is let go without blame. What is asked and answered stands in memory until it is
//! over; then it is stored in one transaction with the device's state.

mod same;
mod standing;
mod talk;
mod unshown;

use std::collections::{BTreeSet, HashMap};

use kernel::{ChallengeId, DeviceId, LeaseId, NodeId, Seconds, Timestamp};
use proof::plan::Bounds;
use protocol::proof::{Answer, Ask, ChallengeView, DeviceProof, Outcome, ProofReason, ProofState};
use protocol::spec::DeviceClass;
use protocol::view::Scope;
use protocol::worker::ToWorker;
use store::Device;

use crate::actor::Actor;
use crate::admission::NodeSession;
use crate::desk::{Exchange, Memory};
use crate::error::Error;
use crate::leases::LeaseEnd;

pub(crate) use standing::{judged, level, renamed};
use talk::Talk;

/// How often devices are asked, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenges {
    /// On average; each time is drawn between half and one and a half of it.
    pub every: Seconds,
    pub bounds: Bounds,
}

impl Default for Challenges {
    fn default() -> Self {
        Self {
            every: Seconds::HOUR,
            bounds: Bounds::default(),
        }
    }
}

/// After a challenge that was answered late or not at all, the next is soon.
const AFTER_STRIKE: Seconds = Seconds::MINUTE;
/// One that failed may have been mended.
const AFTER_FAILURE: Seconds = Seconds::HOUR;
/// One that was hired is looked at again.
const AFTER_HIRE: Seconds = Seconds::new(600);
/// So often it is looked whether a device that nobody has asked yet is free.
const UNKNOWN_EVERY: Seconds = Seconds::new(15);
/// Half of what an echo carries each way.
const ECHO_BYTES: usize = 32 * 1_024;
/// Challenges that are kept.
const KEPT: Seconds = Seconds::new(90 * 86_400);
const SHOWN: u32 = 100;

/// What the memory holds of challenges.
#[derive(Default)]
pub(crate) struct Proofs {
    talks: HashMap<DeviceId, Talk>,
    /// When each node is to be asked next.
    at: BTreeSet<(Timestamp, NodeId)>,
    of: HashMap<NodeId, Timestamp>,
}

impl Proofs {
    fn put(&mut self, node: NodeId, at: Timestamp) {
        if let Some(before) = self.of.insert(node, at) {
            self.at.remove(&(before, node));
        }
        self.at.insert((at, node));
    }

    fn due(&mut self, now: Timestamp) -> Vec<NodeId> {
        let mut due = Vec::new();
        while let Some((at, node)) = self.at.first().copied().filter(|(at, _)| *at <= now) {
            self.at.remove(&(at, node));
            self.of.remove(&node);
            due.push(node);
        }
        due
    }

    /// The challenges of a node whose line is gone: not answered.
    fn of_node(&self, node: NodeId) -> Vec<DeviceId> {
        let own = self.talks.values().filter(|talk| talk.node == node);
        own.map(|talk| talk.device).collect()
    }
}

impl Memory {
    /// The device is hired: whatever it was asked is over, and nobody's fault.
    pub fn spare(&mut self, device: DeviceId) {
        let Some(talk) = self.proofs.talks.remove(&device) else {
            return;
        };
        let ask = Ask::Over {
            outcome: Outcome::Aborted,
            reason: String::new(),
        };
        self.send(
            talk.node,
            ToWorker::Prove {
                challenge: talk.challenge,
                ask,
            },
        );
        let wait = if is_unknown(self, talk.node) {
            UNKNOWN_EVERY
        } else {
            AFTER_HIRE
        };
        self.proofs.put(talk.node, self.now.plus(wait));
    }

    /// A measurement within this lease is not over.
    pub fn is_measured_now(&self, lease: LeaseId) -> bool {
        let mut talks = self.proofs.talks.values();
        talks.any(|talk| talk.record.lease == Some(lease))
    }

    /// A node came: it is asked at once. What was asked on its last line is forgotten.
    pub fn ask_soon(&mut self, node: NodeId) {
        let now = self.now;
        self.proofs.put(node, now);
    }
}

impl Exchange {
    /// Four times a second: asks who is due, gives up what is overdue, checks what was answered. Apart from the tick, since a check
    /// takes a while.
    ///
    /// # Errors
    /// The first that failed; the rest was tried all the same.
    pub async fn prove(&self) -> Result<(), Error> {
        self.ask_due();
        let (mut outcome, now) = (Ok(()), self.now());
        let over: Vec<(DeviceId, bool)> = {
            let memory = self.memory();
            let talks = memory.proofs.talks.values();
            talks
                .filter(|talk| talk.is_answered() || talk.deadline <= now)
                .map(|talk| (talk.device, talk.is_answered()))
                .collect()
        };
        for (device, answered) in over {
            let done = if answered {
                self.check_answers(device).await
            } else {
                let why = proof::Fault {
                    reason: ProofReason::NoAnswer,
                    detail: "no answer came in time".to_owned(),
                };
                self.conclude_talk(device, Outcome::Missed, Some(why)).await
            };
            if outcome.is_ok() {
                outcome = done;
            }
        }
        outcome
    }

    fn ask_due(&self) {
        let Some(challenges) = self.inner.settings.challenges else {
            return;
        };
        let now = self.now();
        let due = self.memory().proofs.due(now);
        for node in due {
            let mut next = self.between(challenges.every);
            let mut memory = self.memory();
            let idle = idle_devices(&memory, node, now, challenges.every);
            if idle.is_empty() && is_unknown(&memory, node) {
                // All that was never asked is hired: it is asked as soon as it is free.
                next = next.min(UNKNOWN_EVERY);
            }
            memory.proofs.put(node, now.plus(next));
            for device in idle {
                self.ask_first(&mut memory, node, &device, None);
            }
        }
    }

    /// Between half and one and a half of a time.
    fn between(&self, time: Seconds) -> Seconds {
        let drawn = u64::from(u32::from_le_bytes(self.random()));
        let whole = time.get();
        let more = whole.saturating_mul(drawn) >> 32;
        Seconds::new((whole / 2).saturating_add(more))
    }

    fn ask_first(
        &self,
        memory: &mut Memory,
        node: NodeId,
        device: &Device,
        lease: Option<LeaseId>,
    ) {
        let Some(Challenges { bounds, .. }) = self.inner.settings.challenges else {
            return;
        };
        let identity = proof::models::identity(
            device.class,
            &device.model,
            device.memory_mib,
            &device.details,
        );
        // What does not fit together, or cannot be held against anything, need not be asked: it stands so since its hello.
        let Ok(band) = identity else { return };
        let now = self.now();
        let Some(live) = memory.nodes.get(&node) else {
            return;
        };
        let Some(link) = &live.link else { return };
        let draw = || hex::encode(self.random::<32>());
        let talk = Talk::new(talk::Opening {
            challenge: ChallengeId::new(now, self.random()),
            node,
            connection: link.connection,
            device,
            lease,
            node_key: &live.node.public_key,
            band,
            bounds,
            seed: draw(),
            payload: hex::encode(self.random::<ECHO_BYTES>()),
            now,
        });
        let ask = talk.first();
        let challenge = talk.challenge;
        memory.proofs.talks.insert(device.id, talk);
        memory.send(node, ToWorker::Prove { challenge, ask });
    }

    /// An answer to the present question of a live challenge of this very connection; anything else says nothing.
    pub(crate) fn proof_answer(
        &self,
        session: &NodeSession,
        challenge: ChallengeId,
        answer: Answer,
    ) -> Vec<ToWorker> {
        let now = self.now();
        let mut memory = self.memory();
        let talk = memory.proofs.talks.values_mut().find(|talk| {
            talk.challenge == challenge
                && talk.node == session.node
                && talk.connection == session.connection
        });
        let Some(talk) = talk.filter(|_| answer.is_bounded()) else {
            return Vec::new();
        };
        let ask = talk.answered(answer, now, &mut || hex::encode(self.random::<32>()));
        ask.map(|ask| ToWorker::Prove { challenge, ask })
            .into_iter()
            .collect()
    }

    /// The line of a node is gone: what it was asked is not answered.
    pub(crate) fn line_gone(&self, node: NodeId) {
        let now = self.now();
        let mut memory = self.memory();
        for device in memory.proofs.of_node(node) {
            if let Some(talk) = memory.proofs.talks.get_mut(&device)
                && !talk.is_answered()
            {
                talk.deadline = now;
            }
        }
    }

    /// A lease's proven cards are measured before its process starts, and again after it ended: neither is billed.
    pub(crate) fn measure(&self, lease: LeaseId) {
        let now = self.now();
        let mut memory = self.memory();
        let Some((node, hired)) = memory.leases.get_mut(&lease).map(|live| {
            live.measured_at = Some(now);
            let devices = live.lease.devices.iter().map(|(id, _)| *id);
            (live.lease.node, devices.collect::<Vec<DeviceId>>())
        }) else {
            return;
        };
        for id in hired {
            let device = memory.device(id).map(|(_, device)| device.clone());
            // One that another machine names too is asked all the more: who is paid shows it.
            let held = device.filter(|device| {
                let state = device.proof.state;
                // So is one whose slice of another job was wrong: it is not hired, and shows at this end what it is.
                let wrong_slice = device.proof.reason == Some(ProofReason::WrongSlice);
                device.class == DeviceClass::Gpu
                    && (wrong_slice || matches!(state, ProofState::Proven | ProofState::Suspect))
            });
            if let Some(device) = held {
                self.ask_first(&mut memory, node, &device, Some(lease));
            }
        }
    }

    /// For a lease that has begun without a measurement.
    pub(crate) fn measure_unless_asked(&self, lease: LeaseId) {
        let asked = |live: &crate::desk::LeaseLive| {
            live.lease.state != protocol::state::LeaseState::Granted || live.measured_at.is_some()
        };
        if !self.memory().leases.get(&lease).is_none_or(asked) {
            self.measure(lease);
        }
    }

    /// Whether a lease that delivered so many seconds cannot be paid yet: its cards are being measured, or are to be from now on, since what
    /// its worker told of its steps left out the measurement after them. The worker says again that it ended.
    pub(crate) fn end_awaits_measure(&self, lease: LeaseId, seconds: Seconds) -> bool {
        {
            let memory = self.memory();
            if memory.is_measured_now(lease) {
                return true;
            }
            let owes = |live: &crate::desk::LeaseLive| live.owes_measure(seconds);
            if !memory.leases.get(&lease).is_some_and(owes) {
                return false;
            }
        }
        self.measure(lease);
        self.memory().is_measured_now(lease)
    }

    async fn check_answers(&self, device: DeviceId) -> Result<(), Error> {
        let Some(mut talk) = self.memory().proofs.talks.get(&device).cloned() else {
            return Ok(());
        };
        let checked = tokio::task::spawn_blocking(move || {
            let judged = talk.judge();
            (judged, talk.record)
        });
        let (judged, record) = checked
            .await
            .map_err(|error| Error::Internal(format!("a check of a challenge: {error}")))?;
        if let Some(talk) = self.memory().proofs.talks.get_mut(&device) {
            talk.record = record;
        }
        match judged {
            Ok(()) => self.conclude_talk(device, Outcome::Passed, None).await,
            Err((outcome, fault)) => self.conclude_talk(device, outcome, Some(fault)).await,
        }
    }

    /// Stores what became of a challenge and what the device is now held for.
    async fn conclude_talk(
        &self,
        device: DeviceId,
        outcome: Outcome,
        fault: Option<proof::Fault>,
    ) -> Result<(), Error> {
        let _turn = self.inner.desk.lock().await;
        let now = self.now();
        let (talk, before, others) = {
            let memory = self.memory();
            // It may have been hired, or have left, while its answers were checked.
            let Some(talk) = memory.proofs.talks.get(&device).cloned() else {
                return Ok(());
            };
            let found = memory.device(device).map(|(_, device)| device.clone());
            let Some(found) = found else {
                drop(memory);
                self.memory().proofs.talks.remove(&device);
                return Ok(());
            };
            let others = same::others(&memory, &found);
            (talk, found, others)
        };
        let fault = fault.map(|fault| match talk.record.lease {
            Some(_) => proof::Fault {
                reason: ProofReason::Benchmark,
                ..fault
            },
            None => fault,
        });
        let mut after = judged(before.class, &before.proof, outcome, fault.as_ref(), now);
        // What it showed for a lease that was under way is no pardon for another's wrong slice: its hour is not over.
        let wrong_slice = before.proof.reason == Some(ProofReason::WrongSlice);
        if wrong_slice && outcome == Outcome::Passed && talk.record.lease.is_some() {
            after = before.proof.clone();
        }
        let mut changed: Vec<(DeviceId, NodeId, DeviceProof)> = Vec::new();
        if after.state == ProofState::Proven {
            if same::is_held(&others) {
                after = same::refused(&after, now);
            } else {
                let given_up = others
                    .iter()
                    .filter(|other| other.proof.state != ProofState::Failed);
                changed.extend(
                    given_up.map(|other| (other.id, other.node, same::refused(&other.proof, now))),
                );
            }
        }
        changed.push((device, talk.node, after.clone()));
        let lesser = talk
            .record
            .lease
            .filter(|_| matches!(outcome, Outcome::Failed | Outcome::Missed | Outcome::Unable));
        let over = ChallengeView {
            id: talk.challenge,
            device,
            started_at: talk.started_at,
            ended_at: now,
            outcome,
            reason: fault.as_ref().map(|fault| fault.reason),
            detail: fault
                .as_ref()
                .map(|fault| fault.detail.clone())
                .unwrap_or_default(),
            record: talk.record.clone(),
        };
        let over_detail = over.detail.clone();
        let mut tx = self.inner.store.begin().await?;
        // One that was let go says nothing about anybody.
        if outcome != Outcome::Aborted {
            tx.insert_proof(talk.node, &over).await?;
        }
        for (id, _, proof) in &changed {
            tx.set_proof(*id, proof).await?;
        }
        let waiting = match outcome {
            Outcome::Passed if after.state != ProofState::Proven => Vec::new(),
            Outcome::Passed => {
                self.card_shown(&mut tx, &before).await?;
                Vec::new()
            }
            _ if after.state == ProofState::Failed => tx.withheld_for(device).await?,
            _ => Vec::new(),
        };
        // With the verdict itself: a process that ends between the two would leave money to a card that shows itself later.
        for lease in waiting {
            self.not_shown(&mut tx, lease, &before.model).await?;
        }
        tx.commit().await?;
        tracing::info!(%device, node = %talk.node, challenge = %talk.challenge, outcome = outcome.as_str(), detail = over.detail, "a challenge is over");
        let wait = match outcome {
            Outcome::Passed if after.state == ProofState::Proven => None,
            Outcome::Aborted => Some(AFTER_HIRE),
            _ if after.strikes > 0 && after.state != ProofState::Failed => Some(AFTER_STRIKE),
            _ => Some(AFTER_FAILURE),
        };
        let next = wait.map(|wait| now.plus(wait).plus(self.between(wait)));
        {
            let mut memory = self.memory();
            memory.proofs.talks.remove(&device);
            for (id, node, proof) in &changed {
                memory.stands(*node, *id, proof);
            }
            let sooner =
                |at: &Timestamp| memory.proofs.of.get(&talk.node).is_none_or(|own| at < own);
            if let Some(next) = next.filter(sooner) {
                memory.proofs.put(talk.node, next);
            }
            let ask = Ask::Over {
                outcome,
                reason: over.detail,
            };
            memory.send(
                talk.node,
                ToWorker::Prove {
                    challenge: talk.challenge,
                    ask,
                },
            );
        }
        for (_, node, _) in &changed {
            self.publish_node(*node);
        }
        if let Some(lease) = lesser {
            self.end_lesser(lease, &before.model, &over_detail).await?;
        }
        Ok(())
    }

    /// A lease whose card was measured and is less than was hired: all of it is given back, and its job goes on elsewhere. The caller
    /// has the desk.
    async fn end_lesser(&self, lease: LeaseId, model: &str, detail: &str) -> Result<(), Error> {
        if !self.memory().leases.contains_key(&lease) {
            return Ok(());
        }
        let why = format!("its {model} did not measure as one: {detail}.");
        self.end_lease(lease, LeaseEnd::SpecMissed(why), None).await
    }

    /// A node's challenges of the last ninety days, the newest first.
    ///
    /// # Errors
    /// Not this account's node.
    pub async fn challenges(
        &self,
        actor: &Actor,
        node: NodeId,
    ) -> Result<Vec<ChallengeView>, Error> {
        actor.require(Scope::Read)?;
        self.own_node(actor.account, node).await?;
        let since = self.kept_since();
        Ok(self
            .inner
            .store
            .challenges_of_node(node, since, SHOWN)
            .await?)
    }

    fn kept_since(&self) -> Timestamp {
        let millis = i64::try_from(KEPT.get())
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        self.now().plus_millis(millis.saturating_neg())
    }

    pub(crate) async fn prune_challenges(&self) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        tx.prune_challenges(self.kept_since()).await?;
        Ok(tx.commit().await?)
    }
}

impl Memory {
    /// A device stands otherwise from now on.
    pub fn stands(&mut self, node: NodeId, device: DeviceId, proof: &DeviceProof) {
        if let Some(live) = self.nodes.get_mut(&node) {
            for own in live.devices.iter_mut().filter(|own| own.id == device) {
                own.proof.clone_from(proof);
            }
        }
        self.refresh_offers(node);
    }
}

/// What of a connected node may be asked now.
/// Whether the node has a device that nobody has asked yet.
fn is_unknown(memory: &Memory, node: NodeId) -> bool {
    let live = memory.nodes.get(&node);
    live.is_some_and(|live| {
        live.devices.iter().any(|device| {
            device.present
                && device.proof.state == ProofState::Claimed
                && device.proof.challenged_at.is_none()
                && device.proof.reason.is_none()
        })
    })
}

fn idle_devices(memory: &Memory, node: NodeId, now: Timestamp, every: Seconds) -> Vec<Device> {
    let Some(live) = memory.nodes.get(&node) else {
        return Vec::new();
    };
    let heard = live.link.as_ref().is_some_and(|link| !link.silent);
    let may = |device: &&Device| {
        let DeviceProof {
            state,
            challenged_at,
            strikes,
            ..
        } = &device.proof;
        // A worker that comes back again and again is not asked each time.
        let rest = match state {
            ProofState::Failed => AFTER_FAILURE,
            ProofState::Proven if *strikes == 0 => Seconds::new(every.get() / 2),
            _ => Seconds::ZERO,
        };
        let rests = challenged_at.is_some_and(|at| now.seconds_since(at) < rest);
        device.present
            && !rests
            && memory.lease_on_device(device.id).is_none()
            && !memory.proofs.talks.contains_key(&device.id)
            && !same::waits(memory, device)
    };
    let devices = live.devices.iter().filter(|_| heard && !live.draining);
    devices.filter(may).cloned().collect()
}

/// Whether a device may be hired as far as its proof goes. A CPU need not be proven: it claims nothing that its host does not
/// measure; but it must not have failed.
pub(crate) fn may_be_hired(device: &Device, unproven_gpus: bool) -> bool {
    match device.proof.state {
        ProofState::Proven => true,
        ProofState::Failed | ProofState::Suspect => false,
        ProofState::Claimed => device.class == DeviceClass::Cpu || unproven_gpus,
    }
}
