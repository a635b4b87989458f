//! The kernel's tables of cgroups: what is mounted where, and in which groups a process is.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One mounted cgroup file system.
pub(super) struct Mount {
    pub(super) root: String,
    pub(super) point: PathBuf,
    pub(super) v2: bool,
    pub(super) options: Vec<String>,
}

pub(super) fn mounts(mountinfo: &str) -> Vec<Mount> {
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
pub(super) fn directory(mount: &Mount, path: &str) -> PathBuf {
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
pub(super) fn memberships(text: &str) -> BTreeMap<String, String> {
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
