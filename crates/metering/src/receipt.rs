//! Receipts: the bytes that are signed, both signatures, the chain, and which receipt may come next.
//!
//! The worker signs (big endian): `"iog.receipt.v1\0"`, lease, job, node, device (16 bytes each), epoch, seq, seconds
//! (u64), price, amount (i64), last (one byte, 0 or 1), issued_at (i64, ms), previous (32 bytes). The platform signs
//! `"iog.receipt.countersign.v1\0"` and the SHA-256 of (signed bytes, worker's signature). A receipt's hash is the SHA-256
//! of (signed bytes, worker's signature, platform's signature); the next receipt of the lease names it as `previous`.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use kernel::{DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds};
use protocol::view::Receipt;
use sha2::{Digest, Sha256};

const WORKER_DOMAIN: &[u8] = b"iog.receipt.v1\0";
const PLATFORM_DOMAIN: &[u8] = b"iog.receipt.countersign.v1\0";

/// `previous` of a lease's first receipt.
pub const NO_PREVIOUS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why a single receipt is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("`previous` is not 64 hexadecimal digits")]
    Previous,
    #[error("a key is not 64 hexadecimal digits of an Ed25519 key")]
    Key,
    #[error("the worker's signature is missing or does not fit")]
    WorkerSignature,
    #[error("the platform's signature is missing or does not fit")]
    PlatformSignature,
    #[error("the amount is not price times seconds")]
    Amount,
}

/// Why a receipt is not the next of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    #[error("it belongs to another lease, job, node, device or price")]
    OtherLease,
    #[error("epoch {got} is over; the lease has {expected}")]
    StaleEpoch { got: u64, expected: u64 },
    #[error("number {got} was not expected; the next is {expected}")]
    Sequence { got: u64, expected: u64 },
    #[error("it does not name the receipt before")]
    Broken,
    #[error("{got} s are fewer than the {had} s already receipted")]
    Backwards { got: u64, had: u64 },
    #[error("{got} s are more than the {bound} s that can have been delivered or are paid for")]
    TooMany { got: u64, bound: u64 },
    #[error("the lease's last receipt has been posted")]
    AfterLast,
}

/// What every receipt of one lease has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub lease: LeaseId,
    pub job: JobId,
    pub node: NodeId,
    pub device: DeviceId,
    pub epoch: Epoch,
    pub price: PricePerSecond,
}

/// The end of a lease's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub seq: u64,
    pub hash: String,
    pub seconds: Seconds,
    pub last: bool,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: NO_PREVIOUS.to_owned(),
            seconds: Seconds::ZERO,
            last: false,
        }
    }
}

impl Head {
    /// Whether `receipt` may be countersigned as the next one. `bound`: the most seconds that can have been
    /// delivered by the platform's clock and are paid for.
    ///
    /// # Errors
    /// A [`ChainError`] with the numbers.
    pub fn admits(
        &self,
        receipt: &Receipt,
        terms: &Terms,
        bound: Seconds,
    ) -> Result<(), ChainError> {
        if receipt.epoch != terms.epoch {
            return Err(ChainError::StaleEpoch {
                got: receipt.epoch.get(),
                expected: terms.epoch.get(),
            });
        }
        if *terms != Terms::of(receipt) {
            return Err(ChainError::OtherLease);
        }
        if self.last {
            return Err(ChainError::AfterLast);
        }
        let expected = self.seq.saturating_add(1);
        if receipt.seq != expected {
            return Err(ChainError::Sequence {
                got: receipt.seq,
                expected,
            });
        }
        if receipt.previous != self.hash {
            return Err(ChainError::Broken);
        }
        if receipt.seconds < self.seconds {
            return Err(ChainError::Backwards {
                got: receipt.seconds.get(),
                had: self.seconds.get(),
            });
        }
        if receipt.seconds > bound {
            return Err(ChainError::TooMany {
                got: receipt.seconds.get(),
                bound: bound.get(),
            });
        }
        if receipt.price.times(receipt.seconds) != Ok(receipt.amount) {
            return Err(ReceiptError::Amount.into());
        }
        Ok(())
    }

