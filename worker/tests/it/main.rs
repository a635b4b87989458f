//! The worker's tests with real processes, in one program: linking is what costs time.

mod agent;
mod common;
mod doors;
mod engine;
mod escape;
mod exchange;
mod image;
mod phases;
mod registry;
mod sandbox;
mod uninstall;
mod watchdog;
