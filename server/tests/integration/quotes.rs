//! Quotes and saved searches over REST.

use http::Method;
use protocol::Code;
use protocol::view::{JobView, QuoteView, SearchView};
use serde_json::{Value, json};
use test_support::{TestApp, job};

#[tokio::test]
async fn a_quote_is_kept_for_an_account_and_used_once() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _worker = app.fake(&bo, "bo", "1").await;
    let spec = job("x", &["true"]);
    let told: QuoteView = app
        .anyone()
        .at_home()
        .post("/api/v1/quotes", &json!({ "spec": spec }))
        .await
        .ok();
    assert_eq!((told.id, told.valid_until), (None, None), "a visitor's");
    let quote: QuoteView = ada
        .rest
        .post("/api/v1/quotes", &json!({ "spec": spec }))
        .await
        .ok();
    let id = quote.id.expect("kept");
    assert!(quote.valid_until > Some(quote.quoted_at));
    let body = json!({ "spec": spec, "quote": id });
    let stranger = bo.rest.post("/api/v1/jobs", &body).await.refused(404);
    assert_eq!(stranger.code, Code::NotFound);
    let keyed = ada.rest.with("idempotency-key", "one");
    let first: JobView = keyed.post("/api/v1/jobs", &body).await.ok();
    let again: JobView = keyed.post("/api/v1/jobs", &body).await.ok();
    assert_eq!(first.summary.id, again.summary.id);
    let other = json!({ "spec": spec });
    keyed.post("/api/v1/jobs", &other).await.refused(422);
    let used = ada.rest.post("/api/v1/jobs", &body).await.refused(409);
    assert_eq!(used.code, Code::Conflict);
    let bad = json!({ "spec": spec, "quote": "quote_1" });
    let bad = ada.rest.post("/api/v1/jobs", &bad).await.refused(422);
    assert_eq!(bad.fields[0].field, "quote");
}

#[tokio::test]
async fn a_search_is_saved_renamed_seen_and_deleted() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    let path = "/api/v1/market/searches";
    let bad = json!({ "name": "x", "q": "vrm>=1" });
    let bad = ada.rest.post(path, &bad).await;
    assert_eq!(bad.refused(422).fields[0].field, "q");
    let made: SearchView = ada
        .rest
        .post(path, &json!({ "name": "x", "q": "vram>=24" }))
        .await
        .ok();
    let own = format!("{path}/{}", made.id);
    let change = json!({ "name": "y", "seen": true });
    let changed: SearchView = ada.rest.json(Method::PATCH, &own, &change).await.ok();
    assert_eq!((&*changed.name, changed.unseen), ("y", 0));
    let all: Vec<SearchView> = ada.rest.get(path).await.ok();
    assert_eq!(all, [changed]);
    let gone = ada.rest.send(Method::DELETE, &own, "", "").await;
    assert_eq!(gone.status.as_u16(), 204);
    ada.rest
        .send(Method::DELETE, &own, "", "")
        .await
        .refused(404);
    let none: Vec<Value> = ada.rest.get(path).await.ok();
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_model_that_nobody_offered_is_named() {
    let app = TestApp::start().await;
    let anyone = app.anyone();
    let unknown = anyone.get("/api/v1/market/model?model=RTX%209").await;
    let problem = unknown.refused(404);
    assert!(
        problem.detail.starts_with("Nobody has offered RTX 9 here"),
        "{}",
        problem.detail
    );
}
