//! What runs a job: one door, whoever stands behind it. An executor is given an OCI runtime specification and the terms
//! of the lease, and answers with streams, orders and events. It keeps the terms itself, whatever becomes of the agent.

use std::path::PathBuf;

use futures::future::BoxFuture;
use oci_spec::runtime::Spec;
use protocol::mesh::Mesh;

use crate::runtime::{self, Told};
use crate::sandbox::{Prepared, Running, Sandbox, SandboxError, StartJob};

/// One job.
#[derive(Debug, Clone)]
pub struct Work {
    pub spec: Spec,
    pub inputs: Inputs,
    pub terms: Terms,
    /// The network of the job's machines that it joins.
    pub mesh: Option<Mesh>,
    /// UUIDs of the NVIDIA cards among its devices, for executors that are given cards by name and not by their nodes.
    pub cards: Vec<String>,
    /// Which job this is, for people who look at what runs.
    pub labels: Vec<(String, String)>,
}

impl Work {
    /// What the specification says, if it lends what this worker does.
    pub(crate) fn told(&self, lent: &[(PathBuf, PathBuf)]) -> Result<Told, SandboxError> {
        let told = runtime::read(&self.spec).map_err(SandboxError::Make)?;
        if runtime::lent(&self.spec) != lent {
            let why = "the specification lends other directories than this worker does";
            return Err(SandboxError::Make(why.to_owned()));
        }
        Ok(told)
    }

    /// As a helper is given it.
    pub(crate) fn job(self, told: Told) -> StartJob {
        let (inputs, terms) = (self.inputs, self.terms);
        let limits = told.limits();
        StartJob {
            command: told.command,
            cwd: Some(told.cwd).filter(|cwd| cwd != "/job"),
            env: told.env,
            files: inputs.files,
            bundle: inputs.bundle,
            checkpoint: inputs.checkpoint,
            limits,
            lease_until_ms: terms.lease_until_ms,
            funded_ms: terms.funded_ms,
            time_limit_ms: terms.time_limit_ms,
            stop_grace_ms: terms.stop_grace_ms,
            artefacts: terms.artefacts,
            artefacts_max_bytes: terms.artefacts_max_bytes,
        }
    }
}

/// What lies in the job's directory when it starts.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Small files, written into /job: (relative path, content).
    pub files: Vec<(String, String)>,
    /// A verified tar, unpacked into /job.
    pub bundle: Option<PathBuf>,
    /// A tar of what the job left when it last ran, unpacked into /job/out.
    pub checkpoint: Option<PathBuf>,
}

/// For how long it may run, and where what it leaves goes.
#[derive(Debug, Clone)]
pub struct Terms {
    /// `CLOCK_BOOTTIME`, milliseconds: frozen one second before, killed at it.
    pub lease_until_ms: u64,
    pub funded_ms: Option<u64>,
    pub time_limit_ms: Option<u64>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace_ms: u64,
    /// A tar of /job/out is written here.
    pub artefacts: PathBuf,
    pub artefacts_max_bytes: u64,
}

pub trait Executor: std::fmt::Debug + Send + Sync {
    /// What can be made before a job is known; `None` where that saves nothing.
    fn spare(&self) -> BoxFuture<'_, Result<Option<Prepared>, SandboxError>>;

    /// Whether such a job can use what was made before.
    fn takes_spare(&self, work: &Work) -> bool;

    /// Starts it. That the process runs, and how it ends, is told through [`Running::events`].
    fn start(
        &self,
        work: Work,
        spare: Option<Prepared>,
    ) -> BoxFuture<'_, Result<Running, SandboxError>>;
}

impl Executor for Sandbox {
    fn spare(&self) -> BoxFuture<'_, Result<Option<Prepared>, SandboxError>> {
        Box::pin(async { self.prepare().await.map(Some) })
    }

    fn takes_spare(&self, work: &Work) -> bool {
        work.mesh.is_none()
            && runtime::read(&work.spec)
                .is_ok_and(|told| told.image.is_none() && told.device_nodes.is_empty())
    }

    fn start(
        &self,
        work: Work,
        spare: Option<Prepared>,
    ) -> BoxFuture<'_, Result<Running, SandboxError>> {
        Box::pin(async move {
            let told = work.told(self.lent())?;
            let (nodes, image, mesh) = (told.device_nodes.clone(), told.image.clone(), work.mesh);
            let job = work.job(told);
            if let Some(spare) = spare {
                match spare.start(job.clone()).await {
                    Ok(running) => return Ok(running),
                    Err(error) => {
                        tracing::warn!(%error, "the prepared sandbox is gone; making another");
                    }
                }
            }
            self.prepare_with(&nodes, image.as_deref(), mesh)
                .await?
                .start(job)
                .await
        })
    }
}
