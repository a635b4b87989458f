//! What is published is enough to find the same winners, and nothing of it can be altered unseen.

use kernel::Timestamp;
use proptest::prelude::*;
use protocol::round::{Occasion, RoundRequest};

use super::*;
use crate::book::tests::{ask, filter, offer, price, test};
use crate::offer::Supply;
use crate::public::{published, published_request};
use crate::request::{Ask, Kind, Near};

fn round(book: &mut Books, request: &Request) -> RoundRecord {
    let round = Round {
        number: 7,
        at: Timestamp::from_millis(1_795_000_000_123),
        occasion: Occasion::Submitted,
        step: 3,
        offers: book.len() as u64,
        root: book.root().to_string(),
        request: published_request(request),
        nearer: Vec::new(),
        chosen: winners(book, std::slice::from_ref(request)),
        previous: "0".repeat(64),
    };
    RoundRecord {
        hash: hash_of(&round).expect("writes").to_string(),
        round,
    }
}

/// On demand alone.
fn plainly(offer: &Offer) -> Listing {
    Listing {
        offer: offer.clone(),
        spot: None,
        reserved: None,
    }
}

/// Out of 64 random bits, as [`offer`] is; some are offered in other ways, too.
fn listing(seed: u64) -> Listing {
    let rule = protocol::rent::ReservedRule {
        price: price(1 + seed % 4),
        min_term: kernel::Seconds::new(seed % 5_000),
    };
    Listing {
        spot: seed.is_multiple_of(3).then(|| price(1 + seed % 5)),
        reserved: seed.is_multiple_of(5).then_some(rule),
        ..plainly(&offer(seed))
    }
}

/// One after the other: of two of one device the later stands.
fn books(seeds: &[u64]) -> Books {
    let mut books = Books::default();
    for seed in seeds {
        books.put(&listing(*seed));
    }
    books
}

fn all(book: &Books) -> Vec<BookOffer> {
    book.devices()
        .filter_map(|device| published(book, device))
        .collect()
}

/// As it arrives from elsewhere.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).expect("writes")).expect("reads")
}

