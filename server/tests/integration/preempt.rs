//! A spot job in a real sandbox: it hears its notice, writes its checkpoint, and goes on from it.

use http::Method;
use protocol::state::{JobState, RunEnd};
use protocol::view::{JobEventKind, NodeView};
use serde_json::{Value, json};
use test_support::{Database, TestApp, shell};

use crate::{QUICK, SOON};

/// Counts; at SIGTERM it writes how far it came. The second time it says where it begins, and ends.
const COUNTS: &str = r#"
n=0
if [ -f "$IOG_CHECKPOINT/n" ]; then echo "goes on from $(cat "$IOG_CHECKPOINT/n")"; exit 0; fi
trap 'echo "$n" > "$IOG_CHECKPOINT/n"; echo "saved $n"; exit 0' TERM
while [ $n -lt 600 ]; do n=$((n+1)); sleep 1; done
"#;

#[tokio::test]
async fn a_spot_job_saves_its_work_within_its_notice_and_goes_on_from_it() {
    let app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, cy) = (
        app.account("ada", Some("50")),
        app.account("cy", Some("50")),
    );
    let bo = app.account("bo", None);
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let nodes: Vec<NodeView> = bo.rest.get("/api/v1/nodes").await.ok();
    let path = format!("/api/v1/devices/{}", nodes[0].devices[0].id);
    let spot = json!({ "rules": { "spot_per_hour": "1.8" } });
    bo.rest
        .json(Method::PATCH, &path, &spot)
        .await
        .ok::<Value>();

    let mut counts = shell("counts", COUNTS);
    counts.placement.filter = Some("kind=spot".into());
    counts.limits.max_restarts = 0;
    let counts = ada.submit(&counts).await.summary.id;
    ada.wait_for(counts, JobState::Running, SOON).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;

    let full = cy.submit(&shell("full", "sleep 1")).await;
    assert_eq!(full.summary.state, JobState::Matching, "{:?}", full.events);
    cy.wait_for(full.summary.id, JobState::Finished, SOON).await;
    let done = ada.wait_for(counts, JobState::Finished, SOON).await;
    assert_eq!(done.leases.len(), 2, "{:?}", done.events);
    assert_eq!(done.leases[0].end, Some(RunEnd::Preempted));
    assert_eq!(done.summary.restarts, 0);
    let noticed = |kind| done.events.iter().any(|event| event.kind == kind);
    assert!(noticed(JobEventKind::Notice) && noticed(JobEventKind::Preempted));
    let log = ada.log(counts).await;
    let saved = log.lines().find_map(|line| line.strip_prefix("saved "));
    let begun = log
        .lines()
        .find_map(|line| line.strip_prefix("goes on from "));
    assert!(saved.is_some() && saved == begun, "{log}");
}
