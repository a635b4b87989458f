//! Weekly hours as people write them: a line a window, `mon-fri 22:00-06:00`.

use protocol::rent::{HoursWindow, Schedule, Weekday};

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn day(text: &str) -> Option<usize> {
    let text = text.to_lowercase();
    NAMES
        .iter()
        .position(|name| text.len() >= 3 && text.starts_with(name))
}

/// Minutes since midnight.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':').unwrap_or((text, "0"));
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && all <= 1_440).then_some(all)
}

fn line(text: &str) -> Option<Vec<HoursWindow>> {
    let (days, times) = text.split_once(char::is_whitespace)?;
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (from, to) = times.trim().split_once('-')?;
    let (from, to) = (minute(from.trim())?, minute(to.trim())?);
    let (first, last) = (day(first)?, day(last)?);
    // `sat-mon` goes over the end of the week.
    let count = (last + 7 - first) % 7;
    let window = |n: usize| HoursWindow {
        day: Weekday::ALL[(first + n) % 7],
        from,
        to,
    };
    Some((0..=count).map(window).collect())
}

/// The windows of a text; none: always free.
///
/// # Errors
/// The line that cannot be read.
pub fn read_hours(text: &str) -> Result<Vec<HoursWindow>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut windows = Vec::new();
    for text in lines {
        windows.extend(line(text).ok_or_else(|| text.to_owned())?);
    }
    Ok(windows)
}

/// As [`read_hours`] reads them, a line a window.
pub fn show_hours(schedule: &Schedule) -> String {
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let line = |window: &HoursWindow| {
        let day = usize::try_from(window.day.index()).unwrap_or(0);
        format!("{} {}-{}", NAMES[day], clock(window.from), clock(window.to))
    };
    let lines: Vec<String> = schedule.windows.iter().map(line).collect();
    lines.join("\n")
}

/// Minutes ahead of UTC: `+1`, `-3:30`, `UTC+5:45`.
pub fn read_offset(text: &str) -> Option<i32> {
    let text = text
        .trim()
        .trim_start_matches(['U', 'T', 'C', 'u', 't', 'c']);
    let (sign, digits) = match text.strip_prefix(['-', '−']) {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return Some(0);
    }
    i32::try_from(minute(digits)?).ok().map(|all| sign * all)
}

pub fn show_offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let all = minutes.unsigned_abs();
    if all.is_multiple_of(60) {
        format!("{sign}{}", all / 60)
    } else {
        format!("{sign}{}:{:02}", all / 60, all % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_they_are_shown() {
        let windows = read_hours("mon-wed 22:00-06:00\n\n sat 0-24 ").expect("four windows");
        assert_eq!(windows.len(), 4);
        assert_eq!((windows[3].from, windows[3].to), (0, 1_440));
        let schedule = Schedule {
            utc_offset_minutes: 60,
            windows,
        };
        let shown = show_hours(&schedule);
        assert!(shown.starts_with("mon 22:00-06:00\ntue"), "{shown}");
        assert_eq!(read_hours(&shown), Ok(schedule.windows));
        assert_eq!(read_hours("fri-mon 8-9").expect("four").len(), 4);
        for wrong in ["mon", "mon 8", "xyz 8-9", "mon 8-25", "mon 8:60-9"] {
            assert_eq!(read_hours(wrong), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn a_clock_is_ahead_of_utc_or_behind() {
        for (text, minutes) in [("", 0), ("+1", 60), ("UTC-3:30", -210), ("5:45", 345)] {
            assert_eq!(read_offset(text), Some(minutes), "{text}");
            assert_eq!(read_offset(&show_offset(minutes)), Some(minutes));
        }
        assert_eq!(read_offset("Zurich"), None);
    }
}
