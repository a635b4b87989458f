//! What is given back of leases without being asked for, and what that is reckoned from.

use kernel::{AccountId, Amount, JobId, LeaseId, Seconds, Timestamp};
use ledger::BookId;
use protocol::money::{RefundReason, RefundView};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count};

/// Given back, or owed, of one lease for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub lease: LeaseId,
    pub reason: RefundReason,
    /// What the keys of its transfers begin with.
    pub key: String,
    pub job: JobId,
    pub account: AccountId,
    /// Delivered seconds that it is for.
    pub seconds: Seconds,
    /// What had been paid for the lease.
    pub charged: Amount,
    pub amount: Amount,
    /// Of it, what the platform's books could not pay yet.
    pub owed: Amount,
    pub at: Timestamp,
    pub paid_at: Option<Timestamp>,
}

/// What a refund of a lease depends on, besides what memory knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Of its seconds, those that the newest checkpoint keeps.
    pub saved: Seconds,
    /// Refunds and rulings, paid or owed, and what open disputes claim.
    pub back: Amount,
}

fn refund(row: &AnyRow) -> Result<Refund, StoreError> {
    Ok(Refund {
        lease: row.parse("lease")?,
        reason: row.word("reason", RefundReason::parse)?,
        key: row.text("key")?,
        job: row.parse("job")?,
        account: row.parse("account")?,
        seconds: row.seconds("seconds")?,
        charged: row.amount("charged")?,
        amount: row.amount("amount")?,
        owed: row.amount("owed")?,
        at: row.time("at")?,
        paid_at: row.time_opt("paid_at")?,
    })
}

impl Tx {
    /// A checkpoint has arrived that keeps so many seconds of a lease; a lower number changes nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_saved(&mut self, lease: LeaseId, seconds: Seconds) -> Result<(), StoreError> {
        query("UPDATE leases SET saved = $1 WHERE id = $2 AND saved < $3")
            .bind(count("saved", seconds.get())?)
            .bind(lease.to_string())
            .bind(count("saved", seconds.get())?)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn given(&mut self, lease: LeaseId) -> Result<Given, StoreError> {
        let row = query(
            "SELECT l.saved, l.refunded + CAST(COALESCE((SELECT SUM(owed) FROM lease_refunds WHERE lease = l.id), 0) AS BIGINT) \
             + CAST(COALESCE((SELECT SUM(claimed) FROM disputes WHERE lease = l.id AND state = 'open'), 0) AS BIGINT) \
             AS back FROM leases l WHERE l.id = $1",
        )
        .bind(lease.to_string())
        .fetch_one(self.connection())
        .await?;
        Ok(Given {
            saved: row.seconds("saved")?,
            back: row.amount("back")?,
        })
    }

    /// What a book of the platform's gave back since a moment. It looks at what left the book alone: what came in is a
    /// transfer for each receipt.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refunded_since(
        &mut self,
        book: BookId,
        since: Timestamp,
    ) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfers \
             WHERE from_book = $1 AND at >= $2 AND kind = 'refund'",
        )
        .bind(book.to_string())
        .bind(since.millis())
        .fetch_one(self.connection())
        .await?;
        row.amount("total")
    }

    /// All of a lease.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refunds_of(&mut self, lease: LeaseId) -> Result<Vec<Refund>, StoreError> {
        let rows = query("SELECT * FROM lease_refunds WHERE lease = $1 ORDER BY at, reason")
            .bind(lease.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(refund).collect()
    }

    /// # Errors
    /// A conflict: the lease has one for this reason already.
    pub async fn insert_refund(&mut self, new: &Refund) -> Result<(), StoreError> {
        query(
            "INSERT INTO lease_refunds (lease, reason, key, job, account, seconds, charged, amount, owed, at, paid_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(new.lease.to_string())
        .bind(new.reason.as_str())
        .bind(&new.key)
        .bind(new.job.to_string())
        .bind(new.account.to_string())
        .bind(count("seconds", new.seconds.get())?)
        .bind(new.charged.base())
        .bind(new.amount.base())
        .bind(new.owed.base())
        .bind(new.at.millis())
        .bind(new.paid_at.map(Timestamp::millis))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// What was owed is paid.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pay_refund(
        &mut self,
        lease: LeaseId,
        reason: RefundReason,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query("UPDATE lease_refunds SET owed = 0, paid_at = $1 WHERE lease = $2 AND reason = $3")
            .bind(now.millis())
            .bind(lease.to_string())
            .bind(reason.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The refund of a lease for a reason, if something is owed of it still.
    ///
    /// # Errors
    /// The database failed.
    pub async fn owed_refund(
        &mut self,
        lease: LeaseId,
        reason: RefundReason,
    ) -> Result<Option<Refund>, StoreError> {
        let row =
            query("SELECT * FROM lease_refunds WHERE lease = $1 AND reason = $2 AND owed > 0")
                .bind(lease.to_string())
                .bind(reason.as_str())
                .fetch_optional(self.connection())
                .await?;
        row.as_ref().map(refund).transpose()
    }
}

impl Store {
    /// Leases, and the reasons, of whose refunds something is owed, the longest owed first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn owed_refunds(
        &self,
        limit: u32,
    ) -> Result<Vec<(LeaseId, RefundReason)>, StoreError> {
        let rows = query(
            "SELECT lease, reason FROM lease_refunds WHERE owed > 0 ORDER BY at, lease, reason LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let read = |row: &AnyRow| {
            let reason = row.word("reason", RefundReason::parse)?;
            Ok((row.parse("lease")?, reason))
        };
        rows.iter().map(read).collect()
    }

    /// Of a job, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refunds_of_job(&self, job: JobId) -> Result<Vec<RefundView>, StoreError> {
        let rows = query("SELECT * FROM lease_refunds WHERE job = $1 ORDER BY at, lease, reason")
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        let view = |row: &AnyRow| {
            let refund = refund(row)?;
            Ok(RefundView {
                lease: refund.lease,
                reason: refund.reason,
                seconds: refund.seconds,
                amount: refund.amount,
                owed: refund.owed,
                at: refund.at,
                paid_at: refund.paid_at,
            })
        };
        rows.iter().map(view).collect()
    }
}
