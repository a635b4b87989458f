//! The chain seen from outside: what it refuses, what it runs, how it answers, and how it fails on request.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use devchain::transaction::{
    AccountAuthenticator, AnyPublicKey, AnySignature, Authenticator, Payload, RawTransaction,
    Script, SignedTransaction,
};
use devchain::types::Address;
use serde_json::{Value, json};
use support::{Account, Devchain, Reply, function, hash, numbered, orderless, transfer};

struct World {
    chain: Devchain,
    _data: tempfile::TempDir,
}

fn world() -> World {
    let data = tempfile::tempdir().unwrap();
    World {
        chain: Devchain::start(data.path(), 0),
        _data: data,
    }
}

fn refused(reply: &Reply, code: u64) {
    let words = reply.json();
    assert_eq!(reply.status, 400, "{words}");
    assert_eq!(words["error_code"], "vm_error", "{words}");
    assert_eq!(words["vm_error_code"], code, "{words}");
    assert!(
        words["message"]
            .as_str()
            .unwrap()
            .starts_with("Invalid transaction: "),
        "{words}"
    );
}

#[test]
fn a_forged_or_impossible_transaction_is_refused_by_name() {
    let World { chain, .. } = &world();
    let alice = Account::new(1);
    chain.fund(alice.address, 1_000);
    let until = chain.now() + 60;
    let raw = || numbered(alice.address, 0, until, transfer(Address::small(7), 1));

    let good = alice.sign(raw());
    let mut flipped = good.bytes();
    *flipped.last_mut().unwrap() ^= 1;
    refused(&chain.try_submit(&flipped).unwrap(), 1);
    let other_amount = SignedTransaction {
        raw: numbered(alice.address, 0, until, transfer(Address::small(7), 999)),
        authenticator: good.authenticator.clone(),
    };
    refused(&chain.submit(&other_amount), 1);
    refused(&chain.submit(&Account::new(2).sign(raw())), 2);
    // The same key as the other kind of account is another address.
    refused(&chain.submit(&Account::single(1).sign(raw())), 2);

    let changed = |change: fn(&mut RawTransaction)| {
        let mut raw = raw();
        change(&mut raw);
        alice.sign(raw)
    };
    refused(&chain.submit(&changed(|raw| raw.chain_id = 1)), 23);
    refused(
        &chain.submit(&changed(|raw| raw.max_gas_amount = 2_000_001)),
        13,
    );
    refused(&chain.submit(&changed(|raw| raw.max_gas_amount = 1)), 14);
    refused(&chain.submit(&changed(|raw| raw.gas_unit_price = 99)), 15);
    refused(
        &chain.submit(&changed(|raw| raw.gas_unit_price = 10_000_000_001)),
        16,
    );
    refused(
        &chain.submit(&changed(|raw| raw.expiration_timestamp_secs = 1)),
        6,
    );
    let script = chain.submit(&changed(|raw| {
        raw.payload = Payload::Script(Script {
            code: vec![1],
            type_arguments: vec![],
            arguments: vec![],
        });
    }));
    assert_eq!(
        (script.status, script.json()["error_code"].clone()),
        (400, json!("invalid_input"))
    );

    let keys = vec![AnyPublicKey::Secp256k1(vec![4; 65])];
    for (authenticator, what) in [
        (
            Authenticator::MultiEd25519 {
                key: vec![1; 65],
                signature: vec![2; 68],
            },
            "multi-Ed25519",
        ),
        (
            Authenticator::SingleSender(AccountAuthenticator::SingleKey {
                key: keys[0].clone(),
                signature: AnySignature::Secp256k1(vec![3; 64]),
            }),
            "secp256k1",
        ),
        (
            Authenticator::SingleSender(AccountAuthenticator::MultiKey {
                keys,
                required: 1,
                signatures: vec![AnySignature::Ed25519(vec![3; 64])],
                bitmap: vec![0x80, 0, 0, 0],
            }),
            "multi-key",
        ),
    ] {
        let unknown = chain.submit(&SignedTransaction {
            raw: raw(),
            authenticator,
        });
        let words = unknown.json();
        assert!(words["message"].as_str().unwrap().contains(what), "{words}");
    }

    let mut longer = good.bytes();
    longer.push(0);
    for bytes in [&b""[..], &good.bytes()[..40], &longer] {
        assert_eq!(
            chain.try_submit(bytes).unwrap().json()["error_code"],
            "invalid_input"
        );
    }
    let as_json = chain.post("/v1/transactions", &json!({}));
    assert_eq!(as_json.status, 400, "{}", as_json.text());
    let nothing_happened = chain.get(&format!("/v1/accounts/{}", alice.address)).json();
    assert_eq!(nothing_happened["sequence_number"], "0");
    assert_eq!(chain.apt(alice.address), 1_000);
}

