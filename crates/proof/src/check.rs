//! Whether answers are right, and whether they came at the pace of the model.

use protocol::proof::{FillTask, Opening, ProductTask, ProofReason};

use crate::fill;
use crate::key::Key;
use crate::models::Band;
use crate::product::Freivalds;
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
    pub read_ms: u64,
    pub product_ms: u64,
}

/// Of a card's published figures, so much is asked: the shader is a plain one for every card, drivers differ, and the time on the
/// line is within. In percent.
pub const COMPUTE_FLOOR: u64 = 5;
pub const MEMORY_FLOOR: u64 = 10;
/// And more than this cannot be: clocks are raised by a little, not by half.
pub const COMPUTE_CEILING: u64 = 150;
/// For the line and the queue in front of the device.
pub const FILL_ALLOWANCE_MS: u64 = 10_000;
pub const READ_ALLOWANCE_MS: u64 = 1_000;
pub const PRODUCT_ALLOWANCE_MS: u64 = 1_500;
/// What a word of each pass moves: it is read with the one before it in a register, two others, and written.
const WORDS_PER_STEP: u64 = 4;
/// A card reads at least so much for one word somewhere.
const READ_BYTES: u64 = 64;

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

/// The words of each opening, when they are exactly those that were asked for and stand under the root.
fn opened(
    root: &str,
    count: u32,
    asked: &[u32],
    openings: &[Opening],
) -> Result<Vec<Vec<u32>>, Fault> {
    let malformed = |detail: &str| fault(ProofReason::Malformed, detail);
    if openings.len() != asked.len() {
        return Err(malformed("other leaves were opened than asked for"));
    }
    let one = |(index, opening): (&u32, &Opening)| {
        let words = from_hex(&opening.words).filter(|_| opening.index == *index);
        let words = words.ok_or_else(|| malformed("an opened leaf is not the one asked for"))?;
        if tree::shows(root, count, *index, tree::leaf(&words), &opening.path) {
            Ok(words)
        } else {
            Err(malformed(
                "an opened leaf does not stand under the root sent before",
            ))
        }
    };
    asked.iter().zip(openings).map(one).collect()
}

/// What was read back.
#[derive(Debug, Clone, Copy)]
pub struct ReadCheck<'a> {
    pub key: Key,
    pub read: Key,
    pub task: FillTask,
    pub root: &'a str,
    pub groups: &'a [u32],
    /// Drawn after the root came; it says which block of each group is computed again.
    pub secret: Key,
}

/// # Errors
/// What is wrong with the answers.
pub fn reads(check: &ReadCheck<'_>, openings: &[Opening]) -> Result<(), Fault> {
    let FillTask { blocks, passes } = check.task;
    let opened = opened(check.root, fill::groups(blocks), check.groups, openings)?;
    let secret = check.secret.row(0);
    for (group, words) in check.groups.iter().zip(opened) {
        let first = group.saturating_mul(fill::GROUP);
        let many = blocks.saturating_sub(first).min(fill::GROUP);
        if u32::try_from(words.len()) != Ok(many) {
            return Err(fault(ProofReason::Malformed, "a group has another length"));
        }
        let block = fill::checked(secret, *group, blocks);
        let at = usize::try_from(block.saturating_sub(first)).unwrap_or(usize::MAX);
        if words.get(at) != Some(&fill::expected(check.key, check.read, block, passes)) {
            return Err(fault(
                ProofReason::WrongReads,
                format!("block {block} of {blocks} does not hold what was filled in"),
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
    let opened = opened(root, task.size, asked, openings)?;
    for (row, words) in asked.iter().zip(opened) {
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
    let read = u64::from(fill.blocks).saturating_mul(READ_BYTES);
    Timings {
        fill_ms: FILL_ALLOWANCE_MS.saturating_add(at(traffic(fill), band.gbytes, MEMORY_FLOOR)),
        read_ms: READ_ALLOWANCE_MS.saturating_add(at(read, band.gbytes, MEMORY_FLOOR)),
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
        ("reading its memory", took.read_ms, most.read_ms),
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
