//! `iog verify-report`, with a proof and with changed ones, against a node of the test's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use kernel::Amount;
use serde_json::{Value, json};
use settlement::proof::Proof;
use settlement::report::{Earning, Heading, Tree};
use settlement::{Address, Week};

const CHAIN: u8 = 4;

fn contract() -> Address {
    Address::from_bytes([9; 32])
}

fn tree(version: u64) -> Tree {
    let earnings = (1_u8..=3).map(|owner| Earning {
        owner: Address::from_bytes([owner; 32]),
        amount: Amount::try_from_base(i64::from(owner) * 10).expect("in range"),
    });
    Tree::try_new(Week::try_new(20_773).expect("a Monday"), version, earnings).expect("a report")
}

fn proof(version: u64) -> Proof {
    let owner = Address::from_bytes([2; 32]);
    Proof::of(&tree(version), CHAIN, contract(), &owner).expect("there")
}

/// What a node of Aptos answers where the contract has the first two versions.
fn answer(path: &str, body: &str) -> String {
    if path == "/v1/" {
        return json!({ "chain_id": CHAIN }).to_string();
    }
    let asked: Value = serde_json::from_str(body).expect("JSON");
    let name = asked["function"].as_str().expect("a name");
    let version = || {
        asked["arguments"][1]
            .as_str()
            .and_then(|text| text.parse().ok())
    };
    let told = match name.rsplit("::").next() {
        Some("latest") => json!(["2"]),
        Some("report") => {
            let Heading {
                root,
                total,
                owners,
                ..
            } = *tree(version().expect("a version")).heading();
            json!([root, total.base().to_string(), owners.to_string()])
        }
        Some("verify") => json!([true]),
        _ => panic!("{name}"),
    };
    told.to_string()
}

/// Serves until the test is over.
fn node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut bytes = Vec::new();
            let mut byte = [0];
            while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("reads") > 0 {
                bytes.push(byte[0]);
            }
            let head = String::from_utf8(bytes).expect("text").to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse().expect("a number"));
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("the body");
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let said = answer(&path, &String::from_utf8(body).expect("text"));
            let length = said.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{said}"
            )
            .expect("answers");
        }
    });
    format!("http://{address}/v1")
}

fn iog(proof: &Proof, more: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iog"))
        .args(["verify-report", "-"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let text = serde_json::to_vec(proof).expect("JSON");
    // A program that does not read its input may be gone already.
    _ = child.stdin.take().expect("piped").write_all(&text);
    let output = child.wait_with_output().expect("ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

#[test]
fn a_proof_is_right_stale_or_refused_with_a_plain_sentence() {
    let url = node();
    let with_slash = format!("{url}/");
    for node in [&url, &with_slash] {
        let (code, said) = iog(&proof(2), &["--node", node]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.ends_with("Right: the chain says the same.\n"),
            "{said}"
        );
        assert!(said.contains("Week       2026-11-16 (version 2)"), "{said}");
    }
    let mut changed = proof(2);
    changed.amount = Amount::try_from_base(21).expect("in range");
    let mut elsewhere = proof(2);
    elsewhere.chain = 7;
    let other = Address::from_bytes([8; 32]).to_string();
    let on_node = ["--node", &url];
    for (proof, arguments, words) in [
        (
            proof(1),
            on_node.as_slice(),
            "Stale: the chain has corrected this week since, version 2 counts",
        ),
        (
            changed,
            &on_node,
            "Refused: its line does not lead to its root: something in it was changed",
        ),
        (
            proof(3),
            &on_node,
            "Refused: the chain has no report of this week in this version",
        ),
        (
            elsewhere,
            &on_node,
            "Refused: it was made for chain 7, and this is chain 4",
        ),
        (
            proof(2),
            &["--contract", &other],
            "Refused: it was made for contract 0x09",
        ),
    ] {
        let (code, said) = iog(&proof, arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_cannot_be_checked_is_said_and_is_no_verdict() {
    // Nobody is known to serve this chain; nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = format!("http://{}/v1", free.local_addr().expect("bound"));
    drop(free);
    let (code, said) = iog(&proof(2), &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("name a node of it with --node"), "{said}");
    let (code, said) = iog(&proof(2), &["--node", &gone]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("asking {gone}")), "{said}");
}
