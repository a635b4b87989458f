//! An invoice: one document with all that is needed to check it without asking anybody.
//!
//! It carries each receipt as the exact bytes that were signed, with both signatures, and it is signed itself. docs/receipts.md
//! states the bytes; the crate `metering` makes and checks them. Amounts are strings of base units.

use kernel::{
    AccountId, Amount, DeviceId, DisputeId, Energy, Epoch, JobId, LeaseId, NodeId, PricePerSecond,
    Seconds, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::money::{EntryView, RefundReason};
use crate::state::JobState;

/// `format` of the invoices that are made now.
pub const FORMAT: &str = "iog.invoice.v1";
/// More receipts than this are told by their ends only: a month of ten devices would be hundreds of megabytes.
pub const RECEIPTS_MAX: u64 = 20_000;
/// Lines of one invoice.
pub const LEASES_MAX: u64 = 20_000;
/// Movements in one export of the ledger.
pub const ENTRIES_MAX: u32 = 50_000;

/// What an account paid for one job, or in one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Invoice))]
#[serde(deny_unknown_fields)]
pub struct Invoice {
    /// `iog.invoice.v1`
    pub format: String,
    /// The same for the same subject, however often it is made; with `is_final` it does not change any more, but for refunds.
    pub number: String,
    pub subject: Subject,
    pub issued_at: Timestamp,
    /// Whether nothing will be added: the job, or the month, is over.
    pub is_final: bool,
    pub customer: Customer,
    pub currency: Currency,
    /// Ed25519, 64 hex digits: whose countersignatures and whose signature under this invoice are meant.
    pub platform_key: String,
    pub receipts: Receipted,
    /// Oldest first.
    pub leases: Vec<InvoiceLease>,
    /// Oldest first.
    pub refunds: Vec<InvoiceRefund>,
    pub totals: Totals,
    /// The platform's, Ed25519, 128 hex digits; the last field, over all before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    Job {
        job: JobId,
        name: String,
        state: JobState,
    },
    /// What was posted from the first moment of a month to its last, in UTC.
    Month {
        /// `2026-11`
        month: String,
        from: Timestamp,
        until: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Customer {
    pub account: AccountId,
    pub name: String,
    pub email: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Currency {
    /// `IO`
    pub code: String,
    /// How many make one: 100000000.
    pub base_units: u64,
}

/// Which receipts an invoice carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Receipted {
    /// Each one.
    All,
    /// Of each lease the last one alone, with the one before all of them. Money follows from these two; the links between them
    /// are in the job's receipts.
    Ends,
}

/// One line: what one lease cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InvoiceLease {
    pub lease: LeaseId,
    pub job: JobId,
    pub epoch: Epoch,
    pub node: NodeId,
    pub device: DeviceId,
    /// What people know it by, and how many of it.
    pub model: String,
    pub devices: u32,
    /// Ed25519, 64 hex digits: whose receipts these are.
    pub worker_key: String,
    pub price: PricePerSecond,
    /// The requester's fee in hundredths of a percent, on top of the price.
    pub fee_basis_points: u16,
    /// The last receipt before this invoice's period; absent when the lease began within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<SignedReceipt>,
    pub receipts: Vec<SignedReceipt>,
    /// Delivered within this invoice's period, as all that follows.
    pub seconds: Seconds,
    pub gross: Amount,
    pub fee: Amount,
    pub charged: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_mj: Option<Energy>,
}

/// A receipt as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// What the worker signed, hex.
    pub bytes: String,
    /// Ed25519, 128 hex digits each.
    pub worker_signature: String,
    pub platform_signature: String,
    /// What it added to the one before in this document, fee included; of an opening one, nothing.
    pub charged: Amount,
    pub posted_at: Timestamp,
}

/// Given back of what was paid for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InvoiceRefund {
    pub lease: LeaseId,
    pub cause: RefundCause,
    pub amount: Amount,
    pub at: Timestamp,
}

/// Why something was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum RefundCause {
    /// A ruling on one receipt.
    Dispute {
        dispute: DisputeId,
        /// Of the receipt that it is about.
        seq: u64,
    },
    /// Without being asked for. What the platform could not pay at once is a second line, with its own time.
    Automatic {
        reason: RefundReason,
        /// Delivered seconds that it is for.
        seconds: Seconds,
    },
}

/// Sums of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Totals {
    pub seconds: Seconds,
    pub gross: Amount,
    pub fee: Amount,
    pub charged: Amount,
    pub refunded: Amount,
}

/// What an owner's devices earned, with the receipts that say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EarningsExport {
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    pub platform_key: String,
    pub seconds: Seconds,
    pub earned: Amount,
    /// As they were posted.
    pub receipts: Vec<EarnedReceipt>,
}

