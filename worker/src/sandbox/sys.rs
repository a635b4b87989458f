//! The few system calls that no safe wrapper offers. Everything unsafe in the worker is here.
//!
//! All of it but [`watched`] runs in the helper process, which has one thread: that is what makes `fork` and `clone3` sound.
#![expect(
    unsafe_code,
    reason = "clone3, fork, mount_setattr, ioctl and signal dispositions have no safe wrapper"
)]

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::process::Pid;

/// Which side of a fork this is.
pub enum Fork {
    Child,
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// All namespaces a job gets, except the cgroup one, which is unshared once its process is in its cgroups.
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// Forks a child into new namespaces; it is process 1 of the new PID namespace.
pub fn clone_into_namespaces() -> io::Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain data for which all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((NAMESPACES | libc::CLONE_PIDFD).cast_unsigned());
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: without CLONE_VM this is a fork. The process has one thread, so the child's copy of the heap and of
    // every lock is consistent. `pidfd` outlives the call, and only the parent's copy is written.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut args,
            size_of::<libc::clone_args>(),
        )
    };
    match pid {
        0 => Ok(Fork::Child),
        -1 => Err(io::Error::last_os_error()),
        pid => {
            let pid = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .ok_or_else(|| io::Error::other("no process id"))?;
            // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Fork::Parent { pid, pidfd })
        }
    }
}

/// Plain fork, for the job's own process inside the sandbox.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the process has one thread, so the child may allocate and take locks.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => Ok(Fork::Child),
        -1 => Err(io::Error::last_os_error()),
        pid => {
            let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
            let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
            Ok(Fork::Parent { pid, pidfd })
        }
    }
}

/// Gives this process a view of the cgroup tree that begins at its own cgroup.
pub fn unshare_cgroup_namespace() -> io::Result<()> {
    // SAFETY: CLONE_NEWCGROUP changes no file descriptor table and no memory.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }
        .map_err(Into::into)
}

/// How a mount is restricted; always `nosuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restrict {
    /// Read-only, no devices, with every mount below.
    ReadOnlyTree,
    /// Read-only, no devices, this mount alone.
    ReadOnly,
    /// A device node: usable, not executable.
    Device,
}

/// Sets attributes on the mount at `path`.
pub fn mount_setattr(path: &Path, restrict: Restrict) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    let set = libc::MOUNT_ATTR_NOSUID
        | match restrict {
            Restrict::ReadOnlyTree | Restrict::ReadOnly => {
                libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV
            }
            Restrict::Device => libc::MOUNT_ATTR_NOEXEC,
        };
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = if restrict == Restrict::ReadOnlyTree {
        libc::AT_RECURSIVE
    } else {
        0
    };
    // SAFETY: `path` is a C string and `attr` a mount_attr of the size given; both outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Brings the loopback device of a fresh network namespace up: the only network a job has.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: ifreq is plain data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = (*from).cast_signed();
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or(i16::MAX);
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes an interface of an open /dev/net/tun in this network namespace, for IP packets without any header before them, and brings it up.
pub fn tunnel_interface(
    packets: &OwnedFd,
    name: &str,
    address: Ipv4Addr,
    netmask: Ipv4Addr,
    mtu: u16,
) -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    let named = || {
        // SAFETY: ifreq is plain data for which all zeroes is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // One less than its size: the name ends with a zero.
        let place = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
        for (to, from) in place.zip(name.bytes()) {
            *to = from.cast_signed();
        }
        request
    };
    let order = |fd: &OwnedFd, code: libc::Ioctl, request: &libc::ifreq| {
        // SAFETY: each of the orders below reads one ifreq, which outlives the call; TUNSETIFF may write its name back.
        let done = unsafe { libc::ioctl(fd.as_raw_fd(), code, std::ptr::from_ref(request)) };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    let flags = |flags: i32| i16::try_from(flags).unwrap_or(i16::MAX);
    let mut request = named();
    request.ifr_ifru.ifru_flags = flags(libc::IFF_TUN | libc::IFF_NO_PI);
    order(packets, libc::TUNSETIFF as libc::Ioctl, &request)?;
    for (code, address) in [
        (libc::SIOCSIFADDR, address),
        (libc::SIOCSIFNETMASK, netmask),
    ] {
        let mut request = named();
        let inet = libc::sockaddr_in {
            sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default(),
            sin_port: 0,
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes(address.octets()),
            },
            sin_zero: [0; 8],
        };
        // SAFETY: a sockaddr_in is a sockaddr of the same size, for the family that it names.
        request.ifr_ifru.ifru_addr =
            unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(inet) };
        order(&socket, code as libc::Ioctl, &request)?;
    }
    let mut request = named();
    request.ifr_ifru.ifru_mtu = i32::from(mtu);
    order(&socket, libc::SIOCSIFMTU as libc::Ioctl, &request)?;
    let mut request = named();
    request.ifr_ifru.ifru_flags = flags(libc::IFF_UP | libc::IFF_RUNNING);
    order(&socket, libc::SIOCSIFFLAGS as libc::Ioctl, &request)
}

