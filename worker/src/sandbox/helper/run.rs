//! The job that a helper was given: what is known of it so far, and what each second's look at it adds.

use std::os::fd::OwnedFd;

use super::agent::Agent;
use crate::sandbox::cgroup::JobGroup;
use crate::sandbox::report::{Artefacts, Facts, StopReason, Usage};
use crate::sandbox::rootfs;
use crate::sandbox::watchdog::Watchdog;
use crate::sandbox::wire::{FromHelper, FromInit, StartJob};

/// Refused forks in each of this many samples in a row mean that the job does nothing else any more.
const FORK_BOMB_SAMPLES: u32 = 3;
const FORK_BOMB_PER_SAMPLE: u64 = 50;

/// A job that was given.
pub(super) struct Run {
    pub(super) job: Box<StartJob>,
    pub(super) dog: Watchdog,
    pub(super) facts: Facts,
    pub(super) artefacts: Artefacts,
    /// There is something to pack, and it is not packed yet.
    pub(super) unpacked: bool,
    pub(super) process: Option<OwnedFd>,
    pub(super) space: Option<OwnedFd>,
    pub(super) next_sample: u64,
    pub(super) fork_bomb_samples: u32,
    pub(super) last: Usage,
    pub(super) peak_memory: u64,
}

impl Run {
    pub(super) fn new(job: Box<StartJob>) -> Self {
        let dog = Watchdog::new(
            job.lease_until_ms,
            job.funded_ms,
            job.time_limit_ms,
            job.stop_grace_ms,
        );
        Self {
            job,
            dog,
            facts: Facts::default(),
            artefacts: Artefacts::default(),
            unpacked: false,
            process: None,
            space: None,
            next_sample: u64::MAX,
            fork_bomb_samples: 0,
            last: Usage::default(),
            peak_memory: 0,
        }
    }

    /// Whether a word of process 1 is waited for. Each has its time and comes once: a second one would be of somebody else's making.
    pub(super) fn awaits(&self, word: &FromInit) -> bool {
        match word {
            FromInit::Built => false,
            FromInit::Started | FromInit::Failed { .. } => self.dog.started_at().is_none(),
            FromInit::Ended { .. } => self.dog.job_ended_at().is_none(),
            FromInit::Packed { .. } => self.unpacked,
            FromInit::DoorOpened { .. }
            | FromInit::DoorShut { .. }
            | FromInit::DoorClosed { .. } => true,
        }
    }

    /// Keeps what the cgroups count. An engine takes a container's away as soon as its process 1 is gone: what was counted before
    /// stands then.
    pub(super) fn count(&mut self, group: &JobGroup) {
        let usage = group.usage();
        self.last = Usage {
            cpu_us: self.last.cpu_us.max(usage.cpu_us),
            disk_bytes: self.last.disk_bytes,
            ..usage
        };
        self.peak_memory = self.peak_memory.max(group.peak_memory());
        self.facts.oom_kills = self.facts.oom_kills.max(group.oom_kills());
        self.facts.pid_limit_hits = self.facts.pid_limit_hits.max(group.pid_limit_hits());
    }
}

pub(super) fn sample(run: &mut Run, group: &JobGroup, agent: &mut Agent, now: u64) {
    let mut usage = group.usage();
    if let Some(Ok((used, full))) = run.space.as_ref().map(rootfs::fullness) {
        usage.disk_bytes = used;
        run.facts.disk_full |= full;
    }
    run.last = usage;
    // A container that is killed whole takes its counters along.
    run.peak_memory = run.peak_memory.max(group.peak_memory());
    run.facts.oom_kills = run.facts.oom_kills.max(group.oom_kills());
    agent.say(&FromHelper::Sample(usage));
    let hits = group.pid_limit_hits();
    let bombing = hits.saturating_sub(run.facts.pid_limit_hits) >= FORK_BOMB_PER_SAMPLE;
    run.facts.pid_limit_hits = hits;
    run.fork_bomb_samples = if bombing {
        run.fork_bomb_samples + 1
    } else {
        0
    };
    if run.fork_bomb_samples >= FORK_BOMB_SAMPLES {
        run.dog.stop(StopReason::PidLimit, 0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::wire::JobLimits;

    fn given() -> Run {
        let job = StartJob {
            command: Vec::new(),
            cwd: None,
            env: Vec::new(),
            files: Vec::new(),
            bundle: None,
            checkpoint: None,
            limits: JobLimits::default(),
            lease_until_ms: 60_000,
            funded_ms: None,
            time_limit_ms: None,
            stop_grace_ms: 1_000,
            artefacts: "artefacts".into(),
            artefacts_max_bytes: 1,
        };
        Run::new(Box::new(job))
    }

    /// Which of the words are believed: it began, it failed to, it ended, its files are packed, the sandbox is built.
    fn awaited(run: &Run) -> [bool; 5] {
        let words = [
            FromInit::Started,
            FromInit::Failed { why: "x".into() },
            FromInit::Ended {
                code: Some(0),
                signal: None,
                disk_full: false,
                left_something: true,
            },
            FromInit::Packed {
                files: 1,
                bytes: 1,
                left_out: 0,
            },
            FromInit::Built,
        ];
        words.map(|word| run.awaits(&word))
    }

    #[test]
    fn each_word_is_believed_once_and_in_its_time() {
        let mut run = given();
        assert_eq!(awaited(&run), [true, true, true, false, false]);
        run.dog.started(1_000);
        assert_eq!(awaited(&run), [false, false, true, false, false]);
        run.dog.job_ended(2_000);
        run.unpacked = true;
        assert_eq!(awaited(&run), [false, false, false, true, false]);
        run.unpacked = false;
        assert_eq!(awaited(&run), [false; 5]);
    }
}
