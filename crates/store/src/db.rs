//! Connections and transactions.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::AccountId;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Executor, Transaction, query, raw_sql};

/// The schema, forward only.
pub(crate) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database cannot be opened at {url}: {source}")]
    Open { url: String, source: sqlx::Error },
    #[error("the database could not be brought to this version: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("a database's address begins with sqlite: or postgres:, not with {0:?}")]
    Scheme(String),
    #[error("the database failed: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("a stored {what} cannot be read: {detail}")]
    Corrupt { what: &'static str, detail: String },
    #[error("a book would fall below zero")]
    Insufficient,
    #[error("another process changed a book meanwhile; try again")]
    Stale,
    #[error("the lease has ended already")]
    Over,
    #[error("a posting failed in this transaction; it can only be rolled back")]
    Spoilt,
}

impl StoreError {
    /// A unique key was taken: the slot, the e-mail address, the idempotency key.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Stale => true,
            // Postgres ends one of two transactions that wait for each other (40P01).
            Self::Sql(sqlx::Error::Database(error)) => {
                error.is_unique_violation() || error.code().as_deref() == Some("40P01")
            }
            _ => false,
        }
    }

    /// The database cannot be reached at all: trying the next thing would only wait again.
    pub fn is_unreachable(&self) -> bool {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, WorkerCrashed};
        matches!(
            self,
            Self::Sql(Io(_) | PoolClosed | PoolTimedOut | WorkerCrashed)
        )
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
    writer: AnyPool,
    readers: AnyPool,
    /// Accounts that were told something by what has committed.
    told: Told,
}

type Told = Arc<Mutex<BTreeSet<AccountId>>>;

/// A transaction on the one writing connection. Dropped without [`Tx::commit`] it leaves no trace.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Any>,
    pub(crate) backend: Backend,
    /// Whom this transaction tells something, if it commits.
    tells: BTreeSet<AccountId>,
    told: Told,
    /// A posting was written in part.
    is_spoilt: bool,
}

/// Pages of a SQLite database that the connection which writes keeps: else each group of transfers would read its way anew.
pub const WRITER_CACHE_KIB: u32 = 32 << 10;

/// What each connection to a SQLite database is told.
pub fn sqlite_settings(cache_kib: u32) -> String {
    // A statement of many rows keeps what it would undo: in memory, not in a file. The log is brought into the database every
    // 32 MiB, not every 4: a page that many commits change is copied once. More would be too long a pause on a slow disk.
    format!(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -{cache_kib}"
    )
}

