//! What people are told of channels: each thing once, however often the chain's events are read.

use exchange::{Actor, ChannelDeed, Posted};
use kernel::Amount;
use protocol::money::{ChannelState, ChannelStep};
use protocol::notice::{Event, NewWebhook, Notice};
use settlement::Address;
use settlement::chain::Deed;

use super::{DAY_MS, EARNED, IO, OTTO, PAID, PRICE, RITA, Street};
use crate::double::{Act, io};
use crate::mail;
use crate::settle::in_order;
use crate::world::{Worker, backends};

impl Street {
    async fn all_told(&self, who: &Actor) -> Vec<Notice> {
        let page = self.world.exchange.notices(who, None, 200).await.unwrap();
        page.items
            .into_iter()
            .rev()
            .map(|view| view.notice)
            .collect()
    }

    /// Of the account's own channels.
    async fn steps(&self, who: &Actor) -> Vec<(ChannelStep, Option<i64>)> {
        let step = |notice| match notice {
            Notice::ChannelUpdated { step, amount, .. } => Some((step, amount.map(Amount::base))),
            _ => None,
        };
        let all = self.all_told(who).await;
        all.into_iter().filter_map(step).collect()
    }

    /// Of channels that owe the account.
    async fn dues(&self, who: &Actor) -> Vec<(ChannelState, i64)> {
        let due = |notice| match notice {
            Notice::VoucherUpdated {
                state, open, until, ..
            } => {
                assert_eq!(until.is_some(), state == ChannelState::Closing);
                Some((state, open.base()))
            }
            _ => None,
        };
        let all = self.all_told(who).await;
        all.into_iter().filter_map(due).collect()
    }

    async fn number(&self) -> u64 {
        self.channel().await.number
    }
}

#[tokio::test]
async fn each_step_of_a_channel_is_told_once_however_often_its_events_are_read() {
    for backend in backends() {
        let mut street = Street::new(backend).await;
        let exchange = &street.world.exchange;
        let hook = NewWebhook {
            url: "https://hooks.example.org/".to_owned(),
            events: vec![Event::ChannelUpdated, Event::VoucherUpdated],
        };
        let hook = exchange.create_webhook(&street.otto, hook).await.unwrap();
        street.open(10 * IO).await;
        street.change(ChannelDeed::TopUp(io(IO))).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &street.otto).await;
        street.worked(&mut worker, 130).await;
        assert!(street.dues(&street.otto).await.is_empty(), "nothing to say");
        street.close_for_good().await;

        let rita = [
            (ChannelStep::Opened, Some(10 * IO)),
            (ChannelStep::ToppedUp, Some(IO)),
            (ChannelStep::Closing, None),
            (ChannelStep::Closed, Some(11 * IO - PAID)),
        ];
        // It was handed in before the close was over: no second word of it.
        let otto = [(ChannelState::Closing, EARNED)];
        for again in 0..3 {
            assert_eq!(street.steps(&street.rita).await, rita, "{again}");
            assert_eq!(street.dues(&street.otto).await, otto, "{again}");
            assert!(street.steps(&street.otto).await.is_empty());
            assert!(street.dues(&street.rita).await.is_empty());
            street.world.read_anew(&street.chain).await;
            street.world.crash().await;
            street.rounds(2).await;
        }
        let sent = street
            .world
            .exchange
            .webhook_deliveries(&street.otto, hook.webhook.id, None, 100)
            .await
            .unwrap();
        let events: Vec<Event> = sent.items.iter().map(|one| one.event).collect();
        assert_eq!(events, [Event::VoucherUpdated]);
        in_order(&street.world, &street.chain).await;
    }
}

/// Nothing was promised when the close was asked for; what a job cost by then is promised a moment later.
#[tokio::test]
async fn an_owner_whose_first_voucher_comes_while_the_channel_closes_is_told_once() {
    for backend in backends() {
        let street = Street::new(backend).await;
        street.open(10 * IO).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &street.otto).await;
        street.submit("").await;
        worker.start(&street.world).await;
        street.work(&mut worker, 130).await;
        assert!(street.vouchers().await.is_empty());
        let number = street.number().await;
        let close = Act::Deed(RITA, Deed::StartClose { number });
        street.chain.alone(&close).unwrap();
        street.rounds(3).await;
        let first = street.dues(&street.otto).await;
        let open = street.vouchers().await[0].cumulative.base();
        assert!(open > 0);
        assert_eq!(first, [(ChannelState::Closing, open)]);
        street.work(&mut worker, 60).await;
        worker.end(&street.world, super::FINISHED).await;
        assert!(street.vouchers().await[0].cumulative.base() > open);
        street.rounds(2).await;
        assert_eq!(street.dues(&street.otto).await, first);
    }
}

