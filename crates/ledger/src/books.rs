//! Books and transfers.

use std::collections::BTreeMap;
use std::fmt;

use kernel::{AccountId, Amount, JobId};
use protocol::view::EntryKind;

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
}

/// A book: what somebody has of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BookId {
    /// A person's money to spend.
    Available(AccountId),
    /// Set aside for jobs of a person.
    Held(AccountId),
    /// Earned by a person's devices.
    Earned(AccountId),
    /// The platform's fees.
    Fees,
    /// Where demo credit comes from. The only book that may fall below zero: it mirrors what was given out.
    DemoSource,
}

impl BookId {
    /// Whether the book may fall below zero.
    pub const fn may_be_negative(self) -> bool {
        matches!(self, Self::DemoSource)
    }

    pub const fn owner(self) -> Option<AccountId> {
        match self {
            Self::Available(account) | Self::Held(account) | Self::Earned(account) => Some(account),
            Self::Fees | Self::DemoSource => None,
        }
    }
}

/// The key under which it is stored, such as `available:acc_…`.
impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available(account) => write!(f, "available:{account}"),
            Self::Held(account) => write!(f, "held:{account}"),
            Self::Earned(account) => write!(f, "earned:{account}"),
            Self::Fees => f.write_str("platform:fees"),
            Self::DemoSource => f.write_str("platform:demo_source"),
        }
    }
}

/// One movement of money, never changed after it was posted.
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

/// Books in memory: the model that the store is tested against.
#[derive(Debug, Clone, Default)]
pub struct Books {
    balances: BTreeMap<BookId, i128>,
    posted: BTreeMap<String, Transfer>,
}

impl Books {
    pub fn balance(&self, book: BookId) -> i128 {
        self.balances.get(&book).copied().unwrap_or(0)
    }

    /// Of all books: zero, always.
    pub fn sum(&self) -> i128 {
        self.balances
            .values()
            .fold(0, |sum, balance| sum.saturating_add(*balance))
    }

    /// Posts all or nothing. A transfer whose key was posted before is passed over.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`] names the book; [`LedgerError::Empty`] for a transfer of nothing.
    pub fn post(&mut self, transfers: &[Transfer]) -> Result<(), LedgerError> {
        let mut next = self.clone();
        for transfer in transfers {
            next.post_one(transfer)?;
        }
        *self = next;
        Ok(())
    }

    fn post_one(&mut self, transfer: &Transfer) -> Result<(), LedgerError> {
        if transfer.amount.is_zero() || transfer.from == transfer.to {
            return Err(LedgerError::Empty);
        }
        if self.posted.contains_key(&transfer.key) {
            return Ok(());
        }
        let amount = i128::from(transfer.amount.base());
        let from = self.balance(transfer.from).saturating_sub(amount);
        if from < 0 && !transfer.from.may_be_negative() {
            return Err(LedgerError::Insufficient {
                book: transfer.from,
                amount: transfer.amount,
            });
        }
        let to = self.balance(transfer.to).saturating_add(amount);
        self.balances.insert(transfer.from, from);
        self.balances.insert(transfer.to, to);
        self.posted.insert(transfer.key.clone(), transfer.clone());
        Ok(())
    }
}
