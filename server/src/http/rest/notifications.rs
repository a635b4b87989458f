//! What the account was told, and how it wants to be told.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::NoticeId;
use protocol::notice::{NoticesView, NotificationSettings, NotificationSettingsView};
use protocol::view::Page;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, PageQuery, Refusals};
use crate::auth::Signed;
use crate::http::extract::{self, Query};
use crate::http::problem::Refused;

/// What the account was told in the last 90 days, newest first, and how much of it is unread.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications", params(PageQuery),
    responses((status = 200, body = NoticesView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<NoticesView> {
    let (before, limit) = page.read()?;
    let Page { items, next } = exchange.notices(&actor, before, limit).await?;
    Ok(Json(NoticesView {
        items,
        next,
        unread: exchange.unread_notices(&actor).await?,
    }))
}

/// What was read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadNotices {
    /// This one and all before it; absent: all.
    #[serde(default)]
    up_to: Option<NoticeId>,
}

/// What is left.
#[derive(Serialize, ToSchema)]
pub struct Unread {
    /// Counted up to 100.
    unread: u32,
}

/// Marks as read. Only a signed-in person can: what a program reads, its person has not.
#[utoipa::path(post, path = "/api/v1/notifications/read", tag = "notifications", request_body = ReadNotices,
    responses((status = 200, body = Unread), Refusals), security(("session" = [])))]
pub async fn read(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(read): extract::Json<ReadNotices>,
) -> Answer<Unread> {
    let unread = exchange.read_notices(&actor, read.up_to).await?;
    Ok(Json(Unread { unread }))
}

/// Whether e-mails are sent, in which language, and at which runways of the balance the account is warned.
#[utoipa::path(get, path = "/api/v1/notifications/settings", tag = "notifications",
    responses((status = 200, body = NotificationSettingsView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn settings(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<NotificationSettingsView> {
    Ok(Json(exchange.notification_settings(&actor).await?))
}

/// Changes them, all at once. Only a signed-in person can.
#[utoipa::path(put, path = "/api/v1/notifications/settings", tag = "notifications", request_body = NotificationSettings,
    responses((status = 200, body = NotificationSettingsView), Refusals), security(("session" = [])))]
pub async fn set(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(settings): extract::Json<NotificationSettings>,
) -> Answer<NotificationSettingsView> {
    let set = exchange.set_notification_settings(&actor, settings);
    Ok(Json(set.await?))
}

/// Sends the question whether the address is yours once more; three times a day at most. Until its link was followed, nothing
/// else is sent there.
#[utoipa::path(post, path = "/api/v1/notifications/confirmation", tag = "notifications",
    responses((status = 202, body = NotificationSettingsView), Refusals), security(("session" = [])))]
pub async fn ask(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Result<(StatusCode, Json<NotificationSettingsView>), Refused> {
    let settings = exchange.ask_address(&actor).await?;
    Ok((StatusCode::ACCEPTED, Json(settings)))
}
