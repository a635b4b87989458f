//! A launch as it is asked for.

use kernel::{DeviceId, QuoteId};
use serde::{Deserialize, Deserializer, Serialize};

use super::input::scalar;
use super::{Given, Template, Way};
use crate::problem::FieldProblem;
use crate::spec::JobSpec;

/// What is launched of a template, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TemplateLaunch {
    /// On what; the template's first way without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// Texts, numbers or truth values by the names of the inputs; what is left out is the template's default.
    #[serde(deserialize_with = "given")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, String>))]
    pub inputs: Given,
    /// IO per hour, all devices together; in the place of the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_price_per_hour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
    /// The offer to take; the cheapest that matches without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// A quote that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteId>,
}

fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Given, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "scalar")] String);
    let texts = std::collections::BTreeMap::<String, Text>::deserialize(from)?;
    let pairs = texts.into_iter().map(|(name, Text(text))| (name, text));
    Ok(pairs.collect())
}

impl Template {
    /// The way that is asked for.
    pub fn way(&self, asked: Option<Way>) -> Way {
        asked
            .or_else(|| self.ways().first().copied())
            .unwrap_or_default()
    }

    /// The job of a launch.
    ///
    /// # Errors
    /// What of it is not taken, by field.
    pub fn job(&self, launch: &TemplateLaunch) -> Result<JobSpec, Vec<FieldProblem>> {
        let mut spec = self.fill(self.way(launch.way), &launch.inputs)?;
        if let Some(price) = &launch.max_price_per_hour {
            spec.limits.max_price_per_hour = Some(price.clone());
        }
        if let Some(seconds) = launch.duration_seconds {
            spec.limits.duration_seconds = seconds;
        }
        if let Some(seconds) = launch.wait_seconds {
            spec.limits.wait_seconds = seconds;
        }
        let problems = spec.problems();
        if problems.is_empty() {
            Ok(spec)
        } else {
            Err(problems)
        }
    }
}
