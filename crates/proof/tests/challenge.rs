//! Honest answers pass; forged ones do not, except with the probability that docs/proof.md states.

use kernel::{ChallengeId, Timestamp};
use proof::check::{self, GROUPS_OPENED, ROWS_OPENED, ReadCheck, Timings};
use proof::fill::{self, Reads};
use proof::key::{Key, Purpose};
use proof::plan::{Bounds, tasks};
use proof::product::{self, Factors, Freivalds, Product};
use proof::{Binding, models};
use proptest::prelude::*;
use protocol::proof::{FillTask, ProductTask, ProofReason};
use protocol::spec::DeviceClass;

fn binding(n: u8) -> Binding<'static> {
    Binding {
        challenge: ChallengeId::new(Timestamp::from_millis(1), [n; 10]),
        node_key: "ab",
        device_uuid: "GPU-1",
    }
}

fn secret(n: u64) -> Key {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    Key::secret(&bytes)
}

fn key(n: u8, purpose: Purpose) -> Key {
    Key::new(&binding(n), "00", purpose)
}

/// What became of answers when so many groups are opened.
fn judged(task: FillTask, of: u8, words: Vec<u32>, by: u8, draw: u64) -> Result<(), ProofReason> {
    let reads = Reads::of(words);
    let root = reads.root();
    let groups = check::sample(secret(draw), fill::groups(task.blocks), GROUPS_OPENED);
    let openings = reads.open(&groups);
    let check = ReadCheck {
        key: key(by, Purpose::Fill),
        read: key(by, Purpose::Read),
        task,
        root: &root,
        groups: &groups,
        secret: secret(draw.wrapping_add(1)),
    };
    assert!(of == by || root.len() == 64);
    check::reads(&check, &openings).map_err(|fault| fault.reason)
}

fn honest(task: FillTask, n: u8) -> Vec<u32> {
    let blocks = fill::filled(key(n, Purpose::Fill), task, || true).expect("it goes on");
    fill::answers(key(n, Purpose::Read), &blocks)
}

#[test]
fn honest_memory_passes_whatever_its_size() {
    for blocks in [1, 2, 63, 64, 65, 200, 64 * 5] {
        let task = FillTask { blocks, passes: 2 };
        let words = honest(task, 1);
        for draw in 0..20 {
            assert_eq!(
                judged(task, 1, words.clone(), 1, draw),
                Ok(()),
                "{blocks} blocks"
            );
        }
    }
}

#[test]
fn a_word_of_a_block_is_not_had_without_the_block() {
    let task = |passes| FillTask { blocks: 4, passes };
    let one = honest(task(2), 1);
    assert_ne!(one, honest(task(3), 1), "passes count");
    assert_ne!(one, honest(task(2), 2), "so does the challenge");
    let words = |passes| {
        let mut words = [0; fill::BLOCK_LEN];
        fill::block(key(1, Purpose::Fill), 0, passes, &mut words);
        words
    };
    // Each pass changes each word.
    let same = words(2)
        .iter()
        .zip(words(3))
        .filter(|(one, other)| **one == *other)
        .count();
    assert!(same < 4, "{same}");
    assert_eq!(fill::filled(key(1, Purpose::Fill), task(1), || false), None);
}

#[test]
fn forged_reads_pass_as_often_as_the_formula_says() {
    // 32 groups of one block each would be all of them: 640 blocks are ten groups, all opened, one block of each checked.
    let task = FillTask {
        blocks: 64 * 10,
        passes: 2,
    };
    let words = honest(task, 1);
    // A tenth of the blocks is guessed: (1 - 0.1)^10 = 0.35 of the draws do not see it.
    let mut forged = words.clone();
    for (at, word) in forged.iter_mut().enumerate() {
        if at % 10 == 3 {
            *word ^= 1;
        }
    }
    let rounds = 400_u32;
    let passed = (0..rounds)
        .filter(|draw| judged(task, 1, forged.clone(), 1, u64::from(*draw)).is_ok())
        .count();
    assert!((90..200).contains(&passed), "{passed} of {rounds}");
    // Half of them: (1/2)^10, one of a thousand.
    let half: Vec<u32> = words
        .iter()
        .enumerate()
        .map(|(at, word)| word ^ u32::from(at % 2 == 0))
        .collect();
    let passed = (0..rounds)
        .filter(|draw| judged(task, 1, half.clone(), 1, u64::from(*draw)).is_ok())
        .count();
    assert!(passed <= 4, "{passed}");
}

