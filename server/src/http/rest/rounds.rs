//! Matching rounds: what the market was asked, how the book was, who won. Public, so that anyone can ask again.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use kernel::DeviceId;
use protocol::round::{BookPage, MissedView, RoundRecord, RoundView};
use protocol::view::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{Id, Query};

/// The matching rounds that are kept, newest first: each is chained to the one before by its hash.
#[utoipa::path(get, path = "/api/v1/market/rounds", tag = "market", params(PageQuery),
    responses((status = 200, body = Page<RoundRecord>), Refusals))]
pub async fn list(
    State(exchange): State<Exchange>,
    Query(page): Query<PageQuery>,
) -> Answer<Page<RoundRecord>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.rounds(before, limit).await?))
}

/// One round, and which snapshot and how many changes make the book that it was asked of.
#[utoipa::path(get, path = "/api/v1/market/rounds/{id}", tag = "market", params(("id" = u64, Path)),
    responses((status = 200, body = RoundView), Refusals))]
pub async fn one(State(exchange): State<Exchange>, Id(number): Id<u64>) -> Answer<RoundView> {
    Ok(Json(exchange.round(number).await?))
}

/// From where a round's book is read on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BookQuery {
    /// The `next` of the page before.
    after: Option<String>,
}

/// A round's book, page by page: the offers of its snapshot (500 a page), then the changes up to the round (1,000 a page).
#[utoipa::path(get, path = "/api/v1/market/rounds/{id}/book", tag = "market", params(("id" = u64, Path), BookQuery),
    responses((status = 200, body = BookPage), Refusals))]
pub async fn book(
    State(exchange): State<Exchange>,
    Id(number): Id<u64>,
    Query(from): Query<BookQuery>,
) -> Answer<BookPage> {
    Ok(Json(
        exchange.round_book(number, from.after.as_deref()).await?,
    ))
}

/// Why an own device was not hired: of the last 24 hours' rounds (the newest 5,000) how many it fitted and won, and what
/// was in the way in the others.
#[utoipa::path(get, path = "/api/v1/devices/{id}/missed", tag = "nodes", params(("id" = DeviceId, Path)),
    responses((status = 200, body = MissedView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn missed(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(device): Id<DeviceId>,
) -> Answer<MissedView> {
    Ok(Json(exchange.missed(&actor, device).await?))
}
