//! Delivered seconds: how they are witnessed (receipts) and what they cost.
//!
//! Owns: the bytes of a receipt, its two signatures and hash chain, the rules by which the next receipt of a lease
//! is accepted, and the arithmetic from seconds to money.
//!
//! Deliberately absent: clocks, storage, books. Whether money is there is the ledger's business; whether a lease
//! is live is the exchange's. Compiles for wasm32, so that anyone can check an invoice in a browser.
//!
//! Invariants: what has been charged after any series of receipts is a function of the last cumulative number of
//! seconds alone, so no splitting, repeating or reordering of receipts changes it by a unit.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

pub mod batch;
pub mod invoice;
pub mod money;
pub mod receipt;
pub mod series;

pub use money::{Charge, Fees};
pub use receipt::{ChainError, Head, ReceiptError};
