//! Jobs in the containers of podman, where it is installed; and what is asked of an engine that is none, so that it can lie.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Json, Router};
use protocol::worker::FromWorker;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use worker::sandbox::End;
use worker::sandbox::engine::{Choice, Engine, Wish};

use super::agent::{Worker, spec};
use super::common::{MIB, engine, options, processes, python, run_in, shell, within};
use super::exchange::Exchange;
use super::watchdog::Agent;

/// A service of its own, which ends with the test.
struct Podman {
    named: String,
    service: Option<Child>,
    _dir: TempDir,
}

impl Podman {
    /// Where there is no engine nothing can be shown; an engine that is there and does not do is a failure.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("tempdir");
        if let Some(choice) = engine() {
            let named = choice.named().to_owned();
            return Some(Self {
                named,
                service: None,
                _dir: dir,
            });
        }
        let socket = dir.path().join("podman.sock");
        let is_root = rustix::process::geteuid().is_root();
        let service = Command::new("podman")
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", socket.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match service {
            Ok(service) if is_root => {
                let named = format!("podman={}", socket.display());
                let podman = Self {
                    named,
                    service: Some(service),
                    _dir: dir,
                };
                assert!(
                    within(Duration::from_secs(10), || socket.exists()),
                    "podman does not listen"
                );
                Some(podman)
            }
            other => {
                if let Ok(mut service) = other {
                    _ = service.kill();
                    _ = service.wait();
                }
                println!(
                    "skipped: no container engine to show this with (podman is not installed, or this is not root)"
                );
                None
            }
        }
    }

    fn choice(&self) -> Choice {
        Choice::parse(&self.named).expect("an engine")
    }

    fn agent(&self, name: &str, lease_ms: u64) -> (Agent, String) {
        let instance = format!("{name}{}", std::process::id());
        let agent = Agent::start_with(&instance, lease_ms, &[("IOG_TEST_ENGINE", &self.named)]);
        (agent, instance)
    }

    /// No container of this instance is left once its helper is gone.
    fn nothing_left(&self, instance: &str) {
        let helper = format!("\"iog-{instance}-");
        assert!(
            within(Duration::from_secs(10), || processes(&helper).is_empty()),
            "the helper lives on"
        );
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let cleaned = runtime
            .block_on(self.choice().clean(instance))
            .expect("cleaned");
        assert_eq!(cleaned.0, 0);
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            _ = service.kill();
            _ = service.wait();
        }
    }
}

fn wish(job: &worker::sandbox::StartJob) -> Wish {
    Wish {
        limits: job.limits,
        labels: vec![("iog.job".into(), "job_1".into())],
        ..Wish::default()
    }
}

#[tokio::test]
async fn a_job_in_a_container_has_what_a_sandbox_gives_and_no_more() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let script = "id -u; pwd; [ $(ulimit -n) -le 65536 ] && echo files; [ $(ulimit -c) = 0 ] && echo core
        grep -E '^(NoNewPrivs|CapEff|CapBnd|Seccomp):' /proc/self/status | tr -d '\\t'
        for d in /sys /home /root /var/tmp; do ls -A $d 2>/dev/null; done; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '
        for d in / /usr /etc /run /var /var/tmp /dev /proc/sys/kernel; do touch $d/x 2>/dev/null && echo wrote $d; done
        for d in /job /tmp /dev/shm; do touch $d/x || echo cannot write $d; done
        [ -d $IOG_OUTPUT/checkpoint ] && echo kept > $IOG_OUTPUT/a; echo late >&2; sleep 1.2; exit 3";
    let job = shell(dir.path(), script);
    let outcome = run_in(&podman.choice(), wish(&job), job).await;
    let wanted = "1000\n/job\nfiles\ncore\nCapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2\nlo\n";
    assert_eq!(
        (outcome.out.as_str(), outcome.err.as_str()),
        (wanted, "late\n")
    );
    assert_eq!(outcome.report.end, End::Exited { code: 3 });
    assert_eq!(outcome.report.artefacts.files, 1);
    assert!(
        outcome
            .samples
            .iter()
            .any(|sample| sample.memory_bytes > 0 && sample.pids > 0),
        "{:?}",
        outcome.samples
    );
    assert!(
        outcome.report.usage.cpu_us > 0 && outcome.report.peak_memory_bytes > 0,
        "{:?}",
        outcome.report
    );
}

