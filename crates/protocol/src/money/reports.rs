//! What REST and the pages show of the weekly earnings report.

use kernel::{Amount, Timestamp};
use serde::{Deserialize, Serialize};

/// A version of a week's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportView {
    /// Its Monday, in days since 1970-01-01 (UTC).
    pub week: u64,
    /// The same for people, `2026-11-23`.
    pub monday: String,
    /// 1, 2, 3 …; the newest one counts.
    pub version: u64,
    /// Of the tree of all lines; 0x and 64 digits.
    pub root: String,
    pub total: Amount,
    pub owners: u64,
    /// Where it is published: the chain's number and the contract.
    pub chain: u8,
    pub contract: String,
    pub made_at: Timestamp,
    /// Absent until the chain has told that it is there.
    pub published_at: Option<Timestamp>,
    pub transaction: Option<String>,
}

/// What an account earned in a closed week, by the newest version of its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnWeekView {
    /// Its Monday, in days since 1970-01-01 (UTC).
    pub week: u64,
    pub monday: String,
    pub version: u64,
    pub amount: Amount,
    /// The chain has it: a proof of it can be checked.
    pub is_published: bool,
}
