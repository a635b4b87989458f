//! The state and its steps. Time is counted in ticks; what is no longer looked at is forgotten, so that there is an end.

mod worker;

use protocol::state::{JobState, JobStep};

use super::shop::{Holders, Shop};

pub const DEVICES: usize = 2;
const JOBS: usize = 2;
/// How often a job may be leased before it fails for good.
const EPOCHS: usize = 2;
const LEASES: usize = JOBS * EPOCHS;
/// So many ticks a worker goes on after its last renewal, and so many later the exchange gives the slot away.
const WORKER_LIFE: u8 = 2;
const LEASE_LIFE: u8 = 3;
/// After a start, for workers to come back.
const GRACE: u8 = 3;
/// So much may go wrong in one history: deaths, lost answers, pauses, cuts, messages held up.
const FAULTS: u8 = 2;

/// What keeps the promises. Each can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// One live lease for each device, by the schema.
    UniqueKey,
    /// A message counts for the lease and the epoch that it names.
    Epoch,
    /// A lease that has ended in the database is not ended again.
    EndedOnce,
    /// The exchange waits longer than the worker goes on.
    Margin,
    /// A lease whose commit had no answer is read anew.
    Doubts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct JobRow {
    state: JobState,
    leased: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LeaseRow {
    None,
    Live { device: u8 },
    Ended,
}

/// What the exchange remembers of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Live {
    left: u8,
    device: u8,
}

/// The exchange's memory, while it is alive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Memory {
    holders: Holders,
    leases: [Option<Live>; LEASES],
    /// Committed, and not yet told to the index and the worker.
    untold: [bool; LEASES],
    doubtful: [bool; LEASES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    lease: u8,
    left: u8,
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Worker {
    run: Option<Run>,
    paused: bool,
    linked: bool,
}

/// A message that is held up on its way: a beat, or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Message {
    lease: u8,
    end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    jobs: [JobRow; JOBS],
    leases: [LeaseRow; LEASES],
    memory: Option<Memory>,
    workers: [Worker; DEVICES],
    /// Assignments on their way, with what is left of the worker's time.
    assigned: [Option<u8>; LEASES],
    late: Option<Message>,
    /// How much may still go wrong.
    faults: u8,
}

impl Default for State {
    fn default() -> Self {
        let job = JobRow {
            state: JobState::Matching,
            leased: 0,
        };
        let worker = Worker {
            run: None,
            paused: false,
            linked: true,
        };
        Self {
            jobs: [job; JOBS],
            leases: [LeaseRow::None; LEASES],
            memory: Some(Memory::default()),
            workers: [worker; DEVICES],
            assigned: [None; LEASES],
            late: None,
            faults: FAULTS,
        }
    }
}

impl State {
    /// In the book and in the database.
    pub fn is_free(&self, device: usize) -> bool {
        let hired = |row: &LeaseRow| matches!(row, LeaseRow::Live { device: own, .. } if usize::from(*own) == device);
        self.memory
            .as_ref()
            .is_some_and(|memory| memory.holders[device].is_none())
            && !self.leases.iter().any(hired)
    }

    fn device_of(&self, lease: usize) -> Option<usize> {
        match self.leases[lease] {
            LeaseRow::Live { device, .. } => Some(usize::from(device)),
            _ => None,
        }
    }
}

/// How the commit of a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    Known,
    /// It took effect and nobody was told so. (One that took none changes nothing.)
    Unknown,
}

#[derive(Debug, Clone, Copy)]
pub enum Step {
    Tick,
    /// A job is submitted, or placed after it lost its node.
    Place(usize, Commit),
    Tell(usize),
    Expire(usize, Commit),
    Settle(usize),
    Crash,
    Restart,
    Assign(usize),
    Beat(usize),
    /// The connection is refused: nobody serves.
    Refused(usize),
    Finish(usize),
    SayEnded(usize, Commit),
    Connect(usize),
    Disconnect(usize),
    Pause(usize),
    Resume(usize),
    HoldUpBeat(usize),
    HoldUpEnd(usize),
    Late(Commit),
}

impl Step {
    pub fn all() -> impl Iterator<Item = Self> {
        use Commit::{Known, Unknown};
        let both = [Known, Unknown];
        let jobs = (0..JOBS).flat_map(move |n| both.map(|commit| Self::Place(n, commit)));
        let leases = (0..LEASES).flat_map(|n| {
            [
                Self::Tell(n),
                Self::Expire(n, Known),
                Self::Expire(n, Unknown),
                Self::Settle(n),
                Self::Assign(n),
            ]
        });
        let workers = (0..DEVICES).flat_map(|n| {
            [
                Self::Beat(n),
                Self::Refused(n),
                Self::Finish(n),
                Self::SayEnded(n, Known),
                Self::SayEnded(n, Unknown),
                Self::Connect(n),
                Self::Disconnect(n),
                Self::Pause(n),
                Self::Resume(n),
                Self::HoldUpBeat(n),
                Self::HoldUpEnd(n),
            ]
        });
        [Self::Tick, Self::Crash, Self::Restart]
            .into_iter()
            .chain(both.map(Self::Late))
            .chain(jobs)
            .chain(leases)
            .chain(workers)
    }

