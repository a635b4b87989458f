//! Escrow channels and their vouchers as REST and the pages show them.

use kernel::{Amount, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// Made for a wallet that has not opened it.
    Proposed,
    Open,
    /// Its owner asked for the close; until a day later owners can redeem.
    Closing,
    Closed,
    /// Opened beside another one, or with another key: nothing here uses it, and its owner can close it.
    Idle,
}

words!(ChannelState {
    Proposed = "proposed",
    Open = "open",
    Closing = "closing",
    Closed = "closed",
    Idle = "idle",
});

/// What its owner is told of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChannelStep {
    /// Jobs are paid from it.
    Opened,
    ToppedUp,
    /// It was opened beside another one, or with another key: nothing here uses it.
    Idle,
    /// Its close was asked for.
    Closing,
    Closed,
}

/// A requester's money on the chain that jobs are paid from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelView {
    pub address: String,
    pub state: ChannelState,
    /// Who opened it, and gets the rest.
    pub wallet: String,
    /// Which of the wallet's channels it is.
    pub number: u64,
    /// `0x` and 64 digits; it signs the vouchers.
    pub voucher_key: String,
    /// All that came in.
    pub locked: Amount,
    /// Of it, what vouchers promise in all, and what of that was paid.
    pub promised: Amount,
    pub redeemed: Amount,
    /// What no voucher promises: it goes back at the close.
    pub free: Amount,
    /// What the chain paid back.
    pub returned: Option<Amount>,
    pub closing_until: Option<Timestamp>,
    pub made_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
}

/// The newest voucher of a channel for an owner's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VoucherView {
    pub channel: String,
    pub payee: String,
    /// All that the channel promises this address, and what of it was paid.
    pub cumulative: Amount,
    pub redeemed: Amount,
    /// It is asked to be redeemed from here, and that is under way.
    pub asked: bool,
    /// Of the channel.
    pub state: ChannelState,
    /// When the channel is being closed: until then it can be redeemed for certain.
    pub closing_until: Option<Timestamp>,
    pub changed_at: Timestamp,
    /// The transaction that redeemed it up to here; absent where somebody else handed it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
}

/// A voucher as an owner keeps it: with it and a node of the chain it can be redeemed without this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VoucherDocument {
    /// `iog.voucher.v1`
    pub format: String,
    /// The chain's number.
    pub chain: u8,
    pub contract: String,
    pub channel: String,
    pub payee: String,
    /// Base units.
    pub cumulative: Amount,
    /// The channel's key, `0x` and 64 digits.
    pub voucher_key: String,
    /// 128 hexadecimal digits; docs/settlement.md states what is signed.
    pub signature: String,
}
