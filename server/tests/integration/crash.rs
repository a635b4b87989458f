//! What must hold when programs are killed or stand still in mid-job.

use std::time::Duration;

use metering::receipt::{public_key, verify_chain};
use protocol::live::{FromBrowser, Live, ToBrowser, Topic};
use protocol::state::{JobState, LeaseState, RunEnd};
use protocol::view::JobEventKind;
use test_support::{Account, Database, LiveSocket, Node, TestApp, shell};
use tokio::time::sleep;

use crate::{QUICK, SOON};

const TWENTY_LINES: &str =
    "n=1; while [ $n -le 15 ]; do echo \"line $n\"; n=$((n+1)); sleep 1; done";

/// Both signatures of every receipt, each lease a chain of its own, and charged is what was receipted.
async fn check_receipts(account: &Account, job: kernel::JobId) {
    let view = account.job(job).await;
    let receipts = account.receipts(job).await;
    let mut seconds = 0;
    for lease in &view.leases {
        let own: Vec<_> = receipts
            .iter()
            .filter(|view| view.receipt.lease == lease.id)
            .collect();
        let chain: Vec<_> = own.iter().map(|view| view.receipt.clone()).collect();
        if let Some(first) = own.first() {
            let worker = public_key(&first.worker_key).expect("a key");
            let platform = public_key(&first.platform_key).expect("a key");
            let head = verify_chain(&chain, &worker, &platform).expect("a whole chain");
            assert_eq!(
                head.seconds, lease.seconds,
                "each second of the lease is receipted once"
            );
        }
        seconds += lease.seconds.get();
        let charged: i64 = own.iter().map(|view| view.charged.base()).sum();
        assert_eq!(charged, lease.charged.base());
    }
    assert_eq!(seconds, view.summary.seconds.get());
}

#[tokio::test]
async fn a_server_killed_in_mid_job_loses_and_doubles_nothing() {
    for database in Database::from_env() {
        let mut app = TestApp::start_with(database, &QUICK).await;
        let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
        let _node = app.node(&bo, "bo-desktop", "3.6").await;
        let id = ada.submit(&shell("lines", TWENTY_LINES)).await.summary.id;
        ada.wait_for(id, JobState::Running, SOON).await;

        let mut live = LiveSocket::open(&ada.rest).await;
        live.say(&FromBrowser::Subscribe {
            topic: Topic::Job(id),
            boot: None,
            since: None,
        })
        .await;
        let boot = live
            .until("subscribed", |message| match message {
                ToBrowser::Subscribed { boot, .. } => Some(boot.clone()),
                _ => None,
            })
            .await;
        let seen = live
            .until("a line of the job", |message| match message {
                ToBrowser::Frame {
                    seq,
                    data: Live::Log { .. },
                    ..
                } => Some(*seq),
                _ => None,
            })
            .await;

        app.kill_server();
        sleep(Duration::from_secs(2)).await;
        app.start_server().await;

        // The browser comes back with what it saw last, and is told to read the whole again.
        let mut live = LiveSocket::open(&ada.rest).await;
        live.say(&FromBrowser::Subscribe {
            topic: Topic::Job(id),
            boot: Some(boot.clone()),
            since: Some(seen),
        })
        .await;
        let again = live
            .until("resync", |message| match message {
                ToBrowser::Resync { boot, .. } => Some(boot.clone()),
                _ => None,
            })
            .await;
        assert_ne!(again, boot);

        let done = ada.wait_for(id, JobState::Finished, SOON).await;
        assert_eq!(
            done.leases.len(),
            1,
            "the job kept running where it was: {:?}",
            done.events
        );
        assert_eq!(done.summary.restarts, 0);
        let log = ada.log(id).await;
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.starts_with("line "))
            .collect();
        let expected: Vec<String> = (1..=15).map(|n| format!("line {n}")).collect();
        assert_eq!(lines, expected, "each line once, in order");
        let seconds = done.summary.seconds.get();
        assert!(
            (14..=17).contains(&seconds),
            "{seconds} s of a job of fifteen"
        );
        check_receipts(&ada, id).await;
    }
}

/// Which of two nodes has the job.
async fn where_it_runs(account: &Account, job: kernel::JobId, nodes: &[&Node; 2]) -> usize {
    let view = account.wait_for(job, JobState::Running, SOON).await;
    let name = view.summary.node_name.expect("a running job has a node");
    nodes
        .iter()
        .position(|node| node.name == name)
        .expect("one of ours")
}

