//! What REST answers and what the pages show: plain data, the same for both.
//!
//! Units: amounts are strings of base units (1 IO = 10^8), times RFC 3339 in UTC, memory MiB, seconds whole.

use kernel::{
    AccountId, Amount, ArtefactId, DeviceId, Energy, Epoch, JobId, JoinTokenId, KeyId, LeaseId,
    NodeId, PricePerSecond, QuoteId, SearchId, Seconds, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::fleet::{Maintenance, Standing};
pub use crate::money::{
    BalanceView, Book, DeviceEarnings, EarningsView, EntryKind, EntryView, LeaseEarnings,
    RefundReason, RefundView,
};
pub use crate::proof::{ChallengeView, DeviceProof};
use crate::recompute::CheckView;
pub use crate::rent::{DeviceRules, Kind, RulesChange};
use crate::spec::{DeviceClass, JobSpec};
use crate::state::{DeviceState, JobState, LeaseState, RunEnd};
pub use crate::worker::{HostFacts, Sample as SampleData, Stream};

/// A receipt: the seconds a lease has delivered so far, signed by the worker and countersigned by the platform.
///
/// Cumulative and hash-chained: number `seq` holds the hash of number `seq - 1`. docs/receipts.md gives the bytes
/// that are signed; the crate `metering` makes and checks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub lease: LeaseId,
    pub job: JobId,
    pub node: NodeId,
    pub device: DeviceId,
    pub epoch: Epoch,
    /// From 1 within a lease.
    pub seq: u64,
    /// Delivered so far, whole seconds.
    pub seconds: Seconds,
    pub price: PricePerSecond,
    /// `price × seconds`, before fees.
    pub amount: Amount,
    /// What its devices have used so far, as the worker measured it. Absent where they do not tell; a receipt with it has
    /// the bytes of version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_mj: Option<Energy>,
    /// Whether it is the lease's last.
    pub last: bool,
    /// By the worker's clock; for the reader, nothing is computed from it.
    pub issued_at: Timestamp,
    /// SHA-256 of the receipt before, 64 hex digits; zeros for the first.
    pub previous: String,
    /// Ed25519, 128 hex digits.
    pub worker_signature: String,
    /// Absent until the platform has countersigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_signature: Option<String>,
}

/// A countersigned receipt with what is needed to check it offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptView {
    pub receipt: Receipt,
    /// SHA-256 over the signed bytes and both signatures; the next receipt's `previous`.
    pub hash: String,
    pub worker_key: String,
    pub platform_key: String,
    /// What the requester paid for the seconds of this receipt alone, fee included.
    pub charged: Amount,
    pub posted_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Requester,
    Owner,
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Requester, Self::Owner, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Owner => "owner",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See everything of the account.
    Read,
    /// Quote, submit and stop jobs, upload bundles.
    Jobs,
    /// Make join tokens, set prices, pause and remove nodes.
    Nodes,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Jobs, Self::Nodes];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Jobs => "jobs",
            Self::Nodes => "nodes",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountView {
    pub id: AccountId,
    pub email: String,
    pub name: String,
    pub roles: Vec<Role>,
    pub created_at: Timestamp,
}

/// The meter in the header: what runs now costs `rate`, `spent` so far, and the balance lasts `runway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meter {
    /// All-in, of everything that runs now.
    pub rate: PricePerSecond,
    /// By the jobs that run now; of the one job on a job's page. Acknowledged seconds only.
    pub spent: Amount,
    pub available: Amount,
    pub held: Amount,
    /// Until available and held are used up at this rate. Absent when nothing runs.
    pub runway: Option<Seconds>,
}

