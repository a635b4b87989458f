//! A hold: money set aside for one job, paid out part by part, the rest given back.

use kernel::{AccountId, Amount, HoldId, JobId, LeaseId, Timestamp};
use protocol::money::EntryKind;

use crate::books::{BookId, LedgerError, Transfer};

/// Money set aside for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: HoldId,
    pub account: AccountId,
    pub job: JobId,
    /// All that was ever set aside under it.
    pub reserved: Amount,
    /// Of it, what was paid.
    pub paid: Amount,
    /// Of it, what went back because nothing used it for too long.
    pub returned: Amount,
    /// When that happens next. `None` while a lease may use it.
    pub expires_at: Option<Timestamp>,
    /// The rest has gone back; nothing follows.
    pub released: bool,
}

/// Who gets what out of a hold, for one receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    pub lease: LeaseId,
    /// The receipt's number: with the lease it makes the key under which this is posted once.
    pub receipt: u64,
    pub owner: AccountId,
    pub owner_gets: Amount,
    pub platform_gets: Amount,
}

impl Hold {
    /// A new hold of nothing; [`Hold::add`] sets money aside.
    pub const fn new(id: HoldId, account: AccountId, job: JobId) -> Self {
        Self {
            id,
            account,
            job,
            reserved: Amount::ZERO,
            paid: Amount::ZERO,
            returned: Amount::ZERO,
            expires_at: None,
            released: false,
        }
    }

    pub fn left(&self) -> Amount {
        if self.released {
            Amount::ZERO
        } else {
            self.reserved
                .minus_or_zero(self.paid)
                .minus_or_zero(self.returned)
        }
    }

    fn open(&self) -> Result<(), LedgerError> {
        if self.released {
            Err(LedgerError::HoldReleased)
        } else {
            Ok(())
        }
    }

    /// Sets more aside. The key counts by what was set aside before, so that a repeated command posts once.
    ///
    /// # Errors
    /// [`LedgerError::HoldReleased`] after the release.
    pub fn add(&mut self, amount: Amount) -> Result<Vec<Transfer>, LedgerError> {
        self.open()?;
        if amount.is_zero() {
            return Ok(Vec::new());
        }
        let key = format!("hold:{}:{}", self.id, self.reserved.base());
        self.reserved = self
            .reserved
            .checked_add(amount)
            .map_err(|_| LedgerError::TooLarge)?;
        Ok(vec![
            Transfer::new(
                key,
                BookId::Available(self.account),
                BookId::Held(self.account),
                amount,
                EntryKind::Hold,
            )
            .of(self.job),
        ])
    }

    /// Pays for a receipt.
    ///
    /// # Errors
    /// [`LedgerError::HoldExceeded`] when the hold has less left; [`LedgerError::HoldReleased`] after the release.
    pub fn pay(&mut self, payment: Payment) -> Result<Vec<Transfer>, LedgerError> {
        self.open()?;
        let asked = payment
            .owner_gets
            .checked_add(payment.platform_gets)
            .map_err(|_| LedgerError::TooLarge)?;
        let left = self.left();
        if asked > left {
            return Err(LedgerError::HoldExceeded { left, asked });
        }
        self.paid = self
            .paid
            .checked_add(asked)
            .map_err(|_| LedgerError::TooLarge)?;
        let held = BookId::Held(self.account);
        let key = |part| format!("receipt:{}:{}:{part}", payment.lease, payment.receipt);
        let parts = [
            (
                key("owner"),
                BookId::Earned(payment.owner),
                payment.owner_gets,
                EntryKind::Charge,
            ),
            (
                key("fee"),
                BookId::Fees,
                payment.platform_gets,
                EntryKind::Fee,
            ),
        ];
        Ok(parts
            .into_iter()
            .filter(|(_, _, amount, _)| !amount.is_zero())
            .map(|(key, to, amount, kind)| Transfer::new(key, held, to, amount, kind).of(self.job))
            .collect())
    }

    /// Gives back what nothing used until its time was over. More may be set aside later. The key counts by what was set
    /// aside before, so that a repeated look posts once.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`]: never, since it is less than what was set aside.
    pub fn expire(&mut self, now: Timestamp) -> Result<Vec<Transfer>, LedgerError> {
        if self.expires_at.is_none_or(|at| at > now) {
            return Ok(Vec::new());
        }
        self.expires_at = None;
        let left = self.left();
        if left.is_zero() {
            return Ok(Vec::new());
        }
        self.returned = self
            .returned
            .checked_add(left)
            .map_err(|_| LedgerError::TooLarge)?;
        let key = format!("expire:{}:{}", self.id, self.reserved.base());
        Ok(vec![self.give_back(key, left)])
    }

    /// Gives the rest back; a second release gives nothing.
    pub fn release(&mut self) -> Vec<Transfer> {
        let left = self.left();
        self.released = true;
        if left.is_zero() {
            return Vec::new();
        }
        let key = format!("release:{}", self.id);
        vec![self.give_back(key, left)]
    }

