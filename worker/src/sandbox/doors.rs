//! Ways into a job that runs: process 1 opens them, inside, with the job's rights and in its cgroup, and hands the open
//! descriptors out. Who may ask is decided long before; nothing here is a way out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use protocol::tunnel::{Closed, Door, Shell};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use rustix::time::Timespec;

use super::boottime_ms;
use super::rootfs::step;
use super::sys::{self, Fork};
use super::wire::{self, FromInit, StartJob, ToInit};
use super::{init, wishes};

/// A connection on loopback is there at once, or its listener's queue is full.
const CONNECT_WITHIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// From a fork to its program there are milliseconds. The job may stop whatever runs as its user, this process' child too, and who waits
/// for a stopped one reaps nothing and sees no end.
const EXECUTES_WITHIN_MS: u64 = 2_000;
const WHY_MAX: usize = 4 * 1024;

/// Why it could not be opened.
struct Shut(Closed, String);

impl From<rustix::io::Errno> for Shut {
    fn from(error: rustix::io::Errno) -> Self {
        Self(Closed::Failed, error.to_string())
    }
}

impl From<io::Error> for Shut {
    fn from(error: io::Error) -> Self {
        Self(Closed::Failed, error.to_string())
    }
}

/// What a door may lead to.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    pub job: &'a StartJob,
    /// The packets of the network of the job's machines.
    pub network: Option<&'a OwnedFd>,
}

/// Opens what the helper asks for, and reaps every orphan, until the job's own process ends: its code and signal.
pub fn attend(
    socket: &OwnedFd,
    children: &OwnedFd,
    inside: &Inside<'_>,
    process: Pid,
) -> (Option<i32>, Option<i32>) {
    let mut doors: BTreeMap<i32, u32> = BTreeMap::new();
    loop {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((ended, status))) => {
                    let (code, signal) = (status.exit_status(), status.terminating_signal());
                    if ended == process {
                        return (code, signal);
                    }
                    if let Some(id) = doors.remove(&ended.as_raw_nonzero().get()) {
                        let over = FromInit::DoorClosed { id, code, signal };
                        let _ = wire::send(socket, &over, &[]);
                    }
                }
                Ok(None) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return (None, None),
            }
        }
        let mut fds = [
            PollFd::new(children, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
        ];
        let _ = poll(&mut fds, None);
        let heard = !fds[1].revents().is_empty();
        // Which children ended is asked anyway; reading only makes the descriptor quiet.
        let _ = rustix::io::read(children, &mut [0_u8; 128]);
        if !heard {
            continue;
        }
        match wire::receive::<ToInit>(socket) {
            Ok(Some((ToInit::Open { id, door }, _))) => {
                if let Some(pid) = answer(socket, inside, id, &door) {
                    doors.insert(pid.as_raw_nonzero().get(), id);
                }
            }
            Ok(Some(_)) => {}
            // Nobody holds the deadline any more. The kernel ends an own sandbox with its helper; a container ends by this.
            Ok(None) | Err(_) => return (None, None),
        }
    }
}

/// Opens one door and says so. Answers the process behind it, whose end will be told.
fn answer(socket: &OwnedFd, inside: &Inside<'_>, id: u32, door: &Door) -> Option<Pid> {
    let opened = match door {
        Door::Shell(shell) => open_shell(inside.job, shell).map(|(pid, fds)| (Some(pid), fds)),
        Door::Port { port } => connect(*port).map(|fd| (None, vec![fd])),
        Door::Files(wish) => files(wish).map(|fd| (None, vec![fd])),
        Door::Mesh {} => packets(inside.network).map(|fd| (None, vec![fd])),
    };
    let (told, pid, fds) = match opened {
        Ok((pid, fds)) => (FromInit::DoorOpened { id }, pid, fds),
        Err(Shut(reason, why)) => (FromInit::DoorShut { id, reason, why }, None, Vec::new()),
    };
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let _ = wire::send(socket, &told, &fds);
    pid
}

fn open_shell(job: &StartJob, shell: &Shell) -> Result<(Pid, Vec<OwnedFd>), Shut> {
    if let Some(size) = shell.size {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::fs::open(
            "/dev/pts/ptmx",
            rustix::fs::OFlags::RDWR
                | rustix::fs::OFlags::NOCTTY
                | rustix::fs::OFlags::CLOEXEC
                | rustix::fs::OFlags::NONBLOCK,
            rustix::fs::Mode::empty(),
        )?;
        rustix::pty::unlockpt(&master)?;
        let size = size.bounded();
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        let pid = fork_into(job, shell, [&slave, &slave, &slave], true)?;
        Ok((pid, vec![master]))
    } else {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let [
            (input, to_input),
            (from_output, output),
            (from_errors, errors),
        ] = [pipe()?, pipe()?, pipe()?];
        let pid = fork_into(job, shell, [&input, &output, &errors], false)?;
        Ok((pid, vec![to_input, from_output, from_errors]))
    }
}

