//! One of the two databases, held so that nobody else writes meanwhile.

use futures::TryStreamExt;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row, query};

use super::digest::TableDigest;
use super::schema::{Kind, Table, quote};
use super::{CopyError, Value};
use crate::db::{Backend, MIGRATIONS, StoreError, backend_of, without_password};
use crate::row::Columns;

/// By this name Postgres tells our own connections from others'.
const OURS: &str = "iog-copy-database";

/// What is to be done with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    /// Nobody else has it open.
    Read,
    /// As it is at one moment; others may go on.
    ReadSnapshot,
}

pub(super) struct Side {
    pub(super) backend: Backend,
    /// For messages, without a password.
    pub(super) name: String,
    url: String,
    pub(super) connection: AnyConnection,
}

impl Side {
    pub(super) async fn open(url: &str, for_what: Use) -> Result<Self, CopyError> {
        sqlx::any::install_default_drivers();
        let backend = backend_of(url)?;
        let name = without_password(url);
        let mode = if for_what == Use::Write { "rwc" } else { "rw" };
        let url = match backend {
            Backend::Sqlite if !url.contains('?') => format!("{url}?mode={mode}"),
            _ => url.to_owned(),
        };
        let connection = AnyConnection::connect(&url).await;
        let connection = connection.map_err(|source| StoreError::Open {
            url: name.clone(),
            source,
        })?;
        let mut side = Self {
            backend,
            name,
            url,
            connection,
        };
        side.settle(for_what).await?;
        Ok(side)
    }

    async fn settle(&mut self, for_what: Use) -> Result<(), CopyError> {
        match (self.backend, for_what) {
            (Backend::Postgres, _) => {
                self.say(format!("SET application_name = '{OURS}'")).await?;
                if for_what != Use::ReadSnapshot {
                    self.refuse_others().await?;
                }
            }
            (Backend::Sqlite, Use::ReadSnapshot) => {
                self.say("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON".into())
                    .await?;
            }
            // Who has the file open, even idle, holds a shared lock on it: this one is had only when nobody has it open, and
            // while it is had no server starts. The first read asks for it.
            (Backend::Sqlite, _) => {
                let first = match for_what {
                    Use::Write => {
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"
                    }
                    _ => "PRAGMA query_only = ON",
                };
                let mine = format!(
                    "PRAGMA busy_timeout = 1000; PRAGMA locking_mode = EXCLUSIVE; {first}; SELECT COUNT(*) FROM sqlite_master"
                );
                let mine = self.say(mine).await;
                mine.map_err(|error| {
                    if is_busy(&error) {
                        self.in_use()
                    } else {
                        error
                    }
                })?;
            }
        }
        Ok(())
    }

    pub(super) async fn say(&mut self, sql: String) -> Result<(), CopyError> {
        self.connection
            .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await?;
        Ok(())
    }

    fn in_use(&self) -> CopyError {
        CopyError::InUse(self.name.clone())
    }

    /// Postgres knows who else is connected. SQLite's lock says it once and for all.
    pub(super) async fn refuse_others(&mut self) -> Result<(), CopyError> {
        if self.backend == Backend::Sqlite {
            return Ok(());
        }
        // On a connection of its own: within one transaction the answer would stay what it was.
        let mut asking = AnyConnection::connect(&self.url).await?;
        let others = query(
            "SELECT COUNT(*) AS others FROM pg_stat_activity WHERE datname = current_database() AND usesysid IS NOT NULL \
             AND pid <> pg_backend_pid() AND application_name <> $1",
        )
        .bind(OURS)
        .fetch_one(&mut asking)
        .await?
        .int("others")?;
        asking.close().await?;
        if others > 0 {
            Err(self.in_use())
        } else {
            Ok(())
        }
    }

