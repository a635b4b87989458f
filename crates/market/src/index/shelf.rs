//! A shelf: the offers of one model in the order of their rank, as pages.

use std::ops::Range;

use crate::index::column::{Column, OPEN, Summary, Traits};
use crate::index::page::{Page, WORDS, fill, key};
use crate::index::row::{Row, RowId, Rows};
use crate::offer::Rank;

#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    pages: Vec<Page>,
    borders: Borders,
    pub live: usize,
    pub summary: Summary,
}

/// Where pages begin: page `n + 1` holds the ranks from the `n`th on.
#[derive(Debug, Clone, Default)]
struct Borders {
    /// Apart from the ranks, so that a search touches few lines of memory.
    keys: Vec<u64>,
    ranks: Vec<Rank>,
}

impl Borders {
    fn push(&mut self, row: &Row) {
        self.keys.push(key(row));
        self.ranks.push(row.rank());
    }

    /// The page of an offer.
    fn page_of(&self, row: &Row) -> usize {
        let key = key(row);
        let first = self.keys.partition_point(|border| *border < key);
        let same = self.keys[first..]
            .iter()
            .take_while(|border| **border == key);
        let same = first..first + same.count();
        if same.is_empty() {
            return first;
        }
        let rank = row.rank();
        first + self.ranks[same].partition_point(|border| *border <= rank)
    }

    /// Where there is one.
    fn remove(&mut self, at: usize) {
        if at < self.keys.len() {
            self.keys.remove(at);
            self.ranks.remove(at);
        }
    }

    fn splice(&mut self, range: Range<usize>, others: Self) {
        self.keys.splice(range.clone(), others.keys);
        self.ranks.splice(range, others.ranks);
    }
}

/// Offers that one page of the largest size is laid out with.
const FILL: usize = fill(WORDS);
/// A page with fewer is joined with its neighbour.
const FEW: usize = FILL / 4;

impl Shelf {
    /// From offers in order.
    pub fn of(offers: &[RowId], table: &Rows) -> Self {
        let mut shelf = Self {
            live: offers.len(),
            ..Self::default()
        };
        (shelf.pages, shelf.borders) = lay_out(offers, table);
        for id in offers {
            let row = table.get(*id);
            shelf.summary.widen(&Traits::of(row));
        }
        shelf
    }

    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// No offer here has a lesser key.
    pub fn least_key(&self) -> Option<u64> {
        self.pages.first().map(Page::least_key)
    }

    fn page_of(&self, row: &Row) -> usize {
        self.borders.page_of(row)
    }

    pub fn insert(&mut self, id: RowId, table: &Rows) {
        let row = table.get(id);
        self.live += 1;
        let traits = Traits::of(row);
        self.summary.widen(&traits);
        let at = self.page_of(row);
        let Some(page) = self.pages.get_mut(at) else {
            (self.pages, self.borders) = lay_out(&[id], table);
            return;
        };
        if page.is_full() || !page.insert(id, &traits, table) {
            let mut offers = page.offers(table);
            let rank = table.get(id).rank();
            let place = offers.partition_point(|other| table.get(*other).rank() < rank);
            offers.insert(place, id);
            self.replace(at, at, &offers, table);
        }
    }

    /// Takes a row out that is, or was, as `known` says.
    pub fn remove(&mut self, id: RowId, known: &Row, table: &Rows) {
        self.remove_from(self.page_of(known), id, known, table);
    }

    fn remove_from(&mut self, at: usize, id: RowId, known: &Row, table: &Rows) {
        let Some(page) = self.pages.get_mut(at) else {
            return;
        };
        let Some(lane) = page.lane(id, key(known)) else {
            return;
        };
        page.remove(lane);
        let left = page.live;
        self.live -= 1;
        if left == 0 {
            self.drop_page(at);
        } else if left < FEW && self.pages.len() > 1 {
            self.join(at, table);
        }
    }

