//! Jobs in the containers of an engine that the owner chose: Docker, podman, or whoever speaks the same on a unix socket.
//!
//! The engine makes the container; what is in it is ours: its process 1 is this program, which dials its helper through a
//! socket in the container, and from then on all is as in the embedded sandbox (watchdog, ways in, artefacts, measures). What the
//! engine was asked for is looked at from inside and outside before a job is given to it, and refused where it was not kept.
//!
//! Invariant: only containers and images with this node's label are ever stopped or removed.

mod api;
mod body;
mod choice;
mod inside;
mod root;

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    HelperOrder, JobLimits, Options, Prepared, Running, SandboxError, boottime_ms, launch,
};
use crate::executor::{Executor, Work};

pub use api::{About, Api, Refused};
pub use body::{Ask, NODE_LABEL};
pub use choice::{Choice, Kept, is_refused, toolkit_version};
pub(super) use inside::{INSIDE_ARGUMENT, Ours, meet, run as run_inside};

const ROOT_LABEL: &str = "iog.root";
/// A container that was told to go has so long.
const GONE_WITHIN_MS: u64 = 8_000;
const PROGRAM: &str = "worker";

/// Ends and removes one container and waits until it is gone.
async fn remove(api: &Api, id: &str) {
    let until = boottime_ms().saturating_add(GONE_WITHIN_MS);
    while boottime_ms() < until {
        // It may be about to be removed by the engine itself, which then says "in progress".
        let told = api.delete(&format!("/containers/{id}?force=1&v=1")).await;
        if told.is_err_and(|error| error.is_gone()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What one helper is to have an engine make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contained {
    pub name: String,
    pub api: Api,
    pub ask: Ask,
    /// This program, for the container's process 1.
    pub program: PathBuf,
    /// Where helper and process 1 meet.
    pub meet: PathBuf,
}

/// Makes containers.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    api: Api,
    about: About,
    directory: PathBuf,
    count: AtomicU64,
}

/// What of a container differs from job to job.
#[derive(Debug, Default)]
pub struct Wish {
    pub image: Option<PathBuf>,
    pub labels: Vec<(String, String)>,
    pub device_nodes: Vec<String>,
    pub cards: Vec<String>,
    pub limits: JobLimits,
}

impl Wish {
    /// A small one of no job: whether a container can be made at all.
    pub fn trial() -> Self {
        Self {
            limits: JobLimits {
                memory_bytes: 64 << 20,
                disk_bytes: 16 << 20,
                cpu_millis: 1_000,
                pids: 16,
            },
            ..Self::default()
        }
    }
}

impl Engine {
    /// Finds the engine, removes what an earlier worker of this instance left, and makes sure that it can contain a job by
    /// containing nothing. `directory` is the worker's own, and closed to others.
    ///
    /// # Errors
    /// What is missing, one sentence each.
    pub async fn probe(
        options: Options,
        choice: &Choice,
        directory: PathBuf,
    ) -> Result<Self, Vec<String>> {
        let engine = Self::open(options, choice, directory)
            .await
            .map_err(|why| vec![why])?;
        let tried = engine.prepare(Wish::trial()).await;
        tried.map_err(|error| {
            let mut lacks = error.sentences();
            if engine.about.is_crun_on_v1() {
                lacks.push("crun is known to fail where cgroups of version 1 are mounted: install runc and let the engine use it (podman: runtime = \"runc\" in containers.conf)".to_owned());
            }
            lacks
        })?;
        Ok(engine)
    }

    /// Without the trial.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub async fn open(
        options: Options,
        choice: &Choice,
        directory: PathBuf,
    ) -> Result<Self, String> {
        choice::toolkit()?;
        let (api, about) = choice.reach().await?;
        let (containers, _) = choice.clean(&options.instance).await?;
        if containers > 0 {
            tracing::info!(
                containers,
                "removed containers that an earlier worker left behind"
            );
        }
        let say = |error: std::io::Error| format!("{}: {error}", directory.display());
        _ = std::fs::remove_dir_all(&directory);
        let mut private = std::fs::DirBuilder::new();
        private
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(say)?;
        choice.keep(&directory).map_err(say)?;
        // A copy: an update may put another program in this one's place while jobs run.
        let program = directory.join(PROGRAM);
        std::fs::copy(&options.helper, &program).map_err(say)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).map_err(say)?;
        tracing::info!(engine = %about, "jobs run in containers of the owner's engine");
        Ok(Self {
            options,
            api,
            about,
            directory,
            count: AtomicU64::new(0),
        })
    }

    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Makes a container that waits for its job.
    ///
    /// # Errors
    /// [`SandboxError`] naming the step that failed.
    pub async fn prepare(&self, wish: Wish) -> Result<Prepared, SandboxError> {
        let make = |why: &dyn std::fmt::Display| SandboxError::Make(why.to_string());
        let lent: Vec<&Path> = self
            .options
            .lent
            .iter()
            .map(|(_, to)| to.as_path())
            .collect();
        let root = root::of(wish.image.as_deref(), &lent).map_err(|why| make(&why))?;
        let image = self.image_of(&root).await.map_err(|why| make(&why))?;
        let mut mounts = root.mounts;
        mounts.extend(self.options.lent.iter().cloned());
        for path in mounts.iter().flat_map(|(from, to)| [from, to]) {
            body::plain(path).map_err(|why| make(&why))?;
        }
        body::plain(&self.directory).map_err(|why| make(&why))?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let me = rustix::process::getpid().as_raw_nonzero();
        let contained = Contained {
            meet: self.directory.join(format!("{me}-{number}")),
            name: format!("iog-{}-{me}-{number}", self.options.instance),
            api: self.api.clone(),
            ask: Ask {
                node: self.options.instance.clone(),
                labels: wish.labels,
                image,
                mounts,
                device_nodes: wish.device_nodes,
                cards: wish.cards,
                limits: wish.limits,
                podman: self.about.is_podman(),
            },
            program: self.directory.join(PROGRAM),
        };
        launch(
            &self.options.helper,
            &HelperOrder::Engine(Box::new(contained)),
        )
        .await
    }

    /// The engine's id of the image with this root; given to it when it has none yet.
    async fn image_of(&self, root: &root::Root) -> Result<String, Refused> {
        let instance = &self.options.instance;
        let labels = [(NODE_LABEL, instance.as_str()), (ROOT_LABEL, &root.key)];
        let kept = choice::listed(&self.api, "/images/json?", &labels).await?;
        if let Some(id) = kept.into_iter().next() {
            return Ok(id);
        }
        let label = |name: &str, value: &str| api::encoded(&format!("LABEL {name}={value}"));
        let path = format!(
            "/images/create?fromSrc=-&repo=iog-{instance}&tag={}&changes={}&changes={}",
            root.key,
            label(NODE_LABEL, instance),
            label(ROOT_LABEL, &root.key)
        );
        let told = self.api.post_tar(&path, root.tar.clone()).await?;
        let id = told.get("status").and_then(Value::as_str).map(str::trim);
        id.filter(|id| id.starts_with("sha256:"))
            .map(str::to_owned)
            .ok_or_else(|| Refused::Unread("it names no id for the image it was given".to_owned()))
    }
}

