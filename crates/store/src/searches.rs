//! Queries of the market that accounts keep.

use kernel::{AccountId, DeviceId, SearchId, Timestamp};
use protocol::view::SearchAlert;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, json};

#[derive(Debug, Clone)]
pub struct Search {
    pub id: SearchId,
    pub account: AccountId,
    pub name: String,
    pub query: String,
    pub created_at: Timestamp,
    /// What matched when it was last looked at, sorted.
    pub matching: Vec<DeviceId>,
    /// More matched than are followed; `matching` is empty then.
    pub too_broad: bool,
    pub unseen: u32,
    pub alert: Option<SearchAlert>,
}

fn search(row: &AnyRow) -> Result<Search, StoreError> {
    Ok(Search {
        id: row.parse("id")?,
        account: row.parse("account")?,
        name: row.text("name")?,
        query: row.text("query")?,
        created_at: row.time("created_at")?,
        matching: row.json("matching")?,
        too_broad: row.flag("too_broad")?,
        unseen: row.small("unseen")?,
        alert: row.json_opt("alert")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_search(&mut self, search: &Search) -> Result<(), StoreError> {
        query(
            "INSERT INTO searches (id, account, name, query, created_at, matching, too_broad, unseen, alert) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(search.id.to_string())
        .bind(search.account.to_string())
        .bind(&search.name)
        .bind(&search.query)
        .bind(search.created_at.millis())
        .bind(json("matching", &search.matching)?)
        .bind(i64::from(search.too_broad))
        .bind(i64::from(search.unseen))
        .bind(search.alert.as_ref().map(|alert| json("alert", alert)).transpose()?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Writes what was found; the name and what was seen meanwhile stay.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_search(&mut self, search: &Search, alerts: u32) -> Result<(), StoreError> {
        query(
            "UPDATE searches SET matching = $1, too_broad = $2, unseen = unseen + $3, alert = $4 WHERE id = $5",
        )
        .bind(json("matching", &search.matching)?)
        .bind(i64::from(search.too_broad))
        .bind(i64::from(alerts))
        .bind(search.alert.as_ref().map(|alert| json("alert", alert)).transpose()?)
        .bind(search.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn change_search(
        &mut self,
        id: SearchId,
        name: &str,
        unseen: u32,
    ) -> Result<(), StoreError> {
        query("UPDATE searches SET name = $1, unseen = $2 WHERE id = $3")
            .bind(name)
            .bind(i64::from(unseen))
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn delete_search(&mut self, id: SearchId) -> Result<(), StoreError> {
        query("DELETE FROM searches WHERE id = $1")
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The account's, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn searches(&mut self, account: AccountId) -> Result<Vec<Search>, StoreError> {
        let rows = query("SELECT * FROM searches WHERE account = $1 ORDER BY id")
            .bind(account.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(search).collect()
    }
}

impl Store {
    /// The account's, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn searches(&self, account: AccountId) -> Result<Vec<Search>, StoreError> {
        let rows = query("SELECT * FROM searches WHERE account = $1 ORDER BY id")
            .bind(account.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(search).collect()
    }

    /// Those after one in the order of ids, of all accounts, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn searches_after(
        &self,
        after: Option<SearchId>,
        limit: u32,
    ) -> Result<Vec<Search>, StoreError> {
        let rows = query("SELECT * FROM searches WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(search).collect()
    }

    /// How many alerts an account has not seen.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unseen_alerts(&self, account: AccountId) -> Result<u32, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(unseen), 0) AS BIGINT) AS unseen FROM searches WHERE account = $1",
        )
        .bind(account.to_string())
        .fetch_one(self.readers())
        .await?;
        row.small("unseen")
    }
}
