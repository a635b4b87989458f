//! A page: up to 512 lanes in the order of their rank, each an offer or a hole.
//!
//! Holes keep their place in the order, so a lane is found by halving, an offer leaves by two bits, and a new one moves
//! its neighbours no further than to the next hole.

use crate::filter::base_units;
use crate::index::column::{COLUMNS, Codes, Column, LIVE, OPEN, Plan, Summary, bit, bits};
use crate::index::lanes_of;
use crate::index::row::{Row, RowId, Rows};
use crate::offer::Rank;

/// Lanes of one word.
pub(crate) const WORD: usize = 64;
/// Words of the largest page.
pub(crate) const WORDS: usize = 8;
/// One bit a lane.
pub(crate) type Mask = [u64; WORDS];

/// The price's share of a key. Dearer offers (40 million IO an hour) share its last value and are told apart by rank.
const PRICE_MAX: u64 = (1 << 40) - 1;

/// The first part of a rank as one number: keys in order are ranks in order; equal keys need the whole rank.
pub(crate) fn key(row: &Row) -> u64 {
    let days = u64::try_from(row.joined_at.millis()).unwrap_or(0) >> 26;
    let reputation = u64::from(u8::MAX.saturating_sub(row.reputation));
    (base_units(row.price).min(PRICE_MAX) << 24) | (reputation << 16) | days.min(0xFFFF)
}

/// Whether keys alone decide these bounds of the price.
pub(crate) const fn in_keys(min: u64, max: u64) -> bool {
    min < PRICE_MAX && (max < PRICE_MAX || max == u64::MAX)
}

/// The least and the greatest key within bounds of the price.
pub(crate) fn keys_within(min: u64, max: u64) -> (u64, u64) {
    (
        min.min(PRICE_MAX) << 24,
        (max.min(PRICE_MAX) << 24) | 0xFF_FFFF,
    )
}

/// What changes without the offer being another one.
const STATES: u128 = bit(LIVE) | bit(OPEN);

/// The set bits, lowest first.
fn columns_of(bits: u128) -> impl Iterator<Item = usize> {
    #[expect(clippy::cast_possible_truncation, reason = "each half has 64 bits")]
    let (low, high) = (bits as u64, (bits >> 64) as u64);
    lanes_of(low).chain(lanes_of(high).map(|column| 64 + column))
}

#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub live: usize,
    summary: Summary,
    /// The first key of each word, together, so that a search touches few lines of memory.
    fences: [u64; WORDS],
    keys: Vec<u64>,
    rows: Vec<RowId>,
    /// Column after column, each `words` long.
    bits: Vec<u64>,
    words: usize,
    /// Columns in which all lanes are set, holes too, and those in which none is: a third, as a rule. What an offer has in
    /// common with them is not written, and they need not move. Which lanes hold an offer, and an open one, is never among them.
    ones: u128,
    zeros: u128,
}

impl Page {
    /// Lays offers, given in order, out with holes between them, in the smallest page that leaves some.
    pub fn of(offers: &[RowId], table: &Rows) -> Self {
        let mut words = 1;
        while words < WORDS && offers.len() > fill(words) {
            words *= 2;
        }
        let lanes = words * WORD;
        let mut page = Self {
            live: offers.len(),
            summary: Summary::default(),
            fences: [u64::MAX; WORDS],
            keys: vec![u64::MAX; lanes],
            rows: vec![0; lanes],
            bits: vec![0; COLUMNS * words],
            words,
            ones: 0,
            zeros: 0,
        };
        let (mut all, mut any) = (u128::MAX, 0);
        let mut next = 0;
        for (n, id) in offers.iter().enumerate() {
            let lane = n * lanes / offers.len();
            let row = table.get(*id);
            let key = key(row);
            // Holes before a lane keep the order.
            page.keys[next..=lane].fill(key);
            next = lane + 1;
            page.rows[lane] = *id;
            let bits = bits(row);
            page.summary.widen(row, bits);
            (all, any) = (all & bits, any | bits);
            for column in columns_of(bits) {
                page.bits[column * words + lane / WORD] |= 1 << (lane % WORD);
            }
        }
        (page.ones, page.zeros) = (all & !STATES, !any & !STATES);
        for column in columns_of(page.ones) {
            page.bits[column * words..(column + 1) * words].fill(u64::MAX);
        }
        page.fence(0, lanes - 1);
        page
    }

