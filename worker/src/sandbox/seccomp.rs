//! Which system calls a job may make.
//!
//! Three filters; the kernel takes the strictest answer of them. The first refuses with ENOSYS every call newer than
//! this text, so that a new kernel's new calls are not open by default (and C libraries fall back to older ones). The
//! second refuses with EPERM what reaches around the sandbox. Both are installed before the job is known, because
//! the kernel takes its time to digest them; `mount` must still work then, so a third, tiny one closes it at the start.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// The generic numbers end here: Linux 6.1's `set_mempolicy_home_node`.
const LAST_KNOWN: i64 = 450;

/// Refused: other processes' memory, mounts and namespaces, keys, kernel code, the clock, tracing, and interfaces with
/// a history of escapes (`io_uring`, `userfaultfd`, bpf).
const DENIED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] = &[
    libc::SYS__sysctl,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[i64] = &[];

const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Families that a network namespace contains. Others (vsock above all) may reach the host past it.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Installs what can be installed before the job is known; leaves `mount` open for the caller.
pub fn install_early() -> Result<(), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    seccompiler::apply_filter(&known())?;
    let program: BpfProgram = denied(arch)?.try_into()?;
    seccompiler::apply_filter(&program)
}

/// Closes `mount` as well.
pub fn install_last() -> Result<(), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = BTreeMap::from([(libc::SYS_mount, Vec::new())]);
    let eperm = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, eperm, arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}

/// Written by hand, because the compiler knows no ranges and a rule for each of 450 calls costs a millisecond a start.
/// The architecture is checked by the other filters, which kill a process that uses a foreign one.
fn known() -> BpfProgram {
    let last = u32::try_from(LAST_KNOWN).unwrap_or(0);
    // clone3 takes its flags through memory, which a filter cannot read; with ENOSYS libraries use clone.
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(0);
    let instruction = |code: u32, jt, jf, k| seccompiler::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt,
        jf,
        k,
    };
    let load_number = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let jump = |test: u32| libc::BPF_JMP | test | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    vec![
        // The call's number is the first field of seccomp_data. x32 calls carry a high bit: they are above as well.
        instruction(load_number, 0, 0, 0),
        instruction(jump(libc::BPF_JGT), 1, 0, last),
        instruction(jump(libc::BPF_JEQ), 0, 1, clone3),
        instruction(
            answer,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(),
        ),
        instruction(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn denied(arch: TargetArch) -> Result<SeccompFilter, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED
        .iter()
        .chain(DENIED_HERE)
        .map(|number| (*number, Vec::new()))
        .collect();
    let namespaces = NAMESPACE_FLAGS
        .into_iter()
        .map(|flag| {
            let flag = u64::from(flag.cast_unsigned());
            rule(&[(
                0,
                SeccompCmpArgLen::Qword,
                SeccompCmpOp::MaskedEq(flag),
                flag,
            )])
        })
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_clone, namespaces);
    let foreign_family: Vec<_> = FAMILIES
        .into_iter()
        .map(|family| {
            (
                0,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::Ne,
                u64::from(family.cast_unsigned()),
            )
        })
        .collect();
    rules.insert(libc::SYS_socket, vec![rule(&foreign_family)?]);
    // Typing into somebody's terminal.
    rules.insert(
        libc::SYS_ioctl,
        vec![
            rule(&[(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::TIOCSTI)])?,
            rule(&[(
                1,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::Eq,
                libc::TIOCLINUX,
            )])?,
        ],
    );
    let eperm = libc::EPERM.cast_unsigned();
    Ok(SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(eperm),
        arch,
    )?)
}

fn rule(
    conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)],
) -> Result<SeccompRule, seccompiler::Error> {
    let conditions = conditions
        .iter()
        .map(|(index, length, op, value)| {
            SeccompCondition::new(*index, length.clone(), op.clone(), *value)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}