#[test]
fn a_sequence_number_counts_once_and_in_order() {
    let World { chain, .. } = &world();
    let alice = Account::new(1);
    chain.fund(alice.address, 1_000);
    let until = chain.now() + 600;
    let signed = |number, amount| {
        alice.sign(numbered(
            alice.address,
            number,
            until,
            transfer(Address::small(7), amount),
        ))
    };

    // Number 1 waits for number 0.
    assert_eq!(chain.submit(&signed(1, 10)).status, 202);
    let waiting = chain
        .get(&format!(
            "/v1/transactions/by_hash/{}",
            hash(&signed(1, 10))
        ))
        .json();
    assert_eq!(waiting["type"], "pending_transaction");
    let other = chain.submit(&signed(1, 11));
    assert_eq!(
        other.json()["error_code"],
        "invalid_transaction_update",
        "{}",
        other.text()
    );
    let first = chain.done(&signed(0, 5));
    let second = chain.committed(&hash(&signed(1, 10)));
    let version = |shown: &Value| shown["version"].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(version(&first) + 1, version(&second));
    for again in [signed(0, 5), signed(1, 10), signed(1, 99)] {
        refused(&chain.submit(&again), 3);
    }
    assert_eq!(chain.apt(alice.address), 985);
    assert_eq!(
        chain.get(&format!("/v1/accounts/{}", alice.address)).json()["sequence_number"],
        "2"
    );
}

#[test]
fn a_nonce_counts_once_and_expires_soon() {
    let World { chain, .. } = &world();
    let alice = Account::new(1);
    chain.fund(alice.address, 1_000);
    let until = chain.now() + 60;
    let signed = |nonce, until| {
        alice.sign(orderless(
            alice.address,
            nonce,
            until,
            transfer(Address::small(7), 1),
        ))
    };
    let done = chain.done(&signed(9, until));
    assert_eq!(done["replay_protection_nonce"], "9");
    assert_eq!(done["sequence_number"], u64::MAX.to_string());
    assert_eq!(done["payload"]["function"], "0x1::aptos_account::transfer");
    refused(&chain.submit(&signed(9, until)), 29);
    refused(&chain.submit(&signed(9, until + 1)), 29);
    refused(&chain.submit(&signed(10, until + 500)), 29);
    chain.done(&signed(11, until));
    // Sequence numbers are another matter and were not used up.
    assert_eq!(
        chain.get(&format!("/v1/accounts/{}", alice.address)).json()["sequence_number"],
        "0"
    );
    // Long after its expiry a nonce may come again: the first transaction can no longer.
    chain.post("/devchain/advance", &json!({"seconds": 300}));
    refused(&chain.submit(&signed(9, until)), 6);
    chain.done(&signed(9, chain.now() + 60));
}

