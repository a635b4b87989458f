//! Accounts, sessions, API keys, idempotency keys.

use kernel::{AccountId, KeyId, SessionId, Timestamp};
use protocol::view::{Role, Scope};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub email: String,
    pub name: String,
    pub password_hash: String,
    pub roles: Vec<Role>,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Session {
    pub id: SessionId,
    pub account: AccountId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: KeyId,
    pub account: AccountId,
    pub name: String,
    pub prefix: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

fn account(row: &AnyRow) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parse("id")?,
        email: row.text("email")?,
        name: row.text("name")?,
        password_hash: row.text("password_hash")?,
        roles: row.words("roles", Role::parse)?,
        created_at: row.time("created_at")?,
    })
}

fn api_key(row: &AnyRow) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.parse("id")?,
        account: row.parse("account")?,
        name: row.text("name")?,
        prefix: row.text("prefix")?,
        scopes: row.words("scopes", Scope::parse)?,
        created_at: row.time("created_at")?,
        last_used_at: row.time_opt("last_used_at")?,
    })
}

fn joined<T>(items: &[T], word: fn(&T) -> &'static str) -> String {
    items.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A request that was done, and what it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub route: String,
    pub body_hash: String,
    pub answer: String,
}

impl Tx {
    /// # Errors
    /// A conflict when the e-mail address has an account.
    pub async fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        query("INSERT INTO accounts (id, email, name, password_hash, roles, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(account.id.to_string())
            .bind(&account.email)
            .bind(&account.name)
            .bind(&account.password_hash)
            .bind(joined(&account.roles, |role| role.as_str()))
            .bind(account.created_at.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_session(
        &mut self,
        session: &Session,
        secret_hash: &str,
    ) -> Result<(), StoreError> {
        query("INSERT INTO sessions (id, account, secret_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(session.id.to_string())
            .bind(session.account.to_string())
            .bind(secret_hash)
            .bind(session.created_at.millis())
            .bind(session.expires_at.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn delete_session(&mut self, session: SessionId) -> Result<(), StoreError> {
        query("DELETE FROM sessions WHERE id = $1")
            .bind(session.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Ends all sessions of an account; how many there were.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_sessions(&mut self, account: AccountId) -> Result<u64, StoreError> {
        let done = query("DELETE FROM sessions WHERE account = $1")
            .bind(account.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected())
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_key(&mut self, key: &ApiKey, secret_hash: &str) -> Result<(), StoreError> {
        query(
            "INSERT INTO api_keys (id, account, name, prefix, secret_hash, scopes, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(key.id.to_string())
        .bind(key.account.to_string())
        .bind(&key.name)
        .bind(&key.prefix)
        .bind(secret_hash)
        .bind(joined(&key.scopes, |scope| scope.as_str()))
        .bind(key.created_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn touch_key(&mut self, key: KeyId, now: Timestamp) -> Result<(), StoreError> {
        query("UPDATE api_keys SET last_used_at = $1 WHERE id = $2")
            .bind(now.millis())
            .bind(key.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// `false`: no such key of this account, or revoked before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_key(
        &mut self,
        account: AccountId,
        key: KeyId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = query("UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND account = $3 AND revoked_at IS NULL")
            .bind(now.millis())
            .bind(key.to_string())
            .bind(account.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Who runs the platform.
    ///
    /// # Errors
    /// The database failed.
    pub async fn admins(&mut self) -> Result<Vec<AccountId>, StoreError> {
        let rows = query("SELECT id FROM accounts WHERE ' ' || roles || ' ' LIKE $1 ORDER BY id")
            .bind(format!("% {} %", Role::Admin.as_str()))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    /// What was done before under this key, on whatever route.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remembered(
        &mut self,
        account: AccountId,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        let row = query(
            "SELECT route, body_hash, answer FROM idempotency_keys WHERE account = $1 AND key = $2",
        )
        .bind(account.to_string())
        .bind(key)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| {
            Ok(Remembered {
                route: row.text("route")?,
                body_hash: row.text("body_hash")?,
                answer: row.text("answer")?,
            })
        })
        .transpose()
    }

    /// Remembers it, unless another process did something under this key meanwhile: then answers what that was.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remember(
        &mut self,
        account: AccountId,
        route: &str,
        key: &str,
        body_hash: &str,
        answer: &str,
        now: Timestamp,
    ) -> Result<Option<Remembered>, StoreError> {
        // A conflict would end the transaction, in which it is to be read.
        let done = query(
            "INSERT INTO idempotency_keys (account, route, key, body_hash, answer, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(account.to_string())
        .bind(route)
        .bind(key)
        .bind(body_hash)
        .bind(answer)
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        if done.rows_affected() > 0 {
            return Ok(None);
        }
        self.remembered(account, key).await
    }

    /// Forgets sessions that are over and idempotency keys from before `keys_before`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(
        &mut self,
        now: Timestamp,
        keys_before: Timestamp,
    ) -> Result<u64, StoreError> {
        let sessions = query("DELETE FROM sessions WHERE expires_at < $1")
            .bind(now.millis())
            .execute(self.connection())
            .await?;
        let keys = query("DELETE FROM idempotency_keys WHERE created_at < $1")
            .bind(keys_before.millis())
            .execute(self.connection())
            .await?;
        Ok(sessions
            .rows_affected()
            .saturating_add(keys.rows_affected()))
    }
}

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let row = query("SELECT * FROM accounts WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row = query("SELECT * FROM accounts WHERE email = $1")
            .bind(email)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The session with this secret that is not over, and its account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn session(
        &self,
        secret_hash: &str,
        now: Timestamp,
    ) -> Result<Option<(SessionId, Account)>, StoreError> {
        let row = query(
            "SELECT a.*, s.id AS session FROM sessions s JOIN accounts a ON a.id = s.account \
             WHERE s.secret_hash = $1 AND s.expires_at > $2",
        )
        .bind(secret_hash)
        .bind(now.millis())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| Ok((row.parse("session")?, account(&row)?)))
            .transpose()
    }

    /// Whose session it is, unless it has ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn account_of_session(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let row = query(
            "SELECT a.* FROM sessions s JOIN accounts a ON a.id = s.account \
             WHERE s.id = $1 AND s.expires_at > $2",
        )
        .bind(session.to_string())
        .bind(now.millis())
        .fetch_optional(self.readers())
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// The key with this secret that is not revoked.
    ///
    /// # Errors
    /// The database failed.
    pub async fn key(&self, secret_hash: &str) -> Result<Option<(ApiKey, Account)>, StoreError> {
        self.key_by(
            "SELECT * FROM api_keys WHERE secret_hash = $1 AND revoked_at IS NULL",
            secret_hash,
        )
        .await
    }

    /// The same by its id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Account)>, StoreError> {
        self.key_by(
            "SELECT * FROM api_keys WHERE id = $1 AND revoked_at IS NULL",
            &id.to_string(),
        )
        .await
    }

    async fn key_by(
        &self,
        sql: &'static str,
        by: &str,
    ) -> Result<Option<(ApiKey, Account)>, StoreError> {
        let found = query(sql).bind(by).fetch_optional(self.readers()).await?;
        let Some(row) = found else {
            return Ok(None);
        };
        let key = api_key(&row)?;
        Ok(self
            .account(key.account)
            .await?
            .map(|account| (key, account)))
    }

    /// Newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keys(&self, account: AccountId) -> Result<Vec<ApiKey>, StoreError> {
        let rows = query(
            "SELECT * FROM api_keys WHERE account = $1 AND revoked_at IS NULL ORDER BY id DESC",
        )
        .bind(account.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(api_key).collect()
    }
}
