//! What goes out and comes in over a chain. The chain is a double that forgets, delays, loses answers and fails.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use exchange::{Actor, PayoutMove};
use kernel::{Amount, Timestamp};
use protocol::money::{DepositState, IncidentKind, PayoutState};
use settlement::chain::{
    Balances, Channel, Deed, Event, EventKind, Events, Head, Order, Signed, Submitted, Supply,
    Unsigned,
};
use settlement::outgoing::{Landing, Presence, Sender};
use settlement::report::Heading;
use settlement::{Address, Batch, Chain, ChainError, Digest, Sighting, Tag, Week};

use crate::world::{World, backends};

fn io(base: i64) -> Amount {
    Amount::try_from_base(base).unwrap()
}

/// What the double does next, instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
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
}

#[derive(Debug, Default)]
struct Ledger {
    at: i64,
    vault: i64,
    /// By hash: the batch and the expiry.
    known: BTreeMap<[u8; 32], (Batch, Timestamp)>,
    pending: Vec<([u8; 32], u32)>,
    landed: BTreeMap<[u8; 32], Landing>,
    batches: Vec<Digest>,
    events: Vec<Event>,
    version: u64,
    paid: BTreeMap<(Digest, u64), i64>,
    faults: Vec<Fault>,
    /// Addresses that cannot be paid.
    frozen: Vec<Address>,
    signed: u64,
    submissions: u64,
}

struct Double(Mutex<Ledger>);

const START: i64 = 1_795_000_000_000;

