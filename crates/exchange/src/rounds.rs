//! Matching rounds: each time the market is asked to place a job is written down, with the book as it was, so that
//! anyone can ask again. A round is in the transaction of the lease that it led to, and the changes of the book before
//! it are written first: what stands in the database is always enough to replay.

use kernel::{JobId, Seconds, Timestamp};
use market::{Choice, Request};
use protocol::round::{
    BookOffer, BookPage, Chosen, Occasion, Round, RoundRecord, RoundRequest, RoundView, Snapshot,
};
use protocol::view::Page;
use store::{Forget, RoundHead, Tx};
use tokio::sync::MutexGuard;

use crate::desk::Exchange;
use crate::error::Error;
use crate::journal::{Journal, Segment};

/// So long rounds are kept, and never more than so many of them, nor of the book's changes.
const KEEP: Seconds = Seconds::new(7 * 86_400);
const ROUNDS_MAX: u64 = 500_000;
const STEPS_MAX: u64 = 2_000_000;
/// Offers in a page of a snapshot.
const PAGE: usize = 500;
/// A new snapshot is due after as many changes as the book has offers, and after this many at least.
const STEPS_BETWEEN: u64 = 10_000;
/// Pages of a snapshot that one transaction writes beside the market's own.
const PAGES_AT_ONCE: usize = 16;
/// Changes in one answer.
const STEPS_SHOWN: u32 = 1_000;
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What the market was asked and how it answered, before it is written.
pub(crate) struct Asked {
    at: Timestamp,
    occasion: Occasion,
    step: u64,
    offers: u64,
    root: String,
    /// In the order in which they were asked; the last is the answered one.
    requests: Vec<RoundRequest>,
    chosen: Vec<Chosen>,
}

impl Asked {
    /// The book at this moment; ask it before anything changes.
    pub fn of(book: &mut Journal, occasion: Occasion, at: Timestamp) -> Self {
        Self {
            at,
            occasion,
            step: book.step(),
            offers: u64::try_from(book.len()).unwrap_or(u64::MAX),
            root: book.root().to_string(),
            requests: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// Which of the requests had an answer, and the choice, if there was one.
    pub fn answered(&mut self, requests: &[Request], which: usize, choice: Option<&Choice>) {
        let asked = requests.iter().take(which.saturating_add(1));
        self.requests = asked.map(market::published_request).collect();
        let offers = choice.iter().flat_map(|choice| &choice.offers);
        self.chosen = offers.map(market::chosen).collect();
    }

    fn round(mut self, head: &RoundHead) -> Result<Round, Error> {
        let request = self.requests.pop();
        Ok(Round {
            number: head.number.saturating_add(1),
            at: self.at,
            occasion: self.occasion,
            step: self.step,
            offers: self.offers,
            root: self.root,
            request: request.ok_or_else(|| Error::Internal("nothing was asked".into()))?,
            nearer: self.requests,
            chosen: self.chosen,
            previous: seed_of(head),
        })
    }
}

/// What the next round holds of the one before: its seed.
fn seed_of(head: &RoundHead) -> String {
    if head.number == 0 {
        ZEROS.to_owned()
    } else {
        head.hash.clone()
    }
}

/// What was written into a transaction. Say [`Noted::kept`] when it is committed; dropped before, it never happened.
#[must_use]
pub(crate) struct Noted<'a> {
    exchange: &'a Exchange,
    /// Where the record ends; `None` while that is not known.
    end: MutexGuard<'a, Option<RoundHead>>,
    head: RoundHead,
}

impl Noted<'_> {
    pub fn kept(mut self) {
        self.exchange.memory().book.written(self.head.step);
        *self.end = Some(self.head);
    }
}

impl Exchange {
    /// Before the market is asked, in the transaction of what follows: after a start the book's record begins anew here.
    pub(crate) async fn begin_record(&self, tx: &mut Tx) -> Result<(), Error> {
        let mut end = self.inner.record.lock().await;
        let head = match &*end {
            Some(head) => head.clone(),
            None => tx.round_head().await?,
        };
        let mut memory = self.memory();
        // A step that we did not write: another process is at work on this database.
        if memory.book.is_quiet() || memory.book.step() < head.step {
            memory.book.begin(head.step.saturating_add(1));
        }
        memory.round_seed = seed_of(&head);
        drop(memory);
        *end = Some(head);
        Ok(())
    }

