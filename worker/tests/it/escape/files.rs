//! Files of the host, mounts, links, inputs that lead out.

use std::path::Path;

use tar::EntryType;
use worker::sandbox::End;

use super::super::common::{finish, job, options, python, run, shell};
use super::super::registry::{file, link, tar_of};
use super::{output, tempdir};

#[tokio::test]
async fn escape_writes_outside_the_writable_space_are_refused() {
    let out = output(|dir| {
        shell(dir, "for d in / /usr /usr/bin /etc /dev /proc /proc/sys/kernel /lib; do touch $d/x 2>/dev/null && echo wrote $d; done; echo done")
    })
    .await;
    assert_eq!(out, "done\n");
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
async fn escape_setuid_gives_no_other_user() {
    let script = "import os, shutil, stat, subprocess
for change in [lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0]), lambda: os.chown('/job/x', 0, 0)]:
    open('/job/x', 'w').close()
    try: change(); print('CHANGED')
    except OSError: pass
shutil.copy('/usr/bin/id', '/job/id')
os.chmod('/job/id', 0o6755)
print(subprocess.run(['/job/id', '-u'], capture_output=True, text=True).stdout.strip())
held = [p for p in ['/usr/bin/su', '/usr/bin/passwd', '/usr/bin/mount', '/usr/bin/newgrp'] if os.path.exists(p)]
for program in held:
    made = os.posix_spawn('/bin/sh', ['sh', '-c', f'exec {program} --version >/dev/null 2>&1'], os.environ)
    os.waitpid(made, 0)
print(open('/proc/self/status').read().count('NoNewPrivs:\\t1'))";
    assert_eq!(output(|dir| python(dir, script)).await, "1000\n1\n");
}

#[tokio::test]
async fn escape_mounts_of_every_kind_are_refused() {
    let script = "import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs('/job/m', exist_ok=True)
for source, kind, flags in [(b'/usr', None, 4096), (b'/', None, 4096 | 16384), (b'proc', b'proc', 0), (b'sysfs', b'sysfs', 0), (b'cgroup2', b'cgroup2', 0),
                            (b'tmpfs', b'tmpfs', 0), (b'overlay', b'overlay', 0), (b'devpts', b'devpts', 0), (b'/dev/vda', b'ext4', 0), (b'none', b'binfmt_misc', 0)]:
    ctypes.set_errno(0)
    print(libc.mount(source, b'/job/m', kind, flags, None), errno.errorcode.get(ctypes.get_errno()))
for place, flags in [(b'/', 32 | 4096), (b'/usr', 32 | 4096), (b'/job', 32 | 4096)]:
    ctypes.set_errno(0)
    print(libc.mount(None, place, None, flags, None), errno.errorcode.get(ctypes.get_errno()))
ctypes.set_errno(0); print(libc.umount2(b'/proc/kcore', 2), errno.errorcode.get(ctypes.get_errno()))
ctypes.set_errno(0); print(libc.syscall(155 if os.uname().machine == 'x86_64' else 41, b'/job', b'/job'), errno.errorcode.get(ctypes.get_errno()))";
    let out = output(|dir| python(dir, script)).await;
    assert_eq!(out.lines().count(), 15, "{out}");
    assert!(out.lines().all(|line| line == "-1 EPERM"), "{out}");
}

#[tokio::test]
async fn escape_upwards_past_the_root_leads_to_the_root() {
    // The old way out of a chroot: keep a directory open, change the root, and climb. Here the old root is gone.
    let script = "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
outside = os.open('/', os.O_DIRECTORY)
os.makedirs('/job/in', exist_ok=True)
print(libc.chroot(b'/job/in'))
os.fchdir(outside)
for _ in range(200): os.chdir('..')
here, root = os.stat('.'), os.stat('/')
print((here.st_ino, here.st_dev) == (root.st_ino, root.st_dev))
for path in ['/proc/self/root/..', '/proc/self/cwd/../../../..', '/proc/thread-self/root/../..', '/../../..']:
    found = os.stat(path)
    print((found.st_ino, found.st_dev) == (root.st_ino, root.st_dev))
# Every mount that it can name is its own.
mounts = {line.split()[4] for line in open('/proc/self/mountinfo')}
print(sorted(m for m in mounts if m.startswith(('/home', '/root', '/var', '/etc/', '/run', '/sys', '/mnt'))))";
    let out = output(|dir| python(dir, script)).await;
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("-1"));
    assert!(lines.by_ref().take(5).all(|line| line == "True"), "{out}");
    let left = lines.next().unwrap_or_default();
    // Of the host's /etc only the linker's and the alternatives' parts are shown.
    assert!(
        ![
            "/home", "/root", "/var", "/run", "/sys", "/mnt", "passwd", "shadow"
        ]
        .iter()
        .any(|name| left.contains(name)),
        "{out}"
    );
}

