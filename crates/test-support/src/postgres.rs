//! A database of its own for a test, on the Postgres that `IOG_TEST_POSTGRES` names.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Makes a fresh database and answers with its address.
pub async fn fresh(admin: &str) -> String {
    let name = format!("iog_test_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(admin)
        .await
        .expect("IOG_TEST_POSTGRES answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create)
        .execute(&mut connection)
        .await
        .expect("IOG_TEST_POSTGRES may create databases");
    with_name(admin, &name)
}

pub async fn remove(admin: &str, url: &str) {
    let Some(name) = url.rsplit('/').next() else {
        return;
    };
    let Ok(mut connection) = PgConnection::connect(admin).await else {
        return;
    };
    let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    // The whole cluster is thrown away after the tests; this only keeps it small.
    _ = sqlx::raw_sql(drop).execute(&mut connection).await;
}

/// The same server, another database.
fn with_name(admin: &str, name: &str) -> String {
    let (base, query) = admin
        .split_once('?')
        .map_or((admin, String::new()), |(base, query)| {
            (base, format!("?{query}"))
        });
    let scheme = base.find("://").map_or(0, |at| at.saturating_add(3));
    let server = base
        .get(scheme..)
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    format!(
        "{}{server}/{name}{query}",
        base.get(..scheme).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::with_name;

    #[test]
    fn only_the_databases_name_changes() {
        assert_eq!(
            with_name("postgres://iog@127.0.0.1:5432/iog", "x"),
            "postgres://iog@127.0.0.1:5432/x"
        );
        assert_eq!(
            with_name("postgres://iog:pw@h?host=/run", "x"),
            "postgres://iog:pw@h/x?host=/run"
        );
    }
}
