//! Books and transfers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hashbrown::HashMap;
use kernel::{AccountId, Amount, JobId};
use protocol::money::EntryKind;

/// Why a transfer cannot be posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("{book} holds less than {amount}")]
    Insufficient { book: BookId, amount: Amount },
    #[error("the hold has {left} left, which is less than {asked}")]
    HoldExceeded { left: Amount, asked: Amount },
    #[error("the hold has been released")]
    HoldReleased,
    #[error("a transfer needs two books and an amount above zero")]
    Empty,
    #[error("the sum is larger than all IO there can be")]
    TooLarge,
    #[error("the key {0} was posted before for another transfer")]
    KeyReused(String),
}

/// The chart of accounts. A person's books hold what is theirs; the platform's what passes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BookId {
    /// A person's money to spend.
    Available(AccountId),
    /// Set aside for jobs of a person.
    Held(AccountId),
    /// Earned by a person's devices in leases that still run.
    Earned(AccountId),
    /// Earned, and theirs to withdraw or to spend.
    Withdrawable(AccountId),
    /// Of what a person earned, what a dispute is about.
    Disputed(AccountId),
    /// Earned, and promised by vouchers of escrow channels: it goes out on the chain and nowhere else.
    Vouched(AccountId),
    /// The platform's fees.
    Fees,
    /// What the platform keeps for refunds and for what governance decides.
    Treasury,
    /// Set aside for stakers and for the launchpool.
    Rewards,
    /// Seen coming in, not yet a person's.
    DepositsInTransit,
    /// On its way out to a person's wallet.
    PayoutsInTransit,
    /// What a division leaves over. Each price rounds once a lease and says for whom, so nothing reaches it yet.
    Rounding,
    /// Mirrors what came in from outside and has not gone out again: minus all that is owed here.
    Outside,
    /// Mirrors what requesters locked in escrow channels and the chain has not paid out again.
    Channels,
    /// Where demo credit comes from: mirrors what was given out.
    DemoSource,
}

/// The books of the platform.
pub const PLATFORM: [BookId; 9] = [
    BookId::Fees,
    BookId::Treasury,
    BookId::Rewards,
    BookId::DepositsInTransit,
    BookId::PayoutsInTransit,
    BookId::Rounding,
    BookId::Outside,
    BookId::Channels,
    BookId::DemoSource,
];

impl BookId {
    /// Whether the book may fall below zero: those that mirror the world outside.
    pub const fn may_be_negative(self) -> bool {
        matches!(self, Self::DemoSource | Self::Outside | Self::Channels)
    }

    pub const fn owner(self) -> Option<AccountId> {
        match self {
            Self::Available(account)
            | Self::Held(account)
            | Self::Earned(account)
            | Self::Withdrawable(account)
            | Self::Disputed(account)
            | Self::Vouched(account) => Some(account),
            _ => None,
        }
    }

    /// A person's books.
    pub const fn of(account: AccountId) -> [Self; 6] {
        [
            Self::Available(account),
            Self::Held(account),
            Self::Earned(account),
            Self::Withdrawable(account),
            Self::Disputed(account),
            Self::Vouched(account),
        ]
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Available(_) => "available",
            Self::Held(_) => "held",
            Self::Earned(_) => "earned",
            Self::Withdrawable(_) => "withdrawable",
            Self::Disputed(_) => "disputed",
            Self::Vouched(_) => "vouched",
            Self::Fees => "platform:fees",
            Self::Treasury => "platform:treasury",
            Self::Rewards => "platform:rewards",
            Self::DepositsInTransit => "platform:deposits_in_transit",
            Self::PayoutsInTransit => "platform:payouts_in_transit",
            Self::Rounding => "platform:rounding",
            Self::Outside => "platform:outside",
            Self::Channels => "platform:channels",
            Self::DemoSource => "platform:demo_source",
        }
    }
}

impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner() {
            Some(account) => write!(f, "{}:{account}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// Not the name of a book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no book; a book is available:acc_…, held:, earned:, withdrawable:, disputed:, vouched:, or platform:…"
)]
pub struct NoSuchBook(String);

impl FromStr for BookId {
    type Err = NoSuchBook;

