//! The audit log: everybody reads what they did and what was done with their things, admins read all. And what shells showed.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use exchange::{AuditQuery, Exchange};
use http::HeaderValue;
use http::header::CONTENT_DISPOSITION;
use kernel::{JobId, RecordingId, Timestamp};
use protocol::audit::{AuditAction, AuditChainView, AuditExport, AuditView, RecordingView};
use protocol::view::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use super::invoices::{Table, csv, moment, no_moment};
use super::{Answer, PAGE_DEFAULT, PAGE_MAX, Refusals, bounded, send_file};
use crate::auth::Signed;
use crate::http::extract::{Id, Query};
use crate::http::papers;
use crate::http::problem::Refused;

/// Which entries; all that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntriesQuery {
    /// Who: an e-mail address, the id of an account, a key or a node, or a kind: `user`, `key`, `admin`, `system`, `node`, `link`.
    #[serde(default)]
    actor: String,
    /// What, such as `shell.opened`.
    #[param(value_type = Option<AuditAction>)]
    #[serde(default)]
    action: String,
    /// To what: an id, a secret's name, a wallet's address; or the e-mail address of the account concerned.
    #[serde(default)]
    subject: String,
    /// A time, or a day (`2026-11-01`) that begins at midnight, UTC.
    #[serde(default)]
    from: String,
    /// Before this time or day.
    #[serde(default)]
    to: String,
    /// From before this position: the `next` of the page before.
    before: Option<u64>,
    /// 1 to 100; 50 without. Exports have all, up to 10,000.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Of an export: `json` (without it), which can be checked with `iog verify-audit`, or `csv`.
    #[param(inline)]
    #[serde(default)]
    format: Table,
}

impl EntriesQuery {
    /// Empty fields are those of a form that were left empty.
    fn read(&self) -> Result<AuditQuery, Refused> {
        let time = |field: &str, text: &str| -> Result<Option<Timestamp>, Refused> {
            if text.is_empty() {
                return Ok(None);
            }
            moment(text).map(Some).ok_or_else(|| no_moment(field))
        };
        let action = match self.action.as_str() {
            "" => None,
            name => Some(AuditAction::parse(name).ok_or_else(|| {
                Refused::field("action", "the name of an action such as shell.opened")
            })?),
        };
        Ok(AuditQuery {
            actor: self.actor.clone(),
            action,
            subject: self.subject.clone(),
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
            before: self.before,
        })
    }

    fn limit(&self) -> Result<u32, Refused> {
        bounded(self.limit, PAGE_MAX, PAGE_DEFAULT)
    }
}

fn exported(export: AuditExport, format: Table) -> Response {
    match format {
        Table::Csv => csv("iog-audit", papers::audit_csv(&export.entries)),
        Table::Json => {
            let mut response = Json(export).into_response();
            response.headers_mut().insert(
                CONTENT_DISPOSITION,
                HeaderValue::from_static("attachment; filename=\"iog-audit.json\""),
            );
            response
        }
    }
}

/// What the account did, and what was done with it and with its things, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "account", params(EntriesQuery),
    responses((status = 200, body = Page<AuditView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn own(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<EntriesQuery>,
) -> Answer<Page<AuditView>> {
    let (of, limit) = (query.read()?, query.limit()?);
    Ok(Json(exchange.own_audit(&actor, &of, limit).await?))
}

/// The same as a file, oldest first.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "account", params(EntriesQuery),
    responses((status = 200, content((AuditExport = "application/json"), (String = "text/csv"))), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn own_export(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<EntriesQuery>,
) -> Result<Response, Refused> {
    let export = exchange.audit_export(&actor, false, &query.read()?).await?;
    Ok(exported(export, query.format))
}

/// What everybody did, newest first.
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "admin", params(EntriesQuery),
    responses((status = 200, body = Page<AuditView>), Refusals), security(("session" = ["admin"])))]
pub async fn all(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<EntriesQuery>,
) -> Answer<Page<AuditView>> {
    let (of, limit) = (query.read()?, query.limit()?);
    Ok(Json(exchange.all_audit(&actor, &of, limit).await?))
}

/// The same as a file, oldest first.
#[utoipa::path(get, path = "/api/v1/admin/audit/export", tag = "admin", params(EntriesQuery),
    responses((status = 200, content((AuditExport = "application/json"), (String = "text/csv"))), Refusals),
    security(("session" = ["admin"])))]
pub async fn all_export(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<EntriesQuery>,
) -> Result<Response, Refused> {
    let export = exchange.audit_export(&actor, true, &query.read()?).await?;
    Ok(exported(export, query.format))
}

/// How far the audit log goes, and how far it was read and found whole.
#[utoipa::path(get, path = "/api/v1/admin/audit/chain", tag = "admin",
    responses((status = 200, body = AuditChainView), Refusals), security(("session" = ["admin"])))]
pub async fn chain(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<AuditChainView> {
    Ok(Json(exchange.audit_chain(&actor).await?))
}

/// Shells that were opened in a job, newest first, at most 100.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/recordings", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Vec<RecordingView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn recordings(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<Vec<RecordingView>> {
    Ok(Json(exchange.recordings(&actor, id).await?))
}

/// What a shell showed, as asciicast v2 (`asciinema play`). For the job's owner; that an admin reads it is noted.
#[utoipa::path(get, path = "/api/v1/recordings/{id}", tag = "jobs", params(("id" = RecordingId, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn recording(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<RecordingId>,
) -> Result<Response, Refused> {
    let (_, _, path) = exchange.recording(&actor, id).await?;
    let mut response = send_file(&path).await?;
    let name = format!("attachment; filename=\"{id}.cast\"");
    let name = HeaderValue::from_str(&name);
    response.headers_mut().insert(
        CONTENT_DISPOSITION,
        name.unwrap_or(HeaderValue::from_static("attachment")),
    );
    Ok(response)
}
