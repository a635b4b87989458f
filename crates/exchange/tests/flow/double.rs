//! A chain for tests that forgets, delays, loses answers and fails.

mod acts;

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use kernel::{Amount, Timestamp};
use settlement::chain::{
    Balances, Channel, Deed, Event, EventKind, Events, Head, Order, Signed, Submitted, Supply,
    Unsigned,
};
use settlement::outgoing::{Landing, Presence, Sender};
use settlement::report::Heading;
use settlement::{Address, Batch, Chain, ChainError, Code, Digest, Sighting, Tag, Week};

pub use acts::{Act, Escrow};

pub fn io(base: i64) -> Amount {
    Amount::try_from_base(base).unwrap()
}

/// What the double does next, instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It takes the transaction, and the answer is lost.
    Answer,
    /// It says that it took it, and forgets it.
    Forget,
    /// It never hears of it.
    Away,
    /// It runs it, and it fails.
    Fail,
    /// It runs it late.
    Late,
    /// The next reading of events is refused.
    Events,
    /// A block is made between the reading of events and the question what the vault holds.
    Between,
}

impl Fault {
    /// Those that dice are thrown for; `Between` is made on purpose.
    pub const ALL: [Self; 6] = [
        Self::Answer,
        Self::Forget,
        Self::Away,
        Self::Fail,
        Self::Late,
        Self::Events,
    ];
}

/// Throws dice of any number of sides, the same ones for the same seed.
pub fn dice(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |sides| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    }
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub at: i64,
    pub vault: i64,
    /// By hash: what it does and its expiry.
    pub known: BTreeMap<[u8; 32], (Act, Timestamp)>,
    /// What was made for wallets and is not signed.
    pub proposed: BTreeMap<[u8; 32], (Act, Timestamp)>,
    /// Escrow channels by their address; what each payee has had.
    pub channels: BTreeMap<Address, Escrow>,
    pub redeemed: BTreeMap<(Address, Address), i64>,
    /// What came to each address, and what left it.
    pub wallets: BTreeMap<Address, i64>,
    pub pending: Vec<([u8; 32], u32)>,
    pub landed: BTreeMap<[u8; 32], Landing>,
    pub batches: Vec<Digest>,
    /// By week and version.
    pub reports: BTreeMap<(Week, u64), Heading>,
    pub events: Vec<Event>,
    pub version: u64,
    pub paid: BTreeMap<(Digest, u64), i64>,
    pub faults: Vec<Fault>,
    /// Which keys sign for addresses that changed theirs; absent: it does not answer.
    pub keys: Option<BTreeMap<Address, Digest>>,
    /// Addresses that cannot be paid.
    pub frozen: Vec<Address>,
    pub signed: u64,
    pub submissions: u64,
    /// Transactions that each of its two accounts may have under way.
    pub most: usize,
    /// Somebody published another code there.
    pub other_code: bool,
    /// The node is away.
    pub away: bool,
    /// The contract's guardian stopped it.
    pub paused: bool,
    looking: usize,
    /// The most look-ups that were under way at once.
    pub looking_most: usize,
}

impl Ledger {
    fn latest(&self, week: Week) -> u64 {
        let of_week = self.reports.keys().filter(|(one, _)| *one == week);
        of_week.map(|(_, version)| *version).max().unwrap_or(0)
    }
}

/// The chain itself; its state is open to tests.
pub struct Double(Mutex<Ledger>);

const START: i64 = 1_795_000_000_000;

