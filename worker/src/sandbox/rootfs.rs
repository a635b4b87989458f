//! The file system a job sees: a small tmpfs as root, the host's programs read-only, a minimal /etc, /dev and /proc,
//! and one bounded writable space behind /job, /tmp and /dev/shm.
//!
//! Runs in process 1 of the sandbox, inside its own user and mount namespaces: nothing here is visible outside, and
//! all of it vanishes with the last process.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use protocol::mesh::Mesh;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};

use super::sys::{Restrict, mount_setattr};
use crate::runtime::{DEVICES, MASKED, PROC_READ_ONLY, PROGRAMS};

/// The step that failed, for the person who reads why a sandbox could not be made.
pub type Setup<T> = Result<T, String>;

pub fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Setup<T> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Written into a root that is made of the host's programs.
pub const ETC_FILES: [(&str, &str); 6] = [
    ("passwd", PASSWD),
    ("group", GROUP),
    ("hosts", HOSTS),
    ("nsswitch.conf", NSSWITCH),
    ("resolv.conf", ""),
    ("hostname", "job\n"),
];
const PASSWD: &str = "root:x:0:0:root:/:/usr/sbin/nologin\njob:x:1000:1000:job:/job:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\njob:x:1000:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost job\n::1 localhost\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files\n";
/// Parts of the host's /etc that programs need to start, and that say nothing about the owner.
pub const ETC: [&str; 4] = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives"];
/// In the root of every sandbox, whatever an image has there.
pub const OWN: [&str; 6] = ["dev", "job", "proc", "space", "sys", "tmp"];
/// The root is a small tmpfs; no honest image puts its files there.
pub const IMAGE_ROOT_MAX: usize = 200;

/// Builds the root and moves into it. Answers a handle to the writable space, which gets its size later.
pub fn build(
    lent: &[(OwnedFd, &Path)],
    device_nodes: &[String],
    image: Option<&OwnedFd>,
    mesh: Option<Mesh>,
) -> Setup<OwnedFd> {
    // Nothing mounted here may travel back to the host.
    step(
        "make mounts private",
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        ),
    )?;
    let base = ["/tmp", "/mnt", "/run", "/var"]
        .into_iter()
        .find(|path| Path::new(path).is_dir());
    let base = Path::new(base.ok_or("no directory to mount the sandbox's root on")?);
    let nosuid_nodev = MountFlags::NOSUID | MountFlags::NODEV;
    tmpfs(base, "size=1m,nr_inodes=512,mode=755", nosuid_nodev)?;
    if let Some(image) = image {
        let places: Vec<&Path> = lent.iter().map(|(_, to)| *to).collect();
        files_of(image, base, &places)?;
    } else {
        programs(base)?;
        etc(base, mesh)?;
    }
    devices(base, device_nodes)?;
    for (from, to) in lent {
        let inside = base.join(to.strip_prefix("/").unwrap_or(to));
        step(
            &format!("make {}", inside.display()),
            fs::create_dir_all(&inside),
        )?;
        bind_read_only(&opened(from), &inside)?;
    }
    for name in ["job", "tmp", "space"] {
        step(name, fs::create_dir(base.join(name)))?;
    }
    proc(base)?;
    enter(base)?;
    make_space()
}

/// Opens the root of an unpacked image, or what is lent, to be bound by [`build`].
pub fn open(directory: &Path) -> Setup<OwnedFd> {
    step(
        &format!("open {}", directory.display()),
        rustix::fs::open(
            directory,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ),
    )
}

