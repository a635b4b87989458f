//! What went out over a chain, read for pages: batches with their lines and transactions, and sums.

use kernel::{Amount, Timestamp, TransferId};
use protocol::money::{BatchLineView, PaidView};
use settlement::Digest;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::chain::{BatchRow, OutgoingRow, Purpose, batch, outgoing};
use crate::db::{Store, StoreError};
use crate::payouts::payout;
use crate::row::Columns;

impl Store {
    /// Newest first; after one of them or, without it, from the newest.
    ///
    /// # Errors
    /// The database failed.
    pub async fn batches(
        &self,
        after: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<BatchRow>, StoreError> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        let rows = query(
            "SELECT * FROM payout_batches WHERE $1 = '' OR (made_at, id) < (SELECT made_at, id FROM payout_batches WHERE id = $2) \
             ORDER BY made_at DESC, id DESC LIMIT $3",
        )
        .bind(after.clone())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(batch).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn batch(&self, id: Digest) -> Result<Option<BatchRow>, StoreError> {
        self.one("SELECT * FROM payout_batches WHERE id = $1", id, batch)
            .await
    }

    /// Its payouts and whose they are, in the order of its lines.
    ///
    /// # Errors
    /// The database failed.
    pub async fn batch_views(&self, id: Digest) -> Result<Vec<BatchLineView>, StoreError> {
        let rows = query(
            "SELECT p.*, a.email FROM payouts p JOIN accounts a ON a.id = p.account WHERE p.batch = $1 ORDER BY p.line",
        )
        .bind(id.to_string())
        .fetch_all(self.readers())
        .await?;
        let view = |row: &AnyRow| {
            let payout = payout(row)?;
            Ok(BatchLineView {
                line: row.small("line")?,
                payout: payout.id,
                email: row.text("email")?,
                address: payout.address,
                amount: payout.amount,
                state: payout.state,
                note: payout.note,
            })
        };
        rows.iter().map(view).collect()
    }

    /// All transactions that were signed for a purpose, the first one first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn outgoing_of(&self, purpose: Purpose) -> Result<Vec<OutgoingRow>, StoreError> {
        let rows = query("SELECT * FROM outgoing WHERE purpose = $1 ORDER BY attempt")
            .bind(purpose.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(outgoing).collect()
    }

    /// Payouts of all accounts that arrived since a moment.
    ///
    /// # Errors
    /// The database failed.
    pub async fn paid_since(&self, since: Timestamp) -> Result<PaidView, StoreError> {
        let row = query(
            "SELECT COUNT(*) AS payouts, CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM payouts \
             WHERE state = 'paid' AND changed_at >= $1",
        )
        .bind(since.millis())
        .fetch_one(self.readers())
        .await?;
        Ok(PaidView {
            payouts: row.unsigned("payouts")?,
            amount: row.amount("total")?,
        })
    }

    /// What jobs of all accounts paid since a moment, fees included. An id begins with its time, so those before are not read.
    ///
    /// # Errors
    /// The database failed.
    pub async fn spent_since(&self, since: Timestamp) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfers \
             WHERE id >= $1 AND kind IN ('charge', 'fee') AND from_book LIKE 'held:%'",
        )
        .bind(TransferId::new(since, [0; 10]).to_string())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }
}
