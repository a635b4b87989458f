//! The index of offers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kernel::{AccountId, DeviceId, JobId, NodeId, PricePerSecond, Timestamp};
use protocol::spec::DeviceClass;

use crate::request::{Constraint, NoMatch, Removed, Request};

/// Whether an offer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    Offered,
    /// Its owner keeps it back.
    Paused,
    /// Its node is not connected, or drains.
    Down,
    /// Its node cannot isolate jobs.
    Blocked,
}

/// One device as the market knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub device: DeviceId,
    pub node: NodeId,
    pub owner: AccountId,
    pub class: DeviceClass,
    pub model: String,
    pub device_memory_mib: u64,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    pub country: Option<String>,
    pub reputation: u32,
    pub price: PricePerSecond,
    pub joined_at: Timestamp,
    pub supply: Supply,
    /// The job that has it.
    pub holder: Option<JobId>,
}

/// Cheapest, then best reputed, then longest here, then the smaller id.
type Rank = (PricePerSecond, Reverse<u32>, Timestamp, DeviceId);

impl Offer {
    fn rank(&self) -> Rank {
        (
            self.price,
            Reverse(self.reputation),
            self.joined_at,
            self.device,
        )
    }
}

/// The offer that was chosen, and how many others would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    pub offer: &'a Offer,
    pub matching: u32,
}

/// All offers, in the order in which they are chosen.
#[derive(Debug, Clone, Default)]
pub struct Book {
    offers: BTreeMap<DeviceId, Offer>,
    ranked: BTreeSet<Rank>,
}

impl Book {
    pub fn len(&self) -> usize {
        self.offers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    pub fn get(&self, device: DeviceId) -> Option<&Offer> {
        self.offers.get(&device)
    }

    /// Adds an offer or replaces the one of the same device. The holder of a known device stays.
    pub fn put(&mut self, mut offer: Offer) {
        if let Some(old) = self.remove(offer.device)
            && offer.holder.is_none()
        {
            offer.holder = old.holder;
        }
        self.ranked.insert(offer.rank());
        self.offers.insert(offer.device, offer);
    }

    pub fn remove(&mut self, device: DeviceId) -> Option<Offer> {
        let offer = self.offers.remove(&device)?;
        self.ranked.remove(&offer.rank());
        Some(offer)
    }

    /// In the order in which they are chosen.
    pub fn ranked(&self) -> impl Iterator<Item = &Offer> {
        self.ranked
            .iter()
            .filter_map(|rank| self.offers.get(&rank.3))
    }

    /// The best offer for a request.
    ///
    /// # Errors
    /// [`NoMatch`] tells what each constraint removed.
    pub fn choose(&self, request: &Request) -> Result<Choice<'_>, NoMatch> {
        let mut matching = self.ranked().filter(|offer| request.matches(offer));
        match matching.next() {
            Some(offer) => {
                let others = u32::try_from(matching.count()).unwrap_or(u32::MAX);
                Ok(Choice {
                    offer,
                    matching: others.saturating_add(1),
                })
            }
            None => Err(self.explain(request)),
        }
    }

    /// Gives a free slot to a job. `false`: another job has it, or the offer does not stand.
    pub fn take(&mut self, device: DeviceId, job: JobId) -> bool {
        match self.offers.get_mut(&device) {
            Some(offer) if offer.holder.is_none() && offer.supply == Supply::Offered => {
                offer.holder = Some(job);
                true
            }
            _ => false,
        }
    }

    /// Marks who holds a slot, as the database says; for the rebuild at start.
    pub fn set_holder(&mut self, device: DeviceId, job: JobId) {
        if let Some(offer) = self.offers.get_mut(&device) {
            offer.holder = Some(job);
        }
    }

    /// Frees the slot if this job has it; another's stays.
    pub fn free(&mut self, device: DeviceId, job: JobId) -> bool {
        match self.offers.get_mut(&device) {
            Some(offer) if offer.holder == Some(job) => {
                offer.holder = None;
                true
            }
            _ => false,
        }
    }

    fn explain(&self, request: &Request) -> NoMatch {
        let removed = Constraint::ALL
            .into_iter()
            .filter_map(|constraint| {
                let failing = || {
                    self.ranked()
                        .filter(move |offer| !request.satisfied(constraint, offer))
                };
                let offers = u32::try_from(failing().count()).unwrap_or(u32::MAX);
                let near: Vec<&Offer> = failing()
                    .filter(|offer| {
                        Constraint::ALL
                            .into_iter()
                            .all(|other| other == constraint || request.satisfied(other, offer))
                    })
                    .collect();
                (offers > 0).then(|| Removed {
                    constraint,
                    offers,
                    alone: u32::try_from(near.len()).unwrap_or(u32::MAX),
                    nearest: nearest(constraint, &near),
                })
            })
            .collect();
        NoMatch {
            considered: u32::try_from(self.offers.len()).unwrap_or(u32::MAX),
            removed,
        }
    }
}

