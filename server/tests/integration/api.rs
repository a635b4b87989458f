//! Bad input on every route: a problem with a stable code, and nothing changed.

use http::Method;
use protocol::Code;
use protocol::view::{JobSummary, Page};
use serde_json::{Value, json};
use test_support::{TestApp, job};

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    for client in [app.anyone(), ada.rest.clone()] {
        for path in [
            "/api",
            "/api/",
            "/api/v1",
            "/api/v2/jobs",
            "/api/v1/nothing",
            "/api/v1/jobs/x/y",
            "/api/v1/%ff",
        ] {
            let answer = client.get(path).await;
            let problem = answer.refused(404);
            assert_eq!(problem.code, Code::NotFound, "{path}");
        }
    }
    for (method, path) in [
        (Method::PUT, "/api/v1/jobs"),
        (Method::DELETE, "/api/v1/balance"),
        (Method::PATCH, "/api/v1/offers"),
    ] {
        let answer = ada.rest.send(method, path, "", "").await;
        answer.refused(405);
        assert!(answer.header("allow").is_some(), "{path}");
    }
    for bad in [
        "job_1",
        "JOB_00000000000000000000000000000000",
        "node_00000000000000000000000000000000",
        "%00",
        "..%2F..%2Fetc",
    ] {
        ada.rest
            .get(&format!("/api/v1/jobs/{bad}"))
            .await
            .refused(404);
    }
    let answer = app.anyone().get("/api/v1/offers").await;
    for (name, part) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("x-request-id", ""),
    ] {
        assert!(
            answer
                .header(name)
                .is_some_and(|value| value.contains(part)),
            "{name}"
        );
    }
}

/// Routes that read JSON, with a body that would be right.
fn bodies() -> Vec<(Method, &'static str, Value)> {
    let spec = job("x", &["true"]);
    vec![
        (Method::POST, "/api/v1/quotes", json!({ "spec": spec })),
        (Method::POST, "/api/v1/jobs", json!({ "spec": spec })),
        (
            Method::POST,
            "/api/v1/keys",
            json!({ "name": "x", "scopes": ["read"] }),
        ),
        (
            Method::PATCH,
            "/api/v1/devices/dev_00000000000000000000000000000000",
            json!({ "paused": true }),
        ),
    ]
}

