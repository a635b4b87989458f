//! The published formula of a machine's reputation (docs/reputation.md), in whole numbers: whoever has the days' facts
//! computes the same to the last hundredth.
//!
//! Points speak for a machine or against it. Each day all points shrink by the same factor, then the day's are added. The
//! reputation is the share of the points that speak for it, with a hundred points of a machine of which nothing is known.

use protocol::reputation::{DayFacts, ReputationInput, ReputationLine};

/// After so many days a point counts half.
pub const HALF_LIFE_DAYS: u32 = 30;
/// What is left of a point after a day, in millionths: 2^(-1/30).
const KEPT_PER_MILLION: u64 = 977_160;
const MILLION: u64 = 1_000_000;
/// Of a machine of which nothing is known: 60 points for it, 40 against it, in thousandths as all points here.
const PRIOR_FOR: u64 = 60_000;
const PRIOR: u64 = 100_000;
/// A reputation where nothing is known, in hundredths.
pub const START_HUNDREDTHS: u32 = 6_000;
const FULL: u64 = 10_000;
/// More than any day can bring, so that sums stay far from the end of a number.
const DAY_MAX: u64 = 10_000_000;

/// Points of a day, in thousandths.
const ONLINE_DAY: u64 = 6_000;
const OFFLINE_DAY: u64 = 6_000;
const DAY_SECONDS: u64 = 86_400;
const FINISHED: u64 = 1_000;
const DELIVERED_HOUR: u64 = 500;
const WORK_MAX: u64 = 30_000;
const CHALLENGE_PASSED: u64 = 500;
const CHALLENGES_MAX: u64 = 4_000;
const LOST: u64 = 8_000;
const DRAINED: u64 = 3_000;
const REFUSED: u64 = 1_000;
/// One machine that dies may take eight jobs along: it is one death.
const INTERRUPTED_MAX: u64 = 20_000;
const SPEC_MISSED: u64 = 20_000;
const CHALLENGE_FAILED: u64 = 15_000;
const DISPUTE_LOST: u64 = 20_000;
const GRAVE_MAX: u64 = 40_000;

/// What one day's facts add to an input, in thousandths of a point.
pub fn points(input: ReputationInput, day: &DayFacts) -> u64 {
    let part = |seconds: u64, whole: u64, unit: u64| {
        seconds.saturating_mul(whole).checked_div(unit).unwrap_or(0)
    };
    let each = |count: u64, one: u64, most: u64| count.saturating_mul(one).min(most);
    match input {
        ReputationInput::Online => {
            part(day.online_seconds.min(DAY_SECONDS), ONLINE_DAY, DAY_SECONDS)
        }
        ReputationInput::Offline => part(
            day.offline_seconds.min(DAY_SECONDS),
            OFFLINE_DAY,
            DAY_SECONDS,
        ),
        ReputationInput::Work => day
            .finished
            .saturating_mul(FINISHED)
            .saturating_add(part(day.delivered_seconds, DELIVERED_HOUR, 3_600))
            .min(WORK_MAX),
        ReputationInput::ChallengesPassed => {
            each(day.challenges_passed, CHALLENGE_PASSED, CHALLENGES_MAX)
        }
        ReputationInput::Interrupted => each(day.lost, LOST, INTERRUPTED_MAX)
            .saturating_add(each(day.drained, DRAINED, INTERRUPTED_MAX))
            .saturating_add(each(day.refused, REFUSED, INTERRUPTED_MAX))
            .min(INTERRUPTED_MAX),
        ReputationInput::SpecMissed => each(day.spec_missed, SPEC_MISSED, GRAVE_MAX),
        ReputationInput::ChallengesFailed => {
            each(day.challenges_failed, CHALLENGE_FAILED, GRAVE_MAX)
        }
        ReputationInput::DisputesLost => each(day.disputes_lost, DISPUTE_LOST, GRAVE_MAX),
    }
}

/// The points of each input after decay, in the order of [`ReputationInput::ALL`]. The empty one is a machine of which
/// nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reputation([u64; 8]);

