//! What can be read: blocks, transactions, accounts, modules and views in Aptos's shapes, and the page for people.

use devchain::transaction::{Authenticator, SignedTransaction};
use devchain::types::Address;
use serde_json::{Value, json};

use crate::support::{Account, function, hash, numbered};
use crate::{World, world};

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
