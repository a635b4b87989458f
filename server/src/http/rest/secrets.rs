//! Secrets for jobs' environments: names go out, values only in.

use axum::Json;
use axum::extract::{Path, State};
use exchange::Exchange;
use http::StatusCode;
use protocol::view::SecretView;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, DONE, Refusals};
use crate::auth::Signed;
use crate::http::extract;
use crate::http::problem::Refused;

/// The names of the account's secrets. What they hold is never told.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "account",
    responses((status = 200, body = Vec<SecretView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<SecretView>> {
    Ok(Json(exchange.secrets(&actor).await?))
}

/// What a secret is to hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// 4 to 16384 bytes.
    value: String,
}

/// Sets a secret, or another value in it. Jobs that name it find it in their environment.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", tag = "account", params(("name" = String, Path)), request_body = NewSecret,
    responses((status = 200, body = SecretView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn put(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Path(name): Path<String>,
    extract::Json(new): extract::Json<NewSecret>,
) -> Answer<SecretView> {
    Ok(Json(exchange.put_secret(&actor, &name, &new.value).await?))
}

/// Forgets a secret. Jobs that run keep what they were given.
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", tag = "account", params(("name" = String, Path)),
    responses((status = 204), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn delete(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    exchange.delete_secret(&actor, &name).await?;
    Ok(DONE)
}
