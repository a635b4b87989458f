//! Templates: workloads that are launched by filling in a few values. `docs/templates.md` says how to write one.
//!
//! A template is a folder: `template.toml`, the files that it sends along, and `README.md`. [`Template::read`] takes its
//! texts and says what is wrong with them; [`Template::fill`] makes a job's specification of it. A value that somebody gave
//! becomes a part of one text of the specification and is never read again: it cannot become a second argument.

mod fill;
mod input;
mod launch;
mod read;

use std::fmt;

use kernel::Seconds;
use serde::{Deserialize, Serialize};

use crate::spec::InlineFile;

pub use fill::{Given, Way};
pub use input::{Choice, Input, InputKind};
pub use launch::TemplateLaunch;

/// The only form so far; a later one gets another number.
pub const FORMAT: u32 = 1;
pub const INPUTS_MAX: usize = 32;
pub const CHOICES_MAX: usize = 32;
pub const PORTS_MAX: usize = 8;
pub const README_BYTES_MAX: usize = 64 * 1024;
/// The file that makes a folder a template.
pub const TEMPLATE_FILE: &str = "template.toml";
pub const README_FILE: &str = "README.md";
pub const README_ZH_FILE: &str = "README.zh.md";

/// A text in both languages of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateText))]
#[serde(deny_unknown_fields)]
pub struct Both {
    pub en: String,
    pub zh: String,
}

/// What people look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateKind))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Training,
    Inference,
    Rendering,
    Tool,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Training, Self::Inference, Self::Rendering, Self::Tool];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Inference => "inference",
            Self::Rendering => "rendering",
            Self::Tool => "tool",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A port that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplatePort))]
#[serde(deny_unknown_fields)]
pub struct Served {
    pub port: u16,
    /// What answers there.
    pub what: Both,
}

/// How long it is expected to run: what the estimate of its cost stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateExpected))]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Whatever the values are.
    #[serde(default)]
    pub fixed_seconds: u64,
    /// For each one of the input that `of` names, shared by the nodes.
    #[serde(default)]
    pub each_milliseconds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Where the figures come from: which machine, which values.
    pub basis: Both,
}

impl Expected {
    /// With `count` of what is counted, on so many nodes.
    pub fn seconds(&self, count: u64, nodes: u32) -> Seconds {
        let each = u128::from(self.each_milliseconds).saturating_mul(u128::from(count));
        let shared = each.div_ceil(u128::from(nodes.max(1)).saturating_mul(1_000));
        let shared = u64::try_from(shared).unwrap_or(u64::MAX);
        Seconds::new(self.fixed_seconds.saturating_add(shared))
    }
}

/// One way to run it: on processors with what the node has installed, or on GPUs in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateSetup))]
pub struct Setup {
    /// What a node must have or lend, in a sentence.
    pub needs: Both,
    /// Debian packages that the node must have installed or lend.
    pub packages: Vec<String>,
    /// GPU memory at least, of each card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_vram_gib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Absent: it runs until it is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Laid over the specification.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub spec: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Template {
    /// Its folder's name.
    pub id: String,
    pub kind: Kind,
    pub title: Both,
    pub summary: Both,
    pub version: String,
    pub licence: String,
    pub inputs: Vec<Input>,
    pub ports: Vec<Served>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small: Option<Setup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Setup>,
    /// The job's specification, with `{{input}}` where values go.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub spec: serde_json::Value,
    pub files: Vec<InlineFile>,
    /// Markdown.
    pub readme: Both,
}

/// A template in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateSummary {
    pub id: String,
    pub kind: Kind,
    pub title: Both,
    pub summary: Both,
    pub version: String,
    pub licence: String,
    /// The ways in which it runs: `small`, `gpu`.
    pub ways: Vec<Way>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_vram_gib: Option<u32>,
}

impl Template {
    pub fn setup(&self, way: Way) -> Option<&Setup> {
        match way {
            Way::Small => self.small.as_ref(),
            Way::Gpu => self.gpu.as_ref(),
        }
    }

    /// The ways in which it runs; at least one.
    pub fn ways(&self) -> Vec<Way> {
        let ways = Way::ALL.into_iter();
        ways.filter(|way| self.setup(*way).is_some()).collect()
    }

    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }

    pub fn summary(&self) -> TemplateSummary {
        TemplateSummary {
            id: self.id.clone(),
            kind: self.kind,
            title: self.title.clone(),
            summary: self.summary.clone(),
            version: self.version.clone(),
            licence: self.licence.clone(),
            ways: self.ways(),
            min_vram_gib: self.gpu.as_ref().and_then(|gpu| gpu.min_vram_gib),
        }
    }

    /// Whether all of these words stand in its name or its description, in either language.
    pub fn has_words(&self, words: &str) -> bool {
        let Both { en, zh } = &self.title;
        let text = format!(
            "{} {en} {zh} {} {} {}",
            self.id,
            self.summary.en,
            self.summary.zh,
            self.kind.as_str()
        );
        let text = text.to_lowercase();
        let words = words.to_lowercase();
        words.split_whitespace().all(|word| text.contains(word))
    }
}

/// What is wrong with a template: in which file, at which key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    pub file: String,
    /// `inputs[2].default`; empty when it is about the whole file.
    pub key: String,
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            key => write!(f, "{}: {key}: {}", self.file, self.message),
        }
    }
}

/// Small letters, digits and hyphens: it stands in addresses.
pub fn is_template_id(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests;
