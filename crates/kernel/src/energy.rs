//! Energy that was used.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Energy in whole millijoules, as graphics cards count it; 1 kWh is 3,600,000,000.
///
/// Never more than [`Energy::MAX`], so that a reader of JSON that keeps numbers as doubles reads the same.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Energy(u64);

/// More than [`Energy::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} mJ are more than {max}, the most that is counted", max = Energy::MAX.0)]
pub struct EnergyError(u64);

impl Energy {
    pub const ZERO: Self = Self(0);
    /// 2^53 - 1 mJ: 2.5 GWh.
    pub const MAX: Self = Self(9_007_199_254_740_991);

    /// # Errors
    /// [`EnergyError`] past [`Energy::MAX`].
    pub const fn try_new(millijoules: u64) -> Result<Self, EnergyError> {
        if millijoules > Self::MAX.0 {
            return Err(EnergyError(millijoules));
        }
        Ok(Self(millijoules))
    }

    pub const fn millijoules(self) -> u64 {
        self.0
    }

    /// The sum, or [`Energy::MAX`].
    #[must_use]
    pub fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0).min(Self::MAX.0))
    }

    #[must_use]
    pub const fn minus_or_zero(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl TryFrom<u64> for Energy {
    type Error = EnergyError;

    fn try_from(millijoules: u64) -> Result<Self, Self::Error> {
        Self::try_new(millijoules)
    }
}

impl From<Energy> for u64 {
    fn from(energy: Energy) -> Self {
        energy.0
    }
}

impl fmt::Display for Energy {
    /// Watt-hours, cut to three places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MILLIJOULES_PER_WATT_HOUR: u64 = 3_600_000;
        let whole = self.0 / MILLIJOULES_PER_WATT_HOUR;
        let thousandths = self.0 % MILLIJOULES_PER_WATT_HOUR / 3_600;
        write!(f, "{whole}.{thousandths:03} Wh")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_reads_in_watt_hours() {
        let text = |millijoules| Energy::try_new(millijoules).expect("in range").to_string();
        assert_eq!(text(0), "0.000 Wh");
        assert_eq!(text(3_599), "0.000 Wh");
        assert_eq!(text(5_400_000), "1.500 Wh");
        assert_eq!(text(3_600_000_000), "1000.000 Wh");
    }

    #[test]
    fn more_than_a_double_holds_is_refused_in_json() {
        let read = serde_json::from_str::<Energy>;
        assert_eq!(read("9007199254740991").expect("the most"), Energy::MAX);
        assert!(
            read("9007199254740992")
                .is_err_and(|why| why.to_string().contains("the most that is counted"))
        );
        assert!(read("-1").is_err());
        assert_eq!(Energy::MAX.saturating_add(Energy::MAX), Energy::MAX);
    }
}
