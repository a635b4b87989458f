//! What is owed becomes real on a chain: the plan of it, the bytes of it, and the door to it.
//!
//! Owns: the port [`Chain`], the plan of payout batches, the life of an outgoing transaction, the weekly earnings report
//! (Merkle tree, proofs, corrections), tax lines, vouchers, and signing in with a wallet. docs/settlement.md states units, bytes
//! and states.
//!
//! Deliberately absent: any chain's own words (crate `chain-aptos` has them; but `check` asks in those of Aptos, as browsers do), clocks, randomness, storage, books. Compiles for
//! wasm32, so that anyone can check a report's proof in a browser.
//!
//! Invariants: a payout is in one batch, and a batch's id is made of its payouts alone; a transaction is replaced only after
//! the chain has proven that it can never land; a root, a voucher and a signed-in address depend on stated bytes alone.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

pub mod batch;
pub mod chain;
pub mod check;
pub mod code;
pub mod digest;
pub mod gas;
pub mod outgoing;
pub mod proof;
pub mod report;
pub mod sign_in;
pub mod tax;
pub mod voucher;
pub mod week;

pub use batch::{Batch, BatchError, Line, Plan};
pub use chain::{Chain, ChainError};
pub use code::Code;
pub use digest::{Address, Digest, Tag};
pub use outgoing::{Outgoing, Sighting};
pub use report::Tree;
pub use voucher::{SignedVoucher, Voucher, VoucherFile};
pub use week::Week;
