//! The application: every use case of IOG as a method of [`Exchange`].
//!
//! Owns: who may do what, which changes commit together, and the order "check, write, commit, then tell the index and
//! the sockets". State that must survive is in the database; what stands in memory (offers, connected nodes, live
//! leases, unposted receipts) is an index that is rebuilt at start.
//!
//! Deliberately absent: HTTP, Leptos, sockets, SQL. Time and randomness come through [`kernel::Clock`] and [`Entropy`].
//!
//! Invariants: a device and a job have at most one live lease; a lease never delivers more seconds than are held
//! for; only seconds of a receipt that the worker signed under a live lease are charged; what ends a lease and what it
//! costs commit together.

mod accounts;
mod actor;
mod admission;
mod apng;
mod audit;
mod audit_check;
mod billing;
mod channels;
mod deliver;
mod deposits;
mod desk;
mod disputes;
mod doors;
mod due;
mod endpoints;
mod error;
mod explorer;
mod files;
mod fleet;
mod inspector;
mod invoices;
mod jobs;
mod journal;
mod leases;
mod letters;
mod limits;
mod live;
mod log_search;
mod mail;
mod markets;
mod members;
mod missed;
mod money;
mod network;
mod nodes;
mod notify;
mod once;
mod passes;
mod payout_address;
mod payouts;
mod pictures;
mod ports;
mod preempt;
mod price_check;
mod prices;
mod proofs;
mod prose;
mod quotes;
mod recompute;
mod reconcile;
mod recordings;
mod recover;
mod refunds;
mod replay;
mod reports;
mod reputation;
mod rounds;
mod rules;
mod runway;
mod searches;
mod secrets;
mod settings;
mod settle;
mod simulator;
mod telemetry;
mod templates;
mod tick;
mod views;
mod wallet_deeds;
mod wallets;
mod webhooks;
mod workers;

pub use accounts::SessionSecret;
pub use actor::{Actor, Via};
pub use admission::NodeSession;
pub use audit::AuditQuery;
pub use channels::ChannelDeed;
pub use deliver::{Outcome, Parcel};
pub use desk::Exchange;
pub use doors::{Place, Reach, Traffic, check_shell};
pub use endpoints::{Heard, Look, Served};
pub use error::Error;
pub use fleet::PriceMove;
pub use live::{LiveFrame, LiveHub, Subscription};
pub use log_search::LogSearch;
pub use mail::{Letter, LetterId, Posted};
pub use markets::OrderPlace;
pub use network::{Explorer, Network};
pub use nodes::join_line;
pub use passes::{Holder, OPEN_FOR, Opens, Pass, PortAt};
pub use payout_address::check_payee;
pub use pictures::frames_of;
pub use ports::{Entropy, SystemClock, SystemEntropy};
pub use proofs::Challenges;
pub use protocol::money::PayoutMove;
pub use recordings::{RECORDING_WRITTEN_AFTER, Recorder, TRANSCRIPT_LINES_MAX, TranscriptLine};
pub use replay::Replayer;
pub use reports::ProofFile;
pub use rules::DeviceChange;
pub use settings::Settings;
pub use store::{CopyError, CopyStep, DatabaseCopy, copy_database};
pub use templates::Templates;
pub use wallets::NO_CHAIN;
