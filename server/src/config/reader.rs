//! One value after the other, each with its own complaint.

use std::fmt::Display;

use config::{Config as Source, File, FileFormat};
use kernel::{Amount, BasisPoints, Seconds};

use super::ConfigError;
use super::names::{KEYS, LOG_FORMAT, variable};

pub(super) struct Reader<'a> {
    file: Source,
    environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(
        text: &str,
        environment: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let whole = Source::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .build();
        let file = whole.map_err(|error| ConfigError(vec![error.to_string()]))?;
        let unknown = file.get_table("iog").unwrap_or_default().into_keys();
        let problems = unknown
            .filter(|key| key != LOG_FORMAT && !KEYS.contains(&key.as_str()))
            .map(|key| format!("[iog] {key}: unknown; misspelt?"))
            .collect();
        Ok(Self {
            file,
            environment,
            problems,
        })
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let named = (self.environment)(&variable(key)).filter(|text| !text.is_empty());
        named.or_else(|| self.file.get_string(&format!("iog.{key}")).ok())
    }

    pub(super) fn wrong(&mut self, key: &str, value: &str, expected: &str) {
        self.problems
            .push(format!("{}={value}: expected {expected}", variable(key)));
    }

    pub(super) fn number<T>(&mut self, key: &str, min: T, max: T, default: T) -> T
    where
        T: std::str::FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.text(key) else {
            return default;
        };
        match text.trim().parse::<T>() {
            Ok(number) if number >= min && number <= max => number,
            _ => {
                self.wrong(key, &text, &format!("a whole number from {min} to {max}"));
                default
            }
        }
    }

    pub(super) fn seconds(&mut self, key: &str, min: u64, max: u64, default: Seconds) -> Seconds {
        Seconds::new(self.number(key, min, max, default.get()))
    }

    pub(super) fn share(&mut self, key: &str, default: BasisPoints) -> BasisPoints {
        let points = self.number(key, 0, 10_000, default.get());
        BasisPoints::try_new(points).unwrap_or(default)
    }

    pub(super) fn amount(&mut self, key: &str) -> Option<Amount> {
        let text = self.text(key)?;
        match Amount::parse_io(&text) {
            Ok(Amount::ZERO) => None,
            Ok(amount) => Some(amount),
            Err(error) => {
                self.wrong(key, &text, &format!("an amount of IO ({error})"));
                None
            }
        }
    }

    pub(super) fn amount_above_zero(&mut self, key: &str, default: Amount) -> Amount {
        let text = self.text(key);
        match text.as_deref().map(Amount::parse_io) {
            None => default,
            Some(Ok(amount)) if !amount.is_zero() => amount,
            Some(_) => {
                let text = text.unwrap_or_default();
                self.wrong(key, &text, "an amount of IO above zero");
                default
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &str) -> bool {
        match self.text(key).as_deref() {
            Some("true" | "1") => true,
            None | Some("false" | "0") => false,
            Some(other) => {
                let other = other.to_owned();
                self.wrong(key, &other, "true or false");
                false
            }
        }
    }
}