#[test]
fn forged_reads_of_another_challenge_or_node_are_wrong() {
    let task = FillTask {
        blocks: 70,
        passes: 2,
    };
    assert_eq!(
        judged(task, 1, honest(task, 1), 2, 5),
        Err(ProofReason::WrongReads),
        "a replay"
    );
    assert_eq!(
        judged(task, 0, vec![0; 70], 1, 5),
        Err(ProofReason::WrongReads),
        "zeros"
    );
    // Filled, but read under an older key.
    let blocks = fill::filled(key(1, Purpose::Fill), task, || true).unwrap();
    let stale = fill::answers(key(2, Purpose::Read), &blocks);
    assert_eq!(judged(task, 1, stale, 1, 5), Err(ProofReason::WrongReads));
    assert_eq!(
        judged(task, 1, honest(FillTask { blocks: 69, ..task }, 1), 1, 5),
        Err(ProofReason::Malformed),
        "too few"
    );
}

#[test]
fn forged_openings_do_not_stand_under_the_root() {
    let task = FillTask {
        blocks: 64 * 40,
        passes: 1,
    };
    // Nothing is computed before it is known what is asked: the root is of zeros, the opening is right.
    let root = Reads::of(vec![0; 64 * 40]).root();
    let groups = check::sample(secret(1), 40, GROUPS_OPENED);
    assert_eq!(groups.len(), 32);
    let real = Reads::of(honest(task, 1));
    let check = |openings: &[protocol::proof::Opening]| {
        let check = ReadCheck {
            key: key(1, Purpose::Fill),
            read: key(1, Purpose::Read),
            task,
            root: &root,
            groups: &groups,
            secret: secret(2),
        };
        check::reads(&check, openings).map_err(|fault| fault.reason)
    };
    let malformed = Err(ProofReason::Malformed);
    assert_eq!(check(&real.open(&groups)), malformed);
    assert_eq!(check(&real.open(&groups[1..])), malformed);
    let mut turned = real.open(&groups);
    turned.reverse();
    assert_eq!(check(&turned), malformed);
    turned[0].words = "zz".into();
    assert_eq!(check(&turned), malformed);
}

fn product(n: u8, task: ProductTask) -> Vec<u32> {
    let factors = Factors::new(&binding(n), "00");
    product::rows(&factors, task, || true)
        .expect("it goes on")
        .concat()
}

fn multiplied(task: ProductTask, words: Vec<u32>, by: u8, draw: u64) -> Result<(), ProofReason> {
    let made = Product::of(words, task.size);
    let root = made.root();
    let rows = check::sample(secret(draw), task.size, ROWS_OPENED);
    let freivalds = Freivalds::new(&Factors::new(&binding(by), "00"), task, secret(!draw));
    check::rows(&freivalds, task, &root, &rows, &made.open(&rows)).map_err(|fault| fault.reason)
}

#[test]
fn an_honest_product_passes() {
    for (size, factors) in [(1, 1), (8, 1), (17, 3), (64, 5)] {
        let task = ProductTask { size, factors };
        let words = product(1, task);
        for draw in 0..10 {
            assert_eq!(multiplied(task, words.clone(), 1, draw), Ok(()), "{task:?}");
        }
    }
}

#[test]
fn forged_products_are_seen() {
    let task = ProductTask {
        size: 64,
        factors: 3,
    };
    let words = product(1, task);
    let wrong = Err(ProofReason::WrongProduct);
    assert_eq!(
        multiplied(task, words.clone(), 2, 1),
        wrong,
        "of another challenge"
    );
    assert_eq!(multiplied(task, vec![0; 64 * 64], 1, 1), wrong, "nothing");
    let fewer = product(1, ProductTask { factors: 2, ..task });
    assert_eq!(multiplied(task, fewer, 1, 1), wrong, "a factor less");
    // The hardest to see: the same top bit in every row. A vector sees it with probability 1/2, for all rows alike: four of them miss it in one
    // of sixteen draws. Nothing is saved by it.
    let mut top: Vec<u32> = words.clone();
    for row in top.chunks_mut(64) {
        row[5] ^= 1 << 31;
    }
    let missed = (0..320)
        .filter(|draw| multiplied(task, top.clone(), 1, *draw).is_ok())
        .count();
    assert!((5..45).contains(&missed), "{missed}");
    // Sixteen bits of the thirty-two would be a saving: never seen to pass.
    let half: Vec<u32> = words.iter().map(|word| word ^ 0xabc1_0000).collect();
    for draw in 0..300 {
        assert_eq!(multiplied(task, half.clone(), 1, draw), wrong);
    }
    // One wrong row of 64 is opened with probability 1/4.
    let mut one = words;
    one[64 * 9] ^= 1;
    let seen = (0..200)
        .filter(|draw| multiplied(task, one.clone(), 1, *draw).is_err())
        .count();
    assert!((25..75).contains(&seen), "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn forged_rows_of_any_kind_are_seen_where_they_are_opened(at in 0_u32..24, change in 1_u32.., draw: u64) {
        let task = ProductTask { size: 24, factors: 2 };
        let factors = Factors::new(&binding(1), "00");
        let rows = product::rows(&factors, task, || true).unwrap();
        let freivalds = Freivalds::new(&factors, task, secret(draw));
        let place = usize::try_from(at).unwrap();
        for (number, row) in (0..).zip(&rows) {
            prop_assert!(freivalds.accepts(number, row));
        }
        let mut row = rows[place].clone();
        row[place] ^= change;
        // A vector sees a change of 2^k x odd with probability 1 - 2^(k-32); four of them miss the top bit with 1/16.
        if change.trailing_zeros() < 16 {
            prop_assert!(!freivalds.accepts(at, &row));
        }
        prop_assert!(!freivalds.accepts(at, &row[1..]));
    }

    #[test]
    fn samples_are_different_numbers_in_range(count in 0_u32..5_000, want in 0_u32..40, draw: u64) {
        let mut drawn = check::sample(secret(draw), count, want);
        prop_assert_eq!(drawn.len(), usize::try_from(count.min(want)).unwrap());
        prop_assert!(drawn.iter().all(|one| *one < count));
        drawn.sort_unstable();
        drawn.dedup();
        prop_assert_eq!(drawn.len(), usize::try_from(count.min(want)).unwrap());
    }
}

