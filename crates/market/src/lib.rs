//! The market: which offers there are and which one a job gets.
//!
//! Owns: the in-memory index of offers, the constraints of a request, the choice (cheapest first, then reputation, then
//! the older node, then the id: the published tie rule), the explanation when nothing fits, and who holds each slot.
//!
//! Deliberately absent: storage, time, money. The index is fed from the database and rebuilt at start; the database's
//! unique key on live leases has the last word about a slot.
//!
//! Invariants: the choice is a function of the book and the request alone; a slot has at most one holder.

mod book;
mod request;

pub use book::{Book, Choice, Offer, Supply};
pub use request::{Constraint, NoMatch, Removed, Request};