    /// Before anybody is served (at the first tick, if nobody calls it): a large book's first snapshot should keep no
    /// submission waiting. Not when an exchange is opened, since commands that only administer open one too, beside the
    /// one that serves.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_record(&self) -> Result<(), Error> {
        if !self.memory().book.is_quiet() {
            return Ok(());
        }
        let mut tx = self.inner.store.begin().await?;
        self.begin_record(&mut tx).await?;
        let noted = self.note_book(&mut tx).await?;
        tx.commit().await?;
        noted.kept();
        Ok(())
    }

    /// Writes a round, and before it what of the book is not written yet.
    pub(crate) async fn note_round(
        &self,
        tx: &mut Tx,
        asked: Asked,
        job: Option<JobId>,
    ) -> Result<Noted<'_>, Error> {
        let mut noted = self.note_book(tx).await?;
        let round = asked.round(&noted.head)?;
        let hash = market::hash_of(&round)
            .map_err(|error| Error::Internal(format!("a round cannot be written: {error}")))?;
        let record = RoundRecord {
            hash: hash.to_string(),
            round,
        };
        tx.insert_round(&record, job).await?;
        noted.head.number = record.round.number;
        noted.head.hash = record.hash;
        Ok(noted)
    }

    /// Writes what led to a choice: a round, or the book alone where a promise made the difference.
    pub(crate) async fn note_asked(
        &self,
        tx: &mut Tx,
        asked: Option<Asked>,
        job: JobId,
    ) -> Result<Noted<'_>, Error> {
        match asked {
            Some(asked) => self.note_round(tx, asked, Some(job)).await,
            None => self.note_book(tx).await,
        }
    }

    /// Writes what of the book is not written yet.
    pub(crate) async fn note_book(&self, tx: &mut Tx) -> Result<Noted<'_>, Error> {
        // Taken, so that a failure leaves nothing that we might wrongly believe.
        let mut end = self.inner.record.lock().await;
        let mut head = match end.take() {
            Some(head) => head,
            None => tx.round_head().await?,
        };
        let (segment, steps) = self.memory().book.unwritten(head.step);
        if let Some(segment) = segment {
            let pages = pages_of(&segment);
            for (page, devices) in (0..).zip(pages.chunks(PAGE)) {
                let offers = offers_of(&segment, devices);
                tx.insert_book_page(segment.step, page, &offers).await?;
            }
            tx.insert_snapshot(&self.snapshot_of(&segment)).await?;
            head.step = head.step.max(segment.step);
        }
        tx.insert_book_steps(&steps).await?;
        head.step = steps.last().map_or(head.step, |last| last.step);
        Ok(Noted {
            exchange: self,
            end,
            head,
        })
    }

    fn snapshot_of(&self, segment: &Segment) -> Snapshot {
        let offers = segment.book.len();
        Snapshot {
            step: segment.step,
            at: self.now(),
            offers: u64::try_from(offers).unwrap_or(u64::MAX),
            root: segment.root.to_string(),
            pages: u32::try_from(offers.div_ceil(PAGE)).unwrap_or(u32::MAX),
        }
    }

    /// Each minute: a snapshot when one is due, a few pages a transaction, and what is old is forgotten.
    pub(crate) async fn keep_rounds(&self) -> Result<(), Error> {
        let due = {
            let mut memory = self.memory();
            let offers = u64::try_from(memory.book.len()).unwrap_or(u64::MAX);
            let book = &mut memory.book;
            let due = !book.is_quiet() && book.since_snapshot() > STEPS_BETWEEN.max(offers);
            due.then(|| book.copy())
        };
        if let Some(segment) = due {
            let devices = pages_of(&segment);
            let pages: Vec<_> = (0..).zip(devices.chunks(PAGE)).collect();
            for some in pages.chunks(PAGES_AT_ONCE) {
                let mut tx = self.inner.store.begin().await?;
                for (page, devices) in some {
                    let offers = offers_of(&segment, devices);
                    tx.insert_book_page(segment.step, *page, &offers).await?;
                }
                tx.commit().await?;
            }
            let mut tx = self.inner.store.begin().await?;
            // Changes before the snapshot are written before it.
            let noted = self.note_book(&mut tx).await?;
            tx.insert_snapshot(&self.snapshot_of(&segment)).await?;
            tx.commit().await?;
            noted.kept();
        }
        let mut tx = self.inner.store.begin().await?;
        let head = tx.round_head().await?;
        tx.forget_rounds(&Forget {
            before: self.now().minus(KEEP),
            up_to_round: head.number.saturating_sub(ROUNDS_MAX),
            up_to_step: head.step.saturating_sub(STEPS_MAX),
        })
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The rounds that are kept, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rounds(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<RoundRecord>, Error> {
        let limit = limit.clamp(1, 100);
        let items = self.inner.store.rounds(before, limit).await?;
        let full = items.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let last = items.last().map(|record| record.round.number);
        let next = last
            .filter(|number| full && *number > 1)
            .map(|number| number.to_string());
        Ok(Page { items, next })
    }

    /// One round, and where its book is to be had.
    ///
    /// # Errors
    /// It is not kept any more, or never was.
    pub async fn round(&self, number: u64) -> Result<RoundView, Error> {
        let store = &self.inner.store;
        let record = store.round(number).await?;
        let record = record.ok_or(Error::NoSuchRound(number))?;
        let step = record.round.step;
        let snapshot = store.snapshot_at(step).await?;
        let snapshot = snapshot.ok_or(Error::NoSuchRound(number))?;
        let before = match number {
            1 => Some(ZEROS.to_owned()),
            _ => store
                .round(number.saturating_sub(1))
                .await?
                .map(|before| before.hash),
        };
        Ok(RoundView {
            changes: step.saturating_sub(snapshot.step),
            record,
            before,
            snapshot,
        })
    }

    /// A piece of a round's book. `after` is the `next` of the piece before.
    ///
    /// # Errors
    /// An unknown round; an `after` that was not given out.
    pub async fn round_book(&self, number: u64, after: Option<&str>) -> Result<BookPage, Error> {
        let view = self.round(number).await?;
        let place = match after {
            None => Place::Page(0),
            Some(text) => Place::parse(text)
                .ok_or_else(|| Error::invalid("after", "the `next` of the page before"))?,
        };
        let (snapshot, last) = (view.snapshot, view.record.round.step);
        match place {
            Place::Page(page) if page < snapshot.pages => {
                let offers = self.inner.store.book_page(snapshot.step, page).await?;
                let next = page.saturating_add(1);
                let next = if next < snapshot.pages {
                    Some(Place::Page(next))
                } else {
                    (snapshot.step < last).then_some(Place::Step(snapshot.step))
                };
                Ok(BookPage {
                    offers,
                    changes: Vec::new(),
                    next: next.map(Place::text),
                })
            }
            Place::Page(_) => self.changes(snapshot.step, last).await,
            Place::Step(step) => self.changes(step.max(snapshot.step), last).await,
        }
    }

    async fn changes(&self, after: u64, last: u64) -> Result<BookPage, Error> {
        let store = &self.inner.store;
        let changes = store.book_steps(after, last, STEPS_SHOWN).await?;
        let reached = changes.last().map_or(last, |change| change.step);
        Ok(BookPage {
            offers: Vec::new(),
            changes,
            next: (reached < last).then(|| Place::Step(reached).text()),
        })
    }
}

/// Where a round's book is read on.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Page(u32),
    Step(u64),
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once(':')?;
        match kind {
            "page" => number.parse().ok().map(Self::Page),
            "step" => number.parse().ok().map(Self::Step),
            _ => None,
        }
    }

    pub fn text(self) -> String {
        match self {
            Self::Page(page) => format!("page:{page}"),
            Self::Step(step) => format!("step:{step}"),
        }
    }
}

/// The devices of a snapshot in the order of its pages.
fn pages_of(segment: &Segment) -> Vec<kernel::DeviceId> {
    let mut devices: Vec<_> = segment.book.devices().collect();
    devices.sort_unstable();
    devices
}

fn offers_of(segment: &Segment, devices: &[kernel::DeviceId]) -> Vec<BookOffer> {
    let offers = devices
        .iter()
        .filter_map(|device| market::published(&segment.book, *device));
    offers.collect()
}
