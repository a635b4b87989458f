//! Whether the addresses of accounts are their own.

use kernel::{AccountId, Timestamp};
use protocol::notice::{DeliveryError, Language};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

/// What an account was asked about its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub account: AccountId,
    /// The one that was asked; the account's may be another by now.
    pub email: String,
    /// With the platform's key it makes the code.
    pub salt: String,
    pub confirmed_at: Option<Timestamp>,
    /// Since when `asks` counts.
    pub day: Timestamp,
    pub asks: u32,
    pub asked_at: Timestamp,
    pub attempts: u32,
    /// When the question is to be sent.
    pub next_at: Option<Timestamp>,
    pub error: Option<DeliveryError>,
}

fn address(row: &AnyRow) -> Result<Address, StoreError> {
    let error = row.text_opt("error")?;
    Ok(Address {
        account: row.parse("account")?,
        email: row.text("email")?,
        salt: row.text("salt")?,
        confirmed_at: row.time_opt("confirmed_at")?,
        day: row.time("day")?,
        asks: row.small("asks")?,
        asked_at: row.time("asked_at")?,
        attempts: row.small("attempts")?,
        next_at: row.time_opt("next_at")?,
        error: error.as_deref().and_then(DeliveryError::parse),
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn address(&mut self, account: AccountId) -> Result<Option<Address>, StoreError> {
        let row = query("SELECT * FROM addresses WHERE account = $1")
            .bind(account.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(address).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn put_address(&mut self, address: &Address) -> Result<(), StoreError> {
        query(
            "INSERT INTO addresses (account, email, salt, confirmed_at, day, asks, asked_at, attempts, next_at, error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (account) DO UPDATE SET \
             email = excluded.email, salt = excluded.salt, confirmed_at = excluded.confirmed_at, day = excluded.day, \
             asks = excluded.asks, asked_at = excluded.asked_at, attempts = excluded.attempts, \
             next_at = excluded.next_at, error = excluded.error",
        )
        .bind(address.account.to_string())
        .bind(&address.email)
        .bind(&address.salt)
        .bind(address.confirmed_at.map(Timestamp::millis))
        .bind(address.day.millis())
        .bind(i64::from(address.asks))
        .bind(address.asked_at.millis())
        .bind(i64::from(address.attempts))
        .bind(address.next_at.map(Timestamp::millis))
        .bind(address.error.map(DeliveryError::as_str))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn address(&self, account: AccountId) -> Result<Option<Address>, StoreError> {
        let row = query("SELECT * FROM addresses WHERE account = $1")
            .bind(account.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(address).transpose()
    }

    /// Questions that are to be sent now, each with its account's language.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_questions(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Address, Language)>, StoreError> {
        let rows = query(
            "SELECT d.*, s.language AS language FROM addresses d \
             LEFT JOIN notification_settings s ON s.account = d.account \
             WHERE d.next_at IS NOT NULL AND d.next_at <= $1 ORDER BY d.next_at LIMIT $2",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let due = |row: &AnyRow| {
            let language = row.text_opt("language")?;
            let language = language.as_deref().and_then(Language::parse);
            Ok((address(row)?, language.unwrap_or_default()))
        };
        rows.iter().map(due).collect()
    }
}
