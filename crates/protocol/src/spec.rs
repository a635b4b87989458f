//! The job's specification: what a requester writes in a form, in JSON or in `job.toml`.
//!
//! ```toml
//! name = "digits"
//! command = ["python3", "train.py"]
//! metrics = ["loss", "accuracy"]      # numbers printed as `loss=0.31` are drawn as curves
//! [[files]]
//! path = "train.py"
//! content = "print('loss=0.5')"
//! [resources]
//! memory_mib = 512
//! [limits]
//! duration_seconds = 600
//! max_price_per_hour = "1.5"          # IO per hour, all devices
//! ```

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Amount, PricePerSecond, Seconds};
use serde::{Deserialize, Serialize};

use crate::image::ImageName;
use crate::mesh::Mesh;
use crate::problem::FieldProblem;
use crate::recompute::Recompute;

pub const NAME_MAX: usize = 80;
pub const ARGS_MAX: usize = 256;
pub const ARG_BYTES_MAX: usize = 16 * 1024;
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
pub const ENV_MAX: usize = 128;
pub const FILES_MAX: usize = 64;
/// Inline files together; larger inputs travel as a bundle.
pub const FILES_BYTES_MAX: usize = 256 * 1024;
pub const METRICS_MAX: usize = 16;
pub const PORTS_MAX: usize = 16;
pub const SECRETS_MAX: usize = 32;
pub const DURATION_MAX: Seconds = Seconds::new(30 * 86_400);
pub const WAIT_MAX: Seconds = Seconds::new(7 * 86_400);
pub const LOSS_BOUND_MIN: Seconds = Seconds::MINUTE;
/// Devices on one node, and nodes, of one job.
pub const DEVICES_MAX: u32 = 64;
pub const NODES_MAX: u32 = 64;
/// Uploaded bundles and left artefacts: one each at most so large.
pub const BUNDLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What to run and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    pub name: String,
    /// A container image to run in, `ghcr.io/me/tool:1.0` or `ghcr.io/me/tool@sha256:…`. Absent: the node's own programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The program and its arguments; no shell is put in between. May be left out with an image that says what it runs.
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Small text files, written into the working directory before the start.
    #[serde(default)]
    pub files: Vec<InlineFile>,
    /// SHA-256 (64 hex digits) of a tar uploaded to `/api/v1/bundles`, unpacked into the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    #[serde(default)]
    pub resources: Resources,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub placement: Placement,
    /// Names of numbers that the output prints as `name=number`.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Ports of the job's own loopback that are reached through the platform: `[8888]`, or
    /// `[{ port = 8000, name = "api", public = true }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Names of the account's secrets, `["HF_TOKEN"]`: the job finds each in its environment, under this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Slices of the work that are computed again on another owner's machine, as drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recompute: Option<Recompute>,
}

