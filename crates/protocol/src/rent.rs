//! How a device is rented: the kinds of rent, what an owner sets for each, and when the device is free.

use kernel::{Amount, PricePerSecond, Seconds};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::problem::FieldProblem;
use crate::spec::DURATION_MAX;

/// How a slot is rented.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Until it ends, at the owner's price.
    #[default]
    OnDemand,
    /// Cheaper, and taken back with a notice when somebody pays the full price.
    Spot,
    /// For a term, at a fixed price.
    Reserved,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::OnDemand, Self::Spot, Self::Reserved];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::Reserved => "reserved",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What an owner has set for a device beyond its price and its pause.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct DeviceRules {
    /// Jobs with a shorter time limit are not taken.
    pub min_duration: Seconds,
    /// Jobs with a longer one are not.
    pub max_duration: Option<Seconds>,
    /// What a spot job pays, or the on-demand price where that is lower. Absent: not offered as spot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<PricePerSecond>,
    /// Absent: not offered for a term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<ReservedRule>,
    /// Absent: the price stays as it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<AutoRule>,
    /// Absent: free at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// A device for a term at a fixed price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReservedRule {
    pub price: PricePerSecond,
    /// The time limit of a reserved job is at least this.
    pub min_term: Seconds,
}

/// The on-demand price follows the price index of the model. A lease that runs keeps its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AutoRule {
    /// Of the index: 95 asks five percent less.
    pub percent: u32,
    pub floor: PricePerSecond,
    pub ceiling: PricePerSecond,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    pub const ALL: [Self; 7] = [
        Self::Mon,
        Self::Tue,
        Self::Wed,
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
    ];

    /// Days since Monday.
    pub const fn index(self) -> i64 {
        match self {
            Self::Mon => 0,
            Self::Tue => 1,
            Self::Wed => 2,
            Self::Thu => 3,
            Self::Fri => 4,
            Self::Sat => 5,
            Self::Sun => 6,
        }
    }
}

/// A part of the week. Where `to` is not after `from` it ends on the next day, 24 hours at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HoursWindow {
    pub day: Weekday,
    /// Minutes since midnight, 0 to 1439.
    pub from: u32,
    /// Minutes since midnight, 0 to 1440.
    pub to: u32,
}

/// When a device is free, week by week. No time zone but a distance to UTC: it does not know summer time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Minutes that the owner's clock is ahead of UTC: 120 is UTC+2.
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// One to 42.
    pub windows: Vec<HoursWindow>,
}

pub const WINDOWS_MAX: usize = 42;
const DAY_MINUTES: u32 = 1_440;
const OFFSET_MAX: i32 = 14 * 60;
const PERCENT: std::ops::RangeInclusive<u32> = 10..=300;

/// What becomes of a field: it stays (where it is left out), is taken away (`null`), or is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Change<T> {
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Sets what is there, or takes it away.
    pub fn to(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// The value after the change.
    fn try_apply<U, E>(
        self,
        before: Option<U>,
        read: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<Option<U>, E> {
        match self {
            Self::Keep => Ok(before),
            Self::Clear => Ok(None),
            Self::Set(value) => read(value).map(Some),
        }
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(value) => serializer.serialize_some(value),
            Self::Keep | Self::Clear => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::to)
    }
}

