//! The index: offers as bit columns on shelves, one shelf a model, in the order of choice.
//!
//! [`crate::Filter`] is the definition of what a request admits; this is its fast form. A property test asks both.

mod column;
mod late;
mod page;
mod row;
mod shelf;
mod stream;

use std::borrow::Cow;
use std::sync::Arc;

use kernel::{DeviceId, JobId, NodeId};

use crate::filter::{Filter, Test};
use crate::names::Models;
use crate::offer::{Offer, Rank};

use column::Summary;
pub(crate) use column::{LIVE, OPEN, Plan};

pub(crate) use page::{MASK_WORDS, Mask, Page, WORD};
use row::Rows;
pub(crate) use row::{Row, RowId};
use shelf::Shelf;
pub(crate) use stream::Stream;

#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub rows: Rows,
    shelves: Vec<Shelf>,
    models: Models,
    /// Shelves that hold something, by their least key.
    order: Vec<(u64, u32)>,
}

/// Shelves with the least key of each, in that order.
pub(crate) type Chosen<'a> = Cow<'a, [(u64, u32)]>;

fn number(shelf: usize) -> u32 {
    u32::try_from(shelf).unwrap_or(u32::MAX)
}

fn place(shelf: u32) -> usize {
    usize::try_from(shelf).unwrap_or(usize::MAX)
}

impl Index {
    /// From many offers at once. Of two offers of one device the later stands.
    pub fn of(offers: impl IntoIterator<Item = Offer>) -> Self {
        let mut index = Self::default();
        let mut known: Vec<Vec<RowId>> = Vec::new();
        let mut again = Vec::new();
        for offer in offers {
            if index.rows.find(offer.device).is_some() {
                again.push(offer);
                continue;
            }
            let shelf = index.shelf_of(&offer, None);
            let id = index.rows.add(&offer, shelf);
            known.resize_with(known.len().max(index.shelves.len()), Vec::new);
            known[place(shelf)].push(id);
        }
        for rows in &mut known {
            rows.sort_unstable_by_key(|id| index.rows.get(*id).rank());
        }
        index.rows.arrange(&known.concat());
        let mut next = 0;
        for (shelf, count) in known.iter().map(Vec::len).enumerate() {
            let rows: Vec<RowId> = (next..).take(count).collect();
            next += number(count);
            index.shelves[shelf] = Shelf::of(&rows, &index.rows);
            index.reorder(number(shelf), None);
        }
        for offer in &again {
            index.put(offer);
        }
        index
    }

    pub fn pages(&self, shelf: u32) -> &[Page] {
        self.shelves.get(place(shelf)).map_or(&[], Shelf::pages)
    }

    pub fn summary(&self, shelf: u32) -> Summary {
        self.shelves
            .get(place(shelf))
            .map(|shelf| shelf.summary)
            .unwrap_or_default()
    }

    pub fn get(&self, device: DeviceId) -> Option<Offer> {
        self.rows.find(device).map(|id| self.offer(id))
    }

    pub fn offer(&self, id: RowId) -> Offer {
        let unnamed: Arc<str> = Arc::from("");
        let model = self.models.name(place(self.rows.get(id).shelf));
        self.rows.offer(id, model.unwrap_or(&unnamed))
    }

    /// `known`: the row of its device, if it has one.
    fn shelf_of(&mut self, offer: &Offer, known: Option<RowId>) -> u32 {
        // Most offers that are put are known, and of the model they were.
        if let Some(id) = known {
            let shelf = self.rows.get(id).shelf;
            if self
                .model(shelf)
                .is_some_and(|model| **model == *offer.model)
            {
                return shelf;
            }
        }
        let shelf = self.models.number(&offer.model);
        let count = self.shelves.len().max(shelf.saturating_add(1));
        self.shelves.resize_with(count, Shelf::default);
        number(shelf)
    }

    /// Adds an offer, or replaces that of the same device. A known device keeps its holder.
    pub fn put(&mut self, offer: &Offer) {
        let known = self.rows.find(offer.device);
        let shelf = self.shelf_of(offer, known);
        let Some(id) = known.filter(|id| self.rows.get(*id).node == offer.node) else {
            let holder = known.map_or(offer.holder, |_| self.rows.holder(offer.device));
            self.remove(offer.device);
            let id = self.rows.add(offer, shelf);
            self.rows.set_holder(id, holder);
            self.enter(id);
            return;
        };
        let old = self.rows.replace(id, offer, shelf);
        if old.shelf != shelf {
            self.leave(id, &old);
            self.enter(id);
            return;
        }
        let before = self.least_key(shelf);
        let row = self.rows.get(id);
        if let Some(shelf) = self.shelves.get_mut(place(shelf)) {
            if old.rank() == row.rank() {
                shelf.write(id, row, &self.rows);
            } else {
                shelf.relocate(id, &old, &self.rows);
            }
        }
        self.reorder(shelf, before);
    }

    pub fn remove(&mut self, device: DeviceId) -> Option<Offer> {
        let id = self.rows.find(device)?;
        let offer = self.offer(id);
        let row = self.rows.get(id).clone();
        self.leave(id, &row);
        self.rows.remove(id);
        Some(offer)
    }

    fn enter(&mut self, id: RowId) {
        let shelf = self.rows.get(id).shelf;
        let before = self.least_key(shelf);
        if let Some(shelf) = self.shelves.get_mut(place(shelf)) {
            shelf.insert(id, &self.rows);
        }
        self.reorder(shelf, before);
    }

