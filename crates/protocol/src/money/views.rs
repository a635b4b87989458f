//! What REST and the pages show of money.

use kernel::{
    AccountId, Amount, ApprovalId, DepositId, DeviceId, DisputeId, IncidentId, JobId, LeaseId,
    PayoutId, PricePerSecond, Seconds, Timestamp, TransferId,
};
use serde::{Deserialize, Serialize};

use super::{ApprovalAction, DepositState, DisputeState, PayoutState};
use crate::state::LeaseState;
use crate::view::Meter;

/// What is an account's, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BalanceView {
    /// To spend.
    pub available: Amount,
    /// Set aside for jobs that run.
    pub held: Amount,
    /// Earned by the account's devices in leases that still run, by receipts.
    pub earned: Amount,
    /// Earned, and to be withdrawn or spent.
    pub withdrawable: Amount,
    /// Earned, and set aside until a dispute is decided.
    pub disputed: Amount,
    /// Earned, and to be taken on the chain with vouchers.
    pub vouched: Amount,
    pub meter: Meter,
    /// How much the demo credit would give; absent where there is none or it was taken.
    pub demo_credit: Option<Amount>,
}

/// One movement in an account's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryView {
    pub id: TransferId,
    pub at: Timestamp,
    pub kind: EntryKind,
    pub amount: Amount,
    /// Which of the account's books it left, and which it reached (absent: another's).
    pub from: Option<Book>,
    pub to: Option<Book>,
    pub job: Option<JobId>,
}

/// A person's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Book {
    Available,
    Held,
    Earned,
    Withdrawable,
    Disputed,
    Vouched,
}

words!(Book {
    Available = "available",
    Held = "held",
    Earned = "earned",
    Withdrawable = "withdrawable",
    Disputed = "disputed",
    Vouched = "vouched",
});

/// What a movement was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Not real money: the demo's.
    DemoCredit,
    /// Came in from outside.
    Deposit,
    /// Set aside for a job.
    Hold,
    /// Came back from a job's hold.
    Release,
    /// Paid for delivered seconds.
    Charge,
    /// The platform's share, on either side.
    Fee,
    /// Earned became withdrawable.
    Matured,
    /// Withdrawable became money to spend here.
    Converted,
    /// Set aside until a dispute is decided.
    Disputed,
    /// A dispute was decided for the owner: it is theirs again.
    Upheld,
    /// Given back to a requester.
    Refund,
    /// On its way to a wallet.
    Payout,
    /// Has arrived there.
    PaidOut,
    /// Could not be paid out, or was not: it came back.
    Returned,
    /// Locked in an escrow channel, and money to spend here.
    Locked,
    /// Left the balance since the channel is being closed: the chain pays it back.
    Unlocked,
    /// Earned, and promised by a voucher.
    Vouched,
    /// The chain paid on a voucher.
    Redeemed,
}

words!(EntryKind {
    DemoCredit = "demo_credit",
    Deposit = "deposit",
    Hold = "hold",
    Release = "release",
    Charge = "charge",
    Fee = "fee",
    Matured = "matured",
    Converted = "converted",
    Disputed = "disputed",
    Upheld = "upheld",
    Refund = "refund",
    Payout = "payout",
    PaidOut = "paid_out",
    Returned = "returned",
    Locked = "locked",
    Unlocked = "unlocked",
    Vouched = "vouched",
    Redeemed = "redeemed",
});

/// Why something is given back without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// A lost node cost the job more delivered seconds than `limits.loss_bound_seconds`.
    LossBound,
    /// The machine was not what was hired.
    SpecMissed,
    /// Two other owners' machines computed a slice again, and agree on something else than it delivered.
    WrongSlice,
}

words!(RefundReason {
    LossBound = "loss_bound",
    SpecMissed = "spec_missed",
    WrongSlice = "wrong_slice",
});

/// What was given back of a lease without being asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefundView {
    pub lease: LeaseId,
    pub reason: RefundReason,
    /// Delivered seconds that it is for.
    pub seconds: Seconds,
    pub amount: Amount,
    /// Of it, what is still to come.
    pub owed: Amount,
    pub at: Timestamp,
    pub paid_at: Option<Timestamp>,
}

/// What an account's books held at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementView {
    /// What was posted up to then counts; with a `period`, what was posted before.
    pub at: Timestamp,
    /// The number of the last transfer in the whole ledger up to then; 0 before the first.
    pub seq: u64,
    pub books: Vec<BookBalance>,
    /// How it came to it, where a beginning was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<PeriodView>,
}

