//! The market: offers, prices, quotes.

use std::collections::BTreeMap;

use kernel::{Amount, DeviceId, JobId, PricePerSecond, Seconds};
use market::{Constraint, NoMatch, Request};
use protocol::JobSpec;
use protocol::spec::{DeviceClass, is_country};
use protocol::state::{DeviceState, JobState};
use protocol::view::{
    ModelPriceView, NetworkView, OfferFilter, OfferView, OffersView, QuoteLine, QuoteLineKind,
    QuoteView, Scope,
};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::views::{is_gpu, offer_view, per_hour, runway};

impl Exchange {
    /// The highest owner's price whose hour, fee included, stays within the limit.
    fn price_within(&self, limit: Amount) -> PricePerSecond {
        let fees = self.fees();
        let (mut fits, mut border) = (0_i64, limit.base().saturating_add(1));
        while fits.saturating_add(1) < border {
            let middle = fits.midpoint(border);
            let price = Amount::try_from_base(middle).map(PricePerSecond::from_amount);
            if price.is_ok_and(|price| fees.per_hour(price).is_ok_and(|cost| cost <= limit)) {
                fits = middle;
            } else {
                border = middle;
            }
        }
        PricePerSecond::from_amount(Amount::try_from_base(fits).unwrap_or(Amount::ZERO))
    }

    /// What a job asks of the market.
    pub(crate) fn request(&self, spec: &JobSpec, device: Option<DeviceId>) -> Request {
        let limit = spec
            .limits
            .max_price_per_hour
            .as_deref()
            .and_then(|text| Amount::parse_io(text).ok());
        Request::of(spec, limit.map(|limit| self.price_within(limit)), device)
    }

