//! An owner's nodes: joining, prices, pauses, earnings.

use axum::Json;
use axum::extract::State;
use exchange::{Exchange, PriceMove};
use http::StatusCode;
use kernel::{DeviceId, JoinTokenId, LeaseId, NodeId, Seconds};
use protocol::fleet::{NodeLeaseView, UptimeView};
use protocol::recompute::CheckView;
use protocol::rent::{asked_price_of, price_of};
use protocol::reputation::ReputationView;
use protocol::view::{
    ChallengeView, EarningsView, JoinTokenState, JoinTokenView, NodeView, Page, PriceCheckView,
    RulesChange, Scope,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, DONE, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Id};
use crate::http::problem::Refused;

/// The account's nodes with their devices and why each earns or not.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes",
    responses((status = 200, body = Vec<NodeView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<NodeView>> {
    Ok(Json(exchange.nodes(&actor).await?))
}

/// One node.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = NodeView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn one(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Answer<NodeView> {
    Ok(Json(exchange.node(&actor, id).await?))
}

/// What its devices were asked to show in the last ninety days, the newest first: with it each answer can be computed again (docs/proof.md).
#[utoipa::path(get, path = "/api/v1/nodes/{id}/challenges", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = Vec<ChallengeView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn challenges(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Answer<Vec<ChallengeView>> {
    Ok(Json(exchange.challenges(&actor, id).await?))
}

/// Of what it delivered, the slices that were drawn to be computed again on other owners' machines, the newest first (docs/proof.md).
#[utoipa::path(get, path = "/api/v1/nodes/{id}/checks", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = Vec<CheckView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn checks(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Answer<Vec<CheckView>> {
    Ok(Json(exchange.checks_of_node(&actor, id).await?))
}

/// Removes a node on which no job runs; its key is not accepted any more.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 204), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn remove(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Result<StatusCode, Refused> {
    exchange.remove_node(&actor, id).await?;
    Ok(DONE)
}

/// What the node's reputation is made of: each input with its effect, and the last 180 days with what was done on each.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/reputation", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = ReputationView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn reputation(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Answer<ReputationView> {
    Ok(Json(exchange.reputation(&actor, id).await?))
}

