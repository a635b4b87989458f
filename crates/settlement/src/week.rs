//! A week of earnings, named by its Monday.

use std::fmt;

use kernel::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de};

const DAY_MS: i64 = 86_400_000;
const WEEK_DAYS: u64 = 7;
/// 5 January 1970, the first Monday.
const FIRST_MONDAY: u64 = 4;

/// Why a number is no week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("day {0} since 1970-01-01 is no Monday; a week is named by its Monday")]
pub struct NoMonday(pub u64);

/// Monday to Sunday, UTC. Its number is its Monday's day number since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Week(u64);

impl Week {
    /// # Errors
    /// [`NoMonday`].
    pub const fn try_new(day: u64) -> Result<Self, NoMonday> {
        match day.checked_sub(FIRST_MONDAY) {
            // Far beyond any date that can be written, milliseconds would overflow.
            Some(since) if since.is_multiple_of(WEEK_DAYS) && day < 1_000_000 => Ok(Self(day)),
            _ => Err(NoMonday(day)),
        }
    }

    pub const fn day(self) -> u64 {
        self.0
    }

    /// The one in which `at` lies; before the first Monday of 1970 there is none.
    pub fn containing(at: Timestamp) -> Option<Self> {
        let day = u64::try_from(at.millis().div_euclid(DAY_MS)).ok()?;
        let into = day.checked_sub(FIRST_MONDAY)?.checked_rem(WEEK_DAYS)?;
        Self::try_new(day.checked_sub(into)?).ok()
    }

    /// The newest one that is over at `now`.
    pub fn closed_at(now: Timestamp) -> Option<Self> {
        Self::containing(now)?.previous()
    }

    pub fn previous(self) -> Option<Self> {
        Self::try_new(self.0.checked_sub(WEEK_DAYS)?).ok()
    }

    pub fn next(self) -> Option<Self> {
        Self::try_new(self.0.checked_add(WEEK_DAYS)?).ok()
    }

    pub fn starts_at(self) -> Timestamp {
        let day = i64::try_from(self.0).unwrap_or(i64::MAX);
        Timestamp::from_millis(day.saturating_mul(DAY_MS))
    }

    /// The first moment that is no longer in it.
    pub fn ends_at(self) -> Timestamp {
        let day = i64::try_from(self.0.saturating_add(WEEK_DAYS)).unwrap_or(i64::MAX);
        Timestamp::from_millis(day.saturating_mul(DAY_MS))
    }

    pub fn is_over(self, now: Timestamp) -> bool {
        now >= self.ends_at()
    }
}

impl fmt::Display for Week {
    /// Its Monday, `2026-11-23`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.starts_at().to_string();
        f.write_str(text.get(..10).unwrap_or(&text))
    }
}

impl<'de> Deserialize<'de> for Week {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_new(u64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_week_is_monday_to_sunday() {
        let week = Week::containing(at("2026-11-26T12:00:00Z")).expect("a week");
        assert_eq!(
            (week.day(), week.to_string().as_str()),
            (20_780, "2026-11-23")
        );
        assert_eq!(week.starts_at(), at("2026-11-23T00:00:00Z"));
        assert_eq!(week.ends_at(), at("2026-11-30T00:00:00Z"));
        assert!(!week.is_over(at("2026-11-29T23:59:59.999Z")));
        assert!(week.is_over(week.ends_at()));
        assert_eq!(Week::closed_at(at("2026-11-29T23:59:59Z")), week.previous());
        assert_eq!(Week::closed_at(week.ends_at()), Some(week));
        assert_eq!(Week::try_new(20_781), Err(NoMonday(20_781)));
        assert_eq!(Week::try_new(3), Err(NoMonday(3)));
        assert_eq!(Week::containing(at("1970-01-04T23:59:59Z")), None);
        assert_eq!(Week::containing(Timestamp::from_millis(-1)), None);
    }

    proptest! {
        #[test]
        fn every_moment_is_in_one_week(millis in 345_600_000_i64..=80_000_000_000_000) {
            let moment = Timestamp::from_millis(millis);
            let week = Week::containing(moment).expect("after the first Monday");
            prop_assert!(week.starts_at() <= moment && moment < week.ends_at());
            prop_assert_eq!(Week::try_new(week.day()), Ok(week));
            prop_assert_eq!(week.next().and_then(Week::previous), Some(week));
        }

        #[test]
        fn no_number_makes_it_panic(day in any::<u64>(), millis in any::<i64>()) {
            let _ = Week::try_new(day).map(|week| (week.next(), week.to_string(), week.ends_at()));
            let _ = Week::containing(Timestamp::from_millis(millis));
        }
    }
}
