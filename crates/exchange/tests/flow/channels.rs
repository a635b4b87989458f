//! Escrow channels: money of a requester that stays on the chain, and owners who take theirs with vouchers. Whatever order things
//! happen in, an owner gets what was earned and a requester pays it once.

use exchange::{Actor, ChannelDeed};
use kernel::JobId;
use protocol::money::{ChannelState, ChannelView, IncidentKind, VoucherView};
use protocol::state::{JobState, RunEnd};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use settlement::chain::Deed;
use settlement::{Address, SignedVoucher, Tag, VoucherFile};

use crate::double::{Act, Double, Fault, io};
use crate::settle::{in_order, round};
use crate::world::{Worker, World, backends, spec};

mod handed;
mod told;
mod withheld;

const RITA: Address = Address::from_bytes([70; 32]);
const OTTO: Address = Address::from_bytes([71; 32]);
const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };
/// What otto took out before, so that his address is known.
const BEFORE: i64 = 2_000_000;
/// 130 s at the price; either side's fee is a quarter of a per cent.
const EARNED: i64 = 3_241_875;
const PAID: i64 = 3_258_125;
const IO: i64 = 100_000_000;
const DAY_MS: i64 = 86_400_000;

struct Street {
    world: World,
    chain: Double,
    rita: Actor,
    otto: Actor,
}

impl Street {
    /// Otto has an address; rita has a wallet and no balance.
    async fn new(backend: &str) -> Self {
        let world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(100 * IO));
            settings.payout_min = io(1_000);
            settings.email = true;
        })
        .await;
        let chain = Double::new();
        let (rita, otto) = world.people("0").await;
        let street = Self {
            world,
            chain,
            rita,
            otto,
        };
        street.earn_in_vault(BEFORE).await;
        street.pay_out(BEFORE).await;
        street.rounds(4).await;
        assert_eq!(street.chain.holds(OTTO), BEFORE);
        street.chain.give(RITA, 100 * IO);
        street
    }

    async fn rounds(&self, count: u32) {
        for _ in 0..count {
            round(&self.world, &self.chain, 1_000).await;
        }
    }

    /// Something to withdraw that no channel stands for.
    async fn earn_in_vault(&self, base: i64) {
        self.chain.deposit(Some(Tag::of(self.otto.account)), base);
        self.rounds(1).await;
        self.world.make_withdrawable(&self.otto, base).await;
    }

    async fn pay_out(&self, base: i64) {
        self.pay_to(&self.otto, OTTO, base).await;
    }

    async fn pay_to(&self, who: &Actor, to: Address, base: i64) {
        let to = to.to_string();
        let asked = self
            .world
            .exchange
            .request_payout(who, io(base), Some(&to), None);
        asked.await.unwrap();
    }

    async fn address_of(&self, who: &Actor, to: Address) {
        let to = to.to_string();
        let set = self.world.exchange.set_payout_address(who, &to);
        set.await.unwrap();
    }

    async fn sign(&self, who: &Actor, wallet: Address, deed: kernel::DeedId) {
        let exchange = &self.world.exchange;
        let sent = exchange.submit_deed(who, Some(&self.chain), deed, wallet.as_bytes());
        sent.await.unwrap();
    }

    async fn open(&self, base: i64) -> ChannelView {
        let made = self
            .world
            .exchange
            .open_channel(&self.rita, &self.chain, RITA, io(base));
        let made = made.await.unwrap();
        self.sign(&self.rita, RITA, made.id).await;
        self.rounds(2).await;
        self.channel().await
    }

    async fn change(&self, change: ChannelDeed) {
        let address = self.channel().await.address.parse().unwrap();
        let made =
            self.world
                .exchange
                .change_channel(&self.rita, Some(&self.chain), address, change);
        let made = made.await.unwrap();
        self.sign(&self.rita, RITA, made.id).await;
        self.rounds(2).await;
    }

    async fn channel(&self) -> ChannelView {
        let all = self.world.exchange.channels(&self.rita).await.unwrap();
        all.into_iter().next().unwrap()
    }

    async fn vouchers(&self) -> Vec<VoucherView> {
        self.world.exchange.vouchers(&self.otto).await.unwrap()
    }

    /// The file that otto keeps.
    async fn file(&self) -> VoucherFile {
        let one = self.vouchers().await.into_iter().next().unwrap();
        let (channel, payee) = (one.channel.parse().unwrap(), one.payee.parse().unwrap());
        let document = self
            .world
            .exchange
            .voucher(&self.otto, channel, payee)
            .await;
        let text = serde_json::to_string(&document.unwrap()).unwrap();
        VoucherFile::read(&text).unwrap()
    }

    /// Without anybody's help.
    async fn redeem_alone(&self) -> Result<(), &'static str> {
        let signed = self.file().await.signed();
        self.chain.alone(&Act::Redeem(signed))
    }

    async fn submit(&self, extra: &str) -> JobId {
        let job = self
            .world
            .exchange
            .submit(&self.rita, spec(extra), None, None);
        job.await.unwrap().summary.id
    }

    /// The chain's clock goes with the others.
    async fn work(&self, worker: &mut Worker, seconds: u64) {
        worker.work(&self.world, seconds).await;
        let millis = i64::try_from(seconds * 1_000).unwrap();
        self.chain.with(|ledger| ledger.at += millis);
    }

    async fn worked(&self, worker: &mut Worker, seconds: u64) {
        self.submit("").await;
        worker.start(&self.world).await;
        self.work(worker, seconds).await;
        worker.end(&self.world, FINISHED).await;
    }

    /// In the owner's books, in all of them together.
    async fn owed(&self) -> i64 {
        let books = self.world.exchange.balance(&self.otto).await.unwrap();
        [
            books.available,
            books.earned,
            books.withdrawable,
            books.disputed,
            books.vouched,
        ]
        .iter()
        .map(|amount| amount.base())
        .sum()
    }

    async fn vouched(&self) -> i64 {
        let books = self.world.exchange.balance(&self.otto).await.unwrap();
        books.vouched.base()
    }

    async fn close_for_good(&self) {
        self.change(ChannelDeed::StartClose).await;
        self.rounds(4).await;
        self.world.pass(DAY_MS);
        self.chain.block(DAY_MS);
        self.change(ChannelDeed::FinishClose).await;
        self.rounds(2).await;
    }
}

