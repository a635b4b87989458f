//! What a request asks of an offer: terms, each about one field. This is the definition; the index is its fast form, and
//! a property test holds both together.

use std::fmt;

use kernel::{PricePerSecond, Seconds};
use protocol::spec::DeviceClass;

use crate::names::{names_model, words};
use crate::offer::{Offer, Version};
use crate::place::{Country, Region};

/// A field that is a number. Its unit is what [`Number::of`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Number {
    /// MiB.
    Vram,
    /// Devices of the same model in the node.
    Cards,
    Driver,
    Cuda,
    Cpus,
    /// MiB.
    Memory,
    /// MiB.
    Disk,
    /// Mbit/s.
    Up,
    /// Mbit/s.
    Down,
    /// 0 to 100.
    Reputation,
    /// 0 to 3.
    Verified,
    /// The owner's price, base units a second.
    Price,
    /// Seconds.
    MinDuration,
    /// Seconds.
    MaxDuration,
    /// W.
    Watts,
}

impl Number {
    pub const ALL: [Self; 15] = [
        Self::Vram,
        Self::Cards,
        Self::Driver,
        Self::Cuda,
        Self::Cpus,
        Self::Memory,
        Self::Disk,
        Self::Up,
        Self::Down,
        Self::Reputation,
        Self::Verified,
        Self::Price,
        Self::MinDuration,
        Self::MaxDuration,
        Self::Watts,
    ];

    /// As it is written in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vram => "vram",
            Self::Cards => "cards",
            Self::Driver => "driver",
            Self::Cuda => "cuda",
            Self::Cpus => "cpus",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Up => "up",
            Self::Down => "down",
            Self::Reputation => "reputation",
            Self::Verified => "verified",
            Self::Price => "price",
            Self::MinDuration => "min_duration",
            Self::MaxDuration => "max_duration",
            Self::Watts => "watts",
        }
    }

    /// Whether it is counted in MiB.
    const fn is_size(self) -> bool {
        matches!(self, Self::Vram | Self::Memory | Self::Disk)
    }

    /// Whether an offer may leave it open; zero stands for that.
    pub const fn may_be_unknown(self) -> bool {
        matches!(
            self,
            Self::Driver | Self::Cuda | Self::Up | Self::Down | Self::Watts
        )
    }

    /// What an offer has; `None`: not known, which satisfies nothing.
    pub fn of(self, offer: &Offer) -> Option<u64> {
        let known = |value: u32| (value > 0).then_some(u64::from(value));
        match self {
            Self::Vram => Some(offer.device_memory_mib),
            Self::Cards => Some(u64::from(offer.cards)),
            Self::Driver => known(offer.driver.get()),
            Self::Cuda => known(offer.cuda.get()),
            Self::Cpus => Some(u64::from(offer.cpus)),
            Self::Memory => Some(offer.memory_mib),
            Self::Disk => Some(offer.disk_mib),
            Self::Up => known(offer.up_mbit),
            Self::Down => known(offer.down_mbit),
            Self::Reputation => Some(u64::from(offer.reputation)),
            Self::Verified => Some(u64::from(offer.verified)),
            Self::Price => Some(base_units(offer.price)),
            Self::MinDuration => Some(offer.min_duration.get()),
            // No maximum is longer than any.
            Self::MaxDuration => Some(offer.max_duration.map_or(u64::MAX, Seconds::get)),
            Self::Watts => known(offer.watts),
        }
    }

    /// A value as people write it, with its unit.
    pub fn show(self, value: u64) -> String {
        match self {
            Self::Vram | Self::Memory | Self::Disk if value >= 1_024 => {
                // Rounded, as a query's bounds are: a card of 24,564 MiB is one of 24 GiB.
                format!("{} GiB", value.saturating_add(512) / 1_024)
            }
            Self::Vram | Self::Memory | Self::Disk => format!("{value} MiB"),
            Self::Driver | Self::Cuda => {
                Version::from_number(u32::try_from(value).unwrap_or(u32::MAX)).to_string()
            }
            Self::Up | Self::Down => format!("{value} Mbit/s"),
            Self::Price => {
                let price = i64::try_from(value)
                    .ok()
                    .and_then(|base| kernel::Amount::try_from_base(base).ok());
                price.map_or_else(
                    || value.to_string(),
                    |price| {
                        format!(
                            "{} IO/h",
                            PricePerSecond::from_amount(price).to_io_per_hour()
                        )
                    },
                )
            }
            Self::MinDuration | Self::MaxDuration => show_seconds(value),
            Self::Watts => format!("{value} W"),
            Self::Cards | Self::Cpus | Self::Reputation | Self::Verified => value.to_string(),
        }
    }
}

