//! An offer as the index keeps it: fixed size, names as numbers.

use hashbrown::HashTable;
use kernel::{AccountId, DeviceId, JobId, NodeId, PricePerSecond, Seconds, Timestamp};
use protocol::spec::DeviceClass;
use std::collections::BTreeMap;

use crate::filter::{Number, base_units};
use crate::index::column::NUMBERS;
use crate::names::Names;
use crate::offer::{Offer, Rank, Supply, Version};
use crate::place::Country;

/// Which row of the table.
pub(crate) type RowId = u32;
/// No row: the end of a chain, a hole.
pub(crate) const NONE: RowId = RowId::MAX;

/// Two lines of memory, and no more than two are read for it.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub(crate) struct Row {
    pub device: DeviceId,
    pub node: NodeId,
    pub owner: AccountId,
    pub price: PricePerSecond,
    pub joined_at: Timestamp,
    pub shelf: u32,
    pub group: u32,
    vram_mib: u32,
    memory_mib: u32,
    disk_mib: u32,
    driver: u32,
    cuda: u32,
    up_mbit: u32,
    down_mbit: u32,
    min_duration: u32,
    /// 0: no maximum.
    max_duration: u32,
    /// Another row of the same node.
    next: RowId,
    watts: u16,
    cpus: u16,
    cards: u16,
    /// 0: not known.
    pub country: u16,
    pub reputation: u8,
    verified: u8,
    pub class: DeviceClass,
    pub supply: Supply,
    pub held: bool,
    /// Its node has had no other device in the book.
    pub is_alone: bool,
}

/// What does not fit counts as the largest that does: nothing real comes near.
fn narrow<T: TryFrom<u64>>(value: u64, largest: T) -> T {
    T::try_from(value).unwrap_or(largest)
}

impl Row {
    fn new(offer: &Offer, shelf: u32, group: u32) -> Self {
        Self {
            device: offer.device,
            node: offer.node,
            owner: offer.owner,
            price: offer.price,
            joined_at: offer.joined_at,
            shelf,
            group,
            vram_mib: narrow(offer.device_memory_mib, u32::MAX),
            memory_mib: narrow(offer.memory_mib, u32::MAX),
            disk_mib: narrow(offer.disk_mib, u32::MAX),
            driver: offer.driver.get(),
            cuda: offer.cuda.get(),
            up_mbit: offer.up_mbit,
            down_mbit: offer.down_mbit,
            min_duration: narrow(offer.min_duration.get(), u32::MAX),
            max_duration: offer
                .max_duration
                .map_or(0, |max| narrow(max.get().max(1), u32::MAX)),
            next: NONE,
            watts: narrow(u64::from(offer.watts), u16::MAX),
            cpus: narrow(u64::from(offer.cpus), u16::MAX),
            cards: narrow(u64::from(offer.cards), u16::MAX),
            country: offer.country.map_or(0, Country::code),
            reputation: narrow(u64::from(offer.reputation), u8::MAX),
            verified: narrow(u64::from(offer.verified), u8::MAX),
            class: offer.class,
            supply: offer.supply,
            held: offer.holder.is_some(),
            is_alone: true,
        }
    }

    pub fn rank(&self) -> Rank {
        Rank::new(self.price, self.reputation, self.joined_at, self.device)
    }

    pub fn is_open(&self) -> bool {
        self.supply == Supply::Offered && !self.held
    }

    /// As [`Number::of`] says of the offer.
    pub fn number(&self, number: Number) -> Option<u64> {
        let known = |value: u32| (value > 0).then_some(u64::from(value));
        match number {
            Number::Vram => Some(u64::from(self.vram_mib)),
            Number::Cards => Some(u64::from(self.cards)),
            Number::Driver => known(self.driver),
            Number::Cuda => known(self.cuda),
            Number::Cpus => Some(u64::from(self.cpus)),
            Number::Memory => Some(u64::from(self.memory_mib)),
            Number::Disk => Some(u64::from(self.disk_mib)),
            Number::Up => known(self.up_mbit),
            Number::Down => known(self.down_mbit),
            Number::Reputation => Some(u64::from(self.reputation)),
            Number::Verified => Some(u64::from(self.verified)),
            Number::Price => Some(base_units(self.price)),
            Number::MinDuration => Some(u64::from(self.min_duration)),
            Number::MaxDuration => Some(match self.max_duration {
                0 => u64::MAX,
                seconds => u64::from(seconds),
            }),
            Number::Watts => known(u32::from(self.watts)),
        }
    }

