//! Every route and every server function is asked by those who may not: nobody, a foreign page, another account, a key
//! without the scope. The lists come from the router and from Leptos, so that a new door without a line here fails.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use protocol::Code;
use protocol::notice::NewWebhookView;
use protocol::view::{JoinTokenView, KeyView, NodeView, SearchView};
use serde_json::{Value, json};
use test_support::{Account, Client, FakeWorker, TestApp, job};

/// Who may use a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Public,
    /// With this scope, or a session.
    Scope(&'static str),
    /// A session; no key, whatever its scopes.
    Person,
    /// A session of an admin; no key, not even an admin's.
    Admin,
}

use Door::{Admin, Person, Public, Scope};

/// Method, path in the document, who may.
const ROUTES: &[(&str, &str, Door)] = &[
    ("GET", "/api/v1/offers", Public),
    ("GET", "/api/v1/market/prices", Public),
    ("GET", "/api/v1/market/simulator", Public),
    ("GET", "/api/v1/market/model", Public),
    ("GET", "/api/v1/market/rounds", Public),
    ("GET", "/api/v1/market/rounds/{id}", Public),
    ("GET", "/api/v1/market/rounds/{id}/book", Public),
    ("GET", "/api/v1/network", Public),
    ("GET", "/api/v1/explorer", Public),
    ("GET", "/api/v1/market/searches", Scope("read")),
    ("POST", "/api/v1/market/searches", Scope("jobs")),
    ("PATCH", "/api/v1/market/searches/{id}", Scope("jobs")),
    ("DELETE", "/api/v1/market/searches/{id}", Scope("jobs")),
    ("POST", "/api/v1/quotes", Public),
    ("GET", "/api/v1/endpoints/{id}", Scope("read")),
    ("GET", "/api/v1/templates", Public),
    ("GET", "/api/v1/templates/{id}", Public),
    ("POST", "/api/v1/templates/{id}/launch", Scope("jobs")),
    ("POST", "/api/v1/bundles", Scope("jobs")),
    ("POST", "/api/v1/jobs", Scope("jobs")),
    ("GET", "/api/v1/jobs", Scope("read")),
    ("GET", "/api/v1/jobs/{id}", Scope("read")),
    ("DELETE", "/api/v1/jobs/{id}", Scope("jobs")),
    ("GET", "/api/v1/jobs/{id}/logs", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/logs/search", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/log", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/samples", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/telemetry", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/receipts", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/invoice", Scope("read")),
    ("GET", "/api/v1/billing/invoices/{month}", Scope("read")),
    ("GET", "/api/v1/billing/ledger", Scope("read")),
    (
        "GET",
        "/api/v1/jobs/{id}/artefacts/{artefact}",
        Scope("read"),
    ),
    ("GET", "/api/v1/jobs/{id}/recordings", Scope("read")),
    ("GET", "/api/v1/recordings/{id}", Scope("read")),
    ("GET", "/api/v1/audit", Scope("read")),
    ("GET", "/api/v1/audit/export", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/ports", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/ports/{port}/open", Scope("jobs")),
    (
        "POST",
        "/api/v1/jobs/{id}/ports/{port}/links",
        Scope("jobs"),
    ),
    ("GET", "/api/v1/jobs/{id}/ports/{port}/tcp", Scope("jobs")),
    ("GET", "/api/v1/secrets", Scope("read")),
    ("PUT", "/api/v1/secrets/{name}", Scope("jobs")),
    ("DELETE", "/api/v1/secrets/{name}", Scope("jobs")),
    ("GET", "/api/v1/jobs/{id}/shell", Scope("jobs")),
    ("GET", "/api/v1/jobs/{id}/workdir", Scope("read")),
    ("GET", "/api/v1/jobs/{id}/workdir/file", Scope("read")),
    ("PUT", "/api/v1/jobs/{id}/workdir/file", Scope("jobs")),
    ("GET", "/api/v1/jobs/{id}/animation", Scope("read")),
    (
        "GET",
        "/api/v1/jobs/{id}/pictures/{artefact}",
        Scope("read"),
    ),
    ("GET", "/api/v1/nodes", Scope("read")),
    ("GET", "/api/v1/nodes/{id}", Scope("read")),
    ("DELETE", "/api/v1/nodes/{id}", Scope("nodes")),
    ("GET", "/api/v1/nodes/{id}/challenges", Scope("read")),
    ("GET", "/api/v1/nodes/{id}/checks", Scope("read")),
    ("GET", "/api/v1/nodes/{id}/reputation", Scope("read")),
    ("GET", "/api/v1/nodes/{id}/uptime", Scope("read")),
    ("GET", "/api/v1/nodes/{id}/leases", Scope("read")),
    ("GET", "/api/v1/nodes/{id}/telemetry", Scope("read")),
    ("GET", "/api/v1/nodes/{id}/metrics", Scope("read")),
    ("PUT", "/api/v1/nodes/{id}/maintenance", Scope("nodes")),
    ("POST", "/api/v1/devices/prices", Scope("nodes")),
    ("POST", "/api/v1/nodes/join-tokens", Scope("nodes")),
    ("GET", "/api/v1/nodes/join-tokens/{id}", Scope("nodes")),
    ("PATCH", "/api/v1/devices/{id}", Scope("nodes")),
    ("GET", "/api/v1/devices/{id}/price-check", Scope("nodes")),
    ("GET", "/api/v1/devices/{id}/missed", Scope("read")),
    ("GET", "/api/v1/earnings", Scope("read")),
    ("GET", "/api/v1/earnings/export", Scope("read")),
    ("GET", "/api/v1/earnings/tax", Scope("read")),
    ("GET", "/api/v1/reports", Public),
    ("GET", "/api/v1/reports/{week}", Public),
    ("GET", "/api/v1/reports/{week}/proof", Scope("read")),
    ("GET", "/api/v1/account", Scope("read")),
    ("GET", "/api/v1/orders", Scope("read")),
    ("GET", "/api/v1/balance", Scope("read")),
    ("POST", "/api/v1/balance/demo-credit", Person),
    ("GET", "/api/v1/ledger/entries", Scope("read")),
    ("GET", "/api/v1/keys", Scope("read")),
    ("POST", "/api/v1/keys", Person),
    ("DELETE", "/api/v1/keys/{id}", Person),
    ("GET", "/api/v1/notifications", Scope("read")),
    ("POST", "/api/v1/notifications/read", Person),
    ("POST", "/api/v1/notifications/confirmation", Person),
    ("GET", "/api/v1/notifications/settings", Scope("read")),
    ("PUT", "/api/v1/notifications/settings", Person),
    ("GET", "/api/v1/webhooks", Scope("read")),
    ("POST", "/api/v1/webhooks", Person),
    ("GET", "/api/v1/webhooks/{id}", Scope("read")),
    ("PATCH", "/api/v1/webhooks/{id}", Person),
    ("DELETE", "/api/v1/webhooks/{id}", Person),
    ("POST", "/api/v1/webhooks/{id}/secret", Person),
    ("POST", "/api/v1/webhooks/{id}/test", Person),
    ("GET", "/api/v1/webhooks/{id}/deliveries", Scope("read")),
    ("POST", "/api/v1/webhooks/{id}/deliveries/{notice}", Person),
    ("GET", "/api/v1/payouts", Scope("read")),
    ("POST", "/api/v1/payouts", Person),
    ("POST", "/api/v1/wallets/sign-in/question", Public),
    ("POST", "/api/v1/wallets/sign-in", Public),
    ("GET", "/api/v1/wallets", Scope("read")),
    ("POST", "/api/v1/wallets", Person),
    ("POST", "/api/v1/wallets/question", Person),
    ("DELETE", "/api/v1/wallets/{address}", Person),
    ("GET", "/api/v1/wallets/transactions", Scope("read")),
    ("POST", "/api/v1/wallets/transactions/{id}", Person),
    ("POST", "/api/v1/deposits/transaction", Person),
    ("GET", "/api/v1/channels", Scope("read")),
    ("POST", "/api/v1/channels", Person),
    ("POST", "/api/v1/channels/{channel}/transactions", Person),
    ("GET", "/api/v1/vouchers", Scope("read")),
    ("GET", "/api/v1/vouchers/{channel}/{payee}", Scope("read")),
    ("POST", "/api/v1/vouchers/{channel}/{payee}/redeem", Person),
    ("GET", "/api/v1/payout-address", Scope("read")),
    ("PUT", "/api/v1/payout-address", Person),
    ("DELETE", "/api/v1/payout-address/change", Person),
    ("GET", "/api/v1/payouts/{id}", Scope("read")),
    ("POST", "/api/v1/payouts/{id}/cancel", Person),
    ("POST", "/api/v1/earnings/convert", Person),
    ("GET", "/api/v1/deposits", Scope("read")),
    ("POST", "/api/v1/deposits", Person),
    ("GET", "/api/v1/billing/limits", Scope("read")),
    ("PUT", "/api/v1/billing/limits", Person),
    ("GET", "/api/v1/billing/statement", Scope("read")),
    ("GET", "/api/v1/billing/days", Scope("read")),
    ("GET", "/api/v1/ledger/proof", Public),
    ("GET", "/api/v1/disputes", Scope("read")),
    ("POST", "/api/v1/disputes", Scope("jobs")),
    ("GET", "/api/v1/disputes/{id}", Scope("read")),
    ("POST", "/api/v1/disputes/{id}/evidence", Person),
    ("POST", "/api/v1/disputes/{id}/withdraw", Scope("jobs")),
    ("GET", "/api/v1/admin/payouts", Admin),
    ("POST", "/api/v1/admin/payouts/{id}/steps", Admin),
    ("GET", "/api/v1/admin/approvals", Admin),
    ("POST", "/api/v1/admin/approvals", Admin),
    ("POST", "/api/v1/admin/approvals/{id}/decision", Admin),
    ("GET", "/api/v1/admin/deposits", Admin),
    ("POST", "/api/v1/admin/deposits", Admin),
    ("POST", "/api/v1/admin/deposits/{id}/decision", Admin),
    ("GET", "/api/v1/admin/unclaimed-deposits", Admin),
    ("POST", "/api/v1/admin/unclaimed-deposits/{id}/claim", Admin),
    ("GET", "/api/v1/admin/settlement", Admin),
    ("GET", "/api/v1/admin/settlement/batches", Admin),
    ("GET", "/api/v1/admin/settlement/batches/{id}", Admin),
    ("GET", "/api/v1/admin/disputes", Admin),
    ("POST", "/api/v1/admin/disputes/{id}/ruling", Admin),
    ("GET", "/api/v1/admin/incidents", Admin),
    ("POST", "/api/v1/admin/incidents/{id}/close", Admin),
    ("POST", "/api/v1/admin/ledger/reconcile", Admin),
    ("GET", "/api/v1/admin/ledger/books", Admin),
    ("GET", "/api/v1/admin/ledger/transfers", Admin),
    ("GET", "/api/v1/admin/ledger/transfers/{id}", Admin),
    ("GET", "/api/v1/admin/ledger/chain", Admin),
    ("GET", "/api/v1/admin/audit", Admin),
    ("GET", "/api/v1/admin/audit/export", Admin),
    ("GET", "/api/v1/admin/audit/chain", Admin),
];

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

