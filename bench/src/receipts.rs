//! Verifying receipts: both signatures, the chain, the sums, against the bare verification of two Ed25519 signatures.

use std::time::Instant;

use ed25519_dalek::{Signer, SigningKey};
use kernel::{Amount, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp};
use metering::Head;
use metering::receipt::{countersign, sign_worker, verify_chain};
use protocol::view::Receipt;

use crate::row::{Goal, Row};

const RECEIPTS: u32 = 5_000;

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

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn measure() -> Row {
    let (worker, platform) = (
        SigningKey::from_bytes(&[1; 32]),
        SigningKey::from_bytes(&[2; 32]),
    );
    let receipts = chain(&worker, &platform);
    let begun = Instant::now();
    let verified = verify_chain(
        &receipts,
        &worker.verifying_key(),
        &platform.verifying_key(),
    );
    let ours = f64::from(RECEIPTS) / begun.elapsed().as_secs_f64();
    assert!(
        verified.is_ok_and(|head| head.seq == u64::from(RECEIPTS)),
        "the chain that was just made verifies"
    );
    let message = [7_u8; 200];
    let (signature, key) = (worker.sign(&message), worker.verifying_key());
    let begun = Instant::now();
    let fit = (0..RECEIPTS * 2)
        .filter(|_| key.verify_strict(&message, &signature).is_ok())
        .count();
    let bare = f64::from(RECEIPTS) / begun.elapsed().as_secs_f64();
    assert!(fit > 0, "the signature that was just made fits");
    Row::new(
        "receipts_verify",
        "/s",
        ours,
        ("two Ed25519 verifications, one by one", bare),
        &Goal::RatioAtLeast(0.85),
    )
}
