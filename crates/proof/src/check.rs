//! Whether answers are right, and whether they came at the pace of the model.

use protocol::proof::{FillTask, Opening, Place, ProductTask, ProofReason};

use crate::fill;
use crate::key::Key;
use crate::models::Band;
use crate::product::Freivalds;
use crate::sweep;
use crate::tree;

/// What is wrong with an answer: the kind, and the figures for whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    pub reason: ProofReason,
    pub detail: String,
}

pub(crate) fn fault(reason: ProofReason, detail: impl Into<String>) -> Fault {
    Fault {
        reason,
        detail: detail.into(),
    }
}

/// How long each answer took by the server's clock, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    pub fill_ms: u64,
    /// All sweeps.
    pub read_ms: u64,
    pub product_ms: u64,
}

/// Of a card's published figures, so much is asked: the shader is a plain one for every card, drivers differ, and the time on the
/// line is within. In percent.
pub const COMPUTE_FLOOR: u64 = 5;
pub const MEMORY_FLOOR: u64 = 10;
/// A sweep only reads, in order, and does next to nothing with what it reads: by every published measurement a card then reaches 70 % of
/// its bandwidth and more.
pub const SWEEP_FLOOR: u64 = 30;
/// And more than this cannot be: clocks are raised by a little, not by half.
pub const COMPUTE_CEILING: u64 = 150;
/// For the line and the queue in front of the device.
pub const FILL_ALLOWANCE_MS: u64 = 10_000;
pub const READ_ALLOWANCE_MS: u64 = 1_000;
pub const PRODUCT_ALLOWANCE_MS: u64 = 1_500;
/// What a word of each pass moves: it is read with the one before it in a register, two others, and written.
const WORDS_PER_STEP: u64 = 4;
/// For what comes between two sweeps: the driver, and one root that is brought back.
const BETWEEN_MS: u64 = 5;
/// Operations on the card to hash the answer of one block: SHA-256 takes some seven steps of some 4,000 operations for 64 blocks; twice that.
const HASH_OPERATIONS: u64 = 1_000;

/// Groups and rows that are opened.
pub const GROUPS_OPENED: u32 = 32;
pub const ROWS_OPENED: u32 = 16;

/// Different numbers below `count`, as many as there are and at most `want`, as a key says that was drawn after the root came.
pub fn sample(secret: Key, count: u32, want: u32) -> Vec<u32> {
    if count <= want {
        return (0..count).collect();
    }
    let row = secret.row(u32::MAX);
    let mut drawn = Vec::new();
    let mut at = 0_u32;
    let wanted = usize::try_from(want).unwrap_or(0);
    while drawn.len() < wanted {
        let one = row.word(at) % count;
        if !drawn.contains(&one) {
            drawn.push(one);
        }
        at = at.wrapping_add(1);
    }
    drawn
}

pub fn to_hex(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    hex::encode(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u32>> {
    let bytes = hex::decode(text).ok()?;
    let words = bytes.chunks_exact(4);
    if !words.remainder().is_empty() {
        return None;
    }
    let word = |four: &[u8]| {
        four.iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte))
    };
    Some(words.map(word).collect())
}

/// The words of an opening, when it is the one that was asked for and stands under the root.
fn opened(root: &str, count: u32, asked: u32, opening: &Opening) -> Result<Vec<u32>, Fault> {
    let malformed = |detail: &str| fault(ProofReason::Malformed, detail);
    let words = from_hex(&opening.words).filter(|_| opening.index == asked);
    let words = words.ok_or_else(|| malformed("an opened leaf is not the one asked for"))?;
    if tree::shows(root, count, asked, tree::leaf(&words), &opening.path) {
        Ok(words)
    } else {
        Err(malformed(
            "an opened leaf does not stand under the root sent before",
        ))
    }
}

fn as_many(asked: usize, openings: &[Opening]) -> Result<(), Fault> {
    if openings.len() == asked {
        return Ok(());
    }
    let detail = "other leaves were opened than asked for";
    Err(fault(ProofReason::Malformed, detail))
}

/// Which leaves of the sweeps are opened, as a key says that was drawn after all roots came: as many of each sweep as of any other, or
/// one more; which sweeps have one more is drawn too. Where there are few leaves, all of them.
pub fn places(secret: Key, groups: u32, sweeps: u32) -> Vec<Place> {
    let all = u64::from(groups).saturating_mul(u64::from(sweeps));
    if all <= u64::from(GROUPS_OPENED) {
        let of = |sweep| (0..groups).map(move |group| Place { sweep, group });
        return (0..sweeps).flat_map(of).collect();
    }
    let row = secret.row(u32::MAX);
    let mut sweep = row.word(0) % sweeps;
    let mut at = 1_u32;
    let mut drawn = Vec::new();
    for _ in 0..GROUPS_OPENED {
        // There are leaves left of this sweep: it has no fewer than its share of those that are opened.
        let mut place;
        loop {
            let group = row.word(at) % groups;
            place = Place { sweep, group };
            at = at.wrapping_add(1);
            if !drawn.contains(&place) {
                break;
            }
        }
        drawn.push(place);
        sweep = sweep.saturating_add(1) % sweeps;
    }
    drawn
}

/// What was read of the memory.
#[derive(Debug, Clone, Copy)]
pub struct SweepCheck<'a> {
    pub key: Key,
    /// One of each sweep: `sweep::keys`.
    pub sweeps: &'a [Key],
    pub task: FillTask,
    pub roots: &'a [String],
    pub places: &'a [Place],
    /// Drawn after the roots came; it says which block of each group is computed again.
    pub secret: Key,
}