    pub(super) async fn begin(&mut self, for_what: Use) -> Result<(), CopyError> {
        let words = match (self.backend, for_what) {
            (Backend::Sqlite, Use::Write) => "BEGIN IMMEDIATE",
            (Backend::Postgres, Use::Read | Use::ReadSnapshot) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            }
            _ => "BEGIN",
        };
        self.say(words.to_owned()).await
    }

    /// Nobody else writes to these until the end. SQLite's whole file is ours already.
    pub(super) async fn lock(&mut self, tables: &[Table]) -> Result<(), CopyError> {
        if self.backend == Backend::Sqlite {
            return Ok(());
        }
        let names: Vec<String> = tables.iter().map(|table| quote(&table.name)).collect();
        self.say(format!("LOCK TABLE {} IN EXCLUSIVE MODE", names.join(", ")))
            .await
    }

    /// The tables that are there, but for sqlx's own.
    pub(super) async fn table_names(&mut self) -> Result<Vec<String>, CopyError> {
        let sql = match self.backend {
            Backend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
                 AND name <> '_sqlx_migrations' ORDER BY name"
            }
            Backend::Postgres => {
                "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables WHERE table_schema = current_schema() \
                 AND table_type = 'BASE TABLE' AND table_name <> '_sqlx_migrations' ORDER BY 1"
            }
        };
        let rows = query(sql).fetch_all(&mut self.connection).await?;
        Ok(rows
            .iter()
            .map(|row| row.text("name"))
            .collect::<Result<_, _>>()?)
    }

    pub(super) async fn count(&mut self, table: &str) -> Result<u64, CopyError> {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) AS rows FROM {}", quote(table)));
        let row = query(sql).fetch_one(&mut self.connection).await?;
        Ok(row.unsigned("rows")?)
    }

    /// Exactly the migrations of this program, or the tables are not what it takes them for.
    pub(super) async fn check_version(&mut self) -> Result<(), CopyError> {
        let wrong = || CopyError::Version(self.name.clone());
        let rows = query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&mut self.connection)
            .await;
        let rows = rows.map_err(|error| match error {
            sqlx::Error::Database(_) => wrong(),
            other => other.into(),
        })?;
        let mut own = MIGRATIONS.iter();
        for row in &rows {
            let (version, checksum): (i64, Vec<u8>) =
                (row.try_get("version")?, row.try_get("checksum")?);
            let same = |one: &sqlx::migrate::Migration| {
                one.version == version && one.checksum[..] == checksum[..]
            };
            if !own.next().is_some_and(same) {
                return Err(wrong());
            }
        }
        if own.next().is_some() {
            Err(wrong())
        } else {
            Ok(())
        }
    }

    /// Gives each row to `take`, in the order of the table's key.
    pub(super) async fn digest(&mut self, table: &Table) -> Result<TableDigest, CopyError> {
        let mut digest = TableDigest::default();
        let mut rows = query(AssertSqlSafe(table.select())).fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            digest.add(&values(table, &row)?);
        }
        Ok(digest)
    }

    /// That each row names others that there are: what is checked at the end of a transaction, checked before it, so that it
    /// is not the commit which fails.
    pub(super) async fn check_references(&mut self) -> Result<(), CopyError> {
        if self.backend == Backend::Postgres {
            let now = sqlx::raw_sql("SET CONSTRAINTS ALL IMMEDIATE");
            now.execute(&mut self.connection).await?;
            return Ok(());
        }
        let stray =
            query("SELECT \"table\" AS child, parent FROM pragma_foreign_key_check LIMIT 1")
                .fetch_optional(&mut self.connection)
                .await?;
        match stray {
            None => Ok(()),
            Some(row) => Err(CopyError::Value {
                place: row.text("child")?,
                what: format!(
                    "a row of it names one of {} that there is not",
                    row.text("parent")?
                ),
            }),
        }
    }

    /// What the books say of themselves: that they sum to zero, and that each is what its transfers made it.
    pub(super) async fn check_books(&mut self) -> Result<(), CopyError> {
        let wrong = |what: String| CopyError::Books {
            at: self.name.clone(),
            what,
        };
        let row = query("SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) AS total FROM books")
            .fetch_one(&mut self.connection)
            .await?;
        let total = row.int("total")?;
        if total != 0 {
            return Err(wrong(format!("they sum to {total} and not to zero")));
        }
        let row = query(
            "SELECT b.id, b.balance, CAST(COALESCE(i.moved, 0) - COALESCE(o.moved, 0) AS BIGINT) AS moved FROM books b \
             LEFT JOIN (SELECT to_book AS book, SUM(amount) AS moved FROM transfers GROUP BY to_book) i ON i.book = b.id \
             LEFT JOIN (SELECT from_book AS book, SUM(amount) AS moved FROM transfers GROUP BY from_book) o ON o.book = b.id \
             WHERE b.balance <> COALESCE(i.moved, 0) - COALESCE(o.moved, 0) LIMIT 1",
        )
        .fetch_optional(&mut self.connection)
        .await?;
        match row {
            None => Ok(()),
            Some(row) => Err(wrong(format!(
                "{} holds {} and its transfers make {}",
                row.text("id")?,
                row.int("balance")?,
                row.int("moved")?
            ))),
        }
    }
}

/// A row as values; what is no whole number or no text is named with its table and column.
pub(super) fn values(table: &Table, row: &sqlx::any::AnyRow) -> Result<Vec<Value>, CopyError> {
    let mut values = Vec::with_capacity(table.columns.len());
    for (position, (column, kind)) in table.columns.iter().enumerate() {
        let value = match kind {
            Kind::Int => row.try_get(position).map(Value::Int),
            Kind::Text => row.try_get(position).map(Value::Text),
        };
        values.push(value.map_err(|error| CopyError::Value {
            place: place(table, column, &values),
            what: error.to_string(),
        })?);
    }
    Ok(values)
}

/// `accounts.name of the row id = acc_…`, as far as the key is read already.
pub(super) fn place(table: &Table, column: &str, values: &[Value]) -> String {
    let known = table.columns.iter().zip(values);
    let key: Vec<String> = known
        .filter(|((name, _), _)| table.key.contains(name))
        .map(|((name, _), value)| format!("{name} = {value}"))
        .collect();
    format!("{}.{column} of the row {}", table.name, key.join(", "))
}

fn is_busy(error: &CopyError) -> bool {
    let CopyError::Store(StoreError::Sql(sqlx::Error::Database(error))) = error else {
        return false;
    };
    // SQLITE_BUSY and its kinds.
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}
