//! Posted receipts, of a job or of an account in a period.

use kernel::{AccountId, Amount, JobId, Timestamp};
use protocol::invoice::{InvoiceRefund, RefundCause};
use protocol::money::RefundReason;
use protocol::view::Receipt;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, query};

use crate::db::{Store, StoreError};
use crate::leases::LeaseRow;
use crate::row::Columns;

#[derive(Debug, Clone)]
pub struct PostedReceipt {
    pub receipt: Receipt,
    pub hash: String,
    pub charged: Amount,
    pub posted_at: Timestamp,
    pub worker_key: String,
}

/// Whose receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptsOf {
    Job(JobId),
    /// Of the account's jobs.
    Requester(AccountId),
    /// Of the account's devices.
    Owner(AccountId),
}

/// From a moment on, until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Period {
    pub const ALWAYS: Self = Self {
        from: Timestamp::from_millis(0),
        // The year 10,000.
        until: Timestamp::from_millis(253_402_300_800_000),
    };
}

impl ReceiptsOf {
    /// Which leases, as `l`; an index covers each. Of an account with years of leases those are passed over that were not live in
    /// the period; a day more, since a lease's last receipt and its end are not written at the same millisecond.
    const fn lease_is(self) -> &'static str {
        match self {
            Self::Job(_) => "l.job = $1",
            Self::Requester(_) => {
                "l.account = $1 AND l.granted_at < $3 AND (l.live = 1 OR l.ended_at >= $2 - 86400000)"
            }
            Self::Owner(_) => {
                "l.owner = $1 AND l.granted_at < $3 AND (l.live = 1 OR l.ended_at >= $2 - 86400000)"
            }
        }
    }

    /// Which disputes and refunds, as `d`.
    const fn given_back_is(self) -> &'static str {
        match self {
            Self::Job(_) => "d.job = $1",
            Self::Requester(_) => "d.account = $1",
            Self::Owner(_) => "d.lease IN (SELECT id FROM leases WHERE owner = $1)",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Job(id) => id.to_string(),
            Self::Requester(id) | Self::Owner(id) => id.to_string(),
        }
    }
}

fn posted(row: &AnyRow) -> Result<PostedReceipt, StoreError> {
    Ok(PostedReceipt {
        receipt: row.json("body")?,
        hash: row.text("hash")?,
        charged: row.amount("charged")?,
        posted_at: row.time("posted_at")?,
        worker_key: row.text("worker_key")?,
    })
}

impl Store {
    /// A job's receipts, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn receipts(&self, job: JobId) -> Result<Vec<PostedReceipt>, StoreError> {
        let rows = query(
            "SELECT r.*, n.public_key AS worker_key FROM receipts r JOIN leases l ON l.id = r.lease \
             JOIN nodes n ON n.id = l.node WHERE l.job = $1 ORDER BY l.epoch, r.seq",
        )
        .bind(job.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(posted).collect()
    }

    /// How many receipts were posted in a period, and of how many leases.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_receipts(
        &self,
        of: ReceiptsOf,
        period: Period,
    ) -> Result<(u64, u64), StoreError> {
        let sql = format!(
            "SELECT COUNT(*) AS receipts, COUNT(DISTINCT r.lease) AS leases FROM receipts r JOIN leases l ON l.id = r.lease \
             WHERE {} AND r.posted_at >= $2 AND r.posted_at < $3",
            of.lease_is()
        );
        let row = query(AssertSqlSafe(sql))
            .bind(of.id())
            .bind(period.from.millis())
            .bind(period.until.millis())
            .fetch_one(self.readers())
            .await?;
        Ok((row.unsigned("receipts")?, row.unsigned("leases")?))
    }

    /// The receipts posted in a period, lease by lease and oldest first, and of each lease the last one before it. `ends`: of
    /// those in the period the last of each lease alone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn receipts_in(
        &self,
        of: ReceiptsOf,
        period: Period,
        ends: bool,
    ) -> Result<Vec<PostedReceipt>, StoreError> {
        let wanted = if ends {
            "(r.seq = s.first_seq - 1 OR r.seq = s.last_seq)"
        } else {
            "r.seq >= s.first_seq - 1 AND r.seq <= s.last_seq"
        };
        let sql = format!(
            "SELECT r.*, s.worker_key FROM receipts r JOIN \
             (SELECT i.lease, MIN(i.seq) AS first_seq, MAX(i.seq) AS last_seq, MIN(n.public_key) AS worker_key \
              FROM receipts i JOIN leases l ON l.id = i.lease JOIN nodes n ON n.id = l.node \
              WHERE {} AND i.posted_at >= $2 AND i.posted_at < $3 GROUP BY i.lease) s \
             ON s.lease = r.lease AND {wanted} ORDER BY r.lease, r.seq",
            of.lease_is()
        );
        let rows = query(AssertSqlSafe(sql))
            .bind(of.id())
            .bind(period.from.millis())
            .bind(period.until.millis())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(posted).collect()
    }

    /// The leases that receipts were posted of in a period, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn receipted_leases(
        &self,
        of: ReceiptsOf,
        period: Period,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let sql = format!(
            "{} WHERE {} AND EXISTS (SELECT 1 FROM receipts r WHERE r.lease = l.id AND r.posted_at >= $2 \
             AND r.posted_at < $3) ORDER BY l.id",
            crate::leases::NAMED,
            of.lease_is()
        );
        let rows = query(AssertSqlSafe(sql))
            .bind(of.id())
            .bind(period.from.millis())
            .bind(period.until.millis())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(crate::leases::named).collect()
    }

    /// What was given back in a period, oldest first: by rulings, and without being asked for as it was posted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refunds_in(
        &self,
        of: ReceiptsOf,
        period: Period,
    ) -> Result<Vec<InvoiceRefund>, StoreError> {
        // The keys' ends are those of `ledger::plans::Refund`.
        let sql = format!(
            "SELECT d.lease, d.id AS dispute, d.seq, NULL AS reason, NULL AS seconds, d.refunded AS amount, d.decided_at AS at \
             FROM disputes d WHERE {of} AND d.refunded > 0 AND d.decided_at >= $2 AND d.decided_at < $3 \
             UNION ALL \
             SELECT d.lease, NULL, NULL, d.reason, d.seconds, CAST(SUM(t.amount) AS BIGINT), t.at \
             FROM lease_refunds d JOIN transfers t ON t.key IN (d.key || ':earned', d.key || ':withdrawable', \
             d.key || ':fees', d.key || ':treasury') \
             WHERE {of} AND t.at >= $2 AND t.at < $3 GROUP BY d.lease, d.reason, d.seconds, t.at \
             ORDER BY at, lease",
            of = of.given_back_is()
        );
        let rows = query(AssertSqlSafe(sql))
            .bind(of.id())
            .bind(period.from.millis())
            .bind(period.until.millis())
            .fetch_all(self.readers())
            .await?;
        let read = |row: &AnyRow| {
            let cause = match row.parse_opt("dispute")? {
                Some(dispute) => RefundCause::Dispute {
                    dispute,
                    seq: row.unsigned("seq")?,
                },
                None => RefundCause::Automatic {
                    reason: row.word("reason", RefundReason::parse)?,
                    seconds: row.seconds("seconds")?,
                },
            };
            Ok(InvoiceRefund {
                lease: row.parse("lease")?,
                cause,
                amount: row.amount("amount")?,
                at: row.time("at")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
