//! What an engine is asked to make: the container of one job. The golden file beside this is what strangers' code is allowed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::runtime::{CPU_PERIOD_US, HOST_NAME, JOB_UID, MASKED, PROC_READ_ONLY};
use crate::sandbox::JobLimits;

/// Every container and image of ours carries it; only what carries this node's is ever listed, stopped or removed.
pub const NODE_LABEL: &str = "iog.node";
/// Where in the container lie the program that is its process 1, the libraries that it wants, and the socket to its helper.
pub const OWN_DIRECTORY: &str = "/.iog";
/// What engines mask of themselves is said again: to name any is to name all.
const ENGINES_MASK: [&str; 4] = [
    "/proc/interrupts",
    "/proc/latency_stats",
    "/proc/timer_stats",
    // All of it: the sandbox has none either.
    "/sys",
];

/// The container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ask {
    /// Of the instance that makes it.
    pub node: String,
    pub labels: Vec<(String, String)>,
    /// By its id.
    pub image: String,
    /// Read-only: where it is, where the job sees it.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// Names in /dev.
    pub device_nodes: Vec<String>,
    /// UUIDs of NVIDIA's cards; their nodes and the driver's files come by CDI.
    pub cards: Vec<String>,
    pub limits: JobLimits,
    /// Podman takes no `MaskedPaths` over Docker's interface, but has a word of its own for them, which Docker refuses.
    pub podman: bool,
}

/// The highest limits that this process may ask for: an engine cannot give more than it has.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    pub open_files: u64,
    pub processes: u64,
}

/// Whether an engine can be asked to bind this: podman writes source and target into one line of text, and takes it apart at commas. A
/// name with one in it, such as an image's `x,source=home`, would bind what it names.
///
/// # Errors
/// The name, and why it is refused.
pub fn plain(path: &Path) -> Result<(), String> {
    let odd = |letter: char| letter.is_control() || matches!(letter, ',' | '"' | '\\');
    match path.to_str() {
        Some(text) if !text.contains(odd) => Ok(()),
        _ => Err(format!(
            "`{}` cannot be bound into an engine's container: its name holds a comma, a quotation mark, a backslash or what is no text",
            path.to_string_lossy().escape_debug()
        )),
    }
}

/// Whether the engine binds what it was asked to, and nothing else, by its own answer about the container that it made.
///
/// # Errors
/// The first difference.
pub fn bound_as_asked(asked: &[(PathBuf, PathBuf)], container: &Value) -> Result<(), String> {
    // It may name a source by another way to the same file.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut open = BTreeSet::new();
    for (from, to) in asked {
        open.insert((real(from), to.components().collect::<PathBuf>()));
    }
    let told = container.get("Mounts").and_then(Value::as_array);
    for mount in told.into_iter().flatten() {
        let text = |name: &str| mount.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("Type") == "tmpfs" {
            continue;
        }
        let (from, to) = (Path::new(text("Source")), Path::new(text("Destination")));
        let is_read_only = mount.get("RW") == Some(&Value::Bool(false));
        if !is_read_only || !open.remove(&(real(from), to.components().collect())) {
            return Err(format!(
                "the engine would bind {} at {}{}, which it was not asked to",
                from.display(),
                to.display(),
                if is_read_only { "" } else { " for writing" }
            ));
        }
    }
    match open.first() {
        None => Ok(()),
        Some((from, to)) => Err(format!(
            "the engine did not bind {} at {}, as it was asked to",
            from.display(),
            to.display()
        )),
    }
}