fn all_hold(steps: &[ReplayStep]) -> bool {
    steps.iter().all(ReplayStep::holds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_published_round_has_the_same_winners_and_root(
        seeds in prop::collection::vec(any::<u64>(), 0..60),
        later in prop::collection::vec((0_u8..4, any::<u64>()), 0..20),
        tests in prop::collection::vec(test(), 0..4),
        ask in prop_oneof![Just(Ask::default()), ask()],
        avoid in prop::collection::vec(any::<u64>(), 0..3),
        most in prop::option::of(1_u64..12),
        kind in prop::sample::select(Kind::ALL.to_vec()),
    ) {
        let mut book = books(&seeds);
        let offers = all(&book);
        let mut replica = Replica::of(&through_json(&offers)).expect("reads");
        for (kind, seed) in later {
            let device = offer(seed).device;
            let job = crate::public::somebody();
            let change = match kind {
                0 => {
                    book.put(&listing(seed));
                    BookChange::Put(Box::new(published(&book, device).expect("put")))
                }
                1 => { book.remove(device); BookChange::Remove(device) }
                2 if book.take(device, job) => BookChange::Take(device),
                3 if book.free(device, job) => BookChange::Free(device),
                _ => continue,
            };
            replica.apply(&through_json(&change)).expect("reads");
        }
        let request = Request {
            filter: filter(tests),
            ask: Ask { kind, ..ask },
            device: None,
            avoid: avoid.into_iter().map(|seed| offer(seed).node).collect(),
            most_together: most.filter(|_| !ask.is_single()).map(price),
            newcomers_since: None,
        };
        let record = round(&mut book, &request);
        let steps = replica.check(&through_json(&record)).expect("reads");
        prop_assert!(all_hold(&steps), "{:?}", steps);
    }

    /// Whoever is told that it missed a round by a field would have it with that field changed.
    #[test]
    fn what_is_said_to_be_missing_is_what_was_missing(
        seeds in prop::collection::vec(any::<u64>(), 1..40),
        tests in prop::collection::vec(test(), 0..4),
        which in any::<prop::sample::Index>(),
    ) {
        let mut book = books(&seeds);
        let offers: Vec<Offer> = book.devices().filter_map(|device| book.get(device)).collect();
        let own = which.get(&offers);
        let request = Request { filter: filter(tests), ..Request::default() };
        let record = round(&mut book, &request);
        let found = chance(Some(&plainly(own)), &request, &record.round);
        prop_assert_eq!(found.won, record.round.chosen.iter().any(|won| won.device == own.device));
        prop_assert_eq!(found.fitted, request.filter.accepts(own));
        prop_assert_eq!(found.won, found.hurdles.is_empty());
        for hurdle in found.hurdles.iter().filter(|hurdle| hurdle.outranked) {
            prop_assert!(own.is_open() && found.fitted && record.round.chosen.len() == 1);
            // The price that is named wins, unless it is outside of what the request admits; one unit more does not.
            let with = |price| {
                let mut other = book.clone();
                other.put(&plainly(&Offer { price, ..own.clone() }));
                other.best(&request).map(|best| best.device) == Some(own.device)
            };
            if let Some(wins) = hurdle.price_to_win {
                let admitted = request.filter.accepts(&Offer { price: wins, ..own.clone() });
                prop_assert!(with(wins) || !admitted, "{:?}", hurdle);
                let more = price(wins.per_second().base().unsigned_abs() + 1);
                prop_assert!(!with(more), "{:?}", hurdle);
            }
        }
    }
}

fn one_round() -> (Replica, RoundRecord) {
    // None at a price or a reputation below which there is nothing.
    let offers = (0..40_u64).map(|seed| Offer {
        price: price(10 + seed),
        reputation: 50,
        ..offer(seed * 1_000_003)
    });
    let mut book: Books = offers.map(|offer| plainly(&offer)).collect();
    let offers = all(&book);
    let request = Request::default();
    let record = round(&mut book, &request);
    assert_eq!(record.round.chosen.len(), 1);
    (Replica::of(&offers).expect("reads"), record)
}

#[test]
fn an_altered_round_is_seen() {
    let (replica, record) = one_round();
    assert!(all_hold(&replica.clone().check(&record).expect("reads")));
    let altered = |change: &dyn Fn(&mut Round)| {
        let mut record = record.clone();
        change(&mut record.round);
        replica.clone().check(&record).expect("reads")
    };
    let failed = |steps: Vec<ReplayStep>| {
        let failed = steps.into_iter().filter(|step| !step.holds());
        failed.map(|step| step.what).collect::<Vec<_>>()
    };
    let dearer = altered(&|round| round.chosen[0].price = price(1));
    assert_eq!(
        failed(dearer),
        [ReplayCheck::Hash, ReplayCheck::Winners],
        "whoever alters a winner breaks the hash, too"
    );
    assert_eq!(
        failed(altered(&|round| round.chosen.clear())),
        [ReplayCheck::Hash, ReplayCheck::Winners]
    );
    assert_eq!(
        failed(altered(&|round| round.at = Timestamp::from_millis(5))),
        [ReplayCheck::Hash]
    );
    let other_root = altered(&|round| round.root = "0".repeat(64));
    assert_eq!(failed(other_root), [ReplayCheck::Hash, ReplayCheck::Root]);
    // Who makes a fitting hash for another winner is still found out by the winners themselves.
    let mut forged = record.clone();
    forged.round.chosen[0].device = offer(5).device;
    forged.hash = hash_of(&forged.round).expect("writes").to_string();
    assert_eq!(
        failed(replica.clone().check(&forged).expect("reads")),
        [ReplayCheck::Winners]
    );
    let mut elsewhere = replica;
    let gone = record.round.chosen[0].device;
    elsewhere.apply(&BookChange::Take(gone)).expect("applies");
    assert_eq!(
        failed(elsewhere.check(&record).expect("reads")),
        [ReplayCheck::Root, ReplayCheck::Winners],
        "a book that was altered has another root"
    );
}

#[test]
fn what_another_version_wrote_is_refused_and_not_guessed() {
    let published = published_request(&Request::default());
    let read = |change: &dyn Fn(&mut RoundRequest)| {
        let mut request = published.clone();
        change(&mut request);
        request_of(&request)
    };
    assert!(read(&|_| {}).is_ok());
    assert!(read(&|request| request.near = "moon".into()).is_err());
    assert!(read(&|request| request.kind = "gift".into()).is_err());
    let term = protocol::round::RoundTerm {
        field: "colour".into(),
        op: protocol::round::RoundOp::In,
        ranges: vec![],
        values: vec!["red".into()],
    };
    let error = read(&|request| request.terms.push(term.clone())).unwrap_err();
    assert!(error.to_string().contains("\"colour\""), "{error}");
    for kind in Kind::ALL {
        for near in Near::ALL {
            let ask = Ask {
                near,
                kind,
                ..Ask::default()
            };
            let request = Request {
                ask,
                ..Request::default()
            };
            assert_eq!(request_of(&published_request(&request)), Ok(request));
        }
    }
}

#[test]
fn an_owner_is_told_what_was_in_the_way() {
    let (_, record) = one_round();
    let winner = &record.round.chosen[0];
    let own = Offer {
        supply: Supply::Offered,
        holder: None,
        price: price(winner.price.per_second().base().unsigned_abs() + 50),
        reputation: winner.reputation,
        joined_at: winner.joined_at,
        ..offer(77)
    };
    let request = Request::default();
    let fields = |own: &Offer| {
        let hurdles = chance(Some(&plainly(own)), &request, &record.round).hurdles;
        hurdles.into_iter().map(|h| h.field).collect::<Vec<_>>()
    };
    assert_eq!(fields(&own), ["price"]);
    let paused = Offer {
        supply: Supply::Paused,
        ..own.clone()
    };
    assert_eq!(fields(&paused), ["paused"]);
    let hired = Offer {
        holder: Some(somebody()),
        ..own.clone()
    };
    assert_eq!(fields(&hired), ["hired"]);
    let equal = Offer {
        price: winner.price,
        reputation: winner.reputation - 1,
        ..own
    };
    assert_eq!(fields(&equal), ["reputation"]);
    let gone = chance(None, &request, &record.round);
    assert_eq!(gone.hurdles[0].field, "unlisted");
    let term = |test| Request {
        filter: filter(vec![test]),
        ..Request::default()
    };
    let asked = term(crate::filter::Test::at_least(
        crate::filter::Number::Vram,
        1 << 30,
    ));
    let short = chance(Some(&plainly(&equal)), &asked, &record.round);
    assert!(!short.fitted);
    assert_eq!(short.hurdles[0].field, "vram");
    assert!(short.hurdles[0].asked.ends_with("or more"), "{short:?}");
}

#[test]
fn one_device_is_followed_through_its_changes() {
    let device = offer(7).device;
    let mut followed = None;
    follow(&mut followed, &BookChange::Take(device)).expect("nothing to take");
    assert_eq!(followed, None);
    let whole = books(&[7]);
    let put = published(&whole, device).expect("it is there");
    follow(&mut followed, &BookChange::Put(Box::new(put))).expect("readable");
    let holder = |listing: &Option<Listing>| listing.as_ref().map(|one| one.offer.holder.is_some());
    let hired = whole.get(device).expect("it is there").holder.is_some();
    assert_eq!(holder(&followed), Some(hired));
    follow(&mut followed, &BookChange::Free(device)).expect("known");
    assert_eq!(holder(&followed), Some(false));
    follow(&mut followed, &BookChange::Take(device)).expect("known");
    assert_eq!(holder(&followed), Some(true));
    follow(&mut followed, &BookChange::Remove(device)).expect("known");
    assert_eq!(followed, None);
}

/// Price, reputation, age and id, in this order: the first that differs is what is said, and the price that wins is exact.
#[test]
fn what_another_one_had_more_is_named() {
    let own = Offer {
        price: price(50),
        reputation: 60,
        supply: Supply::Offered,
        holder: None,
        ..offer(17)
    };
    let same = Offer {
        device: offer(3).device,
        node: offer(3).node,
        ..own.clone()
    };
    let later = own.joined_at.plus_millis(5);
    let earlier = own.joined_at.plus_millis(-5);
    // A better rank at the same price is won over by one unit less; a worse one by the same price.
    let cases = [
        (
            "price",
            Offer {
                price: price(40),
                joined_at: later,
                ..same.clone()
            },
            40,
        ),
        (
            "price",
            Offer {
                price: price(40),
                joined_at: earlier,
                ..same.clone()
            },
            39,
        ),
        (
            "price",
            Offer {
                price: price(40),
                reputation: 61,
                ..same.clone()
            },
            39,
        ),
        (
            "price",
            Offer {
                price: price(40),
                reputation: 59,
                ..same.clone()
            },
            40,
        ),
        (
            "reputation",
            Offer {
                reputation: 61,
                ..same.clone()
            },
            49,
        ),
        (
            "joined_at",
            Offer {
                joined_at: earlier,
                ..same.clone()
            },
            49,
        ),
        ("id", same.clone(), 49),
    ];
    for (field, winner, to_win) in cases {
        if field == "id" && own.device < winner.device {
            continue;
        }
        let mut book = Books::default();
        book.put(&plainly(&own));
        book.put(&plainly(&winner));
        let request = Request::default();
        let record = round(&mut book, &request);
        assert_eq!(
            record.round.chosen.first().map(|won| won.device),
            Some(winner.device),
            "{field}"
        );
        let found = chance(Some(&plainly(&own)), &request, &record.round);
        let [hurdle] = &found.hurdles[..] else {
            panic!("one reason");
        };
        assert_eq!((hurdle.field, hurdle.outranked), (field, true));
        assert_eq!(hurdle.price_to_win, Some(price(to_win)), "{field}");
        assert_ne!(hurdle.asked, hurdle.had);
    }
    // Several together are chosen by their place.
    let ask = Ask {
        count: 2,
        ..Ask::default()
    };
    let request = Request {
        ask,
        ..Request::default()
    };
    let mut book = Books::default();
    let pair = Offer {
        device: offer(4).device,
        ..same.clone()
    };
    for offer in [&own, &same, &pair] {
        book.put(&plainly(&Offer {
            price: price(9),
            ..(*offer).clone()
        }));
    }
    let record = round(&mut book, &request);
    let lonely = book.get(own.device).expect("there");
    let found = chance(Some(&plainly(&lonely)), &request, &record.round);
    if !found.won {
        assert_eq!(found.hurdles[0].field, "place");
        assert_eq!(found.hurdles[0].price_to_win, None);
    }
}