#[tokio::test]
async fn an_unpacked_image_is_a_containers_root_and_its_links_lead_nowhere_else() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let image = dir.path().join("image");
    for name in ["bin", "etc", "root", "var/www"] {
        std::fs::create_dir_all(image.join(name)).expect("mkdir");
    }
    std::fs::copy("/bin/busybox", image.join("bin/busybox"))
        .expect("apt-get install busybox-static");
    std::fs::write(image.join("etc/motd"), "hello\n").expect("motd");
    std::fs::write(image.join("var/www/page"), "page\n").expect("page");
    for (target, name) in [
        ("busybox", "bin/sh"),
        ("/root", "srv"),
        ("/etc/shadow", "shadow"),
    ] {
        std::os::unix::fs::symlink(target, image.join(name)).expect("link");
    }
    let mut job = shell(
        dir.path(),
        "busybox cat /etc/motd /var/www/page; busybox ls -A /srv/; busybox cat /shadow 2>/dev/null; busybox touch /var/x 2>/dev/null || echo closed",
    );
    job.env = vec![("PATH".into(), "/bin".into())];
    let wish = Wish {
        image: Some(image),
        ..wish(&job)
    };
    assert_eq!(
        run_in(&podman.choice(), wish, job).await.passed(),
        "hello\npage\nclosed\n"
    );
}

#[test]
fn a_worker_with_an_engine_runs_a_job_and_uninstalled_leaves_nothing_in_it() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let exchange = Exchange::start();
    let mut worker = Worker::start_with(&exchange, &["--engine", &podman.named]);
    let soon = Duration::from_secs(20);
    exchange.assign(
        1,
        1,
        spec("echo inside; : enginemark; while :; do sleep 0.1; done"),
    );
    exchange.hear(soon, "the start", |message| {
        matches!(message, FromWorker::Started { .. }).then_some(())
    });
    let done = Command::new(env!("CARGO_BIN_EXE_iog-worker"))
        .args(["uninstall", "--keep-program", "--force", "--state"])
        .arg(&worker.state)
        .output()
        .expect("uninstall");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success() && said.contains("1 images of this worker"),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    worker.child.wait().expect("wait");
    assert!(processes(": enginemark").is_empty() && !worker.state.exists());
    let key = exchange.lock().hellos[0].public_key.clone();
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let left = runtime.block_on(podman.choice().clean(&worker::sandbox::instance(&key)));
    assert_eq!(left, Ok((0, 0)));
}

#[tokio::test]
async fn a_job_in_a_container_ends_at_its_memory_and_is_told_so() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let mut job = python(
        dir.path(),
        "held = [bytearray(16 << 20) for _ in range(40)]",
    );
    job.limits.memory_bytes = 64 * MIB;
    job.limits.disk_bytes = 8 * MIB;
    let outcome = run_in(&podman.choice(), wish(&job), job).await;
    assert_eq!(
        outcome.report.end,
        End::OutOfMemory,
        "{}{}",
        outcome.out,
        outcome.err
    );
}

