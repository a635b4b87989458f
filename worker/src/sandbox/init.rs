//! Process 1 of the sandbox: builds the root, gives up every right, starts the job, reaps, packs.
//!
//! It is single-threaded, runs as the job's own user without capabilities from before the first byte of the
//! requester's input is read, and cannot be signalled or traced from inside.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use protocol::mesh::Mesh;
use rustix::process::{DumpableBehavior, Gid, Pid, Resource, Rlimit, Signal, Uid, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::rootfs::{self, Setup, step};
use super::sys::{self, Fork};
use super::wire::{self, FromInit, HelperConfig, StartJob, ToInit};
use super::{doors, mesh, pack, seccomp, unpack};
use crate::runtime::{HOST_NAME, JOB_UID, OOM_SCORE, OPEN_FILES, SPACES};

/// Runs until the job has ended and is packed; never returns to the helper's code.
pub fn run(config: &HelperConfig, socket: &OwnedFd) -> ! {
    let code = match session(config, socket) {
        Ok(()) => 0,
        Err(why) => {
            let _ = wire::send(socket, &FromInit::Failed { why }, &[]);
            1
        }
    };
    sys::exit_now(code)
}

fn session(config: &HelperConfig, socket: &OwnedFd) -> Setup<()> {
    sys::default_signals();
    let Some((ToInit::Build, _)) = step("hear the helper", wire::receive(socket))? else {
        return Ok(());
    };
    // Still as the user who made the sandbox: the job's could not come to where the worker keeps images, nor to what an owner lends
    // out of a home.
    let image = config.image.as_deref().map(rootfs::open).transpose()?;
    let lent = config.lent.iter().map(|(from, to)| {
        let opened = rootfs::open(from)?;
        Ok((opened, to.as_path()))
    });
    let lent = lent.collect::<Setup<Vec<_>>>()?;
    let network = config.mesh.map(mesh::open).transpose()?;
    become_job_user()?;
    step(
        "unshare the cgroup namespace",
        sys::unshare_cgroup_namespace(),
    )?;
    step(
        "set the host name",
        rustix::system::sethostname(
            config
                .mesh
                .map_or_else(|| HOST_NAME.to_owned(), Mesh::host_name)
                .as_bytes(),
        ),
    )?;
    step("bring loopback up", sys::loopback_up())?;
    if let (Some(mesh), Some(network)) = (config.mesh, &network) {
        mesh::join(mesh, network)?;
    }
    let space = rootfs::build(&lent, &config.device_nodes, image.as_ref(), config.mesh)?;
    drop((image, lent));
    drop_bounding_set()?;
    serve(socket, &space, network.as_ref(), Space::Unsized)
}

/// Who gives the writable space its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// This process, when it knows the job.
    Unsized,
    /// Whoever made the container.
    Sized,
}

/// From a root that is built to artefacts that are packed. `network`: the packets of the job's machines.
pub fn serve(
    socket: &OwnedFd,
    space: &OwnedFd,
    network: Option<&OwnedFd>,
    sizes: Space,
) -> Setup<()> {
    step("install seccomp filters", seccomp::install_early())?;
    step(
        "say that the root is built",
        wire::send(socket, &FromInit::Built, &[]),
    )?;

    let Some((ToInit::Start, files)) = step("hear the helper", wire::receive(socket))? else {
        return Ok(());
    };
    let mut files = files.into_iter().map(File::from);
    let mut job_file = files.next().ok_or("no job was passed")?;
    let job: StartJob = step("read the job", read_job(&mut job_file))?;
    let bundle = job.bundle.as_ref().and_then(|_| files.next());
    let checkpoint = job.checkpoint.as_ref().and_then(|_| files.next());
    if sizes == Space::Unsized {
        rootfs::size_space(job.limits.disk_bytes)?;
    }
    drop_capabilities()?;
    step("close mount", seccomp::install_last())?;
    let full = || match rootfs::fullness(space) {
        Ok((_, true)) => " (the job's disk limit is too small for its inputs)",
        _ => "",
    };
    if let Some(bundle) = bundle {
        unpack::unpack(Path::new("/job"), io::BufReader::new(bundle))
            .map_err(|why| format!("{why}{}", full()))?;
    }
    unpack::write_files(Path::new("/job"), &job.files).map_err(|why| format!("{why}{}", full()))?;
    if let Some(checkpoint) = checkpoint {
        unpack::restore(Path::new("/job/out"), io::BufReader::new(checkpoint))
            .map_err(|why| format!("{why}{}", full()))?;
    }
    let children = step("watch children", sys::watch_children())?;
    let process = start(&job)?;
    step(
        "say that it started",
        wire::send(
            socket,
            &FromInit::Started,
            &[process.handle.as_fd(), space.as_fd()],
        ),
    )?;
    let inside = doors::Inside { job: &job, network };
    let (code, signal) = doors::attend(socket, &children, &inside, process.pid);
    // Whatever it started and left behind ends with it; the kernel lets none of them fork again.
    kill_everything();
    let is_full = |at: &OwnedFd| rootfs::fullness(at).is_ok_and(|(_, full)| full);
    // An engine's container has several spaces, where the sandbox has one.
    let others = SPACES.iter().filter(|_| sizes == Space::Sized);
    let disk_full = is_full(space)
        || others
            .flat_map(|at| rootfs::open(Path::new(at)))
            .any(|at| is_full(&at));
    let left_something = pack::has_something(Path::new("/job/out"));
    let ended = FromInit::Ended {
        code,
        signal,
        disk_full,
        left_something,
    };
    step("say that it ended", wire::send(socket, &ended, &[]))?;
    if !left_something {
        return Ok(());
    }
    let files = loop {
        match step("hear the helper", wire::receive(socket))? {
            Some((ToInit::Pack, files)) => break files,
            // It came too late.
            Some((ToInit::Open { .. }, _)) => {}
            _ => return Ok(()),
        }
    };
    let to = files
        .into_iter()
        .next()
        .ok_or("no file for artefacts was passed")?;
    let packed = pack::pack(
        Path::new("/job/out"),
        File::from(to),
        job.artefacts_max_bytes,
    );
    let packed = step("pack artefacts", packed)?;
    let packed = FromInit::Packed {
        files: packed.files,
        bytes: packed.bytes,
        left_out: packed.left_out,
    };
    step("say what is packed", wire::send(socket, &packed, &[]))
}

