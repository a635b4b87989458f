//! Taking more than was given: processes, memory, disk, output.

use super::super::common::{MIB, python, run, sandbox, shell};
use super::{output, tempdir};
use worker::sandbox::End;

#[tokio::test]
async fn escape_fork_bomb_is_contained_and_named() {
    let dir = tempdir();
    let bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass";
    let outcome = run(python(dir.path(), bomb)).await;
    assert_eq!(outcome.report.end, End::PidLimit);
    assert!(outcome.report.ran_ms < 15_000, "{:?}", outcome.report);
    assert!(
        outcome.samples.iter().all(|sample| sample.pids <= 64),
        "{:?}",
        outcome.samples
    );
}

#[tokio::test]
async fn escape_fork_bomb_that_gives_up_is_named_too() {
    let dir = tempdir();
    let outcome = run(python(
        dir.path(),
        "import os, time\nfor _ in range(500):\n  if os.fork() == 0: time.sleep(60)",
    ))
    .await;
    assert_eq!(outcome.report.end, End::PidLimit, "{}", outcome.err);
}

#[tokio::test]
async fn escape_memory_hog_is_killed_at_its_limit() {
    let dir = tempdir();
    let outcome = run(python(
        dir.path(),
        "hog = []\nwhile True: hog.append(bytearray(8 << 20))",
    ))
    .await;
    assert_eq!(outcome.report.end, End::OutOfMemory, "{}", outcome.err);
    // Memory, disk and the sandbox's own share: nothing above can ever be held.
    assert!(
        outcome.report.peak_memory_bytes <= (256 + 32 + 8) * MIB,
        "{:?}",
        outcome.report
    );
}

#[tokio::test]
async fn escape_disk_filler_is_stopped_at_its_quota() {
    for place in ["/job", "/tmp", "/dev/shm"] {
        let dir = tempdir();
        let outcome = run(shell(dir.path(), &format!("cat /dev/zero > {place}/fill"))).await;
        assert_eq!(
            outcome.report.end,
            End::DiskFull,
            "{place}: {}",
            outcome.err
        );
        assert!(
            outcome.report.peak_memory_bytes < 64 * MIB,
            "{:?}",
            outcome.report
        );
    }
    let dir = tempdir();
    let files = "n = 0\nwhile True:\n  open(f'/job/{n}', 'w').close()\n  n += 1";
    assert_eq!(
        run(python(dir.path(), files)).await.report.end,
        End::DiskFull
    );
}

#[tokio::test]
async fn escape_output_flood_waits_for_its_reader() {
    // The pipe is the bound: a job that is not read stops writing, and takes no memory of the worker's.
    let dir = tempdir();
    let maker = sandbox();
    let mut job = shell(dir.path(), "yes");
    job.time_limit_ms = Some(1_500);
    let mut running = maker
        .prepare()
        .await
        .expect("sandbox")
        .start(job)
        .await
        .expect("start");
    let report = loop {
        if let worker::sandbox::FromHelper::Ended(report) =
            running.events.next().await.expect("report")
        {
            break report;
        }
    };
    assert_eq!(report.end, End::TimeLimit);
    assert!(
        report.usage.cpu_us < 500_000,
        "it was blocked, not spinning: {report:?}"
    );
}

#[tokio::test]
async fn escape_memory_outside_of_the_heap_is_counted_too() {
    // Anonymous files, pipes and shared mappings: each is memory that a process holds without having it mapped.
    let dir = tempdir();
    let script = "import os, mmap
held = []
while True:
    fd = os.memfd_create('x')
    os.ftruncate(fd, 32 << 20)
    m = mmap.mmap(fd, 32 << 20)
    m.write(b'x' * (32 << 20))
    held.append((fd, m))";
    let outcome = run(python(dir.path(), script)).await;
    assert_eq!(outcome.report.end, End::OutOfMemory, "{}", outcome.err);
}

#[tokio::test]
async fn escape_threads_count_as_processes() {
    let dir = tempdir();
    let script = "import threading, time
made = 0
try:
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start(); made += 1
except RuntimeError: pass
print(made < 64, flush=True)
import os; os._exit(0)";
    assert_eq!(run(python(dir.path(), script)).await.passed(), "True\n");
}

#[tokio::test]
async fn escape_space_that_is_claimed_unwritten_is_refused() {
    let script = "import os
for place in ['/job/big', '/tmp/big', '/dev/shm/big']:
    fd = os.open(place, os.O_RDWR | os.O_CREAT)
    try: os.posix_fallocate(fd, 0, 1 << 30); print('TOOK', place)
    except OSError: pass
    os.close(fd); os.unlink(place)
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
}
