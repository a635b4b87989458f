//! The price editor's form: what it holds, and the change of a device that it asks for.

use serde::{Deserialize, Serialize};

/// As it is typed. A field that is empty takes its rule away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RentForm {
    pub device: String,
    /// IO an hour, as all prices here.
    pub per_hour: String,
    pub spot: String,
    pub term_price: String,
    pub term_hours: String,
    pub percent: String,
    pub floor: String,
    pub ceiling: String,
    /// Minutes.
    pub shortest: String,
    pub longest: String,
    /// Hours ahead of UTC.
    pub offset: String,
    /// A line a window.
    pub hours: String,
}

#[cfg(feature = "ssr")]
mod reading {
    use exchange::DeviceChange;
    use kernel::Seconds;
    use protocol::FieldProblem;
    use protocol::rent::{AutoChange, Change, ReservedChange, RulesChange, Schedule, price_of};

    use super::RentForm;
    use crate::pages::price::{read_hours, read_offset};

    /// What is written, without blanks; nothing where there is nothing.
    fn given(text: &str) -> Option<&str> {
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// A length in a unit of so many seconds.
    fn length(field: &str, text: &str, unit: f64) -> Result<Option<Seconds>, FieldProblem> {
        let Some(text) = given(text) else {
            return Ok(None);
        };
        let number = text.replace(',', ".").parse::<f64>();
        // By way of its text: a number that is none, or below zero, is no whole one.
        let whole = number.ok().map(|number| format!("{:.0}", number * unit));
        let whole = whole.and_then(|whole| whole.parse().ok());
        whole
            .map(|whole| Some(Seconds::new(whole)))
            .ok_or_else(|| FieldProblem::new(field, "a number, such as 6 or 1.5"))
    }

    impl RentForm {
        /// # Errors
        /// The first field that cannot be read.
        pub fn change(&self) -> Result<DeviceChange, FieldProblem> {
            let rules = RulesChange {
                min_duration: Change::to(length("shortest", &self.shortest, 60.0)?),
                max_duration: Change::to(length("longest", &self.longest, 60.0)?),
                spot_per_hour: Change::to(given(&self.spot).map(str::to_owned)),
                reserved: Change::to(self.reserved()?),
                auto: Change::to(self.auto()?),
                schedule: Change::to(self.schedule()?),
            };
            Ok(DeviceChange {
                price: Some(price_of("per_hour", &self.per_hour)?),
                paused: None,
                rules,
            })
        }

        fn reserved(&self) -> Result<Option<ReservedChange>, FieldProblem> {
            let Some(per_hour) = given(&self.term_price) else {
                return Ok(None);
            };
            let term = length("term_hours", &self.term_hours, 3_600.0)?;
            let missing = || FieldProblem::new("term_hours", "say how long a term is at least");
            Ok(Some(ReservedChange {
                per_hour: per_hour.to_owned(),
                min_term: term.ok_or_else(missing)?,
            }))
        }

        fn auto(&self) -> Result<Option<AutoChange>, FieldProblem> {
            let Some(percent) = given(&self.percent) else {
                return Ok(None);
            };
            let wrong = |_| FieldProblem::new("percent", "a whole number from 10 to 300");
            Ok(Some(AutoChange {
                percent: percent.parse().map_err(wrong)?,
                floor_per_hour: self.floor.clone(),
                ceiling_per_hour: self.ceiling.clone(),
            }))
        }

        fn schedule(&self) -> Result<Option<Schedule>, FieldProblem> {
            let windows = read_hours(&self.hours).map_err(|line| {
                let message =
                    format!("`{line}` cannot be read; write a line such as mon-fri 22:00-06:00");
                FieldProblem::new("hours", message)
            })?;
            if windows.is_empty() {
                return Ok(None);
            }
            let offset = read_offset(&self.offset)
                .ok_or_else(|| FieldProblem::new("offset", "hours ahead of UTC, such as +1"))?;
            Ok(Some(Schedule {
                utc_offset_minutes: offset,
                windows,
            }))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_empty_field_takes_its_rule_away_and_a_wrong_one_is_named() {
            let mut form = RentForm {
                per_hour: "1".into(),
                ..RentForm::default()
            };
            let change = form.change().expect("a price alone");
            assert_eq!(change.rules.spot_per_hour, Change::Clear);
            assert_eq!(change.rules.schedule, Change::Clear);
            form.shortest = "1,5".into();
            form.hours = "sat-sun 0-24".into();
            let change = form.change().expect("can be read");
            assert_eq!(change.rules.min_duration, Change::Set(Seconds::new(90)));
            let wrong = |change: fn(&mut RentForm)| {
                let mut wrong = form.clone();
                change(&mut wrong);
                wrong.change().expect_err("wrong").field
            };
            assert_eq!(wrong(|form| form.per_hour.clear()), "per_hour");
            assert_eq!(wrong(|form| form.longest = "-1".into()), "longest");
            assert_eq!(wrong(|form| form.longest = "NaN".into()), "longest");
            assert_eq!(wrong(|form| form.term_price = "1".into()), "term_hours");
            assert_eq!(wrong(|form| form.percent = "x".into()), "percent");
            assert_eq!(wrong(|form| form.hours = "noon".into()), "hours");
            assert_eq!(wrong(|form| form.offset = "Zurich".into()), "offset");
        }
    }
}