    /// Whether it happens when nothing goes wrong. A restart is none of them where the exchange lives.
    pub fn is_fair(self) -> bool {
        !matches!(
            self,
            Self::Crash
                | Self::Disconnect(_)
                | Self::Pause(_)
                | Self::HoldUpBeat(_)
                | Self::HoldUpEnd(_)
                | Self::Place(_, Commit::Unknown)
                | Self::Expire(_, Commit::Unknown)
                | Self::SayEnded(_, Commit::Unknown)
                | Self::Late(Commit::Unknown)
        )
    }
}

fn job_of(lease: usize) -> usize {
    lease / EPOCHS
}

fn small(n: usize) -> u8 {
    u8::try_from(n).unwrap()
}

type After = Result<Option<State>, String>;

pub struct Model {
    without: Option<Guard>,
    shop: Shop,
}

impl Model {
    pub fn new(without: Option<Guard>) -> Self {
        Self {
            without,
            shop: Shop::default(),
        }
    }

    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// The state after a step; none when it cannot be taken.
    pub fn step(&mut self, before: &State, step: Step) -> After {
        let mut state = before.clone();
        if !step.is_fair() {
            let Some(left) = state.faults.checked_sub(1) else {
                return Ok(None);
            };
            state.faults = left;
        }
        let left = state.faults;
        let after = match step {
            Step::Tick => Self::tick(state),
            Step::Place(job, commit) => self.place(state, job, commit),
            Step::Tell(lease) => Ok(self.tell(state, lease)),
            Step::Expire(lease, commit) => self.expire(state, lease, commit),
            Step::Settle(lease) => Ok(self.settle(state, lease)),
            Step::Crash => Ok(Self::crash(state)),
            Step::Restart => Ok(self.restart(state)),
            Step::Assign(lease) => Self::assign(state, lease),
            Step::Beat(worker) => self.beat(state, worker),
            Step::Refused(worker) => Ok(Self::refused(state, worker)),
            Step::Finish(worker) => Ok(Self::finish(state, worker)),
            Step::SayEnded(worker, commit) => self.say_ended(state, worker, commit),
            Step::Connect(worker) => self.connect(state, worker),
            Step::Disconnect(worker) => Ok(Self::disconnect(state, worker)),
            Step::Pause(worker) => Ok(Some(Self::pause(state, worker, true))),
            Step::Resume(worker) => Ok(Some(Self::pause(state, worker, false))),
            Step::HoldUpBeat(worker) => Ok(Self::hold_up(state, worker, false)),
            Step::HoldUpEnd(worker) => Ok(Self::hold_up(state, worker, true)),
            Step::Late(commit) => self.late(state, commit),
        }?;
        // What changes nothing is no step.
        Ok(after.filter(|after| {
            let same = State {
                faults: left,
                ..before.clone()
            };
            *after != same
        }))
    }

    fn life(&self) -> u8 {
        if self.has(Guard::Margin) {
            LEASE_LIFE
        } else {
            0
        }
    }

    /// A second passes. Watchdogs end what was not renewed; one that stood still does so before anything else.
    fn tick(mut state: State) -> After {
        let mut at_work = [0_u8; JOBS];
        for worker in &mut state.workers {
            let Some(run) = worker.run.as_mut().filter(|run| !run.over) else {
                continue;
            };
            if !worker.paused {
                at_work[job_of(usize::from(run.lease))] += 1;
            }
            run.left -= 1;
            worker.run = Some(*run).filter(|run| run.left > 0);
        }
        if at_work.iter().any(|workers| *workers > 1) {
            return Err("a job runs on one device at a time".into());
        }
        for left in state.assigned.iter_mut().flatten() {
            *left = left.saturating_sub(1);
        }
        if let Some(memory) = &mut state.memory {
            for live in memory.leases.iter_mut().flatten() {
                live.left = live.left.saturating_sub(1);
            }
        }
        Ok(Some(state))
    }

