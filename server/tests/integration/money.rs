//! Money: never twice, never below zero.

use std::time::Duration;

use futures::future::join_all;
use kernel::JobId;
use protocol::Code;
use protocol::state::{JobState, RunEnd};
use protocol::view::{EntryKind, JobEventKind, JobView};
use protocol::worker::{FromWorker, LeaseBeat, ToWorker};
use serde_json::json;
use test_support::{Account, Chain, Database, TestApp, job, shell};
use tokio::time::sleep;

use crate::{QUICK, SOON};

/// What the entries say must be what the balance says: nothing moved that was not booked.
async fn check_books(account: &Account) {
    let mut available = 0;
    for entry in account.entries().await {
        if entry.to == Some(protocol::view::Book::Available) {
            available += entry.amount.base();
        }
        if entry.from == Some(protocol::view::Book::Available) {
            available -= entry.amount.base();
        }
    }
    assert_eq!(available, account.balance().await.available.base());
}

#[tokio::test]
async fn fault_akash_node_1635_an_escrow_is_never_overdrawn() {
    for database in Database::from_env() {
        // 36 IO/h is 0.01 IO a second; 0.15 IO lasts for fourteen seconds with the fee.
        let settings = [
            &QUICK[..],
            &[
                ("IOG_ESCROW_MINIMUM_S", "3"),
                ("IOG_ESCROW_WINDOW_S", "8"),
                ("IOG_FUNDS_LOW_S", "6"),
            ],
        ]
        .concat();
        let app = TestApp::start_with(database, &settings).await;
        let (ada, bo) = (app.account("ada", Some("0.15")), app.account("bo", None));
        let _node = app.node(&bo, "bo-desktop", "36").await;
        let id = ada.submit(&shell("spender", "sleep 600")).await.summary.id;
        let done = ada.wait_for(id, JobState::Stopped, SOON).await;
        assert_eq!(done.summary.end, Some(RunEnd::OutOfFunds));
        let at = |kind| {
            done.events
                .iter()
                .find(|event| event.kind == kind)
                .map(|event| event.at)
        };
        let (warned, ended) = (at(JobEventKind::FundsLow), at(JobEventKind::Ended));
        assert!(
            warned.expect("warned before") < ended.expect("ended"),
            "{:?}",
            done.events
        );
        assert!(
            done.summary.spent.base() <= 15_000_000,
            "{}",
            done.summary.spent
        );
        // The worker asks the job to end a quarter of the time before the money does, so that it can write what it has.
        assert!(
            done.summary.seconds.get() >= 10,
            "stopped in time, not long before: {}",
            done.summary.seconds
        );
        let balance = ada.balance().await;
        assert_eq!(
            balance.available.base() + done.summary.spent.base(),
            15_000_000,
            "every unit is accounted for"
        );
        assert!(balance.held.is_zero());
        check_books(&ada).await;
        let poor = app.account("poor", Some("0.02"));
        let refused = poor
            .try_submit(&shell("more", "sleep 600"))
            .await
            .refused(402);
        assert_eq!(refused.code, Code::InsufficientFunds);
        assert_eq!(
            poor.balance().await.available.base(),
            2_000_000,
            "a refusal takes nothing"
        );
    }
}

#[tokio::test]
async fn fault_akash_console_3449_a_retry_is_the_same_job() {
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &[]).await;
        let (ada, eve, bo) = (
            app.account("ada", Some("500")),
            app.account("eve", Some("500")),
            app.account("bo", None),
        );
        let _workers = [
            app.fake(&bo, "one", "1").await,
            app.fake(&bo, "two", "1").await,
            app.fake(&bo, "three", "1").await,
        ];
        let keyed = ada.rest.with("idempotency-key", "retry-1");
        let body = json!({ "spec": job("once", &["true"]) });
        let all = join_all((0..50).map(|_| keyed.post("/api/v1/jobs", &body))).await;
        let ids: Vec<JobId> = all
            .iter()
            .map(|answer| answer.ok::<JobView>().summary.id)
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let holds = ada
            .entries()
            .await
            .iter()
            .filter(|entry| entry.kind == EntryKind::Hold)
            .count();
        assert_eq!(holds, 1, "one hold for fifty requests");
        let other = keyed
            .post("/api/v1/jobs", &json!({ "spec": job("other", &["true"]) }))
            .await
            .refused(422);
        assert_eq!(other.code, Code::IdempotencyMismatch);
        // The same key of another account is another key.
        let theirs: JobView = eve
            .rest
            .with("idempotency-key", "retry-1")
            .post("/api/v1/jobs", &body)
            .await
            .ok();
        assert_ne!(theirs.summary.id, ids[0]);
        ada.rest
            .with("idempotency-key", "with space")
            .post("/api/v1/jobs", &body)
            .await
            .refused(422);
        check_books(&ada).await;
    }
}

