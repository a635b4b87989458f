//! Transactions: which are refused, and by what name; which count once; who signs and who pays; what fails in the VM; and a
//! thousand at once.

use devchain::transaction::{
    AccountAuthenticator, AnyPublicKey, AnySignature, Authenticator, Payload, RawTransaction,
    Script, SignedTransaction,
};
use devchain::types::Address;
use serde_json::{Value, json};

use crate::support::{Account, function, hash, numbered, orderless, transfer};
use crate::{World, refused, world};

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
