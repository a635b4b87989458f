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

/// Two types of one name would be one in the document: the one that was named last.
#[test]
fn each_name_in_the_document_is_one_type() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/protocol/src");
    let (mut folders, mut names) = (vec![root], std::collections::BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).expect("text");
                for name in named(&text) {
                    let file = path.display();
                    assert!(names.insert(name.clone()), "{file}: there are two {name}");
                }
            }
        }
    }
    assert!(names.len() > 100, "{}", names.len());
}

/// The types of a file that stand in the document, as they are called there.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut stands, mut called) = (false, None);
    for line in text.lines().map(str::trim) {
        if let Some((_, after)) = line.split_once("utoipa::ToSchema)") {
            let other = after.split_once("schema(as = ");
            called = other.and_then(|(_, name)| Some(name.split_once(')')?.0.to_owned()));
            stands = true;
        }
        let head = ["pub struct ", "pub enum "];
        let Some(rest) = head.iter().find_map(|head| line.strip_prefix(head)) else {
            continue;
        };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
        if std::mem::take(&mut stands) && !name.is_empty() {
            names.push(called.take().unwrap_or(name));
        }
    }
    names
}

/// Words that a macro gives are those that are sent.
#[test]
fn the_words_of_the_audit_log_are_documented_as_they_are_sent() {
    let document = serde_json::to_value(server::http::rest::router().1).expect("JSON");
    let words = document.pointer("/components/schemas/SubjectKind/enum");
    let sent: Vec<Value> = protocol::audit::SubjectKind::ALL
        .iter()
        .map(|kind| Value::from(kind.as_str()))
        .collect();
    assert_eq!(words, Some(&Value::from(sent)));
}

#[tokio::test]
async fn what_is_served_is_what_is_printed() {
    let app = TestApp::start().await;
    let served: Value = app.anyone().get("/api/openapi.json").await.ok();
    let printed = app.try_admin(&["openapi"], &[]);
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(served, printed);
}
