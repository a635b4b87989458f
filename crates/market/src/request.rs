//! What a job asks of a device, and what it says when nothing fits.

use kernel::{DeviceId, NodeId, PricePerSecond};
use protocol::problem::FieldProblem;
use protocol::spec::{DeviceClass, JobSpec};

use crate::book::{Offer, Supply};

/// The constraints of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub class: DeviceClass,
    /// Lower case; a part of the model's name.
    pub model: Option<String>,
    pub device_memory_mib: u64,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    pub countries: Vec<String>,
    pub min_reputation: u32,
    /// The owner's price may be at most this (the requester's fee is taken off the limit price before).
    pub max_price: Option<PricePerSecond>,
    /// This device and no other.
    pub device: Option<DeviceId>,
    /// Nodes that refused this job before.
    pub avoid: Vec<NodeId>,
}

/// A constraint, in the order in which refusals are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Constraint {
    Device,
    Class,
    Model,
    DeviceMemory,
    Cpus,
    Memory,
    Disk,
    Country,
    Reputation,
    Price,
    /// Its owner offers it now and its node is connected.
    Offered,
    /// Its node did not refuse this job before.
    NotRefused,
    /// Nobody else has it.
    Free,
}

impl Constraint {
    pub const ALL: [Self; 13] = [
        Self::Device,
        Self::Class,
        Self::Model,
        Self::DeviceMemory,
        Self::Cpus,
        Self::Memory,
        Self::Disk,
        Self::Country,
        Self::Reputation,
        Self::Price,
        Self::Offered,
        Self::NotRefused,
        Self::Free,
    ];

    /// The field of the specification that it comes from.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Class => "resources.class",
            Self::Model => "resources.model",
            Self::DeviceMemory => "resources.device_memory_mib",
            Self::Cpus => "resources.cpus",
            Self::Memory => "resources.memory_mib",
            Self::Disk => "resources.disk_mib",
            Self::Country => "placement.countries",
            Self::Reputation => "placement.min_reputation",
            Self::Price => "limits.max_price_per_hour",
            Self::Offered => "online",
            Self::NotRefused => "refused_before",
            Self::Free => "free",
        }
    }
}

impl Request {
    /// `max_price`: the limit price without the requester's fee.
    pub fn of(spec: &JobSpec, max_price: Option<PricePerSecond>, device: Option<DeviceId>) -> Self {
        Self {
            class: spec.resources.class,
            model: spec
                .resources
                .model
                .as_ref()
                .map(|model| model.trim().to_lowercase()),
            device_memory_mib: spec.resources.device_memory_mib,
            cpus: spec.resources.cpus,
            memory_mib: spec.resources.memory_mib,
            disk_mib: spec.resources.disk_mib,
            countries: spec.placement.countries.clone(),
            min_reputation: spec.placement.min_reputation,
            max_price,
            device,
            avoid: Vec::new(),
        }
    }

    /// Whether the offer satisfies one constraint.
    pub fn satisfied(&self, constraint: Constraint, offer: &Offer) -> bool {
        match constraint {
            Constraint::Device => self.device.is_none_or(|device| device == offer.device),
            Constraint::Class => self.class == offer.class,
            Constraint::Model => self
                .model
                .as_ref()
                .is_none_or(|model| offer.model.to_lowercase().contains(model.as_str())),
            Constraint::DeviceMemory => offer.device_memory_mib >= self.device_memory_mib,
            Constraint::Cpus => offer.cpus >= self.cpus,
            Constraint::Memory => offer.memory_mib >= self.memory_mib,
            Constraint::Disk => offer.disk_mib >= self.disk_mib,
            Constraint::Country => {
                self.countries.is_empty()
                    || offer
                        .country
                        .as_ref()
                        .is_some_and(|country| self.countries.contains(country))
            }
            Constraint::Reputation => offer.reputation >= self.min_reputation,
            Constraint::Price => self.max_price.is_none_or(|max| offer.price <= max),
            Constraint::Offered => matches!(offer.supply, Supply::Offered),
            Constraint::NotRefused => !self.avoid.contains(&offer.node),
            Constraint::Free => offer.holder.is_none(),
        }
    }

    pub fn matches(&self, offer: &Offer) -> bool {
        Constraint::ALL
            .into_iter()
            .all(|constraint| self.satisfied(constraint, offer))
    }
}

/// One constraint's share in an empty answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub constraint: Constraint,
    /// Offers that fail it, whatever else they fail.
    pub offers: u32,
    /// Offers that fail it and nothing else: so many would match without it.
    pub alone: u32,
    /// The change that would let the nearest of those match.
    pub nearest: Option<String>,
}

/// Why nothing fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMatch {
    pub considered: u32,
    pub removed: Vec<Removed>,
}

impl NoMatch {
    /// One message a constraint that removed offers; those that would help alone come first.
    pub fn fields(&self) -> Vec<FieldProblem> {
        let mut removed = self.removed.clone();
        removed.sort_by_key(|removed| (std::cmp::Reverse(removed.alone), removed.constraint));
        removed
            .into_iter()
            .map(|removed| {
                let all = self.considered;
                let mut parts = vec![format!("removes {} of {all} offers", removed.offers)];
                if removed.alone > 0 {
                    parts.push(format!("without it {} would match", removed.alone));
                }
                parts.extend(removed.nearest);
                FieldProblem::new(removed.constraint.field(), parts.join("; "))
            })
            .collect()
    }

    /// In one sentence.
    pub fn sentence(&self) -> String {
        if self.considered == 0 {
            return "There are no offers at all at the moment; come back when a worker is connected.".into();
        }
        let fields = self.fields();
        match fields.first() {
            Some(first) => format!("No offer matches: {} {}.", first.field, first.message),
            None => "No offer matches.".into(),
        }
    }
}
