//! Money. One unit everywhere: base units of IO, whole numbers, 1 IO = 10^8.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Seconds;

/// Base units in one IO token.
pub const BASE_UNITS_PER_IO: i64 = 100_000_000;
const DECIMALS: usize = 8;
const SECONDS_PER_HOUR: i64 = 3_600;

/// Why a sum of money could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("the amount is not a number; write it like 12.5, with a point and at most 8 decimals")]
    NotANumber,
    #[error("the amount is in whole base units, as a text: 12.5 IO is \"1250000000\"")]
    NotBaseUnits,
    #[error("IO has 8 decimals; this amount has more, and nothing is rounded silently")]
    TooPrecise,
    #[error("an amount cannot be below zero")]
    Negative,
    #[error("the smallest price above zero is 0.000036 IO an hour")]
    TooSmall,
    #[error("the amount is larger than all IO there can ever be (800,000,000)")]
    TooLarge,
}

/// A sum of money in base units; never negative, at most the hard cap of 800,000,000 IO.
///
/// Serialised as a string of base units, because JavaScript's numbers lose units past 2^53.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

impl Amount {
    pub const ZERO: Self = Self(0);
    /// The hard cap of the token: 800,000,000 IO.
    pub const MAX: Self = Self(80_000_000_000_000_000);

    /// # Errors
    /// [`MoneyError::Negative`] or [`MoneyError::TooLarge`] outside `0..=MAX`.
    pub const fn try_from_base(base: i64) -> Result<Self, MoneyError> {
        if base < 0 {
            Err(MoneyError::Negative)
        } else if base > Self::MAX.0 {
            Err(MoneyError::TooLarge)
        } else {
            Ok(Self(base))
        }
    }

    pub const fn base(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// # Errors
    /// [`MoneyError::TooLarge`] past the cap.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_add(other.0)
            .ok_or(MoneyError::TooLarge)
            .and_then(Self::try_from_base)
    }

