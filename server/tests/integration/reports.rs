//! The weekly earnings report end to end: a week that is over is published on a real chain, its proofs are checked against that chain
//! as anyone can, and a ruling corrects it.

use http::Method;
use kernel::Amount;
use protocol::money::{DisputeView, ReportView};
use protocol::state::{JobState, RunEnd};
use protocol::view::Page;
use serde_json::{Value, json};
use settlement::check::{Check, CheckError, Progress};
use settlement::proof::{ProofError, Standing};
use test_support::{Client, Database, Devchain, TestApp, job, wait_until};
use tokio::time::sleep;

use crate::SOON;
use crate::authorisation::browser;
use crate::chain::app_over;

const BLOCK_MS: u32 = 100;
const DAY_S: u64 = 86_400;

/// As the browser and the terminal do it: each question goes to the chain's node.
async fn check(chain: &Devchain, proof: &str) -> Result<Standing, CheckError> {
    let node = Client::new(&format!("{}/v1", chain.url));
    let mut check = Check::begin(proof, None)?;
    loop {
        let question = check.question();
        let answer = match question.body {
            None => node.get(question.path).await,
            Some(body) => {
                node.send(Method::POST, question.path, "application/json", body)
                    .await
            }
        };
        match check.answered(&answer.text())? {
            Progress::More(next) => check = *next,
            Progress::Done(standing) => return Ok(standing),
        }
    }
}

/// Two weeks pass for the ledger: its transfers are numbered and chained anew when the server starts.
async fn two_weeks_pass(app: &mut TestApp, database: &Database) {
    app.end_server().await;
    app.execute(match database {
        Database::Sqlite => "DROP TRIGGER transfers_stay",
        Database::Postgres(_) => "DROP TRIGGER transfers_stay ON transfers",
    })
    .await;
    app.execute(
        "UPDATE transfers SET at = at - 1209600000, seq = NULL, hash = NULL, from_after = NULL, to_after = NULL",
    )
    .await;
    app.execute("DELETE FROM ledger_checks").await;
    app.start_server().await;
}

async fn reports(app: &TestApp) -> Vec<ReportView> {
    let page: Page<ReportView> = app.anyone().get("/api/v1/reports").await.ok();
    page.items
}

/// All are on the chain, and the oldest week has this version.
async fn published(app: &TestApp, version: u64) -> ReportView {
    wait_until("the reports are on the chain", SOON, || async {
        let all = reports(app).await;
        let there = all.iter().all(|report| report.published_at.is_some());
        let oldest = all.last().filter(|oldest| oldest.version == version);
        oldest.filter(|_| there).cloned()
    })
    .await
}

