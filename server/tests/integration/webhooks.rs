//! Notices leave the house: signed, again after a failure or a crash, and to nobody who should not be asked.

use std::time::Duration;

use http::Method;
use protocol::notice::{DeliveryState, DeliveryView, NewWebhookView, WebhookView};
use protocol::view::Page;
use serde_json::{Value, json};
use test_support::{Client, Database, TestApp, job, wait_until};
use tokio::time::{Instant, sleep};

use crate::SOON;
use crate::authorisation::browser;
use crate::receiver::{Got, Receiver, Reply};

const LOCAL: [(&str, &str); 1] = [("IOG_WEBHOOKS_LOCAL", "true")];

async fn hook(client: &Client, url: &str, events: &[&str]) -> NewWebhookView {
    let new = json!({ "url": url, "events": events });
    client.post("/api/v1/webhooks", &new).await.ok()
}

async fn test(client: &Client, hook: &WebhookView) -> DeliveryView {
    let path = format!("/api/v1/webhooks/{}/test", hook.id);
    client.send(Method::POST, &path, "", "").await.ok()
}

async fn deliveries(client: &Client, hook: &WebhookView) -> Vec<DeliveryView> {
    let path = format!("/api/v1/webhooks/{}/deliveries", hook.id);
    let page: Page<DeliveryView> = client.get(&path).await.ok();
    page.items
}

async fn until(client: &Client, hook: &WebhookView, state: DeliveryState) -> DeliveryView {
    wait_until("the newest delivery got there", SOON, || async {
        let newest = deliveries(client, hook).await.into_iter().next()?;
        (newest.state == state).then_some(newest)
    })
    .await
}

/// As docs/webhooks.md tells receivers to do it.
fn is_genuine(secret: &str, got: &Got) -> bool {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64
        .decode(secret.strip_prefix("whsec_").expect("its prefix"))
        .expect("base64");
    let (id, at) = (got.header("webhook-id"), got.header("webhook-timestamp"));
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&key)
        .expect("any length")
        .chain_update(format!("{id}.{at}.{}", got.body));
    let expected = format!("v1,{}", base64.encode(mac.finalize().into_bytes()));
    got.header("webhook-signature")
        .split(' ')
        .any(|signature| signature == expected)
}

#[tokio::test]
async fn a_jobs_story_arrives_signed() {
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &LOCAL).await;
        let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
        let _worker = app.fake(&bo, "bo", "1").await;
        let receiver = Receiver::start([]).await;
        let session = browser(&app, &ada).await;
        let made = hook(&session, &receiver.url, &[]).await;
        let sent = test(&session, &made.webhook).await;
        let got = receiver.until(1).await.remove(0);
        assert_eq!(got.header("webhook-id"), sent.notice.to_string());
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.header("user-agent"), "IOG-Webhooks/1");
        assert_eq!(got.json()["type"], "webhook.test");
        assert_eq!(
            got.json()["data"]["webhook"],
            made.webhook.id.to_string().as_str()
        );
        assert!(is_genuine(&made.secret, &got));
        let done = until(&session, &made.webhook, DeliveryState::Delivered).await;
        assert_eq!((done.attempts, done.status), (1, Some(204)));

        let path = format!("/api/v1/webhooks/{}/secret", made.webhook.id);
        let rotated: NewWebhookView = session.send(Method::POST, &path, "", "").await.ok();
        let again = format!(
            "/api/v1/webhooks/{}/deliveries/{}",
            made.webhook.id, sent.notice
        );
        let again: DeliveryView = session.send(Method::POST, &again, "", "").await.ok();
        assert_eq!(again.notice, sent.notice);
        let second = receiver.until(2).await.remove(1);
        assert_eq!(second.body, got.body);
        assert_eq!(second.header("webhook-id"), got.header("webhook-id"));
        assert!(is_genuine(&made.secret, &second) && is_genuine(&rotated.secret, &second));

        let id = ada.submit(&job("story", &["true"])).await.summary.id;
        ada.rest
            .delete(&format!("/api/v1/jobs/{id}"))
            .await
            .ok::<Value>();
        let ended = receiver.until(3).await.remove(2);
        assert_eq!(ended.json()["type"], "job.ended", "{}", ended.body);
        assert_eq!(ended.json()["data"]["job"], id.to_string().as_str());
        assert!(is_genuine(&rotated.secret, &ended));
        let list: Page<Value> = session.get("/api/v1/notifications").await.ok();
        assert_eq!(list.items[0]["id"], ended.header("webhook-id"));
    }
}

