//! What a template asks for, and which answers it takes.

use serde::{Deserialize, Deserializer, Serialize};

use super::Both;
use crate::spec::is_sha256;

const TEXT_MAX: u32 = 200;
/// Digits before and after the point of a decimal.
const DIGITS_MAX: usize = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateInputType))]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A whole number from `min` to `max`.
    Integer,
    /// A decimal number from `min` to `max`, at most nine digits after the point.
    Decimal,
    /// One line.
    Text,
    /// One of `choices`.
    Choice,
    /// `1` or `0` in the specification.
    Switch,
    /// The hash of an uploaded bundle, or nothing.
    Bundle,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateChoice))]
#[serde(deny_unknown_fields)]
pub struct Choice {
    #[serde(deserialize_with = "scalar")]
    pub value: String,
    pub label: Both,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateInput))]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: InputKind,
    pub label: Both,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Both>,
    /// What it is when nobody says otherwise.
    #[serde(deserialize_with = "scalar")]
    pub default: String,
    #[serde(
        default,
        deserialize_with = "some_scalar",
        skip_serializing_if = "Option::is_none"
    )]
    pub min: Option<String>,
    #[serde(
        default,
        deserialize_with = "some_scalar",
        skip_serializing_if = "Option::is_none"
    )]
    pub max: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Characters of a text at most; 200 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// A text that may be empty: where it stands alone the key is left out then.
    #[serde(default)]
    pub optional: bool,
}

/// A number, a truth value or a text, as its text.
pub(super) fn scalar<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Truth(bool),
        Whole(i64),
        Number(f64),
        Text(String),
    }
    Ok(match Scalar::deserialize(from)? {
        Scalar::Truth(true) => "1".to_owned(),
        Scalar::Truth(false) => "0".to_owned(),
        Scalar::Whole(number) => number.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    })
}

fn some_scalar<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    scalar(from).map(Some)
}

/// In billionths; exact, so that bounds are what they say.
fn decimal(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| {
        (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole) || !digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<DIGITS_MAX$}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part)
}

impl Input {
    /// The value as it goes into the specification.
    ///
    /// # Errors
    /// What an answer must be.
    pub fn take(&self, text: &str) -> Result<String, String> {
        let text = text.trim();
        match self.kind {
            InputKind::Integer => self.integer(text),
            InputKind::Decimal => self.decimal(text),
            InputKind::Text => self.text(text),
            InputKind::Choice if self.choices.iter().any(|choice| choice.value == text) => {
                Ok(text.to_owned())
            }
            InputKind::Choice => {
                let values = self.choices.iter().map(|choice| choice.value.as_str());
                let values = values.collect::<Vec<_>>().join(", ");
                Err(format!("one of: {values}"))
            }
            InputKind::Switch => match text {
                "1" | "true" => Ok("1".to_owned()),
                "0" | "false" => Ok("0".to_owned()),
                _ => Err("1 or 0".to_owned()),
            },
            InputKind::Bundle if is_sha256(text) || (text.is_empty() && self.optional) => {
                Ok(text.to_owned())
            }
            InputKind::Bundle => {
                Err("64 hexadecimal digits, as POST /api/v1/bundles answers".to_owned())
            }
        }
    }

    fn integer(&self, text: &str) -> Result<String, String> {
        let bound = |bound: &Option<String>, none| {
            let bound = bound.as_deref().and_then(|bound| bound.parse().ok());
            bound.unwrap_or(none)
        };
        let (min, max) = (bound(&self.min, i64::MIN), bound(&self.max, i64::MAX));
        match text.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => Err(format!("a whole number from {min} to {max}")),
        }
    }

    fn decimal(&self, text: &str) -> Result<String, String> {
        let min = self.min.as_deref().and_then(decimal).unwrap_or(0);
        let max = self.max.as_deref().and_then(decimal).unwrap_or(u64::MAX);
        match decimal(text) {
            Some(number) if (min..=max).contains(&number) => Ok(text.to_owned()),
            _ => Err(format!(
                "a number from {} to {}",
                self.min.as_deref().unwrap_or("0"),
                self.max.as_deref().unwrap_or("999999999")
            )),
        }
    }

    fn text(&self, text: &str) -> Result<String, String> {
        let most = self.max_length.unwrap_or(TEXT_MAX);
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        if length > most || text.chars().any(char::is_control) {
            return Err(format!("at most {most} characters on one line"));
        }
        if text.is_empty() && !self.optional {
            return Err("it may not be empty".to_owned());
        }
        Ok(text.to_owned())
    }

    /// What is wrong with the question itself: (key, what to do).
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut must = |holds: bool, key, message: &str| {
            if !holds {
                found.push((key, message.to_owned()));
            }
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        must(
            (1..=40).contains(&self.name.len())
                && self.name.bytes().all(plain)
                && self.name.starts_with(|c: char| c.is_ascii_lowercase()),
            "name",
            "small letters, digits and _ only, a letter first, at most 40",
        );
        let number = matches!(self.kind, InputKind::Integer | InputKind::Decimal);
        let reads = |bound: &Option<String>| {
            bound.as_deref().is_none_or(|bound| match self.kind {
                InputKind::Integer => bound.parse::<i64>().is_ok(),
                InputKind::Decimal => decimal(bound).is_some(),
                _ => false,
            })
        };
        let bounded = !number || (self.min.is_some() && self.max.is_some());
        must(bounded, "min", "give a number its min and its max");
        let what = "a number of the input's type, for integer and decimal only";
        must(reads(&self.min), "min", what);
        must(reads(&self.max), "max", what);
        must(
            (self.kind == InputKind::Choice) != self.choices.is_empty(),
            "choices",
            "a choice needs choices, and nothing else has any",
        );
        must(
            self.choices.len() <= super::CHOICES_MAX,
            "choices",
            "at most 32",
        );
        let free = matches!(self.kind, InputKind::Text | InputKind::Bundle);
        must(
            free || !self.optional,
            "optional",
            "only a text or a bundle may be left empty",
        );
        must(
            self.kind == InputKind::Text || self.max_length.is_none(),
            "max_length",
            "for a text only",
        );
        if let Err(message) = self.take(&self.default) {
            found.push((
                "default",
                format!("not an answer that it would take: {message}"),
            ));
        }
        found
    }
}
