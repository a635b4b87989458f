//! What the node says, as what it means: transactions, events, why something failed.

use kernel::{Amount, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use settlement::chain::{Event, EventKind};
use settlement::outgoing::{Landing, Presence};
use settlement::report::Heading;
use settlement::{Address, ChainError, Digest, Tag, Week};

use crate::rest::short;

/// Whole numbers come as texts, because JavaScript's lose units past 2^53.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    to_amount(number(deserializer)?).map_err(de::Error::custom)
}

/// A number that somebody wrote and no money moved for: beyond all IO it is as much as all of it, and differs from what was
/// planned. Refused, it would stop all that comes after it.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    Ok(to_amount(number(deserializer)?).unwrap_or(Amount::MAX))
}

pub fn to_amount(units: u64) -> Result<Amount, ChainError> {
    i64::try_from(units)
        .ok()
        .and_then(|base| Amount::try_from_base(base).ok())
        .ok_or_else(|| ChainError::Answer(format!("{units} base units are more than all IO")))
}

fn blob<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(de::Error::custom)
}

fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let bytes = blob(deserializer)?;
    bytes
        .try_into()
        .map_err(|_| de::Error::custom("a key is 32 bytes"))
}

fn tag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tag>, D::Error> {
    Ok(Tag::try_from(blob(deserializer)?.as_slice()).ok())
}

/// Seconds since 1970 as the contract writes them.
pub fn seconds(seconds: u64) -> Timestamp {
    let millis = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis.saturating_mul(1_000))
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Ok(seconds(number(deserializer)?))
}

fn monday<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Week, D::Error> {
    Week::try_new(number(deserializer)?).map_err(de::Error::custom)
}

#[derive(Debug, Deserialize)]
pub struct Ledger {
    pub chain_id: u8,
    #[serde(rename = "ledger_version", deserialize_with = "number")]
    pub version: u64,
    #[serde(rename = "oldest_ledger_version", deserialize_with = "number")]
    pub oldest: u64,
    /// Since 1970.
    #[serde(rename = "ledger_timestamp", deserialize_with = "number")]
    pub micros: u64,
}

#[derive(Debug, Deserialize)]
pub struct GasPrice {
    pub gas_estimate: u64,
}

#[derive(Debug, Deserialize)]
pub struct Account {
    #[serde(deserialize_with = "number")]
    pub sequence_number: u64,
    pub authentication_key: Digest,
}

/// A published module.
#[derive(Debug, Deserialize)]
pub struct Module {
    bytecode: String,
    pub abi: Abi,
}

#[derive(Debug, Deserialize)]
pub struct Abi {
    pub name: String,
}

impl Module {
    pub fn bytes(&self) -> Result<Vec<u8>, ChainError> {
        let digits = self.bytecode.strip_prefix("0x").unwrap_or(&self.bytecode);
        hex::decode(digits).map_err(|_| {
            ChainError::Answer(format!("module {} is no bytecode", short(&self.abi.name)))
        })
    }
}

/// Of any kind: those that nobody sent have no events of ours.
#[derive(Debug, Deserialize)]
pub struct Transaction {
    #[serde(rename = "type")]
    kind: String,
    pub hash: Digest,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    success: bool,
    #[serde(default)]
    vm_status: String,
    #[serde(default)]
    gas_used: Option<String>,
    /// Microseconds since 1970.
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    events: Vec<Told>,
}

#[derive(Debug, Deserialize)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
}

fn read_number(text: Option<&String>, what: &str) -> Result<u64, ChainError> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| ChainError::Answer(format!("a transaction without its {what}")))
}

impl Transaction {
    pub fn version(&self) -> Result<u64, ChainError> {
        read_number(self.version.as_ref(), "version")
    }

    pub fn presence(&self) -> Result<Presence, ChainError> {
        if self.kind == "pending_transaction" {
            return Ok(Presence::Pending);
        }
        Ok(Presence::Landed(self.landing()?))
    }

    pub fn landing(&self) -> Result<Landing, ChainError> {
        Ok(Landing {
            version: self.version()?,
            success: self.success,
            status: short(&self.vm_status),
            gas_used: read_number(self.gas_used.as_ref(), "gas")?,
        })
    }

    /// The contract's events in it. What cannot be read is an error: skipped, it would be money that nobody saw.
    pub fn events(&self, contract: Address) -> Result<Vec<Event>, ChainError> {
        let mut events = Vec::new();
        if !self.success {
            return Ok(events);
        }
        for (told, index) in self.events.iter().zip(0_u64..) {
            let Some(kind) = told.read(contract)? else {
                continue;
            };
            let micros = read_number(self.timestamp.as_ref(), "time")?;
            let millis = i64::try_from(micros.div_euclid(1_000)).unwrap_or(i64::MAX);
            events.push(Event {
                version: self.version()?,
                index,
                transaction: self.hash,
                at: Timestamp::from_millis(millis),
                kind,
            });
        }
        Ok(events)
    }
}

#[derive(Deserialize)]
struct Deposited {
    from: Address,
    #[serde(deserialize_with = "tag")]
    tag: Option<Tag>,
    #[serde(deserialize_with = "amount")]
    amount: Amount,
}

#[derive(Deserialize)]
struct Paid {
    batch: Digest,
    #[serde(deserialize_with = "number")]
    line: u64,
    payee: Address,
    #[serde(deserialize_with = "amount")]
    amount: Amount,
}

