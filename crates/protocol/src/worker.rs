//! The workers' WebSocket, `/api/v1/worker`: JSON text frames, one message each, at most [`FRAME_BYTES_MAX`].
//!
//! 1. Server: [`ToWorker::Challenge`]. Worker: [`FromWorker::Hello`], signed over [`hello_bytes`].
//!    Server: [`ToWorker::Welcome`] or [`ToWorker::Refused`] and the end of the connection.
//! 2. The worker sends a [`FromWorker::Heartbeat`] each `heartbeat_ms`. Each is answered by [`ToWorker::Renewed`]:
//!    a lease in `renewed` may go on for `lease_ttl_ms` counted from before the heartbeat was SENT; a lease in
//!    `refused` is over and its work is ended at once, unbilled.
//! 3. [`ToWorker::Assign`] gives a lease. The worker answers Preparing … Started … Ended (or Rejected). It repeats
//!    `Ended` after each reconnect until [`ToWorker::Closed`].
//! 4. Each message about a lease carries lease and epoch; what carries an old epoch is refused and billed nothing.
//! 5. Files travel over HTTP with the assignment's `transfer_token` as bearer:
//!    `GET /api/v1/worker/bundles/{hash}`, `GET /api/v1/worker/artefacts/{lease}?path=…` (what the job left before) and `PUT /api/v1/worker/artefacts/{lease}?path=…`.

