//! What is to be run, as an OCI runtime specification: the one text that every executor is given, made of the job, its
//! image and its limits.
//!
//! Written out whole and not with the library's builders: what they leave out they fill in, capabilities among it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::sandbox::JobLimits;

const OCI_VERSION: &str = "1.2.0";
/// Inside, every job is this user.
pub const JOB_UID: u32 = 1_000;
pub const HOST_NAME: &str = "job";
pub const OPEN_FILES: u64 = 65_536;
/// First to go when the owner's machine runs out of memory.
pub const OOM_SCORE: i32 = 1_000;
/// A processor's share is measured over so long.
pub const CPU_PERIOD_US: u64 = 100_000;
/// Everywhere writable; together they have the job's disk.
pub const SPACES: [&str; 3] = ["/job", "/tmp", "/dev/shm"];
/// In what a job leaves: from what is in there it goes on elsewhere.
pub const CHECKPOINT: &str = "checkpoint";
pub const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Of the host, where a job brings no image.
pub const PROGRAMS: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// What /proc tells about the host beyond its processes, or lets one do to it.
pub const MASKED: [&str; 11] = [
    "kcore",
    "keys",
    "key-users",
    "kallsyms",
    "timer_list",
    "sched_debug",
    "sysrq-trigger",
    "acpi",
    "scsi",
    "asound",
    "kpagecount",
];
pub const PROC_READ_ONLY: [&str; 4] = ["sys", "bus", "fs", "irq"];

/// What a specification is made of.
#[derive(Debug)]
pub struct Ask<'a> {
    pub command: &'a [String],
    pub cwd: Option<&'a str>,
    pub env: &'a [(String, String)],
    /// The root of an unpacked image; `None`: the host's programs.
    pub image: Option<&'a Path>,
    /// Names in /dev of what is rented.
    pub device_nodes: &'a [String],
    /// The owner's directories that jobs may read: where they are, where a job sees them.
    pub lent: &'a [(PathBuf, PathBuf)],
    pub limits: JobLimits,
}

/// The specification.
///
/// # Errors
/// Something in it has no place in an OCI specification.
pub fn describe(ask: &Ask<'_>) -> Result<Spec, String> {
    let env: Vec<String> = ask
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let limits = &ask.limits;
    let quota = limits.cpu_millis.saturating_mul(CPU_PERIOD_US) / 1_000;
    let memory = limits.memory_bytes.saturating_add(limits.disk_bytes);
    let proc = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("/proc/{name}")).collect()
    };
    let none: [&str; 0] = [];
    let spec = json!({
        "ociVersion": OCI_VERSION,
        "hostname": HOST_NAME,
        // A small tmpfs, unless an image brings its own; closed for writing either way.
        "root": {"path": ask.image.map_or_else(|| "rootfs".to_owned(), text), "readonly": true},
        "process": {
            "terminal": false,
            "user": {"uid": JOB_UID, "gid": JOB_UID},
            "args": ask.command,
            "env": env,
            "cwd": ask.cwd.unwrap_or("/job"),
            "noNewPrivileges": true,
            "oomScoreAdj": OOM_SCORE,
            "capabilities": {"bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none},
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "hard": OPEN_FILES, "soft": OPEN_FILES},
                {"type": "RLIMIT_CORE", "hard": 0, "soft": 0},
            ],
        },
        "mounts": mounts(ask),
        "linux": {
            "namespaces": [
                {"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "cgroup"},
            ],
            "resources": {
                // The writable spaces are memory too.
                "memory": {"limit": memory, "swap": memory},
                "cpu": {"quota": quota, "period": CPU_PERIOD_US},
                "pids": {"limit": limits.pids},
                "devices": [{"allow": false, "access": "rwm"}],
            },
            "maskedPaths": proc(&MASKED),
            "readonlyPaths": proc(&PROC_READ_ONLY),
            "rootfsPropagation": "private",
        },
    });
    serde_json::from_value(spec).map_err(|error| format!("the job cannot be described: {error}"))
}

