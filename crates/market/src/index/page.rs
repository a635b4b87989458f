//! A page: up to 512 lanes in the order of their rank, each an offer or a hole.
//!
//! Holes keep their place in the order, so a lane is found by halving, an offer leaves by two bits, and a new one moves
//! its neighbours no further than to the next hole. New ones first stand beside the columns: [`Newcomers`]. They have lanes
//! too, behind all others, so a mask is a mask of both; only the order has to be asked of [`Page::take`].

use std::cmp::Ordering;

use crate::filter::base_units;
use crate::index::column::{COLUMNS, Codes, Column, LIVE, OPEN, Plan, Summary, Traits, bit};
use crate::index::lanes_of;
use crate::index::late::{Newcomer, Newcomers};
use crate::index::row::{NONE, Row, RowId, Rows};

/// Lanes of one word.
pub(crate) const WORD: usize = 64;
/// Words of the largest page.
pub(crate) const WORDS: usize = 8;
/// Words of a mask: the last is of the newcomers.
pub(crate) const MASK_WORDS: usize = WORDS + 1;
/// One bit a lane.
pub(crate) type Mask = [u64; MASK_WORDS];
/// The first newcomer's lane, whatever the page's size.
const LATE: usize = WORDS * WORD;

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
    /// [`NONE`] in a hole.
    rows: Vec<RowId>,
    /// Column after column, each `words` long.
    bits: Vec<u64>,
    words: usize,
    /// Columns in which all lanes are set, holes too, and those in which none is: a third, as a rule. What an offer has in
    /// common with them is not written, and they need not move. Which lanes hold an offer, and an open one, is never among them.
    ones: u128,
    zeros: u128,
    late: Newcomers,
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
            rows: vec![NONE; lanes],
            bits: vec![0; COLUMNS * words],
            words,
            ones: 0,
            zeros: 0,
            late: Newcomers::default(),
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
            let traits = Traits::of(row);
            let bits = traits.bits;
            page.summary.widen(&traits);
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

    /// Whether the next one is only noted, and nothing moved.
    pub fn has_room_for_newcomers(&self) -> bool {
        !self.late.is_full()
    }

    pub fn is_full(&self) -> bool {
        self.live >= self.lanes()
    }

    /// No lane of this page or of a later one has a lesser key.
    pub fn least_key(&self) -> u64 {
        self.late
            .first_key()
            .map_or(self.keys[0], |late| late.min(self.keys[0]))
    }

    fn newcomer(&self, lane: usize) -> Option<&Newcomer> {
        self.late.get(lane.checked_sub(LATE)?)
    }

    pub fn key_of(&self, lane: usize) -> u64 {
        self.newcomer(lane)
            .map_or_else(|| self.keys[lane], |late| late.key)
    }

    pub fn row_of(&self, lane: usize) -> RowId {
        self.newcomer(lane)
            .map_or_else(|| self.rows[lane], |late| late.row)
    }

    /// Takes the first lane in the order of rank out of a mask, whose words before `word` are empty.
    pub fn take(&self, mask: &mut Mask, word: &mut usize, table: &Rows) -> Option<usize> {
        while *word < WORDS && mask[*word] == 0 {
            *word += 1;
        }
        let lane = |word: usize| word * WORD + mask[word].trailing_zeros() as usize;
        let first = if mask[WORDS] == 0 {
            (*word < WORDS).then(|| lane(*word))?
        } else if *word < WORDS && self.is_before(lane(*word), lane(WORDS), table) {
            lane(*word)
        } else {
            lane(WORDS)
        };
        mask[first / WORD] &= mask[first / WORD] - 1;
        Some(first)
    }

    fn is_before(&self, one: usize, other: usize, table: &Rows) -> bool {
        let rank = |lane| table.get(self.row_of(lane)).rank();
        match self.key_of(one).cmp(&self.key_of(other)) {
            Ordering::Equal => rank(one) < rank(other),
            keys => keys.is_lt(),
        }
    }

    fn column(&self, column: Column) -> &[u64] {
        let first = usize::from(column) * self.words;
        &self.bits[first..first + self.words]
    }

    fn column_mut(&mut self, column: usize) -> &mut [u64] {
        &mut self.bits[column * self.words..(column + 1) * self.words]
    }

    #[cfg(test)]
    pub fn bits_of(&self, lane: usize) -> u128 {
        if let Some(late) = self.newcomer(lane) {
            return late.bits;
        }
        let bit = |column: usize| self.bits[column * self.words + lane / WORD] >> (lane % WORD) & 1;
        (0..COLUMNS).fold(0, |bits, column| bits | u128::from(bit(column)) << column)
    }

    /// The offers in order.
    pub fn offers(&self, table: &Rows) -> Vec<RowId> {
        let (mut mask, _) = self.mask(LIVE, &Plan::all());
        let mut word = 0;
        std::iter::from_fn(|| self.take(&mut mask, &mut word, table))
            .map(|lane| self.row_of(lane))
            .collect()
    }

    /// Where an offer with this key would stand: each offer before has a lesser rank.
    fn position(&self, key: u64, id: RowId, table: &Rows) -> usize {
        let mut low = self.first_not_below(key);
        let mut high = low + run(&self.keys[low..], key);
        if low == high {
            // As a rule the key decides, and no row need come from memory.
            return low;
        }
        let rank = table.get(id).rank();
        // Among equal keys the rows decide; holes have none and are passed over.
        while low < high {
            let middle = low.midpoint(high);
            match (middle..high).find(|lane| self.rows[*lane] != NONE) {
                Some(lane) if table.get(self.rows[lane]).rank() < rank => low = lane + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// The lane of a row with this key.
    pub fn lane(&self, id: RowId, key: u64) -> Option<usize> {
        let from = self.fences.partition_point(|fence| *fence < key);
        let to = self.fences.partition_point(|fence| *fence <= key);
        let (from, to) = (from.saturating_sub(1) * WORD, to.min(self.words) * WORD);
        let lane = self.rows[from..to].iter().position(|row| *row == id);
        lane.map(|lane| from + lane)
            .or_else(|| self.late.position(id).map(|n| LATE + n))
    }

    /// Takes an offer in. `false`: there is no room near its place, lay the page out anew, with it.
    pub fn insert(&mut self, id: RowId, traits: &Traits, table: &Rows) -> bool {
        let row = table.get(id);
        if self.late.is_full() && !self.settle(table) {
            return false;
        }
        let newcomer = Newcomer {
            key: key(row),
            row: id,
            bits: traits.bits,
        };
        self.late.insert(newcomer, table);
        self.summary.widen(traits);
        self.live += 1;
        true
    }

    /// Puts the newcomers into the columns. `false`: no hole is near the place of one.
    fn settle(&mut self, table: &Rows) -> bool {
        while let Some(late) = self.late.pop() {
            let at = self.position(late.key, late.row, table);
            let Some(hole) = self.hole_near(at) else {
                self.late.push_back(late);
                return false;
            };
            let lane = self.move_up_to(hole, at, late.bits);
            self.keys[lane] = late.key;
            self.rows[lane] = late.row;
            self.fence(hole.min(lane), hole.max(lane));
        }
        true
    }

    /// The nearest hole to a place between two lanes.
    fn hole_near(&self, at: usize) -> Option<usize> {
        let live = self.column(LIVE);
        let near = |hole: &usize| hole.abs_diff(at) <= 2 * WORD;
        let left = previous_hole(live, at).filter(near);
        let right = next_hole(live, at).filter(near);
        match (left, right) {
            (Some(left), Some(right)) if right - at < at - left => Some(right),
            (left, right) => left.or(right),
        }
    }

    /// Moves the lanes between a hole and a place by one, onto the hole, and writes all columns of the lane that this frees.
    fn move_up_to(&mut self, hole: usize, at: usize, bits: u128) -> usize {
        let lane = if hole < at { at - 1 } else { at };
        if hole < at {
            self.keys.copy_within(hole + 1..at, hole);
            self.rows.copy_within(hole + 1..at, hole);
        } else {
            self.keys.copy_within(at..hole, at + 1);
            self.rows.copy_within(at..hole, at + 1);
        }
        if hole / WORD == lane / WORD {
            self.turn(lane, hole, bits);
        } else {
            for column in columns_of(!(self.ones | self.zeros)) {
                if hole < at {
                    shift_down(self.column_mut(column), hole, lane);
                } else {
                    shift_up(self.column_mut(column), lane, hole);
                }
            }
            self.turn(lane, lane, bits);
        }
        lane
    }

    /// Moves the lanes between two of one word by one, from `lane` towards `hole`, and writes all columns of `lane`.
    fn turn(&mut self, lane: usize, hole: usize, bits: u128) {
        let (n, words) = (lane / WORD, self.words);
        let own = 1 << (lane % WORD);
        let between = from_lane(n, lane.min(hole)) & !from_lane(n, lane.max(hole) + 1);
        let (moved, by) = (between & !own, if hole < lane { 63 } else { 1 });
        let written = !(self.ones & bits | self.zeros & !bits);
        for half in 0..2 {
            #[expect(clippy::cast_possible_truncation, reason = "half of them is wanted")]
            let (written, bits) = (
                (written >> (64 * half)) as u64,
                (bits >> (64 * half)) as u64,
            );
            for column in lanes_of(written) {
                let word = &mut self.bits[(64 * half + column) * words + n];
                let wanted = 0_u64.wrapping_sub(bits >> column & 1);
                *word = *word & !between | word.rotate_left(by) & moved | wanted & own;
            }
        }
        (self.ones, self.zeros) = (self.ones & bits, self.zeros & !bits);
    }

    pub fn remove(&mut self, lane: usize) {
        if let Some(n) = lane.checked_sub(LATE) {
            self.late.remove(n);
        } else {
            self.set(LIVE, lane, false);
            self.set(OPEN, lane, false);
            self.rows[lane] = NONE;
        }
        self.live -= 1;
    }

    /// Sets [`LIVE`] or [`OPEN`] of a lane.
    pub fn set(&mut self, column: Column, lane: usize, on: bool) {
        if let Some(n) = lane.checked_sub(LATE) {
            self.late.set(n, column, on);
        } else {
            let word = &mut self.bits[usize::from(column) * self.words + lane / WORD];
            *word = *word & !(1 << (lane % WORD)) | u64::from(on) << (lane % WORD);
        }
        if on && column == OPEN {
            self.summary.open();
        }
    }

    /// Writes all columns of a lane.
    pub fn write(&mut self, lane: usize, traits: &Traits) {
        match lane.checked_sub(LATE) {
            Some(n) => self.late.write(n, traits.bits),
            None => self.turn(lane, lane, traits.bits),
        }
        self.summary.widen(traits);
    }

    /// The lanes of `base` ([`LIVE`] or [`OPEN`]) that the columns of a plan admit, and which of its bounds they left
    /// undecided, one bit each.
    pub fn mask(&self, base: Column, plan: &Plan<'_>) -> (Mask, u64) {
        let mut mask = [0; MASK_WORDS];
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
            let mut any = [0; MASK_WORDS];
            for column in columns {
                each(&mut any, self.column(*column), |any, word| any | word);
            }
            each(&mut mask, &any, |mask, word| mask & word);
        }
        if mask != [0; MASK_WORDS] {
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
        mask[WORDS] = self.late.mask(base, plan);
        (mask, undecided)
    }

    fn codes(&self, codes: &Codes) -> Mask {
        let mut found = [0; MASK_WORDS];
        for code in &codes.any_of {
            let mut same = [u64::MAX; MASK_WORDS];
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
