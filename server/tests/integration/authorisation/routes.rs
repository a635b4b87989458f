//! The routes of REST: who may use each, a request that would be right, and the walk over all of them.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use protocol::Code;
use protocol::view::NodeView;
use serde_json::{Value, json};
use test_support::{Client, TestApp, job};

use super::{NONE, browser, things};

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