#[test]
fn several_sign_and_another_pays() {
    let World { chain, .. } = &world();
    let (alice, bob, payer) = (Account::new(1), Account::single(2), Account::new(3));
    let until = chain.now() + 600;
    let call = || {
        function(
            &format!("{}::coin::swap_notes", Account::publisher().address),
            vec![],
        )
    };
    let secondary = vec![bob.address];
    let raw = |number| numbered(alice.address, number, until, call());
    let message = raw(0).message_with(&secondary, None);
    let agents = |second: &Account| SignedTransaction {
        raw: raw(0),
        authenticator: Authenticator::MultiAgent {
            sender: alice.authenticator(&message),
            secondary_addresses: secondary.clone(),
            secondary: vec![second.authenticator(&message)],
        },
    };
    refused(&chain.submit(&agents(&Account::single(9))), 2);
    let done = chain.done(&agents(&bob));
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(done["signature"]["type"], "multi_agent_signature");

    let paid = |number: u64, signed_for: Address, pays: &Account, named: Address| {
        let full = raw(number).message_with(&secondary, Some(named));
        let early = raw(number).message_with(&secondary, Some(signed_for));
        SignedTransaction {
            raw: raw(number),
            authenticator: Authenticator::FeePayer {
                sender: alice.authenticator(&early),
                secondary_addresses: secondary.clone(),
                secondary: vec![bob.authenticator(&early)],
                fee_payer_address: named,
                fee_payer: pays.authenticator(&full),
            },
        }
    };
    let done = chain.done(&paid(1, payer.address, &payer, payer.address));
    assert_eq!(
        done["signature"]["fee_payer_address"],
        payer.address.to_string()
    );
    // Signed before it was known who would pay.
    assert_eq!(
        chain.done(&paid(2, Address::default(), &payer, payer.address))["success"],
        true
    );
    refused(
        &chain.submit(&paid(3, Address::small(5), &payer, payer.address)),
        1,
    );
    refused(
        &chain.submit(&paid(3, payer.address, &bob, payer.address)),
        2,
    );
    let single = Account::single(4);
    let lone = single.sign(orderless(
        single.address,
        1,
        chain.now() + 60,
        transfer(Address::small(7), 0),
    ));
    assert_eq!(
        chain.done(&lone)["signature"]["type"],
        "single_key_signature"
    );
}

#[test]
fn what_fails_in_the_vm_is_committed_and_costs_a_number() {
    let World { chain, .. } = &world();
    let alice = Account::new(1);
    let until = chain.now() + 600;
    let publisher = Account::publisher().address;
    let call = |path: &str, arguments| function(&format!("{publisher}::{path}"), arguments);
    let mint = || {
        call(
            "coin::mint",
            vec![
                alice.address.0.to_vec(),
                1u64.to_le_bytes().to_vec(),
                vec![1, 9],
            ],
        )
    };
    let aborted = chain.done(&alice.sign(numbered(alice.address, 0, until, mint())));
    assert_eq!(aborted["success"], false);
    assert_eq!(
        aborted["vm_status"],
        format!("Move abort in {publisher}::coin: 0x1")
    );
    assert_eq!(
        aborted["payload"]["arguments"],
        json!([alice.address, "1", "0x09"])
    );
    let absent = chain.done(&alice.sign(numbered(
        alice.address,
        1,
        until,
        call("coin::none", vec![]),
    )));
    assert_eq!(absent["success"], false, "{absent}");
    let mut short = numbered(alice.address, 2, until, mint());
    short.max_gas_amount = 2;
    let out = chain.done(&alice.sign(short));
    assert_eq!(
        (&out["vm_status"], &out["gas_used"]),
        (&json!("Out of gas"), &json!("2"))
    );
    let broken = call("coin::mint", vec![vec![1, 2, 3]]);
    assert_eq!(
        chain.done(&alice.sign(numbered(alice.address, 3, until, broken)))["success"],
        false
    );
    assert_eq!(
        chain.get(&format!("/v1/accounts/{}", alice.address)).json()["sequence_number"],
        "4"
    );
}

