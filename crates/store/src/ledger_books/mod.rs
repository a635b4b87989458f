//! Books and transfers: posting in groups, balances now and then, the chain.

mod post;
mod read;

pub(crate) use read::ACCOUNTS;

use kernel::{Amount, JobId, Timestamp, TransferId};
use ledger::chain::{NO_PREVIOUS, TransferHash};
use ledger::{BookId, Transfer};
use protocol::money::EntryKind;
use sqlx::any::AnyRow;

use crate::db::StoreError;
use crate::row::Columns;

pub use read::{Balances, BookTotals};

/// A transfer as it was posted.
#[derive(Debug, Clone)]
pub struct EntryRow {
    pub id: TransferId,
    pub at: Timestamp,
    pub kind: EntryKind,
    pub amount: Amount,
    pub from_book: String,
    pub to_book: String,
    pub job: Option<JobId>,
    pub key: String,
    pub seq: u64,
    pub from_after: i64,
    pub to_after: i64,
    pub hash: String,
}

/// Where the chain of transfers ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainEnd {
    pub seq: u64,
    pub hash: TransferHash,
    pub at: Timestamp,
}

impl ChainEnd {
    pub const BEGIN: Self = Self {
        seq: 0,
        hash: NO_PREVIOUS,
        at: Timestamp::from_millis(0),
    };
}

fn entry(row: &AnyRow) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        id: row.parse("id")?,
        at: row.time("at")?,
        kind: row.word("kind", EntryKind::parse)?,
        amount: row.amount("amount")?,
        from_book: row.text("from_book")?,
        to_book: row.text("to_book")?,
        job: row.parse_opt("job")?,
        key: row.text("key")?,
        seq: row.unsigned("seq")?,
        from_after: row.int("from_after")?,
        to_after: row.int("to_after")?,
        hash: row.text("hash")?,
    })
}

impl EntryRow {
    /// The transfer that it is of.
    ///
    /// # Errors
    /// A stored name of a book that is none.
    pub fn transfer(&self) -> Result<Transfer, StoreError> {
        let book = |text: &str| {
            text.parse::<BookId>()
                .map_err(|error| StoreError::corrupt("book", error))
        };
        Ok(Transfer {
            key: self.key.clone(),
            from: book(&self.from_book)?,
            to: book(&self.to_book)?,
            amount: self.amount,
            kind: self.kind,
            job: self.job,
        })
    }
}

/// `$1, $2, $3`
pub(crate) fn list(count: usize) -> String {
    let each = (1..=count).map(|n| format!("${n}"));
    each.collect::<Vec<_>>().join(", ")
}

pub(crate) fn chain_end(row: &AnyRow) -> Result<ChainEnd, StoreError> {
    let hash = row.text("hash")?;
    Ok(ChainEnd {
        seq: row.unsigned("seq")?,
        hash: TransferHash::parse(&hash).ok_or_else(|| StoreError::corrupt("hash", hash))?,
        at: row.time("at")?,
    })
}
