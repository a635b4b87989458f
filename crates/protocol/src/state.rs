//! The states of a job, a lease and a node, and their transitions. docs/states.md shows the same tables.

use serde::{Deserialize, Serialize};

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a device: just sent, or its node was lost.
    Matching,
    /// A device is leased; inputs travel and the sandbox is made. Costs nothing.
    Starting,
    /// The process runs; each delivered second is metered.
    Running,
    /// The process ended with exit code 0.
    Finished,
    /// The process, its start or its placement failed; `JobEnd` says how.
    Failed,
    /// Ended on purpose: by the requester, its time limit or its funds.
    Stopped,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStep {
    Leased,
    Started,
    /// The lease was lost without the job's fault; it goes back to matching.
    Lost,
    Finish,
    Fail,
    Stop,
}

/// A transition that the table does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot {step:?}")]
pub struct IllegalStep {
    pub from: JobState,
    pub step: JobStep,
}

impl JobState {
    pub const ALL: [Self; 6] = [
        Self::Matching,
        Self::Starting,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Stopped,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matching => "matching",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Ended for good.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Stopped)
    }

    /// The one transition function.
    ///
    /// # Errors
    /// [`IllegalStep`] naming the state and the step.
    pub const fn step(self, step: JobStep) -> Result<Self, IllegalStep> {
        match (self, step) {
            (Self::Matching, JobStep::Leased) => Ok(Self::Starting),
            (Self::Starting, JobStep::Started) => Ok(Self::Running),
            (Self::Starting | Self::Running, JobStep::Lost) => Ok(Self::Matching),
            // A process may end before the message that it started was seen.
            (Self::Starting | Self::Running, JobStep::Finish) => Ok(Self::Finished),
            (Self::Matching | Self::Starting | Self::Running, JobStep::Fail) => Ok(Self::Failed),
            (Self::Matching | Self::Starting | Self::Running, JobStep::Stop) => Ok(Self::Stopped),
            _ => Err(IllegalStep { from: self, step }),
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a run ended, as it is told to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunEnd {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    OutOfMemory {
        limit_mib: u64,
    },
    DiskFull {
        limit_mib: u64,
    },
    TooManyProcesses {
        limit: u32,
    },
    /// The job's own duration limit was reached.
    TimeLimit {
        seconds: u64,
    },
    /// The requester stopped it.
    StoppedByUser,
    /// The money that was held for it was used up.
    OutOfFunds,
    /// The owner's worker shut down or was put into maintenance.
    NodeDrained,
    /// A spot job's device was taken back for a job that pays the full price.
    Preempted,
    /// The platform no longer acknowledges the lease.
    LeaseLost,
    /// It never ran: inputs missing, command not found, sandbox refused.
    FailedToStart {
        reason: String,
    },
    /// No device was found in time after its node was lost.
    NoCapacity {
        reason: String,
    },
    /// Of one member: another one ended the job.
    JobOver,
    /// The machine is not what was hired. Nothing of the lease is paid for.
    SpecMissed {
        reason: String,
    },
    /// It was restarted as often as its specification allows.
    TooManyRestarts {
        restarts: u32,
    },
}

/// Letters of a reason that a worker gives; the rest is cut.
pub const REASON_CHARS_MAX: usize = 500;

impl RunEnd {
    /// What is believed of an end that a worker reports. That the requester stopped the job, and what only the platform
    /// decides, is not for a worker to say: such a run is lost, and the job goes to another node.
    #[must_use]
    pub fn as_reported(self, stop_requested: bool, notice: bool) -> Self {
        match self {
            Self::Preempted if !notice => Self::LeaseLost,
            Self::StoppedByUser | Self::JobOver if !stop_requested => Self::LeaseLost,
            Self::NoCapacity { .. } | Self::TooManyRestarts { .. } | Self::SpecMissed { .. } => {
                Self::LeaseLost
            }
            Self::FailedToStart { reason } => Self::FailedToStart {
                reason: reason.chars().take(REASON_CHARS_MAX).collect(),
            },
            other => other,
        }
    }

    /// The step that this end is for the job. `None`: the job is to run again elsewhere.
    pub const fn job_step(&self) -> JobStep {
        match self {
            Self::Exited { code: 0 } => JobStep::Finish,
            Self::StoppedByUser | Self::JobOver | Self::OutOfFunds | Self::TimeLimit { .. } => {
                JobStep::Stop
            }
            Self::NodeDrained | Self::LeaseLost | Self::Preempted | Self::SpecMissed { .. } => {
                JobStep::Lost
            }
            _ => JobStep::Fail,
        }
    }

    pub fn sentence(&self) -> String {
        match self {
            Self::Exited { code: 0 } => "Finished.".into(),
            Self::Exited { code } => format!("The command ended with exit code {code}."),
            Self::Signalled { signal } => format!("The command was ended by signal {signal}."),
            Self::OutOfMemory { limit_mib } => {
                format!(
                    "It used more than its {limit_mib} MiB of memory and was ended. Ask for more memory."
                )
            }
            Self::DiskFull { limit_mib } => {
                format!("It filled its {limit_mib} MiB of disk. Ask for more disk or write less.")
            }
            Self::TooManyProcesses { limit } => {
                format!("It started more than its {limit} processes.")
            }
            Self::TimeLimit { seconds } => format!("It reached its time limit of {seconds} s."),
            Self::StoppedByUser => "Stopped by you.".into(),
            Self::OutOfFunds => {
                "The balance ran out; it was stopped in time. Nothing is owed.".into()
            }
            Self::NodeDrained => "The owner's machine went into maintenance.".into(),
            Self::Preempted => {
                "Taken back for a job that pays the full price; it goes on elsewhere.".into()
            }
            Self::LeaseLost => "The machine was lost; its silence is not billed.".into(),
            Self::FailedToStart { reason } => {
                format!("It could not start: {reason} Nothing was billed.")
            }
            Self::NoCapacity { reason } => format!("No machine was found for it: {reason}"),
            Self::JobOver => "Another of the job's nodes ended it.".into(),
            Self::SpecMissed { reason } => {
                format!("The machine is not what was hired: {reason}")
            }
            Self::TooManyRestarts { restarts } => {
                format!("It was restarted {restarts} times, as often as it may be.")
            }
        }
    }
}

/// Where a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Given in the database; the worker has not yet said that the process runs.
    Granted,
    Active,
    /// Over; its last receipt is final.
    Ended,
}

impl LeaseState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Granted, Self::Active, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What a device is doing, as its owner and the market see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Free and offered.
    Idle,
    /// Leased to a job.
    Hired,
    /// Its owner does not offer it at the moment.
    Paused,
    /// Its machine is in maintenance: nothing new is sent.
    Maintenance,
    /// Outside the hours in which its owner offers it.
    Closed,
    /// Its node is not connected.
    Down,
    /// Its node cannot isolate jobs, so none are sent.
    Blocked,
}

