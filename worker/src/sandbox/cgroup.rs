//! Control groups, version 1 (also hybrid) and version 2: limits, counters, freezing, and cleaning up.
//!
//! A job's groups are made below the agent's own, so that whatever bounds the agent bounds its jobs too. Only
//! directories whose name begins with our own prefix are ever removed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::report::Usage;
use super::wire::JobLimits;

/// What must be controllable for a job to be contained.
const NEEDED: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "freezer"];
const NEEDED_V2: [&str; 3] = ["memory", "pids", "cpu"];
/// The sandbox's first process, and a little for what the kernel charges to a job that is not the job's own.
const OWN_PIDS: u64 = 1;
const OWN_MEMORY: u64 = 8 * 1024 * 1024;
/// The leaf into which an agent on version 2 steps down, so that its group may delegate.
const AGENTS_LEAF: &str = "iog-agent";

/// Where job groups are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hierarchy {
    /// Controller → the agent's own directory in that hierarchy. Several controllers may share one.
    V1(BTreeMap<String, PathBuf>),
    /// A directory that delegates memory, pids and cpu and holds no process itself.
    V2(PathBuf),
}

/// One mounted cgroup file system.
struct Mount {
    root: String,
    point: PathBuf,
    v2: bool,
    options: Vec<String>,
}

fn mounts(mountinfo: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let v2 = match *after.first()? {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        Some(Mount {
            root: (*before.get(3)?).to_owned(),
            point: PathBuf::from(before.get(4)?),
            v2,
            options: after.get(2)?.split(',').map(str::to_owned).collect(),
        })
    };
    mountinfo.lines().filter_map(parse).collect()
}

/// The directory of the group `path` (as /proc/self/cgroup names it) under a mount that may show only a part.
fn directory(mount: &Mount, path: &str) -> PathBuf {
    let inner = path
        .strip_prefix(mount.root.trim_end_matches('/'))
        .unwrap_or("");
    let inner = inner.trim_start_matches('/');
    if inner.is_empty() || inner.starts_with("..") {
        mount.point.clone()
    } else {
        mount.point.join(inner)
    }
}

/// Lines `id:controllers:path` as controller → path; version 2 under the empty name.
fn memberships(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        if let (Some(controllers), Some(path)) = (parts.next(), parts.next()) {
            for controller in controllers.split(',') {
                all.insert(controller.to_owned(), path.to_owned());
            }
        }
    }
    all
}

impl Hierarchy {
    /// Finds where this process may make groups.
    ///
    /// # Errors
    /// What is missing, one sentence each.
    pub fn discover() -> Result<Self, Vec<String>> {
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|error| vec![format!("{path}: {error}")])
        };
        Self::from_tables(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
    }

    fn from_tables(mountinfo: &str, membership: &str) -> Result<Self, Vec<String>> {
        let mounts = mounts(mountinfo);
        let groups = memberships(membership);
        let unified = mounts.iter().find(|mount| mount.v2).map(|mount| {
            let own = directory(mount, groups.get("").map_or("/", String::as_str));
            (mount.point.clone(), above_leaf(own))
        });
        if let Some((top, own)) = unified {
            let offered =
                std::fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
            if offered
                .split_whitespace()
                .any(|controller| controller == "memory")
            {
                return delegate_v2(&top, &own);
            }
        }
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for controller in NEEDED {
            let mount = mounts
                .iter()
                .find(|m| !m.v2 && m.options.iter().any(|option| option == controller));
            let Some(mount) = mount else {
                missing.push(format!(
                    "the cgroup controller `{controller}` is not mounted"
                ));
                continue;
            };
            let own = directory(mount, groups.get(controller).map_or("/", String::as_str));
            if writable(&own) {
                found.insert(controller.to_owned(), own);
            } else {
                missing.push(format!(
                    "no right to make cgroups in {}: run the worker as root, or delegate it (docs/worker.md)",
                    own.display()
                ));
            }
        }
        if missing.is_empty() {
            Ok(Self::V1(found))
        } else {
            Err(missing)
        }
    }

    /// Ends and removes groups that an agent of this name left behind when it was killed with its helpers.
    /// Answers how many it removed.
    pub fn clean_leftovers(&self, prefix: &str) -> usize {
        let mut names = std::collections::BTreeSet::new();
        for parent in self.parents() {
            let Ok(entries) = std::fs::read_dir(parent) else {
                continue;
            };
            names.extend(
                entries
                    .flatten()
                    .filter_map(|entry| entry.file_name().into_string().ok())
                    .filter(|name| name.starts_with(prefix)),
            );
        }
        for name in &names {
            let group = JobGroup::at(self, name);
            group.kill();
            group.remove(Duration::from_secs(2));
        }
        names.len()
    }

    fn parents(&self) -> Vec<&Path> {
        match self {
            Self::V1(found) => {
                let mut parents: Vec<&Path> = found.values().map(PathBuf::as_path).collect();
                parents.dedup();
                parents
            }
            Self::V2(parent) => vec![parent],
        }
    }
}

