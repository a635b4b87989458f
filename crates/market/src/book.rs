//! All offers of one kind of rent, and who holds each slot.

use std::sync::Arc;

use kernel::{DeviceId, JobId, PricePerSecond};
use protocol::spec::DeviceClass;

use crate::explain::{NoMatch, explain};
use crate::filter::Filter;
use crate::gang;
use crate::index::{Index, LIVE, OPEN, Stream};
use crate::offer::{Offer, Supply};
use crate::request::{Near, Request};
use crate::root::{Digest, Proof, Tree};

/// The offers that were chosen: one, or as many as were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Node after node, the cheapest first; never empty.
    pub offers: Vec<Offer>,
    /// How near the nodes of a gang are to each other.
    pub near: Near,
}

impl Choice {
    /// The best-ranked one.
    pub fn first(&self) -> &Offer {
        &self.offers[0]
    }
}

/// Which offers a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All, hired and paused ones too.
    All,
    /// Those that can be had now.
    Open,
}

impl Scope {
    const fn column(self) -> u8 {
        match self {
            Self::All => LIVE,
            Self::Open => OPEN,
        }
    }
}

/// How the offers of one model stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// In the market, hired or free.
    pub offered: u32,
    pub hired: u32,
    /// The lowest ask of those that are free.
    pub lowest: Option<PricePerSecond>,
}

#[derive(Debug, Clone, Default)]
pub struct Book {
    pub(crate) index: Index,
    revision: u64,
    /// Made when a root is first asked for; a book without one pays nothing for it.
    tree: Option<Box<Tree>>,
}

impl FromIterator<Offer> for Book {
    /// Much faster than one [`Book::put`] after the other.
    fn from_iter<I: IntoIterator<Item = Offer>>(offers: I) -> Self {
        Self {
            index: Index::of(offers),
            revision: 0,
            tree: None,
        }
    }
}

impl Book {
    pub fn len(&self) -> usize {
        self.index.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, device: DeviceId) -> Option<Offer> {
        self.index.get(device)
    }

    /// Rises with each change.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Adds an offer or replaces the one of the same device. The holder of a known device stays.
    pub fn put(&mut self, offer: &Offer) {
        self.change(offer.device, |index| index.put(offer));
    }

    pub fn remove(&mut self, device: DeviceId) -> Option<Offer> {
        self.change(device, |index| index.remove(device))
    }

    /// Every change of the index goes through here, so that the tree hears of it.
    fn change<T>(&mut self, device: DeviceId, change: impl FnOnce(&mut Index) -> T) -> T {
        self.revision = self.revision.wrapping_add(1);
        let Some(tree) = &mut self.tree else {
            return change(&mut self.index);
        };
        let before = self.index.rows.find(device);
        let result = change(&mut self.index);
        tree.changed(device, before, self.index.rows.find(device));
        result
    }

    /// The Merkle root of all offers: what of them changed since the last time is hashed anew.
    pub fn root(&mut self) -> Digest {
        let index = &self.index;
        let tree = self.tree.get_or_insert_with(|| Box::new(Tree::of(index)));
        tree.root(index)
    }

    /// That a device's offer, as it is, is in the book of the present root.
    pub fn proof(&mut self, device: DeviceId) -> Option<Proof> {
        let index = &self.index;
        let tree = self.tree.get_or_insert_with(|| Box::new(Tree::of(index)));
        tree.proof(index, device)
    }

    /// All offers, in no order.
    pub fn offers(&self) -> impl Iterator<Item = Offer> {
        let shelves = self.index.all_shelves().iter();
        let pages = shelves.flat_map(|(_, shelf)| self.index.pages(*shelf));
        pages
            .flat_map(|page| page.offers(&self.index.rows))
            .map(|id| self.index.offer(id))
    }

    /// Gives a free slot to a job. `false`: another job has it, or the offer does not stand.
    pub fn take(&mut self, device: DeviceId, job: JobId) -> bool {
        match self.index.rows.find(device) {
            Some(id) if self.index.rows.get(id).is_open() => {
                self.change(device, |index| index.set_holder(id, Some(job)));
                true
            }
            _ => false,
        }
    }

    /// Marks who holds a slot, as the database says; for the rebuild at start.
    pub fn set_holder(&mut self, device: DeviceId, job: JobId) {
        if let Some(id) = self.index.rows.find(device) {
            self.change(device, |index| index.set_holder(id, Some(job)));
        }
    }

    /// Frees the slot if this job has it; another's stays.
    pub fn free(&mut self, device: DeviceId, job: JobId) -> bool {
        match self.index.rows.find(device) {
            Some(id) if self.index.rows.holder(device) == Some(job) => {
                self.change(device, |index| index.set_holder(id, None));
                true
            }
            _ => false,
        }
    }

