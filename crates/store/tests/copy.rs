//! Whole databases into others, in every direction that there is.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod place;

use std::collections::BTreeSet;
use std::fmt::Write;

use place::{Place, place, run};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use store::{CopiedTable, CopyError, CopyStep, DatabaseCopy, Store, copy_database};

const NAMES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'";
const PG_NAMES: &str = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()";
/// Quotes, two writing directions, a combining accent, a character outside the basic plane, line ends, an empty text.
const ODD: [&str; 6] = [
    "O'Brien \"the\" \\ $1 ?",
    "数据 שלום مرحبا",
    "e\u{301} \u{1f9ea}\u{200d}\u{1f52c}",
    "a\r\n\tb\u{7f}",
    "",
    "NULL",
];

/// All ways that can be tried here.
fn ways() -> Vec<(&'static str, &'static str)> {
    let mut ways = vec![("sqlite", "sqlite")];
    if std::env::var_os("IOG_TEST_POSTGRES").is_some() {
        ways.extend([
            ("sqlite", "postgres"),
            ("postgres", "sqlite"),
            ("postgres", "postgres"),
        ]);
    }
    ways
}

async fn migrated(backend: &str) -> Place {
    let place = place(backend).await;
    Store::open(&place.url).await.unwrap().close().await;
    place
}

/// Accounts with odd names, a column that is nothing, books with their transfers, and more rows than one batch has.
async fn filled(backend: &str) -> Place {
    let place = migrated(backend).await;
    let mut sql = String::from("BEGIN;");
    for (n, name) in ODD.iter().enumerate() {
        let (name, at) = (name.replace('\'', "''"), i64::MAX - 1);
        write!(
            sql,
            "INSERT INTO accounts (id, email, name, password_hash, roles, created_at) \
             VALUES ('acc_{n}', '{n}@x', '{name}', 'h', 'owner', {at});"
        )
        .unwrap();
    }
    sql += "INSERT INTO api_keys (id, account, name, prefix, secret_hash, scopes, created_at, last_used_at, revoked_at) \
              VALUES ('k', 'acc_0', 'n', 'p', 's', 'read', 1, NULL, -5);\
            INSERT INTO books (id, balance, may_be_negative) \
              VALUES ('platform:demo_source', -7, 1), ('available:acc_0', 4, 0), ('held:acc_0', 3, 0);\
            INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash) VALUES \
              ('t1', 'a', 'platform:demo_source', 'available:acc_0', 7, 'demo_credit', NULL, 1, 1, -7, 7, 'h1'), \
              ('t2', 'b', 'available:acc_0', 'held:acc_0', 3, 'hold', NULL, 2, 2, 4, 3, 'h2');";
    for chunk in 0..5 {
        let rows: Vec<String> = (0..500)
            .map(|n| format!("({}, 'd', 'b{n}')", chunk * 500 + n))
            .collect();
        sql += "INSERT INTO book_changes (step, device, body) VALUES ";
        sql += &rows.join(",");
        sql += ";";
    }
    sql += "COMMIT;";
    run(&place.url, sql).await.unwrap();
    place
}

async fn copied(from: &Place, to: &Place) -> Result<Vec<CopiedTable>, CopyError> {
    copy_database(&plan(from, to), |_| {}).await
}

fn plan(from: &Place, to: &Place) -> DatabaseCopy {
    DatabaseCopy {
        from: from.url.clone(),
        to: to.url.clone(),
        of_a_running_server: false,
    }
}

async fn texts(place: &Place, sql: &str) -> Vec<String> {
    let mut connection = AnyConnection::connect(&place.url).await.unwrap();
    let all = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    all
}

fn names(backend: &str) -> &'static str {
    if backend == "sqlite" { NAMES } else { PG_NAMES }
}

fn rows(tables: &[CopiedTable], name: &str) -> u64 {
    let table = tables.iter().find(|table| table.name == name);
    table.unwrap().rows
}