impl DeviceState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Hired => "hired",
            Self::Paused => "paused",
            Self::Maintenance => "maintenance",
            Self::Closed => "closed",
            Self::Down => "down",
            Self::Blocked => "blocked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_state_admits_no_step() {
        let steps = [
            JobStep::Leased,
            JobStep::Started,
            JobStep::Lost,
            JobStep::Finish,
            JobStep::Fail,
            JobStep::Stop,
        ];
        for state in JobState::ALL {
            let open = steps
                .iter()
                .filter(|step| state.step(**step).is_ok())
                .count();
            assert_eq!(open == 0, state.is_final(), "{state}");
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn a_worker_cannot_speak_for_the_requester_or_the_platform() {
        assert_eq!(
            RunEnd::StoppedByUser.as_reported(false, false),
            RunEnd::LeaseLost
        );
        assert_eq!(
            RunEnd::StoppedByUser.as_reported(true, false),
            RunEnd::StoppedByUser
        );
        assert_eq!(
            RunEnd::Preempted.as_reported(true, false),
            RunEnd::LeaseLost
        );
        assert_eq!(RunEnd::Preempted.as_reported(true, true), RunEnd::Preempted);
        let beyond = RunEnd::TooManyRestarts { restarts: 0 };
        assert_eq!(beyond.as_reported(true, true), RunEnd::LeaseLost);
        let missed = RunEnd::SpecMissed {
            reason: String::new(),
        };
        assert_eq!(missed.as_reported(true, true), RunEnd::LeaseLost);
        let long = RunEnd::FailedToStart {
            reason: "é".repeat(REASON_CHARS_MAX + 1),
        };
        let RunEnd::FailedToStart { reason } = long.as_reported(false, false) else {
            unreachable!("a failed start stays one")
        };
        assert_eq!(reason.chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn an_illegal_step_names_both() {
        let error = JobState::Finished
            .step(JobStep::Started)
            .expect_err("final");
        assert_eq!(error.to_string(), "a job that is finished cannot Started");
    }
}