#[tokio::test]
async fn a_receiver_that_fails_first_gets_it_after_the_servers_crash() {
    for database in Database::from_env() {
        let mut app = TestApp::start_with(database, &LOCAL).await;
        let ada = app.account("ada", None);
        let receiver = Receiver::start([Reply::status(503)]).await;
        let session = browser(&app, &ada).await;
        let made = hook(&session, &receiver.url, &[]).await;
        test(&session, &made.webhook).await;
        receiver.until(1).await;
        wait_until("the failure is noted", SOON, || async {
            let failed = deliveries(&session, &made.webhook).await;
            (failed[0].attempts == 1).then_some(())
        })
        .await;
        let view: Vec<WebhookView> = ada.rest.get("/api/v1/webhooks").await.ok();
        assert!(view[0].failing_since.is_some());
        app.kill_server();
        sleep(Duration::from_secs(1)).await;
        app.start_server().await;
        let got = receiver.until(2).await;
        assert_eq!(got[0].body, got[1].body);
        assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
        assert!(is_genuine(&made.secret, &got[1]));
        let done = until(&session, &made.webhook, DeliveryState::Delivered).await;
        assert_eq!(done.attempts, 2);
        let view: Vec<WebhookView> = ada.rest.get("/api/v1/webhooks").await.ok();
        assert_eq!(view[0].failing_since, None);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(receiver.got().len(), 2, "and then no more");
    }
}

#[tokio::test]
async fn a_server_killed_before_it_noted_the_answer_sends_again() {
    let mut app = TestApp::start_with(Database::Sqlite, &LOCAL).await;
    let ada = app.account("ada", None);
    let slow = Reply {
        after: Duration::from_secs(5),
        ..Reply::status(200)
    };
    let receiver = Receiver::start([slow]).await;
    let session = browser(&app, &ada).await;
    let made = hook(&session, &receiver.url, &[]).await;
    test(&session, &made.webhook).await;
    receiver.until(1).await;
    app.kill_server();
    app.start_server().await;
    let got = receiver.until(2).await;
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    let done = until(&session, &made.webhook, DeliveryState::Delivered).await;
    assert_eq!(done.attempts, 1, "the first was never noted");
}

#[tokio::test]
async fn one_who_does_not_answer_holds_up_nobody() {
    let app = TestApp::start_with(Database::Sqlite, &LOCAL).await;
    let ada = app.account("ada", None);
    let never = Reply {
        after: Duration::from_mins(2),
        ..Reply::status(200)
    };
    let slow = Receiver::start(std::iter::repeat_n(never, 20)).await;
    let quick = Receiver::start([]).await;
    let session = browser(&app, &ada).await;
    let stuck = hook(&session, &slow.url, &[]).await.webhook;
    let fine = hook(&session, &quick.url, &[]).await.webhook;
    for _ in 0..6 {
        test(&session, &stuck).await;
    }
    slow.until(2).await;
    let began = Instant::now();
    for n in 1..=4 {
        test(&session, &fine).await;
        quick.until(n).await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(slow.got().len(), 2, "two at once to one receiver");
    let waiting = wait_until("it is given up waiting for", SOON, || async {
        let all = deliveries(&session, &stuck).await;
        all.into_iter().find(|own| own.attempts == 1)
    })
    .await;
    assert_eq!(
        waiting.error,
        Some(protocol::notice::DeliveryError::Timeout)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let app = TestApp::start_with(Database::Sqlite, &LOCAL).await;
    let ada = app.account("ada", None);
    let inner = Receiver::start([]).await;
    let away = Reply {
        headers: vec![("location", inner.url.clone())],
        ..Reply::status(307)
    };
    let receiver = Receiver::start([away]).await;
    let session = browser(&app, &ada).await;
    let made = hook(&session, &receiver.url, &[]).await;
    test(&session, &made.webhook).await;
    let failed = wait_until("it failed", SOON, || async {
        let all = deliveries(&session, &made.webhook).await;
        all.into_iter().find(|own| own.attempts == 1)
    })
    .await;
    assert_eq!(failed.status, Some(307));
    assert!(inner.got().is_empty());
}

#[tokio::test]
async fn where_others_have_accounts_nothing_leads_into_the_house() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    let receiver = Receiver::start([]).await;
    let session = browser(&app, &ada).await;
    for url in [
        receiver.url.as_str(),
        "https://127.0.0.1/",
        "https://localhost/",
        "https://169.254.169.254/latest/",
        "https://[::ffff:10.0.0.1]/",
        "http://example.com/",
        "https://me:secret@example.com/",
    ] {
        let refused = session
            .post("/api/v1/webhooks", &json!({ "url": url }))
            .await;
        assert_eq!(refused.refused(422).fields[0].field, "url", "{url}");
    }
    // One that was made when it was allowed is not asked any more.
    let mut app = TestApp::start_with(Database::Sqlite, &LOCAL).await;
    let ada = app.account("ada", None);
    let session = browser(&app, &ada).await;
    let made = hook(&session, &receiver.url, &[]).await;
    app.set("IOG_WEBHOOKS_LOCAL", "false");
    app.end_server().await;
    app.start_server().await;
    test(&session, &made.webhook).await;
    let failed = wait_until("it failed", SOON, || async {
        let all = deliveries(&session, &made.webhook).await;
        all.into_iter().find(|own| own.attempts == 1)
    })
    .await;
    assert_eq!(
        failed.error,
        Some(protocol::notice::DeliveryError::NotPublic)
    );
    assert!(receiver.got().is_empty());
}
