//! What REST answers and what the pages show: plain data, the same for both. A room for each thing that is looked at:
//! the `market`, a `job` and its `log`, a `node`, `receipt`s, the `account`; money is in [`crate::money`].
//!
//! Units: amounts are strings of base units (1 IO = 10^8), times RFC 3339 in UTC, memory MiB, seconds whole.

mod account;
mod job;
mod log;
mod market;
mod node;
mod receipt;

use kernel::Seconds;
use serde::{Deserialize, Serialize};

pub use crate::money::{
    BalanceView, Book, DeviceEarnings, EarningsView, EntryKind, EntryView, LeaseEarnings,
    RefundReason, RefundView,
};
pub use crate::proof::{ChallengeView, DeviceProof};
pub use crate::rent::{DeviceRules, Kind, RulesChange};
pub use crate::worker::{HostFacts, Sample as SampleData, Stream};
pub use account::{AccountView, KeyView, Meter, NewKeyView, Role, Scope, SecretView};
pub use job::{
    ArtefactView, JobEvent, JobEventKind, JobSummary, JobView, LeaseView, OrderView, PortLinkView,
    PortView, SampleView,
};
pub use log::{FoundLine, LogFound, LogLine, LogPage, found_in, shown_line};
pub use market::{
    BookLevelView, ModelPriceView, ModelView, OfferFilter, OfferView, OffersView, PricePointView,
    QuoteLine, QuoteLineKind, QuoteView, ScarcityView, SearchAlert, SearchView,
};
pub use node::{
    EarnCheck, EarnRule, FillView, JoinTokenState, JoinTokenView, NodeDeviceView, NodeView,
    PriceCheckView, RankView,
};
pub use receipt::{Receipt, ReceiptView};

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask again with `before` = this; absent on the last page.
    pub next: Option<String>,
}

/// Public statistics. Claimed and proven supply stand apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkView {
    pub nodes_online: u32,
    pub gpus_claimed: u32,
    pub gpus_proven: u32,
    pub cpus_claimed: u32,
    pub devices_hired: u32,
    pub jobs_running: u32,
    pub jobs_finished: u32,
    pub seconds_delivered: Seconds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleView {
    /// SHA-256, 64 hex digits; name it in a job's `bundle`.
    pub hash: String,
    pub size_bytes: u64,
}