/// What moved in an account's books in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerExport {
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Oldest first.
    pub entries: Vec<EntryView>,
}

/// What one receipt brought the owner beyond the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EarnedReceipt {
    pub lease: LeaseId,
    pub node: NodeId,
    pub node_name: String,
    pub device: DeviceId,
    pub model: String,
    pub devices: u32,
    pub price: PricePerSecond,
    /// The owner's fee in hundredths of a percent, off the price.
    pub fee_basis_points: u16,
    pub seq: u64,
    pub seconds: Seconds,
    pub gross: Amount,
    pub fee: Amount,
    pub earned: Amount,
    pub energy_mj: Option<Energy>,
    pub worker_key: String,
    /// `charged` is what the requester paid.
    pub receipt: SignedReceipt,
}

/// What an invoice can be found wrong in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It is not an invoice of this format.
    Document,
    /// The text says something in another form than the platform wrote it.
    Form,
    /// The platform's signature under the whole.
    Signature,
    /// The platform's key is not the one that was expected.
    PlatformKey,
    /// A worker's or the platform's key, or a fee, is none.
    Terms,
    /// A receipt's bytes cannot be read.
    Bytes,
    /// A receipt is of another lease, job, node, device, epoch or price than its line.
    Line,
    WorkerSignature,
    Countersignature,
    /// A receipt is missing between two.
    Gap,
    /// A receipt is there twice.
    Repeated,
    /// A receipt stands before one that is older.
    Order,
    /// Two different receipts have the same number.
    Overlap,
    /// A receipt does not name the one before.
    Link,
    /// A receipt comes after the lease's last.
    Late,
    /// Fewer seconds, or less energy, than the one before.
    Backwards,
    /// A receipt's amount is not price × seconds.
    Amount,
    /// What a receipt was charged is not what its seconds cost.
    Charge,
    /// A line's seconds, sums or energy are not those of its receipts.
    LineSum,
    /// The totals are not the sums of the lines.
    Total,
    /// A lease or a refund that does not belong to this invoice, or is there twice.
    Subject,
    /// A receipt was posted outside the month, or before the one before it.
    Period,
    /// A refund is more than was paid for its receipt, or all of a lease's are more than was paid for it.
    Refund,
}

impl Rule {
    pub const ALL: &[Self] = &[
        Self::Document,
        Self::Form,
        Self::Signature,
        Self::PlatformKey,
        Self::Terms,
        Self::Bytes,
        Self::Line,
        Self::WorkerSignature,
        Self::Countersignature,
        Self::Gap,
        Self::Repeated,
        Self::Order,
        Self::Overlap,
        Self::Link,
        Self::Late,
        Self::Backwards,
        Self::Amount,
        Self::Charge,
        Self::LineSum,
        Self::Total,
        Self::Subject,
        Self::Period,
        Self::Refund,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Form => "form",
            Self::Signature => "signature",
            Self::PlatformKey => "platform_key",
            Self::Terms => "terms",
            Self::Bytes => "bytes",
            Self::Line => "line",
            Self::WorkerSignature => "worker_signature",
            Self::Countersignature => "countersignature",
            Self::Gap => "gap",
            Self::Repeated => "repeated",
            Self::Order => "order",
            Self::Overlap => "overlap",
            Self::Link => "link",
            Self::Late => "late",
            Self::Backwards => "backwards",
            Self::Amount => "amount",
            Self::Charge => "charge",
            Self::LineSum => "line_sum",
            Self::Total => "total",
            Self::Subject => "subject",
            Self::Period => "period",
            Self::Refund => "refund",
        }
    }
}

/// One thing that is wrong with an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: Rule,
    /// Where in the document: `leases[0].receipts[3]`; empty for the whole.
    pub place: String,
    /// Whose: a lease's or a dispute's id; empty for the whole.
    pub id: String,
    pub expected: String,
    pub found: String,
}

/// What checking an invoice came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Nothing was found.
    pub fits: bool,
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more: u64,
    /// Of what could be read.
    pub summary: Option<Summary>,
}

/// What an invoice says, for those who look at the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub number: String,
    pub subject: Subject,
    pub issued_at: Timestamp,
    pub is_final: bool,
    pub customer: Customer,
    pub platform_key: String,
    /// Whether that key was compared with one from elsewhere.
    pub key_compared: bool,
    pub receipted: Receipted,
    pub leases: u64,
    pub receipts: u64,
    pub signatures: u64,
    pub totals: Totals,
    pub energy_mj: Option<Energy>,
}
