//! Escrow channels as the chain tells of them, and vouchers that are handed in from here.

use kernel::{Amount, Timestamp};
use ledger::BookId;
use ledger::plans::OfChannel;
use protocol::money::{ChannelState, ChannelStep};
use settlement::chain::{Event, EventKind, Order};
use settlement::outgoing::{Sender, assign};
use settlement::{Address, Chain, ChainError, Digest, SignedVoucher, Voucher};
use store::{ChainFault, ChannelRow, Purpose, Tx, VoucherRow};

use crate::desk::Exchange;
use crate::error::Error;

/// Vouchers of one round.
const AT_ONCE: u32 = 100;
/// While leases of a channel that is being closed still run, its vouchers wait, until so much before the end.
const HURRY_MS: i64 = 12 * 3_600_000;
/// Channels that are compared at once.
const COMPARED: u32 = 20;

fn subject(channel: Address) -> String {
    format!("channel: {channel}")
}

impl Exchange {
    pub(super) async fn channel_event(&self, tx: &mut Tx, event: &Event) -> Result<(), Error> {
        match event.kind {
            EventKind::Opened {
                channel,
                voucher_key,
                amount,
                ..
            } => {
                self.opened(tx, event, channel, Digest::from_bytes(voucher_key), amount)
                    .await
            }
            EventKind::ToppedUp {
                channel, amount, ..
            } => self.topped_up(tx, event, channel, amount).await,
            EventKind::Redeemed {
                channel,
                payee,
                cumulative,
                ..
            } => self.redeemed(tx, event, channel, payee, cumulative).await,
            EventKind::Closing { channel, until, .. } => self.closing(tx, channel, until).await,
            EventKind::Closed {
                channel, returned, ..
            } => self.closed(tx, event, channel, returned).await,
            _ => Ok(()),
        }
    }

    /// Anybody opens channels; those that were made here, with a key of ours, are money to spend here.
    async fn opened(
        &self,
        tx: &mut Tx,
        event: &Event,
        address: Address,
        key: Digest,
        amount: Amount,
    ) -> Result<(), Error> {
        let Some(mut row) = tx.channel(address).await? else {
            return Ok(());
        };
        if row.state != ChannelState::Proposed {
            return Ok(());
        }
        row.opened_at = Some(event.at);
        let has_other = tx.channel_of(row.account).await?.is_some();
        if has_other || key != row.voucher_key {
            row.state = ChannelState::Idle;
            tx.update_channel(&row).await?;
            return self
                .tell_channel(tx, &row, ChannelStep::Idle, Some(amount))
                .await;
        }
        row.state = ChannelState::Open;
        self.locked(tx, event, &mut row, ChannelStep::Opened, amount)
            .await
    }

    async fn topped_up(
        &self,
        tx: &mut Tx,
        event: &Event,
        address: Address,
        amount: Amount,
    ) -> Result<(), Error> {
        match tx.channel(address).await? {
            Some(mut row) if row.state == ChannelState::Open => {
                self.locked(tx, event, &mut row, ChannelStep::ToppedUp, amount)
                    .await
            }
            _ => Ok(()),
        }
    }

    async fn locked(
        &self,
        tx: &mut Tx,
        event: &Event,
        row: &mut ChannelRow,
        step: ChannelStep,
        amount: Amount,
    ) -> Result<(), Error> {
        let address = row.address.to_string();
        let of = OfChannel {
            address: &address,
            requester: row.account,
        };
        let transfer = of.locked(&format!("{}:{}", event.transaction, event.index), amount);
        // The cursor may have been set back.
        if self.inner.store.was_posted(&transfer.key).await? {
            return Ok(());
        }
        row.locked = row.locked.checked_add(amount)?;
        tx.update_channel(row).await?;
        self.post_all(tx, &[transfer], self.now()).await?;
        tracing::info!(channel = address, account = %row.account, %amount, "money was locked in a channel");
        self.tell_channel(tx, row, step, Some(amount)).await
    }

