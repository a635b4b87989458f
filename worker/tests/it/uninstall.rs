//! `iog-worker uninstall` leaves nothing of a worker behind, and takes nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use protocol::worker::FromWorker;
use worker::identity::Identity;

use super::agent::{Worker, spec};
use super::common::{cgroups, processes, within};
use super::exchange::Exchange;

/// A copy: what is uninstalled removes itself.
fn program(dir: &Path) -> PathBuf {
    let program = dir.join("iog-worker");
    std::fs::copy(env!("CARGO_BIN_EXE_iog-worker"), &program).expect("copy");
    program
}

fn uninstall(program: &Path, state: &Path, more: &[&str]) -> (Output, String) {
    let done = Command::new(program)
        .arg("uninstall")
        .arg("--state")
        .arg(state)
        .args(more)
        .output()
        .expect("uninstall");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    (done, said)
}

#[test]
fn a_worker_with_a_job_is_not_removed_unless_told_and_then_nothing_stays() {
    let exchange = Exchange::start();
    let mut worker = Worker::start(&exchange);
    exchange.assign(1, 1, spec(": uninstallmark; while :; do sleep 0.1; done"));
    exchange.hear(Duration::from_secs(10), "the start", |message| {
        matches!(message, FromWorker::Started { .. }).then_some(())
    });
    let dir = tempfile::tempdir().expect("tempdir");
    let program = program(dir.path());
    let (refused, said) = uninstall(&program, &worker.state, &[]);
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains(&worker.child.id().to_string()) && said.contains("--force"),
        "{said}"
    );
    assert!(!processes(": uninstallmark").is_empty() && program.exists());
    let (done, said) = uninstall(&program, &worker.state, &["--force"]);
    assert!(done.status.success(), "{said}");
    worker.child.wait().expect("wait");
    assert!(within(Duration::from_secs(2), || processes(
        ": uninstallmark"
    )
    .is_empty()));
    assert!(!worker.state.exists() && !program.exists(), "{said}");
    let key = exchange.lock().hellos[0].public_key.clone();
    let groups = format!("iog-{}-", worker::sandbox::instance(&key));
    assert!(within(Duration::from_secs(5), || cgroups(&groups).is_empty()));
}

#[test]
fn what_cannot_be_removed_leaves_the_key_for_another_attempt() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (program, state) = (program(dir.path()), dir.path().join("state"));
    drop(Identity::open(&state).expect("made"));
    // Deeper than the number of files that it may have open.
    let mut deep = state.join("images");
    for _ in 0..400 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).expect("images");
    let attempt = |limits: &str| {
        let script = format!(
            "{limits} && exec {} uninstall --keep-program --state {}",
            program.display(),
            state.display()
        );
        let done = Command::new("sh").args(["-c", &script]).output();
        done.expect("uninstall")
    };
    let failed = attempt("ulimit -n 128");
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(
        !failed.status.success() && said.contains("images"),
        "{said}"
    );
    assert!(state.join(worker::identity::KEY).exists());
    // The limit that is usual is no bound for the worker itself.
    let done = attempt("ulimit -S -n 128");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !state.exists(), "{said}");
}

#[test]
fn what_the_worker_did_not_make_stays() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (program, state) = (program(dir.path()), dir.path().join("state"));
    let (nothing, said) = uninstall(&program, &state, &[]);
    assert!(
        !nothing.status.success() && said.contains("no worker in"),
        "{said}"
    );
    assert!(program.exists(), "a typing error removes nothing");
    drop(Identity::open(&state).expect("made"));
    std::fs::create_dir_all(state.join("images/trees/x")).expect("images");
    std::fs::write(state.join("letters"), "the owner's").expect("write");
    let (done, said) = uninstall(&program, &state, &["--keep-program"]);
    assert!(done.status.success() && said.contains("stays"), "{said}");
    let left: Vec<_> = std::fs::read_dir(&state)
        .expect("read")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    assert_eq!(left, ["letters"]);
    assert!(program.exists());
}
