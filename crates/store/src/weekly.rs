//! The weekly earnings report: the reports that were made, and what the chain told of them; `earned` is what they are made of.

mod earned;

pub use earned::{ReceiptEarning, TakenBack, WeekAmount};

use kernel::{AccountId, Amount, Timestamp};
use protocol::money::{OwnWeekView, ReportView};
use settlement::report::Heading;
use settlement::{Address, Digest, Week};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::ledger_books::{ChainEnd, chain_end};
use crate::payouts::{Payout, payout};
use crate::row::{Columns, count};

/// A version of a week's report, without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    pub heading: Heading,
    /// Where it is published.
    pub chain: u8,
    pub contract: Address,
    /// The last transfer that it knows of.
    pub seq: u64,
    pub made_at: Timestamp,
    pub published_at: Option<Timestamp>,
    pub transaction: Option<Digest>,
}

impl ReportRow {
    pub fn view(&self) -> ReportView {
        ReportView {
            week: self.heading.week.day(),
            monday: self.heading.week.to_string(),
            version: self.heading.version,
            root: self.heading.root.to_string(),
            total: self.heading.total,
            owners: self.heading.owners,
            chain: self.chain,
            contract: self.contract.to_string(),
            made_at: self.made_at,
            published_at: self.published_at,
            transaction: self.transaction.map(|hash| hash.to_string()),
        }
    }
}

/// What an account earned in a week, and as whom it stands in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekLine {
    pub account: AccountId,
    pub address: Address,
    pub amount: Amount,
}

fn week(row: &AnyRow) -> Result<Week, StoreError> {
    Week::try_new(row.unsigned("week")?).map_err(|error| StoreError::corrupt("week", error))
}

fn report(row: &AnyRow) -> Result<ReportRow, StoreError> {
    let chain = u8::try_from(row.int("chain")?);
    Ok(ReportRow {
        heading: Heading {
            week: week(row)?,
            version: row.unsigned("version")?,
            root: row.parse("root")?,
            total: row.amount("total")?,
            owners: row.unsigned("owners")?,
        },
        chain: chain.map_err(|error| StoreError::corrupt("chain", error))?,
        contract: row.parse("contract")?,
        seq: row.unsigned("seq")?,
        made_at: row.time("made_at")?,
        published_at: row.time_opt("published_at")?,
        transaction: row.parse_opt("transaction_hash")?,
    })
}

fn line(row: &AnyRow) -> Result<WeekLine, StoreError> {
    Ok(WeekLine {
        account: row.parse("account")?,
        address: row.parse("address")?,
        amount: row.amount("amount")?,
    })
}

fn day(week: Week) -> Result<i64, StoreError> {
    count("week", week.day())
}