/// Never below zero by its own type's users; a price below zero would count as zero.
pub(crate) fn base_units(price: PricePerSecond) -> u64 {
    u64::try_from(price.per_second().base()).unwrap_or(0)
}

fn show_seconds(seconds: u64) -> String {
    match seconds {
        u64::MAX => "no limit".to_owned(),
        s if s >= 86_400 && s.is_multiple_of(86_400) => format!("{} d", s / 86_400),
        s if s >= 3_600 && s.is_multiple_of(3_600) => format!("{} h", s / 3_600),
        s if s >= 60 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// What one term asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Both bounds belong to it.
    Between(Number, u64, u64),
    /// Known, and not between the bounds.
    Outside(Number, u64, u64),
    /// Any of these ranges.
    OneOf(Number, Vec<(u64, u64)>),
    /// Known, and in none of these ranges.
    NoneOf(Number, Vec<(u64, u64)>),
    /// Any of these models, each as [`words`].
    Model(Vec<Vec<String>>),
    NotModel(Vec<Vec<String>>),
    Class(DeviceClass),
    Country(Vec<Country>),
    NotCountry(Vec<Country>),
    Region(Vec<Region>),
    NotRegion(Vec<Region>),
    Group(Vec<String>),
    NotGroup(Vec<String>),
}

impl Test {
    pub fn at_least(number: Number, value: u64) -> Self {
        Self::Between(number, value, u64::MAX)
    }

    pub fn at_most(number: Number, value: u64) -> Self {
        Self::Between(number, 0, value)
    }

    /// A model as somebody wrote it.
    pub fn model(written: &str) -> Self {
        Self::Model(vec![words(written)])
    }

    pub fn accepts(&self, offer: &Offer) -> bool {
        let within = |value: u64, ranges: &[(u64, u64)]| {
            ranges
                .iter()
                .any(|(min, max)| (*min..=*max).contains(&value))
        };
        let names = |models: &[Vec<String>]| {
            let name = words(&offer.model);
            models.iter().any(|written| names_model(written, &name))
        };
        match self {
            Self::Between(number, min, max) => number
                .of(offer)
                .is_some_and(|value| (*min..=*max).contains(&value)),
            Self::Outside(number, min, max) => number
                .of(offer)
                .is_some_and(|value| !(*min..=*max).contains(&value)),
            Self::OneOf(number, ranges) => {
                number.of(offer).is_some_and(|value| within(value, ranges))
            }
            Self::NoneOf(number, ranges) => {
                number.of(offer).is_some_and(|value| !within(value, ranges))
            }
            Self::Model(models) => names(models),
            Self::NotModel(models) => !names(models),
            Self::Class(class) => offer.class == *class,
            Self::Country(countries) => offer
                .country
                .is_some_and(|country| countries.contains(&country)),
            Self::NotCountry(countries) => offer
                .country
                .is_some_and(|country| !countries.contains(&country)),
            Self::Region(regions) => region(offer).is_some_and(|region| regions.contains(&region)),
            Self::NotRegion(regions) => {
                region(offer).is_some_and(|region| !regions.contains(&region))
            }
            Self::Group(groups) => offer
                .group
                .as_ref()
                .is_some_and(|group| groups.iter().any(|g| **g == **group)),
            Self::NotGroup(groups) => offer
                .group
                .as_ref()
                .is_some_and(|group| !groups.iter().any(|g| **g == **group)),
        }
    }

    /// What an offer has of it, for people.
    pub fn has(&self, offer: &Offer) -> String {
        match self {
            Self::Between(number, ..)
            | Self::Outside(number, ..)
            | Self::OneOf(number, _)
            | Self::NoneOf(number, _) => {
                let Some(value) = number.of(offer) else {
                    return "unknown".to_owned();
                };
                let shown = number.show(value);
                // Rounded it would read like what was asked, which it is not.
                let reads_the_same = |bound| number.show(bound) == shown;
                if number.is_size() && self.bounds().any(reads_the_same) {
                    format!("{value} MiB")
                } else {
                    shown
                }
            }
            Self::Model(_) | Self::NotModel(_) => offer.model.to_string(),
            Self::Class(_) => offer.class.label().to_owned(),
            Self::Country(_) | Self::NotCountry(_) | Self::Region(_) | Self::NotRegion(_) => offer
                .country
                .map_or_else(|| "no country".to_owned(), |country| country.to_string()),
            Self::Group(_) | Self::NotGroup(_) => offer
                .group
                .as_ref()
                .map_or_else(|| "no group".to_owned(), ToString::to_string),
        }
    }

    /// Where the ranges of a number begin and end.
    fn bounds(&self) -> impl Iterator<Item = u64> {
        let (one, several) = match self {
            Self::Between(_, min, max) | Self::Outside(_, min, max) => (Some((*min, *max)), None),
            Self::OneOf(_, ranges) | Self::NoneOf(_, ranges) => (None, Some(ranges)),
            _ => (None, None),
        };
        let several = several.into_iter().flatten().copied();
        one.into_iter()
            .chain(several)
            .flat_map(|(min, max)| [min, max])
    }

    /// What it asks, for people: `24 GiB or more`, `not US`.
    pub fn sentence(&self) -> String {
        let range = |number: &Number, (min, max): &(u64, u64)| match (*min, *max) {
            (min, max) if min == max => number.show(min),
            (min, u64::MAX) => format!("{} or more", number.show(min)),
            (0, max) => format!("{} or less", number.show(max)),
            (min, max) => format!("{} to {}", number.show(min), number.show(max)),
        };
        let any = |number: &Number, ranges: &[(u64, u64)]| {
            let each: Vec<String> = ranges.iter().map(|r| range(number, r)).collect();
            each.join(", ")
        };
        let models = |all: &[Vec<String>]| {
            let each: Vec<String> = all.iter().map(|words| words.join(" ")).collect();
            each.join(", ")
        };
        let countries = |all: &[Country]| {
            let each: Vec<&str> = all.iter().map(Country::as_str).collect();
            each.join(", ")
        };
        let regions = |all: &[Region]| {
            let each: Vec<&str> = all.iter().map(|region| region.as_str()).collect();
            each.join(", ")
        };
        match self {
            Self::Between(number, min, max) => range(number, &(*min, *max)),
            Self::Outside(number, min, max) => format!("not {}", range(number, &(*min, *max))),
            Self::OneOf(number, ranges) => any(number, ranges),
            Self::NoneOf(number, ranges) => format!("not {}", any(number, ranges)),
            Self::Model(all) => models(all),
            Self::NotModel(all) => format!("not {}", models(all)),
            Self::Class(class) => class.label().to_owned(),
            Self::Country(all) => countries(all),
            Self::NotCountry(all) => format!("not {}", countries(all)),
            Self::Region(all) => regions(all),
            Self::NotRegion(all) => format!("not {}", regions(all)),
            Self::Group(all) => all.join(", "),
            Self::NotGroup(all) => format!("not {}", all.join(", ")),
        }
    }

    /// The field's name in a query.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Between(number, ..)
            | Self::Outside(number, ..)
            | Self::OneOf(number, _)
            | Self::NoneOf(number, _) => number.name(),
            Self::Model(_) | Self::NotModel(_) => "gpu",
            Self::Class(_) => "class",
            Self::Country(_) | Self::NotCountry(_) => "country",
            Self::Region(_) | Self::NotRegion(_) => "region",
            Self::Group(_) | Self::NotGroup(_) => "group",
        }
    }
}

fn region(offer: &Offer) -> Option<Region> {
    offer.country.and_then(Country::region)
}

/// One condition, and the words it is told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub test: Test,
    /// Where it comes from: a field of the specification, or of the query.
    pub source: String,
    /// As it was written: `vram>=24`.
    pub text: String,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All of its terms hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub terms: Vec<Term>,
}

impl Filter {
    pub fn accepts(&self, offer: &Offer) -> bool {
        self.terms.iter().all(|term| term.test.accepts(offer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_shown_in_the_largest_unit_that_is_exact() {
        for (seconds, shown) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "90 s"),
            (3_540, "59 min"),
            (3_600, "1 h"),
            (5_400, "90 min"),
            (82_800, "23 h"),
            (86_400, "1 d"),
            (90_000, "25 h"),
            (u64::MAX, "no limit"),
        ] {
            assert_eq!(show_seconds(seconds), shown);
        }
    }
}
