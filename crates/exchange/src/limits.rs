//! What an account lets its jobs spend: a balance to keep, and budgets by day and month (UTC).

use kernel::{AccountId, Amount, Timestamp};
use ledger::BookId;
use protocol::audit::AuditAction;
use protocol::money::{DayView, Limits, LimitsView};
use protocol::view::Scope;
use store::Tx;

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;

const DAY_MS: i64 = 86_400_000;
const DAYS_MAX: u32 = 366;

/// An account's money as its jobs see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Means {
    pub available: Amount,
    pub held: Amount,
    /// Of what is available, what jobs may still take.
    pub spendable: Amount,
}

impl Means {
    /// What pays for seconds: what is set aside and what may still be, less what was delivered and not yet paid.
    pub fn lasting(self, unposted: Amount) -> Amount {
        self.spendable
            .checked_add(self.held)
            .unwrap_or(Amount::MAX)
            .minus_or_zero(unposted)
    }
}

/// What an account's limits leave of what is available. What is set aside counts as spent; `spent` is of the day and of the month.
fn left(limits: &Limits, available: Amount, held: Amount, spent: [Amount; 2]) -> Amount {
    let kept = available.minus_or_zero(limits.keep.unwrap_or(Amount::ZERO));
    let budgets = [limits.per_day, limits.per_month].into_iter().zip(spent);
    budgets.fold(kept, |left, (most, spent)| {
        let spent = spent.checked_add(held).unwrap_or(Amount::MAX);
        most.map_or(left, |most| left.min(most.minus_or_zero(spent)))
    })
}

/// What jobs may still take from a balance, and what holds them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spendable {
    pub left: Amount,
    /// A limit of the account's own, not its balance, is what ends first.
    pub limited: bool,
}

impl Spendable {
    /// Why a job cannot begin.
    pub fn short(&self, needed: Amount, available: Amount) -> Error {
        if self.limited {
            Error::OverLimit {
                needed,
                left: available,
            }
        } else {
            Error::InsufficientFunds { needed, available }
        }
    }
}

pub(crate) fn start_of_day(now: Timestamp) -> Timestamp {
    now.plus_millis(now.millis().rem_euclid(DAY_MS).saturating_neg())
}

/// The first moment of the month, UTC.
fn start_of_month(now: Timestamp) -> Timestamp {
    // `2026-11-25T…`: the day of the month is in the text that everybody sees.
    let day = now.to_string().get(8..10).and_then(|day| day.parse().ok());
    let days: i64 = day.unwrap_or(1_i64).saturating_sub(1);
    start_of_day(now).plus_millis(days.saturating_mul(DAY_MS).saturating_neg())
}

impl Exchange {
    /// # Errors
    /// The key lacks `read`.
    pub async fn limits(&self, actor: &Actor) -> Result<LimitsView, Error> {
        actor.require(Scope::Read)?;
        let mut tx = self.inner.store.begin().await?;
        self.limits_view(&mut tx, actor.account).await
    }

    async fn limits_view(&self, tx: &mut Tx, account: AccountId) -> Result<LimitsView, Error> {
        let limits = tx.limits(account).await?;
        let now = self.now();
        let held = tx.balance(BookId::Held(account)).await?;
        let today = tx.jobs_paid_since(account, start_of_day(now)).await?;
        let month = tx.jobs_paid_since(account, start_of_month(now)).await?;
        Ok(LimitsView {
            limits,
            today: today.checked_add(held)?,
            month: month.checked_add(held)?,
            left: self.spendable(tx, account).await?.left,
        })
    }

