//! The contracts' own vectors (`contracts/tests/vectors.json`, which the Move tests check too): both sides hash and sign the same.

use ed25519_dalek::SigningKey;
use kernel::{AccountId, Amount};
use serde::Deserialize;
use settlement::report::{self, Earning};
use settlement::{Address, Digest, Tree, Voucher, Week};

#[derive(Deserialize)]
struct Vectors {
    leaf: Leaf,
    reports: Vec<Report>,
    owner_without_address: Owner,
    voucher: SignedBytes,
}

#[derive(Deserialize)]
struct Leaf {
    week: Week,
    version: u64,
    owner: Address,
    amount: i64,
    hash: Digest,
}

#[derive(Deserialize)]
struct Report {
    week: Week,
    version: u64,
    root: Digest,
    total: i64,
    owners: u64,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    owner: Address,
    amount: i64,
    leaf: Digest,
    proof: Vec<Digest>,
}

#[derive(Deserialize)]
struct Owner {
    user: String,
    owner: Address,
}

#[derive(Deserialize)]
struct SignedBytes {
    secret_key: String,
    voucher_key: String,
    chain_id: u8,
    channel: Address,
    payee: Address,
    cumulative: i64,
    bytes: String,
    signature: String,
}

fn vectors() -> Vectors {
    let text = include_str!("../../../contracts/tests/vectors.json");
    serde_json::from_str(text).expect("vectors")
}

fn amount(base: i64) -> Amount {
    Amount::try_from_base(base).expect("in range")
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let bytes = hex::decode(text.trim_start_matches("0x")).expect("hex");
    bytes.try_into().expect("as many bytes")
}

#[test]
fn a_leaf_is_the_contracts() {
    let leaf = vectors().leaf;
    let earning = Earning {
        owner: leaf.owner,
        amount: amount(leaf.amount),
    };
    assert_eq!(report::leaf(leaf.week, leaf.version, &earning), leaf.hash);
}

#[test]
fn roots_and_proofs_are_the_contracts() {
    let reports = vectors().reports;
    assert!(reports.len() >= 5);
    // One of them is of more IO than there can be, to try the contract's numbers: here no amount can say it.
    let all = Amount::MAX.base();
    let reports = reports.into_iter().filter(|report| report.total <= all);
    for expected in reports {
        let earnings = expected.lines.iter().rev().map(|line| Earning {
            owner: line.owner,
            amount: amount(line.amount),
        });
        let tree = Tree::try_new(expected.week, expected.version, earnings).expect("a report");
        let heading = tree.heading();
        assert_eq!(heading.root, expected.root);
        assert_eq!(heading.total, amount(expected.total));
        assert_eq!(heading.owners, expected.owners);
        for line in expected.lines {
            let (earning, proof) = tree.proof(&line.owner).expect("there");
            assert_eq!(proof, line.proof);
            let leaf = report::leaf(expected.week, expected.version, &earning);
            assert_eq!(leaf, line.leaf);
        }
    }
}

#[test]
fn an_owner_without_an_address_is_the_contracts() {
    let expected = vectors().owner_without_address;
    let user = AccountId::from_bytes(bytes(&expected.user));
    assert_eq!(Address::of_owner(user), expected.owner);
}

#[test]
fn a_voucher_is_the_contracts() {
    let expected = vectors().voucher;
    let voucher = Voucher {
        chain: expected.chain_id,
        channel: expected.channel,
        payee: expected.payee,
        cumulative: amount(expected.cumulative),
    };
    assert_eq!(voucher.bytes(), bytes::<89>(&expected.bytes));
    let key = SigningKey::from_bytes(&bytes(&expected.secret_key));
    assert_eq!(
        key.verifying_key().to_bytes(),
        bytes::<32>(&expected.voucher_key)
    );
    let signed = voucher.sign(&key);
    assert_eq!(
        signed.signature_bytes(),
        Ok(bytes::<64>(&expected.signature))
    );
}
