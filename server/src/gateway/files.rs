//! Files between a worker and the platform, each under the transfer token of the lease that they belong to.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use exchange::Exchange;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use kernel::LeaseId;
use protocol::Code;
use protocol::spec::BUNDLE_BYTES_MAX;
use protocol::view::ArtefactView;
use serde::Deserialize;

use crate::http::content_length;
use crate::http::extract::{Id, Query};
use crate::http::problem::Refused;
use crate::http::rest::{reader, send_file};

/// # Errors
/// There is none.
pub fn token(headers: &HeaderMap) -> Result<&str, Refused> {
    let value = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = value
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| token.len() <= 256);
    token.ok_or_else(|| {
        Refused::new(
            Code::Unauthenticated,
            "Send the assignment's transfer token, or the tunnel's ticket, as Authorization: Bearer.",
        )
    })
}

/// `GET /api/v1/worker/bundles/{hash}`: the inputs of the lease that the token is for.
pub async fn bundle(
    State(exchange): State<Exchange>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let path = exchange.transfer_bundle(token(&headers)?, &hash).await?;
    send_file(&path).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtefactQuery {
    path: String,
}

/// `GET /api/v1/worker/artefacts/{lease}?path=…`: a file of the checkpoint that the lease goes on from.
pub async fn checkpoint(
    State(exchange): State<Exchange>,
    Id(lease): Id<LeaseId>,
    Query(query): Query<ArtefactQuery>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let token = token(&headers)?;
    let path = exchange
        .transfer_checkpoint(token, lease, &query.path)
        .await?;
    send_file(&path).await
}

/// `PUT /api/v1/worker/artefacts/{lease}?path=…`: a file that the job left behind.
pub async fn artefact(
    State(exchange): State<Exchange>,
    Id(lease): Id<LeaseId>,
    Query(query): Query<ArtefactQuery>,
    request: Request,
) -> Result<(StatusCode, Json<ArtefactView>), Refused> {
    let token = token(request.headers())?.to_owned();
    if content_length(request.headers()).is_some_and(|length| length > BUNDLE_BYTES_MAX) {
        return Err(Refused::new(
            Code::TooLarge,
            format!("An artefact may have at most {BUNDLE_BYTES_MAX} bytes."),
        ));
    }
    let view = exchange
        .transfer_artefact(&token, lease, &query.path, reader(request.into_body()))
        .await?;
    Ok((StatusCode::CREATED, Json(view)))
}
