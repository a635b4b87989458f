//! The only SQL of the house: rows to models and back.
//!
//! Owns: the connections (one writer, several readers), the migrations, every statement. One text of SQL serves
//! SQLite (embedded default) and Postgres; each statement is run by a test on both.
//!
//! Deliberately absent: decisions. What is written when, and what commits together, is the exchange's business: it
//! opens a [`Tx`], calls functions of this crate, commits.
//!
//! Invariants: SQLite runs WAL with `synchronous=FULL`, so what was acknowledged survives a power loss; all
//! writing goes through one connection, so a transaction sees no other writer of this process.

mod accounts;
mod addresses;
mod audit;
mod chain;
mod channels;
mod copy;
mod db;
mod disputes;
mod incidents;
mod jobs;
mod leases;
mod ledger_books;
mod limits;
mod nodes;
mod notices;
mod outbox;
mod output;
mod payouts;
mod prices;
mod promises;
mod proofs;
mod quotes;
mod receipts;
mod recomputations;
mod recordings;
mod refunds;
mod reputation;
mod rounds;
mod row;
mod samples;
mod searches;
mod secrets;
mod settlements;
mod telemetry;
mod wallet_deeds;
mod wallets;
mod webhooks;
mod weekly;
mod withheld;

pub use accounts::{Account, ApiKey, Remembered, Session};
pub use addresses::Address;
pub use audit::{AuditAct, AuditEnd, AuditFilter, AuditRow};
pub use chain::{BatchRow, ChainFault, OutgoingRow, Purpose, Unclaimed};
pub use channels::{ChannelRow, VoucherRow};
pub use copy::{CopiedTable, CopyError, CopyStep, DatabaseCopy, copy_database};
pub use db::{Backend, Store, StoreError, Tx, WRITER_CACHE_KIB, sqlite_settings};
pub use disputes::Dispute;
pub use incidents::Difference;
pub use jobs::{Job, JobAnswer, JobRow};
pub use leases::{Lease, LeaseRow, MemberLease, PromisedDevice};
pub use ledger_books::{Balances, BookTotals, ChainEnd, EntryRow};
pub use limits::Maturity;
pub use nodes::{Device, JoinToken, Node};
pub use notices::{NoticeRow, Wishes};
pub use outbox::{Delivery, DueMail, DueWebhook, Target};
pub use output::{Artefact, LogRow, SampleRow, Stored};
pub use payouts::{Approval, Deposit, Payout};
pub use prices::{Hired, PricePoint, TradeRow};
pub use promises::Promise;
pub use quotes::{Quote, QuotedSlot};
pub use receipts::{Period, PostedReceipt, ReceiptsOf};
pub use recordings::{Recording, RecordingEnd};
pub use refunds::{Given, Refund};
pub use reputation::{HOUR_MS, NodeHour, ReputationRow, day_of};
pub use rounds::{Forget, RoundHead};
pub use searches::Search;
pub use secrets::Secret;
pub use telemetry::MINUTE_MS;
pub use wallet_deeds::WalletDeed;
pub use wallets::{Challenge, PayoutAddress, Wallet};
pub use webhooks::Webhook;
pub use weekly::{ReceiptEarning, ReportRow, TakenBack, WeekAmount, WeekLine};
pub use withheld::Withheld;
