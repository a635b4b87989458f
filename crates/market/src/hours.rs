//! When a device is free, by its owner's schedule: a function of the schedule and the time.

use kernel::{Seconds, Timestamp};
use protocol::rent::{HoursWindow, Schedule};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
/// The epoch was a Thursday.
const EPOCH_DAY: i64 = 3;

/// Where a moment lies in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hours {
    /// Free at any time.
    Always,
    /// Free now, and until then without a gap.
    Open { until: Timestamp },
    /// Not free before then.
    Closed { until: Timestamp },
}

impl Hours {
    /// Where `now` lies. Without a schedule, or with one that has no windows, a device is always free.
    pub fn at(schedule: Option<&Schedule>, now: Timestamp) -> Self {
        let Some(schedule) = schedule.filter(|schedule| !schedule.windows.is_empty()) else {
            return Self::Always;
        };
        let offset = i64::from(schedule.utc_offset_minutes).saturating_mul(MINUTE_MS);
        let local = now.millis().saturating_add(offset);
        let position = local
            .saturating_add(EPOCH_DAY.saturating_mul(DAY_MS))
            .rem_euclid(WEEK_MS);
        // A window that begins where another ends goes on in it.
        let mut free = 0;
        while free < WEEK_MS {
            let windows = schedule.windows.iter();
            let more = windows.map(|window| left(*window, position.saturating_add(free)));
            match more.max() {
                Some(more) if more > 0 => free = free.saturating_add(more),
                _ => break,
            }
        }
        if free >= WEEK_MS {
            Self::Always
        } else if free > 0 {
            Self::Open {
                until: now.plus_millis(free),
            }
        } else {
            let windows = schedule.windows.iter();
            let next =
                windows.map(|window| start(*window).saturating_sub(position).rem_euclid(WEEK_MS));
            Self::Closed {
                until: now.plus_millis(next.min().unwrap_or(WEEK_MS)),
            }
        }
    }

    /// How long a job may be that begins now; `None`: as long as it likes.
    pub fn left(self, now: Timestamp) -> Option<Seconds> {
        match self {
            Self::Always => None,
            Self::Open { until } => Some(until.seconds_since(now)),
            Self::Closed { .. } => Some(Seconds::ZERO),
        }
    }
}

/// Milliseconds since the week began.
fn start(window: HoursWindow) -> i64 {
    window
        .day
        .index()
        .saturating_mul(DAY_MS)
        .saturating_add(i64::from(window.from).saturating_mul(MINUTE_MS))
}

/// How much of a window is left at a place of the week; zero outside of it.
fn left(window: HoursWindow, position: i64) -> i64 {
    let minutes = i64::from(window.to).saturating_sub(i64::from(window.from));
    // From 22:00 to 06:00, and from 08:00 to 08:00, reach into the next day.
    let length = match minutes.saturating_mul(MINUTE_MS) {
        length if length > 0 => length,
        length => length.saturating_add(DAY_MS),
    };
    let gone = position.saturating_sub(start(window)).rem_euclid(WEEK_MS);
    length.saturating_sub(gone).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::rent::Weekday;

    fn window(day: Weekday, from: u32, to: u32) -> HoursWindow {
        HoursWindow { day, from, to }
    }

    fn schedule(offset: i32, windows: Vec<HoursWindow>) -> Schedule {
        Schedule {
            utc_offset_minutes: offset,
            windows,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn nights_and_weekends_of_an_owner_in_zurich() {
        // Wednesday evening to Thursday morning, and the weekend in two windows that touch.
        let plan = schedule(
            60,
            vec![
                window(Weekday::Wed, 22 * 60, 6 * 60),
                window(Weekday::Sat, 0, 1_440),
                window(Weekday::Sun, 0, 0),
            ],
        );
        let hours = |text| Hours::at(Some(&plan), at(text));
        let open = |text| Hours::Open { until: at(text) };
        let closed = |text| Hours::Closed { until: at(text) };
        // 2026-11-25 is a Wednesday; 21:00 UTC is 22:00 there.
        assert_eq!(
            hours("2026-11-25T20:59:59Z"),
            closed("2026-11-25T21:00:00Z")
        );
        assert_eq!(hours("2026-11-25T21:00:00Z"), open("2026-11-26T05:00:00Z"));
        assert_eq!(hours("2026-11-26T04:59:59Z"), open("2026-11-26T05:00:00Z"));
        assert_eq!(
            hours("2026-11-26T05:00:00Z"),
            closed("2026-11-27T23:00:00Z")
        );
        assert_eq!(hours("2026-11-28T12:00:00Z"), open("2026-11-29T23:00:00Z"));
        assert_eq!(
            hours("2026-11-29T23:00:00Z"),
            closed("2026-12-02T21:00:00Z")
        );
        assert_eq!(Hours::at(None, at("2026-11-25T20:59:59Z")), Hours::Always);
        let always = schedule(-300, Weekday::ALL.map(|day| window(day, 480, 480)).to_vec());
        assert_eq!(
            Hours::at(Some(&always), at("2026-11-25T20:59:59Z")),
            Hours::Always
        );
    }

    /// Whether a minute is in a window, told by the calendar's day names alone.
    fn covers(plan: &Schedule, minute: i64) -> bool {
        let local = minute + i64::from(plan.utc_offset_minutes);
        let (day, of_day) = (
            (local.div_euclid(1_440) + 3).rem_euclid(7),
            local.rem_euclid(1_440),
        );
        plan.windows.iter().any(|window| {
            let (from, to) = (i64::from(window.from), i64::from(window.to));
            let own = day == window.day.index();
            let next = day == (window.day.index() + 1) % 7;
            if from < to {
                own && (from..to).contains(&of_day)
            } else {
                own && of_day >= from || next && of_day < to
            }
        })
    }

    proptest! {
        /// Beside a walk over the minutes.
        #[test]
        fn hours_are_what_a_walk_over_the_minutes_finds(
            offset in -840_i32..=840,
            windows in prop::collection::vec((0_usize..7, 0_u32..1_440, 0_u32..=1_440), 1..6),
            minute in 29_000_000_i64..29_100_000,
        ) {
            let windows = windows.iter().map(|(day, from, to)| window(Weekday::ALL[*day], *from, *to));
            let plan = schedule(offset, windows.collect());
            let free = covers(&plan, minute);
            let change = (minute..=minute + 7 * 1_440).find(|at| covers(&plan, *at) != free);
            let time = |minute: i64| Timestamp::from_millis(minute * MINUTE_MS);
            let expected = match change {
                None => Hours::Always,
                Some(at) if free => Hours::Open { until: time(at) },
                Some(at) => Hours::Closed { until: time(at) },
            };
            prop_assert_eq!(Hours::at(Some(&plan), time(minute)), expected);
        }
    }
}