    /// The head after `receipt`.
    ///
    /// # Errors
    /// [`ReceiptError`] when the receipt lacks a signature.
    pub fn after(receipt: &Receipt) -> Result<Self, ReceiptError> {
        Ok(Self {
            seq: receipt.seq,
            hash: hash(receipt)?,
            seconds: receipt.seconds,
            last: receipt.last,
        })
    }
}

impl Terms {
    pub const fn of(receipt: &Receipt) -> Self {
        Self {
            lease: receipt.lease,
            job: receipt.job,
            node: receipt.node,
            device: receipt.device,
            epoch: receipt.epoch,
            price: receipt.price,
        }
    }
}

/// The bytes that the worker signs.
///
/// # Errors
/// [`ReceiptError::Previous`].
pub fn signed_bytes(receipt: &Receipt) -> Result<Vec<u8>, ReceiptError> {
    let mut previous = [0; 32];
    hex::decode_to_slice(&receipt.previous, &mut previous).map_err(|_| ReceiptError::Previous)?;
    let mut bytes = Vec::with_capacity(192);
    bytes.extend_from_slice(WORKER_DOMAIN);
    bytes.extend_from_slice(receipt.lease.as_bytes());
    bytes.extend_from_slice(receipt.job.as_bytes());
    bytes.extend_from_slice(receipt.node.as_bytes());
    bytes.extend_from_slice(receipt.device.as_bytes());
    bytes.extend_from_slice(&receipt.epoch.get().to_be_bytes());
    bytes.extend_from_slice(&receipt.seq.to_be_bytes());
    bytes.extend_from_slice(&receipt.seconds.get().to_be_bytes());
    bytes.extend_from_slice(&receipt.price.per_second().base().to_be_bytes());
    bytes.extend_from_slice(&receipt.amount.base().to_be_bytes());
    bytes.push(u8::from(receipt.last));
    bytes.extend_from_slice(&receipt.issued_at.millis().to_be_bytes());
    bytes.extend_from_slice(&previous);
    Ok(bytes)
}

fn signature(text: &str) -> Option<Signature> {
    let mut bytes = [0; 64];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Signature::from_bytes(&bytes))
}

/// Reads a public key from 64 hexadecimal digits.
///
/// # Errors
/// [`ReceiptError::Key`].
pub fn public_key(text: &str) -> Result<VerifyingKey, ReceiptError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| ReceiptError::Key)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| ReceiptError::Key)
}

fn countersigned_bytes(receipt: &Receipt) -> Result<Vec<u8>, ReceiptError> {
    let worker = signature(&receipt.worker_signature).ok_or(ReceiptError::WorkerSignature)?;
    let digest = Sha256::new()
        .chain_update(signed_bytes(receipt)?)
        .chain_update(worker.to_bytes())
        .finalize();
    Ok([PLATFORM_DOMAIN, digest.as_slice()].concat())
}

/// Signs as the worker; a countersignature made for other bytes is dropped.
///
/// # Errors
/// [`ReceiptError::Previous`].
pub fn sign_worker(mut receipt: Receipt, key: &SigningKey) -> Result<Receipt, ReceiptError> {
    receipt.platform_signature = None;
    receipt.worker_signature = hex::encode(key.sign(&signed_bytes(&receipt)?).to_bytes());
    Ok(receipt)
}

/// Countersigns as the platform, after the worker's signature was checked.
///
/// # Errors
/// [`ReceiptError::WorkerSignature`] when it is not the given worker's.
pub fn countersign(
    mut receipt: Receipt,
    worker: &VerifyingKey,
    platform: &SigningKey,
) -> Result<Receipt, ReceiptError> {
    verify_worker(&receipt, worker)?;
    receipt.platform_signature = Some(hex::encode(
        platform.sign(&countersigned_bytes(&receipt)?).to_bytes(),
    ));
    Ok(receipt)
}

/// # Errors
/// [`ReceiptError::WorkerSignature`] when the signature is not of this key over these bytes.
pub fn verify_worker(receipt: &Receipt, worker: &VerifyingKey) -> Result<(), ReceiptError> {
    let signature = signature(&receipt.worker_signature).ok_or(ReceiptError::WorkerSignature)?;
    worker
        .verify_strict(&signed_bytes(receipt)?, &signature)
        .map_err(|_| ReceiptError::WorkerSignature)
}

