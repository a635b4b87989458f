//! Accounts' secrets, closed: what is in them only the exchange can read.

use kernel::{AccountId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

#[derive(Debug, Clone)]
pub struct Secret {
    pub account: AccountId,
    pub name: String,
    pub locked: String,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

fn secret(row: &AnyRow) -> Result<Secret, StoreError> {
    Ok(Secret {
        account: row.parse("account")?,
        name: row.text("name")?,
        locked: row.text("locked")?,
        created_at: row.time("created_at")?,
        changed_at: row.time("changed_at")?,
    })
}

const OF_ACCOUNT: &str = "SELECT account, name, locked, created_at, changed_at FROM secrets WHERE account = $1 ORDER BY name";

impl Tx {
    /// Puts one in its place, or another value into it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_secret(&mut self, secret: &Secret) -> Result<(), StoreError> {
        query(
            "INSERT INTO secrets (account, name, locked, created_at, changed_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (account, name) DO UPDATE SET locked = excluded.locked, changed_at = excluded.changed_at",
        )
        .bind(secret.account.to_string())
        .bind(&secret.name)
        .bind(&secret.locked)
        .bind(secret.created_at.millis())
        .bind(secret.changed_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Whether there was one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_secret(
        &mut self,
        account: AccountId,
        name: &str,
    ) -> Result<bool, StoreError> {
        let done = query("DELETE FROM secrets WHERE account = $1 AND name = $2")
            .bind(account.to_string())
            .bind(name)
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// By name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn secrets(&mut self, account: AccountId) -> Result<Vec<Secret>, StoreError> {
        let rows = query(OF_ACCOUNT)
            .bind(account.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(secret).collect()
    }
}

impl Store {
    /// By name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn secrets(&self, account: AccountId) -> Result<Vec<Secret>, StoreError> {
        let rows = query(OF_ACCOUNT)
            .bind(account.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(secret).collect()
    }
}
