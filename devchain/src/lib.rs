//! A development chain: it speaks the part of Aptos's REST that clients use and executes compiled Move modules in a real
//! Move VM, for demos and tests.
//!
//! It is not Aptos: one process decides alone, and gas is counted but not charged. See docs/devchain.md.

pub mod package;
pub mod types;
pub mod vm;

/// The chain id, that of a local Aptos network.
pub const CHAIN_ID: u8 = 4;
