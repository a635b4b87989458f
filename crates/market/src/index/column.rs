//! Bit columns: everything that can be asked of an offer as a few bits, so that sixty-four offers are asked at once.
//!
//! A number has a ladder of bounds that people ask for; each bound is a column: "at least so much". A question that
//! falls between two bounds takes the lower one and looks at the rows that are left.

use std::sync::Arc;

use crate::filter::{Number, Test};
use crate::index::row::Row;
use crate::place::{Country, Region};
use protocol::spec::DeviceClass;

/// How many columns a lane has.
pub(crate) const COLUMNS: usize = 128;
pub(crate) type Column = u8;

/// The lane holds an offer.
pub(crate) const LIVE: Column = 0;
/// It can be had now.
pub(crate) const OPEN: Column = 1;
const GPU: Column = 2;
/// One of six: Africa, Asia, Europe, North America, Oceania, South America.
const REGION: Column = 3;
/// Its region is known.
const PLACED: Column = 9;
/// Ten bits of the country's code; zero: not known.
const COUNTRY: Column = 10;
const COUNTRY_BITS: u8 = 10;
/// The lowest six bits of the group's number.
const GROUP: Column = 20;
const GROUP_BITS: u8 = 6;

struct Ladder {
    number: Number,
    first: Column,
    /// Rising. For what may be unknown the first is 1, which every known value reaches.
    bounds: &'static [u64],
    /// The same, filled up: so many of one length are compared without a loop.
    filled: [u32; LONGEST],
}

/// Bounds of the longest ladder.
const LONGEST: usize = 16;

impl Ladder {
    const fn new(number: Number, first: Column, bounds: &'static [u64]) -> Self {
        let mut filled = [u32::MAX; LONGEST];
        let mut n = 0;
        while n < bounds.len() {
            #[expect(clippy::cast_possible_truncation, reason = "a test compares them")]
            let bound = bounds[n] as u32;
            filled[n] = bound;
            n += 1;
        }
        Self {
            number,
            first,
            bounds,
            filled,
        }
    }

    /// So many ones as bounds that a value reaches.
    fn ones(&self, value: u32) -> u64 {
        // Counted, not halved: there are few, and no branch is guessed.
        let reached: u32 = self.filled.iter().map(|b| u32::from(*b <= value)).sum();
        // What is as great as can be reaches what the ladder is filled up with.
        let reached = reached.min(u32::try_from(self.bounds.len()).unwrap_or(0));
        (1 << reached) - 1
    }
}

/// A card of 24 GB reports a little less than 24 GiB; questions are widened by half a GiB, and so are the bounds.
const fn gib(n: u64) -> u64 {
    n.saturating_mul(1_024).saturating_sub(512)
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

#[rustfmt::skip]
static LADDERS: [Ladder; NUMBERS] = [
    Ladder::new(Number::Vram, 26, &[
        gib(6), gib(8), gib(10), gib(11), gib(12), gib(16), gib(20), gib(24), gib(32), gib(40), gib(48), gib(64), gib(80),
        gib(94), gib(141), gib(180),
    ]),
    Ladder::new(Number::Cpus, 42, &[2, 4, 8, 12, 16, 24, 32, 48, 64, 96]),
    Ladder::new(Number::Memory, 52, &[
        gib(4), gib(8), gib(16), gib(32), gib(48), gib(64), gib(96), gib(128), gib(256), gib(512),
    ]),
    Ladder::new(Number::Disk, 62, &[
        gib(10), gib(20), gib(50), gib(100), gib(200), gib(500), gib(1_000), gib(2_000),
    ]),
    Ladder::new(Number::Up, 70, &[1, 50, 100, 200, 500, 1_000, 5_000]),
    Ladder::new(Number::Down, 77, &[1, 50, 100, 200, 500, 1_000, 5_000]),
    Ladder::new(Number::Driver, 84, &[1, 470_000, 525_000, 535_000, 545_000, 550_000, 560_000, 570_000]),
    Ladder::new(Number::Cuda, 92, &[1, 11_008, 12_000, 12_001, 12_002, 12_004, 12_006, 12_008, 13_000]),
    Ladder::new(Number::Reputation, 101, &[50, 60, 70, 75, 80, 85, 90, 95, 98]),
    Ladder::new(Number::Verified, 110, &[1, 2, 3]),
    Ladder::new(Number::Cards, 113, &[2, 4, 8]),
    Ladder::new(Number::MinDuration, 116, &[1, HOUR + 1, DAY + 1]),
    Ladder::new(Number::MaxDuration, 119, &[HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY]),
    Ladder::new(Number::Watts, 124, &[1, 250, 351]),
];

pub(crate) const fn bit(column: Column) -> u128 {
    if (column as usize) < COLUMNS {
        1 << column
    } else {
        0
    }
}

fn column(first: Column, step: usize) -> Column {
    first.saturating_add(u8::try_from(step).unwrap_or(u8::MAX))
}

/// Bounds of one plan, one bit each in [`crate::index::Page::mask`]'s answer.
const BOUNDS_MAX: usize = 64;

/// How many numbers have a ladder.
pub(crate) const NUMBERS: usize = 14;

/// What the columns and the summaries say of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub bits: u128,
    /// In the order of the ladders; unknown counts as zero.
    numbers: [u32; NUMBERS],
}

