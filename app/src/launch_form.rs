//! The launch form as text fields, and how they become a job's specification. The same code answers a post without
//! JavaScript on the server and asks for a quote while somebody types in the browser. How one field's text is read and
//! written is in [`text`].

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use kernel::{DeviceId, QuoteId};
use protocol::spec::{
    DURATION_MAX, DeviceClass, InlineFile, JobSpec, Limits, Placement, Resources,
};
use protocol::{Code, FieldProblem, Problem};
use serde::{Deserialize, Serialize};

use text::{Reader, list, optional, ports_text};
pub use text::{join_command, split_command};

/// Each field is what stands in the input of that name; an input that is missing is an empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LaunchForm {
    pub name: String,
    /// A container image; empty for the machine's own programs.
    pub image: String,
    /// One line as in a shell, without a shell: words and quotes.
    pub command: String,
    /// `NAME=value` lines.
    pub env: String,
    pub file_path: String,
    pub file_content: String,
    /// Names, separated by commas or spaces.
    pub metrics: String,
    /// `8888`, `8000 public name="OpenAI format" health=/health`, one after the other.
    pub ports: String,
    /// Names, separated by commas or spaces.
    pub secrets: String,
    pub class: String,
    pub model: String,
    pub cpus: String,
    pub memory_mib: String,
    pub disk_mib: String,
    pub pids: String,
    pub minutes: String,
    /// IO per hour; empty for any price.
    pub max_price: String,
    pub min_reputation: String,
    /// Two-letter codes; empty for anywhere.
    pub countries: String,
    pub restarts: String,
    /// Minutes to wait for an offer; empty or 0: not at all.
    pub wait: String,
    /// Minutes of delivered work that a lost machine may cost; empty: no bound.
    pub loss_bound: String,
    /// A query of the market, for all else.
    pub filter: String,
    /// Devices on each node, and nodes; empty for one.
    pub count: String,
    pub nodes: String,
    /// How near the nodes are to each other: `group`, `country`, `region`; empty for anywhere.
    pub near: String,
    /// `owner`: each node of another owner.
    pub spread: String,
    /// `1`: the nodes reach each other.
    pub network: String,
    /// A held quote whose price the job is to have; empty for the price of the moment.
    pub quote: String,
    /// A device chosen on the market; empty for the cheapest that fits.
    pub device: String,
    /// Makes a form that is sent twice one job.
    pub request: String,
}

/// Where the specification's fields stand in the form.
pub const FIELDS: [(&str, &str); 24] = [
    ("name", "name"),
    ("image", "image"),
    ("command", "command"),
    ("env", "env"),
    ("files", "file_path"),
    ("metrics", "metrics"),
    ("ports", "ports"),
    ("secrets", "secrets"),
    ("resources.class", "class"),
    ("resources.model", "model"),
    ("resources.cpus", "cpus"),
    ("resources.memory_mib", "memory_mib"),
    ("resources.disk_mib", "disk_mib"),
    ("resources.pids", "pids"),
    ("limits.duration_seconds", "minutes"),
    ("limits.max_price_per_hour", "max_price"),
    ("limits.max_restarts", "restarts"),
    ("placement.min_reputation", "min_reputation"),
    ("placement.countries", "countries"),
    ("placement.filter", "filter"),
    ("limits.wait_seconds", "wait"),
    ("limits.loss_bound_seconds", "loss_bound"),
    ("resources.count", "count"),
    ("placement.nodes", "nodes"),
];

impl LaunchForm {
    /// The form that shows this specification.
    pub fn of(spec: &JobSpec) -> Self {
        let file = spec.files.first();
        let env = spec
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        Self {
            name: spec.name.clone(),
            image: spec.image.clone().unwrap_or_default(),
            command: join_command(&spec.command),
            env: env.collect::<Vec<_>>().join("\n"),
            file_path: file.map(|file| file.path.clone()).unwrap_or_default(),
            file_content: file.map(|file| file.content.clone()).unwrap_or_default(),
            metrics: spec.metrics.join(", "),
            ports: ports_text(&spec.ports),
            secrets: spec.secrets.join(", "),
            class: spec.resources.class.as_str().to_owned(),
            model: spec.resources.model.clone().unwrap_or_default(),
            cpus: spec.resources.cpus.to_string(),
            memory_mib: spec.resources.memory_mib.to_string(),
            disk_mib: spec.resources.disk_mib.to_string(),
            pids: spec.resources.pids.to_string(),
            minutes: spec.limits.duration_seconds.div_ceil(60).to_string(),
            max_price: spec.limits.max_price_per_hour.clone().unwrap_or_default(),
            min_reputation: spec.placement.min_reputation.to_string(),
            countries: spec.placement.countries.join(", "),
            restarts: spec.limits.max_restarts.to_string(),
            filter: spec.placement.filter.clone().unwrap_or_default(),
            wait: spec.limits.wait_seconds.div_ceil(60).to_string(),
            loss_bound: spec
                .limits
                .loss_bound_seconds
                .map(|seconds| seconds.div_ceil(60).to_string())
                .unwrap_or_default(),
            count: spec.resources.count.to_string(),
            nodes: spec.placement.nodes.to_string(),
            near: String::new(),
            spread: String::new(),
            network: if spec.placement.network { "1" } else { "" }.to_owned(),
            quote: String::new(),
            device: String::new(),
            request: String::new(),
        }
    }