impl Tx {
    /// # Errors
    /// A conflict: that version is there already.
    pub async fn insert_report(
        &mut self,
        new: &ReportRow,
        lines: &[WeekLine],
    ) -> Result<(), StoreError> {
        let Heading {
            week,
            version,
            root,
            total,
            owners,
        } = new.heading;
        query(
            "INSERT INTO weekly_reports (week, version, chain, contract, root, total, owners, seq, made_at, published_at, \
             transaction_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(day(week)?)
        .bind(count("version", version)?)
        .bind(i64::from(new.chain))
        .bind(new.contract.to_string())
        .bind(root.to_string())
        .bind(total.base())
        .bind(count("owners", owners)?)
        .bind(count("seq", new.seq)?)
        .bind(new.made_at.millis())
        .bind(new.published_at.map(Timestamp::millis))
        .bind(new.transaction.map(|hash| hash.to_string()))
        .execute(self.connection())
        .await?;
        for line in lines {
            query(
                "INSERT INTO weekly_lines (week, version, account, address, amount) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(day(week)?)
            .bind(count("version", version)?)
            .bind(line.account.to_string())
            .bind(line.address.to_string())
            .bind(line.amount.base())
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// One that never reached the chain, where another stands in its place.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_report(&mut self, week: Week, version: u64) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM weekly_lines WHERE week = $1 AND version = $2",
            "DELETE FROM weekly_reports WHERE week = $1 AND version = $2",
        ] {
            query(sql)
                .bind(day(week)?)
                .bind(count("version", version)?)
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// The newest version of a week.
    ///
    /// # Errors
    /// The database failed.
    pub async fn newest_report(&mut self, week: Week) -> Result<Option<ReportRow>, StoreError> {
        let row =
            query("SELECT * FROM weekly_reports WHERE week = $1 ORDER BY version DESC LIMIT 1")
                .bind(day(week)?)
                .fetch_optional(self.connection())
                .await?;
        row.as_ref().map(report).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn report(
        &mut self,
        week: Week,
        version: u64,
    ) -> Result<Option<ReportRow>, StoreError> {
        let row = query("SELECT * FROM weekly_reports WHERE week = $1 AND version = $2")
            .bind(day(week)?)
            .bind(count("version", version)?)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(report).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn report_lines(
        &mut self,
        week: Week,
        version: u64,
    ) -> Result<Vec<WeekLine>, StoreError> {
        let rows = query(LINES)
            .bind(day(week)?)
            .bind(count("version", version)?)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(line).collect()
    }

    /// The chain has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_published(
        &mut self,
        week: Week,
        version: u64,
        at: Timestamp,
        transaction: Digest,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE weekly_reports SET published_at = $1, transaction_hash = $2 WHERE week = $3 AND version = $4",
        )
        .bind(at.millis())
        .bind(transaction.to_string())
        .bind(day(week)?)
        .bind(count("version", version)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn put_weekly_seen(&mut self, end: &ChainEnd) -> Result<(), StoreError> {
        query(
            "INSERT INTO ledger_checks (id, seq, hash, at) VALUES ('weekly', $1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at",
        )
        .bind(count("seq", end.seq)?)
        .bind(end.hash.to_string())
        .bind(end.at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

const LINES: &str = "SELECT account, address, amount FROM weekly_lines WHERE week = $1 AND version = $2 ORDER BY account";

impl Store {
    /// Up to where the ledger was read for what changes reports that are made. Absent: there are none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn weekly_seen(&self) -> Result<Option<ChainEnd>, StoreError> {
        let row = query("SELECT seq, hash, at FROM ledger_checks WHERE id = 'weekly'")
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(chain_end).transpose()
    }

    /// The newest week that has a report.
    ///
    /// # Errors
    /// The database failed.
    pub async fn last_reported_week(&self) -> Result<Option<Week>, StoreError> {
        let row = query("SELECT week FROM weekly_reports ORDER BY week DESC LIMIT 1")
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(week).transpose()
    }

    /// Those that a contract has not told of, in the order in which it takes them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_reports(
        &self,
        chain: u8,
        contract: Address,
        limit: u32,
    ) -> Result<Vec<ReportRow>, StoreError> {
        let rows = query(
            "SELECT * FROM weekly_reports WHERE published_at IS NULL AND chain = $1 AND contract = $2 \
             ORDER BY week, version LIMIT $3",
        )
        .bind(i64::from(chain))
        .bind(contract.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(report).collect()
    }

    /// The newest version of each week, newest week first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn newest_reports(
        &self,
        before: Option<Week>,
        limit: u32,
    ) -> Result<Vec<ReportRow>, StoreError> {
        let rows = query(
            "SELECT * FROM weekly_reports r WHERE r.week < $1 \
             AND r.version = (SELECT MAX(v.version) FROM weekly_reports v WHERE v.week = r.week) ORDER BY r.week DESC LIMIT $2",
        )
        .bind(before.map_or(Ok(i64::MAX), day)?)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(report).collect()
    }

    /// All versions of a week, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reports_of(&self, week: Week) -> Result<Vec<ReportRow>, StoreError> {
        let rows = query("SELECT * FROM weekly_reports WHERE week = $1 ORDER BY version DESC")
            .bind(day(week)?)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(report).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn report_lines(
        &self,
        week: Week,
        version: u64,
    ) -> Result<Vec<WeekLine>, StoreError> {
        let rows = query(LINES)
            .bind(day(week)?)
            .bind(count("version", version)?)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(line).collect()
    }

    /// Of the newest version of each week an account's line, newest week first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn weeks_of(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<OwnWeekView>, StoreError> {
        let rows = query(
            "SELECT r.week, r.version, r.published_at, l.amount FROM weekly_lines l \
             JOIN weekly_reports r ON r.week = l.week AND r.version = l.version WHERE l.account = $1 \
             AND r.version = (SELECT MAX(v.version) FROM weekly_reports v WHERE v.week = r.week) ORDER BY r.week DESC LIMIT $2",
        )
        .bind(account.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let read = |row: &AnyRow| {
            let week = week(row)?;
            Ok(OwnWeekView {
                week: week.day(),
                monday: week.to_string(),
                version: row.unsigned("version")?,
                amount: row.amount("amount")?,
                is_published: row.time_opt("published_at")?.is_some(),
            })
        };
        rows.iter().map(read).collect()
    }

    /// An account's payouts that arrived in a period, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn paid_in(
        &self,
        account: AccountId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Payout>, StoreError> {
        let rows = query(
            "SELECT * FROM payouts WHERE account = $1 AND state = 'paid' AND changed_at >= $2 AND changed_at < $3 \
             ORDER BY changed_at, id",
        )
        .bind(account.to_string())
        .bind(from.millis())
        .bind(until.millis())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(payout).collect()
    }
}
