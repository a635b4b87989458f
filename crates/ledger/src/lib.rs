//! The books: double entry, and holds in two phases.
//!
//! Owns: the chart of accounts, what a transfer is, the chain that transfers form, and the rules by which money is set
//! aside, paid out of what was set aside, and given back. Plans are lists of [`Transfer`]s; the store writes them in one transaction.
//!
//! Deliberately absent: storage, time, prices. What a second costs is metering's; when something is posted is the
//! exchange's.
//!
//! Invariants: each transfer takes from one book what it gives to another, so all books sum to zero; no book of a
//! person falls below zero; out of a hold never more is paid and given back than was set aside.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod books;
pub mod chain;
mod hold;
pub mod plans;

pub use books::{After, BookId, Books, LedgerError, NoSuchBook, PLATFORM, Transfer, run};
pub use hold::{Hold, Payment};
