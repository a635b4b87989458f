//! Quotes: their words, and the promise of a held one. A quote binds the owners' prices for its minute; it does not keep
//! the devices free, or asking for quotes would empty the market.

use kernel::{Amount, DeviceId, JobId, PricePerSecond, QuoteId, Seconds};
use market::{Choice, Kind, Offer, Request, Supply};
use protocol::JobSpec;
use protocol::recompute::CHECKS_MAX;
use protocol::round::Occasion;
use protocol::view::{QuoteLine, QuoteLineKind, QuoteView, ScarcityView};
use store::{Quote, QuotedSlot, Tx};

use crate::actor::Actor;
use crate::desk::{Exchange, Memory, secret_hash};
use crate::error::Error;
use crate::members::{Wanted, answer};
use crate::recompute::TRIED_AGAIN;
use crate::rounds::Asked;
use crate::views::per_hour;

/// So many quotes an account may have open; the oldest is forgotten for the next.
const OPEN_MAX: u32 = 50;
/// An old quote is kept for so long to say that it is over.
const REMEMBER: Seconds = Seconds::new(600);

/// What was asked about: another specification or another device is another question.
fn asked(spec: &JobSpec, device: Option<DeviceId>) -> Result<String, Error> {
    serde_json::to_string(&(spec, device))
        .map(|text| secret_hash(&text))
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Basis points as per cent: 25 is `0.25`.
fn percent(points: u16) -> String {
    format!("{}.{:02}", points / 100, points % 100)
}

impl Exchange {
    /// What a job would cost, as [`Exchange::quote`] tells it; for an account it is kept and can be used once.
    ///
    /// # Errors
    /// As [`Exchange::quote`].
    pub async fn hold_quote(
        &self,
        actor: Option<&Actor>,
        spec: &JobSpec,
        device: Option<DeviceId>,
    ) -> Result<QuoteView, Error> {
        let mut view = self.quote(actor, spec, device).await?;
        // What is not free cannot be promised before its notice is given.
        let Some(actor) = actor.filter(|_| view.makes_room.is_none()) else {
            return Ok(view);
        };
        let now = view.quoted_at;
        let slot = |offer: &protocol::view::OfferView| QuotedSlot {
            device: offer.device,
            price: offer.price,
        };
        let quote = Quote {
            id: QuoteId::new(now, self.random()),
            account: actor.account,
            spec_hash: asked(spec, device)?,
            slots: view.offers.iter().map(slot).collect(),
            lines: view.lines.clone(),
            created_at: now,
            expires_at: now.plus(self.inner.settings.quote_ttl),
            job: None,
        };
        let mut tx = self.inner.store.begin().await?;
        tx.insert_quote(&quote, OPEN_MAX.saturating_sub(1)).await?;
        tx.commit().await?;
        view.id = Some(quote.id);
        view.valid_until = Some(quote.expires_at);
        Ok(view)
    }

    /// The quote that a job names, if this account may use it for this job now.
    pub(crate) async fn held_quote(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        id: QuoteId,
        spec: &JobSpec,
        device: Option<DeviceId>,
    ) -> Result<Quote, Error> {
        let quote = tx.quote(id).await?;
        let quote = quote
            .filter(|quote| quote.account == actor.account)
            .ok_or(Error::NotFound("the quote"))?;
        if quote.job.is_some() {
            return Err(Error::used_quote());
        }
        if quote.expires_at <= self.now() {
            return Err(Error::Conflict(
                "this quote is over; ask for a new one, the price may be another now".into(),
            ));
        }
        if quote.spec_hash != asked(spec, device)? {
            return Err(Error::Conflict(
                "this quote is for another job; send the specification and device it was asked for, or ask for a new one"
                    .into(),
            ));
        }
        Ok(quote)
    }

    /// The offers that a quote promised, at its prices or lower ones; where one of them cannot be had any more, the next
    /// best for no more than the quoted total.
    fn promised(&self, memory: &Memory, request: &Request, quote: &Quote) -> Result<Choice, Error> {
        let kept = quote.slots.iter().map(|slot| {
            let offer = memory.book.of(request.ask.kind).get(slot.device)?;
            let offer = Offer {
                price: offer.price.min(slot.price),
                ..offer
            };
            (offer.is_open() && request.admits(&offer)).then_some(offer)
        });
        if let Some(offers) = kept.collect() {
            let near = request.ask.near;
            return Ok(Choice { offers, near });
        }
        let most = PricePerSecond::total(quote.slots.iter().map(|slot| slot.price));
        let mut next = request.clone();
        next.cap(most);
        let best = memory.book.choose(&next);
        best.map_err(|_| self.broken(memory, request, quote, most))
    }

    /// Says what changed since the quote.
    fn broken(
        &self,
        memory: &Memory,
        request: &Request,
        quote: &Quote,
        most: PricePerSecond,
    ) -> Error {
        let change = |slot: &QuotedSlot| {
            let Some(offer) = memory.book.of(request.ask.kind).get(slot.device) else {
                return Some("a quoted device left the market".to_owned());
            };
            let what = match offer.supply {
                _ if offer.holder.is_some() => "was hired by somebody else",
                Supply::Down => "is not connected any more",
                Supply::Paused => "was paused by its owner",
                Supply::Closed => "is outside its owner's hours",
                Supply::Blocked => "cannot isolate jobs any more",
                Supply::Offered if !request.admits(&offer) => "does not fit any more",
                Supply::Offered => return None,
            };
            Some(format!("{} {what}", offer.model))
        };
        let changes: Vec<String> = quote.slots.iter().filter_map(change).take(3).collect();
        let most = per_hour(self.fees(), most);
        Error::Conflict(format!(
            "the quote cannot be kept: {}, and nothing else that matches is free for at most {most} per hour; ask for a \
             new quote",
            changes.join(", ")
        ))
    }

    /// How scarce the model of an offer is.
    pub(crate) fn scarcity(memory: &Memory, offer: &Offer) -> ScarcityView {
        let book = memory.book.of(Kind::OnDemand);
        let standing = book.standing(offer.class, &offer.model);
        memory.scarcity_of(offer.class, &offer.model, standing.offered, standing.hired)
    }

    /// The lines of an hour: they add up to what the requester pays.
    pub(crate) fn quote_lines(
        &self,
        memory: &Memory,
        offers: &[Offer],
        kind: Kind,
    ) -> Vec<QuoteLine> {
        let book = memory.book.of(kind);
        let sum = |part: &dyn Fn(&Offer) -> Amount| {
            let add = |sum: Amount, offer| sum.checked_add(part(offer)).unwrap_or(Amount::MAX);
            offers.iter().fold(Amount::ZERO, add)
        };
        let hour = |price: PricePerSecond| price.per_hour().unwrap_or(Amount::MAX);
        let fees = self.fees();
        let asks = sum(&|offer| hour(offer.price));
        let base = sum(&|offer| {
            let lowest = book.standing(offer.class, &offer.model).lowest;
            hour(lowest.map_or(offer.price, |lowest| lowest.min(offer.price)))
        });
        let all_in = sum(&|offer| per_hour(fees, offer.price));
        let added = asks.minus_or_zero(base);
        let line = |kind, per_hour, text: String| QuoteLine {
            kind,
            per_hour,
            text,
        };
        let constraints = if added.is_zero() {
            "what you ask beyond the model adds nothing"
        } else {
            "what you ask beyond the model adds this: cheaper devices of it do not fit"
        };
        vec![
            line(
                QuoteLineKind::Base,
                base,
                "the lowest ask for the model that is free now".into(),
            ),
            line(QuoteLineKind::Constraints, added, constraints.into()),
            line(
                QuoteLineKind::Fee,
                all_in.minus_or_zero(asks),
                format!("the fee, {} % of the price", percent(fees.requester.get())),
            ),
            line(
                QuoteLineKind::Egress,
                Amount::ZERO,
                "data in and out costs nothing".into(),
            ),
        ]
    }

    /// What is more to say than the lines do.
    pub(crate) fn quote_notes(view: &QuoteView, spec: &JobSpec) -> Vec<String> {
        let ScarcityView {
            offered,
            hired,
            percent,
            median_percent,
        } = view.scarcity;
        let median = median_percent.map_or(String::new(), |median| {
            format!(", {median} % in the median of the last 24 hours")
        });
        let mut notes = vec![
            format!(
                "{} per hour in all; in the {} seconds that it may run it costs at most {}.",
                view.per_hour, spec.limits.duration_seconds, view.at_most
            ),
            format!(
                "{} is set aside before the start; what is not used comes back.",
                view.first_hold
            ),
            if view.per_hour.is_zero() {
                "It is free of charge: nothing is taken from the balance.".to_owned()
            } else {
                format!(
                    "A balance of {} lasts {} seconds at this rate.",
                    view.available,
                    view.runway.get()
                )
            },
            format!(
                "{hired} of {offered} {} are hired now ({percent} %{median}); that explains prices and is never added to one.",
                view.offer.model
            ),
        ];
        if let Some(checked) = spec.recompute.as_ref().filter(|of| of.percent > 0) {
            notes.push(format!(
                "{} % of its {} slices are drawn and computed again on other owners' machines, which you pay besides: each as a job of \
                 its own, at most {CHECKS_MAX} of them with {} seconds each, at no more than twice this price; where two differ, a third decides, and one that \
                 fails is tried on {TRIED_AGAIN} more machines at most.",
                checked.percent, checked.slices, checked.seconds
            ));
        }
        if let Some(within) = view.makes_room {
            notes.push(format!(
                "Nothing that matches is free; a spot job makes room for this one within {} seconds. Until then it waits and \
                 costs nothing.",
                within.get()
            ));
        }
        notes
    }

    /// Forgets quotes that are over for some time.
    pub(crate) async fn prune_quotes(&self, tx: &mut Tx) -> Result<(), Error> {
        let before = self.now().minus(REMEMBER);
        Ok(tx.forget_quotes(before).await?)
    }

    /// Takes what a quote promised out of the market, all or nothing.
    pub(crate) fn take_promised(
        &self,
        wanted: &Wanted,
        quote: &Quote,
        job: JobId,
    ) -> Result<(Choice, Option<Asked>), Error> {
        let request = wanted.requests.first();
        let request = request.ok_or(Error::NotFound("the request"))?;
        let now = self.now();
        let mut memory = self.memory();
        let mut asked = Asked::of(&mut memory.book, Occasion::Submitted, now);
        let choice = self.promised(&memory, request, quote)?;
        // As a rule the market answers the same now as a minute ago, and that is a round like any other. Where the promise
        // made the difference, there is nothing that could be asked again.
        let (which, found) = answer(&memory, &wanted.requests);
        let devices = |choice: &Choice| -> Vec<DeviceId> {
            choice.offers.iter().map(|offer| offer.device).collect()
        };
        let same = found
            .as_ref()
            .is_ok_and(|found| devices(found) == devices(&choice));
        asked.answered(&wanted.requests, which, found.as_ref().ok());
        for offer in &choice.offers {
            let taken = memory.book.take(offer.device, job);
            debug_assert!(taken, "a promised offer is free");
        }
        Ok((choice, same.then_some(asked)))
    }
}
