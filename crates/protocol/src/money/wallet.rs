//! What a person's own wallet does on the chain, at the platform's expense: first proposed, then signed.

use kernel::{Amount, DeedId, Timestamp};
use serde::{Deserialize, Serialize};

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeedKind {
    /// Money into the vault, for the account.
    Deposit,
    /// A new escrow channel.
    OpenChannel,
    TopUpChannel,
    StartClose,
    FinishClose,
    /// A voucher is handed in.
    Redeem,
}

words!(DeedKind {
    Deposit = "deposit",
    OpenChannel = "open_channel",
    TopUpChannel = "top_up_channel",
    StartClose = "start_close",
    FinishClose = "finish_close",
    Redeem = "redeem",
});

/// How far it is. What it brought is told by the chain's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeedState {
    /// The wallet has not signed.
    Proposed,
    /// Signed by both and under way.
    Sent,
    /// It took effect.
    Landed,
    /// The chain ran it and it failed.
    Failed,
    /// It can never take effect.
    Expired,
}

words!(DeedState {
    Proposed = "proposed",
    Sent = "sent",
    Landed = "landed",
    Failed = "failed",
    Expired = "expired",
});

/// A transaction for the wallet to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeedProposal {
    pub id: DeedId,
    pub kind: DeedKind,
    /// Who is to sign.
    pub wallet: String,
    /// The raw transaction, hexadecimal: BCS, as the chain's own clients read it.
    pub transaction: String,
    /// What the wallet's key signs, hexadecimal: the transaction together with who pays its fee.
    pub to_sign: String,
    pub fee_payer: String,
    /// By the chain's clock; later it is of no use.
    pub expires_at: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeedView {
    pub id: DeedId,
    pub kind: DeedKind,
    pub amount: Option<Amount>,
    pub wallet: String,
    pub state: DeedState,
    /// The transaction's hash, once both have signed.
    pub transaction: Option<String>,
    /// The chain's words, where it failed.
    pub status: String,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
}
