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
