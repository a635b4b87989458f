//! The program itself: its commands, its words about bad values, its health.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use test_support::{TestApp, wait_until};

#[tokio::test]
async fn bad_values_are_named_one_by_one() {
    let app = TestApp::start().await;
    let bad = app.try_admin(
        &["serve"],
        &[
            ("IOG_LEASE_TTL_MS", "soon"),
            ("IOG_DEMO_CREDIT_IO", "-3"),
            ("LEPTOS_SITE_ADDR", "127.0.0.1:0"),
        ],
    );
    let text = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(!bad.status.success());
    assert!(
        text.contains("IOG_LEASE_TTL_MS=soon: expected a whole number"),
        "{text}"
    );
    assert!(text.contains("IOG_DEMO_CREDIT_IO=-3"), "{text}");
    let bad = app.try_admin(&["serve"], &[("LEPTOS_SITE_ADDR", "nowhere")]);
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("LEPTOS_"));
    let taken = app.try_admin(&["serve"], &[]);
    assert!(String::from_utf8_lossy(&taken.stderr).contains("cannot be listened on"));
}

#[tokio::test]
async fn help_says_what_can_be_set_and_commands_can_be_repeated() {
    let app = TestApp::start().await;
    let help = app.try_admin(&["--help"], &[]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in [
        "serve",
        "account",
        "key",
        "join-token",
        "openapi",
        "LEPTOS_SITE_ADDR",
        "IOG_DATABASE_URL",
        "IOG_PUBLIC_URL",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let create = [
        "account",
        "create",
        "--email",
        "ada@example.com",
        "--name",
        "Ada",
        "--password-env",
        "PW",
        "--role",
        "admin",
        "--demo-credit-io",
        "50",
    ];
    let first = app.admin(&create, &[("PW", "correct horse")]);
    let again = app.admin(&create, &[("PW", "another password")]);
    assert_eq!(first, again, "the same account, unchanged");
    let key = app.key("ada@example.com", "read");
    let account: serde_json::Value = app
        .anyone()
        .with_key(&key)
        .get("/api/v1/account")
        .await
        .ok();
    assert_eq!(
        account["roles"],
        serde_json::json!(["requester", "owner", "admin"])
    );
    let balance: serde_json::Value = app
        .anyone()
        .with_key(&key)
        .get("/api/v1/balance")
        .await
        .ok();
    assert_eq!(balance["available"], "5000000000", "credited once");

    for (arguments, word) in [
        (
            &[
                "account",
                "create",
                "--email",
                "x@example.com",
                "--name",
                "X",
                "--password-env",
                "NOT_SET",
            ][..],
            "NOT_SET",
        ),
        (
            &[
                "key",
                "create",
                "--email",
                "nobody@example.com",
                "--name",
                "x",
                "--scopes",
                "read",
            ][..],
            "no account",
        ),
        (
            &[
                "key",
                "create",
                "--email",
                "ada@example.com",
                "--name",
                "x",
                "--scopes",
                "all",
            ][..],
            "read, jobs or nodes",
        ),
        (&["nonsense"][..], "nonsense"),
    ] {
        let bad = app.try_admin(arguments, &[]);
        let text = String::from_utf8_lossy(&bad.stderr).into_owned();
        assert!(
            !bad.status.success() && text.contains(word),
            "{word} in {text}"
        );
    }
}

#[tokio::test]
async fn health_and_figures_are_there() {
    let app = TestApp::start().await;
    let anyone = app.anyone();
    assert_eq!(anyone.get("/healthz").await.text(), "ok\n");
    assert!(anyone.get("/readyz").await.status.is_success());
    anyone.get("/api/v1/offers").await;
    let figures = anyone.get("/metrics").await.text();
    for name in [
        "iog_http_requests_total",
        "iog_http_request_seconds",
        "iog_loop_seconds",
    ] {
        assert!(figures.contains(name), "{name} in {figures}");
    }
    assert!(figures.contains("route=\"/api/v1/offers\""), "{figures}");
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let app = TestApp::start_with(
        test_support::Database::Sqlite,
        &[("IOG_SIGN_IN_PER_MINUTE", "5")],
    )
    .await;
    let home = app.anyone().at_home();
    let mut statuses = Vec::new();
    for n in 0..12 {
        let form = format!("email=ada%40example.com&password=guess{n}&next=%2F");
        let answer = home
            .send(
                http::Method::POST,
                "/fn/sign-in",
                "application/x-www-form-urlencoded",
                form,
            )
            .await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        5,
        "{statuses:?}"
    );
    assert!(
        statuses[5..].iter().all(|status| *status == 429),
        "{statuses:?}"
    );
}

/// Who starts the server and at once thinks better of it, as a supervisor does, gets an end in order: the handlers are there
/// before the port is.
#[tokio::test]
async fn a_signal_during_the_start_is_heard() {
    let mut app = TestApp::start().await;
    app.kill_server();
    // A node that takes connections and never answers: the start waits for it.
    let node = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = node.local_addr().expect("bound");
    app.set("IOG_CHAIN_URL", &format!("http://{at}/v1"));
    app.set("IOG_CHAIN_ID", "4");
    app.set("IOG_CHAIN_CONTRACT", "0x7");
    app.set("IOG_CHAIN_SETTLER_KEYS", &"07".repeat(32));
    app.begin_server();
    let address = app.url.trim_start_matches("http://").to_owned();
    wait_until("the port is bound", Duration::from_secs(20), || async {
        TcpStream::connect(&address).ok()
    })
    .await;
    app.end_server().await;
}
