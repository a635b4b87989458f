//! Verifying receipts: both signatures, the chain, the sums, against the bare batch verification of the same signatures.

use std::time::Instant;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey, verify_batch};
use kernel::{Amount, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp};
use metering::Head;
use metering::batch::TOGETHER;
use metering::receipt::{countersign, open, sign_worker, verify_chain};
use protocol::view::Receipt;

use crate::row::{Goal, Row};

const RECEIPTS: u32 = 5_000;
const TURNS: u32 = 5;

fn chain(worker: &SigningKey, platform: &SigningKey) -> Vec<Receipt> {
    let at = Timestamp::from_millis(1);
    let price = PricePerSecond::from_amount(Amount::try_from_base(25_000).unwrap_or_default());
    let mut head = Head::default();
    let mut receipts = Vec::new();
    for n in 1..=u64::from(RECEIPTS) {
        let seconds = Seconds::new(n * 60);
        let draft = Receipt {
            lease: LeaseId::new(at, [1; 10]),
            job: JobId::new(at, [2; 10]),
            node: NodeId::new(at, [3; 10]),
            device: DeviceId::new(at, [4; 10]),
            epoch: Epoch::new(1),
            seq: n,
            seconds,
            price,
            amount: price.times(seconds).unwrap_or_default(),
            energy_mj: None,
            last: false,
            issued_at: at,
            previous: head.hash.clone(),
            worker_signature: String::new(),
            platform_signature: None,
        };
        let signed = sign_worker(draft, worker)
            .and_then(|draft| countersign(draft, &worker.verifying_key(), platform));
        if let Ok(receipt) = signed
            && let Ok(next) = Head::after(&receipt)
        {
            head = next;
            receipts.push(receipt);
        }
    }
    receipts
}

/// Both signatures of each receipt, as the bare verification wants them.
struct Bare {
    messages: Vec<Vec<u8>>,
    signatures: Vec<Signature>,
    keys: Vec<VerifyingKey>,
}

fn bare(receipts: &[Receipt], worker: &VerifyingKey, platform: &VerifyingKey) -> Bare {
    let mut bare = Bare {
        messages: Vec::new(),
        signatures: Vec::new(),
        keys: Vec::new(),
    };
    for receipt in receipts {
        if let Ok(opened) = open(receipt, worker, platform) {
            for claim in opened.claims {
                bare.messages.push(claim.message);
                bare.signatures.push(claim.signature);
                bare.keys.push(claim.key);
            }
        }
    }
    bare
}

impl Bare {
    /// In batches as large as `metering`'s, and nothing else: neither bytes made, nor chain, nor sums.
    fn verify(&self) -> bool {
        let parts = self
            .messages
            .chunks(TOGETHER)
            .zip(self.signatures.chunks(TOGETHER))
            .zip(self.keys.chunks(TOGETHER));
        parts.fold(true, |fit, ((messages, signatures), keys)| {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            verify_batch(&messages, signatures, keys).is_ok() && fit
        })
    }
}

/// Receipts a second; the machine is shared, so the quickest of some turns, taken by turns.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn measure() -> Row {
    let (worker, platform) = (
        SigningKey::from_bytes(&[1; 32]),
        SigningKey::from_bytes(&[2; 32]),
    );
    let receipts = chain(&worker, &platform);
    let (worker, platform) = (worker.verifying_key(), platform.verifying_key());
    let bare = bare(&receipts, &worker, &platform);
    let (mut ours, mut other) = (0.0_f64, 0.0_f64);
    for _ in 0..TURNS {
        let begun = Instant::now();
        let verified = verify_chain(&receipts, &worker, &platform);
        ours = ours.max(f64::from(RECEIPTS) / begun.elapsed().as_secs_f64());
        assert!(
            verified.is_ok_and(|head| head.seq == u64::from(RECEIPTS)),
            "the chain that was just made verifies"
        );
        let begun = Instant::now();
        let fit = bare.verify();
        other = other.max(f64::from(RECEIPTS) / begun.elapsed().as_secs_f64());
        assert!(fit, "the signatures that were just made fit");
    }
    Row::new(
        "receipts_verify",
        "/s",
        ours,
        ("two Ed25519 signatures, in batches", other),
        &Goal::RatioAtLeast(0.85),
    )
}