#[tokio::test]
async fn an_owner_redeems_alone_and_the_requester_gets_the_rest_back() {
    for backend in backends() {
        let street = Street::new(backend).await;
        let opened = street.open(10 * IO).await;
        assert_eq!(
            (opened.state, opened.free),
            (ChannelState::Open, io(10 * IO))
        );
        assert_eq!(street.world.available(&street.rita).await, 10 * IO);
        assert_eq!(street.chain.holds(RITA), 90 * IO);
        street.change(ChannelDeed::TopUp(io(IO))).await;
        assert_eq!(street.world.available(&street.rita).await, 11 * IO);

        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &street.otto).await;
        street.worked(&mut worker, 130).await;
        assert_eq!(
            (street.vouched().await, street.owed().await),
            (EARNED, EARNED)
        );
        let channel = street.channel().await;
        assert_eq!(
            (channel.promised, channel.free),
            (io(PAID), io(11 * IO - PAID))
        );
        in_order(&street.world, &street.chain).await;

        // The server does nothing here, and learns of it.
        street.redeem_alone().await.unwrap();
        assert_eq!(street.chain.holds(OTTO), BEFORE + EARNED);
        street.rounds(2).await;
        assert_eq!((street.vouched().await, street.owed().await), (0, 0));
        street.redeem_alone().await.unwrap();
        street.rounds(1).await;
        assert_eq!(street.chain.holds(OTTO), BEFORE + EARNED);
        in_order(&street.world, &street.chain).await;

        // The next job raises the same voucher; the one of before is worth nothing more.
        let old = street.file().await.signed();
        street.worked(&mut worker, 130).await;
        assert_eq!(street.file().await.cumulative, io(2 * EARNED));
        assert_eq!(street.chain.alone(&Act::Redeem(old.clone())), Ok(()));
        assert_eq!(street.chain.holds(OTTO), BEFORE + EARNED);
        street.redeem_alone().await.unwrap();
        assert_eq!(street.chain.alone(&Act::Redeem(old)), Err("stale"));
        street.rounds(1).await;

        // Too early, then closed: all but what two jobs cost comes back, to the unit.
        let address: Address = channel.address.parse().unwrap();
        street.change(ChannelDeed::StartClose).await;
        let early = street.world.exchange.change_channel(
            &street.rita,
            Some(&street.chain),
            address,
            ChannelDeed::FinishClose,
        );
        assert!(
            early
                .await
                .unwrap_err()
                .to_string()
                .contains("can redeem until")
        );
        street.rounds(4).await;
        assert_eq!(street.world.available(&street.rita).await, 0);
        street.world.pass(DAY_MS);
        street.chain.block(DAY_MS);
        street.change(ChannelDeed::FinishClose).await;
        let closed = street.channel().await;
        assert_eq!(closed.state, ChannelState::Closed);
        assert_eq!(closed.returned, Some(io(11 * IO - 2 * PAID)));
        assert_eq!(street.chain.holds(RITA), 100 * IO - 2 * PAID);
        // Both fees are in the vault.
        assert_eq!(
            street.chain.with(|ledger| ledger.vault),
            2 * (PAID - EARNED)
        );
        in_order(&street.world, &street.chain).await;
    }
}

