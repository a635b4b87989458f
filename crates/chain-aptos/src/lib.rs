//! The port of `settlement` on Aptos: any network of it is an address, a number, a contract and some keys.
//!
//! Owns: the bytes of Aptos's transactions, its REST, and how the contract's functions, views and events are called.
//!
//! Deliberately absent: the books and what is owed (the exchange), storage (signed bytes are given back before they are sent),
//! and Aptos's Rust SDK. Its `serde_json` features (`arbitrary_precision`) would hold for the whole server and refuse fractions in
//! tagged messages, which every worker's heartbeat is. What is used of Aptos is small; official clients check the bytes in tests.
//!
//! Invariants: nothing is sent that was not given out before; a lost answer is never taken for a refusal; no transaction is
//! signed above the gas ceiling; an event is told once, at its version and index.

mod answer;
mod bytes;
mod call;
mod client;
mod connect;
mod rest;
mod settings;
mod sponsor;

pub use client::Aptos;
pub use connect::number_of;
pub use settings::{Replay, Settings, secret_key};
