//! A refusal in one form everywhere: `application/problem+json` (RFC 9457) in REST, the same words on pages.

use serde::{Deserialize, Serialize};

/// Stable codes; programs match on these, people read `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A field, a file or a parameter is not as it must be; see `fields`.
    Invalid,
    /// Sign in, or send a valid API key.
    Unauthenticated,
    /// Signed in, but this is not allowed to you or to this key.
    Forbidden,
    /// The request came from a foreign page.
    ForeignOrigin,
    NotFound,
    /// The state of the thing does not allow it (any more).
    Conflict,
    /// No offer satisfies the request; `fields` names what removed the offers.
    NoMatch,
    InsufficientFunds,
    /// The same idempotency key was used with another request.
    IdempotencyMismatch,
    TooLarge,
    TooManyRequests,
    /// Ours, not yours. Whether anything was changed is not known: look, then try again.
    Internal,
    /// Not right now: starting, stopping or overloaded.
    Unavailable,
}

impl Code {
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid | Self::IdempotencyMismatch => 422,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::ForeignOrigin => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::NoMatch => 409,
            Self::InsufficientFunds => 402,
            Self::TooLarge => 413,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Something in the request needs a change",
            Self::Unauthenticated => "Please sign in",
            Self::Forbidden => "Not allowed",
            Self::ForeignOrigin => "The request came from another site",
            Self::NotFound => "Not found",
            Self::Conflict => "Not possible in this state",
            Self::NoMatch => "No offer matches",
            Self::InsufficientFunds => "Not enough balance",
            Self::IdempotencyMismatch => "This idempotency key was used for another request",
            Self::TooLarge => "Too large",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "Something went wrong on our side",
            Self::Unavailable => "Not available right now",
        }
    }
}

/// What is wrong with one field. `field` is a path like `resources.memory_mib` or `files[2].path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldProblem {
    pub field: String,
    pub message: String,
}

impl FieldProblem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// A refusal, as it is shown and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{detail}")]
pub struct Problem {
    pub code: Code,
    pub title: String,
    pub status: u16,
    /// One or two sentences: what happened, what the person can do.
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldProblem>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            fields: Vec::new(),
        }
    }

    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldProblem>) -> Self {
        self.fields = fields;
        self
    }

    /// For one field alone.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(Code::Invalid, format!("{field}: {message}"))
            .with_fields(vec![FieldProblem::new(field, message)])
    }
}
