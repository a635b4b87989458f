//! The chain for everybody to look at, and settlement for admins. Nobody who looks asks the chain (`settle/watch.rs`).

use kernel::{Seconds, Timestamp};
use protocol::money::{
    BatchDetail, BatchView, ChainReach, CodeState, CodeView, ExplorerView, FeeAccountView,
    OnChainView, SettlementView, SupplyView, TransactionView, VaultView,
};
use protocol::view::Page;
use settlement::{Code, Digest};
use store::{BatchRow, OutgoingRow, Purpose};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::network::{Explorer, Network};
use crate::settle::Watched;

/// Batches that everybody sees.
const SHOWN: u32 = 10;
/// Older than this, what was read of the chain says its age.
const FRESH_MS: i64 = 30_000;
/// Sums over a day and over all payouts are made anew after this.
const SUMS_KEPT_MS: i64 = 30_000;

/// Sums over many rows, kept for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sums {
    at: Timestamp,
    paid: protocol::money::PaidView,
    paid_day: protocol::money::PaidView,
    spent_day: kernel::Amount,
}

impl Exchange {
    /// What everybody may see of the chain and of what goes over it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn explorer(&self) -> Result<ExplorerView, Error> {
        let sums = self.sums().await?;
        let rows = self.inner.store.batches(None, SHOWN).await?;
        Ok(ExplorerView {
            at: self.now(),
            chain: self.on_chain()?,
            paid: sums.paid,
            paid_day: sums.paid_day,
            spent_day: sums.spent_day,
            batches: rows.iter().map(|row| self.batch_view(row)).collect(),
            network: self.network().await?,
        })
    }

    /// How settlement stands.
    ///
    /// # Errors
    /// Not an admin.
    pub fn settlement(&self, actor: &Actor) -> Result<SettlementView, Error> {
        actor.require_admin()?;
        let watched = self.watched();
        let balances = watched.seen.map(|seen| seen.balances);
        let fees = balances.map(|balances| balances.fees).unwrap_or_default();
        let fees = fees.into_iter().map(|(address, balance)| FeeAccountView {
            address: address.to_string(),
            url: self.pages().of_account(address),
            balance,
        });
        Ok(SettlementView {
            chain: self.on_chain()?,
            fees: fees.collect(),
            trouble: watched.trouble,
        })
    }

    /// Batches of payouts, newest first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn batches(
        &self,
        actor: &Actor,
        after: Option<Digest>,
        limit: u32,
    ) -> Result<Page<BatchView>, Error> {
        actor.require_admin()?;
        let rows = self.inner.store.batches(after, limit).await?;
        let views = rows.iter().map(|row| self.batch_view(row)).collect();
        Ok(crate::payouts::page(views, limit, |batch: &BatchView| {
            batch.id.clone()
        }))
    }

    /// One batch with its lines and transactions.
    ///
    /// # Errors
    /// Not an admin; no such batch.
    pub async fn batch(&self, actor: &Actor, id: Digest) -> Result<BatchDetail, Error> {
        actor.require_admin()?;
        let store = &self.inner.store;
        let row = store.batch(id).await?;
        let row = row.ok_or(Error::NotFound("the batch"))?;
        let sent = store.outgoing_of(Purpose::Payouts(id)).await?;
        Ok(BatchDetail {
            batch: self.batch_view(&row),
            lines: store.batch_views(id).await?,
            transactions: sent
                .into_iter()
                .map(|row| self.transaction_view(row))
                .collect(),
        })
    }

    async fn sums(&self) -> Result<Sums, Error> {
        let mut kept = self.inner.sums.lock().await;
        let now = self.now();
        let fresh = |sums: &&Sums| now < sums.at.plus_millis(SUMS_KEPT_MS);
        if let Some(sums) = kept.as_ref().filter(fresh) {
            return Ok(*sums);
        }
        let store = &self.inner.store;
        let day = now.minus(Seconds::DAY);
        let sums = Sums {
            at: now,
            paid: store.paid_since(Timestamp::from_millis(0)).await?,
            paid_day: store.paid_since(day).await?,
            spent_day: store.spent_since(day).await?,
        };
        *kept = Some(sums);
        Ok(sums)
    }

    fn on_chain(&self) -> Result<Option<OnChainView>, Error> {
        let Some(network) = &self.inner.settings.network else {
            return Ok(None);
        };
        self.of_network(network, &self.watched()).map(Some)
    }

    fn of_network(&self, network: &Network, watched: &Watched) -> Result<OnChainView, Error> {
        let built = Code::built().map_err(|error| Error::Internal(error.to_string()))?;
        let built = built.hash();
        let held = watched.code.map(|(held, _)| held);
        let state = match held {
            None => CodeState::NotCompared,
            Some(held) if held == built => CodeState::Same,
            Some(_) => CodeState::Different,
        };
        let seen = watched.seen.as_ref();
        let is_fresh = |at: Timestamp| self.now() < at.plus_millis(FRESH_MS);
        let reach = match seen {
            None => ChainReach::Unreached,
            Some(seen) if is_fresh(seen.at) => ChainReach::Fresh,
            Some(_) => ChainReach::Stale,
        };
        Ok(OnChainView {
            number: network.number,
            node: network.node.clone(),
            contract: network.contract.to_string(),
            contract_url: network.explorer.of_account(network.contract),
            transaction_url: network.explorer.transaction.clone(),
            reach,
            seen_at: seen.map(|seen| seen.at),
            version: seen.map(|seen| seen.balances.version),
            supply: seen.map(|seen| SupplyView {
                supply: seen.supply.supply,
                cap: seen.supply.cap,
                circulating: seen.supply.circulating,
            }),
            vault: watched
                .vault
                .map(|(held, owed, at)| VaultView { held, owed, at }),
            code: CodeView {
                state,
                built: built.to_string(),
                held: held.map(|held| held.to_string()),
                compared_at: watched.code.map(|(_, at)| at),
            },
        })
    }

    /// Where pages lead for what is on the chain.
    pub(crate) fn pages(&self) -> Explorer {
        let network = self.inner.settings.network.as_ref();
        network
            .map(|network| network.explorer.clone())
            .unwrap_or_default()
    }

    fn batch_view(&self, row: &BatchRow) -> BatchView {
        BatchView {
            id: row.id.to_string(),
            lines: row.lines,
            total: row.total,
            made_at: row.made_at,
            settled_at: row.settled_at,
            paid: row.paid,
            skipped: row.skipped,
            transaction: row.transaction.map(|hash| hash.to_string()),
            transaction_url: row
                .transaction
                .and_then(|hash| self.pages().of_transaction(hash)),
        }
    }

    fn transaction_view(&self, row: OutgoingRow) -> TransactionView {
        TransactionView {
            hash: row.hash.to_string(),
            url: self.pages().of_transaction(row.hash),
            attempt: row.attempt,
            sender: row.sender.to_string(),
            state: row.state.as_str().to_owned(),
            made_at: row.made_at,
            changed_at: row.changed_at,
            expires_at: row.expires_at,
            fee_max: row.fee_max,
            gas_used: row.gas_used,
            status: row.status,
        }
    }
}
