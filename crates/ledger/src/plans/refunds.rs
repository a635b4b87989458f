//! What is given back: unasked for a lease ([`Refund`]), or by the ruling of a dispute ([`Contested`]); who gives which part.

use kernel::{AccountId, Amount, DisputeId, JobId};
use protocol::money::EntryKind;

use crate::books::{BookId, LedgerError, Transfer};

/// `part` of `whole`, of a smaller whole, rounded down; nothing of nothing.
fn share(part: Amount, of: Amount, whole: Amount) -> Amount {
    let share = i128::from(part.base())
        .saturating_mul(i128::from(of.base()))
        .checked_div(i128::from(whole.base()))
        .unwrap_or(0);
    i64::try_from(share)
        .ok()
        .and_then(|base| Amount::try_from_base(base).ok())
        .unwrap_or(Amount::ZERO)
}

/// What a refund took of each of a lease's receipts, the newest first; `left` is what rulings left the owner of each. A refund is
/// for a lease's last seconds, so it takes the newest first.
pub fn taken_of(left: &[Amount], refund: Amount) -> Vec<Amount> {
    let mut open = refund;
    let each = left.iter().map(|left| {
        let part = open.min(*left);
        open = open.minus_or_zero(part);
        part
    });
    each.collect()
}

/// What the platform gives out of its fees, and for the rest out of its treasury.
fn from_platform(
    amount: Amount,
    fees: Amount,
    treasury: Amount,
) -> Result<[(BookId, Amount); 2], LedgerError> {
    let from_fees = amount.min(fees);
    let from_treasury = amount.minus_or_zero(from_fees);
    if from_treasury > treasury {
        return Err(LedgerError::Insufficient {
            book: BookId::Treasury,
            amount: from_treasury,
        });
    }
    Ok([(BookId::Fees, from_fees), (BookId::Treasury, from_treasury)])
}

/// Something of a lease that is given back without being asked for; once for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund<'a> {
    /// What its transfers' keys begin with.
    pub key: &'a str,
    pub job: JobId,
    pub requester: AccountId,
    pub owner: AccountId,
    pub amount: Amount,
}

impl Refund<'_> {
    /// The owner's share of it: what it earned with `charged`, in proportion, rounded down.
    pub fn owner_share(&self, earned: Amount, charged: Amount) -> Amount {
        share(earned, self.amount, charged)
    }

    fn transfer(&self, part: &str, from: BookId, amount: Amount) -> Option<Transfer> {
        (!amount.is_zero()).then(|| Transfer {
            key: format!("{}:{part}", self.key),
            from,
            to: BookId::Available(self.requester),
            amount,
            kind: EntryKind::Refund,
            job: Some(self.job),
        })
    }

    /// The owner gives back: `earned` of what has not matured, `matured` of what has.
    pub fn owner_gives(&self, earned: Amount, matured: Amount) -> Vec<Transfer> {
        let parts = [
            ("earned", BookId::Earned(self.owner), earned),
            ("withdrawable", BookId::Withdrawable(self.owner), matured),
        ];
        let each = parts.into_iter();
        each.filter_map(|(part, from, amount)| self.transfer(part, from, amount))
            .collect()
    }

    /// The platform gives `owed`, all of it at once.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`]: `fees` and `treasury`, as they stand, do not cover it.
    pub fn platform_gives(
        &self,
        owed: Amount,
        fees: Amount,
        treasury: Amount,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let parts = from_platform(owed, fees, treasury)?;
        let each = ["fees", "treasury"].into_iter().zip(parts);
        Ok(each
            .filter_map(|(part, (from, amount))| self.transfer(part, from, amount))
            .collect())
    }
}

/// What a dispute is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested {
    pub id: DisputeId,
    pub requester: AccountId,
    pub owner: AccountId,
    pub job: JobId,
    /// What the receipt cost, and what of it the owner got.
    pub paid: Amount,
    pub owner_part: Amount,
    /// Of the owner's earnings, what is set aside.
    pub set_aside: Amount,
    /// Of that, what had not matured and still would not have.
    pub unmatured: Amount,
}

impl Contested {
    /// The owner's share of a part of what was paid, rounded down; the platform has the rest.
    pub fn owner_share(&self, of: Amount) -> Amount {
        share(self.owner_part, of, self.paid)
    }

    fn transfer(
        &self,
        part: &str,
        from: BookId,
        to: BookId,
        amount: Amount,
        kind: EntryKind,
    ) -> Option<Transfer> {
        let key = format!("dispute:{}:{part}", self.id);
        (!amount.is_zero()).then(|| Transfer::new(key, from, to, amount, kind).of(self.job))
    }

    /// Sets the owner's share aside until it is decided: `earned` of what has not matured, the rest of what has.
    pub fn open(&self, earned: Amount) -> Vec<Transfer> {
        let aside = BookId::Disputed(self.owner);
        let parts = [
            ("earned", BookId::Earned(self.owner), earned),
            (
                "withdrawable",
                BookId::Withdrawable(self.owner),
                self.set_aside.minus_or_zero(earned),
            ),
        ];
        let each = parts.into_iter().filter_map(|(part, from, amount)| {
            self.transfer(part, from, aside, amount, EntryKind::Disputed)
        });
        each.collect()
    }

    /// Of what is set aside, what a ruling that refunds so much takes from the owner, and what it leaves.
    pub fn divided(&self, refund: Amount) -> (Amount, Amount) {
        let from_owner = self.owner_share(refund).min(self.set_aside);
        (from_owner, self.set_aside.minus_or_zero(from_owner))
    }

    /// Of what a ruling leaves of what is set aside, what waits again until the lease's earnings mature, and what does not. As
    /// it was set aside, and as a refund without a dispute takes it, what had not matured is given first.
    pub fn given_back(&self, refund: Amount) -> (Amount, Amount) {
        let (_, left) = self.divided(refund);
        let at_once = left.min(self.set_aside.minus_or_zero(self.unmatured));
        (left.minus_or_zero(at_once), at_once)
    }

    /// Gives `refund` back to the requester, the owner's share out of what is set aside, the platform's out of its fees
    /// and then its treasury; what is left of what was set aside is the owner's again, and waits if it waited before.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`]: `fees` and `treasury`, as they stand, do not cover the platform's share.
    pub fn rule(
        &self,
        refund: Amount,
        fees: Amount,
        treasury: Amount,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let (from_owner, _) = self.divided(refund);
        let (waits, at_once) = self.given_back(refund);
        let platform = refund.minus_or_zero(from_owner);
        let [(_, from_fees), (_, from_treasury)] = from_platform(platform, fees, treasury)?;
        let (aside, back) = (
            BookId::Disputed(self.owner),
            BookId::Available(self.requester),
        );
        let parts = [
            ("refund", aside, back, from_owner, EntryKind::Refund),
            ("fees", BookId::Fees, back, from_fees, EntryKind::Refund),
            (
                "treasury",
                BookId::Treasury,
                back,
                from_treasury,
                EntryKind::Refund,
            ),
            (
                "upheld",
                aside,
                BookId::Withdrawable(self.owner),
                at_once,
                EntryKind::Upheld,
            ),
            (
                "waits",
                aside,
                BookId::Earned(self.owner),
                waits,
                EntryKind::Upheld,
            ),
        ];
        let each = parts
            .into_iter()
            .filter_map(|(part, from, to, amount, kind)| {
                self.transfer(part, from, to, amount, kind)
            });
        Ok(each.collect())
    }
}
