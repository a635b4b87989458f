//! The books beside a plain list of devices, their rules and who has them.

use std::collections::BTreeMap;

use super::*;
use crate::filter::{Filter, Number, Term, Test};
use crate::offer::Version;
use crate::request::Ask;
use kernel::{AccountId, Amount, NodeId};
use proptest::prelude::*;
use protocol::rent::{HoursWindow, Schedule, Weekday};
use protocol::spec::DeviceClass;

const DEVICES: u8 = 12;

fn price(base: i64) -> PricePerSecond {
    PricePerSecond::from_amount(Amount::try_from_base(base).expect("in range"))
}

fn offer(n: u8, cost: i64) -> Offer {
    let at = Timestamp::from_millis(1);
    Offer {
        device: DeviceId::new(at, [n; 10]),
        node: NodeId::new(at, [n; 10]),
        owner: AccountId::new(at, [n; 10]),
        class: DeviceClass::Gpu,
        model: "RTX 4090".into(),
        device_memory_mib: 24_564,
        cards: 1,
        driver: Version::default(),
        cuda: Version::default(),
        cpus: 8,
        memory_mib: 64_000,
        disk_mib: 100_000,
        up_mbit: 0,
        down_mbit: 0,
        country: None,
        group: None,
        reputation: 60,
        verified: 0,
        watts: 0,
        min_duration: Seconds::ZERO,
        max_duration: None,
        price: price(cost),
        joined_at: at,
        supply: Supply::Offered,
        holder: None,
    }
}

fn job(n: u8) -> JobId {
    JobId::new(Timestamp::from_millis(2), [n; 10])
}

/// One request of so many seconds at a price.
fn request(kind: Kind, seconds: u64, most: u64) -> Request {
    let tests = [
        Test::at_most(Number::Price, most),
        Test::at_most(Number::MinDuration, seconds),
        Test::at_least(Number::MaxDuration, seconds),
    ];
    let term = |test: Test| Term {
        source: test.field().to_owned(),
        text: String::new(),
        test,
    };
    Request {
        filter: Filter {
            terms: tests.into_iter().map(term).collect(),
        },
        ask: Ask {
            kind,
            ..Ask::default()
        },
        ..Request::default()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, i64, DeviceRules),
    Remove(u8),
    Take(u8, u8),
    Free(u8, u8),
    Rent(Kind, u64, u64, u8),
}

fn rules() -> impl Strategy<Value = DeviceRules> {
    let opt = |values: std::ops::Range<i64>| prop::option::of(values.prop_map(price));
    let term = (1_i64..6, prop::sample::select(vec![60_u64, 3_600]));
    let hours = prop::option::of((0_usize..7, 0_u32..1_440, 0_u32..1_440));
    (
        opt(1..6),
        prop::option::of(term),
        prop::sample::select(vec![0_u64, 100]),
        hours,
    )
        .prop_map(|(spot, reserved, min, hours)| DeviceRules {
            min_duration: Seconds::new(min),
            spot,
            reserved: reserved.map(|(cost, term)| ReservedRule {
                price: price(cost),
                min_term: Seconds::new(term),
            }),
            schedule: hours.map(|(day, from, to)| Schedule {
                utc_offset_minutes: 0,
                windows: vec![HoursWindow {
                    day: Weekday::ALL[day],
                    from,
                    to,
                }],
            }),
            ..DeviceRules::default()
        })
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop::sample::select(Kind::ALL.to_vec());
    let length = prop::sample::select(vec![1_u64, 60, 99, 100, 3_600, 90_000]);
    prop_oneof![
        4 => (0..DEVICES, 1_i64..6, rules()).prop_map(|(n, cost, rules)| Step::Put(n, cost, rules)),
        1 => (0..DEVICES).prop_map(Step::Remove),
        1 => (0..DEVICES, 0_u8..4).prop_map(|(n, by)| Step::Take(n, by)),
        1 => (0..DEVICES, 0_u8..4).prop_map(|(n, by)| Step::Free(n, by)),
        4 => (kind(), length, 0_u64..6, 0_u8..4)
            .prop_map(|(kind, length, most, by)| Step::Rent(kind, length, most, by)),
    ]
}

/// What a device asks as a kind, told by its rules alone: price and shortest time limit.
fn asked(cost: i64, rules: &DeviceRules, kind: Kind) -> Option<(i64, u64)> {
    let min = rules.min_duration.get();
    match kind {
        Kind::OnDemand => Some((cost, min)),
        Kind::Spot => rules
            .spot
            .map(|spot| (spot.per_second().base().min(cost), min)),
        Kind::Reserved => rules
            .reserved
            .map(|rule| (rule.price.per_second().base(), min.max(rule.min_term.get()))),
    }
}