/// The platform was away for the whole day in which vouchers could be redeemed.
#[tokio::test]
async fn an_owner_is_told_of_a_channel_that_was_closed_before_the_voucher_was_redeemed() {
    for backend in backends() {
        let street = Street::new(backend).await;
        street.open(10 * IO).await;
        let (world, otto) = (&street.world, &street.otto);
        mail::wish(world, otto, true).await;
        let question = mail::due(world).await.remove(0);
        mail::answer(world, question.id, Posted::Taken).await;
        let code = mail::code(&question);
        let confirmed = world.exchange.confirm_address(otto.account, &code);
        confirmed.await.unwrap();
        let mut worker = Worker::new(1, PRICE);
        worker.join(world, otto).await;
        street.worked(&mut worker, 130).await;
        let number = street.number().await;
        let deed = |deed| street.chain.alone(&Act::Deed(RITA, deed));
        deed(Deed::StartClose { number }).unwrap();
        street.world.pass(DAY_MS);
        street.chain.block(DAY_MS);
        deed(Deed::FinishClose { number }).unwrap();
        street.rounds(2).await;
        let dues = [
            (ChannelState::Closing, EARNED),
            (ChannelState::Closed, EARNED),
        ];
        // Both at one moment, in no order.
        let mut told = street.dues(otto).await;
        told.sort_by_key(|(state, _)| *state == ChannelState::Closed);
        assert_eq!(told, dues);
        assert_eq!(street.chain.holds(OTTO), super::BEFORE);
        let letters = mail::due(world).await;
        let said: Vec<&str> = letters.iter().map(|one| one.subject.as_str()).collect();
        let closed = "An escrow channel was closed before your voucher was redeemed";
        let closing = "An escrow channel that owes you is being closed";
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said.contains(&closed) && said.contains(&closing),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn whoever_opens_a_channel_that_is_not_used_hears_of_it_and_of_its_close() {
    for backend in backends() {
        let street = Street::new(backend).await;
        let (exchange, rita) = (&street.world.exchange, &street.rita);
        let other = Address::from_bytes([73; 32]);
        street.chain.give(other, 10 * IO);
        let deposit = io(3 * IO);
        let beside = exchange.open_channel(rita, &street.chain, other, deposit);
        let beside = beside.await.unwrap();
        let first = street.open(IO).await;
        street.sign(rita, other, beside.id).await;
        street.rounds(2).await;
        let opened = (ChannelStep::Opened, Some(IO));
        let idle = (ChannelStep::Idle, Some(3 * IO));
        assert_eq!(street.steps(rita).await, [opened, idle]);
        // Its close concerns nobody else, and does not touch the one that is used.
        let number = exchange
            .channels(rita)
            .await
            .unwrap()
            .iter()
            .find(|one| one.state == ChannelState::Idle)
            .unwrap()
            .number;
        let deed = |deed| street.chain.alone(&Act::Deed(other, deed));
        deed(Deed::StartClose { number }).unwrap();
        street.rounds(1).await;
        street.world.pass(DAY_MS);
        street.chain.block(DAY_MS);
        deed(Deed::FinishClose { number }).unwrap();
        street.rounds(2).await;
        let closed = (ChannelStep::Closed, Some(3 * IO));
        let closing = (ChannelStep::Closing, None);
        assert_eq!(street.steps(rita).await, [opened, idle, closing, closed]);
        let channels = exchange.channels(rita).await.unwrap();
        let used = channels.iter().find(|one| one.address == first.address);
        assert_eq!(used.unwrap().state, ChannelState::Open);
        assert!(street.dues(&street.otto).await.is_empty());
        in_order(&street.world, &street.chain).await;
    }
}
