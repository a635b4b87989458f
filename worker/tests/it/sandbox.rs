//! What an honest job gets: its inputs, its limits told, its artefacts kept, its end named.

use std::fs::File;
use std::time::Duration;

use super::common::{
    MIB, cgroups, finish, job, options, processes, python, run, sandbox, shell, within,
};
use worker::sandbox::{End, FromHelper, Sandbox, StopReason, ToHelper, boottime_ms};

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().expect("tempdir")
}

#[tokio::test]
async fn isolation_is_possible_here() {
    let found = Sandbox::probe(options("probe")).await;
    assert!(found.is_ok(), "{found:?}");
}

#[tokio::test]
async fn a_job_gets_its_inputs_its_environment_and_keeps_its_artefacts() {
    let dir = tempdir();
    let bundle = dir.path().join("bundle.tar");
    let mut tar = tar::Builder::new(File::create(&bundle).expect("create"));
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o755);
    tar.append_data(&mut header, "data/in.txt", &b"hello"[..])
        .expect("append");
    tar.finish().expect("tar");
    let mut job = shell(
        dir.path(),
        "pwd; cat data/in.txt note; echo; env | sort; id -u; hostname; cp data/in.txt $IOG_OUTPUT/copy; echo oops >&2; exit 0",
    );
    job.bundle = Some(bundle);
    job.files.push(("note".into(), " note".into()));
    // The directory is made when there is something to put into it.
    job.artefacts = dir.path().join("spool/of/this/artefacts.tar");
    job.env.push(("WORDS".into(), "two words".into()));
    let outcome = run(job).await;
    assert_eq!(outcome.err, "oops\n");
    assert_eq!(outcome.report.artefacts.files, 1);
    let out = outcome.passed();
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "/job",
            "hello note",
            "HOME=/job",
            "IOG_OUTPUT=/job/out",
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "PWD=/job",
            "WORDS=two words",
            "1000",
            "job"
        ]
    );
    let mut kept = tar::Archive::new(
        File::open(dir.path().join("spool/of/this/artefacts.tar")).expect("artefacts"),
    );
    let names: Vec<_> = kept
        .entries()
        .expect("entries")
        .map(|entry| {
            entry
                .expect("entry")
                .path()
                .expect("path")
                .display()
                .to_string()
        })
        .collect();
    assert_eq!(names, ["copy"]);
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let dir = tempdir();
    assert_eq!(
        run(shell(dir.path(), "exit 7")).await.report.end,
        End::Exited { code: 7 }
    );
    assert_eq!(
        run(shell(dir.path(), "kill -SEGV $$")).await.report.end,
        End::Signalled { signal: 11 }
    );
}

#[tokio::test]
async fn a_failed_start_says_why() {
    let dir = tempdir();
    let why = |end| {
        if let End::FailedToStart { why } = end {
            why
        } else {
            panic!("{end:?}")
        }
    };
    let missing = why(run(job(dir.path(), &["no-such-program"])).await.report.end);
    assert!(missing.contains("`no-such-program`"), "{missing}");
    let mut bad = job(dir.path(), &["true"]);
    bad.bundle = Some(dir.path().join("not-a-tar"));
    std::fs::write(dir.path().join("not-a-tar"), vec![7; 5_000]).expect("write");
    let damaged = why(run(bad).await.report.end);
    assert!(damaged.contains("bundle"), "{damaged}");
    let mut large = job(dir.path(), &["true"]);
    large.limits.disk_bytes = MIB;
    large
        .files
        .push(("large".into(), "x".repeat(2 * 1024 * 1024)));
    let full = why(run(large).await.report.end);
    assert!(full.contains("disk limit"), "{full}");
}

#[tokio::test]
async fn what_a_job_leaves_running_ends_with_it_and_nothing_stays() {
    let dir = tempdir();
    let instance = format!("leaves{}", std::process::id());
    let maker = Sandbox::open(options(&instance)).expect("open");
    let prepared = maker.prepare().await.expect("sandbox");
    let job = shell(dir.path(), "sleep 987.5 & setsid sleep 987.5 & sleep 0.1");
    let outcome = finish(prepared.start(job).await.expect("start")).await;
    assert_eq!(outcome.report.end, End::Exited { code: 0 });
    assert!(processes("987.5").is_empty());
    assert!(cgroups(&format!("iog-{instance}-")).is_empty());
}

#[tokio::test]
async fn use_is_sampled_each_second() {
    let dir = tempdir();
    let outcome = run(python(dir.path(), "import time\nblock = bytearray(50 << 20)\nend = time.time() + 3.3\nwhile time.time() < end: pass")).await;
    assert_eq!(
        outcome.report.end,
        End::Exited { code: 0 },
        "{}",
        outcome.err
    );
    assert!(
        (3..=4).contains(&outcome.samples.len()),
        "{:?}",
        outcome.samples
    );
    let last = outcome.samples.last().expect("samples");
    assert!(last.cpu_us > 1_500_000, "{last:?}");
    assert!(
        last.memory_bytes > 45 * MIB && last.memory_bytes < 120 * MIB,
        "{last:?}"
    );
    assert!(outcome.report.ran_ms >= 3_300, "{:?}", outcome.report);
}