    fn give_back(&self, key: String, amount: Amount) -> Transfer {
        let (from, to) = (BookId::Held(self.account), BookId::Available(self.account));
        Transfer::new(key, from, to, amount, EntryKind::Release).of(self.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Books;
    use kernel::Timestamp;
    use proptest::prelude::*;

    fn account(n: u8) -> AccountId {
        AccountId::new(Timestamp::from_millis(1), [n; 10])
    }

    fn amount(base: i64) -> Amount {
        Amount::try_from_base(base).expect("in range")
    }

    fn hold(n: u8) -> Hold {
        let at = Timestamp::from_millis(1);
        Hold::new(
            HoldId::new(at, [n; 10]),
            account(n),
            JobId::new(at, [n; 10]),
        )
    }

    fn credit(n: u8, base: i64) -> Transfer {
        Transfer {
            key: format!("credit:{n}"),
            from: BookId::DemoSource,
            to: BookId::Available(account(n)),
            amount: amount(base),
            kind: EntryKind::DemoCredit,
            job: None,
        }
    }

    fn payment(receipt: u64, owner_gets: i64, platform_gets: i64) -> Payment {
        Payment {
            lease: LeaseId::new(Timestamp::from_millis(1), [9; 10]),
            receipt,
            owner: account(200),
            owner_gets: amount(owner_gets),
            platform_gets: amount(platform_gets),
        }
    }

    #[test]
    fn a_hold_pays_its_parts_and_returns_the_rest() {
        let (mut books, mut hold) = (Books::default(), hold(1));
        books.post(&[credit(1, 1_000)]).expect("posts");
        books
            .post(&hold.add(amount(600)).expect("open"))
            .expect("posts");
        books
            .post(&hold.pay(payment(1, 90, 10)).expect("left"))
            .expect("posts");
        books.post(&hold.release()).expect("posts");
        assert_eq!(books.balance(BookId::Available(account(1))), 900);
        assert_eq!(books.balance(BookId::Held(account(1))), 0);
        assert_eq!(books.balance(BookId::Earned(account(200))), 90);
        assert_eq!(books.balance(BookId::Fees), 10);
        assert_eq!(books.sum(), 0);
        assert!(hold.release().is_empty());
        assert_eq!(hold.pay(payment(2, 1, 0)), Err(LedgerError::HoldReleased));
        assert_eq!(hold.add(amount(1)), Err(LedgerError::HoldReleased));
    }

    #[test]
    fn a_person_cannot_set_aside_what_is_not_there() {
        let (mut books, mut hold) = (Books::default(), hold(1));
        books.post(&[credit(1, 10)]).expect("posts");
        let refused = books.post(&hold.add(amount(11)).expect("open"));
        assert_eq!(
            refused,
            Err(LedgerError::Insufficient {
                book: BookId::Available(account(1)),
                amount: amount(11)
            })
        );
        assert_eq!(books.balance(BookId::Available(account(1))), 10);
    }

    #[test]
    fn a_key_is_posted_once() {
        let mut books = Books::default();
        for _ in 0..3 {
            books.post(&[credit(1, 10)]).expect("posts");
        }
        assert_eq!(books.balance(BookId::Available(account(1))), 10);
    }

    #[test]
    fn what_nothing_uses_goes_back_when_its_time_is_over_and_can_be_set_aside_again() {
        let at = Timestamp::from_millis;
        let (mut books, mut hold) = (Books::default(), hold(1));
        books.post(&[credit(1, 1_000)]).expect("posts");
        let mut post = |plan: Vec<Transfer>| books.post(&plan).expect("posts");
        post(hold.add(amount(600)).expect("open"));
        post(hold.pay(payment(1, 90, 10)).expect("left"));
        assert_eq!(
            hold.expire(at(i64::MAX)),
            Ok(vec![]),
            "a lease may use it still"
        );
        hold.expires_at = Some(at(50));
        assert_eq!(hold.expire(at(49)), Ok(vec![]));
        let over = hold.expire(at(50)).expect("fits");
        assert_eq!(over.len(), 1);
        assert_eq!(over[0].key, format!("expire:{}:600", hold.id));
        assert_eq!((over[0].amount, hold.left()), (amount(500), Amount::ZERO));
        post(over.clone());
        post(over);
        assert_eq!(hold.expire(at(50)), Ok(vec![]), "once");
        // Its turn has come: the same sums again, under keys of their own.
        post(hold.add(amount(500)).expect("open"));
        assert_eq!(hold.left(), amount(500));
        hold.expires_at = Some(at(60));
        post(hold.expire(at(70)).expect("fits"));
        post(hold.add(amount(7)).expect("open"));
        post(hold.release());
        assert_eq!(hold.expire(at(i64::MAX)), Ok(vec![]), "released");
        assert_eq!(books.balance(BookId::Available(account(1))), 900);
        assert_eq!(books.balance(BookId::Held(account(1))), 0);
        assert_eq!(books.sum(), 0);
    }

    proptest! {
        /// Whatever is tried: books sum to zero, no person is below zero, no hold pays more than it has.
        #[test]
        fn nothing_is_lost_or_made(steps in prop::collection::vec((0u8..5, 0i64..300, 0i64..20), 1..200)) {
            let (mut books, mut hold) = (Books::default(), hold(1));
            books.post(&[credit(1, 2_000)]).expect("posts");
            for (receipt, (step, a, b)) in (1u64..).zip(steps) {
                let mut next = hold.clone();
                let plan = match step {
                    0 => next.add(amount(a)),
                    1 | 2 => next.pay(payment(receipt, a, b)),
                    3 => {
                        next.expires_at = Some(Timestamp::from_millis(a));
                        next.expire(Timestamp::from_millis(150))
                    }
                    _ if a < 3 => Ok(next.release()),
                    _ => Ok(Vec::new()),
                };
                if let Ok(plan) = plan && books.post(&plan).is_ok() {
                    hold = next;
                }
                prop_assert_eq!(books.sum(), 0);
                prop_assert!(books.balance(BookId::Available(account(1))) >= 0);
                prop_assert_eq!(books.balance(BookId::Held(account(1))), hold.left().base());
            }
        }
    }
}