/// How long the node was there: the last 30 days and the last 48 hours.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/uptime", tag = "nodes", params(("id" = NodeId, Path)),
    responses((status = 200, body = UptimeView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn uptime(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
) -> Answer<UptimeView> {
    Ok(Json(exchange.uptime(&actor, id).await?))
}

/// From which lease a list goes on.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LeasesBefore {
    /// The `next` of the page before.
    before: Option<LeaseId>,
}

/// What ran on the node, newest first, 50 a page.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/leases", tag = "nodes", params(("id" = NodeId, Path), LeasesBefore),
    responses((status = 200, body = Page<NodeLeaseView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn leases(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
    extract::Query(from): extract::Query<LeasesBefore>,
) -> Answer<Page<NodeLeaseView>> {
    Ok(Json(exchange.node_leases(&actor, id, from.before).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceChange {
    on: bool,
    /// What runs then is stopped after so long and goes on elsewhere. Absent: it may run to its end.
    #[serde(default)]
    stop_after_seconds: Option<u64>,
}

/// Keeps the node from new work, or offers it again. What runs goes on.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/maintenance", tag = "nodes", params(("id" = NodeId, Path)),
    request_body = MaintenanceChange,
    responses((status = 200, body = NodeView), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn maintenance(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<NodeId>,
    extract::Json(change): extract::Json<MaintenanceChange>,
) -> Answer<NodeView> {
    let after = change.stop_after_seconds.map(Seconds::new);
    let node = exchange.set_maintenance(&actor, id, change.on, after);
    Ok(Json(node.await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PricesChange {
    devices: Vec<DeviceId>,
    /// IO per hour, decimal; or `percent`.
    #[serde(default)]
    price_per_hour: Option<String>,
    /// So many per cent dearer; below zero cheaper.
    #[serde(default)]
    percent: Option<i32>,
}

/// Changes the prices of several devices, all or none. Prices are stored as whole base units a second, rounded down.
#[utoipa::path(post, path = "/api/v1/devices/prices", tag = "nodes", request_body = PricesChange,
    responses((status = 200, body = Vec<NodeView>), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn change_prices(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(change): extract::Json<PricesChange>,
) -> Answer<Vec<NodeView>> {
    // Before the fields are looked at: who may not change prices learns nothing about their form.
    actor.require(Scope::Nodes)?;
    let change_by = match (change.price_per_hour.as_deref(), change.percent) {
        (Some(text), None) => asked_price_of("price_per_hour", text)
            .map(PriceMove::To)
            .map_err(|problem| Refused::field(&problem.field, problem.message))?,
        (None, Some(percent)) => PriceMove::By(percent),
        _ => {
            return Err(Refused::field(
                "price_per_hour",
                "name price_per_hour or percent",
            ));
        }
    };
    let nodes = exchange.change_prices(&actor, &change.devices, change_by);
    Ok(Json(nodes.await?))
}

/// A token with which one worker can join, once.
#[utoipa::path(post, path = "/api/v1/nodes/join-tokens", tag = "nodes",
    responses((status = 201, body = JoinTokenView), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn make_join_token(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Result<(StatusCode, Json<JoinTokenView>), Refused> {
    Ok((
        StatusCode::CREATED,
        Json(exchange.create_join_token(&actor).await?),
    ))
}

/// Whether a worker has joined with it yet.
#[utoipa::path(get, path = "/api/v1/nodes/join-tokens/{id}", tag = "nodes", params(("id" = JoinTokenId, Path)),
    responses((status = 200, body = JoinTokenState), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn join_token(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JoinTokenId>,
) -> Answer<JoinTokenState> {
    Ok(Json(exchange.join_token_state(&actor, id).await?))
}

/// What an owner changes about a device; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceChange {
    /// IO per hour, decimal.
    #[serde(default)]
    price_per_hour: Option<String>,
    #[serde(default)]
    paused: Option<bool>,
    /// Prices of the other kinds of rent, a price that follows the index, hours, and the lengths of jobs.
    #[serde(default)]
    rules: Option<RulesChange>,
}

/// Sets a device's price and rules (for leases from now on) or pauses it (a running job goes on): all that is given, or
/// nothing. Prices are stored as whole base units a second, rounded down: the answer says what stands.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "nodes", params(("id" = DeviceId, Path)), request_body = DeviceChange,
    responses((status = 200, body = NodeView), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn change_device(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DeviceId>,
    extract::Json(change): extract::Json<DeviceChange>,
) -> Answer<NodeView> {
    // Before the fields are looked at: who may not change prices learns nothing about their form.
    actor.require(Scope::Nodes)?;
    let price = change.price_per_hour.as_deref();
    let price = price
        .map(|text| asked_price_of("price_per_hour", text))
        .transpose()
        .map_err(|problem| Refused::field(&problem.field, problem.message))?;
    let rules = change.rules.unwrap_or_default();
    if price.is_none() && change.paused.is_none() && rules.is_empty() {
        return Err(Refused::field(
            "price_per_hour",
            "name price_per_hour, rules or paused",
        ));
    }
    let change = exchange::DeviceChange {
        price,
        paused: change.paused,
        rules,
    };
    Ok(Json(exchange.change_device(&actor, id, change).await?))
}

/// What is asked about a price.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AtPrice {
    /// IO per hour, decimal: what the owner asks.
    price: String,
}

/// What a price would mean for a device, before it is set: its rank among the offers of its model, the fair price beside
/// it, how well devices at that price or below were hired in the last seven days, and what that would bring a day.
#[utoipa::path(get, path = "/api/v1/devices/{id}/price-check", tag = "nodes", params(("id" = DeviceId, Path), AtPrice),
    responses((status = 200, body = PriceCheckView), Refusals), security(("key" = ["nodes"]), ("session" = [])))]
pub async fn price_check(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DeviceId>,
    extract::Query(at): extract::Query<AtPrice>,
) -> Answer<PriceCheckView> {
    actor.require(Scope::Nodes)?;
    let price = price_of("price", &at.price)
        .map_err(|problem| Refused::field(&problem.field, problem.message))?;
    Ok(Json(exchange.price_check(&actor, id, price).await?))
}

/// What the account's devices have made.
#[utoipa::path(get, path = "/api/v1/earnings", tag = "nodes",
    responses((status = 200, body = EarningsView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn earnings(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<EarningsView> {
    Ok(Json(exchange.earnings(&actor).await?))
}
