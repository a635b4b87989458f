//! Sweeps over filled memory: every word of every block is read, again and again.
//!
//! A sweep folds each block to one word under a key, and all of these words stand under one root. The next sweep's key follows from
//! that root, so none can begin before the one before it has ended, and what a block answers in one sweep is of no use in another.
//! Whoever keeps blocks where they are read slowly (the machine's own memory, behind the bus) is late; whoever does not keep them
//! computes them anew in each sweep. The server checks a few blocks that it draws after all roots came.
//!
//! The fold mixes exclusive-or, rotation and multiplication: a polynomial modulo 2³² in the key is, as a function, one of degree 33 at
//! most, whatever its degree (2³² divides 34!), so 34 numbers would answer for the block under any key.

use protocol::proof::{Opening, Place};
use sha2::{Digest, Sha256};

use crate::fill::Block;
use crate::key::{Binding, Key, Purpose, Row};
use crate::tree::{self, Tree};

/// Parts of a block that are folded side by side, then together: so many threads of a card read one block.
pub const PARTS: u32 = 8;
const PART_LEN: usize = 512;
/// Blocks whose answers are one leaf.
pub const GROUP: u32 = 64;
const GROUP_LEN: usize = 64;
const ROTATION: u32 = 13;

/// The key of the sweep that follows from this text: what was asked for the first, the root before for each other.
pub fn key(binding: &Binding<'_>, text: &str) -> Key {
    Key::new(binding, text, Purpose::Sweep)
}

/// The keys of all sweeps, as what was asked and the roots say.
pub fn keys(binding: &Binding<'_>, asked: &str, roots: &[String]) -> Vec<Key> {
    let before = std::iter::once(asked).chain(roots.iter().map(String::as_str));
    before
        .take(roots.len())
        .map(|text| key(binding, text))
        .collect()
}

/// What is kept of the roots: they follow from what was filled, so one hash over them will do.
pub fn digest(roots: &[String]) -> String {
    hex::encode(Sha256::digest(roots.concat()))
}

/// All words of a block as one. Each step can be undone, so another word anywhere makes another result.
pub fn fold(key: Key, number: u32, words: &Block) -> u32 {
    let row = key.row(number);
    let [.., third, addend] = key.0;
    let factor = third | 1;
    let step = |state: u32, word: &u32| {
        let turned = (state ^ word).rotate_left(ROTATION);
        turned.wrapping_mul(factor).wrapping_add(addend)
    };
    let parts = (0..).zip(words.chunks(PART_LEN));
    parts.fold(row.word(PARTS), |whole, (part, words)| {
        step(whole, &words.iter().fold(row.word(part), step))
    })
}

/// How many leaves the answers of so many blocks make.
pub const fn groups(blocks: u32) -> u32 {
    blocks.div_ceil(GROUP)
}

/// Which block of an opened group is checked: drawn by the server, never told.
pub fn checked(secret: Row, group: u32, blocks: u32) -> u32 {
    let first = group.saturating_mul(GROUP);
    let many = blocks.saturating_sub(first).clamp(1, GROUP);
    first.saturating_add(secret.word(group) % many)
}

/// The answers of all blocks in one sweep as a tree, in the order of the blocks.
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

    pub fn open(&self, group: u32) -> Opening {
        let at = usize::try_from(group).unwrap_or(usize::MAX);
        let words = self.answers.chunks(GROUP_LEN).nth(at);
        Opening {
            index: group,
            words: crate::check::to_hex(words.unwrap_or_default()),
            path: self.tree.path(group),
        }
    }
}

/// What blocks answer in one sweep.
pub fn answers(key: Key, blocks: &[Block]) -> Vec<u32> {
    let numbered = (0..).zip(blocks);
    numbered
        .map(|(number, words)| fold(key, number, words))
        .collect()
}

/// All sweeps of a challenge.
#[derive(Debug, Clone, Default)]
pub struct Sweeps(Vec<Reads>);

