//! `iog-worker doctor`: looks at everything that a machine needs to earn, and says of each thing that it lacks what to do.
//!
//! It changes nothing: it joins nothing, and its one sandbox is its own and gone at the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel::Timestamp;
use serde::Serialize;

use crate::sandbox::engine::Choice;
use crate::sandbox::{
    self, FromHelper, JobLimits, Options, Prepared, Sandbox, StartJob, boottime_ms,
};

/// Memory and disk below which no job of use can run.
const MEMORY_MIN_MIB: u64 = 1_024;
const DISK_MIN_MIB: u64 = 2_048;
/// A clock that is further off than this makes logs and join tokens read wrongly.
const SKEW_MAX_MS: i64 = 5_000;
const ASK_WITHIN: Duration = Duration::from_secs(10);
const RUN_WITHIN: Duration = Duration::from_secs(20);
/// The oldest kernel: mounts that are changed as a whole came with it.
const KERNEL_MIN: (u32, u32) = (5, 12);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Fail,
    /// Does not apply here, or could not be looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name for programs.
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub fix: String,
}

impl Check {
    fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Pass,
            found: found.into(),
            fix: String::new(),
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Fail,
            found: found.into(),
            fix: fix.into(),
        }
    }

    fn skipped(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Skipped,
            ..Self::pass(name, found)
        }
    }
}

/// Where to look: `/` and who asks, but for tests.
#[derive(Debug, Clone)]
pub struct Place {
    pub root: PathBuf,
    pub is_root: bool,
    /// Of the worker's key and state.
    pub state: PathBuf,
}

impl Place {
    fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.read(path)?.parse().ok()
    }
}

/// What files alone tell.
pub fn of_files(place: &Place) -> Vec<Check> {
    vec![
        kernel(place),
        namespaces(place),
        cgroups(place),
        seccomp(place),
        memory(place),
        disk(place),
        key(place),
        mesh(place),
        nvidia(place),
    ]
}

fn kernel(place: &Place) -> Check {
    const NAME: &str = "kernel";
    let Some(release) = place.read("proc/sys/kernel/osrelease") else {
        return Check::fail(
            NAME,
            "no /proc",
            "mount /proc; outside of Linux there is no worker",
        );
    };
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|n| n.parse::<u32>().ok());
    let version = (next().unwrap_or(0), next().unwrap_or(0));
    if version >= KERNEL_MIN {
        Check::pass(NAME, release)
    } else {
        let (major, minor) = KERNEL_MIN;
        Check::fail(
            NAME,
            release,
            format!("update the system: Linux {major}.{minor} or newer is needed"),
        )
    }
}

fn namespaces(place: &Place) -> Check {
    const NAME: &str = "user_namespaces";
    let most = place.number("proc/sys/user/max_user_namespaces");
    match most {
        None => {
            return Check::fail(
                NAME,
                "this kernel has none",
                "use a kernel with CONFIG_USER_NS",
            );
        }
        Some(0) => {
            return Check::fail(
                NAME,
                "switched off",
                "sysctl -w user.max_user_namespaces=15000",
            );
        }
        Some(_) => {}
    }
    let closed = [
        (
            "proc/sys/kernel/unprivileged_userns_clone",
            0,
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run the worker as root",
        ),
    ];
    let shut = closed
        .into_iter()
        .find(|(path, value, _)| !place.is_root && place.number(path) == Some(*value));
    match shut {
        Some((_, _, fix)) => Check::fail(NAME, "closed to ordinary users", fix),
        None => Check::pass(NAME, format!("{} allowed", most.unwrap_or(0))),
    }
}