/// What an owner changes of a device's rules: what is left out stays, `null` takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RulesChange {
    /// Seconds: jobs with a shorter time limit are not taken.
    #[serde(skip_serializing_if = "Change::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Seconds>))]
    pub min_duration: Change<Seconds>,
    /// Seconds: jobs with a longer one are not.
    #[serde(skip_serializing_if = "Change::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Seconds>))]
    pub max_duration: Change<Seconds>,
    /// IO per hour, decimal: the price for spot jobs, at most the on-demand price.
    #[serde(skip_serializing_if = "Change::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub spot_per_hour: Change<String>,
    #[serde(skip_serializing_if = "Change::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ReservedChange>))]
    pub reserved: Change<ReservedChange>,
    #[serde(skip_serializing_if = "Change::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AutoChange>))]
    pub auto: Change<AutoChange>,
    #[serde(skip_serializing_if = "Change::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Schedule>))]
    pub schedule: Change<Schedule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReservedChange {
    /// IO per hour, decimal.
    pub per_hour: String,
    /// Seconds.
    pub min_term: Seconds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AutoChange {
    /// Of the index, 10 to 300.
    pub percent: u32,
    /// IO per hour, decimal.
    pub floor_per_hour: String,
    /// IO per hour, decimal.
    pub ceiling_per_hour: String,
}

/// A price as people write it, IO an hour. It is stored as whole base units a second.
///
/// # Errors
/// The field with what to write instead.
pub fn price_of(field: &str, text: &str) -> Result<PricePerSecond, FieldProblem> {
    Amount::parse_io(text)
        .and_then(PricePerSecond::from_per_hour)
        .map_err(|error| FieldProblem::new(field, error.to_string()))
}

/// The same for what a device asks. Who lends for nothing by mistake loses real hours; who wants to be out of the market pauses.
///
/// # Errors
/// The field with what to write instead.
pub fn asked_price_of(field: &str, text: &str) -> Result<PricePerSecond, FieldProblem> {
    let price = price_of(field, text)?;
    if price.per_second().is_zero() {
        let why = "a price above 0; pause the device to keep it out of the market";
        return Err(FieldProblem::new(field, why));
    }
    Ok(price)
}

impl RulesChange {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rules with this change.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn applied(self, rules: DeviceRules) -> Result<DeviceRules, FieldProblem> {
        let same = |seconds: Seconds| Ok::<_, FieldProblem>(seconds);
        let reserved = |change: ReservedChange| {
            Ok(ReservedRule {
                price: price_of("rules.reserved.per_hour", &change.per_hour)?,
                min_term: change.min_term,
            })
        };
        let auto = |change: AutoChange| {
            Ok(AutoRule {
                percent: change.percent,
                floor: price_of("rules.auto.floor_per_hour", &change.floor_per_hour)?,
                ceiling: price_of("rules.auto.ceiling_per_hour", &change.ceiling_per_hour)?,
            })
        };
        let min = self
            .min_duration
            .try_apply(Some(rules.min_duration), same)?;
        Ok(DeviceRules {
            min_duration: min.unwrap_or_default(),
            max_duration: self.max_duration.try_apply(rules.max_duration, same)?,
            spot: self
                .spot_per_hour
                .try_apply(rules.spot, |text| price_of("rules.spot_per_hour", &text))?,
            reserved: self.reserved.try_apply(rules.reserved, reserved)?,
            auto: self.auto.try_apply(rules.auto, auto)?,
            schedule: self
                .schedule
                .try_apply(rules.schedule, Ok::<_, FieldProblem>)?,
        })
    }
}

impl DeviceRules {
    /// Everything that is wrong with them beside an on-demand price; empty when they can be followed.
    pub fn problems(&self, price: PricePerSecond) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, field: &str, message: &str| {
            if !holds {
                problems.push(FieldProblem::new(field, message));
            }
        };
        let longest = self.max_duration.unwrap_or(DURATION_MAX);
        check(
            self.min_duration <= longest.min(DURATION_MAX) && longest > Seconds::ZERO,
            "rules.min_duration",
            "at most the longest time that is taken, and at most 30 days",
        );
        check(
            self.max_duration.is_none_or(|max| max <= DURATION_MAX),
            "rules.max_duration",
            "at most 30 days; leave it out for no limit",
        );
        if let Some(spot) = self.spot {
            check(
                spot > PricePerSecond::ZERO,
                "rules.spot_per_hour",
                "a price above zero; take it away to offer no spot",
            );
            // A price that follows the index may fall below it: then spot jobs pay that lower price.
            check(
                spot <= price || self.auto.is_some(),
                "rules.spot_per_hour",
                "at most the on-demand price: nobody rents what can be taken back for more",
            );
        }
        if let Some(reserved) = self.reserved {
            check(
                reserved.price > PricePerSecond::ZERO,
                "rules.reserved.per_hour",
                "a price above zero; take it away to offer no terms",
            );
            check(
                reserved.min_term > Seconds::ZERO && reserved.min_term <= longest.min(DURATION_MAX),
                "rules.reserved.min_term",
                "at least a second, and at most the longest time that is taken or 30 days",
            );
        }
        if let Some(auto) = self.auto {
            check(
                PERCENT.contains(&auto.percent),
                "rules.auto.percent",
                "a whole number from 10 to 300",
            );
            check(
                auto.floor > PricePerSecond::ZERO,
                "rules.auto.floor_per_hour",
                "a price above zero",
            );
            check(
                auto.floor <= auto.ceiling,
                "rules.auto.ceiling_per_hour",
                "at least the floor",
            );
        }
        if let Some(schedule) = &self.schedule {
            let windows = &schedule.windows;
            check(
                (1..=WINDOWS_MAX).contains(&windows.len()),
                "rules.schedule.windows",
                "1 to 42 windows; take the schedule away to be open at any time",
            );
            check(
                windows
                    .iter()
                    .all(|window| window.from < DAY_MINUTES && window.to <= DAY_MINUTES),
                "rules.schedule.windows",
                "a window begins from 00:00 to 23:59 (minute 0 to 1439) and ends by 24:00 (minute 1440)",
            );
            check(
                schedule.utc_offset_minutes.unsigned_abs() <= OFFSET_MAX.unsigned_abs(),
                "rules.schedule.utc_offset_minutes",
                "at most 14 hours (840 minutes) ahead of UTC or behind",
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(base: i64) -> PricePerSecond {
        PricePerSecond::from_amount(Amount::try_from_base(base).expect("in range"))
    }

    fn change(json: &str) -> RulesChange {
        serde_json::from_str(json).expect("valid")
    }

    fn rules(json: &str) -> DeviceRules {
        change(json)
            .applied(DeviceRules::default())
            .expect("can be read")
    }

    #[test]
    fn what_is_left_out_stays_and_null_takes_it_away() {
        let first = rules(
            r#"{"min_duration": 60, "max_duration": 600, "spot_per_hour": "0.36",
                "reserved": {"per_hour": "0.5", "min_term": 300}}"#,
        );
        assert_eq!(first.spot, Some(price(10_000)));
        let same = change("{}").applied(first.clone()).expect("nothing");
        assert_eq!(same, first);
        let less = change(r#"{"max_duration": null, "spot_per_hour": null}"#);
        let less = less.applied(first.clone()).expect("can be read");
        assert_eq!((less.max_duration, less.spot), (None, None));
        assert_eq!(
            (less.min_duration, less.reserved),
            (first.min_duration, first.reserved)
        );
    }

    #[test]
    fn rules_that_nobody_could_follow_are_named() {
        let fields = |json: &str| -> Vec<String> {
            let problems = rules(json).problems(price(20_000));
            problems.into_iter().map(|problem| problem.field).collect()
        };
        assert!(fields("{}").is_empty());
        assert_eq!(
            fields(r#"{"min_duration": 61, "max_duration": 60}"#),
            ["rules.min_duration"]
        );
        assert_eq!(
            fields(r#"{"spot_per_hour": "0.9"}"#),
            ["rules.spot_per_hour"]
        );
        assert_eq!(
            fields(r#"{"reserved": {"per_hour": "0", "min_term": 0}}"#),
            ["rules.reserved.per_hour", "rules.reserved.min_term"]
        );
        assert_eq!(
            fields(r#"{"auto": {"percent": 9, "floor_per_hour": "2", "ceiling_per_hour": "1"}}"#),
            ["rules.auto.percent", "rules.auto.ceiling_per_hour"]
        );
        assert_eq!(
            fields(r#"{"schedule": {"windows": []}}"#),
            ["rules.schedule.windows"]
        );
        assert_eq!(
            fields(
                r#"{"schedule": {"utc_offset_minutes": 841, "windows": [{"day": "mon", "from": 1440, "to": 0}]}}"#
            ),
            [
                "rules.schedule.windows",
                "rules.schedule.utc_offset_minutes"
            ]
        );
        let unreadable = change(r#"{"spot_per_hour": "cheap"}"#).applied(DeviceRules::default());
        assert_eq!(
            unreadable.expect_err("no number").field,
            "rules.spot_per_hour"
        );
    }
}
