//! The server functions of the pages: who may call each, with which arguments, and the walk over all of them.

use std::collections::BTreeSet;

use http::Method;
use protocol::Code;
use serde_json::{Value, json};
use test_support::{Client, TestApp};

use super::{NONE, Things, browser, things};

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
            form("url=https%3A%2F%2Fexample.com%2F&events%5B0%5D=job.ended"),
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
    let source = include_str!("../../../../app/src/api/parts.rs");
    let arms = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
    arms.map(|(name, _)| name).collect()
}

pub(super) async fn call(
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