/// Whether the controllers exist. Whether they may be used, the sandbox tells.
fn cgroups(place: &Place) -> Check {
    const NAME: &str = "cgroups";
    const NEEDED: [&str; 3] = ["memory", "pids", "cpu"];
    let base = "sys/fs/cgroup";
    if let Some(there) = place.read(&format!("{base}/cgroup.controllers")) {
        let lacks: Vec<&str> = NEEDED
            .into_iter()
            .filter(|name| !there.split_whitespace().any(|known| known == *name))
            .collect();
        if lacks.is_empty() {
            return Check::pass(NAME, "version 2 with memory, pids and cpu");
        }
        return Check::fail(
            NAME,
            format!("version 2 without {}", lacks.join(", ")),
            if place.is_root {
                "enable them in /sys/fs/cgroup/cgroup.subtree_control, or on the kernel's command line (cgroup_enable=memory)"
            } else {
                "run it as a systemd service with Delegate=yes, or: systemd-run --user --scope -p Delegate=yes -- iog-worker run"
            },
        );
    }
    let lacks: Vec<&str> = NEEDED
        .into_iter()
        .chain(["freezer"])
        .filter(|name| !place.root.join(base).join(name).is_dir())
        .collect();
    if lacks.is_empty() {
        Check::pass(NAME, "version 1 with memory, pids, cpu and freezer")
    } else {
        Check::fail(
            NAME,
            format!("no controllers: {}", lacks.join(", ")),
            "mount cgroups (in a container: run it with --cgroupns=host and /sys/fs/cgroup writable)",
        )
    }
}

fn seccomp(place: &Place) -> Check {
    const NAME: &str = "seccomp";
    let there = place
        .read("proc/sys/kernel/seccomp/actions_avail")
        .unwrap_or_default();
    let has = |action| there.split_whitespace().any(|known| known == action);
    if has("errno") && has("allow") {
        Check::pass(NAME, there)
    } else {
        Check::fail(
            NAME,
            "filters cannot be set",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        )
    }
}

fn memory(place: &Place) -> Check {
    const NAME: &str = "memory";
    let text = place.read("proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let free = kib.unwrap_or(0) / 1_024;
    let found = format!("{free} MiB free");
    if free >= MEMORY_MIN_MIB {
        Check::pass(NAME, found)
    } else {
        Check::fail(
            NAME,
            found,
            format!(
                "close other programs: {MEMORY_MIN_MIB} MiB are the least that a job of use needs"
            ),
        )
    }
}

fn disk(place: &Place) -> Check {
    const NAME: &str = "disk";
    // The directory may not exist yet: then that in which it will be made.
    let there = place.state.ancestors().find(|path| path.is_dir());
    let Some((path, free)) = there.and_then(|path| Some((path, rustix::fs::statvfs(path).ok()?)))
    else {
        return Check::skipped(NAME, "could not be looked at");
    };
    let mib = free.f_bavail.saturating_mul(free.f_frsize) / (1 << 20);
    let found = format!("{mib} MiB free in {}", path.display());
    if mib >= DISK_MIN_MIB {
        Check::pass(NAME, found)
    } else {
        Check::fail(
            NAME,
            found,
            format!("free {DISK_MIN_MIB} MiB, or name another directory with --state"),
        )
    }
}

fn key(place: &Place) -> Check {
    const NAME: &str = "key";
    let directory = &place.state;
    let files = [
        (directory.clone(), 0o700),
        (directory.join("node.key"), 0o600),
    ];
    for (path, wanted) in files {
        let Ok(about) = fs::metadata(&path) else {
            return Check::skipped(NAME, "this machine has not joined yet");
        };
        let mode = about.permissions().mode() & 0o777;
        if mode & !wanted != 0 {
            return Check::fail(
                NAME,
                format!(
                    "{} can be read or changed by others (mode {mode:o})",
                    path.display()
                ),
                format!("chmod {wanted:o} {}", path.display()),
            );
        }
    }
    Check::pass(NAME, format!("{} is closed to others", directory.display()))
}

/// Jobs on several machines may want a network between them; all others run without.
fn mesh(place: &Place) -> Check {
    const NAME: &str = "job_network";
    let door = place.root.join("dev/net/tun");
    match fs::File::options().read(true).write(true).open(door) {
        Ok(_) => Check::pass(NAME, "/dev/net/tun opens"),
        Err(error) => Check::skipped(
            NAME,
            format!(
                "/dev/net/tun: {error}: jobs whose machines reach each other fail to start here, all others run (modprobe tun)"
            ),
        ),
    }
}

/// What the kernel says of the driver; the library itself is asked by [`of_library`].
fn nvidia(place: &Place) -> Check {
    const NAME: &str = "nvidia_driver";
    let Some(text) = place.read("proc/driver/nvidia/version") else {
        return Check::skipped(NAME, "no NVIDIA driver: the CPU is offered");
    };
    let version = text.lines().next().unwrap_or_default().to_owned();
    if place.root.join("dev/nvidiactl").exists() {
        Check::pass(NAME, version)
    } else {
        Check::fail(
            NAME,
            format!("{version}, but /dev/nvidiactl is missing"),
            "run nvidia-smi once as root, or nvidia-modprobe -u -c=0",
        )
    }
}

/// Whether NVIDIA's library answers, where there is a driver. `driver`: what the kernel said of it.
fn of_library(driver: Outcome) -> Check {
    const NAME: &str = "nvml";
    let answer = nvml_wrapper::Nvml::init()
        .and_then(|nvml| Ok((nvml.sys_driver_version()?, nvml.device_count()?)));
    match answer {
        Ok((version, cards)) => Check::pass(NAME, format!("driver {version}, {cards} cards")),
        Err(error) if driver == Outcome::Skipped => {
            Check::skipped(NAME, format!("no NVIDIA library ({error})"))
        }
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "install the driver's libnvidia-ml (Debian: libnvidia-ml1) in the driver's own version",
        ),
    }
}

