//! The contracts over REST: what the platform's client will do, with the bytes it will send.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use devchain::transaction::EntryFunction;
use devchain::types::Address;
use serde_json::{Value, json};
use support::{Account, Devchain, function, numbered};

struct World {
    chain: Devchain,
    io: String,
    _data: tempfile::TempDir,
}

fn world() -> World {
    let data = tempfile::tempdir().unwrap();
    let chain = Devchain::with(data.path(), 0, "iog", "../contracts");
    let io = chain.get("/v1").json()["devchain"]["io"]
        .as_str()
        .unwrap()
        .to_owned();
    World {
        chain,
        io,
        _data: data,
    }
}

impl World {
    fn io(&self, owner: Address) -> u64 {
        let found = self
            .chain
            .get(&format!("/v1/accounts/{owner}/balance/{}", self.io))
            .json();
        found.as_u64().unwrap()
    }

    fn run(&self, by: &Account, call: EntryFunction) -> Value {
        let account = self
            .chain
            .get(&format!("/v1/accounts/{}", by.address))
            .json();
        let number = account["sequence_number"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let mut raw = numbered(by.address, number, self.chain.now() + 600, call);
        raw.max_gas_amount = devchain::chain::MAX_GAS;
        self.chain.done(&by.sign(raw))
    }
}

fn iog(path: &str, arguments: Vec<Vec<u8>>) -> EntryFunction {
    function(
        &format!("{}::{path}", devchain::DEVELOPMENT_ADDRESS),
        arguments,
    )
}

fn events<'a>(done: &'a Value, name: &str) -> Vec<&'a Value> {
    let short: Address = devchain::DEVELOPMENT_ADDRESS.parse().unwrap();
    let tag = format!("{short}::settlement::{name}");
    let all = done["events"].as_array().unwrap();
    all.iter()
        .filter(|event| event["type"] == tag.as_str())
        .map(|event| &event["data"])
        .collect()
}

fn pay(batch: u8, lines: &[(Address, u64)]) -> EntryFunction {
    let (payees, amounts): (Vec<Address>, Vec<u64>) = lines.iter().copied().unzip();
    iog(
        "settlement::pay",
        vec![
            bcs::to_bytes(&vec![batch; 32]).unwrap(),
            bcs::to_bytes(&payees).unwrap(),
            bcs::to_bytes(&amounts).unwrap(),
        ],
    )
}

/// Gas for a line of a full batch, in the chain's units: 256 of them then fit into the limit of 200,000 that clients use.
const GAS_PER_PAYOUT: u64 = 700;

#[test]
fn the_development_account_calls_on_request() {
    let world = world();
    let call = |function: &str, arguments: Value| {
        let body = json!({"function": function, "arguments": arguments});
        world.chain.post("/devchain/call", &body)
    };
    let deposit = json!([format!("0x{}", "00".repeat(16)), "500"]);
    let done = call("settlement::deposit", deposit).json();
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(events(&done, "Deposited")[0]["amount"], "500");
    let refused = call("settlement::deposit", json!(["0x00", "500"])).json();
    assert_eq!(refused["success"], false, "the tag is too short: {refused}");
    assert_eq!(call("settlement::deposit", json!(["500"])).status, 400);
    assert_eq!(call("nothing::here", json!([])).status, 404);
}

#[test]
fn a_deposit_comes_in_and_a_batch_goes_out_once() {
    let world = world();
    let (admin, settler, bob) = (Account::publisher(), Account::new(1), Account::new(2));
    let reply = world.chain.post(
        &format!("/mint?address={}&amount=1000000&asset=io", bob.address),
        &Value::Null,
    );
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(world.io(bob.address), 1_000_000);

    let tag = vec![7u8; 16];
    let deposit = iog(
        "settlement::deposit",
        vec![
            bcs::to_bytes(&tag).unwrap(),
            600_000u64.to_le_bytes().to_vec(),
        ],
    );
    let done = world.run(&bob, deposit);
    assert_eq!(done["success"], true, "{done}");
    let expected =
        json!({"from": bob.address, "tag": format!("0x{}", "07".repeat(16)), "amount": "600000"});
    assert_eq!(events(&done, "Deposited"), [&expected]);

    let refused = world.run(&settler, pay(1, &[(Address::small(9), 1)]));
    assert_eq!(refused["success"], false, "only a settler pays");
    let added = world.run(
        &admin,
        iog("roles::add_settler", vec![settler.address.0.to_vec()]),
    );
    assert_eq!(added["success"], true, "{added}");
    let done = world.run(
        &settler,
        pay(
            1,
            &[
                (Address::small(8), 10),
                (Address::small(9), 0),
                (Address::small(9), 20),
            ],
        ),
    );
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(
        (events(&done, "Paid").len(), events(&done, "Skipped").len()),
        (2, 1),
        "{done}"
    );
    assert_eq!(events(&done, "Settled")[0]["total"], "30");
    let again = world.run(&settler, pay(1, &[(Address::small(8), 10)]));
    assert_eq!(again["success"], false, "a batch is applied once");
    assert_eq!(
        (world.io(Address::small(8)), world.io(Address::small(9))),
        (10, 20)
    );

    let lines: Vec<(Address, u64)> = (0..=255u8)
        .map(|last| {
            let mut payee = [0xa0; 32];
            payee[31] = last;
            (Address(payee), 100)
        })
        .collect();
    let full = world.run(&settler, pay(2, &lines));
    assert_eq!(full["success"], true, "{full}");
    assert_eq!(events(&full, "Paid").len(), 256);
    let gas: u64 = full["gas_used"].as_str().unwrap().parse().unwrap();
    println!("256 new payees: {gas} gas, {} a line", gas / 256);
    assert!(gas / 256 <= GAS_PER_PAYOUT, "{gas}");
    let known = world.run(&settler, pay(3, &lines));
    println!("256 known payees: {} gas", known["gas_used"]);
    assert_eq!(world.io(lines[0].0), 200);
    let vault = json!({"function": format!("{}::settlement::vault_balance", devchain::DEVELOPMENT_ADDRESS), "arguments": []});
    assert_eq!(
        world.chain.post("/v1/view", &vault).json(),
        json!([(600_000 - 30 - 2 * 25_600).to_string()])
    );
}
