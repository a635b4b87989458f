//! The root beside one that is computed from scratch, and proofs beside altered ones.

use std::collections::BTreeMap;

use kernel::JobId;
use proptest::prelude::*;

use super::*;
use crate::book::Book;
use crate::book::tests::{offer, price};

fn job() -> JobId {
    JobId::new(kernel::Timestamp::from_millis(1), [7; 10])
}

/// The definition, written down again without rows, chains or marks.
fn from_scratch(offers: &[Offer]) -> Digest {
    let mut buckets: Vec<BTreeMap<DeviceId, Digest>> = vec![BTreeMap::new(); BUCKETS];
    for offer in offers {
        buckets[bucket_of(offer.device)].insert(offer.device, leaf(offer));
    }
    let mut level: Vec<Digest> = buckets
        .iter()
        .map(|bucket| tree(&bucket.values().copied().collect::<Vec<_>>()))
        .collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| Digest::pair(pair[0], pair[1]))
            .collect();
    }
    level[0]
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Remove(u64),
    Take(u64),
    Free(u64),
    Root,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u64>().prop_map(Step::Put),
        2 => any::<u64>().prop_map(Step::Remove),
        2 => any::<u64>().prop_map(Step::Take),
        2 => any::<u64>().prop_map(Step::Free),
        1 => Just(Step::Root),
    ]
}

fn apply(book: &mut Book, step: &Step) {
    match step {
        Step::Put(seed) => book.put(&offer(*seed)),
        Step::Remove(seed) => _ = book.remove(offer(*seed).device),
        Step::Take(seed) => _ = book.take(offer(*seed).device, job()),
        Step::Free(seed) => _ = book.free(offer(*seed).device, job()),
        Step::Root => _ = book.root(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_root_is_that_of_the_set_whatever_happened_to_it(steps in prop::collection::vec(step(), 1..120)) {
        let mut book = Book::default();
        for step in &steps {
            apply(&mut book, step);
        }
        let mut offers: Vec<Offer> = book.offers().collect();
        prop_assert_eq!(book.root(), from_scratch(&offers));
        // In another order, all at once: the same root.
        offers.reverse();
        let mut again: Book = offers.iter().cloned().collect();
        prop_assert_eq!(again.root(), book.root());
    }

    #[test]
    fn another_set_has_another_root(seeds in prop::collection::vec(any::<u64>(), 1..40), which in any::<prop::sample::Index>(), how in 0_u8..4) {
        let mut book: Book = seeds.iter().map(|seed| offer(*seed)).collect();
        let before = book.root();
        let offers: Vec<Offer> = book.offers().collect();
        let one = which.get(&offers);
        match how {
            0 => _ = book.remove(one.device),
            1 if one.is_open() => _ = book.take(one.device, job()),
            2 => book.put(&Offer { reputation: (one.reputation + 1) % 101, ..one.clone() }),
            _ => book.put(&Offer { price: price(one.price.per_second().base().unsigned_abs() + 1), ..one.clone() }),
        }
        prop_assert_ne!(book.root(), before);
    }

    #[test]
    fn a_proof_shows_one_offer_in_one_state(seeds in prop::collection::vec(any::<u64>(), 1..60), which in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
        let mut book: Book = seeds.iter().map(|seed| offer(*seed)).collect();
        let offers: Vec<Offer> = book.offers().collect();
        let one = which.get(&offers);
        let root = book.root();
        let proof = book.proof(one.device).expect("it is in the book");
        prop_assert!(proof.shows(one, root));
        let dearer = Offer { price: price(one.price.per_second().base().unsigned_abs() + 1), ..one.clone() };
        prop_assert!(!proof.shows(&dearer, root));
        prop_assert!(!proof.shows(one, Digest::nothing()));
        let mut altered = proof.clone();
        let at = flip.index(altered.above.len());
        altered.above[at] = leaf(one);
        prop_assert!(!altered.shows(one, root));
        let mut shorter = proof.clone();
        shorter.above.pop();
        prop_assert!(!shorter.shows(one, root));
        let mut longer = proof;
        longer.path.push(leaf(one));
        prop_assert!(!longer.shows(one, root));
    }
}

#[test]
fn the_root_of_nothing_and_of_one_are_written_in_the_docs() {
    let mut book = Book::default();
    let empty = book.root();
    assert_eq!(empty, from_scratch(&[]));
    assert_eq!(
        Digest::nothing().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "RFC 6962: the hash of the empty tree is that of no bytes"
    );
    assert!(book.proof(offer(1).device).is_none());
    book.put(&offer(1));
    assert_ne!(book.root(), empty);
    book.remove(offer(1).device);
    assert_eq!(book.root(), empty);
}

#[test]
fn a_bucket_of_several_is_the_tree_of_rfc_6962() {
    let leaves: Vec<Digest> = (0..7_u8).map(|n| Digest::of(&[&[0, n]])).collect();
    for length in 1..=leaves.len() {
        let root = tree(&leaves[..length]);
        for index in 0..length {
            let mut path = Vec::new();
            beside(&leaves[..length], index, &mut path);
            assert_eq!(climb(leaves[index], index, length, &path), Some(root));
            let elsewhere = (index + 1) % length;
            if elsewhere != index {
                assert_ne!(climb(leaves[index], elsewhere, length, &path), Some(root));
            }
        }
    }
}