    /// The offers that pass a filter, cheapest first.
    ///
    /// # Errors
    /// A filter that cannot be read is named.
    pub fn offers(&self, filter: &OfferFilter) -> Result<OffersView, Error> {
        let max = filter
            .max_price_per_hour
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| {
                Amount::parse_io(text)
                    .map_err(|error| Error::invalid("max_price_per_hour", error.to_string()))
            })
            .transpose()?;
        let country = filter
            .country
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_uppercase);
        if country
            .as_deref()
            .is_some_and(|country| !is_country(country))
        {
            return Err(Error::invalid("country", "two letters, such as CH"));
        }
        let model = filter
            .model
            .as_deref()
            .map(|model| model.trim().to_lowercase());
        let fees = self.fees();
        let memory = self.memory();
        let offers = memory
            .book
            .ranked()
            .map(|offer| offer_view(&memory, offer, fees))
            .filter(|offer| filter.class.is_none_or(|class| class == offer.class))
            .filter(|offer| {
                model
                    .as_ref()
                    .is_none_or(|model| offer.model.to_lowercase().contains(model.as_str()))
            })
            .filter(|offer| {
                filter
                    .min_device_memory_mib
                    .is_none_or(|min| offer.device_memory_mib >= min)
            })
            .filter(|offer| max.is_none_or(|max| offer.per_hour <= max))
            .filter(|offer| country.is_none() || offer.country == country)
            .filter(|offer| {
                filter
                    .min_reputation
                    .is_none_or(|min| offer.reputation >= min)
            })
            .filter(|offer| !filter.idle.unwrap_or(false) || offer.state == DeviceState::Idle)
            .collect();
        Ok(OffersView {
            offers,
            total: u32::try_from(memory.book.len()).unwrap_or(u32::MAX),
        })
    }

    pub fn offer(&self, device: DeviceId) -> Option<OfferView> {
        let memory = self.memory();
        memory
            .book
            .get(device)
            .map(|offer| offer_view(&memory, offer, self.fees()))
    }

    /// Lowest and median price of each model that is connected.
    pub fn prices(&self) -> Vec<ModelPriceView> {
        let memory = self.memory();
        let mut models: BTreeMap<(DeviceClass, &str), (Vec<PricePerSecond>, u32)> = BTreeMap::new();
        for offer in memory
            .book
            .ranked()
            .filter(|offer| offer.supply == market::Supply::Offered)
        {
            let (prices, idle) = models.entry((offer.class, &offer.model)).or_default();
            prices.push(offer.price);
            *idle = idle.saturating_add(u32::from(offer.holder.is_none()));
        }
        let hour = |price: Option<&PricePerSecond>| {
            price
                .and_then(|price| price.per_hour().ok())
                .unwrap_or(Amount::ZERO)
        };
        models
            .into_iter()
            .map(|((class, model), (prices, idle))| ModelPriceView {
                class,
                model: model.to_owned(),
                offers: u32::try_from(prices.len()).unwrap_or(u32::MAX),
                idle,
                // The book is ranked by price, so the prices are sorted; the lower of two middle ones is the median.
                lowest: hour(prices.first()),
                median: hour(prices.get(prices.len().saturating_sub(1) / 2)),
            })
            .collect()
    }

    /// Public statistics.
    ///
    /// # Errors
    /// The database failed.
    pub async fn network(&self) -> Result<NetworkView, Error> {
        let jobs_finished = self.inner.store.count_jobs(JobState::Finished).await?;
        let jobs_running = self.inner.store.count_jobs(JobState::Running).await?;
        let seconds_delivered = self.inner.store.seconds_delivered().await?;
        let memory = self.memory();
        let connected = || {
            memory
                .book
                .ranked()
                .filter(|offer| offer.supply != market::Supply::Down)
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(NetworkView {
            nodes_online: count(
                memory
                    .nodes
                    .values()
                    .filter(|node| node.link.is_some())
                    .count(),
            ),
            gpus_claimed: count(connected().filter(|offer| is_gpu(offer.class)).count()),
            gpus_proven: 0,
            cpus_claimed: count(connected().filter(|offer| !is_gpu(offer.class)).count()),
            devices_hired: count(memory.leases.len()),
            jobs_running,
            jobs_finished,
            seconds_delivered,
        })
    }

    /// What a job would cost now, and on which device: the best that fits, or the one that is named. Without a signed-in
    /// actor the balance counts as zero.
    ///
    /// # Errors
    /// Bad fields are named; [`Error::NoMatch`] tells what each constraint removed.
    pub async fn quote(
        &self,
        actor: Option<&Actor>,
        spec: &JobSpec,
        device: Option<DeviceId>,
    ) -> Result<QuoteView, Error> {
        if let Some(actor) = actor {
            actor.require(Scope::Jobs)?;
        }
        Error::check(spec)?;
        let available = match actor {
            Some(actor) => self.inner.store.balances(actor.account).await?[0],
            None => Amount::ZERO,
        };
        let fees = self.fees();
        let settings = &self.inner.settings;
        let request = self.request(spec, device);
        let memory = self.memory();
        let choice = memory.book.choose(&request).map_err(Error::NoMatch)?;
        let price = choice.offer.price;
        let cost = |seconds: Seconds| {
            // Beyond all amounts is beyond every balance, too.
            fees.charge(price, seconds)
                .map_or(Amount::MAX, |charge| charge.requester_pays)
        };
        let device_hour = price.per_hour().unwrap_or(Amount::MAX);
        let all_in = per_hour(fees, price);
        let first_hold = cost(spec.duration().min(settings.escrow_window));
        let needed = cost(spec.duration().min(settings.escrow_minimum));
        let rate = fees.rate(price);
        Ok(QuoteView {
            lines: vec![
                QuoteLine {
                    kind: QuoteLineKind::Device,
                    per_hour: device_hour,
                },
                QuoteLine {
                    kind: QuoteLineKind::Fee,
                    per_hour: all_in.minus_or_zero(device_hour),
                },
            ],
            per_hour: all_in,
            at_most: cost(spec.duration()),
            first_hold: first_hold.min(available).max(needed),
            available,
            runway: runway(available, rate).unwrap_or(Seconds::new(u64::from(u32::MAX))),
            affordable: available >= needed,
            matching: choice.matching,
            quoted_at: self.now(),
            offer: offer_view(&memory, choice.offer, fees),
        })
    }

    /// Takes the best free slot for a job out of the market. Give it back with [`Exchange::free_slot`] if it comes to nothing.
    pub(crate) fn take_slot(
        &self,
        request: &Request,
        job: JobId,
    ) -> Result<market::Offer, NoMatch> {
        let mut memory = self.memory();
        let offer = memory.book.choose(request)?.offer.clone();
        let taken = memory.book.take(offer.device, job);
        debug_assert!(taken, "a chosen offer is free: {:?}", Constraint::Free);
        Ok(offer)
    }

    pub(crate) fn free_slot(&self, device: DeviceId, job: JobId) {
        self.memory().book.free(device, job);
    }
}
