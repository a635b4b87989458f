//! Webhooks: where an account's notices are posted. docs/webhooks.md tells receivers what comes.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::{NoticeId, WebhookId};
use protocol::notice::{DeliveryView, NewWebhook, NewWebhookView, WebhookChange, WebhookView};
use protocol::view::Page;

use super::{Answer, DONE, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Ids, Query};
use crate::http::problem::Refused;

/// The account's webhooks, the oldest first.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    responses((status = 200, body = Vec<WebhookView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<WebhookView>> {
    Ok(Json(exchange.webhooks(&actor).await?))
}

/// Makes a webhook; its secret is in this answer and nowhere else. An account has ten. Only a signed-in person can: what a
/// key made would go on when the key is revoked.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = NewWebhookView), Refusals), security(("session" = [])))]
pub async fn create(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewWebhook>,
) -> Result<(StatusCode, Json<NewWebhookView>), Refused> {
    let hook = exchange.create_webhook(&actor, new).await?;
    Ok((StatusCode::CREATED, Json(hook)))
}

/// One webhook, and since when it fails, if it does.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = WebhookId, Path)),
    responses((status = 200, body = WebhookView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn one(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<WebhookId>,
) -> Answer<WebhookView> {
    Ok(Json(exchange.webhook(&actor, id).await?))
}

/// Changes its address or its events, or switches it on or off; what waits for one that is switched off is given up.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = WebhookId, Path)),
    request_body = WebhookChange, responses((status = 200, body = WebhookView), Refusals), security(("session" = [])))]
pub async fn change(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<WebhookId>,
    extract::Json(change): extract::Json<WebhookChange>,
) -> Answer<WebhookView> {
    Ok(Json(exchange.change_webhook(&actor, id, change).await?))
}

/// Deletes a webhook with what was on its way to it.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = WebhookId, Path)),
    responses((status = 204), Refusals), security(("session" = [])))]
pub async fn delete(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<WebhookId>,
) -> Result<StatusCode, Refused> {
    exchange.delete_webhook(&actor, id).await?;
    Ok(DONE)
}

/// Makes a new secret. For a day the old one signs too, in a second signature.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/secret", tag = "webhooks", params(("id" = WebhookId, Path)),
    responses((status = 200, body = NewWebhookView), Refusals), security(("session" = [])))]
pub async fn rotate(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<WebhookId>,
) -> Answer<NewWebhookView> {
    Ok(Json(exchange.rotate_webhook_secret(&actor, id).await?))
}

/// Sends a `webhook.test`, whatever it listens to; ten a minute at most.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "webhooks", params(("id" = WebhookId, Path)),
    responses((status = 202, body = DeliveryView), Refusals), security(("session" = [])))]
pub async fn test(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<WebhookId>,
) -> Result<(StatusCode, Json<DeliveryView>), Refused> {
    let delivery = exchange.test_webhook(&actor, id).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery)))
}

/// What went to it in the last week, newest first.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = WebhookId, Path), PageQuery),
    responses((status = 200, body = Page<DeliveryView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn deliveries(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<WebhookId>,
    Query(page): Query<PageQuery>,
) -> Answer<Page<DeliveryView>> {
    let (before, limit) = page.read()?;
    let page = exchange.webhook_deliveries(&actor, id, before, limit);
    Ok(Json(page.await?))
}

/// Sends one again, now, under the same `webhook-id`.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{notice}", tag = "webhooks",
    params(("id" = WebhookId, Path), ("notice" = NoticeId, Path)),
    responses((status = 202, body = DeliveryView), Refusals), security(("session" = [])))]
pub async fn redeliver(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Ids(id, notice): Ids<WebhookId, NoticeId>,
) -> Result<(StatusCode, Json<DeliveryView>), Refused> {
    let delivery = exchange.redeliver(&actor, id, notice).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery)))
}