#[tokio::test]
async fn processor_time_is_bounded() {
    let dir = tempdir();
    let mut job = python(
        dir.path(),
        "import time\nend = time.time() + 2\nwhile time.time() < end: pass",
    );
    job.limits.cpu_millis = 250;
    let report = run(job).await.report;
    let share = report.usage.cpu_us / report.ran_ms;
    assert!(
        (150..400).contains(&share),
        "{share} thousandths of a core, {report:?}"
    );
}

#[tokio::test]
async fn a_stop_is_polite_first_and_keeps_the_artefacts() {
    let dir = tempdir();
    let maker = sandbox();
    let script = "trap 'echo saved > $IOG_OUTPUT/checkpoint/step; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let mut running = maker
        .prepare()
        .await
        .expect("sandbox")
        .start(shell(dir.path(), script))
        .await
        .expect("start");
    assert!(matches!(
        running.events.next().await,
        Some(FromHelper::Started { .. })
    ));
    tokio::time::sleep(Duration::from_millis(300)).await;
    running
        .control
        .send(&ToHelper::Stop {
            reason: StopReason::Requested,
            grace_ms: 5_000,
        })
        .await
        .expect("send");
    let report = finish(running).await.report;
    assert_eq!(
        report.end,
        End::Killed {
            reason: StopReason::Requested
        }
    );
    assert_eq!((report.exit_code, report.artefacts.files), (Some(0), 1));
}

#[tokio::test]
async fn who_ignores_the_polite_stop_is_killed_and_keeps_its_artefacts() {
    let dir = tempdir();
    let mut job = shell(
        dir.path(),
        "trap '' TERM; echo x > $IOG_OUTPUT/x; while :; do sleep 0.05; done",
    );
    job.time_limit_ms = Some(1_000);
    let report = run(job).await.report;
    assert_eq!(report.end, End::TimeLimit);
    assert!((1_000..1_600).contains(&report.ran_ms), "{report:?}");
    assert_eq!(report.artefacts.files, 1);
}

#[tokio::test]
async fn paid_seconds_are_never_passed() {
    let dir = tempdir();
    let mut job = shell(dir.path(), "trap '' TERM; while :; do sleep 0.05; done");
    job.funded_ms = Some(2_000);
    let report = run(job).await.report;
    assert_eq!(
        report.end,
        End::Killed {
            reason: StopReason::Funds
        }
    );
    assert!((2_000..2_500).contains(&report.ran_ms), "{report:?}");
}

#[tokio::test]
async fn silence_freezes_and_then_kills_and_a_renewal_thaws() {
    let dir = tempdir();
    let maker = sandbox();
    let mut job = shell(dir.path(), "while :; do sleep 0.05; done");
    let begin = boottime_ms();
    job.lease_until_ms = begin + 1_500;
    let mut running = maker
        .prepare()
        .await
        .expect("sandbox")
        .start(job)
        .await
        .expect("start");
    let mut seen = Vec::new();
    let report = loop {
        match running.events.next().await.expect("a report") {
            FromHelper::Frozen { .. } if seen.is_empty() => {
                seen.push("frozen");
                running
                    .control
                    .send(&ToHelper::Lease {
                        until_ms: begin + 4_000,
                    })
                    .await
                    .expect("send");
            }
            FromHelper::Frozen { .. } => seen.push("frozen"),
            FromHelper::Thawed { .. } => seen.push("thawed"),
            FromHelper::Ended(report) => break report,
            _ => {}
        }
    };
    assert_eq!(seen, ["frozen", "thawed", "frozen"]);
    assert_eq!(
        report.end,
        End::Killed {
            reason: StopReason::Lease
        }
    );
    let now = boottime_ms() - begin;
    assert!((4_000..4_800).contains(&now), "killed after {now} ms");
}

#[tokio::test]
async fn a_prepared_sandbox_that_is_not_used_leaves_nothing() {
    let instance = format!("unused{}", std::process::id());
    let maker = Sandbox::open(options(&instance)).expect("open");
    let prepared = maker.prepare().await.expect("sandbox");
    assert!(!cgroups(&format!("iog-{instance}-")).is_empty());
    drop(prepared);
    assert!(within(Duration::from_secs(5), || cgroups(&format!(
        "iog-{instance}-"
    ))
    .is_empty()));
}

#[tokio::test]
async fn a_rented_device_is_there_and_no_other() {
    let dir = tempdir();
    let look = "for name in tty tty0 vda kmsg mem; do [ -e /dev/$name ] && echo $name; done; echo";
    assert_eq!(run(shell(dir.path(), look)).await.passed(), "\n");
    let prepared = sandbox()
        .prepare_with(&["tty".to_owned()], None, None)
        .await
        .expect("sandbox");
    let running = prepared
        .start(shell(dir.path(), look))
        .await
        .expect("start");
    assert_eq!(finish(running).await.passed(), "tty\n\n");
}

#[tokio::test]
async fn artefacts_that_cannot_be_packed_are_told_and_the_job_ended_before_them() {
    let dir = tempdir();
    for place in ["/dev/full", "/proc/nowhere/artefacts.tar"] {
        let mut job = shell(dir.path(), "echo kept > $IOG_OUTPUT/result");
        job.artefacts = place.into();
        let outcome = run(job).await;
        assert_eq!(outcome.report.end, End::Exited { code: 0 }, "{place}");
        assert_eq!(outcome.report.artefacts.left_out, 1, "{place}");
        assert!(outcome.job_ended, "{place}");
    }
}
