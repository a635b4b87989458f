//! The book beside a plain list that is asked offer by offer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::filter::{Number, Term, Test};
use crate::offer::{Supply, Version};
use crate::place::{Country, Region};
use crate::request::{Ask, Kind};
use kernel::{AccountId, Amount, NodeId, PricePerSecond, Seconds, Timestamp};
use proptest::prelude::*;
use protocol::spec::DeviceClass;

pub(crate) fn price(base: u64) -> PricePerSecond {
    PricePerSecond::from_amount(
        Amount::try_from_base(i64::try_from(base).expect("small")).expect("in range"),
    )
}

fn job(n: u8) -> JobId {
    JobId::new(Timestamp::from_millis(1), [n; 10])
}

const MODELS: [&str; 6] = [
    "NVIDIA GeForce RTX 4090",
    "NVIDIA GeForce RTX 4090 D",
    "NVIDIA GeForce RTX 3090",
    "NVIDIA A100-SXM4-80GB",
    "NVIDIA A10",
    "AMD EPYC 9654",
];
const COUNTRIES: [&str; 5] = ["CH", "DE", "US", "JP", "AQ"];
const GROUPS: [&str; 3] = ["hall-1", "hall-2", "rack-a"];

fn pick<T: Copy>(seed: u64, shift: u32, from: &[T]) -> T {
    from[usize::try_from((seed >> shift) % from.len() as u64).expect("small")]
}

/// An offer out of 64 random bits: few values of each field, so that ties and borders are common.
pub(crate) fn offer(seed: u64) -> Offer {
    let device = seed % 61;
    let node = device / 3;
    let at = Timestamp::from_millis(i64::try_from(node % 5).expect("small") * 90_000_000);
    let id = |n: u64| [u8::try_from(n % 251).expect("small"); 10];
    let some = |shift: u32, from: &[u32]| pick(seed, shift, from);
    Offer {
        device: DeviceId::new(at, id(device)),
        node: NodeId::new(at, id(node)),
        owner: AccountId::new(at, id(node % 7)),
        class: pick(
            seed,
            7,
            &[DeviceClass::Gpu, DeviceClass::Gpu, DeviceClass::Cpu],
        ),
        model: MODELS[usize::try_from((seed >> 9) % 6).expect("small")].into(),
        device_memory_mib: u64::from(some(
            12,
            &[0, 10_240, 24_064, 24_563, 24_564, 24_576, 81_559],
        )),
        cards: some(15, &[1, 2, 3, 8]),
        driver: Version::new(some(17, &[0, 470, 550, 560]), some(19, &[0, 54])),
        cuda: Version::new(some(21, &[0, 12, 13]), some(23, &[0, 2, 4])),
        cpus: some(25, &[1, 2, 8, 9, 64]),
        memory_mib: u64::from(some(28, &[512, 7_680, 8_000, 64_000, 300_000])),
        disk_mib: u64::from(some(31, &[100, 9_728, 100_000, 5_000_000])),
        up_mbit: some(33, &[0, 1, 99, 100, 10_000]),
        down_mbit: some(36, &[0, 50, 5_000]),
        // Where a node is, is the same for all its devices.
        country: Some(pick(node, 0, &COUNTRIES))
            .filter(|_| !node.is_multiple_of(7))
            .and_then(Country::parse),
        group: Some(pick(node, 1, &GROUPS))
            .filter(|_| node % 9 > 1)
            .map(Arc::from),
        reputation: some(47, &[0, 49, 60, 75, 76, 100]),
        verified: some(50, &[0, 1, 2, 3]),
        watts: some(52, &[0, 200, 350, 450]),
        min_duration: Seconds::new(u64::from(some(54, &[0, 1, 3_600, 3_601]))),
        max_duration: Some(some(56, &[0, 3_600, 86_399, 2_592_000]))
            .filter(|max| *max > 0)
            .map(|max| Seconds::new(u64::from(max))),
        price: price(u64::from(some(58, &[1, 2, 3, 25_000]))),
        joined_at: at,
        supply: pick(
            seed,
            60,
            &[
                Supply::Offered,
                Supply::Offered,
                Supply::Offered,
                Supply::Paused,
            ],
        ),
        holder: (seed >> 62 == 3).then(|| job(1)),
    }
}