/// JSON holds no other paths; one that is changed by this is not found, and that is said.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn mounts(ask: &Ask<'_>) -> Vec<Value> {
    let strict = ["nosuid", "nodev", "noexec"];
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": strict}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "ro", "size=64k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "max=64"]}),
    ];
    for name in DEVICES
        .into_iter()
        .chain(ask.device_nodes.iter().map(String::as_str))
    {
        let path = format!("/dev/{name}");
        mounts.push(json!({"destination": path, "type": "bind", "source": path, "options": ["bind", "nosuid", "noexec"]}));
    }
    let size = format!("size={}", ask.limits.disk_bytes);
    for space in SPACES {
        mounts.push(json!({"destination": space, "type": "tmpfs", "source": "space", "options": ["nosuid", "nodev", size]}));
    }
    let read_only = ["rbind", "ro", "nosuid", "nodev"];
    let mut bind = |from: &Path, to: &Path| {
        let (from, to) = (text(from), text(to));
        mounts
            .push(json!({"destination": to, "type": "bind", "source": from, "options": read_only}));
    };
    if ask.image.is_none() {
        for name in PROGRAMS {
            let path = Path::new("/").join(name);
            bind(&path, &path);
        }
    }
    for (from, to) in ask.lent {
        bind(from, to);
    }
    mounts
}

/// What an executor takes out of a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub command: Vec<String>,
    pub cwd: String,
    pub env: Vec<(String, String)>,
    pub image: Option<PathBuf>,
    pub device_nodes: Vec<String>,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    pub cpu_millis: u64,
    pub pids: u64,
}

impl Told {
    pub const fn limits(&self) -> JobLimits {
        JobLimits {
            memory_bytes: self.memory_bytes,
            disk_bytes: self.disk_bytes,
            cpu_millis: self.cpu_millis,
            pids: self.pids,
        }
    }
}

/// Reads a specification as an executor of ours carries it out: what [`describe`] says may differ from job to job.
/// Everything else must be as the sandbox makes it, or nothing is run.
///
/// # Errors
/// The part that is asked for and would not be kept.
pub fn read(spec: &Spec) -> Result<Told, String> {
    let missing = |what: &str| format!("the specification says nothing about {what}");
    let process = spec
        .process()
        .as_ref()
        .ok_or_else(|| missing("a process"))?;
    let root = spec.root().as_ref().ok_or_else(|| missing("a root"))?;
    let linux = spec.linux().as_ref().ok_or_else(|| missing("Linux"))?;
    let resources = linux
        .resources()
        .as_ref()
        .ok_or_else(|| missing("limits"))?;
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let number = |found: Option<i64>, what: &str| {
        let found = found.and_then(|number| u64::try_from(number).ok());
        found.ok_or_else(|| missing(what))
    };
    let size = mounts
        .iter()
        .find(|mount| mount.destination() == Path::new("/job"))
        .and_then(|mount| mount.options().as_ref())
        .and_then(|options| {
            options
                .iter()
                .find_map(|option| option.strip_prefix("size="))
        })
        .and_then(|size| size.parse::<u64>().ok())
        .ok_or_else(|| missing("the disk"))?;
    let device_nodes = mounts
        .iter()
        .filter(|mount| mount.typ().as_deref() == Some("bind"))
        .filter_map(|mount| mount.destination().strip_prefix("/dev").ok()?.to_str())
        .filter(|name| !DEVICES.contains(name))
        .map(str::to_owned)
        .collect();
    let limit = |bytes: Option<i64>| number(bytes, "memory");
    let memory = limit(
        resources
            .memory()
            .as_ref()
            .and_then(oci_spec::runtime::LinuxMemory::limit),
    )?;
    let cpu = resources.cpu().as_ref();
    let quota = number(
        cpu.and_then(oci_spec::runtime::LinuxCpu::quota),
        "processors",
    )?;
    let pids = number(
        resources
            .pids()
            .as_ref()
            .map(oci_spec::runtime::LinuxPids::limit),
        "processes",
    )?;
    let told = Told {
        command: process.args().clone().unwrap_or_default(),
        cwd: process.cwd().to_string_lossy().into_owned(),
        env: process
            .env()
            .iter()
            .flatten()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        image: Some(root.path().clone()).filter(|path| path.is_absolute()),
        device_nodes,
        memory_bytes: memory.saturating_sub(size),
        disk_bytes: size,
        cpu_millis: quota.saturating_mul(1_000) / CPU_PERIOD_US,
        pids,
    };
    hold_against(spec, &told)?;
    Ok(told)
}

