//! Watches how long each account's money lasts, and warns once when that falls below a time that its person chose. What
//! comes to its end before the money does (a short job, the check of a slice) needs no warning: only a lease that would
//! still run then.
//!
//! As long as the same leases run, a runway grows shorter by a second each second, so it is known when the next warning can be due at
//! the earliest; until then only a lease that begins or ends calls for another look. A look is two reads for hundreds of accounts.

use std::collections::{HashMap, HashSet};

use kernel::{AccountId, Amount, LeaseId, PricePerSecond, Seconds, Timestamp};
use protocol::notice::Notice;
use protocol::state::LeaseState;
use store::Wishes;

use crate::desk::{Exchange, LeaseLive, Memory};
use crate::error::Error;
use crate::views::spent;

/// How often it is looked who is due.
const LOOK_EVERY_MS: i64 = 2_000;
/// Accounts that are looked at in one step; who does not fit comes next.
const STEP: usize = 2_000;
/// Money also moves in ways that no rate shows. Nobody is left alone for longer than this, nor for more than half of
/// what is left.
const REST_MAX: Seconds = Seconds::new(300);
const REST_MIN: Seconds = Seconds::new(5);

/// Whose runway is watched: those of whom something runs.
#[derive(Debug, Default)]
pub(crate) struct Runways {
    next: Timestamp,
    accounts: HashMap<AccountId, Watched>,
    /// Whose rate may be another now.
    changed: HashSet<AccountId>,
}

#[derive(Debug, Clone)]
struct Watched {
    rate: PricePerSecond,
    /// Another that costs as much may go on for longer.
    leases: Vec<LeaseId>,
    look_at: Timestamp,
}

impl Runways {
    /// A lease of the account begins or ends to cost: its rate is summed up anew.
    pub fn rate_changes(&mut self, account: AccountId) {
        self.changed.insert(account);
    }

    /// Looks again at once: the account wishes otherwise, or its money has changed.
    pub fn look_again(&mut self, account: AccountId) {
        if let Some(watched) = self.accounts.get_mut(&account) {
            watched.look_at = Timestamp::default();
        }
    }
}

/// What is spent of an account's money: a second, and so far without a receipt that was posted.
#[derive(Debug, Clone, Default)]
struct Spending {
    rate: PricePerSecond,
    unposted: Amount,
    running: Vec<Running>,
}

/// A lease that costs: a second, and for how many of them at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    rate: PricePerSecond,
    left: Seconds,
}

impl Running {
    fn of(live: &LeaseLive) -> Self {
        // What ends goes on no more. What a lost machine delivered before is not known here: then it is less than this.
        let left = match live.stop {
            Some(_) => Seconds::ZERO,
            None => live.spec.duration().minus_or_zero(live.seconds()),
        };
        Self {
            rate: live.lease.fees.rate(live.lease.price),
            left,
        }
    }
}

/// What an account's money is to what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// It lasts so long, and something would go on.
    Short(Seconds),
    /// All that runs ends first. At an unchanged rate it would last so long.
    Enough(Seconds),
}

/// Each lease costs until its time is over; then the rate is lower.
fn outlook(money: Amount, mut running: Vec<Running>) -> Outlook {
    let base = |rate: PricePerSecond| i128::from(rate.per_second().base());
    let lasts = |money: i128, rate: i128| {
        // What costs nothing lasts for ever.
        let seconds = money.checked_div(rate).unwrap_or(i128::MAX);
        Seconds::new(u64::try_from(seconds).unwrap_or(u64::MAX))
    };
    running.sort_by_key(|one| one.left);
    let mut money = i128::from(money.base());
    let mut rate: i128 = running.iter().map(|one| base(one.rate)).sum();
    let unchanged = lasts(money, rate);
    let mut passed = Seconds::ZERO;
    for one in running {
        let span = one.left.minus_or_zero(passed);
        let cost = rate.saturating_mul(span.get().into());
        if cost > money {
            return Outlook::Short(passed.plus(lasts(money, rate)));
        }
        money = money.saturating_sub(cost);
        rate = rate.saturating_sub(base(one.rate));
        passed = one.left;
    }
    Outlook::Enough(unchanged)
}

