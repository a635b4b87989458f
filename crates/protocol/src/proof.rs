//! Proof that a device is what it says: what the server asks, what the worker answers. docs/proof.md tells why it is so.
//!
//! One challenge is a talk of a few steps; the server asks each and times it by its own clock. The worker may end it at any
//! moment with [`Answer::Ended`], and does so when the device is hired meanwhile.

use kernel::{ChallengeId, DeviceId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

/// Blocks of memory in one challenge: 64 TiB.
pub const BLOCKS_MAX: u32 = u32::MAX - 1;
/// Leaves that are opened at once.
pub const OPENED_MAX: usize = 64;
/// Sweeps over the memory in one challenge. Not more than what is opened of them, so that each is looked into.
pub const SWEEPS_MAX: u32 = 32;
/// Bytes of an echo, as it travels.
pub const ECHO_BYTES_MAX: usize = 256 * 1024;
const REASON_BYTES_MAX: usize = 300;

/// What is measured of a device. Sizes are the server's choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// A measurement within this lease, before its process starts or after it ended: the product alone. Absent: a challenge, for which the
    /// device must be free.
    #[serde(default)]
    pub lease: Option<LeaseId>,
    /// The maker's UUID of the device that is to answer.
    pub device_uuid: String,
    /// 64 hex digits, drawn for this challenge alone.
    pub seed: String,
    pub fill: FillTask,
    pub product: ProductTask,
}

/// Memory to fill: so many blocks, each gone over so often. Then so many sweeps read all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillTask {
    pub blocks: u32,
    pub passes: u32,
    pub sweeps: u32,
}

/// Where an answer of the sweeps stands: the leaf of a group of blocks in one sweep's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// From 0.
    pub sweep: u32,
    pub group: u32,
}

/// A product of so many factors, each a square of numbers of 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductTask {
    pub size: u32,
    pub factors: u32,
}

/// What the server asks next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Send back what stands here.
    Echo { task: Box<Task>, payload: String },
    /// Fill the device's memory, and say when it is done.
    Fill,
    /// Sweep over all that was filled, as often as the task says: fold every block to one word. The first sweep's key follows from this
    /// one (64 hex digits), each other's from the root of the sweep before it. Answer with all roots.
    Sweep { key: String },
    /// Open these leaves of the sweeps.
    OpenSweeps { places: Vec<Place> },
    /// Multiply; the matrices follow from this key. Answer with the root over the rows.
    Multiply { key: String },
    /// Open these rows.
    OpenRows { rows: Vec<u32> },
    /// It is over: how it went, for the owner's log.
    Over { outcome: Outcome, reason: String },
}

/// What the worker answers, to the question of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    Echo {
        payload: String,
    },
    Filled,
    Swept {
        /// One of each sweep, in their order.
        roots: Vec<String>,
    },
    OpenedSweeps {
        openings: Vec<Opening>,
        /// Measured while nobody waited.
        figures: Figures,
    },
    Product {
        root: String,
        /// By the worker, over [`product_bytes`]; 128 hex digits.
        signature: String,
    },
    OpenedRows {
        openings: Vec<Opening>,
    },
    /// It cannot or may not be answered.
    Ended {
        why: Unanswered,
        reason: String,
    },
}

/// What the worker signs of a product: what it stands for when a lease is refunded.
pub fn product_bytes(challenge: ChallengeId, device_uuid: &str, root: &str) -> Vec<u8> {
    format!("iog.proof.product.v1\n{challenge}\n{device_uuid}\n{root}\n").into_bytes()
}

/// Why a worker does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// A job has the device.
    Hired,
    /// The worker is leaving.
    Leaving,
    /// Only a program that plays a graphics card was found in the card's place.
    Software,
    /// The device cannot compute here: no driver for it, no right to it, too little memory.
    Unable,
}

/// One leaf of a tree, and the hashes beside its way up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    pub index: u32,
    /// Its words, little-endian, in hexadecimal digits.
    pub words: String,
    pub path: Vec<String>,
}

/// What the worker measured by itself, in MB/s. Said, not proven: shown, and held against nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Figures {
    pub to_device: Option<u32>,
    pub from_device: Option<u32>,
    pub disk_write: Option<u32>,
    pub disk_read: Option<u32>,
    pub memory: Option<u32>,
}

/// How a challenge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every answer was right and in time.
    Passed,
    /// An answer was wrong, or slower or faster than the model can be.
    Failed,
    /// No answer came in time, or the line was gone.
    Missed,
    /// The device was hired or its worker left; nobody's fault.
    Aborted,
    /// The worker says that the device cannot answer.
    Unable,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Aborted => "aborted",
            Self::Unable => "unable",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Passed,
            Self::Failed,
            Self::Missed,
            Self::Aborted,
            Self::Unable,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
    }
}

/// How far a device's claim is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// Its driver says so; nothing was answered yet.
    #[default]
    Claimed,
    /// The last challenge was passed.
    Proven,
    /// The last challenge was failed, or several were not answered.
    Failed,
    /// Another node claims the same device.
    Suspect,
}