/// A port that the job listens on, by HTTP (WebSockets too).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(from = "PortForm")]
pub struct Port {
    pub port: u16,
    /// What people read beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Anybody may use it, without signing in: for an inference endpoint that has keys of its own, or is for all.
    #[serde(default)]
    pub public: bool,
    /// A path that answers 2xx while this member can serve. With it the members share the requests that come to
    /// `/api/v1/endpoints/{job}/…`: one address for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

/// As people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortForm {
    Number(u16),
    Whole(WholePort),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholePort {
    port: u16,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    health: Option<String>,
}

impl From<PortForm> for Port {
    fn from(form: PortForm) -> Self {
        match form {
            PortForm::Number(port) => Self {
                port,
                name: None,
                public: false,
                health: None,
            },
            PortForm::Whole(WholePort {
                port,
                name,
                public,
                health,
            }) => Self {
                port,
                name,
                public,
                health,
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InlineFile {
    pub path: String,
    pub content: String,
}

/// The kind of device that is rented.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeviceClass {
    Gpu,
    #[default]
    Cpu,
}

impl DeviceClass {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
        }
    }

    /// As people read it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gpu => "GPU",
            Self::Cpu => "CPU",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "gpu" => Some(Self::Gpu),
            "cpu" => Some(Self::Cpu),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    pub class: DeviceClass,
    /// Devices on each node, all of them for this job.
    pub count: u32,
    /// A model as the market shows it. Some words of the name are enough, in any case: `rtx 4090`. A word that makes
    /// another model of it is not passed over: a 4090 is no 4090 D.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Device memory at least (VRAM of a GPU; for class CPU the memory that the owner offers).
    pub device_memory_mib: u64,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disk_mib: u64,
    /// Processes and threads together.
    pub pids: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            class: DeviceClass::Cpu,
            count: 1,
            model: None,
            device_memory_mib: 0,
            cpus: 1,
            memory_mib: 1_024,
            disk_mib: 1_024,
            pids: 256,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub duration_seconds: u64,
    /// IO per hour, decimal, all-in, for all devices together; what costs more does not match. Absent: any price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_price_per_hour: Option<String>,
    /// How often the job may start again after its node was lost.
    pub max_restarts: u32,
    /// When it starts again after its node was lost, at most so many delivered seconds may be lost, counted since the last
    /// checkpoint; what was paid for more of them is given back. Absent: no such bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_bound_seconds: Option<u64>,
    /// An order that waits: when nothing matches now, the job waits so long for an offer that does. 0: refused at once.
    pub wait_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            duration_seconds: 3_600,
            max_price_per_hour: None,
            max_restarts: 3,
            loss_bound_seconds: None,
            wait_seconds: 0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// Nodes, all or none. The command runs on each, as member 0, 1, … (`IOG_MEMBER`); a lost one alone is replaced.
    pub nodes: u32,
    /// The nodes reach each other, by an address each (`IOG_ADDRESSES`, member 0 first), and nobody else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// Two-letter country codes; empty: anywhere.
    pub countries: Vec<String>,
    /// Of 100.
    pub min_reputation: u32,
    /// A query as the market page takes it, for all else: `gpu=rtx_4090 vram>=24 country notin [us] price<=0.9/h`.
    /// Where it is given, it chooses the class too, unless `resources.class` is `gpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            nodes: 1,
            network: false,
            countries: Vec::new(),
            min_reputation: 0,
            filter: None,
        }
    }
}

impl JobSpec {
    pub fn duration(&self) -> Seconds {
        Seconds::new(self.limits.duration_seconds)
    }

    /// The member's place in the network of the job's nodes, where there is one: alone there is nobody to reach.
    pub fn mesh(&self, member: u32) -> Option<Mesh> {
        let members = self.placement.nodes;
        (self.placement.network && members > 1).then_some(Mesh { member, members })
    }

    /// The limit price; `None` when there is none (or it cannot be read, which [`JobSpec::problems`] reports).
    pub fn max_price(&self) -> Option<PricePerSecond> {
        let text = self.limits.max_price_per_hour.as_deref()?;
        PricePerSecond::from_per_hour(Amount::parse_io(text).ok()?).ok()
    }

