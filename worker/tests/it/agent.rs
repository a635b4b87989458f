//! The real `iog-worker` program against a small exchange.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::JobSpec;
use protocol::spec::InlineFile;
use protocol::state::RunEnd;
use protocol::worker::{FromWorker, Refusal, StopReason, ToWorker};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use worker::identity::{self, Identity};

use super::common::{processes, within};
use super::exchange::{Exchange, TTL_MS, post};

const SOON: Duration = Duration::from_secs(10);

pub fn spec(script: &str) -> JobSpec {
    let text = serde_json::json!({
        "name": "test", "command": ["/bin/sh", "-c", script],
        "resources": {"memory_mib": 128, "disk_mib": 16, "pids": 32},
        "limits": {"duration_seconds": 600},
        "metrics": ["loss"],
    });
    serde_json::from_value(text).expect("spec")
}

pub struct Worker {
    pub child: Child,
    pub state: PathBuf,
    _dir: tempfile::TempDir,
}

pub fn command(arguments: &[&str], state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iog-worker"));
    command
        .args(arguments)
        .arg("--state")
        .arg(state)
        .stdin(Stdio::null());
    command
}

impl Worker {
    /// Joins and runs, until the exchange has heard its hello and first heartbeat.
    pub fn start(exchange: &Exchange) -> Self {
        Self::start_with(exchange, &[])
    }

    /// The same with further words for `run`.
    pub fn start_with(exchange: &Exchange, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let state = dir.path().join("state");
        let joined = command(
            &[
                "join",
                "--enroll-only",
                "--server",
                &exchange.origin(),
                "--token",
                "one-time",
                "--name",
                "rig",
                "--country",
                "CH",
            ],
            &state,
        )
        .output()
        .expect("join");
        assert!(
            joined.status.success(),
            "{}",
            String::from_utf8_lossy(&joined.stderr)
        );
        let log = std::fs::File::create(dir.path().join("log")).expect("log");
        let child = command(&["run", "--drain-timeout", "2"], &state)
            .args(options)
            .stderr(log)
            .spawn()
            .expect("run");
        let worker = Self {
            child,
            state,
            _dir: dir,
        };
        exchange.hear(SOON, "a heartbeat", |message| {
            matches!(message, FromWorker::Heartbeat { .. }).then_some(())
        });
        worker
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state.with_file_name("log")).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the worker's log ---\n{}", self.log());
        }
    }
}

fn started(exchange: &Exchange) {
    exchange.hear(SOON, "the start", |message| {
        matches!(message, FromWorker::Started { .. }).then_some(())
    });
}

fn ended(exchange: &Exchange, limit: Duration) -> (RunEnd, Option<protocol::view::Receipt>) {
    exchange.hear(limit, "the end", |message| match message {
        FromWorker::Ended { end, receipt, .. } => Some((end.clone(), receipt.as_deref().cloned())),
        _ => None,
    })
}

#[test]
fn a_job_runs_from_its_inputs_to_its_artefacts_and_its_last_receipt() {
    let exchange = Exchange::start();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(6);
    tar.append_data(&mut header, "in/data", &b"bundle"[..])
        .expect("append");
    let bundle = tar.into_inner().expect("tar");
    let digest = hex::encode(Sha256::digest(&bundle));
    exchange.lock().bundles.insert(digest.clone(), bundle);
    let worker = Worker::start(&exchange);
    let mut spec = spec(
        "cat in/data note; echo; echo loss=0.25; echo oops >&2; sleep 2.2; echo kept > $IOG_OUTPUT/result; echo done",
    );
    spec.bundle = Some(digest);
    spec.files.push(InlineFile {
        path: "note".into(),
        content: "+inline".into(),
    });
    let assignment = exchange.assign(1, 1, spec);
    started(&exchange);
    // A countersigned receipt in between: the last one must follow on it.
    let draft = exchange.hear(SOON, "a receipt", |message| match message {
        FromWorker::Heartbeat { leases, .. } => leases.iter().find_map(|beat| beat.receipt.clone()),
        _ => None,
    });
    assert_eq!((draft.seq, draft.seconds.get(), draft.last), (1, 1, false));
    let key = exchange.lock().hellos[0].public_key.clone();
    let posted = post(&draft, &key);
    exchange.say(posted.clone());
    let (end, receipt) = ended(&exchange, SOON);
    assert_eq!(end, RunEnd::Exited { code: 0 });
    let receipt = receipt.expect("it ran seconds");
    assert_eq!(
        (
            receipt.seq,
            receipt.seconds.get(),
            receipt.last,
            receipt.amount.base()
        ),
        (2, 2, true, 200)
    );
    let ToWorker::ReceiptPosted { hash, .. } = posted else {
        panic!("not posted")
    };
    assert_eq!(receipt.previous, hash);
    let log = exchange.log(assignment.lease);
    // Its errors are another stream: they stand somewhere among its output, of which each part keeps its place.
    let out: String = log.splitn(2, "oops\n").collect();
    assert!(
        log.contains("oops\n") && out == "bundle+inline\nloss=0.25\ndone\n",
        "{log:?}"
    );
    assert_eq!(exchange.lock().artefacts["result"], b"kept\n");
    exchange.hear(SOON, "the metric", |message| match message {
        FromWorker::Samples { samples, .. } => samples
            .iter()
            .flat_map(|sample| &sample.metrics)
            .find(|metric| metric.name == "loss" && (metric.value - 0.25).abs() < 1e-9)
            .map(|_| ()),
        _ => None,
    });
    // Closed: the next heartbeats no longer name it, and nothing of it stays on disk.
    let spool = worker.state.join("spool");
    assert!(within(SOON, || std::fs::read_dir(&spool)
        .map_or(true, |mut entries| entries.next().is_none())));
}

