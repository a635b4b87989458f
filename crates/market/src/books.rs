//! A book for each kind of rent. The on-demand book has every device; the others those that are offered that way.

use std::sync::Arc;

use kernel::{DeviceId, JobId, PricePerSecond, Seconds, Timestamp};
use protocol::rent::{DeviceRules, ReservedRule};

use crate::book::{Book, Choice};
use crate::explain::NoMatch;
use crate::hours::Hours;
use crate::offer::{Offer, Supply};
use crate::request::{Kind, Request};
use crate::root::Digest;

/// Rows of scheduled devices are written anew at least this often while time passes.
pub const HOURS_STEP: Seconds = Seconds::new(10);

/// One device as it stands in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// On demand.
    pub offer: Offer,
    pub spot: Option<PricePerSecond>,
    pub reserved: Option<ReservedRule>,
}

impl Listing {
    /// What an owner's rules make of a device at a time. Within its hours a device takes jobs whose time limit ends
    /// before the hours do. What is left is given in whole minutes, and [`HOURS_STEP`] less, so that it still holds
    /// when it is next written anew.
    pub fn of(mut offer: Offer, rules: &DeviceRules, now: Timestamp) -> Self {
        offer.min_duration = rules.min_duration;
        offer.max_duration = rules.max_duration;
        if let Some(left) = Hours::at(rules.schedule.as_ref(), now).left(now) {
            let minutes = left.minus_or_zero(HOURS_STEP).get() / 60;
            let left = Seconds::new(minutes.saturating_mul(60));
            if left == Seconds::ZERO && offer.supply == Supply::Offered {
                offer.supply = Supply::Closed;
            }
            offer.max_duration = Some(offer.max_duration.unwrap_or(left).min(left));
        }
        Self {
            // The on-demand price may have followed the index to below it.
            spot: rules.spot.map(|spot| spot.min(offer.price)),
            reserved: rules.reserved,
            offer,
        }
    }

    /// Its offer of one kind, if it is offered that way.
    pub fn as_kind(&self, kind: Kind) -> Option<Offer> {
        match kind {
            Kind::OnDemand => Some(self.offer.clone()),
            Kind::Spot => self.spot.map(|price| Offer {
                price,
                ..self.offer.clone()
            }),
            Kind::Reserved => self.reserved.map(|rule| Offer {
                price: rule.price,
                min_duration: self.offer.min_duration.max(rule.min_term),
                ..self.offer.clone()
            }),
        }
    }
}

/// The offers of each kind. A slot is one, whatever it is rented as: who has it has it in all books.
#[derive(Debug, Clone, Default)]
pub struct Books {
    on_demand: Book,
    spot: Book,
    reserved: Book,
}

impl FromIterator<Listing> for Books {
    /// Much faster than one [`Books::put`] after the other. Each device once, as in the database.
    fn from_iter<I: IntoIterator<Item = Listing>>(listings: I) -> Self {
        let (mut spot, mut reserved) = (Vec::new(), Vec::new());
        let on_demand = listings.into_iter().map(|listing| {
            spot.extend(listing.as_kind(Kind::Spot));
            reserved.extend(listing.as_kind(Kind::Reserved));
            listing.offer
        });
        Self {
            on_demand: on_demand.collect(),
            spot: spot.into_iter().collect(),
            reserved: reserved.into_iter().collect(),
        }
    }
}

impl Books {
    /// The book of one kind.
    pub const fn of(&self, kind: Kind) -> &Book {
        match kind {
            Kind::OnDemand => &self.on_demand,
            Kind::Spot => &self.spot,
            Kind::Reserved => &self.reserved,
        }
    }

    const fn all(&mut self) -> [&mut Book; 3] {
        [&mut self.on_demand, &mut self.spot, &mut self.reserved]
    }

    /// The Merkle root of all books: over the roots of each, on demand, spot, reserved.
    pub fn root(&mut self) -> Digest {
        let [on_demand, spot, reserved] = self.all().map(Book::root);
        Digest::books([on_demand, spot, reserved])
    }

    /// All devices, in no order.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.on_demand.offers().map(|offer| offer.device)
    }

    /// How many devices there are.
    pub fn len(&self) -> usize {
        self.on_demand.len()
    }

    pub fn is_empty(&self) -> bool {
        self.on_demand.is_empty()
    }

    /// Rises with each change of any of them.
    pub const fn revision(&self) -> u64 {
        let (on_demand, spot) = (self.on_demand.revision(), self.spot.revision());
        on_demand
            .wrapping_add(spot)
            .wrapping_add(self.reserved.revision())
    }

    /// A device as it is offered on demand.
    pub fn get(&self, device: DeviceId) -> Option<Offer> {
        self.on_demand.get(device)
    }

    /// Adds a device or replaces what is known of it. Its holder stays.
    pub fn put(&mut self, listing: &Listing) {
        let device = listing.offer.device;
        self.on_demand.put(&listing.offer);
        for (kind, book) in [
            (Kind::Spot, &mut self.spot),
            (Kind::Reserved, &mut self.reserved),
        ] {
            match listing.as_kind(kind) {
                Some(mut offer) => {
                    offer.holder = self.on_demand.get(device).and_then(|own| own.holder);
                    book.put(&offer);
                }
                None => {
                    book.remove(device);
                }
            }
        }
    }

    pub fn remove(&mut self, device: DeviceId) -> Option<Offer> {
        self.spot.remove(device);
        self.reserved.remove(device);
        self.on_demand.remove(device)
    }

    /// Gives a free slot to a job. `false`: another job has it, or the offer does not stand.
    pub fn take(&mut self, device: DeviceId, job: JobId) -> bool {
        let taken = self.on_demand.take(device, job);
        if taken {
            self.set_holder(device, job);
        }
        taken
    }

    /// Marks who holds a slot, as the database says.
    pub fn set_holder(&mut self, device: DeviceId, job: JobId) {
        for book in self.all() {
            book.set_holder(device, job);
        }
    }

    /// Frees the slot if this job has it; another's stays.
    pub fn free(&mut self, device: DeviceId, job: JobId) -> bool {
        let [on_demand, spot, reserved] = self.all();
        spot.free(device, job);
        reserved.free(device, job);
        on_demand.free(device, job)
    }

    /// The best offers for a request, of the kind that it asks for.
    ///
    /// # Errors
    /// [`NoMatch`] tells what each constraint removed.
    pub fn choose(&self, request: &Request) -> Result<Choice, NoMatch> {
        self.of(request.ask.kind).choose(request)
    }

    /// Whether [`Books::choose`] finds something; without the explanation.
    pub fn has(&self, request: &Request) -> bool {
        self.of(request.ask.kind).has(request)
    }

    /// [`Books::choose`] for one device, without an explanation.
    pub fn best(&self, request: &Request) -> Option<Offer> {
        self.of(request.ask.kind).best(request)
    }

    /// The models of all devices, by name.
    pub fn models(&self) -> Vec<Arc<str>> {
        self.on_demand.models()
    }

    /// The devices of one model, by its exact name, in the order of choice on demand.
    pub fn of_model(&self, model: &str) -> Vec<Offer> {
        self.on_demand.of_model(model)
    }
}

#[cfg(test)]
mod tests;