    /// Puts a row that was as `old` says where it belongs now.
    pub fn relocate(&mut self, id: RowId, old: &Row, table: &Rows) {
        let row = table.get(id);
        let (from, to) = (self.page_of(old), self.page_of(row));
        // First in, then out: so the way to both pages is waited for once. Only where nothing is laid out anew, which
        // would find the row twice.
        if from != to && self.pages[to].has_room_for_newcomers() {
            let traits = Traits::of(row);
            self.pages[to].insert(id, &traits, table);
            self.summary.widen(&traits);
            self.live += 1;
            self.remove_from(from, id, old, table);
        } else {
            self.remove_from(from, id, old, table);
            self.insert(id, table);
        }
    }

    /// Takes out a page that holds nothing; a neighbour holds its ranks from now on.
    fn drop_page(&mut self, at: usize) {
        self.pages.remove(at);
        self.borders.remove(at.saturating_sub(1));
        if self.pages.is_empty() {
            *self = Self::default();
        }
    }

    /// Lays a page with few offers out together with its neighbour.
    fn join(&mut self, at: usize, table: &Rows) {
        let first = if at + 1 < self.pages.len() {
            at
        } else {
            at.saturating_sub(1)
        };
        let last = (first + 1).min(self.pages.len() - 1);
        let both = self.pages.get(first..=last).unwrap_or_default();
        if both.iter().map(|page| page.live).sum::<usize>() > FILL {
            return;
        }
        let offers: Vec<RowId> = both.iter().flat_map(|page| page.offers(table)).collect();
        self.replace(first, last, &offers, table);
    }

    /// Lays out what stands in some pages anew.
    fn replace(&mut self, first: usize, last: usize, offers: &[RowId], table: &Rows) {
        let (pages, borders) = lay_out(offers, table);
        self.pages.splice(first..=last, pages);
        self.borders.splice(first..last, borders);
    }

    /// Sets one column of a row whose rank is as it was.
    pub fn set(&mut self, id: RowId, column: Column, on: bool, table: &Rows) {
        let at = self.page_of(table.get(id));
        if let Some(page) = self.pages.get_mut(at)
            && let Some(lane) = page.lane(id, key(table.get(id)))
        {
            page.set(column, lane, on);
            if on && column == OPEN {
                self.summary.open();
            }
        }
    }

    /// Writes all columns of a row whose rank is as it was.
    pub fn write(&mut self, id: RowId, new: &Row, table: &Rows) {
        let at = self.page_of(table.get(id));
        if let Some(page) = self.pages.get_mut(at)
            && let Some(lane) = page.lane(id, key(table.get(id)))
        {
            let traits = Traits::of(new);
            page.write(lane, &traits);
            self.summary.widen(&traits);
        }
    }

    /// Each offer stands once, in order, with the columns that its row says.
    #[cfg(test)]
    pub fn check(&self, table: &Rows) {
        let mut before: Option<Rank> = None;
        let mut count = 0;
        assert_eq!(self.borders.ranks.len(), self.pages.len().saturating_sub(1));
        assert!(self.borders.ranks.is_sorted() && self.borders.keys.is_sorted());
        for (n, page) in self.pages.iter().enumerate() {
            assert_eq!(page.offers(table).len(), page.live);
            for id in page.offers(table) {
                let row = table.get(id);
                let rank = row.rank();
                assert!(before.is_none_or(|before| before < rank), "out of order");
                assert_eq!(self.page_of(row), n);
                let lane = page.lane(id, key(row)).expect("found where it stands");
                assert_eq!(page.key_of(lane), crate::index::page::key(row));
                assert_eq!(page.bits_of(lane), Traits::of(row).bits);
                before = Some(rank);
                count += 1;
            }
        }
        assert_eq!(count, self.live);
    }
}

/// Splits evenly where one page would have too few holes.
fn lay_out(offers: &[RowId], table: &Rows) -> (Vec<Page>, Borders) {
    let count = offers.len().div_ceil(FILL);
    let (mut pages, mut borders) = (Vec::with_capacity(count), Borders::default());
    let mut rest = offers;
    for left in (1..=count).rev() {
        let (own, others) = rest.split_at(rest.len().div_ceil(left));
        if !pages.is_empty() {
            own.first()
                .into_iter()
                .for_each(|id| borders.push(table.get(*id)));
        }
        pages.push(Page::of(own, table));
        rest = others;
    }
    (pages, borders)
}
