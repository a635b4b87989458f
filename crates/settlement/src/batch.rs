//! Which payouts go out together.
//!
//! A batch is at most 256 lines, one a payout, the oldest first. Its id is SHA3-256 of `IOG_BATCH::` and the 16 bytes of each
//! payout's id: the same payouts are the same batch, whoever plans it and however often it is signed, and the contract applies
//! an id once.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Amount, MoneyError, PayoutId};

use crate::chain::{Event, EventKind};
use crate::digest::{Address, Digest};

/// The contract's own limit.
pub const LINES_MAX: usize = 256;

const DOMAIN: &[u8] = b"IOG_BATCH::";

/// One payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub payout: PayoutId,
    pub payee: Address,
    pub amount: Amount,
}

/// Why lines are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{0} stands in it twice; a payout is in one batch, once")]
    Twice(PayoutId),
    #[error("{0} pays nothing")]
    Nothing(PayoutId),
    #[error("{0} lines; a batch has 1 to {LINES_MAX}")]
    Lines(usize),
    #[error("its lines add up to more than all IO there can ever be")]
    TooMuch(#[from] MoneyError),
}

/// Payouts that go out in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    id: Digest,
    lines: Vec<Line>,
    total: Amount,
}

/// What goes out, and what has to wait until the vault holds more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub batches: Vec<Batch>,
    pub waiting: Vec<Line>,
}

fn check(lines: &[Line]) -> Result<Amount, BatchError> {
    let mut seen = BTreeSet::new();
    let mut total = Amount::ZERO;
    for line in lines {
        if !seen.insert(line.payout) {
            return Err(BatchError::Twice(line.payout));
        }
        if line.amount.is_zero() {
            return Err(BatchError::Nothing(line.payout));
        }
        total = total.checked_add(line.amount)?;
    }
    Ok(total)
}

impl Batch {
    /// These lines in this order, as they stand in a database after a restart.
    ///
    /// # Errors
    /// None or more than 256; a payout twice, or one that pays nothing.
    pub fn try_new(lines: Vec<Line>) -> Result<Self, BatchError> {
        if lines.is_empty() || lines.len() > LINES_MAX {
            return Err(BatchError::Lines(lines.len()));
        }
        let total = check(&lines)?;
        Ok(Self {
            id: id_of(&lines),
            lines,
            total,
        })
    }

    pub const fn id(&self) -> Digest {
        self.id
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub const fn total(&self) -> Amount {
        self.total
    }
}

fn id_of(lines: &[Line]) -> Digest {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(lines.len().saturating_add(1));
    parts.push(DOMAIN);
    parts.extend(lines.iter().map(|line| line.payout.as_bytes().as_slice()));
    Digest::of(&parts)
}

/// The oldest payouts first, as many as `available` pays for. Nobody is passed over: behind one that is too large, the later ones
/// wait too.
///
/// # Errors
/// A payout twice, or one that pays nothing; `lines_max` is not 1 to 256.
pub fn plan(mut lines: Vec<Line>, lines_max: usize, available: Amount) -> Result<Plan, BatchError> {
    if lines_max == 0 || lines_max > LINES_MAX {
        return Err(BatchError::Lines(lines_max));
    }
    check(&lines)?;
    lines.sort_unstable_by_key(|line| line.payout);
    let mut left = available;
    let mut going = 0_usize;
    for line in &lines {
        let Ok(rest) = left.checked_sub(line.amount) else {
            break;
        };
        left = rest;
        going = going.saturating_add(1);
    }
    let waiting = lines.split_off(going);
    let batches = lines
        .chunks(lines_max)
        .map(|lines| Batch::try_new(lines.to_vec()))
        .collect::<Result<_, _>>()?;
    Ok(Plan { batches, waiting })
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    Paid,
    /// With the contract's reason; the money is still in the vault.
    Skipped(u64),
}

/// Why events are not those of a batch: an incident, never to be mended by guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("line {0} is told of twice")]
    Twice(u64),
    #[error("line {0} is no line of the batch")]
    NoLine(u64),
    #[error("line {0} has another payee or amount on the chain than here")]
    Changed(u64),
    #[error("line {0} is not told of")]
    Missing(u64),
    #[error("its last event does not add up to its lines")]
    Sum,
}

