//! What a GPU owner installs: lends devices to the exchange's jobs, isolated, metered and under a lease.
//!
//! Owns: the node's identity, its devices, the sandbox, the link to the exchange. Deliberately absent: matching, money,
//! any say over who gets the device; and any touch on what the owner runs besides: it ends, removes and reads only
//! what it made itself.
//!
//! Invariants: no job outlives its lease; no job sees the owner's files, processes or network; a message of an old
//! epoch changes nothing; one agent per state directory.

pub mod agent;
mod cards;
pub mod devices;
pub mod doctor;
mod early;
mod energy;
pub mod executor;
mod files;
pub mod identity;
pub mod image;
mod job;
mod lease;
pub mod link;
mod logs;
mod metrics;
mod proof;
mod redact;
pub mod runtime;
pub mod sandbox;
pub mod telemetry;
mod tunnel;
pub mod uninstall;
pub mod update;
