//! Proof that a device is what it says: the numbers that a challenge is made of, how they are computed, how they are checked.
//!
//! Owns: the formulas of the memory fill, of the sweeps over it and of the matrix product, the trees over their answers, the check of opened answers, the
//! table of models and the times held against it. docs/proof.md states what a cheater can gain, and with which probability.
//!
//! Deliberately absent: clocks, randomness, devices. Times are measured by the server and given; a challenge's seed and what the
//! server keeps to itself are arguments. The graphics card's version of the formula is a shader of the worker's, compared with this one.
//!
//! Invariants: an honest answer always passes; an answer depends on challenge, node and device, so that no other's fits; the check
//! of a fill costs as many blocks as are opened, the check of a product n² for each factor.

pub mod check;
pub mod fill;
pub mod key;
pub mod models;
pub mod plan;
pub mod product;
pub mod slices;
pub mod sweep;
pub mod tree;

pub use check::{Fault, Timings};
pub use key::{Binding, Key};
pub use models::Band;
