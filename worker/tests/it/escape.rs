//! Jobs that try to get out, or to take more than they were given. Each must be contained, and reported as what it is.

use std::net::TcpListener;
use std::path::Path;

use super::common::{MIB, python, run, sandbox, shell};
use worker::sandbox::{End, StartJob};

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().expect("tempdir")
}

async fn output(make: impl FnOnce(&Path) -> StartJob) -> String {
    let dir = tempdir();
    let job = make(dir.path());
    run(job).await.passed()
}

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
async fn escape_writes_outside_the_writable_space_are_refused() {
    let out = output(|dir| {
        shell(dir, "for d in / /usr /usr/bin /etc /dev /proc /proc/sys/kernel /lib; do touch $d/x 2>/dev/null && echo wrote $d; done; echo done")
    })
    .await;
    assert_eq!(out, "done\n");
}

#[tokio::test]
async fn escape_network_reaches_nothing_but_its_own_loopback() {
    // A real listener of the host: the job must not reach it, at any of the host's addresses.
    let host = TcpListener::bind("0.0.0.0:0").expect("listen");
    let port = host.local_addr().expect("address").port();
    let script = format!(
        "import socket, os
for family, address in [(2, '127.0.0.1'), (2, '10.0.0.1'), (2, '169.254.169.254'), (2, '1.1.1.1'), (10, '::1')]:
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(2)
    try:
        s.connect((address, {port})); print('REACHED', address)
    except OSError as e: pass
print(sorted(os.listdir('/sys')) if os.path.exists('/sys') else 'no /sys', open('/proc/net/route').read().count('\\n'))
mine = socket.socket(); mine.bind(('127.0.0.1', 0)); mine.listen()
socket.create_connection(mine.getsockname(), 2); print('own loopback works')
print([l.split(':')[0].strip() for l in open('/proc/net/dev').readlines()[2:]])"
    );
    let out = output(|dir| python(dir, &script)).await;
    assert_eq!(out, "no /sys 1\nown loopback works\n['lo']\n");
}

#[tokio::test]
async fn escape_other_socket_families_are_refused() {
    // vsock, packet, alg, key, bluetooth, xdp: some reach the host whatever network namespace they are made in.
    let script = "import socket
for family in [40, 17, 38, 15, 31, 44]:
    for kind in [1, 2, 3, 5]:
        try: socket.socket(family, kind); print('MADE', family)
        except OSError: pass
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
}

#[tokio::test]
async fn escape_owners_files_are_not_there() {
    let secret = tempdir();
    let path = secret.path().join("secret");
    std::fs::write(&path, "owner's secret").expect("write");
    let script = format!(
        "for f in /etc/shadow /root /home /var /mnt /srv /boot /run /sys /opt /proc/1/root {} {}; do cat $f 2>/dev/null; ls $f >/dev/null 2>&1 && echo SEES $f; done; ls /; ls /etc",
        path.display(),
        env!("CARGO_MANIFEST_DIR"),
    );
    let out = output(|dir| shell(dir, &script)).await;
    assert!(!out.contains("SEES") && !out.contains("secret\n"), "{out}");
    let listing: Vec<&str> = out.lines().collect();
    for name in ["root", "home", "var", "shadow", "ssh"] {
        assert!(!listing.contains(&name), "{name} in {out}");
    }
}

#[tokio::test]
async fn escape_host_processes_are_invisible() {
    let script = "import os, signal
pids = sorted(int(n) for n in os.listdir('/proc') if n.isdigit())
print(pids == [1, os.getpid()], os.getpid())
try: os.kill(1, signal.SIGKILL)
except OSError as e: print('refused')
for f in ['mem', 'environ', 'maps', 'root', 'fd']:
    try: (os.listdir if f in ('root', 'fd') else open)(f'/proc/1/{f}'); print('OPENED', f)
    except OSError: pass
print('alive')";
    let out = output(|dir| python(dir, script)).await;
    // A signal that process 1 does not handle is dropped by the kernel: no error, no effect.
    assert_eq!(out.replace("refused\n", ""), "True 2\nalive\n");
}