#[tokio::test]
async fn fault_golem_js_735_receipts_that_race_and_repeat_are_paid_once() {
    for database in Database::from_env() {
        let settings = [("IOG_RECEIPT_INTERVAL_S", "1")];
        let app = TestApp::start_with(database, &settings).await;
        let (ada, bo) = (app.account("ada", Some("500")), app.account("bo", None));
        let mut worker = app.fake(&bo, "bo", "3.6").await;
        let id = ada.submit(&job("metered", &["true"])).await.summary.id;
        let a = worker.assignment().await;
        worker.started(&a).await;
        let mut chain = Chain::default();
        let mut delivered = 0;
        for _ in 0..4 {
            sleep(Duration::from_secs(1)).await;
            delivered += 1;
            // The same receipt three times, then what the platform made of it.
            for _ in 0..3 {
                worker.beat_for(&a, &chain, delivered).await;
            }
            let wanted = chain.seq;
            let mut again = 0;
            chain = worker
                .until("a countersigned receipt", |message| match message {
                    ToWorker::ReceiptPosted { seq, hash, .. } if seq >= wanted => Some(Chain {
                        seq: seq + 1,
                        previous: hash,
                    }),
                    ToWorker::Renewed { .. } => {
                        again += 1;
                        assert!(again < 200, "no receipt was posted");
                        None
                    }
                    _ => None,
                })
                .await;
        }
        // The last receipt three times, and late copies of the first beside it.
        let stale = LeaseBeat {
            lease: a.lease,
            epoch: a.epoch,
            receipt: Some(worker.receipt(&a, &Chain::default(), 1, false)),
        };
        let last = FromWorker::Ended {
            lease: a.lease,
            epoch: a.epoch,
            end: RunEnd::Exited { code: 0 },
            receipt: Some(Box::new(worker.receipt(&a, &chain, delivered, true))),
        };
        worker.talk.say(&last).await;
        worker.beat(vec![stale]).await;
        worker.talk.say(&last).await;
        worker.talk.say(&last).await;
        let done = ada.wait_for(id, JobState::Finished, SOON).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(done.summary.seconds.get(), delivered);
        assert_eq!(
            ada.job(id).await.summary.spent.base(),
            100_250 * i64::try_from(delivered).expect("small")
        );
        check_books(&ada).await;
    }
}

#[tokio::test]
async fn a_worker_cannot_bill_more_seconds_than_passed() {
    let app = TestApp::start_with(Database::Sqlite, &[("IOG_RECEIPT_INTERVAL_S", "1")]).await;
    let (ada, bo) = (app.account("ada", Some("500")), app.account("bo", None));
    let mut worker = app.fake(&bo, "bo", "3.6").await;
    let id = ada.submit(&job("greedy", &["true"])).await.summary.id;
    let a = worker.assignment().await;
    worker.started(&a).await;
    sleep(Duration::from_secs(2)).await;
    worker.beat_for(&a, &Chain::default(), 500).await;
    let mut dishonest = worker.receipt(&a, &Chain::default(), 1, false);
    dishonest.seconds = kernel::Seconds::new(2);
    worker
        .beat(vec![LeaseBeat {
            lease: a.lease,
            epoch: a.epoch,
            receipt: Some(dishonest),
        }])
        .await;
    sleep(Duration::from_secs(2)).await;
    assert!(
        ada.receipts(id).await.is_empty(),
        "neither a bold nor an altered receipt is countersigned"
    );
    worker
        .end(&a, &Chain::default(), 0, RunEnd::Exited { code: 0 })
        .await;
    let done = ada.wait_for(id, JobState::Finished, SOON).await;
    assert!(done.summary.spent.is_zero());
    check_books(&ada).await;
}

#[tokio::test]
async fn demo_credit_is_given_once() {
    let app = TestApp::start_with(Database::Sqlite, &[("IOG_DEMO_CREDIT_IO", "5")]).await;
    let ada = app.account("ada", None);
    let session = crate::authorisation::browser(&app, &ada).await;
    let all = join_all(
        (0..20).map(|_| session.send(http::Method::POST, "/api/v1/balance/demo-credit", "", "")),
    )
    .await;
    assert!(
        all.iter().all(|answer| answer.status.is_success()),
        "asking again is no mistake"
    );
    let given = ada
        .entries()
        .await
        .iter()
        .filter(|entry| entry.kind == EntryKind::DemoCredit)
        .count();
    assert_eq!(given, 1);
    assert_eq!(ada.balance().await.available.base(), 500_000_000);
    check_books(&ada).await;
}
