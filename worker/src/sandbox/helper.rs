//! The helper: a re-executed, single-threaded process that makes one sandbox, runs one job in it and watches it.
//!
//! It stays outside the sandbox and outside the job's cgroups, and it holds the lease's deadline. So a job is
//! frozen and killed in time also when the agent hangs; when the agent dies its socket closes, which ends the job at
//! once; and when the helper itself is killed the kernel ends the sandbox (parent death signal). It removes the
//! cgroups it made, and nothing else.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use protocol::tunnel::Closed;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};

use super::cgroup::JobGroup;
use super::engine;
use super::init;
use super::report::{Artefacts, Facts, Report, StopReason, Usage};
use super::rootfs;
use super::sys::{self, Fork};
use super::watchdog::{Action, Watchdog};
use crate::runtime::JOB_UID;

use super::wire::{
    self, FromHelper, FromInit, HelperConfig, HelperOrder, StartJob, ToHelper, ToInit,
};

const SAMPLE_EVERY_MS: u64 = 1_000;
/// Output to an agent that does not read is kept up to here; samples are dropped before.
const BACKLOG_MAX: usize = 64 * 1024;
/// Refused forks in each of this many samples in a row mean that the job does nothing else any more.
const FORK_BOMB_SAMPLES: u32 = 3;
const FORK_BOMB_PER_SAMPLE: u64 = 50;
/// First host user id given to sandboxes that root makes: above every range that Debian and systemd hand out.
const HOST_UID_BASE: u32 = 1_900_000_000;

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

/// Makes cgroups and namespaces and lets process 1 build the root: everything that needs no knowledge of the job.
fn prepare(config: &str, agent: &Agent) -> Result<Helper, String> {
    let say = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let order: HelperOrder =
        serde_json::from_str(config).map_err(|e| say("read the helper's configuration", &e))?;
    agent
        .socket
        .set_nonblocking(true)
        .map_err(|e| say("prepare the agent's socket", &e))?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|e| say("open /dev/null", &e))?;
    rustix::stdio::dup2_stdin(&null).map_err(|e| say("let stdin go", &e))?;
    let (sandbox, group) = match order {
        HelperOrder::Own(config) => make_own(&config)?,
        HelperOrder::Engine(contained) => {
            let met = engine::meet(&contained)?;
            let group = Made {
                group: met.group,
                container: Some(met.ours),
            };
            let sandbox = Alive {
                pidfd: met.pidfd,
                socket: met.socket,
            };
            (sandbox, group)
        }
    };
    // Only the sandbox holds the job's output open now.
    rustix::stdio::dup2_stdout(&null).map_err(|e| say("let stdout go", &e))?;
    rustix::stdio::dup2_stderr(&null).map_err(|e| say("let stderr go", &e))?;
    let timer = rustix::time::timerfd_create(
        TimerfdClockId::Boottime,
        TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
    )
    .map_err(|e| say("make a timer", &e))?;
    Ok(Helper {
        sandbox,
        group,
        timer,
        run: None,
        agent_gone: false,
    })
}

/// An own sandbox: cgroups, namespaces, and process 1 in them, which builds the root.
fn make_own(config: &HelperConfig) -> Result<(Alive, Made), String> {
    let say = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let group = Made {
        container: None,
        group: JobGroup::create(&config.cgroups, &config.name)
            .map_err(|e| say("make cgroups", &e))?,
    };
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| say("make a socket pair", &e))?;
    let fork = sys::clone_into_namespaces().map_err(|e| {
        say(
            "make namespaces (are user namespaces allowed? see /proc/sys/user/max_user_namespaces)",
            &e,
        )
    })?;
    let Fork::Parent { pid, pidfd } = fork else {
        drop(ours);
        init::run(config, &theirs);
    };
    drop(theirs);
    let sandbox = Alive {
        pidfd,
        socket: ours,
    };
    map_user(pid).map_err(|e| say("map the job's user", &e))?;
    group.group.add(pid).map_err(|e| say("enter cgroups", &e))?;
    wire::send(&sandbox.socket, &ToInit::Build, &[]).map_err(|e| say("talk to the sandbox", &e))?;
    match wire::receive(&sandbox.socket) {
        Ok(Some((FromInit::Built, _))) => {}
        Ok(Some((FromInit::Failed { why }, _))) => return Err(why),
        Ok(_) => return Err("the sandbox's first process died while it built the root".to_owned()),
        Err(error) => return Err(say("hear the sandbox", &error)),
    }
    Ok((sandbox, group))
}

/// The one user and group inside are an unprivileged one outside: of its own when root makes the sandbox, else the
/// owner's own user.
fn map_user(pid: Pid) -> io::Result<()> {
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    let (uid, gid) = if rustix::process::geteuid().is_root() {
        let own = HOST_UID_BASE.saturating_add(pid.as_raw_nonzero().get().cast_unsigned());
        (own, own)
    } else {
        std::fs::write(format!("{process}/setgroups"), "deny")?;
        (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        )
    };
    std::fs::write(format!("{process}/uid_map"), format!("{JOB_UID} {uid} 1"))?;
    std::fs::write(format!("{process}/gid_map"), format!("{JOB_UID} {gid} 1"))
}

/// What is removed when it goes out of scope, whatever happens: cgroups, or the container whose cgroups they are.
struct Made {
    group: JobGroup,
    container: Option<engine::Ours>,
}

