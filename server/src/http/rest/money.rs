//! An account's money: payouts, deposits, what it lets its jobs spend, statements. What moves money takes an
//! `Idempotency-Key`.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::{Amount, PayoutId, Timestamp};
use protocol::money::{
    BalanceView, DayView, DepositView, Limits, LimitsView, PayoutView, ProofView, StatementView,
};
use protocol::view::{Page, Scope};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Once, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Query};
use crate::http::problem::Refused;

const DAYS_DEFAULT: u32 = 30;

/// The account's payouts, newest first.
#[utoipa::path(get, path = "/api/v1/payouts", tag = "billing", params(PageQuery),
    responses((status = 200, body = Page<PayoutView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn payouts(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<Page<PayoutView>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.payouts_page(&actor, before, limit).await?))
}

/// Earnings to take out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayout {
    /// Base units; at least the server's least payout, at most what is withdrawable.
    amount: Amount,
    /// Where it is expected to go, `0x` and up to 64 hex digits: the account's payout address, or the first one.
    #[serde(default)]
    address: Option<String>,
}

/// Takes withdrawable earnings out to the account's payout address; an admin looks at it first, unless it is small. Only a signed-in person can.
#[utoipa::path(post, path = "/api/v1/payouts", tags = ["billing", "money"], params(Once), request_body = NewPayout,
    responses((status = 201, body = PayoutView), Refusals), security(("session" = [])))]
pub async fn request_payout(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    once: Once,
    extract::Json(new): extract::Json<NewPayout>,
) -> Result<(StatusCode, Json<PayoutView>), Refused> {
    let payout = exchange
        .request_payout(&actor, new.amount, new.address.as_deref(), once.key())
        .await?;
    Ok((StatusCode::CREATED, Json(payout)))
}

/// One payout; an admin may look at anybody's.
#[utoipa::path(get, path = "/api/v1/payouts/{id}", tag = "billing", params(("id" = PayoutId, Path)),
    responses((status = 200, body = PayoutView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn payout(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<PayoutId>,
) -> Answer<PayoutView> {
    Ok(Json(exchange.payout(&actor, id).await?))
}

/// Takes a payout back that was not sent yet; its money is withdrawable again. Only a signed-in person can.
#[utoipa::path(post, path = "/api/v1/payouts/{id}/cancel", tags = ["billing", "money"], params(("id" = PayoutId, Path), Once),
    responses((status = 200, body = PayoutView), Refusals), security(("session" = [])))]
pub async fn cancel_payout(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<PayoutId>,
    once: Once,
) -> Answer<PayoutView> {
    Ok(Json(exchange.cancel_payout(&actor, id, once.key()).await?))
}

/// An amount.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfAmount {
    /// Base units.
    amount: Amount,
}

/// Makes withdrawable earnings money to spend here. Only a signed-in person can.
#[utoipa::path(post, path = "/api/v1/earnings/convert", tags = ["billing", "money"], params(Once), request_body = OfAmount,
    responses((status = 200, body = BalanceView), Refusals), security(("session" = [])))]
pub async fn convert(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    once: Once,
    extract::Json(of): extract::Json<OfAmount>,
) -> Answer<BalanceView> {
    Ok(Json(
        exchange
            .convert_earnings(&actor, of.amount, once.key())
            .await?,
    ))
}

/// What came in for the account, and what it asked of the demo's faucet (`demo`: not real money), newest first.
#[utoipa::path(get, path = "/api/v1/deposits", tag = "billing", params(PageQuery),
    responses((status = 200, body = Page<DepositView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn deposits(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<Page<DepositView>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.deposits_page(&actor, before, limit).await?))
}

/// Asks the demo's faucet for credit, which an admin gives; not real money, and one request at a time. Only where the
/// server has a faucet, and only a signed-in person can.
#[utoipa::path(post, path = "/api/v1/deposits", tags = ["billing", "money"], params(Once), request_body = OfAmount,
    responses((status = 201, body = DepositView), Refusals), security(("session" = [])))]