/// A card that runs at a share of its figures, in percent.
fn times(
    model: &str,
    memory_mib: u64,
    compute: u64,
    memory: u64,
    claimed: &str,
    claimed_mib: u64,
) -> Result<(), ProofReason> {
    let real = models::find(model).expect("a model of the table");
    let band = models::find(claimed).expect("a model of the table");
    let (fill, product) = tasks(DeviceClass::Gpu, claimed_mib, Some(band), Bounds::default());
    let ms = |work: u64, giga: u32, share: u64| work * 100 / (u64::from(giga) * share * 1_000_000);
    let fill_ms = ms(check::traffic(fill), real.gbytes, memory);
    // What does not fit is computed again when it is asked for.
    let missing = claimed_mib.saturating_sub(memory_mib) * 1_000 / claimed_mib;
    let took = Timings {
        fill_ms: 60 + fill_ms,
        read_ms: 90 + fill_ms * missing / 1_000,
        product_ms: 60 + ms(check::operations(product), real.gflops, compute),
    };
    check::pace(band, fill, product, took).map_err(|fault| fault.reason)
}

#[test]
fn every_model_of_the_table_passes_as_itself_within_seconds() {
    for band in models::BANDS {
        for gib in band.gib {
            let mib = u64::from(*gib) * 1_000;
            assert_eq!(
                times(band.name, mib, 15, 30, band.name, mib),
                Ok(()),
                "{}",
                band.name
            );
            let (fill, product) = tasks(DeviceClass::Gpu, mib, Some(band), Bounds::default());
            let most = check::limits(band, fill, product);
            assert!(
                most.product_ms < 6_000 && most.fill_ms < 40_000,
                "{}: {most:?}",
                band.name
            );
            assert!(
                fill.blocks >= u32::try_from(mib).unwrap() * 60,
                "95 % of its memory"
            );
        }
    }
}

#[test]
fn forged_cards_are_slower_or_faster_than_they_claim() {
    let slow = Err(ProofReason::TooSlow);
    // A program on a CPU: a thirtieth of a card's memory, a hundredth of its arithmetic.
    assert_eq!(times("RTX 4090", 24_564, 1, 5, "RTX 4090", 24_564), slow);
    // Less memory than claimed: what is missing must be computed in the second that reading may take.
    assert_eq!(times("RTX 3060", 12_282, 30, 60, "RTX 3090", 24_564), slow);
    assert_eq!(times("RTX 4090", 24_564, 30, 60, "A100", 81_920), slow);
    assert_eq!(times("RTX 4090", 24_564, 30, 60, "H100", 81_559), slow);
    assert_eq!(times("T4", 15_360, 20, 60, "H200", 143_771), slow);
    // Something far larger answers for it.
    let band = models::find("T4").unwrap();
    let (fill, product) = tasks(DeviceClass::Gpu, 15_360, Some(band), Bounds::default());
    let took = Timings {
        fill_ms: 100,
        read_ms: 100,
        product_ms: 1,
    };
    assert_eq!(
        check::pace(band, fill, product, took).map_err(|fault| fault.reason),
        Err(ProofReason::TooFast)
    );
}
