//! The market: offers and their filter, prices of models, quotes, searches that are kept.

use kernel::{Amount, DeviceId, NodeId, PricePerSecond, QuoteId, SearchId, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rent::Kind;
use crate::spec::DeviceClass;
use crate::state::DeviceState;

/// A device that can be rented, or would be if it were free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfferView {
    pub device: DeviceId,
    pub node: NodeId,
    pub node_name: String,
    pub class: DeviceClass,
    pub model: String,
    pub device_memory_mib: u64,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    pub country: Option<String>,
    /// `AF`, `AS`, `EU`, `NA`, `OC` or `SA`, by the country.
    pub region: Option<String>,
    /// The latency group: nodes of one group are near each other.
    pub group: Option<String>,
    /// Devices of this model in the node.
    pub cards: u32,
    pub driver: Option<String>,
    pub cuda: Option<String>,
    pub up_mbit: Option<u32>,
    pub down_mbit: Option<u32>,
    pub watts: Option<u32>,
    /// 0: all it says is a claim. 1: its driver was seen to answer. 2: it passed a challenge. 3: for weeks.
    pub verified: u32,
    /// Seconds; shorter and longer jobs are not taken.
    pub min_duration: Seconds,
    pub max_duration: Option<Seconds>,
    pub reputation: u32,
    pub state: DeviceState,
    /// What `price` and `per_hour` are for.
    pub kind: Kind,
    /// The owner's price.
    pub price: PricePerSecond,
    /// With the requester's fee: what one hour costs.
    pub per_hour: Amount,
    /// As spot, fee included; absent where it is not offered so.
    pub spot_per_hour: Option<Amount>,
    /// For a term of at least `reserved_min_term` seconds, fee included; absent where it is not offered so.
    pub reserved_per_hour: Option<Amount>,
    pub reserved_min_term: Option<Seconds>,
    /// Whether challenges have proven what the device claims to be. Claims alone are shown as claims.
    pub proven: bool,
    pub online_since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OffersView {
    /// Cheapest first; of equal price the better reputation, then the longer here.
    pub offers: Vec<OfferView>,
    /// How many pass the filter, on all pages of the list.
    pub matching: u32,
    /// How many there are without the filter.
    pub total: u32,
    /// The next page begins at this `offset`; absent on the last.
    pub next: Option<u32>,
}

/// What the market page and `GET /api/v1/offers` filter by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct OfferFilter {
    /// The market's query, `gpu=rtx_4090 vram>=24 country notin [us]`; the other fields are asked besides.
    pub q: Option<String>,
    pub class: Option<DeviceClass>,
    /// Words of the model's name.
    pub model: Option<String>,
    pub min_device_memory_mib: Option<u64>,
    /// IO per hour, decimal.
    pub max_price_per_hour: Option<String>,
    pub country: Option<String>,
    pub min_reputation: Option<u32>,
    /// Free now.
    pub idle: Option<bool>,
    /// How it is rented: prices and order are of this kind, and only devices that are offered so are listed. On demand
    /// when absent; `kind=` in `q` says the same.
    pub kind: Option<Kind>,
    /// So many offers are passed over.
    pub offset: Option<u32>,
    /// So many are answered: 100 when absent, 500 at most.
    pub limit: Option<u32>,
}

/// The price index of one model. Per hour, all-in: what the requester pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelPriceView {
    pub class: DeviceClass,
    pub model: String,
    pub offers: u32,
    pub idle: u32,
    pub lowest: Amount,
    /// Of the offers that stand now.
    pub median: Amount,
    /// The median of what was paid in the last 24 hours and of what is asked now; an owner's asks count once, and so do
    /// the trades of one owner with one requester.
    pub fair: Amount,
    /// How many samples of each it is made of.
    pub asks: u32,
    pub trades: u32,
    pub scarcity: ScarcityView,
}

/// How much of a model is hired. It explains a price and never adds to one: prices are the owners'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScarcityView {
    /// Devices that stand in the market, hired or free.
    pub offered: u32,
    pub hired: u32,
    /// `hired` of `offered`, rounded down.
    pub percent: u32,
    /// The median of the last 24 hours; absent while nothing was noted.
    pub median_percent: Option<u32>,
}

/// The index as it was. Per hour, all-in at the present fee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PricePointView {
    pub at: Timestamp,
    pub fair: Amount,
    pub lowest: Option<Amount>,
    pub samples: u32,
}

/// The offers of one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookLevelView {
    /// All-in: what the requester pays.
    pub per_hour: Amount,
    pub offers: u32,
    pub idle: u32,
}

/// One model: its index now, its order book, its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelView {
    pub class: DeviceClass,
    pub model: String,
    /// Absent while nobody offers it.
    pub price: Option<ModelPriceView>,
    /// The cheapest 20 levels.
    pub asks: Vec<BookLevelView>,
    /// Oldest first.
    pub history: Vec<PricePointView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuoteLine {
    pub kind: QuoteLineKind,
    pub per_hour: Amount,
    /// In words, in English; pages word `kind` themselves.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuoteLineKind {
    /// The lowest ask for the same model among all that can be had now, whatever else is asked.
    Base,
    /// What the constraints add: the chosen ask less the base.
    Constraints,
    /// The platform's share on the requester's side.
    Fee,
    /// Data in and out, which costs nothing.
    Egress,
}

/// What a job would cost, on which device. The lines together are `per_hour`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuoteView {
    /// Name it in a job's `quote` to get this price. Only for those who are signed in: a visitor's is not kept.
    pub id: Option<QuoteId>,
    /// Until then the price holds. The device is not kept free: somebody else may hire it.
    pub valid_until: Option<Timestamp>,
    pub offer: OfferView,
    /// All devices, where the query asks for several; `offer` is the first.
    pub offers: Vec<OfferView>,
    /// How near several nodes are to each other: `group`, `country`, `region` or `any`.
    pub near: String,
    pub lines: Vec<QuoteLine>,
    pub per_hour: Amount,
    /// If it runs to its time limit.
    pub at_most: Amount,
    /// Set aside before the start; what is not used comes back.
    pub first_hold: Amount,
    pub available: Amount,
    /// How long the balance lasts at this rate; 4294967295 where nothing is taken from it.
    pub runway: Seconds,
    /// Whether the balance allows the start.
    pub affordable: bool,
    /// Offers that matched, this one included.
    pub matching: u32,
    /// Nothing is free, but a spot job gives its device back to this one: within so long. Such a quote is not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub makes_room: Option<Seconds>,
    /// Of the model of `offer`.
    pub scarcity: ScarcityView,
    /// What cap, hold and runway mean here, and how scarce the model is, in English sentences.
    pub notes: Vec<String>,
    pub quoted_at: Timestamp,
}

/// A query of the market that an account keeps, with its newest alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchView {
    pub id: SearchId,
    pub name: String,
    /// As on the market page.
    pub q: String,
    pub created_at: Timestamp,
    /// Offers that match now and are free.
    pub matching: u32,
    /// More offers match than are followed: no alerts until fewer do.
    pub too_broad: bool,
    /// Alerts since it was last marked as seen.
    pub unseen: u32,
    /// The newest alert.
    pub alert: Option<SearchAlert>,
}

/// An offer that began to match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchAlert {
    pub at: Timestamp,
    pub device: DeviceId,
    pub model: String,
    pub node_name: String,
    /// All-in, as it was then.
    pub per_hour: Amount,
    /// As what the search looked for it.
    #[serde(default)]
    pub kind: Kind,
}