    fn from_str(text: &str) -> Result<Self, NoSuchBook> {
        let platform = PLATFORM.into_iter().find(|book| book.name() == text);
        let person = || {
            let (name, account) = text.split_once(':')?;
            let account = account.parse().ok()?;
            Self::of(account)
                .into_iter()
                .find(|book| book.name() == name)
        };
        platform
            .or_else(person)
            .ok_or_else(|| NoSuchBook(text.to_owned()))
    }
}

/// Money from one book to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Names what it is for; the same key is posted once, however often it is tried.
    pub key: String,
    pub from: BookId,
    pub to: BookId,
    pub amount: Amount,
    pub kind: EntryKind,
    pub job: Option<JobId>,
}

impl Transfer {
    /// That is for no job.
    pub const fn new(
        key: String,
        from: BookId,
        to: BookId,
        amount: Amount,
        kind: EntryKind,
    ) -> Self {
        Self {
            key,
            from,
            to,
            amount,
            kind,
            job: None,
        }
    }

    #[must_use]
    pub fn of(self, job: JobId) -> Self {
        let job = Some(job);
        Self { job, ..self }
    }
}

/// What two books hold after a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub from: i64,
    pub to: i64,
}

/// Runs linked transfers over balances, one after the other: all of them, or none and the first that cannot be.
///
/// # Errors
/// [`LedgerError::Insufficient`] names the book; [`LedgerError::Empty`] for a transfer of nothing;
/// [`LedgerError::TooLarge`].
pub fn run<'a>(
    balance: impl Fn(BookId) -> i64,
    transfers: impl IntoIterator<Item = &'a Transfer>,
) -> Result<(Vec<After>, HashMap<BookId, i64>), LedgerError> {
    let mut changed: HashMap<BookId, i64> = HashMap::new();
    let mut after = Vec::new();
    for transfer in transfers {
        if transfer.amount.is_zero() || transfer.from == transfer.to {
            return Err(LedgerError::Empty);
        }
        let amount = transfer.amount.base();
        let now = |book| changed.get(&book).copied().unwrap_or_else(|| balance(book));
        let from = now(transfer.from)
            .checked_sub(amount)
            .ok_or(LedgerError::TooLarge)?;
        if from < 0 && !transfer.from.may_be_negative() {
            return Err(LedgerError::Insufficient {
                book: transfer.from,
                amount: transfer.amount,
            });
        }
        let to = now(transfer.to)
            .checked_add(amount)
            .ok_or(LedgerError::TooLarge)?;
        changed.insert(transfer.from, from);
        changed.insert(transfer.to, to);
        after.push(After { from, to });
    }
    Ok((after, changed))
}

/// Books in memory: the model that the stored ones are checked against.
#[derive(Debug, Clone, Default)]
pub struct Books {
    balances: BTreeMap<BookId, i64>,
    posted: BTreeMap<String, Transfer>,
}

impl Books {
    pub fn balance(&self, book: BookId) -> i64 {
        self.balances.get(&book).copied().unwrap_or(0)
    }

    /// Of all books: zero, always.
    pub fn sum(&self) -> i128 {
        self.balances
            .values()
            .fold(0, |sum, balance| sum.saturating_add(i128::from(*balance)))
    }