/// The hard one: payouts, vouchers from here, vouchers by the owner, faults and crashes in any order.
#[tokio::test]
async fn an_owner_never_gets_more_than_was_earned_nor_pays_a_requester_twice() {
    for backend in backends() {
        for seed in 0..6 {
            let mut street = Street::new(backend).await;
            let mut dice = StdRng::seed_from_u64(seed);
            street.open(10 * IO).await;
            let mut worker = Worker::new(1, PRICE);
            worker.join(&street.world, &street.otto).await;
            let mut earned = BEFORE;
            let mut kept: Vec<SignedVoucher> = Vec::new();
            for _ in 0..40 {
                match dice.random_range(0..8) {
                    0 => {
                        let before = street.world.available(&street.rita).await;
                        street.worked(&mut worker, 40).await;
                        let cost = before - street.world.available(&street.rita).await;
                        // 40 s: 1,000,000 and a quarter of a per cent either way.
                        assert_eq!(cost, 1_002_500, "paid once");
                        earned += 997_500;
                        kept.push(street.file().await.signed());
                    }
                    1 => {
                        let some = dice.random_range(2_000..50_000);
                        street
                            .chain
                            .deposit(Some(Tag::of(street.rita.account)), some);
                        street.rounds(1).await;
                    }
                    2 if !kept.is_empty() => {
                        let which = dice.random_range(0..kept.len());
                        _ = street.chain.alone(&Act::Redeem(kept[which].clone()));
                    }
                    3 if !kept.is_empty() => {
                        let of = street.file().await;
                        let asked = street.world.exchange.redeem_voucher(
                            &street.otto,
                            of.channel,
                            of.payee,
                        );
                        _ = asked.await;
                    }
                    4 => {
                        let books = street.world.exchange.balance(&street.otto).await.unwrap();
                        let there = books.withdrawable;
                        let to = OTTO.to_string();
                        let exchange = &street.world.exchange;
                        // What is vouched for cannot be paid out, whatever else can.
                        let more = there.checked_add(io(1)).unwrap();
                        let asked = exchange
                            .request_payout(&street.otto, more, Some(&to), None)
                            .await;
                        assert!(asked.is_err());
                        _ = exchange
                            .request_payout(&street.otto, there, Some(&to), None)
                            .await;
                    }
                    5 => {
                        let faults = [Fault::Answer, Fault::Forget, Fault::Late, Fault::Fail];
                        let fault = faults[dice.random_range(0..faults.len())];
                        street.chain.with(|ledger| ledger.faults.push(fault));
                    }
                    6 => {
                        street.world.crash().await;
                        worker.connect(&street.world, None).await.unwrap();
                        worker.beat(&street.world).await;
                    }
                    _ => street.rounds(1).await,
                }
                let got = street.chain.holds(OTTO);
                assert!(got <= earned, "seed {seed}: got {got} of {earned}");
            }
            street.chain.with(|ledger| ledger.faults.clear());
            for _ in 0..40 {
                round(&street.world, &street.chain, 30_000).await;
            }
            let got = street.chain.holds(OTTO);
            assert_eq!(got + street.owed().await, earned, "seed {seed}");
            in_order(&street.world, &street.chain).await;
            street.close_for_good().await;
            assert_eq!(street.chain.holds(OTTO) + street.owed().await, earned);
            assert_eq!(street.vouched().await, 0, "all was redeemed");
            in_order(&street.world, &street.chain).await;
        }
    }
}

