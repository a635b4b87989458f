//! A whole database into another one, on SQLite or Postgres each: read at one moment, written in one transaction, and compared
//! before that commits. Whatever fails or is cut off leaves the target without a row.

mod digest;
mod schema;
mod side;

use std::fmt;

use futures::TryStreamExt;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, query};

use crate::db::{Backend, MIGRATIONS, StoreError};
use digest::TableDigest;
use schema::{Table, quote, tables};
use side::{Side, Use, place, values};

/// Rows of one INSERT; at most as many parameters as SQLite takes, and not more than so many bytes at once.
const ROWS_AT_ONCE: usize = 1_000;
const PARAMETERS_MAX: usize = 32_000;
const BYTES_AT_ONCE: usize = 4 << 20;

/// What is to be copied.
#[derive(Debug, Clone)]
pub struct DatabaseCopy {
    /// `sqlite:…` or `postgres:…`
    pub from: String,
    pub to: String,
    /// Also while others have the source open. What they write afterwards is not in the copy.
    pub of_a_running_server: bool,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyStep<'a> {
    /// So many rows of a table are written.
    Copied { table: &'a str, rows: u64, of: u64 },
    /// All are written; now both sides are read and compared.
    Verifying { table: &'a str, rows: u64 },
}

/// A table that is the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    pub name: String,
    pub rows: u64,
    /// The same on both sides, whatever the order of the rows.
    pub digest: String,
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{0} is open elsewhere; stop the server (and whatever else reads it) first, so that nothing is written that is not copied"
    )]
    InUse(String),
    #[error(
        "{0} is not of this version of iog-server; start this version's server on it once, stop it, and copy then"
    )]
    Version(String),
    #[error(
        "{at} is not empty ({table}); the copy needs a database without tables, or with those of a copy that was cut off"
    )]
    NotEmpty { at: String, table: String },
    #[error("the schema cannot be copied: {0}")]
    Schema(String),
    #[error("the books of {at} do not add up: {what}")]
    Books { at: String, what: String },
    #[error("{place} cannot be copied: {what}")]
    Value { place: String, what: String },
    #[error(
        "{table} differs: {from} rows (digest {from_digest}) at the source, {to} rows (digest {to_digest}) in the copy"
    )]
    Differs {
        table: String,
        from: u64,
        from_digest: String,
        to: u64,
        to_digest: String,
    },
    #[error(
        "the target did not say whether it kept the copy ({0}); look whether it has rows, and copy again if not"
    )]
    Doubt(sqlx::Error),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::migrate::MigrateError> for CopyError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Store(error.into())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(Some(number)) => write!(f, "{number}"),
            Self::Text(Some(text)) => f.write_str(text),
            Self::Int(None) | Self::Text(None) => f.write_str("nothing"),
        }
    }
}

