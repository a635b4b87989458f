//! The chain for everybody, and settlement over it for admins.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use kernel::DepositId;
use protocol::money::{
    BatchDetail, BatchView, DepositView, ExplorerView, SettlementView, UnclaimedView,
};
use protocol::view::Page;
use serde::Deserialize;
use settlement::Digest;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Once, PAGE_DEFAULT, PAGE_MAX, Refusals, bounded};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Query};
use crate::http::problem::Refused;

/// The chain that pays and credits: supply, vault beside the books, the contract's code beside this server's, payouts and the newest
/// batches. Read of the chain at most every few seconds; `seen_at` says when.
#[utoipa::path(get, path = "/api/v1/explorer", tag = "market", responses((status = 200, body = ExplorerView), Refusals))]
pub async fn explorer(State(exchange): State<Exchange>) -> Answer<ExplorerView> {
    Ok(Json(exchange.explorer().await?))
}

/// How settlement stands: the chain as it was seen last, what the fee accounts have left, and what was wrong.
#[utoipa::path(get, path = "/api/v1/admin/settlement", tag = "admin",
    responses((status = 200, body = SettlementView), Refusals), security(("session" = ["admin"])))]
pub async fn settlement(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<SettlementView> {
    Ok(Json(exchange.settlement(&actor)?))
}

/// Which batches.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BatchesQuery {
    /// The `next` of the page before.
    before: Option<String>,
    /// 1 to 100; 50 without.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Batches of payouts, newest first.
#[utoipa::path(get, path = "/api/v1/admin/settlement/batches", tag = "admin", params(BatchesQuery),
    responses((status = 200, body = Page<BatchView>), Refusals), security(("session" = ["admin"])))]
pub async fn batches(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<BatchesQuery>,
) -> Answer<Page<BatchView>> {
    let before = of.before.map(|text| text.parse::<Digest>()).transpose();
    let before = before.map_err(|error| Refused::field("before", error.to_string()))?;
    let limit = bounded(of.limit, PAGE_MAX, PAGE_DEFAULT)?;
    Ok(Json(exchange.batches(&actor, before, limit).await?))
}

/// One batch with its lines and all transactions that were signed for it.
#[utoipa::path(get, path = "/api/v1/admin/settlement/batches/{id}", tag = "admin",
    params(("id" = String, Path, description = "`0x` and 64 digits")),
    responses((status = 200, body = BatchDetail), Refusals), security(("session" = ["admin"])))]
pub async fn batch(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<Digest>,
) -> Answer<BatchDetail> {
    Ok(Json(exchange.batch(&actor, id).await?))
}

/// What came in over the chain and named no account that is known here, the oldest 200.
#[utoipa::path(get, path = "/api/v1/admin/unclaimed-deposits", tag = "admin",
    responses((status = 200, body = Vec<UnclaimedView>), Refusals), security(("session" = ["admin"])))]
pub async fn unclaimed(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<UnclaimedView>> {
    Ok(Json(exchange.unclaimed_deposits(&actor).await?))
}

/// Whose a deposit is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Of the account that it is for; not the admin's own.
    email: String,
}

/// Says whose a deposit is that named nobody; it is credited at once, and once.
#[utoipa::path(post, path = "/api/v1/admin/unclaimed-deposits/{id}/claim", tags = ["admin", "money"],
    params(("id" = DepositId, Path), Once), request_body = Claim,
    responses((status = 200, body = DepositView), Refusals), security(("session" = ["admin"])))]
pub async fn claim(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DepositId>,
    once: Once,
    extract::Json(of): extract::Json<Claim>,
) -> Answer<DepositView> {
    Ok(Json(
        exchange
            .claim_deposit(&actor, id, &of.email, once.key())
            .await?,
    ))
}
