//! Takes a worker off its machine: what it keeps, what a killed one left in the kernel, and its program. Nothing else.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::time::{Instant, sleep};

use crate::identity::{self, Identity, IdentityError, Made};
use crate::sandbox::{self, engine};

/// What a worker makes in its state directory. A directory that holds anything else is not removed. Its key comes last: while that is
/// there, the same command goes on after something could not be removed.
const OURS: [&str; 12] = [
    identity::MAINTENANCE,
    identity::PORTAL_MAINTENANCE,
    identity::ENGINE,
    "update",
    "node.new",
    "state.new",
    "spool",
    "images",
    "telemetry",
    identity::LOCK,
    identity::STATE,
    identity::KEY,
];
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    #[error("there is no worker in {0}; name its directory with --state")]
    NotHere(String),
    #[error(
        "a worker runs here (process {pid}) and may have a job. Stop it first: kill {pid} lets its jobs end, up to its \
         --drain-timeout. Or say --force: it is killed, and its jobs with it"
    )]
    Running { pid: String },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "what this worker has in its container engine cannot be removed: {0}. Start that engine and try again, or remove the \
         directory `engine` in the worker's state to leave it there"
    )]
    Engine(String),
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> UninstallError {
    let path = path.display().to_string();
    move |error| UninstallError::Io { path, error }
}

/// Removes the worker whose state is in `directory`, and `program`. Answers what was done, a sentence each.
///
/// # Errors
/// [`UninstallError`]; what was removed before stays removed, and the same command goes on.
pub async fn uninstall(
    directory: &Path,
    program: Option<&Path>,
    force: bool,
) -> Result<Vec<String>, UninstallError> {
    if !directory.join(identity::KEY).is_file() {
        return Err(UninstallError::NotHere(directory.display().to_string()));
    }
    let mut done = Vec::new();
    let identity = match Identity::open(directory) {
        Err(IdentityError::InUse(_)) => {
            let running = Running::find(directory)?;
            if !force {
                return Err(UninstallError::Running { pid: running.pid() });
            }
            done.push(running.end(directory).await?);
            Identity::open(directory)?
        }
        other => other?,
    };
    let instance = sandbox::instance(&identity.public_key());
    let in_engine = engine::clean_leftovers(&instance, &directory.join(identity::ENGINE)).await;
    if let Some((containers, images)) = in_engine.map_err(UninstallError::Engine)? {
        done.push(format!(
            "Removed {containers} containers and {images} images of this worker from its container engine."
        ));
    }
    let removed = sandbox::clean_leftovers(&instance);
    if removed > 0 {
        done.push(format!(
            "Removed {removed} cgroups of jobs that a killed worker had left."
        ));
    }
    remove_ours(directory)?;
    drop(identity);
    match fs::remove_dir(directory) {
        Ok(()) => done.push(format!("Removed {}.", directory.display())),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            done.push(format!(
                "{} stays: it holds what this worker did not make.",
                directory.display()
            ));
        }
        Err(error) => return Err(at(directory)(error)),
    }
    if let Some(program) = program {
        fs::remove_file(program).map_err(at(program))?;
        done.push(format!("Removed {}.", program.display()));
    }
    done.push(
        "The platform keeps the node's record; remove it on the portal's page of machines."
            .to_owned(),
    );
    Ok(done)
}

fn remove_ours(directory: &Path) -> Result<(), UninstallError> {
    for name in OURS {
        let path = directory.join(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Takes away what was made for a first join that came to nothing: a key that no exchange knows is of no use. A directory that was
/// there before stays, and what an engine may have of this worker is found by its key alone.
pub fn take_back(identity: &Identity) {
    let directory = identity.directory();
    if identity.made() == Made::Nothing || directory.join(identity::ENGINE).exists() {
        return;
    }
    sandbox::clean_leftovers(&sandbox::instance(&identity.public_key()));
    // Why the join failed is what its owner has to know; what cannot be removed is there as it was before.
    if remove_ours(directory).is_ok() && identity.made() == Made::All {
        _ = fs::remove_dir(directory);
    }
}

/// The worker that holds the directory's lock.
struct Running {
    pid: Option<(Pid, OwnedFd)>,
}

impl Running {
    /// By the number in the lock file, if that process really has this file open.
    fn find(directory: &Path) -> Result<Self, UninstallError> {
        let lock = directory.join(identity::LOCK);
        let text = fs::read_to_string(&lock).map_err(at(&lock))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let held = pid.and_then(|pid| {
            // The handle first: after it the number cannot become another process's.
            let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
            has_open(pid, &lock).then_some((pid, handle))
        });
        Ok(Self { pid: held })
    }

    fn pid(&self) -> String {
        self.pid.as_ref().map_or_else(
            || "unknown".to_owned(),
            |(pid, _)| pid.as_raw_nonzero().to_string(),
        )
    }

    async fn end(self, directory: &Path) -> Result<String, UninstallError> {
        let pid = self.pid();
        let Some((_, handle)) = self.pid else {
            return Err(UninstallError::Running { pid });
        };
        rustix::process::pidfd_send_signal(&handle, Signal::KILL)
            .map_err(|error| at(directory)(error.into()))?;
        let until = Instant::now() + ENDS_WITHIN;
        // Its helpers hear of it and end the jobs; they hold no lock, but the cgroups, which are looked at later.
        while matches!(Identity::open(directory), Err(IdentityError::InUse(_))) {
            if Instant::now() > until {
                return Err(UninstallError::Running { pid });
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(format!("Killed the worker that ran here (process {pid})."))
    }
}

fn has_open(pid: Pid, file: &Path) -> bool {
    let Ok(wanted) = fs::canonicalize(file) else {
        return false;
    };
    let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()));
    open.into_iter()
        .flatten()
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target: PathBuf| target == wanted))
}
