//! An owner's machines: nodes, their devices and what these earn, what a price would mean, join tokens.

use kernel::{Amount, DeviceId, JobId, JoinTokenId, NodeId, PricePerSecond, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fleet::{Maintenance, Standing};
use crate::proof::DeviceProof;
use crate::rent::DeviceRules;
use crate::spec::DeviceClass;
use crate::state::DeviceState;
use crate::worker::HostFacts;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    pub id: NodeId,
    pub name: String,
    pub online: bool,
    pub draining: bool,
    pub standing: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    pub country: Option<String>,
    pub reputation: u32,
    pub agent_version: String,
    pub host: HostFacts,
    pub public_key: String,
    pub joined_at: Timestamp,
    pub last_seen: Option<Timestamp>,
    pub devices: Vec<NodeDeviceView>,
    pub cpu_percent: Option<f32>,
    pub memory_used_mib: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeDeviceView {
    pub id: DeviceId,
    pub class: DeviceClass,
    pub model: String,
    pub memory_mib: u64,
    pub uuid: String,
    pub state: DeviceState,
    /// Outside its hours: when it is free again. Within them: until when.
    pub hours_until: Option<Timestamp>,
    /// Whether it is within the hours of its schedule, whatever else keeps it from the market.
    pub in_hours: bool,
    /// On demand, as it is stored: base units a second.
    pub price: PricePerSecond,
    /// With the requester's fee: what one hour costs.
    pub per_hour: Amount,
    pub rules: DeviceRules,
    pub job: Option<JobId>,
    /// Before the owner's fee is taken: what this device has made so far.
    pub earned: Amount,
    /// Each rule it must pass to earn, and what to do where it does not.
    pub checks: Vec<EarnCheck>,
    /// Whether it has shown what it is.
    pub proof: DeviceProof,
    /// As offers show it: 0 to 3.
    pub verified: u32,
}

/// What a price would mean for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceCheckView {
    pub device: DeviceId,
    /// As it would be stored: whole base units a second, rounded down.
    pub price: PricePerSecond,
    /// An hour of that, before fees.
    pub per_hour: Amount,
    /// What a requester pays for an hour.
    pub all_in_per_hour: Amount,
    /// Its place in the order of choice among the offers of its model that are free, this one included.
    pub open: RankView,
    /// Among those that are hired too.
    pub standing: RankView,
    /// The fair price of the model for an hour, and of how many samples it is made. Absent while there are none.
    pub fair: Option<Amount>,
    pub samples: u32,
    /// Above the fair price, in thousandths of it; below zero where it is cheaper.
    pub above_fair_per_mille: Option<i64>,
    pub fill: FillView,
    /// The price, for as much of a day as the fill says, after the owner's fee. Absent where there is no fill.
    pub income_per_day: Option<Amount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RankView {
    /// 1 is chosen first.
    pub rank: u32,
    pub of: u32,
}

/// How long devices of a model that ask at most a price were hired in the last seven days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillView {
    /// Of a thousand hours so many were hired. Absent where fewer than five leases or 24 device-hours are known.
    pub per_mille: Option<u32>,
    pub devices: u32,
    /// Since their machines joined, seven days each at most. That a machine was away is not known.
    pub device_hours: u64,
    /// Delivered and receipted.
    pub hired_hours: u64,
    pub leases: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EarnCheck {
    pub rule: EarnRule,
    pub pass: bool,
    /// What to do; empty when passed.
    pub fix: String,
    /// Numbers of the rule, in the order in which its sentence has them: of `market` the rank and the number of free offers, of
    /// `reputation` the reputation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EarnRule {
    Connected,
    Isolation,
    /// It has shown that it is what it says, or need not.
    Proven,
    /// Its machine is not in maintenance.
    NotMaintained,
    NotPaused,
    /// Within the hours of its schedule.
    InHours,
    Priced,
    /// Among the cheaper half of the free offers of its model.
    Market,
    /// At least the reputation with which machines begin.
    Reputation,
    Hired,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenView {
    pub id: JoinTokenId,
    /// Shown once.
    pub token: String,
    /// The one line to copy.
    pub command: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenState {
    pub id: JoinTokenId,
    pub expires_at: Timestamp,
    pub used_by: Option<NodeId>,
}