/// Copies all tables, compares them, and commits. `told` hears how far it is.
///
/// # Errors
/// [`CopyError`]; but for [`CopyError::Doubt`] the target then has no row of it.
pub async fn copy_database(
    copy: &DatabaseCopy,
    mut told: impl FnMut(CopyStep<'_>),
) -> Result<Vec<CopiedTable>, CopyError> {
    let tables = tables().await?;
    let reading = if copy.of_a_running_server {
        Use::ReadSnapshot
    } else {
        Use::Read
    };
    let mut from = Side::open(&copy.from, reading).await?;
    let mut to = Side::open(&copy.to, Use::Write).await?;
    from.begin(reading).await?;
    from.check_version().await?;
    from.check_books().await?;
    // Before anything is changed there.
    refuse_rows(&mut to, &tables).await?;
    MIGRATIONS.run(&mut to.connection).await?;
    to.begin(Use::Write).await?;
    to.lock(&tables).await?;
    // Another copy to the same place may have been first.
    refuse_rows(&mut to, &tables).await?;
    empty(&mut to, &tables).await?;
    for table in &tables {
        copy_table(&mut from, &mut to, table, &mut told).await?;
    }
    let mut copied = Vec::new();
    for table in &tables {
        copied.push(verify(&mut from, &mut to, table, &mut told).await?);
    }
    to.check_books().await?;
    to.check_references().await?;
    if reading == Use::Read {
        // A server that was started meanwhile has perhaps written.
        from.refuse_others().await?;
    }
    to.refuse_others().await?;
    sqlx::raw_sql("COMMIT")
        .execute(&mut to.connection)
        .await
        .map_err(CopyError::Doubt)?;
    // Committed it is; that a connection does not end in order changes nothing.
    _ = to.connection.close().await;
    _ = from.connection.close().await;
    Ok(copied)
}

async fn refuse_rows(to: &mut Side, tables: &[Table]) -> Result<(), CopyError> {
    for name in to.table_names().await? {
        let known = tables.iter().find(|table| table.name == name);
        let rows = to.count(&name).await?;
        if known.is_none_or(|table| rows > table.rows_at_first) {
            let at = to.name.clone();
            return Err(CopyError::NotEmpty { at, table: name });
        }
    }
    Ok(())
}

/// Takes away what the migrations wrote themselves: the source has it, as it is now.
async fn empty(to: &mut Side, tables: &[Table]) -> Result<(), CopyError> {
    for table in tables.iter().rev() {
        to.say(format!("DELETE FROM {}", quote(&table.name)))
            .await?;
    }
    Ok(())
}

async fn copy_table(
    from: &mut Side,
    to: &mut Side,
    table: &Table,
    told: &mut impl FnMut(CopyStep<'_>),
) -> Result<(), CopyError> {
    let of = from.count(&table.name).await?;
    let most = ROWS_AT_ONCE.min(PARAMETERS_MAX / table.columns.len().max(1));
    let (mut batch, mut bytes, mut rows) = (Vec::new(), 0_usize, 0_u64);
    let mut all = query(AssertSqlSafe(table.select())).fetch(&mut from.connection);
    loop {
        let row = all.try_next().await?;
        let last = row.is_none();
        if let Some(row) = row {
            let row = values(table, &row)?;
            if to.backend == Backend::Postgres {
                refuse_zero(table, &row)?;
            }
            bytes = row
                .iter()
                .fold(bytes, |sum, value| sum.saturating_add(size(value)));
            batch.push(row);
        }
        if batch.len() >= most || bytes >= BYTES_AT_ONCE || last && !batch.is_empty() {
            rows = rows.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
            insert(&mut to.connection, table, std::mem::take(&mut batch)).await?;
            bytes = 0;
            told(CopyStep::Copied {
                table: &table.name,
                rows,
                of,
            });
        }
        if last {
            return Ok(());
        }
    }
}

/// Postgres has no zero character in TEXT, and would only say so, not where.
fn refuse_zero(table: &Table, row: &[Value]) -> Result<(), CopyError> {
    for ((column, _), value) in table.columns.iter().zip(row) {
        if matches!(value, Value::Text(Some(text)) if text.contains('\0')) {
            return Err(CopyError::Value {
                place: place(table, column, row),
                what: "its text holds a zero character, which Postgres does not take; change it at the source".to_owned(),
            });
        }
    }
    Ok(())
}

const fn size(value: &Value) -> usize {
    match value {
        Value::Text(Some(text)) => text.len(),
        Value::Int(_) | Value::Text(None) => 8,
    }
}

async fn insert(
    connection: &mut AnyConnection,
    table: &Table,
    rows: Vec<Vec<Value>>,
) -> Result<(), CopyError> {
    let mut sql = format!(
        "INSERT INTO {} ({}) VALUES ",
        quote(&table.name),
        table.column_list()
    );
    let mut parameter = 0_usize;
    for row in 0..rows.len() {
        sql.push_str(if row == 0 { "(" } else { "), (" });
        for column in 0..table.columns.len() {
            parameter = parameter.saturating_add(1);
            sql.push_str(if column == 0 { "$" } else { ", $" });
            sql.push_str(&parameter.to_string());
        }
    }
    sql.push(')');
    // Kept for the next batch of the same size only in the connection's own small cache.
    let mut statement = query(AssertSqlSafe(sql));
    for value in rows.into_iter().flatten() {
        statement = match value {
            Value::Int(number) => statement.bind(number),
            Value::Text(text) => statement.bind(text),
        };
    }
    statement.execute(connection).await?;
    Ok(())
}

/// Reads the table again on both sides.
async fn verify(
    from: &mut Side,
    to: &mut Side,
    table: &Table,
    told: &mut impl FnMut(CopyStep<'_>),
) -> Result<CopiedTable, CopyError> {
    let theirs = from.digest(table).await?;
    told(CopyStep::Verifying {
        table: &table.name,
        rows: theirs.rows,
    });
    let ours = to.digest(table).await?;
    same(table, theirs, ours)?;
    Ok(CopiedTable {
        name: table.name.clone(),
        rows: ours.rows,
        digest: ours.hex(),
    })
}

fn same(table: &Table, from: TableDigest, to: TableDigest) -> Result<(), CopyError> {
    if from == to {
        return Ok(());
    }
    Err(CopyError::Differs {
        table: table.name.clone(),
        from: from.rows,
        from_digest: from.hex(),
        to: to.rows,
        to_digest: to.hex(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_difference_is_told_with_both_sides() {
        let tables = tables().await.expect("the schema");
        let table = tables.first().expect("a table");
        let mut one = TableDigest::default();
        one.add(&[Value::Int(Some(1))]);
        assert!(same(table, one, one).is_ok());
        let error = same(table, one, TableDigest::default()).expect_err("another");
        let words = error.to_string();
        assert!(
            words.contains("1 rows") && words.contains("0 rows") && words.contains(&one.hex()),
            "{words}"
        );
    }

    #[tokio::test]
    async fn books_come_before_transfers_and_jobs_before_leases() {
        let tables = tables().await.expect("the schema");
        let at = |name| tables.iter().position(|table| table.name == name);
        for (first, then) in [
            ("books", "transfers"),
            ("jobs", "leases"),
            ("nodes", "devices"),
        ] {
            assert!(at(first).expect(first) < at(then).expect(then));
        }
    }
}
