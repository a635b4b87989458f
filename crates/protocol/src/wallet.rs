//! Wallets that sign in to an account, and where an account's payouts go. Addresses are `0x` and 64 digits, keys and signatures
//! hexadecimal.

use kernel::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use crate::view::AccountView;

/// A wallet of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletView {
    pub address: String,
    /// As the wallet calls itself.
    pub name: String,
    pub linked_at: Timestamp,
    /// When it last signed in.
    pub used_at: Timestamp,
}

/// What a wallet is to sign, by the names of AIP-62; the wallet adds its address. It can be answered once, for five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct WalletQuestion {
    pub domain: String,
    pub uri: String,
    pub version: String,
    pub statement: String,
    pub nonce: String,
    /// `aptos:mainnet`
    pub chain_id: String,
    pub issued_at: String,
    pub expiration_time: String,
    /// The chain's number, for wallets that are asked to change to it.
    pub chain_number: u8,
}

/// What the wallet signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum WalletSigned {
    /// `aptos:signIn`
    SignIn {
        /// `input` as the wallet gave it back.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        input: serde_json::Value,
        /// `type` as the wallet gave it back: `ed25519` or `single_key`.
        scheme: String,
    },
    /// `aptos:signMessage`, with address, application and chain in it
    Message {
        /// `fullMessage` as the wallet gave it back.
        text: String,
    },
}

/// The answer to a [`WalletQuestion`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletAnswer {
    /// Of the question.
    pub nonce: String,
    /// As the wallet calls itself.
    pub wallet: String,
    pub signed: WalletSigned,
    /// In BCS.
    pub public_key: String,
    /// Bare or in BCS.
    pub signature: String,
}

/// Who is signed in now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletSignInView {
    pub account: AccountView,
    /// The account was made by this.
    pub is_new: bool,
}

/// Where payouts go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PayoutAddressView {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Asked for; until `next_at` payouts go to `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// So long after it was asked for a change takes effect. The first address does at once.
    pub delay_seconds: Seconds,
}

/// What became of a payout address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AddressChange {
    /// It is in force from the time given.
    Asked,
    /// It is in force.
    Changed,
    /// It was asked for and taken back.
    Cancelled,
}