impl Traits {
    pub fn of(row: &Row) -> Self {
        let mut bits = bit(LIVE);
        if row.is_open() {
            bits |= bit(OPEN);
        }
        if row.class == DeviceClass::Gpu {
            bits |= bit(GPU);
        }
        if let Some(region) = row.region() {
            bits |= bit(REGION.saturating_add(region.number())) | bit(PLACED);
        }
        bits |= u128::from(row.country) << COUNTRY;
        bits |= u128::from(row.group & ((1 << GROUP_BITS) - 1)) << GROUP;
        let numbers = row.numbers();
        for (ladder, value) in LADDERS.iter().zip(&numbers) {
            bits |= u128::from(ladder.ones(*value)) << ladder.first;
        }
        Self { bits, numbers }
    }
}

/// What the offers of a page, or of a shelf, have in common; it may be wider than they are, never narrower.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    /// Columns that some offer has.
    any: u128,
    /// The least and the greatest of each number, in the order of the ladders; unknown counts as zero.
    least: [u32; NUMBERS],
    greatest: [u32; NUMBERS],
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            any: 0,
            least: [u32::MAX; NUMBERS],
            greatest: [0; NUMBERS],
        }
    }
}

impl Summary {
    pub fn widen(&mut self, traits: &Traits) {
        self.any |= traits.bits;
        for (n, value) in traits.numbers.iter().enumerate() {
            self.least[n] = self.least[n].min(*value);
            self.greatest[n] = self.greatest[n].max(*value);
        }
    }

    pub fn open(&mut self) {
        self.any |= bit(OPEN);
    }

    /// Whether some offer may pass a plan.
    pub fn may_pass(&self, base: Column, plan: &Plan<'_>) -> bool {
        let need = plan.need | bit(base);
        self.any & need == need
            && plan
                .bounds
                .iter()
                .all(|b| self.greatest[b.ladder] >= b.least && self.least[b.ladder] <= b.most)
    }

    /// Whether all offers are within a bound.
    pub fn within(&self, bound: &Bound<'_>) -> bool {
        self.least[bound.ladder] >= bound.least && self.greatest[bound.ladder] <= bound.most
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A number between two bounds.
#[derive(Debug, Clone)]
pub(crate) struct Bound<'a> {
    ladder: usize,
    least: u32,
    most: u32,
    /// Offers without the one column or with the other do not pass.
    pub all: Option<Column>,
    pub none: Option<Column>,
    /// Whether those columns decide it.
    pub exact: bool,
    test: &'a Test,
}

/// The lanes whose planes show one of some codes.
#[derive(Debug, Clone)]
pub(crate) struct Codes {
    pub first: Column,
    pub width: u8,
    pub any_of: Vec<u16>,
    /// None of them instead.
    pub not: bool,
}

/// Questions as operations on columns. What they do not decide is left in `rest`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan<'a> {
    pub all: Vec<Column>,
    pub none: Vec<Column>,
    /// At least one column of each.
    pub some: Vec<Vec<Column>>,
    pub codes: Vec<Codes>,
    pub bounds: Vec<Bound<'a>>,
    pub rest: Vec<&'a Test>,
    /// Columns without which nothing passes, and those with which nothing does.
    need: u128,
    never: u128,
    /// Bounds of the price, base units a second.
    pub cheapest: u64,
    pub dearest: u64,
}

