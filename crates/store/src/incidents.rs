//! What the reconciler reads and writes: differences between leases, receipts and books, and how far it has read.

use kernel::{AccountId, IncidentId, Timestamp};
use ledger::chain::TransferHash;
use protocol::money::{IncidentKind, IncidentView};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::ledger_books::ChainEnd;
use crate::row::{Columns, before, count, either};

/// Two figures that should be the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub kind: IncidentKind,
    pub subject: String,
    pub expected: String,
    pub found: String,
}

impl Difference {
    fn of(kind: IncidentKind, row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            kind,
            subject: row.text("subject")?,
            expected: row.int("expected")?.to_string(),
            found: row.int("found")?.to_string(),
        })
    }
}

/// Each names a subject, what is expected and what was found, and answers only where they differ. Two readings of one
/// moment, since each is one statement.
const COMPARISONS: &[(IncidentKind, &str)] = &[
    // What the newest transfer left a book is what the book holds.
    (
        IncidentKind::BookBalance,
        "SELECT x.id AS subject, x.expected, x.balance AS found FROM ( \
            SELECT y.id, y.balance, CASE WHEN y.gave > y.got THEN (SELECT from_after FROM transfers WHERE seq = y.gave) \
                WHEN y.got > 0 THEN (SELECT to_after FROM transfers WHERE seq = y.got) ELSE 0 END AS expected FROM ( \
                SELECT b.id, b.balance, COALESCE((SELECT seq FROM transfers WHERE from_book = b.id \
                    ORDER BY at DESC, seq DESC LIMIT 1), 0) AS gave, COALESCE((SELECT seq FROM transfers \
                    WHERE to_book = b.id ORDER BY at DESC, seq DESC LIMIT 1), 0) AS got FROM books b \
            ) y \
         ) x WHERE x.balance <> x.expected",
    ),
    (
        IncidentKind::Held,
        "SELECT b.id AS subject, COALESCE(h.kept, 0) AS expected, b.balance AS found FROM books b LEFT JOIN ( \
            SELECT account, CAST(SUM(reserved - paid - returned) AS BIGINT) AS kept FROM holds WHERE released = 0 GROUP BY account \
         ) h ON b.id = 'held:' || h.account WHERE b.id LIKE 'held:%' AND b.balance <> COALESCE(h.kept, 0)",
    ),
    (
        IncidentKind::LeaseReceipts,
        "SELECT l.id AS subject, CAST(COALESCE(SUM(r.charged), 0) AS BIGINT) AS expected, l.charged AS found \
         FROM leases l LEFT JOIN receipts r ON r.lease = l.id GROUP BY l.id, l.charged \
         HAVING l.charged <> COALESCE(SUM(r.charged), 0)",
    ),
    // The hold of a job pays for all of its leases, and for nothing else.
    (
        IncidentKind::LeasePostings,
        "SELECT h.job AS subject, CAST(COALESCE(SUM(l.charged), 0) AS BIGINT) AS expected, h.paid AS found \
         FROM holds h LEFT JOIN leases l ON l.job = h.job GROUP BY h.job, h.paid HAVING h.paid <> COALESCE(SUM(l.charged), 0)",
    ),
    // What no lease uses is released with the job, or has a time at which it goes back.
    (
        IncidentKind::HoldOpen,
        "SELECT h.id AS subject, CAST(0 AS BIGINT) AS expected, h.reserved - h.paid - h.returned AS found FROM holds h \
         JOIN jobs j ON j.id = h.job WHERE h.released = 0 \
         AND (j.ended_at IS NOT NULL OR (h.expires_at IS NULL AND h.reserved - h.paid - h.returned > 0)) \
         AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.job = j.id AND l.live = 1)",
    ),
    (
        IncidentKind::LeaseOutlivesJob,
        "SELECT l.id AS subject, CAST(0 AS BIGINT) AS expected, CAST(1 AS BIGINT) AS found FROM leases l \
         JOIN jobs j ON j.id = l.job WHERE l.live = 1 AND j.members = 1 AND j.ended_at IS NOT NULL",
    ),
    (
        IncidentKind::PayoutsInTransit,
        "SELECT 'platform:payouts_in_transit' AS subject, CAST(COALESCE((SELECT SUM(amount) FROM payouts \
            WHERE state IN ('requested', 'approved', 'frozen', 'sent')), 0) AS BIGINT) AS expected, \
         COALESCE((SELECT balance FROM books WHERE id = 'platform:payouts_in_transit'), 0) AS found WHERE \
         COALESCE((SELECT SUM(amount) FROM payouts WHERE state IN ('requested', 'approved', 'frozen', 'sent')), 0) <> \
         COALESCE((SELECT balance FROM books WHERE id = 'platform:payouts_in_transit'), 0)",
    ),
    (
        IncidentKind::LeaseRefunds,
        "SELECT x.id AS subject, CASE WHEN x.back > x.charged THEN x.charged ELSE x.back END AS expected, \
            CASE WHEN x.back > x.charged THEN x.back ELSE x.refunded END AS found FROM ( \
            SELECT l.id, l.charged, l.refunded, CAST( \
                COALESCE((SELECT SUM(amount - owed) FROM lease_refunds WHERE lease = l.id), 0) \
                + COALESCE((SELECT SUM(refunded) FROM disputes WHERE lease = l.id), 0) AS BIGINT) AS back \
            FROM leases l WHERE l.refunded > 0 OR l.id IN (SELECT lease FROM lease_refunds) \
                OR l.id IN (SELECT lease FROM disputes) \
         ) x WHERE x.back <> x.refunded OR x.back > x.charged",
    ),
    (
        IncidentKind::RefundOwed,
        "SELECT lease AS subject, CAST(0 AS BIGINT) AS expected, CAST(SUM(owed) AS BIGINT) AS found FROM lease_refunds \
         WHERE owed > 0 GROUP BY lease",
    ),
    (
        IncidentKind::Channels,
        "SELECT 'platform:channels' AS subject, x.expected, x.found FROM (SELECT \
            CAST(COALESCE((SELECT SUM(redeemed + freed - locked) FROM channels), 0) AS BIGINT) AS expected, \
            COALESCE((SELECT balance FROM books WHERE id = 'platform:channels'), 0) AS found) x WHERE x.expected <> x.found",
    ),
    (
        IncidentKind::Channels,
        "SELECT c.address AS subject, CAST(COALESCE(SUM(v.cumulative), 0) AS BIGINT) AS expected, c.promised AS found \
         FROM channels c LEFT JOIN vouchers v ON v.channel = c.address GROUP BY c.address, c.promised, c.redeemed \
         HAVING COALESCE(SUM(v.cumulative), 0) <> c.promised OR COALESCE(SUM(v.redeemed), 0) <> c.redeemed",
    ),
    (
        IncidentKind::Vouched,
        "SELECT b.id AS subject, COALESCE(x.promised, 0) AS expected, b.balance AS found FROM books b LEFT JOIN ( \
            SELECT account, CAST(SUM(cumulative - redeemed) AS BIGINT) AS promised FROM vouchers GROUP BY account \
         ) x ON b.id = 'vouched:' || x.account WHERE b.id LIKE 'vouched:%' AND b.balance <> COALESCE(x.promised, 0)",
    ),
];

