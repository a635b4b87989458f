//! What is owed goes out over a chain, and what comes in over it is credited, each once.
//!
//! A round reads the chain's events into the books, looks after the transactions that are under way, and makes batches of the
//! payouts that are approved. It takes no input: one that failed or was killed is made good by the next. What the chain
//! says and the books do not, or the other way round, stands as a fault until it is right again (an incident `on_chain`), and
//! nothing is guessed.

mod channels;
mod events;
mod outgoing;
mod told;
mod watch;
mod weekly;

use kernel::PayoutId;
use ledger::BookId;
use protocol::audit::AuditAction;
use protocol::money::{PayoutState, PayoutStep};
use settlement::batch::{LINES_MAX, plan};
use settlement::chain::{Balances, Order};
use settlement::outgoing::assign;
use settlement::{Batch, Chain, ChainError, Line, Plan};
use store::{ChainFault, Purpose, Tx};

use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use events::Read;
pub(crate) use watch::Watched;

/// The subject of the fault that the vault holds less than what waits, and of the one that it differs from the books.
const VAULT_EMPTY: &str = "vault: payouts wait";
const VAULT_BOOKS: &str = "vault: books";
/// Orders that the chain would not carry out, as while its contract is paused.
const REFUSED: &str = "payouts: refused by the chain";
/// Approved without an admin in one round.
const APPROVED_AT_ONCE: u32 = 1_000;
/// Batches that are made in one round; each is a trial run and a transaction.
const BATCHES_AT_ONCE: usize = 64;
/// So often the vault is asked again when something happened in between.
const LOOKS: u32 = 3;

/// How the events of a contract are counted: by the chain's number and the contract's address.
fn cursor_of(chain: &dyn Chain) -> String {
    format!("{}:{}", chain.number(), chain.contract())
}

/// Whether what the contract holds and what the books know are of the same moment: the events of all that is in it were read,
/// none that is not, and nothing happened meanwhile. Neither a node that is behind the one that was asked before counts, nor what
/// another process read.
const fn is_of_one_moment(known: u64, held: &Balances, since: Read) -> bool {
    let asked = held.version.saturating_add(1);
    since.from == known && since.events == 0 && known <= asked && asked <= since.next
}

impl Exchange {
    /// One round. The payouts that are approved by then go out.
    ///
    /// # Errors
    /// The chain or the database does not answer; what was done until then stands.
    pub async fn settle(&self, chain: &dyn Chain) -> Result<(), Error> {
        let _turn = self.inner.settling.lock().await;
        let known = self.read_events(chain).await?.next;
        self.look_after(chain).await?;
        // What is wrong with a channel keeps no payout waiting.
        let channels = self.look_after_channels(chain).await;
        self.approve_small().await?;
        self.send_batches(chain, known).await?;
        channels
    }

    /// Compares what the contract's vault and each channel hold with what the books say came in and has not gone out.
    ///
    /// # Errors
    /// The chain or the database does not answer.
    pub async fn compare_vault(&self, chain: &dyn Chain) -> Result<(), Error> {
        // The next comparison sees it settled.
        let Some((held, books)) = self.vault_and_books(chain).await? else {
            return Ok(());
        };
        let vault = (VAULT_BOOKS.to_owned(), books, held.vault.base());
        let channels = self.channels_and_books(chain).await?;
        let mut tx = self.inner.store.begin().await?;
        for (subject, books, found) in channels.into_iter().chain([vault]) {
            if books == found {
                tx.drop_chain_fault(&subject).await?;
                continue;
            }
            let fault = ChainFault {
                subject,
                expected: books.to_string(),
                found: found.to_string(),
            };
            tx.put_chain_fault(&fault, self.now()).await?;
        }
        Ok(tx.commit().await?)
    }

    /// What the contract holds and what the books say it should, of one moment. `None`: something happened each time it was
    /// asked, so that neither is certain.
    async fn vault_and_books(&self, chain: &dyn Chain) -> Result<Option<(Balances, i64)>, Error> {
        let _turn = self.inner.settling.lock().await;
        let mut known = self.read_events(chain).await?.next;
        for _ in 0..LOOKS {
            let held = chain.balances().await?;
            let since = self.read_events(chain).await?;
            if is_of_one_moment(known, &held, since) {
                let mut tx = self.inner.store.begin().await?;
                let books = tx.signed_balance(BookId::Outside).await?.saturating_neg();
                return Ok(Some((held, books)));
            }
            known = since.next;
        }
        Ok(None)
    }