impl<'a> Plan<'a> {
    /// `group` gives the number of a group's name, if any offer ever had it.
    pub fn of(tests: impl Iterator<Item = &'a Test>, group: impl Fn(&str) -> Option<u32>) -> Self {
        let mut plan = Self {
            dearest: u64::MAX,
            ..Self::default()
        };
        for test in tests {
            plan.add(test, &group);
        }
        let all = plan
            .all
            .iter()
            .copied()
            .chain(plan.bounds.iter().filter_map(|bound| bound.all));
        plan.need = all.fold(0, |need, column| need | bit(column));
        let none = plan
            .none
            .iter()
            .copied()
            .chain(plan.bounds.iter().filter_map(|bound| bound.none));
        plan.never = none.fold(0, |never, column| never | bit(column));
        plan
    }

    /// Asks nothing.
    pub fn all() -> Self {
        Self::of(std::iter::empty(), |_| None)
    }

    fn add(&mut self, test: &'a Test, group: &impl Fn(&str) -> Option<u32>) {
        match test {
            // The shelves are chosen by it.
            Test::Model(_) | Test::NotModel(_) => {}
            Test::Class(DeviceClass::Gpu) => self.all.push(GPU),
            Test::Class(DeviceClass::Cpu) => self.none.push(GPU),
            Test::Between(Number::Price, min, max) => {
                self.cheapest = self.cheapest.max(*min);
                self.dearest = self.dearest.min(*max);
                self.rest
                    .extend((!crate::index::page::in_keys(*min, *max)).then_some(test));
            }
            Test::Between(number, min, max) => self.between(test, *number, *min, *max),
            Test::OneOf(number, ranges) => {
                let min = ranges.iter().map(|range| range.0).min().unwrap_or(0);
                let max = ranges.iter().map(|range| range.1).max().unwrap_or(u64::MAX);
                self.between(test, *number, min, max);
                self.rest.push(test);
            }
            Test::Outside(..) | Test::NoneOf(..) | Test::NotGroup(_) => self.rest.push(test),
            Test::Region(regions) => self
                .some
                .push(regions.iter().map(|r| of_region(*r)).collect()),
            Test::NotRegion(regions) => {
                self.all.push(PLACED);
                self.none.extend(regions.iter().map(|r| of_region(*r)));
            }
            Test::Country(countries) => self.country(countries, false),
            Test::NotCountry(countries) => self.country(countries, true),
            Test::Group(groups) => {
                let low = |number: u32| u16::try_from(number % (1 << GROUP_BITS)).unwrap_or(0);
                self.codes.push(Codes {
                    first: GROUP,
                    width: GROUP_BITS,
                    any_of: groups
                        .iter()
                        .filter_map(|name| group(name))
                        .map(low)
                        .collect(),
                    not: false,
                });
                self.rest.push(test);
            }
        }
    }

    fn country(&mut self, countries: &[Country], not: bool) {
        let mut codes: Vec<u16> = countries.iter().map(|country| country.code()).collect();
        if not {
            // An unknown country is no other one.
            codes.push(0);
        }
        self.codes.push(Codes {
            first: COUNTRY,
            width: COUNTRY_BITS,
            any_of: codes,
            not,
        });
    }

    fn between(&mut self, test: &'a Test, number: Number, min: u64, max: u64) {
        let Some(at) = LADDERS.iter().position(|ladder| ladder.number == number) else {
            return;
        };
        let ladder = &LADDERS[at];
        // A lower bound of zero still asks that the value is known.
        let least = if number.may_be_unknown() {
            min.max(1)
        } else {
            min
        };
        if least == 0 && max == u64::MAX {
            return;
        }
        // Which of the bounds are undecided is one word; the rest is asked of the rows.
        if self.bounds.len() == BOUNDS_MAX {
            self.rest.push(test);
            return;
        }
        let below = ladder
            .bounds
            .partition_point(|bound| *bound <= least)
            .checked_sub(1);
        let above = ladder.bounds.partition_point(|bound| *bound <= max);
        let above = (max < u64::MAX).then_some(above);
        let bound = |step: Option<usize>| step.and_then(|step| ladder.bounds.get(step)).copied();
        let exact_below = least == 0 || bound(below) == Some(least);
        let exact_above = above.is_none() || bound(above) == max.checked_add(1);
        self.bounds.push(Bound {
            ladder: at,
            least: narrow(least),
            most: narrow(max),
            all: below.map(|step| column(ladder.first, step)),
            none: above
                .filter(|step| bound(Some(*step)).is_some())
                .map(|step| column(ladder.first, step)),
            exact: exact_below && exact_above,
            test,
        });
    }

