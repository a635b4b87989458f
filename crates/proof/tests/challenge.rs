//! Honest answers pass; forged ones do not, except with the probability that docs/proof.md states.

use kernel::{ChallengeId, Timestamp};
use proof::check::{self, GROUPS_OPENED, ROWS_OPENED, SweepCheck, Timings};
use proof::fill::{self, Block};
use proof::key::{Key, Purpose};
use proof::plan::{Bounds, tasks};
use proof::product::{self, Factors, Freivalds, Product};
use proof::sweep::{self, Sweeps};
use proof::{Binding, models};
use proptest::prelude::*;
use protocol::proof::{FillTask, Place, ProductTask, ProofReason, SWEEPS_MAX};
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

/// What a worker sent of its sweeps, and what it opens afterwards.
struct Sent {
    roots: Vec<String>,
    sweeps: Sweeps,
}

impl From<Sweeps> for Sent {
    fn from(sweeps: Sweeps) -> Self {
        let roots = sweeps.roots();
        Self { roots, sweeps }
    }
}

/// What became of what was sent to the challenge `by`.
fn judged(task: FillTask, sent: &Sent, by: u8, draw: u64) -> Result<(), ProofReason> {
    let places = check::places(secret(draw), sweep::groups(task.blocks), task.sweeps);
    let openings = sent.sweeps.open(&places);
    let check = SweepCheck {
        key: key(by, Purpose::Fill),
        sweeps: &sweep::keys(&binding(by), "00", &sent.roots),
        task,
        roots: &sent.roots,
        places: &places,
        secret: secret(draw.wrapping_add(1)),
    };
    check::sweeps(&check, &openings).map_err(|fault| fault.reason)
}

fn filled(task: FillTask, n: u8) -> Vec<Block> {
    fill::filled(key(n, Purpose::Fill), task, || true).expect("it goes on")
}

/// Sweeps over these blocks, in which what each answers (sweep, from 0; block) may be changed.
fn swept(
    task: FillTask,
    n: u8,
    blocks: &[Block],
    mut change: impl FnMut(usize, usize, &mut u32),
) -> Sweeps {
    let mut number = 0;
    let one = |key| {
        let mut words = sweep::answers(key, blocks);
        for (at, word) in words.iter_mut().enumerate() {
            change(number, at, word);
        }
        number += 1;
        words
    };
    let next = |text: &str| sweep::key(&binding(n), text);
    Sweeps::of("00", task.sweeps, next, one, || true).expect("it goes on")
}

fn honest(task: FillTask, n: u8) -> Sent {
    swept(task, n, &filled(task, n), |_, _, _| {}).into()
}

#[test]
fn honest_memory_passes_whatever_its_size() {
    for (blocks, sweeps) in [
        (1, 1),
        (2, 4),
        (63, 2),
        (64, 32),
        (65, 3),
        (200, 5),
        (64 * 5, 7),
    ] {
        let task = FillTask {
            blocks,
            passes: 2,
            sweeps,
        };
        let sent = honest(task, 1);
        for draw in 0..5 {
            assert_eq!(judged(task, &sent, 1, draw), Ok(()), "{task:?}");
        }
    }
}

