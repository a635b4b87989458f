//! The port, asked and answered in Aptos's words.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use kernel::{Amount, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use settlement::chain::{
    Balances, Chain, Channel, Deed, Events, Head, Order, Signed, Submitted, Supply, Unsigned,
};
use settlement::outgoing::{Presence, Sender, Sighting};
use settlement::report::Heading;
use settlement::{Address, ChainError, Code, Digest, Week};

use crate::answer::{self, Account, GasPrice, Ledger, Module, Transaction, to_amount};
use crate::bytes::{self, EntryFunction, ORDERLESS, Payload, Raw};
use crate::call;
use crate::rest::{At, Body, Rest, short};
use crate::settings::{Replay, Settings, address_of};

const FEE_COIN: &str = "0x1::aptos_coin::AptosCoin";
/// The contract's `escrow::E_NO_CHANNEL`.
const NO_CHANNEL: u64 = 5;
/// What the chain says of a transaction that it had before.
const HAD_BEFORE: [&str; 4] = [
    "SEQUENCE_NUMBER_TOO_OLD",
    "SEQUENCE_NONCE_INVALID",
    "NONCE_ALREADY_USED",
    "already in mempool",
];

/// A network of Aptos with our contract on it.
pub struct Aptos {
    pub(crate) settings: Settings,
    pub(crate) rest: Rest,
    keys: BTreeMap<Address, SigningKey>,
}

/// What is signed but for the gas.
pub(crate) struct Draft {
    pub sender: Address,
    pub function: EntryFunction,
    pub random: [u8; 8],
}

fn secs(at: Timestamp) -> u64 {
    u64::try_from(at.millis().div_euclid(1_000)).unwrap_or(0)
}

fn text(values: &[Value], at: usize) -> Result<&str, ChainError> {
    values
        .get(at)
        .and_then(Value::as_str)
        .ok_or_else(|| ChainError::Answer("a view told less than it should".into()))
}

fn whole(values: &[Value], at: usize) -> Result<u64, ChainError> {
    text(values, at)?
        .parse()
        .map_err(|_| ChainError::Answer("a view told no whole number".into()))
}

fn parsed<T: std::str::FromStr>(values: &[Value], at: usize) -> Result<T, ChainError> {
    text(values, at)?
        .parse()
        .map_err(|_| ChainError::Answer("a view told no address or hash".into()))
}

impl Aptos {
    pub(crate) fn new(settings: Settings) -> Result<Self, ChainError> {
        let keys = settings.settlers.iter().chain(&settings.reporter);
        let keys = keys.map(|key| (address_of(key), key.clone())).collect();
        if matches!(settings.replay, Replay::Nonces { .. }) && settings.valid_for.as_secs() > 60 {
            return Err(ChainError::Configuration(
                "with nonces, the chain takes no transaction that is valid for more than 60 s"
                    .into(),
            ));
        }
        Ok(Self {
            rest: Rest::new(&settings)?,
            settings,
            keys,
        })
    }