impl Made {
    fn remove(&self, patience: Duration) {
        match &self.container {
            Some(container) => container.remove(),
            None => {
                self.group.remove(patience);
            }
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.group.kill();
        self.remove(Duration::from_secs(5));
    }
}

/// The sandbox's first process; when this goes out of scope, it and all of the sandbox is killed.
struct Alive {
    pidfd: OwnedFd,
    socket: OwnedFd,
}

impl Drop for Alive {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// The line-wise conversation with the agent. Never blocks: the agent may hang.
struct Agent {
    socket: UnixStream,
    heard: Vec<u8>,
    backlog: VecDeque<Line>,
}

/// What waits to be taken, and the files that go with its first byte.
struct Line {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Agent {
    fn say(&mut self, message: &FromHelper) {
        let waits: usize = self.backlog.iter().map(|line| line.bytes.len()).sum();
        if matches!(message, FromHelper::Sample(_)) && waits > BACKLOG_MAX {
            return;
        }
        self.say_with(message, Vec::new());
    }

    fn say_with(&mut self, message: &FromHelper, fds: Vec<OwnedFd>) {
        if let Ok(mut bytes) = serde_json::to_vec(message) {
            bytes.push(b'\n');
            self.backlog.push_back(Line { bytes, fds });
        }
        self.push();
    }

    fn push(&mut self) {
        while let Some(line) = self.backlog.front_mut() {
            let fds: Vec<BorrowedFd<'_>> = line.fds.iter().map(AsFd::as_fd).collect();
            let sent = wire::send_bytes(
                self.socket.as_fd(),
                &line.bytes,
                &fds,
                rustix::net::SendFlags::NOSIGNAL,
            );
            match sent {
                Ok(0) | Err(_) => return,
                Ok(sent) => {
                    line.fds.clear();
                    line.bytes.drain(..sent);
                }
            }
            if line.bytes.is_empty() {
                self.backlog.pop_front();
            }
        }
    }

    /// Waits for the backlog to be taken; the socket's buffer keeps it for an agent that reads after we are gone.
    fn flush(&mut self) {
        let _ = self.socket.set_nonblocking(false);
        let _ = self.socket.set_write_timeout(Some(Duration::from_secs(10)));
        self.push();
    }

    /// Whole messages that have come; `None` when the agent is gone.
    fn hear(&mut self) -> Option<Vec<ToHelper>> {
        let mut chunk = [0; 8 * 1024];
        let gone = loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => break true,
                Ok(count) => self.heard.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        let mut messages = Vec::new();
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            messages.extend(serde_json::from_slice(&line));
        }
        if gone { None } else { Some(messages) }
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

/// A job that was given.
struct Run {
    job: Box<StartJob>,
    dog: Watchdog,
    facts: Facts,
    artefacts: Artefacts,
    /// There is something to pack, and it is not packed yet.
    unpacked: bool,
    process: Option<OwnedFd>,
    space: Option<OwnedFd>,
    next_sample: u64,
    fork_bomb_samples: u32,
    last: Usage,
    peak_memory: u64,
}

impl Run {
    /// Keeps what the cgroups count. An engine takes a container's away as soon as its process 1 is gone: what was counted before
    /// stands then.
    fn count(&mut self, group: &JobGroup) {
        let usage = group.usage();
        self.last = Usage {
            cpu_us: self.last.cpu_us.max(usage.cpu_us),
            disk_bytes: self.last.disk_bytes,
            ..usage
        };
        self.peak_memory = self.peak_memory.max(group.peak_memory());
        self.facts.oom_kills = self.facts.oom_kills.max(group.oom_kills());
        self.facts.pid_limit_hits = self.facts.pid_limit_hits.max(group.pid_limit_hits());
    }
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
        let dog = Watchdog::new(
            job.lease_until_ms,
            job.funded_ms,
            job.time_limit_ms,
            job.stop_grace_ms,
        );
        let passed = self.pass(&job);
        let mut run = Run {
            job,
            dog,
            facts: Facts::default(),
            artefacts: Artefacts::default(),
            unpacked: false,
            process: None,
            space: None,
            next_sample: u64::MAX,
            fork_bomb_samples: 0,
            last: Usage::default(),
            peak_memory: 0,
        };
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
        match message {
            // Each once: a second word would be of somebody else's making.
            FromInit::Started if run.dog.started_at().is_none() => {
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
            } if run.dog.job_ended_at().is_none() => {
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
            } if run.unpacked => {
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
            FromInit::Failed { why } if run.dog.started_at().is_none() => {
                run.facts.failed_to_start = Some(why);
            }
            FromInit::Started
            | FromInit::Ended { .. }
            | FromInit::Packed { .. }
            | FromInit::Failed { .. }
            | FromInit::Built => {}
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

fn sample(run: &mut Run, group: &JobGroup, agent: &mut Agent, now: u64) {
    let mut usage = group.usage();
    if let Some(Ok((used, full))) = run.space.as_ref().map(rootfs::fullness) {
        usage.disk_bytes = used;
        run.facts.disk_full |= full;
    }
    run.last = usage;
    // A container that is killed whole takes its counters along.
    run.peak_memory = run.peak_memory.max(group.peak_memory());
    run.facts.oom_kills = run.facts.oom_kills.max(group.oom_kills());
    agent.say(&FromHelper::Sample(usage));
    let hits = group.pid_limit_hits();
    let bombing = hits.saturating_sub(run.facts.pid_limit_hits) >= FORK_BOMB_PER_SAMPLE;
    run.facts.pid_limit_hits = hits;
    run.fork_bomb_samples = if bombing {
        run.fork_bomb_samples + 1
    } else {
        0
    };
    if run.fork_bomb_samples >= FORK_BOMB_SAMPLES {
        run.dog.stop(StopReason::PidLimit, 0, now);
    }
}
