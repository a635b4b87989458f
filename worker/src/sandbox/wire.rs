//! What the agent, the helper and the sandbox's first process say to each other.
//!
//! Agent and helper: lines of JSON over a stream socket, so that the agent can read them with tokio. Helper and
//! first process: one JSON text a packet over a sequenced-packet socket, with open files passed along.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use protocol::mesh::Mesh;
use protocol::tunnel::{Closed, Door};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::report::{Report, StopReason, Usage};

/// What a helper is to make; given as its one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HelperOrder {
    /// Our own sandbox.
    Own(Box<HelperConfig>),
    /// A container of the owner's engine.
    Engine(Box<super::engine::Contained>),
}

/// An own sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HelperConfig {
    /// The name of the job's cgroups: recognised as ours when a killed agent left them behind.
    pub name: String,
    pub cgroups: super::cgroup::Hierarchy,
    /// Host directories that the owner lends to jobs, read-only: (where it is, where the job sees it).
    pub lent: Vec<(PathBuf, PathBuf)>,
    /// Names in /dev of the rented device, such as `nvidia0`; empty for the CPU.
    pub device_nodes: Vec<String>,
    /// The root directory of an unpacked image, instead of the host's programs.
    pub image: Option<PathBuf>,
    /// The network of the job's machines, with a place in it.
    pub mesh: Option<Mesh>,
}

/// One job, as the sandbox needs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartJob {
    pub command: Vec<String>,
    /// Where it starts; /job unless an image says otherwise.
    pub cwd: Option<String>,
    /// Exactly what the process gets, besides the defaults documented in docs/worker.md.
    pub env: Vec<(String, String)>,
    /// Small files written into /job first: (relative path, content).
    pub files: Vec<(String, String)>,
    /// A verified tar that is unpacked into /job.
    pub bundle: Option<PathBuf>,
    /// A tar of what the job left when it last ran, unpacked into /job/out.
    pub checkpoint: Option<PathBuf>,
    pub limits: JobLimits,
    /// The lease, as milliseconds of `CLOCK_BOOTTIME`: frozen one second before, killed at it.
    pub lease_until_ms: u64,
    /// Milliseconds of running that are paid for; `None` when there is no bound.
    pub funded_ms: Option<u64>,
    pub time_limit_ms: Option<u64>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace_ms: u64,
    /// Where the artefacts (a tar of /job/out) are written; no file is made when there are none.
    pub artefacts: PathBuf,
    pub artefacts_max_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct JobLimits {
    pub memory_bytes: u64,
    /// Of /job, /tmp and /dev/shm together.
    pub disk_bytes: u64,
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Processes and threads together.
    pub pids: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToHelper {
    Start(Box<StartJob>),
    /// The lease was renewed until then (`CLOCK_BOOTTIME`, milliseconds).
    Lease {
        until_ms: u64,
    },
    /// Running is paid for so long, counted from the start.
    Funded {
        ms: u64,
    },
    Stop {
        reason: StopReason,
        grace_ms: u64,
    },
    /// Open a way in; answered by a word about the same number.
    Open {
        id: u32,
        door: Door,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromHelper {
    /// The sandbox is made and waits for a job.
    Ready,
    /// The sandbox could not be made.
    Failed {
        why: String,
    },
    /// The job's process runs, since then (`CLOCK_BOOTTIME`, milliseconds).
    Started {
        at_ms: u64,
    },
    Sample(Usage),
    Frozen {
        at_ms: u64,
    },
    Thawed {
        at_ms: u64,
    },
    /// The job's process ended then; packing may follow.
    JobEnded {
        at_ms: u64,
    },
    /// Comes with so many descriptors.
    DoorOpened {
        id: u32,
        fds: usize,
    },
    DoorShut {
        id: u32,
        reason: Closed,
        why: String,
    },
    /// The process behind it is over.
    DoorClosed {
        id: u32,
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// All is over, packing too.
    Ended(Box<Report>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToInit {
    /// User ids are mapped and the cgroups hold the process: build the root.
    Build,
    /// Comes with descriptors: the job as JSON in a memory file, perhaps the bundle, perhaps the checkpoint.
    Start,
    /// Comes with a descriptor: the file for the artefacts.
    Pack,
    Open {
        id: u32,
        door: Door,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromInit {
    Built,
    Failed {
        why: String,
    },
    /// Comes with descriptors: the job's process and its writable file system.
    Started,
    /// The job's process ended.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
        disk_full: bool,
        /// There is something in /job/out to pack.
        left_something: bool,
    },
    Packed {
        files: u64,
        bytes: u64,
        left_out: u64,
    },
    /// Comes with descriptors: a terminal or a connection; or input, output and errors.
    DoorOpened {
        id: u32,
    },
    DoorShut {
        id: u32,
        reason: Closed,
        why: String,
    },
    DoorClosed {
        id: u32,
        code: Option<i32>,
        signal: Option<i32>,
    },
}

const PACKET_MAX: usize = 64 * 1024;
const FDS_MAX: usize = 3;

/// Sends one packet with open files.
pub fn send<T: Serialize>(socket: &OwnedFd, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    send_bytes(socket.as_fd(), &text, fds, SendFlags::NOSIGNAL).map(|_| ())
}

/// The same, but never waits for the other side: a frozen sandbox reads nothing, and the watchdog must go on.
pub fn offer<T: Serialize>(socket: &OwnedFd, message: &T) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() > PACKET_MAX {
        return Err(io::Error::other("the request is too long"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    send_bytes(socket.as_fd(), &text, &[], flags).map(|_| ())
}

/// Answers how many bytes were taken; the files go with the first of them.
pub fn send_bytes(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many files for one packet"));
    }
    Ok(rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        flags,
    )?)
}

/// Receives one packet; `None` when the other side is gone.
pub fn receive<T: DeserializeOwned>(socket: &OwnedFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut text = vec![0; PACKET_MAX];
    let (count, fds) = loop {
        match receive_bytes(socket.as_fd(), &mut text) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => break other?,
        }
    };
    let text = text.get(..count).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(text)?, fds)))
}

/// What is there, and the files that came with it.
pub fn receive_bytes(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(into)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let fds = control
        .drain()
        .filter_map(|message| {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                Some(fds)
            } else {
                None
            }
        })
        .flatten()
        .collect();
    Ok((received.bytes, fds))
}
