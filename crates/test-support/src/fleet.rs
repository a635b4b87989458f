//! Many slots in few processes: spoken workers with many devices each, which live in tasks of their own, take what they
//! are given, and bear witness of what runs where.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::{JobId, LeaseId};
use protocol::state::RunEnd;
use protocol::view::JoinTokenView;
use protocol::worker::{Assignment, LeaseBeat, LeaseClaim, ToWorker};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::account::Account;
use crate::app::TestApp;
use crate::fake::{Chain, FakeWorker};

const BEAT: Duration = Duration::from_secs(1);
/// An end that is not heard is said again after so many beats.
const SAY_AGAIN: u32 = 3;

/// A run on a worker's device.
#[derive(Clone)]
struct Run {
    assignment: Assignment,
    /// The worker has said so, and the server may not have heard it.
    ended: bool,
}

/// What a worker knows, as it outlives a connection.
#[derive(Default)]
struct Memory {
    runs: HashMap<LeaseId, Run>,
    /// Ends that were said so far, each once however often it was repeated.
    ends: usize,
    /// A device was given away while it was in use. Empty, or the market is broken.
    doubles: Vec<String>,
}

impl Memory {
    fn take(&mut self, new: Assignment) {
        let other = self
            .runs
            .values()
            .find(|run| !run.ended && run.assignment.device == new.device);
        if let Some(Run {
            assignment: old, ..
        }) = other
        {
            let double = format!("{}: {} and {}", new.device, old.lease, new.lease);
            self.doubles.push(double);
        }
        let run = Run {
            assignment: new,
            ended: false,
        };
        self.runs.insert(run.assignment.lease, run);
    }

    fn end(&mut self, lease: LeaseId) {
        if let Some(run) = self.runs.get_mut(&lease) {
            run.ended = true;
            self.ends += 1;
        }
    }

    fn claims(&self) -> Vec<LeaseClaim> {
        let claim = |run: &Run| LeaseClaim {
            lease: run.assignment.lease,
            epoch: run.assignment.epoch,
        };
        self.runs.values().map(claim).collect()
    }

    fn running(&self) -> impl Iterator<Item = &Assignment> {
        let running = self.runs.values().filter(|run| !run.ended);
        running.map(|run| &run.assignment)
    }
}

struct Member {
    memory: Arc<Mutex<Memory>>,
    /// How many of its runs are to end now.
    ends: mpsc::Sender<usize>,
    task: JoinHandle<FakeWorker>,
}

/// The workers of one owner.
pub struct Fleet(Vec<Member>);

impl Fleet {
    pub async fn join(app: &TestApp, owner: &Account, nodes: usize, devices: u16) -> Self {
        let mut members = Vec::new();
        for n in 0..nodes {
            let path = "/api/v1/nodes/join-tokens";
            let line: JoinTokenView = owner.rest.post(path, &()).await.ok();
            let name = format!("node-{n}");
            let worker = FakeWorker::join_with(&app.url, &line.token, &name, "1", devices).await;
            members.push(Member::live(worker, Arc::default()));
        }
        Self(members)
    }

    /// After the server died: each worker comes back with what it still runs, and repeats which runs are over.
    pub async fn reconnect(&mut self) {
        for member in std::mem::take(&mut self.0) {
            let Member { memory, task, .. } = member;
            let mut worker = task.await.expect("a worker's task");
            let claims = lock(&memory).claims();
            worker.reconnect(claims).await;
            self.0.push(Member::live(worker, memory));
        }
    }

    /// Ends so many runs on each node, each after a second that is paid.
    pub async fn end_on_each(&self, runs: usize) {
        for member in &self.0 {
            // A worker whose server died has nobody to tell.
            _ = member.ends.send(runs).await;
        }
    }

    /// How many runs were ended so far.
    pub fn ends(&self) -> usize {
        let each = self.0.iter().map(|member| lock(&member.memory).ends);
        each.sum()
    }

