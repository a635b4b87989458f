//! The book as it is kept in memory, with a journal: every change that the public can see has a number and waits to be
//! written. There is no other way to change the book, so whoever reads the journal knows every state that it was in.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use kernel::{DeviceId, JobId};
use market::{Books, Digest, Listing};
use protocol::round::{BookChange, BookStep};

/// More than the database took for minutes: the journal is given up, and a snapshot takes its place.
const UNWRITTEN_MAX: usize = 50_000;

/// A whole book at one of its steps, to be written as a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub step: u64,
    pub book: Arc<Books>,
    pub root: Digest,
}

#[derive(Default)]
pub(crate) struct Journal {
    book: Books,
    /// The last change's number.
    step: u64,
    unwritten: VecDeque<BookStep>,
    /// While the book is rebuilt changes are not noted: a segment begins after it.
    quiet: bool,
    /// The snapshot that must be in the database before anything that came after it.
    segment: Option<Segment>,
    /// Where the last snapshot was taken.
    snapshot: u64,
}

impl Deref for Journal {
    type Target = Books;

    fn deref(&self) -> &Books {
        &self.book
    }
}

impl Journal {
    /// A book out of the database. Nothing is noted of it before [`Journal::begin`].
    pub fn of(book: Books) -> Self {
        Self {
            book,
            quiet: true,
            ..Self::default()
        }
    }

    /// From here on changes are noted, the first as `step + 1`; a snapshot stands at `step`.
    pub fn begin(&mut self, step: u64) {
        self.step = step;
        self.quiet = false;
        self.unwritten.clear();
        self.segment = Some(self.copy());
    }

    /// The book as it stands, for a snapshot beside the changes that go on.
    pub fn copy(&mut self) -> Segment {
        self.snapshot = self.step;
        Segment {
            step: self.step,
            root: self.book.root(),
            book: Arc::new(self.book.clone()),
        }
    }

    /// Nothing was noted yet: the record has not begun.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Changes since the last snapshot.
    pub fn since_snapshot(&self) -> u64 {
        self.step.saturating_sub(self.snapshot)
    }

    pub fn step(&self) -> u64 {
        self.step
    }

    pub fn root(&mut self) -> Digest {
        self.book.root()
    }

    fn note(&mut self, change: BookChange) {
        if self.quiet {
            return;
        }
        self.step = self.step.saturating_add(1);
        self.unwritten.push_back(BookStep {
            step: self.step,
            change,
        });
        if self.unwritten.len() > UNWRITTEN_MAX {
            tracing::error!(
                changes = self.unwritten.len(),
                "the book's changes could not be written for long; its record begins anew with a snapshot"
            );
            self.begin(self.step.saturating_add(1));
        }
    }

    /// Brings a device up to date; what is the same already is not noted. The holder stays.
    pub fn put(&mut self, listing: &Listing) {
        let device = listing.offer.device;
        let before = market::published(&self.book, device);
        self.book.put(listing);
        // What the index keeps, which is what choices are made of.
        let after = market::published(&self.book, device);
        if after != before
            && let Some(after) = after
        {
            self.note(BookChange::Put(Box::new(after)));
        }
    }

    pub fn remove(&mut self, device: DeviceId) {
        if self.book.remove(device).is_some() {
            self.note(BookChange::Remove(device));
        }
    }

    pub fn take(&mut self, device: DeviceId, job: JobId) -> bool {
        let taken = self.book.take(device, job);
        if taken {
            self.note(BookChange::Take(device));
        }
        taken
    }

    pub fn set_holder(&mut self, device: DeviceId, job: JobId) {
        let known = self.book.get(device);
        self.book.set_holder(device, job);
        if known.is_some_and(|offer| offer.holder.is_none()) {
            self.note(BookChange::Take(device));
        }
    }

    pub fn free(&mut self, device: DeviceId, job: JobId) -> bool {
        let freed = self.book.free(device, job);
        if freed {
            self.note(BookChange::Free(device));
        }
        freed
    }

