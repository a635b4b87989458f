//! Which tables there are, read from a database that was just made of the migrations: a table that a later one adds is copied
//! without a word here.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, query};

use super::CopyError;
use crate::db::MIGRATIONS;
use crate::row::Columns;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) key: Vec<String>,
    /// Tables whose rows must be there before.
    after: BTreeSet<String>,
    /// Rows that the migrations themselves write.
    pub(super) rows_at_first: u64,
}

impl Table {
    pub(super) fn column_list(&self) -> String {
        quoted(self.columns.iter().map(|(name, _)| name))
    }

    pub(super) fn select(&self) -> String {
        format!(
            "SELECT {} FROM {} ORDER BY {}",
            self.column_list(),
            quote(&self.name),
            quoted(&self.key)
        )
    }
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{name}\"")
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| quote(name)).collect();
    names.join(", ")
}

/// All tables of this version, each after those that it refers to.
pub(super) async fn tables() -> Result<Vec<Table>, CopyError> {
    sqlx::any::install_default_drivers();
    let mut fresh = AnyConnection::connect("sqlite::memory:").await?;
    MIGRATIONS.run(&mut fresh).await?;
    let names = query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
         AND name <> '_sqlx_migrations' ORDER BY name",
    )
    .fetch_all(&mut fresh)
    .await?;
    let mut tables = Vec::new();
    for row in names {
        tables.push(table(&mut fresh, row.text("name")?).await?);
    }
    fresh.close().await?;
    in_order(tables)
}

async fn table(fresh: &mut AnyConnection, name: String) -> Result<Table, CopyError> {
    let rows = query("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid")
        .bind(&name)
        .fetch_all(&mut *fresh)
        .await?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for row in rows {
        let column = row.text("name")?;
        let kind = match row.text("type")?.as_str() {
            "BIGINT" => Kind::Int,
            "TEXT" => Kind::Text,
            other => {
                return Err(CopyError::Schema(format!(
                    "{name}.{column} is {other}; only BIGINT and TEXT can be copied"
                )));
            }
        };
        if row.int("pk")? > 0 {
            key.push((row.int("pk")?, column.clone()));
        }
        columns.push((column, kind));
    }
    key.sort();
    if key.is_empty() {
        return Err(CopyError::Schema(format!("{name} has no primary key")));
    }
    let after = query("SELECT DISTINCT \"table\" AS other FROM pragma_foreign_key_list($1)")
        .bind(&name)
        .fetch_all(&mut *fresh)
        .await?;
    let after = after
        .iter()
        .map(|row| row.text("other"))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let count = AssertSqlSafe(format!("SELECT COUNT(*) AS rows FROM {}", quote(&name)));
    let rows_at_first = query(count).fetch_one(fresh).await?.unsigned("rows")?;
    Ok(Table {
        name,
        columns,
        key: key.into_iter().map(|(_, column)| column).collect(),
        after,
        rows_at_first,
    })
}

/// A table that refers to itself is copied in the order of its key: ids rise with time, so what is referred to comes first.
fn in_order(mut left: Vec<Table>) -> Result<Vec<Table>, CopyError> {
    let mut done: Vec<Table> = Vec::new();
    while !left.is_empty() {
        let names: BTreeSet<String> = left.iter().map(|table| table.name.clone()).collect();
        let (ready, waiting): (Vec<Table>, Vec<Table>) = left.into_iter().partition(|table| {
            table
                .after
                .iter()
                .all(|other| *other == table.name || !names.contains(other))
        });
        if ready.is_empty() {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(CopyError::Schema(format!(
                "these tables refer to each other in a circle: {names}"
            )));
        }
        done.extend(ready);
        left = waiting;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, after: &[&str]) -> Table {
        Table {
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            after: after.iter().map(|&other| other.to_owned()).collect(),
            rows_at_first: 0,
        }
    }

    #[test]
    fn a_table_comes_after_those_that_it_refers_to() {
        let tables = vec![
            named("a", &["b", "c"]),
            named("b", &["c"]),
            named("c", &["c"]),
        ];
        let order: Vec<String> = in_order(tables)
            .expect("no circle")
            .into_iter()
            .map(|table| table.name)
            .collect();
        assert_eq!(order, ["c", "b", "a"]);
    }

    #[test]
    fn a_circle_is_refused_by_name() {
        let error = in_order(vec![named("a", &["b"]), named("b", &["a"])]).expect_err("a circle");
        assert!(error.to_string().contains("a, b"), "{error}");
    }
}
