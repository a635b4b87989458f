//! Carries one assignment out: inputs, sandbox, output, artefacts. One task for each lease; what it sees it tells the
//! agent, and what the agent decides it passes to the sandbox. Dropping the task ends the job at once.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kernel::LeaseId;
use protocol::tunnel::{Closed, Door};
use protocol::worker::{Assignment, Phase, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::early::{self, Sent};
use crate::executor::{Executor, Inputs, Terms, Work};
use crate::files::{Failure, Files};
use crate::image::{Image, ImageConfig, Images, Progress};
use crate::runtime::{self, Ask};
use crate::sandbox::{
    self, Control, Events, FREEZE_BEFORE_MS, FromHelper, JobLimits, Prepared, Report, Running,
    SandboxError, ToHelper, Usage, boottime_ms,
};

/// Output kept for an exchange that does not take it; then the job waits in its write call.
pub const OUTPUT_KEPT: usize = 1024 * 1024;
/// A percent of a pull is told at most so often.
const PERCENT_EVERY: Duration = Duration::from_millis(500);
const READ_MAX: usize = 16 * 1024;
const MIB: u64 = 1024 * 1024;
/// All artefacts of a job together.
const ARTEFACTS_BYTES_MAX: u64 = protocol::spec::BUNDLE_BYTES_MAX;
/// A server that restarts meanwhile is waited for.
const SECRETS_WITHIN: Duration = Duration::from_mins(1);
/// SIGTERM to SIGKILL, when a limit of the job's own is reached.
pub const STOP_GRACE_MS: u64 = 10_000;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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

/// Code and signal.
pub type Exit = (Option<i32>, Option<i32>);

/// Who waits at a door.
pub type Knock = oneshot::Sender<Result<Opened, (Closed, String)>>;

/// A door that is open.
#[derive(Debug)]
pub struct Opened {
    /// A terminal or a connection; or input, output and errors.
    pub fds: Vec<OwnedFd>,
    /// Of the process behind it, when there is one and it has ended.
    pub exit: oneshot::Receiver<Exit>,
}

/// Those that wait and those that are open, by the number that the sandbox knows them by.
#[derive(Default)]
struct Doors {
    last: u32,
    waiting: BTreeMap<u32, Knock>,
    open: BTreeMap<u32, oneshot::Sender<Exit>>,
}

impl Doors {
    fn knock(&mut self, knock: Knock) -> u32 {
        self.last = self.last.wrapping_add(1);
        // Who waits no more leaves nothing behind.
        self.waiting.retain(|_, knock| !knock.is_closed());
        self.open.retain(|_, exit| !exit.is_closed());
        self.waiting.insert(self.last, knock);
        self.last
    }

    fn opened(&mut self, id: u32, fds: Vec<OwnedFd>) {
        let (told, exit) = oneshot::channel();
        if let Some(knock) = self.waiting.remove(&id)
            && knock.send(Ok(Opened { fds, exit })).is_ok()
        {
            self.open.insert(id, told);
        }
    }

    fn shut(&mut self, id: u32, reason: Closed, why: String) {
        if let Some(knock) = self.waiting.remove(&id) {
            _ = knock.send(Err((reason, why)));
        }
    }

    fn closed(&mut self, id: u32, code: Option<i32>, signal: Option<i32>) {
        if let Some(exit) = self.open.remove(&id) {
            _ = exit.send((code, signal));
        }
    }
}

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

    /// The job as an executor is given it.
    fn work(
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

/// Passes orders and renewals in, and events out, until the sandbox has reported its end.
async fn watch_over(
    task: &mut JobTask,
    mut control: Control,
    mut events: Events,
    mut own: mpsc::Receiver<Order>,
) -> Option<Report> {
    let (mut renewals_open, mut orders_open) = (true, true);
    let mut doors = Doors::default();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(FromHelper::Started { at_ms }) => task.tell(JobEvent::Started { at_ms }).await,
                Some(FromHelper::Sample(usage)) => task.tell(JobEvent::Usage(usage)).await,
                Some(FromHelper::Frozen { at_ms }) => task.tell(JobEvent::Frozen { at_ms }).await,
                Some(FromHelper::Thawed { at_ms }) => task.tell(JobEvent::Thawed { at_ms }).await,
                Some(FromHelper::JobEnded { at_ms }) => task.tell(JobEvent::ProcessEnded { at_ms }).await,
                Some(FromHelper::Ended(report)) => {
                    task.tell(JobEvent::Over(report.clone())).await;
                    tokio::spawn(async move { events.gone().await });
                    return Some(*report);
                }
                Some(FromHelper::DoorOpened { id, fds }) => doors.opened(id, events.take_fds(fds)),
                Some(FromHelper::DoorShut { id, reason, why }) => doors.shut(id, reason, why),
                Some(FromHelper::DoorClosed { id, code, signal }) => doors.closed(id, code, signal),
                Some(FromHelper::Ready) => {}
                Some(FromHelper::Failed { why }) => {
                    task.tell(JobEvent::Over(Box::new(lost_helper(Some(why))))).await;
                    return None;
                }
                None => {
                    task.tell(JobEvent::Over(Box::new(lost_helper(None)))).await;
                    return None;
                }
            },
            changed = task.lease_until.changed(), if renewals_open => {
                renewals_open = changed.is_ok();
                let until_ms = *task.lease_until.borrow_and_update();
                // A helper that is gone says so through its events.
                let _ = control.send(&ToHelper::Lease { until_ms }).await;
            }
            Some(order) = own.recv() => {
                if let Order::Open { door, reply } = order {
                    let id = doors.knock(reply);
                    let _ = control.send(&ToHelper::Open { id, door }).await;
                }
            }
            order = task.orders.recv(), if orders_open => match order {
                Some(Order::Stop { reason, grace_ms }) => { let _ = control.send(&ToHelper::Stop { reason, grace_ms }).await; }
                Some(Order::Fund { ms }) => { let _ = control.send(&ToHelper::Funded { ms }).await; }
                Some(Order::Open { door, reply }) => {
                    let id = doors.knock(reply);
                    let _ = control.send(&ToHelper::Open { id, door }).await;
                }
                None => orders_open = false,
            },
        }
    }
}