#[test]
fn everything_can_be_read_in_aptos_shapes() {
    let World { chain, .. } = &world();
    let publisher = Account::publisher();
    let bob = Address::small(0xb);
    let until = chain.now() + 600;
    let mint = function(
        &format!("{}::coin::mint", publisher.address),
        vec![
            bob.0.to_vec(),
            70u64.to_le_bytes().to_vec(),
            bcs::to_bytes(&b"one".to_vec()).unwrap(),
        ],
    );
    let signed = publisher.sign(numbered(publisher.address, 0, until, mint));
    let simulated = chain.try_request(
        "POST",
        "/v1/transactions/simulate",
        &[("content-type", "application/x.aptos.signed_transaction+bcs")],
        &SignedTransaction {
            authenticator: Authenticator::Ed25519 {
                key: publisher.key.verifying_key().to_bytes().to_vec(),
                signature: vec![0; 64],
            },
            ..signed.clone()
        }
        .bytes(),
    );
    let simulated = simulated.unwrap().json();
    assert_eq!(simulated[0]["success"], true, "{simulated}");
    assert!(
        simulated[0]["gas_used"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    let valid = chain
        .try_request(
            "POST",
            "/v1/transactions/simulate",
            &[("content-type", "application/x.aptos.signed_transaction+bcs")],
            &signed.bytes(),
        )
        .unwrap();
    assert_eq!(
        valid.status,
        400,
        "a valid signature must not be shown to simulate: {}",
        valid.text()
    );

    let accepted = chain.submit(&signed);
    assert_eq!(
        (accepted.status, &accepted.json()["hash"]),
        (202, &json!(hash(&signed)))
    );
    let done = chain.committed(&hash(&signed));
    assert_eq!(done["gas_used"], simulated[0]["gas_used"]);
    let minted: Vec<&Value> = done["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == format!("{}::coin::Minted", publisher.address))
        .collect();
    assert_eq!(minted[0]["data"]["amount"], "70");
    assert_eq!(minted[0]["data"]["note"], "0x6f6e65");
    assert_eq!(minted[0]["guid"]["account_address"], "0x0");

    let head = chain.get("/v1");
    for name in [
        "chain-id",
        "ledger-version",
        "ledger-oldest-version",
        "ledger-timestampusec",
        "epoch",
        "block-height",
        "oldest-block-height",
    ] {
        assert!(head.header(&format!("x-aptos-{name}")).is_some(), "{name}");
    }
    assert_eq!(head.json()["chain_id"], 4);
    assert!(
        head.json()["devchain"]["notice"]
            .as_str()
            .unwrap()
            .contains("not Aptos")
    );
    assert_eq!(
        head.header("x-aptos-ledger-version"),
        head.json()["ledger_version"].as_str()
    );

    let version = done["version"].as_str().unwrap();
    assert_eq!(
        chain
            .get(&format!("/v1/transactions/by_version/{version}"))
            .json(),
        done
    );
    let page = chain
        .get(&format!("/v1/transactions?start={version}&limit=1"))
        .json();
    assert_eq!(page, json!([done]));
    assert_eq!(
        chain
            .get(&format!("/v1/accounts/{}/transactions", publisher.address))
            .json(),
        json!([done])
    );
    let block = chain
        .get(&format!(
            "/v1/blocks/by_version/{version}?with_transactions=true"
        ))
        .json();
    assert!(
        block["transactions"].as_array().unwrap().contains(&done),
        "{block}"
    );
    let height = block["block_height"].as_str().unwrap();
    assert_eq!(
        chain.get(&format!("/v1/blocks/by_height/{height}")).json()["block_hash"],
        block["block_hash"]
    );

    let publisher = publisher.address;
    let treasury = format!("{publisher}::coin::Treasury");
    assert_eq!(
        chain
            .get(&format!("/v1/accounts/{publisher}/resource/{treasury}"))
            .json()["data"]["count"],
        "1"
    );
    let all = chain
        .get(&format!("/v1/accounts/{publisher}/resources"))
        .json();
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|resource| resource["type"] == treasury)
    );
    let module = chain
        .get(&format!("/v1/accounts/{publisher}/module/coin"))
        .json();
    assert_eq!(module["abi"]["name"], "coin");
    assert_eq!(
        chain.get("/v1/estimate_gas_price").json()["gas_estimate"],
        100
    );

    let view = |function: &str, arguments: Value| {
        chain.post("/v1/view", &json!({"function": format!("{publisher}::{function}"), "type_arguments": [], "arguments": arguments}))
    };
    assert_eq!(view("coin::balance", json!([bob])).json(), json!(["70"]));
    assert_eq!(
        view("coin::minted", json!(["0x6f6e65"])).json(),
        json!([true, "1"])
    );
    let metadata = view("coin::metadata", json!([])).json()[0]["inner"].clone();
    let balance = chain
        .get(&format!(
            "/v1/accounts/{bob}/balance/{}",
            metadata.as_str().unwrap()
        ))
        .json();
    assert_eq!(balance, 70);
    for (call, arguments) in [
        ("coin::balance", json!([])),
        ("coin::balance", json!(["x"])),
        ("coin::none", json!([])),
        ("coin::mint", json!([])),
    ] {
        assert_eq!(
            view(call, arguments).json()["error_code"],
            "invalid_input",
            "{call}"
        );
    }
    let in_bcs = bcs::to_bytes(&function(
        &format!("{publisher}::coin::balance"),
        vec![bob.0.to_vec()],
    ))
    .unwrap();
    let headers = [
        ("content-type", "application/x.aptos.view_function+bcs"),
        ("accept", "application/x-bcs"),
    ];
    let out = chain
        .try_request("POST", "/v1/view", &headers, &in_bcs)
        .unwrap();
    assert_eq!(
        bcs::from_bytes::<Vec<Vec<u8>>>(&out.body).unwrap(),
        [70u64.to_le_bytes().to_vec()]
    );

    for (path, code) in [
        ("/v1/transactions/by_hash/0x01", "invalid_input"),
        (
            &format!("/v1/transactions/by_hash/0x{}", "0".repeat(64)),
            "transaction_not_found",
        ),
        ("/v1/transactions/by_version/999999", "version_not_found"),
        ("/v1/blocks/by_height/999999", "block_not_found"),
        ("/v1/accounts/zz", "invalid_input"),
        ("/v1/accounts/0x5/module/none", "module_not_found"),
        (
            "/v1/accounts/0x5/resource/0x1::account::Account",
            "resource_not_found",
        ),
        ("/v1/transactions?limit=0", "invalid_input"),
        (
            "/v1/accounts/0x5/resources?ledger_version=1",
            "version_pruned",
        ),
        (
            "/v1/accounts/0x5/resources?ledger_version=999999",
            "version_not_found",
        ),
        ("/v1/none", "web_framework_error"),
    ] {
        assert_eq!(chain.get(path).json()["error_code"], code, "{path}");
    }
}

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

#[test]
fn the_page_shows_what_it_is_and_lets_no_markup_in() {
    let World { chain, .. } = &world();
    let html = |path: &str| {
        chain
            .try_request("GET", path, &[("accept", "text/html")], &[])
            .unwrap()
    };
    let home = html("/");
    assert!(home.text().contains("This is not Aptos"));
    assert!(
        home.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    let publisher = Account::publisher().address;
    assert!(
        html(&format!("/account/{publisher}"))
            .text()
            .contains("coin::Treasury")
    );
    assert!(
        html("/transaction/0")
            .text()
            .contains("genesis_transaction")
    );
    let found = html(&format!("/find?q={publisher}"));
    assert_eq!(
        (found.status, found.header("location")),
        (303, Some(format!("/account/{publisher}").as_str()))
    );
    let odd = html("/transaction/%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert_eq!(odd.status, 404);
    assert!(!odd.text().contains("<script>"));
    assert_eq!(html("/healthz").text(), "ok");
    // A client that wants JSON gets the ledger, as under /v1.
    assert_eq!(chain.get("/").json()["chain_id"], 4);
}

#[test]
fn a_thousand_transactions() {
    let World { chain, .. } = &world();
    let senders: Vec<Account> = (10..20).map(Account::new).collect();
    for sender in &senders {
        chain.fund(sender.address, 1_000);
    }
    let until = chain.now() + 60;
    let signed: Vec<Vec<SignedTransaction>> = senders
        .iter()
        .map(|sender| {
            (0..100)
                .map(|nonce| {
                    sender.sign(orderless(
                        sender.address,
                        nonce,
                        until,
                        transfer(Address::small(7), 1),
                    ))
                })
                .collect()
        })
        .collect();
    let watch = tokio::time::Instant::now();
    std::thread::scope(|scope| {
        for signed in &signed {
            scope.spawn(move || {
                for one in signed {
                    assert_eq!(chain.submit(one).status, 202);
                }
            });
        }
    });
    let accepted = watch.elapsed();
    for one in signed.iter().flatten() {
        assert_eq!(chain.committed(&hash(one))["success"], true);
    }
    println!(
        "1,000 transactions accepted in {accepted:?}, all in blocks after {:?}",
        watch.elapsed()
    );
    assert_eq!(chain.apt(Address::small(7)), 1_000);
}