/// A device that can be rented, or would be if it were free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfferView {
    pub device: DeviceId,
    pub node: NodeId,
    pub node_name: String,
    pub class: DeviceClass,
    pub model: String,
    pub device_memory_mib: u64,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    pub country: Option<String>,
    /// `AF`, `AS`, `EU`, `NA`, `OC` or `SA`, by the country.
    pub region: Option<String>,
    /// The latency group: nodes of one group are near each other.
    pub group: Option<String>,
    /// Devices of this model in the node.
    pub cards: u32,
    pub driver: Option<String>,
    pub cuda: Option<String>,
    pub up_mbit: Option<u32>,
    pub down_mbit: Option<u32>,
    pub watts: Option<u32>,
    /// 0: all it says is a claim. 1: its driver was seen to answer. 2: it passed a challenge. 3: for weeks.
    pub verified: u32,
    /// Seconds; shorter and longer jobs are not taken.
    pub min_duration: Seconds,
    pub max_duration: Option<Seconds>,
    pub reputation: u32,
    pub state: DeviceState,
    /// What `price` and `per_hour` are for.
    pub kind: Kind,
    /// The owner's price.
    pub price: PricePerSecond,
    /// With the requester's fee: what one hour costs.
    pub per_hour: Amount,
    /// As spot, fee included; absent where it is not offered so.
    pub spot_per_hour: Option<Amount>,
    /// For a term of at least `reserved_min_term` seconds, fee included; absent where it is not offered so.
    pub reserved_per_hour: Option<Amount>,
    pub reserved_min_term: Option<Seconds>,
    /// Whether challenges have proven what the device claims to be. Claims alone are shown as claims.
    pub proven: bool,
    pub online_since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OffersView {
    /// Cheapest first; of equal price the better reputation, then the longer here.
    pub offers: Vec<OfferView>,
    /// How many pass the filter, on all pages of the list.
    pub matching: u32,
    /// How many there are without the filter.
    pub total: u32,
    /// The next page begins at this `offset`; absent on the last.
    pub next: Option<u32>,
}

/// What the market page and `GET /api/v1/offers` filter by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct OfferFilter {
    /// The market's query, `gpu=rtx_4090 vram>=24 country notin [us]`; the other fields are asked besides.
    pub q: Option<String>,
    pub class: Option<DeviceClass>,
    /// Words of the model's name.
    pub model: Option<String>,
    pub min_device_memory_mib: Option<u64>,
    /// IO per hour, decimal.
    pub max_price_per_hour: Option<String>,
    pub country: Option<String>,
    pub min_reputation: Option<u32>,
    /// Free now.
    pub idle: Option<bool>,
    /// How it is rented: prices and order are of this kind, and only devices that are offered so are listed. On demand
    /// when absent; `kind=` in `q` says the same.
    pub kind: Option<Kind>,
    /// So many offers are passed over.
    pub offset: Option<u32>,
    /// So many are answered: 100 when absent, 500 at most.
    pub limit: Option<u32>,
}

/// The price index of one model. Per hour, all-in: what the requester pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelPriceView {
    pub class: DeviceClass,
    pub model: String,
    pub offers: u32,
    pub idle: u32,
    pub lowest: Amount,
    /// Of the offers that stand now.
    pub median: Amount,
    /// The median of what was paid in the last 24 hours and of what is asked now; an owner's asks count once, and so do
    /// the trades of one owner with one requester.
    pub fair: Amount,
    /// How many samples of each it is made of.
    pub asks: u32,
    pub trades: u32,
    pub scarcity: ScarcityView,
}

/// How much of a model is hired. It explains a price and never adds to one: prices are the owners'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScarcityView {
    /// Devices that stand in the market, hired or free.
    pub offered: u32,
    pub hired: u32,
    /// `hired` of `offered`, rounded down.
    pub percent: u32,
    /// The median of the last 24 hours; absent while nothing was noted.
    pub median_percent: Option<u32>,
}

/// The index as it was. Per hour, all-in at the present fee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PricePointView {
    pub at: Timestamp,
    pub fair: Amount,
    pub lowest: Option<Amount>,
    pub samples: u32,
}

/// The offers of one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookLevelView {
    /// All-in: what the requester pays.
    pub per_hour: Amount,
    pub offers: u32,
    pub idle: u32,
}

/// One model: its index now, its order book, its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelView {
    pub class: DeviceClass,
    pub model: String,
    /// Absent while nobody offers it.
    pub price: Option<ModelPriceView>,
    /// The cheapest 20 levels.
    pub asks: Vec<BookLevelView>,
    /// Oldest first.
    pub history: Vec<PricePointView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuoteLine {
    pub kind: QuoteLineKind,
    pub per_hour: Amount,
    /// In words, in English; pages word `kind` themselves.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuoteLineKind {
    /// The lowest ask for the same model among all that can be had now, whatever else is asked.
    Base,
    /// What the constraints add: the chosen ask less the base.
    Constraints,
    /// The platform's share on the requester's side.
    Fee,
    /// Data in and out, which costs nothing.
    Egress,
}

