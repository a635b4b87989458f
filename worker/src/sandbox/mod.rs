//! Runs one untrusted command, isolated from its host.
//!
//! Owns: namespaces, the root file system, limits, the watchdog, the names of ends. Deliberately absent: the exchange,
//! money, network: the agent tells it a lease's deadline and paid milliseconds, and it keeps them.
//!
//! Three processes make a sandbox. The **agent** (tokio, many threads) asks for it; the **helper** (this binary
//! re-executed, one thread) makes it and holds the deadline; **process 1** inside builds the root, drops every right
//! and starts the job. A sandbox can be [prepared](Sandbox::prepare) before its job is known, which takes the costly
//! part (cgroup moves, namespaces, mounts) off the way from submit to start.
//!
//! Invariants: nothing of a job outlives its lease, the agent or the helper; nothing that this module did not make
//! is removed, unmounted or signalled.

mod cgroup;
mod doors;
pub mod engine;
mod finished;
mod helper;
mod init;
mod mesh;
mod pack;
mod report;
mod rootfs;
mod seccomp;
mod sys;
mod unpack;
mod watchdog;
mod wire;
mod wishes;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::mesh::Mesh;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

pub use helper::boottime_ms;
pub use report::{Artefacts, End, Report, StopReason, Usage};
pub(crate) use sys::watched;
pub use watchdog::FREEZE_BEFORE_MS;
pub use wire::{FromHelper, JobLimits, StartJob, ToHelper};

use wire::{HelperConfig, HelperOrder};

/// The first argument that makes this binary a helper; not for people.
pub const HELPER_ARGUMENT: &str = "__sandbox-helper";

/// Call this first in `main`, before any thread exists: when this process is a helper, it never comes back.
pub fn run_if_helper() -> Option<std::process::ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let run = match arguments.next()?.as_str() {
        HELPER_ARGUMENT => helper::main,
        engine::INSIDE_ARGUMENT => engine::run_inside,
        _ => return None,
    };
    Some(run(&arguments.next().unwrap_or_default()))
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("this machine cannot isolate jobs: {}", .0.join("; "))]
    Impossible(Vec<String>),
    #[error("cannot start the sandbox helper: {0}")]
    Spawn(#[from] std::io::Error),
    #[error("the sandbox could not be made: {0}")]
    Make(String),
}

impl SandboxError {
    fn sentences(self) -> Vec<String> {
        match self {
            Self::Impossible(missing) => missing,
            error => vec![error.to_string()],
        }
    }
}

/// How sandboxes are made here.
#[derive(Debug, Clone)]
pub struct Options {
    /// The iog-worker binary, re-executed as helper.
    pub helper: PathBuf,
    /// Distinguishes this worker's leftovers from another's on the same machine: a part of the node's key in hex.
    pub instance: String,
    /// Host directories lent to jobs, read-only: (where, where the job sees it).
    pub lent: Vec<(PathBuf, PathBuf)>,
}

/// How a worker's sandboxes are told from another's on the same machine: by a part of its node's key.
pub fn instance(public_key: &str) -> String {
    public_key.get(..12).unwrap_or_default().to_owned()
}

/// Lets this process open as many files as it may; jobs are bounded by their own limit. Removing a deep directory takes one for each step.
pub fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Removes the cgroups that killed agents of this instance left. Answers how many there were.
pub fn clean_leftovers(instance: &str) -> usize {
    cgroup::Hierarchy::discover()
        .map(|cgroups| cgroups.clean_leftovers(&format!("iog-{instance}-")))
        .unwrap_or_default()
}

/// Makes sandboxes.
#[derive(Debug)]
pub struct Sandbox {
    options: Options,
    cgroups: cgroup::Hierarchy,
    count: AtomicU64,
}

impl Sandbox {
    /// Finds the cgroups and removes what an earlier, killed agent of this instance left.
    ///
    /// # Errors
    /// [`SandboxError::Impossible`] with each missing piece.
    pub fn open(options: Options) -> Result<Self, SandboxError> {
        let cgroups = cgroup::Hierarchy::discover().map_err(SandboxError::Impossible)?;
        let removed = cgroups.clean_leftovers(&format!("iog-{}-", options.instance));
        if removed > 0 {
            tracing::info!(
                removed,
                "removed cgroups that an earlier worker left behind"
            );
        }
        Ok(Self {
            options,
            cgroups,
            count: AtomicU64::new(0),
        })
    }

    /// Opens, and makes sure that a job can be isolated, by isolating one. Once in a process: on cgroup v2 it moves this
    /// process into a group of its own.
    ///
    /// # Errors
    /// What is missing, one sentence each.
    pub async fn probe(options: Options) -> Result<Self, Vec<String>> {
        let sandbox = Self::open(options).map_err(SandboxError::sentences)?;
        sandbox.prepare().await.map_err(SandboxError::sentences)?;
        Ok(sandbox)
    }

