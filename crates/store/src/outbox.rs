//! What has to leave the house: one row for a notice and a target, written with its cause.

use kernel::{AccountId, NoticeId, Timestamp, WebhookId};
use protocol::notice::{DeliveryError, DeliveryState, Event, Language};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::notices::NoticeRow;
use crate::row::Columns;
use crate::webhooks::Webhook;

/// Where to. A webhook belongs to the notice's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Email,
    Webhook(WebhookId),
}

const EMAIL: &str = "email";

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Email => f.write_str(EMAIL),
            Self::Webhook(id) => std::fmt::Display::fmt(id, f),
        }
    }
}

impl std::str::FromStr for Target {
    type Err = kernel::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            EMAIL => Ok(Self::Email),
            id => id.parse().map(Self::Webhook),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Delivery {
    pub notice: NoticeId,
    pub target: Target,
    pub account: AccountId,
    pub state: DeliveryState,
    pub attempts: u32,
    pub created_at: Timestamp,
    pub next_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// What the receiver answered last.
    pub status: Option<u16>,
    pub error: Option<DeliveryError>,
}

fn delivery(row: &AnyRow) -> Result<Delivery, StoreError> {
    let status = row.int_opt("status")?;
    let error = row.text_opt("error")?;
    Ok(Delivery {
        notice: row.parse("notice")?,
        target: row.parse("target")?,
        account: row.parse("account")?,
        state: row.word("state", DeliveryState::parse)?,
        attempts: row.small("attempts")?,
        created_at: row.time("created_at")?,
        next_at: row.time("next_at")?,
        ended_at: row.time_opt("ended_at")?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        error: error.as_deref().and_then(DeliveryError::parse),
    })
}

impl Tx {
    /// For each of the account's webhooks that listens to it and has room in its queue.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enqueue_webhooks(
        &mut self,
        row: &NoticeRow,
        waiting_max: u32,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO outbox (notice, target, account, state, attempts, created_at, next_at) \
             SELECT $1, w.id, w.account, 'waiting', 0, $2, $3 FROM webhooks w \
             WHERE w.account = $4 AND w.enabled = 1 AND (w.events = '' OR w.events LIKE $5) AND $6 > \
             (SELECT COUNT(*) FROM outbox o WHERE o.target = w.id AND o.state = 'waiting')",
        )
        .bind(row.id.to_string())
        .bind(row.at.millis())
        .bind(row.at.millis())
        .bind(row.account.to_string())
        .bind(format!("% {} %", row.notice.event()))
        .bind(i64::from(waiting_max))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// If the account wants e-mail at an address that is its own, and has had fewer than `most` since `since`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enqueue_email(
        &mut self,
        row: &NoticeRow,
        since: Timestamp,
        most: u32,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO outbox (notice, target, account, state, attempts, created_at, next_at) \
             SELECT $1, 'email', s.account, 'waiting', 0, $2, $3 FROM notification_settings s \
             WHERE s.account = $4 AND s.email = 1 AND EXISTS (SELECT 1 FROM addresses d JOIN accounts a \
             ON a.id = d.account AND a.email = d.email WHERE d.account = s.account AND d.confirmed_at IS NOT NULL) \
             AND $5 > (SELECT COUNT(*) FROM outbox o \
             WHERE o.account = s.account AND o.target = 'email' AND o.created_at >= $6)",
        )
        .bind(row.id.to_string())
        .bind(row.at.millis())
        .bind(row.at.millis())
        .bind(row.account.to_string())
        .bind(i64::from(most))
        .bind(since.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// For one target, whatever it listens to.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enqueue(&mut self, row: &NoticeRow, target: Target) -> Result<(), StoreError> {
        query(
            "INSERT INTO outbox (notice, target, account, state, attempts, created_at, next_at) \
             VALUES ($1, $2, $3, 'waiting', 0, $4, $5)",
        )
        .bind(row.id.to_string())
        .bind(target.to_string())
        .bind(row.account.to_string())
        .bind(row.at.millis())
        .bind(row.at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn delivery(
        &mut self,
        account: AccountId,
        notice: NoticeId,
        target: Target,
    ) -> Result<Option<Delivery>, StoreError> {
        let row = query("SELECT * FROM outbox WHERE account = $1 AND target = $2 AND notice = $3")
            .bind(account.to_string())
            .bind(target.to_string())
            .bind(notice.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(delivery).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn update_delivery(&mut self, delivery: &Delivery) -> Result<(), StoreError> {
        query(
            "UPDATE outbox SET state = $1, attempts = $2, next_at = $3, ended_at = $4, status = $5, error = $6 \
             WHERE notice = $7 AND target = $8",
        )
        .bind(delivery.state.as_str())
        .bind(i64::from(delivery.attempts))
        .bind(delivery.next_at.millis())
        .bind(delivery.ended_at.map(Timestamp::millis))
        .bind(delivery.status.map(i64::from))
        .bind(delivery.error.map(DeliveryError::as_str))
        .bind(delivery.notice.to_string())
        .bind(delivery.target.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Gives up all of the account's that waits for a target.
    ///
    /// # Errors
    /// The database failed.
    pub async fn give_up_waiting(
        &mut self,
        account: AccountId,
        target: Target,
        error: DeliveryError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE outbox SET state = 'failed', ended_at = $1, error = $2 \
             WHERE account = $3 AND target = $4 AND state = 'waiting'",
        )
        .bind(now.millis())
        .bind(error.as_str())
        .bind(account.to_string())
        .bind(target.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// How many wait for a target.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting(&mut self, target: Target) -> Result<u32, StoreError> {
        let row =
            query("SELECT COUNT(*) AS waiting FROM outbox WHERE target = $1 AND state = 'waiting'")
                .bind(target.to_string())
                .fetch_one(self.connection())
                .await?;
        row.small("waiting")
    }

    /// # Errors
    /// The database failed.
    pub async fn forget_deliveries(&mut self, before: Timestamp) -> Result<(), StoreError> {
        query("DELETE FROM outbox WHERE created_at < $1")
            .bind(before.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

/// What is due to a webhook, with the notice to send.
#[derive(Debug, Clone)]
pub struct DueWebhook {
    pub notice: NoticeRow,
    pub webhook: WebhookId,
    pub url: String,
    pub salt: String,
    pub previous: Option<(String, Timestamp)>,
}

/// What is due by e-mail.
#[derive(Debug, Clone)]
pub struct DueMail {
    pub notice: NoticeRow,
    pub email: String,
    pub language: Language,
}

impl Store {
    /// What is to be tried now by e-mail, to addresses that are their accounts' own: to each at most `each`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_mails(
        &self,
        now: Timestamp,
        each: u32,
        limit: u32,
    ) -> Result<Vec<DueMail>, StoreError> {
        let rows = query(
            "SELECT n.id AS id, n.account AS account, n.at AS at, n.body AS body, n.read_at AS read_at, \
             d.email AS email, d.language AS language FROM \
             (SELECT o.notice, o.next_at, a.email, s.language, \
             ROW_NUMBER() OVER (PARTITION BY o.account ORDER BY o.next_at, o.notice) AS turn \
             FROM outbox o JOIN accounts a ON a.id = o.account JOIN addresses c ON c.account = a.id AND c.email = a.email \
             JOIN notification_settings s ON s.account = a.id \
             WHERE o.target = 'email' AND o.state = 'waiting' AND o.next_at <= $1 AND c.confirmed_at IS NOT NULL) d \
             JOIN notices n ON n.id = d.notice WHERE d.turn <= $2 ORDER BY d.next_at, d.notice LIMIT $3",
        )
        .bind(now.millis())
        .bind(i64::from(each))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let due = |row| {
            Ok(DueMail {
                notice: crate::notices::notice(row)?,
                email: row.text("email")?,
                language: row.word("language", Language::parse)?,
            })
        };
        rows.iter().map(due).collect()
    }

    /// What is to be tried now, to the webhooks that work or to those that fail: to each at most `each`, so that one with
    /// a long queue does not hide the others.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_webhooks(
        &self,
        now: Timestamp,
        failing: bool,
        each: u32,
        limit: u32,
    ) -> Result<Vec<DueWebhook>, StoreError> {
        let rows = query(
            "SELECT n.id AS id, n.account AS account, n.at AS at, n.body AS body, n.read_at AS read_at, d.webhook AS webhook, \
             d.url AS url, d.salt AS salt, d.previous_salt AS previous_salt, d.previous_until AS previous_until FROM \
             (SELECT o.notice, o.next_at, w.id AS webhook, w.url, w.salt, w.previous_salt, w.previous_until, \
             ROW_NUMBER() OVER (PARTITION BY o.target ORDER BY o.next_at, o.notice) AS turn \
             FROM outbox o JOIN webhooks w ON w.id = o.target WHERE o.state = 'waiting' AND o.next_at <= $1 \
             AND w.enabled = 1 AND CAST(CASE WHEN w.failing_since IS NULL THEN 0 ELSE 1 END AS BIGINT) = $2) d \
             JOIN notices n ON n.id = d.notice WHERE d.turn <= $3 ORDER BY d.next_at, d.notice LIMIT $4",
        )
        .bind(now.millis())
        .bind(i64::from(failing))
        .bind(i64::from(each))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let due = |row| {
            Ok(DueWebhook {
                notice: crate::notices::notice(row)?,
                webhook: row.parse("webhook")?,
                url: row.text("url")?,
                salt: row.text("salt")?,
                previous: crate::webhooks::previous(row)?,
            })
        };
        rows.iter().map(due).collect()
    }

    /// What went to a webhook, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn deliveries(
        &self,
        hook: &Webhook,
        before: Option<NoticeId>,
        limit: u32,
    ) -> Result<Vec<(Delivery, Event)>, StoreError> {
        let rows = query(
            "SELECT o.*, n.event AS event FROM outbox o JOIN notices n ON n.id = o.notice \
             WHERE o.account = $1 AND o.target = $2 AND o.notice < $3 ORDER BY o.notice DESC LIMIT $4",
        )
        .bind(hook.account.to_string())
        .bind(hook.id.to_string())
        .bind(before.map_or_else(|| format!("{}_g", NoticeId::PREFIX), |id| id.to_string()))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| Ok((delivery(row)?, row.word("event", Event::parse)?)))
            .collect()
    }
}
