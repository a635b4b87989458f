//! Nothing of a job outlives its agent, its helper or its lease, however these end.
//!
//! The agent here is this test program started again (see [`agent_process`]), so that it can be killed and stopped
//! like a real one.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::common::{cgroups, options, place, processes, shell, within};
use rustix::process::{Pid, Signal, kill_process};
use worker::sandbox::{FromHelper, Sandbox, boottime_ms};

/// Not a test of its own: the body of the agent that the tests below start. Without the variable it does nothing.
#[test]
fn agent_process() {
    let Ok(order) = std::env::var("IOG_TEST_AGENT") else {
        return;
    };
    let (instance, lease_ms) = order.split_once(' ').expect("instance and lease");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut job = shell(
            dir.path(),
            &format!(": {instance}; while :; do sleep 0.1; done"),
        );
        let prepared = place(instance, &job).await;
        // Counted from here: making a container takes seconds on a busy machine.
        job.lease_until_ms = boottime_ms() + lease_ms.parse::<u64>().expect("milliseconds");
        let mut running = prepared.start(job).await.expect("start");
        while let Some(event) = running.events.next().await {
            if let FromHelper::Started { .. } = event {
                println!("\nhelper {}", running.events.helper_pid().expect("helper"));
            }
        }
    });
}

pub struct Agent {
    pub child: Child,
    _output: BufReader<ChildStdout>,
    helper: u32,
    mark: String,
    groups: String,
}

impl Agent {
    fn start(name: &str, lease_ms: u64) -> Self {
        let instance = format!("{name}{}", std::process::id());
        Self::start_with(&instance, lease_ms, &[])
    }

    pub fn start_with(instance: &str, lease_ms: u64, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("exe"))
            .args(["--exact", "watchdog::agent_process", "--nocapture"])
            .env("IOG_TEST_AGENT", format!("{instance} {lease_ms}"))
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("agent");
        let mut output = BufReader::new(child.stdout.take().expect("stdout"));
        let helper = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("helper ")?.parse().ok())
            .expect("the agent's job started");
        // The job's own command line, not the agent's or the helper's.
        Self {
            child,
            _output: output,
            helper,
            mark: format!(": {instance};"),
            groups: format!("iog-{instance}-"),
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signal");
    }

    pub fn signal_helper(&self, signal: Signal) {
        let helper = Pid::from_raw(i32::try_from(self.helper).expect("pid")).expect("pid");
        kill_process(helper, signal).expect("signal");
    }

    pub fn job_lives(&self) -> bool {
        !processes(&self.mark).is_empty()
    }

    pub fn all_gone(&self, limit: Duration) {
        assert!(within(limit, || !self.job_lives()), "the job lives on");
        assert!(
            within(Duration::from_secs(5), || cgroups(&self.groups).is_empty()),
            "{:?}",
            cgroups(&self.groups)
        );
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_agent_takes_its_job_along() {
    let mut agent = Agent::start("killed", 60_000);
    assert!(agent.job_lives());
    agent.signal(Signal::KILL);
    agent.child.wait().expect("wait");
    agent.all_gone(Duration::from_secs(1));
}

#[test]
fn a_stopped_agent_past_its_lease_has_no_job_any_more() {
    let agent = Agent::start("stopped", 3_000);
    agent.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(1));
    assert!(agent.job_lives(), "the lease still holds");
    agent.all_gone(Duration::from_millis(2_800));
    agent.signal(Signal::CONT);
    assert!(
        !within(Duration::from_millis(300), || agent.job_lives()),
        "nothing comes back"
    );
}

#[test]
fn a_killed_helper_takes_the_job_along_and_the_next_start_cleans_up() {
    let agent = Agent::start("helper", 60_000);
    agent.signal_helper(Signal::KILL);
    assert!(
        within(Duration::from_secs(1), || !agent.job_lives()),
        "the job lives on"
    );
    assert!(
        !cgroups(&agent.groups).is_empty(),
        "nobody was left to remove them"
    );
    let instance = agent
        .groups
        .trim_start_matches("iog-")
        .trim_end_matches('-')
        .to_owned();
    Sandbox::open(options(&instance)).expect("open");
    assert!(cgroups(&agent.groups).is_empty());
}

#[test]
fn ctrl_c_and_polite_signals_do_not_reach_the_helper() {
    let agent = Agent::start("polite", 60_000);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        agent.signal_helper(signal);
    }
    assert!(
        !within(Duration::from_millis(500), || !agent.job_lives()),
        "the agent decides when a job ends"
    );
}
