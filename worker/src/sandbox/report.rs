//! How a job ended, and what it used.

use serde::{Deserialize, Serialize};

/// Why the worker itself stopped a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The lease was not renewed in time: the job may already run elsewhere.
    Lease,
    /// The requester or the platform asked for it.
    Requested,
    /// The paid seconds were used up.
    Funds,
    /// The job's own time limit.
    TimeLimit,
    /// It kept running into its process limit.
    PidLimit,
    /// The worker shuts down.
    Drain,
    /// The agent process died.
    AgentLost,
    /// The helper that watches the job died.
    HelperLost,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// The kernel killed a process of the job at its memory limit.
    OutOfMemory,
    /// The writable space was full when the job failed.
    DiskFull,
    /// Making a process or thread was refused at the limit, and the job failed or was stopped for it.
    PidLimit,
    TimeLimit,
    Killed {
        reason: StopReason,
    },
    FailedToStart {
        why: String,
    },
}

/// What the job uses, as the cgroup counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Since the start, all cores together.
    pub cpu_us: u64,
    /// Without page cache that can be dropped at any time.
    pub memory_bytes: u64,
    pub pids: u64,
    pub disk_bytes: u64,
}

/// What was packed from /job/out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefacts {
    pub files: u64,
    pub bytes: u64,
    /// Files that did not fit, or are neither file nor directory.
    pub left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub end: End,
    /// The process's own exit code, also when the worker asked it to stop.
    pub exit_code: Option<i32>,
    /// From the start of the process to its end.
    pub ran_ms: u64,
    pub peak_memory_bytes: u64,
    pub usage: Usage,
    pub artefacts: Artefacts,
}

/// What is known when a job has ended.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub failed_to_start: Option<String>,
    pub stopped_for: Option<StopReason>,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub oom_kills: u64,
    pub disk_full: bool,
    pub pid_limit_hits: u64,
}

impl Facts {
    /// The one name for what happened. A job that exits with 0 by itself succeeded, whatever limit it brushed.
    pub fn end(&self) -> End {
        if let Some(why) = &self.failed_to_start {
            return End::FailedToStart { why: why.clone() };
        }
        match self.stopped_for {
            Some(StopReason::TimeLimit) => return End::TimeLimit,
            Some(StopReason::PidLimit) => return End::PidLimit,
            Some(reason) => return End::Killed { reason },
            None => {}
        }
        match (self.code, self.signal) {
            (Some(0), _) => End::Exited { code: 0 },
            _ if self.oom_kills > 0 => End::OutOfMemory,
            _ if self.disk_full => End::DiskFull,
            _ if self.pid_limit_hits > 0 => End::PidLimit,
            (Some(code), _) => End::Exited { code },
            (None, Some(signal)) => End::Signalled { signal },
            (None, None) => End::Killed {
                reason: StopReason::HelperLost,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Facts {
        Facts {
            code: Some(1),
            ..Facts::default()
        }
    }

    #[test]
    fn each_end_has_its_name() {
        assert_eq!(failed().end(), End::Exited { code: 1 });
        assert_eq!(
            Facts {
                signal: Some(11),
                ..Facts::default()
            }
            .end(),
            End::Signalled { signal: 11 }
        );
        assert_eq!(
            Facts {
                oom_kills: 1,
                signal: Some(9),
                ..Facts::default()
            }
            .end(),
            End::OutOfMemory
        );
        assert_eq!(
            Facts {
                disk_full: true,
                ..failed()
            }
            .end(),
            End::DiskFull
        );
        assert_eq!(
            Facts {
                pid_limit_hits: 3,
                ..failed()
            }
            .end(),
            End::PidLimit
        );
        assert_eq!(
            Facts {
                stopped_for: Some(StopReason::Funds),
                code: Some(0),
                ..Facts::default()
            }
            .end(),
            End::Killed {
                reason: StopReason::Funds
            }
        );
        assert_eq!(
            Facts::default().end(),
            End::Killed {
                reason: StopReason::HelperLost
            }
        );
    }

    #[test]
    fn a_job_that_exits_with_zero_succeeded_whatever_it_brushed() {
        let facts = Facts {
            code: Some(0),
            disk_full: true,
            oom_kills: 2,
            pid_limit_hits: 9,
            ..Facts::default()
        };
        assert_eq!(facts.end(), End::Exited { code: 0 });
    }
}
