//! Newcomers of a page: offers that came since it was laid out, as rows beside its columns.
//!
//! An offer in the columns is a bit in each of some eighty lines of memory. Touching them for one offer is most of what a
//! change of price would cost, so newcomers wait here until there are enough to share that.

use crate::index::column::{Column, Plan, bit};
use crate::index::page::keys_within;
use crate::index::row::{RowId, Rows};

/// So many share the way to the columns. Each costs every question that looks at the page a few nanoseconds meanwhile.
pub(crate) const MOST: usize = 32;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer {
    pub key: u64,
    pub row: RowId,
    pub bits: u128,
}

/// In the order of their rank.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newcomers(Vec<Newcomer>);

impl Newcomers {
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    pub fn get(&self, n: usize) -> Option<&Newcomer> {
        self.0.get(n)
    }

    pub fn first_key(&self) -> Option<u64> {
        self.0.first().map(|first| first.key)
    }

    pub fn insert(&mut self, newcomer: Newcomer, table: &Rows) {
        // Most pages never see one.
        if self.0.capacity() == 0 {
            self.0.reserve_exact(MOST);
        }
        let rank = |id: RowId| table.get(id).rank();
        let is_before = |other: &Newcomer| {
            other.key < newcomer.key
                || other.key == newcomer.key && rank(other.row) < rank(newcomer.row)
        };
        let at = self.0.partition_point(is_before);
        self.0.insert(at, newcomer);
    }

    pub fn position(&self, id: RowId) -> Option<usize> {
        self.0.iter().position(|newcomer| newcomer.row == id)
    }

    pub fn remove(&mut self, n: usize) {
        if n < self.0.len() {
            self.0.remove(n);
        }
    }

    /// Writes all columns of one.
    pub fn write(&mut self, n: usize, bits: u128) {
        if let Some(newcomer) = self.0.get_mut(n) {
            newcomer.bits = bits;
        }
    }

    pub fn set(&mut self, n: usize, column: Column, on: bool) {
        if let Some(newcomer) = self.0.get_mut(n) {
            newcomer.bits = newcomer.bits & !bit(column) | if on { bit(column) } else { 0 };
        }
    }

    /// Takes the last one.
    pub fn pop(&mut self) -> Option<Newcomer> {
        self.0.pop()
    }

    /// Puts back the one that was taken.
    pub fn push_back(&mut self, newcomer: Newcomer) {
        self.0.push(newcomer);
    }

    /// Those with `base` that a plan's columns admit, one bit each.
    pub fn mask(&self, base: Column, plan: &Plan<'_>) -> u64 {
        let (least, greatest) = keys_within(plan.cheapest, plan.dearest);
        let mut mask = 0;
        for (n, newcomer) in self.0.iter().enumerate() {
            let passes = newcomer.bits & bit(base) != 0
                && (least..=greatest).contains(&newcomer.key)
                && plan.admits_bits(newcomer.bits);
            mask |= u64::from(passes) << n;
        }
        mask
    }
}
