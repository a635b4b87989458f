//! Values that are numbers, each as the range of what an offer may have so that it is "equal".
//!
//! `vram=24` is a range because cards sold as 24 GB report 24,564 MiB; `cuda=12` because it names every 12.x. The operators
//! then need no cases of their own: `>=` begins where the range begins, `>` behind its end.

use kernel::{Amount, PricePerSecond};

use super::choices::choice;
use super::{Fault, Prices};
use crate::filter::{Number, base_units};
use crate::offer::Version;

/// Both bounds belong to it. Of a price that no offer can have exactly, the first is one above the second.
pub(super) type Range = (u64, u64);

const GIB: u64 = 1_024;
const TIB: u64 = 1_024 * GIB;
/// Ten years.
const LONGEST: u64 = 3_650 * 86_400;

/// The unit of a number, in the field's own.
type Unit = (&'static str, u64);

const SIZES: [Unit; 10] = [
    ("", GIB),
    ("g", GIB),
    ("gb", GIB),
    ("gib", GIB),
    ("m", 1),
    ("mb", 1),
    ("mib", 1),
    ("t", TIB),
    ("tb", TIB),
    ("tib", TIB),
];
/// In kbit/s.
const RATES: [Unit; 10] = [
    ("", 1_000),
    ("mbps", 1_000),
    ("mbit", 1_000),
    ("mbit/s", 1_000),
    ("gbps", 1_000_000),
    ("gbit", 1_000_000),
    ("gbit/s", 1_000_000),
    ("kbps", 1),
    ("kbit", 1),
    ("kbit/s", 1),
];
const POWERS: [Unit; 3] = [("", 1), ("w", 1), ("kw", 1_000)];
/// The longest first: they are written in this order, `1d12h`.
const TIMES: [(&str, u64); 5] = [
    ("w week weeks", 604_800),
    ("d day days", 86_400),
    ("h hr hrs hour hours", 3_600),
    ("m min mins minute minutes", 60),
    ("s sec secs second seconds", 1),
];

/// What a number field's value stands for.
pub(super) fn range(number: Number, text: &str, prices: &Prices<'_>) -> Result<Range, Fault> {
    let name = number.name();
    match number {
        Number::Vram => size(name, text, 4 * TIB),
        Number::Memory => size(name, text, 64 * TIB),
        Number::Disk => size(name, text, 1_024 * TIB),
        Number::Cards => whole(name, text, 0, 1_024).map(exactly),
        Number::Cpus => whole(name, text, 0, 65_536).map(exactly),
        Number::Reputation => {
            let bare = text.strip_suffix('%').unwrap_or(text);
            whole(name, bare, 0, 100).map(exactly)
        }
        Number::Verified => level(text).map(exactly),
        Number::Driver | Number::Cuda => version(text),
        Number::Up | Number::Down => rate(name, text).map(exactly),
        Number::Watts => watts(text).map(exactly),
        Number::Price => price(text, prices),
        Number::MinDuration | Number::MaxDuration => seconds(text).map(exactly),
    }
}

const fn exactly(value: u64) -> Range {
    (value, value)
}

/// A whole number without a unit.
pub(super) fn whole(name: &str, text: &str, least: u64, most: u64) -> Result<u64, Fault> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(format!(
            "`{name}` takes a whole number from {least} to {most}, not `{text}`"
        )));
    }
    text.parse()
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| {
            Fault::new(format!(
                "`{name}` goes from {least} to {most}; write a number between"
            ))
        })
}

fn level(text: &str) -> Result<u64, Fault> {
    const LEVELS: [(&str, u64); 4] = [
        ("claimed", 0),
        ("seen", 1),
        ("challenged", 2),
        ("proven", 3),
    ];
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return whole("verified", text, 0, 3);
    }
    choice("verified", text, &LEVELS)
}

