//! A job: its line in a list, its page with leases and history, its ports, its files, its samples.

use kernel::{
    Amount, ArtefactId, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::account::Meter;
use crate::money::RefundView;
use crate::recompute::CheckView;
use crate::rent::Kind;
use crate::spec::{DeviceClass, JobSpec};
use crate::state::{JobState, LeaseState, RunEnd};
use crate::worker::Sample as SampleData;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    pub id: JobId,
    pub name: String,
    pub state: JobState,
    pub end: Option<RunEnd>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Nodes it runs on.
    pub members: u32,
    /// Devices it has, or had last, on all of them.
    pub devices: u32,
    /// Of the lease it has, or had last.
    pub device_model: Option<String>,
    /// What it has or asks for; absent where its query leaves that open.
    pub device_class: Option<DeviceClass>,
    pub node_name: Option<String>,
    /// All-in.
    pub per_hour: Option<Amount>,
    /// Over all leases of the member that ran longest; acknowledged seconds.
    pub seconds: Seconds,
    pub spent: Amount,
    pub restarts: u32,
    /// While it waits for an offer: until then.
    pub waits_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobView {
    #[serde(flatten)]
    pub summary: JobSummary,
    pub spec: JobSpec,
    pub leases: Vec<LeaseView>,
    /// Oldest first.
    pub events: Vec<JobEvent>,
    pub artefacts: Vec<ArtefactView>,
    pub meter: Meter,
    pub log_bytes: u64,
    /// The matching rounds in which the market was asked to place it, the newest 20 of them, oldest first.
    pub rounds: Vec<u64>,
    /// What is given back without being asked for, oldest first.
    pub refunds: Vec<RefundView>,
    /// Slices that were drawn to be computed again on other owners' machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckView>,
    /// How much of the image is there, of 100, while it is pulled; of several nodes, the one that is least far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_percent: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseView {
    pub id: LeaseId,
    pub epoch: Epoch,
    pub state: LeaseState,
    /// Which of the job's nodes, from 0.
    pub member: u32,
    pub node: NodeId,
    pub node_name: String,
    /// The first; it stands for all in receipts.
    pub device: DeviceId,
    pub devices: Vec<DeviceId>,
    pub device_model: String,
    pub kind: Kind,
    pub price: PricePerSecond,
    pub granted_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub end: Option<RunEnd>,
    pub seconds: Seconds,
    pub charged: Amount,
    /// Of it, what was given back.
    pub refunded: Amount,
    /// Paid for at most so many seconds.
    pub funded: Seconds,
}

/// A job that waits in the market for an offer that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrderView {
    pub job: JobId,
    pub name: String,
    pub since: Timestamp,
    pub until: Timestamp,
    /// What it asks beyond its resources.
    pub filter: Option<String>,
    /// All-in, as it was written.
    pub max_price_per_hour: Option<String>,
    /// Why nothing matches at the moment; empty when its turn comes with the next round.
    pub why: String,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobEvent {
    pub at: Timestamp,
    pub kind: JobEventKind,
    /// A sentence in English for programs and logs; pages word `kind` themselves where they can.
    pub detail: String,
}

/// A port that a job names, and where it is reached while the job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PortView {
    /// Which of the job's machines.
    pub member: u32,
    pub port: u16,
    pub name: Option<String>,
    /// Anybody may use it.
    pub public: bool,
    /// An origin of its own, for browsers; absent where the server has no names for them.
    pub url: Option<String>,
    /// For programs. Without `public` they send a link's token, or an API key, as `X-IOG-Token`.
    pub path_url: String,
}

/// A link that opens one port for whoever has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PortLinkView {
    /// For a browser.
    pub url: Option<String>,
    /// For a program, with the token.
    pub path_url: String,
    pub token: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobEventKind {
    Submitted,
    /// Nothing matched; it waits in the market.
    Waiting,
    Leased,
    Fetching,
    /// The container image comes.
    Pulling,
    Isolating,
    Running,
    Uploading,
    /// The money that is left lasts only minutes.
    FundsLow,
    StopRequested,
    /// A spot job's device is taken back: it has until the end of its notice.
    Notice,
    /// The notice is over; it waits for another device.
    Preempted,
    /// It waits for a spot job that was given notice.
    MakingRoom,
    NodeLost,
    Rejected,
    /// One of several members is over; the detail says which and how.
    MemberEnded,
    /// Somebody opened a shell in it; the detail says who, and how the shell ended.
    ShellOpened,
    ShellClosed,
    /// A file was put into it while it ran.
    FileStored,
    Ended,
}

impl JobEventKind {
    pub const ALL: [Self; 20] = [
        Self::Submitted,
        Self::Waiting,
        Self::Leased,
        Self::Fetching,
        Self::Pulling,
        Self::Isolating,
        Self::Running,
        Self::Uploading,
        Self::FundsLow,
        Self::StopRequested,
        Self::Notice,
        Self::Preempted,
        Self::MakingRoom,
        Self::NodeLost,
        Self::Rejected,
        Self::MemberEnded,
        Self::ShellOpened,
        Self::ShellClosed,
        Self::FileStored,
        Self::Ended,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Fetching => "fetching",
            Self::Pulling => "pulling",
            Self::Isolating => "isolating",
            Self::Running => "running",
            Self::Uploading => "uploading",
            Self::FundsLow => "funds_low",
            Self::StopRequested => "stop_requested",
            Self::Notice => "notice",
            Self::Preempted => "preempted",
            Self::MakingRoom => "making_room",
            Self::NodeLost => "node_lost",
            Self::Rejected => "rejected",
            Self::MemberEnded => "member_ended",
            Self::ShellOpened => "shell_opened",
            Self::ShellClosed => "shell_closed",
            Self::FileStored => "file_stored",
            Self::Ended => "ended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtefactView {
    pub id: ArtefactId,
    /// Which of the job's nodes left it.
    pub member: u32,
    pub path: String,
    pub size_bytes: u64,
    pub sha256: String,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleView {
    pub at: Timestamp,
    pub lease: LeaseId,
    /// Which of the job's nodes.
    #[serde(default)]
    pub member: u32,
    #[serde(flatten)]
    pub data: SampleData,
}