/// A description that names another node as the card does for this: `nvidia.com/gpu`, with a device of the name in `IOG_TEST_CDI` whose
/// node is `/dev/nvidia0`. docs/worker.md has one.
#[tokio::test]
async fn a_card_comes_by_its_description_and_no_other_does() {
    let (Some(podman), Ok(card)) = (Podman::start(), std::env::var("IOG_TEST_CDI")) else {
        println!("skipped: IOG_TEST_CDI names no card that the engine knows by CDI");
        return;
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let job = || {
        shell(
            dir.path(),
            "cd /dev; ls -d nvidia*; echo; [ -c nvidia0 ] && head -c 1 nvidia0 | wc -c",
        )
    };
    let with = |card: &str| Wish {
        cards: vec![card.to_owned()],
        device_nodes: vec!["nvidia0".to_owned()],
        ..wish(&job())
    };
    let outcome = run_in(&podman.choice(), with(&card), job()).await;
    assert_eq!(
        (outcome.out.as_str(), outcome.err.as_str()),
        ("nvidia0\n\n0\n", "")
    );
    let none = run_in(&podman.choice(), wish(&job()), job()).await;
    assert_eq!(none.out, "\n");
    let opened = Engine::open(options("cdi"), &podman.choice(), dir.path().join("engine")).await;
    let unknown = opened.expect("an engine").prepare(with("GPU-none")).await;
    let why = unknown.expect_err("there is none").to_string();
    assert!(why.contains("GPU-none"), "{why}");
}

#[test]
fn a_killed_agent_takes_its_container_along() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let (mut agent, instance) = podman.agent("ckilled", 60_000);
    assert!(agent.job_lives());
    agent.signal(Signal::KILL);
    agent.child.wait().expect("wait");
    agent.all_gone(Duration::from_secs(1));
    podman.nothing_left(&instance);
}

#[test]
fn a_stopped_agent_past_its_lease_has_no_container_any_more() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let (agent, instance) = podman.agent("cstopped", 4_000);
    agent.signal(Signal::STOP);
    assert!(agent.job_lives(), "the lease still holds");
    agent.all_gone(Duration::from_secs(4));
    podman.nothing_left(&instance);
    agent.signal(Signal::CONT);
}

#[test]
fn a_killed_helper_takes_its_container_along() {
    let Some(podman) = Podman::start() else {
        return;
    };
    let (agent, instance) = podman.agent("chelper", 60_000);
    agent.signal_helper(Signal::KILL);
    agent.all_gone(Duration::from_secs(1));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime
        .block_on(podman.choice().clean(&instance))
        .expect("cleaned");
    podman.nothing_left(&instance);
}

/// Says that it is an engine, and keeps what it was asked.
#[derive(Clone)]
struct Liar {
    oldest: &'static str,
    /// It binds this too, whatever it was asked.
    binds: Option<&'static str>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

async fn answer(
    State(liar): State<Liar>,
    verb: Method,
    uri: Uri,
    body: String,
) -> impl IntoResponse {
    let path = uri.path().to_owned();
    let told = serde_json::from_str(&body).unwrap_or_default();
    liar.asked
        .lock()
        .expect("lock")
        .push((format!("{verb} {path}"), told));
    let answer = match path.trim_start_matches("/v1.44") {
        "/version" => {
            json!({"Version": "29.0", "ApiVersion": "1.52", "MinAPIVersion": liar.oldest, "Components": [{"Name": "Engine"}]})
        }
        "/info" => json!({"DefaultRuntime": "runc", "CgroupVersion": "2"}),
        // The filter is not kept.
        "/containers/json" => {
            json!([{"Id": "owners", "Labels": {"iog.node": "other"}}, {"Id": "plain", "Labels": null}])
        }
        "/images/json" => json!([{"Id": "sha256:owners", "Labels": {}}]),
        "/images/create" => json!({"status": "sha256:ours"}),
        "/containers/create" => json!({"Id": "c0ffee"}),
        "/containers/c0ffee/json" => {
            let asked = liar.asked.lock().expect("lock");
            let made = |(order, _): &&(String, Value)| order.ends_with("/containers/create");
            let body = &asked.iter().find(made).expect("made").1;
            let mount = |from: &Value, to: &Value| json!({"Type": "bind", "Source": from, "Destination": to, "RW": false});
            let mounts = body["HostConfig"]["Mounts"].as_array().expect("mounts");
            let mounts = mounts.iter().map(|of| mount(&of["Source"], &of["Target"]));
            let more = liar.binds.map(|path| mount(&json!(path), &json!(path)));
            json!({"Mounts": mounts.chain(more).collect::<Vec<_>>()})
        }
        path if path.ends_with("/start") => {
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                Json(json!({"message": "no CDI devices here"})),
            );
        }
        path if path.contains("/containers/") && verb == Method::DELETE => {
            return (StatusCode::NOT_FOUND, Json(json!({"message": "gone"})));
        }
        _ => json!({}),
    };
    (StatusCode::OK, Json(answer))
}