#[tokio::test]
async fn a_close_ends_what_runs_for_want_of_money_and_nobody_loses_by_it() {
    for backend in backends() {
        let street = Street::new(backend).await;
        street.open(IO).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &street.otto).await;
        let job = street.submit("[limits]\nduration_seconds = 86400").await;
        worker.start(&street.world).await;
        street.work(&mut worker, 60).await;
        // Past the platform: it hears of it by the event alone.
        let number = street.channel().await.number;
        let close = Act::Deed(RITA, Deed::StartClose { number });
        street.chain.alone(&close).unwrap();
        street.rounds(3).await;
        assert_eq!(street.channel().await.state, ChannelState::Closing);
        assert_eq!(street.world.available(&street.rita).await, 0);
        // It ends when what was set aside for it is used up.
        for _ in 0..100 {
            if worker.runs.is_empty() {
                break;
            }
            street.work(&mut worker, 10).await;
            if worker.runs.iter().any(|run| run.seconds >= run.funded) {
                worker.end(&street.world, RunEnd::OutOfFunds).await;
            }
        }
        street.rounds(6).await;
        let view = street.world.exchange.job(&street.rita, job).await.unwrap();
        assert!(view.summary.state.is_final(), "{:?}", view.summary.state);
        assert_ne!(view.summary.state, JobState::Finished);
        let charged: i64 = view.leases.iter().map(|lease| lease.charged.base()).sum();
        assert!(charged > 60 * PRICE && charged < IO);
        street.world.pass(DAY_MS);
        street.chain.block(DAY_MS);
        street.change(ChannelDeed::FinishClose).await;
        assert_eq!(street.channel().await.returned, Some(io(IO - charged)));
        assert_eq!(street.chain.holds(RITA), 100 * IO - charged);
        let fees = street.chain.with(|ledger| ledger.vault);
        assert_eq!(street.chain.holds(OTTO), BEFORE + charged - fees);
        in_order(&street.world, &street.chain).await;
    }
}

#[tokio::test]
async fn what_a_channel_does_not_cover_is_paid_from_the_balance_and_without_an_address_all_is() {
    for backend in backends() {
        let street = Street::new(backend).await;
        street.open(EARNED + 100).await;
        street
            .chain
            .deposit(Some(Tag::of(street.rita.account)), 10 * IO);
        street.rounds(1).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &street.otto).await;
        street.worked(&mut worker, 130).await;
        let channel = street.channel().await;
        // All of it is promised: the owner's part, and of the fee what there was.
        assert_eq!((channel.free, street.vouched().await), (io(0), EARNED));
        street.worked(&mut worker, 130).await;
        let books = street.world.exchange.balance(&street.otto).await.unwrap();
        assert_eq!(
            (books.vouched, books.withdrawable),
            (io(EARNED), io(EARNED))
        );
        street.pay_out(EARNED).await;
        street.rounds(4).await;
        street.redeem_alone().await.unwrap();
        street.rounds(2).await;
        assert_eq!(street.chain.holds(OTTO), BEFORE + 2 * EARNED);

        // Olga never said where her money goes; it is withdrawable, and the channel owes the vault.
        worker.disconnect(&street.world).await;
        street.change(ChannelDeed::TopUp(io(IO))).await;
        let olga = street.world.account("olga", "0").await;
        let mut other = Worker::new(2, PRICE);
        other.join(&street.world, &olga).await;
        street.worked(&mut other, 130).await;
        let books = street.world.exchange.balance(&olga).await.unwrap();
        assert_eq!((books.vouched, books.withdrawable), (io(0), io(EARNED)));
        // Nor may she name his address, in a channel where it stands for him.
        street.address_of(&olga, OTTO).await;
        street.worked(&mut other, 130).await;
        let books = street.world.exchange.balance(&olga).await.unwrap();
        assert_eq!((books.vouched, books.withdrawable), (io(0), io(2 * EARNED)));
        // At an address of her own she has a voucher of her own.
        let own = Address::from_bytes([72; 32]);
        let exchange = &street.world.exchange;
        street.address_of(&olga, own).await;
        street.worked(&mut other, 130).await;
        let hers = exchange.vouchers(&olga).await.unwrap();
        assert_eq!((hers.len(), hers[0].cumulative), (1, io(EARNED)));
        in_order(&street.world, &street.chain).await;
        street.close_for_good().await;
        assert_eq!(street.chain.holds(own), EARNED);
        in_order(&street.world, &street.chain).await;
    }
}

/// The vault is empty, and what it is owed lies in a channel.
#[tokio::test]
async fn payouts_that_wait_fetch_what_channels_owe_the_vault() {
    for backend in backends() {
        let street = Street::new(backend).await;
        street.open(10 * IO).await;
        let olga = street.world.account("olga", "0").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &olga).await;
        street.worked(&mut worker, 130).await;
        assert_eq!(street.chain.with(|ledger| ledger.vault), 0);
        let to = Address::from_bytes([72; 32]);
        street.pay_to(&olga, to, EARNED).await;
        street.rounds(8).await;
        assert_eq!(street.chain.holds(to), EARNED);
        assert_eq!(street.chain.with(|ledger| ledger.vault), PAID - EARNED);
        in_order(&street.world, &street.chain).await;
    }
}

