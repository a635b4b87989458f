//! The port against a node that answers as it is told: each case of HTTP, and answers that no honest node gives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use chain_aptos::{Aptos, Replay, Settings, secret_key};
use ed25519_dalek::SigningKey;
use kernel::{Amount, PayoutId, Timestamp};
use serde_json::{Value, json};
use settlement::chain::{Chain as _, EventKind, Order, Submitted};
use settlement::gas::GasError;
use settlement::outgoing::Presence;
use settlement::{Address, Batch, ChainError, Digest, Line};

const CONTRACT: &str = "0x00000000000000000000000000000000000000000000000000000000000000c0";
const HASH: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

#[derive(Clone)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    /// Before it is given.
    wait: Duration,
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        headers: vec![("x-aptos-ledger-timestampusec", "5000000")],
        body: body.to_string(),
        wait: Duration::ZERO,
    }
}

fn problem(status: u16, code: &str, message: &str) -> Reply {
    reply(status, &json!({"message": message, "error_code": code}))
}

/// What comes next for a path; else what an ordinary node says.
#[derive(Clone, Default)]
struct Node {
    script: Arc<Mutex<Vec<(&'static str, Reply)>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Node {
    fn then(&self, path: &'static str, reply: Reply) -> &Self {
        self.script.lock().expect("lock").push((path, reply));
        self
    }

    fn count(&self, path: &str) -> usize {
        let seen = self.seen.lock().expect("lock");
        seen.iter().filter(|one| one.starts_with(path)).count()
    }

    fn next(&self, path: &str) -> Option<Reply> {
        let mut script = self.script.lock().expect("lock");
        let at = script
            .iter()
            .position(|(start, _)| path.starts_with(start))?;
        Some(script.remove(at).1)
    }
}

fn ordinary(path: &str, body: &[u8]) -> Reply {
    if path == "/v1/" {
        return reply(
            200,
            &json!({
                "chain_id": 4, "epoch": "1", "ledger_version": "100", "oldest_ledger_version": "10",
                "ledger_timestamp": "5000000", "node_role": "full_node", "oldest_block_height": "0", "block_height": "9",
            }),
        );
    }
    if path == "/v1/view" {
        let asked: Value = serde_json::from_slice(body).expect("json");
        let name = asked["function"].as_str().expect("a name");
        let told = match name.rsplit("::").next().expect("a name") {
            "cap" => json!(["80000000000000000"]),
            "is_settler" | "is_reporter" | "paused" => json!([true]),
            _ => json!(["0"]),
        };
        return reply(200, &told);
    }
    match path {
        "/v1/estimate_gas_price" => reply(200, &json!({"gas_estimate": 100})),
        "/v1/transactions/simulate" => reply(200, &json!([transaction(0, "1000")])),
        "/v1/transactions" => reply(202, &json!({"hash": HASH})),
        _ => problem(404, "not_found", "nothing here"),
    }
}

async fn answer(State(node): State<Node>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().to_string();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .expect("a body");
    node.seen.lock().expect("lock").push(path.clone());
    let reply = node.next(&path).unwrap_or_else(|| ordinary(&path, &body));
    tokio::time::sleep(reply.wait).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a response")
}

fn settings(url: String) -> Settings {
    let mut settings = Settings::new(url, 4, CONTRACT.parse().expect("an address"));
    settings.settlers = vec![SigningKey::from_bytes(&[1; 32])];
    settings.tries = 3;
    settings.pause = Duration::from_millis(1);
    settings.timeout = Duration::from_millis(500);
    settings
}

async fn start() -> (Node, Settings) {
    let node = Node::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(answer).with_state(node.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (node, settings(format!("http://{address}/v1")))
}

async fn connected() -> (Node, Aptos) {
    let (node, settings) = start().await;
    let aptos = Aptos::connect(settings).await.expect("connected");
    (node, aptos)
}

fn transaction(version: u64, gas: &str) -> Value {
    json!({
        "type": "user_transaction", "version": version.to_string(), "hash": HASH, "success": true,
        "vm_status": "Executed successfully", "gas_used": gas, "timestamp": "4000000", "events": [],
    })
}

fn hash() -> Digest {
    HASH.parse().expect("a hash")
}

fn batch() -> Batch {
    let line = Line {
        payout: PayoutId::from_bytes([1; 16]),
        payee: Address::from_bytes([2; 32]),
        amount: Amount::try_from_base(5).expect("in range"),
    };
    Batch::try_new(vec![line]).expect("a batch")
}

#[tokio::test]
async fn a_busy_node_is_asked_again() {
    let (node, aptos) = connected().await;
    for status in [408, 429, 500, 502, 503, 504] {
        node.then("/v1/transactions", problem(status, "busy", "busy"));
        assert_eq!(
            aptos.submit(b"bytes").await,
            Ok(Submitted::Accepted),
            "{status}"
        );
    }
    assert_eq!(node.count("/v1/transactions"), 12);
    for _ in 0..3 {
        node.then("/v1/transactions", problem(503, "busy", "come back"));
    }
    let gone = aptos.submit(b"bytes").await.expect_err("no answer");
    assert!(
        gone.is_temporary() && gone.to_string().contains("come back"),
        "{gone}"
    );
    assert_eq!(node.count("/v1/transactions"), 15);
}

#[tokio::test]
async fn a_node_that_says_when_is_asked_then() {
    let (node, aptos) = connected().await;
    for status in [429, 503] {
        let mut later = problem(status, "busy", "later");
        later.headers.push(("retry-after", "1"));
        node.then("/v1/transactions", later);
        let begun = tokio::time::Instant::now();
        assert_eq!(aptos.submit(b"bytes").await, Ok(Submitted::Accepted));
        assert!(begun.elapsed() >= Duration::from_secs(1), "{status}");
    }
}

#[tokio::test]
async fn a_time_out_is_no_failure() {
    let (node, aptos) = connected().await;
    let mut slow = reply(202, &json!({}));
    slow.wait = Duration::from_secs(5);
    node.then("/v1/transactions", slow.clone());
    assert_eq!(aptos.submit(b"bytes").await, Ok(Submitted::Accepted));
    for _ in 0..3 {
        node.then("/v1/transactions", slow.clone());
    }
    let none = aptos.submit(b"bytes").await.expect_err("no answer");
    assert!(none.is_temporary(), "{none}");
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    let (node, aptos) = connected().await;
    let before = node.count("/v1/transactions");
    node.then(
        "/v1/transactions",
        problem(
            400,
            "vm_error",
            "Invalid transaction: Type: Validation Code: INVALID_SIGNATURE",
        ),
    );
    let refused = aptos.submit(b"bytes").await;
    assert!(
        matches!(&refused, Err(ChainError::Refused(why)) if why.contains("INVALID_SIGNATURE")),
        "{refused:?}"
    );
    for words in ["SEQUENCE_NUMBER_TOO_OLD", "SEQUENCE_NONCE_INVALID"] {
        node.then(
            "/v1/transactions",
            problem(400, "vm_error", &format!("Code: {words}")),
        );
        assert_eq!(aptos.submit(b"bytes").await, Ok(Submitted::Known));
    }
    assert_eq!(node.count("/v1/transactions"), before + 3);
}

#[tokio::test]
async fn only_the_chains_own_word_proves_absence() {
    let (node, aptos) = connected().await;
    let by_hash = "/v1/transactions/by_hash";
    let unknown = problem(404, "transaction_not_found", "Transaction not found");
    node.then(by_hash, unknown.clone());
    let sighting = aptos.look_up(hash()).await.expect("told");
    assert_eq!(
        (sighting.presence, sighting.ledger_at),
        (Presence::Unknown, Timestamp::from_millis(5_000))
    );
    // A proxy's page, an answer without the ledger's time, another transaction.
    node.then(by_hash, problem(404, "", "<html>not found</html>"));
    assert!(matches!(
        aptos.look_up(hash()).await,
        Err(ChainError::Answer(_))
    ));
    node.then(
        by_hash,
        Reply {
            headers: vec![],
            ..unknown
        },
    );
    assert!(matches!(
        aptos.look_up(hash()).await,
        Err(ChainError::Answer(_))
    ));
    let mut other = transaction(7, "3");
    other["hash"] = json!(Digest::ZERO);
    node.then(by_hash, reply(200, &other));
    assert!(matches!(
        aptos.look_up(hash()).await,
        Err(ChainError::Answer(_))
    ));
    node.then(
        by_hash,
        reply(200, &json!({"type": "pending_transaction", "hash": HASH})),
    );
    assert_eq!(
        aptos.look_up(hash()).await.expect("told").presence,
        Presence::Pending
    );
    let mut failed = transaction(7, "3");
    failed["success"] = json!(false);
    failed["vm_status"] = json!("Move abort in 0xc0::settlement: E_BATCH_KNOWN(0x8): known");
    node.then(by_hash, reply(200, &failed));
    let Presence::Landed(landing) = aptos.look_up(hash()).await.expect("told").presence else {
        panic!("it landed");
    };
    assert_eq!(
        (landing.version, landing.success, landing.gas_used),
        (7, false, 3)
    );
}

#[tokio::test]
async fn events_come_once_in_order_and_none_is_passed_over() {
    let (node, aptos) = connected().await;
    let path = "/v1/transactions?start=";
    let deposited = |contract: &str, amount: &str| {
        json!({"type": format!("{contract}::settlement::Deposited"),
            "data": {"from": "0xa1", "tag": "0x01010101010101010101010101010101", "amount": amount}})
    };
    let told = |version: u64, events: Vec<Value>| {
        let mut transaction = transaction(version, "3");
        transaction["events"] = json!(events);
        transaction
    };
    // Another contract's event of the same name; short and long address are the same.
    let one = told(98, vec![deposited("0xc1", "9"), deposited("0xc0", "5")]);
    let mut failed = told(99, vec![deposited(CONTRACT, "7")]);
    failed["success"] = json!(false);
    let block = json!({"type": "block_metadata_transaction", "version": "100", "hash": HASH, "success": true});
    node.then(path, reply(200, &json!([one, failed, block])));
    let events = aptos.events(98, 3).await.expect("events");
    assert_eq!(
        (events.events.len(), events.next, events.is_up_to_date()),
        (1, 101, true)
    );
    let event = &events.events[0];
    assert_eq!(
        (event.version, event.index, event.at),
        (98, 1, Timestamp::from_millis(4_000))
    );
    let EventKind::Deposited { amount, tag, .. } = event.kind else {
        panic!("a deposit");
    };
    assert_eq!((amount.base(), tag.is_some()), (5, true));
    // Nothing new: nothing is asked.
    let asked = node.count(path);
    assert_eq!(aptos.events(101, 3).await.expect("events").next, 101);
    assert_eq!(node.count(path), asked);
    // A gap, what cannot be read, what is gone.
    let refused = [
        json!([transaction(98, "3"), transaction(100, "3")]),
        json!([told(98, vec![deposited(CONTRACT, "-5")])]),
        json!([told(98, vec![deposited(CONTRACT, "80000000000000001")])]),
        json!({"message": "no list"}),
    ];
    for page in refused {
        node.then(path, reply(200, &page));
        assert!(
            matches!(aptos.events(98, 3).await, Err(ChainError::Answer(_))),
            "{page}"
        );
    }
    node.then(path, problem(410, "version_pruned", "pruned"));
    assert_eq!(aptos.events(98, 3).await, Err(ChainError::Pruned(98)));
    assert_eq!(aptos.events(9, 3).await, Err(ChainError::Pruned(9)));
}

#[tokio::test]
async fn nothing_is_signed_above_the_ceiling() {
    let (node, aptos) = connected().await;
    let sender = aptos.senders()[0].address;
    let batch = batch();
    let prepare = async || aptos.prepare(Order::Pay(&batch), sender, [1; 8]).await;
    let signed = prepare().await.expect("signed");
    assert_eq!(signed.fee_max, 1_500 * 100);
    assert_eq!(signed.expires_at, Timestamp::from_millis(55_000));
    node.then(
        "/v1/estimate_gas_price",
        reply(200, &json!({"gas_estimate": 1_001})),
    );
    let before = node.count("/v1/transactions/simulate");
    let dear = prepare().await.expect_err("too dear");
    assert_eq!(
        dear,
        ChainError::Gas(GasError::Price {
            asked: 1_001,
            ceiling: 1_000
        })
    );
    assert!(dear.is_temporary());
    assert_eq!(node.count("/v1/transactions/simulate"), before);
    node.then(
        "/v1/transactions/simulate",
        reply(200, &json!([transaction(0, "2000001")])),
    );
    let large = prepare().await.expect_err("too large");
    assert_eq!(
        large,
        ChainError::Gas(GasError::Units {
            needed: 2_000_001,
            ceiling: 2_000_000
        })
    );
    assert!(!large.is_temporary());
    let mut aborted = transaction(0, "3");
    aborted["success"] = json!(false);
    aborted["vm_status"] = json!("Move abort in 0xc0::settlement: E_PAUSED(0x2): stopped");
    node.then("/v1/transactions/simulate", reply(200, &json!([aborted])));
    let fails = prepare().await.expect_err("it would fail");
    assert!(
        matches!(fails, ChainError::WouldFail { code: Some(2), .. }),
        "{fails:?}"
    );
    let stranger = aptos
        .prepare(Order::Pay(&batch), Address::from_bytes([9; 32]), [1; 8])
        .await;
    assert!(matches!(stranger, Err(ChainError::Configuration(_))));
}

#[tokio::test]
async fn a_node_that_sends_elsewhere_is_not_followed() {
    let (node, aptos) = connected().await;
    let mut moved = reply(307, &json!({}));
    moved.headers.push(("location", "/v1/"));
    node.then("/v1/transactions", moved);
    assert!(matches!(
        aptos.submit(b"bytes").await,
        Err(ChainError::Refused(_))
    ));
}

#[tokio::test]
async fn what_connects_is_the_right_chain_and_contract() {
    let (node, settings) = start().await;
    let mut other = settings.clone();
    other.chain = 1;
    let refused = Aptos::connect(other).await.err();
    assert_eq!(
        refused,
        Some(ChainError::WrongChain {
            expected: 1,
            got: 4
        })
    );
    node.then("/v1/view", reply(200, &json!(["1"])));
    let refused = Aptos::connect(settings.clone())
        .await
        .err()
        .expect("refused");
    assert!(
        matches!(refused, ChainError::WrongContract { .. }),
        "{refused}"
    );
    node.then(
        "/v1/view",
        problem(404, "module_not_found", "Module not found by Address(0xc0)"),
    );
    let refused = Aptos::connect(settings.clone())
        .await
        .err()
        .expect("refused");
    assert!(
        refused.to_string().contains("publish the contract there"),
        "{refused}"
    );
    let mut other = settings.clone();
    other.valid_for = Duration::from_secs(61);
    assert!(matches!(
        Aptos::connect(other.clone()).await.err(),
        Some(ChainError::Configuration(_))
    ));
    other.replay = Replay::Numbers;
    let numbered = Aptos::connect(other).await.expect("connected");
    assert_eq!(numbered.senders()[0].most, 1);
    for url in ["", "ftp://x/v1", "localhost", "http://"] {
        let mut other = settings.clone();
        other.url = url.into();
        assert!(
            matches!(
                Aptos::connect(other).await.err(),
                Some(ChainError::Configuration(_))
            ),
            "{url:?}"
        );
    }
}

#[test]
fn keys_are_read_as_aptos_tools_write_them() {
    let digits = "01".repeat(32);
    for text in [
        digits.clone(),
        format!("0x{digits}"),
        format!(" ed25519-priv-0x{digits}\n"),
    ] {
        assert_eq!(secret_key(&text).map(|key| key.to_bytes()), Ok([1; 32]));
    }
    let error = secret_key("hunter2").expect_err("no key").to_string();
    assert!(!error.contains("hunter2"));
}
