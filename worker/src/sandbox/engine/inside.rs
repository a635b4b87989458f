//! Process 1 of an engine's container, and how its helper finds it.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, Pid, Resource};
use rustix::time::Timespec;
use serde_json::Value;

use super::body::{self, Ceilings, OWN_DIRECTORY};
use super::{Api, Contained, Refused, remove};
use crate::runtime::{JOB_UID, MASKED, OPEN_FILES};
use crate::sandbox::cgroup::JobGroup;
use crate::sandbox::rootfs::{Setup, step};
use crate::sandbox::wire::{self, FromInit, ToInit};
use crate::sandbox::{boottime_ms, init, rootfs, sys};

/// The first argument that makes this program a container's process 1; not for people.
pub const INSIDE_ARGUMENT: &str = "__sandbox-inside";
const LINE: &str = "line";
const MEETS_WITHIN_MS: u64 = 30_000;
/// A user's processes are counted over the whole machine, and an engine can give no more than it has itself.
const PROCESSES: u64 = 16_384;

/// A container that is removed when this goes out of scope, and the socket that led to it.
pub struct Ours {
    api: Api,
    /// As the engine answered when it made it. Never by name: that may be somebody else's.
    id: Option<String>,
    meet: PathBuf,
    /// The helper has one thread, and asks only when it has nothing else to do.
    runtime: tokio::runtime::Runtime,
}

impl Ours {
    /// The call that makes it.
    fn make(&mut self, name: &str, body: &Value) -> Result<(), Refused> {
        let made = self.post(&format!("/containers/create?name={name}"), Some(body))?;
        let id = made.get("Id").and_then(Value::as_str);
        let none = || Refused::Unread("it names no id for the container".to_owned());
        self.id = Some(id.filter(|id| !id.is_empty()).ok_or_else(none)?.to_owned());
        Ok(())
    }

    fn get(&self) -> Result<Value, Refused> {
        let path = format!(
            "/containers/{}/json",
            self.id.as_deref().unwrap_or_default()
        );
        self.runtime.block_on(self.api.get(&path))
    }

    fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        self.runtime.block_on(self.api.post(path, body))
    }

    pub fn remove(&self) {
        if let Some(id) = &self.id {
            self.runtime.block_on(remove(&self.api, id));
        }
        _ = std::fs::remove_file(&self.meet);
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What the helper holds of a container.
pub struct Met {
    pub socket: OwnedFd,
    pub pidfd: OwnedFd,
    pub group: JobGroup,
    pub ours: Ours,
}

/// A socket of the kind that the helper and process 1 speak over.
fn packets() -> Setup<OwnedFd> {
    step(
        "make a socket",
        rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        ),
    )
}

/// Has the container made, and waits for its process 1, which is made to say that the root is as it must be.
pub fn meet(config: &Contained) -> Setup<Met> {
    let listener = packets()?;
    let address = step(
        "name the socket (is the state directory's path too long?)",
        SocketAddrUnix::new(&config.meet),
    )?;
    step("bind the socket", rustix::net::bind(&listener, &address))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let mut ours = Ours {
        api: config.api.clone(),
        id: None,
        meet: config.meet.clone(),
        runtime: step("make a runtime", runtime)?,
    };
    // Its directory is closed to others; the job's user must be able to dial it.
    step(
        "open the socket",
        std::fs::set_permissions(&config.meet, std::fs::Permissions::from_mode(0o666)),
    )?;
    step("listen", rustix::net::listen(&listener, 1))?;
    let program = program(config)?;
    let mut ask = config.ask.clone();
    ask.mounts.extend(program.mounts);
    let body = body::create(&ask, &program.entry, ceilings());
    for path in ask.mounts.iter().flat_map(|(from, to)| [from, to]) {
        body::plain(path)?;
    }
    step("make the container", ours.make(&config.name, &body))?;
    // Before anything runs in it.
    let made = step("look at the container", ours.get())?;
    body::bound_as_asked(&ask.mounts, &made)?;
    let id = ours.id.as_deref().unwrap_or_default();
    step(
        "start the container",
        ours.post(&format!("/containers/{id}/start"), None),
    )?;
    let (socket, pid) = accept(&listener, &ours)?;
    drop(listener);
    let pidfd = step(
        "hold the container's process",
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()),
    )?;
    let group = JobGroup::of_container(pid)?;
    group.hold_against(&ask.limits)?;
    if rustix::process::test_kill_process(pid).is_err() {
        return Err("this worker may not stop what the engine runs: run the worker as root, or with an engine of its own user".to_owned());
    }
    let (out, err) = (rustix::stdio::stdout(), rustix::stdio::stderr());
    step(
        "talk to the container",
        wire::send(&socket, &ToInit::Build, &[out, err]),
    )?;
    match step("hear the container", wire::receive(&socket))? {
        Some((FromInit::Built, _)) => {}
        Some((FromInit::Failed { why }, _)) => return Err(why),
        _ => return Err("the container's first process died at once".to_owned()),
    }
    Ok(Met {
        socket,
        pidfd,
        group,
        ours,
    })
}