    /// What waits to be written, without what is known to be: a snapshot first, if one is due.
    pub fn unwritten(&mut self, written: u64) -> (Option<Segment>, Vec<BookStep>) {
        self.written(written);
        (
            self.segment.clone(),
            self.unwritten.iter().cloned().collect(),
        )
    }

    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty() || self.segment.is_some()
    }

    /// All up to this step are in the database.
    pub fn written(&mut self, step: u64) {
        if self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.step <= step)
        {
            self.segment = None;
        }
        while self
            .unwritten
            .front()
            .is_some_and(|first| first.step <= step)
        {
            self.unwritten.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{AccountId, NodeId, PricePerSecond, Seconds, Timestamp};
    use market::{Offer, Supply, Version};
    use protocol::spec::DeviceClass;

    fn offer(n: u8, cpus: u32) -> Offer {
        let at = Timestamp::from_millis(1);
        Offer {
            device: DeviceId::new(at, [n; 10]),
            node: NodeId::new(at, [n; 10]),
            owner: AccountId::new(at, [1; 10]),
            class: DeviceClass::Cpu,
            model: "Test CPU".into(),
            device_memory_mib: 0,
            cards: 1,
            driver: Version::default(),
            cuda: Version::default(),
            cpus,
            memory_mib: 1,
            disk_mib: 1,
            up_mbit: 0,
            down_mbit: 0,
            country: None,
            group: None,
            reputation: 60,
            verified: 0,
            watts: 0,
            min_duration: Seconds::ZERO,
            max_duration: None,
            price: PricePerSecond::from_amount(kernel::Amount::ZERO),
            joined_at: at,
            supply: Supply::Offered,
            holder: None,
        }
    }

    fn listing(n: u8, cpus: u32) -> Listing {
        Listing {
            offer: offer(n, cpus),
            spot: None,
            reserved: None,
        }
    }

    #[test]
    fn what_changes_nothing_is_not_noted() {
        let mut journal = Journal::of(Books::default());
        journal.put(&listing(1, 4));
        assert!(!journal.has_unwritten(), "a rebuild is no change");
        journal.begin(10);
        let job = JobId::new(Timestamp::from_millis(1), [9; 10]);
        journal.put(&listing(1, 4));
        journal.put(&listing(1, 8));
        journal.put(&listing(1, 8));
        assert!(journal.take(offer(1, 8).device, job));
        journal.set_holder(offer(1, 8).device, job);
        // A heartbeat of a hired device.
        journal.put(&listing(1, 8));
        assert!(!journal.take(offer(1, 8).device, job));
        assert!(journal.free(offer(1, 8).device, job));
        assert!(!journal.free(offer(1, 8).device, job));
        journal.remove(offer(1, 8).device);
        journal.remove(offer(1, 8).device);
        let (segment, noted) = journal.unwritten(9);
        assert_eq!(segment.map(|segment| segment.step), Some(10));
        let steps: Vec<u64> = noted.iter().map(|step| step.step).collect();
        assert_eq!(steps, [11, 12, 13, 14], "{noted:?}");
        assert!(matches!(&noted[0].change, BookChange::Put(put) if put.cpus == 8));
        let (segment, noted) = journal.unwritten(12);
        assert!(segment.is_none());
        assert_eq!(noted.len(), 2);
        journal.written(14);
        assert!(!journal.has_unwritten());
    }

    #[test]
    fn a_journal_that_nobody_writes_begins_anew_and_does_not_grow() {
        let mut journal = Journal::of(Books::default());
        journal.begin(0);
        journal.written(0);
        for n in 0..=UNWRITTEN_MAX {
            journal.put(&listing(1, u32::try_from(n % 7).unwrap()));
        }
        let (segment, noted) = journal.unwritten(0);
        let segment = segment.expect("a new one");
        assert_eq!(segment.book.len(), 1);
        assert!(segment.step > u64::try_from(UNWRITTEN_MAX).unwrap());
        assert!(noted.is_empty());
        journal.put(&listing(2, 2));
        assert_eq!(journal.unwritten(0).1[0].step, segment.step + 1);
    }
}
