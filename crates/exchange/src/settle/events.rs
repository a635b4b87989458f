//! What happened on the chain, into the books.

use kernel::{Amount, DepositId};
use ledger::{BookId, Transfer, plans};
use protocol::money::{DepositState, EntryKind};
use settlement::batch::LineEnd;
use settlement::chain::{Event, EventKind};
use settlement::report::Heading;
use settlement::{Address, Batch, Chain, Digest, Line, Tag};
use store::{ChainFault, Deposit, Tx, Unclaimed};

use super::cursor_of;
use super::weekly::{other_report, subject};
use crate::desk::Exchange;
use crate::error::Error;

/// Versions that are read at once.
const VERSIONS: u16 = 1_000;
/// Pages of one round: after a long absence others have their turn between.
const PAGES: u32 = 100;
/// With this tag the platform's own money comes in: the vault is filled for what no deposit of a person covers.
const PLATFORM: [u8; 16] = [0; 16];

/// What a reading brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// Where it began.
    pub from: u64,
    pub events: usize,
    /// The first version that was not read.
    pub next: u64,
}

impl Exchange {
    /// Reads on from where the last reading ended. The place is stored with what the events did: each counts once, whoever dies
    /// when.
    pub(super) async fn read_events(&self, chain: &dyn Chain) -> Result<Read, Error> {
        let contract = cursor_of(chain);
        let mut read = Read {
            from: 0,
            events: 0,
            next: 0,
        };
        for _ in 0..PAGES {
            let from = {
                let mut tx = self.inner.store.begin().await?;
                tx.chain_cursor(&contract).await?
            };
            if from != read.next {
                // The beginning, or another process read a page in between.
                (read.from, read.next) = (from, from);
            }
            let page = chain.events(from, VERSIONS).await?;
            if page.next == from {
                return Ok(read);
            }
            let mut tx = self.inner.store.begin().await?;
            if tx.chain_cursor(&contract).await? != from {
                // Another process was quicker.
                return Ok(read);
            }
            let mut rest = page.events.as_slice();
            while let Some(first) = rest.first() {
                let same = rest.iter().take_while(|one| one.version == first.version);
                let (transaction, after) = rest.split_at(same.count());
                self.happened(&mut tx, transaction).await?;
                rest = after;
            }
            tx.put_chain_cursor(&contract, page.next).await?;
            tx.commit().await?;
            read.events = read.events.saturating_add(page.events.len());
            read.next = page.next;
            if page.is_up_to_date() {
                return Ok(read);
            }
        }
        Ok(read)
    }

    /// The events of one transaction.
    async fn happened(&self, tx: &mut Tx, events: &[Event]) -> Result<(), Error> {
        for event in events {
            match event.kind {
                EventKind::Deposited { from, tag, amount } => {
                    self.came_in(tx, event, from, tag, amount).await?;
                }
                EventKind::Settled { batch, .. } => {
                    self.settled(tx, event, batch, events).await?;
                }
                EventKind::Published(heading) => self.published(tx, event, &heading).await?,
                _ => self.channel_event(tx, event).await?,
            }
        }
        Ok(())
    }

    async fn published(&self, tx: &mut Tx, event: &Event, there: &Heading) -> Result<(), Error> {
        let own = tx.report(there.week, there.version).await?;
        let own = own.map(|row| row.heading);
        if own.as_ref() != Some(there) {
            let fault = other_report(there.week, own.as_ref(), there);
            return Ok(tx.put_chain_fault(&fault, self.now()).await?);
        }
        tx.put_published(there.week, there.version, event.at, event.transaction)
            .await?;
        tx.drop_chain_fault(&subject(there.week)).await?;
        tracing::info!(week = %there.week, version = there.version, transaction = %event.transaction, "a week's report is on the chain");
        Ok(())
    }

