//! The weekly earnings report: made of each week that is over, oldest first; corrected when something of a closed week is given
//! back; published on the chain, each version once.
//!
//! A round takes no input: what the reports lack, by the ledger and by the chain, is done next, so that a process that was away
//! for weeks catches up. docs/settlement.md states what a line is.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AccountId, Amount, Timestamp};
use ledger::plans;
use settlement::chain::Order;
use settlement::outgoing::assign;
use settlement::report::{Earning, Heading};
use settlement::{Address, Chain, ChainError, Tree, Week};
use store::{ChainFault, Purpose, ReportRow, Tx, WeekLine};

use super::channels::reporting;
use crate::desk::Exchange;
use crate::error::Error;

/// After a week's end, for what was under way at midnight. What comes later still makes a correction.
const SETTLED_MS: i64 = 60_000;
/// Weeks made, and versions looked after, in one round: after a long absence others have their turn between.
const AT_ONCE: u32 = 60;
/// Transfers that are read at once for what changes a closed week.
const TRANSFERS: u64 = 100_000;
/// The place is written down when something was found, or after so many.
const NOTED_AFTER: u64 = 2_000;

/// As whom an owner stands in a report that is made now: by the payout address in force, or by the account's own name.
async fn report_owner(tx: &mut Tx, account: AccountId, now: Timestamp) -> Result<Address, Error> {
    let known = tx.payout_address(account).await?;
    Ok(known.map_or_else(|| Address::of_owner(account), |known| known.at(now).address))
}

/// The fault that a week's report on the chain is not that of the books, or does not get there.
pub(super) fn subject(week: Week) -> String {
    format!("report: {week}")
}

impl Exchange {
    /// One round: weeks that closed since, corrections, and what the chain lacks.
    ///
    /// # Errors
    /// The chain or the database does not answer; what was done until then stands.
    pub async fn report_weeks(&self, chain: &dyn Chain) -> Result<(), Error> {
        let _turn = self.inner.settling.lock().await;
        self.make_reports(chain).await?;
        self.correct_reports(chain).await?;
        self.publish_reports(chain).await
    }

    /// The oldest week without a report, from the first in which somebody earned.
    async fn next_week(&self) -> Result<Option<Week>, Error> {
        let store = &self.inner.store;
        if let Some(last) = store.last_reported_week().await? {
            return Ok(last.next());
        }
        let first = store.first_earning().await?;
        Ok(first.and_then(Week::containing))
    }

    async fn make_reports(&self, chain: &dyn Chain) -> Result<(), Error> {
        for _ in 0..AT_ONCE {
            let settled = self.now().plus_millis(SETTLED_MS.saturating_neg());
            let next = self.next_week().await?;
            let Some(week) = next.filter(|week| week.is_over(settled)) else {
                return Ok(());
            };
            // The contract goes by the chain's clock.
            if !week.is_over(chain.head().await?.at) {
                return Ok(());
            }
            self.make(chain, week).await?;
        }
        Ok(())
    }