fn number() -> impl Strategy<Value = Number> {
    prop::sample::select(Number::ALL.to_vec())
}

/// Bounds that are values of [`offer`], their neighbours, or anything.
fn bound() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![
        prop::sample::select(vec![
            0,
            1,
            2,
            3,
            8,
            9,
            49,
            50,
            60,
            75,
            76,
            100,
            350,
            3_600,
            3_601,
            10_240,
            12_000,
            12_002,
            24_063,
            24_064,
            24_065,
            24_564,
            24_576,
            25_000,
            86_399,
            86_400,
            550_054,
            550_000,
            u64::MAX,
        ]),
        0u64..100_000,
    ]
}

pub(crate) fn test() -> impl Strategy<Value = Test> {
    let range = (bound(), bound()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let ranges = prop::collection::vec(range.clone(), 1..3);
    let written = prop::sample::select(vec![
        "4090", "rtx", "nvidia", "a10", "A100", "EPYC", "rtx 5090",
    ]);
    let countries =
        prop::collection::vec(prop::sample::select(COUNTRIES.to_vec()), 1..3).prop_map(|codes| {
            codes
                .into_iter()
                .filter_map(Country::parse)
                .collect::<Vec<_>>()
        });
    let regions = prop::collection::vec(prop::sample::select(Region::ALL.to_vec()), 1..3);
    let groups =
        prop::collection::vec(prop::sample::select(vec!["hall-1", "rack-a", "none"]), 1..3)
            .prop_map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
    prop_oneof![
        4 => (number(), bound()).prop_map(|(n, min)| Test::at_least(n, min)),
        3 => (number(), bound()).prop_map(|(n, max)| Test::at_most(n, max)),
        1 => (number(), range.clone()).prop_map(|(n, (min, max))| Test::Between(n, min, max)),
        1 => (number(), range).prop_map(|(n, (min, max))| Test::Outside(n, min, max)),
        1 => (number(), ranges.clone()).prop_map(|(n, ranges)| Test::OneOf(n, ranges)),
        1 => (number(), ranges).prop_map(|(n, ranges)| Test::NoneOf(n, ranges)),
        2 => written.clone().prop_map(Test::model),
        1 => written.prop_map(|written| Test::NotModel(vec![crate::names::words(written)])),
        1 => prop::sample::select(vec![DeviceClass::Gpu, DeviceClass::Cpu]).prop_map(Test::Class),
        1 => countries.clone().prop_map(Test::Country),
        1 => countries.prop_map(Test::NotCountry),
        1 => regions.clone().prop_map(Test::Region),
        1 => regions.prop_map(Test::NotRegion),
        1 => groups.clone().prop_map(Test::Group),
        1 => groups.prop_map(Test::NotGroup),
    ]
}

pub(crate) fn filter(tests: Vec<Test>) -> Filter {
    let term = |test: Test| Term {
        source: test.field().to_owned(),
        text: String::new(),
        test,
    };
    Filter {
        terms: tests.into_iter().map(term).collect(),
    }
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    (
        1u32..4,
        1u32..5,
        prop::sample::select(Near::ALL.to_vec()),
        any::<bool>(),
    )
        .prop_map(|(count, nodes, near, spread)| Ask {
            count,
            nodes,
            near,
            spread,
            kind: Kind::OnDemand,
        })
}

/// The plain list, in order.
type Plain = BTreeMap<DeviceId, Offer>;

fn ranked(plain: &Plain) -> Vec<&Offer> {
    let mut offers: Vec<&Offer> = plain.values().collect();
    offers.sort_by_key(|offer| offer.rank());
    offers
}

fn put(plain: &mut Plain, offer: &Offer) {
    let mut offer = offer.clone();
    if let Some(old) = plain.get(&offer.device) {
        offer.holder = old.holder;
    }
    plain.insert(offer.device, offer);
}

/// What a node costs, its best-ranked device, and all of those that count.
type Member<'a> = (u64, &'a Offer, &'a [&'a Offer]);

