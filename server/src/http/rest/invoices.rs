//! Invoices, and exports of earnings and of the ledger: JSON, which is the original, and copies as CSV or PDF.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use exchange::Exchange;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use kernel::{JobId, Timestamp};
use protocol::invoice::{EarningsExport, Invoice, LedgerExport};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Refusals;
use crate::auth::Signed;
use crate::http::extract::{Id, Query, Text};
use crate::http::papers;
use crate::http::problem::Refused;

/// How an invoice is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Form {
    #[default]
    Json,
    Csv,
    Pdf,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FormQuery {
    /// `json` (without it), which can be checked; `csv` for a spreadsheet, `pdf` for people.
    #[param(inline)]
    #[serde(default)]
    format: Form,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Table {
    #[default]
    Json,
    Csv,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `json` (without it) or `csv`.
    #[param(inline)]
    #[serde(default)]
    format: Table,
    /// A time, or a day (`2026-11-01`) that begins at midnight, UTC; from the beginning without it.
    from: Option<String>,
    /// Before this time or day; until now without it.
    to: Option<String>,
}

impl ExportQuery {
    fn read(&self) -> Result<[Option<Timestamp>; 2], Refused> {
        let read = |field: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| moment(text).ok_or_else(|| no_moment(field)))
                .transpose()
        };
        Ok([read("from", &self.from)?, read("to", &self.to)?])
    }
}

pub(super) fn moment(text: &str) -> Option<Timestamp> {
    if text.contains('T') {
        return text.parse().ok();
    }
    format!("{text}T00:00:00Z").parse().ok()
}

pub(super) fn no_moment(field: &str) -> Refused {
    Refused::field(
        field,
        "a time as 2026-11-01T00:00:00Z, or a day as 2026-11-01",
    )
}

/// What a job cost, with every receipt and what is needed to check it offline (`iog verify-invoice`).
#[utoipa::path(get, path = "/api/v1/jobs/{id}/invoice", tag = "billing", params(("id" = JobId, Path), FormQuery),
    responses((status = 200, content((Invoice = "application/json"), (String = "text/csv"), (Vec<u8> = "application/pdf"))), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn of_job(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<FormQuery>,
) -> Result<Response, Refused> {
    Ok(written(
        &exchange.job_invoice(&actor, id).await?,
        query.format,
    ))
}

/// What the account's jobs cost in a month, which is named as 2026-11 and counted in UTC.
#[utoipa::path(get, path = "/api/v1/billing/invoices/{month}", tag = "billing", params(("month" = String, Path), FormQuery),
    responses((status = 200, content((Invoice = "application/json"), (String = "text/csv"), (Vec<u8> = "application/pdf"))), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn of_month(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Text(month): Text,
    Query(query): Query<FormQuery>,
) -> Result<Response, Refused> {
    Ok(written(
        &exchange.month_invoice(&actor, &month).await?,
        query.format,
    ))
}

/// What the account's devices earned, receipt by receipt, with the signatures.
#[utoipa::path(get, path = "/api/v1/earnings/export", tag = "billing", params(ExportQuery),
    responses((status = 200, content((EarningsExport = "application/json"), (String = "text/csv"))), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn earnings(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Refused> {
    let [from, to] = query.read()?;
    let export = exchange.earnings_export(&actor, from, to).await?;
    Ok(match query.format {
        Table::Json => Json(export).into_response(),
        Table::Csv => csv("iog-earnings", papers::earnings_csv(&export)),
    })
}

/// What moved in the account's books, oldest first.
#[utoipa::path(get, path = "/api/v1/billing/ledger", tag = "billing", params(ExportQuery),
    responses((status = 200, content((LedgerExport = "application/json"), (String = "text/csv"))), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn ledger(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Refused> {
    let [from, to] = query.read()?;
    let export = exchange.ledger_export(&actor, from, to).await?;
    Ok(match query.format {
        Table::Json => Json(export).into_response(),
        Table::Csv => csv("iog-ledger", papers::ledger_csv(&export.entries)),
    })
}

fn written(invoice: &Invoice, form: Form) -> Response {
    match form {
        Form::Json => Json(invoice).into_response(),
        Form::Csv => csv(&invoice.number, papers::invoice_csv(invoice)),
        Form::Pdf => file(
            &invoice.number,
            "pdf",
            "application/pdf",
            papers::invoice_pdf(invoice),
        ),
    }
}

pub(super) fn csv(name: &str, text: String) -> Response {
    file(name, "csv", "text/csv; charset=utf-8", text.into_bytes())
}

/// A download; its name is of our own letters.
pub(super) fn file(name: &str, ending: &str, kind: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let disposition = format!("attachment; filename=\"{name}.{ending}\"");
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment")),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        let text = |given| moment(given).map(|at| at.to_string());
        assert_eq!(
            text("2026-11-01").as_deref(),
            Some("2026-11-01T00:00:00.000Z")
        );
        assert_eq!(
            text("2026-11-01T10:30:00Z").as_deref(),
            Some("2026-11-01T10:30:00.000Z")
        );
        for wrong in ["", "2026-11", "yesterday", "2026-13-01", "2026-11-01 10:00"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
