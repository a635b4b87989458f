//! Balances, entries, earnings, demo credit.

use kernel::{AccountId, Amount, PricePerSecond, Seconds, Timestamp, TransferId};
use ledger::{BookId, Transfer};
use protocol::audit::AuditAction;
use protocol::money::{
    BalanceView, Book, DeviceEarnings, EarningsView, EntryKind, EntryView, LeaseEarnings,
};
use protocol::state::LeaseState;
use protocol::view::{Meter, Page, Scope};
use store::{Balances, EntryRow, StoreError, Tx};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::{Exchange, LeaseLive};
use crate::error::Error;
use crate::limits::start_of_day;
use crate::views::{earned, meter};

const EARNINGS_LEASES: u32 = 100;
const PAYOUTS_SHOWN: u32 = 50;

fn demo_key(account: AccountId) -> String {
    format!("demo_credit:{account}")
}

impl Exchange {
    /// Posts a plan's linked transfers in the caller's transaction.
    ///
    /// # Errors
    /// [`Error::InsufficientFunds`] is the caller's to make of [`StoreError::Insufficient`].
    pub(crate) async fn post_all(
        &self,
        tx: &mut Tx,
        plan: &[Transfer],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let named: Vec<(TransferId, Transfer)> = plan
            .iter()
            .map(|transfer| (TransferId::new(now, self.random()), transfer.clone()))
            .collect();
        tx.post_all(&named, now).await?;
        Ok(())
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn meter(&self, actor: &Actor) -> Result<Meter, Error> {
        actor.require(Scope::Read)?;
        self.meter_of(actor.account).await
    }

    pub(crate) async fn meter_of(&self, account: AccountId) -> Result<Meter, Error> {
        let books = self.inner.store.balances(account).await?;
        let means = self.means(account, books.available, books.held).await?;
        Ok(meter(self.memory().leases_of_account(account), means))
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn balance(&self, actor: &Actor) -> Result<BalanceView, Error> {
        actor.require(Scope::Read)?;
        let books = self.inner.store.balances(actor.account).await?;
        self.balance_view(actor.account, &books).await
    }

    pub(crate) async fn balance_view(
        &self,
        account: AccountId,
        books: &Balances,
    ) -> Result<BalanceView, Error> {
        let demo_credit = match self.inner.settings.demo_credit {
            Some(amount) if !self.inner.store.was_posted(&demo_key(account)).await? => Some(amount),
            _ => None,
        };
        let means = self.means(account, books.available, books.held).await?;
        let memory = self.memory();
        Ok(BalanceView {
            available: books.available,
            held: books.held,
            earned: books.earned,
            withdrawable: books.withdrawable,
            disputed: books.disputed,
            vouched: books.vouched,
            meter: meter(memory.leases_of_account(account), means),
            demo_credit,
        })
    }

    pub(crate) async fn post_demo_credit(
        &self,
        account: AccountId,
        amount: Amount,
        act: Act,
    ) -> Result<(), Error> {
        let now = self.now();
        let transfer = Transfer::new(
            demo_key(account),
            BookId::DemoSource,
            BookId::Available(account),
            amount,
            EntryKind::DemoCredit,
        );
        let mut tx = self.inner.store.begin().await?;
        self.post_all(&mut tx, &[transfer], now).await?;
        self.audit(&mut tx, act.with("amount", amount)).await?;
        Ok(tx.commit().await?)
    }

    /// Gives the demo's credit, once an account. Repeating it changes nothing.
    ///
    /// # Errors
    /// This server gives none; not with an API key.
    pub async fn take_demo_credit(&self, actor: &Actor) -> Result<BalanceView, Error> {
        actor.require_person()?;
        let Some(amount) = self.inner.settings.demo_credit else {
            return Err(Error::Forbidden(
                "a demo server gives credit; on this one that",
            ));
        };
        // What was given before may have been another amount.
        if !self
            .inner
            .store
            .was_posted(&demo_key(actor.account))
            .await?
        {
            let act = Act::by(actor, AuditAction::DemoCreditTaken, actor.account);
            self.post_demo_credit(actor.account, amount, act).await?;
        }
        self.balance(actor).await
    }

    /// What moved in the account's books, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn entries(
        &self,
        actor: &Actor,
        before: Option<TransferId>,
        limit: u32,
    ) -> Result<Page<EntryView>, Error> {
        actor.require(Scope::Read)?;
        let limit = limit.clamp(1, 200);
        let rows = self
            .inner
            .store
            .entries(actor.account, before, limit)
            .await?;
        let next = (rows.len() == usize::try_from(limit).unwrap_or(usize::MAX))
            .then(|| rows.last().map(|row| row.id.to_string()))
            .flatten();
        Ok(Page {
            items: rows
                .iter()
                .map(|row| entry_view(actor.account, row))
                .collect(),
            next,
        })
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn earnings(&self, actor: &Actor) -> Result<EarningsView, Error> {
        actor.require(Scope::Read)?;
        let store = &self.inner.store;
        let books = store.balances(actor.account).await?;
        let now = self.now();
        let midnight = start_of_day(now);
        let today_posted = store
            .received_since(BookId::Earned(actor.account), EntryKind::Charge, midnight)
            .await?;
        let payouts = store.payouts(actor.account, None, PAYOUTS_SHOWN).await?;
        let paid_out = store.paid_out(actor.account).await?;
        let redeemed = store.redeemed_by(actor.account).await?;
        let in_transit = store.payouts_open_of(actor.account).await?;
        let given_back = store.given_back(actor.account).await?;
        let devices = store.earned_by_device(actor.account).await?;
        let leases = store
            .leases_of_owner(actor.account, EARNINGS_LEASES)
            .await?;
        let memory = self.memory();
        let mine = || {
            memory
                .leases
                .values()
                .filter(|live| live.lease.owner == actor.account)
        };
        let unposted = |live: &LeaseLive| earned(live).minus_or_zero(live.lease.earned);
        let open = mine().fold(Amount::ZERO, |sum, live| {
            sum.checked_add(unposted(live)).unwrap_or(sum)
        });
        let rate = mine()
            .filter(|live| live.lease.state == LeaseState::Active)
            .fold(PricePerSecond::ZERO, |sum, live| {
                let net = live.lease.fees.owner_rate(live.lease.price);
                sum.checked_add(net).unwrap_or(sum)
            });
        let posted = devices.iter().fold(Amount::ZERO, |sum, (_, _, earned)| {
            sum.checked_add(*earned).unwrap_or(sum)
        });
        Ok(EarningsView {
            earned: posted.checked_add(open)?,
            given_back,
            today: today_posted.checked_add(open)?,
            pending: books.earned.checked_add(open)?,
            withdrawable: books.withdrawable,
            disputed: books.disputed,
            vouched: books.vouched,
            redeemed,
            in_transit,
            paid_out,
            rate,
            devices: devices
                .into_iter()
                .map(|(device, seconds, amount)| {
                    let live = memory.lease_on_device(device);
                    let named = memory.device(device);
                    DeviceEarnings {
                        device,
                        node_name: named
                            .map(|(node, _)| node.node.name.clone())
                            .unwrap_or_default(),
                        model: named
                            .map(|(_, device)| device.model.clone())
                            .unwrap_or_default(),
                        seconds: seconds.plus(live.map_or(Seconds::ZERO, |live| {
                            live.seconds().minus_or_zero(live.lease.head.seconds)
                        })),
                        earned: live.map_or(amount, |live| {
                            let open = live.lease.share(device, unposted(live));
                            amount.checked_add(open).unwrap_or(amount)
                        }),
                    }
                })
                .collect(),
            payouts: payouts.iter().map(|payout| payout.view(None)).collect(),
            leases: leases
                .into_iter()
                .map(|row| {
                    let live = memory.leases.get(&row.lease.id);
                    LeaseEarnings {
                        lease: row.lease.id,
                        node_name: row.node_name,
                        model: row.device_model,
                        state: row.lease.state,
                        granted_at: row.lease.granted_at,
                        seconds: live.map_or(row.lease.head.seconds, LeaseLive::seconds),
                        earned: live.map_or(row.lease.earned, earned),
                    }
                })
                .collect(),
        })
    }
}

pub(crate) fn entry_view(account: AccountId, row: &EntryRow) -> EntryView {
    let book = |id: &str| {
        let mut own = BookId::of(account).into_iter().zip(Book::ALL);
        own.find_map(|(key, book)| (key.to_string() == id).then_some(*book))
    };
    EntryView {
        id: row.id,
        at: row.at,
        kind: row.kind,
        amount: row.amount,
        from: book(&row.from_book),
        to: book(&row.to_book),
        // An owner learns which lease earned, not whose job it was.
        job: row.job.filter(|_| book(&row.from_book).is_some()),
    }
}