/// The first who dials, if it is the container's own process 1.
fn accept(listener: &OwnedFd, ours: &Ours) -> Setup<(OwnedFd, Pid)> {
    let until = boottime_ms().saturating_add(MEETS_WITHIN_MS);
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        if step("wait for the container", poll(&mut fds, Some(&second)))? > 0 {
            break;
        }
        let state = ours.get();
        let runs = state
            .as_ref()
            .is_ok_and(|state| state.pointer("/State/Running") == Some(&Value::Bool(true)));
        if !runs || boottime_ms() > until {
            let why = state
                .err()
                .map_or_else(String::new, |error| format!(": {error}"));
            return Err(format!(
                "the container's first process did not come up{why}"
            ));
        }
    }
    let socket = step(
        "meet the container",
        rustix::net::accept_with(listener, SocketFlags::CLOEXEC),
    )?;
    let peer = step(
        "know the container's process",
        rustix::net::sockopt::socket_peercred(&socket),
    )?;
    let state = step("look at the container", ours.get())?;
    let told = state.pointer("/State/Pid").and_then(Value::as_i64);
    if told != Some(i64::from(peer.pid.as_raw_nonzero().get())) {
        return Err("who answers is not the container's first process: does the engine run in another machine or namespace?".to_owned());
    }
    Ok((socket, peer.pid))
}

/// Where process 1 comes from.
struct Program {
    mounts: Vec<(PathBuf, PathBuf)>,
    entry: Vec<String>,
}

/// This program and what it wants of the C library, mounted into any image; and how it is started there.
fn program(config: &Contained) -> Setup<Program> {
    let own = Path::new(OWN_DIRECTORY);
    let mut mounts = vec![
        (config.program.clone(), own.join("worker")),
        (config.meet.clone(), own.join(LINE)),
    ];
    let maps = step(
        "see this program's libraries",
        std::fs::read_to_string("/proc/self/maps"),
    )?;
    let mut loader = None;
    let mut files: Vec<&str> = maps
        .lines()
        .filter_map(|line| line.find('/').and_then(|at| line.get(at..)))
        .collect();
    files.sort_unstable();
    files.dedup();
    for file in files.into_iter().map(Path::new) {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if !name.contains(".so") {
            continue;
        }
        let to = own.join("lib").join(&name);
        if name.starts_with("ld-") {
            loader = Some(to.clone());
        }
        mounts.push((file.to_owned(), to));
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut entry = Vec::new();
    if let Some(loader) = loader {
        entry = vec![
            text(&loader),
            "--library-path".to_owned(),
            text(&own.join("lib")),
        ];
    }
    let nodes = step("write", serde_json::to_string(&config.ask.device_nodes))?;
    entry.extend([text(&own.join("worker")), INSIDE_ARGUMENT.to_owned(), nodes]);
    Ok(Program { mounts, entry })
}

fn ceilings() -> Ceilings {
    let most = |resource, most: u64| {
        rustix::process::getrlimit(resource)
            .maximum
            .map_or(most, |hard| hard.min(most))
    };
    Ceilings {
        open_files: most(Resource::Nofile, OPEN_FILES),
        processes: most(Resource::Nproc, PROCESSES),
    }
}

/// The whole life of a container's process 1.
pub fn run(nodes: &str) -> std::process::ExitCode {
    sys::close_inherited();
    let Ok(socket) = dial() else {
        return std::process::ExitCode::FAILURE;
    };
    if let Err(why) = session(&socket, nodes) {
        _ = wire::send(&socket, &FromInit::Failed { why }, &[]);
        return std::process::ExitCode::FAILURE;
    }
    std::process::ExitCode::SUCCESS
}

fn dial() -> Setup<OwnedFd> {
    let socket = packets()?;
    let address = step(
        "name the socket",
        SocketAddrUnix::new(Path::new(OWN_DIRECTORY).join(LINE)),
    )?;
    step("dial the helper", rustix::net::connect(&socket, &address))?;
    Ok(socket)
}

fn session(socket: &OwnedFd, nodes: &str) -> Setup<()> {
    sys::default_signals();
    let Some((ToInit::Build, streams)) = step("hear the helper", wire::receive(socket))? else {
        return Ok(());
    };
    let [out, err] =
        <[OwnedFd; 2]>::try_from(streams).map_err(|_| "no streams were passed".to_owned())?;
    step("stdout", rustix::stdio::dup2_stdout(&out))?;
    step("stderr", rustix::stdio::dup2_stderr(&err))?;
    drop((out, err));
    step(
        "refuse tracing",
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
    )?;
    let status = step(
        "see this process",
        std::fs::read_to_string("/proc/self/status"),
    )?;
    let interfaces = step(
        "see the network",
        std::fs::read_to_string("/proc/self/net/dev"),
    )?;
    kept(&status, &interfaces)?;
    masked()?;
    let about = step("see the root", rustix::fs::statvfs("/"))?;
    if !about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err("the engine left the container's root open for writing".to_owned());
    }
    let nodes: Vec<String> = step("read the devices", serde_json::from_str(nodes))?;
    if let Some(node) = nodes
        .iter()
        .find(|node| !Path::new("/dev").join(node).exists())
    {
        return Err(format!(
            "the engine passed no /dev/{node} (NVIDIA's cards come by CDI: that needs Docker 28.2, or 25 with features.cdi in its daemon.json, or podman 5, and nvidia-ctk cdi generate)"
        ));
    }
    let space = rootfs::fill_job_directory()?;
    init::serve(socket, &space, None, init::Space::Sized)
}

