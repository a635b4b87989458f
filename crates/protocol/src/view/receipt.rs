//! The receipts of delivered seconds, as they are signed and as they are shown.

use kernel::{
    Amount, DeviceId, Energy, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp,
};
use serde::{Deserialize, Serialize};

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
