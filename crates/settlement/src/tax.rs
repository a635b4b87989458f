//! What was paid out, with the rate at that time, as a table for a tax office.
//!
//! Nothing in it is written by people, so no cell can be a formula. Values are rounded to whole cents, half up; the amount
//! and the rate beside them are exact.

use kernel::{Amount, BASE_UNITS_PER_IO, PayoutId, Timestamp};

use crate::digest::{Address, Digest};

/// Millionths of a currency's unit in a cent.
const MILLIONTHS_PER_CENT: i128 = 10_000;
const MILLIONTHS: i64 = 1_000_000;

/// What one IO was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// ISO 4217, three capital letters.
    currency: [u8; 3],
    /// Millionths of the currency's unit for one IO.
    millionths: i64,
}

/// Why a rate is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is a currency of three capital letters and millionths of it for one IO, zero or more"
)]
pub struct NoRate;

impl Rate {
    /// # Errors
    /// [`NoRate`].
    pub fn try_new(currency: &str, millionths: i64) -> Result<Self, NoRate> {
        let letters: [u8; 3] = currency.as_bytes().try_into().map_err(|_| NoRate)?;
        if !letters.iter().all(u8::is_ascii_uppercase) || millionths < 0 {
            return Err(NoRate);
        }
        Ok(Self {
            currency: letters,
            millionths,
        })
    }

    pub fn currency(&self) -> String {
        self.currency.iter().copied().map(char::from).collect()
    }

    /// Of the currency's unit, for one IO.
    pub const fn millionths(&self) -> i64 {
        self.millionths
    }

    /// `0.25`, all its digits.
    pub fn to_decimal(&self) -> String {
        let whole = self.millionths.div_euclid(MILLIONTHS);
        let fraction = format!("{:06}", self.millionths.rem_euclid(MILLIONTHS));
        let fraction = fraction.trim_end_matches('0');
        format!("{whole}.{fraction:0<2}")
    }

    /// What an amount was worth in whole cents, half a cent up: `12.34`.
    pub fn value_of(&self, amount: Amount) -> String {
        let scale = i128::from(BASE_UNITS_PER_IO).saturating_mul(MILLIONTHS_PER_CENT);
        let exact = i128::from(amount.base()).saturating_mul(i128::from(self.millionths));
        let cents = exact.saturating_add(scale.div_euclid(2)).div_euclid(scale);
        format!("{}.{:02}", cents.div_euclid(100), cents.rem_euclid(100))
    }
}

/// One payout that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxLine {
    pub paid_at: Timestamp,
    pub payout: PayoutId,
    pub amount: Amount,
    /// At the time of pay; absent where none was known, which is said by empty cells and never by a guess.
    pub rate: Option<Rate>,
    pub payee: Address,
    /// Absent when an admin paid it by hand: what they wrote of it is not repeated here.
    pub transaction: Option<Digest>,
}

const HEADER: &str = "paid_at,payout,amount_io,rate,currency,value,address,transaction";

/// The table, in the order of payment; lines end as RFC 4180 wants.
pub fn csv(lines: &[TaxLine]) -> String {
    let mut order: Vec<&TaxLine> = lines.iter().collect();
    order.sort_by_key(|line| (line.paid_at, line.payout));
    let mut text = format!("{HEADER}\r\n");
    for line in order {
        let [rate, currency, value] = line.rate.map_or_else(Default::default, |rate| {
            [
                rate.to_decimal(),
                rate.currency(),
                rate.value_of(line.amount),
            ]
        });
        let cells = [
            line.paid_at.to_string(),
            line.payout.to_string(),
            line.amount.to_io(),
            rate,
            currency,
            value,
            line.payee.to_string(),
            line.transaction
                .map_or_else(String::new, |hash| hash.to_string()),
        ];
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(millionths: i64) -> Rate {
        Rate::try_new("USD", millionths).expect("a rate")
    }

    fn amount(base: i64) -> Amount {
        Amount::try_from_base(base).expect("in range")
    }

    #[test]
    fn values_are_whole_cents_half_up() {
        assert_eq!(rate(250_000).to_decimal(), "0.25");
        assert_eq!(rate(1_234_567).to_decimal(), "1.234567");
        assert_eq!(rate(3_000_000).to_decimal(), "3.00");
        // 1 IO at 0.005 is half a cent.
        assert_eq!(rate(5_000).value_of(amount(100_000_000)), "0.01");
        assert_eq!(rate(4_999).value_of(amount(100_000_000)), "0.00");
        assert_eq!(rate(250_000).value_of(amount(1_250_000_000)), "3.13");
        assert_eq!(rate(0).value_of(Amount::MAX), "0.00");
        assert_eq!(rate(1_000_000).value_of(Amount::MAX), "800000000.00");
    }

    #[test]
    fn what_is_no_rate() {
        for (currency, millionths) in [
            ("usd", 1),
            ("US", 1),
            ("USDT", 1),
            ("", 1),
            ("USD", -1),
            ("=1+", 1),
        ] {
            assert_eq!(
                Rate::try_new(currency, millionths),
                Err(NoRate),
                "{currency}"
            );
        }
    }

    #[test]
    fn a_line_for_each_payout_in_the_order_of_payment() {
        let line = |at: i64, rate| TaxLine {
            paid_at: Timestamp::from_millis(at),
            payout: PayoutId::from_bytes([1; 16]),
            amount: amount(150_000_000),
            rate,
            payee: Address::from_bytes([2; 32]),
            transaction: Some(Digest::ZERO),
        };
        let (payee, transaction) = (Address::from_bytes([2; 32]), Digest::ZERO);
        let payout = PayoutId::from_bytes([1; 16]);
        assert_eq!(
            csv(&[line(1_000, None), line(0, Some(rate(2_000_000)))]),
            format!(
                "{HEADER}\r\n\
                 {},{payout},1.50,2.00,USD,3.00,{payee},{transaction}\r\n\
                 {},{payout},1.50,,,,{payee},{transaction}\r\n",
                Timestamp::from_millis(0),
                Timestamp::from_millis(1_000),
            )
        );
    }

    proptest! {
        #[test]
        fn a_value_is_less_than_a_cent_from_the_exact_one(base in 0..=Amount::MAX.base(), millionths in 0..=i64::MAX) {
            let value = rate(millionths).value_of(amount(base));
            let cents: i128 = value.replace('.', "").parse().expect("digits");
            let exact = i128::from(base) * i128::from(millionths);
            let scale = i128::from(BASE_UNITS_PER_IO) * MILLIONTHS_PER_CENT;
            prop_assert!((cents * scale - exact).abs() * 2 <= scale);
        }
    }
}