impl Batch {
    /// What became of each payout, by the events of the transaction that applied the batch; those of other batches are left out.
    ///
    /// # Errors
    /// A [`Difference`] between the chain and this batch.
    pub fn ends(&self, events: &[Event]) -> Result<Vec<(PayoutId, LineEnd)>, Difference> {
        let mut ends: BTreeMap<u64, LineEnd> = BTreeMap::new();
        let mut told = None;
        for event in events {
            match event.kind {
                EventKind::Paid {
                    batch,
                    line,
                    payee,
                    amount,
                } if batch == self.id => {
                    self.note(&mut ends, line, payee, amount, LineEnd::Paid)?;
                }
                EventKind::Skipped {
                    batch,
                    line,
                    payee,
                    amount,
                    reason,
                } if batch == self.id => {
                    self.note(&mut ends, line, payee, amount, LineEnd::Skipped(reason))?;
                }
                EventKind::Settled { batch, total, .. } if batch == self.id => {
                    told = Some(total);
                }
                _ => {}
            }
        }
        let mut done = Vec::with_capacity(self.lines.len());
        let mut paid = Amount::ZERO;
        for (line, number) in self.lines.iter().zip(0_u64..) {
            let end = ends.get(&number).ok_or(Difference::Missing(number))?;
            if *end == LineEnd::Paid {
                paid = paid.checked_add(line.amount).map_err(|_| Difference::Sum)?;
            }
            done.push((line.payout, *end));
        }
        if told != Some(paid) {
            return Err(Difference::Sum);
        }
        Ok(done)
    }