impl Double {
    fn new() -> Self {
        let ledger = Ledger {
            at: START,
            ..Ledger::default()
        };
        Self(Mutex::new(ledger))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
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

    fn deposit(&self, tag: Option<Tag>, base: i64) -> Digest {
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
    fn block(&self, millis: i64) {
        self.with(|ledger| {
            ledger.at += millis;
            let pending = std::mem::take(&mut ledger.pending);
            for (hash, wait) in pending {
                if wait > 0 {
                    ledger.pending.push((hash, wait - 1));
                    continue;
                }
                let (batch, expires_at) = ledger.known[&hash].clone();
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
                // As the contract: a batch is applied once.
                let success = !fails && !ledger.batches.contains(&batch.id());
                if success {
                    Self::apply(ledger, Digest::from_bytes(hash), &batch);
                }
                let landing = Landing {
                    version: ledger.version,
                    success,
                    status: if success { "Executed" } else { "Out of gas" }.to_owned(),
                    gas_used: 7,
                };
                ledger.landed.insert(hash, landing);
            }
        });
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
        let most = 2;
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
        let Order::Pay(batch) = order else {
            return Self::away();
        };
        Ok(self.with(|ledger| {
            ledger.signed += 1;
            let hash = Digest::of(&[batch.id().as_bytes(), &random, &ledger.signed.to_be_bytes()]);
            let expires_at = Timestamp::from_millis(ledger.at).plus_millis(60_000);
            ledger
                .known
                .insert(*hash.as_bytes(), (batch.clone(), expires_at));
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
        Ok(self.with(|ledger| {
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
        Ok(self.with(|ledger| Balances {
            vault: io(ledger.vault),
            fees: Vec::new(),
            version: ledger.version,
        }))
    }

    async fn supply(&self) -> Result<Supply, ChainError> {
        Self::away()
    }

    async fn holding(&self, _: Address) -> Result<Amount, ChainError> {
        Self::away()
    }

    async fn is_settled(&self, batch: Digest) -> Result<bool, ChainError> {
        Ok(self.with(|ledger| ledger.batches.contains(&batch)))
    }

    async fn report(&self, _: Week, _: Option<u64>) -> Result<Option<Heading>, ChainError> {
        Self::away()
    }

    async fn channel_address(&self, _: Address, _: u64) -> Result<Address, ChainError> {
        Self::away()
    }

    async fn channel(&self, _: Address) -> Result<Option<Channel>, ChainError> {
        Self::away()
    }

    async fn redeemed(&self, _: Address, _: Address) -> Result<Amount, ChainError> {
        Self::away()
    }

    async fn key_of(&self, _: Address) -> Result<Option<Digest>, ChainError> {
        Self::away()
    }

    async fn propose(&self, _: Address, _: &Deed, _: [u8; 8]) -> Result<Unsigned, ChainError> {
        Self::away()
    }

    fn sponsor(&self, _: &[u8], _: &[u8]) -> Result<Signed, ChainError> {
        Self::away()
    }
}

/// A round of both: the chain makes a block, the exchange looks. The chain may be away.
async fn round(world: &World, chain: &Double, millis: i64) {
    world.pass(millis);
    chain.block(millis);
    match world.exchange.settle(chain).await {
        Ok(()) | Err(exchange::Error::Chain(ChainError::Unreachable(_))) => {}
        Err(other) => panic!("{other}"),
    }
}

async fn in_order(world: &World, chain: &Double) {
    world.exchange.compare_vault(chain).await.unwrap();
    assert_eq!(world.sum_of_books().await, 0);
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
}

fn wallet(n: u64) -> String {
    format!("0x{:064x}", n + 1_000)
}

/// Somebody with so much to withdraw, which came in over the chain.
async fn owner(world: &World, chain: &Double, name: &str, base: i64) -> Actor {
    let owner = world.account(name, "0").await;
    chain.deposit(Some(Tag::of(owner.account)), base);
    round(world, chain, 1_000).await;
    world.make_withdrawable(&owner, base).await;
    owner
}

/// lago-api#5870: what came in over the chain is credited once, however often it is read and whoever dies.
#[tokio::test]
async fn fault_lago_5870_a_deposit_replayed_100_times_counts_once() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let chain = Double::new();
        let rita = world.account("rita", "0").await;
        let first = chain.deposit(Some(Tag::of(rita.account)), 500);
        for n in 0..100 {
            round(&world, &chain, 10).await;
            if n % 10 == 0 {
                world.crash().await;
            }
        }
        assert_eq!(world.available(&rita).await, 500);
        // Two processes read the same events.
        chain.deposit(Some(Tag::of(rita.account)), 7);
        let other = world.beside().await;
        let (one, two) = tokio::join!(world.exchange.settle(&chain), other.exchange.settle(&chain));
        assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
        round(&world, &chain, 10).await;
        assert_eq!(world.available(&rita).await, 507);
        let deposits = world.exchange.deposits(&rita).await.unwrap();
        assert_eq!(deposits.len(), 2);
        assert!(
            deposits
                .iter()
                .all(|one| one.state == DepositState::Credited)
        );
        assert!(!first.to_string().is_empty());
        in_order(&world, &chain).await;
    }
}

#[tokio::test]
async fn what_comes_in_for_nobody_waits_for_an_admin_and_the_platforms_own_fills_the_treasury() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let (rita, admin) = (
            world.account("rita", "0").await,
            crate::payouts::admin(&world, "ann").await,
        );
        let stranger = kernel::AccountId::new(Timestamp::from_millis(5), [3; 10]);
        chain.deposit(Some(Tag::of(stranger)), 40);
        chain.deposit(None, 2);
        chain.deposit(Some(Tag::try_from([0_u8; 16].as_slice()).unwrap()), 1_000);
        round(&world, &chain, 10).await;
        world.exchange.compare_vault(&chain).await.unwrap();
        // Both stand as incidents until somebody says whose they are; the books and the vault agree all the same.
        assert_eq!(world.exchange.reconcile().await.unwrap(), 2);
        let incidents = world.exchange.incidents(&admin).await.unwrap();
        assert!(
            incidents
                .iter()
                .all(|one| one.kind == IncidentKind::OnChain)
        );
        let waiting = world.exchange.unclaimed_deposits(&admin).await.unwrap();
        assert_eq!(waiting.len(), 2);
        for one in &waiting {
            let email = "rita@example.org";
            let given = world
                .exchange
                .claim_deposit(&admin, one.id, email, None)
                .await;
            assert_eq!(given.unwrap().state, DepositState::Credited);
            let again = world
                .exchange
                .claim_deposit(&admin, one.id, email, None)
                .await;
            assert!(again.is_err());
        }
        assert_eq!(world.available(&rita).await, 42);
        in_order(&world, &chain).await;
    }
}

#[tokio::test]
async fn payouts_go_out_in_batches_and_come_back_when_the_chain_cannot_pay() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let admin = crate::payouts::admin(&world, "ann").await;
        let otto = owner(&world, &chain, "otto", 50_000_000).await;
        let ask = |n: u64| {
            let exchange = world.exchange.clone();
            let otto = otto.clone();
            async move {
                exchange
                    .request_payout(&otto, io(1_000_000), &wallet(n), None)
                    .await
            }
        };
        let mut payouts = Vec::new();
        for n in 0..5 {
            payouts.push(ask(n).await.unwrap().id);
        }
        // Nobody approved them.
        round(&world, &chain, 1_000).await;
        assert_eq!(chain.with(|ledger| ledger.submissions), 0);
        for id in &payouts[..4] {
            let approve = world
                .exchange
                .move_payout(&admin, *id, PayoutMove::Approve, None);
            approve.await.unwrap();
        }
        chain.with(|ledger| ledger.frozen.push(wallet(2).parse().unwrap()));
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        let state = |n: usize| {
            let exchange = world.exchange.clone();
            let (otto, id) = (otto.clone(), payouts[n]);
            async move { exchange.payout(&otto, id).await.unwrap() }
        };
        for n in [0, 1, 3] {
            let paid = state(n).await;
            assert_eq!(paid.state, PayoutState::Paid);
            assert!(paid.reference.unwrap().starts_with("0x"));
        }
        let back = state(2).await;
        assert_eq!(back.state, PayoutState::Failed);
        assert!(back.note.contains("reason 2"), "{}", back.note);
        assert_eq!(state(4).await.state, PayoutState::Requested);
        let left = world.exchange.balance(&otto).await.unwrap().withdrawable;
        assert_eq!(left.base(), 50_000_000 - 4_000_000);
        in_order(&world, &chain).await;
        // More than the vault holds waits, and is told.
        chain.with(|ledger| ledger.vault = 10);
        let last = world
            .exchange
            .move_payout(&admin, payouts[4], PayoutMove::Approve, None);
        last.await.unwrap();
        round(&world, &chain, 1_000).await;
        assert_eq!(state(4).await.state, PayoutState::Approved);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
        chain.with(|ledger| ledger.vault = 47_000_000);
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        assert_eq!(state(4).await.state, PayoutState::Paid);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        // Somebody took money out of the vault: the comparison says so until it is right again.
        chain.with(|ledger| ledger.vault -= 1);
        world.exchange.compare_vault(&chain).await.unwrap();
        assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
        chain.with(|ledger| ledger.vault += 1);
        in_order(&world, &chain).await;
    }
}

/// console#3449, golem-js#735: each payout is paid once, whatever the chain loses, forgets, delays and refuses, and
/// whenever the process dies.
#[tokio::test]
async fn fault_console_3449_each_payout_is_paid_once_under_any_fault() {
    let count: u64 = std::env::var("IOG_SOAK_PAYOUTS").map_or(600, |text| text.parse().unwrap());
    for backend in backends() {
        let mut world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(2_000_000));
            settings.payouts_open_max = u64::MAX >> 1;
        })
        .await;
        let chain = Double::new();
        let base = 1_000_000_i64 * i64::try_from(count).unwrap();
        let otto = owner(&world, &chain, "otto", base * 2).await;
        let mut dice = 1_u64;
        let mut roll = move |sides: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        let faults = [
            Fault::Answer,
            Fault::Forget,
            Fault::Away,
            Fault::Fail,
            Fault::Late,
            Fault::Events,
        ];
        let mut asked = 0;
        let mut rounds = 0_u64;
        loop {
            for _ in 0..roll(12) {
                if asked < count {
                    let amount = io(1_000_000 + i64::try_from(asked % 1_000).unwrap());
                    let to = wallet(asked);
                    world
                        .exchange
                        .request_payout(&otto, amount, &to, None)
                        .await
                        .unwrap();
                    asked += 1;
                }
            }
            if asked < count && roll(2) == 0 {
                let fault = faults[usize::try_from(roll(6)).unwrap()];
                chain.with(|ledger| ledger.faults.push(fault));
            }
            if roll(7) == 0 {
                world.crash().await;
            }
            // Now and then so long that what was lost expires.
            let millis = if roll(5) == 0 { 70_000 } else { 1_000 };
            round(&world, &chain, millis).await;
            rounds += 1;
            if asked == count {
                chain.with(|ledger| ledger.faults.clear());
                let open = world.exchange.payouts_open(&otto).await.unwrap();
                if open == 0 {
                    break;
                }
            }
            assert!(rounds < 20_000, "it does not end");
        }
        let (lines, twice, sum) = chain.with(|ledger| {
            let sum: i64 = ledger.paid.values().sum();
            (ledger.paid.len(), ledger.signed, sum)
        });
        assert_eq!(u64::try_from(lines).unwrap(), count, "each line once");
        let expected: i64 = (0..count)
            .map(|n| 1_000_000 + i64::try_from(n % 1_000).unwrap())
            .sum();
        assert_eq!(sum, expected);
        let left = world.exchange.balance(&otto).await.unwrap().withdrawable;
        assert_eq!(left.base(), base * 2 - expected);
        println!("{backend}: {count} payouts, {rounds} rounds, {twice} transactions signed");
        in_order(&world, &chain).await;
    }
}
