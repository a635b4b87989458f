//! Webhooks: where accounts want their notices posted.

use kernel::{AccountId, Timestamp, WebhookId};
use protocol::notice::Event;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

#[derive(Debug, Clone)]
pub struct Webhook {
    pub id: WebhookId,
    pub account: AccountId,
    pub url: String,
    /// Empty: all.
    pub events: Vec<Event>,
    /// With the platform's key it makes the secret.
    pub salt: String,
    /// The one before, and until when it signs too.
    pub previous: Option<(String, Timestamp)>,
    pub created_at: Timestamp,
    pub enabled: bool,
    /// Since when nothing got through.
    pub failing_since: Option<Timestamp>,
}

pub(crate) fn previous(row: &AnyRow) -> Result<Option<(String, Timestamp)>, StoreError> {
    Ok(row
        .text_opt("previous_salt")?
        .zip(row.time_opt("previous_until")?))
}

fn webhook(row: &AnyRow) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: row.parse("id")?,
        account: row.parse("account")?,
        url: row.text("url")?,
        events: row.words("events", Event::parse)?,
        salt: row.text("salt")?,
        previous: previous(row)?,
        created_at: row.time("created_at")?,
        enabled: row.flag("enabled")?,
        failing_since: row.time_opt("failing_since")?,
    })
}

/// With blanks around, so that a name is found whole.
fn names(events: &[Event]) -> String {
    let names: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" {} ", names.join(" "))
    }
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_webhook(&mut self, hook: &Webhook) -> Result<(), StoreError> {
        query(
            "INSERT INTO webhooks (id, account, url, events, salt, created_at, enabled, failing_since) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(hook.id.to_string())
        .bind(hook.account.to_string())
        .bind(&hook.url)
        .bind(names(&hook.events))
        .bind(&hook.salt)
        .bind(hook.created_at.millis())
        .bind(i64::from(hook.enabled))
        .bind(hook.failing_since.map(Timestamp::millis))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Writes what may change of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update_webhook(&mut self, hook: &Webhook) -> Result<(), StoreError> {
        query(
            "UPDATE webhooks SET url = $1, events = $2, salt = $3, previous_salt = $4, previous_until = $5, \
             enabled = $6, failing_since = $7 WHERE id = $8",
        )
        .bind(&hook.url)
        .bind(names(&hook.events))
        .bind(&hook.salt)
        .bind(hook.previous.as_ref().map(|(salt, _)| salt.as_str()))
        .bind(hook.previous.as_ref().map(|(_, until)| until.millis()))
        .bind(i64::from(hook.enabled))
        .bind(hook.failing_since.map(Timestamp::millis))
        .bind(hook.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// With what was on its way to it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_webhook(&mut self, hook: &Webhook) -> Result<(), StoreError> {
        query("DELETE FROM outbox WHERE account = $1 AND target = $2")
            .bind(hook.account.to_string())
            .bind(hook.id.to_string())
            .execute(self.connection())
            .await?;
        query("DELETE FROM webhooks WHERE id = $1")
            .bind(hook.id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The account's, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn webhooks(&mut self, account: AccountId) -> Result<Vec<Webhook>, StoreError> {
        let rows = query("SELECT * FROM webhooks WHERE account = $1 ORDER BY id")
            .bind(account.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(webhook).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn webhook(&mut self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = query("SELECT * FROM webhooks WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(webhook).transpose()
    }
}

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = query("SELECT * FROM webhooks WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(webhook).transpose()
    }

    /// The account's, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn webhooks(&self, account: AccountId) -> Result<Vec<Webhook>, StoreError> {
        let rows = query("SELECT * FROM webhooks WHERE account = $1 ORDER BY id")
            .bind(account.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(webhook).collect()
    }
}