/// Words for the smallest change of one constraint that lets one of `near` match.
fn nearest(constraint: Constraint, near: &[&Offer]) -> Option<String> {
    let best = |value: fn(&Offer) -> u64| near.iter().map(|offer| value(offer)).max();
    match constraint {
        Constraint::DeviceMemory => {
            best(|o| o.device_memory_mib).map(|mib| format!("the largest has {mib} MiB"))
        }
        Constraint::Memory => {
            best(|o| o.memory_mib).map(|mib| format!("the largest has {mib} MiB"))
        }
        Constraint::Disk => best(|o| o.disk_mib).map(|mib| format!("the largest has {mib} MiB")),
        Constraint::Cpus => {
            best(|o| u64::from(o.cpus)).map(|cpus| format!("the largest has {cpus} cores"))
        }
        Constraint::Reputation => {
            best(|o| u64::from(o.reputation)).map(|value| format!("the best has {value}"))
        }
        Constraint::Price => near.iter().map(|offer| offer.price).min().map(|price| {
            format!(
                "the cheapest asks {} IO/h before the fee",
                price.to_io_per_hour()
            )
        }),
        Constraint::Country => {
            let countries: BTreeSet<&str> = near
                .iter()
                .filter_map(|offer| offer.country.as_deref())
                .collect();
            let list: Vec<&str> = countries.into_iter().take(5).collect();
            (!list.is_empty()).then(|| format!("there are offers in {}", list.join(", ")))
        }
        Constraint::Model => near
            .first()
            .map(|offer| format!("there is {}", offer.model)),
        Constraint::Class => near
            .first()
            .map(|offer| format!("there is a {}", offer.class.label())),
        Constraint::Free => {
            (!near.is_empty()).then(|| "all of them are hired; try again soon".to_owned())
        }
        Constraint::Device | Constraint::Offered | Constraint::NotRefused => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Amount;
    use proptest::prelude::*;

    fn price(base: i64) -> PricePerSecond {
        PricePerSecond::from_amount(Amount::try_from_base(base).expect("in range"))
    }

    fn offer(n: u8, base: i64, reputation: u32) -> Offer {
        let at = Timestamp::from_millis(i64::from(n));
        Offer {
            device: DeviceId::new(at, [n; 10]),
            node: NodeId::new(at, [n; 10]),
            owner: AccountId::new(at, [n; 10]),
            class: DeviceClass::Cpu,
            model: "Some CPU 9000".into(),
            device_memory_mib: 1_000,
            cpus: 2,
            memory_mib: 1_000,
            disk_mib: 1_000,
            country: None,
            reputation,
            price: price(base),
            joined_at: at,
            supply: Supply::Offered,
            holder: None,
        }
    }

    fn request() -> Request {
        Request {
            class: DeviceClass::Cpu,
            model: None,
            device_memory_mib: 0,
            cpus: 1,
            memory_mib: 100,
            disk_mib: 100,
            countries: vec![],
            min_reputation: 0,
            max_price: None,
            device: None,
            avoid: vec![],
        }
    }

    fn job(n: u8) -> JobId {
        JobId::new(Timestamp::from_millis(1), [n; 10])
    }

    #[test]
    fn cheapest_then_reputation_then_age() {
        let mut book = Book::default();
        for offer in [
            offer(1, 30, 90),
            offer(2, 20, 60),
            offer(4, 20, 70),
            offer(3, 20, 70),
        ] {
            book.put(offer);
        }
        let choice = book.choose(&request()).expect("matches");
        assert_eq!(
            (choice.offer.device, choice.matching),
            (offer(3, 0, 0).device, 4)
        );
    }

    #[test]
    fn a_slot_has_one_holder() {
        let mut book = Book::default();
        let device = offer(1, 10, 60).device;
        book.put(offer(1, 10, 60));
        assert!(book.take(device, job(1)));
        assert!(!book.take(device, job(2)));
        assert!(!book.free(device, job(2)));
        book.put(offer(1, 12, 60));
        assert!(
            !book.take(device, job(2)),
            "a new price must not free the slot"
        );
        assert!(book.free(device, job(1)));
        assert!(book.take(device, job(2)));
    }

    #[test]
    fn an_empty_answer_names_the_field_and_the_nearest_change() {
        let mut book = Book::default();
        book.put(offer(1, 10, 60));
        book.put(offer(2, 10, 60));
        let ask = Request {
            memory_mib: 4_000,
            ..request()
        };
        let no = book.choose(&ask).expect_err("too much");
        assert_eq!(no.fields()[0].field, "resources.memory_mib");
        assert_eq!(
            no.fields()[0].message,
            "removes 2 of 2 offers; without it 2 would match; the largest has 1000 MiB"
        );
        let none = Book::default().choose(&ask).expect_err("empty");
        assert!(none.sentence().starts_with("There are no offers"));
    }

    proptest! {
        /// Same winner as looking at every offer.
        #[test]
        fn the_choice_is_the_brute_force_one(
            offers in prop::collection::vec((1u8..40, 1i64..6, 55u32..65, any::<bool>(), any::<bool>()), 0..40),
            min_reputation in 50u32..66, max in 0i64..7,
        ) {
            let mut book = Book::default();
            for (n, base, reputation, free, offered) in offers {
                let mut offer = offer(n, base, reputation);
                offer.holder = (!free).then(|| job(n));
                offer.supply = if offered { Supply::Offered } else { Supply::Down };
                book.remove(offer.device);
                book.put(offer);
            }
            let request = Request { min_reputation, max_price: Some(price(max)), ..request() };
            let brute = book.ranked().filter(|o| {
                o.holder.is_none() && o.supply == Supply::Offered && o.reputation >= min_reputation && o.price <= price(max)
            }).min_by_key(|o| o.rank()).map(|o| o.device);
            prop_assert_eq!(book.choose(&request).ok().map(|choice| choice.offer.device), brute);
        }
    }
}