/// The exchange: whether it answers, and how far this machine's clock is from its.
pub async fn of_server(server: Option<&str>, now: impl Fn() -> Timestamp) -> Vec<Check> {
    const NAME: &str = "server";
    const CLOCK: &str = "clock";
    let Some(server) = server else {
        let none = "no address: this machine has not joined yet; give one with --server";
        return vec![Check::skipped(NAME, none), Check::skipped(CLOCK, none)];
    };
    let client = reqwest::Client::builder().timeout(ASK_WITHIN).build();
    let asked = match client {
        Ok(client) => client.get(format!("{server}/api/v1/network")).send().await,
        Err(error) => Err(error),
    };
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => {
            let why = source_of(&error);
            let fix = "look at the address, the network, and a firewall or proxy in between: the worker only dials out";
            return vec![
                Check::fail(NAME, format!("{server} does not answer: {why}"), fix),
                Check::skipped(CLOCK, "the server does not answer"),
            ];
        }
    };
    let here = now();
    let date = answer
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let clock = match date.and_then(http_date) {
        None => Check::skipped(CLOCK, "the server does not tell the time"),
        Some(there) => skew(here.millis_since(there)),
    };
    let status = answer.status();
    let reached = if status.is_success() {
        let told = answer
            .headers()
            .get("iog-version")
            .and_then(|told| told.to_str().ok());
        let version = told.map_or(String::new(), |told| format!(", version {told}"));
        let own = env!("CARGO_PKG_VERSION");
        Check::pass(
            NAME,
            format!("{server} answers{version}; this worker is {own}"),
        )
    } else {
        Check::fail(
            NAME,
            format!("{server} answers {status}"),
            "look whether that is the address of an exchange",
        )
    };
    vec![reached, clock]
}

