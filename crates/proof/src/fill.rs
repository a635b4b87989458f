//! Memory that can only be answered for by having it.
//!
//! A word that follows from its place by a short formula proves nothing: it is computed when it is asked for. So a word here is part of
//! a block that must be computed as a whole: each pass goes over the block in place, and each word takes in the one before it, its
//! own older value and two others of the block. Without the block, one word of it costs the block. And since all words of EVERY
//! block are asked for (`sweep`), again and again, what was not kept must be computed again each time.

use protocol::proof::FillTask;

use crate::key::{Key, scramble};

/// Words of a block: 16 KiB.
pub const BLOCK_WORDS: u32 = 4_096;
pub const BLOCK_LEN: usize = 4_096;
pub const BLOCK_BYTES: u64 = 16_384;
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