impl Tx {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// The row that an id names, as this transaction sees it.
    pub(crate) async fn one<T>(
        &mut self,
        sql: &'static str,
        id: impl Display,
        read: impl FnOnce(&AnyRow) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let row = query(sql)
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    pub(crate) fn tell(&mut self, account: AccountId) {
        self.tells.insert(account);
    }

    /// Whether it can only be rolled back.
    pub(crate) const fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    pub(crate) const fn set_spoilt(&mut self, is_spoilt: bool) {
        self.is_spoilt = is_spoilt;
    }

    /// # Errors
    /// The database did not say that it is durable: usually nothing of it happened, but when the answer was lost all of
    /// it may have. [`StoreError::Spoilt`]: nothing of it happened, since a part had failed.
    pub async fn commit(self) -> Result<(), StoreError> {
        if self.is_spoilt {
            return Err(StoreError::Spoilt);
        }
        self.inner.commit().await?;
        if !self.tells.is_empty() {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.extend(self.tells);
        }
        Ok(())
    }
}

impl Store {
    /// Connects and brings the schema to this version.
    ///
    /// # Errors
    /// [`StoreError`] naming the address.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let backend = backend_of(url)?;
        let url = match backend {
            Backend::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        };
        let connect = |connections: u32, cache_kib: u32| {
            let pool = AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(10))
                .idle_timeout(None)
                .max_lifetime(None)
                // A read or write follows at once; a ping before each would double the round trips.
                .test_before_acquire(backend == Backend::Postgres);
            match backend {
                // Whatever the server's or the role's default: what is acknowledged is on the disk.
                Backend::Postgres => pool.after_connect(|connection, _| {
                    Box::pin(async move {
                        let sure = "SET synchronous_commit = on";
                        connection.execute(sure).await.map(|_| ())
                    })
                }),
                Backend::Sqlite => pool.after_connect(move |connection, _| {
                    Box::pin(async move {
                        let pragmas = raw_sql(AssertSqlSafe(sqlite_settings(cache_kib)));
                        connection.execute(pragmas).await.map(|_| ())
                    })
                }),
            }
        };
        let open = |source| StoreError::Open {
            url: without_password(&url),
            source,
        };
        let writer = connect(1, WRITER_CACHE_KIB)
            .connect(&url)
            .await
            .map_err(open)?;
        MIGRATIONS.run(&writer).await?;
        let readers = connect(8, 8 << 10).connect(&url).await.map_err(open)?;
        let store = Self {
            backend,
            writer,
            readers,
            told: Told::default(),
        };
        store.prepare_ledger().await?;
        store.prepare_audit().await?;
        Ok(store)
    }

    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// The row that an id names.
    pub(crate) async fn one<T>(
        &self,
        sql: &'static str,
        id: impl Display,
        read: impl FnOnce(&AnyRow) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let row = query(sql)
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(read).transpose()
    }

    pub(crate) const fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// Opens a transaction; the next one waits until it ends.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        // SQLite: take the write lock at once, or two processes could both read and then fail to write.
        let tx = match self.backend {
            Backend::Sqlite => match self.writer.begin_with("BEGIN IMMEDIATE").await {
                // SQLite ended a transaction by itself, as it does when the disk is full, and the driver holds that it goes on.
                Err(sqlx::Error::InvalidSavePointStatement) => {
                    self.writer.acquire().await?.close().await?;
                    self.writer.begin_with("BEGIN IMMEDIATE").await?
                }
                tx => tx?,
            },
            Backend::Postgres => self.writer.begin().await?,
        };
        Ok(Tx {
            inner: tx,
            backend: self.backend,
            tells: BTreeSet::new(),
            told: Arc::clone(&self.told),
            is_spoilt: false,
        })
    }

    /// Accounts whose notices have changed since this was last asked.
    pub fn take_told(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.readers.execute("SELECT 1").await?;
        Ok(())
    }

    /// How sure a commit is, as each connection says that there is or can be: of SQLite `journal_mode/synchronous`, of which
    /// `wal/2` is WAL with FULL; of Postgres `synchronous_commit/fsync`. The writing one first. For the test that guards it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn durability(&self) -> Result<Vec<String>, StoreError> {
        let sql = match self.backend {
            Backend::Sqlite => {
                "SELECT journal_mode || '/' || synchronous FROM pragma_journal_mode, pragma_synchronous"
            }
            Backend::Postgres => {
                "SELECT current_setting('synchronous_commit') || '/' || current_setting('fsync')"
            }
        };
        let mut all = Vec::new();
        for pool in [&self.writer, &self.readers] {
            // All at once, so that each is another one.
            let mut taken = Vec::new();
            for _ in 0..pool.options().get_max_connections() {
                taken.push(pool.acquire().await?);
            }
            for connection in &mut taken {
                all.push(sqlx::query_scalar(sql).fetch_one(&mut **connection).await?);
            }
        }
        Ok(all)
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// By an address' scheme.
pub(crate) fn backend_of(url: &str) -> Result<Backend, StoreError> {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "sqlite" => Ok(Backend::Sqlite),
        "postgres" | "postgresql" => Ok(Backend::Postgres),
        other => Err(StoreError::Scheme(other.to_owned())),
    }
}

/// For messages: `postgres://user:secret@host/db` without the secret.
pub(crate) fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let user = url
                .get(scheme.saturating_add(3)..at)
                .and_then(|login| login.split(':').next())
                .unwrap_or("");
            format!(
                "{}://{user}{}",
                url.get(..scheme).unwrap_or(""),
                url.get(at..).unwrap_or("")
            )
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_keeps_nobody_from_writing_afterwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/iog.db", folder.path().display());
        let store = Store::open(&url).await.expect("opens");
        let mut tx = store.begin().await.expect("begins");
        let full = "PRAGMA max_page_count = 1";
        tx.connection().execute(full).await.expect("is told");
        let long = "INSERT OR FAIL INTO books (id, balance, may_be_negative) \
                    SELECT 'b' || value || hex(zeroblob(2000)), 0, 0 FROM json_each('[1,2,3,4,5,6,7,8,9]')";
        let refused = tx.connection().execute(long).await.expect_err("is full");
        assert!(refused.to_string().contains("full"), "{refused}");
        drop(tx);
        for _ in 0..2 {
            let mut tx = store.begin().await.expect("begins again");
            let one = "INSERT INTO books (id, balance, may_be_negative) VALUES ('b', 0, 0) ON CONFLICT DO NOTHING";
            tx.connection().execute(one).await.expect("writes");
            tx.commit().await.expect("commits");
        }
        store.close().await;
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(
            without_password("postgres://me:secret@host/db"),
            "postgres://me@host/db"
        );
        assert_eq!(without_password("sqlite://x.db"), "sqlite://x.db");
    }
}
