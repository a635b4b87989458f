//! The process that starts the agent, swaps its program for a newer one, and judges whether that comes up.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Files, LEAVES_FOR_UPDATE, SUPERVISED, Trial};

/// A program that ends so often before it is welcomed does not come up.
const CRASHES_MAX: u32 = 3;
/// Between two starts of a program on trial.
const PAUSE: Duration = Duration::from_millis(500);
/// From SIGTERM to SIGKILL for one that did not come up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is supervised, and how.
#[derive(Debug)]
pub struct Supervisor {
    /// The program's place, in which newer ones are put.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub files: Files,
    /// A new program has so long to be welcomed by the exchange.
    pub welcomed_within: Duration,
}

/// How the child came to its end.
enum Ended {
    Itself(ExitStatus),
    /// It was told to stop, and so is all of this, whatever else it was about.
    Told(ExitStatus),
    /// It was not welcomed in time.
    TooLate,
}

impl Supervisor {
    /// Runs the agent until it ends for good; then with its exit code.
    ///
    /// # Errors
    /// The program cannot be started, or no signal heard.
    pub async fn run(&self) -> std::io::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            let trial = self.files.trial();
            let ended = match self.start() {
                Ok(child) => {
                    self.watch(child, trial.is_some(), &mut terminate, &mut interrupt)
                        .await?
                }
                // It is no program of this machine at all.
                Err(error) if trial.is_some() => {
                    tracing::error!(%error, "the new worker cannot be started");
                    self.roll_back().await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let on_trial = self.files.trial();
            match (ended, on_trial) {
                (Ended::TooLate, Some(trial)) => {
                    tracing::error!(
                        version = trial.version,
                        "the new worker was not welcomed in time"
                    );
                    self.roll_back().await;
                }
                (Ended::TooLate, None) => {}
                (Ended::Told(status), _) => return Ok(stopped(status)),
                (Ended::Itself(status), _)
                    if status.code() == Some(i32::from(LEAVES_FOR_UPDATE)) =>
                {
                    if let Err(error) = self.swap() {
                        tracing::error!(%error, "the newer worker could not be put in place; the old one goes on");
                        // Or it would be fetched again at once, and again.
                        if let Some((_, version)) = self.files.staged() {
                            self.refuse(&version);
                        }
                        self.files.forget_staged();
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                // Told to stop, it did: a trial goes on at the next start.
                (Ended::Itself(status), Some(trial)) if !status.success() => {
                    self.crashed(trial).await;
                }
                (Ended::Itself(status), _) => return Ok(code(status)),
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env(SUPERVISED, "1")
            .spawn()
    }

    async fn watch(
        &self,
        mut child: Child,
        on_trial: bool,
        terminate: &mut Listener,
        interrupt: &mut Listener,
    ) -> std::io::Result<Ended> {
        let deadline = Instant::now() + self.welcomed_within;
        let (mut waits, mut told) = (on_trial, false);
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    return Ok(if told { Ended::Told(status) } else { Ended::Itself(status) });
                }
                _ = terminate.recv() => {
                    told = true;
                    forward(&child, Signal::TERM);
                }
                _ = interrupt.recv() => {
                    told = true;
                    forward(&child, Signal::INT);
                }
                () = sleep_until(deadline), if waits => {
                    waits = false;
                    if self.files.trial().is_some() {
                        forward(&child, Signal::TERM);
                        if timeout(PATIENCE, child.wait()).await.is_err() {
                            child.kill().await?;
                        }
                        return Ok(Ended::TooLate);
                    }
                }
            }
        }
    }

    async fn crashed(&self, trial: Trial) {
        let crashes = trial.crashes.saturating_add(1);
        tracing::warn!(
            version = trial.version,
            crashes,
            "the new worker ended before it was welcomed"
        );
        let trial = Trial { crashes, ..trial };
        if crashes >= CRASHES_MAX || self.files.set_trial(&trial).is_err() {
            self.roll_back().await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Puts the staged program in place and keeps the one before. After each step either of them is whole at its place.
    fn swap(&self) -> std::io::Result<()> {
        let Some((staged, version)) = self.files.staged() else {
            return Err(std::io::Error::other("nothing lies ready"));
        };
        copy(&self.program, &self.files.previous())?;
        self.files.set_trial(&Trial {
            version,
            crashes: 0,
        })?;
        let put = copy(&staged, &self.program);
        if put.is_err() {
            // The program is still the one before.
            self.files.end_trial();
        }
        self.files.forget_staged();
        put
    }

    /// The one before is put back; the version is not taken again. A trial ends only with that: until then it is tried again and again.
    async fn roll_back(&self) {
        match put_back(&self.files.previous(), &self.program) {
            Ok(()) => tracing::warn!("the worker before is back in its place"),
            Err(error) => {
                tracing::error!(%error, "the worker before could not be put back; it is tried again");
                tokio::time::sleep(PAUSE).await;
                return;
            }
        }
        // After it: the bad program has made room for this note.
        if let Some(trial) = self.files.trial() {
            self.refuse(&trial.version);
        }
        self.files.end_trial();
    }

    fn refuse(&self, version: &str) {
        if let Err(error) = self.files.refuse(version) {
            tracing::error!(%error, "that this version does not come up could not be written down");
        }
    }
}

/// By its name alone where that is possible: a full disk has no room for a copy.
fn put_back(previous: &Path, program: &Path) -> std::io::Result<()> {
    match fs::rename(previous, program) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => copy(previous, program),
        // A supervisor that was killed between this and the end of the trial has done it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && program.is_file() => Ok(()),
        other => other,
    }
}

/// Whole or not at all, also across file systems.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut name = to.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let done = fs::copy(from, &new)
        .and_then(|_| fs::File::open(&new)?.sync_all())
        .and_then(|()| fs::rename(&new, to));
    if done.is_err() {
        // Half of it would take the room that the next attempt needs.
        _ = fs::remove_file(&new);
    }
    done
}

fn forward(child: &Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        _ = kill_process(pid, signal);
    }
}

/// Leaving for an update is leaving.
fn stopped(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(code) if code == i32::from(LEAVES_FOR_UPDATE) => ExitCode::SUCCESS,
        _ => self::code(status),
    }
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