    /// Brings the fences of some lanes up to date.
    fn fence(&mut self, from: usize, to: usize) {
        for word in from / WORD..=to / WORD {
            self.fences[word] = self.keys[word * WORD];
        }
    }

    /// The first lane with this key or a greater one.
    fn first_not_below(&self, key: u64) -> usize {
        let word = self.fences.partition_point(|fence| *fence < key);
        let Some(before) = word.checked_sub(1) else {
            return 0;
        };
        let (from, to) = (before * WORD, (word * WORD).min(self.keys.len()));
        from + self.keys[from..to].partition_point(|k| *k < key)
    }

    pub fn lanes(&self) -> usize {
        self.words * WORD
    }

    pub fn is_full(&self) -> bool {
        self.live == self.lanes()
    }

    /// No lane of this page or of a later one has a lesser key.
    pub fn least_key(&self) -> u64 {
        self.keys[0]
    }

    pub fn key_of(&self, lane: usize) -> u64 {
        self.keys[lane]
    }

    pub fn row_of(&self, lane: usize) -> RowId {
        self.rows[lane]
    }

    fn column(&self, column: Column) -> &[u64] {
        let first = usize::from(column) * self.words;
        &self.bits[first..first + self.words]
    }

    fn column_mut(&mut self, column: usize) -> &mut [u64] {
        &mut self.bits[column * self.words..(column + 1) * self.words]
    }

    fn is_live(&self, lane: usize) -> bool {
        self.column(LIVE)[lane / WORD] >> (lane % WORD) & 1 == 1
    }

    #[cfg(test)]
    pub fn bits_of(&self, lane: usize) -> u128 {
        let bit = |column: usize| self.bits[column * self.words + lane / WORD] >> (lane % WORD) & 1;
        (0..COLUMNS).fold(0, |bits, column| bits | u128::from(bit(column)) << column)
    }

    /// The offers in order.
    pub fn offers(&self) -> Vec<RowId> {
        let live = self.column(LIVE);
        let lane_is_live = |lane: &usize| live[lane / WORD] >> (lane % WORD) & 1 == 1;
        (0..self.lanes())
            .filter(lane_is_live)
            .map(|lane| self.rows[lane])
            .collect()
    }

