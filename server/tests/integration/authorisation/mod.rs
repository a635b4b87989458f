//! Every route and every server function is asked by those who may not: nobody, a foreign page, another account, a key
//! without the scope. The lists come from the router and from Leptos, so that a new door without a line here fails. Here
//! is what belongs to Bo, whose things the others ask for, and the browser that signs in; the routes are in [`routes`],
//! the server functions in [`functions`].

mod functions;
mod routes;

use http::Method;
use protocol::notice::NewWebhookView;
use protocol::view::{JoinTokenView, KeyView, NodeView, SearchView};
use serde_json::{Value, json};
use test_support::{Account, Client, FakeWorker, TestApp, job};

use functions::call;

/// An id of a kind that nobody has: it is not told apart from another account's. money_requests.rs asks for real ones.
const NONE: &str = "00000000000000000000000000000000";

/// What belongs to Bo.
struct Things {
    job: String,
    node: String,
    device: String,
    token: String,
    key: String,
    search: String,
    webhook: String,
    _worker: FakeWorker,
}

async fn things(app: &TestApp, bo: &Account) -> Things {
    let worker = app.fake(bo, "bo", "1").await;
    let nodes: Vec<NodeView> = bo.rest.get("/api/v1/nodes").await.ok();
    let job = bo
        .submit(&job("bos", &["true"]))
        .await
        .summary
        .id
        .to_string();
    let token: JoinTokenView = bo
        .rest
        .send(Method::POST, "/api/v1/nodes/join-tokens", "", "")
        .await
        .ok();
    let keys: Vec<KeyView> = bo.rest.get("/api/v1/keys").await.ok();
    let search: SearchView = bo
        .rest
        .post(
            "/api/v1/market/searches",
            &json!({ "name": "bos", "q": "vram>=24" }),
        )
        .await
        .ok();
    // It listens to nothing that happens here.
    let hook = json!({ "url": "https://example.com/", "events": ["webhook.test"] });
    let hook: NewWebhookView = browser(app, bo)
        .await
        .post("/api/v1/webhooks", &hook)
        .await
        .ok();
    Things {
        job,
        node: nodes[0].id.to_string(),
        device: nodes[0].devices[0].id.to_string(),
        token: token.id.to_string(),
        key: keys[0].id.to_string(),
        search: search.id.to_string(),
        webhook: hook.webhook.id.to_string(),
        _worker: worker,
    }
}

impl Things {
    /// The document's path with Bo's ids in it.
    fn path(&self, path: &str) -> String {
        let id = match path {
            _ if path.starts_with("/api/v1/jobs/") => &self.job,
            _ if path.starts_with("/api/v1/endpoints/") => &self.job,
            _ if path.starts_with("/api/v1/nodes/join-tokens/") => &self.token,
            _ if path.starts_with("/api/v1/nodes/") => &self.node,
            _ if path.starts_with("/api/v1/devices/") => &self.device,
            _ if path.starts_with("/api/v1/market/searches/") => &self.search,
            _ if path.starts_with("/api/v1/webhooks/") => &self.webhook,
            // The round of Bo's job: anyone may see it, and it tells nobody whose it is.
            _ if path.starts_with("/api/v1/market/rounds/") => "1",
            _ if path.starts_with("/api/v1/templates/") => "raytrace",
            _ if path.starts_with("/api/v1/keys/") => &self.key,
            _ if path.starts_with("/api/v1/admin/settlement/") => &format!("0x{:064}", 0),
            _ => &format!("{}_{NONE}", kind_of(path)),
        };
        path.replace("{id}", id)
            .replace("{channel}", "0xabc")
            .replace("{payee}", "0xabd")
            .replace("{artefact}", "art_00000000000000000000000000000000")
            .replace("{notice}", "notice_00000000000000000000000000000000")
            .replace("{month}", "2026-01")
            .replace("{week}", "20773")
            .replace("{port}", "8888")
            .replace("{name}", "HF_TOKEN")
    }
}

/// What a path's id begins with.
fn kind_of(path: &str) -> &'static str {
    if path.contains("/recordings/") {
        return "rec";
    }
    if path.contains("/wallets/transactions/") {
        return "deed";
    }
    let kinds = ["payout", "deposit", "dispute", "approval", "incident"];
    let named = kinds.into_iter().find(|kind| path.contains(*kind));
    named.unwrap_or("tr")
}

/// A browser that signed in, as its pages ask.
pub async fn browser(app: &TestApp, account: &Account) -> Client {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("email", account.email.as_str()),
            ("password", &account.password),
            ("next", "/"),
        ])
        .finish();
    let answer = app
        .anyone()
        .at_home()
        .send(
            Method::POST,
            "/fn/sign-in",
            "application/x-www-form-urlencoded",
            form,
        )
        .await;
    assert!(
        answer.status.is_success(),
        "{} {}",
        answer.status,
        answer.text()
    );
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    for attribute in [
        "__Host-iog_session=",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
    ] {
        assert!(set.contains(attribute), "{attribute} in {set}");
    }
    let cookie = set.split(';').next().expect("a pair").to_owned();
    app.anyone().at_home().with("cookie", &cookie)
}

#[tokio::test]
async fn a_session_that_was_ended_is_nobody() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    let (one, two) = (browser(&app, &ada).await, browser(&app, &ada).await);
    one.get("/api/v1/account").await.ok::<Value>();
    call(&one, "sign-out", &Err(String::new())).await;
    one.get("/api/v1/account").await.refused(401);
    two.get("/api/v1/account").await.ok::<Value>();
    call(&two, "sign-out-everywhere", &Err(String::new())).await;
    two.get("/api/v1/account").await.refused(401);
}

#[tokio::test]
async fn fault_io_net_april_2024_a_header_does_not_say_who_asks() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", None), app.account("bo", None));
    for name in [
        "x-user-id",
        "user-id",
        "x-account-id",
        "x-forwarded-user",
        "x-device-id",
        "x-remote-user",
    ] {
        app.anyone()
            .with(name, &bo.id)
            .get("/api/v1/account")
            .await
            .refused(401);
        let me: Value = ada
            .rest
            .with(name, &bo.id)
            .get("/api/v1/account")
            .await
            .ok();
        assert_eq!(me["id"], ada.id.as_str(), "{name}");
    }
}
