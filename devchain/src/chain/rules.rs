//! What makes a transaction acceptable, and the words and numbers of Aptos for what does not.

use super::{Chain, Replay};
use crate::CHAIN_ID;
use crate::transaction::{Forged, SignedTransaction};
use crate::vm::Status;

/// Of the VM's gas make one unit as clients count it, so that usual limits of clients have the usual meaning.
pub const GAS_UNIT: u64 = 100;
/// A transaction may not ask for more gas.
pub const MAX_GAS: u64 = 2_000_000;
/// The price of gas per unit is between these, in octas.
pub const MIN_GAS_PRICE: u64 = 100;
pub const MAX_GAS_PRICE: u64 = 10_000_000_000;
/// Less gas is not enough for any transaction.
const MIN_GAS: u64 = 2;
/// A transaction's bytes.
const MAX_BYTES: usize = 64 * 1024;
/// How far ahead an orderless transaction may expire, in seconds.
const ORDERLESS_AHEAD_S: u64 = 100;
/// Waiting transactions of one sender, with numbers and without, and of all.
const NUMBERED_PER_SENDER: usize = 100;
const ORDERLESS_PER_SENDER: usize = 1_000;
const WAITING_LIMIT: usize = 20_000;

/// Why a request is refused, in Aptos's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
    pub code: &'static str,
    pub vm_code: Option<u64>,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            code,
            vm_code: None,
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_input", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "internal_error", message)
    }

    fn vm(name: &str, number: u64) -> Self {
        Self {
            status: 400,
            message: format!("Invalid transaction: Type: Validation Code: {name}"),
            code: "vm_error",
            vm_code: Some(number),
        }
    }
}

impl From<Forged> for Refusal {
    fn from(forged: Forged) -> Self {
        match forged {
            Forged::InvalidSignature => Self::vm("INVALID_SIGNATURE", 1),
            Forged::InvalidAuthKey => Self::vm("INVALID_AUTH_KEY", 2),
            Forged::CountMismatch => Self::vm("SECONDARY_KEYS_ADDRESSES_COUNT_MISMATCH", 27),
            Forged::Duplicates => Self::vm("SIGNERS_CONTAIN_DUPLICATES", 28),
            Forged::Unsupported(what) => {
                Self::invalid(format!("the development chain does not know {what}"))
            }
        }
    }
}

/// Aptos's words for how a call ended.
pub fn words(status: &Status) -> String {
    match status {
        Status::Aborted { location, code } => {
            // The VM writes the address of the module with all its digits.
            let location = match location.split_once("::") {
                Some((address, name)) => match address.parse::<crate::types::Address>() {
                    Ok(address) => format!("{address}::{name}"),
                    Err(_) => location.clone(),
                },
                None => location.clone(),
            };
            format!("Move abort in {location}: {code:#x}")
        }
        Status::OutOfGas => "Out of gas".into(),
        Status::Other(words) => words.clone(),
    }
}

impl Chain {
    /// Everything but the signatures.
    pub(super) fn admit(&self, transaction: &SignedTransaction) -> Result<(), Refusal> {
        let raw = &transaction.raw;
        if raw.entry_function().is_none() {
            return Err(Refusal::invalid(
                "the development chain runs entry functions only: no scripts, no multisig accounts",
            ));
        }
        if transaction.bytes().len() > MAX_BYTES {
            return Err(Refusal::vm("EXCEEDED_MAX_TRANSACTION_SIZE", 10));
        }
        if raw.chain_id != CHAIN_ID {
            return Err(Refusal::vm("BAD_CHAIN_ID", 23));
        }
        if raw.max_gas_amount > MAX_GAS {
            return Err(Refusal::vm("MAX_GAS_UNITS_EXCEEDS_MAX_GAS_UNITS_BOUND", 13));
        }
        if raw.max_gas_amount < MIN_GAS {
            return Err(Refusal::vm(
                "MAX_GAS_UNITS_BELOW_MIN_TRANSACTION_GAS_UNITS",
                14,
            ));
        }
        if raw.gas_unit_price < MIN_GAS_PRICE {
            return Err(Refusal::vm("GAS_UNIT_PRICE_BELOW_MIN_BOUND", 15));
        }
        if raw.gas_unit_price > MAX_GAS_PRICE {
            return Err(Refusal::vm("GAS_UNIT_PRICE_ABOVE_MAX_BOUND", 16));
        }
        let now = self.head.micros / 1_000_000;
        if raw.expiration_timestamp_secs <= now {
            return Err(Refusal::vm("TRANSACTION_EXPIRED", 6));
        }
        match raw.replay() {
            Replay::Sequence(number) => {
                if number < self.sequence_number(raw.sender) {
                    return Err(Refusal::vm("SEQUENCE_NUMBER_TOO_OLD", 3));
                }
                if number == u64::MAX {
                    return Err(Refusal::vm("SEQUENCE_NUMBER_TOO_BIG", 24));
                }
            }
            Replay::Nonce(nonce) => {
                // Its sequence number says nothing: clients write different ones there.
                let used = self.nonces.contains_key(&(raw.sender, nonce));
                if used || raw.expiration_timestamp_secs > now + ORDERLESS_AHEAD_S {
                    return Err(Refusal::vm("SEQUENCE_NONCE_INVALID", 29));
                }
            }
        }
        self.room(transaction)
    }

    /// The mempool has room, and nothing else of the same sender with the same number or nonce.
    fn room(&self, transaction: &SignedTransaction) -> Result<(), Refusal> {
        let raw = &transaction.raw;
        let replay = raw.replay();
        if let Some(waiting) = self.slots.get(&(raw.sender, replay))
            && *waiting != transaction.hash()
        {
            return Err(Refusal::new(
                400,
                "invalid_transaction_update",
                "another transaction of this sender with the same sequence number or nonce is waiting",
            ));
        }
        let between = |first, last| {
            self.slots
                .range((raw.sender, first)..=(raw.sender, last))
                .count()
        };
        let full = match replay {
            Replay::Sequence(_) => {
                between(Replay::Sequence(0), Replay::Sequence(u64::MAX)) >= NUMBERED_PER_SENDER
            }
            Replay::Nonce(_) => {
                between(Replay::Nonce(0), Replay::Nonce(u64::MAX)) >= ORDERLESS_PER_SENDER
            }
        };
        if full || self.waiting.len() >= WAITING_LIMIT {
            return Err(Refusal::new(507, "mempool_is_full", "Mempool is full"));
        }
        Ok(())
    }
}
