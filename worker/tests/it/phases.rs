//! `kill -9` and SIGSTOP of the agent in each phase of a job: nothing runs past its lease, nothing half done is used, and the
//! next start finds a clean house.

use std::path::Path;
use std::time::Duration;

use protocol::worker::{FromWorker, Phase};
use rustix::process::Signal;
use worker::identity::Identity;

use super::agent::{Worker, command, spec};
use super::common::{cgroups, processes, within};
use super::exchange::{Exchange, TTL_MS};
use super::registry::{ImageBuilder, Registry, file};

const SOON: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Pulling,
    Isolating,
    Running,
    Uploading,
}

struct Scene {
    exchange: Exchange,
    registry: Registry,
    worker: Worker,
    /// Stands in the command line of the job's process, and of no other.
    mark: String,
}

impl Scene {
    /// A job whose agent is in that phase.
    fn at(phase: At, name: &str) -> Self {
        let exchange = Exchange::start();
        let registry = Registry::start();
        registry.push("1", &ImageBuilder::busybox().layer(&[file("opt/x", "x")]));
        if phase == At::Pulling {
            registry.lock().slow = Duration::from_millis(150);
        }
        let worker = Worker::start_with(&exchange, &["--registry", &registry.host()]);
        let mark = format!(": phase-{name};");
        let work = match phase {
            At::Uploading => "echo kept > $IOG_OUTPUT/result",
            _ => "while :; do busybox sleep 0.1; done",
        };
        let mut spec = spec(&format!("{mark} {work}"));
        spec.image = Some(registry.name("1"));
        spec.env.insert("PATH".into(), "/bin".into());
        exchange.lock().slow_files = Duration::from_secs(30);
        exchange.assign(1, 1, spec);
        exchange.hear(SOON, "the phase", |message| match (phase, message) {
            (At::Pulling, FromWorker::Preparing { phase, percent, .. }) => {
                (*phase == Phase::Pulling && percent.is_some()).then_some(())
            }
            (At::Isolating, FromWorker::Preparing { phase, .. }) => {
                (*phase == Phase::Isolating).then_some(())
            }
            (At::Uploading, FromWorker::Preparing { phase, .. }) => {
                (*phase == Phase::Uploading).then_some(())
            }
            (At::Running, FromWorker::Started { .. }) => Some(()),
            _ => None,
        });
        Self {
            exchange,
            registry,
            worker,
            mark,
        }
    }

    fn runs(&self) -> bool {
        !processes(&self.mark).is_empty()
    }
}

fn dies(phase: At, name: &str) {
    let mut scene = Scene::at(phase, name);
    scene.worker.signal(Signal::KILL);
    scene.worker.child.wait().expect("wait");
    // Its lease would live for seconds yet: whoever held it is gone, so nothing may run at once.
    assert!(
        within(Duration::from_secs(1), || !scene.runs()),
        "the job lives on"
    );
    let state = scene.worker.state.clone();
    let groups = {
        let identity = Identity::open(&state).expect("the lock is free");
        format!("iog-{}-", worker::sandbox::instance(&identity.public_key()))
    };
    assert!(
        within(SOON, || cgroups(&groups).is_empty()),
        "{:?}",
        cgroups(&groups)
    );
    // The next start: nothing half done, no lease claimed, and jobs run as ever.
    scene.registry.lock().slow = Duration::ZERO;
    scene.exchange.lock().heard.clear();
    scene.worker.child = command(&["run", "--registry", &scene.registry.host()], &state)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run");
    scene.exchange.hear(SOON, "a heartbeat", |message| {
        matches!(message, FromWorker::Heartbeat { .. }).then_some(())
    });
    assert!(
        scene
            .exchange
            .lock()
            .hellos
            .last()
            .expect("hello")
            .leases
            .is_empty()
    );
    assert!(is_empty(&state.join("images/part")) && is_empty(&state.join("spool")));
    let mut again = spec("test -f /opt/x");
    again.image = Some(scene.registry.name("1"));
    scene.exchange.assign(2, 1, again);
    scene
        .exchange
        .hear(SOON, "its end", |message| match message {
            FromWorker::Ended { end, .. } => {
                assert_eq!(*end, protocol::state::RunEnd::Exited { code: 0 });
                Some(())
            }
            _ => None,
        });
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

fn hangs(phase: At, name: &str) {
    let scene = Scene::at(phase, name);
    scene.worker.signal(Signal::STOP);
    let gone = within(Duration::from_millis(TTL_MS + 1_500), || !scene.runs());
    assert!(gone, "the job lives past its lease");
    if !matches!(phase, At::Running) {
        std::thread::sleep(Duration::from_millis(TTL_MS));
    }
    // The exchange has given it away meanwhile. The agent wakes: whatever it was about to do must not happen.
    let lease = scene
        .exchange
        .lock()
        .heard
        .iter()
        .find_map(|message| match message {
            FromWorker::Preparing { lease, .. } => Some(*lease),
            _ => None,
        });
    scene
        .exchange
        .lock()
        .refused
        .insert(lease.expect("a lease"));
    scene.registry.lock().slow = Duration::ZERO;
    scene.worker.signal(Signal::CONT);
    let came = within(Duration::from_secs(2), || scene.runs());
    assert!(!came, "a job of a lost lease was started");
    let spool = scene.worker.state.join("spool");
    assert!(within(SOON, || is_empty(&spool)), "its files are kept");
}

/// Side by side: they wait for clocks.
fn in_each_phase(check: fn(At, &str), name: &str) {
    std::thread::scope(|scope| {
        for phase in [At::Pulling, At::Isolating, At::Running, At::Uploading] {
            scope.spawn(move || check(phase, &format!("{name}-{phase:?}")));
        }
    });
}

#[test]
fn killed_in_any_phase_nothing_runs_and_the_next_start_is_clean() {
    in_each_phase(dies, "killed");
}

#[test]
fn stopped_in_any_phase_nothing_runs_past_its_lease() {
    in_each_phase(hangs, "stopped");
}
