//! The weekly earnings report: public versions and roots, the proof of an own line, and the table for a tax office.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use exchange::Exchange;
use kernel::Amount;
use protocol::money::ReportView;
use protocol::view::Page;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::invoices::{csv, file};
use super::{Answer, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{Id, Query};
use crate::http::problem::Refused;

/// The weekly earnings reports, newest week first, of each week the newest version. A week is named by its Monday's day number
/// since 1970-01-01 (UTC).
#[utoipa::path(get, path = "/api/v1/reports", tag = "ledger", params(PageQuery),
    responses((status = 200, body = Page<ReportView>), Refusals))]
pub async fn list(
    State(exchange): State<Exchange>,
    Query(page): Query<PageQuery>,
) -> Answer<Page<ReportView>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.reports(before, limit).await?))
}

/// All versions of a week's report, newest first; the newest counts.
#[utoipa::path(get, path = "/api/v1/reports/{week}", tag = "ledger", params(("week" = u64, Path)),
    responses((status = 200, body = Vec<ReportView>), Refusals))]
pub async fn versions(
    State(exchange): State<Exchange>,
    Id(week): Id<u64>,
) -> Answer<Vec<ReportView>> {
    Ok(Json(exchange.report_versions(week).await?))
}

/// Which version.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// Without it the newest that is on the chain.
    version: Option<u64>,
}

/// One owner's line of a report and the hashes that lead from it to the root on the chain: `iog.earnings.v1`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: the file is made in `settlement`")]
struct EarningsProof {
    format: String,
    chain: u8,
    contract: String,
    week: u64,
    monday: String,
    version: u64,
    owner: String,
    amount: Amount,
    proof: Vec<String>,
    root: String,
    total: Amount,
    owners: u64,
}

/// The file that proves what one earned in a week; it is checked on the page /reports or with `iog verify-report`.
#[utoipa::path(get, path = "/api/v1/reports/{week}/proof", tag = "billing", params(("week" = u64, Path), VersionQuery),
    responses((status = 200, body = EarningsProof), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn proof(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(week): Id<u64>,
    Query(query): Query<VersionQuery>,
) -> Result<Response, Refused> {
    let made = exchange.earnings_proof(&actor, week, query.version).await?;
    let bytes = serde_json::to_vec_pretty(&made.proof)
        .map_err(|error| exchange::Error::Internal(format!("writing a proof: {error}")))?;
    Ok(file(&made.name, "json", "application/json", bytes))
}

/// Of which year.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct YearQuery {
    /// 2020 to 2999, in UTC; without it this year.
    year: Option<i32>,
}

/// The payouts that arrived in a year, each with what one IO was worth when it did; empty cells where that was not known.
#[utoipa::path(get, path = "/api/v1/earnings/tax", tag = "billing", params(YearQuery),
    responses((status = 200, body = String, content_type = "text/csv"), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn tax(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<YearQuery>,
) -> Result<Response, Refused> {
    let year = query.year.unwrap_or_else(|| exchange.this_year());
    let table = exchange.tax_table(&actor, year).await?;
    let name = format!("iog-payouts-{year}");
    Ok(csv(&name, table))
}