fn fork_into(
    job: &StartJob,
    shell: &Shell,
    streams: [&OwnedFd; 3],
    terminal: bool,
) -> Result<Pid, Shut> {
    let (failed, say) = io::pipe()?;
    match sys::fork()? {
        Fork::Child => {
            drop(failed);
            sys::default_signals();
            let why = match standard(streams, terminal) {
                Err(why) => why,
                Ok(()) => match sys::close_but(&say) {
                    Err(error) => error.to_string(),
                    Ok(kept) => sys::exit_saying(kept, &execute(job, shell, terminal)),
                },
            };
            let _ = io::Write::write_all(&mut &say, why.as_bytes());
            sys::exit_now(127)
        }
        Fork::Parent { pid, pidfd } => {
            drop(say);
            match hear(failed) {
                Ok(why) if why.is_empty() => Ok(pid),
                Ok(why) => Err(Shut(Closed::Failed, why)),
                Err(error) => {
                    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
                    Err(error.into())
                }
            }
        }
    }
}

/// What the child says before it executes: nothing, when all is well.
fn hear(mut failed: io::PipeReader) -> io::Result<String> {
    let until = boottime_ms().saturating_add(EXECUTES_WITHIN_MS);
    let mut why = Vec::new();
    loop {
        let left = until.saturating_sub(boottime_ms());
        let left = Timespec {
            tv_sec: i64::try_from(left / 1_000).unwrap_or(0),
            tv_nsec: i64::try_from(left % 1_000 * 1_000_000).unwrap_or(0),
        };
        let mut fds = [PollFd::new(&failed, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return Err(io::Error::other("it was held up before it started")),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut piece = [0; 1_024];
        let count = io::Read::read(&mut failed, &mut piece)?;
        why.extend_from_slice(piece.get(..count).unwrap_or_default());
        if count == 0 || why.len() > WHY_MAX {
            return Ok(String::from_utf8_lossy(&why).into_owned());
        }
    }
}

/// In the shell's process.
fn standard([input, output, errors]: [&OwnedFd; 3], terminal: bool) -> Result<(), String> {
    step("new session", rustix::process::setsid())?;
    if terminal {
        step("take the terminal", rustix::process::ioctl_tiocsctty(input))?;
    }
    step("stdin", rustix::stdio::dup2_stdin(input))?;
    step("stdout", rustix::stdio::dup2_stdout(output))?;
    step("stderr", rustix::stdio::dup2_stderr(errors))
}

/// In the shell's process, which has nothing else open any more. Returns only to say why it did not work.
fn execute(job: &StartJob, shell: &Shell, terminal: bool) -> String {
    if let Err(why) = init::bound_process() {
        return why;
    }
    let bash = Path::new("/bin/bash").exists();
    let own = if bash { "/bin/bash" } else { "/bin/sh" };
    let mut command = if let Some((program, arguments)) = shell.command.split_first() {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    } else {
        Command::new(own)
    };
    command
        .env_clear()
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .env("SHELL", own)
        // What is typed is kept nowhere: the working directory is among what others may see of the job.
        .env("HISTFILE", "");
    if terminal {
        command.env("TERM", "xterm-256color");
        if bash {
            command.env("PS1", "\\u@\\h:\\w\\$ ");
        }
    }
    let error = command.exec();
    let program = shell.command.first().map_or(own, String::as_str);
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no program `{program}` in the job"),
        _ => format!("cannot run `{program}`: {error}"),
    }
}

/// A connection to the job's own loopback, version 4 first. It may still be on its way when it is handed out.
fn connect(port: u16) -> Result<OwnedFd, Shut> {
    let v4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
    match attempt(AddressFamily::INET, &v4) {
        Err(rustix::io::Errno::CONNREFUSED) => {}
        other => return Ok(other?),
    }
    match attempt(AddressFamily::INET6, &v6) {
        Err(
            rustix::io::Errno::CONNREFUSED
            | rustix::io::Errno::ADDRNOTAVAIL
            | rustix::io::Errno::AFNOSUPPORT,
        ) => Err(Shut(
            Closed::NothingListens,
            format!("nothing listens on port {port} of the job's own loopback"),
        )),
        other => Ok(other?),
    }
}

fn attempt(
    family: AddressFamily,
    address: &impl rustix::net::addr::SocketAddrArg,
) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    match rustix::net::connect(&socket, address) {
        Ok(()) => return Ok(socket),
        Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
    let _ = poll(&mut fds, Some(&CONNECT_WITHIN));
    rustix::net::sockopt::socket_error(&socket)??;
    Ok(socket)
}

fn packets(network: Option<&OwnedFd>) -> Result<OwnedFd, Shut> {
    let none = || {
        let why = "this job has no network of its machines";
        Shut(Closed::Failed, why.to_owned())
    };
    Ok(network.ok_or_else(none)?.try_clone()?)
}

/// Forks a process that does what is wished and ends.
fn files(wish: &protocol::tunnel::FileWish) -> Result<OwnedFd, Shut> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    match sys::fork()? {
        Fork::Child => {
            drop(ours);
            sys::default_signals();
            wishes::fulfil(Path::new("/job"), wish, &mut File::from(theirs));
            sys::exit_now(0)
        }
        Fork::Parent { .. } => Ok(ours),
    }
}
