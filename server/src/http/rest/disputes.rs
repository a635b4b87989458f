//! Disputes on receipts, as their two sides see them.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::{Amount, DisputeId, LeaseId};
use protocol::money::DisputeView;
use protocol::view::Page;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, Once, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Query};
use crate::http::problem::Refused;

/// Disputes that the account opened, or that are about its devices, newest first, each with what was said in it.
#[utoipa::path(get, path = "/api/v1/disputes", tag = "disputes", params(PageQuery),
    responses((status = 200, body = Page<DisputeView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<Page<DisputeView>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.disputes_page(&actor, before, limit).await?))
}

/// A receipt to contest.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDispute {
    lease: LeaseId,
    /// The receipt's number: what this one added to the one before.
    seq: u64,
    /// Base units; all that was paid for it, if absent.
    #[serde(default)]
    claimed: Option<Amount>,
    /// What was wrong, 1 to 4000 characters. The owner reads it.
    reason: String,
}

/// Contests a receipt of a job of this account, once and within the server's time after it was posted. Of the owner's
/// earnings the share in the claim is set aside until it is decided.
#[utoipa::path(post, path = "/api/v1/disputes", tags = ["disputes", "money"], params(Once), request_body = NewDispute,
    responses((status = 201, body = DisputeView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn open(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    once: Once,
    extract::Json(new): extract::Json<NewDispute>,
) -> Result<(StatusCode, Json<DisputeView>), Refused> {
    let (lease, seq) = (new.lease, new.seq);
    let dispute = exchange
        .open_dispute(&actor, lease, seq, new.claimed, &new.reason, once.key())
        .await?;
    Ok((StatusCode::CREATED, Json(dispute)))
}

/// One dispute with all that was said in it; its two sides and admins may look.
#[utoipa::path(get, path = "/api/v1/disputes/{id}", tag = "disputes", params(("id" = DisputeId, Path)),
    responses((status = 200, body = DisputeView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn one(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DisputeId>,
) -> Answer<DisputeView> {
    Ok(Json(exchange.dispute(&actor, id).await?))
}

/// What somebody knows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// 1 to 4000 characters. Both sides and the admins read it.
    text: String,
}

/// Adds what a side, or an admin, knows; until it is decided. Only a signed-in person can.
#[utoipa::path(post, path = "/api/v1/disputes/{id}/evidence", tag = "disputes", params(("id" = DisputeId, Path)),
    request_body = Said, responses((status = 201, body = DisputeView), Refusals), security(("session" = [])))]
pub async fn say(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DisputeId>,
    extract::Json(said): extract::Json<Said>,
) -> Result<(StatusCode, Json<DisputeView>), Refused> {
    exchange.add_evidence(&actor, id, &said.text).await?;
    let dispute = exchange.dispute(&actor, id).await?;
    Ok((StatusCode::CREATED, Json(dispute)))
}

/// Takes a dispute back: what was set aside is the owner's again.
#[utoipa::path(post, path = "/api/v1/disputes/{id}/withdraw", tags = ["disputes", "money"], params(("id" = DisputeId, Path), Once),
    responses((status = 200, body = DisputeView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn withdraw(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DisputeId>,
    once: Once,
) -> Answer<DisputeView> {
    Ok(Json(
        exchange.withdraw_dispute(&actor, id, once.key()).await?,
    ))
}
