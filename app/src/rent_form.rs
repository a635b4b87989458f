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
    use kernel::{Amount, PricePerSecond, Seconds};
    use protocol::FieldProblem;
    use protocol::rent::{
        AutoChange, Change, DeviceRules, ReservedChange, RulesChange, Schedule, asked_price_of,
        price_of,
    };

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

    /// A price where one is given.
    fn money(field: &str, text: &str) -> Result<Option<String>, FieldProblem> {
        let text = given(text);
        text.map(|text| price_of(field, text).map(|_| text.to_owned()))
            .transpose()
    }

    /// What was read; what could not be is noted, and nothing stands in its place.
    fn kept<T: Default>(wrong: &mut Vec<FieldProblem>, read: Result<T, FieldProblem>) -> T {
        read.unwrap_or_else(|problem| {
            wrong.push(problem);
            T::default()
        })
    }

    /// A rule of the exchange by the field that it is typed in.
    fn typed_in(rule: &str) -> &str {
        match rule {
            "rules.min_duration" => "shortest",
            "rules.max_duration" => "longest",
            "rules.spot_per_hour" => "spot",
            "rules.reserved.per_hour" => "term_price",
            "rules.reserved.min_term" => "term_hours",
            "rules.auto.percent" => "percent",
            "rules.auto.floor_per_hour" => "floor",
            "rules.auto.ceiling_per_hour" => "ceiling",
            "rules.schedule.windows" => "hours",
            "rules.schedule.utc_offset_minutes" => "offset",
            other => other,
        }
    }

    impl RentForm {
        /// Whether anything was typed; a form that was only opened names its device alone.
        pub fn is_sent(&self) -> bool {
            let opened = Self {
                device: self.device.clone(),
                ..Self::default()
            };
            *self != opened
        }

        /// The editor's address with what was typed.
        pub fn href(&self) -> String {
            let value = serde_json::to_value(self).unwrap_or_default();
            let fields = value.as_object().into_iter().flatten();
            let fields: Vec<String> = fields
                .map(|(name, text)| {
                    let text = text.as_str().unwrap_or_default();
                    format!("{name}={}", leptos_router::location::Url::escape(text))
                })
                .collect();
            format!("/price?{}", fields.join("&"))
        }

        /// # Errors
        /// Every field that cannot be read or followed, by its name in the form.
        pub fn change(&self) -> Result<DeviceChange, Vec<FieldProblem>> {
            let mut wrong = Vec::new();
            let price = asked_price_of("per_hour", &self.per_hour).map(Some);
            let price = kept(&mut wrong, price);
            let rules = RulesChange {
                min_duration: Change::to(kept(
                    &mut wrong,
                    length("shortest", &self.shortest, 60.0),
                )),
                max_duration: Change::to(kept(&mut wrong, length("longest", &self.longest, 60.0))),
                spot_per_hour: Change::to(kept(&mut wrong, money("spot", &self.spot))),
                reserved: Change::to(self.reserved(&mut wrong)),
                auto: Change::to(self.auto(&mut wrong)),
                schedule: Change::to(kept(&mut wrong, self.schedule())),
            };
            // As the exchange will look at it. Beside a price that cannot be read, or follows the index, nothing is too much.
            let fixed = price.filter(|_| given(&self.percent).is_none());
            let beside = fixed.unwrap_or(PricePerSecond::from_amount(Amount::MAX));
            let problems = match rules.clone().applied(DeviceRules::default()) {
                Ok(rules) => rules.problems(beside),
                Err(problem) => vec![problem],
            };
            for problem in problems {
                let field = typed_in(&problem.field);
                if wrong.iter().all(|known| known.field != field) {
                    wrong.push(FieldProblem::new(field, problem.message));
                }
            }
            if !wrong.is_empty() {
                return Err(wrong);
            }
            Ok(DeviceChange {
                price,
                paused: None,
                rules,
            })
        }

        fn reserved(&self, wrong: &mut Vec<FieldProblem>) -> Option<ReservedChange> {
            let Some(per_hour) = given(&self.term_price).map(str::to_owned) else {
                // What was typed is not passed over.
                if given(&self.term_hours).is_some() {
                    wrong.push(FieldProblem::new("term_price", "say what a term costs"));
                }
                return None;
            };
            let price = price_of("term_price", &per_hour);
            let priced = price.map_err(|problem| wrong.push(problem)).is_ok();
            let term = length("term_hours", &self.term_hours, 3_600.0).and_then(|term| {
                let missing = || FieldProblem::new("term_hours", "say how long a term is at least");
                term.map(Some).ok_or_else(missing)
            });
            let min_term = kept(wrong, term)?;
            priced.then_some(ReservedChange { per_hour, min_term })
        }

        fn auto(&self, wrong: &mut Vec<FieldProblem>) -> Option<AutoChange> {
            let Some(percent) = given(&self.percent) else {
                if given(&self.floor).or(given(&self.ceiling)).is_some() {
                    let message = "say the share of the index too, or leave both bounds empty";
                    wrong.push(FieldProblem::new("percent", message));
                }
                return None;
            };
            let unread = |_| FieldProblem::new("percent", "a whole number from 10 to 300");
            let percent = kept(wrong, percent.parse().map(Some).map_err(unread));
            let bound = |wrong: &mut Vec<FieldProblem>, field, text| {
                kept(wrong, price_of(field, text).map(Some)).map(|_| text.to_owned())
            };
            let floor = bound(wrong, "floor", &self.floor);
            let ceiling = bound(wrong, "ceiling", &self.ceiling);
            Some(AutoChange {
                percent: percent?,
                floor_per_hour: floor?,
                ceiling_per_hour: ceiling?,
            })
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
                fields(&wrong)
            };
            assert_eq!(wrong(|form| form.per_hour.clear()), ["per_hour"]);
            assert_eq!(wrong(|form| form.longest = "-1".into()), ["longest"]);
            assert_eq!(wrong(|form| form.longest = "NaN".into()), ["longest"]);
            assert_eq!(wrong(|form| form.term_price = "1".into()), ["term_hours"]);
            assert_eq!(wrong(|form| form.hours = "noon".into()), ["hours"]);
            assert_eq!(wrong(|form| form.offset = "Zurich".into()), ["offset"]);
        }

        fn fields(form: &RentForm) -> Vec<String> {
            let wrong = form.change().expect_err("wrong");
            wrong.into_iter().map(|problem| problem.field).collect()
        }

        #[test]
        fn every_wrong_field_is_named_and_what_only_the_exchange_would_refuse_too() {
            let form = RentForm {
                per_hour: "cheap".into(),
                percent: "x".into(),
                floor: "y".into(),
                ceiling: String::new(),
                shortest: "-2".into(),
                ..RentForm::default()
            };
            let expected = ["per_hour", "shortest", "percent", "floor", "ceiling"];
            assert_eq!(fields(&form), expected);
            let form = RentForm {
                per_hour: "1".into(),
                spot: "2".into(),
                term_price: "1".into(),
                term_hours: "0".into(),
                percent: "9".into(),
                floor: "2".into(),
                ceiling: "1".into(),
                shortest: "20".into(),
                longest: "10".into(),
                hours: "mon 8-9".into(),
                offset: "+15".into(),
                ..RentForm::default()
            };
            let follows = RentForm {
                percent: String::new(),
                ..form.clone()
            };
            // What follows the index may fall below its own spot price.
            assert_eq!(
                fields(&form),
                ["shortest", "term_hours", "percent", "ceiling", "offset"]
            );
            assert_eq!(
                fields(&follows),
                ["percent", "shortest", "spot", "term_hours", "offset"]
            );
        }

        #[test]
        fn what_was_typed_comes_back_by_its_address() {
            let opened = RentForm {
                device: "dev_1".into(),
                ..RentForm::default()
            };
            assert!(!opened.is_sent());
            let form = RentForm {
                hours: "mon 8-9\ntue 8-9".into(),
                ..opened
            };
            assert!(form.is_sent());
            let href = form.href();
            assert!(
                href.starts_with("/price?") && href.contains("device=dev%5F1"),
                "{href}"
            );
            assert!(href.contains("hours=mon%208%2D9%0Atue%208%2D9"), "{href}");
        }
    }
}
