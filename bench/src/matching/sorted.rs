//! The contender that a careful developer would write by hand: a vector for each model, sorted by price, looked through
//! from its cheap end.

use std::collections::BTreeMap;

use market::{Country, Number, Offer, Rank};

use super::data::Question;

const NUMBERS: [Number; 8] = [
    Number::Vram,
    Number::Cpus,
    Number::Memory,
    Number::Disk,
    Number::Down,
    Number::Driver,
    Number::Cuda,
    Number::Reputation,
];

struct Entry {
    rank: Rank,
    price: u64,
    country: Option<Country>,
    numbers: [u64; NUMBERS.len()],
}

pub struct Sorted {
    models: BTreeMap<String, Vec<Entry>>,
    all: Vec<Entry>,
}

fn entry(offer: &Offer) -> Entry {
    Entry {
        rank: offer.rank(),
        price: u64::try_from(offer.price.per_second().base()).expect("above zero"),
        country: offer.country,
        numbers: NUMBERS.map(|number| number.of(offer).unwrap_or(0)),
    }
}

impl Sorted {
    pub fn of(offers: &[Offer]) -> Self {
        let mut models: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut all = Vec::new();
        for offer in offers.iter().filter(|offer| offer.is_open()) {
            models
                .entry(offer.model.to_string())
                .or_default()
                .push(entry(offer));
            all.push(entry(offer));
        }
        for entries in models.values_mut().chain([&mut all]) {
            entries.sort_unstable_by_key(|entry| entry.rank);
        }
        Self { models, all }
    }

    pub fn ask(&self, question: &Question) -> Option<Rank> {
        let entries = match question.model {
            Some(model) => self.models.get(model).map_or(&[][..], Vec::as_slice),
            None => &self.all,
        };
        let country = question.country.and_then(Country::parse);
        let mut least = [0; NUMBERS.len()];
        for (number, value) in &question.least {
            if let Some(at) = NUMBERS.iter().position(|other| other == number) {
                least[at] = *value;
            }
        }
        entries
            .iter()
            .take_while(|entry| question.most.is_none_or(|most| entry.price <= most))
            .find(|entry| {
                (country.is_none() || entry.country == country)
                    && entry
                        .numbers
                        .iter()
                        .zip(&least)
                        .all(|(value, least)| value >= least)
            })
            .map(|entry| entry.rank)
    }
}