    /// Those that have a ladder of columns, in that order; 0: not known. The greatest: no maximum.
    pub fn numbers(&self) -> [u32; NUMBERS] {
        [
            self.vram_mib,
            u32::from(self.cpus),
            self.memory_mib,
            self.disk_mib,
            self.up_mbit,
            self.down_mbit,
            self.driver,
            self.cuda,
            u32::from(self.reputation),
            u32::from(self.verified),
            u32::from(self.cards),
            self.min_duration,
            if self.max_duration == 0 {
                u32::MAX
            } else {
                self.max_duration
            },
            u32::from(self.watts),
        ]
    }

    #[cfg(test)]
    pub fn of(offer: &Offer) -> Self {
        Self::new(offer, 0, 0)
    }

    pub fn region(&self) -> Option<crate::place::Region> {
        Country::of_code(self.country).and_then(Country::region)
    }
}

/// Rows are kept in pieces: a piece never moves, and growing never needs twice the memory.
const PIECE: usize = 4_096;

/// All rows, found by device and by node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pieces: Vec<Vec<Row>>,
    free: Vec<RowId>,
    by_device: HashTable<RowId>,
    /// The first row of each node; the others hang on it.
    by_node: HashTable<RowId>,
    pub groups: Names,
    holders: BTreeMap<DeviceId, JobId>,
}

