//! Who somebody is here: account, roles, API keys and what they may do, names of secrets, the meter of what runs.

use kernel::{AccountId, Amount, KeyId, PricePerSecond, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Requester,
    Owner,
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Requester, Self::Owner, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Owner => "owner",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See everything of the account.
    Read,
    /// Quote, submit and stop jobs, upload bundles.
    Jobs,
    /// Make join tokens, set prices, pause and remove nodes.
    Nodes,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Jobs, Self::Nodes];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Jobs => "jobs",
            Self::Nodes => "nodes",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountView {
    pub id: AccountId,
    pub email: String,
    pub name: String,
    pub roles: Vec<Role>,
    pub created_at: Timestamp,
}

/// The meter in the header: what runs now costs `rate`, `spent` so far, and the balance lasts `runway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meter {
    /// All-in, of everything that runs now.
    pub rate: PricePerSecond,
    /// By the jobs that run now; of the one job on a job's page. Acknowledged seconds only.
    pub spent: Amount,
    pub available: Amount,
    pub held: Amount,
    /// Until what is held, and what the account's limits leave of what is available, is used up at this rate. Absent when nothing runs.
    pub runway: Option<Seconds>,
}

/// A secret of an account: its name alone. What it holds is never told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretView {
    pub name: String,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyView {
    pub id: KeyId,
    pub name: String,
    /// The first characters of the secret, to tell keys apart.
    pub prefix: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewKeyView {
    pub key: KeyView,
    /// Shown once; only its hash is stored.
    pub secret: String,
}