/// MiB. In larger units, from one GiB on, a card's own rounding counts as the same: half a GiB on both sides.
fn size(name: &str, text: &str, most: u64) -> Result<Range, Fault> {
    let (number, unit) = split(text);
    let mib = scaled(
        text,
        &SIZES,
        "write MiB, GiB or TiB (without a unit it is GiB)",
    )?;
    if mib > most {
        let fault = Fault::new(format!(
            "`{name}` goes from 0 to {} GiB; write a smaller number",
            most / GIB
        ));
        let meant = unit.is_empty() && mib / GIB <= most;
        return Err(if meant {
            fault.hint(format!("did you mean `{number}MiB`?"))
        } else {
            fault
        });
    }
    // Half a GiB around less than one would reach down to nothing.
    if unit.starts_with('m') || mib < GIB {
        return Ok(exactly(mib));
    }
    Ok((mib.saturating_sub(GIB / 2), mib.saturating_add(GIB / 2 - 1)))
}

/// Mbit/s.
fn rate(name: &str, text: &str) -> Result<u64, Fault> {
    const MOST: u64 = 10_000_000;
    let kbit = scaled(
        text,
        &RATES,
        "write Mbit/s, Gbit/s or kbit/s (without a unit it is Mbit/s)",
    )?;
    let mbit = kbit.saturating_add(500) / 1_000;
    if mbit > MOST {
        return Err(Fault::new(format!(
            "`{name}` goes from 0 to {MOST} Mbit/s; write a smaller number"
        )));
    }
    Ok(mbit)
}

fn watts(text: &str) -> Result<u64, Fault> {
    const MOST: u64 = 100_000;
    scaled(text, &POWERS, "write W or kW (without a unit it is W)").and_then(|watts| {
        let fault = || {
            Fault::new(format!(
                "`watts` goes from 0 to {MOST} W; write a smaller number"
            ))
        };
        Some(watts).filter(|watts| *watts <= MOST).ok_or_else(fault)
    })
}

fn version(text: &str) -> Result<Range, Fault> {
    let fault = || {
        Fault::new(format!(
            "`{text}` is no version; write one such as 12.4 (two numbers with a point between, the second below 1000)"
        ))
    };
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(fault());
    }
    let first = u64::from(Version::parse(text).ok_or_else(fault)?.get());
    // Minor numbers end at 999; see `Version`.
    let others = if text.contains('.') { 0 } else { 999 };
    Ok((first, first.saturating_add(others)))
}

/// Owners' prices whose all-in hour is this one. A price of a day is seldom a whole number of base units an hour: what
/// is at most that stays within the number below it, what is under it within the one below the number above.
fn price(text: &str, prices: &Prices<'_>) -> Result<Range, Fault> {
    let (down, up) = per_hour(text)?;
    let at_most = |hour: Amount| base_units((prices.at_most)(hour));
    let under = Amount::try_from_base(1).and_then(|unit| up.checked_sub(unit));
    let first = under.map_or(0, |hour| at_most(hour).saturating_add(1));
    Ok((first, at_most(down)))
}

/// IO an hour, rounded down and rounded up.
fn per_hour(text: &str) -> Result<(Amount, Amount), Fault> {
    const HOURS: i64 = 24;
    let (number, unit) = split(text);
    if text.contains(['$', '€', '£', '¥'])
        || ["usd", "eur", "chf", "gbp"]
            .iter()
            .any(|money| unit.starts_with(money))
    {
        return Err(Fault::new(
            "prices are in IO an hour, not in another money; write `price<=0.9`",
        ));
    }
    let wrong = |reason: String| Fault::new(format!("{reason}, as in `price<=0.9/h`"));
    let amount = Amount::parse_io(&number).map_err(|error| wrong(error.to_string()))?;
    let both = |amount: Amount| (amount, amount);
    match unit
        .strip_prefix("io")
        .unwrap_or(&unit)
        .replace("per", "/")
        .as_str()
    {
        "" | "/h" | "/hr" | "/hour" => Ok(both(amount)),
        "/s" | "/sec" | "/second" => {
            let hour = PricePerSecond::from_amount(amount).per_hour();
            hour.map(both).map_err(|error| wrong(error.to_string()))
        }
        "/d" | "/day" => {
            let part = |base: i64| {
                Amount::try_from_base(base / HOURS).map_err(|error| wrong(error.to_string()))
            };
            Ok((
                part(amount.base())?,
                part(amount.base().saturating_add(HOURS - 1))?,
            ))
        }
        _ => Err(wrong(format!(
            "`{unit}` is no unit of a price; write IO/h, IO/s or IO/d"
        ))),
    }
}