#[tokio::test]
async fn a_week_is_published_proven_and_corrected() {
    for database in Database::from_env() {
        let chain = Devchain::start(BLOCK_MS).await;
        let settings = [
            ("IOG_CHAIN_INTERVAL_MS", "100"),
            ("IOG_IO_RATE", "EUR 250000"),
        ];
        let mut app = app_over(&chain, database.clone(), &settings).await;
        let (rita, otto) = (app.account("rita", Some("500")), app.account("otto", None));
        let boss = app.admin_account("ann");
        let mut worker = app.fake(&otto, "one", "360").await;
        let id = rita.submit(&job("work", &["true"])).await.summary.id;
        let a = worker.assignment().await;
        worker.started(&a).await;
        let receipts = test_support::Chain::default();
        for second in 1..=3 {
            sleep(std::time::Duration::from_secs(1)).await;
            worker.beat_for(&a, &receipts, second).await;
        }
        worker
            .end(&a, &receipts, 3, RunEnd::Exited { code: 0 })
            .await;
        rita.wait_for(id, JobState::Finished, SOON).await;
        let earned = wait_until("the earnings matured", SOON, || async {
            let books = otto.balance().await;
            let all = books.earned.is_zero().then_some(books.withdrawable);
            all.filter(|amount| !amount.is_zero())
        })
        .await;
        assert!(reports(&app).await.is_empty(), "the week goes on");

        two_weeks_pass(&mut app, &database).await;
        let first = published(&app, 1).await;
        assert_eq!((first.total, first.owners), (earned, 1));
        let all = reports(&app).await;
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((all[0].total, all[0].owners), (Amount::ZERO, 0));
        let path = format!("/api/v1/reports/{}/proof", first.week);
        let answer = otto.rest.get(&path).await;
        let name = format!("iog-earnings-{}-v1.json", first.monday);
        let expected = format!("attachment; filename=\"{name}\"");
        assert_eq!(
            answer.header("content-disposition"),
            Some(expected.as_str())
        );
        let old = answer.text();
        assert_eq!(check(&chain, &old).await, Ok(Standing::Current));
        let read: Value = answer.ok();
        assert_eq!(read["amount"], json!(earned));
        rita.rest.get(&path).await.refused(404);
        let empty = format!("/api/v1/reports/{}/proof", all[0].week);
        otto.rest.get(&empty).await.refused(404);

        // What was changed is refused before the chain is asked, and what was made up is not the chain's.
        let more = old.replace(
            &format!("\"amount\": \"{}\"", earned.base()),
            &format!("\"amount\": \"{}\"", earned.base() - 1),
        );
        assert_ne!(more, old);
        let refused = check(&chain, &more).await.expect_err("it was changed");
        assert_eq!(refused, CheckError::Proof(ProofError::Broken));
        assert!(refused.to_string().contains("something in it was changed"));

        // A ruling takes back a part: a second version, though the server dies on the way. The first proof is stale.
        let person = browser(&app, &rita).await;
        let contest = json!({ "lease": a.lease, "seq": 1, "reason": "It was slow." });
        let dispute: DisputeView = person.post("/api/v1/disputes", &contest).await.ok();
        let ann = browser(&app, &boss).await;
        let half = (dispute.claimed.base() / 2).to_string();
        let rule = json!({ "refund": half, "ruling": "It was." });
        let rule_path = format!("/api/v1/admin/disputes/{}/ruling", dispute.id);
        ann.post(&rule_path, &rule).await.ok::<Value>();
        app.kill_server();
        app.start_server().await;
        let kept = otto.balance().await.withdrawable;
        assert!(kept < earned);
        let second = published(&app, 2).await;
        assert_eq!(second.total, kept);
        let standing = check(&chain, &old).await;
        assert_eq!(standing, Ok(Standing::Corrected { newest: 2 }));
        let again = otto.rest.get(&format!("{path}?version=1")).await.text();
        assert_eq!(again, old);
        let versions: Vec<ReportView> = app
            .anyone()
            .get(&format!("/api/v1/reports/{}", first.week))
            .await
            .ok();
        assert_eq!(versions.len(), 2);
        let fresh = otto.rest.get(&path).await.text();
        assert_eq!(check(&chain, &fresh).await, Ok(Standing::Current));

        // Each was signed once, and the chain's clock alone closes no week.
        chain.advance(8 * DAY_S).await;
        sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(reports(&app).await.len(), 2);
        let signed = "SELECT COUNT(*) FROM outgoing WHERE purpose LIKE 'report:%'";
        assert_eq!(app.count(signed).await, 3);
        assert_eq!(app.count("SELECT COUNT(*) FROM chain_faults").await, 0);
        let found: Value = ann
            .send(Method::POST, "/api/v1/admin/ledger/reconcile", "", "")
            .await
            .ok();
        assert_eq!(found, json!([]));

        // The page may ask this node and no other; the table of a year without payouts has its head.
        let page = app.anyone().get("/reports").await;
        let policy = page.header("content-security-policy").expect("a policy");
        let allowed = format!("connect-src 'self' {}/v1/;", chain.url);
        assert!(policy.contains(&allowed), "{policy}");
        assert!(page.text().contains(&second.root));
        let table = otto.rest.get("/api/v1/earnings/tax?year=2026").await;
        assert_eq!(
            table.header("content-type"),
            Some("text/csv; charset=utf-8")
        );
        assert_eq!(table.text().lines().count(), 1);
        otto.rest
            .get("/api/v1/earnings/tax?year=1")
            .await
            .refused(422);
    }
}
