//! Aptos's transactions, byte by byte (BCS), and their hashes.

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use settlement::sign_in::WalletKey;
use settlement::{Address, Digest};

/// In place of a number, where a nonce keeps a transaction from running twice.
pub const ORDERLESS: u64 = u64::MAX;

const RAW: &[u8] = b"APTOS::RawTransaction";
const RAW_WITH_DATA: &[u8] = b"APTOS::RawTransactionWithData";
const TRANSACTION: &[u8] = b"APTOS::Transaction";
const USER_TRANSACTION: u8 = 0;
const WITH_FEE_PAYER: u8 = 1;
const NO_SECONDARY: u8 = 0;
const BY_ED25519: u8 = 0;
const BY_FEE_PAYER: u8 = 3;

/// What this client never sends; read, it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Never {}

pub type Bytes32 = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleId {
    pub address: Bytes32,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryFunction {
    pub module: ModuleId,
    pub function: String,
    pub type_arguments: Vec<Never>,
    pub arguments: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executable {
    Script(Never),
    EntryFunction(EntryFunction),
    Empty(Never),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extra {
    V1 {
        multisig: Option<Bytes32>,
        nonce: Option<u64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inner {
    V1 {
        executable: Executable,
        extra: Extra,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    Script(Never),
    ModuleBundle(Never),
    EntryFunction(EntryFunction),
    Multisig(Never),
    Versioned(Inner),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raw {
    pub sender: Bytes32,
    pub number: u64,
    pub payload: Payload,
    pub gas_units: u64,
    pub gas_price: u64,
    /// Seconds since 1970, by the chain's clock.
    pub expires: u64,
    pub chain: u8,
}

impl Payload {
    pub fn new(function: EntryFunction, nonce: Option<u64>) -> Self {
        if nonce.is_none() {
            return Self::EntryFunction(function);
        }
        Self::Versioned(Inner::V1 {
            executable: Executable::EntryFunction(function),
            extra: Extra::V1 {
                multisig: None,
                nonce,
            },
        })
    }

    /// What it calls, if it is one of those that [`Payload::new`] makes.
    pub const fn function(&self) -> Option<&EntryFunction> {
        match self {
            Self::EntryFunction(function)
            | Self::Versioned(Inner::V1 {
                executable: Executable::EntryFunction(function),
                extra: Extra::V1 { multisig: None, .. },
            }) => Some(function),
            _ => None,
        }
    }
}

fn prefixed(name: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Digest::of(&[name]).as_bytes().to_vec();
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

impl Raw {
    /// # Errors
    /// Never for what this client makes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, bcs::Error> {
        bcs::to_bytes(self)
    }
}

/// What the sender's key signs.
pub fn to_sign(raw: &[u8]) -> Vec<u8> {
    prefixed(RAW, &[raw])
}

/// What both keys sign when another pays the fee.
pub fn to_sign_for(raw: &[u8], fee_payer: &Address) -> Vec<u8> {
    let tail = [&[NO_SECONDARY], fee_payer.as_bytes().as_slice()].concat();
    prefixed(RAW_WITH_DATA, &[&[WITH_FEE_PAYER], raw, &tail])
}

/// Key and signature of one account.
pub fn authenticator(key: &SigningKey, signature: [u8; 64]) -> Vec<u8> {
    let wallet = WalletKey::ed25519(key.verifying_key());
    [&[BY_ED25519], wallet.to_bcs().as_slice(), &[64], &signature].concat()
}

/// Signed by its sender alone.
pub fn signed(raw: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&to_sign(raw)).to_bytes();
    [raw, &authenticator(key, signature)].concat()
}

/// For a trial run, which wants no valid signature.
pub fn unsigned(raw: &[u8], key: &SigningKey) -> Vec<u8> {
    [raw, &authenticator(key, [0; 64])].concat()
}

/// The sender's authenticator, and that of the one who pays.
pub fn sponsored(raw: &[u8], sender: &[u8], fee_payer: &Address, payer: &[u8]) -> Vec<u8> {
    let none = [NO_SECONDARY, NO_SECONDARY];
    [
        raw,
        &[BY_FEE_PAYER],
        sender,
        &none,
        fee_payer.as_bytes(),
        payer,
    ]
    .concat()
}

/// The name of a signed transaction.
pub fn hash(signed: &[u8]) -> Digest {
    let prefix = Digest::of(&[TRANSACTION]);
    Digest::of(&[prefix.as_bytes(), &[USER_TRANSACTION], signed])
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Amount, PayoutId};
    use proptest::prelude::*;
    use settlement::chain::{Deed, Order};
    use settlement::{Batch, Line, Tag};

    use crate::call;
    use crate::settings::address_of;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        raw: String,
        to_sign: String,
        sender: Address,
        sender_authenticator: String,
        signed: String,
        hash: Digest,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../tests/vectors/transactions.json")).expect("vectors")
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn contract() -> Address {
        Address::from_bytes([0xc0; 32])
    }

    /// As the script beside the vectors makes them.
    fn raw(vector: &Vector) -> Raw {
        let amount = |base| Amount::try_from_base(base).expect("in range");
        let sponsored = vector.name.starts_with("sponsored");
        let function = if sponsored {
            let tag = Tag::try_from([7; 16].as_slice()).expect("16 bytes");
            let deed = Deed::Deposit {
                tag,
                amount: amount(500),
            };
            call::of_deed(contract(), &deed)
        } else {
            let amounts = [1, 20_000_000_000, Amount::MAX.base()];
            let lines = amounts.into_iter().zip(3_u8..).map(|(base, byte)| Line {
                payout: PayoutId::from_bytes([byte; 16]),
                payee: Address::from_bytes([byte; 32]),
                amount: amount(base),
            });
            // Three payees cannot all have so much in one batch; the last one's share is put in below.
            let mut lines: Vec<Line> = lines.collect();
            lines[2].amount = amount(1);
            let batch = Batch::try_new(lines).expect("a batch");
            call::of_order(contract(), Order::Pay(&batch)).map(|mut call| {
                call.arguments[0] = bcs::to_bytes([6_u8; 32].as_slice()).expect("bytes");
                let all = Amount::MAX.base().unsigned_abs();
                call.arguments[2] =
                    bcs::to_bytes(&[1, 20_000_000_000, all].as_slice()).expect("bytes");
                call
            })
        };
        let (number, nonce) = match vector.name.as_str() {
            "numbered" => (9, None),
            "orderless" => (ORDERLESS, Some(77)),
            _ => (ORDERLESS, Some(78)),
        };
        Raw {
            sender: *vector.sender.as_bytes(),
            number,
            payload: Payload::new(function.expect("a call"), nonce),
            gas_units: 1_234,
            gas_price: 100,
            expires: 1_790_000_000,
            chain: 4,
        }
    }

    #[test]
    fn transactions_are_the_official_ones_to_the_byte() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            let name = &vector.name;
            let raw = raw(&vector).to_bytes().expect("bytes");
            assert_eq!(hex::encode(&raw), vector.raw, "{name}");
            let theirs = hex::decode(&vector.sender_authenticator).expect("hex");
            let signed = if name.starts_with("sponsored") {
                let payer = address_of(&key(2));
                let message = to_sign_for(&raw, &payer);
                assert_eq!(hex::encode(&message), vector.to_sign, "{name}");
                let ours = authenticator(&key(2), key(2).sign(&message).to_bytes());
                sponsored(&raw, &theirs, &payer, &ours)
            } else {
                assert_eq!(hex::encode(to_sign(&raw)), vector.to_sign, "{name}");
                assert_eq!(address_of(&key(1)), vector.sender);
                signed(&raw, &key(1))
            };
            assert_eq!(hex::encode(&signed), vector.signed, "{name}");
            assert_eq!(hash(&signed), vector.hash, "{name}");
        }
    }

    #[test]
    fn what_is_never_sent_is_never_read() {
        let mut bytes = hex::decode(&vectors()[0].raw).expect("hex");
        let read: Raw = bcs::from_bytes(&bytes).expect("one of ours");
        assert_eq!(read, raw(&vectors()[0]));
        for kind in [0, 1, 3, 5] {
            bytes[40] = kind;
            assert!(bcs::from_bytes::<Raw>(&bytes).is_err(), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_are_read_in_two_ways(
            tail in proptest::collection::vec(any::<u8>(), 0..60),
            cut in 0_usize..200,
        ) {
            let mut bytes = hex::decode(&vectors()[1].raw).expect("hex");
            bytes.truncate(cut);
            bytes.extend(tail);
            if let Ok(raw) = bcs::from_bytes::<Raw>(&bytes) {
                prop_assert_eq!(raw.to_bytes().expect("bytes"), bytes);
            }
        }
    }
}