    /// The query, with what its own fields say of where the nodes stand.
    fn query(&self) -> Option<String> {
        let placed = [("near", &self.near), ("spread", &self.spread)];
        let placed = placed
            .into_iter()
            .map(|(name, value)| (name, value.trim()))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={value}"));
        let own = optional(&self.filter);
        let mut parts: Vec<String> = own.clone().into_iter().collect();
        parts.extend(placed);
        // A query chooses the class itself; where nobody wrote one, the form's class counts.
        if own.is_none() && !parts.is_empty() {
            parts.insert(0, format!("class={}", self.class.trim()));
        }
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// Whether it would wait for an offer.
    pub fn waits(&self) -> bool {
        self.wait
            .trim()
            .parse::<u64>()
            .is_ok_and(|minutes| minutes > 0)
    }

    /// # Errors
    /// Every field that cannot be read or that the specification refuses, with a message each.
    pub fn spec(&self) -> Result<JobSpec, Problem> {
        let mut read = Reader(Vec::new());
        let command = split_command(&self.command).unwrap_or_else(|message| {
            read.0.push(FieldProblem::new("command", message));
            Vec::new()
        });
        let class = DeviceClass::parse(self.class.trim()).unwrap_or_else(|| {
            read.0
                .push(FieldProblem::new("resources.class", "GPU or CPU"));
            DeviceClass::default()
        });
        let files = optional(&self.file_path).map(|path| {
            // A browser posts lines with CR LF; a script wants LF.
            InlineFile {
                path,
                content: self.file_content.replace("\r\n", "\n"),
            }
        });
        if files.is_none() && !self.file_content.trim().is_empty() {
            read.0.push(FieldProblem::new(
                "files",
                "give the file a name, for example train.py",
            ));
        }
        let usual = Resources::default();
        let limits = Limits::default();
        let minutes = read.number(&self.minutes, "limits.duration_seconds", 60_u64);
        // In the unit of the field, before the specification says it in seconds.
        let longest = DURATION_MAX.get() / 60;
        if !(1..=longest).contains(&minutes) {
            let message = format!("a whole number of minutes from 1 to {longest}");
            read.0
                .push(FieldProblem::new("limits.duration_seconds", message));
        }
        let spec = JobSpec {
            name: self.name.trim().to_owned(),
            image: optional(&self.image),
            command,
            env: read.env(&self.env),
            files: files.into_iter().collect(),
            bundle: None,
            resources: Resources {
                class,
                count: read.number(&self.count, "resources.count", usual.count),
                model: optional(&self.model),
                device_memory_mib: 0,
                cpus: read.number(&self.cpus, "resources.cpus", usual.cpus),
                memory_mib: read.number(&self.memory_mib, "resources.memory_mib", usual.memory_mib),
                disk_mib: read.number(&self.disk_mib, "resources.disk_mib", usual.disk_mib),
                pids: read.number(&self.pids, "resources.pids", usual.pids),
            },
            limits: Limits {
                duration_seconds: minutes.saturating_mul(60),
                max_price_per_hour: optional(&self.max_price),
                max_restarts: read.number(
                    &self.restarts,
                    "limits.max_restarts",
                    limits.max_restarts,
                ),
                loss_bound_seconds: optional(&self.loss_bound).map(|minutes| {
                    read.number(&minutes, "limits.loss_bound_seconds", 0_u64)
                        .saturating_mul(60)
                }),
                wait_seconds: read
                    .number(&self.wait, "limits.wait_seconds", 0_u64)
                    .saturating_mul(60),
            },
            placement: Placement {
                countries: list(&self.countries)
                    .into_iter()
                    .map(|code| code.to_uppercase())
                    .collect(),
                min_reputation: read.number(&self.min_reputation, "placement.min_reputation", 0),
                filter: self.query(),
                nodes: read.number(&self.nodes, "placement.nodes", 1),
                network: self.network == "1",
            },
            metrics: list(&self.metrics),
            ports: read.ports(&self.ports),
            secrets: list(&self.secrets),
            recompute: None,
        };
        let mut problems = read.0;
        for problem in spec.problems() {
            // The reason why a text could not be read says more than what its replacement lacks.
            if !problems.iter().any(|known| known.field == problem.field) {
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            Ok(spec)
        } else {
            Err(Problem::new(Code::Invalid, "Some fields need a change.").with_fields(problems))
        }
    }

    /// Each field by its name.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let value = serde_json::to_value(self).ok();
        value
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default()
    }

    /// # Errors
    /// When it is not an id.
    pub fn quote(&self) -> Result<Option<QuoteId>, Problem> {
        let text = self.quote.trim();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| Problem::field("quote", "ask for a new quote"))
    }

    /// # Errors
    /// When the chosen device is not an id.
    pub fn device(&self) -> Result<Option<DeviceId>, Problem> {
        let text = self.device.trim();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| Problem::field("device", "choose a device on the market again"))
    }
}
