//! Signed transactions: their bytes, hashes, signing messages and signatures, exactly Aptos's.
//!
//! Written from the specification, not from a client, so that it checks the client. Ed25519 in its two forms is verified;
//! other keys and multi-signatures are refused by name.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};

use crate::types::{Address, ModuleId, TypeTag};

/// A SHA3-256.
pub type Hash = [u8; 32];

/// The sequence number that most clients give an orderless transaction; the chain does not look at it.
pub const ORDERLESS: u64 = u64::MAX;

/// SHA3-256 of the parts one after another.
pub fn sha3(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha3_256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The address of an account whose only key this is (also its authentication key).
pub fn ed25519_address(key: &[u8]) -> Address {
    const SCHEME: u8 = 0;
    Address(sha3(&[key, &[SCHEME]]))
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryFunction {
    pub module: ModuleId,
    pub function: String,
    pub type_arguments: Vec<TypeTag>,
    pub arguments: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    pub code: Vec<u8>,
    pub type_arguments: Vec<TypeTag>,
    pub arguments: Vec<ScriptArgument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptArgument {
    U8(u8),
    U64(u64),
    U128(u128),
    Address(Address),
    Bytes(Vec<u8>),
    Bool(bool),
    U16(u16),
    U32(u32),
    U256([u8; 32]),
    Serialized(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multisig {
    pub address: Address,
    pub payload: Option<MultisigPayload>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MultisigPayload {
    EntryFunction(EntryFunction),
}

/// What a transaction does. The order of the variants is their number in BCS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    Script(Script),
    /// Gone from Aptos; keeps the place.
    ModuleBundle(()),
    EntryFunction(EntryFunction),
    Multisig(Multisig),
    Payload(PayloadInner),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadInner {
    V1 {
        executable: Executable,
        extra: Extra,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executable {
    Script(Script),
    EntryFunction(EntryFunction),
    Empty,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extra {
    V1 {
        multisig: Option<Address>,
        nonce: Option<u64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawTransaction {
    pub sender: Address,
    pub sequence_number: u64,
    pub payload: Payload,
    pub max_gas_amount: u64,
    pub gas_unit_price: u64,
    pub expiration_timestamp_secs: u64,
    pub chain_id: u8,
}

/// What is signed when more than the sender signs.
#[derive(Serialize)]
enum WithData<'a> {
    MultiAgent(&'a RawTransaction, &'a [Address]),
    MultiAgentWithFeePayer(&'a RawTransaction, &'a [Address], Address),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnyPublicKey {
    Ed25519(Vec<u8>),
    Secp256k1(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnySignature {
    Ed25519(Vec<u8>),
    Secp256k1(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountAuthenticator {
    Ed25519 {
        key: Vec<u8>,
        signature: Vec<u8>,
    },
    MultiEd25519 {
        key: Vec<u8>,
        signature: Vec<u8>,
    },
    SingleKey {
        key: AnyPublicKey,
        signature: AnySignature,
    },
    MultiKey {
        keys: Vec<AnyPublicKey>,
        required: u8,
        signatures: Vec<AnySignature>,
        bitmap: Vec<u8>,
    },
    /// Only to simulate.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authenticator {
    Ed25519 {
        key: Vec<u8>,
        signature: Vec<u8>,
    },
    MultiEd25519 {
        key: Vec<u8>,
        signature: Vec<u8>,
    },
    MultiAgent {
        sender: AccountAuthenticator,
        secondary_addresses: Vec<Address>,
        secondary: Vec<AccountAuthenticator>,
    },
    FeePayer {
        sender: AccountAuthenticator,
        secondary_addresses: Vec<Address>,
        secondary: Vec<AccountAuthenticator>,
        fee_payer_address: Address,
        fee_payer: AccountAuthenticator,
    },
    SingleSender(AccountAuthenticator),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    pub raw: RawTransaction,
    pub authenticator: Authenticator,
}

/// Why a transaction's signatures do not count, named as Aptos names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forged {
    /// A signature does not fit its key and message.
    InvalidSignature,
    /// A key does not belong to the address.
    InvalidAuthKey,
    /// As many secondary addresses as signers are wanted.
    CountMismatch,
    /// An address signs twice.
    Duplicates,
    /// A kind of key that this chain does not know.
    Unsupported(&'static str),
}

/// How a transaction is kept from being applied twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replay {
    Sequence(u64),
    Nonce(u64),
}

impl RawTransaction {
    fn bytes(&self) -> Vec<u8> {
        // Our own types always have a form in BCS: the only errors it knows are too long and unsupported ones.
        bcs::to_bytes(self).unwrap_or_default()
    }

    /// What a single sender signs.
    pub fn message(&self) -> Vec<u8> {
        let mut message = sha3(&[b"APTOS::RawTransaction"]).to_vec();
        message.extend(self.bytes());
        message
    }

    /// What everybody signs when there are several signers, with or without a fee payer.
    pub fn message_with(&self, secondary: &[Address], fee_payer: Option<Address>) -> Vec<u8> {
        let with = match fee_payer {
            None => WithData::MultiAgent(self, secondary),
            Some(payer) => WithData::MultiAgentWithFeePayer(self, secondary, payer),
        };
        let mut message = sha3(&[b"APTOS::RawTransactionWithData"]).to_vec();
        message.extend(bcs::to_bytes(&with).unwrap_or_default());
        message
    }

    /// The function to call, if it is a call.
    pub fn entry_function(&self) -> Option<&EntryFunction> {
        match &self.payload {
            Payload::EntryFunction(function)
            | Payload::Payload(PayloadInner::V1 {
                executable: Executable::EntryFunction(function),
                extra: Extra::V1 { multisig: None, .. },
            }) => Some(function),
            _ => None,
        }
    }

    /// How it is protected from a replay.
    pub fn replay(&self) -> Replay {
        match &self.payload {
            Payload::Payload(PayloadInner::V1 {
                extra: Extra::V1 {
                    nonce: Some(nonce), ..
                },
                ..
            }) => Replay::Nonce(*nonce),
            _ => Replay::Sequence(self.sequence_number),
        }
    }
}

impl SignedTransaction {
    /// # Errors
    /// The bytes are no signed transaction, or there is something after it.
    pub fn read(bytes: &[u8]) -> Result<Self, bcs::Error> {
        bcs::from_bytes(bytes)
    }

    pub fn bytes(&self) -> Vec<u8> {
        bcs::to_bytes(self).unwrap_or_default()
    }

    /// The hash under which it is committed.
    pub fn hash(&self) -> Hash {
        const USER_TRANSACTION: u8 = 0;
        sha3(&[
            &sha3(&[b"APTOS::Transaction"]),
            &[USER_TRANSACTION],
            &self.bytes(),
        ])
    }

    /// Sender first, then the secondary signers.
    pub fn signers(&self) -> Vec<Address> {
        let mut signers = vec![self.raw.sender];
        match &self.authenticator {
            Authenticator::MultiAgent {
                secondary_addresses,
                ..
            }
            | Authenticator::FeePayer {
                secondary_addresses,
                ..
            } => {
                signers.extend(secondary_addresses);
            }
            _ => {}
        }
        signers
    }

    /// Who pays for gas.
    pub fn payer(&self) -> Address {
        match &self.authenticator {
            Authenticator::FeePayer {
                fee_payer_address, ..
            } => *fee_payer_address,
            _ => self.raw.sender,
        }
    }

    /// Checks every signature, and that each key belongs to its address.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self) -> Result<(), Forged> {
        let raw = &self.raw;
        match &self.authenticator {
            Authenticator::Ed25519 { key, signature } => ed25519(
                raw.sender,
                ed25519_address(key),
                key,
                signature,
                &raw.message(),
            ),
            Authenticator::MultiEd25519 { .. } => Err(Forged::Unsupported("multi-Ed25519 keys")),
            Authenticator::SingleSender(sender) => check(raw.sender, sender, &raw.message()),
            Authenticator::MultiAgent {
                sender,
                secondary_addresses,
                secondary,
            } => {
                distinct(raw.sender, secondary_addresses, secondary)?;
                let message = raw.message_with(secondary_addresses, None);
                all(raw.sender, sender, secondary_addresses, secondary, &message)
            }
            Authenticator::FeePayer {
                sender,
                secondary_addresses,
                secondary,
                fee_payer_address,
                fee_payer,
            } => {
                distinct(raw.sender, secondary_addresses, secondary)?;
                let message = raw.message_with(secondary_addresses, Some(*fee_payer_address));
                check(*fee_payer_address, fee_payer, &message)?;
                // The others may have signed before it was known who pays; they then signed for 0x0.
                let unknown = raw.message_with(secondary_addresses, Some(Address::default()));
                all(raw.sender, sender, secondary_addresses, secondary, &message)
                    .or_else(|_| all(raw.sender, sender, secondary_addresses, secondary, &unknown))
            }
        }
    }
}

fn distinct(
    sender: Address,
    addresses: &[Address],
    signers: &[AccountAuthenticator],
) -> Result<(), Forged> {
    if addresses.len() != signers.len() {
        return Err(Forged::CountMismatch);
    }
    let mut seen = vec![sender];
    for address in addresses {
        if seen.contains(address) {
            return Err(Forged::Duplicates);
        }
        seen.push(*address);
    }
    Ok(())
}

fn all(
    sender: Address,
    authenticator: &AccountAuthenticator,
    addresses: &[Address],
    signers: &[AccountAuthenticator],
    message: &[u8],
) -> Result<(), Forged> {
    check(sender, authenticator, message)?;
    for (address, signer) in addresses.iter().zip(signers) {
        check(*address, signer, message)?;
    }
    Ok(())
}

fn check(address: Address, signer: &AccountAuthenticator, message: &[u8]) -> Result<(), Forged> {
    match signer {
        AccountAuthenticator::Ed25519 { key, signature } => {
            ed25519(address, ed25519_address(key), key, signature, message)
        }
        AccountAuthenticator::SingleKey {
            key: any @ AnyPublicKey::Ed25519(key),
            signature: AnySignature::Ed25519(signature),
        } => {
            const SCHEME: u8 = 2;
            let own = sha3(&[&bcs::to_bytes(any).unwrap_or_default(), &[SCHEME]]);
            ed25519(address, Address(own), key, signature, message)
        }
        AccountAuthenticator::SingleKey { .. } => Err(Forged::Unsupported("secp256k1 keys")),
        AccountAuthenticator::MultiEd25519 { .. } => Err(Forged::Unsupported("multi-Ed25519 keys")),
        AccountAuthenticator::MultiKey { .. } => Err(Forged::Unsupported("multi-key accounts")),
        AccountAuthenticator::None => Err(Forged::InvalidSignature),
    }
}

fn ed25519(
    address: Address,
    own: Address,
    key: &[u8],
    signature: &[u8],
    message: &[u8],
) -> Result<(), Forged> {
    let key: [u8; 32] = key.try_into().map_err(|_| Forged::InvalidSignature)?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| Forged::InvalidSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_| Forged::InvalidSignature)?;
    key.verify_strict(message, &signature)
        .map_err(|_| Forged::InvalidSignature)?;
    if address == own {
        Ok(())
    } else {
        Err(Forged::InvalidAuthKey)
    }
}