/// What happened from a moment on and before a statement's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeriodView {
    pub from: Timestamp,
    /// What the books held just before.
    pub opening: Vec<BookBalance>,
    /// What came to the account and what left it since, by purpose. Moves between its own books are no part of it: what the
    /// books held together then, and all that came, less all that went, is what they hold now.
    pub moved: Vec<MovedView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MovedView {
    pub kind: EntryKind,
    pub came: Amount,
    pub went: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookBalance {
    pub book: Book,
    pub balance: Amount,
}

/// The ledger's running proof: all books together, signed by the platform. Public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProofView {
    /// The last transfer that it covers.
    pub seq: u64,
    /// The end of the chain of transfers, 64 hex digits.
    pub hash: String,
    pub at: Timestamp,
    pub books: u64,
    /// What persons' books hold together, base units.
    pub persons: i64,
    /// What the platform's books hold together, those below zero among them.
    pub platform: i64,
    /// `persons` and `platform` together: zero, or the books lie.
    pub sum: i64,
    /// Over `"iog.ledger.v1\0"`, seq (u64), hash (32 bytes), at (i64), books (u64), persons, platform (i64), big endian.
    pub signature: String,
}

/// One day of an account, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayView {
    /// Its first moment.
    pub day: Timestamp,
    /// Paid for delivered seconds.
    pub spent: Amount,
    /// Of earlier seconds, what came back on this day.
    pub refunded: Amount,
    /// Earned by delivered seconds, after the fee.
    pub earned: Amount,
}

/// What an account lets its jobs spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SpendLimits))]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Jobs stop before the balance falls below this.
    #[serde(default)]
    pub keep: Option<Amount>,
    /// At most so much a day, UTC.
    #[serde(default)]
    pub per_day: Option<Amount>,
    /// At most so much a month, UTC.
    #[serde(default)]
    pub per_month: Option<Amount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsView {
    pub limits: Limits,
    /// Paid today and set aside for what runs.
    pub today: Amount,
    /// Paid this month and set aside for what runs.
    pub month: Amount,
    /// What jobs may still take, by the limits and the balance.
    pub left: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DepositView {
    pub id: DepositId,
    pub account: AccountId,
    /// For admins.
    pub email: Option<String>,
    pub amount: Amount,
    pub state: DepositState,
    /// Not real money.
    pub demo: bool,
    pub requested_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    /// Under which it came in: over a chain, the transaction's hash, a colon and the place of its event.
    pub reference: Option<String>,
    /// Why it was refused.
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PayoutView {
    pub id: PayoutId,
    pub account: AccountId,
    /// For admins.
    pub email: Option<String>,
    pub amount: Amount,
    /// An Aptos address.
    pub address: String,
    pub state: PayoutState,
    pub requested_at: Timestamp,
    pub changed_at: Timestamp,
    /// Under which it was paid outside.
    pub reference: Option<String>,
    /// Why it was refused, or failed.
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalView {
    pub id: ApprovalId,
    pub action: ApprovalAction,
    pub payout: PayoutId,
    pub reason: String,
    pub proposed_by: String,
    pub proposed_at: Timestamp,
    /// Another admin; until then nothing is changed.
    pub confirmed_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    /// It was taken back, or its time was over.
    pub dropped: bool,
}

/// Who says something in a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Requester,
    Owner,
    /// What the platform's own records show.
    Platform,
    Admin,
}

words!(Party {
    Requester = "requester",
    Owner = "owner",
    Platform = "platform",
    Admin = "admin",
});

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvidenceView {
    pub by: Party,
    pub at: Timestamp,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DisputeView {
    pub id: DisputeId,
    /// Absent for the owner, who learns of the lease and not of the job.
    pub job: Option<JobId>,
    pub lease: LeaseId,
    /// The receipt it is about: what this one added to the one before.
    pub seq: u64,
    /// What the requester paid for it.
    pub paid: Amount,
    pub claimed: Amount,
    /// Of the owner's earnings, what is set aside until it is decided.
    pub set_aside: Amount,
    pub state: DisputeState,
    pub refunded: Amount,
    pub opened_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    /// Why it was decided so.
    pub ruling: String,
    /// Oldest first.
    pub evidence: Vec<EvidenceView>,
    /// Both sides, for admins.
    pub parties: Option<[String; 2]>,
}

/// What the reconciler compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// All books do not sum to zero.
    BooksSum,
    /// A book's balance is not what its transfers make it.
    BookBalance,
    /// The chain of transfers is broken.
    Chain,
    /// What is held for an account is not what its open holds have left.
    Held,
    /// What a lease was charged is not what its receipts say.
    LeaseReceipts,
    /// What was posted for a lease is not what it was charged.
    LeasePostings,
    /// A job is over and its hold is not released.
    HoldOpen,
    /// A lease lives whose job is over.
    LeaseOutlivesJob,
    /// Payouts in transit are not what the open payouts say.
    PayoutsInTransit,
    /// What was given back of a lease is not what refunds and rulings say, or more than was paid for it.
    LeaseRefunds,
    /// The platform's books could not pay a refund yet.
    RefundOwed,
    /// The chain and the books differ, or a transaction does not get through.
    OnChain,
    /// The book of channels, or what a channel promised, is not what its vouchers say.
    Channels,
    /// What vouchers promise an owner is not what the owner's book holds.
    Vouched,
    /// An entry of the audit log was changed, taken out or put in.
    AuditChain,
    /// Three machines computed one slice of a job, and all differ.
    Slices,
}

words!(IncidentKind {
    BooksSum = "books_sum",
    BookBalance = "book_balance",
    Chain = "chain",
    Held = "held",
    LeaseReceipts = "lease_receipts",
    LeasePostings = "lease_postings",
    HoldOpen = "hold_open",
    LeaseOutlivesJob = "lease_outlives_job",
    PayoutsInTransit = "payouts_in_transit",
    LeaseRefunds = "lease_refunds",
    RefundOwed = "refund_owed",
    OnChain = "on_chain",
    Channels = "channels",
    Vouched = "vouched",
    AuditChain = "audit_chain",
    Slices = "slices",
});

/// A difference that was found; nothing mends it but a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentView {
    pub id: IncidentId,
    pub kind: IncidentKind,
    /// What it is about: a book, a lease, a hold, a transfer.
    pub subject: String,
    pub expected: String,
    pub found: String,
    pub first_at: Timestamp,
    /// When it was last seen.
    pub last_at: Timestamp,
    /// It was not there any more when it was looked for again.
    pub gone_at: Option<Timestamp>,
    /// Who closed it, and why.
    pub closed_by: Option<String>,
    pub closed_at: Option<Timestamp>,
    pub note: String,
}

/// What an admin sees of one book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookView {
    /// Its name, such as `available:acc_…` or `platform:fees`.
    pub book: String,
    /// Base units; below zero only where a book mirrors the outside.
    pub balance: i64,
    /// Whose it is.
    pub email: Option<String>,
}

