//! The market: offers, prices, quotes.

use std::fmt;
use std::str::FromStr;

use kernel::{Amount, DeviceId, JobId, PricePerSecond, Seconds, Timestamp};
use market::{
    Choice, Country, Filter, Kind, NoMatch, Number, Offer, Prices, Query, QueryError, Request,
    Term, Test,
};
use protocol::JobSpec;
use protocol::problem::FieldProblem;
use protocol::proof::ProofState;
use protocol::spec::{DEVICES_MAX, NODES_MAX};
use protocol::state::JobState;
use protocol::view::{
    NetworkView, OfferFilter, OfferView, OffersView, OrderView, Page, QuoteView, Scope,
};

use crate::actor::Actor;
use crate::desk::{Exchange, Memory, NodeLive};
use crate::error::Error;
use crate::members::choose;
use crate::views::{is_gpu, offer_view, per_hour, runway};

/// Offers on one page of the list: as a rule, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 500;

/// Where the list of orders is read on: behind a job that waits since then, whether or not it still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderPlace {
    since: Timestamp,
    job: JobId,
}

impl OrderPlace {
    fn of(job: &store::Job) -> Option<Self> {
        job.queued_at.map(|since| Self { since, job: job.id })
    }
}

impl fmt::Display for OrderPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.since.millis(), self.job)
    }
}

impl FromStr for OrderPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = text.split_once(':').and_then(|(since, job)| {
            Some(Self {
                since: Timestamp::from_millis(since.parse().ok()?),
                job: job.parse().ok()?,
            })
        });
        place.ok_or("the `next` of the page before")
    }
}

/// Whether a job can have so many devices.
const fn within_reach(ask: &market::Ask) -> Result<(), &'static str> {
    if ask.count > DEVICES_MAX || ask.nodes > NODES_MAX {
        return Err("a job has at most 64 nodes with 64 devices each");
    }
    Ok(())
}

impl Exchange {
    /// The highest owner's price whose hour, fee included, stays within the limit.
    pub(crate) fn price_within(&self, limit: Amount) -> PricePerSecond {
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

    /// Reads a query; its prices are what the requester pays.
    fn read_query(&self, text: &str) -> Result<Query, QueryError> {
        let at_most = |limit: Amount| self.price_within(limit);
        market::parse(text, &Prices { at_most: &at_most })
    }

    pub(crate) fn query(&self, field: &str, text: &str) -> Result<Query, Error> {
        self.read_query(text)
            .map_err(|error| Error::invalid(field, error.to_string()))
    }

    /// Why a query of the market cannot be read: the query with a mark under the place, and what to write instead.
    pub fn query_fault(&self, text: &str) -> Option<(String, String)> {
        let error = self.read_query(text).err()?;
        Some((error.pointed(text), error.to_string()))
    }

    /// What a job asks of the market.
    ///
    /// # Errors
    /// A query that cannot be read.
    pub(crate) fn request(
        &self,
        spec: &JobSpec,
        device: Option<DeviceId>,
    ) -> Result<Request, Error> {
        let limit = spec.limits.max_price_per_hour.as_deref();
        let limit = limit.and_then(|text| Amount::parse_io(text).ok());
        let mut request = Request::of(spec, limit.map(|limit| self.price_within(limit)), device);
        if let Some(text) = &spec.placement.filter {
            let query = self.query("placement.filter", text)?;
            request.filter.terms.extend(query.filter.terms);
            let (own, ask) = (request.ask, query.placement);
            request.ask = market::Ask {
                count: one_of("count", own.count, ask.count)?,
                nodes: one_of("nodes", own.nodes, ask.nodes)?,
                ..ask
            };
        }
        Ok(request)
    }

    /// How a job is to be rented. A query that cannot be read was refused when the job was sent.
    pub(crate) fn kind_of(&self, spec: &JobSpec) -> Kind {
        let query = spec.placement.filter.as_deref();
        query
            .and_then(|text| self.read_query(text).ok())
            .map_or(Kind::default(), |query| query.placement.kind)
    }

    /// As [`Exchange::request`], for a job that is to run: what cannot be run yet is refused.
    pub(crate) fn runnable(
        &self,
        spec: &JobSpec,
        device: Option<DeviceId>,
    ) -> Result<Request, Error> {
        let request = self.request(spec, device)?;
        let refuse = |message: &str| Err(Error::invalid("placement.filter", message));
        if let Err(message) = within_reach(&request.ask) {
            return refuse(message);
        }
        if device.is_some() && !request.ask.is_single() {
            return refuse(
                "one device was chosen, and the job asks for several; leave out the device, or count and nodes",
            );
        }
        Ok(request)
    }

    /// Until when a waiting job waits: a new one as long as it was told to, one that lost its node as long as we hope.
    pub(crate) fn waits_until(&self, job: &store::Job) -> Option<Timestamp> {
        let patience = match job.epoch.get() {
            0 => Seconds::new(job.spec.limits.wait_seconds),
            _ => {
                Seconds::new(job.spec.limits.wait_seconds).max(self.inner.settings.requeue_patience)
            }
        };
        job.queued_at.map(|since| since.plus(patience))
    }

    /// The account's jobs that wait in the market, the longest waiting first. `after` is the `next` of the page before.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn orders(
        &self,
        actor: &Actor,
        after: Option<OrderPlace>,
        limit: u32,
    ) -> Result<Page<OrderView>, Error> {
        actor.require(Scope::Read)?;
        let limit = usize::try_from(limit.clamp(1, 100)).unwrap_or(usize::MAX);
        let mut waiting = self.inner.store.waiting_jobs().await?;
        waiting.retain(|job| {
            let place = OrderPlace::of(job);
            job.account == actor.account && after.is_none_or(|after| place > Some(after))
        });
        let more = waiting.len() > limit;
        waiting.truncate(limit);
        let last = waiting.last().and_then(OrderPlace::of).filter(|_| more);
        let mut items = Vec::with_capacity(waiting.len());
        for job in &waiting {
            items.extend(self.order(job).await?);
        }
        Ok(Page {
            items,
            next: last.map(|last| last.to_string()),
        })
    }