/// Ids are UUIDv7: their last eight bytes are random.
fn hash(id: &[u8; 16]) -> u64 {
    let tail = id.last_chunk().copied().unwrap_or_default();
    let product = u128::from(u64::from_le_bytes(tail)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // Both halves: the low bits, at which a table looks first, know nothing of the id's last bytes.
    #[expect(clippy::cast_possible_truncation, reason = "the halves are wanted")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

fn index(id: RowId) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn at(pieces: &[Vec<Row>], id: RowId) -> &Row {
    &pieces[index(id) / PIECE][index(id) % PIECE]
}

impl Rows {
    pub fn len(&self) -> usize {
        self.by_device.len()
    }

    pub fn get(&self, id: RowId) -> &Row {
        at(&self.pieces, id)
    }

    pub fn get_mut(&mut self, id: RowId) -> &mut Row {
        &mut self.pieces[index(id) / PIECE][index(id) % PIECE]
    }

    pub fn find(&self, device: DeviceId) -> Option<RowId> {
        let same = |id: &RowId| at(&self.pieces, *id).device == device;
        self.by_device.find(hash(device.as_bytes()), same).copied()
    }

    /// The rows of a node, in no order.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = RowId> {
        let same = |id: &RowId| at(&self.pieces, *id).node == node;
        let first = self.by_node.find(hash(node.as_bytes()), same).copied();
        std::iter::successors(first, |id| {
            let next = self.get(*id).next;
            (next != NONE).then_some(next)
        })
    }

    pub fn holder(&self, device: DeviceId) -> Option<JobId> {
        self.holders.get(&device).copied()
    }

    pub fn set_holder(&mut self, id: RowId, job: Option<JobId>) {
        let row = self.get_mut(id);
        row.held = job.is_some();
        let device = row.device;
        match job {
            Some(job) => self.holders.insert(device, job),
            None => self.holders.remove(&device),
        };
    }

    /// A new row for an offer whose device has none.
    pub fn add(&mut self, offer: &Offer, shelf: u32) -> RowId {
        let group = self.groups.number(offer.group.as_deref().unwrap_or(""));
        let row = Row::new(offer, shelf, group);
        let (device, node) = (row.device, row.node);
        let id = self.place(row);
        if let Some(job) = offer.holder {
            self.holders.insert(device, job);
        }
        let pieces = &self.pieces;
        self.by_device
            .insert_unique(hash(device.as_bytes()), id, |id| {
                hash(at(pieces, *id).device.as_bytes())
            });
        let same = |id: &RowId| at(pieces, *id).node == node;
        let first = self.by_node.find_mut(hash(node.as_bytes()), same);
        if let Some(first) = first {
            let next = std::mem::replace(first, id);
            self.get_mut(next).is_alone = false;
            let row = self.get_mut(id);
            (row.next, row.is_alone) = (next, false);
        } else {
            self.by_node.insert_unique(hash(node.as_bytes()), id, |id| {
                hash(at(pieces, *id).node.as_bytes())
            });
        }
        id
    }

    /// Puts the rows into this order, all of them, and numbers them by it: what is read together lies together then.
    pub fn arrange(&mut self, order: &[RowId]) {
        let mut new_ids = vec![NONE; order.len()];
        for (new, old) in (0..).zip(order) {
            new_ids[index(*old)] = new;
        }
        for id in self.by_device.iter_mut().chain(self.by_node.iter_mut()) {
            *id = new_ids[index(*id)];
        }
        for row in self.pieces.iter_mut().flatten() {
            row.next = new_ids.get(index(row.next)).copied().unwrap_or(NONE);
        }
        // In place, cycle by cycle: a second copy would stay in the allocator's hands.
        for id in 0..order.len() {
            while index(new_ids[id]) != id {
                let to = index(new_ids[id]);
                self.swap(id, to);
                new_ids.swap(id, to);
            }
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (a, b) = (a.min(b), a.max(b));
        let (head, tail) = self.pieces.split_at_mut(b / PIECE);
        match head.get_mut(a / PIECE) {
            Some(piece) => std::mem::swap(&mut piece[a % PIECE], &mut tail[0][b % PIECE]),
            None => tail[0].swap(a % PIECE, b % PIECE),
        }
    }

    fn place(&mut self, row: Row) -> RowId {
        if let Some(id) = self.free.pop() {
            *self.get_mut(id) = row;
            return id;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let before = self.pieces.len().saturating_sub(1).saturating_mul(PIECE);
        let Some(piece) = self.pieces.last_mut() else {
            return NONE;
        };
        piece.push(row);
        // At most 2^32 rows of 128 bytes: memory ends before.
        RowId::try_from(before.saturating_add(piece.len()).saturating_sub(1)).unwrap_or(NONE)
    }

    /// Writes a device's row anew and gives what it was; node and holder stay.
    pub fn replace(&mut self, id: RowId, offer: &Offer, shelf: u32) -> Row {
        let name = offer.group.as_deref().unwrap_or("");
        let known = self.get(id).group;
        let group = match self.groups.name(known) {
            Some(same) if **same == *name => known,
            _ => self.groups.number(name),
        };
        let row = self.get_mut(id);
        let old = std::mem::replace(row, Row::new(offer, shelf, group));
        (row.next, row.held, row.is_alone) = (old.next, old.held, old.is_alone);
        old
    }

    pub fn remove(&mut self, id: RowId) {
        let (device, node, next) = {
            let row = self.get(id);
            (row.device, row.node, row.next)
        };
        let before = self.on_node(node).find(|other| self.get(*other).next == id);
        let pieces = &self.pieces;
        if let Ok(entry) = self
            .by_device
            .find_entry(hash(device.as_bytes()), |other| *other == id)
        {
            entry.remove();
        }
        if let Some(before) = before {
            self.get_mut(before).next = next;
        } else if let Ok(mut entry) = self.by_node.find_entry(hash(node.as_bytes()), |other| {
            at(pieces, *other).node == node
        }) {
            if next == NONE {
                entry.remove();
            } else {
                *entry.get_mut() = next;
            }
        }
        self.holders.remove(&device);
        self.free.push(id);
    }

    /// The offer that a row stands for.
    pub fn offer(&self, id: RowId, model: &std::sync::Arc<str>) -> Offer {
        let row = self.get(id);
        Offer {
            device: row.device,
            node: row.node,
            owner: row.owner,
            class: row.class,
            model: std::sync::Arc::clone(model),
            device_memory_mib: u64::from(row.vram_mib),
            cards: u32::from(row.cards),
            driver: Version::from_number(row.driver),
            cuda: Version::from_number(row.cuda),
            cpus: u32::from(row.cpus),
            memory_mib: u64::from(row.memory_mib),
            disk_mib: u64::from(row.disk_mib),
            up_mbit: row.up_mbit,
            down_mbit: row.down_mbit,
            country: Country::of_code(row.country),
            group: self.groups.name(row.group).cloned(),
            reputation: u32::from(row.reputation),
            verified: u32::from(row.verified),
            watts: u32::from(row.watts),
            min_duration: Seconds::new(u64::from(row.min_duration)),
            max_duration: (row.max_duration > 0).then(|| Seconds::new(u64::from(row.max_duration))),
            price: row.price,
            joined_at: row.joined_at,
            supply: row.supply,
            holder: if row.held {
                self.holder(row.device)
            } else {
                None
            },
        }
    }
}

const _: () = assert!(size_of::<Row>() == 128);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_that_differ_in_their_last_bytes_alone_are_spread() {
        let hash_of = |n: u16| {
            let mut id = [0; 16];
            id[14..].copy_from_slice(&n.to_be_bytes());
            hash(&id)
        };
        // A table looks at the lowest bits, and tells by the highest seven who it need not compare.
        let low: BTreeSet<u64> = (0..1_000).map(|n| hash_of(n) & 0xFFFF).collect();
        let high: BTreeSet<u64> = (0..1_000).map(|n| hash_of(n) >> 57).collect();
        assert!(
            low.len() > 900 && high.len() > 100,
            "{} {}",
            low.len(),
            high.len()
        );
    }
}