fn opened(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// How an image's entry stands to the places of what the owner lends; all of them below the root.
#[derive(Debug, PartialEq, Eq)]
pub enum Lent {
    /// Nothing is lent there.
    Apart,
    /// Something is lent below it.
    Above,
    /// Something is lent in its place.
    Instead,
}

/// See [`Lent`].
pub fn lent_at(place: &Path, lent: &[&Path]) -> Lent {
    let mut places = lent.iter().map(|to| to.strip_prefix("/").unwrap_or(to));
    if places.clone().any(|to| to == place) {
        Lent::Instead
    } else if places.any(|to| to.starts_with(place)) {
        Lent::Above
    } else {
        Lent::Apart
    }
}

/// What is lent is put where the owner says, and nowhere that an image's links lead to.
pub fn no_place(at: &Path) -> String {
    format!(
        "the image's /{} is no directory, and this machine lends one below it",
        at.display()
    )
}

/// What the image has in its root, read-only; but for the directories that every sandbox makes itself. Above what is lent it is put
/// together piece by piece, so that there is a place for that.
fn files_of(image: &OwnedFd, base: &Path, lent: &[&Path]) -> Setup<()> {
    let root = opened(image);
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let entries = step("list the image's root", fs::read_dir(root.join(&folder)))?;
        for (count, entry) in entries.enumerate() {
            let entry = step("list the image's root", entry)?;
            let place = folder.join(entry.file_name());
            if OWN.iter().any(|own| place == Path::new(own)) {
                continue;
            }
            if count >= IMAGE_ROOT_MAX {
                return Err(format!(
                    "the image has more than {IMAGE_ROOT_MAX} entries in /{}",
                    folder.display()
                ));
            }
            let (from, to) = (root.join(&place), base.join(&place));
            let what = place.to_string_lossy();
            let kind = step(&what, entry.file_type())?;
            match lent_at(&place, lent) {
                Lent::Instead => continue,
                Lent::Above if !kind.is_dir() => return Err(no_place(&place)),
                Lent::Above => {
                    step(&what, fs::create_dir(&to))?;
                    open.push(place);
                    continue;
                }
                Lent::Apart => {}
            }
            if kind.is_symlink() {
                let target = step(&what, fs::read_link(&from))?;
                step(&what, symlink(target, &to))?;
                continue;
            }
            if kind.is_dir() {
                step(&what, fs::create_dir(&to))?;
            } else {
                step(&what, File::create(&to))?;
            }
            bind_read_only(&from, &to)?;
        }
    }
    Ok(())
}

fn tmpfs(at: &Path, options: &str, flags: MountFlags) -> Setup<()> {
    let options = step("mount options", CString::new(options))?;
    step(
        &format!("mount tmpfs on {}", at.display()),
        mount("tmpfs", at, "tmpfs", flags, options.as_c_str()),
    )
}

fn bind_read_only(from: &Path, to: &Path) -> Setup<()> {
    step(
        &format!("bind {}", from.display()),
        mount_bind_recursive(from, to),
    )?;
    step(
        &format!("make {} read-only", from.display()),
        mount_setattr(to, Restrict::ReadOnlyTree),
    )
}

/// /usr, and /bin, /lib, … as the host has them: links into /usr, or directories of their own.
fn programs(base: &Path) -> Setup<()> {
    for name in PROGRAMS {
        let host = Path::new("/").join(name);
        let inside = base.join(name);
        let Ok(kind) = fs::symlink_metadata(&host) else {
            continue;
        };
        if kind.is_symlink() {
            let target = step(&format!("read {}", host.display()), fs::read_link(&host))?;
            step(
                &format!("link {}", host.display()),
                symlink(target, &inside),
            )?;
        } else {
            step(
                &format!("make {}", inside.display()),
                fs::create_dir(&inside),
            )?;
            bind_read_only(&host, &inside)?;
        }
    }
    Ok(())
}

fn etc(base: &Path, mesh: Option<Mesh>) -> Setup<()> {
    let inside = base.join("etc");
    step("make /etc", fs::create_dir(&inside))?;
    for (name, text) in ETC_FILES {
        let text = match (name, mesh) {
            ("hosts", Some(mesh)) => format!("{text}{}", mesh.hosts()),
            ("hostname", Some(mesh)) => format!("{}\n", mesh.host_name()),
            _ => text.to_owned(),
        };
        step(
            &format!("write /etc/{name}"),
            fs::write(inside.join(name), text),
        )?;
    }
    for name in ETC {
        let host = Path::new("/etc").join(name);
        let to = inside.join(name);
        match fs::metadata(&host) {
            Ok(kind) if kind.is_dir() => step(name, fs::create_dir(&to))?,
            Ok(_) => drop(step(name, File::create(&to))?),
            Err(_) => continue,
        }
        bind_read_only(&host, &to)?;
    }
    Ok(())
}