    fn note(
        &self,
        ends: &mut BTreeMap<u64, LineEnd>,
        number: u64,
        payee: Address,
        amount: Amount,
        end: LineEnd,
    ) -> Result<(), Difference> {
        let line = usize::try_from(number)
            .ok()
            .and_then(|at| self.lines.get(at))
            .ok_or(Difference::NoLine(number))?;
        if line.payee != payee || line.amount != amount {
            return Err(Difference::Changed(number));
        }
        match ends.insert(number, end) {
            None => Ok(()),
            Some(_) => Err(Difference::Twice(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Timestamp;
    use proptest::prelude::*;

    fn line(number: u8, base: i64) -> Line {
        let mut id = [0; 16];
        id[15] = number;
        Line {
            payout: PayoutId::from_bytes(id),
            payee: Address::from_bytes([number; 32]),
            amount: Amount::try_from_base(base).expect("in range"),
        }
    }

    fn batch() -> Batch {
        Batch::try_new(vec![line(1, 10), line(2, 20)]).expect("a batch")
    }

    fn event(kind: EventKind) -> Event {
        Event {
            version: 5,
            index: 0,
            transaction: Digest::ZERO,
            at: Timestamp::from_millis(0),
            kind,
        }
    }

    fn paid(number: u64, line: Line) -> Event {
        event(EventKind::Paid {
            batch: batch().id(),
            line: number,
            payee: line.payee,
            amount: line.amount,
        })
    }

    fn skipped(number: u64, line: Line) -> Event {
        event(EventKind::Skipped {
            batch: batch().id(),
            line: number,
            payee: line.payee,
            amount: line.amount,
            reason: 2,
        })
    }

    fn settled(base: i64) -> Event {
        event(EventKind::Settled {
            batch: batch().id(),
            paid: 0,
            skipped: 0,
            total: Amount::try_from_base(base).expect("in range"),
        })
    }

    #[test]
    fn the_id_is_of_the_payouts_in_their_order() {
        let other = Batch::try_new(vec![line(2, 20), line(1, 10)]).expect("a batch");
        assert_ne!(batch().id(), other.id());
        let ids = [line(1, 0).payout, line(2, 0).payout];
        let bytes = [DOMAIN, ids[0].as_bytes(), ids[1].as_bytes()].concat();
        assert_eq!(batch().id(), Digest::of(&[&bytes]));
    }

    #[test]
    fn what_is_no_batch() {
        let new = Batch::try_new;
        assert_eq!(new(vec![]), Err(BatchError::Lines(0)));
        assert_eq!(
            new(vec![line(1, 1), line(1, 2)]),
            Err(BatchError::Twice(line(1, 1).payout))
        );
        assert_eq!(
            new(vec![line(1, 0)]),
            Err(BatchError::Nothing(line(1, 0).payout))
        );
        assert_eq!(plan(vec![], 0, Amount::MAX), Err(BatchError::Lines(0)));
        assert_eq!(plan(vec![], 257, Amount::MAX), Err(BatchError::Lines(257)));
    }

    #[test]
    fn nobody_is_passed_over_when_the_vault_is_low() {
        let lines = vec![line(3, 1), line(1, 10), line(2, 100)];
        let available = Amount::try_from_base(50).expect("in range");
        let plan = plan(lines, 256, available).expect("a plan");
        assert_eq!(
            plan.batches,
            [Batch::try_new(vec![line(1, 10)]).expect("a batch")]
        );
        assert_eq!(plan.waiting, [line(2, 100), line(3, 1)]);
    }

    #[test]
    fn each_line_ends_once() {
        let ends = batch().ends(&[paid(0, line(1, 10)), skipped(1, line(2, 20)), settled(10)]);
        let expected = vec![
            (line(1, 0).payout, LineEnd::Paid),
            (line(2, 0).payout, LineEnd::Skipped(2)),
        ];
        assert_eq!(ends, Ok(expected));
    }

    #[test]
    fn a_difference_is_never_mended() {
        let ends = |events: &[Event]| batch().ends(events);
        let (one, two) = (paid(0, line(1, 10)), paid(1, line(2, 20)));
        assert_eq!(
            ends(&[one.clone(), settled(10)]),
            Err(Difference::Missing(1))
        );
        assert_eq!(ends(&[one.clone(), one.clone()]), Err(Difference::Twice(0)));
        assert_eq!(
            ends(&[one.clone(), skipped(0, line(1, 10))]),
            Err(Difference::Twice(0))
        );
        assert_eq!(ends(&[paid(2, line(1, 10))]), Err(Difference::NoLine(2)));
        assert_eq!(ends(&[paid(0, line(1, 11))]), Err(Difference::Changed(0)));
        assert_eq!(ends(&[paid(1, line(1, 10))]), Err(Difference::Changed(1)));
        assert_eq!(
            ends(&[one.clone(), two.clone(), settled(29)]),
            Err(Difference::Sum)
        );
        assert_eq!(ends(&[one.clone(), two.clone()]), Err(Difference::Sum));
        let mut foreign = one.clone();
        foreign.kind = EventKind::Paid {
            batch: Digest::ZERO,
            line: 0,
            payee: line(1, 10).payee,
            amount: line(1, 10).amount,
        };
        assert!(ends(&[foreign, one, two, settled(30)]).is_ok());
    }

    proptest! {
        #[test]
        fn each_payout_is_in_one_batch_or_waits(
            bases in proptest::collection::vec(1_i64..1_000, 0..700),
            lines_max in 1_usize..=256,
            available in 0_i64..400_000,
        ) {
            let lines: Vec<Line> = bases.iter().zip(0_u128..).map(|(base, number)| Line {
                // Bytes that are mixed, so that they do not come in order.
                payout: PayoutId::from_bytes(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()),
                payee: Address::from_bytes([1; 32]),
                amount: Amount::try_from_base(*base).expect("in range"),
            }).collect();
            let plan = plan(lines.clone(), lines_max, Amount::try_from_base(available).expect("in range")).expect("a plan");
            let mut planned: Vec<Line> = plan.batches.iter().flat_map(|batch| batch.lines().to_vec()).collect();
            let total: i64 = planned.iter().map(|line| line.amount.base()).sum();
            prop_assert!(total <= available);
            let sums: i64 = plan.batches.iter().map(|batch| batch.total().base()).sum();
            prop_assert_eq!(sums, total);
            if let Some(first) = plan.waiting.first() {
                prop_assert!(total + first.amount.base() > available);
            }
            planned.extend(plan.waiting.iter().copied());
            let mut sorted = lines;
            sorted.sort_unstable_by_key(|line| line.payout);
            prop_assert_eq!(planned, sorted);
            for batch in &plan.batches {
                prop_assert!((1..=lines_max).contains(&batch.lines().len()));
                let again = Batch::try_new(batch.lines().to_vec()).expect("a batch");
                prop_assert_eq!(&again, batch);
            }
            let ids: BTreeSet<Digest> = plan.batches.iter().map(Batch::id).collect();
            prop_assert_eq!(ids.len(), plan.batches.len());
        }
    }
}
