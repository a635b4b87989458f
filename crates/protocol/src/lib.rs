//! What is said between the parts of IOG: the job's specification, the workers' messages, the live frames,
//! the shapes that REST and the pages show, and the form of a refusal.
//!
//! Owns: shapes, their limits and their validation. Deliberately absent: I/O, decisions, storage. Compiles for
//! wasm32, so that the browser checks a job with the same code as the server.
//!
//! Invariants: unknown fields are refused in what people and workers send us; every text and list has a bound.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

#[macro_use]
mod words;

pub mod audit;
pub mod country;
pub mod endpoint;
pub mod fleet;
pub mod image;
pub mod invoice;
pub mod live;
pub mod mesh;
pub mod money;
pub mod notice;
pub mod problem;
pub mod proof;
pub mod recompute;
pub mod release;
pub mod rent;
pub mod reputation;
pub mod round;
pub mod spec;
pub mod state;
pub mod telemetry;
/// Templates are read where jobs are made, never in a browser.
#[cfg(not(target_arch = "wasm32"))]
pub mod template;
pub mod tunnel;
pub mod view;
pub mod wallet;
pub mod worker;

pub use problem::{Code, FieldProblem, Problem};
pub use spec::JobSpec;