impl Double {
    pub fn new() -> Self {
        let ledger = Ledger {
            at: START,
            most: 2,
            ..Ledger::default()
        };
        Self(Mutex::new(ledger))
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn event(ledger: &mut Ledger, transaction: Digest, index: u64, kind: EventKind) {
        let (version, at) = (ledger.version, Timestamp::from_millis(ledger.at));
        ledger.events.push(Event {
            version,
            index,
            transaction,
            at,
            kind,
        });
    }

    pub fn deposit(&self, tag: Option<Tag>, base: i64) -> Digest {
        self.with(|ledger| {
            ledger.version += 1;
            ledger.vault += base;
            let hash = Digest::of(&[b"deposit", &ledger.version.to_be_bytes()]);
            let (from, amount) = (Address::from_bytes([77; 32]), io(base));
            Self::event(ledger, hash, 1, EventKind::Deposited { from, tag, amount });
            hash
        })
    }

    /// A block after so many milliseconds.
    pub fn block(&self, millis: i64) {
        self.with(|ledger| {
            ledger.at += millis;
            let pending = std::mem::take(&mut ledger.pending);
            for (hash, wait) in pending {
                if wait > 0 {
                    ledger.pending.push((hash, wait - 1));
                    continue;
                }
                let (act, expires_at) = ledger.known[&hash].clone();
                if Timestamp::from_millis(ledger.at) > expires_at
                    || ledger.landed.contains_key(&hash)
                {
                    continue;
                }
                ledger.version += 1;
                let fails = ledger.faults.last() == Some(&Fault::Fail);
                if fails {
                    ledger.faults.pop();
                }
                let run = if fails {
                    Err("Out of gas")
                } else {
                    Self::run(ledger, Digest::from_bytes(hash), &act)
                };
                let success = run.is_ok();
                let landing = Landing {
                    version: ledger.version,
                    success,
                    status: run.err().unwrap_or("Executed").to_owned(),
                    gas_used: 7,
                };
                ledger.landed.insert(hash, landing);
            }
        });
    }

    /// A report that another one wrote.
    pub fn publish(&self, heading: Heading) {
        let done = self.alone(&Act::Publish(heading));
        assert_eq!(done, Ok(()));
    }

    fn apply(ledger: &mut Ledger, hash: Digest, batch: &Batch) {
        let id = batch.id();
        ledger.batches.push(id);
        let (mut paid, mut skipped, mut total) = (0, 0, Amount::ZERO);
        for (line, number) in batch.lines().iter().zip(0_u64..) {
            let (payee, amount) = (line.payee, line.amount);
            if ledger.frozen.contains(&payee) || ledger.vault < amount.base() {
                skipped += 1;
                let kind = EventKind::Skipped {
                    batch: id,
                    line: number,
                    payee,
                    amount,
                    reason: 2,
                };
                Self::event(ledger, hash, number, kind);
                continue;
            }
            ledger.vault -= amount.base();
            *ledger.paid.entry((id, number)).or_default() += amount.base();
            *ledger.wallets.entry(payee).or_default() += amount.base();
            (paid, total) = (paid + 1, total.checked_add(amount).unwrap());
            let kind = EventKind::Paid {
                batch: id,
                line: number,
                payee,
                amount,
            };
            Self::event(ledger, hash, number, kind);
        }
        let kind = EventKind::Settled {
            batch: id,
            paid,
            skipped,
            total,
        };
        Self::event(ledger, hash, u64::from(u32::MAX), kind);
    }

    fn away<T>() -> Result<T, ChainError> {
        Err(ChainError::Unreachable("cut".into()))
    }
}

#[async_trait]
impl Chain for Double {
    fn number(&self) -> u8 {
        4
    }

    fn contract(&self) -> Address {
        Address::from_bytes([9; 32])
    }

    fn senders(&self) -> Vec<Sender> {
        let most = self.with(|ledger| ledger.most);
        [1, 2]
            .map(|n| Sender {
                address: Address::from_bytes([n; 32]),
                most,
            })
            .into()
    }

    async fn head(&self) -> Result<Head, ChainError> {
        Ok(self.with(|ledger| Head {
            version: ledger.version,
            oldest: 0,
            at: Timestamp::from_millis(ledger.at),
        }))
    }

    async fn prepare(
        &self,
        order: Order<'_>,
        sender: Address,
        random: [u8; 8],
    ) -> Result<Signed, ChainError> {
        let act = match order {
            Order::Pay(batch) => Act::Pay(batch.clone()),
            Order::Redeem(voucher) => Act::Redeem(voucher.clone()),
            Order::Publish(heading) => Act::Publish(*heading),
        };
        if self.with(|ledger| ledger.paused) {
            return Err(ChainError::WouldFail {
                code: Some(1),
                why: "Move abort in roles: E_PAUSED".to_owned(),
            });
        }
        self.try_run(&act)?;
        Ok(self.with(|ledger| {
            ledger.signed += 1;
            let hash = Digest::of(&[sender.as_bytes(), &random, &ledger.signed.to_be_bytes()]);
            let expires_at = Timestamp::from_millis(ledger.at).plus_millis(60_000);
            ledger.known.insert(*hash.as_bytes(), (act, expires_at));
            Signed {
                bytes: hash.as_bytes().to_vec(),
                hash,
                sender,
                expires_at,
                fee_max: 1_000,
            }
        }))
    }

    async fn submit(&self, signed: &[u8]) -> Result<Submitted, ChainError> {
        let hash: [u8; 32] = signed.try_into().unwrap();
        self.with(|ledger| {
            ledger.submissions += 1;
            let known = ledger.pending.iter().any(|(one, _)| *one == hash)
                || ledger.landed.contains_key(&hash);
            if known {
                return Ok(Submitted::Known);
            }
            match ledger.faults.last().copied() {
                Some(Fault::Away) => {
                    ledger.faults.pop();
                    Self::away()
                }
                Some(Fault::Forget) => {
                    ledger.faults.pop();
                    Ok(Submitted::Accepted)
                }
                Some(Fault::Answer) => {
                    ledger.faults.pop();
                    ledger.pending.push((hash, 0));
                    Self::away()
                }
                Some(Fault::Late) => {
                    ledger.faults.pop();
                    ledger.pending.push((hash, 20));
                    Ok(Submitted::Accepted)
                }
                _ => {
                    ledger.pending.push((hash, 0));
                    Ok(Submitted::Accepted)
                }
            }
        })
    }

