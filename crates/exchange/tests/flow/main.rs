//! Use cases over a real database, with a clock that the test moves. One binary for all of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod access;
mod audit;
mod books;
mod channels;
mod deeds;
mod deliveries;
mod disputes;
mod double;
mod faults;
mod files;
mod fleet;
mod invoices;
mod kinds;
mod limits;
mod mail;
mod market;
mod members;
mod money;
mod moving;
mod notices;
mod payouts;
mod preempt;
mod proofs;
mod quotes;
mod refunds;
mod reputation;
mod rounds;
mod searches;
mod settle;
mod simulation;
mod slots;
mod telemetry;
mod wallets;
mod webhooks;
mod weekly;
mod weekly_faults;
mod worker;
mod workers;
mod world;