#[test]
fn a_server_that_is_killed_and_comes_back_costs_no_job() {
    let mut exchange = Exchange::start();
    let worker = Worker::start(&exchange);
    let assignment = exchange.assign(2, 1, spec("n=0; while [ $n -lt 200 ]; do echo line $n; n=$((n+1)); sleep 0.05; done; echo all lines"));
    started(&exchange);
    std::thread::sleep(Duration::from_millis(800));
    exchange.kill();
    // Longer than a lease lives.
    std::thread::sleep(Duration::from_millis(TTL_MS + 1_500));
    exchange.lock().heard.clear();
    exchange.restart();
    let elapsed = exchange.hear(SOON, "that it runs still", |message| match message {
        FromWorker::Started { elapsed_ms, .. } => Some(*elapsed_ms),
        _ => None,
    });
    assert!(elapsed > TTL_MS, "{elapsed}");
    let claimed = exchange.lock().hellos.last().expect("hello").leases.clone();
    assert_eq!(
        claimed.iter().map(|claim| claim.lease).collect::<Vec<_>>(),
        [assignment.lease]
    );
    let (end, receipt) = ended(&exchange, Duration::from_secs(20));
    assert_eq!(end, RunEnd::Exited { code: 0 }, "{}", worker.log());
    assert!(receipt.expect("receipt").seconds.get() >= 9);
    let log = exchange.log(assignment.lease);
    assert!(log.contains("line 199\nall lines\n"), "{log}");
}

#[test]
fn a_silent_server_ends_the_job_with_its_lease() {
    let exchange = Exchange::start();
    let worker = Worker::start(&exchange);
    exchange.assign(3, 1, spec(": silentmark; while :; do sleep 0.1; done"));
    started(&exchange);
    assert!(!processes(": silentmark").is_empty());
    exchange.lock().silent = true;
    let gone = within(Duration::from_millis(TTL_MS + 1_500), || {
        processes(": silentmark").is_empty()
    });
    assert!(gone, "the job lives past its lease\n{}", worker.log());
    exchange.lock().silent = false;
    let (end, receipt) = ended(&exchange, Duration::from_secs(15));
    assert_eq!(end, RunEnd::LeaseLost);
    assert!(
        receipt.is_none_or(|receipt| receipt.seconds.get() <= TTL_MS / 1_000),
        "frozen seconds are not billed"
    );
}

#[test]
fn a_refused_lease_ends_at_once_and_says_nothing_more() {
    let exchange = Exchange::start();
    let worker = Worker::start(&exchange);
    let assignment = exchange.assign(4, 1, spec(": refusedmark; while :; do sleep 0.1; done"));
    started(&exchange);
    exchange.lock().refused.insert(assignment.lease);
    assert!(
        within(Duration::from_secs(2), || processes(": refusedmark")
            .is_empty()),
        "{}",
        worker.log()
    );
    exchange.lock().heard.clear();
    std::thread::sleep(Duration::from_millis(1_200));
    let about_it = exchange
        .lock()
        .heard
        .iter()
        .filter(|message| match message {
            FromWorker::Heartbeat { leases, .. } => !leases.is_empty(),
            // What the machine measures goes on.
            FromWorker::Telemetry { .. } => false,
            _ => true,
        })
        .count();
    assert_eq!(about_it, 0);
}

