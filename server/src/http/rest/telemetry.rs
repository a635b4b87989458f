//! What machines measured, for their owners and for those who hired them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use exchange::Exchange;
use http::header;
use kernel::{JobId, NodeId};
use protocol::telemetry::{JobTelemetryView, NodeTelemetryView};
use serde::Deserialize;

use super::{Answer, Refusals};
use crate::auth::Signed;
use crate::http::extract::{Id, Query};
use crate::http::problem::Refused;

/// How far back.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Back {
    /// Hours, from 1 to 24; 1 when absent.
    #[serde(default = "one")]
    hours: u32,
}

const fn one() -> u32 {
    1
}

/// What the node measured, by the minute, under DCGM's names: the last hours, the newest second, how complete it is, and what
/// happened to its devices.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/telemetry", tag = "nodes", params(("id" = NodeId, Path), Back),
    responses((status = 200, body = NodeTelemetryView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn of_node(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
    Query(back): Query<Back>,
) -> Answer<NodeTelemetryView> {
    Ok(Json(exchange.node_telemetry(&actor, id, back.hours).await?))
}

/// The node's newest second in the text format of Prometheus, as DCGM's exporter writes it. Empty when nothing has come yet.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/metrics", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = String, content_type = "text/plain"), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn metrics(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Result<Response, Refused> {
    let text = exchange.node_metrics(&actor, id)?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// What the job's devices measured while they were the job's alone, by the minute, and what happened to them.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/telemetry", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = JobTelemetryView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn of_job(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<JobTelemetryView> {
    Ok(Json(exchange.job_telemetry(&actor, id).await?))
}