/// The helper was killed (and the kernel ended the job with it), or its sandbox died before it had the job.
fn lost_helper(why: Option<String>) -> Report {
    let end = match why {
        Some(why) => sandbox::End::FailedToStart { why },
        None => sandbox::End::Killed {
            reason: sandbox::StopReason::HelperLost,
        },
    };
    Report {
        end,
        exit_code: None,
        ran_ms: 0,
        peak_memory_bytes: 0,
        usage: Usage::default(),
        artefacts: sandbox::Artefacts::default(),
    }
}

struct Teller {
    lease: LeaseId,
    events: mpsc::Sender<(LeaseId, JobEvent)>,
    room: Arc<Semaphore>,
}

impl Teller {
    /// Reads a stream to its end, never faster than there is room to keep it.
    async fn read(&self, mut from: impl AsyncRead + Unpin, stream: Stream) {
        let mut buffer = vec![0; READ_MAX];
        loop {
            let count = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let Some(bytes) = buffer.get(..count) else {
                return;
            };
            let Ok(permits) = self
                .room
                .acquire_many(u32::try_from(count).unwrap_or(u32::MAX))
                .await
            else {
                return;
            };
            // Given back when the exchange has acknowledged the text.
            permits.forget();
            let event = JobEvent::Output {
                stream,
                bytes: bytes.to_vec(),
            };
            if self.events.send((self.lease, event)).await.is_err() {
                return;
            }
        }
    }
}

/// A sandbox that is kept ready for the next job.
#[derive(Debug, Default)]
pub struct Spare {
    ready: Option<Prepared>,
    making: Option<tokio::task::JoinHandle<Result<Option<Prepared>, SandboxError>>>,
}

impl Spare {
    /// Begins to make one, after a moment for the job that was just started to get going.
    pub fn refill(&mut self, executor: &Arc<dyn Executor>, after: Duration) {
        if self.ready.is_some() || self.making.is_some() {
            return;
        }
        let executor = Arc::clone(executor);
        self.making = Some(tokio::spawn(async move {
            tokio::time::sleep(after).await;
            executor.spare().await
        }));
    }

    /// Takes the spare if there is one.
    pub async fn take(&mut self) -> Option<Prepared> {
        if let Some(making) = self.making.take_if(|making| making.is_finished()) {
            match making.await {
                Ok(Ok(prepared)) => self.ready = prepared,
                Ok(Err(error)) => tracing::warn!(%error, "no sandbox can be kept ready"),
                Err(_) => {}
            }
        }
        self.ready.take()
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(making) = &self.making {
            making.abort();
        }
    }
}
