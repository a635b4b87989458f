//! Ports of running jobs through the platform, and the secrets that jobs are given: each reaches whom it is for and nobody else.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::Method;
use protocol::spec::{JobSpec, Port};
use protocol::state::{JobState, RunEnd};
use protocol::view::{PortLinkView, PortView, SecretView};
use serde_json::{Value, json};
use test_support::{Account, Client, Database, TestApp, binary, shell, wait_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::authorisation::browser;
use crate::{QUICK, SOON};

/// A server as small as it can be: tells what it was sent, streams, and echoes on a WebSocket.
const SERVER: &str = include_str!("../../../examples/port-echo/serve.py");

fn spec(ports: Vec<Port>) -> JobSpec {
    let mut spec = shell("ports", "exec python3 serve.py 8100");
    spec.files = vec![protocol::spec::InlineFile {
        path: "serve.py".into(),
        content: SERVER.into(),
    }];
    spec.ports = ports;
    spec
}

fn port(port: u16, public: bool) -> Port {
    Port {
        port,
        name: None,
        public,
        health: None,
    }
}

/// As a browser that knows where `*.localhost` is.
fn at(app: &TestApp, url: &str) -> (Client, String) {
    let url = url.strip_prefix("http://").expect("plain HTTP here");
    let (host, path) = url.split_once('/').expect("a path");
    (app.anyone().with("host", host), format!("/{path}"))
}

async fn answers(client: &Client, path: &str) {
    wait_until("the job listens", SOON, || async {
        let answer = client.get(path).await;
        (answer.status.as_u16() == 200).then_some(())
    })
    .await;
}

async fn list(ada: &Account, id: kernel::JobId) -> Vec<PortView> {
    ada.rest.get(&format!("/api/v1/jobs/{id}/ports")).await.ok()
}

#[tokio::test]
async fn a_port_is_reached_by_its_owner_by_a_link_and_by_nobody_else() {
    let app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let job = ada
        .submit(&spec(vec![port(8_100, false), port(8_101, false)]))
        .await;
    let id = job.summary.id;
    ada.wait_for(id, JobState::Running, SOON).await;
    let views = list(&ada, id).await;
    let (own, own_path) = at(&app, views[0].url.as_deref().expect("an origin"));
    let path = views[0]
        .path_url
        .strip_prefix(&app.url)
        .expect("ours")
        .to_owned();

    // By key, below the portal's address.
    let keyed = app.anyone().with("x-iog-token", &ada.key);
    answers(&keyed, &path).await;
    let said: Value = keyed
        .with("cookie", "a=1; __Host-iog_session=secret")
        .with("authorization", "Bearer of-the-job")
        .get(&format!("{path}deep/er?q=1"))
        .await
        .ok();
    assert_eq!(said["path"], "/deep/er?q=1");
    assert_eq!(
        said["headers"]["authorization"], "Bearer of-the-job",
        "the job's own matter"
    );
    for gone in ["cookie", "x-iog-token"] {
        assert!(said["headers"].get(gone).is_none(), "{gone}: {said}");
    }
    let shown = keyed.get(&format!("{path}cookie")).await;
    let policy = shown.header("content-security-policy").expect("one");
    assert!(
        policy.starts_with("sandbox") && !policy.contains("same-origin"),
        "{policy}"
    );
    assert!(shown.header("set-cookie").is_none());

    // Nobody, another account's key, a forged pass.
    for (client, status) in [
        (app.anyone(), 401),
        (app.anyone().with("x-iog-token", &bo.key), 401),
        (app.anyone().with("x-iog-token", "99999999999999.00"), 401),
        (
            app.anyone().with("cookie", "iog_port=99999999999999.00"),
            401,
        ),
    ] {
        client.get(&path).await.refused(status);
        own.with("cookie", "x=1").get(&own_path).await.refused(401);
    }

    // A browser: sent to the portal, from there with a pass back, and the pass becomes this origin's cookie.
    let person = own.with("accept", "text/html");
    let away = person.get(&format!("{own_path}page?x=1")).await;
    assert_eq!(away.status.as_u16(), 303);
    let to = away.header("location").expect("somewhere");
    let to = to.strip_prefix(&app.url).expect("the portal");
    let session = browser(&app, &ada).await;
    let back = session.get(to).await;
    assert_eq!(back.status.as_u16(), 303, "{}", back.text());
    let enter = back.header("location").expect("back").to_owned();
    let (_, enter) = at(&app, &enter);
    let entered = own.get(&enter).await;
    assert_eq!(entered.header("location"), Some("/page?x=1"));
    let cookie = entered.header("set-cookie").expect("a cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && !cookie.contains("Domain"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let inside = own.with("cookie", &format!("theme=dark; {cookie}"));
    let said: Value = inside.get("/page?x=1").await.ok();
    assert_eq!(said["headers"]["cookie"], "theme=dark");
    // Another's session gets no pass; a page of another job does not act through this cookie.
    let others = browser(&app, &bo).await;
    others.get(to).await.refused(404);
    let evil = inside.with("origin", "http://8888-evil.localhost");
    evil.post("/page", &json!({})).await.refused(403);
    inside
        .with("sec-fetch-site", "same-site")
        .get("/page")
        .await
        .refused(403);
    // The cookie is for this port: not for the job's other one.
    let (other, other_path) = at(&app, views[1].url.as_deref().expect("an origin"));
    other
        .with("cookie", &cookie)
        .get(&other_path)
        .await
        .refused(401);

    // A link, for whoever has it, until then.
    let link = format!("/api/v1/jobs/{id}/ports/8100/links");
    let link: PortLinkView = ada.rest.post(&link, &json!({ "hours": 1 })).await.ok();
    answers(&app.anyone().with("x-iog-token", &link.token), &path).await;
    let (_, enter) = at(&app, link.url.as_deref().expect("a link"));
    assert_eq!(own.get(&enter).await.status.as_u16(), 303);
    let hours = format!("/api/v1/jobs/{id}/ports/8100/links");
    ada.rest
        .post(&hours, &json!({ "hours": 721 }))
        .await
        .refused(422);
    let none = format!("/api/v1/jobs/{id}/ports/9000/links");
    ada.rest
        .post(&none, &json!({ "hours": 1 }))
        .await
        .refused(404);

    // What does not listen says so, to programs and to people.
    let (_, silent) = (
        0,
        views[1]
            .path_url
            .strip_prefix(&app.url)
            .expect("ours")
            .to_owned(),
    );
    let refused = keyed.get(&silent).await.refused(502);
    assert!(refused.detail.contains("8101"), "{}", refused.detail);
    let page = keyed.with("accept", "text/html").get(&silent).await;
    assert!(
        page.status.as_u16() == 502 && page.text().contains("<h1>"),
        "{}",
        page.text()
    );

    // A body of several megabytes up and down, as it comes.
    let body = vec![7_u8; 3_000_000];
    let echo = keyed
        .send(
            Method::POST,
            &format!("{path}echo"),
            "application/octet-stream",
            body.clone(),
        )
        .await;
    assert!(
        echo.body.as_ref() == body.as_slice(),
        "{} bytes",
        echo.body.len()
    );

    // A WebSocket, both ways, through the cookie.
    let mut request = format!("{}/socket", app.url.replacen("http", "ws", 1))
        .into_client_request()
        .expect("an address");
    for (name, value) in inside.headers() {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .expect("upgraded");
    socket
        .send(Message::text("round trip"))
        .await
        .expect("sent");
    let back = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
    let back = back.expect("in time").expect("an answer").expect("whole");
    assert_eq!(back, Message::text("round trip"));
    drop(socket);

    // A plain connection, as another program's transport.
    let mut line = std::process::Command::new(binary("IOG_CLI_BIN", "iog"))
        .args(["port-forward", "--stdio", &id.to_string(), "8100"])
        .env("IOG_SERVER", &app.url)
        .env("IOG_API_KEY", &ada.key)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut input = line.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, b"GET /plain HTTP/1.0\r\n\r\n").expect("written");
    drop(input);
    let said = line.wait_with_output().expect("it ends").stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.starts_with("HTTP/1.") && said.contains("/plain"),
        "{said}"
    );

    // What a session opened ends with it: another page asks, and gets nothing. The link's holder stays.
    assert_eq!(inside.get("/page").await.status.as_u16(), 200);
    let left = session
        .at_home()
        .send(
            Method::POST,
            "/fn/sign-out",
            "application/x-www-form-urlencoded",
            String::new(),
        )
        .await;
    assert!(left.status.is_success(), "{} {}", left.status, left.text());
    inside.get("/page").await.refused(401);
    let away = person.with("cookie", &cookie).get("/page").await;
    assert_eq!(away.status.as_u16(), 303, "to the portal, to sign in");
    answers(&app.anyone().with("x-iog-token", &link.token), &path).await;

    ada.stop(id).await;
    ada.wait_for(id, JobState::Stopped, SOON).await;
    keyed.get(&path).await.refused(502);
}

#[tokio::test]
async fn a_public_port_is_for_all_and_its_answer_streams() {
    let app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let id = ada.submit(&spec(vec![port(8_100, true)])).await.summary.id;
    ada.wait_for(id, JobState::Running, SOON).await;
    let views = list(&ada, id).await;
    let path = views[0]
        .path_url
        .strip_prefix(&app.url)
        .expect("ours")
        .to_owned();
    answers(&app.anyone(), &path).await;
    // Pieces come as they are made: the first long before the last.
    let mut response = reqwest::get(format!("{}{path}slow", app.url))
        .await
        .expect("an answer");
    let began = tokio::time::Instant::now();
    let first = response.chunk().await.expect("a piece").expect("one");
    assert!(first.starts_with(b"piece 0"), "{first:?}");
    let at_first = began.elapsed();
    while response.chunk().await.expect("a piece").is_some() {}
    assert!(began.elapsed() > at_first + Duration::from_millis(300));
    ada.stop(id).await;
    ada.wait_for(id, JobState::Stopped, SOON).await;
}

#[tokio::test]
async fn a_secret_reaches_the_jobs_environment_and_nothing_else() {
    const VALUE: &str = "hf_only-the-job-knows";
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &QUICK).await;
        let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", Some("5")));
        let _node = app.node(&bo, "bo-desktop", "3.6").await;
        let put = |value: &str| json!({ "value": value });
        let path = "/api/v1/secrets/HF_TOKEN";
        ada.rest
            .json(Method::PUT, path, &put("abc"))
            .await
            .refused(422);
        ada.rest
            .json(Method::PUT, "/api/v1/secrets/IOG_X", &put(VALUE))
            .await
            .refused(422);
        let set: SecretView = ada
            .rest
            .json(Method::PUT, path, &put("first-value"))
            .await
            .ok();
        assert_eq!(set.name, "HF_TOKEN");
        ada.rest
            .json(Method::PUT, path, &put(VALUE))
            .await
            .ok::<SecretView>();

        // Printed whole, and in two pieces; told by its length that it is the right one.
        let script = "echo \"length=${#HF_TOKEN}\"; echo \"whole $HF_TOKEN.\"; printf 'cut hf_only-'; sleep 0.4; echo 'the-job-knows.'; sleep 0.3; echo \"$HF_TOKEN\" >&2; env | grep -c ^HF_TOKEN=";
        let mut spec = shell("secret", script);
        spec.secrets = vec!["HF_TOKEN".into()];
        // Another account's name is none here.
        bo.try_submit(&spec).await.refused(422);
        let job = ada.submit(&spec).await;
        let id = job.summary.id;
        let done = ada.wait_for(id, JobState::Finished, SOON).await;
        assert_eq!(done.summary.end, Some(RunEnd::Exited { code: 0 }));
        let log = ada.log(id).await;
        for expected in [
            &format!("length={}", VALUE.len()),
            "whole ***.",
            "cut ***.",
            "\n1\n",
        ] {
            assert!(log.contains(expected), "{expected}: {log}");
        }

        // Nowhere else: no answer, no log of ours, no byte of the data, no file of the worker's.
        let told = [
            ada.rest.get("/api/v1/secrets").await.text(),
            ada.rest.get(&format!("/api/v1/jobs/{id}")).await.text(),
            log,
            app.log(),
        ];
        for text in told {
            assert!(!text.contains(VALUE), "{text}");
        }
        let mut folders = vec![app.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let bytes = std::fs::read(entry.path()).unwrap_or_default();
                let found = bytes
                    .windows(VALUE.len())
                    .any(|part| part == VALUE.as_bytes());
                assert!(!found, "{}", entry.path().display());
            }
        }
        let key = app.folder().join("data/secrets.key");
        let mode = key.metadata().expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // Forgotten: no job gets it any more.
        assert_eq!(ada.rest.delete(path).await.status.as_u16(), 204);
        ada.rest.delete(path).await.refused(404);
        ada.try_submit(&spec).await.refused(422);
    }
}
