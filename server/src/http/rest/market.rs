//! The market: what can be rented, at which price. Public, apart from what a quote says about one's own balance.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use kernel::{DeviceId, Seconds};
use protocol::JobSpec;
use protocol::spec::DeviceClass;
use protocol::view::{
    ModelPriceView, ModelView, NetworkView, OfferFilter, OffersView, OrderView, QuoteView, Scope,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, Refusals};
use crate::auth::{MaybeSigned, Signed};
use crate::http::extract::{self, Query};

/// Devices that can be rented, cheapest first.
#[utoipa::path(get, path = "/api/v1/offers", tag = "market", params(OfferFilter), responses((status = 200, body = OffersView), Refusals))]
pub async fn offers(
    State(exchange): State<Exchange>,
    Query(filter): Query<OfferFilter>,
) -> Answer<OffersView> {
    Ok(Json(exchange.offers(&filter)?))
}

/// The price index of each model that is offered now: lowest and median ask, and the fair price with its samples.
#[utoipa::path(get, path = "/api/v1/market/prices", tag = "market", responses((status = 200, body = Vec<ModelPriceView>), Refusals))]
pub async fn prices(State(exchange): State<Exchange>) -> Answer<Vec<ModelPriceView>> {
    Ok(Json(exchange.prices().await?))
}

/// Which model, and how far back.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct OfModel {
    /// As the offers name it.
    model: String,
    #[serde(default)]
    class: DeviceClass,
    /// 168 when absent, 2160 (90 days) at most.
    #[serde(default)]
    hours: Option<u32>,
}

/// One model: its index, its order book, and how the index was (a point every five minutes).
#[utoipa::path(get, path = "/api/v1/market/model", tag = "market", params(OfModel), responses((status = 200, body = ModelView), Refusals))]
pub async fn model(
    State(exchange): State<Exchange>,
    Query(of): Query<OfModel>,
) -> Answer<ModelView> {
    let span = Seconds::new(u64::from(of.hours.unwrap_or(168)).saturating_mul(3_600));
    let found = exchange.model(of.class, &of.model, span).await?;
    Ok(Json(found.ok_or(exchange::Error::NotFound("this model"))?))
}

/// Public statistics; claimed and proven supply stand apart.
#[utoipa::path(get, path = "/api/v1/network", tag = "market", responses((status = 200, body = NetworkView), Refusals))]
pub async fn network(State(exchange): State<Exchange>) -> Answer<NetworkView> {
    Ok(Json(exchange.network().await?))
}

/// The account's jobs that wait in the market for an offer that matches, the longest waiting first. Stop one as any job.
#[utoipa::path(get, path = "/api/v1/orders", tag = "market", responses((status = 200, body = Vec<OrderView>), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn orders(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<OrderView>> {
    Ok(Json(exchange.orders(&actor).await?))
}

/// What is to be quoted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuote {
    spec: JobSpec,
    /// This offer and no other.
    #[serde(default)]
    device: Option<DeviceId>,
}

/// What a job would cost and where it would run. When nothing matches, the refusal names the fields that removed offers.
#[utoipa::path(post, path = "/api/v1/quotes", tag = "market", request_body = NewQuote,
    responses((status = 200, body = QuoteView), Refusals), security((), ("key" = ["jobs"]), ("session" = [])))]
pub async fn quote(
    State(exchange): State<Exchange>,
    MaybeSigned(actor): MaybeSigned,
    extract::Json(new): extract::Json<NewQuote>,
) -> Answer<QuoteView> {
    if let Some(actor) = &actor {
        actor.require(Scope::Jobs)?;
    }
    Ok(Json(
        exchange
            .quote(actor.as_ref(), &new.spec, new.device)
            .await?,
    ))
}
