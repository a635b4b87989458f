//! A round again: its book put together from what is stored or downloaded, and asked the same.

use market::Replica;
use protocol::round::{
    BookOffer, BookPage, BookStep, ReplayCheck, ReplayStep, RoundView, Snapshot,
};

use crate::desk::Exchange;
use crate::error::Error;
use crate::rounds::Place;

/// A book up to this size is replayed here; a larger one by whoever asks, with the command.
const REPLAY_OFFERS_MAX: u64 = 50_000;
const REPLAY_STEPS_MAX: u64 = 50_000;

impl Exchange {
    /// Asks a round's book again, from what is stored, and says what was found.
    ///
    /// # Errors
    /// An unknown round; a book too large to be replayed while somebody waits; another replay is under way.
    pub async fn replay(&self, number: u64) -> Result<(RoundView, Vec<ReplayStep>), Error> {
        let view = self.round(number).await?;
        if view.snapshot.offers > REPLAY_OFFERS_MAX || view.changes > REPLAY_STEPS_MAX {
            return Err(Error::TooLarge(
                "this round's book is too large to be replayed here; the command below does it on your machine".into(),
            ));
        }
        let Ok(_turn) = self.inner.replaying.try_acquire() else {
            return Err(Error::Unavailable(
                "another round is being replayed; please try again in a moment",
            ));
        };
        let mut replayer = Replayer::begin(&view);
        let mut after = None;
        loop {
            let page = self.round_book(number, after.as_deref()).await?;
            replayer.add(&page)?;
            // Hashing a whole book takes a while: others have their turn between the pages.
            tokio::task::yield_now().await;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let steps = replayer.finish(&view)?;
        Ok((view, steps))
    }
}

/// Puts a round's book together page by page, wherever the pages come from, and asks it again.
#[derive(Debug, Default)]
pub struct Replayer {
    snapshot: Option<Snapshot>,
    offers: Vec<BookOffer>,
    /// Once all offers of the snapshot are there.
    replica: Option<(Replica, ReplayStep)>,
    /// The last change that was applied.
    step: u64,
}

impl Replayer {
    pub fn begin(view: &RoundView) -> Self {
        Self {
            snapshot: Some(view.snapshot.clone()),
            step: view.snapshot.step,
            ..Self::default()
        }
    }

    /// Whether its book can become that of another round by changes alone, and after which one.
    pub fn reaches(&self, view: &RoundView) -> Option<String> {
        let same = self.replica.is_some() && self.snapshot.as_ref() == Some(&view.snapshot);
        (same && self.step <= view.record.round.step).then(|| Place::Step(self.step).text())
    }

    /// # Errors
    /// A page that this version cannot read, or that is not the next one.
    pub fn add(&mut self, page: &BookPage) -> Result<(), Error> {
        if !page.offers.is_empty() {
            self.offers.extend(page.offers.iter().cloned());
        }
        if page.changes.is_empty() {
            return Ok(());
        }
        self.apply(&page.changes)
    }

    fn apply(&mut self, changes: &[BookStep]) -> Result<(), Error> {
        self.complete()?;
        for change in changes {
            let next = self.step.saturating_add(1);
            if change.step != next {
                return Err(Error::Conflict(format!(
                    "change {next} of the book is missing; the next that was given is {}",
                    change.step
                )));
            }
            if let Some((replica, _)) = &mut self.replica {
                replica.apply(&change.change).map_err(unreadable)?;
            }
            self.step = change.step;
        }
        Ok(())
    }

    /// All offers are there: the book of the snapshot.
    fn complete(&mut self) -> Result<(), Error> {
        if self.replica.is_none()
            && let Some(snapshot) = &self.snapshot
        {
            let mut replica = Replica::of(&self.offers).map_err(unreadable)?;
            let step = replica.check_snapshot(snapshot);
            self.replica = Some((replica, step));
            self.offers = Vec::new();
        }
        Ok(())
    }

    /// After the last page: what was found.
    ///
    /// # Errors
    /// Pages are missing; a round that this version cannot read.
    pub fn finish(&mut self, view: &RoundView) -> Result<Vec<ReplayStep>, Error> {
        self.complete()?;
        let wanted = view.record.round.step;
        if self.step != wanted {
            return Err(Error::Conflict(format!(
                "the book ends at change {} and the round was at {wanted}",
                self.step
            )));
        }
        let Some((replica, snapshot)) = &mut self.replica else {
            return Err(Error::Conflict("the book of the round is missing".into()));
        };
        let mut steps = replica.check(&view.record).map_err(unreadable)?;
        let previous = view.before.clone().map(|before| ReplayStep {
            what: ReplayCheck::Previous,
            stated: view.record.round.previous.clone(),
            found: before,
        });
        let at = steps.len().min(1);
        steps.splice(at..at, previous.into_iter().chain([snapshot.clone()]));
        Ok(steps)
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Conflict(error.to_string())
}