/// What has to be said at a runway, if anything, and of which thresholds the account knows then. A threshold that is
/// known is said again only after it was left behind, by a tenth, so that a runway which wavers about it says it once.
/// Where several are crossed at once, the shortest says it all.
fn crossing(
    thresholds: &[Seconds],
    told: &[Seconds],
    outlook: Outlook,
) -> (Option<Seconds>, Vec<Seconds>) {
    let (runway, is_short) = match outlook {
        Outlook::Short(runway) => (runway, true),
        Outlook::Enough(runway) => (runway, false),
    };
    let is_below = |threshold: &&Seconds| is_short && runway < **threshold;
    let is_left =
        |threshold: Seconds| runway.get() >= threshold.get().saturating_add(threshold.get() / 10);
    let shortest = thresholds.iter().filter(is_below).min().copied();
    let known: Vec<Seconds> = thresholds
        .iter()
        .filter(|threshold| {
            is_below(threshold) || told.contains(threshold) && !is_left(**threshold)
        })
        .copied()
        .collect();
    (shortest.filter(|shortest| !told.contains(shortest)), known)
}

/// When the next warning can be due at the earliest.
fn rest(thresholds: &[Seconds], outlook: Outlook) -> Seconds {
    let Outlook::Short(runway) = outlook else {
        return REST_MAX;
    };
    let next = thresholds
        .iter()
        .filter(|threshold| runway >= **threshold)
        .max();
    let until = next.map_or(REST_MAX, |next| {
        runway.minus_or_zero(*next).plus(Seconds::new(1))
    });
    let half = Seconds::new(runway.get() / 2);
    until.min(half).min(REST_MAX).max(REST_MIN)
}

/// Those who are due, with what they spend.
fn due(memory: &mut Memory, now: Timestamp) -> HashMap<AccountId, Spending> {
    for account in std::mem::take(&mut memory.runways.changed) {
        let mut new = Watched {
            rate: PricePerSecond::ZERO,
            leases: Vec::new(),
            look_at: Timestamp::default(),
        };
        for live in memory.leases_of_account(account) {
            if live.lease.state == LeaseState::Active {
                let own = live.lease.fees.rate(live.lease.price);
                new.rate = new.rate.checked_add(own).unwrap_or(new.rate);
                new.leases.push(live.lease.id);
            }
        }
        let watched = &mut memory.runways.accounts;
        if new.leases.is_empty() {
            watched.remove(&account);
            continue;
        }
        let is_same = |known: &Watched| known.rate == new.rate && known.leases == new.leases;
        if !watched.get(&account).is_some_and(is_same) {
            watched.insert(account, new);
        }
    }
    let watched = &memory.runways.accounts;
    let is_due = |(_, watched): &(&AccountId, &Watched)| watched.look_at <= now;
    let mut due: HashMap<AccountId, Spending> = watched
        .iter()
        .filter(is_due)
        .take(STEP)
        .map(|(account, watched)| {
            let spending = Spending {
                rate: watched.rate,
                ..Spending::default()
            };
            (*account, spending)
        })
        .collect();
    for (account, spending) in &mut due {
        for live in memory.leases_of_account(*account) {
            let open = spent(live).minus_or_zero(live.lease.charged);
            let unposted = spending.unposted.checked_add(open);
            spending.unposted = unposted.unwrap_or(Amount::MAX);
            if live.lease.state == LeaseState::Active {
                spending.running.push(Running::of(live));
            }
        }
    }
    due
}