fn liar(oldest: &'static str, binds: Option<&'static str>) -> (Liar, Choice, TempDir) {
    let dir = tempfile::tempdir().expect("tempdir");
    let socket: PathBuf = dir.path().join("liar.sock");
    let listener = tokio::net::UnixListener::bind(&socket).expect("bind");
    let liar = Liar {
        oldest,
        binds,
        asked: Arc::default(),
    };
    let routes = Router::new().fallback(answer).with_state(liar.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("serve") });
    let choice = Choice::parse(&format!("docker={}", socket.display())).expect("an engine");
    (liar, choice, dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_refuses_is_said_and_nothing_of_the_owners_is_touched() {
    let (liar, choice, dir) = liar("1.44", None);
    let engine = Engine::open(options("ab12"), &choice, dir.path().join("engine"))
        .await
        .expect("open");
    assert_eq!(
        engine.about().to_string(),
        "Engine 29.0 (interface 1.44, runc, cgroups version 2)"
    );
    let wish = Wish {
        cards: vec!["GPU-1".into()],
        device_nodes: vec!["nvidia0".into()],
        ..Wish::default()
    };
    let why = engine
        .prepare(wish)
        .await
        .expect_err("it does not start")
        .to_string();
    assert!(why.contains("no CDI devices here"), "{why}");
    assert_eq!(choice.clean("ab12").await, Ok((0, 0)));
    let asked = liar.asked.lock().expect("lock").clone();
    let made = asked
        .iter()
        .find(|(order, _)| order.ends_with("/containers/create"))
        .expect("made");
    assert_eq!(
        made.1["HostConfig"]["DeviceRequests"],
        json!([{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1"]}])
    );
    assert_eq!(made.1["Labels"]["iog.node"], "ab12");
    let removed: Vec<&str> = asked
        .iter()
        .map(|(order, _)| order.as_str())
        .filter(|order| order.starts_with("DELETE"))
        .collect();
    assert!(
        !removed.is_empty()
            && removed
                .iter()
                .all(|order| order.ends_with("/containers/c0ffee?force=1&v=1")
                    || order.ends_with("/containers/c0ffee")),
        "{removed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn escape_by_an_engine_that_binds_more_than_it_was_asked_to_is_refused() {
    let (liar, choice, dir) = liar("1.44", Some("/home"));
    let engine = Engine::open(options("ab12"), &choice, dir.path().join("engine"))
        .await
        .expect("open");
    let why = engine.prepare(Wish::default()).await.expect_err("refused");
    assert!(why.to_string().contains("/home"), "{why}");
    let asked = liar.asked.lock().expect("lock").clone();
    let started = asked.iter().any(|(order, _)| order.ends_with("/start"));
    assert!(!started, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_speaks_only_newer_forms_is_refused() {
    let (_, choice, _dir) = liar("1.50", None);
    let why = choice.ask().await.expect_err("too new");
    assert!(why.contains("1.50") && why.contains("1.44"), "{why}");
    let why = Choice::parse("podman=/nowhere/x.sock")
        .expect("named")
        .ask()
        .await
        .expect_err("nobody");
    assert!(
        why.contains("/nowhere/x.sock") && why.contains("--engine"),
        "{why}"
    );
}