/// What a job would cost, on which device. The lines together are `per_hour`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuoteView {
    /// Name it in a job's `quote` to get this price. Only for those who are signed in: a visitor's is not kept.
    pub id: Option<QuoteId>,
    /// Until then the price holds. The device is not kept free: somebody else may hire it.
    pub valid_until: Option<Timestamp>,
    pub offer: OfferView,
    /// All devices, where the query asks for several; `offer` is the first.
    pub offers: Vec<OfferView>,
    /// How near several nodes are to each other: `group`, `country`, `region` or `any`.
    pub near: String,
    pub lines: Vec<QuoteLine>,
    pub per_hour: Amount,
    /// If it runs to its time limit.
    pub at_most: Amount,
    /// Set aside before the start; what is not used comes back.
    pub first_hold: Amount,
    pub available: Amount,
    /// How long the balance lasts at this rate; 4294967295 where nothing is taken from it.
    pub runway: Seconds,
    /// Whether the balance allows the start.
    pub affordable: bool,
    /// Offers that matched, this one included.
    pub matching: u32,
    /// Nothing is free, but a spot job gives its device back to this one: within so long. Such a quote is not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub makes_room: Option<Seconds>,
    /// Of the model of `offer`.
    pub scarcity: ScarcityView,
    /// What cap, hold and runway mean here, and how scarce the model is, in English sentences.
    pub notes: Vec<String>,
    pub quoted_at: Timestamp,
}

/// A query of the market that an account keeps, with its newest alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchView {
    pub id: SearchId,
    pub name: String,
    /// As on the market page.
    pub q: String,
    pub created_at: Timestamp,
    /// Offers that match now and are free.
    pub matching: u32,
    /// More offers match than are followed: no alerts until fewer do.
    pub too_broad: bool,
    /// Alerts since it was last marked as seen.
    pub unseen: u32,
    /// The newest alert.
    pub alert: Option<SearchAlert>,
}

/// An offer that began to match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchAlert {
    pub at: Timestamp,
    pub device: DeviceId,
    pub model: String,
    pub node_name: String,
    /// All-in, as it was then.
    pub per_hour: Amount,
    /// As what the search looked for it.
    #[serde(default)]
    pub kind: Kind,
}

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

/// A secret of an account: its name alone. What it holds is never told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretView {
    pub name: String,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Counts up over the whole job, whatever lease wrote it.
    pub seq: u64,
    /// Which of the job's nodes wrote it.
    #[serde(default)]
    pub member: u32,
    pub stream: Stream,
    /// May hold several lines; ends where the job's write ended.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogPage {
    pub lines: Vec<LogLine>,
    /// Ask again with `after` = this.
    pub next: u64,
    pub more: bool,
}

/// What was found in a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogFound {
    /// How often the text stands there.
    pub total: u64,
    /// Which of them is shown, from 1; 0 when there is none.
    pub at: u64,
    /// The line that it stands in, and some before and after.
    pub lines: Vec<FoundLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundLine {
    /// Counts from 1, over the streams that were looked through.
    pub number: u64,
    pub member: u32,
    pub stream: Stream,
    pub text: String,
    /// It is the one that was found, at this one of the text's places in it, from 0.
    pub place: Option<u32>,
}

/// What a terminal would show of a line: the text after the last carriage return, without colour codes.
pub fn shown_line(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // ESC [ … letter: skip to the letter that ends it.
            if chars.next() == Some('[') {
                for c in chars.by_ref() {
                    if c.is_ascii_alphabetic() {
                        break;
                    }
                }
            }
        } else if c == '\t' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

/// Where a text stands in a line, upper and lower case alike, one after the other. `needle` is in lower case.
pub fn found_in(line: &str, needle: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(rest) = line.get(from..).filter(|rest| !rest.is_empty()) {
        match begins_with(rest, needle) {
            Some(length) => {
                let end = from.saturating_add(length);
                found.push(from..end);
                from = end;
            }
            None => from = from.saturating_add(rest.chars().next().map_or(1, char::len_utf8)),
        }
    }
    found
}

