//! How numbers are written: money, time, sizes. Short enough for a phone, never more exact than the reader needs.

use kernel::{Amount, PricePerSecond, Seconds, Timestamp};

use crate::i18n::{Words, fill};

/// Which way money is rounded.
#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// Base units in 0.0001 IO.
const STEP: i64 = 10_000;

/// The one rule of rounding, for all pages: four decimals; below 0.0001 all eight, because zero would be untrue. What a
/// person is to pay is rounded up: who brings what they read, or asks the market for it, has enough. What a person has,
/// has been charged, or gets is rounded down: no page promises more than comes.
fn rounded(amount: Amount, round: Round) -> Amount {
    let base = amount.base();
    let shown = match round {
        _ if base < STEP => base,
        Round::Up => base.saturating_add(STEP - 1) / STEP * STEP,
        Round::Down => base / STEP * STEP,
    };
    Amount::try_from_base(shown).unwrap_or(amount)
}

/// `12.3456 IO` that somebody has, was charged, or gets: rounded down.
pub fn io(amount: Amount) -> String {
    format!("{} IO", io_number(amount))
}

/// The number of [`io`] without its unit.
pub fn io_number(amount: Amount) -> String {
    number_of(rounded(amount, Round::Down))
}

/// Base units as a number of IO, exact. A book may stand below zero where it mirrors the outside.
#[cfg(feature = "ssr")]
pub fn signed(base: i64) -> String {
    let amount = Amount::try_from_base(base.saturating_abs());
    let amount = amount.as_ref().map(|amount| amount.to_io());
    let sign = if base < 0 { "−" } else { "" };
    format!("{sign}{}", amount.unwrap_or_default())
}

/// `12.3457 IO` that somebody is to pay: rounded up.
pub fn io_to_pay(amount: Amount) -> String {
    format!("{} IO", price_number(amount))
}

/// A decimal number with two decimals at least and no tail of zeros.
fn number_of(amount: Amount) -> String {
    let short = amount.to_io();
    match short.split_once('.') {
        Some((whole, fraction)) => {
            format!("{}.{:0<2}", grouped(whole), fraction.trim_end_matches('0'))
        }
        None => grouped(&short),
    }
}

/// Digits in threes, by thin spaces that no language reads as a decimal sign.
fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + 4);
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(index);
        if index > 0 && left.is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `0.90 IO/h`.
pub fn per_hour(price: PricePerSecond, t: &Words) -> String {
    per_hour_amount(price.per_hour().unwrap_or(Amount::MAX), t)
}

/// An hour's price that is already summed, rounded up: who asks the market for the price that they read finds the offer.
pub fn per_hour_amount(amount: Amount, t: &Words) -> String {
    format!("{} {}", price_number(amount), t.unit_price())
}

/// The number of [`per_hour_amount`] without its unit.
pub fn price_number(amount: Amount) -> String {
    number_of(rounded(amount, Round::Up))
}

/// An owner's price as the owner would write it: a price is kept as whole units a second, and of the numbers of IO an hour
/// that are kept as this price, this is the shortest. 0.4 comes back as 0.40, not as 0.399996.
#[cfg(feature = "ssr")]
pub fn owner_number(price: PricePerSecond) -> String {
    let exact = price.per_hour().unwrap_or(Amount::MAX);
    let up = |step: i64| {
        let up = exact.base().saturating_add(step - 1) / step * step;
        Amount::try_from_base(up).ok()
    };
    let mut shorter = [1_000_000, 100_000, STEP, 1_000].into_iter().filter_map(up);
    let same = |amount: &Amount| PricePerSecond::from_per_hour(*amount) == Ok(price);
    number_of(shorter.find(same).unwrap_or(exact))
}

/// `0.40 IO/h` that an owner asks, before the fee.
#[cfg(feature = "ssr")]
pub fn owner_per_hour(price: PricePerSecond, t: &Words) -> String {
    format!("{} {}", owner_number(price), t.unit_price())
}

/// The two largest units: `3 d 4 h`, `12 min 5 s`, `45 s`.
pub fn duration(seconds: Seconds, t: &Words) -> String {
    let total = seconds.get();
    let units = [
        (86_400, t.unit_d()),
        (3_600, t.unit_h()),
        (60, t.unit_min()),
        (1, t.unit_s()),
    ];
    let mut parts = Vec::with_capacity(2);
    let mut rest = total;
    for (size, unit) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count}\u{a0}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        format!("0\u{a0}{}", t.unit_s())
    } else {
        parts.join(" ")
    }
}

/// A size in bytes, in steps of 1024.
pub fn bytes(bytes: f64) -> String {
    let mut value = bytes.max(0.0);
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{}\u{a0}{unit}", number(value))
}

/// A size in MiB.
pub fn mib(mib: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    bytes(mib as f64 * 1_048_576.0)
}

/// At most four digits that mean something.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    let text = if size >= 1e6 || (size > 0.0 && size < 1e-3) {
        return format!("{value:.2e}");
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    };
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

/// `2026-11-22 21:44:41 UTC`.
pub fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => text,
    }
}

/// `21:44:41`, of milliseconds since the epoch.
pub fn time_of_day(millis: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of this century fit"
    )]
    let at = Timestamp::from_millis(millis as i64);
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// The end of an id, enough to tell it from its neighbours: `job_…9f3a2c`.
pub fn short_id(id: &str) -> String {
    let prefix = id.split('_').next().unwrap_or_default();
    let tail = id.get(id.len().saturating_sub(6)..).unwrap_or(id);
    format!("{prefix}_…{tail}")
}

