//! Receipts: the bytes that are signed, both signatures, the chain, and which receipt may come next.
//!
//! The worker signs (big endian): `"iog.receipt.v1\0"`, lease, job, node, device (16 bytes each), epoch, seq, seconds
//! (u64), price, amount (i64), last (one byte, 0 or 1), issued_at (i64, ms), previous (32 bytes). A receipt that tells its
//! energy begins with `"iog.receipt.v2\0"` and has the energy (u64, millijoules) after the amount. The platform signs
//! `"iog.receipt.countersign.v1\0"` and the SHA-256 of (signed bytes, worker's signature). A receipt's hash is the SHA-256
//! of (signed bytes, worker's signature, platform's signature); the next receipt of the lease names it as `previous`.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use kernel::{DeviceId, Energy, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds};
use protocol::view::Receipt;
use sha2::{Digest, Sha256};

use crate::batch::{self, Claim};

mod bytes;

pub use bytes::{from_bytes, signed_bytes};

const PLATFORM_DOMAIN: &[u8] = b"iog.receipt.countersign.v1\0";

/// `previous` of a lease's first receipt.
pub const NO_PREVIOUS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why a single receipt is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("`previous` is not 64 hexadecimal digits")]
    Previous,
    #[error("these are not the bytes of a receipt")]
    Bytes,
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
    #[error("{} of energy are less than the {had} mJ already receipted", told(*.got))]
    EnergyBackwards { got: Option<u64>, had: u64 },
    #[error("{got} s are more than the {bound} s that can have been delivered or are paid for")]
    TooMany { got: u64, bound: u64 },
    #[error("the lease's last receipt has been posted")]
    AfterLast,
}

fn told(millijoules: Option<u64>) -> String {
    millijoules.map_or_else(|| "untold mJ".to_owned(), |mj| format!("{mj} mJ"))
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
    /// As far as receipts told it.
    pub energy: Option<Energy>,
    pub last: bool,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: NO_PREVIOUS.to_owned(),
            seconds: Seconds::ZERO,
            energy: None,
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
        // `None` is the least: what was once told is told from then on.
        if receipt.energy_mj < self.energy {
            return Err(ChainError::EnergyBackwards {
                got: receipt.energy_mj.map(Energy::millijoules),
                had: self.energy.map_or(0, Energy::millijoules),
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
        Ok(Self::at(receipt, hash(receipt)?))
    }

    /// The head at `receipt`, whose hash is known.
    pub const fn at(receipt: &Receipt, hash: String) -> Self {
        Self {
            seq: receipt.seq,
            hash,
            seconds: receipt.seconds,
            energy: receipt.energy_mj,
            last: receipt.last,
        }
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

pub(crate) fn signature(text: &str) -> Option<Signature> {
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

/// What stands between the worker's signature and the platform's: computed once, used for both and for the hash.
struct Digested {
    bytes: Vec<u8>,
    worker: Signature,
    /// SHA-256 of the signed bytes and the worker's signature, to be gone on with.
    so_far: Sha256,
}

fn digested(receipt: &Receipt) -> Result<Digested, ReceiptError> {
    let bytes = signed_bytes(receipt)?;
    let worker = signature(&receipt.worker_signature).ok_or(ReceiptError::WorkerSignature)?;
    let so_far = Sha256::new()
        .chain_update(&bytes)
        .chain_update(worker.to_bytes());
    Ok(Digested {
        bytes,
        worker,
        so_far,
    })
}

impl Digested {
    fn countersigned(&self) -> Vec<u8> {
        [PLATFORM_DOMAIN, self.so_far.clone().finalize().as_slice()].concat()
    }

    fn hash(self, platform: &Signature) -> String {
        hex::encode(self.so_far.chain_update(platform.to_bytes()).finalize())
    }
}

fn platform_signature(receipt: &Receipt) -> Result<Signature, ReceiptError> {
    receipt
        .platform_signature
        .as_deref()
        .and_then(signature)
        .ok_or(ReceiptError::PlatformSignature)
}

/// A receipt of which all can be read, and what is still to be checked of it.
#[derive(Debug, Clone)]
pub struct Opened {
    pub hash: String,
    /// The worker's signature and the platform's, in this order.
    pub claims: [Claim; 2],
}

/// Reads both signatures, for [`batch::faulty`](crate::batch::faulty) to check them with many others.
///
/// # Errors
/// A missing or unreadable signature, or `previous`.
pub fn open(
    receipt: &Receipt,
    worker: &VerifyingKey,
    platform: &VerifyingKey,
) -> Result<Opened, ReceiptError> {
    let digested = digested(receipt)?;
    let countersignature = platform_signature(receipt)?;
    let (message, signature) = (digested.bytes.clone(), digested.worker);
    let countersigned = digested.countersigned();
    Ok(Opened {
        hash: digested.hash(&countersignature),
        claims: [
            Claim {
                message,
                signature,
                key: *worker,
            },
            Claim {
                message: countersigned,
                signature: countersignature,
                key: *platform,
            },
        ],
    })
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
        platform
            .sign(&digested(&receipt)?.countersigned())
            .to_bytes(),
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
    let signature = platform_signature(receipt)?;
    platform
        .verify_strict(&digested(receipt)?.countersigned(), &signature)
        .map_err(|_| ReceiptError::PlatformSignature)
}

/// The hash that the next receipt names.
///
/// # Errors
/// A missing or unreadable signature.
pub fn hash(receipt: &Receipt) -> Result<String, ReceiptError> {
    Ok(digested(receipt)?.hash(&platform_signature(receipt)?))
}

/// Checks a lease's whole chain offline: both signatures of each receipt, the links, the sums.
///
/// # Errors
/// The first fault in the chain's order.
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
    let mut claims = Vec::with_capacity(receipts.len().saturating_mul(2));
    let mut fault = None;
    for receipt in receipts {
        let next = head
            .admits(receipt, &terms, Seconds::new(u64::MAX))
            .and_then(|()| Ok(open(receipt, worker, platform)?));
        match next {
            Ok(opened) => {
                claims.extend(opened.claims);
                head = Head::at(receipt, opened.hash);
            }
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    // A signature that does not fit comes before what was found behind it.
    let forged = batch::faulty(&claims).first().map(|place| match place % 2 {
        0 => ReceiptError::WorkerSignature.into(),
        _ => ReceiptError::PlatformSignature.into(),
    });
    match forged.or(fault) {
        Some(error) => Err(error),
        None => Ok(head),
    }
}

#[cfg(test)]
pub(crate) mod tests;
