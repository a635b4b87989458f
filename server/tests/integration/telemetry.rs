//! A real worker measures through NVIDIA's library (a forged one), while the server is there and while it is not.

use std::ffi::OsStr;
use std::time::Duration;

use protocol::notice::Notice;
use protocol::telemetry::{Field, Happening, NodeTelemetryView};
use protocol::view::NodeView;
use test_support::{Account, Process, TestApp, binary, wait_until};

use super::proofs::forged_library;

const WITHIN: Duration = Duration::from_secs(40);

async fn measured(owner: &Account) -> Option<NodeTelemetryView> {
    let nodes: Vec<NodeView> = owner.rest.get("/api/v1/nodes").await.ok();
    let node = nodes.first()?.id;
    let path = format!("/api/v1/nodes/{node}/telemetry");
    Some(owner.rest.get(&path).await.ok())
}

#[tokio::test]
async fn seconds_without_a_server_arrive_after_it_without_a_gap_and_an_xid_is_told_at_once() {
    let mut app = TestApp::start().await;
    let eve = app.account("eve", None);
    let library = forged_library(app.folder());
    let token = app.join_token(&eve.email);
    let (state, url) = (app.folder().join("eve"), app.url.clone());
    let xid = app.folder().join("xid");
    let arguments = [
        "join", "--server", &url, "--token", &token, "--name", "eve", "--state",
    ];
    let arguments = arguments.into_iter().map(OsStr::new).chain([
        state.as_os_str(),
        OsStr::new("--nvml"),
        library.as_os_str(),
    ]);
    let _worker = Process::start(
        "eve",
        &binary("IOG_WORKER_BIN", "iog-worker"),
        arguments.collect::<Vec<_>>(),
        &[(
            "IOG_FORGED_XID".to_owned(),
            xid.to_string_lossy().into_owned(),
        )],
        &app.folder().join("eve.log"),
    );
    let before = wait_until("it has measured", WITHIN, || async {
        measured(&eve).await.filter(|view| view.now.len() == 8)
    })
    .await;
    let is = |field, value: f64| (before.now[0].values[&field] - value).abs() < 0.01;
    assert!(is(Field::GpuTemp, 61.0) && is(Field::PowerUsage, 312.5));
    assert!(
        !before.now[0].values.contains_key(&Field::SmClock),
        "not available"
    );

    app.kill_server();
    std::fs::write(&xid, "").expect("writes");
    tokio::time::sleep(Duration::from_secs(4)).await;
    app.start_server().await;
    let had = before.series[0].seq;
    let after = wait_until("what it measured meanwhile has come", WITHIN, || async {
        measured(&eve)
            .await
            .filter(|view| view.series.first().is_some_and(|head| head.seq > had + 4))
    })
    .await;
    let head = &after.series[0];
    assert_eq!((after.series.len(), head.missing), (1, 0));
    assert_eq!(head.received, head.seq, "each number once");
    let uuid = &after.now[0].uuid;
    let seen = wait_until("the XID is kept", WITHIN, || async {
        let events = measured(&eve).await?.events;
        events.into_iter().find(|seen| seen.event.uuid == *uuid)
    })
    .await;
    assert_eq!(seen.event.what, Happening::Xid { code: 79 });
    let told: protocol::notice::NoticesView = eve.rest.get("/api/v1/notifications").await.ok();
    let is_fault = |notice: &Notice| matches!(notice, Notice::DeviceFault { .. });
    assert!(told.items.iter().any(|view| is_fault(&view.notice)));
    let path = format!("/api/v1/nodes/{}/metrics", after.node);
    let text = eve.rest.get(&path).await.text();
    assert!(
        text.contains("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-f0f0"),
        "{text}"
    );
}