fn devices(base: &Path, rented: &[String]) -> Setup<()> {
    let dev = base.join("dev");
    step("make /dev", fs::create_dir(&dev))?;
    step("make /dev/shm", fs::create_dir(dev.join("shm")))?;
    for name in DEVICES.into_iter().chain(rented.iter().map(String::as_str)) {
        let to = dev.join(name);
        // An AMD card's door stands in a folder.
        if let Some(folder) = to.parent() {
            step(name, fs::create_dir_all(folder))?;
        }
        step(name, File::create(&to))?;
        step(
            &format!("bind /dev/{name}"),
            mount_bind_recursive(Path::new("/dev").join(name), &to),
        )?;
        step(
            &format!("restrict /dev/{name}"),
            mount_setattr(&to, Restrict::Device),
        )?;
    }
    // Terminals of the sandbox's own, bounded: a shell in the job has one.
    let terminals = dev.join("pts");
    step("make /dev/pts", fs::create_dir(&terminals))?;
    step(
        "mount /dev/pts",
        mount(
            "devpts",
            &terminals,
            "devpts",
            MountFlags::NOSUID | MountFlags::NOEXEC,
            c"newinstance,ptmxmode=0666,mode=0620,max=64",
        ),
    )?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        step(name, symlink(target, dev.join(name)))?;
    }
    Ok(())
}

/// A /proc of the sandbox's own processes. The kernel allows it only while the host's full one is still in view.
fn proc(base: &Path) -> Setup<()> {
    let at = base.join("proc");
    step("make /proc", fs::create_dir(&at))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    step(
        "mount /proc (in a container the host's /proc may be masked)",
        mount("proc", &at, "proc", flags, None),
    )?;
    for name in PROC_READ_ONLY {
        let path = at.join(name);
        if path.exists() {
            bind_read_only(&path, &path)?;
        }
    }
    for name in MASKED {
        let path = at.join(name);
        match fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => tmpfs(
                &path,
                "size=4k,nr_inodes=2,mode=555",
                MountFlags::RDONLY | flags,
            )?,
            Ok(_) => step(
                &format!("mask /proc/{name}"),
                mount_bind_recursive("/dev/null", &path),
            )?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn enter(base: &Path) -> Setup<()> {
    step("enter the new root", rustix::process::chdir(base))?;
    // The old root comes to lie on top of the new one, and is then taken off.
    step("pivot_root", rustix::process::pivot_root(".", "."))?;
    step("take the old root off", unmount(".", UnmountFlags::DETACH))?;
    step("chdir /", rustix::process::chdir("/"))
}

/// Mounts the writable space, still tiny, and closes the root for writing. Taking a mount off waits for every
/// processor, milliseconds long: so all of that is done before the job is known. Answers a handle to see how full it is.
fn make_space() -> Setup<OwnedFd> {
    let space = Path::new("/space");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    tmpfs(space, "size=64k,nr_inodes=16,mode=755", flags)?;
    for (name, at) in [("job", "/job"), ("tmp", "/tmp"), ("shm", "/dev/shm")] {
        let inside = space.join(name);
        step(name, fs::create_dir(&inside))?;
        step(&format!("bind {at}"), mount_bind_recursive(&inside, at))?;
    }
    let handle = fill_job_directory()?;
    step("unmount /space", unmount(space, UnmountFlags::DETACH))?;
    step(
        "close the root",
        mount_setattr(Path::new("/"), Restrict::ReadOnly),
    )?;
    Ok(handle)
}

/// What every job finds in its directory. Answers a handle to see how full that is.
pub fn fill_job_directory() -> Setup<OwnedFd> {
    step("make /job/out", fs::create_dir("/job/out"))?;
    // `$IOG_CHECKPOINT`: a job that is told to end has no time to find out that a directory is missing.
    step(
        "make /job/out/checkpoint",
        fs::create_dir("/job/out/checkpoint"),
    )?;
    step(
        "open the space",
        rustix::fs::open("/job", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
    )
}

/// Gives the writable space its size.
pub fn size_space(bytes: u64) -> Setup<()> {
    // An inode costs kernel memory too: one for every 4 KiB is what the space could hold anyway.
    let inodes = (bytes / 4_096).clamp(1_024, 4_000_000);
    let options = step(
        "mount options",
        CString::new(format!("size={bytes},nr_inodes={inodes}")),
    )?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    step(
        "size the writable space",
        mount_remount("/job", flags, options.as_c_str()),
    )
}

/// Bytes used in the space, and whether it is full (of bytes or of files).
pub fn fullness(space: &OwnedFd) -> io::Result<(u64, bool)> {
    let stat = rustix::fs::fstatvfs(space)?;
    let used = stat
        .f_blocks
        .saturating_sub(stat.f_bfree)
        .saturating_mul(stat.f_frsize);
    Ok((used, stat.f_bavail == 0 || stat.f_favail == 0))
}
