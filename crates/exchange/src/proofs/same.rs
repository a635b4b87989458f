//! One UUID, one node: who else claims a device, and who may prove that it has it.
//!
//! While two nodes claim one device, both are suspect. The one that has been proven longer is asked first, as long as it is there:
//! what passes keeps the name, the others fail. A card that moved to another machine proves itself there when its old node is gone.

use kernel::{NodeId, Timestamp};
use protocol::proof::{DeviceProof, ProofReason, ProofState};
use store::{Device, Tx};

use crate::desk::{Exchange, Memory};
use crate::error::Error;

/// Another node's claim of the same device.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    pub id: kernel::DeviceId,
    pub node: kernel::NodeId,
    pub proof: DeviceProof,
    /// Its worker is there.
    pub heard: bool,
}

/// The devices of other nodes that bear the same UUID.
pub(crate) fn others(memory: &Memory, device: &Device) -> Vec<Other> {
    let ids = memory.uuids.get(&device.uuid).into_iter().flatten();
    ids.filter(|(node, _)| *node != device.node)
        .filter_map(|(node, id)| {
            let live = memory.nodes.get(node)?;
            let own = live
                .devices
                .iter()
                .find(|own| own.id == *id && own.present)?;
            Some(Other {
                id: *id,
                node: *node,
                proof: own.proof.clone(),
                heard: live.link.as_ref().is_some_and(|link| !link.silent),
            })
        })
        .collect()
}

/// Whether another has it, and is there to say so.
pub(crate) fn is_held(others: &[Other]) -> bool {
    others
        .iter()
        .any(|other| other.heard && other.proof.state == ProofState::Proven)
}

/// Whether it is another's turn to prove first.
pub(crate) fn waits(memory: &Memory, device: &Device) -> bool {
    let rank = |proof: &DeviceProof| {
        proof
            .proven_since
            .unwrap_or(Timestamp::from_millis(i64::MAX))
    };
    device.proof.state == ProofState::Suspect
        && others(memory, device).iter().any(|other| {
            let first = (rank(&other.proof), other.id) < (rank(&device.proof), device.id);
            other.heard && other.proof.state == ProofState::Suspect && first
        })
}

fn told(before: &DeviceProof, state: ProofState, detail: &str) -> DeviceProof {
    DeviceProof {
        state,
        reason: Some(ProofReason::SameDevice),
        detail: detail.to_owned(),
        ..before.clone()
    }
}

pub(crate) fn suspected(before: &DeviceProof) -> DeviceProof {
    told(
        before,
        ProofState::Suspect,
        "another node reports the same UUID",
    )
}

pub(crate) fn refused(before: &DeviceProof, now: Timestamp) -> DeviceProof {
    DeviceProof {
        proven_since: None,
        challenged_at: Some(now),
        ..told(
            before,
            ProofState::Failed,
            "another node has proven that it has this device",
        )
    }
}

impl Exchange {
    /// Which of a node's devices others claim too. Those and the others' are suspect from now on, unless they have failed: what failed
    /// takes nobody's name.
    pub(crate) async fn claims(tx: &mut Tx, devices: &mut [Device]) -> Result<Vec<Device>, Error> {
        let mut claims = Vec::new();
        for device in devices.iter_mut().filter(|device| device.present) {
            let others = tx.claims_of(&device.uuid, device.node).await?;
            let shared = !others.is_empty();
            let mut contested = false;
            for mut other in others {
                let both = device.proof.state != ProofState::Failed
                    && other.proof.state != ProofState::Failed;
                if both {
                    other.proof = suspected(&other.proof);
                    tx.set_proof(other.id, &other.proof).await?;
                }
                contested = contested || both;
                claims.push(other);
            }
            if contested {
                device.proof = suspected(&device.proof);
                tx.set_proof(device.id, &device.proof).await?;
            }
            if shared {
                claims.push(device.clone());
            }
        }
        Ok(claims)
    }
}

impl Memory {
    /// These claim devices that others claim too.
    pub fn claimed(&mut self, claims: &[Device]) {
        for claim in claims {
            self.uuids
                .entry(claim.uuid.clone())
                .or_default()
                .insert((claim.node, claim.id));
            self.stands(claim.node, claim.id, &claim.proof);
            if claim.proof.state == ProofState::Suspect {
                self.ask_soon(claim.node);
            }
        }
    }

    /// A node that was removed claims nothing.
    pub fn left(&mut self, node: NodeId) {
        self.uuids.retain(|_, claims| {
            claims.retain(|(of, _)| *of != node);
            claims.len() > 1
        });
        self.proofs.talks.retain(|_, talk| talk.node != node);
    }
}
