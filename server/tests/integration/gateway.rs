//! Workers that are not what they should be: each is told why, and nothing changes.

use ed25519_dalek::SigningKey;
use kernel::{Amount, PricePerSecond};
use protocol::view::NodeView;
use protocol::worker::{FromWorker, Hello, HostLoad, Refusal, ToWorker};
use test_support::{Database, FakeWorker, Talk, TestApp};

fn price() -> PricePerSecond {
    PricePerSecond::from_amount(Amount::try_from_base(1_000).expect("in range"))
}

fn hello(app: &TestApp, talk: &Talk, key: &SigningKey, token: Option<&str>) -> Hello {
    FakeWorker::hello(&app.url, &talk.nonce, key, "bad", price(), token, vec![])
}

async fn refused(app: &TestApp, make: impl FnOnce(&Talk) -> Hello) -> Refusal {
    let mut talk = Talk::open(&app.url).await;
    let hello = make(&talk);
    talk.say(&FromWorker::Hello(Box::new(hello))).await;
    talk.refusal().await
}

#[tokio::test]
async fn each_wrong_hello_is_refused_with_its_reason() {
    let app = TestApp::start().await;
    let bo = app.account("bo", None);
    let key = SigningKey::from_bytes(&[7; 32]);
    let token = app.join_token(&bo.email);

    assert_eq!(
        refused(&app, |talk| hello(&app, talk, &key, None)).await,
        Refusal::UnknownNode
    );
    assert_eq!(
        refused(&app, |talk| hello(&app, talk, &key, Some("jt_never_made"))).await,
        Refusal::JoinToken
    );
    let other_nonce = refused(&app, |_| {
        FakeWorker::hello(
            &app.url,
            &"0".repeat(64),
            &key,
            "bad",
            price(),
            Some(&token),
            vec![],
        )
    });
    assert_eq!(other_nonce.await, Refusal::Signature);
    let other_server = refused(&app, |talk| {
        FakeWorker::hello(
            "http://evil.example",
            &talk.nonce,
            &key,
            "bad",
            price(),
            Some(&token),
            vec![],
        )
    });
    assert_eq!(other_server.await, Refusal::Signature);
    let swapped_token = refused(&app, |talk| Hello {
        join_token: Some(token.clone()),
        ..hello(&app, talk, &key, Some("another"))
    });
    assert_eq!(
        swapped_token.await,
        Refusal::Signature,
        "the token is signed too"
    );
    let anothers_key = refused(&app, |talk| Hello {
        public_key: hex::encode(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes()),
        ..hello(&app, talk, &key, Some(&token))
    });
    assert_eq!(anothers_key.await, Refusal::Signature);
    assert_eq!(
        refused(&app, |talk| Hello {
            protocol: 99,
            ..hello(&app, talk, &key, Some(&token))
        })
        .await,
        Refusal::Protocol
    );
    assert_eq!(
        refused(&app, |talk| Hello {
            name: String::new(),
            ..hello(&app, talk, &key, Some(&token))
        })
        .await,
        Refusal::Malformed
    );
    assert_eq!(
        refused(&app, |talk| Hello {
            country: Some("swiss".into()),
            ..hello(&app, talk, &key, Some(&token))
        })
        .await,
        Refusal::Malformed
    );
    assert_eq!(
        refused(&app, |talk| Hello {
            devices: vec![],
            ..hello(&app, talk, &key, Some(&token))
        })
        .await,
        Refusal::Malformed
    );
    let nodes: Vec<NodeView> = bo.rest.get("/api/v1/nodes").await.ok();
    assert!(nodes.is_empty(), "nothing was enrolled");

    // The token is still good, once.
    let mut talk = Talk::open(&app.url).await;
    let good = hello(&app, &talk, &key, Some(&token));
    talk.say(&FromWorker::Hello(Box::new(good))).await;
    assert!(matches!(talk.hear().await, Some(ToWorker::Welcome { .. })));
    let second = SigningKey::from_bytes(&[9; 32]);
    assert_eq!(
        refused(&app, |talk| hello(&app, talk, &second, Some(&token))).await,
        Refusal::JoinToken
    );
    assert_eq!(
        refused(&app, |talk| hello(&app, talk, &key, None)).await,
        Refusal::Duplicate,
        "two with one identity"
    );
}

