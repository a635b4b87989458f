//! The market: what can be rented, at which price. Public, apart from what a quote says about one's own balance.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::{DeviceId, SearchId, Seconds};
use protocol::JobSpec;
use protocol::fleet::{SimulatorAsk, SimulatorView};
use protocol::spec::DeviceClass;
use protocol::view::{
    ModelPriceView, ModelView, NetworkView, OfferFilter, OffersView, OrderView, Page, QuoteView,
    Scope, SearchView,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, DONE, PageQuery, Refusals};
use crate::auth::{MaybeSigned, Signed};
use crate::http::extract::{self, Id, Query};
use crate::http::problem::{Refused, in_spec};

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
    Ok(Json(found.ok_or(exchange::Error::NeverOffered(of.model))?))
}

/// Public statistics; claimed and proven supply stand apart.
#[utoipa::path(get, path = "/api/v1/network", tag = "market", responses((status = 200, body = NetworkView), Refusals))]
pub async fn network(State(exchange): State<Exchange>) -> Answer<NetworkView> {
    Ok(Json(exchange.network().await?))
}

/// The account's jobs that wait in the market for an offer that matches, the longest waiting first. Stop one as any job.
#[utoipa::path(get, path = "/api/v1/orders", tag = "market", params(PageQuery),
    responses((status = 200, body = Page<OrderView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn orders(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<Page<OrderView>> {
    let (after, limit) = page.read()?;
    Ok(Json(exchange.orders(&actor, after, limit).await?))
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

/// What a job would cost and where it would run, with its lines. Signed in, the price is kept for a minute: name the `id` in
/// a job's `quote`. It does not keep the device free. When nothing matches, the refusal names the fields that removed offers.
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
    let quote = exchange
        .hold_quote(actor.as_ref(), &new.spec, new.device)
        .await
        .map_err(in_spec)?;
    Ok(Json(quote))
}

/// The account's saved searches with their newest alerts, the oldest search first.
#[utoipa::path(get, path = "/api/v1/market/searches", tag = "market", responses((status = 200, body = Vec<SearchView>), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn searches(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<SearchView>> {
    Ok(Json(exchange.searches(&actor).await?))
}

/// What is to be followed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSearch {
    /// 1 to 80 characters.
    name: String,
    /// A query as on the market page; count, nodes, near and spread do not count for alerts.
    q: String,
}

/// Saves a search: an offer that begins to match it raises an alert. An account keeps twenty.
#[utoipa::path(post, path = "/api/v1/market/searches", tag = "market", request_body = NewSearch,
    responses((status = 201, body = SearchView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn save_search(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewSearch>,
) -> Result<(StatusCode, Json<SearchView>), Refused> {
    let search = exchange.save_search(&actor, &new.name, &new.q).await?;
    Ok((StatusCode::CREATED, Json(search)))
}

/// What is to change of a saved search.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchChange {
    #[serde(default)]
    name: Option<String>,
    /// `true` marks its alerts as seen.
    #[serde(default)]
    seen: bool,
}

/// Renames a saved search, or marks its alerts as seen.
#[utoipa::path(patch, path = "/api/v1/market/searches/{id}", tag = "market", params(("id" = SearchId, Path)),
    request_body = SearchChange, responses((status = 200, body = SearchView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn change_search(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<SearchId>,
    extract::Json(change): extract::Json<SearchChange>,
) -> Answer<SearchView> {
    let name = change.name.as_deref();
    Ok(Json(
        exchange
            .change_search(&actor, id, name, change.seen)
            .await?,
    ))
}

/// Deletes a saved search.
#[utoipa::path(delete, path = "/api/v1/market/searches/{id}", tag = "market", params(("id" = SearchId, Path)),
    responses((status = 204), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn delete_search(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<SearchId>,
) -> Result<StatusCode, Refused> {
    exchange.delete_search(&actor, id).await?;
    Ok(DONE)
}

/// What a device of a model would earn a day, by what the market really hired: a quarter of the devices did worse than the first line,
/// half than the second, three quarters than the third. `device` is a class and a model, such as `gpu:RTX 4090`; `per_hour` IO an
/// hour (left out: the fair price), `hours` a day (24), `watts` (0), `kwh` IO for a kWh (0), `days` 7 or 30.
#[utoipa::path(get, path = "/api/v1/market/simulator", tag = "market", params(Simulation),
    responses((status = 200, body = SimulatorView), Refusals))]
pub async fn simulator(
    State(exchange): State<Exchange>,
    Query(ask): Query<Simulation>,
) -> Answer<SimulatorView> {
    let (class, model) = ask.device.split_once(':').unwrap_or_default();
    let ask = SimulatorAsk {
        model: model.to_owned(),
        class: class.to_owned(),
        per_hour: ask.per_hour,
        hours: ask.hours,
        watts: ask.watts,
        kwh: ask.kwh,
        days: ask.days,
    };
    let view = exchange.simulate(&ask).await?;
    Ok(Json(view.ok_or(exchange::Error::NotFound("the model"))?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    device: String,
    #[serde(default)]
    per_hour: String,
    #[serde(default)]
    hours: String,
    #[serde(default)]
    watts: String,
    #[serde(default)]
    kwh: String,
    #[serde(default)]
    days: String,
}