/// # Errors
/// What is wrong with the answers.
pub fn sweeps(check: &SweepCheck<'_>, openings: &[Opening]) -> Result<(), Fault> {
    let FillTask {
        blocks,
        passes,
        sweeps,
    } = check.task;
    let malformed = |detail: &str| fault(ProofReason::Malformed, detail);
    if u32::try_from(check.roots.len()) != Ok(sweeps) {
        return Err(malformed("other sweeps were answered than asked for"));
    }
    as_many(check.places.len(), openings)?;
    let mut words = [0; fill::BLOCK_LEN];
    for (Place { sweep, group }, opening) in check.places.iter().zip(openings) {
        let at = usize::try_from(*sweep).unwrap_or(usize::MAX);
        let (Some(root), Some(key)) = (check.roots.get(at), check.sweeps.get(at)) else {
            return Err(malformed("a sweep was opened that there was not"));
        };
        let answers = opened(root, sweep::groups(blocks), *group, opening)?;
        let first = group.saturating_mul(sweep::GROUP);
        let many = blocks.saturating_sub(first).min(sweep::GROUP);
        if u32::try_from(answers.len()) != Ok(many) {
            return Err(malformed("a group has another length"));
        }
        let block = sweep::checked(check.secret.row(*sweep), *group, blocks);
        let at = usize::try_from(block.saturating_sub(first)).unwrap_or(usize::MAX);
        fill::block(check.key, block, passes, &mut words);
        if answers.get(at) != Some(&sweep::fold(*key, block, &words)) {
            let number = sweep.saturating_add(1);
            return Err(fault(
                ProofReason::WrongReads,
                format!(
                    "in sweep {number} of {sweeps}, block {block} of {blocks} does not hold what was filled in"
                ),
            ));
        }
    }
    Ok(())
}

/// # Errors
/// What is wrong with the opened rows of a product.
pub fn rows(
    freivalds: &Freivalds,
    task: ProductTask,
    root: &str,
    asked: &[u32],
    openings: &[Opening],
) -> Result<(), Fault> {
    as_many(asked.len(), openings)?;
    for (row, opening) in asked.iter().zip(openings) {
        let words = opened(root, task.size, *row, opening)?;
        if !freivalds.accepts(*row, &words) {
            return Err(fault(
                ProofReason::WrongProduct,
                format!("row {row} of {} is not the product's", task.size),
            ));
        }
    }
    Ok(())
}

/// Multiplications and additions of a product.
pub fn operations(task: ProductTask) -> u64 {
    let n = u64::from(task.size);
    n.saturating_mul(n)
        .saturating_mul(n)
        .saturating_mul(2)
        .saturating_mul(u64::from(task.factors))
}

/// Bytes that a fill moves.
pub fn traffic(task: FillTask) -> u64 {
    let bytes = u64::from(task.blocks).saturating_mul(fill::BLOCK_BYTES);
    bytes.saturating_mul(
        u64::from(task.passes)
            .saturating_mul(WORDS_PER_STEP)
            .saturating_add(1),
    )
}

/// Bytes that all sweeps read.
pub fn swept(task: FillTask) -> u64 {
    u64::from(task.blocks)
        .saturating_mul(fill::BLOCK_BYTES)
        .saturating_mul(u64::from(task.sweeps))
}

/// The most that each answer of a model may take.
pub fn limits(band: &Band, fill: FillTask, product: ProductTask) -> Timings {
    // GFLOPS are a million operations a millisecond, GB/s a million bytes.
    let at = |work: u64, giga: u32, percent: u64| {
        work.saturating_mul(100)
            / u64::from(giga)
                .saturating_mul(percent)
                .saturating_mul(1_000_000)
                .max(1)
    };
    let sweeps = u64::from(fill.sweeps);
    let hashes = u64::from(fill.blocks)
        .saturating_mul(sweeps)
        .saturating_mul(HASH_OPERATIONS);
    let read_ms = READ_ALLOWANCE_MS
        .saturating_add(sweeps.saturating_mul(BETWEEN_MS))
        .saturating_add(at(swept(fill), band.gbytes, SWEEP_FLOOR))
        .saturating_add(at(hashes, band.gflops, COMPUTE_FLOOR));
    Timings {
        fill_ms: FILL_ALLOWANCE_MS.saturating_add(at(traffic(fill), band.gbytes, MEMORY_FLOOR)),
        read_ms,
        product_ms: PRODUCT_ALLOWANCE_MS.saturating_add(at(
            operations(product),
            band.gflops,
            COMPUTE_FLOOR,
        )),
    }
}

/// Whether the answers came at the pace of the model.
///
/// # Errors
/// Slower than the slowest that is allowed, or faster than the model can be.
pub fn pace(band: &Band, fill: FillTask, product: ProductTask, took: Timings) -> Result<(), Fault> {
    let most = limits(band, fill, product);
    for (what, took, most) in [
        ("filling its memory", took.fill_ms, most.fill_ms),
        ("sweeping over its memory", took.read_ms, most.read_ms),
        ("multiplying", took.product_ms, most.product_ms),
    ] {
        if took > most {
            return Err(fault(
                ProofReason::TooSlow,
                format!(
                    "{what} took {took} ms, where a {} takes {most} ms at most",
                    band.name
                ),
            ));
        }
    }
    let possible = u64::from(band.gflops)
        .saturating_mul(COMPUTE_CEILING)
        .saturating_mul(10_000);
    let least = operations(product) / possible.max(1);
    if took.product_ms.saturating_add(1) < least {
        return Err(fault(
            ProofReason::TooFast,
            format!(
                "multiplying took {} ms, where a {} needs {least} ms at least",
                took.product_ms, band.name
            ),
        ));
    }
    Ok(())
}

/// Operations a second, in 10⁹; what a time shows at least, the line within.
pub fn gflops(product: ProductTask, product_ms: u64) -> u64 {
    operations(product) / product_ms.max(1) / 1_000_000
}
