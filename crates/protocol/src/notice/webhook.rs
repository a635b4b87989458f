//! Webhooks: where else notices are sent, and how each delivery goes.

use kernel::{NoticeId, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};

use super::event::Event;

/// An account has so many webhooks.
pub const WEBHOOKS_MAX: usize = 10;
/// Letters of a webhook's address.
pub const URL_MAX: usize = 2_048;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    pub id: WebhookId,
    pub url: String,
    /// Those that it listens to; empty means all.
    pub events: Vec<Event>,
    pub created_at: Timestamp,
    /// Off: by its owner, or because nothing got through for a day.
    pub enabled: bool,
    /// Since when nothing got through; absent while it works.
    pub failing_since: Option<Timestamp>,
}

/// A webhook to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to post: https, and an address that the whole world can reach.
    pub url: String,
    /// Those that it listens to; empty or absent means all.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// What is to change of a webhook; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// With the secret of the signatures, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewWebhookView {
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// `whsec_` and the key in base64.
    pub secret: String,
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried at `next_at`.
    Waiting,
    Delivered,
    /// Given up.
    Failed,
}

impl DeliveryState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Delivered, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryError {
    /// The receiver answered, but not that it took it; `status` says what.
    Status,
    /// No answer in time.
    Timeout,
    /// The name has no address.
    NoAddress,
    /// The name leads to an address that the world cannot reach.
    NotPublic,
    /// Nobody takes the connection.
    Unreachable,
    /// No encrypted connection came about: a certificate that is not valid, say.
    Tls,
    /// It broke off, or the answer was no HTTP.
    Broken,
    /// The webhook was switched off, or the e-mails.
    SwitchedOff,
}

impl DeliveryError {
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Timeout,
        Self::NoAddress,
        Self::NotPublic,
        Self::Unreachable,
        Self::Tls,
        Self::Broken,
        Self::SwitchedOff,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::NoAddress => "no_address",
            Self::NotPublic => "not_public",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::SwitchedOff => "switched_off",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.as_str() == text)
    }
}

/// One notice on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    pub notice: NoticeId,
    pub event: Event,
    pub state: DeliveryState,
    pub attempts: u32,
    pub created_at: Timestamp,
    /// Of the next attempt; absent when there is none.
    pub next_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// What the receiver answered last.
    pub status: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<DeliveryError>,
}
