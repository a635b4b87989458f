//! The groups of a container: found where its engine made them, and held against what was asked for.

use std::collections::BTreeMap;

use super::mounts::{Mount, directory, memberships, mounts};
use super::{JobGroup, NEEDED, OWN_PIDS, memory_with_own, quota_us, writable};
use crate::sandbox::wire::JobLimits;

impl JobGroup {
    /// Those in which a container's first process was put, wherever its engine made them.
    ///
    /// # Errors
    /// What must be controllable and is not.
    pub fn of_container(pid: rustix::process::Pid) -> Result<Self, String> {
        let read = |path: String| {
            std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        let mountinfo = read("/proc/self/mountinfo".to_owned())?;
        let membership = read(format!("/proc/{}/cgroup", pid.as_raw_nonzero()))?;
        let found = Self::from_tables(&mountinfo, &membership)?;
        let own = Self::from_tables(&mountinfo, &read("/proc/self/cgroup".to_owned())?)?;
        if own
            .distinct()
            .iter()
            .any(|path| found.distinct().contains(path))
        {
            return Err("the engine put the job into the worker's own cgroup".to_owned());
        }
        Ok(found)
    }

    pub(super) fn from_tables(mountinfo: &str, membership: &str) -> Result<Self, String> {
        let mounts = mounts(mountinfo);
        let groups = memberships(membership);
        let of = |mount: &Mount, name: &str| groups.get(name).map(|path| directory(mount, path));
        let v1 = NEEDED.iter().map(|controller| {
            let mount = mounts
                .iter()
                .find(|m| !m.v2 && m.options.iter().any(|option| option == controller))?;
            Some(((*controller).to_owned(), of(mount, controller)?))
        });
        if let Some(directories) = v1.collect() {
            let v2 = false;
            return Ok(Self { v2, directories });
        }
        let unified = mounts.iter().find(|mount| mount.v2);
        let path = unified.and_then(|mount| of(mount, ""));
        let path = path.ok_or("the container's cgroups are not in view")?;
        Ok(Self {
            v2: true,
            directories: BTreeMap::from([(String::new(), path)]),
        })
    }

    /// Whether an engine kept the limits that it was asked for, and may be frozen.
    ///
    /// # Errors
    /// The one that it did not keep.
    pub fn hold_against(&self, limits: &JobLimits) -> Result<(), String> {
        let files = if self.v2 {
            [("", "memory.max"), ("", "pids.max"), ("", "cpu.max")]
        } else {
            [
                ("memory", "memory.limit_in_bytes"),
                ("pids", "pids.max"),
                ("cpu", "cpu.cfs_quota_us"),
            ]
        };
        let pids = limits.pids.saturating_add(OWN_PIDS);
        let most = [memory_with_own(limits), pids, quota_us(limits)];
        for ((controller, file), most) in files.into_iter().zip(most) {
            let text = self.read(controller, file);
            // "max" and -1 are no limit, and no number.
            let first = text.split_whitespace().next();
            let kept = first.and_then(|word| word.parse::<u64>().ok());
            if kept.is_none_or(|kept| kept > most) {
                let found = text.trim();
                return Err(format!(
                    "the engine did not keep a limit of the job: {file} is `{found}`, asked was {most}"
                ));
            }
        }
        let freezes = if self.v2 {
            self.path("", "cgroup.freeze")
        } else {
            self.path("freezer", "freezer.state")
        };
        if writable(&freezes) {
            return Ok(());
        }
        Err(format!(
            "no right to freeze the container ({}): run the worker as root, or with an engine of its own user",
            freezes.display()
        ))
    }

    /// Whether what [`kill`](Self::kill) would end is the container with this id: engines name groups by it.
    pub fn is_of(&self, container: &str) -> bool {
        let path = self.path("freezer", "cgroup.procs");
        !container.is_empty() && path.to_string_lossy().contains(container)
    }
}