/// The rule of [`crate::gang`], by trying everything.
fn gang(plain: &Plain, request: &Request) -> Option<(Near, Vec<DeviceId>)> {
    let place = |near: Near, offer: &Offer| -> Option<String> {
        match near {
            Near::Group => offer.group.as_ref().map(ToString::to_string),
            Near::Country => offer.country.map(|country| country.to_string()),
            Near::Region => offer
                .country
                .and_then(Country::region)
                .map(|region| region.as_str().to_owned()),
            Near::Any => Some(String::new()),
        }
    };
    let mut nodes: BTreeMap<NodeId, Vec<&Offer>> = BTreeMap::new();
    for offer in ranked(plain) {
        if offer.is_open() && request.admits(offer) {
            nodes.entry(offer.node).or_default().push(offer);
        }
    }
    let cards = request.ask.count as usize;
    let wanted = request.ask.nodes as usize;
    nodes.retain(|_, offers| offers.len() >= cards);
    for near in Near::ALL
        .into_iter()
        .filter(|near| wanted == 1 && *near == Near::Any || wanted > 1 && *near <= request.ask.near)
    {
        let mut places: BTreeMap<String, Vec<Member<'_>>> = BTreeMap::new();
        for offers in nodes.values() {
            let best = &offers[..cards];
            let Some(place) = place(near, best[0]) else {
                continue;
            };
            let cost = best
                .iter()
                .map(|offer| crate::filter::base_units(offer.price))
                .sum();
            places.entry(place).or_default().push((cost, best[0], best));
        }
        let mut found: Vec<(u64, crate::offer::Rank, Vec<DeviceId>)> = Vec::new();
        for members in places.values_mut() {
            members.sort_by_key(|(cost, first, _)| (*cost, first.rank()));
            if request.ask.spread {
                let mut owners = Vec::new();
                members.retain(|(_, first, _)| {
                    let new = !owners.contains(&first.owner);
                    owners.push(first.owner);
                    new
                });
            }
            if members.len() < wanted {
                continue;
            }
            members.truncate(wanted);
            let total = members.iter().map(|(cost, ..)| cost).sum();
            let first = members
                .iter()
                .map(|(_, first, _)| first.rank())
                .min()
                .expect("some");
            found.push((
                total,
                first,
                members
                    .iter()
                    .flat_map(|(.., best)| best.iter().map(|o| o.device))
                    .collect(),
            ));
        }
        if let Some((_, _, devices)) = found
            .into_iter()
            .min_by_key(|(total, first, _)| (*total, *first))
            .filter(|(total, ..)| {
                let most = request.most_together.map(crate::filter::base_units);
                most.is_none_or(|most| *total <= most)
            })
        {
            return Some((near, devices));
        }
    }
    None
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Price(u64, u64),
    Remove(u64),
    Take(u64, u8),
    Free(u64, u8),
    Pause(u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u64>().prop_map(Step::Put),
        2 => (any::<u64>(), 1u64..5).prop_map(|(seed, price)| Step::Price(seed, price)),
        2 => any::<u64>().prop_map(Step::Remove),
        2 => (any::<u64>(), 1u8..4).prop_map(|(seed, n)| Step::Take(seed, n)),
        1 => (any::<u64>(), 1u8..4).prop_map(|(seed, n)| Step::Free(seed, n)),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(seed, on)| Step::Pause(seed, on)),
    ]
}