fn read_job(file: &mut File) -> io::Result<StartJob> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Takes the one user and group that are mapped, and ties this process's life to the helper's.
fn become_job_user() -> Setup<()> {
    // Refused to an ordinary user's sandbox, where the groups give access to nothing that is mounted inside.
    let _ = rustix::thread::set_thread_groups(&[]);
    let (uid, gid) = (Uid::from_raw(JOB_UID), Gid::from_raw(JOB_UID));
    step(
        "take the job's group",
        rustix::thread::set_thread_res_gid(gid, gid, gid),
    )?;
    step(
        "take the job's user",
        rustix::thread::set_thread_res_uid(uid, uid, uid),
    )?;
    step(
        "tie to the helper",
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)),
    )?;
    step(
        "refuse tracing",
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
    )?;
    step("refuse new rights", rustix::thread::set_no_new_privs(true))
}

fn drop_bounding_set() -> Setup<()> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Past the last capability this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            other => step("drop the bounding set", other)?,
        }
    }
    Ok(())
}

fn drop_capabilities() -> Setup<()> {
    let none = CapabilitySet::empty();
    step(
        "clear ambient capabilities",
        rustix::thread::clear_ambient_capability_set(),
    )?;
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    step(
        "drop all capabilities",
        rustix::thread::set_capabilities(None, sets),
    )
}

struct Process {
    pid: Pid,
    handle: OwnedFd,
}

/// Forks and executes the job. Knows whether exec worked: the pipe closes at exec, or brings the error.
fn start(job: &StartJob) -> Setup<Process> {
    let (mut failed, say) = step("make a pipe", io::pipe())?;
    match step("fork (is the process limit at least 1?)", sys::fork())? {
        Fork::Child => {
            drop(failed);
            let why = match prepare_process() {
                Err(why) => why,
                Ok(()) => match sys::close_but(&say) {
                    Err(error) => error.to_string(),
                    Ok(kept) => sys::exit_saying(kept, &execute(job)),
                },
            };
            let _ = io::Write::write_all(&mut &say, why.as_bytes());
            sys::exit_now(127)
        }
        Fork::Parent { pid, pidfd } => {
            drop(say);
            // From here on only the job holds its output open.
            let null = step(
                "open /dev/null",
                File::options().read(true).write(true).open("/dev/null"),
            )?;
            step("let stdout go", rustix::stdio::dup2_stdout(&null))?;
            step("let stderr go", rustix::stdio::dup2_stderr(&null))?;
            let mut why = String::new();
            step("hear the job start", failed.read_to_string(&mut why))?;
            if why.is_empty() {
                Ok(Process { pid, handle: pidfd })
            } else {
                Err(why)
            }
        }
    }
}

/// In the job's process, which has nothing else open any more: the last steps, then exec. Returns only to say why it did not work.
fn execute(job: &StartJob) -> String {
    let prepared = bound_process();
    let Some((program, arguments)) = job.command.split_first() else {
        return "the command is empty".to_owned();
    };
    if let Err(why) = prepared {
        return why;
    }
    if let Some(Err(error)) = job.cwd.as_ref().map(rustix::process::chdir) {
        let cwd = job.cwd.as_deref().unwrap_or_default();
        return format!("the image's working directory {cwd} cannot be entered: {error}");
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(job.env.iter().map(|(name, value)| (name, value)));
    let error = command.exec();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no program `{program}` in the job's PATH, inputs or image")
        }
        io::ErrorKind::PermissionDenied => format!("`{program}` is not executable"),
        _ => format!("cannot run `{program}`: {error}"),
    }
}

fn prepare_process() -> Setup<()> {
    // What process 1 keeps blocked would be inherited.
    sys::default_signals();
    step("new session", rustix::process::setsid())?;
    let null = step("open /dev/null", File::open("/dev/null"))?;
    step("stdin", rustix::stdio::dup2_stdin(&null))
}

/// Where and within what every process of the job begins. It can be looked into by the job from here on, so nothing that is not the
/// job's may be open: the helper's socket closes at exec, which is later.
pub fn bound_process() -> Setup<()> {
    step("enter /job", rustix::process::chdir("/job"))?;
    let bound = |resource, most: u64| {
        let hard = rustix::process::getrlimit(resource)
            .maximum
            .map_or(most, |hard| hard.min(most));
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: Some(hard),
                maximum: Some(hard),
            },
        )
    };
    step("bound core files", bound(Resource::Core, 0))?;
    step("bound open files", bound(Resource::Nofile, OPEN_FILES))?;
    // The first to go when the owner's machine runs out of memory. Only a dumpable process may say so of itself;
    // exec makes it dumpable anyway.
    step(
        "make it killable",
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable),
    )?;
    step(
        "offer to the OOM killer",
        std::fs::write("/proc/self/oom_score_adj", OOM_SCORE.to_string()),
    )
}

fn kill_everything() {
    while let Ok(Some(_)) | Err(rustix::io::Errno::INTR) = {
        sys::kill_all_others();
        rustix::process::wait(WaitOptions::empty())
    } {}
}