impl Reputation {
    /// As [`Reputation::sums`] told them.
    pub const fn of(sums: [u64; 8]) -> Self {
        Self(sums)
    }

    pub const fn sums(self) -> [u64; 8] {
        self.0
    }

    /// A day later, after what was done on it.
    #[must_use]
    pub fn after(self, day: &DayFacts) -> Self {
        let mut sums = self.0;
        for (sum, input) in sums.iter_mut().zip(ReputationInput::ALL) {
            let kept = (*sum).saturating_mul(KEPT_PER_MILLION) / MILLION;
            *sum = kept.saturating_add(points(input, day).min(DAY_MAX));
        }
        Self(sums)
    }

    /// In hundredths, rounded down: 0 to 10,000.
    pub fn hundredths(self) -> u32 {
        let sum = |good: bool| {
            let own = ReputationInput::ALL.into_iter().zip(self.0);
            own.filter(|(input, _)| input.is_good() == good)
                .fold(0_u64, |sum, (_, points)| sum.saturating_add(points))
        };
        let (good, bad) = (sum(true), sum(false));
        let all = PRIOR.saturating_add(good).saturating_add(bad);
        let share = FULL
            .saturating_mul(PRIOR_FOR.saturating_add(good))
            .checked_div(all);
        share
            .and_then(|share| u32::try_from(share).ok())
            .unwrap_or(0)
    }

    /// As the market knows it, rounded down: 0 to 100.
    pub fn score(self) -> u32 {
        self.hundredths() / 100
    }

