//! Measures how long a sandbox takes to start `/bin/true`, cold and prepared, beside a bare spawn.
//!
//! `cargo run --release -p worker --example sandbox_start [COUNT]`; needs the iog-worker binary beside it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use worker::sandbox::{FromHelper, JobLimits, Options, Sandbox, StartJob, boottime_ms};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(Ok(200), |text| text.parse())?;
    let helper: PathBuf = std::env::current_exe()?
        .parent()
        .and_then(|p| p.parent())
        .map(|p| p.join("iog-worker"))
        .ok_or("no directory")?;
    let artefacts = std::env::temp_dir().join(format!("iog-bench-{}.tar", std::process::id()));
    let sandbox = Sandbox::open(Options {
        helper,
        instance: format!("bench{}", std::process::id()),
        lent: Vec::new(),
    })?;
    let (mut bare, mut cold, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let begin = Instant::now();
        let mut child = tokio::process::Command::new("/bin/true").spawn()?;
        bare.push(begin.elapsed());
        child.wait().await?;

        let begin = Instant::now();
        let ready = sandbox.prepare().await?;
        let from_ready = Instant::now();
        let job = StartJob {
            command: vec!["/bin/true".into()],
            cwd: None,
            env: Vec::new(),
            files: Vec::new(),
            bundle: None,
            checkpoint: None,
            limits: JobLimits {
                memory_bytes: 64 << 20,
                disk_bytes: 16 << 20,
                cpu_millis: 1_000,
                pids: 16,
            },
            lease_until_ms: boottime_ms() + 60_000,
            funded_ms: None,
            time_limit_ms: None,
            stop_grace_ms: 1_000,
            artefacts: artefacts.clone(),
            artefacts_max_bytes: 1 << 20,
        };
        let mut running = ready.start(job).await?;
        while let Some(event) = running.events.next().await {
            if let FromHelper::Started { .. } = event {
                cold.push(begin.elapsed());
                prepared.push(from_ready.elapsed());
            }
        }
        running.events.gone().await;
    }
    let _ = std::fs::remove_file(artefacts);
    for (name, times) in [
        ("bare spawn", &mut bare),
        ("sandbox, cold", &mut cold),
        ("sandbox, prepared", &mut prepared),
    ] {
        times.sort();
        let at = |share: usize| {
            times
                .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
                .copied()
                .unwrap_or(Duration::ZERO)
        };
        println!(
            "{name:18} p50 {:>8.2?}   p99 {:>8.2?}   of {}",
            at(50),
            at(99),
            times.len()
        );
    }
    Ok(())
}
