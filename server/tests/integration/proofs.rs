//! Real workers show what they are to a real server; a library that lies about its cards does not help.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use protocol::proof::{ChallengeView, Outcome, ProofState};
use protocol::state::DeviceState;
use protocol::view::{NetworkView, NodeView, OffersView};
use test_support::{Account, Process, TestApp, binary, wait_until};

const WITHIN: Duration = Duration::from_secs(30);

/// NVIDIA's library as a liar writes it.
pub fn forged_library(folder: &Path) -> std::path::PathBuf {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/test-support/fixtures/nvml.c");
    let library = folder.join("libnvidia-ml.so");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(made.expect("a C compiler").success());
    library
}

/// The owner's machine of this name, when all of its devices were challenged.
async fn challenged(owner: &Account, name: &str) -> NodeView {
    wait_until("its devices were challenged", WITHIN, || async {
        let nodes: Vec<NodeView> = owner.rest.get("/api/v1/nodes").await.ok();
        let node = nodes.into_iter().find(|node| node.name == name)?;
        let over = node
            .devices
            .iter()
            .all(|device| device.proof.challenged_at.is_some());
        (over && !node.devices.is_empty()).then_some(node)
    })
    .await
}

#[tokio::test]
async fn forged_nvml_with_eight_h100_is_never_rentable_and_an_honest_cpu_is_proven() {
    let app = TestApp::start().await;
    let (bo, eve) = (app.account("bo", None), app.account("eve", None));
    let node = app.node(&bo, "bo", "1").await;

    let library = forged_library(app.folder());
    let token = app.join_token(&eve.email);
    let state = app.folder().join("eve");
    let url = app.url.clone();
    let arguments: Vec<&OsStr> = ["join", "--server", &url, "--token", &token, "--name", "eve"]
        .into_iter()
        .map(OsStr::new)
        .chain([
            OsStr::new("--state"),
            state.as_os_str(),
            OsStr::new("--nvml"),
            library.as_os_str(),
        ])
        .collect();
    let _liar = Process::start(
        "eve",
        &binary("IOG_WORKER_BIN", "iog-worker"),
        arguments,
        &[],
        &app.folder().join("eve.log"),
    );

    let lies = challenged(&eve, "eve").await;
    assert_eq!(lies.devices.len(), 8);
    for device in &lies.devices {
        assert_eq!(
            (device.model.as_str(), device.memory_mib),
            ("NVIDIA H100 80GB HBM3", 81_559)
        );
        assert_eq!(device.proof.state, ProofState::Failed, "{:?}", device.proof);
        assert_eq!(device.state, DeviceState::Blocked);
    }
    let network: NetworkView = app.anyone().get("/api/v1/network").await.ok();
    assert_eq!((network.gpus_claimed, network.gpus_proven), (8, 0));
    let idle: OffersView = app
        .anyone()
        .get("/api/v1/offers?idle=true&class=gpu")
        .await
        .ok();
    assert_eq!(idle.matching, 0);

    let honest = challenged(&bo, &node.name).await;
    assert_eq!(
        honest.devices[0].proof.state,
        ProofState::Proven,
        "{:?}",
        honest.devices[0].proof
    );
    let kept: Vec<ChallengeView> = bo
        .rest
        .get(&format!("/api/v1/nodes/{}/challenges", honest.id))
        .await
        .ok();
    assert_eq!(kept[0].outcome, Outcome::Passed);
    assert!(
        kept[0].record.figures.memory.is_some() && kept[0].record.network_kbit > 0,
        "{:?}",
        kept[0]
    );
    let foreign = eve
        .rest
        .get(&format!("/api/v1/nodes/{}/challenges", honest.id))
        .await;
    assert_eq!(foreign.status.as_u16(), 404);
}
