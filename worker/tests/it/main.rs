//! The worker's tests with real processes, in one program: linking is what costs time.

mod common;
mod escape;
mod sandbox;
mod watchdog;
