//! The offers that a filter admits, in the order of choice, found page by page and only as far as asked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::index::column::{Column, Plan};
use crate::index::page::{MASK_WORDS, Mask, Page, keys_within};
use crate::index::row::RowId;
use crate::index::{Chosen, Index};
use crate::offer::Rank;

/// Where a shelf is being read.
struct Cursor {
    shelf: u32,
    page: usize,
    /// Lanes of that page that are still to come.
    mask: Mask,
    /// The first word of it that is not empty; `None`: the page was not looked at yet.
    word: Option<usize>,
    /// Bounds that the columns of this page did not decide.
    undecided: u64,
    /// The offer that comes next.
    next: Option<RowId>,
}

/// What a cursor has next: at first only a bound of the key, then an offer's rank. The least comes first; of equal
/// keys the bound, so that no offer is passed over.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: u64,
    rank: Option<Rank>,
    cursor: usize,
}

pub(crate) struct Stream<'a> {
    index: &'a Index,
    plan: Plan<'a>,
    base: Column,
    heads: BinaryHeap<Reverse<Head>>,
    cursors: Vec<Cursor>,
    shelves: Chosen<'a>,
    /// So many of them were opened.
    opened: usize,
    /// The cursor that alone is left; nothing is merged any more.
    alone: Option<usize>,
    greatest: u64,
}

impl<'a> Stream<'a> {
    pub fn new(index: &'a Index, plan: Plan<'a>, base: Column, shelves: Chosen<'a>) -> Self {
        let greatest = match plan.dearest {
            u64::MAX => u64::MAX,
            dearest => keys_within(0, dearest).1,
        };
        Self {
            index,
            plan,
            base,
            heads: BinaryHeap::new(),
            cursors: Vec::new(),
            shelves,
            opened: 0,
            alone: None,
            greatest,
        }
    }

    fn open(&mut self) {
        while let Some((key, shelf)) = self.shelves.get(self.opened).copied() {
            if self
                .heads
                .peek()
                .is_some_and(|Reverse(head)| head.key < key)
            {
                return;
            }
            self.opened += 1;
            if !self.index.summary(shelf).may_pass(self.base, &self.plan) {
                continue;
            }
            let page = self.first_page(shelf);
            let cursor = self.cursors.len();
            self.cursors.push(Cursor {
                shelf,
                page,
                mask: [0; MASK_WORDS],
                word: None,
                undecided: 0,
                next: None,
            });
            self.heads.push(Reverse(Head {
                key,
                rank: None,
                cursor,
            }));
        }
    }

    /// The first page that may hold the plan's cheapest price.
    fn first_page(&self, shelf: u32) -> usize {
        if self.plan.cheapest == 0 {
            return 0;
        }
        let (least, _) = keys_within(self.plan.cheapest, u64::MAX);
        let pages = self.index.pages(shelf);
        pages
            .partition_point(|page| page.least_key() < least)
            .saturating_sub(1)
    }

    /// The cursor's next offer, looked for in pages that begin at `until` or before.
    fn advance(&mut self, at: usize, until: u64) -> Step {
        let cursor = &mut self.cursors[at];
        let pages: &[Page] = self.index.pages(cursor.shelf);
        loop {
            let Some(page) = pages.get(cursor.page) else {
                return Step::End;
            };
            let word = match &mut cursor.word {
                Some(word) => word,
                unread => {
                    let key = page.least_key();
                    if key > self.greatest {
                        return Step::End;
                    }
                    if key > until {
                        return Step::Later(key);
                    }
                    (cursor.mask, cursor.undecided) = page.mask(self.base, &self.plan);
                    unread.insert(0)
                }
            };
            let decided = cursor.undecided == 0 && self.plan.rest.is_empty();
            while let Some(lane) = page.take(&mut cursor.mask, word, &self.index.rows) {
                let id = page.row_of(lane);
                let passes = || {
                    let row = self.index.rows.get(id);
                    let group = |n| self.index.rows.groups.name(n);
                    self.plan.passes(row, cursor.undecided, group)
                };
                if decided || passes() {
                    return Step::Found(page.key_of(lane), id);
                }
            }
            cursor.word = None;
            cursor.page += 1;
        }
    }

    /// Whether one shelf alone is left.
    fn is_alone(&self) -> bool {
        self.heads.is_empty() && self.opened == self.shelves.len()
    }
}

/// What a cursor comes to.
enum Step {
    Found(u64, RowId),
    /// Nothing up to the key that was asked; its next page begins at this one.
    Later(u64),
    End,
}

impl Iterator for Stream<'_> {
    type Item = RowId;

    fn next(&mut self) -> Option<RowId> {
        if let Some(cursor) = self.alone {
            return match self.advance(cursor, u64::MAX) {
                Step::Found(_, id) => Some(id),
                Step::Later(_) | Step::End => None,
            };
        }
        loop {
            self.open();
            let Reverse(head) = self.heads.pop()?;
            let at = head.cursor;
            let found = self.cursors[at].next.take();
            if self.is_alone() {
                self.alone = Some(at);
                return found.or_else(|| self.next());
            }
            let closed = self
                .shelves
                .get(self.opened)
                .map_or(u64::MAX, |shelf| shelf.0);
            let until = self
                .heads
                .peek()
                .map_or(closed, |Reverse(next)| next.key.min(closed));
            match self.advance(at, until) {
                Step::Found(key, id) => {
                    self.cursors[at].next = Some(id);
                    let rank = Some(self.index.rank(id));
                    self.heads.push(Reverse(Head {
                        key,
                        rank,
                        cursor: at,
                    }));
                }
                Step::Later(key) => self.heads.push(Reverse(Head {
                    key,
                    rank: None,
                    cursor: at,
                })),
                Step::End => {}
            }
            if found.is_some() {
                return found;
            }
        }
    }
}