/// A length of time such as `90m` or `1h30m`, its parts from the longest unit to the shortest.
pub(super) fn seconds(text: &str) -> Result<u64, Fault> {
    let wrong = || {
        Fault::new(format!(
            "`{text}` is no length of time; write one such as 90m, 6h, 2d or 1h30m"
        ))
    };
    let (mut rest, mut units, mut total) = (text.trim(), TIMES.as_slice(), 0_u64);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(end_of(rest, |c| c.is_ascii_digit() || c == '.'));
        let behind = behind.trim_start();
        let (unit, behind) = behind.split_at(end_of(behind, char::is_alphabetic));
        if number == text.trim() {
            return Err(wrong().hint(format!("a unit is missing: did you mean `{number}h`?")));
        }
        if number.is_empty() {
            return Err(wrong());
        }
        let unit = unit.to_lowercase();
        let place = units
            .iter()
            .position(|(names, _)| names.split(' ').any(|name| name == unit));
        let ((_, length), shorter) = place
            .and_then(|place| units.get(place..)?.split_first())
            .ok_or_else(wrong)?;
        total = total.saturating_add(times(number, *length)?);
        (rest, units) = (behind.trim_start(), shorter);
    }
    if text.trim().is_empty() {
        return Err(wrong());
    }
    if total > LONGEST {
        return Err(Fault::new(
            "a length of time goes from 0s to 3650d; write a shorter one",
        ));
    }
    Ok(total)
}

/// A number and its unit in the field's own unit, rounded to a whole one.
fn scaled(text: &str, units: &[Unit], known: &str) -> Result<u64, Fault> {
    let (number, unit) = split(text);
    if number.is_empty() {
        return Err(Fault::new(format!(
            "a number is expected here, such as 24 or 1.5, not `{text}`"
        )));
    }
    let (_, factor) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| Fault::new(format!("`{unit}` is no unit here; {known}")))?;
    times(&number, *factor)
}

/// The digits in front, and what follows in lower case without blanks.
fn split(text: &str) -> (String, String) {
    let text = text.trim();
    let (number, unit) = text.split_at(end_of(text, |c| c.is_ascii_digit() || c == '.'));
    let unit: String = unit.chars().filter(|c| !c.is_whitespace()).collect();
    (number.to_owned(), unit.to_lowercase())
}

fn end_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// A decimal number times a factor, rounded to the nearest whole number. What is too large to count becomes the largest,
/// which no field takes.
fn times(number: &str, factor: u64) -> Result<u64, Fault> {
    const DECIMALS: usize = 9;
    const ONE: u128 = 1_000_000_000;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(format!(
            "`{number}` is no number; write one such as 24 or 1.5"
        )));
    }
    if fraction.len() > DECIMALS {
        return Err(Fault::new(format!(
            "`{number}` has more than {DECIMALS} decimals; write fewer"
        )));
    }
    let parts = format!("{whole}{fraction:0<DECIMALS$}")
        .parse::<u128>()
        .unwrap_or(u128::MAX);
    let rounded = parts
        .saturating_mul(u128::from(factor))
        .saturating_add(ONE / 2)
        / ONE;
    Ok(u64::try_from(rounded).unwrap_or(u64::MAX))
}
