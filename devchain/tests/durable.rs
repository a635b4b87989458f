//! What was answered is on the disk: kill -9 at any moment, and everything is there once, in the same place.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::BTreeMap;

use devchain::transaction::SignedTransaction;
use devchain::types::Address;
use serde_json::Value;
use support::{Account, Devchain, hash, orderless, transfer};

/// Kills in the crash test, unless `IOG_SOAK_KILLS` says another number; each costs a start of the chain.
const KILLS: u64 = 25;

#[test]
fn a_restart_keeps_state_hashes_and_what_waits() {
    let data = tempfile::tempdir().unwrap();
    let chain = Devchain::start(data.path(), 0);
    let alice = Account::new(1);
    chain.fund(alice.address, 100);
    let signed = |nonce| {
        alice.sign(orderless(
            alice.address,
            nonce,
            chain.now() + 60,
            transfer(Address::small(7), 1),
        ))
    };
    let (ran, stalled) = (signed(1), signed(2));
    chain.done(&ran);
    chain.order("stall", 1);
    assert_eq!(chain.submit(&stalled).status, 202);
    chain.post("/devchain/advance", &serde_json::json!({"seconds": 10}));
    let all = |chain: &Devchain| chain.get("/v1/transactions?start=0&limit=100").json();
    let (before, time) = (all(&chain), chain.now());
    assert!(chain.stop().success());

    let chain = Devchain::start(data.path(), 0);
    assert_eq!(all(&chain), before);
    assert!(chain.now() >= time);
    assert_eq!(chain.apt(alice.address), 99);
    // The same bytes are still known, and the stalled one is still stalled.
    assert_eq!(chain.submit(&ran).json()["vm_error_code"], 29);
    let waiting = chain
        .get(&format!("/v1/transactions/by_hash/{}", hash(&stalled)))
        .json();
    assert_eq!(waiting["type"], "pending_transaction");
    chain.post("/devchain/release", &Value::Null);
    chain.post("/devchain/block", &Value::Null);
    assert_eq!(chain.committed(&hash(&stalled))["success"], true);
}

/// Several clients submit while the chain is killed again and again. Whatever was answered with 202 is in exactly one block
/// in the end, no version ever changes its hash, and the money adds up.
#[test]
fn killed_at_any_moment_nothing_that_was_answered_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let sink = Address::small(7);
    let senders: Vec<Account> = (1..=4).map(Account::new).collect();
    let mut answered: Vec<SignedTransaction> = Vec::new();
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    let mut funded = false;
    let kills = std::env::var("IOG_SOAK_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    for round in 0..kills {
        let chain = Devchain::start(data.path(), 5);
        if !funded {
            for sender in &senders {
                chain.fund(sender.address, 1_000_000);
            }
            funded = true;
        }
        let until = chain.now() + 90;
        let taken = std::thread::scope(|scope| {
            let workers: Vec<_> = senders
                .iter()
                .map(|sender| {
                    let address = chain.address.clone();
                    scope.spawn(move || {
                        let mut taken = Vec::new();
                        for index in 0..10_000 {
                            let signed = sender.sign(orderless(
                                sender.address,
                                round * 10_000 + index,
                                until,
                                transfer(sink, 1),
                            ));
                            let kind =
                                [("content-type", "application/x.aptos.signed_transaction+bcs")];
                            match support::request(
                                &address,
                                "POST",
                                "/v1/transactions",
                                &kind,
                                &signed.bytes(),
                            ) {
                                Ok(reply) if reply.status == 202 => taken.push(signed),
                                // Full: let the blocks catch up.
                                Ok(reply) => assert_eq!(reply.status, 507, "{}", reply.text()),
                                Err(_) => break,
                            }
                        }
                        taken
                    })
                })
                .collect();
            // Another moment each time, from the start's first block on.
            std::thread::sleep(std::time::Duration::from_millis(20 + (round * 37) % 150));
            let newest: u64 = chain.get("/v1").json()["ledger_version"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            for shown in chain
                .get(&format!(
                    "/v1/transactions?start={}&limit=100",
                    newest.saturating_sub(99)
                ))
                .json()
                .as_array()
                .unwrap()
            {
                let version = shown["version"].as_str().unwrap().parse().unwrap();
                seen.insert(
                    version,
                    shown["accumulator_root_hash"].as_str().unwrap().to_owned(),
                );
            }
            chain.kill();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect::<Vec<_>>()
        });
        answered.extend(taken);
    }

    let chain = Devchain::start(data.path(), 5);
    assert!(
        answered.len() > 100,
        "only {} were answered",
        answered.len()
    );
    for signed in &answered {
        let done = chain.committed(&hash(signed));
        assert_eq!(done["success"], true, "{done}");
    }
    // Others were accepted without an answer; each of those ran once or not at all.
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let mut start = 0u64;
    let newest: u64 = chain.get("/v1").json()["ledger_version"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    while start <= newest {
        for shown in chain
            .get(&format!("/v1/transactions?start={start}&limit=100"))
            .json()
            .as_array()
            .unwrap()
        {
            let version: u64 = shown["version"].as_str().unwrap().parse().unwrap();
            if let Some(accumulator) = seen.get(&version) {
                assert_eq!(
                    shown["accumulator_root_hash"],
                    accumulator.as_str(),
                    "version {version} changed"
                );
            }
            if shown["payload"]["function"] == "0x1::aptos_account::transfer" {
                *times
                    .entry(shown["hash"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
        start += 100;
    }
    assert!(times.values().all(|count| *count == 1));
    assert_eq!(chain.apt(sink), times.len() as u64);
    println!(
        "{kills} kills, {} answered, {} ran, each once",
        answered.len(),
        times.len()
    );
}