/// The specification of what was read, made anew, must say the same.
fn hold_against(spec: &Spec, told: &Told) -> Result<(), String> {
    let lent: Vec<(PathBuf, PathBuf)> = lent(spec);
    let again = describe(&Ask {
        command: &told.command,
        cwd: Some(&told.cwd),
        env: &told.env,
        image: told.image.as_deref(),
        device_nodes: &told.device_nodes,
        lent: &lent,
        limits: told.limits(),
    })?;
    let parts = |spec: &Spec| -> Result<BTreeMap<String, Value>, String> {
        let value = serde_json::to_value(spec).and_then(serde_json::from_value);
        value.map_err(|error| error.to_string())
    };
    let (asked, kept) = (parts(spec)?, parts(&again)?);
    let differs = asked
        .keys()
        .chain(kept.keys())
        .find(|part| asked.get(*part) != kept.get(*part));
    differs.map_or(Ok(()), |part| {
        Err(format!(
            "this executor does not keep what `{part}` asks for"
        ))
    })
}

/// The owner's directories: bound, and not of the host's programs or /dev.
pub fn lent(spec: &Spec) -> Vec<(PathBuf, PathBuf)> {
    let own = |path: &Path| {
        path.starts_with("/dev")
            || PROGRAMS
                .iter()
                .any(|name| path == Path::new("/").join(name))
    };
    spec.mounts()
        .iter()
        .flatten()
        .filter(|mount| mount.typ().as_deref() == Some("bind") && !own(mount.destination()))
        .filter_map(|mount| Some((mount.source().clone()?, mount.destination().clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JobLimits = JobLimits {
        memory_bytes: 512 << 20,
        disk_bytes: 128 << 20,
        cpu_millis: 1_500,
        pids: 64,
    };

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn spec(image: Option<&Path>, device_nodes: &[String]) -> Spec {
        let env = [
            ("PATH".to_owned(), "/bin".to_owned()),
            ("A".to_owned(), "b=c".to_owned()),
        ];
        describe(&Ask {
            command: &words(&["/bin/sh", "-c", "true"]),
            cwd: image.map(|_| "/srv"),
            env: &env,
            image,
            device_nodes,
            lent: &[("/opt/models".into(), "/opt/models".into())],
            limits: LIMITS,
        })
        .expect("described")
    }

    /// Golden: what a job in an image is given. A change here is a change of what strangers' code may do: look twice.
    #[test]
    fn the_specification_of_a_job_in_an_image_is_this() {
        let tree = Path::new("/state/images/trees/ab/root");
        insta::assert_json_snapshot!(sorted(&spec(Some(tree), &words(&["nvidia0", "nvidiactl"]))));
    }

    #[test]
    fn the_specification_of_a_job_on_the_hosts_programs_is_this() {
        insta::assert_json_snapshot!(sorted(&spec(None, &[])));
    }

    fn sorted(spec: &Spec) -> Value {
        serde_json::to_value(spec).expect("json")
    }

    #[test]
    fn what_is_described_is_read_back_the_same() {
        let tree = Path::new("/state/images/trees/ab/root");
        let told = read(&spec(Some(tree), &words(&["nvidia0"]))).expect("read");
        let wanted = Told {
            command: words(&["/bin/sh", "-c", "true"]),
            cwd: "/srv".into(),
            env: vec![("PATH".into(), "/bin".into()), ("A".into(), "b=c".into())],
            image: Some(tree.into()),
            device_nodes: words(&["nvidia0"]),
            memory_bytes: LIMITS.memory_bytes,
            disk_bytes: LIMITS.disk_bytes,
            cpu_millis: LIMITS.cpu_millis,
            pids: LIMITS.pids,
        };
        assert_eq!(told, wanted);
        let told = read(&spec(None, &[])).expect("read");
        assert_eq!((told.image, told.cwd.as_str()), (None, "/job"));
    }

    #[test]
    fn escape_by_a_specification_that_asks_for_more_is_refused() {
        let changed = |pointer: &str, value: Value| {
            let mut text = sorted(&spec(None, &[]));
            *text.pointer_mut(pointer).expect("is there") = value;
            let spec: Spec = serde_json::from_value(text).expect("a specification");
            read(&spec).expect_err(pointer)
        };
        for (pointer, value, part) in [
            ("/process/user/uid", json!(0), "process"),
            ("/process/noNewPrivileges", json!(false), "process"),
            (
                "/process/capabilities/effective",
                json!(["CAP_SYS_ADMIN"]),
                "process",
            ),
            ("/root/readonly", json!(false), "root"),
            ("/linux/namespaces", json!([{"type": "mount"}]), "linux"),
            ("/linux/maskedPaths", json!([]), "linux"),
            ("/mounts/0/options", json!([]), "mounts"),
            ("/hostname", json!("other"), "hostname"),
        ] {
            let why = changed(pointer, value);
            assert!(why.contains(&format!("`{part}`")), "{pointer}: {why}");
        }
    }
}