#[tokio::test]
async fn fault_a_captured_sign_in_cannot_be_replayed() {
    let app = TestApp::start().await;
    let bo = app.account("bo", None);
    let key = SigningKey::from_bytes(&[7; 32]);
    let token = app.join_token(&bo.email);
    let mut first = Talk::open(&app.url).await;
    let captured = hello(&app, &first, &key, Some(&token));
    first
        .say(&FromWorker::Hello(Box::new(captured.clone())))
        .await;
    assert!(matches!(first.hear().await, Some(ToWorker::Welcome { .. })));
    drop(first);
    for _ in 0..20 {
        assert_eq!(
            refused(&app, |_| captured.clone()).await,
            Refusal::Signature
        );
    }
}

#[tokio::test]
async fn an_expired_token_and_a_removed_node_are_refused() {
    let app = TestApp::start_with(Database::Sqlite, &[("IOG_JOIN_TOKEN_TTL_S", "1")]).await;
    let bo = app.account("bo", None);
    let token = app.join_token(&bo.email);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let key = SigningKey::from_bytes(&[7; 32]);
    assert_eq!(
        refused(&app, |talk| hello(&app, talk, &key, Some(&token))).await,
        Refusal::JoinToken
    );

    let worker = app.fake(&bo, "bo", "1").await;
    let (node, key) = (worker.node, worker.key.clone());
    bo.rest.delete(&format!("/api/v1/nodes/{node}")).await;
    drop(worker);
    assert_eq!(
        refused(&app, |talk| hello(&app, talk, &key, None)).await,
        Refusal::Removed
    );
}

#[tokio::test]
async fn rubbish_floods_and_giants_end_the_connection() {
    let app = TestApp::start().await;
    let bo = app.account("bo", None);
    for rubbish in [
        "",
        "{}",
        "[]",
        "null",
        "{\"type\":\"hello\"}",
        "{\"type\":\"nothing\"}",
        "\u{0}",
    ] {
        let mut talk = Talk::open(&app.url).await;
        talk.say_text(rubbish.to_owned()).await;
        assert_eq!(talk.refusal().await, Refusal::Malformed, "{rubbish:?}");
    }
    let mut talk = Talk::open(&app.url).await;
    talk.say_text("x".repeat(3 * 1024 * 1024)).await;
    while let Some(message) = talk.hear().await {
        assert!(matches!(message, ToWorker::Refused { .. }), "{message:?}");
    }

    let mut worker = app.fake(&bo, "unknown-field", "1").await;
    worker.talk.say_text(r#"{"type":"heartbeat","seq":2,"draining":false,"load":{"cpu_percent":0,"memory_used_mib":0},"leases":[],"user":"root"}"#.to_owned()).await;
    assert_eq!(worker.talk.refusal().await, Refusal::Malformed);

    let mut flood = app.fake(&bo, "flood", "1").await;
    for seq in 0..6_000 {
        let load = HostLoad::default();
        flood
            .talk
            .say(&FromWorker::Heartbeat {
                seq,
                draining: false,
                load,
                leases: vec![],
            })
            .await;
    }
    loop {
        match flood.talk.hear().await {
            Some(ToWorker::Refused { reason, .. }) => {
                assert_eq!(reason, Refusal::Limits);
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    let alive = app.anyone().get("/readyz").await;
    assert!(alive.status.is_success());
}

#[tokio::test]
async fn a_page_cannot_pose_as_a_worker() {
    let app = TestApp::start().await;
    let upgrade = app
        .anyone()
        .at_home()
        .with("connection", "Upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-version", "13")
        .with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    upgrade.get("/api/v1/worker").await.refused(403);
    let plain = app.anyone().get("/api/v1/worker").await;
    assert!(plain.status.is_client_error(), "{}", plain.status);
    app.anyone()
        .get("/api/v1/worker/bundles/x")
        .await
        .refused(401);
}