/// Looking a second time, the agent stands in its own leaf: the group that delegates is the one above.
fn above_leaf(own: PathBuf) -> PathBuf {
    match own.parent() {
        Some(parent) if own.ends_with(AGENTS_LEAF) => parent.to_owned(),
        _ => own,
    }
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Version 2 delegates controllers only from a group without processes: the agent steps down into a leaf, and when
/// others share its group (a login shell), root makes a group of its own at the top.
fn delegate_v2(top: &Path, own: &Path) -> Result<Hierarchy, Vec<String>> {
    let me = rustix::process::getpid().as_raw_nonzero().to_string();
    let enable = |group: &Path| -> io::Result<()> {
        for controller in NEEDED_V2 {
            std::fs::write(
                group.join("cgroup.subtree_control"),
                format!("+{controller}"),
            )?;
        }
        Ok(())
    };
    let step_down = || -> io::Result<()> {
        let leaf = own.join(AGENTS_LEAF);
        std::fs::create_dir_all(&leaf)?;
        std::fs::write(leaf.join("cgroup.procs"), &me)?;
        enable(own)
    };
    let own_top = || -> io::Result<PathBuf> {
        enable(top)?;
        let group = top.join("iog-worker");
        std::fs::create_dir_all(&group)?;
        enable(&group)?;
        Ok(group)
    };
    if enable(own).or_else(|_| step_down()).is_ok() {
        return Ok(Hierarchy::V2(own.to_owned()));
    }
    own_top().map(Hierarchy::V2).map_err(|error| {
        vec![format!(
            "cannot delegate cgroup controllers below {} ({error}): run the worker as root, or as a systemd service with Delegate=yes",
            own.display()
        )]
    })
}

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

    fn from_tables(mountinfo: &str, membership: &str) -> Result<Self, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JobLimits = JobLimits {
        memory_bytes: 100 << 20,
        disk_bytes: 50 << 20,
        cpu_millis: 1_500,
        pids: 32,
    };

    /// Version 2 cannot be mounted with its controllers on every machine: the files' names and forms are what can be
    /// held to everywhere.
    #[test]
    fn version_2_limits_and_counters() {
        let dir = tempfile::tempdir().expect("tempdir");
        let group =
            JobGroup::create(&Hierarchy::V2(dir.path().to_owned()), "iog-x-1").expect("create");
        let at = dir.path().join("iog-x-1");
        for file in [
            "memory.max",
            "memory.swap.max",
            "pids.max",
            "cpu.max",
            "cgroup.freeze",
        ] {
            std::fs::write(at.join(file), "").expect("write");
        }
        group.set_limits(&LIMITS).expect("limits");
        let read = |file: &str| std::fs::read_to_string(at.join(file)).expect("read");
        assert_eq!(read("memory.max"), ((158u64) << 20).to_string());
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("pids.max"), "33");
        assert_eq!(read("cpu.max"), "150000 100000");
        group.freeze(true).expect("freeze");
        assert_eq!(read("cgroup.freeze"), "1");
        std::fs::write(
            at.join("memory.events"),
            "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n",
        )
        .expect("write");
        std::fs::write(at.join("pids.events"), "max 41\n").expect("write");
        std::fs::write(at.join("cpu.stat"), "usage_usec 1234\nuser_usec 1000\n").expect("write");
        std::fs::write(at.join("memory.current"), "5000\n").expect("write");
        std::fs::write(at.join("memory.stat"), "anon 1\ninactive_file 1000\n").expect("write");
        std::fs::write(at.join("pids.current"), "3\n").expect("write");
        assert_eq!((group.oom_kills(), group.pid_limit_hits()), (2, 41));
        assert_eq!(
            group.usage(),
            Usage {
                cpu_us: 1234,
                memory_bytes: 4000,
                pids: 2,
                disk_bytes: 0
            }
        );
    }

    #[test]
    fn own_directory_is_found_also_when_a_container_shows_only_a_part() {
        let mount = |root: &str| Mount {
            root: root.into(),
            point: "/sys/fs/cgroup".into(),
            v2: true,
            options: vec![],
        };
        assert_eq!(
            directory(&mount("/"), "/user.slice/a"),
            PathBuf::from("/sys/fs/cgroup/user.slice/a")
        );
        assert_eq!(
            directory(&mount("/docker/x"), "/docker/x"),
            PathBuf::from("/sys/fs/cgroup")
        );
        assert_eq!(
            directory(&mount("/docker/x"), "/docker/x/y"),
            PathBuf::from("/sys/fs/cgroup/y")
        );
        assert_eq!(
            directory(&mount("/"), "/../.."),
            PathBuf::from("/sys/fs/cgroup")
        );
    }

    #[test]
    fn version_2_is_found_again_from_the_leaf_that_the_agent_stepped_into() {
        let dir = tempfile::tempdir().expect("tempdir");
        let service = dir.path().join("system.slice/iog-worker.service");
        std::fs::create_dir_all(service.join(AGENTS_LEAF)).expect("mkdir");
        std::fs::write(service.join("cgroup.controllers"), "cpu memory pids\n").expect("write");
        let mountinfo = format!(
            "30 23 0:26 / {} rw,nosuid - cgroup2 cgroup2 rw\n",
            dir.path().display()
        );
        let found = |group: &str| {
            let group = format!("0::/system.slice/iog-worker.service{group}\n");
            Hierarchy::from_tables(&mountinfo, &group)
        };
        assert_eq!(found(""), Ok(Hierarchy::V2(service.clone())));
        assert_eq!(found("/iog-agent"), Ok(Hierarchy::V2(service)));
    }

    #[test]
    fn a_limit_that_an_engine_did_not_keep_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("machine.slice/libpod-1");
        std::fs::create_dir_all(&at).expect("mkdir");
        let write = |file: &str, text: &str| std::fs::write(at.join(file), text).expect("write");
        write("memory.max", &((158_u64) << 20).to_string());
        write("pids.max", "33\n");
        write("cpu.max", "150000 100000\n");
        write("cgroup.freeze", "0");
        let table = format!(
            "30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n",
            dir.path().display()
        );
        let group = JobGroup::from_tables(&table, "0::/machine.slice/libpod-1\n").expect("found");
        assert_eq!(group.hold_against(&LIMITS), Ok(()));
        assert!(group.is_of("libpod-1") && !group.is_of("libpod-2") && !group.is_of(""));
        for (file, wrong, right) in [
            ("pids.max", "max", "33"),
            ("memory.max", "999999999", "1"),
            ("cpu.max", "max 100000", "1 1"),
        ] {
            write(file, wrong);
            let why = group.hold_against(&LIMITS).expect_err(file);
            assert!(why.contains(file), "{why}");
            write(file, right);
        }
        assert!(JobGroup::from_tables("", "0::/\n").is_err());
    }

    #[test]
    fn a_missing_controller_is_named() {
        let missing = Hierarchy::from_tables("", "0::/\n").expect_err("nothing is mounted");
        assert!(
            missing.iter().any(|line| line.contains("`memory`")),
            "{missing:?}"
        );
    }

    #[test]
    fn leftovers_are_only_those_of_our_name() {
        let dir = tempfile::tempdir().expect("tempdir");
        for name in ["iog-ab12-1", "iog-ab12-2", "iog-ff00-1", "docker"] {
            std::fs::create_dir(dir.path().join(name)).expect("mkdir");
        }
        let hierarchy = Hierarchy::V2(dir.path().to_owned());
        assert_eq!(hierarchy.clean_leftovers("iog-ab12-"), 2);
        assert!(!dir.path().join("iog-ab12-1").exists());
        assert!(dir.path().join("iog-ff00-1").exists());
        assert!(dir.path().join("docker").exists());
    }
}
