//! How an account wants to be told: by e-mail or not, in which language, at which runways.

use kernel::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use super::webhook::DeliveryError;

/// Runways at which an account is warned, at most.
pub const RUNWAYS_MAX: usize = 5;

/// The languages of e-mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    En,
    Zh,
}

impl Language {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::En, Self::Zh]
            .into_iter()
            .find(|language| language.as_str() == text)
    }
}

/// How an account wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationSettings {
    /// To the account's address, what asks for a decision or concerns money.
    pub email: bool,
    /// Of the e-mails.
    pub language: Language,
    /// Warn when the balance lasts less than these; at most five, the longest first.
    pub runway_seconds: Vec<Seconds>,
}

impl Default for NotificationSettings {
    fn default() -> Self {
        Self {
            email: false,
            language: Language::En,
            runway_seconds: vec![Seconds::DAY, Seconds::HOUR, Seconds::new(600)],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationSettingsView {
    #[serde(flatten)]
    pub settings: NotificationSettings,
    /// Whether this server sends e-mail at all.
    pub email_available: bool,
    /// Where e-mails go.
    pub address: String,
    /// Whether its person said that it is theirs; until then only that question is sent there.
    pub address_confirmed: bool,
    /// When the question was sent last.
    pub address_asked_at: Option<Timestamp>,
    /// Why the question did not get there.
    pub address_error: Option<DeliveryError>,
}