    /// Everything that is wrong with it, one message a field; empty when it can be run.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut check = Check(Vec::new());
        self.check_command(&mut check);
        self.check_env(&mut check);
        self.check_files(&mut check);
        self.check_resources(&mut check);
        self.check_limits(&mut check);
        self.check_ports(&mut check);
        self.check_secrets(&mut check);
        if let Some(recompute) = &self.recompute {
            check.0.extend(recompute.problems());
            check.that(
                recompute.percent == 0 || self.secrets.is_empty() && self.ports.is_empty(),
                "recompute",
                "a job with secrets or ports is not computed again by strangers: leave one of them out",
            );
            check.that(
                !self.env.contains_key(&recompute.variable),
                "recompute.variable",
                "a variable of the same name stands in env",
            );
        }
        check.0
    }

    fn check_command(&self, check: &mut Check) {
        let name = self.name.trim();
        check.that(!name.is_empty(), "name", "give the job a name");
        check.that(
            self.name.chars().count() <= NAME_MAX && !self.name.chars().any(char::is_control),
            "name",
            "at most 80 characters on one line",
        );
        if let Some(Err(why)) = self.image.as_deref().map(ImageName::parse) {
            check.that(false, "image", why);
        }
        check.that(
            self.command
                .first()
                .map_or(self.image.is_some(), |program| !program.is_empty()),
            "command",
            "name the program to run, for example [\"python3\", \"train.py\"]",
        );
        check.that(
            self.command.len() <= ARGS_MAX,
            "command",
            "at most 256 arguments",
        );
        for (i, arg) in self.command.iter().enumerate() {
            check.that(
                arg.len() <= ARG_BYTES_MAX && !arg.contains('\0'),
                &format!("command[{i}]"),
                "at most 16 KiB and no zero byte",
            );
        }
        let bytes = self
            .command
            .iter()
            .map(String::len)
            .fold(0, usize::saturating_add);
        check.that(
            bytes <= COMMAND_BYTES_MAX,
            "command",
            "at most 64 KiB together",
        );
        check.that(
            self.metrics.len() <= METRICS_MAX,
            "metrics",
            "at most 16 metrics",
        );
        for (i, metric) in self.metrics.iter().enumerate() {
            let plain = !metric.is_empty()
                && metric.len() <= 40
                && metric
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'));
            check.that(
                plain,
                &format!("metrics[{i}]"),
                "letters, digits and _ - . / only, at most 40",
            );
        }
    }

    fn check_env(&self, check: &mut Check) {
        check.that(self.env.len() <= ENV_MAX, "env", "at most 128 variables");
        for (name, value) in &self.env {
            let field = format!("env.{name}");
            check.that(
                is_variable(name),
                &field,
                "a variable's name has letters, digits and _ only",
            );
            check.that(
                !name.starts_with("IOG_"),
                &field,
                "names that begin with IOG_ are set by the worker",
            );
            check.that(!is_preload(name), &field, "this variable cannot be set");
            check.that(
                value.len() <= ARG_BYTES_MAX && !value.contains('\0'),
                &field,
                "at most 16 KiB and no zero byte",
            );
        }
    }

    fn check_files(&self, check: &mut Check) {
        check.that(
            self.files.len() <= FILES_MAX,
            "files",
            "at most 64 inline files; upload a bundle for more",
        );
        let bytes = self
            .files
            .iter()
            .map(|file| file.content.len())
            .fold(0, usize::saturating_add);
        check.that(
            bytes <= FILES_BYTES_MAX,
            "files",
            "at most 256 KiB together; upload a bundle for more",
        );
        let mut seen = BTreeSet::new();
        for (i, file) in self.files.iter().enumerate() {
            let field = format!("files[{i}].path");
            check.that(
                is_inner_path(&file.path),
                &field,
                "a relative path inside the working directory, at most 255 bytes",
            );
            check.that(seen.insert(&file.path), &field, "two files have this path");
        }
        if let Some(hash) = &self.bundle {
            check.that(
                is_sha256(hash),
                "bundle",
                "64 hexadecimal digits, as POST /api/v1/bundles answers",
            );
        }
    }

    fn check_secrets(&self, check: &mut Check) {
        check.that(
            self.secrets.len() <= SECRETS_MAX,
            "secrets",
            "at most 32 secrets",
        );
        let mut seen = BTreeSet::new();
        for (i, name) in self.secrets.iter().enumerate() {
            let field = format!("secrets[{i}]");
            check.that(is_secret_name(name), &field, SECRET_NAME);
            check.that(seen.insert(name), &field, "this secret is there twice");
            check.that(
                !self.env.contains_key(name),
                &field,
                "a variable of the same name stands in env",
            );
        }
    }

    fn check_ports(&self, check: &mut Check) {
        check.that(self.ports.len() <= PORTS_MAX, "ports", "at most 16 ports");
        let mut seen = BTreeSet::new();
        for (i, port) in self.ports.iter().enumerate() {
            let field = format!("ports[{i}].port");
            // Whoever listens below 1024 needs a right that no job has.
            check.that(
                port.port >= 1_024,
                &field,
                "a whole number from 1024 to 65535",
            );
            check.that(seen.insert(port.port), &field, "this port is there twice");
            let named = port.name.as_deref().is_none_or(|name| {
                let trimmed = name.trim();
                !trimmed.is_empty()
                    && name.chars().count() <= 40
                    && !name.chars().any(char::is_control)
            });
            check.that(
                named,
                &format!("ports[{i}].name"),
                "1 to 40 characters on one line",
            );
            check.that(
                port.health.as_deref().is_none_or(is_health_path),
                &format!("ports[{i}].health"),
                "a path that begins with /, without spaces, at most 200 characters",
            );
        }
        let served = self.ports.iter().filter(|port| port.health.is_some());
        check.that(
            served.count() <= 1,
            "ports",
            "one port at most has `health`: a job is one endpoint",
        );
    }

    /// The port whose requests the members share, where there is one.
    pub fn endpoint(&self) -> Option<&Port> {
        self.ports.iter().find(|port| port.health.is_some())
    }

    fn check_resources(&self, check: &mut Check) {
        let resources = &self.resources;
        check.range(
            "resources.count",
            u64::from(resources.count),
            1,
            u64::from(DEVICES_MAX),
        );
        check.range(
            "placement.nodes",
            u64::from(self.placement.nodes),
            1,
            u64::from(NODES_MAX),
        );
        check.range("resources.cpus", u64::from(resources.cpus), 1, 512);
        check.range(
            "resources.memory_mib",
            resources.memory_mib,
            16,
            4 * 1_024 * 1_024,
        );
        check.range(
            "resources.disk_mib",
            resources.disk_mib,
            1,
            16 * 1_024 * 1_024,
        );
        check.range("resources.pids", u64::from(resources.pids), 1, 32_768);
        check.range(
            "resources.device_memory_mib",
            resources.device_memory_mib,
            0,
            16 * 1_024 * 1_024,
        );
        if let Some(model) = &resources.model {
            check.that(
                !model.trim().is_empty() && model.len() <= 100,
                "resources.model",
                "1 to 100 characters, or leave it out",
            );
        }
    }

    fn check_limits(&self, check: &mut Check) {
        check.range(
            "limits.duration_seconds",
            self.limits.duration_seconds,
            1,
            DURATION_MAX.get(),
        );
        check.range(
            "limits.wait_seconds",
            self.limits.wait_seconds,
            0,
            WAIT_MAX.get(),
        );
        check.range(
            "limits.max_restarts",
            u64::from(self.limits.max_restarts),
            0,
            100,
        );
        if let Some(bound) = self.limits.loss_bound_seconds {
            check.range(
                "limits.loss_bound_seconds",
                bound,
                LOSS_BOUND_MIN.get(),
                DURATION_MAX.get(),
            );
        }
        if let Some(text) = &self.limits.max_price_per_hour {
            match Amount::parse_io(text).and_then(PricePerSecond::from_per_hour) {
                Ok(PricePerSecond::ZERO) => {
                    check.that(
                        false,
                        "limits.max_price_per_hour",
                        "must be above zero, or leave it out for any price",
                    );
                }
                Ok(_) => {}
                Err(error) => check.that(false, "limits.max_price_per_hour", &error.to_string()),
            }
        }
        check.range(
            "placement.min_reputation",
            u64::from(self.placement.min_reputation),
            0,
            100,
        );
        check.that(
            self.placement.countries.len() <= 64,
            "placement.countries",
            "at most 64 countries",
        );
        for (i, country) in self.placement.countries.iter().enumerate() {
            check.that(
                is_country(country),
                &format!("placement.countries[{i}]"),
                "two capital letters, such as CH",
            );
        }
    }
}

