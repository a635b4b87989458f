//! The helper: a re-executed, single-threaded process that makes one sandbox, runs one job in it and watches it.
//!
//! It stays outside the sandbox and outside the job's cgroups, and it holds the lease's deadline. So a job is
//! frozen and killed in time also when the agent hangs; when the agent dies its socket closes, which ends the job at
//! once; and when the helper itself is killed the kernel ends the sandbox (parent death signal). It removes the
//! cgroups it made, and nothing else.
//!
//! Here is what it does from its start to the report; `make` has what it makes and takes away again, `agent` its
//! conversation with the agent, `run` the job that it was given.

mod agent;
mod make;
mod run;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use protocol::tunnel::Closed;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustix::time::{ClockId, Itimerspec, TimerfdTimerFlags, Timespec};

use super::report::{Artefacts, Report, StopReason};
use super::sys;
use super::watchdog::Action;
use super::wire::{self, FromHelper, FromInit, StartJob, ToHelper, ToInit};
use agent::Agent;
use make::{Alive, Made, prepare};
use run::{Run, sample};

const SAMPLE_EVERY_MS: u64 = 1_000;

/// Milliseconds of `CLOCK_BOOTTIME`, which goes on while the machine sleeps: the clock of leases.
pub fn boottime_ms() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    now.tv_sec
        .cast_unsigned()
        .saturating_mul(1_000)
        .saturating_add(now.tv_nsec.cast_unsigned() / 1_000_000)
}

/// The helper's whole life. stdin is the socket to the agent; stdout and stderr are the job's.
pub fn main(config: &str) -> std::process::ExitCode {
    sys::close_inherited();
    sys::ignore_polite_signals();
    // Away from the terminal's process group, so that Ctrl-C reaches the agent only.
    let _ = rustix::process::setsid();
    let Ok(stdin) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return std::process::ExitCode::FAILURE;
    };
    let mut agent = Agent {
        socket: UnixStream::from(stdin),
        heard: Vec::new(),
        backlog: VecDeque::new(),
    };
    match prepare(config, &agent) {
        Ok(mut helper) => {
            agent.say(&FromHelper::Ready);
            helper.watch(&mut agent);
            agent.flush();
            std::process::ExitCode::SUCCESS
        }
        Err(why) => {
            agent.say(&FromHelper::Failed { why });
            agent.flush();
            std::process::ExitCode::FAILURE
        }
    }
}

struct Helper {
    // Order matters: the sandbox is killed before its cgroups are removed.
    sandbox: Alive,
    group: Made,
    timer: OwnedFd,
    run: Option<Run>,
    agent_gone: bool,
}

impl Helper {
    /// Until the sandbox is gone.
    fn watch(&mut self, agent: &mut Agent) {
        loop {
            self.arm_timer();
            let (agent_speaks, sandbox_speaks, sandbox_gone) = self.wait(agent);
            // What the sandbox said last must be read before its end is judged.
            if sandbox_speaks {
                self.hear_sandbox(agent);
            }
            if sandbox_gone {
                while self.hear_sandbox(agent) {}
                self.finish(agent);
                return;
            }
            if agent_speaks && !self.hear_agent(agent) && self.run.is_none() {
                return;
            }
            agent.push();
            self.act(agent);
        }
    }

    fn wait(&self, agent: &Agent) -> (bool, bool, bool) {
        let agent_events = if agent.backlog.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        };
        let mut fds = vec![
            PollFd::new(&self.sandbox.socket, PollFlags::IN),
            PollFd::new(&self.sandbox.pidfd, PollFlags::IN),
            PollFd::new(&self.timer, PollFlags::IN),
        ];
        if !self.agent_gone {
            fds.push(PollFd::new(&agent.socket, agent_events));
        }
        let _ = poll(&mut fds, None);
        let ready = |index: usize, flags| {
            fds.get(index)
                .is_some_and(|fd: &PollFd<'_>| fd.revents().intersects(flags))
        };
        if ready(2, PollFlags::IN) {
            let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
        }
        let heard = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        // A sandbox socket that only hangs up says nothing more; the process descriptor tells the end.
        (
            ready(3, heard),
            ready(0, PollFlags::IN),
            ready(1, PollFlags::IN),
        )
    }