#[tokio::test]
async fn escape_hard_links_to_what_is_outside_are_refused() {
    let script = "import os
for path in ['/usr/bin/env', '/etc/passwd', '/proc/1/exe', '/dev/null', '/proc/self/exe']:
    try: os.link(path, '/job/stolen'); print('LINKED', path)
    except OSError: pass
for path in ['/usr/bin/env', '/etc/ld.so.cache', '/etc/passwd']:
    try: os.open(path, os.O_WRONLY); print('OPENED', path)
    except OSError: pass
    try: os.rename(path, '/job/stolen'); print('MOVED', path)
    except OSError: pass
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
}

#[tokio::test]
async fn escape_device_nodes_cannot_be_made() {
    let script = "import os, stat
for kind, major, minor in [(stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 1, 2), (stat.S_IFCHR, 5, 0), (stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0), (stat.S_IFCHR, 10, 200)]:
    for place in ['/job/node', '/tmp/node', '/dev/shm/node', '/dev/node']:
        try: os.mknod(place, kind | 0o666, os.makedev(major, minor)); print('MADE', major, minor, place)
        except OSError: pass
print(sorted(os.listdir('/dev')))";
    let out = output(|dir| python(dir, script)).await;
    assert_eq!(
        out,
        "['fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']\n"
    );
}

#[tokio::test]
async fn escape_by_overwriting_the_program_that_started_it() {
    // The fault of runc, CVE-2019-5736: a job writes through /proc/PID/exe into the host's program that made its sandbox.
    let helper = Path::new(env!("CARGO_BIN_EXE_iog-worker"));
    let before = std::fs::metadata(helper).expect("worker");
    let script = "import os
for pid in ['1', 'self', str(os.getppid())]:
    for flags in [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_PATH]:
        try:
            fd = os.open(f'/proc/{pid}/exe', flags)
        except OSError: continue
        if pid == '1': print('OPENED', pid, flags)
        try: os.open(f'/proc/self/fd/{fd}', os.O_WRONLY); print('REOPENED', pid, flags)
        except OSError: pass
for lib in [line.split()[-1] for line in open('/proc/self/maps') if line.rstrip().endswith(('.so', '.so.6', '.so.2'))]:
    try: os.open(lib, os.O_RDWR); print('OPENED', lib)
    except OSError: pass
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
    let after = std::fs::metadata(helper).expect("worker");
    assert_eq!(
        (before.len(), before.modified().ok()),
        (after.len(), after.modified().ok())
    );
}

#[tokio::test]
async fn escape_leaked_descriptors_are_none() {
    // As a shell or a service manager may leave one open for every program below it: no close-on-exec.
    let file = std::fs::File::open("/etc/passwd").expect("open");
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).expect("left open");
    let script = "import os
for fd in sorted(int(n) for n in os.listdir('/proc/self/fd')):
    try: print(fd, os.readlink(f'/proc/self/fd/{fd}').split(':')[0])
    except OSError: pass";
    assert_eq!(
        output(|dir| python(dir, script)).await,
        "0 /dev/null\n1 pipe\n2 pipe\n"
    );
}

