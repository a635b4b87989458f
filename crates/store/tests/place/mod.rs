//! Places for databases: a file in a folder of its own, or a new one on the Postgres that `IOG_TEST_POSTGRES` names.

use std::fmt::Write;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, raw_sql};

pub struct Place {
    pub url: String,
    _folder: tempfile::TempDir,
}

pub async fn run(url: &str, sql: String) -> Result<(), sqlx::Error> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await?;
    connection.execute(raw_sql(AssertSqlSafe(sql))).await?;
    connection.close().await
}

/// An address at which nothing is yet.
pub async fn place(backend: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let url = if backend == "postgres" {
        let admin = std::env::var("IOG_TEST_POSTGRES").unwrap();
        let unique = folder.path().file_name().unwrap().to_string_lossy();
        let name = format!("iog_store_{}", hex(unique.as_bytes()));
        run(&admin, format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        format!("{}/{name}", admin.rsplit_once('/').unwrap().0)
    } else {
        format!("sqlite://{}/iog.db", folder.path().display())
    };
    Place {
        url,
        _folder: folder,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}
