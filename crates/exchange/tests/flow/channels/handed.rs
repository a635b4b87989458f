//! Many channels and many vouchers: none waits for what is wrong with another one.

use protocol::money::{ChannelState, IncidentKind};
use settlement::{Address, Tag};

use super::{EARNED, IO, OTTO, PRICE, RITA, Street};
use crate::double::io;
use crate::world::{Worker, backends};

const OLGA: Address = Address::from_bytes([72; 32]);

impl Street {
    /// Otto and olga each have a voucher of rita's channel.
    async fn with_two_vouchers(backend: &str) -> (Self, exchange::Actor) {
        let street = Self::new(backend).await;
        street.open(10 * IO).await;
        let olga = street.world.account("olga", "0").await;
        street.address_of(&olga, OLGA).await;
        for (n, owner) in [(1, &street.otto), (2, &olga)] {
            let mut worker = Worker::new(n, PRICE);
            worker.join(&street.world, owner).await;
            street.worked(&mut worker, 130).await;
            worker.disconnect(&street.world).await;
        }
        (street, olga)
    }

    async fn ask(&self, who: &exchange::Actor, payee: Address) {
        let channel = self.channel().await.address.parse().unwrap();
        let exchange = &self.world.exchange;
        let asked = exchange.redeem_voucher(who, channel, payee).await.unwrap();
        assert!(asked.asked);
    }
}

/// As with a chain that numbers an account's transactions: of two at once one would be lost.
#[tokio::test]
async fn an_account_hands_in_no_more_vouchers_at_once_than_it_may_send() {
    for backend in backends() {
        let (street, olga) = Street::with_two_vouchers(backend).await;
        street.chain.with(|ledger| ledger.most = 1);
        street.ask(&street.otto, OTTO).await;
        street.ask(&olga, OLGA).await;
        let waiting = || street.chain.with(|ledger| ledger.pending.len());
        for _ in 0..3 {
            street.world.exchange.settle(&street.chain).await.unwrap();
            assert_eq!(waiting(), 1);
        }
        street.rounds(4).await;
        assert_eq!(street.chain.holds(OLGA), EARNED);
        assert_eq!(street.chain.holds(OTTO), super::BEFORE + EARNED);
        for who in [&street.otto, &olga] {
            let all = street.world.exchange.vouchers(who).await.unwrap();
            assert!(all[0].transaction.is_some(), "{all:?}");
        }
        crate::settle::in_order(&street.world, &street.chain).await;
    }
}

/// The chain would not take one, because the channel has less than the books say; payouts and the other one go out all the same.
#[tokio::test]
async fn a_voucher_that_cannot_be_redeemed_keeps_nobody_waiting() {
    for backend in backends() {
        let (street, olga) = Street::with_two_vouchers(backend).await;
        let channel = street.channel().await.address.parse().unwrap();
        street.chain.with(|ledger| {
            ledger.channels.get_mut(&channel).unwrap().balance = EARNED;
        });
        street.ask(&street.otto, OTTO).await;
        street.rounds(3).await;
        street.ask(&olga, OLGA).await;
        let oscar = street.world.account("oscar", "0").await;
        let home = Address::from_bytes([75; 32]);
        street.chain.deposit(Some(Tag::of(oscar.account)), 5_000);
        street.rounds(1).await;
        street.world.make_withdrawable(&oscar, 5_000).await;
        street.pay_to(&oscar, home, 5_000).await;
        street.rounds(6).await;
        let held = [OTTO, OLGA, home].map(|address| street.chain.holds(address));
        assert_eq!(held, [super::BEFORE + EARNED, 0, 5_000]);
        let ann = crate::payouts::admin(&street.world, "ann").await;
        street.world.exchange.reconcile().await.unwrap();
        let found = street.world.exchange.incidents(&ann).await.unwrap();
        let subject = format!("voucher: {channel} {OLGA}");
        assert!(found.iter().any(|one| one.subject == subject), "{found:?}");
    }
}

/// More than are asked for at once.
#[tokio::test]
async fn each_of_many_channels_is_compared_with_its_books() {
    for backend in backends() {
        let street = Street::new(backend).await;
        let exchange = &street.world.exchange;
        for n in 0..45 {
            let who = street.world.account(&format!("renter{n}"), "0").await;
            let wallet = Address::from_bytes([100 + n; 32]);
            street.chain.give(wallet, IO);
            let made = exchange.open_channel(&who, &street.chain, wallet, io(IO));
            street.sign(&who, wallet, made.await.unwrap().id).await;
        }
        street.rounds(2).await;
        crate::settle::in_order(&street.world, &street.chain).await;
        let last = street.chain.with(|ledger| {
            assert_eq!(ledger.channels.len(), 45);
            let mut last = ledger.channels.last_entry().unwrap();
            last.get_mut().balance -= 5;
            *last.key()
        });
        exchange.compare_vault(&street.chain).await.unwrap();
        assert_eq!(exchange.reconcile().await.unwrap(), 1);
        let ann = crate::payouts::admin(&street.world, "ann").await;
        let found = exchange.incidents(&ann).await.unwrap();
        assert_eq!(found[0].subject, format!("channel: {last}"));
        assert_eq!(found[0].kind, IncidentKind::OnChain);
    }
}

/// Two ask for the same wallet in the same millisecond. Whoever is second would have a channel whose vouchers are worth nothing.
#[tokio::test]
async fn a_number_that_was_made_for_somebody_else_is_not_offered() {
    for backend in backends() {
        let street = Street::new(backend).await;
        let exchange = &street.world.exchange;
        let mallory = street.world.account("mallory", "0").await;
        let hers = exchange.open_channel(&mallory, &street.chain, RITA, io(IO));
        hers.await.unwrap();
        let his = exchange.open_channel(&street.rita, &street.chain, RITA, io(IO));
        assert!(his.await.unwrap_err().to_string().contains("begin again"));
        street.world.pass(1);
        let opened = street.open(IO).await;
        assert_eq!(opened.state, ChannelState::Open);
        assert_eq!(street.world.available(&street.rita).await, IO);
    }
}
