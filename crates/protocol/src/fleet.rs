//! What owners see of their machines beyond prices: how long each was there, what ran on it, and what one would earn.

use kernel::{Amount, DeviceId, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rent::Kind;
use crate::spec::DeviceClass;
use crate::state::RunEnd;

/// A day or an hour of a machine, in seconds. What is left of `up` is absence; where `up` is nought nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UptimeSpan {
    pub from: Timestamp,
    /// The platform itself was there.
    pub up_seconds: u64,
    pub online_seconds: u64,
    /// Away with notice: maintenance, draining, hours that the schedule closes.
    pub away_seconds: u64,
}

impl UptimeSpan {
    pub const fn offline_seconds(&self) -> u64 {
        self.up_seconds
            .saturating_sub(self.online_seconds)
            .saturating_sub(self.away_seconds)
    }

    /// Of a thousand seconds in which it was expected, so many it was there. `None`: it was not expected, or nothing is known.
    pub fn per_mille(&self) -> Option<u64> {
        let expected = self.online_seconds.saturating_add(self.offline_seconds());
        self.online_seconds
            .saturating_mul(1_000)
            .checked_div(expected)
    }
}

/// How long a machine was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UptimeView {
    pub node: NodeId,
    /// The last 30 days (UTC), oldest first. Days before it joined are absent.
    pub days: Vec<UptimeSpan>,
    /// The last 48 hours, oldest first.
    pub hours: Vec<UptimeSpan>,
}

/// A machine that its owner keeps from new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Maintenance {
    /// What runs then is stopped and goes on elsewhere. Absent: it may run to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<Timestamp>,
}

/// How a machine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NodeStanding))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Online,
    /// Not connected, or silent.
    Offline,
    /// Its worker is about to leave: it takes nothing new.
    Draining,
    /// Its owner keeps it from new work.
    Maintenance,
    /// It cannot isolate jobs, so none are sent.
    NotIsolated,
    /// A proof of what it is failed.
    Suspect,
}

/// A lease of a machine, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeLeaseView {
    pub lease: LeaseId,
    pub job: JobId,
    pub device: DeviceId,
    pub model: String,
    pub kind: Kind,
    /// Of all its devices together.
    pub price: PricePerSecond,
    pub granted_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Delivered and receipted.
    pub seconds: Seconds,
    /// What the owner got of it so far.
    pub earned: Amount,
    /// How it ended; absent while it lives.
    pub end: Option<RunEnd>,
}

/// What is asked of the simulator. Decimal numbers as people type them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SimulatorAsk {
    pub model: String,
    pub class: String,
    /// IO an hour; empty: the fair price.
    pub per_hour: String,
    /// Hours a day that the machine is on.
    pub hours: String,
    /// Of the card while it works.
    pub watts: String,
    /// IO for a kWh.
    pub kwh: String,
    /// 7 or 30.
    pub days: String,
}

/// What a device of a model would have earned a day, by what the market really hired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatorView {
    pub class: DeviceClass,
    pub model: String,
    pub price: PricePerSecond,
    /// The price was not given: it is the fair price of the market.
    pub is_fair_price: bool,
    /// An hour of it.
    pub per_hour: Amount,
    pub days: u32,
    pub hours_a_day: u32,
    /// Devices of the model that stood in the market in these days, and how long together, and what of it was hired.
    pub devices: u32,
    pub device_hours: u64,
    pub hired_hours: u64,
    pub leases: u32,
    /// A quarter of the devices was hired less than the first line says, half less than the second, three quarters less than the
    /// third. Absent where too little is known.
    pub lines: Option<[SimulatorLine; 3]>,
}

/// One line of a simulation, for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatorLine {
    /// Of a thousand hours offered, so many hired.
    pub fill_per_mille: u32,
    pub gross: Amount,
    /// The owner's fee.
    pub fee: Amount,
    /// For the hours that it works.
    pub power: Amount,
    /// Base units: below zero where power costs more than it brings.
    pub net_base: i64,
}