/// # Errors
/// [`ReceiptError::PlatformSignature`] when the countersignature is missing or not of this key.
pub fn verify_platform(receipt: &Receipt, platform: &VerifyingKey) -> Result<(), ReceiptError> {
    let text = receipt
        .platform_signature
        .as_deref()
        .ok_or(ReceiptError::PlatformSignature)?;
    let signature = signature(text).ok_or(ReceiptError::PlatformSignature)?;
    platform
        .verify_strict(&countersigned_bytes(receipt)?, &signature)
        .map_err(|_| ReceiptError::PlatformSignature)
}

/// The hash that the next receipt names.
///
/// # Errors
/// A missing or unreadable signature.
pub fn hash(receipt: &Receipt) -> Result<String, ReceiptError> {
    let worker = signature(&receipt.worker_signature).ok_or(ReceiptError::WorkerSignature)?;
    let platform = receipt
        .platform_signature
        .as_deref()
        .and_then(signature)
        .ok_or(ReceiptError::PlatformSignature)?;
    let digest = Sha256::new()
        .chain_update(signed_bytes(receipt)?)
        .chain_update(worker.to_bytes())
        .chain_update(platform.to_bytes())
        .finalize();
    Ok(hex::encode(digest))
}

/// Checks a lease's whole chain offline: both signatures of each receipt, the links, the sums.
///
/// # Errors
/// The first fault, with the number of the receipt in the chain's order.
pub fn verify_chain(
    receipts: &[Receipt],
    worker: &VerifyingKey,
    platform: &VerifyingKey,
) -> Result<Head, ChainError> {
    let Some(first) = receipts.first() else {
        return Ok(Head::default());
    };
    let terms = Terms::of(first);
    let mut head = Head::default();
    for receipt in receipts {
        head.admits(receipt, &terms, Seconds::new(u64::MAX))?;
        verify_worker(receipt, worker)?;
        verify_platform(receipt, platform)?;
        head = Head::after(receipt)?;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Amount, Timestamp};
    use proptest::prelude::*;

    fn keys() -> (SigningKey, SigningKey) {
        (
            SigningKey::from_bytes(&[1; 32]),
            SigningKey::from_bytes(&[2; 32]),
        )
    }

    fn draft(head: &Head, seconds: u64, last: bool) -> Receipt {
        let at = Timestamp::from_millis(1_000);
        let price = PricePerSecond::from_amount(Amount::try_from_base(25_000).expect("in range"));
        Receipt {
            lease: LeaseId::new(at, [1; 10]),
            job: JobId::new(at, [2; 10]),
            node: NodeId::new(at, [3; 10]),
            device: DeviceId::new(at, [4; 10]),
            epoch: Epoch::new(1),
            seq: head.seq + 1,
            seconds: Seconds::new(seconds),
            price,
            amount: price.times(Seconds::new(seconds)).expect("in range"),
            last,
            issued_at: at,
            previous: head.hash.clone(),
            worker_signature: String::new(),
            platform_signature: None,
        }
    }

    fn chain(totals: &[u64]) -> Vec<Receipt> {
        let (worker, platform) = keys();
        let mut head = Head::default();
        totals
            .iter()
            .map(|seconds| {
                let receipt = sign_worker(draft(&head, *seconds, false), &worker).expect("valid");
                let receipt =
                    countersign(receipt, &worker.verifying_key(), &platform).expect("valid");
                head = Head::after(&receipt).expect("signed");
                receipt
            })
            .collect()
    }

    fn verify(receipts: &[Receipt]) -> Result<Head, ChainError> {
        let (worker, platform) = keys();
        verify_chain(receipts, &worker.verifying_key(), &platform.verifying_key())
    }

    #[test]
    fn a_chain_verifies_and_sums_up() {
        let receipts = chain(&[60, 120, 125]);
        assert_eq!(verify(&receipts).expect("valid").seconds, Seconds::new(125));
        assert_eq!(verify(&[]), Ok(Head::default()));
    }

    #[test]
    fn each_forged_field_is_noticed() {
        let forge = |change: fn(&mut Receipt)| {
            let mut receipts = chain(&[60, 120]);
            change(&mut receipts[1]);
            verify(&receipts).expect_err("forged")
        };
        assert_eq!(
            forge(|r| r.seconds = Seconds::new(121)),
            ReceiptError::Amount.into()
        );
        assert_eq!(
            forge(|r| r.seconds = Seconds::new(59)),
            ChainError::Backwards { got: 59, had: 60 }
        );
        assert_eq!(
            forge(|r| r.seq = 3),
            ChainError::Sequence {
                got: 3,
                expected: 2
            }
        );
        assert_eq!(
            forge(|r| r.previous = NO_PREVIOUS.into()),
            ChainError::Broken
        );
        assert_eq!(
            forge(|r| r.epoch = Epoch::new(2)),
            ChainError::StaleEpoch {
                got: 2,
                expected: 1
            }
        );
        assert_eq!(
            forge(|r| r.job = JobId::new(Timestamp::from_millis(9), [0; 10])),
            ChainError::OtherLease
        );
        assert_eq!(
            forge(|r| r.last = true),
            ReceiptError::WorkerSignature.into()
        );
        assert_eq!(
            forge(|r| r.issued_at = Timestamp::from_millis(5)),
            ReceiptError::WorkerSignature.into()
        );
        assert_eq!(
            forge(|r| r.platform_signature = None),
            ReceiptError::PlatformSignature.into()
        );
        assert_eq!(
            forge(|r| r.worker_signature = "00".repeat(64)),
            ReceiptError::WorkerSignature.into()
        );
    }

    #[test]
    fn the_platform_signs_only_what_the_worker_signed() {
        let (worker, platform) = keys();
        let unsigned = draft(&Head::default(), 5, false);
        assert_eq!(
            countersign(unsigned, &worker.verifying_key(), &platform),
            Err(ReceiptError::WorkerSignature)
        );
        let by_another = sign_worker(draft(&Head::default(), 5, false), &platform).expect("valid");
        assert_eq!(
            countersign(by_another, &worker.verifying_key(), &platform),
            Err(ReceiptError::WorkerSignature)
        );
    }

    #[test]
    fn nothing_follows_the_last_and_nothing_passes_the_bound() {
        let head = Head::default();
        let terms = Terms::of(&draft(&head, 0, false));
        assert_eq!(
            head.admits(&draft(&head, 11, false), &terms, Seconds::new(10)),
            Err(ChainError::TooMany { got: 11, bound: 10 })
        );
        let ended = Head {
            last: true,
            ..Head::default()
        };
        assert_eq!(
            ended.admits(&draft(&ended, 1, false), &terms, Seconds::new(10)),
            Err(ChainError::AfterLast)
        );
    }

    proptest! {
        /// Deliver the receipts of a chain several times and in any order: accepted is each once, in order.
        #[test]
        fn repeats_and_disorder_change_nothing(order in prop::collection::vec(0usize..6, 0..60)) {
            let receipts = chain(&[1, 2, 3, 5, 8, 13]);
            let terms = Terms::of(&receipts[0]);
            let mut head = Head::default();
            let mut accepted = Vec::new();
            for i in order {
                if head.admits(&receipts[i], &terms, Seconds::new(100)).is_ok() {
                    head = Head::after(&receipts[i]).expect("signed");
                    accepted.push(i);
                }
            }
            prop_assert_eq!(&accepted, &(0..accepted.len()).collect::<Vec<_>>());
        }

        #[test]
        fn any_changed_bit_of_a_signature_is_noticed(position in 0usize..128, which in any::<bool>()) {
            let mut receipts = chain(&[7]);
            let text = if which { receipts[0].worker_signature.clone() } else { receipts[0].platform_signature.clone().expect("signed") };
            let digit = text.as_bytes()[position];
            let other = if digit == b'0' { "1" } else { "0" };
            let mut text = text;
            text.replace_range(position..=position, other);
            if which { receipts[0].worker_signature = text } else { receipts[0].platform_signature = Some(text) }
            prop_assert!(verify(&receipts).is_err());
        }
    }
}