    /// Payouts that need no admin's eyes.
    async fn approve_small(&self) -> Result<(), Error> {
        let Some(most) = self.inner.settings.payout_auto_max else {
            return Ok(());
        };
        let small = self
            .inner
            .store
            .requested_payouts(most, APPROVED_AT_ONCE)
            .await?;
        for id in small {
            let mut tx = self.inner.store.begin().await?;
            // It may have been frozen or cancelled meanwhile.
            let still = |payout: &store::Payout| payout.state == PayoutState::Requested;
            if let Some(mut payout) = tx.payout(id).await?.filter(still) {
                self.step(&mut tx, None, &mut payout, PayoutStep::Approve)
                    .await?;
                let act = Act::by_platform(AuditAction::PayoutApproved, id, payout.account);
                self.audit(&mut tx, act.with("amount", payout.amount))
                    .await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn send_batches(&self, chain: &dyn Chain, known: u64) -> Result<(), Error> {
        let store = &self.inner.store;
        let senders = assign(&chain.senders(), &self.under_way().await?, BATCHES_AT_ONCE);
        let most = senders.len().saturating_mul(LINES_MAX);
        let lines = store
            .approved_lines(u32::try_from(most).unwrap_or(u32::MAX))
            .await?;
        if lines.is_empty() {
            self.chain_right(VAULT_EMPTY).await?;
            // With all senders busy nothing was tried.
            if senders.is_empty() {
                return Ok(());
            }
            return self.chain_right(REFUSED).await;
        }
        let plan = self.plan(chain, lines, known).await?;
        let mut refused = None;
        for (batch, sender) in plan.batches.iter().zip(senders) {
            let signed = match chain
                .prepare(Order::Pay(batch), sender, self.random())
                .await
            {
                Ok(signed) => signed,
                Err(ChainError::WouldFail { why, .. }) => {
                    refused.get_or_insert(why);
                    continue;
                }
                Err(other) => return Err(other.into()),
            };
            if !self.book(batch, &signed).await? {
                continue;
            }
            self.hand_over(chain, signed.hash, &signed.bytes).await?;
        }
        match refused {
            Some(why) => {
                let fault = ChainFault {
                    subject: REFUSED.to_owned(),
                    expected: "a batch of payouts that can be paid".to_owned(),
                    found: why,
                };
                self.chain_fault(&fault).await
            }
            None if plan.batches.is_empty() => Ok(()),
            None => self.chain_right(REFUSED).await,
        }
    }

    /// Which payouts go out now, out of what the vault holds and batches under way do not need. `known`: up to where events
    /// were read.
    async fn plan(
        &self,
        chain: &dyn Chain,
        lines: Vec<Line>,
        mut known: u64,
    ) -> Result<Plan, Error> {
        let mut looks = 0;
        loop {
            let mut free = chain.balances().await?;
            for open in self.inner.store.open_batches().await? {
                free.vault = free.vault.minus_or_zero(open.total);
            }
            let plan = plan(lines.clone(), LINES_MAX, free.vault)
                .map_err(|error| Error::Internal(format!("payouts make no batch: {error}")))?;
            let Some(first) = plan.waiting.first() else {
                self.chain_right(VAULT_EMPTY).await?;
                return Ok(plan);
            };
            // A batch that landed since its events were read is out of the vault and counted as under way too: too little
            // seems free then, never too much.
            let since = self.read_events(chain).await?;
            if is_of_one_moment(known, &free, since) {
                let fault = ChainFault {
                    subject: VAULT_EMPTY.to_owned(),
                    expected: first.amount.base().to_string(),
                    found: free.vault.base().to_string(),
                };
                self.chain_fault(&fault).await?;
                // What channels owe the vault comes in now.
                let mut tx = self.inner.store.begin().await?;
                tx.ask_for_vault().await?;
                tx.commit().await?;
                return Ok(plan);
            }
            (known, looks) = (since.next, looks + 1);
            if looks >= LOOKS {
                return Ok(plan);
            }
        }
    }

    /// The batch, its payouts and its signed bytes, all or nothing. `false`: one of its payouts was frozen or cancelled since.
    async fn book(&self, batch: &Batch, signed: &settlement::chain::Signed) -> Result<bool, Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        tx.insert_batch(batch, now).await?;
        for (line, number) in batch.lines().iter().zip(0_u64..) {
            let payout = tx.payout(line.payout).await?;
            let Some(mut payout) = payout.filter(|one| one.state == PayoutState::Approved) else {
                return Ok(false);
            };
            tx.put_line(payout.id, batch.id(), number).await?;
            self.step(&mut tx, None, &mut payout, PayoutStep::Send)
                .await?;
        }
        tx.insert_outgoing(signed, Purpose::Payouts(batch.id()), now)
            .await?;
        tx.commit().await?;
        tracing::info!(batch = %batch.id(), lines = batch.lines().len(), total = %batch.total(), transaction = %signed.hash, "a batch of payouts goes out");
        Ok(true)
    }

    pub(crate) async fn chain_fault(&self, fault: &ChainFault) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        tx.put_chain_fault(fault, self.now()).await?;
        Ok(tx.commit().await?)
    }

    async fn chain_right(&self, subject: &str) -> Result<(), Error> {
        let faults = self.inner.store.chain_faults().await?;
        if faults.iter().any(|fault| fault.subject == subject) {
            let mut tx = self.inner.store.begin().await?;
            tx.drop_chain_fault(subject).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// A payout ended on the chain.
    async fn end_payout(
        &self,
        tx: &mut Tx,
        id: PayoutId,
        reference: String,
        skipped: Option<u64>,
    ) -> Result<(), Error> {
        let payout = tx.payout(id).await?;
        let mut payout = payout.ok_or(Error::NotFound("the payout"))?;
        payout.reference = Some(reference);
        let step = match skipped {
            None => PayoutStep::Confirm,
            Some(reason) => {
                payout.note = format!(
                    "The chain could not pay to this address (reason {reason} of the contract; docs/settlement.md). The money is back."
                );
                PayoutStep::Fail
            }
        };
        self.step(tx, None, &mut payout, step).await
    }
}
