//! Carries one assignment out: inputs, sandbox, output, artefacts. One task for each lease; what it sees it tells the
//! agent, and what the agent decides it passes to the sandbox. Dropping the task ends the job at once.
//!
//! Here is a task's way from the assignment to the last upload; `work` has the job as an executor is given it, `talk` what
//! passes between agent and sandbox while it runs, `doors` the ways in, `spare` the sandbox that is kept ready.

mod doors;
mod spare;
mod talk;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kernel::LeaseId;
use protocol::tunnel::Door;
use protocol::worker::{Assignment, Phase, Stream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::early::{self, Sent};
use crate::executor::Executor;
use crate::files::{Failure, Files};
use crate::image::{Image, Images, Progress};
use crate::sandbox::{
    self, FREEZE_BEFORE_MS, Prepared, Report, Running, SandboxError, Usage, boottime_ms,
};

pub use doors::{Exit, Knock, Opened};
pub use spare::Spare;
use talk::{Teller, watch_over};

/// Output kept for an exchange that does not take it; then the job waits in its write call.
pub const OUTPUT_KEPT: usize = 1024 * 1024;
/// A percent of a pull is told at most so often.
const PERCENT_EVERY: Duration = Duration::from_millis(500);
/// A server that restarts meanwhile is waited for.
const SECRETS_WITHIN: Duration = Duration::from_mins(1);

/// What happens to a job.
#[derive(Debug)]
pub enum JobEvent {
    Phase(Phase),
    /// How much of the image is there, of 100.
    Pulled(u8),
    /// A remark for the job's log.
    Note(String),
    Started {
        at_ms: u64,
    },
    Output {
        stream: Stream,
        bytes: Vec<u8>,
    },
    Usage(Usage),
    Frozen {
        at_ms: u64,
    },
    Thawed {
        at_ms: u64,
    },
    /// The process is over since then; packing may follow.
    ProcessEnded {
        at_ms: u64,
    },
    /// The sandbox is over.
    Over(Box<Report>),
    /// It never ran: the job's fault.
    FailedToStart(String),
    /// It never ran: this machine's fault, or its line's.
    Rejected(String),
    /// Output is complete and artefacts are uploaded; remarks for the log.
    Done(Vec<String>),
}

/// What the agent decides about a job.
#[derive(Debug)]
pub enum Order {
    Stop {
        reason: sandbox::StopReason,
        grace_ms: u64,
    },
    Fund {
        ms: u64,
    },
    /// Somebody wants in.
    Open {
        door: Door,
        reply: Knock,
    },
}

/// Names and values. Nothing prints them: no log, no argument, no file of the owner's.
pub type SecretValues = BTreeMap<String, String>;

pub struct JobTask {
    pub assignment: Assignment,
    pub executor: Arc<dyn Executor>,
    /// Made before the job was known.
    pub spare: Option<Prepared>,
    /// Names in /dev of the device; a sandbox with them is made for this job alone.
    pub device_nodes: Vec<String>,
    /// When the specification names any.
    pub secrets: Option<oneshot::Receiver<SecretValues>>,
    /// The owner's directories that jobs may read: where they are, where a job sees them.
    pub lent: Vec<(PathBuf, PathBuf)>,
    pub files: Files,
    /// `None`: this machine's disk takes none, as its log says.
    pub images: Option<Arc<Images>>,
    /// A directory of this lease alone; removed by the agent when the lease is forgotten.
    pub spool: PathBuf,
    /// The lease's end (`CLOCK_BOOTTIME`), as renewed.
    pub lease_until: watch::Receiver<u64>,
    pub orders: mpsc::Receiver<Order>,
    pub events: mpsc::Sender<(LeaseId, JobEvent)>,
    pub log_room: Arc<Semaphore>,
}

impl JobTask {
    pub async fn run(mut self) {
        // Kept in the cache as long as the job runs.
        let (running, _image) = match self.start().await {
            Ok(started) => started,
            Err(event) => {
                self.tell(event).await;
                return;
            }
        };
        let artefacts = self.spool.join("artefacts.tar");
        let Running {
            stdout,
            stderr,
            control,
            events,
        } = running;
        let teller = Teller {
            lease: self.assignment.lease,
            events: self.events.clone(),
            room: Arc::clone(&self.log_room),
        };
        let (lease, files, spool) = (
            self.assignment.lease,
            self.files.clone(),
            self.spool.clone(),
        );
        let (wishes, own) = mpsc::channel(1);
        let mut sent = Sent::new();
        let over = async {
            let (report, (), ()) = tokio::join!(
                watch_over(&mut self, control, events, own),
                teller.read(stdout, Stream::Stdout),
                teller.read(stderr, Stream::Stderr),
            );
            report
        };
        let report = tokio::select! {
            report = over => report,
            never = early::send(&files, lease, &spool, wishes, &mut sent) => match never {},
        };
        let mut remarks = Vec::new();
        if let Some(report) = report {
            if report.artefacts.left_out > 0 {
                remarks.push(format!(
                    "At least {} entries in $IOG_OUTPUT were not kept: too large together, not files, or they could not be packed.",
                    report.artefacts.left_out
                ));
            }
            if report.artefacts.files > 0 {
                self.tell(JobEvent::Phase(Phase::Uploading)).await;
                remarks.extend(files.upload(lease, &artefacts, &mut sent).await);
            }
        }
        self.tell(JobEvent::Done(remarks)).await;
    }

    async fn tell(&self, event: JobEvent) {
        // The agent is there as long as this task: it owns it.
        let _ = self.events.send((self.assignment.lease, event)).await;
    }

    /// Fetches, pulls, isolates, starts.
    async fn start(&mut self) -> Result<(Running, Option<Image>), JobEvent> {
        let bundle = match &self.assignment.spec.bundle {
            Some(hash) => {
                self.tell(JobEvent::Phase(Phase::Fetching)).await;
                let to = self.spool.join("bundle.tar");
                std::fs::create_dir_all(&self.spool)
                    .map_err(|error| JobEvent::Rejected(format!("the worker's disk: {error}")))?;
                self.files.fetch(hash, &to).await.map_err(|failure| {
                    let why = format!("the bundle could not be fetched: {failure}");
                    match failure {
                        Failure::Wrong(_) => JobEvent::FailedToStart(why),
                        Failure::Refused(_) | Failure::Again(_) => JobEvent::Rejected(why),
                    }
                })?;
                Some(to)
            }
            None => None,
        };
        let checkpoint = self.fetch_checkpoint().await?;
        let image = self.pull().await?;
        let secrets = self.await_secrets().await?;
        self.lease_holds().await;
        let work = self.work(bundle, checkpoint, image.as_ref(), secrets)?;
        let spare = self.spare.take_if(|_| self.executor.takes_spare(&work));
        if spare.is_none() {
            self.tell(JobEvent::Phase(Phase::Isolating)).await;
        }
        let running = self
            .executor
            .start(work, spare)
            .await
            .map_err(|error: SandboxError| JobEvent::Rejected(error.to_string()))?;
        Ok((running, image))
    }

    /// The image, when the job runs in one; tells how far it is.
    async fn pull(&self) -> Result<Option<Image>, JobEvent> {
        let Some(name) = &self.assignment.spec.image else {
            return Ok(None);
        };
        let Some(images) = &self.images else {
            return Err(JobEvent::Rejected(
                "this machine's disk keeps no images".to_owned(),
            ));
        };
        self.tell(JobEvent::Phase(Phase::Pulling)).await;
        let progress = Arc::new(Progress::default());
        let pulling = images.pull(name, &progress);
        tokio::pin!(pulling);
        let mut told = 0;
        let mut tick = tokio::time::interval(PERCENT_EVERY);
        let pulled = loop {
            tokio::select! {
                pulled = &mut pulling => break pulled,
                _ = tick.tick() => {
                    let percent = progress.percent();
                    if percent > told {
                        told = percent;
                        self.tell(JobEvent::Pulled(percent)).await;
                    }
                }
            }
        };
        match pulled {
            Ok(image) => {
                self.tell(JobEvent::Note(image.remark.clone())).await;
                Ok(Some(image))
            }
            Err(error) => {
                let why = format!("the image {name} could not be pulled: {error}");
                Err(if error.is_the_jobs_fault() {
                    JobEvent::FailedToStart(why)
                } else {
                    JobEvent::Rejected(why)
                })
            }
        }
    }

    /// What the job left when it last ran, as a tar. `None`: nothing.
    async fn fetch_checkpoint(&self) -> Result<Option<PathBuf>, JobEvent> {
        let files = &self.assignment.checkpoint;
        if files.is_empty() {
            return Ok(None);
        }
        self.tell(JobEvent::Phase(Phase::Fetching)).await;
        std::fs::create_dir_all(&self.spool)
            .map_err(|error| JobEvent::Rejected(format!("the worker's disk: {error}")))?;
        let to = self.spool.join("checkpoint.tar");
        let lease = self.assignment.lease;
        let fetched = self.files.fetch_checkpoint(lease, files, &to).await;
        fetched.map_err(|failure| {
            JobEvent::Rejected(format!("its checkpoint could not be fetched: {failure}"))
        })?;
        Ok(Some(to))
    }

    /// What the specification names, all of it.
    async fn await_secrets(&mut self) -> Result<SecretValues, JobEvent> {
        let Some(come) = self.secrets.take() else {
            return Ok(SecretValues::new());
        };
        let missing = || JobEvent::Rejected("its secrets did not come".to_owned());
        let values = tokio::time::timeout(SECRETS_WITHIN, come).await;
        let values = values.map_err(|_| missing())?.map_err(|_| missing())?;
        let mut names = self.assignment.spec.secrets.iter();
        match names.find(|name| !values.contains_key(*name)) {
            None => Ok(values),
            Some(name) => Err(JobEvent::FailedToStart(format!(
                "the secret {name} was deleted before the job started"
            ))),
        }
    }

    /// An assignment may have waited in a socket while this process was stopped: nothing starts before the exchange
    /// is known to hold the lease still.
    async fn lease_holds(&mut self) {
        let _ = self
            .lease_until
            .wait_for(|until| *until > boottime_ms() + FREEZE_BEFORE_MS + 500)
            .await;
    }
}