    /// `try_submit`, `place`: takes the best slot of the book, and writes the lease.
    fn place(&mut self, mut state: State, job: usize, commit: Commit) -> After {
        let linked = state.workers.map(|worker| worker.linked);
        let Some(memory) = &mut state.memory else {
            return Ok(None);
        };
        let row = &mut state.jobs[job];
        let Ok(starting) = row.state.step(JobStep::Leased) else {
            return Ok(None);
        };
        let Some(device) = self.shop.take(&mut memory.holders, linked, job) else {
            return Ok(None);
        };
        let hired = |row: &LeaseRow| matches!(row, LeaseRow::Live { device: own, .. } if usize::from(*own) == device);
        if let Some(other) = state.leases.iter().position(hired) {
            if self.has(Guard::UniqueKey) {
                self.shop.free(&mut memory.holders, device, job);
                if self.has(Guard::Doubts) {
                    self.adopt(&mut state, other);
                }
                return Ok(Some(state));
            }
            return Err("one live lease on a slot".into());
        }
        let lease = job * EPOCHS + usize::from(row.leased);
        row.state = starting;
        row.leased += 1;
        state.leases[lease] = LeaseRow::Live {
            device: small(device),
        };
        match commit {
            Commit::Known => memory.untold[lease] = true,
            Commit::Unknown => {
                self.shop.free(&mut memory.holders, device, job);
                memory.doubtful[lease] = true;
            }
        }
        Ok(Some(state))
    }

    /// `after_grant`: memory, then the worker's queue.
    fn tell(&mut self, mut state: State, lease: usize) -> Option<State> {
        if !std::mem::take(&mut state.memory.as_mut()?.untold[lease]) {
            return None;
        }
        let device = state.device_of(lease)?;
        self.adopt(&mut state, lease);
        if state.workers[device].linked {
            state.assigned[lease] = Some(WORKER_LIFE);
        }
        Some(state)
    }

    /// `adopt`, `reread`: memory learns of a lease that lives in the database.
    fn adopt(&mut self, state: &mut State, lease: usize) {
        let left = self.life();
        let (Some(device), Some(memory)) = (state.device_of(lease), &mut state.memory) else {
            return;
        };
        memory.doubtful[lease] = false;
        if memory.leases[lease].is_none() {
            memory.leases[lease] = Some(Live {
                left,
                device: small(device),
            });
            Shop::hold(&mut memory.holders, device, job_of(lease));
        }
    }

    fn drop_lease(&mut self, memory: &mut Memory, lease: usize) {
        if let Some(live) = memory.leases[lease].take() {
            self.shop
                .free(&mut memory.holders, usize::from(live.device), job_of(lease));
        }
    }

    fn settle(&mut self, mut state: State, lease: usize) -> Option<State> {
        let memory = state.memory.as_mut()?;
        if !self.has(Guard::Doubts) || !std::mem::take(&mut memory.doubtful[lease]) {
            return None;
        }
        match state.leases[lease] {
            LeaseRow::Live { .. } => self.adopt(&mut state, lease),
            _ => self.drop_lease(memory, lease),
        }
        Some(state)
    }

    /// `end_lease`: what was delivered is billed, the slot is free, the job goes on or is over.
    fn end_lease(
        &mut self,
        mut state: State,
        lease: usize,
        step: JobStep,
        commit: Commit,
    ) -> After {
        let Some(memory) = &mut state.memory else {
            return Ok(None);
        };
        if memory.leases[lease].is_none() {
            return Ok(None);
        }
        if !matches!(state.leases[lease], LeaseRow::Live { .. }) {
            if self.has(Guard::EndedOnce) {
                memory.doubtful[lease] = true;
                return Ok(Some(state));
            }
            return Err("a lease is billed once".into());
        }
        state.leases[lease] = LeaseRow::Ended;
        let job = &mut state.jobs[job_of(lease)];
        let again = usize::from(job.leased) < EPOCHS;
        let step = match step {
            JobStep::Lost if !again => JobStep::Fail,
            step => step,
        };
        job.state = job.state.step(step).map_err(|error| error.to_string())?;
        match commit {
            Commit::Known => {
                memory.doubtful[lease] = false;
                self.drop_lease(memory, lease);
            }
            Commit::Unknown => memory.doubtful[lease] = true,
        }
        Ok(Some(state))
    }

    fn expire(&mut self, state: State, lease: usize, commit: Commit) -> After {
        let live = state.memory.as_ref().and_then(|own| own.leases[lease]);
        match live {
            Some(live) if live.left == 0 => self.end_lease(state, lease, JobStep::Lost, commit),
            _ => Ok(None),
        }
    }

    /// Whatever was in memory and on its way from there is gone.
    fn crash(mut state: State) -> Option<State> {
        state.memory.take()?;
        state.assigned = [None; LEASES];
        state.workers.iter_mut().for_each(|own| own.linked = false);
        Some(state)
    }

    fn restart(&mut self, mut state: State) -> Option<State> {
        if state.memory.is_some() {
            return None;
        }
        state.memory = Some(Memory::default());
        for lease in 0..LEASES {
            self.adopt(&mut state, lease);
            if let Some(live) = &mut state.memory.as_mut()?.leases[lease] {
                live.left = GRACE;
            }
        }
        Some(state)
    }
}
