//! The chain as pages and REST show it: what it holds, what went out over it, and what an admin sees of that.

use kernel::{Amount, DepositId, PayoutId, Timestamp};
use serde::{Deserialize, Serialize};

use super::states::PayoutState;
use crate::view::NetworkView;

/// How well the chain is known at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChainReach {
    /// What is shown was read just now.
    Fresh,
    /// It was read a while ago; `seen_at` says when.
    Stale,
    /// It was never reached since this server started.
    Unreached,
}

words!(ChainReach {
    Fresh = "fresh",
    Stale = "stale",
    Unreached = "unreached",
});

/// Whether the chain holds what this server's source says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CodeState {
    Same,
    /// Another source, or another compiler.
    Different,
    /// The chain was not asked yet.
    NotCompared,
}

words!(CodeState {
    Same = "same",
    Different = "different",
    NotCompared = "not_compared",
});

/// The contract's modules on the chain against those that were compiled for this server (docs/settlement.md says what is hashed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CodeView {
    pub state: CodeState,
    /// What this server was built with, `0x` and 64 digits.
    pub built: String,
    /// What the chain holds.
    pub held: Option<String>,
    pub compared_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupplyView {
    pub supply: Amount,
    /// There can never be more.
    pub cap: Amount,
    pub circulating: Amount,
}

/// What the contract's vault holds beside what the books say came in and did not go out, both at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultView {
    pub held: Amount,
    pub owed: Amount,
    pub at: Timestamp,
}

/// A chain that pays and credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OnChainView {
    /// Aptos's mainnet is 1, testnet 2, a development chain 4.
    pub number: u8,
    /// The node that is asked; its scheme and host.
    pub node: String,
    pub contract: String,
    /// A page that shows it.
    pub contract_url: Option<String>,
    /// With `{hash}` in it: a page that shows a transaction.
    pub transaction_url: Option<String>,
    pub reach: ChainReach,
    pub seen_at: Option<Timestamp>,
    /// The newest version of its ledger at that time.
    pub version: Option<u64>,
    pub supply: Option<SupplyView>,
    pub vault: Option<VaultView>,
    pub code: CodeView,
}

/// Payouts that have arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PaidView {
    pub payouts: u64,
    pub amount: Amount,
}

/// Payouts that went out in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchView {
    /// `0x` and 64 digits: the hash of its payouts' ids.
    pub id: String,
    pub lines: u32,
    pub total: Amount,
    pub made_at: Timestamp,
    /// When the chain applied it; absent while it is under way.
    pub settled_at: Option<Timestamp>,
    /// Lines that were paid, and lines that the chain could not pay; their money is back.
    pub paid: Option<u32>,
    pub skipped: Option<u32>,
    /// The transaction that applied it, and a page that shows it.
    pub transaction: Option<String>,
    pub transaction_url: Option<String>,
}

/// Everybody may see this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplorerView {
    pub at: Timestamp,
    /// Absent: payouts and deposits are done by hand.
    pub chain: Option<OnChainView>,
    pub paid: PaidView,
    /// In the last 24 hours.
    pub paid_day: PaidView,
    /// What jobs paid in the last 24 hours.
    pub spent_day: Amount,
    /// The newest batches of payouts.
    pub batches: Vec<BatchView>,
    pub network: NetworkView,
}

/// What one of the platform's accounts has left for fees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeeAccountView {
    pub address: String,
    pub url: Option<String>,
    /// In the chain's smallest coins: octas.
    pub balance: u64,
}

/// How settlement stands, for admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettlementView {
    pub chain: Option<OnChainView>,
    pub fees: Vec<FeeAccountView>,
    /// What was wrong when the chain was asked last.
    pub trouble: Option<String>,
}

/// One payout of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLineView {
    pub line: u32,
    pub payout: PayoutId,
    pub email: String,
    pub address: String,
    pub amount: Amount,
    pub state: PayoutState,
    /// Why the chain could not pay it.
    pub note: String,
}

/// One transaction that carried a batch, or should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransactionView {
    pub hash: String,
    pub url: Option<String>,
    pub attempt: u32,
    pub sender: String,
    /// signed, sent, seen, landed, failed, expired or absent (docs/settlement.md).
    pub state: String,
    pub made_at: Timestamp,
    pub changed_at: Timestamp,
    /// By the chain's clock.
    pub expires_at: Timestamp,
    /// The most that it can cost, in octas.
    pub fee_max: u64,
    pub gas_used: Option<u64>,
    /// The chain's words.
    pub status: String,
}

/// A batch with its lines and all transactions that were signed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDetail {
    pub batch: BatchView,
    pub lines: Vec<BatchLineView>,
    pub transactions: Vec<TransactionView>,
}

/// What came in over the chain for nobody who is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnclaimedView {
    pub id: DepositId,
    pub amount: Amount,
    /// The address that it came from, and a page that shows it.
    pub sender: String,
    pub sender_url: Option<String>,
    /// The 16 bytes it named instead of an account, as hexadecimal digits; absent when it named none.
    pub tag: Option<String>,
    /// The transaction's hash, a colon and the place of its event.
    pub reference: String,
    pub transaction_url: Option<String>,
    pub at: Timestamp,
}
