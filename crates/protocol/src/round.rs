//! Matching rounds as they are published: the book's offers and their changes, what was asked, who was chosen.
//!
//! These are the bytes that hashes cover, too: a [`Round`] and all in it are written as JSON in the order of the fields
//! here, without blanks. A field may be added at the end when it is left out while it says nothing; nothing else may
//! change, or old rounds could not be checked any more. Numbers are whole and exact to 64 bits.

use kernel::{AccountId, DeviceId, NodeId, PricePerSecond, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rent::ReservedRule;
use crate::spec::DeviceClass;

fn says_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether an offer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = OfferStanding))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Offered,
    /// Kept back by its owner.
    Paused,
    /// Its node is not connected, or drains.
    Down,
    /// Its node cannot isolate jobs.
    Blocked,
    /// Outside of its owner's hours.
    Closed,
}

/// One offer with everything that the choice depends on. Zero and absent: not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BookOffer {
    pub device: DeviceId,
    pub node: NodeId,
    pub owner: AccountId,
    pub class: DeviceClass,
    pub model: String,
    pub vram_mib: u64,
    /// Devices of this model in the node.
    pub cards: u32,
    /// Driver 550.54 is 550054.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub driver: u32,
    /// CUDA 12.4 is 12004.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub cuda: u32,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub up_mbit: u32,
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub down_mbit: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub reputation: u32,
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub verified: u32,
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub watts: u32,
    pub min_duration: Seconds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Seconds>,
    /// The owner's, before fees.
    pub price: PricePerSecond,
    pub joined_at: Timestamp,
    /// The owner's for spot jobs, where it takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<PricePerSecond>,
    /// And for reserved ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<ReservedRule>,
    pub supply: Standing,
    /// A job has it. Whose is not public.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub taken: bool,
}

/// One change of the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BookChange {
    /// A new offer, or all of a known one anew.
    Put(Box<BookOffer>),
    Remove(DeviceId),
    Take(DeviceId),
    Free(DeviceId),
}

impl BookChange {
    pub fn device(&self) -> DeviceId {
        match self {
            Self::Put(offer) => offer.device,
            Self::Remove(device) | Self::Take(device) | Self::Free(device) => *device,
        }
    }
}

/// How a term's value stands to what it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RoundOp {
    In,
    NotIn,
}

/// One condition on one field: its value lies in one of `ranges` (both ends belong to them; no end: no bound) or is one
/// of `values`. Ranges are in the field's own unit: MiB, Mbit/s, W, seconds, base units a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoundTerm {
    pub field: String,
    pub op: RoundOp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RoundRange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoundRange {
    pub min: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// What was asked of the market. It does not tell who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoundRequest {
    pub terms: Vec<RoundTerm>,
    /// Devices on one node.
    pub count: u32,
    pub nodes: u32,
    /// `group`, `country`, `region` or `any`.
    pub near: String,
    /// Each node of another owner.
    pub spread: bool,
    /// `on-demand`, `spot` or `reserved`.
    pub kind: String,
    /// This device and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Nodes that refused the job before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<NodeId>,
    /// What all devices together may ask at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_together: Option<PricePerSecond>,
    /// Only machines that joined since then: it was the newcomers' turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newcomers_since: Option<Timestamp>,
}

/// Why the market was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A job was submitted.
    Submitted,
    /// A job that waited in the market.
    Waiting,
    /// A job that lost its node.
    Restarted,
}

/// A device that won, with what its rank was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    pub device: DeviceId,
    pub node: NodeId,
    pub price: PricePerSecond,
    pub reputation: u32,
    pub joined_at: Timestamp,
}

/// One time that the market was asked to place a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// From 1, without gaps.
    pub number: u64,
    pub at: Timestamp,
    pub occasion: Occasion,
    /// The book's last change before it.
    pub step: u64,
    /// Offers in the book.
    pub offers: u64,
    /// The book's Merkle root before the round, 64 hex digits.
    pub root: String,
    pub request: RoundRequest,
    /// Asked before it, and nothing matched: places nearer to the job's other nodes, or newcomers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearer: Vec<RoundRequest>,
    /// Empty: nothing matched.
    pub chosen: Vec<Chosen>,
    /// The hash of the round before, 64 hex digits; zeros for the first. It is the round's seed: it
    /// tells whether it is the newcomers' turn.
    pub previous: String,
}

/// A round and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundRecord {
    /// SHA-256 of `iog-round-v1`, a line feed and the round as JSON.
    pub hash: String,
    pub round: Round,
}

/// The whole book at one of its steps, kept in pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Snapshot {
    pub step: u64,
    pub at: Timestamp,
    pub offers: u64,
    pub root: String,
    pub pages: u32,
}

/// A round with where its book is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundView {
    pub record: RoundRecord,
    /// The hash of the round before as it is kept; absent when that round is not kept any more.
    pub before: Option<String>,
    /// The newest whole book that is not newer than the round; its changes since then make the round's book.
    pub snapshot: Snapshot,
    /// So many changes lie between.
    pub changes: u64,
}

/// One change and its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookStep {
    pub step: u64,
    pub change: BookChange,
}

/// A piece of a round's book: first all offers of the snapshot, then the changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookPage {
    pub offers: Vec<BookOffer>,
    pub changes: Vec<BookStep>,
    /// For `after`; absent at the end.
    pub next: Option<String>,
}

/// A replay's one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStep {
    pub what: ReplayCheck,
    pub stated: String,
    pub found: String,
}

impl ReplayStep {
    pub fn holds(&self) -> bool {
        self.stated == self.found
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayCheck {
    /// The round's own hash.
    Hash,
    /// The hash of the round before.
    Previous,
    /// The root of the snapshot.
    Snapshot,
    /// The root of the book before the round.
    Root,
    /// Who won.
    Winners,
}

impl ReplayCheck {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash of the round",
            Self::Previous => "hash of the round before",
            Self::Snapshot => "root of the snapshot",
            Self::Root => "root of the book",
            Self::Winners => "winners",
        }
    }
}

/// Why a device did not get what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissedGroup {
    /// The field of the request that it failed; or `hired`, `paused`, `offline`, `blocked`, `closed`, `unlisted`, `kind`, `refused_before`,
    /// `agreed_price`, `another_device`, `newcomers`; or, when it fitted and was free, what ranked another before it: `price`, `reputation`,
    /// `joined_at`, `id`, or `place` for several devices together.
    pub field: String,
    /// It fitted and was free, and another ranked before it.
    pub outranked: bool,
    pub rounds: u32,
    /// In so many of them it was the only thing in the way.
    pub alone: u32,
    /// The newest, three at most.
    pub examples: Vec<MissedRound>,
}

/// One round that a device missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissedRound {
    pub number: u64,
    pub at: Timestamp,
    /// What was asked of the field.
    pub asked: String,
    /// What the device had.
    pub had: String,
    /// The highest owner's price with which it would have won this round; where another price would have helped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_to_win: Option<PricePerSecond>,
}

/// How a device did in the rounds of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissedView {
    pub device: DeviceId,
    pub since: Timestamp,
    /// Rounds that were looked at, the newest ones.
    pub rounds: u32,
    /// Never more than this.
    pub rounds_max: u32,
    /// Of them, those whose conditions it met, free or not.
    pub fitted: u32,
    pub won: u32,
    /// What was in the way in the others, the most frequent first.
    pub missed: Vec<MissedGroup>,
}
