//! What a worker needs that runs jobs in the containers of an engine.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::{Check, Outcome, Place, RUN_WITHIN, run_true};
use crate::sandbox::Options;
use crate::sandbox::engine::{Choice, Engine, Wish, is_refused, toolkit_version};

/// The engine, who makes its containers, NVIDIA's part in it, and a real job in a container.
pub async fn look(place: &Place, choice: &Choice, driver: Outcome) -> Vec<Check> {
    const NAME: &str = "engine";
    let mut checks = vec![toolkit(toolkit_version()), cdi(place, driver)];
    match choice.ask().await {
        Err(why) => {
            checks.insert(0, Check::fail(NAME, why, "start the engine's service, or leave --engine away: the worker's own sandbox needs none"));
            checks.push(Check::skipped("container", "the engine does not answer"));
        }
        Ok(about) => {
            let engine = if about.is_crun_on_v1() {
                Check::fail(
                    NAME,
                    format!(
                        "{about}: crun is known to fail where cgroups of version 1 are mounted"
                    ),
                    "install runc and let the engine use it (podman: runtime = \"runc\" in containers.conf)",
                )
            } else {
                Check::pass(NAME, about.to_string())
            };
            checks.insert(0, engine);
            checks.push(container(choice).await);
        }
    }
    checks
}

pub(super) fn toolkit(version: Option<(u32, u32, u32)>) -> Check {
    const NAME: &str = "nvidia_toolkit";
    let Some(version) = version else {
        return Check::skipped(
            NAME,
            "no nvidia-ctk: only the CPU can be offered with this engine",
        );
    };
    let (major, minor, patch) = version;
    let found = format!("{major}.{minor}.{patch}");
    if is_refused(version) {
        let why = format!("{found} lets a container become root of this machine (CVE-2025-23266)");
        return Check::fail(
            NAME,
            why,
            "update nvidia-container-toolkit to 1.17.8 or newer",
        );
    }
    Check::pass(NAME, found)
}

/// Whether cards are described for engines. Which devices are in there, the engine says when a job wants one.
pub(super) fn cdi(place: &Place, driver: Outcome) -> Check {
    const NAME: &str = "cdi";
    if driver == Outcome::Skipped {
        return Check::skipped(NAME, "no NVIDIA driver");
    }
    let files = ["etc/cdi", "var/run/cdi"].map(|folder| place.root.join(folder));
    let described = files
        .iter()
        .flat_map(fs::read_dir)
        .flatten()
        .flatten()
        .find(|entry| {
            fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("nvidia.com/gpu"))
        });
    match described {
        Some(entry) => Check::pass(NAME, entry.path().display().to_string()),
        None => Check::fail(
            NAME,
            "no description of NVIDIA's cards in /etc/cdi or /var/run/cdi",
            "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        ),
    }
}

async fn container(choice: &Choice) -> Check {
    const NAME: &str = "container";
    let instance = format!("doctor{}", std::process::id());
    // In a place that is open to all: a name that nobody guesses, and made here or not used.
    let unguessed: u64 = rand::random();
    let directory = std::env::temp_dir().join(format!("iog-{instance}-{unguessed:016x}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&directory);
    if let Err(error) = made {
        let why = format!("{}: {error}", directory.display());
        return Check::fail(NAME, why, "make the directory for temporary files writable");
    }
    let options = Options {
        helper: PathBuf::from("/proc/self/exe"),
        instance: instance.clone(),
        lent: Vec::new(),
    };
    let run = async {
        let engine = Engine::probe(options, choice, directory.join("engine")).await;
        let engine = engine.map_err(|lacks| lacks.join("; "))?;
        let ready = engine
            .prepare(Wish::trial())
            .await
            .map_err(|error| error.to_string())?;
        run_true(ready).await
    };
    let ran = tokio::time::timeout(RUN_WITHIN, run).await;
    let cleaned = choice.clean(&instance).await.map(drop);
    _ = fs::remove_dir_all(&directory);
    match ran
        .unwrap_or_else(|_| Err("a job in a container did not end in time".to_owned()))
        .and(cleaned)
    {
        Ok(()) => Check::pass(NAME, "a job ran in a container and ended"),
        Err(why) => Check::fail(
            NAME,
            why,
            "docs/worker.md says what is asked of an engine; the worker's own sandbox needs none",
        ),
    }
}