    /// Posts all or nothing. A transfer whose key was posted before is passed over.
    ///
    /// # Errors
    /// Those of [`run`]; [`LedgerError::KeyReused`] where the same key was another transfer.
    pub fn post(&mut self, transfers: &[Transfer]) -> Result<(), LedgerError> {
        let mut new: Vec<&Transfer> = Vec::with_capacity(transfers.len());
        for transfer in transfers {
            let known = self.posted.get(&transfer.key);
            let known = known.or_else(|| new.iter().copied().find(|one| one.key == transfer.key));
            match known {
                None => new.push(transfer),
                Some(known) if known == transfer => {}
                Some(_) => return Err(LedgerError::KeyReused(transfer.key.clone())),
            }
        }
        let (_, changed) = run(|book| self.balance(book), new.iter().copied())?;
        self.balances.extend(changed);
        let posted = new.into_iter();
        self.posted
            .extend(posted.map(|transfer| (transfer.key.clone(), transfer.clone())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::new(Timestamp::from_millis(1), [n; 10])
    }

    fn transfer(key: &str, from: BookId, to: BookId, base: i64) -> Transfer {
        Transfer {
            key: key.into(),
            from,
            to,
            amount: Amount::try_from_base(base).expect("money"),
            kind: EntryKind::Hold,
            job: None,
        }
    }

    #[test]
    fn a_transfer_says_what_job_it_is_of() {
        let job = JobId::new(kernel::Timestamp::from_millis(1), [1; 10]);
        let (from, to) = (BookId::Fees, BookId::Treasury);
        let one = Transfer::new("k".into(), from, to, Amount::ZERO, EntryKind::Fee);
        assert_eq!(one.job, None);
        assert_eq!(one.of(job).job, Some(job));
    }

    #[test]
    fn each_book_has_one_name() {
        let mut names = std::collections::BTreeSet::new();
        for book in BookId::of(account(1)).into_iter().chain(PLATFORM) {
            assert_eq!(book.to_string().parse(), Ok(book));
            assert!(names.insert(book.to_string()), "{book}");
            assert_eq!(
                book.owner().is_some(),
                !book.to_string().starts_with("platform:")
            );
        }
        for wrong in [
            "",
            "available",
            "available:",
            "fees",
            "platform:",
            "held:job_1",
        ] {
            assert!(wrong.parse::<BookId>().is_err(), "{wrong}");
        }
        let mirrors: Vec<BookId> = PLATFORM
            .into_iter()
            .filter(|b| b.may_be_negative())
            .collect();
        assert_eq!(
            mirrors,
            [BookId::Outside, BookId::Channels, BookId::DemoSource]
        );
    }

    #[test]
    fn linked_transfers_are_posted_together_or_not_at_all() {
        let (a, b) = (BookId::Available(account(1)), BookId::Available(account(2)));
        let mut books = Books::default();
        books
            .post(&[transfer("in", BookId::DemoSource, a, 10)])
            .expect("posts");
        let linked = [transfer("1", a, b, 10), transfer("2", b, BookId::Fees, 11)];
        let refused = books.post(&linked);
        assert_eq!(
            refused,
            Err(LedgerError::Insufficient {
                book: b,
                amount: linked[1].amount
            })
        );
        assert_eq!((books.balance(a), books.balance(b)), (10, 0));
        // What the one brings the next may take.
        let linked = [transfer("1", a, b, 10), transfer("2", b, BookId::Fees, 10)];
        books.post(&linked).expect("posts");
        assert_eq!(
            (
                books.balance(a),
                books.balance(b),
                books.balance(BookId::Fees)
            ),
            (0, 0, 10)
        );
        assert_eq!(books.sum(), 0);
    }

    #[test]
    fn a_key_is_posted_once_and_for_one_thing() {
        let a = BookId::Available(account(1));
        let mut books = Books::default();
        let credit = transfer("in", BookId::DemoSource, a, 10);
        for _ in 0..3 {
            books
                .post(&[credit.clone(), credit.clone()])
                .expect("posts");
        }
        assert_eq!(books.balance(a), 10);
        let other = transfer("in", BookId::DemoSource, a, 11);
        assert_eq!(
            books.post(&[other]),
            Err(LedgerError::KeyReused("in".into()))
        );
    }

    #[test]
    fn a_sum_that_is_not_zero_would_be_seen() {
        let books = Books {
            balances: BTreeMap::from([(BookId::Fees, 3), (BookId::Treasury, 4)]),
            ..Books::default()
        };
        assert_eq!(books.sum(), 7);
        let most = [BookId::Fees, BookId::Treasury].map(|book| (book, i64::MAX));
        let books = Books {
            balances: most.into(),
            ..Books::default()
        };
        assert_eq!(books.sum(), 2 * i128::from(i64::MAX));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let a = BookId::Available(account(1));
        for wrong in [
            transfer("1", a, a, 5),
            transfer("2", BookId::DemoSource, a, 0),
        ] {
            assert_eq!(Books::default().post(&[wrong]), Err(LedgerError::Empty));
        }
        let one = [transfer("1", BookId::DemoSource, a, 1)];
        assert_eq!(run(|_| i64::MAX, &one), Err(LedgerError::TooLarge));
        assert_eq!(run(|_| i64::MIN, &one), Err(LedgerError::TooLarge));
        let (after, changed) = run(|_| 5, &one).expect("runs");
        assert_eq!(after, [After { from: 4, to: 6 }]);
        assert_eq!(changed.len(), 2);
    }
}