struct Check(Vec<FieldProblem>);

impl Check {
    fn that(&mut self, holds: bool, field: &str, message: &str) {
        if !holds {
            self.0.push(FieldProblem::new(field, message));
        }
    }

    fn range(&mut self, field: &str, value: u64, min: u64, max: u64) {
        self.that(
            (min..=max).contains(&value),
            field,
            &format!("a whole number from {min} to {max}"),
        );
    }
}

/// Two capital letters (ISO 3166-1 alpha-2 by form).
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// A path of one line, in visible ASCII.
fn is_health_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 200 && path.bytes().all(|b| b.is_ascii_graphic())
}

pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a secret may be called; it is a variable that the worker and the loader leave alone.
pub const SECRET_NAME: &str =
    "letters, digits and _ only, not a digit first, not IOG_ nor LD_ first, at most 128";

pub fn is_secret_name(name: &str) -> bool {
    is_variable(name) && !name.starts_with("IOG_") && !name.starts_with("LD_")
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_preload(name: &str) -> bool {
    matches!(name, "LD_PRELOAD" | "LD_LIBRARY_PATH" | "LD_AUDIT")
}

/// Relative, without `..`, without a leading slash or an empty part: it cannot leave the directory it is put in.
pub fn is_inner_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 255
        && !path.contains(['\0', '\\', '\n', '\r'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Reads a specification written as TOML (`job.toml`).
///
/// # Errors
/// One [`FieldProblem`] that names the place, or all that [`JobSpec::problems`] finds.
#[cfg(not(target_arch = "wasm32"))]
pub fn from_toml(text: &str) -> Result<JobSpec, Vec<FieldProblem>> {
    let spec: JobSpec = toml::from_str(text).map_err(|error| {
        vec![FieldProblem::new(
            "job.toml",
            error.to_string().trim().to_owned(),
        )]
    })?;
    let problems = spec.problems();
    if problems.is_empty() {
        Ok(spec)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JobSpec {
        from_toml("name = 'x'\ncommand = ['true']").expect("valid")
    }

    fn fields(change: impl FnOnce(&mut JobSpec)) -> Vec<String> {
        let mut spec = spec();
        change(&mut spec);
        spec.problems()
            .into_iter()
            .map(|problem| problem.field)
            .collect()
    }

    #[test]
    fn the_shortest_specification_has_sane_defaults() {
        let spec = spec();
        assert_eq!(spec.resources.class, DeviceClass::Cpu);
        assert_eq!(spec.duration(), Seconds::HOUR);
        assert_eq!(spec.max_price(), None);
    }

    #[test]
    fn each_bad_field_is_named() {
        assert_eq!(fields(|s| s.name = " ".into()), ["name"]);
        assert_eq!(fields(|s| s.command.clear()), ["command"]);
        assert_eq!(fields(|s| s.command.push("a\0b".into())), ["command[1]"]);
        assert_eq!(
            fields(|s| {
                s.env.insert("IOG_X".into(), String::new());
            }),
            ["env.IOG_X"]
        );
        assert_eq!(
            fields(|s| {
                s.env.insert("LD_PRELOAD".into(), "x".into());
            }),
            ["env.LD_PRELOAD"]
        );
        assert_eq!(fields(|s| s.bundle = Some("ABC".into())), ["bundle"]);
        assert_eq!(fields(|s| s.image = Some("Not/AName".into())), ["image"]);
        assert_eq!(
            fields(|s| s.resources.memory_mib = 0),
            ["resources.memory_mib"]
        );
        assert_eq!(
            fields(|s| s.limits.duration_seconds = 0),
            ["limits.duration_seconds"]
        );
        for wrong in [0, 59, DURATION_MAX.get() + 1] {
            assert_eq!(
                fields(|s| s.limits.loss_bound_seconds = Some(wrong)),
                ["limits.loss_bound_seconds"]
            );
        }
        assert!(fields(|s| s.limits.loss_bound_seconds = Some(60)).is_empty());
        assert_eq!(
            fields(|s| s.limits.max_price_per_hour = Some("free".into())),
            ["limits.max_price_per_hour"]
        );
        assert_eq!(
            fields(|s| s.limits.max_price_per_hour = Some("0".into())),
            ["limits.max_price_per_hour"]
        );
        assert_eq!(
            fields(|s| s.placement.countries.push("ch".into())),
            ["placement.countries[0]"]
        );
        assert_eq!(fields(|s| s.metrics.push("a b".into())), ["metrics[0]"]);
    }

    #[test]
    fn an_image_may_say_itself_what_it_runs() {
        let spec = from_toml("name = 'x'\nimage = 'busybox:1'").expect("valid");
        assert!(spec.command.is_empty());
        assert!(from_toml("name = 'x'").is_err());
        assert!(from_toml("name = 'x'\nimage = 'busybox'\ncommand = ['']").is_err());
    }

    #[test]
    fn no_path_leaves_its_directory() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/.",
            "a\\b",
            "a\0",
        ] {
            assert!(!is_inner_path(bad), "{bad:?}");
        }
        for good in ["a", "a/b.py", ".hidden", "a..b"] {
            assert!(is_inner_path(good), "{good:?}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let error = from_toml("name = 'x'\ncommand = ['true']\ngpus = 3").expect_err("unknown");
        assert!(error[0].message.contains("gpus"), "{error:?}");
    }
}