    async fn look_up(&self, hash: Digest) -> Result<Sighting, ChainError> {
        self.with(|ledger| {
            ledger.looking += 1;
            ledger.looking_most = ledger.looking_most.max(ledger.looking);
        });
        tokio::task::yield_now().await;
        Ok(self.with(|ledger| {
            ledger.looking -= 1;
            let hash = *hash.as_bytes();
            let presence = match ledger.landed.get(&hash) {
                Some(landing) => Presence::Landed(landing.clone()),
                None if ledger.pending.iter().any(|(one, _)| *one == hash) => Presence::Pending,
                None => Presence::Unknown,
            };
            Sighting {
                ledger_at: Timestamp::from_millis(ledger.at),
                presence,
            }
        }))
    }

    async fn events(&self, from: u64, versions_max: u16) -> Result<Events, ChainError> {
        self.with(|ledger| {
            if ledger.faults.last() == Some(&Fault::Events) {
                ledger.faults.pop();
                return Self::away();
            }
            let last = (from + u64::from(versions_max)).min(ledger.version + 1);
            let within = |event: &&Event| (from..last).contains(&event.version);
            Ok(Events {
                events: ledger.events.iter().filter(within).cloned().collect(),
                next: last.max(from),
                head: Head {
                    version: ledger.version,
                    oldest: 0,
                    at: Timestamp::from_millis(ledger.at),
                },
            })
        })
    }

    async fn balances(&self) -> Result<Balances, ChainError> {
        if self
            .with(|ledger| ledger.faults.pop_if(|next| *next == Fault::Between))
            .is_some()
        {
            self.block(10);
        }
        Ok(self.with(|ledger| Balances {
            vault: io(ledger.vault),
            fees: Vec::new(),
            version: ledger.version,
        }))
    }

    async fn supply(&self) -> Result<Supply, ChainError> {
        if self.with(|ledger| ledger.away) {
            return Self::away();
        }
        Ok(Supply {
            supply: io(9_000_000),
            cap: Amount::MAX,
            circulating: io(8_000_000),
        })
    }

    async fn code(&self) -> Result<Code, ChainError> {
        let code = if self.with(|ledger| ledger.other_code) {
            Code::of([], self.contract())
        } else {
            Code::built()
        };
        Ok(code.unwrap())
    }

    async fn holding(&self, _: Address) -> Result<Amount, ChainError> {
        Self::away()
    }

    async fn is_settled(&self, batch: Digest) -> Result<bool, ChainError> {
        Ok(self.with(|ledger| ledger.batches.contains(&batch)))
    }

    async fn report(
        &self,
        week: Week,
        version: Option<u64>,
    ) -> Result<Option<Heading>, ChainError> {
        Ok(self.with(|ledger| {
            let version = version.unwrap_or_else(|| ledger.latest(week));
            ledger.reports.get(&(week, version)).copied()
        }))
    }

    async fn vault(&self) -> Result<Address, ChainError> {
        Ok(acts::VAULT)
    }

    async fn channel_address(&self, renter: Address, number: u64) -> Result<Address, ChainError> {
        Ok(acts::channel_address(renter, number))
    }

    async fn channel(&self, channel: Address) -> Result<Option<Channel>, ChainError> {
        Ok(self.with(|ledger| ledger.channels.get(&channel).map(Escrow::told)))
    }

    async fn redeemed(&self, channel: Address, payee: Address) -> Result<Amount, ChainError> {
        Ok(self.with(|ledger| {
            let had = ledger.redeemed.get(&(channel, payee));
            io(had.copied().unwrap_or(0))
        }))
    }

    async fn key_of(&self, address: Address) -> Result<Option<Digest>, ChainError> {
        self.with(|ledger| match &ledger.keys {
            Some(keys) => Ok(keys.get(&address).copied()),
            None => Self::away(),
        })
    }

    async fn propose(
        &self,
        person: Address,
        deed: &Deed,
        random: [u8; 8],
    ) -> Result<Unsigned, ChainError> {
        let act = Act::Deed(person, deed.clone());
        self.try_run(&act)?;
        Ok(self.with(|ledger| {
            ledger.signed += 1;
            let hash = Digest::of(&[person.as_bytes(), &random, &ledger.signed.to_be_bytes()]);
            let expires_at = Timestamp::from_millis(ledger.at).plus_millis(60_000);
            ledger.proposed.insert(*hash.as_bytes(), (act, expires_at));
            Unsigned {
                bytes: hash.as_bytes().to_vec(),
                to_sign: hash.as_bytes().to_vec(),
                fee_payer: Address::from_bytes([3; 32]),
                expires_at,
            }
        }))
    }

    /// Here a wallet's signature is its address.
    fn sponsor(&self, unsigned: &[u8], wallet: &[u8]) -> Result<Signed, ChainError> {
        let hash: [u8; 32] = unsigned.try_into().unwrap();
        self.with(|ledger| {
            let (act, expires_at) = ledger.proposed[&hash].clone();
            let Act::Deed(person, _) = &act else {
                return Self::away();
            };
            let sender = *person;
            if wallet != sender.as_bytes() {
                return Err(ChainError::NotOurs("the signature does not fit".into()));
            }
            ledger.known.insert(hash, (act, expires_at));
            Ok(Signed {
                bytes: hash.to_vec(),
                hash: Digest::from_bytes(hash),
                sender,
                expires_at,
                fee_max: 1_000,
            })
        })
    }
}
