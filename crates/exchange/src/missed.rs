//! Why a device was not hired: the rounds of the last day, each asked what stood between it and this one offer.

use std::collections::BTreeMap;

use kernel::{DeviceId, Seconds};
use market::{Chance, Listing};
use protocol::round::{BookStep, MissedGroup, MissedRound, MissedView, Round, Snapshot};
use protocol::view::Scope;

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;

const SPAN: Seconds = Seconds::new(86_400);
/// The newest rounds that are looked at, and what of the book's record is read for them.
const ROUNDS_MAX: u32 = 5_000;
const SNAPSHOTS_MAX: u32 = 50;
const STEPS_MAX: u32 = 20_000;
const EXAMPLES: usize = 3;

impl Exchange {
    /// How an own device did in the rounds of the last 24 hours, and what was in its way.
    ///
    /// # Errors
    /// Not this account's device; the key lacks `read`.
    pub async fn missed(&self, actor: &Actor, device: DeviceId) -> Result<MissedView, Error> {
        actor.require(Scope::Read)?;
        let own = self
            .memory()
            .device(device)
            .is_some_and(|(live, _)| live.node.owner == actor.account);
        if !own {
            return Err(Error::NotFound("the device"));
        }
        let since = self.now().minus(SPAN);
        let mut tally = Tally::default();
        let mut rounds = self.inner.store.rounds_since(since, ROUNDS_MAX).await?;
        rounds.reverse();
        if let Some(first) = rounds.first() {
            let mut past = self.past(device, first.step).await?;
            rounds.retain(|round| round.step >= past.begins);
            for round in &rounds {
                let offer = past.at(round.step)?;
                tally.count(offer, round)?;
            }
        }
        Ok(tally.view(device, since))
    }

    /// A device's offer from a step on.
    async fn past(&self, device: DeviceId, step: u64) -> Result<Past, Error> {
        let store = &self.inner.store;
        let base = store.snapshot_at(step).await?;
        let from = base.as_ref().map_or(0, |base| base.step);
        let later = store.snapshots_after(from, SNAPSHOTS_MAX).await?;
        let steps = store.steps_of_device(device, from, STEPS_MAX).await?;
        // Where not all was read, it begins with the oldest that was.
        let full = |len: usize, max: u32| u32::try_from(len).unwrap_or(u32::MAX) >= max;
        let mut begins = from;
        if full(later.len(), SNAPSHOTS_MAX) {
            begins = begins.max(later.last().map_or(0, |snapshot| snapshot.step));
        }
        if full(steps.len(), STEPS_MAX) {
            begins = begins.max(steps.first().map_or(0, |step| step.step));
        }
        let mut events: BTreeMap<u64, Event> = BTreeMap::new();
        let whole: Vec<Snapshot> = base.into_iter().chain(later).collect();
        for snapshot in whole.iter().filter(|snapshot| snapshot.step >= from) {
            let offer = store.offer_in_snapshot(snapshot.step, device).await?;
            let offer = offer.as_ref().map(market::readable).transpose();
            events.insert(
                snapshot.step,
                Event::Whole(offer.map_err(unreadable)?.map(Box::new)),
            );
        }
        // A snapshot within a segment stands at a change's own step and says what that change leads to.
        for step in steps {
            events.entry(step.step).or_insert(Event::Change(step));
        }
        Ok(Past {
            begins,
            events,
            offer: None,
        })
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the record of the book: {error}"))
}

enum Event {
    Whole(Option<Box<Listing>>),
    Change(BookStep),
}

/// A device's offer as time goes on.
struct Past {
    begins: u64,
    events: BTreeMap<u64, Event>,
    offer: Option<Listing>,
}

impl Past {
    /// As it was after a step; steps are asked in order.
    fn at(&mut self, step: u64) -> Result<Option<&Listing>, Error> {
        while let Some(entry) = self.events.first_entry()
            && *entry.key() <= step
        {
            match entry.remove() {
                Event::Whole(offer) => self.offer = offer.map(|offer| *offer),
                Event::Change(change) => {
                    market::follow(&mut self.offer, &change.change).map_err(unreadable)?;
                }
            }
        }
        Ok(self.offer.as_ref())
    }
}

#[derive(Default)]
struct Tally {
    rounds: u32,
    fitted: u32,
    won: u32,
    groups: BTreeMap<(&'static str, bool), MissedGroup>,
}

impl Tally {
    fn count(&mut self, offer: Option<&Listing>, round: &Round) -> Result<(), Error> {
        let request = market::request_of(&round.request).map_err(unreadable)?;
        let Chance {
            fitted,
            won,
            hurdles,
        } = market::chance(offer, &request, round);
        self.rounds = self.rounds.saturating_add(1);
        self.fitted = self.fitted.saturating_add(u32::from(fitted));
        self.won = self.won.saturating_add(u32::from(won));
        let alone = hurdles.len() == 1;
        for hurdle in hurdles {
            let group = self
                .groups
                .entry((hurdle.field, hurdle.outranked))
                .or_insert_with(|| MissedGroup {
                    field: hurdle.field.to_owned(),
                    outranked: hurdle.outranked,
                    rounds: 0,
                    alone: 0,
                    examples: Vec::new(),
                });
            group.rounds = group.rounds.saturating_add(1);
            group.alone = group.alone.saturating_add(u32::from(alone));
            // The newest come last.
            if group.examples.len() == EXAMPLES {
                group.examples.remove(0);
            }
            group.examples.push(MissedRound {
                number: round.number,
                at: round.at,
                asked: hurdle.asked,
                had: hurdle.had,
                price_to_win: hurdle.price_to_win,
            });
        }
        Ok(())
    }

    fn view(self, device: DeviceId, since: kernel::Timestamp) -> MissedView {
        let mut missed: Vec<MissedGroup> = self.groups.into_values().collect();
        for group in &mut missed {
            group.examples.reverse();
        }
        missed.sort_by_key(|group| std::cmp::Reverse((group.rounds, group.alone)));
        MissedView {
            device,
            since,
            rounds: self.rounds,
            rounds_max: ROUNDS_MAX,
            fitted: self.fitted,
            won: self.won,
            missed,
        }
    }
}
