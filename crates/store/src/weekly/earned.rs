//! What the ledger says of a week.
//!
//! It is read from transfers alone, by their keys: `receipt:<lease>:<seq>:owner` pays, `dispute:<id>:refund` and
//! `refund:<lease>:earned` or `:withdrawable` take back. docs/settlement.md states the rule.

use std::collections::BTreeMap;

use kernel::{AccountId, Amount, DisputeId, LeaseId, Timestamp};
use ledger::BookId;
use settlement::Week;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::ledger_books::{ChainEnd, chain_end};
use crate::row::{Columns, count};

/// An owner's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekAmount {
    pub account: AccountId,
    pub amount: Amount,
}

/// What a refund that nobody asked for took of its lease's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBack {
    pub lease: LeaseId,
    pub owner: AccountId,
    pub amount: Amount,
}

/// What one receipt brought its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptEarning {
    pub at: Timestamp,
    pub amount: Amount,
    /// Of it, what a ruling took back.
    pub ruled: Amount,
}

impl Tx {
    /// What receipts posted in a week brought each owner.
    ///
    /// # Errors
    /// The database failed.
    pub async fn earned_in(
        &mut self,
        week: Week,
    ) -> Result<BTreeMap<AccountId, Amount>, StoreError> {
        let rows = query(
            "SELECT b.id AS book, CAST(SUM(t.amount) AS BIGINT) AS amount FROM books b JOIN transfers t ON t.to_book = b.id \
             AND t.at >= $1 AND t.at < $2 AND t.kind = 'charge' WHERE b.id LIKE 'earned:%' GROUP BY b.id",
        )
        .bind(week.starts_at().millis())
        .bind(week.ends_at().millis())
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| match row.parse("book")? {
            BookId::Earned(account) => Ok((account, row.amount("amount")?)),
            other => Err(StoreError::corrupt("book", other)),
        };
        rows.iter().map(read).collect()
    }

    /// What rulings, whenever they were made, took back of the receipts of a week.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ruled_back_of(&mut self, week: Week) -> Result<Vec<WeekAmount>, StoreError> {
        let rows = query(
            "SELECT d.owner, CAST(SUM(g.amount) AS BIGINT) AS amount FROM disputes d \
             JOIN transfers g ON g.key = 'dispute:' || d.id || ':refund' \
             JOIN transfers t ON t.key = 'receipt:' || d.lease || ':' || CAST(d.seq AS TEXT) || ':owner' \
             WHERE d.refunded > 0 AND t.at >= $1 AND t.at < $2 GROUP BY d.owner",
        )
        .bind(week.starts_at().millis())
        .bind(week.ends_at().millis())
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| {
            Ok(WeekAmount {
                account: row.parse("owner")?,
                amount: row.amount("amount")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What refunds that nobody asked for took back of leases that may have receipts in a week.
    ///
    /// # Errors
    /// The database failed.
    pub async fn taken_back_of(&mut self, week: Week) -> Result<Vec<TakenBack>, StoreError> {
        // A lease is refunded when it is over. A day more, as its rows are not written at one millisecond.
        let rows = query(
            "SELECT f.lease, l.owner, CAST(SUM(g.amount) AS BIGINT) AS amount FROM lease_refunds f JOIN leases l ON l.id = f.lease \
             JOIN transfers g ON g.key IN (f.key || ':earned', f.key || ':withdrawable') \
             WHERE f.at >= $1 - 86400000 AND l.granted_at < $2 + 86400000 GROUP BY f.lease, l.owner",
        )
        .bind(week.starts_at().millis())
        .bind(week.ends_at().millis())
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| {
            Ok(TakenBack {
                lease: row.parse("lease")?,
                owner: row.parse("owner")?,
                amount: row.amount("amount")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What each receipt of a lease brought, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn receipt_earnings(
        &mut self,
        lease: LeaseId,
    ) -> Result<Vec<ReceiptEarning>, StoreError> {
        let rows = query(
            "SELECT t.at, t.amount, COALESCE(g.amount, 0) AS ruled FROM receipts r \
             JOIN transfers t ON t.key = 'receipt:' || r.lease || ':' || CAST(r.seq AS TEXT) || ':owner' \
             LEFT JOIN disputes d ON d.lease = r.lease AND d.seq = r.seq \
             LEFT JOIN transfers g ON g.key = 'dispute:' || d.id || ':refund' \
             WHERE r.lease = $1 ORDER BY r.seq DESC",
        )
        .bind(lease.to_string())
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| {
            Ok(ReceiptEarning {
                at: row.time("at")?,
                amount: row.amount("amount")?,
                ruled: row.amount("ruled")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// When the contested receipt of a dispute was posted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn contested_at(
        &mut self,
        dispute: DisputeId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT t.at FROM disputes d JOIN transfers t \
             ON t.key = 'receipt:' || d.lease || ':' || CAST(d.seq AS TEXT) || ':owner' WHERE d.id = $1";
        self.one(sql, dispute, |row| row.time("at")).await
    }
}

impl Store {
    /// When the first receipt brought somebody something.
    ///
    /// # Errors
    /// The database failed.
    pub async fn first_earning(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = query(
            "SELECT at FROM transfers WHERE kind = 'charge' AND to_book LIKE 'earned:%' ORDER BY seq LIMIT 1",
        )
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| row.time("at")).transpose()
    }

    /// Of the transfers after one number and up to another, those that can change what a week that ended before `until` brought:
    /// what was taken back, and what was posted for a time that was over. Their keys and times.
    ///
    /// # Errors
    /// The database failed.
    pub async fn earnings_changed(
        &self,
        after: u64,
        up_to: u64,
        until: Timestamp,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows = query(
            "SELECT key, at FROM transfers WHERE seq > $1 AND seq <= $2 \
             AND (kind = 'refund' OR (kind = 'charge' AND at < $3)) ORDER BY seq",
        )
        .bind(count("seq", after)?)
        .bind(count("seq", up_to)?)
        .bind(until.millis())
        .fetch_all(self.readers())
        .await?;
        let read = |row: &AnyRow| Ok((row.text("key")?, row.time("at")?));
        rows.iter().map(read).collect()
    }

    /// The chain of transfers as it stood after one of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn chain_at(&self, seq: u64) -> Result<Option<ChainEnd>, StoreError> {
        let row = query("SELECT seq, hash, at FROM transfers WHERE seq = $1")
            .bind(count("seq", seq)?)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(chain_end).transpose()
    }
}
