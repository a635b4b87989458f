//! The job's specification: what a requester writes in a form, in JSON or in `job.toml`.
//! The room `check` says what is wrong with one.
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

mod check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use kernel::{Amount, PricePerSecond, Seconds};
use serde::{Deserialize, Serialize};

use crate::mesh::Mesh;
#[cfg(not(target_arch = "wasm32"))]
use crate::problem::FieldProblem;
use crate::recompute::Recompute;

pub use check::{SECRET_NAME, is_country, is_inner_path, is_secret_name, is_sha256};

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
/// A secret's value has so many bytes at most.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;
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
#[serde(
    untagged,
    expecting = "expected a port from 1 to 65535, or its port, name, public and health in { }"
)]
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

    /// The port whose requests the members share, where there is one.
    pub fn endpoint(&self) -> Option<&Port> {
        self.ports.iter().find(|port| port.health.is_some())
    }
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
