//! The server: one process that shows the pages, answers REST, and holds the workers' and the browsers' sockets.
//!
//! Owns: configuration, HTTP and its limits, who is asking (sessions, keys, origins), the two sockets, and the loops that
//! call the exchange's reconcilers. Everything that decides or stores is `exchange`'s; this crate translates.
//!
//! Deliberately absent: SQL, money, matching, rules about jobs; TLS (a reverse proxy ends it); a second opinion about what
//! an actor may do (the exchange refuses, this crate only says who is asking and which words the refusal travels in).
//!
//! Invariants: no request changes anything for a person whose browser was sent here by a foreign page; each refusal of
//! `/api` is a [`protocol::Problem`] with a stable code; every queue and body has a bound; nothing here keeps state that a
//! restart would lose.

pub mod auth;
pub mod chain;
pub mod config;
pub mod copy;
pub mod gateway;
pub mod http;
pub mod live;
pub mod loops;
pub mod replay;
pub mod state;
pub mod telemetry;
mod tunnel;

pub use config::Config;
pub use state::AppState;