impl Executor for Engine {
    fn spare(&self) -> BoxFuture<'_, Result<Option<Prepared>, SandboxError>> {
        // A container has its limits when it is made.
        Box::pin(async { Ok(None) })
    }

    fn takes_spare(&self, _: &Work) -> bool {
        false
    }

    fn start(
        &self,
        work: Work,
        _: Option<Prepared>,
    ) -> BoxFuture<'_, Result<Running, SandboxError>> {
        Box::pin(async move {
            if work.mesh.is_some() {
                let why = "a network of the job's machines is not made in an engine's containers; the worker's own sandbox makes it";
                return Err(SandboxError::Make(why.to_owned()));
            }
            let told = work.told(&self.options.lent)?;
            let wish = Wish {
                image: told.image.clone(),
                labels: work.labels.clone(),
                device_nodes: told.device_nodes.clone(),
                cards: work.cards.clone(),
                limits: told.limits(),
            };
            self.prepare(wish).await?.start(work.job(told)).await
        })
    }
}

/// Removes what a worker that used an engine has left with it; the choice is remembered in `directory`. Answers what was done.
///
/// # Errors
/// The engine does not answer.
pub async fn clean_leftovers(
    instance: &str,
    directory: &Path,
) -> Result<Option<(usize, usize)>, String> {
    match Choice::kept(directory) {
        Kept::Nothing => Ok(None),
        Kept::Unread(why) => Err(why),
        Kept::Choice(choice) => choice.clean(instance).await.map(Some),
    }
}