    /// Makes a report of what the ledger says of a week now, unless the newest version says so already.
    async fn make(&self, chain: &dyn Chain, week: Week) -> Result<(), Error> {
        let published = chain.report(week, None).await?;
        let (now, end) = (self.now(), self.inner.store.weekly_seen().await?);
        let mut tx = self.inner.store.begin().await?;
        let before = tx.newest_report(week).await?;
        let own = (chain.number(), chain.contract());
        if let Some(before) = before
            .as_ref()
            .filter(|row| (row.chain, row.contract) != own)
        {
            let fault = ChainFault {
                subject: subject(week),
                expected: format!(
                    "a correction on chain {}, {}",
                    before.chain, before.contract
                ),
                found: format!("chain {}, {}", own.0, own.1),
            };
            tx.put_chain_fault(&fault, now).await?;
            return Ok(tx.commit().await?);
        }
        let lines = week_lines(&mut tx, week, before.as_ref(), now).await?;
        let earnings = lines.iter().map(|line| Earning {
            owner: line.address,
            amount: line.amount,
        });
        let tree = Tree::try_new(week, 1, earnings).map_err(|error| no_report(week, &error))?;
        // A version that is not on the chain yet counts too: it will be.
        let known = before.map(|row| row.heading);
        let newest = known
            .into_iter()
            .chain(published)
            .max_by_key(|one| one.version);
        let next = match newest {
            None => Some(*tree.heading()),
            Some(newest) => tree
                .after(&newest)
                .map_err(|error| no_report(week, &error))?
                .map(|tree| *tree.heading()),
        };
        let heading = match (next, newest) {
            (Some(heading), _) => heading,
            // The chain has it from before these books were set back: it is theirs again.
            (None, Some(newest)) if known.is_none_or(|own| own.version < newest.version) => newest,
            (None, _) => return Ok(()),
        };
        let is_there = published == Some(heading);
        let row = ReportRow {
            heading,
            chain: own.0,
            contract: own.1,
            seq: tx.chain_end().await?.seq,
            made_at: now,
            published_at: is_there.then_some(now),
            transaction: None,
        };
        tx.insert_report(&row, &lines).await?;
        if is_there {
            tx.drop_chain_fault(&subject(week)).await?;
        }
        if end.is_none() {
            let end = tx.chain_end().await?;
            tx.put_weekly_seen(&end).await?;
        }
        tx.commit().await?;
        tracing::info!(%week, version = heading.version, owners = heading.owners, total = %heading.total, "a week's report was made");
        Ok(())
    }

    /// Reads on in the ledger for what changes a week that has a report.
    async fn correct_reports(&self, chain: &dyn Chain) -> Result<(), Error> {
        let store = &self.inner.store;
        let last = store.last_reported_week().await?;
        let Some((last, seen)) = last.zip(store.weekly_seen().await?) else {
            return Ok(());
        };
        let end = store.chain_end().await?;
        if end.seq <= seen.seq {
            return Ok(());
        }
        let up_to = end.seq.min(seen.seq.saturating_add(TRANSFERS));
        let changed = store
            .earnings_changed(seen.seq, up_to, last.ends_at())
            .await?;
        if changed.is_empty() && up_to.saturating_sub(seen.seq) < NOTED_AFTER {
            return Ok(());
        }
        let mut weeks = BTreeSet::new();
        for (key, at) in changed {
            weeks.extend(self.weeks_behind(&key, at).await?);
        }
        for week in weeks.into_iter().filter(|week| *week <= last) {
            self.make(chain, week).await?;
        }
        let Some(read) = store.chain_at(up_to).await? else {
            return Ok(());
        };
        let mut tx = store.begin().await?;
        tx.put_weekly_seen(&read).await?;
        Ok(tx.commit().await?)
    }

