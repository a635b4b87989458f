//! Time: milliseconds since the Unix epoch, UTC, as a value that is handed in. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MILLIS_PER_SECOND: i64 = 1_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The door through which a shell hands in the time.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time: write it in UTC like 2026-11-22T21:44:41Z")]
pub struct TimeError;

/// A moment: milliseconds since 1970-01-01T00:00:00Z. Travels as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub(crate) fn unsigned_millis(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// Later by so many milliseconds; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    #[must_use]
    pub fn plus(self, seconds: Seconds) -> Self {
        let millis = i64::try_from(seconds.get())
            .unwrap_or(i64::MAX)
            .saturating_mul(MILLIS_PER_SECOND);
        self.plus_millis(millis)
    }

    /// Earlier by so many seconds.
    #[must_use]
    pub fn minus(self, seconds: Seconds) -> Self {
        let millis = i64::try_from(seconds.get())
            .unwrap_or(i64::MAX)
            .saturating_mul(MILLIS_PER_SECOND);
        self.plus_millis(millis.saturating_neg())
    }

    /// Milliseconds from `earlier` to this moment; negative when it is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds from `earlier` to this moment, zero when it is later.
    pub fn seconds_since(self, earlier: Self) -> Seconds {
        let seconds = self.millis_since(earlier).div_euclid(MILLIS_PER_SECOND);
        Seconds::new(u64::try_from(seconds).unwrap_or(0))
    }
}

// The calendar is 30 lines of arithmetic (days to civil date, Howard Hinnant's public-domain algorithm); a
// calendar crate would weigh more in the browser's module than this whole crate.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "bounded: the year stays within ±292 million"
)]
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.rem_euclid(MILLIS_PER_SECOND);
        let seconds = self.0.div_euclid(MILLIS_PER_SECOND);
        let (days, second_of_day) = (
            seconds.div_euclid(SECONDS_PER_DAY),
            seconds.rem_euclid(SECONDS_PER_DAY),
        );
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (
            second_of_day / 3_600,
            second_of_day / 60 % 60,
            second_of_day % 60,
        );
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "each part is checked against its range first"
)]
impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.strip_suffix('Z').ok_or(TimeError)?;
        let (date, time) = text.split_once('T').ok_or(TimeError)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let parts = |text: &str, separator, lengths: [usize; 3]| -> Result<[i64; 3], TimeError> {
            let mut numbers = [0; 3];
            let mut pieces = text.split(separator);
            for (number, length) in numbers.iter_mut().zip(lengths) {
                let piece = pieces.next().ok_or(TimeError)?;
                if piece.len() != length || !piece.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(TimeError);
                }
                *number = piece.parse().map_err(|_| TimeError)?;
            }
            if pieces.next().is_some() {
                Err(TimeError)
            } else {
                Ok(numbers)
            }
        };
        let [year, month, day] = parts(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = parts(time, ':', [2, 2, 2])?;
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_of_month = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let in_range = (1..=12).contains(&month)
            && (1..=days_of_month).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !in_range
            || fraction.is_empty()
            || fraction.len() > 9
            || !fraction.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(TimeError);
        }
        let millis: i64 = format!("{fraction:0<3}")
            .get(..3)
            .ok_or(TimeError)?
            .parse()
            .map_err(|_| TimeError)?;
        let shifted_year = year - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
        Ok(Self(seconds * MILLIS_PER_SECOND + millis))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A length of time in whole seconds, the unit that is billed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seconds(u64);

impl Seconds {
    pub const ZERO: Self = Self(0);
    pub const MINUTE: Self = Self(60);
    pub const HOUR: Self = Self(3_600);
    pub const DAY: Self = Self(86_400);

    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn minus_or_zero(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// How often a job has been given to a node. It rises in the transaction that gives it away again, so a
/// message with an older epoch is known to come from a node that no longer holds the job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    pub const fn new(epoch: u64) -> Self {
        Self(epoch)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_read_as_rfc_3339() {
        let text = |ms| Timestamp::from_millis(ms).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_795_383_881_007), "2026-11-22T21:44:41.007Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn rubbish_is_not_a_time() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T21:44:41",
            "2026-13-01T00:00:00Z",
            "2026-1-1T0:0:0Z",
            "2026-01-01T24:00:00Z",
            "x-y-zTa:b:cZ",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError), "{text}");
        }
        assert_eq!(
            "2026-11-22T21:44:41Z".parse(),
            Ok(Timestamp::from_millis(1_795_383_881_000))
        );
    }

    #[test]
    fn a_month_has_its_days_and_no_more() {
        let midnight = |date: &str| format!("{date}T00:00:00Z").parse::<Timestamp>();
        for last in [
            "2026-01-31",
            "2026-04-30",
            "2026-02-28",
            "2028-02-29",
            "2000-02-29",
        ] {
            let read = midnight(last).map(|at| at.to_string());
            assert_eq!(read, Ok(format!("{last}T00:00:00.000Z")));
        }
        for none in [
            "2026-02-29",
            "2026-02-31",
            "2026-04-31",
            "2026-06-31",
            "2026-09-31",
            "2026-11-31",
            "2026-12-32",
            "2100-02-29",
            "2026-03-00",
        ] {
            assert_eq!(midnight(none), Err(TimeError), "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_survives_its_text(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
            let moment = Timestamp::from_millis(ms);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
        }
    }
}
