//! The server as a whole: the real program, real workers where work is done, spoken ones where only words matter.
//!
//! One binary, because linking a server is slow. The programs must be built first: `cargo build -p server -p worker -p cli -p
//! devchain`.

mod api;
mod audit;
mod authorisation;
mod chain;
mod channels;
mod crash;
mod endpoints;
mod gateway;
mod install;
mod invoices;
mod isolation;
mod journey;
mod live;
mod mail;
mod mesh;
mod money;
mod money_requests;
mod openapi;
mod ports;
mod preempt;
mod program;
mod proofs;
mod quotes;
mod races;
mod receiver;
mod reports;
mod rounds;
mod rush;
mod smtp;
mod telemetry;
mod templates;
mod wallet;
mod webhooks;
mod work;

use std::time::Duration;

/// Long enough for a loaded machine; a test that waits so long has failed.
const SOON: Duration = Duration::from_mins(1);

/// Heartbeats and leases short enough that a test need not wait for minutes.
const QUICK: [(&str, &str); 4] = [
    ("IOG_HEARTBEAT_MS", "400"),
    ("IOG_LEASE_TTL_MS", "3000"),
    ("IOG_REGRANT_MARGIN_MS", "1000"),
    ("IOG_STARTUP_GRACE_MS", "6000"),
];
