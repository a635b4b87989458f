//! From seconds to money.
//!
//! All amounts are cumulative: `total(n)` is what `n` delivered seconds cost from the start of the lease. A receipt
//! charges `total(now) - total(before)`. The rounding, once for the whole lease: the requester's fee is rounded up
//! to a base unit, the owner's fee is rounded down, so that each is off by less than one unit (0.00000001 IO) and
//! nothing is lost between the three.

use kernel::{Amount, BasisPoints, MoneyError, PricePerSecond, Seconds};

/// The platform's share on both sides, parameters under governance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    pub requester: BasisPoints,
    pub owner: BasisPoints,
}

/// What some delivered seconds cost, and who gets it: `requester_pays = owner_gets + platform_gets`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge {
    pub requester_pays: Amount,
    pub owner_gets: Amount,
    pub platform_gets: Amount,
}

impl Fees {
    /// What `seconds` at `price` cost from the start of a lease.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] past all IO there can be.
    pub fn charge(self, price: PricePerSecond, seconds: Seconds) -> Result<Charge, MoneyError> {
        let gross = price.times(seconds)?;
        let requester_fee = self.requester.of_rounded_up(gross);
        let owner_fee = self.owner.of_rounded_down(gross);
        Ok(Charge {
            requester_pays: gross.checked_add(requester_fee)?,
            owner_gets: gross.checked_sub(owner_fee)?,
            platform_gets: requester_fee.checked_add(owner_fee)?,
        })
    }

    /// What the requester pays for `seconds`. Past all IO there can be it is as much as all of it: beyond every balance.
    pub fn cost(self, price: PricePerSecond, seconds: Seconds) -> Amount {
        self.charge(price, seconds)
            .map_or(Amount::MAX, |charge| charge.requester_pays)
    }

    /// The most seconds that `funds` pay for; with a price of zero as many as `limit`.
    pub fn seconds_for(self, price: PricePerSecond, funds: Amount, limit: Seconds) -> Seconds {
        let pays = |seconds| {
            self.charge(price, Seconds::new(seconds))
                .is_ok_and(|c| c.requester_pays <= funds)
        };
        // The cost never falls as seconds rise, so the border can be found by halving.
        let (mut enough, mut border) = (0_u64, limit.get().saturating_add(1));
        while enough.saturating_add(1) < border {
            let middle = enough.midpoint(border);
            if pays(middle) {
                enough = middle;
            } else {
                border = middle;
            }
        }
        Seconds::new(enough)
    }

    /// All-in price of one hour for the requester.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] past all IO there can be.
    pub fn per_hour(self, price: PricePerSecond) -> Result<Amount, MoneyError> {
        self.charge(price, Seconds::HOUR)
            .map(|charge| charge.requester_pays)
    }

    /// What the owner gets each second, after the fee; the fee is rounded down.
    pub fn owner_rate(self, price: PricePerSecond) -> PricePerSecond {
        let each = self.charge(price, Seconds::new(1));
        each.map_or(price, |charge| {
            PricePerSecond::from_amount(charge.owner_gets)
        })
    }

    /// All-in rate for the meter, rounded up to whole units a second.
    pub fn rate(self, price: PricePerSecond) -> PricePerSecond {
        let fee = self.requester.of_rounded_up(price.per_second());
        price
            .checked_add(PricePerSecond::from_amount(fee))
            .unwrap_or(price)
    }
}