    /// Where a rank stands or would stand: each offer before has a lesser one.
    fn position(&self, key: u64, rank: Rank, table: &Rows) -> usize {
        let mut low = self.first_not_below(key);
        let mut high = low + run(&self.keys[low..], key);
        // Among equal keys the rows decide; holes have none and are passed over.
        while low < high {
            let middle = low.midpoint(high);
            match (middle..high).find(|lane| self.is_live(*lane)) {
                Some(lane) if table.get(self.rows[lane]).rank() < rank => low = lane + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// The lane of a row.
    pub fn lane(&self, id: RowId, table: &Rows) -> Option<usize> {
        let key = key(table.get(id));
        let from = self.fences.partition_point(|fence| *fence < key);
        let to = self.fences.partition_point(|fence| *fence <= key);
        let lanes = from.saturating_sub(1) * WORD..to.min(self.words) * WORD;
        // A lane that it left may name it still.
        lanes
            .filter(|lane| self.rows[*lane] == id)
            .find(|lane| self.is_live(*lane))
    }

    /// The columns that are not the same for all lanes.
    fn mixed(&self) -> impl Iterator<Item = usize> + use<> {
        columns_of(!(self.ones | self.zeros))
    }

    /// Puts a row in its place. `false`: no hole is near, lay the page out anew.
    pub fn insert(&mut self, id: RowId, bits: u128, table: &Rows) -> bool {
        let row = table.get(id);
        let key = key(row);
        let at = self.position(key, row.rank(), table);
        let Some(lane) = self.make_room(at) else {
            return false;
        };
        self.keys[lane] = key;
        self.rows[lane] = id;
        self.fence(lane, lane);
        self.write(lane, row, bits);
        self.live += 1;
        true
    }

    /// Frees a lane between `at - 1` and `at` and gives its number.
    fn make_room(&mut self, at: usize) -> Option<usize> {
        let live = self.column(LIVE);
        let right = next_hole(live, at);
        let left = previous_hole(live, at);
        let near = |hole: usize| hole.abs_diff(at) <= 2 * WORD;
        match (
            left.filter(|hole| near(*hole)),
            right.filter(|hole| near(*hole)),
        ) {
            (Some(left), right) if right.is_none_or(|right| at - left <= right - at) => {
                self.keys.copy_within(left + 1..at, left);
                self.rows.copy_within(left + 1..at, left);
                self.fence(left, at - 1);
                for column in self.mixed() {
                    shift_down(self.column_mut(column), left, at - 1);
                }
                Some(at - 1)
            }
            (_, Some(right)) => {
                self.keys.copy_within(at..right, at + 1);
                self.rows.copy_within(at..right, at + 1);
                self.fence(at, right);
                for column in self.mixed() {
                    shift_up(self.column_mut(column), at, right);
                }
                Some(at)
            }
            _ => None,
        }
    }

    pub fn remove(&mut self, lane: usize) {
        self.set(LIVE, lane, false);
        self.set(OPEN, lane, false);
        self.live -= 1;
    }

    /// Sets [`LIVE`] or [`OPEN`] of a lane.
    pub fn set(&mut self, column: Column, lane: usize, on: bool) {
        let word = &mut self.bits[usize::from(column) * self.words + lane / WORD];
        *word = *word & !(1 << (lane % WORD)) | u64::from(on) << (lane % WORD);
        if on && column == OPEN {
            self.summary.open();
        }
    }

    /// Writes all columns of a lane.
    pub fn write(&mut self, lane: usize, row: &Row, bits: u128) {
        let (word, shift) = (lane / WORD, lane % WORD);
        for column in columns_of(!(self.ones & bits | self.zeros & !bits)) {
            #[expect(clippy::cast_possible_truncation, reason = "one bit is wanted")]
            let wanted = (bits >> column) as u64 & 1;
            let word = &mut self.bits[column * self.words + word];
            *word = *word & !(1 << shift) | wanted << shift;
        }
        (self.ones, self.zeros) = (self.ones & bits, self.zeros & !bits);
        self.summary.widen(row, bits);
    }

    /// The lanes of `base` ([`LIVE`] or [`OPEN`]) that the columns of a plan admit, and which of its bounds they left
    /// undecided, one bit each.
    pub fn mask(&self, base: Column, plan: &Plan<'_>) -> (Mask, u64) {
        let mut mask = [0; WORDS];
        let mut undecided = 0;
        if !self.summary.may_pass(base, plan) {
            return (mask, undecided);
        }
        mask[..self.words].copy_from_slice(self.column(base));
        for (n, bound) in plan.bounds.iter().enumerate() {
            if self.summary.within(bound) {
                continue;
            }
            undecided |= u64::from(!bound.exact) << n;
            if let Some(column) = bound.all {
                each(&mut mask, self.column(column), |mask, word| mask & word);
            }
            if let Some(column) = bound.none {
                each(&mut mask, self.column(column), |mask, word| mask & !word);
            }
        }
        for column in &plan.all {
            each(&mut mask, self.column(*column), |mask, word| mask & word);
        }
        for column in &plan.none {
            each(&mut mask, self.column(*column), |mask, word| mask & !word);
        }
        for columns in &plan.some {
            let mut any = [0; WORDS];
            for column in columns {
                each(&mut any, self.column(*column), |any, word| any | word);
            }
            each(&mut mask, &any, |mask, word| mask & word);
        }
        if mask != [0; WORDS] {
            for codes in &plan.codes {
                let found = self.codes(codes);
                each(&mut mask, &found, |mask, word| {
                    mask & if codes.not { !word } else { word }
                });
            }
        }
        if plan.cheapest > 0 || plan.dearest < u64::MAX {
            let (least, greatest) = keys_within(plan.cheapest, plan.dearest);
            let from = self.first_not_below(least);
            let to = greatest
                .checked_add(1)
                .map_or(self.keys.len(), |key| self.first_not_below(key));
            for (n, word) in mask.iter_mut().enumerate() {
                *word &= from_lane(n, from) & !from_lane(n, to);
            }
        }
        (mask, undecided)
    }

    fn codes(&self, codes: &Codes) -> Mask {
        let mut found = [0; WORDS];
        for code in &codes.any_of {
            let mut same = [u64::MAX; WORDS];
            for plane in 0..codes.width {
                let invert = if code >> plane & 1 == 1 { 0 } else { u64::MAX };
                each(&mut same, self.column(codes.first + plane), |same, word| {
                    same & (word ^ invert)
                });
            }
            each(&mut found, &same, |found, same| found | same);
        }
        found
    }
}

/// How many of the first keys are this one. Runs are short as a rule, so it looks near before it looks far.
fn run(keys: &[u64], key: u64) -> usize {
    let mut far = 1;
    while keys.get(far - 1) == Some(&key) {
        far *= 2;
    }
    let near = far / 2;
    let to = far.min(keys.len());
    near + keys[near..to].partition_point(|k| *k == key)
}

/// Offers of a page of so many words when it is laid out: an eighth of its lanes stays free.
pub(crate) const fn fill(words: usize) -> usize {
    words * WORD / 8 * 7
}

fn each(mask: &mut Mask, words: &[u64], f: impl Fn(u64, u64) -> u64) {
    for (mask, word) in mask.iter_mut().zip(words) {
        *mask = f(*mask, *word);
    }
}

/// The bits of word `n` from a lane on.
fn from_lane(n: usize, lane: usize) -> u64 {
    match lane.checked_sub(n * WORD) {
        None | Some(0) => u64::MAX,
        Some(shift) if shift < WORD => u64::MAX << shift,
        Some(_) => 0,
    }
}

fn next_hole(live: &[u64], from: usize) -> Option<usize> {
    (from / WORD..live.len()).find_map(|n| {
        let holes = !live[n] & from_lane(n, from);
        (holes != 0).then(|| n * WORD + holes.trailing_zeros() as usize)
    })
}

fn previous_hole(live: &[u64], before: usize) -> Option<usize> {
    let last = before.checked_sub(1)? / WORD;
    (0..=last).rev().find_map(|n| {
        let holes = !live[n] & !from_lane(n, before);
        (holes != 0).then(|| n * WORD + WORD - 1 - holes.leading_zeros() as usize)
    })
}

/// Moves the bits `from..to` one up, onto the hole at `to`.
fn shift_up(words: &mut [u64], from: usize, to: usize) {
    for n in (from / WORD..=to / WORD).rev() {
        let carry = if n > from / WORD {
            words[n - 1] >> (WORD - 1)
        } else {
            0
        };
        let moved = from_lane(n, from + 1) & !from_lane(n, to + 1);
        words[n] = words[n] & !moved | (words[n] << 1 | carry) & moved;
    }
}

/// Moves the bits `from + 1..=to` one down, onto the hole at `from`.
fn shift_down(words: &mut [u64], from: usize, to: usize) {
    for n in from / WORD..=to / WORD {
        let carry = if n < to / WORD {
            words[n + 1] << (WORD - 1)
        } else {
            0
        };
        let moved = from_lane(n, from) & !from_lane(n, to);
        words[n] = words[n] & !moved | (words[n] >> 1 | carry) & moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shift_moves_each_bit_by_one(words in prop::array::uniform4(any::<u64>()), a in 0usize..256, b in 0usize..256) {
            let (from, to) = (a.min(b), a.max(b));
            let lanes = |words: &[u64]| -> Vec<bool> { (0..256).map(|n| words[n / 64] >> (n % 64) & 1 == 1).collect() };
            let (mut up, mut down) = (words, words);
            shift_up(&mut up, from, to);
            shift_down(&mut down, from, to);
            let (mut wanted_up, mut wanted_down) = (lanes(&words), lanes(&words));
            wanted_up.copy_within(from..to, from + 1);
            wanted_down.copy_within(from + 1..=to, from);
            // The lane that becomes free may hold anything.
            let (mut up, mut down) = (lanes(&up), lanes(&down));
            (up[from], wanted_up[from], down[to], wanted_down[to]) = (false, false, false, false);
            prop_assert_eq!(up, wanted_up);
            prop_assert_eq!(down, wanted_down);
        }

        #[test]
        fn the_nearest_holes_are_found(live in prop::array::uniform4(prop_oneof![Just(u64::MAX), any::<u64>()]), at in 0usize..=256) {
            let hole = |lane: &usize| live[lane / 64] >> (lane % 64) & 1 == 0;
            prop_assert_eq!(next_hole(&live, at), (at..256).find(hole));
            prop_assert_eq!(previous_hole(&live, at), (0..at).rev().find(hole));
        }
    }
}