#[tokio::test]
async fn bad_bodies_are_refused_by_name() {
    let app = TestApp::start().await;
    let ada = app.account("ada", Some("50"));
    let session = crate::authorisation::browser(&app, &ada).await;
    for (method, path, good) in bodies() {
        let send =
            |kind: &'static str, body: Vec<u8>| session.send(method.clone(), path, kind, body);
        let good_text = good.to_string().into_bytes();
        send("text/plain", good_text.clone()).await.refused(415);
        send("application/x-www-form-urlencoded", good_text.clone())
            .await
            .refused(415);
        for broken in ["", "{", "[1,", "nonsense", "\u{feff}{}"] {
            send("application/json", broken.into()).await.refused(400);
        }
        send("application/json", vec![0xff, 0xfe, 0x00])
            .await
            .refused(400);
        for shape in ["[]", "null", "1", "\"x\""] {
            send("application/json", shape.into()).await.refused(422);
        }
        let mut unknown = good.clone();
        unknown["admin"] = json!(true);
        let problem = send("application/json", unknown.to_string().into_bytes())
            .await
            .refused(422);
        assert!(
            problem.fields[0].message.contains("unknown field"),
            "{path}: {problem:?}"
        );
        let giant = format!("{{\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
        let problem = send("application/json", giant.into_bytes())
            .await
            .refused(413);
        assert_eq!(problem.code, Code::TooLarge, "{path}");
        let deep = "{\"spec\":".repeat(100_000);
        let status = send("application/json", deep.into_bytes())
            .await
            .status
            .as_u16();
        assert!([400, 422].contains(&status), "{path}: {status}");
    }
    let jobs: Page<JobSummary> = ada.rest.get("/api/v1/jobs").await.ok();
    assert!(jobs.items.is_empty(), "nothing was made of all that");
}

#[tokio::test]
async fn each_bad_field_of_a_job_is_named() {
    let app = TestApp::start().await;
    let ada = app.account("ada", Some("50"));
    let mut good = serde_json::to_value(job("x", &["true"])).expect("JSON");
    good["limits"]["max_price_per_hour"] = json!("1");
    let with = |pointer: &str, value: Value| {
        let mut spec = good.clone();
        *spec.pointer_mut(pointer).expect("a field") = value;
        spec
    };
    for (spec, field) in [
        (with("/name", json!("")), "spec.name"),
        (with("/name", json!(7)), "spec.name"),
        (with("/command", json!([])), "spec.command"),
        (
            with("/resources/memory_mib", json!(0)),
            "spec.resources.memory_mib",
        ),
        (
            with("/resources/memory_mib", json!(-1)),
            "spec.resources.memory_mib",
        ),
        (with("/resources/cpus", json!("two")), "spec.resources.cpus"),
        (
            with("/resources/class", json!("tpu")),
            "spec.resources.class",
        ),
        (
            with("/env", json!({ "LD_PRELOAD": "x" })),
            "spec.env.LD_PRELOAD",
        ),
        (
            with("/files", json!([{ "path": "../x", "content": "" }])),
            "spec.files[0].path",
        ),
        (
            with("/limits/duration_seconds", json!(0)),
            "spec.limits.duration_seconds",
        ),
        (
            with("/limits/max_price_per_hour", json!("free")),
            "spec.limits.max_price_per_hour",
        ),
        (
            with("/placement/countries", json!(["ch"])),
            "spec.placement.countries[0]",
        ),
    ] {
        for path in ["/api/v1/jobs", "/api/v1/quotes"] {
            let problem = ada
                .rest
                .post(path, &json!({ "spec": spec }))
                .await
                .refused(422);
            let named: Vec<&str> = problem
                .fields
                .iter()
                .map(|problem| problem.field.as_str())
                .collect();
            assert!(named.contains(&field), "{field} in {named:?}");
        }
    }
    let device = ada
        .rest
        .post("/api/v1/jobs", &json!({ "spec": good, "device": "job_1" }))
        .await
        .refused(422);
    assert_eq!(device.fields[0].field, "device");
    let nowhere = ada
        .rest
        .post("/api/v1/jobs", &json!({ "spec": good }))
        .await
        .refused(409);
    assert_eq!(nowhere.code, Code::NoMatch);
}

#[tokio::test]
async fn bad_queries_are_refused_by_name() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    for (path, field) in [
        ("/api/v1/offers?class=tpu", "class"),
        ("/api/v1/offers?min_reputation=high", "min_reputation"),
        (
            "/api/v1/offers?max_price_per_hour=cheap",
            "max_price_per_hour",
        ),
        ("/api/v1/offers?colour=red", "colour"),
        ("/api/v1/offers?q=vrm%3E%3D24", "did you mean"),
        ("/api/v1/offers?q=rtx%204090%20vram%3E", "character 14"),
        ("/api/v1/offers?offset=-1", "offset"),
        ("/api/v1/jobs?limit=0", "limit"),
        ("/api/v1/jobs?limit=101", "limit"),
        ("/api/v1/jobs?limit=x", "limit"),
        ("/api/v1/jobs?before=x", "before"),
        ("/api/v1/ledger/entries?before=job_1", "before"),
    ] {
        let problem = ada.rest.get(path).await.refused(422);
        let text = serde_json::to_string(&problem.fields).expect("JSON");
        assert!(text.contains(field), "{path}: {text}");
    }
    ada.rest
        .get("/api/v1/offers?class=cpu&idle=true&min_reputation=0")
        .await
        .ok::<Value>();
}

#[tokio::test]
async fn bundles_are_bounded_and_typed() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    ada.rest
        .send(Method::POST, "/api/v1/bundles", "application/json", "{}")
        .await
        .refused(415);
    // Said to be larger than allowed: refused before a byte of it is read.
    // A client of its own: the lie breaks its connection.
    let said = app
        .anyone()
        .with_key(&ada.key)
        .with("content-length", "999999999999");
    let answer = said
        .try_send(Method::POST, "/api/v1/bundles", "application/x-tar", "")
        .await;
    if let Ok(answer) = answer {
        answer.refused(413);
    }
    ada.rest
        .send(
            Method::POST,
            "/api/v1/bundles",
            "application/x-tar",
            vec![0; 1024],
        )
        .await
        .ok::<Value>();
}

#[tokio::test]
async fn one_who_asks_too_fast_is_slowed_and_another_is_not() {
    let app = TestApp::start_with(
        test_support::Database::Sqlite,
        &[("IOG_REQUESTS_PER_SECOND", "5")],
    )
    .await;
    let (ada, bo) = (app.account("ada", None), app.account("bo", None));
    let mut slowed = 0;
    for _ in 0..60 {
        let answer = ada.rest.get("/api/v1/balance").await;
        if answer.status.as_u16() == 429 {
            assert_eq!(answer.refused(429).code, Code::TooManyRequests);
            assert!(answer.header("retry-after").is_some());
            slowed += 1;
        }
    }
    assert!(slowed > 10, "{slowed}");
    bo.rest.get("/api/v1/balance").await.ok::<Value>();
}