    async fn came_in(
        &self,
        tx: &mut Tx,
        event: &Event,
        from: Address,
        tag: Option<Tag>,
        amount: Amount,
    ) -> Result<(), Error> {
        let now = self.now();
        let reference = reference(event.transaction, event.index);
        let id = DepositId::new(now, self.random());
        if tag.is_some_and(|tag| *tag.as_bytes() == PLATFORM) {
            let transfer = Transfer::new(
                format!("deposit:{reference}"),
                BookId::Outside,
                BookId::Treasury,
                amount,
                EntryKind::Deposit,
            );
            return Ok(self.post_all(tx, &[transfer], now).await?);
        }
        // The cursor may have been set back, as by a backup that is older than the books.
        if tx.is_deposit_known(&reference).await? {
            return Ok(());
        }
        let account = match tag {
            Some(tag) => self.inner.store.account(tag.account()).await?,
            None => None,
        };
        let Some(account) = account else {
            self.post_all(tx, &[plans::deposit_seen(id, amount)], now)
                .await?;
            let fault = ChainFault {
                subject: format!("deposit: {reference}"),
                expected: "the id of an account".to_owned(),
                found: tag.map_or_else(|| "no id".to_owned(), |tag| tag.account().to_string()),
            };
            tx.put_chain_fault(&fault, now).await?;
            let unclaimed = Unclaimed {
                id,
                reference,
                sender: from,
                tag,
                amount,
                at: event.at,
            };
            return Ok(tx.insert_unclaimed(&unclaimed).await?);
        };
        let deposit = Deposit {
            id,
            account: account.id,
            amount,
            state: DepositState::Credited,
            demo: false,
            reference: Some(reference),
            requested_at: event.at,
            decided_at: Some(now),
            decided_by: None,
            note: String::new(),
        };
        tx.insert_deposit(&deposit).await?;
        tx.update_deposit(&deposit).await?;
        let plan: Vec<Transfer> = [plans::deposit_seen(id, amount)]
            .into_iter()
            .chain(plans::deposit_end(id, account.id, amount, false, true))
            .collect();
        self.post_all(tx, &plan, now).await?;
        tracing::info!(deposit = %id, account = %account.id, %amount, "a deposit came in over the chain");
        self.tell_deposit(tx, &deposit).await
    }

    async fn settled(
        &self,
        tx: &mut Tx,
        event: &Event,
        id: Digest,
        events: &[Event],
    ) -> Result<(), Error> {
        let now = self.now();
        let subject = format!("batch: {id}");
        let Some(mut row) = tx.batch(id).await? else {
            let fault = ChainFault {
                subject,
                expected: "a batch of these books".to_owned(),
                found: format!("{} paid one that is unknown here", event.transaction),
            };
            return Ok(tx.put_chain_fault(&fault, now).await?);
        };
        if row.settled_at.is_some() {
            return Ok(());
        }
        let lines = tx.batch_payouts(id).await?;
        let lines = lines.iter().map(line).collect::<Result<Vec<_>, Error>>()?;
        let ends = Batch::try_new(lines)
            .map_err(|error| error.to_string())
            .and_then(|batch| batch.ends(events).map_err(|error| error.to_string()));
        let ends = match ends {
            Ok(ends) => ends,
            Err(error) => {
                let fault = ChainFault {
                    subject,
                    expected: format!("{} lines, {} in all", row.lines, row.total.base()),
                    found: format!("{}: {error}", event.transaction),
                };
                return Ok(tx.put_chain_fault(&fault, now).await?);
            }
        };
        let (mut paid, mut skipped) = (0_u32, 0_u32);
        for ((payout, end), number) in ends.into_iter().zip(0_u64..) {
            let reason = match end {
                LineEnd::Paid => {
                    paid = paid.saturating_add(1);
                    None
                }
                LineEnd::Skipped(reason) => {
                    skipped = skipped.saturating_add(1);
                    Some(reason)
                }
            };
            let reference = reference(event.transaction, number);
            self.end_payout(tx, payout, reference, reason).await?;
        }
        (row.transaction, row.settled_at) = (Some(event.transaction), Some(event.at));
        (row.paid, row.skipped) = (Some(paid), Some(skipped));
        tx.settle_batch(&row).await?;
        tx.drop_chain_fault(&subject).await?;
        tracing::info!(batch = %id, paid, skipped, transaction = %event.transaction, "a batch was settled");
        Ok(())
    }
}

/// What a line, or an event, is called outside: the transaction and the place in it.
fn reference(transaction: Digest, place: u64) -> String {
    format!("{transaction}:{place}")
}

fn line(payout: &store::Payout) -> Result<Line, Error> {
    Ok(Line {
        payout: payout.id,
        payee: address(&payout.address)?,
        amount: payout.amount,
    })
}

fn address(text: &str) -> Result<Address, Error> {
    let read = text.parse();
    read.map_err(|error| Error::Internal(format!("a stored address {text}: {error}")))
}