#[test]
fn a_worker_stopped_past_its_lease_has_no_job_when_it_wakes() {
    let exchange = Exchange::start();
    let worker = Worker::start(&exchange);
    exchange.assign(5, 1, spec(": pausedmark; while :; do sleep 0.1; done"));
    started(&exchange);
    worker.signal(Signal::STOP);
    assert!(within(Duration::from_millis(TTL_MS + 1_500), || processes(
        ": pausedmark"
    )
    .is_empty()));
    // What was assigned meanwhile waits in the socket: it must not run before the lease is known to hold.
    let late = exchange.assign(6, 1, spec(": latemark; while :; do sleep 0.1; done"));
    exchange.lock().refused.insert(late.lease);
    std::thread::sleep(Duration::from_millis(500));
    worker.signal(Signal::CONT);
    assert!(
        !within(Duration::from_secs(2), || !processes(": latemark")
            .is_empty()),
        "a stale assignment was run"
    );
}

#[test]
fn stops_and_drains_end_a_job_by_name() {
    let exchange = Exchange::start();
    let mut worker = Worker::start(&exchange);
    let first = exchange.assign(
        7,
        3,
        spec("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"),
    );
    started(&exchange);
    // An order for an older epoch changes nothing.
    exchange.say(ToWorker::Stop {
        lease: first.lease,
        epoch: kernel::Epoch::new(2),
        reason: StopReason::User,
        grace_ms: 1_000,
    });
    std::thread::sleep(Duration::from_millis(500));
    exchange.say(ToWorker::Stop {
        lease: first.lease,
        epoch: first.epoch,
        reason: StopReason::User,
        grace_ms: 3_000,
    });
    assert_eq!(ended(&exchange, SOON).0, RunEnd::StoppedByUser);
    assert!(within(SOON, || exchange
        .log(first.lease)
        .ends_with("bye\n")));
    exchange.lock().heard.clear();
    exchange.assign(8, 1, spec("while :; do sleep 0.05; done"));
    started(&exchange);
    worker.signal(Signal::TERM);
    exchange.hear(SOON, "draining", |message| {
        matches!(message, FromWorker::Heartbeat { draining: true, .. }).then_some(())
    });
    exchange.assign(9, 1, spec("true"));
    exchange.hear(SOON, "the rejection", |message| {
        matches!(message, FromWorker::Rejected { .. }).then_some(())
    });
    assert_eq!(ended(&exchange, SOON).0, RunEnd::NodeDrained);
    assert!(
        within(SOON, || worker
            .child
            .try_wait()
            .expect("wait")
            .is_some_and(|status| status.success())),
        "{}",
        worker.log()
    );
}

#[test]
fn files_that_travel_when_the_worker_is_told_to_stop_arrive_and_their_job_ends_well() {
    let exchange = Exchange::start();
    // Longer than the drain timeout, and longer than ended work waits to be accounted for.
    exchange.lock().slow_files = Duration::from_secs(11);
    let mut worker = Worker::start(&exchange);
    exchange.assign(11, 1, spec("echo kept > $IOG_OUTPUT/result"));
    exchange.hear(SOON, "the upload", |message| {
        let uploading = protocol::worker::Phase::Uploading;
        matches!(message, FromWorker::Preparing { phase, .. } if *phase == uploading).then_some(())
    });
    worker.signal(Signal::TERM);
    let (end, _) = ended(&exchange, Duration::from_secs(20));
    assert_eq!(end, RunEnd::Exited { code: 0 });
    assert_eq!(exchange.lock().artefacts["result"], b"kept\n");
    assert!(within(SOON, || worker
        .child
        .try_wait()
        .expect("wait")
        .is_some()));
}

#[test]
fn a_bundle_that_cannot_be_had_is_not_held_against_the_job() {
    let exchange = Exchange::start();
    let _worker = Worker::start(&exchange);
    let mut spec = spec("true");
    spec.bundle = Some("ab".repeat(32));
    exchange.assign(12, 1, spec);
    exchange.hear(SOON, "the rejection", |message| {
        matches!(message, FromWorker::Rejected { reason, .. } if reason.contains("404"))
            .then_some(())
    });
}

