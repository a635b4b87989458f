//! Templates: workloads that are launched by filling in a few values.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use protocol::template::{Template, TemplateLaunch, TemplateSummary};
use protocol::view::JobView;

use super::{Answer, Once, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Text};
use crate::http::problem::Refused;

/// What can be launched: training, inference, rendering and tools.
#[utoipa::path(get, path = "/api/v1/templates", tag = "templates",
    responses((status = 200, body = Vec<TemplateSummary>), Refusals))]
pub async fn list(State(exchange): State<Exchange>) -> Json<Vec<TemplateSummary>> {
    Json(exchange.templates())
}

/// One template with its inputs, what it needs, its files and its specification.
#[utoipa::path(get, path = "/api/v1/templates/{id}", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = Template), Refusals))]
pub async fn one(State(exchange): State<Exchange>, Text(id): Text) -> Answer<Template> {
    Ok(Json(exchange.template(&id)?.clone()))
}

/// Launches a template: what comes of it is a job. With an `Idempotency-Key`, sending it again answers with the same job.
#[utoipa::path(post, path = "/api/v1/templates/{id}/launch", tags = ["templates", "money"], params(("id" = String, Path), Once),
    request_body = TemplateLaunch,
    responses((status = 201, body = JobView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn launch(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Text(id): Text,
    once: Once,
    extract::Json(launch): extract::Json<TemplateLaunch>,
) -> Result<(StatusCode, Json<JobView>), Refused> {
    let job = exchange
        .launch_template(&actor, &id, &launch, once.key())
        .await?;
    Ok((StatusCode::CREATED, Json(job)))
}