/// Does a step on both; some offer of the plain list is meant where a seed names one.
fn apply(book: &mut Book, plain: &mut Plain, step: &Step) {
    let named = |seed: u64| {
        let count = plain.len().max(1) as u64;
        plain
            .keys()
            .nth(usize::try_from(seed % count).expect("small"))
            .copied()
    };
    match step {
        Step::Put(seed) => {
            let offer = offer(*seed);
            book.put(&offer);
            put(plain, &offer);
        }
        Step::Price(seed, base) => {
            if let Some(mut offer) = named(*seed).and_then(|device| plain.get(&device)).cloned() {
                offer.price = price(*base);
                book.put(&offer);
                put(plain, &offer);
            }
        }
        Step::Remove(seed) => {
            if let Some(device) = named(*seed) {
                assert_eq!(book.remove(device), plain.remove(&device));
            }
        }
        Step::Take(seed, n) => {
            if let Some(device) = named(*seed) {
                let open = plain[&device].is_open();
                assert_eq!(book.take(device, job(*n)), open);
                if open && let Some(offer) = plain.get_mut(&device) {
                    offer.holder = Some(job(*n));
                }
            }
        }
        Step::Free(seed, n) => {
            if let Some(device) = named(*seed) {
                let held = plain[&device].holder == Some(job(*n));
                assert_eq!(book.free(device, job(*n)), held);
                if held && let Some(offer) = plain.get_mut(&device) {
                    offer.holder = None;
                }
            }
        }
        Step::Pause(seed, on) => {
            if let Some(device) = named(*seed) {
                let supply = if *on { Supply::Paused } else { Supply::Offered };
                let offer = Offer {
                    supply,
                    ..plain[&device].clone()
                };
                book.put(&offer);
                put(plain, &offer);
            }
        }
    }
}

/// A query has 64 terms, and a job's own conditions come on top of them. Each of these decides something, so none may be lost.
#[test]
fn more_bounds_than_a_word_has_bits_are_all_asked() {
    let at = Timestamp::from_millis(1);
    let offers = (0..4_000_u64).map(|n| {
        let mut offer = offer(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut id = [0; 10];
        id[2..].copy_from_slice(&n.to_be_bytes());
        (offer.device, offer.node) = (DeviceId::new(at, id), NodeId::new(at, id));
        offer
    });
    let plain: Plain = offers.map(|offer| (offer.device, offer)).collect();
    let book: Book = plain.values().cloned().collect();
    let mut own = vec![Test::Outside(Number::Cpus, 999, 999)];
    own.extend((0..63).map(|_| Test::at_least(Number::Cpus, 1)));
    let jobs = [
        Test::at_least(Number::Cpus, 2),
        Test::at_least(Number::Memory, 7_900),
        Test::at_least(Number::Disk, 200),
        Test::at_most(Number::MinDuration, 3_600),
        Test::at_least(Number::MaxDuration, 3_601),
        Test::at_least(Number::Vram, 24_564),
        Test::at_least(Number::Reputation, 61),
    ];
    let mut left = Vec::new();
    for many in [60, 63, 64] {
        // First and last: the bounds behind the 64th are now the query's, now the job's.
        for tests in [
            [&own[..many], &jobs[..]].concat(),
            [&jobs[..], &own[..many]].concat(),
        ] {
            let request = Request {
                filter: filter(tests),
                ..Request::default()
            };
            compare(&book, &plain, &request);
            left.push(book.count(&request.filter, Scope::All));
        }
    }
    assert!(left[0] > 0 && left[0] < plain.len(), "{left:?}");
    assert!(left.iter().all(|count| *count == left[0]), "{left:?}");
}

fn compare(book: &Book, plain: &Plain, request: &Request) {
    let wanted: Vec<&Offer> = ranked(plain)
        .into_iter()
        .filter(|offer| request.filter.accepts(offer))
        .collect();
    let listed = book.list(&request.filter, Scope::All, 0, usize::MAX);
    assert_eq!(listed.iter().collect::<Vec<_>>(), wanted);
    assert_eq!(book.count(&request.filter, Scope::All), wanted.len());
    let open: Vec<&Offer> = wanted
        .iter()
        .copied()
        .filter(|offer| offer.is_open())
        .collect();
    assert_eq!(book.count(&request.filter, Scope::Open), open.len());
    let single = Request {
        ask: Ask::default(),
        ..request.clone()
    };
    let best = open
        .iter()
        .find(|offer| single.admits(offer))
        .map(|offer| offer.device);
    match book.choose(&single) {
        Ok(choice) => assert_eq!(Some(choice.first().device), best),
        Err(no) => {
            assert_eq!(best, None);
            explained(plain, &single, &no);
        }
    }
    match book.choose(request) {
        Ok(choice) => {
            let devices: Vec<DeviceId> = choice.offers.iter().map(|offer| offer.device).collect();
            let near = if request.ask.is_single() {
                Near::Any
            } else {
                choice.near
            };
            assert_eq!(Some((near, devices)), gang(plain, request));
        }
        Err(_) => assert_eq!(None, gang(plain, request)),
    }
}

/// The counts of an explanation, by asking each offer for each constraint.
fn explained(plain: &Plain, request: &Request, no: &NoMatch) {
    assert_eq!(no.considered as usize, plain.len());
    let fails = |offer: &Offer| -> Vec<String> {
        let mut fails: Vec<String> = Vec::new();
        for (n, term) in request.filter.terms.iter().enumerate() {
            if !term.test.accepts(offer) {
                fails.push(format!("{n}"));
            }
        }
        fails.extend(offer.supply.shut().map(str::to_owned));
        if request.avoid.contains(&offer.node) {
            fails.push("refused_before".into());
        }
        if offer.holder.is_some() {
            fails.push("free".into());
        }
        fails
    };
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for offer in plain.values() {
        let fails = fails(offer);
        for fail in &fails {
            let count = counts.entry(fail.clone()).or_default();
            count.0 += 1;
            count.1 += u32::from(fails.len() == 1);
        }
    }
    let mut wanted: Vec<(u32, u32)> = counts.into_values().collect();
    let mut told: Vec<(u32, u32)> = no
        .removed
        .iter()
        .map(|removed| (removed.offers, removed.alone))
        .collect();
    wanted.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, wanted);
    for removed in &no.removed {
        assert_eq!(removed.nearest.is_some(), removed.alone > 0);
    }
}

