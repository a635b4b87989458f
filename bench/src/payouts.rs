//! A week's pay of 5,000 owners: the report's Merkle tree, the payouts in batches, and a signature for each, against the bare
//! hashes and signatures in it.

use std::hint::black_box;
use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};
use kernel::{Amount, PayoutId};
use settlement::batch::{LINES_MAX, plan};
use settlement::report::{Earning, leaf};
use settlement::{Address, Digest, Line, Tree, Voucher, Week};
use sha3::{Digest as _, Sha3_256};

use crate::row::{Goal, Row};

const OWNERS: u64 = 5_000;
const TURNS: u32 = 5;
/// A Monday.
const WEEK: u64 = 20_780;
const LEAF_BYTES: usize = 57;
const NODE_BYTES: usize = 65;

fn lines() -> Vec<Line> {
    (1..=OWNERS)
        .map(|number| {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&number.to_be_bytes());
            Line {
                payout: PayoutId::from_bytes(id),
                payee: Address::from_bytes(*Digest::of(&[&id]).as_bytes()),
                amount: Amount::try_from_base(1_000_000).unwrap_or_default(),
            }
        })
        .collect()
}

fn voucher(line: &Line) -> Voucher {
    Voucher {
        chain: 4,
        channel: line.payee,
        payee: line.payee,
        cumulative: line.amount,
    }
}

/// What is done for real: checked, sorted, added up, and every hash kept for the proofs.
fn prepare(lines: &[Line], week: Week, key: &SigningKey) -> usize {
    let earnings = lines.iter().map(|line| Earning {
        owner: line.payee,
        amount: line.amount,
    });
    let report = Tree::try_new(week, 1, earnings);
    let planned = plan(lines.to_vec(), LINES_MAX, Amount::MAX);
    let signed: Vec<_> = lines.iter().map(|line| voucher(line).sign(key)).collect();
    assert!(
        report.is_ok_and(|report| report.heading().owners == OWNERS)
            && planned.is_ok_and(|plan| plan.batches.len() == lines.len().div_ceil(LINES_MAX)),
        "the report and the plan that were just made hold all owners"
    );
    signed.len()
}

/// As many hashes of the same lengths, and as many signatures of the same bytes.
fn bare(leaves: &[[u8; LEAF_BYTES]], messages: &[Vec<u8>], key: &SigningKey) {
    for leaf in leaves {
        black_box(Sha3_256::digest(leaf));
    }
    let node = [1; NODE_BYTES];
    for _ in 1..leaves.len() {
        black_box(Sha3_256::digest(black_box(node)));
    }
    for message in messages {
        black_box(key.sign(message));
    }
}

/// Milliseconds; the machine is shared, so the quickest of some turns, taken by turns.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn measure() -> Vec<Row> {
    let Ok(week) = Week::try_new(WEEK) else {
        return Vec::new();
    };
    let key = SigningKey::from_bytes(&[1; 32]);
    let lines = lines();
    let messages: Vec<Vec<u8>> = lines.iter().map(|line| voucher(line).bytes()).collect();
    // Their contents do not matter, their number and length do.
    let leaves: Vec<[u8; LEAF_BYTES]> = lines
        .iter()
        .map(|line| {
            let earning = Earning {
                owner: line.payee,
                amount: line.amount,
            };
            let mut bytes = [0; LEAF_BYTES];
            bytes[..32].copy_from_slice(leaf(week, 1, &earning).as_bytes());
            bytes
        })
        .collect();
    let (mut ours, mut other) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TURNS {
        let begun = Instant::now();
        black_box(prepare(&lines, week, &key));
        ours = ours.min(begun.elapsed().as_secs_f64() * 1_000.0);
        let begun = Instant::now();
        bare(&leaves, &messages, &key);
        other = other.min(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    vec![Row::new(
        "payouts_5000",
        "ms",
        ours,
        ("the bare hashes and signatures", other),
        &Goal::RatioAtMost(2.0),
    )]
}