#[derive(Deserialize)]
struct Skipped {
    batch: Digest,
    #[serde(deserialize_with = "number")]
    line: u64,
    payee: Address,
    #[serde(deserialize_with = "said")]
    amount: Amount,
    #[serde(deserialize_with = "number")]
    reason: u64,
}

#[derive(Deserialize)]
struct Settled {
    batch: Digest,
    #[serde(deserialize_with = "number")]
    paid: u64,
    #[serde(deserialize_with = "number")]
    skipped: u64,
    #[serde(deserialize_with = "amount")]
    total: Amount,
}

#[derive(Deserialize)]
struct Published {
    #[serde(deserialize_with = "monday")]
    week: Week,
    #[serde(deserialize_with = "number")]
    version: u64,
    root: Digest,
    #[serde(deserialize_with = "said")]
    total: Amount,
    #[serde(deserialize_with = "number")]
    owners: u64,
}

#[derive(Deserialize)]
struct Opened {
    channel: Address,
    renter: Address,
    #[serde(deserialize_with = "number")]
    number: u64,
    #[serde(deserialize_with = "key")]
    voucher_key: [u8; 32],
    #[serde(deserialize_with = "amount")]
    amount: Amount,
}

#[derive(Deserialize)]
struct ToppedUp {
    channel: Address,
    renter: Address,
    #[serde(deserialize_with = "amount")]
    amount: Amount,
}

#[derive(Deserialize)]
struct Redeemed {
    channel: Address,
    payee: Address,
    #[serde(deserialize_with = "amount")]
    cumulative: Amount,
    #[serde(deserialize_with = "amount")]
    paid: Amount,
}

#[derive(Deserialize)]
struct Closing {
    channel: Address,
    renter: Address,
    #[serde(deserialize_with = "moment")]
    until: Timestamp,
}

#[derive(Deserialize)]
struct Closed {
    channel: Address,
    renter: Address,
    #[serde(deserialize_with = "amount")]
    returned: Amount,
}

impl Told {
    /// `None` for what is not the contract's, and for what it tells of roles and upgrades.
    fn read(&self, contract: Address) -> Result<Option<EventKind>, ChainError> {
        let mut parts = self.kind.splitn(3, "::");
        let address = parts.next().and_then(|text| text.parse::<Address>().ok());
        if address != Some(contract) {
            return Ok(None);
        }
        let name = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let kind = match name {
            ("settlement", "Deposited") => {
                let Deposited { from, tag, amount } = self.data()?;
                EventKind::Deposited { from, tag, amount }
            }
            ("settlement", "Paid") => {
                let Paid {
                    batch,
                    line,
                    payee,
                    amount,
                } = self.data()?;
                EventKind::Paid {
                    batch,
                    line,
                    payee,
                    amount,
                }
            }
            ("settlement", "Skipped") => {
                let Skipped {
                    batch,
                    line,
                    payee,
                    amount,
                    reason,
                } = self.data()?;
                EventKind::Skipped {
                    batch,
                    line,
                    payee,
                    amount,
                    reason,
                }
            }
            ("settlement", "Settled") => {
                let Settled {
                    batch,
                    paid,
                    skipped,
                    total,
                } = self.data()?;
                EventKind::Settled {
                    batch,
                    paid,
                    skipped,
                    total,
                }
            }
            ("reports", "Published") => {
                let Published {
                    week,
                    version,
                    root,
                    total,
                    owners,
                } = self.data()?;
                EventKind::Published(Heading {
                    week,
                    version,
                    root,
                    total,
                    owners,
                })
            }
            ("escrow", "Opened") => {
                let Opened {
                    channel,
                    renter,
                    number,
                    voucher_key,
                    amount,
                } = self.data()?;
                EventKind::Opened {
                    channel,
                    renter,
                    number,
                    voucher_key,
                    amount,
                }
            }
            ("escrow", "ToppedUp") => {
                let ToppedUp {
                    channel,
                    renter,
                    amount,
                } = self.data()?;
                EventKind::ToppedUp {
                    channel,
                    renter,
                    amount,
                }
            }
            ("escrow", "Redeemed") => {
                let Redeemed {
                    channel,
                    payee,
                    cumulative,
                    paid,
                } = self.data()?;
                EventKind::Redeemed {
                    channel,
                    payee,
                    cumulative,
                    paid,
                }
            }
            ("escrow", "Closing") => {
                let Closing {
                    channel,
                    renter,
                    until,
                } = self.data()?;
                EventKind::Closing {
                    channel,
                    renter,
                    until,
                }
            }
            ("escrow", "Closed") => {
                let Closed {
                    channel,
                    renter,
                    returned,
                } = self.data()?;
                EventKind::Closed {
                    channel,
                    renter,
                    returned,
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(kind))
    }

    fn data<T: DeserializeOwned>(&self) -> Result<T, ChainError> {
        T::deserialize(&self.data).map_err(|error| {
            ChainError::Answer(format!(
                "the event {}: {}",
                self.kind,
                short(&error.to_string())
            ))
        })
    }
}

/// The contract's number out of the chain's words: `Move abort in 0x…::settlement: E_BATCH_KNOWN(0x8): …` as Aptos writes it with
/// names, `… : 0x8` as it does without.
pub fn abort_code(words: &str) -> Option<u64> {
    let (_, after) = words.split_once("Move abort in ")?;
    let digits = |text: &str| {
        let end = text
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(text.len());
        u64::from_str_radix(text.get(..end)?, 16).ok()
    };
    let named = after.split_once("(0x").and_then(|(_, rest)| digits(rest));
    named.or_else(|| after.split_once(": 0x").and_then(|(_, rest)| digits(rest)))
}