#[test]
fn another_address_of_the_exchange_is_remembered() {
    let exchange = Exchange::start();
    let mut worker = Worker::start(&exchange);
    worker.child.kill().expect("kill");
    worker.child.wait().expect("wait");
    let path = worker.state.join("state.json");
    let text = std::fs::read_to_string(&path).expect("state");
    let before = text.replace(&exchange.origin(), "http://127.0.0.1:9");
    assert_ne!(before, text);
    std::fs::write(&path, &before).expect("write");
    worker.child = command(&["run", "--server", &exchange.origin()], &worker.state)
        .spawn()
        .expect("run");
    assert!(within(SOON, || std::fs::read_to_string(&path)
        .is_ok_and(|now| now == text)));
}

#[test]
fn a_flood_of_output_arrives_whole_and_in_order() {
    let exchange = Exchange::start();
    let _worker = Worker::start(&exchange);
    let assignment = exchange.assign(10, 1, spec("i=0; while [ $i -lt 40000 ]; do echo \"line number $i of a long output\"; i=$((i+1)); done"));
    assert_eq!(
        ended(&exchange, Duration::from_secs(30)).0,
        RunEnd::Exited { code: 0 }
    );
    let log = exchange.log(assignment.lease);
    assert_eq!(log.lines().count(), 40_000);
    assert!(
        log.lines()
            .enumerate()
            .all(|(i, line)| line == format!("line number {i} of a long output"))
    );
}

#[test]
fn each_refusal_tells_the_owner_what_to_do() {
    let exchange = Exchange::start();
    let dir = tempfile::tempdir().expect("tempdir");
    let state = dir.path().join("state");
    for (reason, wanted) in [
        (Refusal::JoinToken, "make a new join line"),
        (Refusal::Removed, "removed this node"),
        (Refusal::UnknownNode, "iog-worker join"),
        (Refusal::Protocol, "install the iog-worker that fits"),
    ] {
        exchange.lock().refuse = Some(reason);
        let done = command(
            &["join", "--server", &exchange.origin(), "--token", "x"],
            &state,
        )
        .output()
        .expect("join");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !done.status.success() && said.contains(wanted),
            "{reason:?}: {said}"
        );
    }
    let never = command(&["run"], &state).output().expect("run");
    assert!(String::from_utf8_lossy(&never.stderr).contains("has not joined yet"));
    assert!(!state.exists(), "nothing is left of what was refused");
    let bad = command(
        &["join", "--server", "not an address", "--token", "x"],
        &state,
    )
    .output()
    .expect("join");
    assert!(String::from_utf8_lossy(&bad.stderr).contains("write it like https://"));
}

/// Else nobody who updated the server before its workers would ever see one of them update itself.
#[test]
fn a_worker_that_updates_itself_waits_for_a_program_that_the_exchange_understands() {
    let mut exchange = Exchange::start();
    // The public key of RFC 8032's first example.
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let mut worker = Worker::start_with(&exchange, &["--auto-update", "--release-key", key]);
    exchange.lock().refuse = Some(Refusal::Protocol);
    exchange.lock().heard.clear();
    exchange.kill();
    exchange.restart();
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        worker.child.try_wait().expect("wait").is_none(),
        "{}",
        worker.log()
    );
    exchange.lock().refuse = None;
    exchange.hear(SOON, "a heartbeat", |message| {
        matches!(message, FromWorker::Heartbeat { .. }).then_some(())
    });
    worker.signal(Signal::TERM);
    worker.child.wait().expect("wait");
}

#[test]
fn a_join_that_came_to_nothing_leaves_only_what_was_there_before() {
    let mut exchange = Exchange::start();
    let server = exchange.origin();
    exchange.kill();
    let dir = tempfile::tempdir().expect("tempdir");
    let state = dir.path().join("state");
    let join = || {
        let arguments = ["join", "--server", &server, "--token", "x"];
        let done = command(&arguments, &state).output().expect("join");
        assert!(!done.status.success());
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let said = join();
    assert!(said.contains("connection refused"), "{said}");
    assert!(!state.exists(), "{said}");
    std::fs::create_dir(&state).expect("mkdir");
    std::fs::write(state.join("letters"), "the owner's").expect("write");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    join();
    let left: Vec<_> = std::fs::read_dir(&state)
        .expect("the owner's")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["letters"]);
    // A key that was there before stays: an exchange may know it.
    drop(Identity::open(&state).expect("open"));
    join();
    assert!(state.join(identity::KEY).exists());
}