/// Begin and end of a hash, enough to compare it with another by eye: `3f9a0c1d…e2b47a`.
#[cfg(feature = "ssr")]
pub fn short_hash(hash: &str) -> String {
    match (hash.get(..8), hash.get(hash.len().saturating_sub(6)..)) {
        (Some(begin), Some(end)) if hash.len() > 16 => format!("{begin}…{end}"),
        _ => hash.to_owned(),
    }
}

/// `{}` of `{}`.
pub fn count_of(text: &str, count: u32, of: u32) -> String {
    fill(text, &[&count.to_string(), &of.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Locale;

    fn amount(base: i64) -> Amount {
        Amount::try_from_base(base).expect("valid")
    }

    #[test]
    #[cfg(feature = "ssr")]
    fn a_book_below_zero_says_so() {
        assert_eq!(signed(-150_000_000), "−1.50");
        assert_eq!(signed(0), "0.00");
    }

    #[test]
    fn money_is_short_and_never_zero_by_rounding() {
        assert_eq!(io(amount(90_000_000)), "0.90 IO");
        assert_eq!(io(amount(1_234_567_890)), "12.3456 IO");
        assert_eq!(io(amount(1)), "0.00000001 IO");
        assert_eq!(io(amount(0)), "0.00 IO");
        assert_eq!(io(Amount::MAX), "800\u{202f}000\u{202f}000.00 IO");
        assert_eq!(io(amount(500_000_000_000)), "5000.00 IO");
    }

    #[test]
    fn a_price_that_is_read_can_be_asked_for() {
        let en = Locale::En.words();
        assert_eq!(per_hour_amount(amount(90_225_000), en), "0.9023 IO/h");
        assert_eq!(per_hour_amount(amount(90_000_000), en), "0.90 IO/h");
        assert_eq!(price_number(amount(3_609)), "0.00003609");
        for base in [
            1,
            9_999,
            10_000,
            10_001,
            90_225_000,
            123_456_789,
            5_000_000_001,
        ] {
            let shown = price_number(amount(base)).replace('\u{202f}', "");
            let asked = Amount::parse_io(&shown).expect("a number");
            assert!(asked >= amount(base), "{base} is shown as {shown}");
        }
    }

    #[test]
    fn what_is_to_pay_is_rounded_up_and_what_one_gets_down() {
        assert_eq!(io_to_pay(amount(40_090_001)), "0.401 IO");
        assert_eq!(io(amount(40_099_999)), "0.4009 IO");
        // As it stands between the digits there is nothing to round.
        assert_eq!(io_to_pay(amount(40_090_000)), io(amount(40_090_000)));
        for base in [1, 9_999, 10_001, 40_090_001] {
            let read =
                |text: String| Amount::parse_io(text.trim_end_matches(" IO")).expect("a number");
            assert!(read(io_to_pay(amount(base))) >= amount(base));
            assert!(read(io(amount(base))) <= amount(base));
        }
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn an_owner_reads_the_price_that_was_typed() {
        for typed in [
            "0.40",
            "0.50",
            "0.4009",
            "1.00",
            "12.3456",
            "0.01",
            "0.00",
            "0.00003600",
        ] {
            let hour = Amount::parse_io(typed).expect("a number");
            let price = PricePerSecond::from_per_hour(hour).expect("a price");
            let shown = owner_number(price);
            assert!(shown.len() <= typed.len(), "{typed} is shown as {shown}");
            let again = PricePerSecond::from_per_hour(Amount::parse_io(&shown).expect("a number"));
            assert_eq!(again, Ok(price), "{typed} is shown as {shown}");
        }
        let price = |typed| {
            let hour = Amount::parse_io(typed).expect("a number");
            owner_number(PricePerSecond::from_per_hour(hour).expect("a price"))
        };
        assert_eq!(price("0.4"), "0.40");
        assert_eq!(price("0.5"), "0.50");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let en = Locale::En.words();
        let text = |s| duration(Seconds::new(s), en).replace('\u{a0}', " ");
        assert_eq!(text(0), "0 s");
        assert_eq!(text(59), "59 s");
        assert_eq!(text(725), "12 min 5 s");
        assert_eq!(text(3_600), "1 h");
        assert_eq!(text(273_600), "3 d 4 h");
        assert_eq!(text(86_405), "1 d");
    }

    #[test]
    fn sizes_and_numbers_keep_what_matters() {
        assert_eq!(mib(512).replace('\u{a0}', " "), "512 MiB");
        assert_eq!(mib(24_576).replace('\u{a0}', " "), "24 GiB");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(0.98765), "0.988");
        assert_eq!(number(97.25), "97.2");
        assert_eq!(number(1234.4), "1234");
        assert_eq!(number(2.5e-5), "2.50e-5");
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn moments_are_utc() {
        assert_eq!(
            moment(Timestamp::from_millis(1_795_383_881_007)),
            "2026-11-22 21:44:41 UTC"
        );
        assert_eq!(time_of_day(1_795_383_881_007.0), "21:44:41");
        assert_eq!(short_id("job_0198aabbccddeeff9f3a2c"), "job_…9f3a2c");
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_hash_is_told_by_both_its_ends() {
        let hash = "3f9a0c1d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e2b47a";
        assert_eq!(short_hash(hash), "3f9a0c1d…e2b47a");
        assert_eq!(short_hash("3f9a0c1d5e6f7081"), "3f9a0c1d5e6f7081");
        assert_eq!(short_hash("中文中文中文"), "中文中文中文");
    }
}
