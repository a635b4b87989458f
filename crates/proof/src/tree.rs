//! A tree of hashes over what was computed: it is sent before it is known which leaves are to be opened.
//!
//! SHA-256; a leaf is hashed behind a zero byte, a pair behind a one byte; one that is left over goes up as it is.

use sha2::{Digest, Sha256};

type Hash = [u8; 32];

pub fn leaf(words: &[u32]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    for word in words {
        hasher.update(word.to_le_bytes());
    }
    hasher.finalize().into()
}

fn pair(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// All levels, the leaves first.
#[derive(Debug, Clone)]
pub struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    pub fn of(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below
                .chunks(2)
                .map(|two| match two {
                    [left, right] => pair(left, right),
                    one => one.first().copied().unwrap_or_default(),
                })
                .collect();
            levels.push(above);
        }
        Self { levels }
    }

    pub fn root(&self) -> String {
        let top = self.levels.last().and_then(|level| level.first());
        hex::encode(top.copied().unwrap_or_default())
    }

    /// The hashes beside the way up from a leaf.
    pub fn path(&self, index: u32) -> Vec<String> {
        let mut at = usize::try_from(index).unwrap_or(usize::MAX);
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend(level.get(at ^ 1).map(hex::encode));
            at /= 2;
        }
        path
    }
}

/// Whether a leaf stands at a place of a tree of so many leaves.
pub fn shows(root: &str, count: u32, index: u32, leaf: Hash, path: &[String]) -> bool {
    if index >= count {
        return false;
    }
    let (mut at, mut width, mut hash) = (index, count, leaf);
    let mut beside = path.iter();
    while width > 1 {
        if at ^ 1 < width {
            let mut other = [0; 32];
            let read = beside
                .next()
                .is_some_and(|text| hex::decode_to_slice(text, &mut other).is_ok());
            if !read {
                return false;
            }
            hash = if at % 2 == 0 {
                pair(&hash, &other)
            } else {
                pair(&other, &hash)
            };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    beside.next().is_none() && hex::encode(hash) == root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leaf_shows_its_place_and_no_other() {
        for count in 1..40_u32 {
            let leaves: Vec<Hash> = (0..count).map(|n| leaf(&[n])).collect();
            let tree = Tree::of(leaves.clone());
            for (index, own) in (0..count).zip(&leaves) {
                let path = tree.path(index);
                assert!(shows(&tree.root(), count, index, *own, &path));
                assert!(!shows(&tree.root(), count, index, leaf(&[99]), &path));
                assert!(
                    count == 1 || !shows(&tree.root(), count, (index + 1) % count, *own, &path)
                );
                let longer: Vec<String> = path.iter().cloned().chain(["00".into()]).collect();
                assert!(!shows(&tree.root(), count, index, *own, &longer));
                assert!(!shows(&tree.root(), count, count, *own, &path));
            }
        }
        assert_eq!(Tree::of(Vec::new()).root(), "0".repeat(64));
    }
}