    pub(crate) fn settlers(&self) -> impl Iterator<Item = Address> + '_ {
        self.settings.settlers.iter().map(address_of)
    }

    pub(crate) fn reporting(&self) -> Option<Address> {
        let first = self.settings.settlers.first();
        self.settings.reporter.as_ref().or(first).map(address_of)
    }

    pub(crate) async fn ledger(&self) -> Result<Ledger, ChainError> {
        self.rest.get("/").await
    }

    /// A view of the contract.
    pub(crate) async fn view(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<Vec<Value>, ChainError> {
        Ok(self.view_at(name, arguments).await?.0)
    }

    /// The same, and the version of the ledger that it was asked of, if the node says it.
    async fn view_at(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<(Vec<Value>, Option<u64>), ChainError> {
        let body = json!({
            "function": format!("{}::{name}", self.settings.contract),
            "type_arguments": [],
            "arguments": arguments,
        });
        let answer = self.rest.ask("/view", Body::Json(&body)).await?;
        if answer.status.is_success() {
            return Ok((answer.read()?, answer.at.and_then(|at| at.version)));
        }
        let problem = answer.problem();
        let code = answer::abort_code(&problem.message);
        if code.is_none() {
            return Err(answer.not_understood());
        }
        Err(ChainError::WouldFail {
            code,
            why: short(&problem.message),
        })
    }

    pub(crate) async fn view_number(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<u64, ChainError> {
        whole(&self.view(name, arguments).await?, 0)
    }

    async fn view_amount(&self, name: &str, arguments: Value) -> Result<Amount, ChainError> {
        to_amount(self.view_number(name, arguments).await?)
    }

    /// What an address holds of a coin; nothing, if the chain never heard of it.
    async fn balance(&self, of: Address, coin: &str) -> Result<u64, ChainError> {
        let path = format!("/accounts/{of}/balance/{coin}");
        let answer = self.rest.ask(&path, Body::None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(0);
        }
        answer.read()
    }

    async fn price(&self) -> Result<(u64, At), ChainError> {
        let answer = self.rest.ask("/estimate_gas_price", Body::None).await?;
        let price: GasPrice = answer.read()?;
        let at = answer.at.ok_or_else(no_time)?;
        Ok((price.gas_estimate, at))
    }

    async fn account(&self, address: Address) -> Result<Option<Account>, ChainError> {
        let path = format!("/accounts/{address}");
        let answer = self.rest.ask(&path, Body::None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.read().map(Some)
    }

    /// Tries it, and sets the gas by what that used. `trial` makes of the raw bytes what the trial run wants.
    pub(crate) async fn plan(
        &self,
        draft: Draft,
        trial: impl Fn(&[u8]) -> Vec<u8> + Send + Sync,
    ) -> Result<Raw, ChainError> {
        let (price, at) = self.price().await?;
        let (number, nonce) = match self.settings.replay {
            Replay::Nonces { .. } => (ORDERLESS, Some(u64::from_le_bytes(draft.random))),
            Replay::Numbers => {
                let account = self.account(draft.sender).await?;
                (account.map_or(0, |account| account.sequence_number), None)
            }
        };
        let mut raw = Raw {
            sender: *draft.sender.as_bytes(),
            number,
            payload: Payload::new(draft.function, nonce),
            gas_units: self.settings.ceiling.units,
            gas_price: price,
            expires: secs(at.ledger_at).saturating_add(self.settings.valid_for.as_secs()),
            chain: self.settings.chain,
        };
        // Before the trial run: above the price it is of no use.
        self.settings.ceiling.admit(0, price)?;
        let used = self.try_run(&trial(&encoded(&raw)?)).await?;
        let gas = self.settings.ceiling.admit(used, price)?;
        raw.gas_units = gas.units;
        Ok(raw)
    }

    async fn try_run(&self, unsigned: &[u8]) -> Result<u64, ChainError> {
        let answer = self
            .rest
            .ask("/transactions/simulate", Body::Signed(unsigned))
            .await?;
        if !answer.status.is_success() {
            return Err(ChainError::WouldFail {
                code: None,
                why: short(&answer.problem().message),
            });
        }
        let tried: Vec<Transaction> = answer.read()?;
        let tried = tried
            .first()
            .ok_or_else(|| ChainError::Answer("a trial run without a result".into()))?;
        let landing = tried.landing()?;
        if !landing.success {
            return Err(ChainError::WouldFail {
                code: answer::abort_code(&landing.status),
                why: landing.status,
            });
        }
        Ok(landing.gas_used)
    }
}

/// A transaction that is ready, as the port wants it.
pub(crate) fn finished(raw: &Raw, bytes: Vec<u8>) -> Signed {
    Signed {
        hash: bytes::hash(&bytes),
        bytes,
        sender: Address::from_bytes(raw.sender),
        expires_at: answer::seconds(raw.expires),
        fee_max: raw.gas_units.saturating_mul(raw.gas_price),
    }
}

fn no_time() -> ChainError {
    ChainError::Answer("an answer without X-Aptos-Ledger-TimestampUsec".into())
}

pub(crate) fn encoded(raw: &Raw) -> Result<Vec<u8>, ChainError> {
    raw.to_bytes()
        .map_err(|error| ChainError::NotOurs(error.to_string()))
}

#[async_trait]
impl Chain for Aptos {
    fn number(&self) -> u8 {
        self.settings.chain
    }

    fn contract(&self) -> Address {
        self.settings.contract
    }

    fn senders(&self) -> Vec<Sender> {
        let most = match self.settings.replay {
            Replay::Nonces { most } => most,
            Replay::Numbers => 1,
        };
        self.settlers()
            .map(|address| Sender { address, most })
            .collect()
    }

    fn reporter(&self) -> Option<Address> {
        self.reporting()
    }

    async fn head(&self) -> Result<Head, ChainError> {
        let ledger = self.ledger().await?;
        if ledger.chain_id != self.settings.chain {
            return Err(ChainError::WrongChain {
                expected: self.settings.chain,
                got: ledger.chain_id,
            });
        }
        let millis = i64::try_from(ledger.micros.div_euclid(1_000));
        Ok(Head {
            version: ledger.version,
            oldest: ledger.oldest,
            at: Timestamp::from_millis(millis.unwrap_or(i64::MAX)),
        })
    }

    async fn prepare(
        &self,
        order: Order<'_>,
        sender: Address,
        random: [u8; 8],
    ) -> Result<Signed, ChainError> {
        let key = self.keys.get(&sender).ok_or_else(|| {
            ChainError::Configuration(format!("the secret key of {sender} is not configured"))
        })?;
        let draft = Draft {
            sender,
            function: call::of_order(self.settings.contract, order)?,
            random,
        };
        let raw = self.plan(draft, |raw| bytes::unsigned(raw, key)).await?;
        let signed = bytes::signed(&encoded(&raw)?, key);
        Ok(finished(&raw, signed))
    }

    async fn submit(&self, signed: &[u8]) -> Result<Submitted, ChainError> {
        let answer = self.rest.ask("/transactions", Body::Signed(signed)).await?;
        if answer.status.is_success() {
            return Ok(Submitted::Accepted);
        }
        let message = answer.problem().message;
        if HAD_BEFORE.iter().any(|words| message.contains(words)) {
            return Ok(Submitted::Known);
        }
        Err(ChainError::Refused(short(&message)))
    }

    async fn look_up(&self, hash: Digest) -> Result<Sighting, ChainError> {
        let path = format!("/transactions/by_hash/{hash}");
        let answer = self.rest.ask(&path, Body::None).await?;
        // Only Aptos's own word for it counts: a page of some proxy would otherwise prove absence.
        let unknown = answer.status == StatusCode::NOT_FOUND
            && answer.problem().error_code == "transaction_not_found";
        let presence = if unknown {
            Presence::Unknown
        } else {
            let found: Transaction = answer.read()?;
            if found.hash != hash {
                return Err(ChainError::Answer(
                    "another transaction than was asked for".into(),
                ));
            }
            found.presence()?
        };
        let at = answer.at.ok_or_else(no_time)?;
        Ok(Sighting {
            ledger_at: at.ledger_at,
            presence,
        })
    }

    async fn events(&self, from: u64, versions_max: u16) -> Result<Events, ChainError> {
        let head = self.head().await?;
        let mut told = Events {
            events: Vec::new(),
            next: from,
            head,
        };
        if from > head.version {
            return Ok(told);
        }
        let path = format!("/transactions?start={from}&limit={}", versions_max.max(1));
        let answer = self.rest.ask(&path, Body::None).await?;
        if answer.status == StatusCode::GONE || from < head.oldest {
            return Err(ChainError::Pruned(from));
        }
        let page: Vec<Transaction> = answer.read()?;
        for transaction in page {
            // A gap would be events that nobody ever reads.
            if transaction.version()? != told.next {
                return Err(ChainError::Answer(format!(
                    "version {} is missing",
                    told.next
                )));
            }
            told.events
                .extend(transaction.events(self.settings.contract)?);
            told.next = told.next.saturating_add(1);
        }
        Ok(told)
    }

    async fn balances(&self) -> Result<Balances, ChainError> {
        let before = self.head().await?.version;
        let (seen, at) = self.view_at("settlement::vault_balance", json!([])).await?;
        let (vault, version) = (to_amount(whole(&seen, 0)?)?, at.unwrap_or(before));
        let mut fees = Vec::new();
        let payer = self.settings.fee_payer.as_ref().map(address_of);
        let accounts: std::collections::BTreeSet<Address> =
            self.keys.keys().copied().chain(payer).collect();
        for account in accounts {
            fees.push((account, self.balance(account, FEE_COIN).await?));
        }
        Ok(Balances {
            vault,
            fees,
            version,
        })
    }

    async fn supply(&self) -> Result<Supply, ChainError> {
        Ok(Supply {
            supply: self.view_amount("token::supply", json!([])).await?,
            cap: self.view_amount("token::cap", json!([])).await?,
            circulating: self.view_amount("token::circulating", json!([])).await?,
        })
    }

    async fn code(&self) -> Result<Code, ChainError> {
        let path = format!("/accounts/{}/modules", self.settings.contract);
        let published: Vec<Module> = self.rest.get(&path).await?;
        let mut modules = Vec::new();
        for module in &published {
            modules.push((module.abi.name.as_str(), module.bytes()?));
        }
        let parts = modules
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()));
        Code::of(parts, self.settings.contract)
            .map_err(|error| ChainError::Answer(error.to_string()))
    }

    async fn holding(&self, of: Address) -> Result<Amount, ChainError> {
        let seen = self.view("token::metadata", json!([])).await?;
        let asset = seen
            .first()
            .and_then(|object| object.get("inner"))
            .and_then(Value::as_str)
            .ok_or_else(|| ChainError::Answer("the token has no metadata".into()))?;
        to_amount(self.balance(of, asset).await?)
    }

    async fn is_settled(&self, batch: Digest) -> Result<bool, ChainError> {
        let seen = self
            .view("settlement::settled", json!([batch.to_string()]))
            .await?;
        seen.first()
            .and_then(Value::as_bool)
            .ok_or_else(|| ChainError::Answer("a view told neither true nor false".into()))
    }

    async fn report(
        &self,
        week: Week,
        version: Option<u64>,
    ) -> Result<Option<Heading>, ChainError> {
        let day = week.day().to_string();
        let latest = self.view_number("reports::latest", json!([day])).await?;
        let version = version.unwrap_or(latest);
        if version == 0 || version > latest {
            return Ok(None);
        }
        let seen = self
            .view("reports::report", json!([day, version.to_string()]))
            .await?;
        Ok(Some(Heading {
            week,
            version,
            root: parsed(&seen, 0)?,
            total: to_amount(whole(&seen, 1)?)?,
            owners: whole(&seen, 2)?,
        }))
    }

    async fn vault(&self) -> Result<Address, ChainError> {
        parsed(&self.view("settlement::vault_address", json!([])).await?, 0)
    }

    async fn channel_address(&self, renter: Address, number: u64) -> Result<Address, ChainError> {
        let arguments = json!([renter.to_string(), number.to_string()]);
        parsed(&self.view("escrow::channel_address", arguments).await?, 0)
    }

    async fn channel(&self, channel: Address) -> Result<Option<Channel>, ChainError> {
        let name = json!([channel.to_string()]);
        let seen = match self.view("escrow::channel", name.clone()).await {
            Err(ChainError::WouldFail {
                code: Some(NO_CHANNEL),
                ..
            }) => return Ok(None),
            seen => seen?,
        };
        let key = self.view("escrow::voucher_key", name.clone()).await?;
        let closed = self.view("escrow::closed", name).await?;
        let until = whole(&seen, 2)?;
        Ok(Some(Channel {
            renter: parsed(&seen, 0)?,
            voucher_key: *parsed::<Digest>(&key, 0)?.as_bytes(),
            balance: to_amount(whole(&seen, 1)?)?,
            is_closed: closed.first().and_then(Value::as_bool).unwrap_or(false),
            closing_until: (until > 0).then(|| answer::seconds(until)),
        }))
    }

    async fn redeemed(&self, channel: Address, payee: Address) -> Result<Amount, ChainError> {
        let arguments = json!([channel.to_string(), payee.to_string()]);
        self.view_amount("escrow::redeemed", arguments).await
    }

    async fn key_of(&self, address: Address) -> Result<Option<Digest>, ChainError> {
        let account = self.account(address).await?;
        Ok(account.map(|account| account.authentication_key))
    }

    async fn propose(
        &self,
        person: Address,
        deed: &Deed,
        random: [u8; 8],
    ) -> Result<Unsigned, ChainError> {
        self.propose_deed(person, deed, random).await
    }

    fn sponsor(&self, unsigned: &[u8], wallet: &[u8]) -> Result<Signed, ChainError> {
        self.sponsor_deed(unsigned, wallet)
    }
}
