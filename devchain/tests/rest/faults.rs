//! What happens on request: faults, and time that moves ahead.

use devchain::transaction::SignedTransaction;
use devchain::types::Address;
use serde_json::{Value, json};

use crate::support::{Account, hash, orderless, transfer};
use crate::{World, refused, world};

#[test]
fn each_fault_happens_as_often_as_it_was_asked_for() {
    let World { chain, .. } = &world();
    let alice = Account::new(1);
    chain.fund(alice.address, 1_000);
    let signed = |nonce| {
        alice.sign(orderless(
            alice.address,
            nonce,
            chain.now() + 60,
            transfer(Address::small(7), 1),
        ))
    };
    let by_hash = |signed: &SignedTransaction| {
        chain.get(&format!("/v1/transactions/by_hash/{}", hash(signed)))
    };

    chain.order("status_429", 2);
    chain.order("status_503", 1);
    let (first, second) = (signed(1), signed(2));
    let limited = chain.submit(&first);
    assert_eq!(
        (limited.status, limited.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(chain.submit(&first).status, 429);
    assert_eq!(chain.submit(&first).status, 503);
    assert_eq!(by_hash(&first).status, 404);
    chain.done(&first);

    chain.order("drop_reply", 1);
    assert!(
        chain.try_submit(&second.bytes()).is_err(),
        "there was an answer"
    );
    assert_eq!(chain.committed(&hash(&second))["success"], true);

    let stalled = signed(3);
    chain.order("stall", 1);
    assert_eq!(chain.submit(&stalled).status, 202);
    chain.post("/devchain/block", &Value::Null);
    assert_eq!(by_hash(&stalled).json()["type"], "pending_transaction");
    assert_eq!(
        chain.post("/devchain/release", &Value::Null).json()["released"],
        1
    );
    chain.post("/devchain/block", &Value::Null);
    assert_eq!(by_hash(&stalled).json()["type"], "user_transaction");
    let outlived = signed(4);
    chain.order("stall", 1);
    assert_eq!(chain.submit(&outlived).status, 202);
    chain.post("/devchain/advance", &json!({"seconds": 61}));
    assert_eq!(by_hash(&outlived).status, 404);

    let expired = signed(5);
    chain.order("expire", 1);
    assert_eq!(chain.submit(&expired).status, 202);
    chain.post("/devchain/block", &Value::Null);
    assert_eq!(by_hash(&expired).status, 404);
    // It never ran: the same bytes can.
    chain.done(&expired);

    let twice = signed(6);
    chain.order("duplicate_reply", 1);
    refused(&chain.submit(&twice), 29);
    assert_eq!(by_hash(&twice).json()["success"], true);
    assert_eq!(chain.apt(alice.address), 1_000 - 5);

    let reads = json!({"next": 1, "fault": "status_503", "scope": "read"});
    chain.post("/devchain/faults", &reads);
    assert_eq!(chain.get("/v1").status, 503);
    assert_eq!(chain.get("/v1").status, 200);
    assert_eq!(chain.get("/devchain/faults").json(), json!([]));
}

#[test]
fn time_moves_ahead_on_request_and_never_back() {
    let World { chain, .. } = &world();
    let before = chain.now();
    let seconds = 8 * 86_400;
    assert_eq!(
        chain
            .post("/devchain/advance", &json!({"seconds": seconds}))
            .status,
        200
    );
    assert!(chain.now() >= before + seconds);
    assert_eq!(
        chain
            .post("/devchain/advance", &json!({"seconds": u64::MAX}))
            .status,
        400
    );
    chain.post("/devchain/block", &Value::Null);
    assert!(chain.now() >= before + seconds);
}
