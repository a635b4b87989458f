//! What may stand in a specification: each field's bounds, and the sentence for whoever breaks them.

use std::collections::BTreeSet;

use kernel::{Amount, PricePerSecond};

use super::{
    ARG_BYTES_MAX, ARGS_MAX, COMMAND_BYTES_MAX, DEVICES_MAX, DURATION_MAX, ENV_MAX,
    FILES_BYTES_MAX, FILES_MAX, JobSpec, LOSS_BOUND_MIN, METRICS_MAX, NAME_MAX, NODES_MAX,
    PORTS_MAX, SECRETS_MAX, WAIT_MAX,
};
use crate::image::ImageName;
use crate::problem::FieldProblem;

impl JobSpec {
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
        for (i, file) in self.files.iter().enumerate() {
            let inside = format!("{}/", file.path);
            check.that(
                !self
                    .files
                    .iter()
                    .any(|other| other.path.starts_with(&inside)),
                &format!("files[{i}].path"),
                "another file's directory has this path",
            );
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
                "a country's two capital letters, such as CH",
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

/// Two capital letters of a country that there is.
pub fn is_country(text: &str) -> bool {
    text.len() == 2
        && text.bytes().all(|b| b.is_ascii_uppercase())
        && crate::country::known(text).is_some()
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
