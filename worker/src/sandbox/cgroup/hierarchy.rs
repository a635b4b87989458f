//! Where this process may make groups, on version 1, hybrid and version 2; and what an agent left there when it was killed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mounts::{directory, memberships, mounts};
use super::{JobGroup, NEEDED, writable};

const NEEDED_V2: [&str; 3] = ["memory", "pids", "cpu"];
/// The leaf into which an agent on version 2 steps down, so that its group may delegate.
pub(super) const AGENTS_LEAF: &str = "iog-agent";

/// Where job groups are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hierarchy {
    /// Controller → the agent's own directory in that hierarchy. Several controllers may share one.
    V1(BTreeMap<String, PathBuf>),
    /// A directory that delegates memory, pids and cpu and holds no process itself.
    V2(PathBuf),
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

    pub(super) fn from_tables(mountinfo: &str, membership: &str) -> Result<Self, Vec<String>> {
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
            "cannot delegate cgroup controllers below {} ({error}): run the worker as root, as a systemd service with Delegate=yes, or from a shell by `systemd-run --user --scope -p Delegate=yes iog-worker …`",
            own.display()
        )]
    })
}