#[tokio::test]
async fn escape_rights_are_none() {
    let out = output(|dir| shell(dir, "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status; cat /proc/self/oom_score_adj")).await;
    let lines: Vec<String> = out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let zero = "0000000000000000";
    assert_eq!(
        lines,
        [
            "Uid: 1000 1000 1000 1000".to_owned(),
            "Gid: 1000 1000 1000 1000".to_owned(),
            "Groups:".to_owned(),
            format!("CapInh: {zero}"),
            format!("CapPrm: {zero}"),
            format!("CapEff: {zero}"),
            format!("CapBnd: {zero}"),
            format!("CapAmb: {zero}"),
            "NoNewPrivs: 1".to_owned(),
            "Seccomp: 2".to_owned(),
            "1000".to_owned(),
        ]
    );
}

#[tokio::test]
async fn escape_system_calls_are_refused() {
    // Numbers of x86_64 and arm64 differ; libc knows ptrace, mount, unshare, … by name, the rest goes by number.
    let script = "import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    r = getattr(libc, name)(*args)
    print(name, r, errno.errorcode.get(ctypes.get_errno()))
call('ptrace', 0, 0, 0, 0)
call('mount', b'none', b'/tmp', b'tmpfs', 0, None)
call('umount2', b'/job', 2)
call('unshare', 0x10000000)
call('setns', 0, 0)
call('chroot', b'/job')
call('process_vm_readv', 1, None, 0, None, 0, 0)
call('personality', 0x0040000)
call('sethostname', b'x', 1)
x86 = platform.machine() == 'x86_64'
for name, nr in [('keyctl', 250 if x86 else 219), ('add_key', 248 if x86 else 217), ('bpf', 321 if x86 else 280), ('io_uring_setup', 425),
                 ('userfaultfd', 323 if x86 else 282), ('perf_event_open', 298 if x86 else 241), ('open_tree', 428), ('mount_setattr', 442),
                 ('fsopen', 430), ('pidfd_getfd', 438)]:
    ctypes.set_errno(0); r = libc.syscall(nr, 0, 0, 0, 0, 0); print(name, r, errno.errorcode.get(ctypes.get_errno()))
ctypes.set_errno(0); print('clone3', libc.syscall(435, 0, 0), errno.errorcode.get(ctypes.get_errno()))
ctypes.set_errno(0); print('clone newuser', libc.syscall(56 if x86 else 220, 0x10000000 | 17, 0, 0, 0, 0), errno.errorcode.get(ctypes.get_errno()))
ctypes.set_errno(0); print('future', libc.syscall(5000), errno.errorcode.get(ctypes.get_errno()))";
    let out = output(|dir| python(dir, script)).await;
    for line in out.lines() {
        let wanted = if line.starts_with("clone3") || line.starts_with("future") {
            "-1 ENOSYS"
        } else {
            "-1 EPERM"
        };
        assert!(line.ends_with(wanted), "{line}");
    }
    assert_eq!(out.lines().count(), 22, "{out}");
}

#[tokio::test]
async fn escape_kernel_secrets_are_masked() {
    let script = "for f in kcore keys kallsyms timer_list sysrq-trigger; do [ -s /proc/$f ] && head -c 64 /proc/$f 2>/dev/null | wc -c; done; echo 1 2>/dev/null > /proc/sys/kernel/core_pattern && echo WROTE; echo b 2>/dev/null >/proc/sysrq-trigger; echo done";
    let out = output(|dir| shell(dir, script)).await;
    assert!(!out.contains("WROTE") && out.ends_with("done\n"), "{out}");
    assert!(
        out.lines().all(|line| line == "done" || line == "0"),
        "{out}"
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
