//! One worker and another: what one may say or fetch does not reach the other's work.

use protocol::state::{JobState, RunEnd};
use protocol::view::{ArtefactView, JobView};
use protocol::worker::{FromWorker, Stream, ToWorker};
use serde_json::json;
use test_support::{Chain, TestApp, job};

#[tokio::test]
async fn fault_io_net_april_2024_one_workers_token_opens_nothing_of_anothers() {
    let app = TestApp::start().await;
    let (ada, bo, eve) = (
        app.account("ada", Some("500")),
        app.account("bo", None),
        app.account("eve", None),
    );
    let tar = ada
        .rest
        .send(
            http::Method::POST,
            "/api/v1/bundles",
            "application/x-tar",
            vec![0; 1024],
        )
        .await;
    let hash = tar.ok::<protocol::view::BundleView>().hash;
    let mut with_bundle = job("secret inputs", &["true"]);
    with_bundle.bundle = Some(hash.clone());
    let mut honest = app.fake(&bo, "bo", "1").await;
    let submitted: JobView = ada.submit(&with_bundle).await;
    let hers = honest.assignment().await;
    let mut evil = app.fake(&eve, "eve", "1").await;
    ada.submit(&job("other", &["true"])).await;
    let theirs = evil.assignment().await;

    let path = format!("/api/v1/worker/bundles/{hash}");
    let by = |token: &str| app.anyone().with_key(token);
    assert_eq!(by(&hers.transfer_token).get(&path).await.body.len(), 1024);
    for token in [theirs.transfer_token.as_str(), ada.key.as_str(), "", "x"] {
        let status = by(token).get(&path).await.status.as_u16();
        assert!([401, 403, 404].contains(&status), "{status} with {token:?}");
    }
    let put = |token: &str, lease: String, path: &str| {
        let (client, path) = (
            by(token),
            format!("/api/v1/worker/artefacts/{lease}?path={path}"),
        );
        async move {
            client
                .send(http::Method::PUT, &path, "application/octet-stream", "x")
                .await
        }
    };
    let refused = put(&theirs.transfer_token, hers.lease.to_string(), "x")
        .await
        .status
        .as_u16();
    assert!([401, 403, 404].contains(&refused), "{refused}");
    for bad in ["..%2Fx", "%2Fetc%2Fpasswd", "a%2F..%2F..%2Fx", ""] {
        put(&hers.transfer_token, hers.lease.to_string(), bad)
            .await
            .refused(422);
    }
    put(&hers.transfer_token, hers.lease.to_string(), "out.txt")
        .await
        .ok::<ArtefactView>();

    // What Eve's worker says about Bo's lease changes nothing.
    for message in [
        FromWorker::Log {
            lease: hers.lease,
            epoch: hers.epoch,
            offset: 0,
            stream: Stream::Stdout,
            text: "lies\n".into(),
        },
        FromWorker::Started {
            lease: hers.lease,
            epoch: hers.epoch,
            elapsed_ms: 0,
        },
        FromWorker::Ended {
            lease: hers.lease,
            epoch: hers.epoch,
            end: RunEnd::Exited { code: 1 },
            receipt: None,
        },
    ] {
        evil.talk.say(&message).await;
        let lease = hers.lease;
        evil.until("a refusal", |answer| {
            matches!(answer, ToWorker::LeaseRefused { lease: of, .. } if of == lease).then_some(())
        })
        .await;
    }
    let id = submitted.summary.id;
    assert_eq!(ada.job(id).await.summary.state, JobState::Starting);
    assert_eq!(ada.log(id).await, "");
    honest
        .end(&hers, &Chain::default(), 0, RunEnd::Exited { code: 0 })
        .await;
    assert_eq!(ada.job(id).await.summary.state, JobState::Finished);
    // The lease is over, and with it its token.
    let late = put(&hers.transfer_token, hers.lease.to_string(), "late")
        .await
        .status
        .as_u16();
    assert!([401, 403, 404, 409].contains(&late), "{late}");
}

#[tokio::test]
async fn an_old_epoch_is_refused() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("500")), app.account("bo", None));
    let mut worker = app.fake(&bo, "bo", "1").await;
    let id = ada.submit(&job("x", &["true"])).await.summary.id;
    let a = worker.assignment().await;
    let stale = kernel::Epoch::new(a.epoch.get() - 1);
    worker
        .talk
        .say(&FromWorker::Ended {
            lease: a.lease,
            epoch: stale,
            end: RunEnd::Exited { code: 0 },
            receipt: None,
        })
        .await;
    worker
        .until("a refusal", |message| {
            matches!(message, ToWorker::LeaseRefused { .. }).then_some(())
        })
        .await;
    assert_eq!(ada.job(id).await.summary.state, JobState::Starting);
}

#[tokio::test]
async fn a_bundle_of_another_account_cannot_be_named() {
    let app = TestApp::start().await;
    let (ada, eve, bo) = (
        app.account("ada", Some("50")),
        app.account("eve", Some("50")),
        app.account("bo", None),
    );
    let _worker = app.fake(&bo, "bo", "1").await;
    let tar = ada
        .rest
        .send(
            http::Method::POST,
            "/api/v1/bundles",
            "application/x-tar",
            vec![0; 2048],
        )
        .await;
    let mut spec = job("thief", &["true"]);
    spec.bundle = Some(tar.ok::<protocol::view::BundleView>().hash);
    let refused = eve
        .rest
        .post("/api/v1/jobs", &json!({ "spec": spec }))
        .await
        .refused(422);
    assert_eq!(refused.fields[0].field, "spec.bundle");
}