    async fn order(&self, job: &store::Job) -> Result<Option<OrderView>, Error> {
        let leases = match job.epoch.get() {
            0 => Vec::new(),
            _ => self.inner.store.leases_of_job(job.id).await?,
        };
        let (Some(wanted), Some(since)) = (self.wanted(job, &leases).ok().flatten(), job.queued_at)
        else {
            return Ok(None);
        };
        // Why nothing fits takes a look at each offer: others have their turn between two orders.
        tokio::task::yield_now().await;
        let memory = self.memory();
        let why = choose(&memory, &wanted).err();
        let Some(until) = memory.room_until(job.id).or(self.waits_until(job)) else {
            return Ok(None);
        };
        drop(memory);
        let why = why.map(|why| self.priced(why).sentence());
        Ok(Some(OrderView {
            job: job.id,
            name: job.spec.name.trim().to_owned(),
            since,
            until,
            filter: job.spec.placement.filter.clone(),
            max_price_per_hour: job.spec.limits.max_price_per_hour.clone(),
            why: why.unwrap_or_default(),
        }))
    }

    /// A page of the offers that pass a filter, cheapest first.
    ///
    /// # Errors
    /// A filter that cannot be read is named.
    pub fn offers(&self, filter: &OfferFilter) -> Result<OffersView, Error> {
        let (asked, kind) = self.filter(filter)?;
        let scope = if filter.idle.unwrap_or(false) {
            market::Scope::Open
        } else {
            market::Scope::All
        };
        let offset = filter.offset.unwrap_or(0);
        let limit = filter.limit.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Error::invalid("limit", format!("from 1 to {PAGE_MAX}")));
        }
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let fees = self.fees();
        let memory = self.memory();
        let book = memory.book.of(kind);
        let offers = book.list(&asked, scope, size(offset), size(limit));
        let matching = count(book.count(&asked, scope));
        let end = offset.saturating_add(count(offers.len()));
        Ok(OffersView {
            offers: offers
                .iter()
                .map(|offer| offer_view(&memory, offer, kind, fees))
                .collect(),
            matching,
            total: count(book.len()),
            next: (end < matching && !offers.is_empty()).then_some(end),
        })
    }

    /// What is asked, and of which kind of rent.
    fn filter(&self, filter: &OfferFilter) -> Result<(Filter, Kind), Error> {
        let text = |text: &Option<String>| {
            text.as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let mut tests = Vec::new();
        tests.extend(filter.class.map(Test::Class));
        tests.extend(text(&filter.model).map(|model| Test::model(&model)));
        tests.extend(
            filter
                .min_device_memory_mib
                .map(|min| Test::at_least(Number::Vram, min)),
        );
        tests.extend(
            filter
                .min_reputation
                .map(|min| Test::at_least(Number::Reputation, u64::from(min))),
        );
        if let Some(text) = text(&filter.max_price_per_hour) {
            let limit = Amount::parse_io(&text)
                .map_err(|error| Error::invalid("max_price_per_hour", error.to_string()))?;
            let most = u64::try_from(self.price_within(limit).per_second().base()).unwrap_or(0);
            tests.push(Test::at_most(Number::Price, most));
        }
        if let Some(text) = text(&filter.country) {
            let country = Country::known(&text);
            let country = country
                .ok_or_else(|| Error::invalid("country", "a country's two letters, such as CH"))?;
            tests.push(Test::Country(vec![country]));
        }
        let term = |test: Test| Term {
            source: test.field().to_owned(),
            text: String::new(),
            test,
        };
        let mut kind = filter.kind.unwrap_or_default();
        let mut terms: Vec<Term> = tests.into_iter().map(term).collect();
        if let Some(text) = text(&filter.q) {
            let query = self.query("q", &text)?;
            within_reach(&query.placement).map_err(|message| Error::invalid("q", message))?;
            terms.extend(query.filter.terms);
            kind = filter.kind.unwrap_or(query.placement.kind);
        }
        Ok((Filter { terms }, kind))
    }

    /// The kind of rent that a list of offers is of.
    ///
    /// # Errors
    /// A filter that cannot be read is named.
    pub fn kind_asked(&self, filter: &OfferFilter) -> Result<Kind, Error> {
        self.filter(filter).map(|(_, kind)| kind)
    }

    pub fn offer(&self, device: DeviceId) -> Option<OfferView> {
        let memory = self.memory();
        memory
            .book
            .get(device)
            .map(|offer| offer_view(&memory, &offer, Kind::OnDemand, self.fees()))
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
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let now = self.now();
        let connected = |gpu: bool, proven: bool| {
            let of_node = |node: &NodeLive| {
                let counts = |device: &&store::Device| {
                    device.present
                        && is_gpu(device.class) == gpu
                        && (!proven || device.proof.state == ProofState::Proven)
                        && node.supply(device, now) != market::Supply::Down
                };
                node.devices.iter().filter(counts).count()
            };
            count(memory.nodes.values().map(of_node).sum())
        };
        Ok(NetworkView {
            nodes_online: count(
                memory
                    .nodes
                    .values()
                    .filter(|node| node.link.is_some())
                    .count(),
            ),
            gpus_claimed: connected(true, false),
            gpus_proven: connected(true, true),
            cpus_claimed: connected(false, false),
            devices_hired: count(
                memory
                    .leases
                    .values()
                    .map(|live| live.lease.devices.len())
                    .sum(),
            ),
            jobs_running,
            jobs_finished,
            seconds_delivered,
        })
    }

    /// What a job would cost now, and on which devices: the best that fit, or the one that is named. Without a signed-in
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
        let request = self.runnable(spec, device)?;
        let available = match actor {
            Some(actor) => self.inner.store.balances(actor.account).await?.available,
            None => Amount::ZERO,
        };
        let memory = self.memory();
        let (choice, makes_room) = match memory.book.choose(&request) {
            Ok(choice) => (choice, None),
            Err(why) => {
                let room = self.room_for(&memory, &request);
                let (choice, within) = room.ok_or_else(|| Error::NoMatch(self.priced(why)))?;
                (choice, Some(within))
            }
        };
        let kind = request.ask.kind;
        let book = memory.book.of(kind);
        let matching = book.count(&request.filter, market::Scope::Open);
        let matching = u32::try_from(matching).unwrap_or(u32::MAX);
        let mut quote = self.quoted(&memory, &choice, spec, kind, available, matching);
        // Should its node be lost, the job may go on where the limit still allows it: that is what it can cost at most.
        if let Some(limit) = request.most_together {
            let all = self.fees().cost(limit, spec.duration());
            quote.at_most = quote.at_most.max(all);
        }
        quote.makes_room = makes_room;
        quote.notes = Self::quote_notes(&quote, spec);
        Ok(quote)
    }

    /// What an hour at an owner's price costs the requester, with the fee of today.
    pub fn with_fee(&self, price: PricePerSecond) -> Amount {
        per_hour(self.fees(), price)
    }

    /// Why no offer passes a filter: what each of its terms removes, and what that leaves. Nothing where some pass.
    ///
    /// # Errors
    /// A filter that cannot be read is named.
    pub fn why_none(&self, filter: &OfferFilter) -> Result<Vec<FieldProblem>, Error> {
        let (filter, kind) = self.filter(filter)?;
        let request = Request {
            filter,
            ask: market::Ask {
                kind,
                ..market::Ask::default()
            },
            ..Request::default()
        };
        let why = self.memory().book.choose(&request).err();
        Ok(why.map_or_else(Vec::new, |why| self.priced(why).fields()))
    }

    /// With the prices that the requester pays.
    pub(crate) fn priced(&self, why: NoMatch) -> NoMatch {
        let fees = self.fees();
        why.priced(|price| per_hour(fees, price))
    }

    fn quoted(
        &self,
        memory: &Memory,
        choice: &Choice,
        spec: &JobSpec,
        kind: Kind,
        available: Amount,
        matching: u32,
    ) -> QuoteView {
        let fees = self.fees();
        let settings = &self.inner.settings;
        // A sum past all IO there can be is as much as all of it.
        let sum = |part: &dyn Fn(&Offer) -> Amount| {
            let add = |total: Amount, offer| total.checked_add(part(offer)).unwrap_or(Amount::MAX);
            choice.offers.iter().fold(Amount::ZERO, add)
        };
        let cost = |seconds: Seconds| sum(&|offer| fees.cost(offer.price, seconds));
        let all_in = sum(&|offer| per_hour(fees, offer.price));
        let rate = sum(&|offer| fees.rate(offer.price).per_second());
        let first_hold = cost(spec.duration().min(settings.escrow_window));
        let needed = cost(spec.duration().min(settings.escrow_minimum));
        let offers: Vec<OfferView> = choice
            .offers
            .iter()
            .map(|offer| offer_view(memory, offer, kind, fees))
            .collect();
        QuoteView {
            id: None,
            valid_until: None,
            lines: self.quote_lines(memory, &choice.offers, kind),
            makes_room: None,
            scarcity: Self::scarcity(memory, choice.first()),
            notes: Vec::new(),
            per_hour: all_in,
            at_most: cost(spec.duration()),
            first_hold: first_hold.min(available).max(needed),
            available,
            runway: runway(available, PricePerSecond::from_amount(rate))
                .unwrap_or(Seconds::new(u64::from(u32::MAX))),
            affordable: available >= needed,
            matching,
            quoted_at: self.now(),
            offer: offer_view(memory, choice.first(), kind, fees),
            offers,
            near: choice.near.as_str().to_owned(),
        }
    }
}

/// A number that the specification and its query may both give.
fn one_of(field: &str, own: u32, asked: u32) -> Result<u32, Error> {
    if own > 1 && asked > 1 && own != asked {
        return Err(Error::invalid(
            "placement.filter",
            format!("{field}={asked} contradicts the specification's {own}; give it once"),
        ));
    }
    Ok(own.max(asked))
}

/// What a job was promised to cost at most holds over all its leases, whatever the market asks now: the limit that the
/// requester set, or else what the job has paid.
pub(crate) fn cap(request: &mut Request, paid: Option<PricePerSecond>) {
    if request.most_together.is_none()
        && let Some(paid) = paid
    {
        request.cap(paid);
    }
}