/// How many bytes of the text are the needle, if it begins with it.
fn begins_with(text: &str, needle: &str) -> Option<usize> {
    let mut wanted = needle.chars().peekable();
    for (at, c) in text.char_indices() {
        if wanted.peek().is_none() {
            return Some(at);
        }
        for lower in c.to_lowercase() {
            if wanted.next() != Some(lower) {
                return None;
            }
        }
    }
    (wanted.peek().is_none() && !needle.is_empty()).then_some(text.len())
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    pub id: NodeId,
    pub name: String,
    pub online: bool,
    pub draining: bool,
    pub standing: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    pub country: Option<String>,
    pub reputation: u32,
    pub agent_version: String,
    pub host: HostFacts,
    pub public_key: String,
    pub joined_at: Timestamp,
    pub last_seen: Option<Timestamp>,
    pub devices: Vec<NodeDeviceView>,
    pub cpu_percent: Option<f32>,
    pub memory_used_mib: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeDeviceView {
    pub id: DeviceId,
    pub class: DeviceClass,
    pub model: String,
    pub memory_mib: u64,
    pub uuid: String,
    pub state: DeviceState,
    /// Outside its hours: when it is free again. Within them: until when.
    pub hours_until: Option<Timestamp>,
    /// Whether it is within the hours of its schedule, whatever else keeps it from the market.
    pub in_hours: bool,
    /// On demand, as it is stored: base units a second.
    pub price: PricePerSecond,
    /// With the requester's fee: what one hour costs.
    pub per_hour: Amount,
    pub rules: DeviceRules,
    pub job: Option<JobId>,
    /// Before the owner's fee is taken: what this device has made so far.
    pub earned: Amount,
    /// Each rule it must pass to earn, and what to do where it does not.
    pub checks: Vec<EarnCheck>,
    /// Whether it has shown what it is.
    pub proof: DeviceProof,
    /// As offers show it: 0 to 3.
    pub verified: u32,
}

/// What a price would mean for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceCheckView {
    pub device: DeviceId,
    /// As it would be stored: whole base units a second, rounded down.
    pub price: PricePerSecond,
    /// An hour of that, before fees.
    pub per_hour: Amount,
    /// What a requester pays for an hour.
    pub all_in_per_hour: Amount,
    /// Its place in the order of choice among the offers of its model that are free, this one included.
    pub open: RankView,
    /// Among those that are hired too.
    pub standing: RankView,
    /// The fair price of the model for an hour, and of how many samples it is made. Absent while there are none.
    pub fair: Option<Amount>,
    pub samples: u32,
    /// Above the fair price, in thousandths of it; below zero where it is cheaper.
    pub above_fair_per_mille: Option<i64>,
    pub fill: FillView,
    /// The price, for as much of a day as the fill says, after the owner's fee. Absent where there is no fill.
    pub income_per_day: Option<Amount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RankView {
    /// 1 is chosen first.
    pub rank: u32,
    pub of: u32,
}

/// How long devices of a model that ask at most a price were hired in the last seven days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillView {
    /// Of a thousand hours so many were hired. Absent where fewer than five leases or 24 device-hours are known.
    pub per_mille: Option<u32>,
    pub devices: u32,
    /// Since their machines joined, seven days each at most. That a machine was away is not known.
    pub device_hours: u64,
    /// Delivered and receipted.
    pub hired_hours: u64,
    pub leases: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EarnCheck {
    pub rule: EarnRule,
    pub pass: bool,
    /// What to do; empty when passed.
    pub fix: String,
    /// Numbers of the rule, in the order in which its sentence has them: of `market` the rank and the number of free offers, of
    /// `reputation` the reputation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EarnRule {
    Connected,
    Isolation,
    /// It has shown that it is what it says, or need not.
    Proven,
    /// Its machine is not in maintenance.
    NotMaintained,
    NotPaused,
    /// Within the hours of its schedule.
    InHours,
    Priced,
    /// Among the cheaper half of the free offers of its model.
    Market,
    /// At least the reputation with which machines begin.
    Reputation,
    Hired,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenView {
    pub id: JoinTokenId,
    /// Shown once.
    pub token: String,
    /// The one line to copy.
    pub command: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenState {
    pub id: JoinTokenId,
    pub expires_at: Timestamp,
    pub used_by: Option<NodeId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyView {
    pub id: KeyId,
    pub name: String,
    /// The first characters of the secret, to tell keys apart.
    pub prefix: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewKeyView {
    pub key: KeyView,
    /// Shown once; only its hash is stored.
    pub secret: String,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask again with `before` = this; absent on the last page.
    pub next: Option<String>,
}

/// Public statistics. Claimed and proven supply stand apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkView {
    pub nodes_online: u32,
    pub gpus_claimed: u32,
    pub gpus_proven: u32,
    pub cpus_claimed: u32,
    pub devices_hired: u32,
    pub jobs_running: u32,
    pub jobs_finished: u32,
    pub seconds_delivered: Seconds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleView {
    /// SHA-256, 64 hex digits; name it in a job's `bundle`.
    pub hash: String,
    pub size_bytes: u64,
}
