//! Two at once.

use protocol::Code;
use protocol::state::{JobState, RunEnd};
use protocol::view::{JobView, OffersView};
use serde_json::json;
use test_support::{Chain, Database, TestApp, job};

#[tokio::test]
async fn fault_skypilot_pr_9117_the_same_offer_is_never_sold_twice() {
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &[]).await;
        let (ada, eve) = (
            app.account("ada", Some("500")),
            app.account("eve", Some("500")),
        );
        let bo = app.account("bo", None);
        let mut worker = app.fake(&bo, "bo", "1").await;
        let offers: OffersView = app.anyone().get("/api/v1/offers").await.ok();
        let device = offers.offers[0].device;
        let body = json!({ "spec": job("race", &["true"]), "device": device });
        let mut won = [0, 0];
        for round in 0..200 {
            let (a, b) = tokio::join!(
                ada.rest.post("/api/v1/jobs", &body),
                eve.rest.post("/api/v1/jobs", &body)
            );
            let winner = match (a.status.as_u16(), b.status.as_u16()) {
                (201, 409) => 0,
                (409, 201) => 1,
                other => panic!("round {round}: {other:?}: {} / {}", a.text(), b.text()),
            };
            won[winner] += 1;
            let (sold, refused) = if winner == 0 { (a, b) } else { (b, a) };
            let problem = refused.refused(409);
            assert_eq!(problem.code, Code::NoMatch, "{problem:?}");
            let sold: JobView = sold.ok();
            let assignment = worker.assignment().await;
            assert_eq!(assignment.job, sold.summary.id, "round {round}");
            worker
                .end(
                    &assignment,
                    &Chain::default(),
                    0,
                    RunEnd::Exited { code: 0 },
                )
                .await;
            if round % 20 == 0 {
                worker.beat(vec![]).await;
            }
        }
        assert_eq!(won.iter().sum::<i32>(), 200);
        let [first, second] = [ada.balance().await, eve.balance().await];
        assert!(
            first.held.is_zero() && second.held.is_zero(),
            "nothing stays aside"
        );
        assert_eq!(
            first.available.base() + second.available.base(),
            1_000 * 100_000_000
        );
    }
}

#[tokio::test]
async fn the_loser_of_a_race_gets_the_next_offer() {
    let app = TestApp::start().await;
    let (ada, eve) = (
        app.account("ada", Some("500")),
        app.account("eve", Some("500")),
    );
    let bo = app.account("bo", None);
    let mut workers = [
        app.fake(&bo, "cheap", "1").await,
        app.fake(&bo, "dear", "2").await,
    ];
    let body = json!({ "spec": job("race", &["true"]) });
    for _ in 0..20 {
        let (a, b) = tokio::join!(
            ada.rest.post("/api/v1/jobs", &body),
            eve.rest.post("/api/v1/jobs", &body)
        );
        let (a, b): (JobView, JobView) = (a.ok(), b.ok());
        let mut names = [a.summary.node_name.clone(), b.summary.node_name.clone()];
        names.sort();
        assert_eq!(names, [Some("cheap".to_owned()), Some("dear".to_owned())]);
        for worker in &mut workers {
            let assignment = worker.assignment().await;
            worker
                .end(
                    &assignment,
                    &Chain::default(),
                    0,
                    RunEnd::Exited { code: 0 },
                )
                .await;
            worker.beat(vec![]).await;
        }
        for (account, job) in [(&ada, a), (&eve, b)] {
            assert_eq!(
                account.job(job.summary.id).await.summary.state,
                JobState::Finished
            );
        }
    }
}