    /// What raised it and what lowered it: each input with what it makes of the whole.
    pub fn lines(self) -> Vec<ReputationLine> {
        let whole = i64::from(self.hundredths());
        let all = ReputationInput::ALL.into_iter().enumerate();
        all.map(|(n, input)| {
            let mut without = self;
            let points = without.0.get_mut(n).map_or(0, std::mem::take);
            ReputationLine {
                input,
                milli_points: points,
                effect_hundredths: whole.saturating_sub(i64::from(without.hundredths())),
            }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> impl Strategy<Value = DayFacts> {
        let seconds = 0_u64..=DAY_SECONDS;
        (
            (seconds.clone(), seconds, 0_u64..40, 0_u64..400_000),
            (0_u64..4, 0_u64..4, 0_u64..9, 0_u64..2),
            (0_u64..20, 0_u64..3, 0_u64..2),
        )
            .prop_map(
                |(
                    (online_seconds, offline_seconds, finished, delivered_seconds),
                    (lost, drained, refused, spec_missed),
                    (challenges_passed, challenges_failed, disputes_lost),
                )| DayFacts {
                    online_seconds,
                    offline_seconds,
                    finished,
                    delivered_seconds,
                    lost,
                    drained,
                    refused,
                    spec_missed,
                    challenges_passed,
                    challenges_failed,
                    disputes_lost,
                },
            )
    }

    fn history() -> impl Strategy<Value = Vec<DayFacts>> {
        prop::collection::vec(facts(), 0..90)
    }

    fn of(days: &[DayFacts]) -> Reputation {
        days.iter().fold(Reputation::default(), Reputation::after)
    }

    /// Each fact one higher, with whether that is good.
    fn more(day: DayFacts) -> [(DayFacts, bool); 11] {
        let up = |change: fn(&mut DayFacts), good| {
            let mut day = day;
            change(&mut day);
            (day, good)
        };
        [
            up(|day| day.online_seconds += 900, true),
            up(|day| day.finished += 1, true),
            up(|day| day.delivered_seconds += 900, true),
            up(|day| day.challenges_passed += 1, true),
            up(|day| day.offline_seconds += 900, false),
            up(|day| day.lost += 1, false),
            up(|day| day.drained += 1, false),
            up(|day| day.refused += 1, false),
            up(|day| day.spec_missed += 1, false),
            up(|day| day.challenges_failed += 1, false),
            up(|day| day.disputes_lost += 1, false),
        ]
    }

    proptest! {
        #[test]
        fn it_stays_between_nought_and_a_hundred(days in history()) {
            prop_assert!(of(&days).hundredths() <= 10_000);
            prop_assert!(of(&days).score() <= 100);
        }

        #[test]
        fn every_input_moves_it_one_way_alone(days in history(), at in any::<prop::sample::Index>()) {
            prop_assume!(!days.is_empty());
            let at = at.index(days.len());
            let before = of(&days).hundredths();
            for (changed, good) in more(days[at]) {
                let mut days = days.clone();
                days[at] = changed;
                let after = of(&days).hundredths();
                if good { prop_assert!(after >= before) } else { prop_assert!(after <= before) }
            }
        }

        /// The gravest single event moves it by less than 17 points, and a day on which nothing happens by less than one.
        #[test]
        fn nothing_makes_it_jump(days in history()) {
            let before = of(&days);
            let quiet = before.after(&DayFacts::default());
            prop_assert!(quiet.hundredths().abs_diff(before.hundredths()) < 100);
            for (event, _) in more(DayFacts::default()) {
                let after = before.after(&event).hundredths();
                prop_assert!(after.abs_diff(quiet.hundredths()) < 1_700, "{event:?}");
            }
        }

        #[test]
        fn within_a_day_the_order_does_not_count(days in history(), mut events in prop::collection::vec(0_usize..11, 0..30)) {
            let told = |events: &[usize]| events.iter().fold(DayFacts::default(), |day, event| more(day)[*event].0);
            let before = of(&days);
            let one = before.after(&told(&events));
            events.reverse();
            prop_assert_eq!(one, before.after(&told(&events)));
            events.sort_unstable();
            prop_assert_eq!(one, before.after(&told(&events)));
        }

        #[test]
        fn what_is_long_ago_is_forgotten(days in history()) {
            let quiet = vec![DayFacts::default(); 720];
            let long_after = quiet.iter().fold(of(&days), Reputation::after);
            prop_assert!(long_after.hundredths().abs_diff(START_HUNDREDTHS) <= 1);
        }

        #[test]
        fn effects_have_the_sign_of_their_input(days in history()) {
            for line in of(&days).lines() {
                if line.input.is_good() {
                    prop_assert!(line.effect_hundredths >= 0);
                } else {
                    prop_assert!(line.effect_hundredths <= 0);
                }
            }
        }
    }

    #[test]
    fn half_of_a_point_is_left_after_its_half_life() {
        let event = DayFacts {
            disputes_lost: 2,
            ..DayFacts::default()
        };
        let mut reputation = Reputation::default().after(&event);
        for _ in 0..HALF_LIFE_DAYS {
            reputation = reputation.after(&DayFacts::default());
        }
        // Each day rounds down to a thousandth of a point.
        assert!(reputation.sums()[7].abs_diff(20_000) <= 30);
    }

    /// The worked example of docs/reputation.md, to the hundredth.
    #[test]
    fn the_worked_example_is_as_printed() {
        let day = DayFacts {
            online_seconds: 86_400,
            finished: 2,
            delivered_seconds: 7_200,
            ..DayFacts::default()
        };
        let first = Reputation::default().after(&day);
        assert_eq!(first.sums(), [6_000, 3_000, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first.hundredths(), 6_330);
        let bad = DayFacts {
            online_seconds: 64_800,
            offline_seconds: 21_600,
            lost: 1,
            ..DayFacts::default()
        };
        let second = first.after(&bad);
        assert_eq!(second.sums(), [10_362, 2_931, 0, 1_500, 8_000, 0, 0, 0]);
        assert_eq!(second.hundredths(), 5_968);
        assert_eq!(second.score(), 59);
        assert_eq!(Reputation::default().hundredths(), START_HUNDREDTHS);
        let month = (0..30).fold(second, |reputation, _| {
            reputation.after(&DayFacts {
                online_seconds: 86_400,
                ..DayFacts::default()
            })
        });
        assert_eq!(month.hundredths(), 8_157);
    }
}