    /// Whoever handed the voucher in: what it brought leaves the owner's book, once.
    async fn redeemed(
        &self,
        tx: &mut Tx,
        event: &Event,
        channel: Address,
        payee: Address,
        cumulative: Amount,
    ) -> Result<(), Error> {
        let Some(mut row) = tx.channel(channel).await? else {
            return Ok(());
        };
        if row.state == ChannelState::Idle {
            return Ok(());
        }
        let known = tx.voucher(channel, payee).await?;
        let signed = known
            .as_ref()
            .map_or(Amount::ZERO, |voucher| voucher.cumulative);
        let Some(mut voucher) = known.filter(|voucher| cumulative <= voucher.cumulative) else {
            // Signed by a key that is ours alone, and unknown: a backup that is older than the voucher, or the key is stolen.
            let fault = ChainFault {
                subject: format!("voucher: {channel} {payee}"),
                expected: format!("at most {}", signed.base()),
                found: format!("{}: {}", event.transaction, cumulative.base()),
            };
            return Ok(tx.put_chain_fault(&fault, self.now()).await?);
        };
        let paid = cumulative.minus_or_zero(voucher.redeemed);
        if paid.is_zero() {
            return Ok(());
        }
        tx.drop_chain_fault(&format!("voucher: {channel} {payee}"))
            .await?;
        voucher.redeemed = cumulative;
        row.redeemed = row.redeemed.checked_add(paid)?;
        tx.put_voucher(&voucher).await?;
        tx.update_channel(&row).await?;
        let (address, to) = (channel.to_string(), payee.to_string());
        let of = OfChannel {
            address: &address,
            requester: row.account,
        };
        let transfer = of.redeemed(&to, voucher.account, cumulative, paid);
        self.post_all(tx, &[transfer], self.now()).await?;
        tracing::info!(channel = address, payee = to, %paid, transaction = %event.transaction, "a voucher was redeemed");
        Ok(())
    }

    /// No job is paid from it any more, beyond what was earned.
    async fn closing(&self, tx: &mut Tx, address: Address, until: Timestamp) -> Result<(), Error> {
        let Some(mut row) = tx.channel(address).await? else {
            return Ok(());
        };
        if row.closing_until.is_some() {
            return Ok(());
        }
        row.closing_until = Some(until);
        if row.state == ChannelState::Open {
            row.state = ChannelState::Closing;
        }
        tx.update_channel(&row).await?;
        self.tell_channel(tx, &row, ChannelStep::Closing, None)
            .await?;
        self.tell_owners(tx, &row).await
    }

    async fn closed(
        &self,
        tx: &mut Tx,
        event: &Event,
        address: Address,
        returned: Amount,
    ) -> Result<(), Error> {
        let Some(mut row) = tx.channel(address).await? else {
            return Ok(());
        };
        if row.state == ChannelState::Closed {
            return Ok(());
        }
        row.state = ChannelState::Closed;
        row.returned = Some(returned);
        row.closed_at = Some(event.at);
        tx.update_channel(&row).await?;
        self.tell_channel(tx, &row, ChannelStep::Closed, Some(returned))
            .await?;
        self.tell_owners(tx, &row).await?;
        if row.redeemed < row.promised {
            let fault = ChainFault {
                subject: subject(address),
                expected: format!("{} redeemed before it was closed", row.promised.base()),
                found: row.redeemed.base().to_string(),
            };
            tx.put_chain_fault(&fault, self.now()).await?;
        }
        Ok(())
    }

    /// Channels that are being closed let go of what nothing promises; vouchers that are due are handed in.
    pub(super) async fn look_after_channels(&self, chain: &dyn Chain) -> Result<(), Error> {
        for row in self.inner.store.channels_to_free().await? {
            self.set_free(&row).await?;
        }
        let (own, hurry) = (own(chain), self.now().plus_millis(HURRY_MS));
        let due = self.inner.store.vouchers_due(own, hurry, AT_ONCE).await?;
        let Some(reporter) = reporting(chain).filter(|_| !due.is_empty()) else {
            return Ok(());
        };
        let mut under_way = self.under_way().await?;
        for (voucher, channel) in due {
            let Some(sender) = assign(&[reporter], &under_way, 1).pop() else {
                return Ok(());
            };
            if self.hand_in(chain, sender, &voucher, &channel).await? {
                let busy = under_way.entry(sender).or_insert(0);
                *busy = busy.saturating_add(1);
            }
        }
        Ok(())
    }

