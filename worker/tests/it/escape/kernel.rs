//! The kernel itself: its code, clock, settings, secrets, and system calls with a history of escapes.

use super::super::common::{python, shell};
use super::{output, refusals};

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
async fn escape_kernel_code_cannot_be_loaded_or_replaced() {
    let script = "
x86 = platform.machine() == 'x86_64'
for name, nr in [('init_module', 175 if x86 else 105), ('finit_module', 313 if x86 else 273), ('delete_module', 176 if x86 else 106),
                 ('kexec_load', 246 if x86 else 104), ('kexec_file_load', 320 if x86 else 294), ('reboot', 169 if x86 else 142),
                 ('swapon', 167 if x86 else 224), ('acct', 163 if x86 else 89), ('syslog', 103 if x86 else 116)]:
    call(name, nr, 0, 0, 0, 0)";
    assert_eq!(refusals(script).await, ["EPERM"; 9]);
}

#[tokio::test]
async fn escape_clock_and_names_of_the_machine_cannot_be_set() {
    let before = rustix::system::uname().nodename().to_owned();
    let script = "
x86 = platform.machine() == 'x86_64'
import struct
when = ctypes.create_string_buffer(struct.pack('qq', 86400, 0))
for name, nr, args in [('clock_settime', 227 if x86 else 112, (0, when)), ('settimeofday', 164 if x86 else 170, (when, 0)),
                       ('adjtimex', 159 if x86 else 171, (0,)), ('clock_adjtime', 305 if x86 else 266, (0, 0)),
                       ('sethostname', 170 if x86 else 161, (b'owned', 5)), ('setdomainname', 171 if x86 else 162, (b'owned', 5))]:
    call(name, nr, *args)";
    assert_eq!(refusals(script).await, ["EPERM"; 6]);
    assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
}

#[tokio::test]
async fn escape_words_typed_into_a_terminal_are_refused() {
    // TIOCSTI and TIOCLINUX: a program's way to type into its caller's shell. And there is no terminal to begin with.
    let script = "
x86 = platform.machine() == 'x86_64'
for request in [0x5412, 0x541c, 0x100005412]:
    for fd in [0, 1, 2]:
        call('ioctl', 16 if x86 else 29, fd, request, b'x')
try: open('/dev/tty'); print('OPENED a terminal')
except OSError: pass";
    assert_eq!(refusals(script).await, ["EPERM"; 9]);
}

#[tokio::test]
async fn escape_settings_of_the_kernel_cannot_be_written() {
    // Unbuffered: what a late close is told would be lost.
    let script = "import os
def write(path, text):
    try: os.write(os.open(path, os.O_WRONLY), text); print('WROTE', path)
    except OSError: pass
for path in ['kernel/core_pattern', 'kernel/modprobe', 'kernel/hostname', 'kernel/yama/ptrace_scope', 'kernel/sysrq', 'vm/overcommit_memory',
             'vm/drop_caches', 'fs/binfmt_misc/register', 'net/ipv4/ip_forward', 'user/max_user_namespaces']:
    write('/proc/sys/' + path, b'1')
for path in ['/proc/self/uid_map', '/proc/self/gid_map', '/proc/1/oom_score_adj', '/proc/irq/0/smp_affinity', '/proc/bus']:
    write(path, b'0 0 1')
write('/proc/self/setgroups', b'allow')
write('/proc/self/oom_score_adj', b'-1000')
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
}

#[tokio::test]
async fn escape_processor_and_io_privileges_are_refused() {
    let script = "
x86 = platform.machine() == 'x86_64'
for name, nr, args in ([('iopl', 172, (3,)), ('ioperm', 173, (0, 1, 1)), ('modify_ldt', 154, (1, 0, 0))] if x86 else []):
    call(name, nr, *args)
for what in [lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)), lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)]:
    try: what(); print('TOOK priority')
    except OSError as e: print('priority', -1, errno.errorcode[e.errno])
import resource
for limit, wanted in [(resource.RLIMIT_NOFILE, 10**6), (resource.RLIMIT_CORE, 10**6)]:
    try: resource.setrlimit(limit, (wanted, wanted)); print('RAISED', limit)
    except (OSError, ValueError): print('rlimit', -1, 'EPERM')";
    let refused = refusals(script).await;
    assert!(
        refused
            .iter()
            .all(|word| word == "EPERM" || word == "EACCES"),
        "{refused:?}"
    );
    assert!(refused.len() >= 4, "{refused:?}");
}
