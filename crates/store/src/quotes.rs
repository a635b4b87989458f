//! Quotes that are held.

use kernel::{AccountId, DeviceId, JobId, PricePerSecond, QuoteId, Timestamp};
use protocol::view::QuoteLine;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{StoreError, Tx};
use crate::row::{Columns, json};

/// A device and the owner's price that was quoted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotedSlot {
    pub device: DeviceId,
    pub price: PricePerSecond,
}

#[derive(Debug, Clone)]
pub struct Quote {
    pub id: QuoteId,
    pub account: AccountId,
    /// Of the specification and the device that were asked about.
    pub spec_hash: String,
    pub slots: Vec<QuotedSlot>,
    pub lines: Vec<QuoteLine>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// The job that used it.
    pub job: Option<JobId>,
}

fn quote(row: &AnyRow) -> Result<Quote, StoreError> {
    Ok(Quote {
        id: row.parse("id")?,
        account: row.parse("account")?,
        spec_hash: row.text("spec_hash")?,
        slots: row.json("slots")?,
        lines: row.json("lines")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        job: row.parse_opt("job")?,
    })
}

impl Tx {
    /// Keeps a quote, and of the account's others that no job used only the newest `others`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_quote(&mut self, quote: &Quote, others: u32) -> Result<(), StoreError> {
        query(
            "DELETE FROM quotes WHERE account = $1 AND job IS NULL AND id NOT IN \
             (SELECT id FROM quotes WHERE account = $1 AND job IS NULL ORDER BY id DESC LIMIT $2)",
        )
        .bind(quote.account.to_string())
        .bind(i64::from(others))
        .execute(self.connection())
        .await?;
        query(
            "INSERT INTO quotes (id, account, spec_hash, slots, lines, created_at, expires_at, job) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(quote.id.to_string())
        .bind(quote.account.to_string())
        .bind(&quote.spec_hash)
        .bind(json("slots", &quote.slots)?)
        .bind(json("lines", &quote.lines)?)
        .bind(quote.created_at.millis())
        .bind(quote.expires_at.millis())
        .bind(quote.job.map(|job| job.to_string()))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn quote(&mut self, id: QuoteId) -> Result<Option<Quote>, StoreError> {
        let row = query("SELECT * FROM quotes WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(quote).transpose()
    }

    /// Marks a quote as used. `false`: another job was first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn use_quote(&mut self, id: QuoteId, job: JobId) -> Result<bool, StoreError> {
        let done = query("UPDATE quotes SET job = $1 WHERE id = $2 AND job IS NULL")
            .bind(job.to_string())
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// # Errors
    /// The database failed.
    pub async fn forget_quotes(&mut self, before: Timestamp) -> Result<(), StoreError> {
        query("DELETE FROM quotes WHERE expires_at < $1")
            .bind(before.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
