//! The market: which offers there are and which one a job gets.
//!
//! Owns: the index of offers, what a request may ask ([`Filter`], the query grammar), the choice (cheapest first, then
//! reputation, then the older node, then the id: the published tie rule), gangs, the explanation when nothing fits, and
//! who holds each slot.
//!
//! Deliberately absent: storage, time, money. The index is fed from the database and rebuilt at start; the database's
//! unique key on live leases has the last word about a slot.
//!
//! Invariants: the choice is a function of the book and the request alone; a slot has at most one holder; the index
//! answers as [`Filter::accepts`] says, offer by offer.

mod book;
mod books;
mod explain;
pub mod fair;
mod filter;
mod gang;
mod grammar;
mod hours;
mod index;
mod names;
mod offer;
mod place;
mod public;
mod replay;
pub mod reputation;
mod request;
mod root;

pub use book::{Book, Choice, Scope, Standing};
pub use books::{Books, HOURS_STEP, Listing};
pub use explain::{Nearest, NoMatch, Removed, Together};
pub use filter::{Filter, Number, Term, Test};
pub use grammar::{FieldHelp, Prices, Query, QueryError, fields, parse};
pub use hours::Hours;
pub use names::words;
pub use offer::{Offer, Rank, Supply, Version};
pub use place::{Country, Region};
pub use public::{Unreadable, chosen, published, published_request, request_of};
pub use replay::{Chance, Hurdle, Replica, chance, follow, hash_of, readable};
pub use request::{Ask, Kind, NEWCOMER, Near, Request, is_newcomers_turn};
pub use root::{Digest, Proof, leaf_bytes};
