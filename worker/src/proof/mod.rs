//! Answering challenges: a device shows what it is, on a thread of its own, until it is hired or the talk is over.
//!
//! The numbers are the crate `proof`'s; a graphics card computes them through `gpu-probe`, a CPU in plain Rust. Nothing is kept of a
//! challenge: when the line is lost, so is it.

mod bench;
mod bound;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kernel::ChallengeId;
use protocol::proof::{Answer, Ask, Outcome, Task, Unanswered};
use tokio::sync::mpsc;

use bound::Bound;

/// What is to show itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This machine's processor.
    Cpu,
    Card(gpu_probe::Wanted),
}

/// Questions that may wait: there is never more than one.
const QUEUE: usize = 4;

struct Talk {
    device_uuid: String,
    asks: mpsc::Sender<Ask>,
    wanted: Arc<AtomicBool>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

/// The challenges that go on.
pub struct Provers {
    talks: BTreeMap<ChallengeId, Talk>,
    answers: mpsc::Sender<(ChallengeId, Answer)>,
    node_key: String,
    /// Where a small file may be written to see how fast the disk is.
    folder: PathBuf,
}

impl Provers {
    pub fn new(node_key: String, folder: PathBuf) -> (Self, mpsc::Receiver<(ChallengeId, Answer)>) {
        let (answers, heard) = mpsc::channel(64);
        let own = Self {
            talks: BTreeMap::new(),
            answers,
            node_key,
            folder,
        };
        (own, heard)
    }

    /// The first question: what is asked, and of what.
    pub fn begin(&mut self, challenge: ChallengeId, task: Task, target: Target) {
        let (asks, asked) = mpsc::channel(QUEUE);
        let wanted = Arc::new(AtomicBool::new(true));
        let talk = Talk {
            device_uuid: task.device_uuid.clone(),
            asks,
            wanted: Arc::clone(&wanted),
        };
        let bound = Bound {
            challenge,
            node_key: self.node_key.clone(),
            task,
            target,
            folder: self.folder.clone(),
            wanted,
        };
        let answers = self.answers.clone();
        // Long work that is no task's: it must not stand in the way of heartbeats.
        tokio::task::spawn_blocking(move || bound.answer_all(asked, &answers));
        self.talks.insert(challenge, talk);
    }

    pub fn ask(&mut self, challenge: ChallengeId, ask: Ask) {
        if let Ask::Over { outcome, reason } = &ask {
            let device = self
                .talks
                .remove(&challenge)
                .map(|talk| talk.device_uuid.clone());
            let device = device.unwrap_or_default();
            match outcome {
                Outcome::Passed => tracing::info!(device, "the device has shown what it is"),
                Outcome::Aborted => {
                    tracing::info!(device, "a challenge was broken off: the device is hired");
                }
                _ => tracing::warn!(
                    device,
                    outcome = outcome.as_str(),
                    reason,
                    "a challenge was not passed"
                ),
            }
            return;
        }
        if let Some(talk) = self.talks.get(&challenge)
            && talk.asks.try_send(ask).is_err()
        {
            self.talks.remove(&challenge);
        }
    }

    /// These devices are hired: whatever they were asked is over.
    pub fn spare<'a>(&mut self, mut uuids: impl Iterator<Item = &'a str>) {
        let hired: Vec<&str> = uuids.by_ref().collect();
        self.talks
            .retain(|_, talk| !hired.contains(&talk.device_uuid.as_str()));
    }

    /// The line is lost, or the worker leaves.
    pub fn end_all(&mut self) {
        self.talks.clear();
    }

    /// Whose answer it is, when it is still of use.
    pub fn device(&self, challenge: ChallengeId) -> Option<&str> {
        self.talks
            .get(&challenge)
            .map(|talk| talk.device_uuid.as_str())
    }
}

/// A challenge that is not taken up.
pub fn refusal(why: Unanswered, reason: &str) -> Answer {
    Answer::Ended {
        why,
        reason: reason.chars().take(200).collect(),
    }
}
