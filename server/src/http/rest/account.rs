//! The account itself: who it is, its money, its keys.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::KeyId;
use protocol::view::{AccountView, BalanceView, EntryView, KeyView, NewKeyView, Page, Scope};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, DONE, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Query};
use crate::http::problem::Refused;

/// Whose key or session this is.
#[utoipa::path(get, path = "/api/v1/account", tag = "account",
    responses((status = 200, body = AccountView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn account(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<AccountView> {
    Ok(Json(exchange.account(&actor).await?))
}

/// What is there to spend, set aside and earned.
#[utoipa::path(get, path = "/api/v1/balance", tag = "account",
    responses((status = 200, body = BalanceView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn balance(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<BalanceView> {
    Ok(Json(exchange.balance(&actor).await?))
}

/// Takes the demo's credit, once, where the site gives one. Only a signed-in person can.
#[utoipa::path(post, path = "/api/v1/balance/demo-credit", tags = ["account", "money"],
    responses((status = 200, body = BalanceView), Refusals), security(("session" = [])))]
pub async fn demo_credit(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<BalanceView> {
    Ok(Json(exchange.take_demo_credit(&actor).await?))
}

/// What was booked, newest first.
#[utoipa::path(get, path = "/api/v1/ledger/entries", tag = "account", params(PageQuery),
    responses((status = 200, body = Page<EntryView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn entries(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<Page<EntryView>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.entries(&actor, before, limit).await?))
}

/// The account's API keys; secrets are not kept.
#[utoipa::path(get, path = "/api/v1/keys", tag = "account",
    responses((status = 200, body = Vec<KeyView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn keys(State(exchange): State<Exchange>, Signed(actor): Signed) -> Answer<Vec<KeyView>> {
    Ok(Json(exchange.keys(&actor).await?))
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    name: String,
    scopes: Vec<Scope>,
}

/// Makes a key; its secret is in this answer and nowhere else. Only a signed-in person can: a key makes no keys.
#[utoipa::path(post, path = "/api/v1/keys", tag = "account", request_body = NewKey,
    responses((status = 201, body = NewKeyView), Refusals), security(("session" = [])))]
pub async fn make_key(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewKey>,
) -> Result<(StatusCode, Json<NewKeyView>), Refused> {
    Ok((
        StatusCode::CREATED,
        Json(exchange.create_key(&actor, &new.name, &new.scopes).await?),
    ))
}

/// Revokes a key at once.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "account", params(("id" = KeyId, Path)),
    responses((status = 204), Refusals), security(("session" = [])))]
pub async fn revoke_key(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<KeyId>,
) -> Result<StatusCode, Refused> {
    exchange.revoke_key(&actor, id).await?;
    Ok(DONE)
}
