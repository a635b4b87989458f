//! Receipts of one lease as somebody hands them over: in any order, more than once, or not all of them.
//!
//! The platform takes only the next one ([`Head::admits`]). Who checks a pile afterwards wants to know what is wrong with it, and
//! what it comes to all the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use kernel::Energy;
use protocol::view::Receipt;

use crate::receipt::Head;

/// A receipt whose signatures fit, and its hash.
#[derive(Debug, Clone)]
pub struct Witnessed {
    pub receipt: Receipt,
    pub hash: String,
}

/// What is wrong with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Those between are missing.
    Gap {
        expected: u64,
        got: u64,
    },
    /// Handed over before.
    Repeated {
        seq: u64,
    },
    /// Handed over after a later one.
    Order {
        seq: u64,
        after: u64,
    },
    /// Another one has this number.
    Overlap {
        seq: u64,
    },
    /// It does not name the one before.
    Link,
    /// The lease was over.
    Late {
        last: u64,
    },
    Seconds {
        got: u64,
        had: u64,
    },
    Energy {
        got: Option<Energy>,
        had: Option<Energy>,
    },
    /// Not price × seconds.
    Amount,
}

/// What a pile came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sifted {
    /// By the place of the receipt in the pile.
    pub faults: Vec<(usize, Fault)>,
    /// The places of those that count, in the order of their numbers.
    pub taken: Vec<usize>,
    /// After the last that counts.
    pub head: Head,
}

/// Puts a pile in order. `start`: the head before the first of them, the default one for a whole lease.
///
/// Each number counts once; what says less than the one before, or comes after the last, does not count. Behind a gap it goes
/// on: receipts are cumulative, so the next one tells all seconds.
pub fn sift(start: Head, pile: &[Witnessed]) -> Sifted {
    let mut faults = Vec::new();
    let mut numbers: HashMap<u64, usize> = HashMap::with_capacity(pile.len());
    let mut taken = Vec::with_capacity(pile.len());
    let mut highest = start.seq;
    for (place, witnessed) in pile.iter().enumerate() {
        let seq = witnessed.receipt.seq;
        match numbers.entry(seq) {
            Entry::Occupied(first) => {
                let same = pile
                    .get(*first.get())
                    .is_some_and(|first| first.hash == witnessed.hash);
                let fault = if same {
                    Fault::Repeated { seq }
                } else {
                    Fault::Overlap { seq }
                };
                faults.push((place, fault));
            }
            Entry::Vacant(free) => {
                free.insert(place);
                if seq <= start.seq {
                    faults.push((place, Fault::Overlap { seq }));
                    continue;
                }
                if seq < highest {
                    let after = highest;
                    faults.push((place, Fault::Order { seq, after }));
                }
                highest = highest.max(seq);
                taken.push((seq, place));
            }
        }
    }
    taken.sort_unstable();
    let mut head = start;
    let mut counted = Vec::with_capacity(taken.len());
    for (_, place) in taken {
        let Some(Witnessed { receipt, hash }) = pile.get(place) else {
            continue;
        };
        if let Some(fault) = less_than(&head, receipt) {
            faults.push((place, fault));
            continue;
        }
        let expected = head.seq.saturating_add(1);
        if receipt.seq != expected {
            let got = receipt.seq;
            faults.push((place, Fault::Gap { expected, got }));
        } else if receipt.previous != head.hash {
            faults.push((place, Fault::Link));
        }
        counted.push(place);
        head = Head::at(receipt, hash.clone());
    }
    faults.sort_by_key(|(place, _)| *place);
    Sifted {
        faults,
        taken: counted,
        head,
    }
}

