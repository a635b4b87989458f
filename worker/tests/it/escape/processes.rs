//! Other processes, namespaces, cgroups, rights.

use super::super::common::{python, run, shell};
use super::{output, refusals, tempdir};

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
    // The kernel lets no ordinary user's sandbox drop the owner's groups.
    let is_root = rustix::process::geteuid().is_root();
    let lines: Vec<String> = out
        .lines()
        .map(|line| match line {
            groups if groups.starts_with("Groups:") && !is_root => "Groups:".to_owned(),
            line => line.split_whitespace().collect::<Vec<_>>().join(" "),
        })
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
async fn escape_signals_reach_nobody_outside() {
    // The job's own helper and this test are outside: both must live, and no number but its own answers.
    let dir = tempdir();
    let script = "import os, signal
me = os.getpid()
for pid in range(2, 5000):
    if pid == me: continue
    try: os.kill(pid, signal.SIGKILL); print('KILLED', pid)
    except OSError: pass
signal.signal(signal.SIGTERM, signal.SIG_IGN)
try: os.kill(-1, signal.SIGTERM)
except OSError: pass
try: os.killpg(1, signal.SIGKILL)
except OSError: pass
for pid in [1, os.getppid()]:
    try: os.kill(pid, signal.SIGSTOP)
    except OSError: pass
print('alive')";
    assert_eq!(run(python(dir.path(), script)).await.passed(), "alive\n");
}

#[tokio::test]
async fn escape_ptrace_of_anybody_is_refused() {
    let script = "
x86 = platform.machine() == 'x86_64'
child = os.fork()
if child == 0:
    time.sleep(30)
for pid in [1, child, os.getpid()]:
    for request in [0, 16, 0x4206]:
        call('ptrace', 101 if x86 else 117, request, pid, 0, 0)
    call('process_vm_writev', 311 if x86 else 271, pid, 0, 0, 0, 0, 0)
for path in [f'/proc/1/{name}' for name in ['mem', 'maps', 'environ', 'auxv', 'stack', 'syscall', 'personality', 'io']]:
    try: open(path, 'rb').read(1); print('READ', path)
    except OSError: pass
os.kill(child, 9)";
    assert_eq!(refusals(script).await, ["EPERM"; 12]);
}

#[tokio::test]
async fn escape_new_namespaces_are_refused_and_old_ones_not_entered() {
    let script = "
x86 = platform.machine() == 'x86_64'
flags = [0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x00000080]
for flag in flags:
    call('unshare', 272 if x86 else 97, flag)
    if flag > 0x80: call('clone', 56 if x86 else 220, flag | 17, 0, 0, 0, 0)
for name in os.listdir('/proc/self/ns'):
    fd = os.open(f'/proc/self/ns/{name}', os.O_RDONLY)
    call('setns', 308 if x86 else 268, fd, 0)
for name in os.listdir('/proc/self/ns'):
    try: os.open(f'/proc/1/ns/{name}', os.O_RDONLY); print('OPENED', name)
    except OSError: pass";
    let refused = refusals(script).await;
    assert!(refused.len() >= 22, "{refused:?}");
    assert!(refused.iter().all(|word| word == "EPERM"), "{refused:?}");
}

#[tokio::test]
async fn escape_cgroups_are_neither_seen_nor_written() {
    // release_agent runs a program as root on the host; limits could be lifted by whoever writes the files.
    let script = "import os
print(all(line.rstrip().endswith(':/') for line in open('/proc/self/cgroup')))
print(os.path.exists('/sys'), os.path.exists('/sys/fs/cgroup'), 'cgroup' in open('/proc/mounts').read())
for base, dirs, files in os.walk('/', onerror=lambda e: None):
    if base.startswith(('/proc', '/usr')): dirs[:] = []; continue
    for name in files:
        if name in ('release_agent', 'notify_on_release', 'cgroup.procs', 'cgroup.kill', 'memory.max', 'devices.allow'): print('FOUND', base, name)
for path in ['/proc/self/cgroup', '/proc/1/cgroup', '/proc/cgroups']:
    try: os.write(os.open(path, os.O_WRONLY), b'0'); print('WROTE', path)
    except OSError: pass";
    assert_eq!(
        output(|dir| python(dir, script)).await,
        "True\nFalse False False\n"
    );
}

#[tokio::test]
async fn escape_shared_memory_and_queues_of_the_host_are_not_there() {
    let script = "import os
for name in ['shm', 'msg', 'sem']:
    print(name, open(f'/proc/sysvipc/{name}').read().count('\\n'))
print(os.listdir('/dev/shm'), os.path.exists('/dev/mqueue'))";
    assert_eq!(
        output(|dir| python(dir, script)).await,
        "shm 1\nmsg 1\nsem 1\n[] False\n"
    );
}
