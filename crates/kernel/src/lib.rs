//! The words every other crate speaks: ids, money, prices, time, epochs.
//!
//! Owns: the value types of the house and their text forms. Each is a newtype, so that an amount cannot be
//! added to a second and a job's id cannot be passed where a lease's is wanted.
//!
//! Deliberately absent: I/O, a clock, randomness (time and random bytes are arguments; [`Clock`] is only the
//! door through which a shell hands time in), knowledge of any other crate. Compiles for wasm32.
//!
//! Invariants: an [`Amount`] is never negative and never passes [`Amount::MAX`]; no arithmetic here wraps,
//! saturates or loses a unit without saying so in its name.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod amount;
mod energy;
mod id;
#[cfg(feature = "openapi")]
mod openapi;
pub mod reach;
mod time;

pub use amount::{Amount, BASE_UNITS_PER_IO, BasisPoints, MoneyError, PricePerSecond};
pub use energy::{Energy, EnergyError};
pub use id::{
    AccountId, ApprovalId, ArtefactId, ChallengeId, DeedId, DepositId, DeviceId, DisputeId, HoldId,
    IdError, IncidentId, JobId, JoinTokenId, KeyId, LeaseId, NodeId, NoticeId, PayoutId, QuoteId,
    RecordingId, SearchId, SessionId, TransferId, WebhookId,
};
pub use time::{Clock, Epoch, Seconds, TimeError, Timestamp};