    /// Whether every end that was said was heard.
    pub fn all_closed(&self) -> bool {
        let mut runs = 0;
        for member in &self.0 {
            let memory = lock(&member.memory);
            runs += memory.runs.len() - memory.running().count();
        }
        runs == 0
    }

    /// The jobs that run by the workers' own account.
    pub fn running(&self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        for member in &self.0 {
            jobs.extend(lock(&member.memory).running().map(|own| own.job));
        }
        jobs
    }

    /// Devices that were given to a second lease while the first one ran.
    pub fn doubles(&self) -> Vec<String> {
        let all = self.0.iter();
        all.flat_map(|member| lock(&member.memory).doubles.clone())
            .collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.0.iter().for_each(|member| member.task.abort());
    }
}

impl Member {
    fn live(worker: FakeWorker, memory: Arc<Mutex<Memory>>) -> Self {
        let (ends, orders) = mpsc::channel(16);
        let task = tokio::spawn(live(worker, memory.clone(), orders));
        Self { memory, ends, task }
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the server is gone.
async fn live(
    mut worker: FakeWorker,
    memory: Arc<Mutex<Memory>>,
    mut orders: mpsc::Receiver<usize>,
) -> FakeWorker {
    let mut beats = tokio::time::interval(BEAT);
    let mut told: HashMap<LeaseId, u32> = HashMap::new();
    // As the real worker after a new connection: what was said to the server that died may not have been heard.
    let said: Vec<Run> = lock(&memory).runs.values().cloned().collect();
    for run in &said {
        worker.started(&run.assignment).await;
        if run.ended {
            end(&mut worker, &run.assignment).await;
        }
    }
    loop {
        tokio::select! {
            message = worker.talk.hear() => match message {
                Some(message) => hear(&mut worker, &memory, message).await,
                None => return worker,
            },
            _ = beats.tick() => {
                let beat = |claim: LeaseClaim| LeaseBeat { lease: claim.lease, epoch: claim.epoch, receipt: None };
                let leases = lock(&memory).claims().into_iter().map(beat).collect();
                worker.beat(leases).await;
                // As the real worker: an end is said again until it was heard.
                let unheard = said_before(&memory, &mut told);
                for run in unheard {
                    end(&mut worker, &run).await;
                }
            }
            Some(runs) = orders.recv() => {
                let over: Vec<Assignment> = lock(&memory).running().take(runs).cloned().collect();
                for run in over {
                    lock(&memory).end(run.lease);
                    end(&mut worker, &run).await;
                }
            }
        }
    }
}

/// Ends that were said some beats ago and are not closed yet.
fn said_before(memory: &Mutex<Memory>, told: &mut HashMap<LeaseId, u32>) -> Vec<Assignment> {
    let memory = lock(memory);
    told.retain(|lease, _| memory.runs.contains_key(lease));
    let mut again = Vec::new();
    for run in memory.runs.values().filter(|run| run.ended) {
        let beats = told.entry(run.assignment.lease).or_default();
        *beats += 1;
        if beats.is_multiple_of(SAY_AGAIN) {
            again.push(run.assignment.clone());
        }
    }
    again
}

async fn hear(worker: &mut FakeWorker, memory: &Mutex<Memory>, message: ToWorker) {
    match message {
        ToWorker::Assign(assignment) => {
            lock(memory).take((*assignment).clone());
            worker.started(&assignment).await;
        }
        ToWorker::Closed { lease, .. } | ToWorker::LeaseRefused { lease, .. } => {
            lock(memory).runs.remove(&lease);
        }
        ToWorker::Renewed { refused, .. } => {
            let mut memory = lock(memory);
            for claim in refused {
                memory.runs.remove(&claim.lease);
            }
        }
        _ => {}
    }
}

async fn end(worker: &mut FakeWorker, run: &Assignment) {
    let end = RunEnd::Exited { code: 0 };
    worker.say_ended(run, &Chain::default(), 1, end).await;
}