#[tokio::test]
async fn every_table_of_the_catalogue_arrives_whole_in_every_direction() {
    for (a, b) in ways() {
        let (from, to, back) = (filled(a).await, place(b).await, place(a).await);
        let there = copied(&from, &to).await.unwrap();
        let mut catalogue: BTreeSet<String> = texts(&from, names(a)).await.into_iter().collect();
        assert!(catalogue.remove("_sqlx_migrations"));
        let done: BTreeSet<String> = there.iter().map(|table| table.name.clone()).collect();
        assert_eq!(done, catalogue, "{a} to {b}");
        let counts = ["accounts", "book_changes", "jobs"].map(|name| rows(&there, name));
        assert_eq!(counts, [6, 2_500, 0]);
        let stored = texts(&to, "SELECT name FROM accounts ORDER BY id").await;
        assert_eq!(stored, ODD, "{a} to {b}");
        let nothing = "SELECT id FROM api_keys WHERE last_used_at IS NULL AND revoked_at = -5";
        assert_eq!(texts(&to, nothing).await, ["k"]);
        // The digests say so too: there and back again is the same.
        let again = copied(&to, &back).await.unwrap();
        assert_eq!(again, there, "{a} to {b} and back");
        // What was copied is a database like any other.
        let store = Store::open(&back.url).await.unwrap();
        assert_eq!(store.sum_of_books().await.unwrap(), 0);
        store.close().await;
    }
}

#[tokio::test]
async fn a_target_with_rows_or_strange_tables_is_left_alone() {
    for (a, b) in ways() {
        let (from, to) = (filled(a).await, migrated(b).await);
        let row = "INSERT INTO accounts (id, email, name, password_hash, roles, created_at) \
                   VALUES ('acc_z', 'z@x', 'z', 'h', 'owner', 1)";
        run(&to.url, row.into()).await.unwrap();
        let error = copied(&from, &to).await.unwrap_err();
        let named = matches!(&error, CopyError::NotEmpty { table, .. } if table == "accounts");
        assert!(named, "{a} to {b}: {error}");
        assert_eq!(texts(&to, "SELECT id FROM accounts").await, ["acc_z"]);
        let strange = migrated(b).await;
        run(
            &strange.url,
            "CREATE TABLE recipes (id TEXT PRIMARY KEY)".into(),
        )
        .await
        .unwrap();
        let error = copied(&from, &strange).await.unwrap_err();
        let named = matches!(&error, CopyError::NotEmpty { table, .. } if table == "recipes");
        assert!(named, "{a} to {b}: {error}");
        assert!(
            texts(&strange, "SELECT id FROM accounts").await.is_empty(),
            "nothing was written there"
        );
    }
}

#[tokio::test]
async fn a_copy_that_is_cut_off_leaves_nothing_and_can_be_repeated() {
    for (a, b) in ways() {
        let (from, to) = (filled(a).await, place(b).await);
        for stop_at in ["accounts", "transfers", "verifying"] {
            let reached = tokio::sync::Notify::new();
            let plan = plan(&from, &to);
            let hear = |step: CopyStep<'_>| {
                let at = match step {
                    CopyStep::Copied { table, .. } => table,
                    CopyStep::Verifying { .. } => "verifying",
                };
                if at == stop_at {
                    reached.notify_one();
                }
            };
            tokio::select! {
                biased;
                () = reached.notified() => {}
                done = copy_database(&plan, hear) => panic!("{a} to {b}: not cut off at {stop_at}: {done:?}"),
            }
        }
        let whole = copied(&from, &to).await;
        let whole = whole.unwrap_or_else(|error| panic!("{a} to {b}: {error}"));
        assert_eq!(rows(&whole, "transfers"), 2);
    }
}

