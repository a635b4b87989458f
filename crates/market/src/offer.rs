//! One device as the market knows it.

use std::cmp::Reverse;
use std::sync::Arc;

use kernel::{AccountId, DeviceId, JobId, NodeId, PricePerSecond, Seconds, Timestamp};
use protocol::spec::DeviceClass;

use crate::place::Country;

/// Whether an offer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Supply {
    Offered,
    /// Its owner keeps it back.
    Paused,
    /// Outside the hours of its schedule.
    Closed,
    /// Its node is not connected, or drains.
    Down,
    /// Its node cannot isolate jobs.
    Blocked,
}

impl Supply {
    pub const ALL: [Self; 5] = [
        Self::Offered,
        Self::Paused,
        Self::Closed,
        Self::Down,
        Self::Blocked,
    ];

    /// Why it cannot be had, as [`protocol::round::MissedGroup::field`] and a problem's fields name it.
    pub const fn shut(self) -> Option<&'static str> {
        match self {
            Self::Offered => None,
            Self::Paused => Some("paused"),
            Self::Closed => Some("closed"),
            Self::Down => Some("offline"),
            Self::Blocked => Some("blocked"),
        }
    }
}

/// One device, what it is part of, and what its owner asks. A zero in `driver`, `cuda`, `up_mbit`, `down_mbit` and
/// `watts` means that it is not known; an unknown value satisfies no constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub device: DeviceId,
    pub node: NodeId,
    pub owner: AccountId,
    pub class: DeviceClass,
    pub model: Arc<str>,
    pub device_memory_mib: u64,
    /// Devices of this model in the node, this one included.
    pub cards: u32,
    pub driver: Version,
    pub cuda: Version,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    pub up_mbit: u32,
    pub down_mbit: u32,
    pub country: Option<Country>,
    /// Nodes with the same name here are near each other: one hall, one switch.
    pub group: Option<Arc<str>>,
    pub reputation: u32,
    /// How far what the device claims was proven: 0 claimed, 1 seen by its driver, 2 challenged, 3 challenged for weeks.
    pub verified: u32,
    /// Board power limit.
    pub watts: u32,
    /// Jobs shorter than this are not taken.
    pub min_duration: Seconds,
    /// Jobs longer than this are not taken.
    pub max_duration: Option<Seconds>,
    pub price: PricePerSecond,
    pub joined_at: Timestamp,
    pub supply: Supply,
    /// The job that has it.
    pub holder: Option<JobId>,
}

/// The published order of choice: cheapest, then best reputed, then longest here, then the smaller id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    pub price: PricePerSecond,
    reputation: Reverse<u8>,
    joined_at: Timestamp,
    pub device: DeviceId,
}

impl Rank {
    pub(crate) const fn new(
        price: PricePerSecond,
        reputation: u8,
        joined_at: Timestamp,
        device: DeviceId,
    ) -> Self {
        Self {
            price,
            reputation: Reverse(reputation),
            joined_at,
            device,
        }
    }
}

impl Offer {
    pub fn rank(&self) -> Rank {
        let reputation = u8::try_from(self.reputation).unwrap_or(u8::MAX);
        Rank::new(self.price, reputation, self.joined_at, self.device)
    }

    /// Whether it can be had now.
    pub const fn is_open(&self) -> bool {
        matches!(self.supply, Supply::Offered) && self.holder.is_none()
    }
}

/// A version of two numbers, such as driver 550.54 or CUDA 12.4. Zero: not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(u32);

impl Version {
    /// Minor numbers have their own place: 12.10 is newer than 12.9.
    const MINORS: u32 = 1_000;

    pub const fn new(major: u32, minor: u32) -> Self {
        Self(major.saturating_mul(Self::MINORS).saturating_add(minor))
    }

    /// The first two numbers; what follows (`550.54.15`) does not count. `None`: no version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.');
        let major = numbers.next()?.parse().ok().filter(|n| *n < 1_000_000)?;
        let minor = match numbers.next() {
            None => 0,
            Some(minor) => minor.parse().ok().filter(|n| *n < Self::MINORS)?,
        };
        Some(Self::new(major, minor))
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub const fn is_known(self) -> bool {
        self.0 > 0
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0 / Self::MINORS, self.0 % Self::MINORS)
    }
}
