//! Challenges: taken up when the device is free, forwarded to its thread, dropped when it is hired.

use ed25519_dalek::Signer;
use kernel::ChallengeId;
use protocol::proof::{Answer, Ask, Unanswered, product_bytes};
use protocol::worker::FromWorker;

use super::Agent;
use crate::proof::refusal;

impl Agent {
    pub(super) async fn prove(&mut self, challenge: ChallengeId, ask: Ask) {
        let Ask::Echo { task, payload } = ask else {
            self.provers.ask(challenge, ask);
            return;
        };
        let uuid = task.device_uuid.as_str();
        // Within its own lease a card is measured before the process starts and after it ended.
        let hired = self.held.values().any(|held| {
            Some(held.lease.id()) != task.lease
                && held.lease.is_working()
                && held.lease.assignment.device_uuids().any(|own| own == uuid)
        });
        let answer = match self.devices.target(uuid) {
            _ if hired => refusal(Unanswered::Hired, "a job has the device"),
            // A job that ran is measured to its end, also when that is why it ended: without it its seconds are not paid.
            _ if self.draining.is_some() && task.lease.is_none() => {
                refusal(Unanswered::Leaving, "the worker is leaving")
            }
            Err(reason) => refusal(Unanswered::Unable, &reason),
            Ok(target) => {
                self.provers.begin(challenge, *task, target);
                Answer::Echo { payload }
            }
        };
        self.say_proof(challenge, answer).await;
    }

    /// An answer of a device's thread; of one that was hired meanwhile nothing is said.
    pub(super) async fn proven(&mut self, challenge: ChallengeId, mut answer: Answer) {
        let Some(device) = self.provers.device(challenge) else {
            return;
        };
        if let Answer::Product { root, signature } = &mut answer {
            let bytes = product_bytes(challenge, device, root);
            *signature = hex::encode(self.identity.key().sign(&bytes).to_bytes());
        }
        self.say_proof(challenge, answer).await;
    }

    async fn say_proof(&mut self, challenge: ChallengeId, answer: Answer) {
        let answer = Box::new(answer);
        self.say(FromWorker::Proof { challenge, answer }).await;
    }
}
