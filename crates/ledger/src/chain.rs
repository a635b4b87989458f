//! The chain of transfers: each posted one names the one before by its hash, so that none can be altered, taken out or
//! put in between without all that follow showing it.

use std::fmt;

use kernel::{Timestamp, TransferId};
use sha2::{Digest, Sha256};

use crate::books::Transfer;

const DOMAIN: &[u8] = b"iog.transfer.v1\0";

/// `previous` of the first transfer.
pub const NO_PREVIOUS: TransferHash = TransferHash([0; 32]);

/// The hash of a posted transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferHash([u8; 32]);

impl TransferHash {
    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for TransferHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

/// SHA-256 of, big endian: `"iog.transfer.v1\0"`, the hash before (32 bytes), seq (u64), at (i64, ms), id (16 bytes), amount
/// (i64), then each with its length (u32) before it: key, from, to, kind, job (empty where there is none).
pub fn hash(
    previous: TransferHash,
    seq: u64,
    at: Timestamp,
    id: TransferId,
    transfer: &Transfer,
) -> TransferHash {
    let (from, to) = (transfer.from.to_string(), transfer.to.to_string());
    hash_named(previous, seq, at, id, transfer, (&from, &to))
}

/// [`hash`] for who has the names of the two books at hand.
pub fn hash_named(
    previous: TransferHash,
    seq: u64,
    at: Timestamp,
    id: TransferId,
    transfer: &Transfer,
    (from, to): (&str, &str),
) -> TransferHash {
    let mut sha = Sha256::new();
    sha.update(DOMAIN);
    sha.update(previous.0);
    sha.update(seq.to_be_bytes());
    sha.update(at.millis().to_be_bytes());
    sha.update(id.as_bytes());
    sha.update(transfer.amount.base().to_be_bytes());
    let job = transfer.job.map(|job| job.to_string()).unwrap_or_default();
    for text in [
        transfer.key.as_str(),
        from,
        to,
        transfer.kind.as_str(),
        job.as_str(),
    ] {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        sha.update(length.to_be_bytes());
        sha.update(text.as_bytes());
    }
    TransferHash(sha.finalize().into())
}

#[cfg(test)]
mod tests {
    use kernel::{AccountId, Amount, JobId};
    use protocol::money::EntryKind;

    use super::*;
    use crate::books::BookId;

    #[test]
    fn any_change_changes_the_hash() {
        let at = Timestamp::from_millis(1);
        let id = |n| TransferId::new(at, [n; 10]);
        let account = |n| AccountId::new(at, [n; 10]);
        let transfer = Transfer {
            key: "k".into(),
            from: BookId::Available(account(1)),
            to: BookId::Held(account(1)),
            amount: Amount::try_from_base(7).expect("money"),
            kind: EntryKind::Hold,
            job: None,
        };
        let first = hash(NO_PREVIOUS, 1, at, id(1), &transfer);
        assert_eq!(TransferHash::parse(&first.to_string()), Some(first));
        assert_eq!(TransferHash::parse("zz"), None);
        let with = |change: fn(&mut Transfer)| {
            let mut other = transfer.clone();
            change(&mut other);
            hash(NO_PREVIOUS, 1, at, id(1), &other)
        };
        let mut all = vec![
            first,
            hash(first, 1, at, id(1), &transfer),
            hash(NO_PREVIOUS, 2, at, id(1), &transfer),
            hash(NO_PREVIOUS, 1, Timestamp::from_millis(2), id(1), &transfer),
            hash(NO_PREVIOUS, 1, at, id(2), &transfer),
            with(|t| t.key = "l".into()),
            with(|t| t.from = BookId::Fees),
            with(|t| t.to = BookId::Fees),
            with(|t| t.amount = Amount::try_from_base(8).expect("money")),
            with(|t| t.kind = EntryKind::Release),
            with(|t| t.job = Some(JobId::new(Timestamp::from_millis(1), [3; 10]))),
        ];
        let count = all.len();
        all.sort_by_key(|hash| hash.0);
        all.dedup();
        assert_eq!(all.len(), count);
        // As docs/money.md states it, from another implementation.
        assert_eq!(
            first.to_string(),
            hex::encode(Sha256::digest(
                [
                    DOMAIN,
                    &[0; 32],
                    &1u64.to_be_bytes(),
                    &1i64.to_be_bytes(),
                    id(1).as_bytes(),
                    &7i64.to_be_bytes(),
                    &1u32.to_be_bytes(),
                    b"k",
                    &46u32.to_be_bytes(),
                    transfer.from.to_string().as_bytes(),
                    &41u32.to_be_bytes(),
                    transfer.to.to_string().as_bytes(),
                    &4u32.to_be_bytes(),
                    b"hold",
                    &0u32.to_be_bytes(),
                ]
                .concat()
            ))
        );
    }
}
