//! Values into a template: what comes out is an ordinary job.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{InputKind, Setup, Template};
use crate::problem::FieldProblem;
use crate::spec::JobSpec;

/// Where each text is one argument, one variable or a name: numbers become texts here and stay numbers elsewhere.
const TEXTS: [&str; 5] = ["name", "command", "env", "metrics", "image"];

/// On what it runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateWay))]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Processors, with what the node has installed: the size that any machine carries.
    #[default]
    Small,
    Gpu,
}

impl Way {
    pub const ALL: [Self; 2] = [Self::Small, Self::Gpu];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Gpu => "gpu",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == text)
    }
}

/// The answers, as texts; what is not answered is what the template says.
pub type Given = BTreeMap<String, String>;

impl Template {
    /// # Errors
    /// Each answer that is not taken (`inputs.frames`), each that was not asked for, and what the specification refuses.
    pub fn fill(&self, way: Way, given: &Given) -> Result<JobSpec, Vec<FieldProblem>> {
        let Some(setup) = self.setup(way) else {
            let ways: Vec<_> = self.ways().into_iter().map(Way::as_str).collect();
            let message = format!("one of: {}", ways.join(", "));
            return Err(vec![FieldProblem::new("way", message)]);
        };
        let values = self.values(given)?;
        let mut spec = self.spec.clone();
        lay_over(&mut spec, setup_defaults(way, setup));
        lay_over(&mut spec, setup.spec.clone());
        if let Value::Object(keys) = &mut spec {
            for (key, value) in keys.iter_mut() {
                let texts = TEXTS.contains(&key.as_str());
                put(value, &|text| self.replace(text, &values, texts));
            }
            let files = serde_json::to_value(&self.files).unwrap_or_default();
            keys.insert("files".to_owned(), files);
        }
        let spec: JobSpec = serde_json::from_value(without_nothing(spec))
            .map_err(|error| vec![FieldProblem::new("spec", error.to_string())])?;
        let problems = spec.problems();
        if problems.is_empty() {
            Ok(spec)
        } else {
            Err(problems)
        }
    }

    /// Whether what a job runs is this template's own, and nothing that its requester chose but the values that it asks for: the same
    /// program, files and names in its environment, and no bundle.
    pub fn is_program_of(&self, job: &JobSpec) -> bool {
        self.own_program(job).is_some()
    }

    /// What the template itself says of the program that a job runs, where it is its own ([`Template::is_program_of`]): nothing of it
    /// is the requester's, what it needs least of all.
    pub fn own_program(&self, job: &JobSpec) -> Option<JobSpec> {
        let plain = job.bundle.is_none() && job.secrets.is_empty() && job.ports.is_empty();
        let names = |spec: &JobSpec| spec.env.keys().cloned().collect::<Vec<_>>();
        let slices = |spec: &JobSpec| {
            let of = spec.recompute.as_ref();
            of.map(|of| {
                (
                    of.variable.clone(),
                    of.output.clone(),
                    of.tolerance,
                    of.seconds,
                )
            })
        };
        let is_own = |own: &JobSpec| {
            (&own.image, &own.command, &own.files) == (&job.image, &job.command, &job.files)
                && names(own) == names(job)
                && slices(own) == slices(job)
        };
        let ways = self.ways().into_iter().filter(|_| plain);
        ways.filter_map(|way| self.fill(way, &Given::new()).ok())
            .find(is_own)
    }

    /// How many there are of what the cost is counted in.
    pub fn count(&self, setup: &Setup, given: &Given) -> u64 {
        let counted = setup.expected.as_ref().and_then(|e| e.of.as_deref());
        let count = counted.and_then(|name| {
            let input = self.input(name)?;
            let text = given.get(name).unwrap_or(&input.default);
            text.trim().parse().ok()
        });
        count.unwrap_or(0)
    }

    fn values(&self, given: &Given) -> Result<Given, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        for name in given.keys().filter(|name| self.input(name).is_none()) {
            let message = "this template does not ask for it";
            problems.push(FieldProblem::new(format!("inputs.{name}"), message));
        }
        let mut values = Given::new();
        for input in &self.inputs {
            let text = given.get(&input.name).unwrap_or(&input.default);
            match input.take(text) {
                Ok(value) => _ = values.insert(input.name.clone(), value),
                Err(message) => {
                    problems.push(FieldProblem::new(format!("inputs.{}", input.name), message));
                }
            }
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }

    /// A text that is one placeholder alone keeps the type of its input, unless it stands where all is text.
    fn replace(&self, text: &str, values: &Given, texts: bool) -> Value {
        if let Some(name) = alone(text)
            && let (Some(input), Some(value)) = (self.input(name), values.get(name))
            && !texts
        {
            return match input.kind {
                InputKind::Integer => value.parse::<i64>().map_or(Value::Null, Value::from),
                InputKind::Switch => Value::Bool(value == "1"),
                _ if value.is_empty() => Value::Null,
                _ => Value::String(value.clone()),
            };
        }
        Value::String(pieces(text).map_or_else(
            |_| text.to_owned(),
            |pieces| {
                let piece = |piece: Piece<'_>| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Input(name) => values.get(name).cloned().unwrap_or_default(),
                };
                pieces.into_iter().map(piece).collect()
            },
        ))
    }
}

/// What a way says besides its own keys.
fn setup_defaults(way: Way, setup: &Setup) -> Value {
    let mut resources = Map::new();
    let class = match way {
        Way::Small => "cpu",
        Way::Gpu => "gpu",
    };
    resources.insert("class".to_owned(), class.into());
    if let Some(gib) = setup.min_vram_gib {
        let mib = u64::from(gib).saturating_mul(1_024);
        resources.insert("device_memory_mib".to_owned(), mib.into());
    }
    let mut spec = Map::new();
    spec.insert("resources".to_owned(), Value::Object(resources));
    if let Some(image) = &setup.image {
        spec.insert("image".to_owned(), image.clone().into());
    }
    Value::Object(spec)
}

/// Tables are joined key by key, all else is replaced.
fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// Each text becomes what `with` makes of it.
fn put(value: &mut Value, with: &impl Fn(&str) -> Value) {
    match value {
        Value::String(text) => *value = with(text),
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, with)),
        Value::Object(keys) => keys.values_mut().for_each(|value| put(value, with)),
        _ => {}
    }
}

/// An input that was left empty takes its key with it.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let kept = keys.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                kept.map(|(key, value)| (key, without_nothing(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

pub(super) enum Piece<'a> {
    Text(&'a str),
    Input(&'a str),
}

/// A text as what stands between the placeholders and the placeholders.
///
/// # Errors
/// A placeholder that is not closed.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else {
            return Err("`{{` without `}}`");
        };
        found.push(Piece::Text(before));
        found.push(Piece::Input(name.trim()));
        rest = behind;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

/// The one input that the text consists of.
fn alone(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!name.contains("{{")).then(|| name.trim())
}

/// All texts below, with where they stand.
pub(super) fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => found.push((key.to_owned(), text)),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                texts(item, &format!("{key}[{i}]"), found);
            }
        }
        Value::Object(keys) => {
            for (name, value) in keys {
                texts(value, &format!("{key}.{name}"), found);
            }
        }
        _ => {}
    }
}

/// The inputs that a specification names.
pub(super) fn named<'a>(found: &[(String, &'a str)]) -> BTreeSet<&'a str> {
    let pieces = found.iter().filter_map(|(_, text)| pieces(text).ok());
    let inputs = pieces.flatten().filter_map(|piece| match piece {
        Piece::Input(name) => Some(name),
        Piece::Text(_) => None,
    });
    inputs.collect()
}
