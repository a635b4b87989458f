//! What a job asks of the market.

use kernel::{DeviceId, NodeId, PricePerSecond, Seconds, Timestamp};
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
    /// Only machines that joined since then: a newcomers' round.
    pub newcomers_since: Option<Timestamp>,
}

/// A machine is a newcomer for so long.
pub const NEWCOMER: Seconds = Seconds::new(14 * 86_400);
/// Of 65,536 seeds so many are the newcomers' turn: one in ten.
const NEWCOMERS_TURN: u32 = 6_554;

/// Whether a round with this seed (the hash of the round before) is the newcomers' turn.
pub fn is_newcomers_turn(seed: &str) -> bool {
    let first = seed
        .get(..4)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    first.is_some_and(|first| first < NEWCOMERS_TURN)
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
            .filter_map(|country| Country::known(country))
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

    /// Offers may ask at most this, all together and so each of them, whatever else is asked: what was agreed, and no limit that
    /// somebody set.
    pub fn cap(&mut self, price: PricePerSecond) {
        let most = self.most_together.map_or(price, |most| most.min(price));
        self.most_together = Some(most);
        self.filter.terms.push(Term {
            test: Test::at_most(Number::Price, crate::filter::base_units(price)),
            source: "agreed_price".to_owned(),
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
            && self.welcomes(offer.joined_at)
    }

    pub(crate) fn welcomes(&self, joined_at: Timestamp) -> bool {
        self.newcomers_since.is_none_or(|since| joined_at >= since)
    }

    /// What is asked first when it is the newcomers' turn: the same of a newcomer, for no more than the best offer asks.
    /// `None`: the best is one, or more than one device is asked for, or a certain one.
    #[must_use]
    pub fn of_newcomers(&self, best: &Offer, now: Timestamp) -> Option<Self> {
        let since = now.minus(NEWCOMER);
        if !self.ask.is_single() || self.device.is_some() || best.joined_at >= since {
            return None;
        }
        let mut asked = self.clone();
        let most = u64::try_from(best.price.per_second().base()).ok()?;
        asked.filter.terms.push(Term {
            test: Test::at_most(Number::Price, most),
            source: "newcomers".to_owned(),
            text: String::new(),
        });
        asked.newcomers_since = Some(since);
        Some(asked)
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

#[cfg(test)]
mod tests {
    use kernel::Amount;

    use super::*;

    fn spec() -> JobSpec {
        protocol::spec::from_toml("name = 'test'\ncommand = ['true']").expect("valid")
    }

    fn asked(change: impl FnOnce(&mut JobSpec)) -> Request {
        let mut spec = spec();
        change(&mut spec);
        Request::of(&spec, None, None)
    }

    /// The conditions on one field of the specification.
    fn terms<'a>(request: &'a Request, source: &str) -> Vec<&'a Test> {
        let terms = request.filter.terms.iter();
        let own = terms.filter(|term| term.source == source);
        own.map(|term| &term.test).collect()
    }

    #[test]
    fn each_field_of_a_specification_is_a_condition_under_its_own_name() {
        let request = asked(|spec| {
            let resources = &mut spec.resources;
            resources.class = DeviceClass::Gpu;
            resources.model = Some(" RTX 4090 ".into());
            resources.device_memory_mib = 24_000;
            resources.cpus = 3;
            (resources.memory_mib, resources.disk_mib) = (700, 41);
            spec.placement.countries = vec!["ch".into(), "UK".into()];
            spec.placement.min_reputation = 61;
            spec.limits.duration_seconds = 901;
        });
        let least = Test::at_least;
        for (source, tests) in [
            ("resources.class", vec![Test::Class(DeviceClass::Gpu)]),
            ("resources.model", vec![Test::model("RTX 4090")]),
            (
                "resources.device_memory_mib",
                vec![least(Number::Vram, 24_000)],
            ),
            ("resources.cpus", vec![least(Number::Cpus, 3)]),
            // A job's disk is memory while it runs.
            ("resources.memory_mib", vec![least(Number::Memory, 741)]),
            ("resources.disk_mib", vec![least(Number::Disk, 41)]),
            (
                "placement.min_reputation",
                vec![least(Number::Reputation, 61)],
            ),
            (
                "limits.duration_seconds",
                vec![
                    Test::at_most(Number::MinDuration, 901),
                    least(Number::MaxDuration, 901),
                ],
            ),
        ] {
            let tests: Vec<&Test> = tests.iter().collect();
            assert_eq!(terms(&request, source), tests, "{source}");
        }
        let [Test::Country(countries)] = terms(&request, "placement.countries")[..] else {
            panic!("one condition");
        };
        let two = [Country::parse("CH"), Country::parse("GB")].map(Option::unwrap);
        assert_eq!(countries[..], two);
        let model = request
            .filter
            .terms
            .iter()
            .find(|term| term.source == "resources.model");
        assert_eq!(model.expect("there").text, "RTX 4090");
    }

    #[test]
    fn what_is_not_asked_is_no_condition() {
        let request = asked(|spec| {
            let resources = &mut spec.resources;
            (resources.cpus, resources.memory_mib, resources.disk_mib) = (0, 0, 0);
            (resources.device_memory_mib, spec.placement.min_reputation) = (0, 0);
        });
        let sources: Vec<&str> = request
            .filter
            .terms
            .iter()
            .map(|term| &*term.source)
            .collect();
        let duration = "limits.duration_seconds";
        assert_eq!(sources, ["resources.class", duration, duration]);
        assert_eq!((request.ask, request.most_together), (Ask::default(), None));
    }

    #[test]
    fn a_query_decides_the_class_unless_a_gpu_is_asked_for() {
        let with = |class| {
            asked(|spec| {
                spec.placement.filter = Some("rtx 4090".into());
                spec.resources.class = class;
            })
        };
        assert!(terms(&with(DeviceClass::Cpu), "resources.class").is_empty());
        assert_eq!(terms(&with(DeviceClass::Gpu), "resources.class").len(), 1);
    }

    #[test]
    fn a_cpu_has_the_memory_of_its_host() {
        let request = asked(|spec| spec.resources.device_memory_mib = 5_000);
        let own = terms(&request, "resources.device_memory_mib");
        assert_eq!(own, [&Test::at_least(Number::Memory, 5_000)]);
    }

    #[test]
    fn several_are_asked_for_together_and_the_least_limit_counts() {
        let price = |base| PricePerSecond::from_amount(Amount::try_from_base(base).expect("money"));
        let mut spec = spec();
        (spec.resources.count, spec.placement.nodes) = (3, 2);
        let device = DeviceId::new(kernel::Timestamp::from_millis(1), [7; 10]);
        let mut request = Request::of(&spec, Some(price(90)), Some(device));
        assert_eq!((request.ask.count, request.ask.nodes), (3, 2));
        assert!(!request.ask.is_single());
        for (count, nodes) in [(2, 1), (1, 2)] {
            let ask = Ask {
                count,
                nodes,
                ..Ask::default()
            };
            assert!(!ask.is_single());
        }
        assert!(Ask::default().is_single());
        assert_eq!(request.device, Some(device));
        assert_eq!(request.most_together, Some(price(90)));
        assert_eq!(request.dearest(), Some(price(90)));
        request.cap(price(120));
        assert_eq!(request.most_together, Some(price(90)), "it is never raised");
        assert_eq!(request.dearest(), Some(price(90)));
        request.cap(price(40));
        assert_eq!(request.most_together, Some(price(40)));
        assert_eq!(request.dearest(), Some(price(40)));
        let own = terms(&request, "limits.max_price_per_hour");
        assert_eq!(own.len(), 1);
        assert_eq!(terms(&request, "agreed_price").len(), 2);
    }

    #[test]
    fn near_is_where_the_other_one_stands() {
        let offers: Vec<Offer> = (0..60).map(crate::book::tests::offer).collect();
        for other in &offers {
            for near in Near::ALL {
                let mut request = Request::default();
                let known = request.near(near, other).is_some();
                let place = |offer: &Offer| match near {
                    Near::Group => offer.group.as_deref().map(str::to_owned),
                    Near::Country => offer.country.map(|country| format!("{country:?}")),
                    Near::Region => offer
                        .country
                        .and_then(Country::region)
                        .map(|region| format!("{region:?}")),
                    Near::Any => Some(String::new()),
                };
                assert_eq!(known, place(other).is_some());
                for offer in offers.iter().filter(|_| known) {
                    assert_eq!(
                        request.admits(offer),
                        place(offer) == place(other),
                        "{near:?}"
                    );
                }
            }
        }
        let mut nowhere = Request::default();
        nowhere.near_nothing();
        assert!(!offers.iter().any(|offer| nowhere.admits(offer)));
    }

    #[test]
    fn one_device_and_a_node_that_refused_are_conditions_too() {
        let (one, other) = (crate::book::tests::offer(3), crate::book::tests::offer(20));
        assert_ne!((one.device, one.node), (other.device, other.node));
        let this = Request {
            device: Some(one.device),
            ..Request::default()
        };
        assert!(this.admits(&one) && !this.admits(&other));
        let avoid = Request {
            avoid: vec![one.node],
            ..Request::default()
        };
        assert!(!avoid.admits(&one) && avoid.admits(&other));
    }
}