/// The body of the call that makes it. `entry`: how its process 1 is started.
pub fn create(ask: &Ask, entry: &[String], ceilings: Ceilings) -> Value {
    let mut labels = serde_json::Map::new();
    labels.insert(NODE_LABEL.to_owned(), json!(ask.node));
    for (name, value) in &ask.labels {
        labels.insert(name.clone(), json!(value));
    }
    let mount = |(from, to): &(PathBuf, PathBuf)| json!({"Type": "bind", "Source": from, "Target": to, "ReadOnly": true, "BindOptions": {"Propagation": "rprivate"}});
    let limits = &ask.limits;
    let memory = crate::sandbox::cgroup::memory_with_own(limits);
    let space = format!("rw,exec,nosuid,nodev,size={},mode=1777", limits.disk_bytes);
    let closed = "rw,noexec,nosuid,nodev,size=65536,mode=755";
    let ulimit = |name: &str, most: u64| json!({"Name": name, "Soft": most, "Hard": most});
    let masked: Vec<String> = MASKED
        .iter()
        .map(|name| format!("/proc/{name}"))
        .chain(ENGINES_MASK.map(str::to_owned))
        .collect();
    let by_hand = |name: &&String| !name.starts_with("nvidia");
    let device = |name: &String| {
        let path = format!("/dev/{name}");
        json!({"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"})
    };
    let cards: Vec<String> = ask
        .cards
        .iter()
        .map(|uuid| format!("nvidia.com/gpu={uuid}"))
        .collect();
    let requests = if cards.is_empty() {
        json!([])
    } else {
        json!([{"Driver": "cdi", "DeviceIDs": cards}])
    };
    let mut security = vec!["no-new-privileges".to_owned()];
    if ask.podman {
        security.push(format!("mask={}", masked.join(":")));
    }
    json!({
        "Image": ask.image,
        "Hostname": HOST_NAME,
        "User": format!("{JOB_UID}:{JOB_UID}"),
        "WorkingDir": "/",
        // The job's own variables come by the socket: others may look at a container's.
        "Env": [],
        "Entrypoint": entry,
        "Cmd": [],
        "Labels": labels,
        "HostConfig": {
            // Should the helper be killed, process 1 ends by itself and the engine takes the container away.
            "AutoRemove": true,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none"},
            "Mounts": ask.mounts.iter().map(mount).collect::<Vec<_>>(),
            // Engines with a read-only root may make the last two by themselves, and open to everybody.
            "Tmpfs": {"/job": space, "/tmp": space, "/run": closed, "/var/tmp": closed},
            "ShmSize": limits.disk_bytes,
            "ReadonlyRootfs": true,
            "NetworkMode": "none",
            // Docker gives such a network no IPv6: a program that listens at ::1 would fail.
            "Sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"},
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "CapDrop": ["ALL"],
            "SecurityOpt": security,
            "MaskedPaths": masked,
            "ReadonlyPaths": PROC_READ_ONLY.map(|name| format!("/proc/{name}")),
            "Memory": memory,
            "MemorySwap": memory,
            "CpuPeriod": CPU_PERIOD_US,
            "CpuQuota": (limits.cpu_millis.saturating_mul(CPU_PERIOD_US) / 1_000).max(1_000),
            "PidsLimit": limits.pids.saturating_add(1),
            "Ulimits": [ulimit("nofile", ceilings.open_files), ulimit("nproc", ceilings.processes), ulimit("core", 0)],
            "Devices": ask.device_nodes.iter().filter(by_hand).map(device).collect::<Vec<_>>(),
            "DeviceRequests": requests,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What podman makes of commas in a mount is the owner's /home in a stranger's job.
    #[test]
    fn escape_by_a_name_that_an_engine_takes_apart_is_refused() {
        for name in [
            "/i/x,source=home",
            "/i/a\"b",
            "/i/a\\b",
            "/i/a\nb",
            "/i/a\u{7f}",
        ] {
            assert!(plain(Path::new(name)).is_err(), "{name:?}");
        }
        let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/i/\xff");
        assert!(plain(Path::new(bytes)).is_err());
        assert_eq!(plain(Path::new("/i/a b=c:d")), Ok(()));
    }

    #[test]
    fn mounts_that_an_engine_made_otherwise_than_asked_are_seen() {
        let asked = [("/usr", "/usr"), ("/etc", "/lent/")];
        let asked = asked.map(|(from, to)| (PathBuf::from(from), PathBuf::from(to)));
        let bind = |from: &str, to: &str, open: bool| json!({"Type": "bind", "Source": from, "Destination": to, "RW": open});
        let good = [
            bind("/etc", "/lent", false),
            bind("/usr/../usr", "/usr", false),
            json!({"Type": "tmpfs", "Destination": "/job", "RW": true}),
        ];
        let told = |mounts: &[Value]| bound_as_asked(&asked, &json!({"Mounts": mounts}));
        assert_eq!(told(&good), Ok(()));
        for (wrong, word) in [
            (bind("/home", "/usr", false), "/home"),
            (bind("/usr", "/home", false), "at /home"),
            (bind("/usr", "/usr", true), "for writing"),
            (json!({"Type": "tmpfs"}), "did not bind /usr"),
        ] {
            let why = told(&[good[0].clone(), wrong]).expect_err(word);
            assert!(why.contains(word), "{why}");
        }
        let more = [&good[..], &[bind("/home", "/x", false)]].concat();
        assert!(told(&more).is_err() && bound_as_asked(&asked, &json!({})).is_err());
    }

    /// What is allowed here is what strangers' code is allowed: a change wants a second look.
    #[test]
    fn the_container_that_is_asked_for() {
        let mut ask = Ask {
            node: "0123456789ab".into(),
            labels: vec![
                ("iog.job".into(), "job_1".into()),
                ("iog.epoch".into(), "3".into()),
            ],
            image: "sha256:44a3".into(),
            mounts: vec![
                ("/usr".into(), "/usr".into()),
                ("/opt/models".into(), "/opt/models".into()),
            ],
            device_nodes: vec![
                "nvidia0".into(),
                "nvidiactl".into(),
                "dri/renderD128".into(),
            ],
            cards: vec!["GPU-6e8f2d5c".into()],
            limits: JobLimits {
                memory_bytes: 1 << 30,
                disk_bytes: 1 << 28,
                cpu_millis: 1_500,
                pids: 64,
            },
            podman: false,
        };
        let entry = ["/.iog/worker".to_owned(), "__sandbox-inside".to_owned()];
        let ceilings = Ceilings {
            open_files: 65_536,
            processes: 16_384,
        };
        let asked = create(&ask, &entry, ceilings);
        insta::assert_json_snapshot!(asked);
        ask.podman = true;
        let podman = create(&ask, &entry, ceilings)["HostConfig"]["SecurityOpt"].clone();
        let masked = asked["HostConfig"]["MaskedPaths"]
            .as_array()
            .expect("paths");
        let masked: Vec<&str> = masked.iter().filter_map(Value::as_str).collect();
        assert_eq!(
            podman,
            json!(["no-new-privileges", format!("mask={}", masked.join(":"))])
        );
    }
}