/// Why a receipt does not count after this head.
fn less_than(head: &Head, receipt: &Receipt) -> Option<Fault> {
    if head.last {
        return Some(Fault::Late { last: head.seq });
    }
    if receipt.seconds < head.seconds {
        return Some(Fault::Seconds {
            got: receipt.seconds.get(),
            had: head.seconds.get(),
        });
    }
    if receipt.energy_mj < head.energy {
        return Some(Fault::Energy {
            got: receipt.energy_mj,
            had: head.energy,
        });
    }
    (receipt.price.times(receipt.seconds) != Ok(receipt.amount)).then_some(Fault::Amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fees;
    use crate::receipt::tests::{chain, fork};
    use kernel::{Amount, BasisPoints, Seconds};
    use proptest::prelude::*;

    fn pile(receipts: &[Receipt]) -> Vec<Witnessed> {
        receipts
            .iter()
            .map(|receipt| Witnessed {
                hash: crate::receipt::hash(receipt).expect("signed"),
                receipt: receipt.clone(),
            })
            .collect()
    }

    fn faults(receipts: &[Receipt]) -> Vec<(usize, Fault)> {
        sift(Head::default(), &pile(receipts)).faults
    }

    #[test]
    fn a_whole_chain_is_without_fault() {
        let receipts = chain(&[60, 120, 120, 125]);
        let sifted = sift(Head::default(), &pile(&receipts));
        assert_eq!(sifted.faults, []);
        assert_eq!(sifted.taken, [0, 1, 2, 3]);
        assert_eq!(sifted.head.seconds, Seconds::new(125));
        // From any place on, with the head before it.
        let head = Head::after(&receipts[1]).expect("signed");
        let rest = sift(head, &pile(&receipts[2..]));
        assert_eq!((rest.faults, rest.head), (Vec::new(), sifted.head));
    }

    #[test]
    fn each_fault_is_named_where_it_is() {
        let receipts = chain(&[10, 20, 30, 40]);
        let of = |places: &[usize]| -> Vec<Receipt> {
            places
                .iter()
                .map(|place| receipts[*place].clone())
                .collect()
        };
        assert_eq!(
            faults(&of(&[0, 3])),
            [(
                1,
                Fault::Gap {
                    expected: 2,
                    got: 4
                }
            )]
        );
        assert_eq!(
            faults(&of(&[1, 2])),
            [(
                0,
                Fault::Gap {
                    expected: 1,
                    got: 2
                }
            )]
        );
        assert_eq!(
            faults(&of(&[0, 1, 1, 2, 0])),
            [
                (2, Fault::Repeated { seq: 2 }),
                (4, Fault::Repeated { seq: 1 })
            ]
        );
        assert_eq!(
            faults(&of(&[0, 2, 1])),
            [(2, Fault::Order { seq: 2, after: 3 })]
        );
        // Another number 3, as signed as the first.
        let mut forked = receipts.clone();
        forked.insert(3, fork(&receipts[1], 35, false));
        assert_eq!(faults(&forked), [(3, Fault::Overlap { seq: 3 })]);
        // In its place: the next one does not name it.
        let mut forked = receipts.clone();
        forked[2] = fork(&receipts[1], 35, false);
        assert_eq!(faults(&forked), [(3, Fault::Link)]);
        forked[2] = fork(&receipts[1], 15, false);
        assert_eq!(
            faults(&forked),
            [
                (2, Fault::Seconds { got: 15, had: 20 }),
                (
                    3,
                    Fault::Gap {
                        expected: 3,
                        got: 4
                    }
                )
            ]
        );
        forked[2] = fork(&receipts[1], 30, true);
        assert_eq!(faults(&forked), [(3, Fault::Late { last: 3 })]);
        let mut wrong = receipts.clone();
        wrong[3].amount = Amount::ZERO;
        assert_eq!(faults(&wrong)[0], (3, Fault::Amount));
        let before = Head::after(&receipts[1]).expect("signed");
        assert_eq!(
            sift(before, &pile(&receipts[1..])).faults,
            [(0, Fault::Overlap { seq: 2 })]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// A million deliveries: each receipt once to five times, in any order. They come to what the chain comes to, and each
        /// that is one too many, or behind a later one, is named.
        #[test]
        fn repeats_and_disorder_come_to_the_same(
            added in prop::collection::vec((0_u64..400, 1_usize..=5), 1..600),
            random in any::<u64>(),
        ) {
            // Unsigned: what is tried here is the order alone, and a signature would make it a hundred times slower.
            let template = chain(&[1])[0].clone();
            let mut total = 0;
            let mut previous = crate::receipt::NO_PREVIOUS.to_owned();
            let mut whole = Vec::new();
            for (seq, (more, _)) in (1_u64..).zip(&added) {
                total += more;
                let seconds = Seconds::new(total);
                let hash = format!("{seq:064x}");
                let receipt = Receipt {
                    seq,
                    seconds,
                    amount: template.price.times(seconds).expect("in range"),
                    previous: std::mem::replace(&mut previous, hash.clone()),
                    ..template.clone()
                };
                whole.push(Witnessed { receipt, hash });
            }
            let mut delivered: Vec<Witnessed> = whole
                .iter()
                .zip(&added)
                .flat_map(|(one, (_, times))| std::iter::repeat_n(one.clone(), *times))
                .collect();
            shuffle(&mut delivered, random);
            let sifted = sift(Head::default(), &delivered);

            // The oracle: the highest number tells all.
            prop_assert_eq!(sifted.head.seconds, Seconds::new(total));
            prop_assert_eq!(sifted.taken.len(), whole.len());
            let point = BasisPoints::try_new(25).expect("in range");
            let fees = Fees { requester: point, owner: point };
            let mut charged = 0;
            let mut before = Amount::ZERO;
            for place in &sifted.taken {
                let cost = fees.cost(template.price, delivered[*place].receipt.seconds);
                charged += cost.base() - before.base();
                before = cost;
            }
            prop_assert_eq!(charged, fees.cost(template.price, Seconds::new(total)).base());

            let repeated = sifted.faults.iter().filter(|(_, fault)| matches!(fault, Fault::Repeated { .. })).count();
            prop_assert_eq!(repeated, delivered.len() - whole.len());
            let mut highest = 0;
            let mut behind = 0;
            let mut seen = std::collections::BTreeSet::new();
            for one in &delivered {
                let first = seen.insert(one.receipt.seq);
                behind += usize::from(first && one.receipt.seq < highest);
                highest = highest.max(one.receipt.seq);
            }
            let disordered = sifted.faults.iter().filter(|(_, fault)| matches!(fault, Fault::Order { .. })).count();
            prop_assert_eq!(disordered, behind);
            prop_assert_eq!(sifted.faults.len(), repeated + disordered);
        }

        /// Whichever are lost, each gap is named once, and the rest comes to what the last one says.
        #[test]
        fn gaps_are_counted(kept in prop::collection::vec(any::<bool>(), 1..60)) {
            let totals: Vec<u64> = (1..=u64::try_from(kept.len()).expect("small")).collect();
            let receipts = chain(&totals);
            let left: Vec<Receipt> = receipts.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(one, _)| one.clone()).collect();
            let sifted = sift(Head::default(), &pile(&left));
            let gaps = left.iter().scan(0, |before, one| {
                let gap = one.seq != *before + 1;
                *before = one.seq;
                Some(gap)
            }).filter(|gap| *gap).count();
            prop_assert_eq!(sifted.faults.len(), gaps);
            let all_gaps = sifted.faults.iter().all(|(_, fault)| matches!(fault, Fault::Gap { .. }));
            prop_assert!(all_gaps);
            prop_assert_eq!(sifted.head.seconds.get(), left.last().map_or(0, |one| one.seconds.get()));
        }
    }

    /// Fisher and Yates, by a small generator of its own: the same seed, the same order.
    fn shuffle<T>(items: &mut [T], seed: u64) {
        let mut state = seed | 1;
        for at in (1..items.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let range = u64::try_from(at).expect("small") + 1;
            items.swap(at, usize::try_from(state % range).expect("small"));
        }
    }
}