#[tokio::test]
async fn fault_skypilot_10517_a_killed_worker_is_not_billed_for_its_silence() {
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &QUICK).await;
        let (ada, bo, chi) = (
            app.account("ada", Some("50")),
            app.account("bo", None),
            app.account("chi", None),
        );
        let mut first = app.node(&bo, "bo-desktop", "3.6").await;
        let second = app.node(&chi, "chi-studio", "3.6").await;
        let id = ada
            .submit(&shell(
                "lines",
                "for n in 1 2 3 4 5 6; do echo \"line $n\"; sleep 1; done",
            ))
            .await
            .summary
            .id;
        assert_eq!(
            where_it_runs(&ada, id, &[&first, &second]).await,
            0,
            "the older of two that cost the same"
        );
        let running = tokio::time::Instant::now();
        sleep(Duration::from_secs(2)).await;
        first.process.kill();
        let delivered = running.elapsed().as_secs() + 2;

        let done = ada.wait_for(id, JobState::Finished, SOON).await;
        let [lost, whole] = &done.leases[..] else {
            panic!("two leases: {:?}", done.leases)
        };
        assert_eq!(
            (lost.node_name.as_str(), lost.state),
            ("bo-desktop", LeaseState::Ended)
        );
        assert_eq!(lost.end, Some(RunEnd::LeaseLost));
        assert!(
            lost.seconds.get() <= delivered,
            "{} s billed, at most {delivered} delivered",
            lost.seconds
        );
        assert_eq!(
            (whole.node_name.as_str(), &whole.end),
            ("chi-studio", &Some(RunEnd::Exited { code: 0 }))
        );
        assert!(whole.epoch > lost.epoch);
        assert_eq!(done.summary.restarts, 1);
        assert!(
            done.events
                .iter()
                .any(|event| event.kind == JobEventKind::NodeLost),
            "{:?}",
            done.events
        );
        check_receipts(&ada, id).await;
        assert!(ada.balance().await.held.is_zero());
        // The owner returns with the same identity and is offered again, without the job.
        first.restart();
        first.on_the_market(&app.anyone()).await;
    }
}

#[tokio::test]
async fn a_worker_frozen_past_its_lease_can_do_nothing_any_more() {
    let app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo, chi) = (
        app.account("ada", Some("50")),
        app.account("bo", None),
        app.account("chi", None),
    );
    let first = app.node(&bo, "bo-desktop", "3.6").await;
    let second = app.node(&chi, "chi-studio", "3.6").await;
    let script = "for n in 1 2 3 4 5; do echo \"$n of $(uname -n)\"; sleep 1; done; echo x > \"$IOG_OUTPUT/once\"";
    let id = ada.submit(&shell("frozen", script)).await.summary.id;
    assert_eq!(
        where_it_runs(&ada, id, &[&first, &second]).await,
        0,
        "the older of two that cost the same"
    );
    first.process.freeze();
    let done = ada.wait_for(id, JobState::Finished, SOON).await;
    assert_eq!(done.leases.len(), 2, "{:?}", done.leases);
    let (spent, log) = (done.summary.spent, ada.log(id).await);

    first.process.thaw();
    first.on_the_market(&app.anyone()).await;
    sleep(Duration::from_secs(4)).await;
    let later = ada.job(id).await;
    assert_eq!(
        (later.summary.state, later.summary.spent),
        (JobState::Finished, spent),
        "billed once"
    );
    assert_eq!(
        later.leases, done.leases,
        "its late messages changed nothing"
    );
    assert_eq!(ada.log(id).await, log, "its late lines were refused");
    assert_eq!(later.artefacts.len(), 1, "{:?}", later.artefacts);
    check_receipts(&ada, id).await;
}

#[tokio::test]
async fn a_server_that_is_told_to_end_keeps_leases_and_ends_in_order() {
    let mut app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let id = ada
        .submit(&shell(
            "lines",
            "for n in 1 2 3 4 5 6 7 8; do echo \"line $n\"; sleep 1; done",
        ))
        .await
        .summary
        .id;
    ada.wait_for(id, JobState::Running, SOON).await;
    let mut live = LiveSocket::open(&ada.rest).await;
    live.say(&FromBrowser::Subscribe {
        topic: Topic::Job(id),
        boot: None,
        since: None,
    })
    .await;
    app.end_server().await;
    while live.hear().await.is_some() {}
    app.start_server().await;
    let done = ada.wait_for(id, JobState::Finished, SOON).await;
    assert_eq!((done.leases.len(), done.summary.restarts), (1, 0));
    check_receipts(&ada, id).await;
}
