//! The job as an executor is given it: command, environment, limits, inputs, terms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::worker::Assignment;

use super::{JobEvent, JobTask, SecretValues};
use crate::executor::{Inputs, Terms, Work};
use crate::image::{Image, ImageConfig};
use crate::runtime::{self, Ask};
use crate::sandbox::JobLimits;

const MIB: u64 = 1024 * 1024;
/// All artefacts of a job together.
const ARTEFACTS_BYTES_MAX: u64 = protocol::spec::BUNDLE_BYTES_MAX;
/// SIGTERM to SIGKILL, when a limit of the job's own is reached.
const STOP_GRACE_MS: u64 = 10_000;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl JobTask {
    /// The job as an executor is given it.
    pub(super) fn work(
        &self,
        bundle: Option<PathBuf>,
        checkpoint: Option<PathBuf>,
        image: Option<&Image>,
        secrets: SecretValues,
    ) -> Result<Work, JobEvent> {
        let assignment = &self.assignment;
        let spec = &assignment.spec;
        let config = image.map(|image| &image.config);
        let command = match config {
            Some(config) if spec.command.is_empty() => config.command(),
            _ => spec.command.clone(),
        };
        if command.is_empty() {
            return Err(JobEvent::FailedToStart(
                "neither the job nor its image says what to run".to_owned(),
            ));
        }
        // A job with inputs starts where they lie.
        let has_inputs = bundle.is_some() || checkpoint.is_some() || !spec.files.is_empty();
        let cwd = config
            .filter(|_| !has_inputs)
            .and_then(|config| config.working_dir.as_deref());
        let mut env = environment(assignment, config);
        env.extend(secrets);
        let described = runtime::describe(&Ask {
            command: &command,
            cwd,
            env: &env,
            image: image.map(|image| image.root.as_path()),
            device_nodes: &self.device_nodes,
            lent: &self.lent,
            limits: JobLimits {
                memory_bytes: spec.resources.memory_mib.saturating_mul(MIB),
                disk_bytes: spec.resources.disk_mib.saturating_mul(MIB),
                cpu_millis: u64::from(spec.resources.cpus).saturating_mul(1_000),
                pids: u64::from(spec.resources.pids),
            },
        });
        let uuids = assignment.device_uuids();
        let is_nvidia = |uuid: &&str| uuid.starts_with("GPU-") || uuid.starts_with("MIG-");
        Ok(Work {
            cards: uuids.filter(is_nvidia).map(str::to_owned).collect(),
            labels: vec![
                ("iog.job".to_owned(), assignment.job.to_string()),
                ("iog.lease".to_owned(), assignment.lease.to_string()),
                ("iog.epoch".to_owned(), assignment.epoch.get().to_string()),
            ],
            spec: described.map_err(JobEvent::FailedToStart)?,
            inputs: Inputs {
                files: spec
                    .files
                    .iter()
                    .map(|file| (file.path.clone(), file.content.clone()))
                    .collect(),
                bundle,
                checkpoint,
            },
            terms: Terms {
                lease_until_ms: *self.lease_until.borrow(),
                funded_ms: Some(assignment.funded.get().saturating_mul(1_000)),
                time_limit_ms: Some(spec.limits.duration_seconds.saturating_mul(1_000)),
                stop_grace_ms: STOP_GRACE_MS,
                artefacts: self.spool.join("artefacts.tar"),
                artefacts_max_bytes: ARTEFACTS_BYTES_MAX,
            },
            mesh: spec.mesh(assignment.member),
        })
    }
}

/// Exactly what the image and the specification give, the few that programs cannot do without, and what the job may want
/// to know.
fn environment(assignment: &Assignment, image: Option<&ImageConfig>) -> Vec<(String, String)> {
    let mut env = BTreeMap::from(
        [
            ("PATH", PATH),
            ("HOME", "/job"),
            ("LANG", "C.UTF-8"),
            ("TMPDIR", "/tmp"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    env.extend(image.map(|image| image.env.clone()).unwrap_or_default());
    env.extend(assignment.spec.env.clone());
    // Alone, or without a network of its machines, a job reaches itself.
    let (own, addresses) = assignment.spec.mesh(assignment.member).map_or_else(
        || ("127.0.0.1".to_owned(), "127.0.0.1".to_owned()),
        |mesh| {
            let all: Vec<String> = mesh.addresses().map(|one| one.to_string()).collect();
            (mesh.address().to_string(), all.join(","))
        },
    );
    env.extend(
        [
            ("IOG_JOB", assignment.job.to_string()),
            ("IOG_LEASE", assignment.lease.to_string()),
            ("IOG_EPOCH", assignment.epoch.get().to_string()),
            ("IOG_NODE", assignment.node.to_string()),
            ("IOG_DEVICE", assignment.device_uuid.clone()),
            (
                "IOG_DEVICES",
                assignment.device_uuids().collect::<Vec<_>>().join(","),
            ),
            ("IOG_MEMBER", assignment.member.to_string()),
            ("IOG_MEMBERS", assignment.members.to_string()),
            ("IOG_ADDRESS", own),
            ("IOG_ADDRESSES", addresses),
            ("IOG_CPUS", assignment.spec.resources.cpus.to_string()),
            ("IOG_OUTPUT", "/job/out".to_owned()),
            ("IOG_CHECKPOINT", "/job/out/checkpoint".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    env.into_iter().collect()
}