pub async fn request_credit(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    once: Once,
    extract::Json(of): extract::Json<OfAmount>,
) -> Result<(StatusCode, Json<DepositView>), Refused> {
    let deposit = exchange
        .request_credit(&actor, of.amount, once.key())
        .await?;
    Ok((StatusCode::CREATED, Json(deposit)))
}

/// What the account lets its jobs spend, and what they did.
#[utoipa::path(get, path = "/api/v1/billing/limits", tag = "billing",
    responses((status = 200, body = LimitsView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn limits(State(exchange): State<Exchange>, Signed(actor): Signed) -> Answer<LimitsView> {
    Ok(Json(exchange.limits(&actor).await?))
}

/// Sets all three limits; what is absent or `null` is not limited. Only a signed-in person can.
#[utoipa::path(put, path = "/api/v1/billing/limits", tag = "billing", request_body = Limits,
    responses((status = 200, body = LimitsView), Refusals), security(("session" = [])))]
pub async fn set_limits(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(limits): extract::Json<Limits>,
) -> Answer<LimitsView> {
    Ok(Json(exchange.set_limits(&actor, limits).await?))
}

/// Of which moment, or of what lies between two.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatementQuery {
    /// What the books held at this moment, which is not still to come; now without.
    #[param(value_type = Option<Timestamp>)]
    at: Option<String>,
    /// With `to` instead of `at`: what moved from this moment on and before that one.
    #[param(value_type = Option<Timestamp>)]
    from: Option<String>,
    /// Not still to come; all there is so far without, where `from` is given.
    #[param(value_type = Option<Timestamp>)]
    to: Option<String>,
}

fn moment(field: &str, text: Option<&String>) -> Result<Option<Timestamp>, Refused> {
    let read = text.map(|text| text.parse::<Timestamp>()).transpose();
    read.map_err(|error| Refused::field(field, error.to_string()))
}

/// What the account's books held at any moment, and, with `from`, what moved since one.
#[utoipa::path(get, path = "/api/v1/billing/statement", tag = "billing", params(StatementQuery),
    responses((status = 200, body = StatementView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn statement(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<StatementQuery>,
) -> Answer<StatementView> {
    actor.require(Scope::Read)?;
    let at = moment("at", of.at.as_ref())?;
    let from = moment("from", of.from.as_ref())?;
    let to = moment("to", of.to.as_ref())?;
    let now = || exchange.now();
    Ok(Json(match (at, from, to) {
        (at, None, None) => exchange.statement(&actor, at.unwrap_or_else(now)).await?,
        (None, Some(from), to) => exchange.statement_between(&actor, from, to).await?,
        (None, None, Some(_)) => return Err(Refused::field("from", "is missing")),
        (Some(_), ..) => return Err(Refused::field("at", "either at, or from and to")),
    }))
}

/// How many days.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DaysQuery {
    /// 1 to 366, the present one (UTC) among them; 30 without.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
}

/// What the account spent and earned on each of the last days (UTC), oldest first; days without either among them.
#[utoipa::path(get, path = "/api/v1/billing/days", tag = "billing", params(DaysQuery),
    responses((status = 200, body = Vec<DayView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn days(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<DaysQuery>,
) -> Answer<Vec<DayView>> {
    let days = of.days.unwrap_or(DAYS_DEFAULT);
    Ok(Json(exchange.by_day(&actor, days).await?))
}

/// All books together, with the end of the chain of transfers, signed by the platform: they sum to zero. At most a second old.
#[utoipa::path(get, path = "/api/v1/ledger/proof", tag = "billing", responses((status = 200, body = ProofView), Refusals))]
pub async fn proof(State(exchange): State<Exchange>) -> Answer<ProofView> {
    Ok(Json(exchange.ledger_proof().await?))
}
