use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use kernel::Timestamp;

use super::*;

/// A machine that has all that is needed, as files.
fn machine(root: &Path) -> Place {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n");
    write("proc/sys/user/max_user_namespaces", "15000\n");
    write(
        "sys/fs/cgroup/cgroup.controllers",
        "cpuset cpu io memory hugetlb pids\n",
    );
    write(
        "proc/sys/kernel/seccomp/actions_avail",
        "kill_process kill_thread trap errno trace log allow\n",
    );
    write(
        "proc/meminfo",
        "MemTotal: 16000000 kB\nMemAvailable:   8000000 kB\n",
    );
    let state = root.join("state");
    write("state/node.key", "00\n");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(state.join("node.key"), fs::Permissions::from_mode(0o600)).unwrap();
    Place {
        root: root.to_owned(),
        is_root: false,
        state,
    }
}

fn failing(place: &Place) -> Vec<(&'static str, String)> {
    let checks = of_files(place);
    let failing = checks
        .into_iter()
        .filter(|check| check.outcome == Outcome::Fail);
    failing
        .map(|check| {
            assert!(
                !check.fix.is_empty(),
                "{} fails and says no fix",
                check.name
            );
            (check.name, check.fix)
        })
        .filter(|(name, _)| *name != "disk")
        .collect()
}

#[test]
fn a_machine_that_has_everything_passes() {
    let root = tempfile::tempdir().unwrap();
    let place = machine(root.path());
    assert_eq!(failing(&place), []);
    let nvidia = of_files(&place)
        .into_iter()
        .find(|check| check.name == "nvidia_driver");
    assert_eq!(nvidia.unwrap().outcome, Outcome::Skipped);
}

#[test]
fn each_thing_that_is_missing_is_named_with_its_fix() {
    let cases: [(&str, &str, &str, &str); 9] = [
        ("proc/sys/kernel/osrelease", "5.10.0-rc1", "kernel", "5.12"),
        (
            "proc/sys/user/max_user_namespaces",
            "0",
            "user_namespaces",
            "max_user_namespaces",
        ),
        (
            "proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "user_namespaces",
            "unprivileged_userns_clone=1",
        ),
        (
            "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "user_namespaces",
            "apparmor",
        ),
        (
            "sys/fs/cgroup/cgroup.controllers",
            "cpu pids",
            "cgroups",
            "Delegate=yes",
        ),
        (
            "proc/sys/kernel/seccomp/actions_avail",
            "trap",
            "seccomp",
            "CONFIG_SECCOMP_FILTER",
        ),
        (
            "proc/meminfo",
            "MemAvailable: 100000 kB",
            "memory",
            "1024 MiB",
        ),
        (
            "proc/driver/nvidia/version",
            "NVRM version: 550.54",
            "nvidia_driver",
            "nvidia-modprobe",
        ),
        ("proc/sys/kernel/osrelease", "rubbish", "kernel", "update"),
    ];
    for (path, text, name, fix) in cases {
        let root = tempfile::tempdir().unwrap();
        let place = machine(root.path());
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        let found = failing(&place);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(found[0].0, name);
        assert!(found[0].1.contains(fix), "{}", found[0].1);
    }
}

#[test]
fn root_needs_no_leave_for_namespaces_and_v1_has_its_own_directories() {
    let root = tempfile::tempdir().unwrap();
    let mut place = machine(root.path());
    place.is_root = true;
    let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
    write("proc/sys/kernel/unprivileged_userns_clone", "0");
    fs::remove_file(root.path().join("sys/fs/cgroup/cgroup.controllers")).unwrap();
    assert_eq!(failing(&place).len(), 1);
    for controller in ["memory", "pids", "cpu", "freezer"] {
        fs::create_dir(root.path().join("sys/fs/cgroup").join(controller)).unwrap();
    }
    assert_eq!(failing(&place), []);
}

#[test]
fn a_key_that_others_can_read_fails() {
    let root = tempfile::tempdir().unwrap();
    let place = machine(root.path());
    fs::set_permissions(
        place.state.join("node.key"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let found = failing(&place);
    assert_eq!(found.len(), 1);
    assert!(found[0].1.starts_with("chmod 600 "), "{}", found[0].1);
}

#[tokio::test]
async fn the_server_is_asked_and_its_clock_compared() {
    _ = rustls::crypto::ring::default_provider().install_default();
    let answer = || async {
        (
            [
                ("date", "Fri, 27 Nov 2026 04:21:49 GMT"),
                ("iog-version", "9.9.9"),
            ],
            "{}",
        )
    };
    let app = Router::new().route("/api/v1/network", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let there: Timestamp = "2026-11-27T04:21:49Z".parse().unwrap();
    let checks = of_server(Some(&address), || there.plus_millis(1_500)).await;
    assert!(is_well(&checks), "{checks:?}");
    assert!(checks[0].found.contains("9.9.9"));
    let checks = of_server(Some(&address), || there.plus_millis(-3_600_000)).await;
    assert_eq!(
        (checks[0].outcome, checks[1].outcome),
        (Outcome::Pass, Outcome::Fail)
    );
    assert_eq!(checks[1].found, "3600 s behind the server's");
    server.abort();
    _ = server.await;

    let checks = of_server(Some(&address), || there).await;
    assert_eq!(
        (checks[0].outcome, checks[1].outcome),
        (Outcome::Fail, Outcome::Skipped)
    );
    assert!(!is_well(&checks));
    assert_eq!(of_server(None, || there).await[0].outcome, Outcome::Skipped);
}

#[test]
fn it_is_told_to_people_and_to_programs() {
    let checks = [
        Check::pass("kernel", "6.1"),
        Check::fail("key", "open", "chmod 600 x"),
    ];
    let told = text(&checks);
    assert!(
        told.contains("FAIL  key") && told.contains("fix: chmod 600 x"),
        "{told}"
    );
    let json: serde_json::Value = serde_json::from_str(&json(&checks).unwrap()).unwrap();
    assert_eq!(json["well"], false);
    assert_eq!(json["checks"][1]["outcome"], "fail");
}

#[test]
fn an_engines_part_in_cards_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let place = machine(dir.path());
    assert_eq!(engine::toolkit(None).outcome, Outcome::Skipped);
    let old = engine::toolkit(Some((1, 17, 7)));
    assert_eq!(old.outcome, Outcome::Fail);
    assert!(old.found.contains("CVE-2025-23266") && old.fix.contains("1.17.8"));
    assert_eq!(engine::toolkit(Some((1, 17, 8))).outcome, Outcome::Pass);
    assert_eq!(
        engine::cdi(&place, Outcome::Skipped).outcome,
        Outcome::Skipped
    );
    assert_eq!(engine::cdi(&place, Outcome::Pass).outcome, Outcome::Fail);
    let cdi = dir.path().join("etc/cdi");
    std::fs::create_dir_all(&cdi).expect("mkdir");
    std::fs::write(cdi.join("nvidia.yaml"), "kind: nvidia.com/gpu\n").expect("write");
    assert_eq!(engine::cdi(&place, Outcome::Pass).outcome, Outcome::Pass);
}