/// A request that would be right, but for who asks.
async fn ask(client: &Client, method: &str, path: &str) -> test_support::Answer {
    let verb: Method = method.parse().expect("a method");
    let body: Value = match (method, path) {
        ("POST", "/api/v1/jobs" | "/api/v1/quotes") => json!({ "spec": job("x", &["true"]) }),
        ("POST", "/api/v1/market/searches") => json!({ "name": "x", "q": "vram>=24" }),
        ("PATCH", path) if path.contains("/searches/") => json!({ "seen": true }),
        ("POST", "/api/v1/webhooks") => json!({ "url": "https://example.com/" }),
        ("PATCH", path) if path.contains("/webhooks/") => json!({ "enabled": false }),
        ("POST", "/api/v1/notifications/read") | ("PUT", "/api/v1/billing/limits") => json!({}),
        ("PUT", path) if path.contains("/secrets/") => json!({ "value": "abcd" }),
        ("POST", path) if path.ends_with("/links") => json!({ "hours": 1 }),
        ("PUT", "/api/v1/payout-address") => json!({ "address": "0xabc" }),
        ("POST", "/api/v1/wallets" | "/api/v1/wallets/sign-in") => json!({
            "nonce": "00", "wallet": "x", "signed": { "by": "message", "text": "x" }, "public_key": "00", "signature": "00"
        }),
        ("POST", path) if path.starts_with("/api/v1/channels/") => {
            json!({ "deed": "start_close" })
        }
        ("POST", "/api/v1/deposits/transaction" | "/api/v1/channels") => {
            json!({ "address": "0xabc", "amount_io": "1" })
        }
        ("POST", path) if path.contains("/wallets/transactions/") => {
            json!({ "authenticator": "00" })
        }
        ("PUT", path) if path.ends_with("/maintenance") => json!({ "on": true }),
        ("POST", "/api/v1/devices/prices") => json!({ "devices": [], "percent": 1 }),
        ("PUT", _) => json!({ "email": false, "language": "en", "runway_seconds": [] }),
        ("POST", "/api/v1/keys") => json!({ "name": "x", "scopes": ["read"] }),
        ("GET", path) if path.ends_with("/logs/search") => {
            return client.get(&format!("{path}?q=x")).await;
        }
        ("GET", path) if path.ends_with("/price-check") => {
            return client.get(&format!("{path}?price=1")).await;
        }
        ("PATCH", _) => json!({ "paused": true }),
        ("POST", "/api/v1/payouts") => json!({ "amount": "1000000", "address": "0xabc" }),
        ("POST", "/api/v1/earnings/convert" | "/api/v1/deposits") => json!({ "amount": "1" }),
        ("POST", "/api/v1/disputes") => {
            json!({ "lease": format!("lease_{NONE}"), "seq": 1, "reason": "x" })
        }
        ("POST", "/api/v1/admin/approvals") => {
            json!({ "payout": format!("payout_{NONE}"), "action": "freeze_payout", "reason": "x" })
        }
        ("POST", "/api/v1/admin/deposits") => {
            json!({ "email": "bo@example.com", "amount": "1", "reference": "x" })
        }
        ("POST", path) if path.ends_with("/launch") => json!({ "inputs": { "frames": 1 } }),
        ("POST", path) if path.ends_with("/evidence") => json!({ "text": "x" }),
        ("POST", path) if path.ends_with("/steps") => json!({ "step": "approve" }),
        ("POST", path) if path.ends_with("/claim") => json!({ "email": "bo@example.com" }),
        ("POST", path) if path.contains("/admin/approvals/") => json!({ "confirm": false }),
        ("POST", path) if path.contains("/admin/deposits/") => json!({ "decision": "credit" }),
        ("POST", path) if path.ends_with("/ruling") => json!({ "refund": "0", "ruling": "x" }),
        ("POST", path) if path.ends_with("/close") => json!({ "note": "x" }),
        ("POST", "/api/v1/bundles") => {
            return client
                .send(verb, path, "application/x-tar", vec![0; 1024])
                .await;
        }
        _ => return client.send(verb, path, "", "").await,
    };
    client.json(verb, path, &body).await
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
async fn each_route_refuses_those_who_may_not() {
    let app = TestApp::start().await;
    let documented: BTreeSet<(String, String)> = documented(&app).await;
    let listed: BTreeSet<(String, String)> = ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(documented, listed, "a new route needs its line in ROUTES");

    let (ada, bo) = (
        app.account("ada", Some("50")),
        app.account("bo", Some("50")),
    );
    let boss = app.admin_account("boss");
    let things = things(&app, &bo).await;
    let session = browser(&app, &ada).await;
    let without: BTreeMap<&str, Client> = [
        ("read", "jobs,nodes"),
        ("jobs", "read,nodes"),
        ("nodes", "read,jobs"),
    ]
    .into_iter()
    .map(|(lacking, scopes)| (lacking, app.anyone().with_key(&app.key(&ada.email, scopes))))
    .collect();

    for (method, path, door) in ROUTES.iter().copied() {
        let filled = things.path(path);
        let what = format!("{method} {path}");
        let mutates = method != "GET";
        if door != Public {
            let refused = ask(&app.anyone().at_home(), method, &filled)
                .await
                .refused(401);
            assert_eq!(refused.code, Code::Unauthenticated, "{what}");
        }
        ask(
            &app.anyone().with_key("iog_0123456789abcdef"),
            method,
            &filled,
        )
        .await
        .refused(401);
        if mutates {
            for foreign in ["https://evil.example", "null", "http://127.0.0.1:1"] {
                let refused = ask(&session.with("origin", foreign), method, &filled)
                    .await
                    .refused(403);
                assert_eq!(refused.code, Code::ForeignOrigin, "{what} from {foreign}");
            }
            let silent = ask(&session.without("origin"), method, &filled)
                .await
                .refused(403);
            assert_eq!(silent.code, Code::ForeignOrigin, "{what} without an origin");
        }
        match door {
            Public => {}
            Scope(scope) => {
                let refused = ask(&without[scope], method, &filled).await.refused(403);
                assert_eq!(
                    refused.code,
                    Code::Forbidden,
                    "{what} with a key that lacks {scope}"
                );
            }
            Person => {
                ask(&ada.rest, method, &filled).await.refused(403);
            }
            Admin => {
                for client in [&ada.rest, &session, &boss.rest] {
                    let refused = ask(client, method, &filled).await.refused(403);
                    assert_eq!(refused.code, Code::Forbidden, "{what}");
                }
            }
        }
        // What is public belongs to nobody; an admin may see everybody's; a month and a secret's name are one's own, and a
        // template is for all.
        let is_own = ["{month}", "/secrets/", "/templates/"]
            .iter()
            .any(|part| path.contains(part));
        if !matches!(door, Public | Admin) && path.contains('{') && !is_own {
            for client in [&session, &ada.rest] {
                if door == Person && client.headers().contains_key("authorization") {
                    continue;
                }
                let refused = ask(client, method, &filled).await.refused(404);
                assert_eq!(refused.code, Code::NotFound, "{what} of another account");
            }
        }
    }
    // After all that, Bo's things are as they were.
    let node: NodeView = bo
        .rest
        .get(&format!("/api/v1/nodes/{}", things.node))
        .await
        .ok();
    assert_ne!(node.devices[0].state, protocol::state::DeviceState::Paused);
    let still: Value = bo
        .rest
        .get(&format!("/api/v1/jobs/{}", things.job))
        .await
        .ok();
    assert_eq!(still["state"], "starting");
}

async fn documented(app: &TestApp) -> BTreeSet<(String, String)> {
    let document: Value = app.anyone().get("/api/openapi.json").await.ok();
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

/// Server functions: name, whether anybody may call it, and arguments as JSON (`None`: a form) with Bo's ids.
fn functions(things: &Things) -> Vec<(&'static str, bool, Result<Value, String>)> {
    let form = |text: &str| Err(text.to_owned());
    let Things {
        job,
        node,
        device,
        key,
        search,
        webhook,
        ..
    } = things;
    // Of a kind that there is none of.
    let none = |kind: &str, more: &str| Err(format!("id={kind}_{NONE}{more}"));
    let part = |name: &str, arg: &str| Ok(json!({ "name": name, "arg": arg }));
    vec![
        ("make-key", false, form("name=x&read=read")),
        ("revoke-key", false, form(&format!("id={key}"))),
        ("meter", false, Ok(json!({}))),
        ("demo-credit", false, form("")),
        (
            "launch-page",
            true,
            Ok(json!({ "template": "", "device": "", "filter": "" })),
        ),
        ("quote", true, form("name=x&command=true")),
        ("launch", false, form("name=x&command=true")),
        ("job-page", false, Ok(json!({ "id": job, "tab": "" }))),
        ("stop", false, form(&format!("id={job}"))),
        ("log", false, Ok(json!({ "id": job, "after": 0 }))),
        ("samples", false, Ok(json!({ "id": job }))),
        ("join-token", false, form("")),
        ("price", false, form(&format!("device={device}&per_hour=1"))),
        ("rent", false, form(&format!("device={device}&per_hour=1"))),
        (
            "pause",
            false,
            form(&format!("device={device}&paused=true")),
        ),
        ("remove-node", false, form(&format!("id={node}"))),
        ("save-search", false, form("name=x&q=vram%3E%3D24")),
        (
            "change-search",
            false,
            form(&format!("id={search}&seen=true")),
        ),
        ("delete-search", false, form(&format!("id={search}"))),
        ("part", false, part("searches", "")),
        ("part", true, part("market", "")),
        ("part", true, part("model", "")),
        ("part", true, part("templates", "")),
        ("part", true, part("template", "raytrace")),
        ("launch-template", false, form("id=raytrace&request=x")),
        ("part", true, part("rounds", "")),
        ("part", true, part("simulator", "")),
        ("part", false, part("machine", &format!("?node={node}"))),
        (
            "maintenance",
            false,
            form(&format!("id={node}&on=true&hours=")),
        ),
        (
            "prices",
            false,
            form(&format!("devices[0]={device}&per_hour=1&percent=")),
        ),
        ("part", true, part("explorer", "")),
        ("part", true, part("verify", "")),
        ("part", true, part("wallet-sign-in", "/")),
        ("part", false, part("wallets", "")),
        ("part", false, part("secrets", "")),
        ("part", false, part("activity", "")),
        ("part", true, part("reports", "")),
        ("part", true, part("round", "1")),
        ("part", false, part("missed", "")),
        ("part", false, part("jobs", "")),
        ("part", false, part("job-head", job)),
        ("part", false, part("job-cost", job)),
        ("part", false, part("job-receipts", job)),
        ("part", false, part("job-files", job)),
        ("part", false, part("job-work", job)),
        ("part", false, part("job-search", &format!("{job}?q=x"))),
        ("part", false, part("job-events", job)),
        ("part", false, part("nodes", "")),
        (
            "part",
            false,
            part("price", &json!({ "device": device }).to_string()),
        ),
        ("part", false, part("earnings", "")),
        ("part", false, part("account", "")),
        ("part", false, part("keys", "")),
        ("part", false, part("billing", "")),
        ("part", false, part("payouts", "")),
        ("part", false, part("disputes", "")),
        ("part", false, part("notices", "")),
        ("part", false, part("notifications", "")),
        ("part", false, part("admin", "")),
        ("ask-credit", false, form("amount=1&request=x")),
        ("limits", false, form("keep=&per_day=&per_month=")),
        ("payout", false, form("amount=1&address=0xabc&request=x")),
        ("cancel-payout", false, none("payout", "")),
        ("payout-address", false, form("address=0xabc")),
        ("keep-payout-address", false, form("")),
        ("redeem-voucher", false, form("channel=0xabc&payee=0xabc")),
        ("unlink-wallet", false, form("address=0xabc")),
        ("set-secret", false, form("name=HF_TOKEN&value=abcd")),
        ("delete-secret", false, form("name=NONE")),
        (
            "share-port",
            false,
            form(&format!("job={job}&member=0&port=8888&hours=1")),
        ),
        (
            "add-password",
            false,
            form("email=a%40example.com&password=long+enough"),
        ),
        ("convert", false, form("amount=1&request=x")),
        (
            "dispute",
            false,
            form(&format!("lease=lease_{NONE}&seq=1&claimed=&reason=x")),
        ),
        ("evidence", false, none("dispute", "&text=x&admin=false")),
        ("withdraw-dispute", false, none("dispute", "")),
        ("read-notices", false, form(&format!("up_to=notice_{NONE}"))),
        ("notifications", false, form("language=en&runway=")),
        (
            "make-webhook",
            false,
            form("url=https%3A%2F%2Fexample.com%2F&events="),
        ),
        (
            "switch-webhook",
            false,
            form(&format!("id={webhook}&enabled=false")),
        ),
        ("rotate-webhook", false, form(&format!("id={webhook}"))),
        ("delete-webhook", false, form(&format!("id={webhook}"))),
        ("test-webhook", false, form(&format!("id={webhook}"))),
        (
            "redeliver",
            false,
            form(&format!("id={webhook}&notice=notice_{NONE}")),
        ),
        ("reconcile", false, form("")),
        ("close-incident", false, none("incident", "&note=x")),
        ("move-payout", false, none("payout", "&step=approve")),
        (
            "propose",
            false,
            form(&format!("payout=payout_{NONE}&what=freeze_payout&reason=x")),
        ),
        ("decide-proposal", false, none("approval", "&confirm=true")),
        ("decide-deposit", false, none("deposit", "&decision=credit")),
        (
            "claim-deposit",
            false,
            none("deposit", "&email=a%40example.com"),
        ),
        (
            "record-deposit",
            false,
            form("email=a%40example.com&amount=1&reference=x"),
        ),
        ("rule", false, none("dispute", "&refund=0&ruling=x")),
        ("session", true, Ok(json!({}))),
        (
            "sign-in",
            true,
            form("email=nobody%40example.com&password=wrong&next=%2F"),
        ),
        ("sign-up", true, form("name=&email=&password=&next=%2F")),
        ("sign-out", true, form("")),
        ("sign-out-everywhere", false, form("")),
        ("preferences", true, form("locale=en")),
    ]
}

/// The names that the one door for parts of pages knows: its match arms.
fn parts_of_pages() -> BTreeSet<&'static str> {
    let source = include_str!("../../../app/src/api/parts.rs");
    let arms = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
    arms.map(|(name, _)| name).collect()
}

async fn call(
    client: &Client,
    name: &str,
    arguments: &Result<Value, String>,
) -> test_support::Answer {
    let path = format!("/fn/{name}");
    match arguments {
        Ok(value) => client.post(&path, value).await,
        Err(form) => {
            client
                .send(
                    Method::POST,
                    &path,
                    "application/x-www-form-urlencoded",
                    form.clone(),
                )
                .await
        }
    }
}

#[tokio::test]
async fn each_server_function_refuses_those_who_may_not() {
    let app = TestApp::start().await;
    let (ada, bo) = (
        app.account("ada", Some("50")),
        app.account("bo", Some("50")),
    );
    let things = things(&app, &bo).await;
    let functions = functions(&things);

    let mut registered: Vec<String> = Vec::new();
    for (method, path) in server::http::pages::server_functions() {
        assert_eq!(
            method,
            Method::POST,
            "{path}: a GET would pass SameSite=Lax"
        );
        registered.push(path);
    }
    registered.sort();
    let mut listed: Vec<String> = functions
        .iter()
        .map(|(name, ..)| format!("/fn/{name}"))
        .collect();
    listed.sort();
    listed.dedup();
    assert_eq!(
        registered, listed,
        "a new server function needs its line in functions()"
    );
    let parts: BTreeSet<&str> = functions
        .iter()
        .filter_map(|(_, _, arguments)| arguments.as_ref().ok()?["name"].as_str())
        .collect();
    assert_eq!(
        parts,
        parts_of_pages(),
        "a new part of a page needs its line in functions()"
    );
    for path in server::auth::limits::SIGN_INS {
        assert!(
            registered.iter().any(|known| known == path),
            "{path} is rate-limited but is none"
        );
    }

    let session = browser(&app, &ada).await;
    // What admins do is refused to everybody else, whatever they name.
    for name in [
        "reconcile",
        "close-incident",
        "move-payout",
        "propose",
        "decide-proposal",
        "decide-deposit",
        "claim-deposit",
        "record-deposit",
        "rule",
    ] {
        let (_, _, arguments) = functions.iter().find(|row| row.0 == name).expect("listed");
        let answer = call(&session, name, arguments).await;
        assert_eq!(answer.status.as_u16(), 403, "{name}: {}", answer.text());
    }
    for (name, public, arguments) in &functions {
        for foreign in [
            session.with("origin", "https://evil.example"),
            session.without("origin"),
        ] {
            let refused = call(&foreign, name, arguments).await.refused(403);
            assert_eq!(refused.code, Code::ForeignOrigin, "{name}");
        }
        // A key is for REST; it does not make a foreign page one of ours.
        let keyed = app
            .anyone()
            .with_key(&ada.key)
            .with("origin", "https://evil.example");
        call(&keyed, name, arguments).await.refused(403);
        if !public {
            let answer = call(&app.anyone().at_home(), name, arguments).await;
            assert_eq!(
                answer.status.as_u16(),
                401,
                "{name} {arguments:?} by nobody: {}",
                answer.text()
            );
        }
        let text = match arguments {
            Ok(value) => value.to_string(),
            Err(form) => form.clone(),
        };
        let names_a_thing = [
            &things.job,
            &things.node,
            &things.device,
            &things.key,
            &things.webhook,
        ]
        .iter()
        .any(|id| text.contains(*id));
        if names_a_thing {
            let answer = call(&session, name, arguments).await;
            assert_eq!(
                answer.status.as_u16(),
                404,
                "{name} {arguments:?} on another's thing: {}",
                answer.text()
            );
        }
    }
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