/// The innermost cause: the outer ones only say that it failed.
fn source_of(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn skew(ahead_ms: i64) -> Check {
    const NAME: &str = "clock";
    let seconds = ahead_ms.saturating_abs() / 1_000;
    let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
    if ahead_ms.saturating_abs() <= SKEW_MAX_MS {
        Check::pass(NAME, "as the server's, to a few seconds")
    } else {
        Check::fail(
            NAME,
            format!("{seconds} s {way} the server's"),
            "let the system keep its time: timedatectl set-ntp true",
        )
    }
}

/// A date as HTTP writes it: `Fri, 27 Nov 2026 04:21:49 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS
        .iter()
        .position(|known| *known == month)?
        .checked_add(1)?;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

/// A real sandbox with `/bin/true` in it.
pub async fn of_sandbox() -> Check {
    const NAME: &str = "sandbox";
    let options = Options {
        helper: PathBuf::from("/proc/self/exe"),
        instance: format!("doctor{}", std::process::id()),
        lent: Vec::new(),
    };
    match tokio::time::timeout(RUN_WITHIN, run_isolated(options)).await {
        Ok(Ok(())) => Check::pass(NAME, "a job ran isolated and ended"),
        Ok(Err(why)) => Check::fail(
            NAME,
            why,
            "pass the checks above first; docs/worker.md says what isolation needs",
        ),
        Err(_) => Check::fail(
            NAME,
            "a job in a sandbox did not end in time",
            "look at the load of this machine and try again",
        ),
    }
}

async fn run_isolated(options: Options) -> Result<(), String> {
    let sandbox = Sandbox::probe(options)
        .await
        .map_err(|lacks| lacks.join("; "))?;
    run_true(sandbox.prepare().await.map_err(|error| error.to_string())?).await
}

async fn run_true(ready: Prepared) -> Result<(), String> {
    let artefacts = std::env::temp_dir().join(format!("iog-doctor-{}.tar", std::process::id()));
    let job = StartJob {
        command: vec!["/bin/true".into()],
        cwd: None,
        env: Vec::new(),
        files: Vec::new(),
        bundle: None,
        checkpoint: None,
        limits: JobLimits {
            memory_bytes: 64 << 20,
            disk_bytes: 16 << 20,
            cpu_millis: 1_000,
            pids: 16,
        },
        lease_until_ms: boottime_ms().saturating_add(15_000),
        funded_ms: None,
        time_limit_ms: None,
        stop_grace_ms: 1_000,
        artefacts: artefacts.clone(),
        artefacts_max_bytes: 1 << 20,
    };
    let mut running = ready.start(job).await.map_err(|error| error.to_string())?;
    let mut end = None;
    while let Some(event) = running.events.next().await {
        if let FromHelper::Ended(report) = event {
            end = Some(report.end.clone());
        }
    }
    running.events.gone().await;
    _ = fs::remove_file(artefacts);
    match end {
        Some(sandbox::End::Exited { code: 0 }) => Ok(()),
        Some(other) => Err(format!("/bin/true ended otherwise: {other:?}")),
        None => Err("the sandbox went away".to_owned()),
    }
}

/// Everything, in the order in which it is to be put right.
/// `chosen`: jobs run in this engine's containers, and not in the worker's own sandbox.
pub async fn look(
    place: &Place,
    server: Option<&str>,
    chosen: Option<&Choice>,
    now: impl Fn() -> Timestamp,
) -> Vec<Check> {
    let mut checks = of_files(place);
    let driver = checks.iter().find(|check| check.name == "nvidia_driver");
    let driver = driver.map_or(Outcome::Skipped, |check| check.outcome);
    checks.push(of_library(driver));
    checks.extend(of_server(server, now).await);
    match chosen {
        Some(choice) => checks.extend(Box::pin(engine::look(place, choice, driver)).await),
        None => checks.push(of_sandbox().await),
    }
    checks
}

/// For people: a line a check, and below it what to do.
pub fn text(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let mark = match check.outcome {
            Outcome::Pass => "pass",
            Outcome::Fail => "FAIL",
            Outcome::Skipped => "  – ",
        };
        let fix = match check.fix.as_str() {
            "" => String::new(),
            fix => format!("      fix: {fix}\n"),
        };
        format!("{mark}  {:15} {}\n{fix}", check.name, check.found)
    };
    checks.iter().map(line).collect()
}

/// Nothing stands in the way of earning.
pub fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Outcome::Fail)
}

/// For programs.
///
/// # Errors
/// Never; a serializer may fail by its type.
pub fn json(checks: &[Check]) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        well: bool,
        checks: &'a [Check],
    }
    serde_json::to_string_pretty(&Told {
        well: is_well(checks),
        checks,
    })
}

/// Where the worker of this user keeps its state, unless it is told otherwise.
pub fn place(state: &Path) -> Place {
    Place {
        root: PathBuf::from("/"),
        is_root: rustix::process::geteuid().is_root(),
        state: state.to_owned(),
    }
}

mod engine;
#[cfg(test)]
mod tests;