/// Cases in all, shared out to the properties below.
fn cases(share: u32) -> ProptestConfig {
    let all: u32 = std::env::var("IOG_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    ProptestConfig {
        cases: all / 100 * share,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(90))]

    /// Same winners, same lists, same counts, same gangs as asking every offer.
    #[test]
    fn the_index_answers_as_the_filter_says(
        seeds in prop::collection::vec(any::<u64>(), 0..80),
        tests in prop::collection::vec(test(), 0..5),
        ask in ask(),
        avoid in prop::collection::vec(any::<u64>(), 0..3),
        most in prop::option::of(1u64..12),
    ) {
        let mut plain = Plain::new();
        for seed in &seeds {
            put(&mut plain, &offer(*seed));
        }
        let book: Book = seeds.iter().map(|seed| offer(*seed)).collect();
        book.index.check();
        let newcomers_since = avoid.first().map(|seed| offer(*seed).joined_at);
        let request = Request {
            filter: filter(tests),
            ask,
            newcomers_since: newcomers_since.filter(|_| ask.is_single()),
            device: None,
            avoid: avoid.into_iter().map(|seed| offer(seed).node).collect(),
            // Of one device it is its own price, which the filter bounds.
            most_together: most.filter(|_| !ask.is_single()).map(price),
        };
        compare(&book, &plain, &request);
    }
}

proptest! {
    #![proptest_config(cases(10))]

    /// However offers come, change and go, the book is the same as one made of what stands at the end.
    #[test]
    fn changes_leave_the_book_that_a_rebuild_would_make(
        steps in prop::collection::vec(step(), 1..120),
        tests in prop::collection::vec(test(), 0..3),
        ask in ask(),
    ) {
        let (mut book, mut plain) = (Book::default(), Plain::new());
        for step in &steps {
            apply(&mut book, &mut plain, step);
        }
        book.index.check();
        let request = Request { filter: filter(tests), ask, ..Request::default() };
        compare(&book, &plain, &request);
        let rebuilt: Book = plain.values().cloned().collect();
        prop_assert_eq!(rebuilt.list(&Filter::default(), Scope::All, 0, usize::MAX), book.list(&Filter::default(), Scope::All, 0, usize::MAX));
    }
}