    /// Which weeks a transfer's key speaks of. The keys are those of `ledger`.
    async fn weeks_behind(&self, key: &str, at: Timestamp) -> Result<Vec<Week>, Error> {
        let mut parts = key.split(':');
        let (what, id) = (parts.next(), parts.next().unwrap_or_default());
        let mut tx = self.inner.store.begin().await?;
        let times = match what {
            Some("receipt") => vec![at],
            Some("dispute") => match id.parse() {
                Ok(dispute) => tx.contested_at(dispute).await?.into_iter().collect(),
                Err(_) => Vec::new(),
            },
            Some("refund") => match id.parse() {
                Ok(lease) => {
                    let receipts = tx.receipt_earnings(lease).await?;
                    receipts.iter().map(|receipt| receipt.at).collect()
                }
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        Ok(times.into_iter().filter_map(Week::containing).collect())
    }

    /// Signs for what the chain lacks, as for batches: stored first, signed anew only when the last can never take effect.
    async fn publish_reports(&self, chain: &dyn Chain) -> Result<(), Error> {
        let (number, contract) = (chain.number(), chain.contract());
        let store = &self.inner.store;
        let open = store.open_reports(number, contract, AT_ONCE).await?;
        let Some(sender) = reporting(chain).filter(|_| !open.is_empty()) else {
            return Ok(());
        };
        let mut under_way = self.under_way().await?;
        let mut before = None;
        for row in open {
            let Heading { week, version, .. } = row.heading;
            // The contract takes a week's versions in their order.
            if before.replace(week) == Some(week) {
                continue;
            }
            let purpose = Purpose::Report { week, version };
            let last = store.newest_outgoing(purpose).await?;
            if let Some(last) = last
                && !self.is_dead(&last, &subject(week), "published").await?
            {
                continue;
            }
            if self.is_there(chain, &row).await? {
                continue;
            }
            let Some(from) = assign(&[sender], &under_way, 1).pop() else {
                return Ok(());
            };
            let order = Order::Publish(&row.heading);
            let signed = match chain.prepare(order, from, self.random()).await {
                Ok(signed) => signed,
                Err(ChainError::WouldFail { why, .. }) => {
                    let fault = ChainFault {
                        subject: subject(week),
                        expected: "a transaction that can be made".to_owned(),
                        found: why,
                    };
                    self.chain_fault(&fault).await?;
                    continue;
                }
                Err(other) => return Err(other.into()),
            };
            let mut tx = store.begin().await?;
            tx.insert_outgoing(&signed, purpose, self.now()).await?;
            tx.commit().await?;
            tracing::info!(%week, version, root = %row.heading.root, transaction = %signed.hash, "a week's report goes out");
            self.hand_over(chain, signed.hash, &signed.bytes).await?;
            let busy = under_way.entry(from).or_insert(0);
            *busy = busy.saturating_add(1);
        }
        Ok(())
    }

    /// Whether the chain has this version, from whom ever. If it has another one under this number, that stands as a fault, and
    /// what the books say is the version after the chain's newest.
    async fn is_there(&self, chain: &dyn Chain, row: &ReportRow) -> Result<bool, Error> {
        let Heading { week, version, .. } = row.heading;
        let Some(there) = chain.report(week, Some(version)).await? else {
            return Ok(false);
        };
        if there != row.heading {
            let mut tx = self.inner.store.begin().await?;
            let fault = other_report(week, Some(&row.heading), &there);
            tx.put_chain_fault(&fault, self.now()).await?;
            tx.drop_report(week, version).await?;
            tx.commit().await?;
            self.make(chain, week).await?;
        }
        Ok(true)
    }
}

/// What the chain has is not what the books say.
pub(super) fn other_report(week: Week, own: Option<&Heading>, there: &Heading) -> ChainFault {
    let of = |one: &Heading| format!("version {}: {}", one.version, one.root);
    ChainFault {
        subject: subject(week),
        expected: own.map_or_else(|| "a report of these books".to_owned(), of),
        found: of(there),
    }
}

fn no_report(week: Week, error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("the report of {week}: {error}"))
}

/// What each owner earned in a week, less what was taken back of it up to now; whoever is left with nothing is left out. An owner
/// keeps the address of the version before.
async fn week_lines(
    tx: &mut Tx,
    week: Week,
    before: Option<&ReportRow>,
    now: Timestamp,
) -> Result<Vec<WeekLine>, Error> {
    let mut sums = tx.earned_in(week).await?;
    let mut take = |account: AccountId, amount: Amount| {
        if let Some(sum) = sums.get_mut(&account) {
            *sum = sum.minus_or_zero(amount);
        }
    };
    for back in tx.ruled_back_of(week).await? {
        take(back.account, back.amount);
    }
    for back in tx.taken_back_of(week).await? {
        let receipts = tx.receipt_earnings(back.lease).await?;
        let left: Vec<_> = receipts
            .iter()
            .map(|receipt| receipt.amount.minus_or_zero(receipt.ruled))
            .collect();
        let taken = plans::taken_of(&left, back.amount);
        for (receipt, part) in receipts.iter().zip(taken) {
            if Week::containing(receipt.at) == Some(week) {
                take(back.owner, part);
            }
        }
    }
    let known: BTreeMap<AccountId, Address> = match before {
        None => BTreeMap::new(),
        Some(row) => {
            let lines = tx.report_lines(week, row.heading.version).await?;
            lines
                .iter()
                .map(|line| (line.account, line.address))
                .collect()
        }
    };
    let mut lines = Vec::with_capacity(sums.len());
    for (account, amount) in sums.into_iter().filter(|(_, amount)| !amount.is_zero()) {
        let address = match known.get(&account) {
            Some(address) => *address,
            None => report_owner(tx, account, now).await?,
        };
        lines.push(WeekLine {
            account,
            address,
            amount,
        });
    }
    Ok(lines)
}
