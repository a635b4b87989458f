//! The document: a change of the public surface shows in a diff, and what is served is what the program prints.

use serde_json::Value;
use test_support::TestApp;

#[test]
fn the_document_is_as_it_was_agreed() {
    let document = serde_json::to_value(server::http::rest::router().1).expect("JSON");
    insta::assert_json_snapshot!("openapi", document);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(server::http::rest::router().1).expect("JSON");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50, "{}", references.len());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_served_is_what_is_printed() {
    let app = TestApp::start().await;
    let served: Value = app.anyone().get("/api/openapi.json").await.ok();
    let printed = app.try_admin(&["openapi"], &[]);
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(served, printed);
}
