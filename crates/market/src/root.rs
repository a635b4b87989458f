//! The Merkle root of a whole book: one hash that says which offers there were, and proofs that one of them was there.
//!
//! A leaf is one offer as bytes ([`leaf_bytes`], docs/market.md), hashed as RFC 6962 does (a zero byte before leaves, a
//! one before pairs). Offers are dealt over 2^14 buckets by the last 14 bits of their device's id, which are random;
//! a bucket's hash is the RFC 6962 tree over its leaves in the order of their ids, and a fixed tree of 14 levels stands on
//! the buckets. So the root depends on the set of offers alone, not on what happened to it; a change touches one bucket
//! and 14 pairs, and only when somebody asks for the root: until then a bit marks the bucket.

use kernel::DeviceId;
use protocol::spec::DeviceClass;
use sha2::{Digest as _, Sha256};

use crate::index::{Index, RowId};
use crate::offer::{Offer, Supply};

const LEVELS: u32 = 14;
const BUCKETS: usize = 1 << LEVELS;
const WORD: usize = 64;
/// No row: the end of a chain.
const NONE: RowId = RowId::MAX;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    fn pair(left: Self, right: Self) -> Self {
        Self::of(&[&[1], &left.0, &right.0])
    }

    /// Of several books: another first byte than leaves and pairs have.
    pub(crate) fn books(roots: [Self; 3]) -> Self {
        let [on_demand, spot, reserved] = roots;
        Self::of(&[&[2], &on_demand.0, &spot.0, &reserved.0])
    }

    /// The tree over nothing.
    fn nothing() -> Self {
        Self::of(&[])
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// An offer as its leaf covers it: everything that a choice depends on, and whether somebody has it, not who.
pub fn leaf_bytes(offer: &Offer) -> Vec<u8> {
    // Named one by one: a field that is added must be hashed too, or this does not compile.
    let Offer {
        device,
        node,
        owner,
        class,
        model,
        device_memory_mib,
        cards,
        driver,
        cuda,
        cpus,
        memory_mib,
        disk_mib,
        up_mbit,
        down_mbit,
        country,
        group,
        reputation,
        verified,
        watts,
        min_duration,
        max_duration,
        price,
        joined_at,
        supply,
        holder,
    } = offer;
    let mut bytes = Vec::with_capacity(192);
    bytes.push(1);
    for id in [device.as_bytes(), node.as_bytes(), owner.as_bytes()] {
        bytes.extend_from_slice(id);
    }
    bytes.push(match class {
        DeviceClass::Gpu => 0,
        DeviceClass::Cpu => 1,
    });
    bytes.push(match supply {
        Supply::Offered => 0,
        Supply::Paused => 1,
        Supply::Down => 2,
        Supply::Blocked => 3,
        Supply::Closed => 4,
    });
    bytes.push(u8::from(holder.is_some()));
    for number in [
        *cards,
        driver.get(),
        cuda.get(),
        *cpus,
        *up_mbit,
        *down_mbit,
        *reputation,
        *verified,
        *watts,
    ] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for number in [
        *device_memory_mib,
        *memory_mib,
        *disk_mib,
        min_duration.get(),
        max_duration.map_or(u64::MAX, kernel::Seconds::get),
    ] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for number in [price.per_second().base(), joined_at.millis()] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    let country = country.as_ref().map_or("", |country| country.as_str());
    for text in [&**model, country, group.as_deref().unwrap_or("")] {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn leaf(offer: &Offer) -> Digest {
    Digest::of(&[&[0], &leaf_bytes(offer)])
}

/// Ids are UUIDv7, whose last bytes are random: no hash is needed to spread them.
fn bucket_of(device: DeviceId) -> usize {
    let [.., high, low] = *device.as_bytes();
    usize::from(u16::from_be_bytes([high, low])) % BUCKETS
}

/// Where RFC 6962 cuts a list: at the largest power of two below its length.
fn cut(length: usize) -> usize {
    length.next_power_of_two() / 2
}

fn tree(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::nothing(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(cut(more.len()));
            Digest::pair(tree(left), tree(right))
        }
    }
}

/// The hashes beside the way from a leaf up to its bucket's, the lowest first.
fn beside(leaves: &[Digest], index: usize, path: &mut Vec<Digest>) {
    if leaves.len() < 2 {
        return;
    }
    let (left, right) = leaves.split_at(cut(leaves.len()));
    if index < left.len() {
        beside(left, index, path);
        path.push(tree(right));
    } else {
        beside(right, index.saturating_sub(left.len()), path);
        path.push(tree(left));
    }
}

/// From a leaf up to its bucket's hash; `None`: the path is not as long as it must be.
fn climb(leaf: Digest, index: usize, length: usize, path: &[Digest]) -> Option<Digest> {
    if length == 1 {
        return path.is_empty().then_some(leaf);
    }
    let (last, rest) = path.split_last()?;
    let left = cut(length);
    if index < left {
        Some(Digest::pair(climb(leaf, index, left, rest)?, *last))
    } else {
        let inner = climb(
            leaf,
            index.checked_sub(left)?,
            length.checked_sub(left)?,
            rest,
        )?;
        Some(Digest::pair(*last, inner))
    }
}

/// That one offer, in exactly this state, is in the book of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Leaves in the bucket, and which of them it is.
    pub leaves: usize,
    pub index: usize,
    /// Inside the bucket, then over the buckets; the lowest first.
    pub path: Vec<Digest>,
    pub above: Vec<Digest>,
}

impl Proof {
    pub fn shows(&self, offer: &Offer, root: Digest) -> bool {
        if self.index >= self.leaves || self.above.len() != LEVELS as usize {
            return false;
        }
        let Some(mut hash) = climb(leaf(offer), self.index, self.leaves, &self.path) else {
            return false;
        };
        let mut place = bucket_of(offer.device);
        for other in &self.above {
            hash = match place % 2 {
                0 => Digest::pair(hash, *other),
                _ => Digest::pair(*other, hash),
            };
            place /= 2;
        }
        hash == root
    }
}

/// The tree over a book's offers. Four bytes an offer, and 1.2 MB.
#[derive(Clone)]
pub(crate) struct Tree {
    /// The first row of each bucket; the others hang on it.
    first: Vec<RowId>,
    next: Vec<RowId>,
    dirty: Vec<u64>,
    /// As a heap: the root is 1, the pair `n` stands on `2n` and `2n + 1`, the buckets come last.
    hashes: Vec<Digest>,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

fn slot(row: RowId) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

impl Tree {
    pub fn of(index: &Index) -> Self {
        let mut tree = Self {
            first: vec![NONE; BUCKETS],
            next: Vec::new(),
            dirty: vec![0; BUCKETS / WORD],
            hashes: Self::empty(),
        };
        let shelves = index.all_shelves().iter();
        let pages = shelves.flat_map(|(_, shelf)| index.pages(*shelf));
        for row in pages.flat_map(|page| page.offers(&index.rows)) {
            tree.changed(index.rows.get(row).device, None, Some(row));
        }
        tree
    }

    /// The tree over empty buckets: one hash a level.
    fn empty() -> Vec<Digest> {
        let mut hashes = vec![Digest::nothing(); 2 * BUCKETS];
        let (mut level, mut hash) = (BUCKETS, Digest::nothing());
        while level > 1 {
            hash = Digest::pair(hash, hash);
            level /= 2;
            hashes[level..2 * level].fill(hash);
        }
        hashes
    }

    fn enter(&mut self, device: DeviceId, row: RowId) {
        let bucket = bucket_of(device);
        if self.next.len() <= slot(row) {
            // Never more than half as much again as is needed.
            let more = slot(row)
                .saturating_add(1)
                .saturating_sub(self.next.len())
                .max(self.next.len() / 2);
            self.next.reserve_exact(more);
            self.next.resize(slot(row).saturating_add(1), NONE);
        }
        self.next[slot(row)] = std::mem::replace(&mut self.first[bucket], row);
    }

    fn leave(&mut self, device: DeviceId, row: RowId) {
        let bucket = bucket_of(device);
        let after = self.next[slot(row)];
        let mut at = self.first[bucket];
        if at == row {
            self.first[bucket] = after;
            return;
        }
        while at != NONE {
            let next = self.next[slot(at)];
            if next == row {
                self.next[slot(at)] = after;
                return;
            }
            at = next;
        }
    }

    /// An offer changed: its row was `before` and is `after` now.
    pub fn changed(&mut self, device: DeviceId, before: Option<RowId>, after: Option<RowId>) {
        if before != after {
            if let Some(row) = before {
                self.leave(device, row);
            }
            if let Some(row) = after {
                self.enter(device, row);
            }
        }
        let bucket = bucket_of(device);
        self.dirty[bucket / WORD] |= 1 << (bucket % WORD);
    }

    fn leaves(&self, index: &Index, bucket: usize) -> Vec<(DeviceId, Digest)> {
        let mut leaves = Vec::new();
        let mut row = self.first[bucket];
        while row != NONE {
            let offer = index.offer(row);
            leaves.push((offer.device, leaf(&offer)));
            row = self.next[slot(row)];
        }
        leaves.sort_unstable_by_key(|(device, _)| *device);
        leaves
    }

    pub fn root(&mut self, index: &Index) -> Digest {
        let mut touched: Vec<usize> = Vec::new();
        for (word, bits) in self.dirty.iter_mut().enumerate() {
            let buckets = crate::index::lanes_of(std::mem::take(bits));
            touched.extend(buckets.map(|bit| word * WORD + bit));
        }
        for bucket in &mut touched {
            let leaves = self.leaves(index, *bucket);
            let hashes: Vec<Digest> = leaves.into_iter().map(|(_, hash)| hash).collect();
            *bucket += BUCKETS;
            self.hashes[*bucket] = tree(&hashes);
        }
        for _ in 0..LEVELS {
            for node in &mut touched {
                *node /= 2;
            }
            touched.dedup();
            for node in &touched {
                self.hashes[*node] =
                    Digest::pair(self.hashes[2 * *node], self.hashes[2 * *node + 1]);
            }
        }
        self.hashes[1]
    }

    pub fn proof(&mut self, index: &Index, device: DeviceId) -> Option<Proof> {
        self.root(index);
        let bucket = bucket_of(device);
        let leaves = self.leaves(index, bucket);
        let at = leaves.iter().position(|(own, _)| *own == device)?;
        let hashes: Vec<Digest> = leaves.into_iter().map(|(_, hash)| hash).collect();
        let mut path = Vec::new();
        beside(&hashes, at, &mut path);
        let mut node = bucket + BUCKETS;
        let mut above = Vec::new();
        while node > 1 {
            above.push(self.hashes[node ^ 1]);
            node /= 2;
        }
        Some(Proof {
            leaves: hashes.len(),
            index: at,
            path,
            above,
        })
    }
}

#[cfg(test)]
mod tests;