    /// The best offers for a request.
    ///
    /// # Errors
    /// [`NoMatch`] tells what each constraint removed.
    pub fn choose(&self, request: &Request) -> Result<Choice, NoMatch> {
        if !request.ask.is_single() && request.device.is_none() {
            return match gang::find(&self.index, request) {
                Ok(found) => Ok(Choice {
                    offers: found
                        .rows
                        .into_iter()
                        .map(|id| self.index.offer(id))
                        .collect(),
                    near: found.near,
                }),
                Err(fewer) => Err(explain(&self.index, request, Some(fewer))),
            };
        }
        match self.best(request) {
            Some(offer) => Ok(Choice {
                offers: vec![offer],
                near: Near::Any,
            }),
            None => Err(explain(&self.index, request, None)),
        }
    }

    /// Whether [`Book::choose`] finds something; without the explanation.
    pub fn has(&self, request: &Request) -> bool {
        if request.ask.is_single() || request.device.is_some() {
            self.best(request).is_some()
        } else {
            gang::find(&self.index, request).is_ok()
        }
    }

    /// The best offer for a request of one device; [`Book::choose`] without an explanation.
    pub fn best(&self, request: &Request) -> Option<Offer> {
        if let Some(device) = request.device {
            return self
                .get(device)
                .filter(|offer| offer.is_open() && request.admits(offer));
        }
        self.stream(&request.filter, Scope::Open)
            .find(|id| {
                let row = self.index.rows.get(*id);
                !request.avoid.contains(&row.node) && request.welcomes(row.joined_at)
            })
            .map(|id| self.index.offer(id))
    }

    fn stream<'a>(&'a self, filter: &'a Filter, scope: Scope) -> Stream<'a> {
        let plan = self.index.plan(filter.terms.iter().map(|term| &term.test));
        Stream::new(
            &self.index,
            plan,
            scope.column(),
            self.index.shelves(filter),
        )
    }

    /// A part of the list of offers that a filter admits, in the order of choice.
    pub fn list(&self, filter: &Filter, scope: Scope, skip: usize, limit: usize) -> Vec<Offer> {
        self.stream(filter, scope)
            .skip(skip)
            .take(limit)
            .map(|id| self.index.offer(id))
            .collect()
    }

    /// How many offers a filter admits.
    pub fn count(&self, filter: &Filter, scope: Scope) -> usize {
        let plan = self.index.plan(filter.terms.iter().map(|term| &term.test));
        let shelves = self.index.shelves(filter);
        let pages = shelves
            .iter()
            .flat_map(|(_, shelf)| self.index.pages(*shelf));
        pages
            .map(|page| {
                let mask = self.index.lanes(page, scope.column(), &plan);
                mask.iter()
                    .map(|word| word.count_ones() as usize)
                    .sum::<usize>()
            })
            .sum()
    }

    /// The models that are in the book, by name.
    pub fn models(&self) -> Vec<Arc<str>> {
        let shelves = self.index.all_shelves().iter();
        let mut models: Vec<Arc<str>> = shelves
            .filter_map(|(_, shelf)| self.index.model(*shelf).cloned())
            .collect();
        models.sort_unstable();
        models
    }

    /// How one model stands, by its exact name.
    pub fn standing(&self, class: DeviceClass, model: &str) -> Standing {
        let mut standing = Standing::default();
        let pages = self
            .index
            .shelf_named(model)
            .map(|shelf| self.index.pages(shelf));
        for id in pages
            .unwrap_or_default()
            .iter()
            .flat_map(|page| page.offers(&self.index.rows))
        {
            let row = self.index.rows.get(id);
            if row.class == class && row.supply == Supply::Offered {
                standing.offered = standing.offered.saturating_add(1);
                standing.hired = standing.hired.saturating_add(u32::from(row.held));
                if !row.held {
                    // They come in the order of choice.
                    standing.lowest = standing.lowest.or(Some(row.price));
                }
            }
        }
        standing
    }

    /// The place of a free offer among the free ones of its model and class, 1 being chosen first, and how many these are.
    pub fn place(&self, device: DeviceId) -> Option<(u32, u32)> {
        let own = self.index.rows.find(device)?;
        let row = self.index.rows.get(own);
        let (mut place, mut of) = (None, 0_u32);
        let shelf = self.index.shelf_named(&self.index.offer(own).model)?;
        for id in self
            .index
            .pages(shelf)
            .iter()
            .flat_map(|page| page.offers(&self.index.rows))
        {
            let other = self.index.rows.get(id);
            if other.class == row.class && other.is_open() {
                of = of.saturating_add(1);
                if id == own {
                    place = Some(of);
                }
            }
        }
        Some((place?, of))
    }

    /// The offers of one model, by its exact name, in the order of choice.
    pub fn of_model(&self, model: &str) -> Vec<Offer> {
        let Some(shelf) = self.index.shelf_named(model) else {
            return Vec::new();
        };
        let pages = self.index.pages(shelf).iter();
        pages
            .flat_map(|page| page.offers(&self.index.rows))
            .map(|id| self.index.offer(id))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