    /// Takes a row that is, or was, as `known` says from its shelf.
    fn leave(&mut self, id: RowId, known: &Row) {
        let before = self.least_key(known.shelf);
        if let Some(shelf) = self.shelves.get_mut(place(known.shelf)) {
            shelf.remove(id, known, &self.rows);
        }
        self.reorder(known.shelf, before);
    }

    fn least_key(&self, shelf: u32) -> Option<u64> {
        self.shelves.get(place(shelf)).and_then(Shelf::least_key)
    }

    /// Keeps the order of the shelves after one of them changed.
    fn reorder(&mut self, shelf: u32, before: Option<u64>) {
        let after = self.least_key(shelf);
        if before == after {
            return;
        }
        if let Some(key) = before
            && let Ok(at) = self.order.binary_search(&(key, shelf))
        {
            self.order.remove(at);
        }
        if let Some(key) = after
            && let Err(at) = self.order.binary_search(&(key, shelf))
        {
            self.order.insert(at, (key, shelf));
        }
    }

    pub fn set_holder(&mut self, id: RowId, job: Option<JobId>) {
        self.rows.set_holder(id, job);
        let row = self.rows.get(id);
        let (open, shelf) = (row.is_open(), row.shelf);
        if let Some(shelf) = self.shelves.get_mut(place(shelf)) {
            shelf.set(id, OPEN, open, &self.rows);
        }
    }

    /// A filter as operations on columns.
    pub fn plan<'a>(&self, tests: impl Iterator<Item = &'a Test>) -> Plan<'a> {
        Plan::of(tests, |name| self.rows.groups.find(name))
    }

    /// The shelves that a filter's models admit.
    pub fn shelves(&self, filter: &Filter) -> Chosen<'_> {
        let mut chosen: Option<Vec<(u64, u32)>> = None;
        for term in &filter.terms {
            let Test::Model(models) = &term.test else {
                continue;
            };
            let mut named: Vec<(u64, u32)> = models
                .iter()
                .flat_map(|written| self.models.named(written))
                .filter_map(|shelf| {
                    self.least_key(number(shelf))
                        .map(|key| (key, number(shelf)))
                })
                .collect();
            named.sort_unstable();
            named.dedup();
            chosen = Some(match chosen {
                None => named,
                Some(before) => before
                    .into_iter()
                    .filter(|shelf| named.binary_search(shelf).is_ok())
                    .collect(),
            });
        }
        let chosen = chosen.map_or(Cow::Borrowed(self.order.as_slice()), Cow::Owned);
        let unwanted: Vec<u32> = filter
            .terms
            .iter()
            .filter_map(|term| match &term.test {
                Test::NotModel(models) => Some(models),
                _ => None,
            })
            .flatten()
            .flat_map(|written| self.models.named(written))
            .map(number)
            .collect();
        if unwanted.is_empty() {
            return chosen;
        }
        let wanted = chosen.iter().filter(|(_, shelf)| !unwanted.contains(shelf));
        Cow::Owned(wanted.copied().collect())
    }

    /// Every shelf that holds something.
    pub fn all_shelves(&self) -> &[(u64, u32)] {
        &self.order
    }

    pub fn model(&self, shelf: u32) -> Option<&Arc<str>> {
        self.models.name(place(shelf))
    }

    /// The number of a model's shelf, by its exact name.
    pub fn shelf_named(&self, model: &str) -> Option<u32> {
        self.models.find(model).map(number)
    }

    /// Offers on a node, in no order.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = RowId> {
        self.rows.on_node(node)
    }

    pub fn rank(&self, id: RowId) -> Rank {
        self.rows.get(id).rank()
    }

    /// Whether a plan admits a row, by columns and rest. The shelf is the caller's to ask.
    pub fn admits(&self, plan: &Plan<'_>, row: &Row) -> bool {
        plan.admits(row) && plan.passes(row, 0, |group| self.rows.groups.name(group))
    }

    /// Lanes of a page that a plan admits, rest and all.
    pub fn lanes(&self, page: &Page, base: column::Column, plan: &Plan<'_>) -> Mask {
        let (mask, undecided) = page.mask(base, plan);
        if undecided == 0 && plan.rest.is_empty() {
            return mask;
        }
        self.passing(page, mask, |row| {
            plan.passes(row, undecided, |group| self.rows.groups.name(group))
        })
    }

    /// Those lanes of a mask whose rows pass.
    pub fn passing(&self, page: &Page, mut mask: Mask, passes: impl Fn(&Row) -> bool) -> Mask {
        for (n, word) in mask.iter_mut().enumerate() {
            for lane in lanes_of(*word) {
                if !passes(self.rows.get(page.row_of(n * WORD + lane))) {
                    *word &= !(1 << lane);
                }
            }
        }
        mask
    }

    #[cfg(test)]
    pub fn check(&self) {
        let mut live = 0;
        for (number, shelf) in self.shelves.iter().enumerate() {
            shelf.check(&self.rows);
            live += shelf.live;
            let listed: Vec<u64> = self
                .order
                .iter()
                .filter(|(_, n)| place(*n) == number)
                .map(|(key, _)| *key)
                .collect();
            assert_eq!(listed, shelf.least_key().into_iter().collect::<Vec<_>>());
        }
        assert_eq!(live, self.rows.len());
        assert!(self.order.is_sorted());
    }
}

/// The set bits of a word, lowest first.
pub(crate) fn lanes_of(word: u64) -> impl Iterator<Item = usize> {
    std::iter::successors((word != 0).then_some(word), |word| {
        let rest = word & (word - 1);
        (rest != 0).then_some(rest)
    })
    .map(|word| word.trailing_zeros() as usize)
}