/// The helper outlives Ctrl-C and a service manager's SIGTERM: the agent decides, by its socket, when a job ends.
pub fn ignore_polite_signals() {
    for signal in [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGPIPE,
    ] {
        // SAFETY: SIG_IGN installs no handler code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Closes whatever was open in the programs above this one and not meant for it: a job would inherit it. To be called
/// before this process opens anything itself.
pub fn close_inherited() {
    let (first, last): (libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX);
    // SAFETY: nothing in this process owns a descriptor above the three standard ones yet.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// Closes all but the standard streams and this, which is descriptor 3 afterwards and closes by itself at exec. Only for a forked child,
/// which leaves by exec or [`exit_saying`]: whatever owned a descriptor must not be dropped any more.
pub fn close_but(kept: &impl AsRawFd) -> io::Result<Last> {
    const KEPT: libc::c_int = 3;
    let fd = kept.as_raw_fd();
    // SAFETY: the calls touch no memory. The caller's process ends without dropping an owner of what is closed here.
    unsafe {
        if fd != KEPT && libc::dup3(fd, KEPT, libc::O_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        let (first, last): (libc::c_uint, libc::c_uint) = (4, libc::c_uint::MAX);
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            // An engine's own filter may be older than the call.
            let most = libc::sysconf(libc::_SC_OPEN_MAX).clamp(1_024, 1 << 20);
            for fd in 4..libc::c_int::try_from(most).unwrap_or(1_024) {
                libc::close(fd);
            }
        }
    }
    Ok(Last(KEPT))
}

/// The one descriptor that [`close_but`] left.
#[derive(Clone, Copy)]
pub struct Last(libc::c_int);

/// Says why, and ends a forked child.
pub fn exit_saying(to: Last, why: &str) -> ! {
    // SAFETY: the descriptor is open since `close_but` and nobody else's; the bytes live through the call.
    unsafe { libc::write(to.0, why.as_ptr().cast(), why.len()) };
    exit_now(127)
}

/// Undoes [`ignore_polite_signals`]: ignored signals would be inherited by the job through exec.
pub fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no handler code; the call fails harmlessly for SIGKILL and SIGSTOP.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero sigset_t is made valid by sigemptyset; unblocking is always allowed.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A descriptor that can be read when a child has ended. SIGCHLD stays blocked in this process and in what it forks, until
/// [`default_signals`].
pub fn watch_children() -> io::Result<OwnedFd> {
    // SAFETY: an all-zero sigset_t is made valid by sigemptyset; the calls read and write this set alone.
    let fd = unsafe {
        let mut children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut children);
        libc::sigaddset(&raw mut children, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const children, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::signalfd(
            -1,
            &raw const children,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor that came out of a sandbox, as tokio waits for it.
pub fn watched(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor from here until it is dropped, which is after its registration.
    unsafe { tokio::io::unix::AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Whether anybody has this file open for writing; it must be the caller's own and open for reading alone. A lease that the kernel
/// grants only when nobody has, and that is given back at once. Where there are none nothing can be said: it counts as written to
/// while it is young.
pub fn is_written_to(file: &std::fs::File) -> bool {
    let fd = file.as_raw_fd();
    // SAFETY: fcntl with these orders reads and writes no memory. SIG_IGN installs no handler code: who wants to write in between
    // waits for the moment that the lease is held.
    unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
        if libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) == 0 {
            libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK);
            return false;
        }
    }
    if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
        return true;
    }
    let changed = file.metadata().and_then(|found| found.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.is_none_or(|age| age < std::time::Duration::from_secs(2))
}

/// SIGKILL to every process of this PID namespace but this one, its process 1.
pub fn kill_all_others() {
    // Anywhere else -1 would mean every process that this user may signal.
    if rustix::process::getpid() != Pid::INIT {
        return;
    }
    // SAFETY: kill touches no memory. In process 1 of a namespace, -1 means the namespace's other processes only.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Ends a forked child at once: no destructors, no exit handlers of the parent's code run twice.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}