    /// What its leases cost so far is promised first; then the rest leaves the balance, as far as it is there. What jobs hold
    /// follows when they end, which they do for want of money.
    async fn set_free(&self, row: &ChannelRow) -> Result<(), Error> {
        for lease in self.inner.store.uncleared_leases(row.account).await? {
            let _turn = self.inner.desk.lock().await;
            let mut tx = self.inner.store.begin().await?;
            if tx.is_withheld(lease).await? {
                self.clear_withheld(&mut tx, lease, self.now()).await?;
            } else {
                self.mature(&mut tx, lease, self.now()).await?;
            }
            tx.commit().await?;
        }
        let _turn = self.inner.desk.lock().await;
        let mut tx = self.inner.store.begin().await?;
        let Some(mut row) = tx.channel(row.address).await? else {
            return Ok(());
        };
        let free = row.free();
        let there = tx.balance(BookId::Available(row.account)).await?;
        let part = free.min(there);
        let is_over = row.state == ChannelState::Closed
            && !self.inner.store.has_live_lease(row.account).await?;
        let fault = ChainFault {
            subject: format!("channel rest: {}", row.address),
            expected: format!("{} in the balance that the chain paid back", free.base()),
            found: part.base().to_string(),
        };
        if part == free {
            tx.drop_chain_fault(&fault.subject).await?;
        } else if is_over {
            tx.put_chain_fault(&fault, self.now()).await?;
        }
        if !part.is_zero() {
            let address = row.address.to_string();
            let of = OfChannel {
                address: &address,
                requester: row.account,
            };
            let transfer = of.freed(row.freed, part);
            row.freed = row.freed.checked_add(part)?;
            tx.update_channel(&row).await?;
            self.post_all(&mut tx, &[transfer], self.now()).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Whether it is under way now.
    async fn hand_in(
        &self,
        chain: &dyn Chain,
        sender: Address,
        row: &VoucherRow,
        channel: &ChannelRow,
    ) -> Result<bool, Error> {
        let store = &self.inner.store;
        let purpose = Purpose::Redeem(row.channel, row.payee, row.cumulative);
        if let Some(last) = store.newest_outgoing(purpose).await?
            && (!last.state.may_be_replaced() || !self.is_over_pause(&last))
        {
            return Ok(false);
        }
        // Somebody was quicker; the event tells the rest.
        if chain.redeemed(row.channel, row.payee).await? >= row.cumulative {
            return Ok(false);
        }
        let signed = SignedVoucher {
            voucher: Voucher {
                chain: channel.chain,
                channel: row.channel,
                payee: row.payee,
                cumulative: row.cumulative,
            },
            signature: row.signature.clone(),
        };
        let order = Order::Redeem(&signed);
        let prepared = match chain.prepare(order, sender, self.random()).await {
            Ok(prepared) => prepared,
            Err(ChainError::WouldFail { why, .. }) => {
                let fault = ChainFault {
                    subject: format!("voucher: {} {}", row.channel, row.payee),
                    expected: "a transaction that can be made".to_owned(),
                    found: why,
                };
                self.chain_fault(&fault).await?;
                return Ok(false);
            }
            Err(other) => return Err(other.into()),
        };
        let mut tx = store.begin().await?;
        tx.insert_outgoing(&prepared, purpose, self.now()).await?;
        tx.commit().await?;
        tracing::info!(channel = %row.channel, payee = %row.payee, cumulative = %row.cumulative, transaction = %prepared.hash, "a voucher is handed in");
        self.hand_over(chain, prepared.hash, &prepared.bytes)
            .await?;
        Ok(true)
    }

    /// Of each live channel: its subject, what the books say is left of it, and what it holds. Without those of which that is not
    /// certain, because something happened while they were asked, or the node is behind.
    pub(super) async fn channels_and_books(
        &self,
        chain: &dyn Chain,
    ) -> Result<Vec<(String, i64, i64)>, Error> {
        let (mut all, mut last) = (Vec::new(), None);
        loop {
            let store = &self.inner.store;
            let rows = store.live_channels(own(chain), last, COMPARED).await?;
            last = rows.last().map(|row| row.address);
            if last.is_none() {
                return Ok(all);
            }
            all.extend(self.few_and_books(chain, &rows).await?);
        }
    }

    /// A few at once: payouts wait meanwhile, and more time is more that happens.
    async fn few_and_books(
        &self,
        chain: &dyn Chain,
        rows: &[ChannelRow],
    ) -> Result<Vec<(String, i64, i64)>, Error> {
        let _turn = self.inner.settling.lock().await;
        let known = self.read_events(chain).await?.next;
        let mut few = Vec::with_capacity(rows.len());
        for row in rows {
            let mut tx = self.inner.store.begin().await?;
            // As it is now that its events were read.
            let now = tx.channel(row.address).await?;
            drop(tx);
            let Some(row) = now.filter(|row| row.state != ChannelState::Closed) else {
                continue;
            };
            let seen = chain.channel(row.address).await?;
            let found = seen.map_or(Amount::ZERO, |seen| seen.balance);
            let books = row.locked.minus_or_zero(row.redeemed);
            few.push((subject(row.address), books.base(), found.base()));
        }
        let is_behind = chain.head().await?.version.saturating_add(1) < known;
        let since = self.read_events(chain).await?;
        if is_behind || since.from != known || since.events > 0 {
            few.clear();
        }
        Ok(few)
    }
}

/// By what the channels of a contract are told from those of another one.
fn own(chain: &dyn Chain) -> (u8, Address) {
    (chain.number(), chain.contract())
}

/// The account that publishes reports and hands in vouchers, and how much it may have under way: as much as those that pay.
pub(super) fn reporting(chain: &dyn Chain) -> Option<Sender> {
    let most = chain.senders().iter().map(|sender| sender.most).max();
    Some(Sender {
        address: chain.reporter()?,
        most: most.unwrap_or(1),
    })
}
