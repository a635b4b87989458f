//! The main job, from its submission to its artefacts, receipts and cost.

use metering::receipt::{public_key, verify_chain};
use protocol::spec::JobSpec;
use protocol::state::{JobState, RunEnd};
use protocol::view::{ArtefactView, BundleView, EarningsView, JobEventKind, QuoteView, SampleView};
use serde_json::json;
use test_support::{Database, TestApp, shell};

use crate::{QUICK, SOON};

const SCRIPT: &str = "
    cat greeting.txt
    for n in 1 2 3; do echo \"count=$n\"; sleep 1; done
    echo 'left behind' > \"$IOG_OUTPUT/result.txt\"
";

/// A tar with one file.
fn bundle() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let text = b"hello from the bundle\n";
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "greeting.txt", &text[..])
        .expect("a tar");
    tar.into_inner().expect("a tar")
}

#[tokio::test]
async fn a_job_runs_is_metered_and_paid_and_leaves_its_file() {
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &QUICK).await;
        let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
        let _node = app.node(&bo, "bo-desktop", "3.6").await;

        let tar = ada
            .rest
            .send(
                http::Method::POST,
                "/api/v1/bundles",
                "application/x-tar",
                bundle(),
            )
            .await;
        let stored: BundleView = tar.ok();
        let mut spec: JobSpec = shell("journey", SCRIPT);
        spec.bundle = Some(stored.hash);
        spec.metrics = vec!["count".into()];
        let quote: QuoteView = ada
            .rest
            .post("/api/v1/quotes", &json!({ "spec": spec }))
            .await
            .ok();
        assert!(quote.affordable);
        let job = ada.submit(&spec).await;
        let id = job.summary.id;
        let done = ada.wait_for(id, JobState::Finished, SOON).await;

        assert_eq!(done.summary.end, Some(RunEnd::Exited { code: 0 }));
        let kinds: Vec<_> = done.events.iter().map(|event| event.kind).collect();
        for kind in [
            JobEventKind::Submitted,
            JobEventKind::Leased,
            JobEventKind::Running,
            JobEventKind::Ended,
        ] {
            assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
        }
        let log = ada.log(id).await;
        assert!(
            log.contains("hello from the bundle") && log.contains("count=3"),
            "{log}"
        );
        let samples: Vec<SampleView> = ada
            .rest
            .get(&format!("/api/v1/jobs/{id}/samples"))
            .await
            .ok();
        let counted = samples
            .iter()
            .flat_map(|sample| &sample.data.metrics)
            .filter(|metric| metric.name == "count");
        assert!(counted.count() >= 2, "{samples:?}");

        let seconds = done.summary.seconds.get();
        assert!((2..=5).contains(&seconds), "{seconds} s for a job of three");
        let receipts = ada.receipts(id).await;
        let chain: Vec<_> = receipts.iter().map(|view| view.receipt.clone()).collect();
        let worker = public_key(&receipts[0].worker_key).expect("a key");
        let platform = public_key(&receipts[0].platform_key).expect("a key");
        let head = verify_chain(&chain, &worker, &platform).expect("the invoice checks offline");
        assert!(head.last && head.seconds.get() == seconds);
        let charged: i64 = receipts.iter().map(|view| view.charged.base()).sum();
        assert_eq!(charged, done.summary.spent.base());
        // 3.6 IO/h is 100,000 base units a second; a quarter percent comes on top.
        assert_eq!(charged, 100_250 * i64::try_from(seconds).expect("small"));

        let balance = ada.balance().await;
        assert_eq!(balance.available.base() + charged, 50 * 100_000_000);
        assert!(balance.held.is_zero());
        let earnings: EarningsView = bo.rest.get("/api/v1/earnings").await.ok();
        assert_eq!(
            earnings.earned.base(),
            99_750 * i64::try_from(seconds).expect("small")
        );

        let [ArtefactView { id: file, path, .. }] = &done.artefacts[..] else {
            panic!("{:?}", done.artefacts)
        };
        assert_eq!(path, "result.txt");
        let answer = ada
            .rest
            .get(&format!("/api/v1/jobs/{id}/artefacts/{file}"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, "left behind\n")
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
        assert!(
            answer
                .header("content-disposition")
                .is_some_and(|value| value.starts_with("attachment;"))
        );
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|value| value.contains("default-src 'none'"))
        );
    }
}

