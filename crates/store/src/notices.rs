//! What accounts are told, and how they want to be told.

use std::collections::BTreeMap;

use kernel::{AccountId, NoticeId, Seconds, Timestamp};
use protocol::notice::{Event, Language, Notice, NotificationSettings};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::ledger_books::list;
use crate::row::{Columns, before, json};

/// Accounts of one question.
const ROWS: usize = 500;
/// The bell counts no further.
const UNREAD_MAX: i64 = 100;

#[derive(Debug, Clone)]
pub struct NoticeRow {
    pub id: NoticeId,
    pub account: AccountId,
    pub at: Timestamp,
    pub notice: Notice,
    pub read_at: Option<Timestamp>,
}

/// An account's settings, and of which of its runways it was warned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    pub account: AccountId,
    pub settings: NotificationSettings,
    pub told: Vec<Seconds>,
    pub told_at: Timestamp,
}

impl Wishes {
    /// Of one who chose nothing.
    pub fn new(account: AccountId) -> Self {
        Self {
            account,
            settings: NotificationSettings::default(),
            told: Vec::new(),
            told_at: Timestamp::default(),
        }
    }
}

pub(crate) fn notice(row: &AnyRow) -> Result<NoticeRow, StoreError> {
    Ok(NoticeRow {
        id: row.parse("id")?,
        account: row.parse("account")?,
        at: row.time("at")?,
        notice: row.json("body")?,
        read_at: row.time_opt("read_at")?,
    })
}

fn wishes(row: &AnyRow) -> Result<Wishes, StoreError> {
    Ok(Wishes {
        account: row.parse("account")?,
        settings: NotificationSettings {
            email: row.flag("email")?,
            language: row.word("language", Language::parse)?,
            runway_seconds: row.json("runway")?,
        },
        told: row.json("told")?,
        told_at: row.time("told_at")?,
    })
}

impl Tx {
    /// Its account's pages hear of it once this transaction has committed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_notice(&mut self, row: &NoticeRow) -> Result<(), StoreError> {
        query(
            "INSERT INTO notices (id, account, event, body, at, read_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.id.to_string())
        .bind(row.account.to_string())
        .bind(row.notice.event().as_str())
        .bind(json("notice", &row.notice)?)
        .bind(row.at.millis())
        .bind(row.read_at.map(Timestamp::millis))
        .execute(self.connection())
        .await?;
        self.tell(row.account);
        Ok(())
    }

    /// How many of this kind the account was told since then.
    ///
    /// # Errors
    /// The database failed.
    pub async fn notices_since(
        &mut self,
        account: AccountId,
        event: Event,
        since: Timestamp,
    ) -> Result<u32, StoreError> {
        let row = query(
            "SELECT COUNT(*) AS told FROM notices WHERE account = $1 AND event = $2 AND at >= $3",
        )
        .bind(account.to_string())
        .bind(event.as_str())
        .bind(since.millis())
        .fetch_one(self.connection())
        .await?;
        row.small("told")
    }

    /// Marks all up to one as read, or all.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_notices(
        &mut self,
        account: AccountId,
        up_to: Option<NoticeId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE notices SET read_at = $1 WHERE account = $2 AND read_at IS NULL AND id <= $3",
        )
        .bind(now.millis())
        .bind(account.to_string())
        .bind(before(up_to, NoticeId::PREFIX))
        .execute(self.connection())
        .await?;
        self.tell(account);
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn put_wishes(&mut self, wishes: &Wishes) -> Result<(), StoreError> {
        query(
            "INSERT INTO notification_settings (account, email, language, runway, told, told_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account) DO UPDATE SET \
             email = excluded.email, language = excluded.language, runway = excluded.runway, \
             told = excluded.told, told_at = excluded.told_at",
        )
        .bind(wishes.account.to_string())
        .bind(i64::from(wishes.settings.email))
        .bind(wishes.settings.language.as_str())
        .bind(json("runway", &wishes.settings.runway_seconds)?)
        .bind(json("told", &wishes.told)?)
        .bind(wishes.told_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn wishes(&mut self, account: AccountId) -> Result<Wishes, StoreError> {
        let row = query("SELECT * FROM notification_settings WHERE account = $1")
            .bind(account.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map_or(Ok(Wishes::new(account)), wishes)
    }

    /// # Errors
    /// The database failed.
    pub async fn forget_notices(&mut self, before: Timestamp) -> Result<(), StoreError> {
        query("DELETE FROM notices WHERE at < $1")
            .bind(before.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn notice(
        &self,
        account: AccountId,
        id: NoticeId,
    ) -> Result<Option<NoticeRow>, StoreError> {
        let row = query("SELECT * FROM notices WHERE account = $1 AND id = $2")
            .bind(account.to_string())
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(notice).transpose()
    }

    /// The account's, newest first, from before `from`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn notices(
        &self,
        account: AccountId,
        from: Option<NoticeId>,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, StoreError> {
        let rows =
            query("SELECT * FROM notices WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(account.to_string())
                .bind(before(from, NoticeId::PREFIX))
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(notice).collect()
    }

    /// How many notices were not read; counted up to 100.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unread_notices(&self, account: AccountId) -> Result<u32, StoreError> {
        let row = query(
            "SELECT CAST(COUNT(*) AS BIGINT) AS unread FROM \
             (SELECT 1 FROM notices WHERE account = $1 AND read_at IS NULL LIMIT $2) AS few",
        )
        .bind(account.to_string())
        .bind(UNREAD_MAX)
        .fetch_one(self.readers())
        .await?;
        row.small("unread")
    }

    /// # Errors
    /// The database failed.
    pub async fn wishes(&self, account: AccountId) -> Result<Wishes, StoreError> {
        let row = query("SELECT * FROM notification_settings WHERE account = $1")
            .bind(account.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map_or(Ok(Wishes::new(account)), wishes)
    }

    /// Of those of many accounts who chose something or were warned.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wishes_of(
        &self,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, Wishes>, StoreError> {
        let mut all = BTreeMap::new();
        for some in accounts.chunks(ROWS) {
            let sql = format!(
                "SELECT * FROM notification_settings WHERE account IN ({})",
                list(some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(false);
            for account in some {
                select = select.bind(account.to_string());
            }
            for row in select.fetch_all(self.readers()).await? {
                let wishes = wishes(&row)?;
                all.insert(wishes.account, wishes);
            }
        }
        Ok(all)
    }
}