/// What tells of the host or changes it lies under something empty.
fn masked() -> Setup<()> {
    let paths = MASKED.map(|name| Path::new("/proc").join(name));
    for path in paths
        .iter()
        .map(PathBuf::as_path)
        .chain([Path::new("/sys")])
    {
        let Ok(about) = path.metadata() else { continue };
        let covered = if about.is_dir() {
            std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        } else {
            std::fs::read(path).map_or(true, |bytes| bytes.is_empty())
        };
        if !covered {
            return Err(format!("the engine left {} open", path.display()));
        }
    }
    Ok(())
}

/// What the engine was asked for, as the kernel tells it.
fn kept(status: &str, interfaces: &str) -> Setup<()> {
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let uid = JOB_UID.to_string();
    if of("NSpid:").last() != Some(&"1") {
        return Err("the engine gave the job no process namespace of its own".to_owned());
    }
    if of("Uid:") != [uid.as_str(); 4] || of("Gid:") != [uid.as_str(); 4] {
        return Err("the engine runs the job as another user than was asked for".to_owned());
    }
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        if of(set)
            .first()
            .and_then(|bits| u64::from_str_radix(bits, 16).ok())
            != Some(0)
        {
            return Err(format!("the engine left the job capabilities ({set})"));
        }
    }
    if of("NoNewPrivs:") != ["1"] {
        return Err("the engine lets the job gain rights (no_new_privs is not set)".to_owned());
    }
    let other = interfaces
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() != "lo");
    match other {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "the engine gave the job a network ({})",
            name.trim()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_does_not_keep_is_seen() {
        let good = "NSpid:\t1\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0000\nCapAmb:\t0\nNoNewPrivs:\t1\n";
        let lo = "Inter-| Receive\n face |bytes\n    lo: 0 0\n";
        assert_eq!(kept(good, lo), Ok(()));
        let refused = |status: &str, net: &str, word: &str| {
            let why = kept(status, net).expect_err(word);
            assert!(why.contains(word), "{why}");
        };
        refused(good, &format!("{lo}  eth0: 1 2\n"), "eth0");
        refused(
            &good.replace("CapBnd:\t0000", "CapBnd:\t00ff"),
            lo,
            "CapBnd",
        );
        refused(&good.replace("Privs:\t1", "Privs:\t0"), lo, "no_new_privs");
        refused(&good.replacen("1000", "0", 1), lo, "another user");
        refused(
            &good.replace("NSpid:\t1", "NSpid:\t77"),
            lo,
            "process namespace",
        );
    }
}