/// A posted transfer as the ledger inspector shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransferView {
    pub seq: u64,
    pub id: TransferId,
    pub at: Timestamp,
    pub key: String,
    pub from: String,
    pub to: String,
    pub amount: Amount,
    pub kind: EntryKind,
    pub job: Option<JobId>,
    /// What the two books held after it, base units.
    pub from_after: i64,
    pub to_after: i64,
    pub hash: String,
}

/// How far the chain of transfers goes, and how far it was read and found whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainView {
    /// The newest transfer; 0 before the first.
    pub seq: u64,
    /// Over it and all before it, 64 hex digits.
    pub hash: String,
    pub at: Timestamp,
    /// The reconciler has read up to this one.
    pub checked_seq: u64,
    pub checked_hash: String,
    /// Breaks that it found and that nobody closed.
    pub breaks: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EarningsView {
    /// Of all devices, after the owner's fee, since they joined.
    pub earned: Amount,
    /// Of it, what disputes and refunds gave back to requesters.
    pub given_back: Amount,
    pub today: Amount,
    /// Of leases that still run, by receipts and by acknowledged seconds.
    pub pending: Amount,
    pub withdrawable: Amount,
    pub disputed: Amount,
    /// Promised by vouchers that are not redeemed, and what was redeemed.
    pub vouched: Amount,
    pub redeemed: Amount,
    /// On its way to a wallet.
    pub in_transit: Amount,
    pub paid_out: Amount,
    /// What runs now brings this much, after the fee.
    pub rate: PricePerSecond,
    pub devices: Vec<DeviceEarnings>,
    /// Newest first.
    pub leases: Vec<LeaseEarnings>,
    /// Newest first.
    pub payouts: Vec<PayoutView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceEarnings {
    pub device: DeviceId,
    pub node_name: String,
    pub model: String,
    pub seconds: Seconds,
    pub earned: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseEarnings {
    pub lease: LeaseId,
    pub node_name: String,
    pub model: String,
    pub state: LeaseState,
    pub granted_at: Timestamp,
    pub seconds: Seconds,
    pub earned: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_again() {
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::parse(kind.as_str()), Some(*kind));
            let json = serde_json::to_string(kind).expect("writes");
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
        for kind in IncidentKind::ALL {
            let json = serde_json::to_string(kind).expect("writes");
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
        assert_eq!(EntryKind::parse("x"), None);
    }
}
