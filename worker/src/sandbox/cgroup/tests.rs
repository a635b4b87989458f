//! What can be held to on every machine: where groups are found, and the files that limits and counters are in.

use super::hierarchy::AGENTS_LEAF;
use super::mounts::{Mount, directory};

use super::*;

const LIMITS: JobLimits = JobLimits {
    memory_bytes: 100 << 20,
    disk_bytes: 50 << 20,
    cpu_millis: 1_500,
    pids: 32,
};

/// Version 2 cannot be mounted with its controllers on every machine: the files' names and forms are what can be
/// held to everywhere.
#[test]
fn version_2_limits_and_counters() {
    let dir = tempfile::tempdir().expect("tempdir");
    let group = JobGroup::create(&Hierarchy::V2(dir.path().to_owned()), "iog-x-1").expect("create");
    let at = dir.path().join("iog-x-1");
    for file in [
        "memory.max",
        "memory.swap.max",
        "pids.max",
        "cpu.max",
        "cgroup.freeze",
    ] {
        std::fs::write(at.join(file), "").expect("write");
    }
    group.set_limits(&LIMITS).expect("limits");
    let read = |file: &str| std::fs::read_to_string(at.join(file)).expect("read");
    assert_eq!(read("memory.max"), ((158u64) << 20).to_string());
    assert_eq!(read("memory.swap.max"), "0");
    assert_eq!(read("pids.max"), "33");
    assert_eq!(read("cpu.max"), "150000 100000");
    group.freeze(true).expect("freeze");
    assert_eq!(read("cgroup.freeze"), "1");
    std::fs::write(
        at.join("memory.events"),
        "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n",
    )
    .expect("write");
    std::fs::write(at.join("pids.events"), "max 41\n").expect("write");
    std::fs::write(at.join("cpu.stat"), "usage_usec 1234\nuser_usec 1000\n").expect("write");
    std::fs::write(at.join("memory.current"), "5000\n").expect("write");
    std::fs::write(at.join("memory.stat"), "anon 1\ninactive_file 1000\n").expect("write");
    std::fs::write(at.join("pids.current"), "3\n").expect("write");
    assert_eq!((group.oom_kills(), group.pid_limit_hits()), (2, 41));
    assert_eq!(
        group.usage(),
        Usage {
            cpu_us: 1234,
            memory_bytes: 4000,
            pids: 2,
            disk_bytes: 0
        }
    );
}

#[test]
fn own_directory_is_found_also_when_a_container_shows_only_a_part() {
    let mount = |root: &str| Mount {
        root: root.into(),
        point: "/sys/fs/cgroup".into(),
        v2: true,
        options: vec![],
    };
    assert_eq!(
        directory(&mount("/"), "/user.slice/a"),
        PathBuf::from("/sys/fs/cgroup/user.slice/a")
    );
    assert_eq!(
        directory(&mount("/docker/x"), "/docker/x"),
        PathBuf::from("/sys/fs/cgroup")
    );
    assert_eq!(
        directory(&mount("/docker/x"), "/docker/x/y"),
        PathBuf::from("/sys/fs/cgroup/y")
    );
    assert_eq!(
        directory(&mount("/"), "/../.."),
        PathBuf::from("/sys/fs/cgroup")
    );
}

#[test]
fn version_2_is_found_again_from_the_leaf_that_the_agent_stepped_into() {
    let dir = tempfile::tempdir().expect("tempdir");
    let service = dir.path().join("system.slice/iog-worker.service");
    std::fs::create_dir_all(service.join(AGENTS_LEAF)).expect("mkdir");
    std::fs::write(service.join("cgroup.controllers"), "cpu memory pids\n").expect("write");
    let mountinfo = format!(
        "30 23 0:26 / {} rw,nosuid - cgroup2 cgroup2 rw\n",
        dir.path().display()
    );
    let found = |group: &str| {
        let group = format!("0::/system.slice/iog-worker.service{group}\n");
        Hierarchy::from_tables(&mountinfo, &group)
    };
    assert_eq!(found(""), Ok(Hierarchy::V2(service.clone())));
    assert_eq!(found("/iog-agent"), Ok(Hierarchy::V2(service)));
}

#[test]
fn a_limit_that_an_engine_did_not_keep_is_named() {
    let dir = tempfile::tempdir().expect("tempdir");
    let at = dir.path().join("machine.slice/libpod-1");
    std::fs::create_dir_all(&at).expect("mkdir");
    let write = |file: &str, text: &str| std::fs::write(at.join(file), text).expect("write");
    write("memory.max", &((158_u64) << 20).to_string());
    write("pids.max", "33\n");
    write("cpu.max", "150000 100000\n");
    write("cgroup.freeze", "0");
    let table = format!(
        "30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n",
        dir.path().display()
    );
    let group = JobGroup::from_tables(&table, "0::/machine.slice/libpod-1\n").expect("found");
    assert_eq!(group.hold_against(&LIMITS), Ok(()));
    assert!(group.is_of("libpod-1") && !group.is_of("libpod-2") && !group.is_of(""));
    for (file, wrong, right) in [
        ("pids.max", "max", "33"),
        ("memory.max", "999999999", "1"),
        ("cpu.max", "max 100000", "1 1"),
    ] {
        write(file, wrong);
        let why = group.hold_against(&LIMITS).expect_err(file);
        assert!(why.contains(file), "{why}");
        write(file, right);
    }
    assert!(JobGroup::from_tables("", "0::/\n").is_err());
}

#[test]
fn a_missing_controller_is_named() {
    let missing = Hierarchy::from_tables("", "0::/\n").expect_err("nothing is mounted");
    assert!(
        missing.iter().any(|line| line.contains("`memory`")),
        "{missing:?}"
    );
}

#[test]
fn leftovers_are_only_those_of_our_name() {
    let dir = tempfile::tempdir().expect("tempdir");
    for name in ["iog-ab12-1", "iog-ab12-2", "iog-ff00-1", "docker"] {
        std::fs::create_dir(dir.path().join(name)).expect("mkdir");
    }
    let hierarchy = Hierarchy::V2(dir.path().to_owned());
    assert_eq!(hierarchy.clean_leftovers("iog-ab12-"), 2);
    assert!(!dir.path().join("iog-ab12-1").exists());
    assert!(dir.path().join("iog-ff00-1").exists());
    assert!(dir.path().join("docker").exists());
}