/// Pages fill, split, grow sparse and join: thousands of offers of one model, with long runs of equal ranks.
#[test]
fn pages_split_and_join_without_losing_an_offer() {
    let (mut book, mut plain) = (Book::default(), Plain::new());
    let mut seed = 1_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..12_000_u32 {
        let mut offer = offer(next());
        let at = Timestamp::from_millis(1);
        let n = if round < 6_000 {
            u64::from(round)
        } else {
            next() % 6_000
        };
        let mut id = [0; 10];
        id[2..].copy_from_slice(&n.to_be_bytes());
        offer.device = DeviceId::new(at, id);
        offer.node = NodeId::new(at, id);
        offer.joined_at = at;
        offer.model = MODELS[0].into();
        offer.reputation = 60;
        if round < 8_000 {
            book.put(&offer);
            put(&mut plain, &offer);
            // Hired while it stands among the newcomers, and given back by some.
            if round % 3 == 0 && book.take(offer.device, job(1)) {
                let known = plain.get_mut(&offer.device).expect("was put");
                known.holder = Some(job(1));
            }
        } else {
            assert_eq!(book.remove(offer.device), plain.remove(&offer.device));
        }
        // Not a round number: pages have newcomers beside their columns then.
        if round % 997 == 0 {
            book.index.check();
            for tests in [
                vec![Test::at_least(Number::Disk, 100_000)],
                vec![
                    Test::Country(vec![Country::parse("DE").expect("two letters")]),
                    Test::at_least(Number::Memory, 30_000),
                    Test::at_most(Number::Price, 3),
                ],
            ] {
                let filter = filter(tests);
                compare(
                    &book,
                    &plain,
                    &Request {
                        filter,
                        ..Request::default()
                    },
                );
            }
        }
    }
    book.index.check();
    let all = book.list(&Filter::default(), Scope::All, 0, usize::MAX);
    assert_eq!(all.iter().collect::<Vec<_>>(), ranked(&plain));
    for device in plain.keys() {
        book.remove(*device);
    }
    assert!(book.is_empty() && book.models().is_empty());
    book.index.check();
}

/// Pages that run empty one after the other, beside one that is too full to be joined with.
#[test]
fn pages_that_run_empty_leave_the_others_as_they_are() {
    let at = Timestamp::from_millis(1);
    // Three pages as full as they are laid out.
    let offers: Vec<Offer> = (0..3 * 448_u64)
        .map(|n| {
            let mut offer = offer(0);
            let mut id = [0; 10];
            id[2..].copy_from_slice(&n.to_be_bytes());
            (offer.device, offer.node) = (DeviceId::new(at, id), NodeId::new(at, id));
            offer.price = price(1_000 + n);
            offer
        })
        .collect();
    let mut book: Book = offers.iter().cloned().collect();
    let mut plain: Plain = offers
        .iter()
        .map(|offer| (offer.device, offer.clone()))
        .collect();
    // More into each page than it was laid out with.
    for offer in &offers {
        let mut other = offer.clone();
        let mut id = [1; 10];
        id[2..].copy_from_slice(&offer.price.per_second().base().to_be_bytes());
        (other.device, other.node) = (DeviceId::new(at, id), NodeId::new(at, id));
        if offer.price.per_second().base() % 16 == 0 {
            book.put(&other);
            put(&mut plain, &other);
        }
    }
    assert_eq!(plain.len(), 3 * 448 + 84);
    let in_order: Vec<Offer> = ranked(&plain).into_iter().cloned().collect();
    for (n, offer) in in_order.iter().enumerate() {
        assert_eq!(book.remove(offer.device), plain.remove(&offer.device));
        if n >= 2 * 476 {
            // Two pages are empty. One comes back to where all went first, and leaves again.
            book.put(&in_order[0]);
            book.index.check();
            book.remove(in_order[0].device);
        }
        book.index.check();
    }
    assert!(book.is_empty());
}