proptest! {
    /// Each kind's winner is the cheapest of that kind that is free, and whoever has a slot has it in all books.
    #[test]
    fn the_books_give_what_a_plain_list_gives(
        steps in prop::collection::vec(step(), 1..60),
        minute in 29_000_000_i64..29_011_000,
    ) {
        let now = Timestamp::from_millis(minute * 60_000);
        let mut books = Books::default();
        let mut plain: BTreeMap<u8, (i64, DeviceRules, Option<u8>)> = BTreeMap::new();
        let id = |n: u8| offer(n, 1).device;
        for step in steps {
            match step {
                Step::Put(n, cost, rules) => {
                    books.put(&Listing::of(offer(n, cost), &rules, now));
                    let holder = plain.get(&n).and_then(|(_, _, holder)| *holder);
                    plain.insert(n, (cost, rules, holder));
                }
                Step::Remove(n) => {
                    prop_assert_eq!(books.remove(id(n)).is_some(), plain.remove(&n).is_some());
                }
                Step::Take(n, by) => {
                    let free = plain.get_mut(&n).filter(|(_, rules, holder)| {
                        let left = Hours::at(rules.schedule.as_ref(), now).left(now);
                        holder.is_none() && left.is_none_or(|left| left.get() >= 70)
                    });
                    let expected = free.map(|row| row.2 = Some(by)).is_some();
                    prop_assert_eq!(books.take(id(n), job(by)), expected);
                }
                Step::Free(n, by) => {
                    let held = plain.get_mut(&n).filter(|row| row.2 == Some(by));
                    let expected = held.map(|row| row.2 = None).is_some();
                    prop_assert_eq!(books.free(id(n), job(by)), expected);
                }
                Step::Rent(kind, seconds, most, by) => {
                    let fits = plain.iter().filter_map(|(n, (cost, rules, holder))| {
                        let (cost, min) = asked(*cost, rules, kind)?;
                        let left = Hours::at(rules.schedule.as_ref(), now).left(now);
                        let in_time = left.is_none_or(|left| left.get() >= seconds.div_ceil(60) * 60 + 10);
                        let within = u64::try_from(cost).expect("small") <= most && min <= seconds;
                        (holder.is_none() && in_time && within).then_some((cost, *n))
                    });
                    let expected = fits.min().map(|(cost, n)| (price(cost), id(n)));
                    let found = books.best(&request(kind, seconds, most));
                    let found = found.map(|offer| (offer.price, offer.device));
                    prop_assert_eq!(found, expected);
                    if let Some((_, device)) = found {
                        prop_assert!(books.take(device, job(by)));
                        let n = (0..DEVICES).find(|n| id(*n) == device).expect("one of them");
                        plain.get_mut(&n).expect("is there").2 = Some(by);
                    }
                }
            }
            let rebuilt: Books = plain
                .iter()
                .map(|(n, (cost, rules, holder))| {
                    let one = Offer { holder: holder.map(job), ..offer(*n, *cost) };
                    Listing::of(one, rules, now)
                })
                .collect();
            for kind in Kind::ALL {
                let all = |books: &Books| books.of(kind).list(&Filter::default(), crate::Scope::All, 0, 99);
                prop_assert_eq!(all(&books), all(&rebuilt), "{:?}", kind);
            }
        }
    }
}

/// Three devices, of which the first is hired.
fn three() -> Books {
    let mut books: Books = [offer(1, 10), offer(2, 20), offer(3, 30)]
        .map(|offer| Listing {
            offer,
            spot: None,
            reserved: None,
        })
        .into_iter()
        .collect();
    assert!(books.take(offer(1, 10).device, job(1)));
    books
}

#[test]
fn books_say_what_is_in_them() {
    assert!(Books::default().is_empty());
    assert!(Books::default().models().is_empty());
    let books = three();
    assert!(!books.is_empty());
    let models: Vec<String> = books.models().iter().map(ToString::to_string).collect();
    assert_eq!(models, ["RTX 4090"]);
}

#[test]
fn one_device_that_is_asked_for_and_hired_is_said_to_be_hired() {
    let mut one = request(Kind::OnDemand, 60, 100);
    one.device = Some(offer(1, 10).device);
    let why = three().choose(&one).expect_err("it is hired");
    let removed: Vec<(&str, u32, u32)> = why
        .removed
        .iter()
        .map(|removed| (&*removed.field, removed.offers, removed.alone))
        .collect();
    // The two others are not the device; the device is not free.
    assert_eq!(removed, [("device", 2, 2), ("free", 1, 1)], "{why:?}");
}

#[test]
fn a_cap_holds_for_each_offer_and_never_rises() {
    let books = three();
    let mut capped = request(Kind::OnDemand, 60, 100);
    let chosen = |request: &Request| {
        books
            .choose(request)
            .ok()
            .map(|found| found.offers[0].price)
    };
    assert_eq!(chosen(&capped), Some(price(20)));
    capped.cap(price(20));
    assert_eq!(chosen(&capped), Some(price(20)));
    capped.cap(price(90));
    assert_eq!(capped.most_together, Some(price(20)));
    capped.cap(price(19));
    assert_eq!(chosen(&capped), None);
}