#[tokio::test]
async fn a_channel_of_another_key_or_beside_another_counts_for_nothing_here() {
    for backend in backends() {
        let street = Street::new(backend).await;
        let exchange = &street.world.exchange;
        let (rita, chain) = (&street.rita, &street.chain);
        let wallet = Address::from_bytes([73; 32]);
        chain.give(wallet, 10 * IO);
        let first = exchange
            .open_channel(rita, chain, wallet, io(IO))
            .await
            .unwrap();
        // The same again is the same channel with the same key, whichever is signed.
        let again = exchange
            .open_channel(rita, chain, wallet, io(IO))
            .await
            .unwrap();
        assert_eq!(first.fee_payer, again.fee_payer);
        let second = exchange
            .open_channel(rita, chain, RITA, io(2 * IO))
            .await
            .unwrap();
        street.sign(rita, wallet, first.id).await;
        street.sign(rita, RITA, second.id).await;
        street.rounds(2).await;
        let all = exchange.channels(rita).await.unwrap();
        let of = |state| all.iter().filter(|one| one.state == state).count();
        assert_eq!(
            (all.len(), of(ChannelState::Open), of(ChannelState::Idle)),
            (2, 1, 1)
        );
        let counted = all
            .iter()
            .find(|one| one.state == ChannelState::Open)
            .unwrap();
        assert_eq!(io(street.world.available(rita).await), counted.locked);
        let refused = exchange.open_channel(rita, chain, RITA, io(IO)).await;
        assert!(refused.unwrap_err().to_string().contains("already"));
        in_order(&street.world, chain).await;

        // Mallory opens the number that was made for her with a key of her own: vouchers of ours would be worth nothing.
        let mallory = street.world.account("mallory", "0").await;
        let hers = Address::from_bytes([74; 32]);
        chain.give(hers, IO);
        exchange
            .open_channel(&mallory, chain, hers, io(IO))
            .await
            .unwrap();
        let number = u64::try_from(
            street
                .world
                .exchange
                .channels(&mallory)
                .await
                .unwrap()
                .len(),
        );
        assert_eq!(number, Ok(0), "not opened yet");
        let now = u64::try_from(street.world.now_ms()).unwrap();
        let voucher_key = [9; 32];
        let deposit = io(IO);
        let open = Deed::Open {
            number: now,
            voucher_key,
            deposit,
        };
        chain.alone(&Act::Deed(hers, open)).unwrap();
        street.rounds(2).await;
        assert_eq!(street.world.available(&mallory).await, 0);
        assert_eq!(
            exchange.channels(&mallory).await.unwrap()[0].state,
            ChannelState::Idle
        );
        in_order(&street.world, chain).await;
    }
}

/// A voucher that was signed with the channel's key and that the books do not know: an older backup, or a stolen key.
#[tokio::test]
async fn an_unknown_voucher_that_was_redeemed_is_an_incident_and_moves_nothing() {
    for backend in backends() {
        let street = Street::new(backend).await;
        let opened = street.open(10 * IO).await;
        let channel: Address = opened.address.parse().unwrap();
        street.chain.with(|ledger| {
            ledger.channels.get_mut(&channel).unwrap().balance -= 500;
        });
        let kind = settlement::chain::EventKind::Redeemed {
            channel,
            payee: OTTO,
            cumulative: io(500),
            paid: io(500),
        };
        street.chain.happen(kind);
        street.rounds(2).await;
        assert_eq!(street.owed().await, 0);
        street
            .world
            .exchange
            .compare_vault(&street.chain)
            .await
            .unwrap();
        // The channel holds less than the books say, and why.
        assert_eq!(street.world.exchange.reconcile().await.unwrap(), 2);
        let ann = crate::payouts::admin(&street.world, "ann").await;
        let found = street.world.exchange.incidents(&ann).await.unwrap();
        assert!(
            found.iter().all(|one| one.kind == IncidentKind::OnChain),
            "{found:?}"
        );
        assert!(
            found
                .iter()
                .any(|one| one.subject == format!("voucher: {channel} {OTTO}"))
        );
        // Others' eyes see neither channel nor vouchers.
        let other = street.world.exchange.voucher(&ann, channel, OTTO).await;
        assert!(other.is_err());
        let close = ChannelDeed::StartClose;
        let other = street
            .world
            .exchange
            .change_channel(&ann, Some(&street.chain), channel, close);
        assert!(other.await.unwrap_err().to_string().contains("not found"));
    }
}