    /// What the owner lends to jobs: where it is, where a job sees it.
    pub fn lent(&self) -> &[(PathBuf, PathBuf)] {
        &self.options.lent
    }

    /// Makes a sandbox that waits for its job.
    ///
    /// # Errors
    /// [`SandboxError`] naming the step that failed.
    pub async fn prepare(&self) -> Result<Prepared, SandboxError> {
        self.prepare_with(&[], None, None).await
    }

    /// The same with nodes of the host's /dev, for the one job that rents that device, and perhaps with the files of an
    /// image in place of the host's.
    ///
    /// # Errors
    /// [`SandboxError`] naming the step that failed.
    pub async fn prepare_with(
        &self,
        device_nodes: &[String],
        image: Option<&Path>,
        mesh: Option<Mesh>,
    ) -> Result<Prepared, SandboxError> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let me = rustix::process::getpid().as_raw_nonzero();
        let config = HelperConfig {
            name: format!("iog-{}-{me}-{number}", self.options.instance),
            cgroups: self.cgroups.clone(),
            lent: self.options.lent.clone(),
            device_nodes: device_nodes.to_vec(),
            image: image.map(Path::to_owned),
            mesh,
        };
        let order = HelperOrder::Own(Box::new(config));
        launch(&self.options.helper, &order).await
    }
}

/// Starts a helper and waits until it has made what it was told to.
async fn launch(program: &Path, order: &HelperOrder) -> Result<Prepared, SandboxError> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut child = Command::new(program)
        .arg0("iog-worker")
        .arg(HELPER_ARGUMENT)
        .arg(serde_json::to_string(order).map_err(std::io::Error::from)?)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(SandboxError::Make("the helper has no output".to_owned()));
    };
    let (read, write) = UnixStream::from_std(ours)?.into_split();
    let mut events = Events {
        read,
        piece: vec![0; 8 * 1024],
        heard: Vec::new(),
        fds: VecDeque::new(),
        helper: child,
    };
    let control = Control { socket: write };
    match events.next().await {
        Some(FromHelper::Ready) => Ok(Prepared {
            stdout,
            stderr,
            control,
            events,
        }),
        Some(FromHelper::Failed { why }) => Err(SandboxError::Make(why)),
        _ => Err(SandboxError::Make("the helper died at once".to_owned())),
    }
}

/// A sandbox without a job. Dropping it removes it.
#[derive(Debug)]
pub struct Prepared {
    stdout: ChildStdout,
    stderr: ChildStderr,
    control: Control,
    events: Events,
}

impl Prepared {
    /// Gives it its job.
    ///
    /// # Errors
    /// When the helper is gone.
    pub async fn start(mut self, job: StartJob) -> Result<Running, SandboxError> {
        self.control.send(&ToHelper::Start(Box::new(job))).await?;
        Ok(Running {
            stdout: self.stdout,
            stderr: self.stderr,
            control: self.control,
            events: self.events,
        })
    }
}

/// A sandbox with a job. Dropping [`Running::control`] and [`Running::events`] ends the job at once.
#[derive(Debug)]
pub struct Running {
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
    pub control: Control,
    pub events: Events,
}

/// Orders to the helper.
#[derive(Debug)]
pub struct Control {
    socket: OwnedWriteHalf,
}

impl Control {
    /// # Errors
    /// When the helper is gone; [`Events::next`] then says how it ended.
    pub async fn send(&mut self, message: &ToHelper) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.socket.write_all(&line).await
    }
}

/// What the helper reports.
#[derive(Debug)]
pub struct Events {
    read: OwnedReadHalf,
    piece: Vec<u8>,
    heard: Vec<u8>,
    /// Open files that came and belong to events that were not asked for yet.
    fds: VecDeque<OwnedFd>,
    helper: Child,
}

impl Events {
    /// The next event; `None` after the last, or when the helper was killed. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<FromHelper> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let stream: &UnixStream = self.read.as_ref();
            stream.readable().await.ok()?;
            let got = stream.try_io(Interest::READABLE, || {
                wire::receive_bytes(stream.as_fd(), &mut self.piece)
            });
            match got {
                Ok((0, _)) => return None,
                Ok((count, fds)) => {
                    self.heard.extend_from_slice(self.piece.get(..count)?);
                    self.fds.extend(fds);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// The open files of the event that was just answered.
    pub fn take_fds(&mut self, count: usize) -> Vec<OwnedFd> {
        let count = count.min(self.fds.len());
        self.fds.drain(..count).collect()
    }

    /// The helper's process id, for tests and for people who look.
    pub fn helper_pid(&self) -> Option<u32> {
        self.helper.id()
    }

    /// Waits until the helper is gone, so that no zombie stays.
    pub async fn gone(&mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(15), self.helper.wait()).await;
    }
}