#[test]
fn a_word_of_a_block_is_not_had_without_the_block() {
    let task = |passes| FillTask {
        blocks: 4,
        passes,
        sweeps: 1,
    };
    let one = honest(task(2), 1).roots;
    assert_ne!(one, honest(task(3), 1).roots, "passes count");
    assert_ne!(one, honest(task(2), 2).roots, "so does the challenge");
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

/// Ten groups in each of four sweeps: 32 of the 40 leaves are opened, eight of each sweep, one block of each computed again.
const TEN: FillTask = FillTask {
    blocks: 640,
    passes: 2,
    sweeps: 4,
};

fn passed(sent: &Sent, rounds: u32) -> usize {
    let all = 0..u64::from(rounds);
    all.filter(|draw| judged(TEN, sent, 1, 2 * draw).is_ok())
        .count()
}

#[test]
fn forged_shares_of_blocks_pass_as_often_as_the_formula_says() {
    let blocks = filled(TEN, 1);
    // A twentieth of the blocks was not kept and is guessed in each sweep: (1 - 0.05)^32 = 0.19 of the draws do not see it.
    let twentieth = swept(TEN, 1, &blocks, |_, at, word| {
        *word ^= u32::from(at % 20 == 3);
    });
    let seen = passed(&twentieth.into(), 400);
    assert!((40..120).contains(&seen), "{seen}");
    // Half of them: 2^-32.
    let half = swept(TEN, 1, &blocks, |_, at, word| {
        *word ^= u32::from(at % 2 == 0);
    });
    assert_eq!(passed(&half.into(), 400), 0);
}

#[test]
fn forged_answers_of_one_sweep_pass_as_often_as_the_formula_says() {
    let blocks = filled(TEN, 1);
    for (every, likely) in [(10, 110..240), (2, 0..10)] {
        // A share w of the third sweep's answers is made up; eight leaves of it are opened: (1 - 0.1)^8 = 0.43, (1/2)^8 = 0.004.
        let third = swept(TEN, 1, &blocks, |sweep, at, word| {
            *word ^= u32::from(sweep == 2 && at % every == 0);
        });
        let seen = passed(&third.into(), 400);
        assert!(likely.contains(&seen), "{seen} at one of {every}");
    }
    // Not one sweep of as many as there may be is left out: each is opened.
    for sweeps in [2, 5, 31, 32] {
        let task = FillTask {
            blocks: 130,
            passes: 1,
            sweeps,
        };
        let blocks = filled(task, 1);
        for left_out in [0, task.sweeps - 1] {
            let sent = swept(task, 1, &blocks, |sweep, _, word| {
                if u32::try_from(sweep) == Ok(left_out) {
                    *word = 9;
                }
            });
            let wrong = Err(ProofReason::WrongReads);
            assert_eq!(
                judged(task, &sent.into(), 1, 7),
                wrong,
                "{left_out} of {sweeps}"
            );
        }
    }
}

#[test]
fn forged_memory_of_one_word_a_block_is_wrong() {
    let mut blocks = filled(TEN, 1);
    for words in &mut blocks {
        words[1..].fill(0);
    }
    let one = swept(TEN, 1, &blocks, |_, _, _| {}).into();
    assert_eq!(passed(&one, 100), 0);
    // Nor is it enough to lack one word, or one bit of it: there is nothing to guess by.
    let mut blocks = filled(TEN, 1);
    for words in &mut blocks {
        words[777] ^= 1 << 9;
    }
    let less = swept(TEN, 1, &blocks, |_, _, _| {}).into();
    assert_eq!(passed(&less, 100), 0);
}

#[test]
fn forged_keys_that_are_known_before_the_roots_help_nobody() {
    let blocks = filled(TEN, 1);
    let one = |key| sweep::answers(key, &blocks);
    // It reads its memory once, under keys of its own choice for all sweeps but the first.
    let guessed = |text: &str| match text {
        "00" => sweep::key(&binding(1), text),
        _ => Key([1, 2, 3, 4]),
    };
    let guesses = Sweeps::of("00", TEN.sweeps, guessed, one, || true).expect("it goes on");
    assert_eq!(passed(&guesses.into(), 100), 0);
    // It makes up the roots, so that all keys are known at once; the answers under them are right, but stand under other roots.
    let roots: Vec<String> = (0..4).map(|n| format!("{n:064x}")).collect();
    let keys = sweep::keys(&binding(1), "00", &roots);
    let mut at = 0;
    let next = |_: &str| Key([0; 4]);
    let known = |_: Key| {
        at += 1;
        sweep::answers(keys[at - 1], &blocks)
    };
    let sweeps = Sweeps::of("00", TEN.sweeps, next, known, || true).expect("it goes on");
    let sent = Sent { roots, sweeps };
    assert_eq!(judged(TEN, &sent, 1, 5), Err(ProofReason::Malformed));
    // The first sweep's answers for all of them.
    let first = Sweeps::of("00", TEN.sweeps, |_| guessed("00"), one, || true);
    assert_eq!(passed(&first.expect("it goes on").into(), 100), 0);
}

#[test]
fn forged_reads_of_another_challenge_or_node_are_wrong() {
    let task = FillTask {
        blocks: 70,
        passes: 2,
        sweeps: 3,
    };
    let wrong = Err(ProofReason::WrongReads);
    assert_eq!(judged(task, &honest(task, 1), 2, 5), wrong, "a replay");
    let zeros = swept(task, 1, &filled(task, 1), |_, _, word| *word = 0);
    assert_eq!(judged(task, &zeros.into(), 1, 5), wrong, "zeros");
    // Filled for this challenge, but swept under an older one's keys.
    let stale = swept(task, 2, &filled(task, 1), |_, _, _| {});
    assert_eq!(judged(task, &stale.into(), 1, 5), wrong);
    for (blocks, sweeps) in [(69, 3), (70, 2)] {
        let less = FillTask {
            blocks,
            sweeps,
            ..task
        };
        let sent = honest(less, 1);
        assert_eq!(judged(task, &sent, 1, 5), Err(ProofReason::Malformed));
    }
}

#[test]
fn forged_openings_do_not_stand_under_the_root() {
    let task = FillTask {
        blocks: 64 * 20,
        passes: 1,
        sweeps: 2,
    };
    // Nothing is computed before it is known what is asked: the roots are of zeros, the openings are right.
    let real = honest(task, 1);
    let roots = swept(task, 1, &filled(task, 1), |_, _, word| *word = 0).roots();
    let places = check::places(secret(1), 20, 2);
    assert_eq!(places.len(), 32);
    let check = |roots: &[String], openings: &[protocol::proof::Opening]| {
        let check = SweepCheck {
            key: key(1, Purpose::Fill),
            sweeps: &sweep::keys(&binding(1), "00", roots),
            task,
            roots,
            places: &places,
            secret: secret(2),
        };
        check::sweeps(&check, openings).map_err(|fault| fault.reason)
    };
    let open = |places: &[Place]| real.sweeps.open(places);
    let malformed = Err(ProofReason::Malformed);
    assert_eq!(check(&real.roots, &open(&places)), Ok(()));
    assert_eq!(check(&roots, &open(&places)), malformed);
    assert_eq!(check(&real.roots, &open(&places[1..])), malformed);
    assert_eq!(check(&real.roots[1..], &open(&places)), malformed);
    let mut turned = open(&places);
    turned.reverse();
    assert_eq!(check(&real.roots, &turned), malformed);
    let other: Vec<Place> = places
        .iter()
        .map(|place| Place {
            sweep: 1 - place.sweep,
            ..*place
        })
        .collect();
    assert_eq!(
        check(&real.roots, &open(&other)),
        malformed,
        "another sweep's"
    );
    let mut garbled = open(&places);
    garbled[0].words = "zz".into();
    assert_eq!(check(&real.roots, &garbled), malformed);
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

proptest! {
    #[test]
    fn places_are_spread_over_the_sweeps(groups in 1_u32..5_000, sweeps in 1_u32..=SWEEPS_MAX, draw: u64) {
        let places = check::places(secret(draw), groups, sweeps);
        let all = groups.saturating_mul(sweeps).min(GROUPS_OPENED);
        prop_assert_eq!(u32::try_from(places.len()), Ok(all));
        let of = |sweep| places.iter().filter(|place| place.sweep == sweep).count();
        let (least, most) = ((0..sweeps).map(of).min(), (0..sweeps).map(of).max());
        prop_assert!(least >= Some(1) && most.zip(least).is_some_and(|(most, least)| most - least <= 1));
        prop_assert!(places.iter().all(|place| place.group < groups));
        let mut apart = places.clone();
        apart.sort_unstable();
        apart.dedup();
        prop_assert_eq!(apart.len(), places.len());
    }
}

/// A card that runs at a share of its figures, in percent; of its bandwidth a sweep, which reads in order, reaches a tenth more.
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
    // What does not fit is computed again when it is asked for: in each sweep.
    let missing = claimed_mib.saturating_sub(memory_mib) * 1_000 / claimed_mib;
    let sweep_ms = ms(check::swept(fill), real.gbytes, memory + 10);
    let again_ms = fill_ms * u64::from(fill.sweeps);
    let took = Timings {
        fill_ms: 60 + fill_ms,
        read_ms: 90 + (sweep_ms * (1_000 - missing) + again_ms * missing) / 1_000,
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
                most.product_ms < 6_000 && most.fill_ms < 40_000 && most.read_ms < 4_500,
                "{}: {most:?}",
                band.name
            );
            assert!(
                fill.blocks >= u32::try_from(mib).unwrap() * 60,
                "94 % of its memory"
            );
            // The answers stay on the card: five bytes for each block and sweep, under one percent.
            assert!(fill.sweeps * 5 * 100 < 16_384);
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
    // So does a card that is faster than what it claims, as long as it lacks much.
    assert_eq!(times("RTX 4090", 24_564, 30, 80, "RTX A6000", 49_140), slow);
    assert_eq!(
        times("RTX 5090", 32_607, 30, 80, "RTX 6000 Ada", 49_140),
        slow
    );
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

/// GB/s of the widest bus that cards of the table sit on: PCIe 5.0 with 16 lanes.
const BUS: u64 = 63;

/// Of a model's memory, in thousandths, what may lie behind a bus (GB/s), so that the sweeps are in time all the same: the rest is swept
/// by the card meanwhile, and costs nothing.
fn behind(band: &models::Band, gib: u32, bus: u64) -> u64 {
    let mib = u64::from(gib) * 1_024;
    let (fill, product) = tasks(DeviceClass::Gpu, mib, Some(band), Bounds::default());
    let most = check::limits(band, fill, product).read_ms;
    bus * 1_000_000 * most * 1_000 / check::swept(fill)
}

/// What docs/proof.md says under "Main memory in place of the card's".
#[test]
fn forged_memory_behind_the_bus_is_late_except_on_the_slowest_cards() {
    let all = |bus: u64, share: u64| -> Vec<String> {
        let sizes = models::BANDS
            .iter()
            .flat_map(|band| band.gib.iter().map(move |gib| (band, *gib)));
        sizes
            .filter(|(band, gib)| behind(band, *gib, bus) >= share)
            .map(|(band, gib)| format!("{} {gib}", band.name))
            .collect()
    };
    // All of it: these models' own memory is hardly faster than that bus.
    assert_eq!(all(BUS, 950), WHOLE);
    assert_eq!(all(BUS, 500), HALF);
    // On the bus before (PCIe 4.0), and on the narrower ones that small cards have, no model's.
    assert_eq!(all(BUS / 2, 550), [""; 0]);
    for (model, gib, share) in [
        ("B200", 180, 40),
        ("H200", 141, 61),
        ("H100", 80, 92),
        ("A100", 80, 188),
        ("RTX 5090", 32, 188),
        ("RTX 4090", 24, 305),
        ("RTX 3090", 24, 325),
        ("L40S", 48, 335),
    ] {
        let band = models::find(model).expect("a model of the table");
        let own = behind(band, gib, BUS);
        assert!(own <= share, "{model}: {own}");
    }
}

/// And what is not kept at all, but computed anew in each sweep, by a card at the whole of its published bandwidth.
#[test]
fn forged_memory_that_is_computed_anew_is_late() {
    let mut worst = Vec::new();
    for band in models::BANDS {
        for gib in band.gib {
            let mib = u64::from(*gib) * 1_024;
            let (fill, product) = tasks(DeviceClass::Gpu, mib, Some(band), Bounds::default());
            let most = check::limits(band, fill, product).read_ms;
            let ms = |bytes: u64| bytes / (u64::from(band.gbytes) * 1_000_000);
            let again = ms(check::traffic(fill)) * u64::from(fill.sweeps);
            let swept = ms(check::swept(fill));
            // Of thousandths m: again * m + swept * (1000 - m) <= most * 1000.
            let missing = most.saturating_sub(swept) * 1_000 / again.saturating_sub(swept);
            assert!(missing <= 300, "{} {gib}: {missing}", band.name);
            if missing > 150 {
                worst.push(format!("{} {gib}", band.name));
            }
        }
    }
    assert_eq!(worst, ANEW);
}

const WHOLE: [&str; 4] = ["RTX 4060 Ti 8", "RTX 4060 Ti 16", "RTX 4060 8", "L4 24"];
const HALF: [&str; 20] = [
    "RTX 4070 Ti 12",
    "RTX 4070 SUPER 12",
    "RTX 4070 12",
    "RTX 4060 Ti 8",
    "RTX 4060 Ti 16",
    "RTX 4060 8",
    "RTX 3080 10",
    "RTX 3070 8",
    "RTX 3060 Ti 8",
    "RTX 3060 8",
    "RTX 3060 12",
    "RTX 2080 Ti 11",
    "GTX 1080 Ti 11",
    "L4 24",
    "RTX A4000 16",
    "T4 16",
    "P100 12",
    "P100 16",
    "P40 24",
    "RX 6900 XT 16",
];
const ANEW: [&str; 10] = [
    "RTX 4060 Ti 16",
    "A100 80",
    "L40S 48",
    "L40 48",
    "L4 24",
    "A40 48",
    "RTX 6000 Ada 48",
    "RTX A6000 48",
    "T4 16",
    "P40 24",
];
