//! Memory that can only be answered for by having it.
//!
//! A word that follows from its place by a short formula proves nothing: it is computed when it is asked for. So a word here is part of
//! a block that must be computed as a whole: each pass goes over the block in place, and each word takes in the one before it, its
//! own older value and two others of the block. Without the block, one word of it costs the block. And since one word of EVERY
//! block is asked for, with a root over all of them in a short time, what was not kept must be computed again in that time.
//! The server checks a few blocks that it draws after the root came.

use protocol::proof::{FillTask, Opening};

use crate::key::{Key, Row, scramble};
use crate::tree::{self, Tree};

/// Words of a block: 16 KiB.
pub const BLOCK_WORDS: u32 = 4_096;
pub const BLOCK_LEN: usize = 4_096;
pub const BLOCK_BYTES: u64 = 16_384;
/// Blocks whose answers are one leaf.
pub const GROUP: u32 = 64;
const GROUP_LEN: usize = 64;
const GOLDEN: u32 = 0x9e37_79b9;

/// A block of its own length.
pub type Block = [u32; BLOCK_LEN];

/// Fills one block.
pub fn block(key: Key, number: u32, passes: u32, words: &mut Block) {
    let [first, second, third, _] = key.0;
    let mut before = scramble(number ^ first).wrapping_add(second);
    let mut at = 0_u32;
    for word in words.iter_mut() {
        before = scramble(before.wrapping_add(at.wrapping_mul(GOLDEN)) ^ third);
        *word = before;
        at = at.wrapping_add(1);
    }
    for pass in 1..=passes {
        let mut step = pass.wrapping_mul(BLOCK_WORDS);
        for at in 0..BLOCK_LEN {
            let (one, other) = partners(key, step);
            let mut x = scramble(before ^ words[at]);
            x = scramble(x.wrapping_add(words[one]));
            x = scramble(x ^ words[other]);
            words[at] = x;
            before = x;
            step = step.wrapping_add(1);
        }
    }
}

/// Which two others a word takes in: the same for all blocks, so that a card's threads read side by side.
#[inline]
fn partners(key: Key, step: u32) -> (usize, usize) {
    let [.., third, fourth] = key.0;
    let within = |x: u32| usize::try_from(x % BLOCK_WORDS).unwrap_or(0);
    (
        within(scramble(step ^ fourth)),
        within(scramble(step.wrapping_add(third))),
    )
}

/// Which word of a block is asked for.
#[inline]
pub fn position(read: Key, number: u32) -> usize {
    usize::try_from(read.word(number, 0) % BLOCK_WORDS).unwrap_or(0)
}

/// How many leaves the answers of so many blocks make.
pub const fn groups(blocks: u32) -> u32 {
    blocks.div_ceil(GROUP)
}

/// The answers of all blocks as a tree. `answers` stands in the order of the blocks.
#[derive(Debug, Clone)]
pub struct Reads {
    answers: Vec<u32>,
    tree: Tree,
}

impl Reads {
    pub fn of(answers: Vec<u32>) -> Self {
        let tree = Tree::of(answers.chunks(GROUP_LEN).map(tree::leaf).collect());
        Self { answers, tree }
    }

    pub fn root(&self) -> String {
        self.tree.root()
    }

    pub fn open(&self, groups: &[u32]) -> Vec<Opening> {
        let of = |index: &u32| {
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            let words = self.answers.chunks(GROUP_LEN).nth(at);
            Opening {
                index: *index,
                words: crate::check::to_hex(words.unwrap_or_default()),
                path: self.tree.path(*index),
            }
        };
        groups.iter().map(of).collect()
    }
}

/// The plain way: memory of this machine, one block after the other. `go_on` is asked before each.
pub fn filled(key: Key, task: FillTask, mut go_on: impl FnMut() -> bool) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    for number in 0..task.blocks {
        if !go_on() {
            return None;
        }
        let mut words = [0; BLOCK_LEN];
        block(key, number, task.passes, &mut words);
        blocks.push(words);
    }
    Some(blocks)
}

/// What of filled blocks is asked for.
pub fn answers(read: Key, blocks: &[Block]) -> Vec<u32> {
    let numbered = (0..).zip(blocks);
    numbered
        .map(|(number, words)| words[position(read, number)])
        .collect()
}

/// What one block should answer.
pub fn expected(key: Key, read: Key, number: u32, passes: u32) -> u32 {
    let mut words = [0; BLOCK_LEN];
    block(key, number, passes, &mut words);
    words[position(read, number)]
}

/// Which block of an opened group is checked: drawn by the server, never told.
pub fn checked(secret: Row, group: u32, blocks: u32) -> u32 {
    let first = group.saturating_mul(GROUP);
    let many = blocks.saturating_sub(first).clamp(1, GROUP);
    first.saturating_add(secret.word(group) % many)
}