impl Exchange {
    /// Warns those whose money lasts less than they chose.
    pub(crate) async fn watch_runways(&self) -> Result<(), Error> {
        let now = self.now();
        let due = {
            let mut memory = self.memory();
            if now < memory.runways.next {
                return Ok(());
            }
            memory.runways.next = now.plus_millis(LOOK_EVERY_MS);
            due(&mut memory, now)
        };
        if due.is_empty() {
            return Ok(());
        }
        let accounts: Vec<AccountId> = due.keys().copied().collect();
        let money = self.inner.store.money_of(&accounts).await?;
        let wishes = self.inner.store.wishes_of(&accounts).await?;
        let limits = self.inner.store.limits_of(&accounts).await?;
        let mut rests = Vec::with_capacity(due.len());
        let mut crossed = Vec::new();
        for (account, spending) in due {
            let wishes = wishes.get(&account).cloned();
            let wishes = wishes.unwrap_or_else(|| Wishes::new(account));
            let (available, held) = money.get(&account).copied().unwrap_or_default();
            let means = self.means_within(account, limits.get(&account), available, held);
            let left = means.await?.lasting(spending.unposted);
            let outlook = outlook(left, spending.running);
            let thresholds = &wishes.settings.runway_seconds;
            let (_, known) = crossing(thresholds, &wishes.told, outlook);
            if known != wishes.told {
                crossed.push((account, spending.rate, available, held, outlook));
            }
            rests.push((account, now.plus(rest(thresholds, outlook))));
        }
        if !crossed.is_empty() {
            let mut tx = self.inner.store.begin().await?;
            for (account, rate, available, held, outlook) in crossed {
                // Its person may have chosen otherwise meanwhile.
                let mut wishes = tx.wishes(account).await?;
                let thresholds = &wishes.settings.runway_seconds;
                let (shortest, known) = crossing(thresholds, &wishes.told, outlook);
                wishes.told = known;
                wishes.told_at = now;
                tx.put_wishes(&wishes).await?;
                if let (Some(threshold), Outlook::Short(runway)) = (shortest, outlook) {
                    let notice = Notice::BalanceRunway {
                        threshold_seconds: threshold,
                        runway_seconds: runway,
                        ends_at: now.plus(runway),
                        available,
                        held,
                        per_hour: rate.per_hour().unwrap_or(Amount::MAX),
                    };
                    self.notify(&mut tx, account, notice).await?;
                }
            }
            tx.commit().await?;
        }
        let mut memory = self.memory();
        for (account, look_at) in rests {
            if let Some(watched) = memory.runways.accounts.get_mut(&account) {
                watched.look_at = look_at;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(all: &[u64]) -> Vec<Seconds> {
        all.iter().map(|s| Seconds::new(*s)).collect()
    }

    fn short(runway: u64) -> Outlook {
        Outlook::Short(Seconds::new(runway))
    }

    fn running(all: &[(i64, u64)]) -> Vec<Running> {
        let one = |(rate, left): &(i64, u64)| Running {
            rate: PricePerSecond::from_amount(Amount::try_from_base(*rate).expect("an amount")),
            left: Seconds::new(*left),
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn money_is_short_only_for_what_would_still_run() {
        let look = |money, all: &[(i64, u64)]| {
            outlook(
                Amount::try_from_base(money).expect("an amount"),
                running(all),
            )
        };
        assert_eq!(look(1_000, &[(10, 101)]), short(100));
        let enough = |seconds| Outlook::Enough(Seconds::new(seconds));
        assert_eq!(look(1_000, &[(10, 100)]), enough(100), "it suffices");
        // A check that is dear and short beside a job that is cheap and long: 600 are left for what is cheap.
        assert_eq!(look(1_000, &[(1, 600), (39, 10)]), enough(25));
        assert_eq!(look(1_000, &[(1, 700), (39, 10)]), short(610));
        assert_eq!(look(0, &[(0, 700)]), enough(u64::MAX));
        assert_eq!(look(0, &[(1, 0)]), enough(0));
        assert_eq!(look(0, &[(1, 1)]), short(0));
    }

    #[test]
    fn what_suffices_warns_of_nothing_and_forgets_nothing_that_still_holds() {
        let thresholds = seconds(&[86_400, 3_600]);
        let enough = |told: &[u64], runway| {
            let told = seconds(told);
            crossing(&thresholds, &told, Outlook::Enough(Seconds::new(runway)))
        };
        assert_eq!(enough(&[], 60), (None, vec![]));
        let all = seconds(&[86_400, 3_600]);
        assert_eq!(enough(&[86_400, 3_600], 60), (None, all.clone()));
        assert_eq!(enough(&[86_400, 3_600], 4_000), (None, seconds(&[86_400])));
        assert_eq!(rest(&all, Outlook::Enough(Seconds::new(60))), REST_MAX);
    }

    #[test]
    fn a_runway_says_each_threshold_once_until_it_is_left_behind() {
        let thresholds = seconds(&[86_400, 3_600, 600]);
        let mut told = Vec::new();
        let mut say = |runway| {
            let (shortest, known) = crossing(&thresholds, &told, short(runway));
            told = known;
            shortest.map(Seconds::get)
        };
        assert_eq!(say(86_400), None, "not less");
        assert_eq!(say(86_399), Some(86_400));
        assert_eq!(say(86_398), None);
        assert_eq!(say(90_000), None);
        assert_eq!(say(86_399), None, "it wavers");
        assert_eq!(say(95_040), None);
        assert_eq!(say(86_399), Some(86_400), "it was left behind");
        assert_eq!(say(500), Some(600), "two at once");
        assert_eq!(say(3_700), None, "one is left behind, one is not");
        assert_eq!(say(3_599), None, "still known");
        assert_eq!(say(599), Some(600), "again");
        assert_eq!(say(u64::MAX), None);
        assert_eq!(say(0), Some(600));
    }

    #[test]
    fn nobody_is_looked_at_too_late_or_too_often() {
        let thresholds = seconds(&[86_400, 3_600, 600]);
        let rests = |runway| rest(&thresholds, short(runway)).get();
        assert_eq!(rests(u64::MAX), 300);
        assert_eq!(rests(86_500), 101);
        assert_eq!(rests(86_400), 5);
        assert_eq!(rests(3_500), 300);
        assert_eq!(rests(640), 41);
        assert_eq!(rests(300), 150);
        assert_eq!(rests(0), 5);
    }

    /// A runway that shrinks with the time, jumps when money comes or goes, and sits near the thresholds.
    fn runways() -> impl Strategy<Value = Vec<u64>> {
        let near = prop_oneof![Just(60), Just(600), Just(3_600), Just(86_400)];
        let one = (near, 80_u64..=125).prop_map(|(threshold, percent)| threshold * percent / 100);
        prop::collection::vec(prop_oneof![one, 0_u64..200_000], 1..60)
    }

    proptest! {
        #[test]
        fn each_crossing_is_said_and_nothing_else(
            chosen in prop::collection::btree_set(prop_oneof![Just(60_u64), Just(600), Just(3_600), Just(86_400)], 0..=4),
            runways in runways(),
        ) {
            let thresholds: Vec<Seconds> = chosen.iter().rev().map(|s| Seconds::new(*s)).collect();
            // The model: for each threshold whether it was left behind since it was known.
            let mut armed: HashMap<u64, bool> = chosen.iter().map(|s| (*s, true)).collect();
            let mut told = Vec::new();
            for runway in runways {
                let (said, known) = crossing(&thresholds, &told, short(runway));
                let shortest = chosen.iter().copied().find(|s| runway < *s);
                let expected = shortest.filter(|s| armed[s]);
                prop_assert_eq!(said.map(Seconds::get), expected);
                for (threshold, armed) in &mut armed {
                    if runway < *threshold {
                        *armed = false;
                    } else if runway >= threshold + threshold / 10 {
                        *armed = true;
                    }
                    prop_assert_eq!(known.contains(&Seconds::new(*threshold)), !*armed);
                }
                told = known;
            }
        }

        #[test]
        fn at_an_unchanged_rate_no_crossing_is_slept_through(
            chosen in prop::collection::btree_set(60_u64..100_000, 1..=5),
            begin in 0_u64..200_000,
        ) {
            let thresholds: Vec<Seconds> = chosen.iter().rev().map(|s| Seconds::new(*s)).collect();
            let mut told = Vec::new();
            let mut runway = begin;
            let mut said = Vec::new();
            loop {
                let (now, known) = crossing(&thresholds, &told, short(runway));
                if let Some(threshold) = now {
                    // Within the least rest, and the first look apart.
                    prop_assert!(begin < threshold.get() || threshold.get() - runway <= REST_MIN.get());
                    said.push(threshold.get());
                }
                told = known;
                if runway == 0 {
                    break;
                }
                runway = runway.saturating_sub(rest(&thresholds, short(runway)).get());
            }
            let falling = said.windows(2).all(|pair| pair[0] > pair[1]);
            prop_assert!(falling, "{:?}", said);
            prop_assert_eq!(said.last(), chosen.first());
        }
    }
}