    /// Sets all three; what is absent is not limited.
    ///
    /// # Errors
    /// Not with an API key.
    pub async fn set_limits(&self, actor: &Actor, limits: Limits) -> Result<LimitsView, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        tx.put_limits(actor.account, &limits).await?;
        let view = self.limits_view(&mut tx, actor.account).await?;
        let text =
            |amount: Option<Amount>| amount.map(|amount| amount.to_string()).unwrap_or_default();
        let act = Act::by(actor, AuditAction::LimitsChanged, actor.account)
            .with("keep", text(limits.keep))
            .with("per_day", text(limits.per_day))
            .with("per_month", text(limits.per_month));
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        self.memory().runways.look_again(actor.account);
        Ok(view)
    }

    /// An account's money as its jobs see it now.
    pub(crate) async fn means(
        &self,
        account: AccountId,
        available: Amount,
        held: Amount,
    ) -> Result<Means, Error> {
        let limits = self.inner.store.limits_of(&[account]).await?;
        self.means_within(account, limits.get(&account), available, held)
            .await
    }

    /// The same with limits that are known; `None`: none.
    pub(crate) async fn means_within(
        &self,
        account: AccountId,
        limits: Option<&Limits>,
        available: Amount,
        held: Amount,
    ) -> Result<Means, Error> {
        let mut means = Means {
            available,
            held,
            spendable: available,
        };
        if let Some(limits) = limits {
            let (now, store) = (self.now(), &self.inner.store);
            let mut spent = [Amount::ZERO; 2];
            if limits.per_day.is_some() || limits.per_month.is_some() {
                spent = [
                    store.jobs_paid_since(account, start_of_day(now)).await?,
                    store.jobs_paid_since(account, start_of_month(now)).await?,
                ];
            }
            means.spendable = left(limits, available, held, spent);
        }
        Ok(means)
    }

    /// What jobs may still take: never below what the account wants to keep, and within its budgets, of which what is set
    /// aside counts as spent.
    pub(crate) async fn spendable(
        &self,
        tx: &mut Tx,
        account: AccountId,
    ) -> Result<Spendable, Error> {
        let available = tx.balance(BookId::Available(account)).await?;
        let limits = tx.limits(account).await?;
        let now = self.now();
        let (mut held, mut spent) = (Amount::ZERO, [Amount::ZERO; 2]);
        if limits.per_day.is_some() || limits.per_month.is_some() {
            held = tx.balance(BookId::Held(account)).await?;
            spent = [
                tx.jobs_paid_since(account, start_of_day(now)).await?,
                tx.jobs_paid_since(account, start_of_month(now)).await?,
            ];
        }
        let left = left(&limits, available, held, spent);
        Ok(Spendable {
            left,
            limited: left < available,
        })
    }

    /// What the account spent and earned on each of the last days, oldest first.
    ///
    /// # Errors
    /// The key lacks `read`; more than a year.
    pub async fn by_day(&self, actor: &Actor, days: u32) -> Result<Vec<DayView>, Error> {
        actor.require(Scope::Read)?;
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(Error::invalid("days", format!("from 1 to {DAYS_MAX}")));
        }
        let back = i64::from(days.saturating_sub(1)).saturating_mul(DAY_MS);
        let since = start_of_day(self.now()).plus_millis(back.saturating_neg());
        let known = self.inner.store.by_day(actor.account, since).await?;
        // A day without anything is a day too.
        let all = (0..i64::from(days)).map(|n| since.plus_millis(n.saturating_mul(DAY_MS)));
        let of = |day: Timestamp| {
            let found = known.iter().find(|view| view.day == day);
            found.cloned().unwrap_or(DayView {
                day,
                spent: Amount::ZERO,
                refunded: Amount::ZERO,
                earned: Amount::ZERO,
            })
        };
        Ok(all.map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_a_month_begin_at_midnight_utc() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        for (now, day, month) in [
            (
                "2026-11-25T10:00:00.123Z",
                "2026-11-25T00:00:00Z",
                "2026-11-01T00:00:00Z",
            ),
            (
                "2026-12-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                "2028-02-29T23:59:59.999Z",
                "2028-02-29T00:00:00Z",
                "2028-02-01T00:00:00Z",
            ),
        ] {
            assert_eq!(start_of_day(at(now)), at(day));
            assert_eq!(start_of_month(at(now)), at(month));
        }
    }
}