#[tokio::test]
async fn a_job_as_toml_is_the_same_as_a_job_as_json() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let mut worker = app.fake(&bo, "bo", "1").await;
    let toml = "name = 'toml'\ncommand = ['true']\n[resources]\nmemory_mib = 64\n";
    let answer = ada
        .rest
        .send(http::Method::POST, "/api/v1/jobs", "application/toml", toml)
        .await;
    let job: protocol::view::JobView = answer.ok();
    assert_eq!(job.spec.resources.memory_mib, 64);
    assert_eq!(worker.assignment().await.job, job.summary.id);
    let bad = "name = 'toml'\ncommand = ['true']\n[resources]\nmemory_mib = 0\n";
    let refused = ada
        .rest
        .send(http::Method::POST, "/api/v1/jobs", "application/toml", bad)
        .await
        .refused(422);
    assert_eq!(refused.fields[0].field, "resources.memory_mib");
}

#[tokio::test]
async fn a_stopped_job_pays_for_what_ran() {
    let app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let id = ada
        .submit(&shell("sleeper", "echo up; sleep 600"))
        .await
        .summary
        .id;
    ada.wait_for(id, JobState::Running, SOON).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    ada.stop(id).await;
    let done = ada.wait_for(id, JobState::Stopped, SOON).await;
    assert_eq!(done.summary.end, Some(RunEnd::StoppedByUser));
    assert!(
        (1..=20).contains(&done.summary.seconds.get()),
        "{}",
        done.summary.seconds
    );
    assert!(ada.balance().await.held.is_zero());
    ada.rest
        .delete(&format!("/api/v1/jobs/{id}"))
        .await
        .refused(409);
}

#[tokio::test]
async fn a_job_on_two_machines_runs_on_both_and_each_knows_which_it_is() {
    let app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _first = app.node(&bo, "bo-desktop", "3.6").await;
    let _second = app.node(&bo, "bo-laptop", "7.2").await;
    let mut spec: JobSpec = shell(
        "pair",
        "echo \"member $IOG_MEMBER of $IOG_MEMBERS\"; sleep 2; echo \"$IOG_MEMBER\" > \"$IOG_OUTPUT/part.txt\"",
    );
    spec.placement.nodes = 2;
    let id = ada.submit(&spec).await.summary.id;
    let done = ada.wait_for(id, JobState::Finished, SOON).await;
    assert_eq!((done.summary.members, done.summary.devices), (2, 2));
    let log = ada.log(id).await;
    assert!(
        log.contains("member 0 of 2") && log.contains("member 1 of 2"),
        "{log}"
    );
    let mut parts = Vec::new();
    for file in &done.artefacts {
        let path = format!("/api/v1/jobs/{id}/artefacts/{}", file.id);
        parts.push((file.member, ada.rest.get(&path).await.text()));
    }
    assert_eq!(parts, [(0, "0\n".to_owned()), (1, "1\n".to_owned())]);
    let receipts = ada.receipts(id).await;
    let charged: i64 = receipts.iter().map(|view| view.charged.base()).sum();
    assert_eq!(charged, done.summary.spent.base());
    // Twice the price on the second one, so each second of both costs three times that of the first.
    let seconds: i64 = done
        .leases
        .iter()
        .zip([1, 2])
        .map(|(lease, times)| i64::try_from(lease.seconds.get()).expect("small") * times)
        .sum();
    assert_eq!(charged, 100_250 * seconds);
}