#[test]
fn a_slot_has_one_holder() {
    let mut book = Book::default();
    let mut one = offer(0);
    (one.supply, one.holder) = (Supply::Offered, None);
    book.put(&one);
    assert!(book.take(one.device, job(1)));
    assert!(!book.take(one.device, job(2)));
    assert!(!book.free(one.device, job(2)));
    one.price = price(12);
    book.put(&one);
    assert!(
        !book.take(one.device, job(2)),
        "a new price must not free the slot"
    );
    assert!(book.free(one.device, job(1)));
    assert!(book.take(one.device, job(2)));
}

#[test]
fn an_empty_answer_names_the_field_and_the_nearest_change() {
    let mut book = Book::default();
    for n in 0..2 {
        let mut plain = offer(n);
        (plain.supply, plain.holder, plain.memory_mib, plain.price) =
            (Supply::Offered, None, 1_000, price(25_000));
        book.put(&plain);
    }
    let request = Request {
        filter: Filter {
            terms: vec![Term {
                test: Test::at_least(Number::Memory, 4_000),
                source: "resources.memory_mib".into(),
                text: "4 GiB".into(),
            }],
        },
        ..Request::default()
    };
    let no = book.choose(&request).expect_err("too much");
    assert_eq!(no.fields()[0].field, "resources.memory_mib");
    assert_eq!(
        no.fields()[0].message,
        "removes 2 of 2 offers; without it 2 would match; the nearest has 1000 MiB at 0.90 IO/h"
    );
    let none = Book::default().choose(&request).expect_err("empty");
    assert!(
        none.sentence()
            .starts_with("Nothing is offered in this way")
    );
}

/// A card of 24 GB reports a little less; who asks for 24,576 MiB is not told that the nearest has 24 GiB.
#[test]
fn what_the_nearest_has_does_not_read_like_what_was_asked() {
    let has = |mib: u64, test: &Test| {
        let mut card = offer(0);
        (card.device_memory_mib, card.memory_mib) = (mib, mib);
        test.has(&card)
    };
    let asked = Test::at_least(Number::Vram, 24_576);
    assert_eq!(has(24_564, &asked), "24564 MiB");
    assert_eq!(has(16_376, &asked), "16 GiB");
    assert_eq!(has(24_564, &Test::at_least(Number::Vram, 49_152)), "24 GiB");
    let not = Test::NoneOf(Number::Memory, vec![(0, 100), (8_000, 8_200)]);
    assert_eq!(has(8_190, &not), "8190 MiB");
}

/// Beyond a lower bound of the price the nearest is not the cheapest, but the dearest of those that ask too little.
#[test]
fn the_nearest_price_is_called_the_cheapest_only_where_it_is() {
    let mut book = Book::default();
    for (n, base) in [(0, 10_000), (1, 25_000)] {
        let mut plain = offer(n);
        (plain.supply, plain.holder, plain.price) = (Supply::Offered, None, price(base));
        book.put(&plain);
    }
    let said = |tests: Vec<Test>| {
        let request = Request {
            filter: filter(tests),
            ..Request::default()
        };
        let no = book.choose(&request).expect_err("no such price");
        no.fields()[0].message.clone()
    };
    let nearest = said(vec![Test::at_least(Number::Price, 30_000)]);
    assert!(
        nearest.ends_with("; the nearest costs 0.90 IO/h"),
        "{nearest}"
    );
    let cheapest = said(vec![Test::at_most(Number::Price, 5_000)]);
    assert!(
        cheapest.ends_with("; the cheapest costs 0.36 IO/h"),
        "{cheapest}"
    );
    let not = said(vec![Test::Outside(Number::Price, 10_000, 25_000)]);
    assert!(not.ends_with("; the nearest costs 0.36 IO/h"), "{not}");
}
