//! E-mails: to nobody who did not say that the address is theirs, again when the host is busy, ended by one request.

use http::Method;
use protocol::notice::NotificationSettingsView;
use serde_json::{Value, json};
use test_support::{Client, Database, TestApp, wait_until};
use tokio::time::{Duration, sleep};

use crate::SOON;
use crate::authorisation::browser;
use crate::receiver::{Receiver, Reply};
use crate::smtp::MailHost;

const SETTINGS: &str = "/api/v1/notifications/settings";

async fn start(database: Database, host: &MailHost) -> TestApp {
    let settings = [
        ("IOG_WEBHOOKS_LOCAL", "true"),
        ("IOG_SMTP_URL", host.url.as_str()),
        ("IOG_MAIL_FROM", "IOG <noreply@iog.example>"),
    ];
    TestApp::start_with(database, &settings).await
}

async fn wish(client: &Client, email: bool, language: &str) -> NotificationSettingsView {
    let wish = json!({ "email": email, "language": language, "runway_seconds": [] });
    client.json(Method::PUT, SETTINGS, &wish).await.ok()
}

/// Something that is told by e-mail too: a webhook's receiver says that it is gone.
async fn happen(client: &Client) {
    let receiver = Receiver::start([Reply::status(410)]).await;
    let new = json!({ "url": receiver.url, "events": ["webhook.test"] });
    let made: Value = client.post("/api/v1/webhooks", &new).await.ok();
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    client
        .send(Method::POST, &format!("{path}/test"), "", "")
        .await
        .ok::<Value>();
    wait_until("it is switched off", SOON, || async {
        let view: Value = client.get(&path).await.ok();
        (view["enabled"] == false).then_some(())
    })
    .await;
    client.delete(&path).await;
}

fn path_of(app: &TestApp, link: &str) -> String {
    link.strip_prefix(&app.url)
        .expect("our own link")
        .to_owned()
}

#[tokio::test]
async fn an_address_is_asked_first_and_may_end_it_again() {
    for database in Database::from_env() {
        let host = MailHost::start().await;
        let app = start(database, &host).await;
        let ada = app.account("ada", None);
        let session = browser(&app, &ada).await;
        let set = wish(&session, true, "en").await;
        assert!(set.email_available && set.settings.email && !set.address_confirmed);
        let question = host.until(1).await.remove(0);
        assert!(question.to.contains("<ada@example.com>"), "{}", question.to);
        assert!(
            question.from.contains("<noreply@iog.example>"),
            "{}",
            question.from
        );
        assert_eq!(
            question.header("Subject").as_deref(),
            Some("Is this your address?")
        );
        assert_eq!(question.header("List-Unsubscribe"), None);

        // Until it is confirmed nothing else is sent, and the question is not sent twice in a minute.
        happen(&session).await;
        let again = session
            .send(Method::POST, "/api/v1/notifications/confirmation", "", "")
            .await;
        again.refused(409);
        let link = path_of(&app, &question.link("/mail/confirm"));
        let anyone = app.anyone();
        let looked = anyone.get(&link).await;
        assert!(looked.status.is_success() && looked.text().contains("<form"));
        let view: NotificationSettingsView = session.get(SETTINGS).await.ok();
        assert!(!view.address_confirmed, "looking at it changes nothing");
        let forged = link.replace("code=", "code=x");
        assert_eq!(anyone.send(Method::POST, &forged, "", "").await.status, 409);
        let answer = anyone.at_home().send(Method::POST, &link, "", "").await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let view: NotificationSettingsView = session.get(SETTINGS).await.ok();
        assert!(view.address_confirmed);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(host.mails().len(), 1, "what happened before is not sent");

        wish(&session, true, "zh").await;
        happen(&session).await;
        let mail = host.until(2).await.remove(1);
        let subject = mail.header("Subject").expect("a subject");
        assert!(subject.starts_with("=?utf-8?"), "{subject}");
        let name = mail.header("Message-ID").expect("a name");
        assert!(
            name.starts_with("<notice_") && name.ends_with("@iog.example>"),
            "{name}"
        );
        assert_eq!(
            mail.header("List-Unsubscribe-Post").as_deref(),
            Some("List-Unsubscribe=One-Click")
        );
        let unsubscribe = mail.header("List-Unsubscribe").expect("a link");
        let unsubscribe = unsubscribe.trim_matches(['<', '>']).to_owned();
        let unsubscribe = path_of(&app, &unsubscribe);
        let forged = unsubscribe.replace("code=", "code=x");
        assert_eq!(anyone.send(Method::POST, &forged, "", "").await.status, 409);
        // As a mail program does it: no cookie, no origin.
        let ended = anyone
            .send(
                Method::POST,
                &unsubscribe,
                "application/x-www-form-urlencoded",
                "List-Unsubscribe=One-Click",
            )
            .await;
        assert!(ended.status.is_success(), "{}", ended.text());
        let view: NotificationSettingsView = session.get(SETTINGS).await.ok();
        assert!(!view.settings.email && view.address_confirmed);
        happen(&session).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(host.mails().len(), 2);
    }
}

#[tokio::test]
async fn a_busy_host_is_asked_again_and_one_that_refuses_is_not() {
    let host = MailHost::start().await;
    host.plan(&["451 later"]);
    let app = start(Database::Sqlite, &host).await;
    let ada = app.account("ada", None);
    let session = browser(&app, &ada).await;
    wish(&session, true, "en").await;
    let question = host.until(1).await.remove(0);
    assert_eq!(host.recipients(), 2, "once in vain");
    let link = path_of(&app, &question.link("/mail/confirm"));
    app.anyone()
        .at_home()
        .send(Method::POST, &link, "", "")
        .await;

    host.plan(&["550 nobody here"]);
    happen(&session).await;
    wait_until("it is given up", SOON, || async {
        let failed = "SELECT COUNT(*) FROM outbox WHERE target = 'email' AND state = 'failed' AND status = 550";
        (app.count(failed).await == 1).then_some(())
    })
    .await;
    sleep(Duration::from_secs(12)).await;
    assert_eq!(host.recipients(), 3, "not tried again");
    happen(&session).await;
    assert!(host.until(2).await[1].text().contains("switched off"));
}

#[tokio::test]
async fn without_a_host_the_server_says_that_it_sends_none() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    let session = browser(&app, &ada).await;
    let set = wish(&session, true, "en").await;
    assert!(!set.email_available && set.address_asked_at.is_none());
    let asked = session
        .send(Method::POST, "/api/v1/notifications/confirmation", "", "")
        .await;
    asked.refused(409);
}
