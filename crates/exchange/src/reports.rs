//! What is shown of the weekly earnings report: the list, the proof of one owner's line, and the table for a tax office.

use kernel::Timestamp;
use protocol::money::{OwnWeekView, ReportView};
use protocol::view::{Page, Scope};
use settlement::proof::Proof;
use settlement::report::Earning;
use settlement::tax::{self, TaxLine};
use settlement::{Tree, Week};
use store::ReportRow;

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::payouts::page;

/// Weeks of one's own on the page.
const WEEKS_SHOWN: u32 = 60;
const FIRST_YEAR: i32 = 2020;
const LAST_YEAR: i32 = 2999;

fn week(day: u64) -> Result<Week, Error> {
    Week::try_new(day).map_err(|wrong| Error::invalid("week", wrong.to_string()))
}

/// A proof that an owner keeps, and what its file is called, without its ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    pub name: String,
    pub proof: Proof,
}

impl Exchange {
    /// The newest version of each week, newest week first. Anyone may read it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reports(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<ReportView>, Error> {
        let before = before.map(week).transpose()?;
        let found = self.inner.store.newest_reports(before, limit).await?;
        let views = found.iter().map(ReportRow::view).collect();
        Ok(page(views, limit, |report: &ReportView| report.week))
    }

    /// All versions of a week's report, newest first. Anyone may read them.
    ///
    /// # Errors
    /// No Monday; there is none of that week.
    pub async fn report_versions(&self, day: u64) -> Result<Vec<ReportView>, Error> {
        let found = self.inner.store.reports_of(week(day)?).await?;
        if found.is_empty() {
            return Err(Error::NotFound("the report"));
        }
        Ok(found.iter().map(ReportRow::view).collect())
    }

    /// The file that proves an own line of a week: of the newest version that is on the chain, or of the one asked for.
    ///
    /// # Errors
    /// No Monday; no such report, or none on the chain yet; nothing was earned in that week.
    pub async fn earnings_proof(
        &self,
        actor: &Actor,
        day: u64,
        version: Option<u64>,
    ) -> Result<ProofFile, Error> {
        actor.require(Scope::Read)?;
        let store = &self.inner.store;
        let week = week(day)?;
        let rows = store.reports_of(week).await?;
        let wanted = |row: &&ReportRow| match version {
            Some(version) => row.heading.version == version,
            None => row.published_at.is_some(),
        };
        let Some(row) = rows.iter().find(wanted) else {
            return match (rows.is_empty(), version) {
                (false, None) => Err(Error::Conflict(
                    "the report of this week is not on the chain yet; its proofs are there when it is".to_owned(),
                )),
                _ => Err(Error::NotFound("the report")),
            };
        };
        let lines = store.report_lines(week, row.heading.version).await?;
        let own = lines.iter().find(|line| line.account == actor.account);
        let own = own.ok_or(Error::NotFound("a line of yours in this report"))?;
        let earnings = lines.iter().map(|line| Earning {
            owner: line.address,
            amount: line.amount,
        });
        let tree = Tree::try_new(week, row.heading.version, earnings)
            .ok()
            .filter(|tree| *tree.heading() == row.heading);
        let proof = tree
            .and_then(|tree| Proof::of(&tree, row.chain, row.contract, &own.address))
            .ok_or_else(|| Error::Internal(format!("the lines of {week} do not make its root")))?;
        Ok(ProofFile {
            name: format!("iog-earnings-{week}-v{}", row.heading.version),
            proof,
        })
    }

    /// What one earned in the closed weeks, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn own_weeks(&self, actor: &Actor) -> Result<Vec<OwnWeekView>, Error> {
        actor.require(Scope::Read)?;
        Ok(self
            .inner
            .store
            .weeks_of(actor.account, WEEKS_SHOWN)
            .await?)
    }

    /// The year of now, in UTC.
    pub fn this_year(&self) -> i32 {
        let now = self.now().to_string();
        now.get(..4)
            .and_then(|year| year.parse().ok())
            .unwrap_or(FIRST_YEAR)
    }

    /// The payouts that arrived in a year (UTC), with the rate of that moment, as CSV.
    ///
    /// # Errors
    /// No year.
    pub async fn tax_table(&self, actor: &Actor, year: i32) -> Result<String, Error> {
        actor.require(Scope::Read)?;
        let begin = |year: i32| format!("{year}-01-01T00:00:00Z").parse::<Timestamp>().ok();
        let period = begin(year).zip(begin(year.saturating_add(1)));
        let Some((from, until)) = period.filter(|_| (FIRST_YEAR..=LAST_YEAR).contains(&year))
        else {
            return Err(Error::invalid(
                "year",
                format!("a year from {FIRST_YEAR} to {LAST_YEAR}"),
            ));
        };
        let paid = self.inner.store.paid_in(actor.account, from, until).await?;
        let line = |payout: &store::Payout| {
            let payee = payout.address.parse();
            let reference = payout.reference.as_deref().unwrap_or_default();
            let transaction = reference.split(':').next().unwrap_or_default();
            Ok(TaxLine {
                paid_at: payout.changed_at,
                payout: payout.id,
                amount: payout.amount,
                rate: payout.rate,
                payee: payee
                    .map_err(|error| Error::Internal(format!("a stored address: {error}")))?,
                transaction: transaction.parse().ok(),
            })
        };
        let lines = paid.iter().map(line).collect::<Result<Vec<_>, Error>>()?;
        Ok(tax::csv(&lines))
    }
}
