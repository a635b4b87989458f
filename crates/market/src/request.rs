//! What a job asks of the market.

use kernel::{DeviceId, NodeId, PricePerSecond};
pub use protocol::rent::Kind;
use protocol::spec::{DeviceClass, JobSpec};

use crate::filter::{Filter, Number, Term, Test};
use crate::offer::Offer;
use crate::place::Country;

/// How far apart the nodes of a gang may be. The nearest that has room is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Near {
    /// One latency group: a hall, a switch.
    Group,
    Country,
    Region,
    #[default]
    Any,
}

impl Near {
    pub const ALL: [Self; 4] = [Self::Group, Self::Country, Self::Region, Self::Any];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Country => "country",
            Self::Region => "region",
            Self::Any => "any",
        }
    }
}

/// How many, and where they stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Devices on one node.
    pub count: u32,
    /// Nodes, all or none.
    pub nodes: u32,
    /// The farthest apart that is allowed.
    pub near: Near,
    /// Each node of another owner.
    pub spread: bool,
    pub kind: Kind,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            count: 1,
            nodes: 1,
            near: Near::Any,
            spread: false,
            kind: Kind::OnDemand,
        }
    }
}

impl Ask {
    pub const fn is_single(&self) -> bool {
        self.count <= 1 && self.nodes <= 1
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    pub filter: Filter,
    pub ask: Ask,
    /// This device and no other.
    pub device: Option<DeviceId>,
    /// Nodes that refused this job before.
    pub avoid: Vec<NodeId>,
    /// What all devices together may ask at most.
    pub most_together: Option<PricePerSecond>,
}

impl Request {
    /// From a specification. `max_price`: its limit price without the requester's fee.
    pub fn of(spec: &JobSpec, max_price: Option<PricePerSecond>, device: Option<DeviceId>) -> Self {
        let (resources, placement) = (&spec.resources, &spec.placement);
        let mut terms = Terms(Vec::new());
        // A query says itself what it wants: "rtx 4090" must not be sought among the CPUs, which are the default.
        if placement.filter.is_none() || resources.class == DeviceClass::Gpu {
            terms.add(
                Test::Class(resources.class),
                "resources.class",
                resources.class.as_str(),
            );
        }
        if let Some(model) = &resources.model {
            terms.add(Test::model(model), "resources.model", model.trim());
        }
        let own_memory = match resources.class {
            DeviceClass::Gpu => Number::Vram,
            // A CPU has no memory of its own but the host's.
            DeviceClass::Cpu => Number::Memory,
        };
        terms.least(
            own_memory,
            resources.device_memory_mib,
            "resources.device_memory_mib",
        );
        terms.least(Number::Cpus, u64::from(resources.cpus), "resources.cpus");
        // A job's disk is memory while it runs.
        terms.least(
            Number::Memory,
            resources.memory_mib.saturating_add(resources.disk_mib),
            "resources.memory_mib",
        );
        terms.least(Number::Disk, resources.disk_mib, "resources.disk_mib");
        let limit = spec.limits.duration_seconds;
        for test in [
            Test::at_most(Number::MinDuration, limit),
            Test::at_least(Number::MaxDuration, limit),
        ] {
            terms.add(test, "limits.duration_seconds", &format!("{limit} s"));
        }
        let countries: Vec<Country> = placement
            .countries
            .iter()
            .filter_map(|country| Country::parse(country))
            .collect();
        if !countries.is_empty() {
            terms.add(
                Test::Country(countries),
                "placement.countries",
                &placement.countries.join(", "),
            );
        }
        terms.least(
            Number::Reputation,
            u64::from(placement.min_reputation),
            "placement.min_reputation",
        );
        if let Some(max) = max_price {
            let most = crate::filter::base_units(max);
            let text = spec
                .limits
                .max_price_per_hour
                .as_deref()
                .unwrap_or_default();
            terms.add(
                Test::at_most(Number::Price, most),
                "limits.max_price_per_hour",
                text,
            );
        }
        let ask = Ask {
            count: resources.count,
            nodes: placement.nodes,
            ..Ask::default()
        };
        Self {
            filter: Filter { terms: terms.0 },
            ask,
            device,
            most_together: max_price,
            ..Self::default()
        }
    }

    /// Offers may ask at most this, all together and so each of them, whatever else is asked.
    pub fn cap(&mut self, price: PricePerSecond) {
        let most = self.most_together.map_or(price, |most| most.min(price));
        self.most_together = Some(most);
        self.filter.terms.push(Term {
            test: Test::at_most(Number::Price, crate::filter::base_units(price)),
            source: "limits.max_price_per_hour".to_owned(),
            text: String::new(),
        });
    }

    /// No offer: what it is to be near to does not say where it stands.
    pub fn near_nothing(&mut self) {
        self.filter.terms.push(Term {
            test: Test::Group(Vec::new()),
            source: "near".to_owned(),
            text: String::new(),
        });
    }

    /// Only offers that stand so near to another one. `None`: that one does not say where it stands.
    pub fn near(&mut self, near: Near, other: &Offer) -> Option<()> {
        let test = match near {
            Near::Group => Test::Group(vec![other.group.as_deref()?.to_owned()]),
            Near::Country => Test::Country(vec![other.country?]),
            Near::Region => Test::Region(vec![other.country?.region()?]),
            Near::Any => return Some(()),
        };
        self.filter.terms.push(Term {
            test,
            source: "near".to_owned(),
            text: String::new(),
        });
        Some(())
    }

    /// The highest price that it admits.
    pub fn dearest(&self) -> Option<PricePerSecond> {
        let most = self.filter.terms.iter().filter_map(|term| match term.test {
            Test::Between(Number::Price, _, most) => i64::try_from(most).ok(),
            _ => None,
        });
        let base = kernel::Amount::try_from_base(most.min()?).ok()?;
        Some(PricePerSecond::from_amount(base))
    }

    /// Whether an offer could serve it, were it free and offered.
    pub fn admits(&self, offer: &Offer) -> bool {
        self.device.is_none_or(|device| device == offer.device)
            && !self.avoid.contains(&offer.node)
            && self.filter.accepts(offer)
    }
}

struct Terms(Vec<Term>);

impl Terms {
    fn add(&mut self, test: Test, source: &str, text: &str) {
        self.0.push(Term {
            test,
            source: source.to_owned(),
            text: text.to_owned(),
        });
    }

    fn least(&mut self, number: Number, value: u64, source: &str) {
        if value > 0 {
            self.add(Test::at_least(number, value), source, &number.show(value));
        }
    }
}
