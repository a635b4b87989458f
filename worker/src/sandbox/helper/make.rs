//! What the helper makes before it knows the job, and takes away again whatever happens: cgroups and namespaces, or its
//! part in a container of an engine.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};
use rustix::time::{TimerfdClockId, TimerfdFlags};

use super::Helper;
use super::agent::Agent;
use crate::runtime::JOB_UID;
use crate::sandbox::cgroup::JobGroup;
use crate::sandbox::sys::{self, Fork};
use crate::sandbox::wire::{self, FromInit, HelperConfig, HelperOrder, ToInit};
use crate::sandbox::{engine, init};

/// First host user id given to sandboxes that root makes: above every range that Debian and systemd hand out.
const HOST_UID_BASE: u32 = 1_900_000_000;

/// Makes cgroups and namespaces and lets process 1 build the root: everything that needs no knowledge of the job.
pub(super) fn prepare(config: &str, agent: &Agent) -> Result<Helper, String> {
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
pub(super) struct Made {
    pub(super) group: JobGroup,
    container: Option<engine::Ours>,
}

impl Made {
    pub(super) fn remove(&self, patience: Duration) {
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
pub(super) struct Alive {
    pub(super) pidfd: OwnedFd,
    pub(super) socket: OwnedFd,
}

impl Drop for Alive {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}
