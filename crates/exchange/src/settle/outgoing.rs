//! Transactions that are under way: handed over, looked up, replaced once they can never take effect.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use kernel::Timestamp;
use settlement::chain::Order;
use settlement::outgoing::{Presence, assign};
use settlement::{Address, Batch, Chain, ChainError, Digest, Outgoing};
use store::{BatchRow, ChainFault, OutgoingRow, Purpose};

use crate::desk::Exchange;
use crate::error::Error;

/// From this attempt on somebody should look.
const PATIENT_ATTEMPTS: u32 = 3;
/// Looked up at once: each waits for the node most of its time.
const LOOK_UPS: usize = 8;
/// Between two attempts, doubled with each, up to an hour.
const PAUSE_MS: i64 = 2_000;
const PAUSE_MAX_MS: i64 = 3_600_000;

fn pause(attempt: u32) -> i64 {
    let doubled = PAUSE_MS.saturating_mul(1_i64.checked_shl(attempt.min(20)).unwrap_or(i64::MAX));
    doubled.min(PAUSE_MAX_MS)
}

impl Exchange {
    /// Each that is not over: handed over if need be, and looked up. Then batches without a transaction that could settle them
    /// get a new one.
    pub(super) async fn look_after(&self, chain: &dyn Chain) -> Result<(), Error> {
        let open = self.inner.store.open_outgoing().await?;
        let looks = stream::iter(open)
            .map(|row| self.look_at(chain, row))
            .buffer_unordered(LOOK_UPS);
        // One that cannot be looked up keeps none of the others waiting.
        let looked: Vec<Result<(), Error>> = looks.collect().await;
        looked.into_iter().collect::<Result<(), Error>>()?;
        for batch in self.inner.store.open_batches().await? {
            self.try_again(chain, &batch).await?;
        }
        Ok(())
    }

    async fn look_at(&self, chain: &dyn Chain, mut row: OutgoingRow) -> Result<(), Error> {
        if row.state == Outgoing::Signed {
            self.hand_over(chain, row.hash, &row.signed).await?;
            row.state = row.state.sent();
        }
        let sighting = chain.look_up(row.hash).await?;
        let state = match row.state.after(row.expires_at, &sighting) {
            Ok(state) => state,
            Err(contradiction) => {
                let fault = ChainFault {
                    subject: format!("transaction: {}", row.hash),
                    expected: row.state.to_string(),
                    found: contradiction.to_string(),
                };
                return self.chain_fault(&fault).await;
            }
        };
        if sighting.presence == Presence::Unknown && state == row.state && state.may_be_sent() {
            // The node forgot it, or never got it.
            return self.hand_over(chain, row.hash, &row.signed).await;
        }
        if state == row.state {
            return Ok(());
        }
        if let Presence::Landed(landing) = &sighting.presence {
            row.gas_used = Some(landing.gas_used);
            row.status.clone_from(&landing.status);
        }
        (row.state, row.changed_at) = (state, self.now());
        let mut tx = self.inner.store.begin().await?;
        tx.update_outgoing(&row).await?;
        tx.commit().await?;
        tracing::info!(transaction = %row.hash, purpose = %row.purpose, state = %row.state, status = row.status, "a transaction went on");
        Ok(())
    }

    /// A refusal or a lost answer says nothing: the look-up tells.
    pub(crate) async fn hand_over(
        &self,
        chain: &dyn Chain,
        hash: Digest,
        bytes: &[u8],
    ) -> Result<(), Error> {
        if let Err(error) = chain.submit(bytes).await {
            tracing::warn!(transaction = %hash, %error, "a transaction was not taken");
        }
        let mut tx = self.inner.store.begin().await?;
        if let Some(mut row) = tx.outgoing(hash).await?
            && row.state == Outgoing::Signed
        {
            (row.state, row.changed_at) = (row.state.sent(), self.now());
            tx.update_outgoing(&row).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Another transaction for a batch whose last one can never take effect.
    async fn try_again(&self, chain: &dyn Chain, batch: &BatchRow) -> Result<(), Error> {
        let store = &self.inner.store;
        let purpose = Purpose::Payouts(batch.id);
        let Some(last) = store.newest_outgoing(purpose).await? else {
            return Ok(());
        };
        let subject = format!("batch: {}", batch.id);
        if !self.is_dead(&last, &subject, "settled").await? {
            return Ok(());
        }
        // Settled by whom ever: its events tell the rest.
        if chain.is_settled(batch.id).await? {
            return Ok(());
        }
        let lines = store.batch_lines(batch.id).await?;
        let again = Batch::try_new(lines)
            .map_err(|error| Error::Internal(format!("a stored batch {}: {error}", batch.id)))?;
        let Some(sender) = assign(&chain.senders(), &self.under_way().await?, 1).pop() else {
            return Ok(());
        };
        let signed = match chain
            .prepare(Order::Pay(&again), sender, self.random())
            .await
        {
            Ok(signed) => signed,
            Err(ChainError::WouldFail { why, .. }) => {
                let fault = ChainFault {
                    subject: format!("batch: {}", batch.id),
                    expected: "a transaction that can be made".to_owned(),
                    found: why,
                };
                return self.chain_fault(&fault).await;
            }
            Err(other) => return Err(other.into()),
        };
        let mut tx = store.begin().await?;
        tx.insert_outgoing(&signed, purpose, self.now()).await?;
        tx.commit().await?;
        self.hand_over(chain, signed.hash, &signed.bytes).await
    }

    /// Whether a transaction can never take effect, and the pause before the next one is over. After some attempts that stands as
    /// a fault of `subject`, which should have been `done`.
    pub(super) async fn is_dead(
        &self,
        last: &OutgoingRow,
        subject: &str,
        done: &str,
    ) -> Result<bool, Error> {
        if !last.state.may_be_replaced() || !self.is_over_pause(last) {
            return Ok(false);
        }
        if last.attempt >= PATIENT_ATTEMPTS {
            let fault = ChainFault {
                subject: subject.to_owned(),
                expected: format!("{done} at attempt {PATIENT_ATTEMPTS}"),
                found: format!("attempt {} {}: {}", last.attempt, last.state, last.status),
            };
            self.chain_fault(&fault).await?;
        }
        Ok(true)
    }

    /// How many transactions of each account may still take effect.
    pub(super) async fn under_way(&self) -> Result<BTreeMap<Address, usize>, Error> {
        let mut under_way = BTreeMap::new();
        for row in self.inner.store.open_outgoing().await? {
            let busy = under_way.entry(row.sender).or_insert(0_usize);
            *busy = busy.saturating_add(1);
        }
        Ok(under_way)
    }

    pub(super) fn is_over_pause(&self, last: &OutgoingRow) -> bool {
        let next: Timestamp = last.changed_at.plus_millis(pause(last.attempt));
        next <= self.now()
    }
}