    /// What the columns say of one row, as [`crate::index::Page::mask`] says it of many.
    pub fn admits_bits(&self, bits: u128) -> bool {
        let has = |column: &Column| bits & bit(*column) != 0;
        bits & self.need == self.need
            && bits & self.never == 0
            && self.some.iter().all(|columns| columns.iter().any(has))
            && self.codes.iter().all(|codes| {
                let shown = bits >> codes.first & ((1 << codes.width) - 1);
                codes.any_of.iter().any(|code| u128::from(*code) == shown) != codes.not
            })
    }

    /// Whether the columns of one row and its numbers are admitted.
    pub fn admits(&self, row: &Row) -> bool {
        let price = crate::filter::base_units(row.price);
        self.admits_bits(Traits::of(row).bits)
            && self.bounds.iter().all(|bound| decides(bound.test, row))
            && (self.cheapest..=self.dearest).contains(&price)
    }

    /// Whether a row passes what the columns left undecided: the rest, and those `bounds` whose bit is set.
    pub fn passes<'b>(
        &self,
        row: &Row,
        bounds: u64,
        group: impl Fn(u32) -> Option<&'b Arc<str>>,
    ) -> bool {
        let undecided = |n: &usize| bounds >> n & 1 == 1;
        (0..self.bounds.len())
            .filter(undecided)
            .all(|n| decides(self.bounds[n].test, row))
            && self.rest.iter().all(|test| match test {
                Test::Group(names) => {
                    group(row.group).is_some_and(|own| names.iter().any(|name| **name == **own))
                }
                Test::NotGroup(names) => {
                    group(row.group).is_some_and(|own| !names.iter().any(|name| **name == **own))
                }
                test => decides(test, row),
            })
    }
}

/// What a test of a number says of a row; other tests are decided by the columns.
fn decides(test: &Test, row: &Row) -> bool {
    let within = |value: u64, ranges: &[(u64, u64)]| {
        ranges
            .iter()
            .any(|(min, max)| (*min..=*max).contains(&value))
    };
    match test {
        Test::Between(number, min, max) => row
            .number(*number)
            .is_some_and(|value| (*min..=*max).contains(&value)),
        Test::Outside(number, min, max) => row
            .number(*number)
            .is_some_and(|value| !(*min..=*max).contains(&value)),
        Test::OneOf(number, ranges) => row
            .number(*number)
            .is_some_and(|value| within(value, ranges)),
        Test::NoneOf(number, ranges) => row
            .number(*number)
            .is_some_and(|value| !within(value, ranges)),
        _ => true,
    }
}

fn of_region(region: Region) -> Column {
    REGION.saturating_add(region.number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::tests::offer;
    use proptest::prelude::*;

    proptest! {
        /// A row's numbers stand in the order of the ladders, and its columns say which bounds they reach.
        #[test]
        fn columns_say_what_the_numbers_reach(seed in any::<u64>()) {
            let row = Row::of(&offer(seed));
            let traits = Traits::of(&row);
            for (n, ladder) in LADDERS.iter().enumerate() {
                let value = row.number(ladder.number).unwrap_or(0);
                prop_assert_eq!(traits.numbers[n], narrow(value), "{:?}", ladder.number);
                for (step, bound) in ladder.bounds.iter().enumerate() {
                    let has = traits.bits & bit(column(ladder.first, step)) != 0;
                    prop_assert_eq!(has, value >= *bound, "{:?} {}", ladder.number, bound);
                }
            }
        }
    }

    #[test]
    fn columns_do_not_overlap() {
        let mut free = u32::from(GROUP + GROUP_BITS);
        for ladder in &LADDERS {
            assert_eq!(u32::from(ladder.first), free, "{:?}", ladder.number);
            assert!(ladder.bounds.is_sorted() && ladder.bounds.len() <= LONGEST);
            for (bound, filled) in ladder.bounds.iter().zip(ladder.filled) {
                assert_eq!(*bound, u64::from(filled));
            }
            free += u32::try_from(ladder.bounds.len()).expect("few");
        }
        assert!(free <= u32::try_from(COLUMNS).expect("few"), "{free}");
        const { assert!(REGION + 6 <= PLACED && COUNTRY + COUNTRY_BITS <= GROUP) };
    }
}