impl Charge {
    /// What this charge adds to an earlier one of the same lease.
    ///
    /// # Errors
    /// [`MoneyError::Negative`] when `earlier` was larger in any part.
    pub fn since(self, earlier: Self) -> Result<Self, MoneyError> {
        Ok(Self {
            requester_pays: self.requester_pays.checked_sub(earlier.requester_pays)?,
            owner_gets: self.owner_gets.checked_sub(earlier.owner_gets)?,
            platform_gets: self.platform_gets.checked_sub(earlier.platform_gets)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fees(requester: u16, owner: u16) -> Fees {
        let share = |points| BasisPoints::try_new(points).expect("at most 100 %");
        Fees {
            requester: share(requester),
            owner: share(owner),
        }
    }

    fn price(base: i64) -> PricePerSecond {
        PricePerSecond::from_amount(Amount::try_from_base(base).expect("in range"))
    }

    #[test]
    fn an_hour_at_the_default_fees() {
        // 25,000 units a second for an hour: 90,000,000; 0.25 % of it on each side: 225,000.
        let charge = fees(25, 25)
            .charge(price(25_000), Seconds::HOUR)
            .expect("in range");
        assert_eq!(charge.requester_pays.base(), 90_225_000);
        assert_eq!(charge.owner_gets.base(), 89_775_000);
        assert_eq!(charge.platform_gets.base(), 450_000);
        let all_in = fees(25, 25).per_hour(price(25_000));
        assert_eq!(all_in, Ok(charge.requester_pays));
    }

    #[test]
    fn a_seconds_rates_round_against_whom_they_are_shown_to() {
        // 0.25 % of 25,001 is 62.5.
        let (fees, price) = (fees(25, 25), price(25_001));
        assert_eq!(fees.rate(price).per_second().base(), 25_064);
        assert_eq!(fees.owner_rate(price).per_second().base(), 24_939);
    }

    #[test]
    fn the_smallest_charge_rounds_for_the_person_not_the_platform_twice() {
        let charge = fees(25, 25)
            .charge(price(1), Seconds::new(1))
            .expect("in range");
        assert_eq!(
            (
                charge.requester_pays.base(),
                charge.owner_gets.base(),
                charge.platform_gets.base()
            ),
            (2, 1, 1)
        );
    }

    #[test]
    fn a_price_of_zero_runs_to_the_limit() {
        assert_eq!(
            fees(25, 25).seconds_for(price(0), Amount::ZERO, Seconds::HOUR),
            Seconds::HOUR
        );
    }

    proptest! {
        /// Nothing is gained or lost by any split, and no part ever shrinks.
        #[test]
        fn any_split_sums_to_the_whole(
            base in 0i64..10_000_000, requester in 0u16..=10_000, owner in 0u16..=10_000,
            steps in prop::collection::vec(0u64..5_000, 1..40),
        ) {
            let (fees, price) = (fees(requester, owner), price(base));
            let (mut seconds, mut sum, mut before) = (0, Charge::default(), Charge::default());
            for step in steps {
                seconds += step;
                let now = fees.charge(price, Seconds::new(seconds)).expect("in range");
                let part = now.since(before).expect("never shrinks");
                prop_assert_eq!(part.requester_pays, part.owner_gets.checked_add(part.platform_gets).expect("in range"));
                sum = Charge {
                    requester_pays: sum.requester_pays.checked_add(part.requester_pays).expect("in range"),
                    owner_gets: sum.owner_gets.checked_add(part.owner_gets).expect("in range"),
                    platform_gets: sum.platform_gets.checked_add(part.platform_gets).expect("in range"),
                };
                before = now;
            }
            prop_assert_eq!(sum, fees.charge(price, Seconds::new(seconds)).expect("in range"));
        }

        #[test]
        fn funds_pay_for_exactly_so_many_seconds(base in 1i64..10_000_000, funds in 0i64..1_000_000_000_000) {
            let (fees, price) = (fees(25, 25), price(base));
            let funds = Amount::try_from_base(funds).expect("in range");
            let limit = Seconds::new(100_000);
            let seconds = fees.seconds_for(price, funds, limit);
            let cost = |seconds| fees.charge(price, Seconds::new(seconds)).expect("in range").requester_pays;
            prop_assert!(cost(seconds.get()) <= funds);
            prop_assert!(seconds == limit || cost(seconds.get() + 1) > funds);
        }
    }
}
