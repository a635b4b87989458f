//! The market: what can be rented, at which price. Public, apart from what a quote says about one's own balance.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use kernel::DeviceId;
use protocol::JobSpec;
use protocol::view::{ModelPriceView, NetworkView, OfferFilter, OffersView, QuoteView, Scope};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, Refusals};
use crate::auth::MaybeSigned;
use crate::http::extract::{self, Query};

/// Devices that can be rented, cheapest first.
#[utoipa::path(get, path = "/api/v1/offers", tag = "market", params(OfferFilter), responses((status = 200, body = OffersView), Refusals))]
pub async fn offers(
    State(exchange): State<Exchange>,
    Query(filter): Query<OfferFilter>,
) -> Answer<OffersView> {
    Ok(Json(exchange.offers(&filter)?))
}

/// Lowest and median price of each model, from the offers that are up now.
#[utoipa::path(get, path = "/api/v1/market/prices", tag = "market", responses((status = 200, body = Vec<ModelPriceView>), Refusals))]
pub async fn prices(State(exchange): State<Exchange>) -> Answer<Vec<ModelPriceView>> {
    Ok(Json(exchange.prices()))
}

/// Public statistics; claimed and proven supply stand apart.
#[utoipa::path(get, path = "/api/v1/network", tag = "market", responses((status = 200, body = NetworkView), Refusals))]
pub async fn network(State(exchange): State<Exchange>) -> Answer<NetworkView> {
    Ok(Json(exchange.network().await?))
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