use kernel::{
    AccountId, ChallengeId, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::proof::{Answer, Ask};
use crate::spec::{DeviceClass, JobSpec};
use crate::state::RunEnd;
use crate::telemetry::Batch;
use crate::tunnel::TunnelOrder;
use crate::view::Receipt;

pub const PROTOCOL_VERSION: u32 = 4;
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Text of one [`FromWorker::Log`] message.
pub const LOG_CHUNK_BYTES_MAX: usize = 32 * 1024;
/// Log bytes that may be under way unacknowledged, for one lease.
pub const LOG_WINDOW_BYTES: u64 = 256 * 1024;
pub const SAMPLES_PER_MESSAGE_MAX: usize = 64;
pub const DEVICES_PER_NODE_MAX: usize = 64;
pub const ARTEFACTS_MAX: usize = 256;
/// What a job leaves below this in its output is there again when it goes on elsewhere.
pub const CHECKPOINT_PREFIX: &str = "checkpoint/";

/// What the worker signs to prove that it holds its key, bound to this connection and this server.
///
/// `iog.worker.hello.v1`, the origin it dialled, the nonce, the public key and the SHA-256 of the join token (hex;
/// of the empty text when there is none), each on a line of its own.
pub fn hello_bytes(
    server: &str,
    nonce: &str,
    public_key: &str,
    join_token_sha256: &str,
) -> Vec<u8> {
    format!("iog.worker.hello.v1\n{server}\n{nonce}\n{public_key}\n{join_token_sha256}\n")
        .into_bytes()
}

/// What the worker signs of the key that a lease's secrets are sealed to.
pub fn secret_key_bytes(lease: LeaseId, epoch: Epoch, key: &str) -> Vec<u8> {
    format!(
        "iog.worker.secret-key.v1\n{lease}\n{}\n{key}\n",
        epoch.get()
    )
    .into_bytes()
}

/// What a lease's sealed secrets are bound to besides.
pub fn secrets_context(lease: LeaseId, epoch: Epoch) -> Vec<u8> {
    format!("iog.worker.secrets.v1\n{lease}\n{}\n", epoch.get()).into_bytes()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromWorker {
    Hello(Box<Hello>),
    Heartbeat {
        /// Counts up from 1 on each connection; echoed by `Renewed`.
        seq: u64,
        /// No new jobs, please: shutting down or in maintenance.
        draining: bool,
        load: HostLoad,
        leases: Vec<LeaseBeat>,
    },
    /// What is being done before the process starts; free of charge.
    Preparing {
        lease: LeaseId,
        epoch: Epoch,
        phase: Phase,
        /// How much of it is done, of 100, where that is known. Said again as it grows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<u8>,
    },
    /// The process runs. `elapsed_ms`: for how long already (above zero after an outage of the server).
    Started {
        lease: LeaseId,
        epoch: Epoch,
        elapsed_ms: u64,
    },
    Log {
        lease: LeaseId,
        epoch: Epoch,
        /// Bytes of this lease's log before this chunk.
        offset: u64,
        stream: Stream,
        text: String,
    },
    Samples {
        lease: LeaseId,
        epoch: Epoch,
        samples: Vec<Sample>,
    },
    /// The process is over and its artefacts are uploaded. The last receipt stands in `receipt` when it ran a second.
    Ended {
        lease: LeaseId,
        epoch: Epoch,
        end: RunEnd,
        receipt: Option<Box<Receipt>>,
    },
    /// To whom the job's secrets are to be sealed: a key made for this lease, signed by the node ([`secret_key_bytes`]).
    SecretKey {
        lease: LeaseId,
        epoch: Epoch,
        /// X25519, 64 hex digits.
        key: String,
        /// 128 hex digits.
        signature: String,
    },
    /// The worker will not run it (isolation impossible, resources gone).
    Rejected {
        lease: LeaseId,
        epoch: Epoch,
        reason: String,
    },
    /// What the machine measured, in the order of its numbers; said to a server whose welcome asks for it. What is not
    /// acknowledged is said again on the next connection.
    Telemetry {
        /// Numbers begin anew with each.
        series: String,
        batches: Vec<Batch>,
    },
    /// To [`ToWorker::Prove`]. One of a challenge that is over is dropped.
    Proof {
        challenge: ChallengeId,
        answer: Box<Answer>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    pub protocol: u32,
    /// Ed25519, 64 hex digits. It is the node's identity.
    pub public_key: String,
    /// The origin that the worker dialled, `http://127.0.0.1:3000`; a signature made for one server is void at another.
    pub server: String,
    /// Of [`hello_bytes`], 128 hex digits.
    pub signature: String,
    /// At the first connection only.
    pub join_token: Option<String>,
    pub agent_version: String,
    pub name: String,
    /// Two capital letters, set by the owner.
    pub country: Option<String>,
    /// The price for devices that the platform does not know yet; without one they are offered at the fair price of their model.
    pub price: Option<PricePerSecond>,
    pub host: HostFacts,
    pub devices: Vec<DeviceFacts>,
    /// Leases whose work this worker still runs or has not yet accounted for.
    pub leases: Vec<LeaseClaim>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseClaim {
    pub lease: LeaseId,
    pub epoch: Epoch,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    pub os: String,
    pub kernel: String,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    /// Why this host cannot isolate jobs; empty when it can. No job is sent to a node that cannot.
    pub isolation_problems: Vec<String>,
    /// Its network, as its owner says: to the world, and from it.
    #[serde(default)]
    pub up_mbit: Option<u32>,
    #[serde(default)]
    pub down_mbit: Option<u32>,
    /// Why devices that seem to be here are not offered, and what to do; empty when nothing is in the way.
    #[serde(default)]
    pub device_problems: Vec<String>,
    /// Nodes that give the same name here stand near each other: in one hall, at one switch. Lower case.
    #[serde(default)]
    pub group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// The maker's UUID (`GPU-…`); for the CPU one derived from the node's key.
    pub uuid: String,
    pub class: DeviceClass,
    pub model: String,
    pub memory_mib: u64,
    #[serde(default, flatten)]
    pub details: DeviceDetails,
}

/// What a driver tells of its device; texts as it wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceDetails {
    /// `550.54.15`
    pub driver: Option<String>,
    /// The newest CUDA that the driver runs, `12.4`.
    pub cuda: Option<String>,
    /// Power limit.
    pub watts: Option<u32>,
    /// Vendor and device on the PCI bus, `10de:2684`.
    pub pci: Option<String>,
    /// CUDA's compute capability, `8.9`.
    pub capability: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLoad {
    /// Of all cores together, 0 to 100.
    pub cpu_percent: f32,
    pub memory_used_mib: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseBeat {
    pub lease: LeaseId,
    pub epoch: Epoch,
    /// The receipt for all seconds delivered so far, signed by the worker alone; the platform countersigns one
    /// a minute and the last. Absent before the first whole second.
    pub receipt: Option<Receipt>,
}

/// In the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Inputs are fetched and checked.
    Fetching,
    /// The container image is pulled, checked and unpacked.
    Pulling,
    /// The sandbox is made.
    Isolating,
    /// The process has ended; artefacts are on their way.
    Uploading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Stdout,
    Stderr,
    /// A remark of the worker, not of the job.
    Note,
}

/// One second of a job, as its worker saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Counts up from 1 within a lease; a repeated one is dropped.
    pub seq: u64,
    /// Seconds since the process started.
    pub second: u64,
    /// 100 is one core busy.
    pub cpu_percent: f32,
    pub memory_mib: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_percent: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_mib: Option<f32>,
    /// Numbers that the output printed in this second under a name of the specification's `metrics`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    Challenge {
        protocol: u32,
        /// 64 hex digits, for this connection only.
        nonce: String,
    },
    Welcome {
        node: NodeId,
        node_name: String,
        heartbeat_ms: u64,
        lease_ttl_ms: u64,
        /// How long work may go on while the server is down (connections refused), from the last renewal.
        server_down_grace_ms: u64,
        /// Ed25519, 64 hex digits: countersigns receipts.
        platform_key: String,
        /// It takes [`FromWorker::Telemetry`].
        #[serde(default)]
        telemetry: bool,
        /// What its devices are offered for.
        #[serde(default)]
        asks: Vec<DeviceAsk>,
    },
    Refused {
        reason: Refusal,
        message: String,
    },
    Assign(Box<Assignment>),
    Renewed {
        seq: u64,
        renewed: Vec<LeaseClaim>,
        refused: Vec<LeaseClaim>,
        /// The owner has it in maintenance in the portal: besides the switch on the machine itself.
        #[serde(default)]
        maintenance: bool,
    },
    /// The receipt with this number is countersigned; the next one has `seq + 1` and `previous = hash`.
    ReceiptPosted {
        lease: LeaseId,
        epoch: Epoch,
        seq: u64,
        hash: String,
    },
    /// More seconds are paid for.
    Fund {
        lease: LeaseId,
        epoch: Epoch,
        funded: Seconds,
    },
    Stop {
        lease: LeaseId,
        epoch: Epoch,
        reason: StopReason,
        grace_ms: u64,
    },
    LogAck {
        lease: LeaseId,
        epoch: Epoch,
        offset: u64,
    },
    /// `Ended` (or `Rejected`) is accounted for; forget the lease.
    Closed {
        lease: LeaseId,
        epoch: Epoch,
    },
    /// This lease (any more) is not yours: end its work; nothing of it is billed any more.
    LeaseRefused {
        lease: LeaseId,
        epoch: Epoch,
    },
    /// Answers [`FromWorker::SecretKey`]: names and values as a JSON object, sealed to that key for this lease and epoch. Hex.
    Secrets {
        lease: LeaseId,
        epoch: Epoch,
        sealed: String,
    },
    /// Somebody who may wants into the job: dial the tunnel's address with the ticket. See [`crate::tunnel`].
    Tunnel(TunnelOrder),
    /// Everything of this series up to this number is kept here for good.
    TelemetryAck {
        series: String,
        seq: u64,
    },
    /// A device is to show what it is, step by step; never while it is hired.
    Prove {
        challenge: ChallengeId,
        ask: Ask,
    },
}

/// What a device is offered for, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAsk {
    pub model: String,
    pub price: PricePerSecond,
    pub chosen: AskChosen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskChosen {
    /// The owner named it, or it stood there before.
    ByOwner,
    /// Nobody did: the fair price of its model now.
    ByMarket,
    /// Nobody did, and of its model the market knows no price.
    ByPlatform,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The message could not be read.
    Malformed,
    /// This server speaks another version.
    Protocol,
    /// The signature does not fit the key, the nonce or this server.
    Signature,
    /// Unknown, used or expired; make a new one in the portal.
    JoinToken,
    /// This key is not enrolled here; join first.
    UnknownNode,
    /// The owner removed the node.
    Removed,
    /// The same key is connected from another place; two agents share one identity.
    Duplicate,
    /// Too fast or too large.
    Limits,
}

impl Refusal {
    /// Whether trying again later can help.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Duplicate | Self::Limits)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub lease: LeaseId,
    pub epoch: Epoch,
    pub job: JobId,
    pub account: AccountId,
    pub node: NodeId,
    pub device: DeviceId,
    pub device_uuid: String,
    /// Devices of this node besides the first, for the same process.
    #[serde(default)]
    pub more_device_uuids: Vec<String>,
    /// Which of the job's nodes this is, from 0, and how many there are.
    #[serde(default)]
    pub member: u32,
    #[serde(default = "one")]
    pub members: u32,
    /// Of all devices together.
    pub price: PricePerSecond,
    pub spec: JobSpec,
    /// Seconds of running that are paid for; the worker ends the job before it passes them.
    pub funded: Seconds,
    /// For the worker's file routes, valid while the lease is.
    pub transfer_token: String,
    /// Bytes of log that are kept; the worker says so in the log and drops the rest.
    pub log_bytes_max: u64,
    /// What the job left when it last ran, for it to go on from.
    #[serde(default)]
    pub checkpoint: Vec<CheckpointFile>,
    pub granted_at: Timestamp,
}

/// One file, under `GET /api/v1/worker/artefacts/{lease}?path=…` of the lease that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    pub path: String,
    pub size_bytes: u64,
    pub sha256: String,
}

const fn one() -> u32 {
    1
}

impl Assignment {
    /// All devices, the first one first.
    pub fn device_uuids(&self) -> impl Iterator<Item = &str> {
        let more = self.more_device_uuids.iter();
        std::iter::once(self.device_uuid.as_str()).chain(more.map(String::as_str))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    User,
    /// A spot job that makes room: the grace is its notice.
    Preempted,
    OutOfFunds,
    TimeLimit,
    Drained,
    /// Another member of the job has ended it.
    JobOver,
}

impl StopReason {
    pub fn end(self, spec: &JobSpec) -> RunEnd {
        match self {
            Self::User => RunEnd::StoppedByUser,
            Self::Preempted => RunEnd::Preempted,
            Self::OutOfFunds => RunEnd::OutOfFunds,
            Self::TimeLimit => RunEnd::TimeLimit {
                seconds: spec.limits.duration_seconds,
            },
            Self::Drained => RunEnd::NodeDrained,
            Self::JobOver => RunEnd::JobOver,
        }
    }
}