    /// # Errors
    /// [`MoneyError::Negative`] when `other` is larger.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_sub(other.0)
            .ok_or(MoneyError::Negative)
            .and_then(Self::try_from_base)
    }

    /// What is left after taking `other`, or zero: for runways and limits, never for booking.
    #[must_use]
    pub fn minus_or_zero(self, other: Self) -> Self {
        self.checked_sub(other).unwrap_or(Self::ZERO)
    }

    /// Reads a decimal number of IO, such as `12.5`. Never rounds.
    ///
    /// # Errors
    /// A [`MoneyError`] that says what to write instead.
    pub fn parse_io(text: &str) -> Result<Self, MoneyError> {
        let text = text.trim();
        let text = text.strip_suffix("IO").map_or(text, str::trim_end);
        if text.starts_with('-') {
            return Err(MoneyError::Negative);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(MoneyError::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(MoneyError::TooPrecise);
        }
        let number = |s: &str| {
            if s.is_empty() {
                Ok(0)
            } else {
                s.parse::<i64>()
            }
        };
        let whole = number(whole).map_err(|_| MoneyError::TooLarge)?;
        let fraction =
            number(&format!("{fraction:0<DECIMALS$}")).map_err(|_| MoneyError::NotANumber)?;
        whole
            .checked_mul(BASE_UNITS_PER_IO)
            .and_then(|w| w.checked_add(fraction))
            .ok_or(MoneyError::TooLarge)
            .and_then(Self::try_from_base)
    }

    /// The decimal number of IO without its unit: at least two decimals, at most eight, nothing rounded.
    pub fn to_io(self) -> String {
        let text = format!("{:09}", self.0);
        let (whole, fraction) = text.split_at(text.len().saturating_sub(DECIMALS));
        let fraction = fraction.trim_end_matches('0');
        format!("{whole}.{fraction:0<2}")
    }

    /// For showing only: rounded down to `decimals` places (8 at most).
    pub fn to_io_rounded(self, decimals: usize) -> String {
        let text = format!("{:09}", self.0);
        let (whole, fraction) = text.split_at(text.len().saturating_sub(DECIMALS));
        match fraction.get(..decimals.min(DECIMALS)) {
            Some("") | None => whole.to_owned(),
            Some(fraction) => format!("{whole}.{fraction}"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} IO", self.to_io())
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({})", self.0)
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    /// Reads base units, the form that travels. For a person's decimal see [`Amount::parse_io`].
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let base = text.parse::<i64>().map_err(|_| MoneyError::NotBaseUnits)?;
        Self::try_from_base(base)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A price: base units for one second of one device. People see it per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PricePerSecond(Amount);

impl PricePerSecond {
    pub const ZERO: Self = Self(Amount::ZERO);

    pub const fn from_amount(per_second: Amount) -> Self {
        Self(per_second)
    }

    /// From a price per hour, rounded down to whole base units per second (0.000036 IO/h is the smallest step).
    ///
    /// # Errors
    /// [`MoneyError::TooSmall`] for a price above zero that would be rounded down to nothing.
    pub fn from_per_hour(per_hour: Amount) -> Result<Self, MoneyError> {
        let base = per_hour
            .base()
            .checked_div(SECONDS_PER_HOUR)
            .ok_or(MoneyError::NotANumber)?;
        if base == 0 && !per_hour.is_zero() {
            return Err(MoneyError::TooSmall);
        }
        Amount::try_from_base(base).map(Self)
    }

    pub const fn per_second(self) -> Amount {
        self.0
    }

    /// # Errors
    /// [`MoneyError::TooLarge`] past the cap.
    pub fn per_hour(self) -> Result<Amount, MoneyError> {
        self.times(Seconds::HOUR)
    }

    /// What so many whole seconds cost.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] past the cap.
    pub fn times(self, seconds: Seconds) -> Result<Amount, MoneyError> {
        let seconds = i64::try_from(seconds.get()).map_err(|_| MoneyError::TooLarge)?;
        self.0
            .base()
            .checked_mul(seconds)
            .ok_or(MoneyError::TooLarge)
            .and_then(Amount::try_from_base)
    }

    /// # Errors
    /// [`MoneyError::TooLarge`] past the cap.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What several ask together. A sum past all IO there can be is as much as all of it.
    pub fn total(prices: impl IntoIterator<Item = Self>) -> Self {
        let sum = |sum: Self, price| sum.checked_add(price).unwrap_or(Self(Amount::MAX));
        prices.into_iter().fold(Self::ZERO, sum)
    }

    /// `12.5 IO/h`, for people.
    pub fn to_io_per_hour(self) -> String {
        self.per_hour().unwrap_or(Amount::MAX).to_io()
    }
}

impl Serialize for PricePerSecond {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PricePerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Amount::deserialize(deserializer).map(Self)
    }
}

/// A share in hundredths of a percent: 25 is 0.25 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BasisPoints(u16);

impl BasisPoints {
    pub const WHOLE: i64 = 10_000;
    pub const ZERO: Self = Self(0);

    /// # Errors
    /// [`MoneyError::TooLarge`] above 100 %.
    pub const fn try_new(points: u16) -> Result<Self, MoneyError> {
        if points > 10_000 {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self(points))
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    fn numerator(self, amount: Amount) -> i128 {
        i128::from(amount.base()).saturating_mul(i128::from(self.0))
    }

    fn to_amount(base: i128) -> Amount {
        // A share of at most 100 % of a valid amount is a valid amount.
        i64::try_from(base)
            .ok()
            .and_then(|base| Amount::try_from_base(base).ok())
            .unwrap_or(Amount::MAX)
    }

    /// This share of `amount`, rounded down to whole base units.
    pub fn of_rounded_down(self, amount: Amount) -> Amount {
        Self::to_amount(self.numerator(amount).div_euclid(i128::from(Self::WHOLE)))
    }

    /// This share of `amount`, rounded up to whole base units.
    pub fn of_rounded_up(self, amount: Amount) -> Amount {
        let up = self
            .numerator(amount)
            .saturating_add(i128::from(Self::WHOLE.saturating_sub(1)));
        Self::to_amount(up.div_euclid(i128::from(Self::WHOLE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_decimals_and_nothing_is_rounded() {
        let amount = |text| Amount::parse_io(text).map(Amount::base);
        assert_eq!(amount("1"), Ok(100_000_000));
        assert_eq!(amount(" 12.5 IO"), Ok(1_250_000_000));
        assert_eq!(amount(".00000001"), Ok(1));
        assert_eq!(amount("0.000000010"), Ok(1));
        assert_eq!(amount("0.000000001"), Err(MoneyError::TooPrecise));
        assert_eq!(amount("-1"), Err(MoneyError::Negative));
        assert_eq!(amount("1e3"), Err(MoneyError::NotANumber));
        assert_eq!(amount("."), Err(MoneyError::NotANumber));
        assert_eq!(amount(""), Err(MoneyError::NotANumber));
        assert_eq!(amount("800000000"), Ok(Amount::MAX.base()));
        assert_eq!(amount("800000000.00000001"), Err(MoneyError::TooLarge));
        assert_eq!(amount("99999999999999999999"), Err(MoneyError::TooLarge));
    }

    #[test]
    fn an_hourly_price_becomes_whole_units_a_second() {
        let hour = Amount::parse_io("0.9").expect("valid");
        let price = PricePerSecond::from_per_hour(hour).expect("valid");
        assert_eq!(price.per_second().base(), 25_000);
        assert_eq!(price.to_io_per_hour(), "0.90");
        let least = |text| PricePerSecond::from_per_hour(Amount::parse_io(text).expect("valid"));
        assert_eq!(least("0"), Ok(PricePerSecond::ZERO));
        assert_eq!(least("0.000036").map(|p| p.per_second().base()), Ok(1));
        assert_eq!(least("0.00003599"), Err(MoneyError::TooSmall));
    }

    proptest! {
        #[test]
        fn text_forms_return_the_same_amount(base in 0..=Amount::MAX.base()) {
            let amount = Amount::try_from_base(base).expect("in range");
            prop_assert_eq!(Amount::parse_io(&amount.to_io()), Ok(amount));
            prop_assert_eq!(base.to_string().parse(), Ok(amount));
        }

        #[test]
        fn a_share_rounded_up_is_at_most_one_unit_more(base in 0..=Amount::MAX.base(), bp in 0u16..=10_000) {
            let amount = Amount::try_from_base(base).expect("in range");
            let share = BasisPoints::try_new(bp).expect("in range");
            let (down, up) = (share.of_rounded_down(amount).base(), share.of_rounded_up(amount).base());
            prop_assert!(up == down || up == down + 1);
            prop_assert_eq!(i128::from(down), i128::from(base) * i128::from(bp) / 10_000);
        }
    }
}