impl ProofState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Proven => "proven",
            Self::Failed => "failed",
            Self::Suspect => "suspect",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Claimed, Self::Proven, Self::Failed, Self::Suspect]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Why a device stands as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProofReason {
    /// What it read back from its memory was not what was filled in.
    WrongReads,
    /// Its product was wrong.
    WrongProduct,
    /// An answer had no sense: other leaves than asked for, hashes that do not fit.
    Malformed,
    /// Slower than the model is, with all allowance.
    TooSlow,
    /// Faster than the model can be: something else computes.
    TooFast,
    /// No answer.
    NoAnswer,
    /// The platform's table does not know the model.
    UnknownModel,
    /// Memory, PCI id or compute capability are not those of the model.
    Inconsistent,
    /// Another node claims the same device, or has proven that it has it.
    SameDevice,
    /// A program that plays a graphics card.
    Software,
    /// The worker cannot compute on the device.
    Unable,
    /// A job's own measurement showed less than the model.
    Benchmark,
    /// Two other machines computed a slice of a job again, and agree on something else.
    WrongSlice,
}

impl ProofReason {
    pub const ALL: [Self; 13] = [
        Self::WrongReads,
        Self::WrongProduct,
        Self::Malformed,
        Self::TooSlow,
        Self::TooFast,
        Self::NoAnswer,
        Self::UnknownModel,
        Self::Inconsistent,
        Self::SameDevice,
        Self::Software,
        Self::Unable,
        Self::Benchmark,
        Self::WrongSlice,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongReads => "wrong_reads",
            Self::WrongProduct => "wrong_product",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::TooFast => "too_fast",
            Self::NoAnswer => "no_answer",
            Self::UnknownModel => "unknown_model",
            Self::Inconsistent => "inconsistent",
            Self::SameDevice => "same_device",
            Self::Software => "software",
            Self::Unable => "unable",
            Self::Benchmark => "benchmark",
            Self::WrongSlice => "wrong_slice",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// How a device stands, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct DeviceProof {
    pub state: ProofState,
    pub reason: Option<ProofReason>,
    /// The figures to the reason.
    pub detail: String,
    /// When a challenge last came to an end.
    pub challenged_at: Option<Timestamp>,
    /// Since when every challenge was passed.
    pub proven_since: Option<Timestamp>,
    /// Challenges in a row that were answered late or not at all.
    pub strikes: u32,
}

/// A challenge that is over, for the device's owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChallengeView {
    pub id: ChallengeId,
    pub device: DeviceId,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub outcome: Outcome,
    pub reason: Option<ProofReason>,
    pub detail: String,
    pub record: Record,
}

/// What was asked and answered, as far as it went. With it anyone who knows the node's key can compute the answers again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Record {
    pub node_key: String,
    pub device_uuid: String,
    pub model: String,
    pub memory_mib: u64,
    pub seed: String,
    pub read_key: String,
    pub product_key: String,
    pub blocks: u32,
    pub passes: u32,
    /// 0: before there were sweeps. One word of each block was read, and `reads_root` is the root over these.
    pub sweeps: u32,
    pub size: u32,
    pub factors: u32,
    /// SHA-256 over the roots of all sweeps as they are written, 64 hex digits each, one behind the other.
    pub reads_root: String,
    pub product_root: String,
    /// Of the worker, over the product's root.
    pub product_signature: String,
    /// The lease within which it was measured.
    pub lease: Option<LeaseId>,
    /// Groups of what was read and rows of the product that were opened, and what the server drew for its check (64 hex digits each).
    pub groups: Vec<u32>,
    /// Of each of these groups, in which sweep it was opened.
    pub swept: Vec<u32>,
    pub rows: Vec<u32>,
    pub reads_secret: String,
    pub product_secret: String,
    pub echo_ms: u64,
    pub fill_ms: u64,
    /// All sweeps.
    pub read_ms: u64,
    pub product_ms: u64,
    /// What the time of the product shows at least, the line within: 10⁹ operations a second.
    pub gflops: u64,
    /// What the echo shows at least, both ways together.
    pub network_kbit: u64,
    pub figures: Figures,
}

impl Answer {
    /// Whether its texts and lists have sane sizes.
    pub fn is_bounded(&self) -> bool {
        let root = |text: &String| text.len() == 64;
        match self {
            Self::Echo { payload } => payload.len() <= ECHO_BYTES_MAX,
            Self::Filled => true,
            Self::Swept { roots } => {
                u32::try_from(roots.len()).is_ok_and(|many| many <= SWEEPS_MAX)
                    && roots.iter().all(root)
            }
            Self::Product {
                root: text,
                signature,
            } => root(text) && signature.len() == 128,
            Self::OpenedSweeps { openings, .. } | Self::OpenedRows { openings } => {
                openings.len() <= OPENED_MAX
                    && openings
                        .iter()
                        .all(|opening| opening.path.len() <= 32 && opening.path.iter().all(root))
            }
            Self::Ended { reason, .. } => reason.len() <= REASON_BYTES_MAX,
        }
    }
}
