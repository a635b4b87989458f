//! Runs real jobs in real sandboxes for the tests. When this machine cannot isolate, every test here fails loudly:
//! a skipped containment test would be worth nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use worker::sandbox::engine::{Choice, Engine, Wish};
use worker::sandbox::{
    End, FromHelper, JobLimits, Options, Prepared, Report, Running, Sandbox, StartJob, Usage,
    boottime_ms,
};

pub const MIB: u64 = 1024 * 1024;

pub fn options(instance: &str) -> Options {
    Options {
        helper: PathBuf::from(env!("CARGO_BIN_EXE_iog-worker")),
        instance: instance.to_owned(),
        lent: Vec::new(),
    }
}

pub fn instance() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("t{}x{number}", std::process::id())
}

/// A sandbox maker with a name of its own, so that tests can run at the same time.
pub fn sandbox() -> Sandbox {
    match Sandbox::open(options(&instance())) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            panic!("\n\n=== ISOLATION IS IMPOSSIBLE HERE, NOTHING WAS TESTED ===\n{error}\n\n")
        }
    }
}

/// The engine in whose containers the jobs of tests run, instead of in our own sandbox: `IOG_TEST_ENGINE=podman=/path/of/its.sock`.
pub fn engine() -> Option<Choice> {
    let named = std::env::var("IOG_TEST_ENGINE").ok()?;
    Some(Choice::parse(&named).expect("IOG_TEST_ENGINE names an engine"))
}

/// A place for this job: our own sandbox, or a container.
pub async fn place(instance: &str, job: &StartJob) -> Prepared {
    let Some(choice) = engine() else {
        let sandbox = Sandbox::open(options(instance)).expect("open");
        return sandbox.prepare().await.expect("a sandbox can be made");
    };
    let directory = job.artefacts.with_file_name("engine");
    let engine = Engine::open(options(instance), &choice, directory).await;
    let wish = Wish {
        limits: job.limits,
        ..Wish::default()
    };
    let prepared = engine.expect("the engine answers").prepare(wish).await;
    prepared.expect("a container can be made")
}

/// Runs a job to its end in a container of that engine, and leaves nothing there.
pub async fn run_in(choice: &Choice, wish: Wish, job: StartJob) -> Outcome {
    let dir = tempfile::tempdir().expect("tempdir");
    let instance = instance();
    let opened = Engine::open(options(&instance), choice, dir.path().join("engine")).await;
    let engine = opened.expect("the engine answers");
    let prepared = engine.prepare(wish).await.expect("a container can be made");
    let outcome = finish(prepared.start(job).await.expect("the job is taken")).await;
    let (containers, _) = choice.clean(&instance).await.expect("cleaned");
    assert_eq!(containers, 0, "a job's container goes with its job");
    outcome
}

/// A job with small limits and a lease that does not end during the test.
pub fn job(dir: &Path, command: &[&str]) -> StartJob {
    StartJob {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        cwd: None,
        env: vec![
            ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
            ("HOME".into(), "/job".into()),
            ("IOG_OUTPUT".into(), "/job/out".into()),
        ],
        files: Vec::new(),
        bundle: None,
        checkpoint: None,
        limits: JobLimits {
            memory_bytes: 256 * MIB,
            disk_bytes: 32 * MIB,
            cpu_millis: 1_000,
            pids: 64,
        },
        lease_until_ms: boottime_ms() + 120_000,
        funded_ms: None,
        time_limit_ms: None,
        stop_grace_ms: 2_000,
        artefacts: dir.join("artefacts.tar"),
        artefacts_max_bytes: 16 * MIB,
    }
}

pub fn shell(dir: &Path, script: &str) -> StartJob {
    job(dir, &["/bin/sh", "-c", script])
}

pub fn python(dir: &Path, script: &str) -> StartJob {
    let mut job = job(dir, &["python3", "probe.py"]);
    job.files.push(("probe.py".into(), script.into()));
    job
}

pub struct Outcome {
    pub report: Report,
    pub out: String,
    pub err: String,
    pub samples: Vec<Usage>,
    /// The end of the job's own process was told before the report.
    pub job_ended: bool,
}

impl Outcome {
    /// The job ran and exited with 0; answers its output.
    pub fn passed(self) -> String {
        assert_eq!(
            self.report.end,
            End::Exited { code: 0 },
            "out: {}\nerr: {}",
            self.out,
            self.err
        );
        self.out
    }
}

/// Runs a job to its end.
pub async fn run(job: StartJob) -> Outcome {
    if let Some(choice) = engine() {
        let wish = Wish {
            limits: job.limits,
            ..Wish::default()
        };
        return run_in(&choice, wish, job).await;
    }
    let sandbox = sandbox();
    let prepared = sandbox.prepare().await.expect("a sandbox can be made");
    finish(prepared.start(job).await.expect("the job is taken")).await
}

/// Collects output and events until the end.
pub async fn finish(running: Running) -> Outcome {
    let Running {
        mut stdout,
        mut stderr,
        control,
        mut events,
    } = running;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut samples = Vec::new();
    let mut job_ended = false;
    let listen = async {
        loop {
            match events.next().await {
                Some(FromHelper::Sample(usage)) => samples.push(usage),
                Some(FromHelper::JobEnded { .. }) => job_ended = true,
                Some(FromHelper::Ended(report)) => break *report,
                Some(_) => {}
                None => panic!("the helper died without a report"),
            }
        }
    };
    let limit = Duration::from_secs(100);
    let (report, ..) = tokio::time::timeout(limit, async {
        tokio::join!(
            listen,
            stdout.read_to_end(&mut out),
            stderr.read_to_end(&mut err)
        )
    })
    .await
    .expect("the job ends in time");
    drop(control);
    events.gone().await;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome {
        report,
        out: text(out),
        err: text(err),
        samples,
        job_ended,
    }
}

/// Cgroup directories of any controller whose name begins so.
pub fn cgroups(prefix: &str) -> Vec<PathBuf> {
    fn walk(at: &Path, prefix: &str, depth: usize, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    found.push(entry.path());
                } else if depth > 0 {
                    walk(&entry.path(), prefix, depth - 1, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), prefix, 6, &mut found);
    found
}

/// Processes whose command line contains this.
pub fn processes(mark: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(mark)
        })
        .collect()
}

/// Waits until `done`, at most so long.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let step = Duration::from_millis(20);
    let mut left = limit;
    while !done() {
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(step);
        left = left.saturating_sub(step);
    }
    true
}