impl Sweeps {
    /// The plain way: `one` gives the answers under a key, `next` the key that follows from a text. `go_on` is asked before each sweep.
    pub fn of(
        asked: &str,
        sweeps: u32,
        next: impl Fn(&str) -> Key,
        mut one: impl FnMut(Key) -> Vec<u32>,
        go_on: impl Fn() -> bool,
    ) -> Option<Self> {
        let mut text = asked.to_owned();
        let mut all = Vec::new();
        for _ in 0..sweeps {
            if !go_on() {
                return None;
            }
            let reads = Reads::of(one(next(&text)));
            text = reads.root();
            all.push(reads);
        }
        Some(Self(all))
    }

    pub fn roots(&self) -> Vec<String> {
        self.0.iter().map(Reads::root).collect()
    }

    /// A place that there is not opens as nothing.
    pub fn open(&self, places: &[Place]) -> Vec<Opening> {
        let of = |place: &Place| {
            let at = usize::try_from(place.sweep).unwrap_or(usize::MAX);
            Some(self.0.get(at)?.open(place.group))
        };
        places.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::BLOCK_LEN;

    fn block() -> Block {
        let mut words = [0; BLOCK_LEN];
        crate::fill::block(Key([5, 6, 7, 8]), 3, 2, &mut words);
        words
    }

    #[test]
    fn every_bit_of_a_block_changes_its_fold_and_the_key_changes_half_of_it() {
        let (key, words) = (Key([1, 2, 3, 4]), block());
        let own = fold(key, 3, &words);
        for at in 0..BLOCK_LEN {
            let mut other = words;
            other[at] ^= 1 << (at % 32);
            assert_ne!(fold(key, 3, &other), own, "word {at}");
        }
        let mut swapped = words;
        swapped.swap(700, 1_900);
        assert_ne!(fold(key, 3, &swapped), own, "their order counts");
        assert_ne!(fold(key, 4, &words), own, "so does the block's number");
        // Each bit of the key but the one that makes the factor odd.
        let turned: u32 = (1..128_u32)
            .filter(|bit| *bit != 64)
            .map(|bit| {
                let mut other = key.0;
                other[usize::try_from(bit / 32).unwrap()] ^= 1 << (bit % 32);
                (fold(Key(other), 3, &words) ^ own).count_ones()
            })
            .sum();
        assert!((14 * 126..18 * 126).contains(&turned), "{turned}");
        // Written down, so that the formula stays what it is.
        assert_eq!(fold(key, 0, &[0; BLOCK_LEN]), ZEROES);
    }

    const ZEROES: u32 = 0xee2b_d3a0;

    /// What a polynomial in a part of the key cannot withstand: the differences of an order above its degree are all zero.
    #[test]
    fn a_fold_is_no_polynomial_of_its_key() {
        let words = block();
        for part in 0..4 {
            let mut values: Vec<u32> = (0..64)
                .map(|n| {
                    let mut key = [9, 10, 11, 12];
                    // Even steps, since the factor is odd in any case.
                    key[part] = 2 * n;
                    fold(Key(key), 0, &words)
                })
                .collect();
            for _ in 0..40 {
                values = values
                    .windows(2)
                    .map(|two| two[1].wrapping_sub(two[0]))
                    .collect();
            }
            assert!(values.iter().filter(|value| **value != 0).count() > 20);
        }
    }

    #[test]
    fn each_key_follows_from_the_root_before() {
        let binding = Binding {
            challenge: kernel::ChallengeId::from_bytes([1; 16]),
            node_key: "ab",
            device_uuid: "GPU-1",
        };
        let blocks = vec![block(), block()];
        let next = |text: &str| key(&binding, text);
        let one = |key: Key| answers(key, &blocks);
        let sweeps = Sweeps::of("00", 3, next, one, || true).expect("it goes on");
        let roots = sweeps.roots();
        let keys = keys(&binding, "00", &roots);
        assert_eq!(keys[0], key(&binding, "00"));
        assert_eq!(keys[2], key(&binding, &roots[1]));
        assert_eq!(keys.len(), 3);
        for (root, key) in roots.iter().zip(&keys) {
            assert_eq!(*root, Reads::of(answers(*key, &blocks)).root());
        }
        assert!(roots[0] != roots[1] && roots[1] != roots[2]);
        assert!(Sweeps::of("00", 3, next, one, || false).is_none());
        let there = Place { sweep: 2, group: 0 };
        assert_eq!(sweeps.open(&[there]).len(), 1);
        assert_eq!(sweeps.open(&[Place { sweep: 3, ..there }]), []);
    }
}