#[tokio::test]
async fn a_source_that_somebody_uses_is_refused_unless_asked_for() {
    for (a, b) in ways() {
        let (from, to) = (filled(a).await, place(b).await);
        let server = Store::open(&from.url).await.unwrap();
        server.ping().await.unwrap();
        let error = copied(&from, &to).await.unwrap_err();
        assert!(matches!(error, CopyError::InUse(_)), "{a} to {b}: {error}");
        // It writes in the middle: the copy is of the moment before.
        let mut plan = plan(&from, &to);
        plan.of_a_running_server = true;
        let mut wrote = false;
        let whole = copy_database(&plan, |_| {
            if std::mem::replace(&mut wrote, true) {
                return;
            }
            let late =
                "INSERT INTO book_changes (step, device, body) VALUES (-1, 'd', 'late')".to_owned();
            let url = from.url.clone();
            let thread = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(run(&url, late)).unwrap();
            });
            thread.join().unwrap();
        })
        .await
        .unwrap();
        assert!(wrote);
        assert_eq!(rows(&whole, "book_changes"), 2_500, "{a} to {b}");
        server.close().await;
        let late = texts(&from, "SELECT body FROM book_changes WHERE step = -1").await;
        assert_eq!(late, ["late"]);
    }
}

#[tokio::test]
async fn a_target_that_somebody_uses_is_refused() {
    for (a, b) in ways() {
        let (from, to) = (filled(a).await, migrated(b).await);
        let server = Store::open(&to.url).await.unwrap();
        server.ping().await.unwrap();
        let error = copied(&from, &to).await.unwrap_err();
        assert!(matches!(error, CopyError::InUse(_)), "{a} to {b}: {error}");
        server.close().await;
        copied(&from, &to).await.unwrap();
    }
}

#[tokio::test]
async fn what_postgres_cannot_hold_is_named() {
    for (a, b) in ways() {
        if a == "postgres" {
            continue;
        }
        let (from, to) = (filled(a).await, place(b).await);
        let zero = "UPDATE accounts SET name = 'a' || char(0) || 'b' WHERE id = 'acc_3'";
        run(&from.url, zero.into()).await.unwrap();
        let done = copied(&from, &to).await;
        if b == "sqlite" {
            assert_eq!(rows(&done.unwrap(), "accounts"), 6);
            let name = texts(&to, "SELECT name FROM accounts WHERE id = 'acc_3'").await;
            assert_eq!(name, ["a\0b"]);
        } else {
            let error = done.unwrap_err().to_string();
            assert!(
                error.contains("accounts.name of the row id = acc_3"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_value_that_is_no_number_is_named() {
    let (from, to) = (filled("sqlite").await, place("sqlite").await);
    let soon = "UPDATE accounts SET created_at = 'soon' WHERE id = 'acc_2'";
    run(&from.url, soon.into()).await.unwrap();
    let error = copied(&from, &to).await.unwrap_err().to_string();
    assert!(
        error.contains("accounts.created_at of the row id = acc_2"),
        "{error}"
    );
}

#[tokio::test]
async fn books_that_do_not_add_up_are_not_moved() {
    let sum = "UPDATE books SET balance = 5 WHERE id = 'available:acc_0'";
    let each = "UPDATE books SET balance = 5 WHERE id = 'available:acc_0'; \
                UPDATE books SET balance = 2 WHERE id = 'held:acc_0'";
    for (a, b) in ways() {
        for (wrong, word) in [(sum, "sum to 1"), (each, "its transfers make")] {
            let (from, to) = (filled(a).await, place(b).await);
            run(&from.url, wrong.into()).await.unwrap();
            let error = copied(&from, &to).await.unwrap_err().to_string();
            assert!(error.contains(word), "{a} to {b}: {error}");
        }
    }
}

#[tokio::test]
async fn another_version_is_refused() {
    for (a, b) in ways() {
        let to = place(b).await;
        let older = filled(a).await;
        let last = "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
        run(&older.url, last.into()).await.unwrap();
        let error = copied(&older, &to).await.unwrap_err();
        assert!(
            matches!(error, CopyError::Version(_)),
            "{a} to {b}: {error}"
        );
        let none = filled(a).await;
        run(&none.url, "DROP TABLE _sqlx_migrations".into())
            .await
            .unwrap();
        let error = copied(&none, &to).await.unwrap_err();
        assert!(
            matches!(error, CopyError::Version(_)),
            "{a} to {b}: {error}"
        );
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_is_not_made() {
    let (from, to) = (place("sqlite").await, place("sqlite").await);
    let error = copied(&from, &to).await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
    let path = from.url.strip_prefix("sqlite://").unwrap();
    assert!(!std::path::Path::new(path).exists());
}
