//! A job as a server: its members share the requests that come to one address.

use kernel::JobId;
use serde::{Deserialize, Serialize};

/// How a job that serves does: the port of its specification that has `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointView {
    pub job: JobId,
    /// What clients take as the address of an `OpenAI` server.
    pub base_url: String,
    pub public: bool,
    pub replicas: Vec<ReplicaView>,
    /// Since this server started: requests that came, and those that nobody could answer.
    pub requests: u64,
    pub failed: u64,
    /// How often one was given to another replica because the first did not answer.
    pub retried: u64,
    pub tokens: u64,
    /// Tenths of a token a second, over the last minute.
    pub tokens_per_second_tenths: u64,
    /// Milliseconds to the first byte of an answer, of the last 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p50_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplicaView {
    pub member: u32,
    /// It answered when it was looked at last, or was asked.
    pub well: bool,
    /// Requests that it answers at this moment.
    pub under_way: u32,
}