    fn arm_timer(&self) {
        let at = self
            .run
            .as_ref()
            .map_or(u64::MAX, |run| run.dog.next().min(run.next_sample));
        // Zero would disarm; the past fires at once.
        let at = at.max(1);
        let value = Timespec {
            tv_sec: i64::try_from(at / 1_000).unwrap_or(i64::MAX / 2_000_000_000),
            tv_nsec: i64::try_from(at % 1_000 * 1_000_000).unwrap_or(0),
        };
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        let _ = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec);
    }

    /// False when the agent is gone.
    fn hear_agent(&mut self, agent: &mut Agent) -> bool {
        let now = boottime_ms();
        let Some(messages) = agent.hear() else {
            self.agent_gone = true;
            if let Some(run) = &mut self.run {
                run.dog.kill_all(StopReason::AgentLost, now);
            }
            return false;
        };
        for message in messages {
            match (message, &mut self.run) {
                (ToHelper::Start(job), None) => self.start(job),
                (ToHelper::Lease { until_ms }, Some(run)) => run.dog.renew(until_ms),
                (ToHelper::Funded { ms }, Some(run)) => run.dog.fund(ms),
                (ToHelper::Stop { reason, grace_ms }, Some(run)) => {
                    run.dog.stop(reason, grace_ms, now);
                }
                (ToHelper::Open { id, door }, run) => {
                    let shut = match run {
                        Some(run) if run.process.is_some() && run.dog.job_ended_at().is_none() => {
                            let order = ToInit::Open { id, door };
                            let offered = wire::offer(&self.sandbox.socket, &order);
                            offered
                                .err()
                                .map(|error| (Closed::Failed, error.to_string()))
                        }
                        _ => Some((Closed::NotRunning, "the job does not run".to_owned())),
                    };
                    if let Some((reason, why)) = shut {
                        agent.say(&FromHelper::DoorShut { id, reason, why });
                    }
                }
                // A second start, or orders for a job that was never given: the agent's own error, and harmless.
                _ => {}
            }
        }
        true
    }

    fn start(&mut self, job: Box<StartJob>) {
        let passed = self.pass(&job);
        let mut run = Run::new(job);
        if let Err(error) = passed {
            run.facts.failed_to_start = Some(error.to_string());
            let _ = rustix::process::pidfd_send_signal(&self.sandbox.pidfd, Signal::KILL);
        }
        self.run = Some(run);
    }

    fn pass(&self, job: &StartJob) -> io::Result<()> {
        self.group.group.set_limits(&job.limits)?;
        let memory = rustix::fs::memfd_create("job", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut memory = File::from(memory);
        memory.write_all(&serde_json::to_vec(job)?)?;
        let open = |path: &Option<std::path::PathBuf>| {
            let path = path.as_ref();
            path.map(|path| open_named(path, File::options().read(true)))
                .transpose()
        };
        let (bundle, checkpoint) = (open(&job.bundle)?, open(&job.checkpoint)?);
        let mut fds: Vec<BorrowedFd<'_>> = vec![memory.as_fd()];
        fds.extend(bundle.as_ref().map(AsFd::as_fd));
        fds.extend(checkpoint.as_ref().map(AsFd::as_fd));
        wire::send(&self.sandbox.socket, &ToInit::Start, &fds)
    }

    /// One message of process 1; false when there is none.
    fn hear_sandbox(&mut self, agent: &mut Agent) -> bool {
        let Ok(Some((message, fds))) = receive_now(&self.sandbox.socket) else {
            return false;
        };
        let now = boottime_ms();
        let Some(run) = &mut self.run else {
            return true;
        };
        if !run.awaits(&message) {
            return true;
        }
        match message {
            FromInit::Started => {
                let mut fds = fds.into_iter();
                run.process = fds.next();
                run.space = fds.next();
                run.dog.started(now);
                run.next_sample = now + SAMPLE_EVERY_MS;
                agent.say(&FromHelper::Started { at_ms: now });
            }
            FromInit::Ended {
                code,
                signal,
                disk_full,
                left_something,
            } => {
                run.facts.code = code;
                run.facts.signal = signal;
                run.facts.disk_full |= disk_full;
                run.count(&self.group.group);
                run.dog.job_ended(now);
                run.next_sample = u64::MAX;
                run.unpacked = left_something;
                agent.say(&FromHelper::JobEnded { at_ms: now });
                if left_something {
                    self.group.group.widen_memory(&run.job.limits);
                    if order_packing(&self.sandbox.socket, &run.job.artefacts).is_err() {
                        // The owner's disk takes no file: the sandbox must not wait for it.
                        signal_process(Some(&self.sandbox.pidfd), Signal::KILL);
                    }
                }
            }
            FromInit::Packed {
                files,
                bytes,
                left_out,
            } => {
                run.unpacked = false;
                run.artefacts = Artefacts {
                    files,
                    bytes,
                    left_out,
                };
            }
            FromInit::DoorOpened { id } => {
                agent.say_with(&FromHelper::DoorOpened { id, fds: fds.len() }, fds);
            }
            FromInit::DoorShut { id, reason, why } => {
                agent.say(&FromHelper::DoorShut { id, reason, why });
            }
            FromInit::DoorClosed { id, code, signal } => {
                agent.say(&FromHelper::DoorClosed { id, code, signal });
            }
            FromInit::Failed { why } => run.facts.failed_to_start = Some(why),
            FromInit::Built => {}
        }
        true
    }

    /// Lets the watchdog look at the clock, and does what it says.
    fn act(&mut self, agent: &mut Agent) {
        let now = boottime_ms();
        let Some(run) = &mut self.run else { return };
        if now >= run.next_sample {
            run.next_sample = now + SAMPLE_EVERY_MS;
            sample(run, &self.group.group, agent, now);
        }
        for action in run.dog.due(now) {
            match action {
                Action::Freeze => {
                    let _ = self.group.group.freeze(true);
                    agent.say(&FromHelper::Frozen { at_ms: now });
                }
                Action::Thaw => {
                    let _ = self.group.group.freeze(false);
                    agent.say(&FromHelper::Thawed { at_ms: now });
                }
                Action::Terminate => signal_process(run.process.as_ref(), Signal::TERM),
                Action::KillJob => signal_process(run.process.as_ref(), Signal::KILL),
                Action::KillAll => {
                    // First process 1, so that nothing runs when a frozen group is thawed for dying.
                    let _ = rustix::process::pidfd_send_signal(&self.sandbox.pidfd, Signal::KILL);
                    self.group.group.kill();
                }
            }
        }
    }

    /// Everything is dead: says what happened.
    fn finish(&mut self, agent: &mut Agent) {
        let Some(run) = &mut self.run else {
            agent.say(&FromHelper::Failed {
                why: "the sandbox died before it was given a job".to_owned(),
            });
            return;
        };
        let group = &self.group.group;
        run.count(group);
        run.facts.stopped_for = run.dog.stopped_for();
        if run.dog.started_at().is_none()
            && run.facts.failed_to_start.is_none()
            && run.facts.stopped_for.is_none()
        {
            let why = if run.facts.oom_kills > 0 {
                "the job's memory limit is too small to start it"
            } else {
                "the sandbox died before the job started"
            };
            run.facts.failed_to_start = Some(why.to_owned());
        }
        if run.unpacked {
            // Packing failed or was cut short: at least the requester is told that something is missing.
            run.artefacts.left_out = 1;
        }
        let ended = run.dog.job_ended_at().unwrap_or_else(boottime_ms);
        let report = Report {
            end: run.facts.end(),
            exit_code: run.facts.code,
            ran_ms: run
                .dog
                .started_at()
                .map_or(0, |started| ended.saturating_sub(started)),
            peak_memory_bytes: run.peak_memory,
            usage: run.last,
            artefacts: run.artefacts,
        };
        // The cgroups go before the end is told: who hears of it may look, and must find nothing.
        self.group.remove(Duration::from_secs(2));
        agent.say(&FromHelper::Ended(Box::new(report)));
    }
}

/// Opened only now: creating a file is not on the way from submit to start, and most jobs leave none.
fn order_packing(sandbox: &OwnedFd, artefacts: &Path) -> io::Result<()> {
    if let Some(directory) = artefacts.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = open_named(artefacts, &options)?;
    wire::send(sandbox, &ToInit::Pack, &[file.as_fd()])
}

fn open_named(path: &Path, options: &std::fs::OpenOptions) -> io::Result<File> {
    options
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn receive_now(socket: &OwnedFd) -> io::Result<Option<(FromInit, Vec<OwnedFd>)>> {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut fds, Some(&now))? == 0 {
        return Ok(None);
    }
    wire::receive(socket)
}

fn signal_process(process: Option<&OwnedFd>, signal: Signal) {
    if let Some(process) = process {
        let _ = rustix::process::pidfd_send_signal(process, signal);
    }
}
