//! An idempotency key belongs to an account, on whatever route it is used, also while two processes write.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod place;

use std::time::Duration;

use kernel::{AccountId, Timestamp};
use place::{place, run};
use store::{Remembered, Store};

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn backends() -> Vec<&'static str> {
    let postgres = std::env::var_os("IOG_TEST_POSTGRES").map(|_| "postgres");
    ["sqlite"].into_iter().chain(postgres).collect()
}

fn ada() -> AccountId {
    AccountId::new(NOW, [1; 10])
}

fn account() -> String {
    format!(
        "INSERT INTO accounts (id, email, name, password_hash, roles, created_at) VALUES ('{}', 'a@x', 'Ada', 'h', '', 0);",
        ada()
    )
}

async fn remember(store: &Store, route: &str, body: &str) -> Option<Remembered> {
    let mut tx = store.begin().await.unwrap();
    let before = tx.remember(ada(), route, "k", body, "{}", NOW).await;
    let before = before.unwrap();
    if before.is_none() {
        tx.commit().await.unwrap();
    }
    before
}

fn first() -> Remembered {
    Remembered {
        route: "POST /one".into(),
        body_hash: "b".into(),
        answer: "{}".into(),
    }
}

#[tokio::test]
async fn of_two_requests_at_once_under_a_key_one_is_done_on_whatever_routes() {
    for backend in backends() {
        let place = place(backend).await;
        let one = Store::open(&place.url).await.unwrap();
        run(&place.url, account()).await.unwrap();
        // Another process: each has one connection that writes.
        let two = Store::open(&place.url).await.unwrap();
        let mut tx = one.begin().await.unwrap();
        let before = tx.remember(ada(), "POST /one", "k", "b", "{}", NOW).await;
        assert_eq!(before.unwrap(), None);
        let other = tokio::spawn(async move {
            let before = remember(&two, "POST /two", "c").await;
            (two, before)
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!other.is_finished(), "{backend}: it waits for the first");
        tx.commit().await.unwrap();
        let (two, before) = other.await.unwrap();
        assert_eq!(before, Some(first()), "{backend}");
        // The same one again learns what was answered.
        assert_eq!(remember(&two, "POST /one", "b").await, Some(first()));
        let mut tx = two.begin().await.unwrap();
        assert_eq!(tx.remembered(ada(), "k").await.unwrap(), Some(first()));
        drop(tx);
        one.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn keys_that_were_used_on_two_routes_stand_for_the_first() {
    for backend in backends() {
        let place = place(backend).await;
        Store::open(&place.url).await.unwrap().close().await;
        // As it was before, with rows of then.
        let row = |route: &str, key: &str, at: u32| {
            format!(
                "INSERT INTO idempotency_keys (account, route, key, body_hash, answer, created_at) \
                 VALUES ('{}', '{route}', '{key}', 'b', '{{}}', {at});",
                ada()
            )
        };
        let mut before = account();
        before.push_str("DROP INDEX idempotency_keys_once;");
        before.push_str("CREATE INDEX idempotency_keys_key ON idempotency_keys (account, key);");
        before.push_str("DELETE FROM _sqlx_migrations WHERE version = 31;");
        for (route, key, at) in [
            ("POST /two", "k", 20),
            ("POST /one", "k", 10),
            ("POST /zero", "same", 5),
            ("POST /one", "same", 5),
            ("POST /one", "other", 30),
        ] {
            before.push_str(&row(route, key, at));
        }
        run(&place.url, before).await.unwrap();
        let store = Store::open(&place.url).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        for key in ["k", "same", "other"] {
            assert_eq!(tx.remembered(ada(), key).await.unwrap(), Some(first()));
        }
        drop(tx);
        store.close().await;
    }
}
