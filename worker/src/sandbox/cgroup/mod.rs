//! Control groups, version 1 (also hybrid) and version 2: limits, counters, freezing, and cleaning up.
//!
//! A job's groups are made below the agent's own, so that whatever bounds the agent bounds its jobs too. Only
//! directories whose name begins with our own prefix are ever removed.
//!
//! Here are a job's groups, their limits and counters; `mounts` reads the kernel's tables, `hierarchy` finds where groups
//! may be made, `container` finds those that an engine made.

mod container;
mod hierarchy;
mod mounts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::Usage;
use super::wire::JobLimits;

pub use hierarchy::Hierarchy;

/// What must be controllable for a job to be contained.
const NEEDED: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "freezer"];
/// The sandbox's first process, and a little for what the kernel charges to a job that is not the job's own.
const OWN_PIDS: u64 = 1;
const OWN_MEMORY: u64 = 8 * 1024 * 1024;

/// The groups of one job.
#[derive(Debug)]
pub struct JobGroup {
    v2: bool,
    /// Controller → directory; version 2 has one, under the empty name.
    directories: BTreeMap<String, PathBuf>,
}

impl JobGroup {
    fn at(hierarchy: &Hierarchy, name: &str) -> Self {
        match hierarchy {
            Hierarchy::V1(parents) => Self {
                v2: false,
                directories: parents
                    .iter()
                    .map(|(c, parent)| (c.clone(), parent.join(name)))
                    .collect(),
            },
            Hierarchy::V2(parent) => Self {
                v2: true,
                directories: BTreeMap::from([(String::new(), parent.join(name))]),
            },
        }
    }
    /// Makes the groups.
    pub fn create(hierarchy: &Hierarchy, name: &str) -> io::Result<Self> {
        let group = Self::at(hierarchy, name);
        for directory in group.distinct() {
            std::fs::create_dir_all(directory).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
            })?;
        }
        Ok(group)
    }

    fn distinct(&self) -> Vec<&Path> {
        let set: std::collections::BTreeSet<&Path> =
            self.directories.values().map(PathBuf::as_path).collect();
        set.into_iter().collect()
    }

    fn path(&self, controller: &str, file: &str) -> PathBuf {
        let key = if self.v2 { "" } else { controller };
        self.directories
            .get(key)
            .map(|directory| directory.join(file))
            .unwrap_or_default()
    }

    fn write(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        let path = self.path(controller, file);
        // Never created: the kernel's file is there, or this kernel has not got it.
        std::fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|mut control| io::Write::write_all(&mut control, value.as_bytes()))
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("{} = {value}: {error}", path.display()),
                )
            })
    }

    fn read(&self, controller: &str, file: &str) -> String {
        std::fs::read_to_string(self.path(controller, file)).unwrap_or_default()
    }

    pub fn add(&self, pid: rustix::process::Pid) -> io::Result<()> {
        let pid = pid.as_raw_nonzero().to_string();
        for directory in self.distinct() {
            std::fs::write(directory.join("cgroup.procs"), &pid).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
            })?;
        }
        Ok(())
    }

    /// Memory holds the job's disk as well, because its writable space is a tmpfs.
    pub fn set_limits(&self, limits: &JobLimits) -> io::Result<()> {
        let memory = memory_with_own(limits).to_string();
        let pids = limits.pids.saturating_add(OWN_PIDS).to_string();
        let quota_us = quota_us(limits);
        if self.v2 {
            self.write("", "memory.max", &memory)?;
            // Absent without swap.
            let _ = self.write("", "memory.swap.max", "0");
            self.write("", "pids.max", &pids)?;
            return self.write("", "cpu.max", &format!("{quota_us} 100000"));
        }
        self.write("memory", "memory.limit_in_bytes", &memory)?;
        // Absent when the kernel does not account swap.
        let _ = self.write("memory", "memory.memsw.limit_in_bytes", &memory);
        self.write("pids", "pids.max", &pids)?;
        self.write("cpu", "cpu.cfs_period_us", "100000")?;
        self.write("cpu", "cpu.cfs_quota_us", &quota_us.to_string())
    }

    /// Room to pack artefacts although the job filled its memory.
    pub fn widen_memory(&self, limits: &JobLimits) {
        let room = JobLimits {
            memory_bytes: limits.memory_bytes.saturating_add(64 * 1024 * 1024),
            ..*limits
        };
        let memory = memory_with_own(&room).to_string();
        if self.v2 {
            let _ = self.write("", "memory.max", &memory);
        } else {
            let _ = self.write("memory", "memory.memsw.limit_in_bytes", &memory);
            let _ = self.write("memory", "memory.limit_in_bytes", &memory);
        }
    }

    /// The job's use so far; `disk_bytes` is not the cgroup's to know.
    pub fn usage(&self) -> Usage {
        let pids = number(&self.read("pids", "pids.current")).saturating_sub(OWN_PIDS);
        if self.v2 {
            let reclaimable = field(&self.read("", "memory.stat"), "inactive_file");
            return Usage {
                cpu_us: field(&self.read("", "cpu.stat"), "usage_usec"),
                memory_bytes: number(&self.read("", "memory.current")).saturating_sub(reclaimable),
                pids,
                disk_bytes: 0,
            };
        }
        let reclaimable = field(&self.read("memory", "memory.stat"), "total_inactive_file");
        Usage {
            cpu_us: number(&self.read("cpuacct", "cpuacct.usage")) / 1_000,
            memory_bytes: number(&self.read("memory", "memory.usage_in_bytes"))
                .saturating_sub(reclaimable),
            pids,
            disk_bytes: 0,
        }
    }

    pub fn peak_memory(&self) -> u64 {
        let file = if self.v2 {
            "memory.peak"
        } else {
            "memory.max_usage_in_bytes"
        };
        number(&self.read("memory", file))
    }

    /// How often the kernel killed a process of the job at its memory limit.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.v2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        field(&self.read("memory", file), "oom_kill")
    }

    /// How often a fork was refused at the process limit.
    pub fn pid_limit_hits(&self) -> u64 {
        field(&self.read("pids", "pids.events"), "max")
    }

    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        if self.v2 {
            self.write("", "cgroup.freeze", if frozen { "1" } else { "0" })
        } else {
            self.write(
                "freezer",
                "freezer.state",
                if frozen { "FROZEN" } else { "THAWED" },
            )
        }
    }

    /// SIGKILL to every process in the group.
    pub fn kill(&self) {
        if self.v2 && self.write("", "cgroup.kill", "1").is_ok() {
            return;
        }
        for line in self.read("freezer", "cgroup.procs").lines() {
            if let Some(pid) = line.parse().ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        // Version 1: a frozen process dies only when it is thawed.
        let _ = self.freeze(false);
    }

    /// Removes the groups; processes need a moment to leave after they died. Answers whether all are gone.
    pub fn remove(&self, patience: Duration) -> bool {
        let pause = Duration::from_millis(1);
        let mut left = patience;
        for directory in self.distinct() {
            loop {
                match std::fs::remove_dir(directory) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(_) if left.is_zero() => return false,
                    Err(_) => {
                        std::thread::sleep(pause);
                        left = left.saturating_sub(pause);
                    }
                }
            }
        }
        true
    }
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// What the cgroup may hold: the job's memory, its disk, and what is not the job's own.
pub fn memory_with_own(limits: &JobLimits) -> u64 {
    let memory = limits.memory_bytes.saturating_add(limits.disk_bytes);
    memory.saturating_add(OWN_MEMORY)
}

/// Of a period of 100 ms.
fn quota_us(limits: &JobLimits) -> u64 {
    limits.cpu_millis.saturating_mul(100).max(1_000)
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The number after `name` in lines of `name number`.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .map_or(0, |(_, value)| number(value))
}
