//! The program, with a true invoice and with every changed one.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A true invoice, as the platform of the key below served it; docs/receipts.md shows it too.
const INVOICE: &str = include_str!("../../examples/invoice.json");
const KEY: &str = "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394";

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn iog(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iog"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // A program that does not read its input may be gone already.
    _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("ends");
    Said {
        code: output.status.code().expect("not killed"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn verify(text: &[u8]) -> Said {
    iog(&["verify-invoice", "-"], text)
}

#[test]
fn a_true_invoice_fits_from_a_file_and_from_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("invoice.json");
    std::fs::write(&path, INVOICE).expect("writes");
    let file = path.to_str().expect("text");
    for said in [
        iog(&["verify-invoice", file], b""),
        verify(INVOICE.as_bytes()),
    ] {
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(
            said.out
                .ends_with("Every receipt is signed by both sides, the sums are right.\n"),
            "{}",
            said.out
        );
        for part in [
            "2 leases, 4 receipts, 9 signatures",
            "185 s",
            "0.04636749 IO",
            "not compared",
        ] {
            assert!(said.out.contains(part), "{part}: {}", said.out);
        }
    }
}

#[test]
fn the_key_is_compared_when_it_is_named() {
    let said = iog(
        &["verify-invoice", "-", "--platform-key", KEY],
        INVOICE.as_bytes(),
    );
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("(compared)"), "{}", said.out);
    let other = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    let said = iog(
        &["verify-invoice", "-", "--platform-key", other],
        INVOICE.as_bytes(),
    );
    assert_eq!(said.code, 1);
    assert!(said.out.contains("[platform_key]"), "{}", said.out);
    let said = iog(
        &["verify-invoice", "-", "--platform-key", "abc"],
        INVOICE.as_bytes(),
    );
    assert_eq!(said.code, 2, "a key that is none: {}", said.err);
}

#[test]
fn what_cannot_be_read_is_not_called_wrong() {
    let said = iog(&["verify-invoice", "/nowhere/invoice.json"], b"");
    assert_eq!(said.code, 2);
    assert!(said.err.contains("/nowhere/invoice.json"), "{}", said.err);
    for text in [&b"hello"[..], b"{}", b"", b"\xff\xfe"] {
        assert_eq!(verify(text).code, 2);
    }
    assert_eq!(iog(&["verify-invoice"], b"").code, 2);
}

#[test]
fn the_verdict_can_be_had_as_json() {
    let said = iog(&["verify-invoice", "--json", "-"], INVOICE.as_bytes());
    assert_eq!(said.code, 0);
    let verdict: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(verdict["fits"], true);
    assert_eq!(verdict["summary"]["totals"]["charged"], "4636749");
    let changed = INVOICE.replacen("4636749", "4636750", 1);
    let said = iog(&["verify-invoice", "--json", "-"], changed.as_bytes());
    assert_eq!(said.code, 1);
    let verdict: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(verdict["fits"], false);
    let rules: Vec<&str> = verdict["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| finding["rule"].as_str().expect("a word"))
        .collect();
    assert_eq!(rules, ["signature", "total"]);
}

/// Every field of the document, each in its turn, changed as little as can be: the program says no.
#[test]
fn any_changed_field_is_found() {
    let invoice: Value = serde_json::from_str(INVOICE).expect("JSON");
    let mut places = Vec::new();
    leaves(&invoice, String::new(), &mut places);
    assert!(places.len() > 60, "{}", places.len());
    for place in places {
        let mut changed = invoice.clone();
        let leaf = changed.pointer_mut(&place).expect("is there");
        *leaf = match &*leaf {
            Value::Bool(yes) => Value::Bool(!yes),
            Value::Number(number) => Value::from(number.as_u64().expect("whole") + 1),
            Value::String(text) => {
                let mut bytes = text.clone().into_bytes();
                let last = bytes.last_mut().expect("not empty");
                *last = match *last {
                    b'0'..=b'8' | b'a'..=b'e' => *last + 1,
                    b'9' | b'f' => b'0',
                    other => other ^ 1,
                };
                Value::String(String::from_utf8_lossy(&bytes).into_owned())
            }
            other => panic!("{other}"),
        };
        let said = verify(changed.to_string().as_bytes());
        assert!(said.code == 1 || said.code == 2, "{place}: {}", said.out);
    }
}

fn leaves(value: &Value, place: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, format!("{place}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                leaves(value, format!("{place}/{number}"), into);
            }
        }
        _ => into.push(place),
    }
}

/// Bytes all over the file; `metering` tries every single one.
#[test]
fn a_changed_byte_is_found() {
    let invoice: Value = serde_json::from_str(INVOICE).expect("JSON");
    let text = invoice.to_string().into_bytes();
    for place in (0..text.len()).step_by(41) {
        let mut changed = text.clone();
        changed[place] ^= 1;
        let said = verify(&changed);
        assert!(
            said.code == 1 || said.code == 2,
            "byte {place}: {}",
            said.out
        );
    }
}