fn incident(row: &AnyRow) -> Result<IncidentView, StoreError> {
    Ok(IncidentView {
        id: row.parse("id")?,
        kind: row.word("kind", IncidentKind::parse)?,
        subject: row.text("subject")?,
        expected: row.text("expected")?,
        found: row.text("found")?,
        first_at: row.time("first_at")?,
        last_at: row.time("last_at")?,
        gone_at: row.time_opt("gone_at")?,
        closed_by: row.text_opt("closer")?,
        closed_at: row.time_opt("closed_at")?,
        note: row.text("note")?,
    })
}

const NAMED: &str =
    "SELECT i.*, a.email AS closer FROM incidents i LEFT JOIN accounts a ON a.id = i.closed_by";

impl Store {
    /// All that is compared within the database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn differences(&self) -> Result<Vec<Difference>, StoreError> {
        let mut all = Vec::new();
        for (kind, sql) in COMPARISONS {
            let rows = query(*sql).fetch_all(self.readers()).await?;
            for row in &rows {
                all.push(Difference::of(*kind, row)?);
            }
        }
        all.extend(
            self.chain_faults()
                .await?
                .into_iter()
                .map(|fault| Difference {
                    kind: IncidentKind::OnChain,
                    subject: fault.subject,
                    expected: fault.expected,
                    found: fault.found,
                }),
        );
        let sum = self.sum_of_books().await?;
        if sum != 0 {
            all.push(Difference {
                kind: IncidentKind::BooksSum,
                subject: "books".to_owned(),
                expected: "0".to_owned(),
                found: sum.to_string(),
            });
        }
        Ok(all)
    }

    /// Up to where the chain of transfers was read and found whole.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ledger_checked(&self) -> Result<ChainEnd, StoreError> {
        let row = query("SELECT seq, hash, at FROM ledger_checks WHERE id = 'chain'")
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = row else {
            return Ok(ChainEnd::BEGIN);
        };
        let hash = row.text("hash")?;
        Ok(ChainEnd {
            seq: row.unsigned("seq")?,
            hash: TransferHash::parse(&hash).ok_or_else(|| StoreError::corrupt("hash", hash))?,
            at: row.time("at")?,
        })
    }

    /// Open ones first, then the newest.
    ///
    /// # Errors
    /// The database failed.
    pub async fn incidents(&self, limit: u32) -> Result<Vec<IncidentView>, StoreError> {
        let sql = format!(
            "{NAMED} ORDER BY CASE WHEN i.closed_at IS NULL THEN 0 ELSE 1 END, i.id DESC LIMIT $1"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(incident).collect()
    }

    /// Newest first: those that nobody closed, those that are closed, or both.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_incidents(
        &self,
        open: Option<bool>,
        from: Option<IncidentId>,
        limit: u32,
    ) -> Result<Vec<IncidentView>, StoreError> {
        let sql = format!(
            "{NAMED} WHERE i.id < $1 AND ($2 = 2 OR $2 = CASE WHEN i.closed_at IS NULL THEN 1 ELSE 0 END) \
             ORDER BY i.id DESC LIMIT $3"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(before(from, IncidentId::PREFIX))
            .bind(either(open))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(incident).collect()
    }

    /// How many of a kind nobody closed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_open_incidents(&self, kind: IncidentKind) -> Result<u32, StoreError> {
        let row =
            query("SELECT COUNT(*) AS n FROM incidents WHERE kind = $1 AND closed_at IS NULL")
                .bind(kind.as_str())
                .fetch_one(self.readers())
                .await?;
        row.small("n")
    }
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn put_ledger_checked(&mut self, end: &ChainEnd) -> Result<(), StoreError> {
        query(
            "INSERT INTO ledger_checks (id, seq, hash, at) VALUES ('chain', $1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at",
        )
        .bind(count("seq", end.seq)?)
        .bind(end.hash.to_string())
        .bind(end.at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Those that nobody closed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_incidents(&mut self) -> Result<Vec<IncidentView>, StoreError> {
        let sql = format!("{NAMED} WHERE i.closed_at IS NULL ORDER BY i.id");
        let rows = query(sqlx::AssertSqlSafe(sql))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(incident).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_incident(
        &mut self,
        id: IncidentId,
        of: &Difference,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO incidents (id, kind, subject, expected, found, first_at, last_at, note) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, '')",
        )
        .bind(id.to_string())
        .bind(of.kind.as_str())
        .bind(&of.subject)
        .bind(&of.expected)
        .bind(&of.found)
        .bind(now.millis())
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Seen again, with these figures, or (`None`) not there any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn see_incident(
        &mut self,
        id: IncidentId,
        seen: Option<&Difference>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match seen {
            Some(seen) => {
                query("UPDATE incidents SET expected = $1, found = $2, last_at = $3, gone_at = NULL WHERE id = $4")
                    .bind(&seen.expected)
                    .bind(&seen.found)
                    .bind(now.millis())
                    .bind(id.to_string())
                    .execute(self.connection())
                    .await?;
            }
            None => {
                query("UPDATE incidents SET gone_at = $1 WHERE id = $2 AND gone_at IS NULL")
                    .bind(now.millis())
                    .bind(id.to_string())
                    .execute(self.connection())
                    .await?;
            }
        }
        Ok(())
    }

    /// `false`: it is unknown, or closed already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn close_incident(
        &mut self,
        id: IncidentId,
        by: AccountId,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = query(
            "UPDATE incidents SET closed_by = $1, closed_at = $2, note = $3 WHERE id = $4 AND closed_at IS NULL",
        )
        .bind(by.to_string())
        .bind(now.millis())
        .bind(note)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