#[tokio::test]
async fn escape_by_a_bundles_entries_is_refused() {
    let outside = tempdir();
    let at = outside.path().to_str().expect("path").to_owned();
    for (n, entries) in [
        vec![file("../x", "1")],
        vec![file("a/../../x", "1")],
        vec![file(&format!("{at}/x"), "1")],
        vec![link("out", &at), file("out/x", "1")],
        vec![link("out", "../../.."), file("out/x", "1")],
        vec![link("out", "/")],
        vec![(EntryType::Link, "hard", b"/etc/passwd", 0o644)],
        vec![(EntryType::Link, "hard", b"../../etc/passwd", 0o644)],
        vec![(EntryType::Char, "mem", b"", 0o666)],
        vec![(EntryType::Block, "disk", b"", 0o666)],
        vec![(EntryType::Fifo, "pipe", b"", 0o666)],
    ]
    .iter()
    .enumerate()
    {
        let dir = tempdir();
        let bundle = dir.path().join("bundle.tar");
        std::fs::write(&bundle, tar_of(entries)).expect("write");
        let mut job = shell(dir.path(), "echo RAN");
        job.bundle = Some(bundle);
        let outcome = run(job).await;
        assert!(
            matches!(outcome.report.end, End::FailedToStart { .. }),
            "{n}: {:?}",
            outcome.report.end
        );
        assert_eq!(outcome.out, "", "{n}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).expect("read").count(), 0);
}

#[tokio::test]
async fn escape_a_bundles_setuid_bit_is_dropped() {
    let dir = tempdir();
    let bundle = dir.path().join("bundle.tar");
    let entry = (
        EntryType::Regular,
        "tool",
        &b"#!/bin/sh\nid -u\n"[..],
        0o6755,
    );
    std::fs::write(&bundle, tar_of(&[entry])).expect("write");
    let mut job = shell(dir.path(), "ls -l tool | cut -c1-10; ./tool");
    job.bundle = Some(bundle);
    assert_eq!(run(job).await.passed(), "-rwxr-xr-x\n1000\n");
}

#[tokio::test]
async fn escape_a_lent_directory_is_only_read() {
    // Not in /tmp, where the sandbox's own root is built.
    let lent = tempfile::tempdir_in("/var/tmp").expect("tempdir");
    std::fs::write(lent.path().join("model"), "weights").expect("write");
    std::os::unix::fs::symlink("/etc/shadow", lent.path().join("link")).expect("link");
    let mut world = std::fs::metadata(lent.path()).expect("lent").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut world, 0o777);
    std::fs::set_permissions(lent.path(), world).expect("mode");
    let mut options = options(&format!("lent{}", std::process::id()));
    options
        .lent
        .push((lent.path().to_owned(), "/opt/lent".into()));
    let maker = worker::sandbox::Sandbox::open(options).expect("open");
    let dir = tempdir();
    let script = "cat /opt/lent/model; echo; cat /opt/lent/link 2>/dev/null; for f in x model; do echo y 2>/dev/null > /opt/lent/$f && echo WROTE $f; done; rm -f /opt/lent/model 2>/dev/null; ls /opt/lent";
    let running = maker
        .prepare()
        .await
        .expect("sandbox")
        .start(shell(dir.path(), script))
        .await
        .expect("start");
    assert_eq!(finish(running).await.passed(), "weights\nlink\nmodel\n");
    assert!(lent.path().join("model").exists());
}

/// Beside what an image has there; and where one has a link, nothing is put where that leads on the host.
#[tokio::test]
async fn escape_a_lent_directory_stands_in_an_image_and_follows_none_of_its_links() {
    let lent = tempfile::tempdir_in("/var/tmp").expect("tempdir");
    std::fs::write(lent.path().join("model"), "weights\n").expect("write");
    let images = tempfile::tempdir_in("/var/tmp").expect("tempdir");
    let target = images.path().join("target");
    std::fs::create_dir(&target).expect("mkdir");
    let image = |name: &str| {
        let root = images.path().join(name);
        std::fs::create_dir_all(root.join("bin")).expect("mkdir");
        std::fs::copy("/bin/busybox", root.join("bin/busybox"))
            .expect("apt-get install busybox-static");
        root
    };
    let (plain, linked) = (image("plain"), image("linked"));
    std::fs::create_dir_all(plain.join("opt/tool")).expect("mkdir");
    std::fs::write(plain.join("opt/tool/a"), "tool\n").expect("write");
    std::os::unix::fs::symlink(&target, linked.join("opt")).expect("link");
    let mut options = options(&format!("lentimage{}", std::process::id()));
    let place = (lent.path().to_owned(), "/opt/models".into());
    options.lent.push(place);
    let maker = worker::sandbox::Sandbox::open(options).expect("open");
    let prepared = maker.prepare_with(&[], Some(&plain), None).await;
    let dir = tempdir();
    let script = "cat /opt/models/model /opt/tool/a; for f in /opt/x /opt/models/x /opt/tool/x; do touch $f 2>/dev/null && echo WROTE $f; done; ls /opt";
    let running = prepared
        .expect("sandbox")
        .start(job(dir.path(), &["/bin/busybox", "sh", "-c", script]))
        .await
        .expect("start");
    let told = finish(running).await.passed();
    assert_eq!(told, "weights\ntool\nmodels\ntool\n");
    let refused = maker.prepare_with(&[], Some(&linked), None).await;
    let why = refused.err().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("/opt is no directory"), "{why}");
    let made = std::fs::read_dir(&target).expect("read").count();
    assert_eq!(made, 0, "something was made on the host");
}
