//! Ten thousand requests compete for five hundred slots while the server is killed in the midst of them, twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use http::Method;
use kernel::JobId;
use protocol::Code;
use protocol::state::JobState;
use protocol::view::{JobSummary, JobView, Page};
use serde_json::json;
use test_support::{Account, Answer, Client, Database, Fleet, TestApp, job, wait_until};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::SOON;

const NODES: usize = 100;
const DEVICES: u16 = 5;
const SLOTS: usize = 500;
const REQUESTS: usize = 10_000;
/// So many requests are on their way at once.
const AT_ONCE: usize = 64;

/// A crowded machine hears some heartbeats late; here no lease is to be lost to that.
const PATIENT: [(&str, &str); 2] = [
    ("IOG_LEASE_TTL_MS", "30000"),
    ("IOG_STARTUP_GRACE_MS", "40000"),
];

/// What became of one request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Job(JobId),
    NoMatch,
    /// The server died before it answered: the request may have taken effect or not.
    Unknown,
}

/// The requests of one account, each with a key of its own.
struct Rush {
    client: Client,
    left: Mutex<VecDeque<usize>>,
    fates: Mutex<BTreeMap<usize, Fate>>,
    jobs: watch::Sender<usize>,
}

impl Rush {
    fn new(client: &Client) -> Arc<Self> {
        Arc::new(Self {
            client: client.clone(),
            left: Mutex::default(),
            fates: Mutex::default(),
            jobs: watch::Sender::new(0),
        })
    }

    async fn ask(&self, number: usize) -> Option<Answer> {
        let keyed = self
            .client
            .with("idempotency-key", &format!("rush-{number}"));
        let body = json!({ "spec": job("rush", &["true"]) }).to_string();
        let answer = keyed.try_send(Method::POST, "/api/v1/jobs", "application/json", body);
        answer.await.ok()
    }

    /// Asks, notes, and says whether the server is still there. What was once answered with a job is always answered
    /// with that job.
    async fn note(&self, number: usize) -> bool {
        let answer = self.ask(number).await;
        let fate = match &answer {
            None => Fate::Unknown,
            Some(answer) if answer.status.is_success() => {
                Fate::Job(answer.ok::<JobView>().summary.id)
            }
            Some(answer) => {
                let problem = answer.refused(409);
                assert_eq!(problem.code, Code::NoMatch, "{problem:?}");
                Fate::NoMatch
            }
        };
        let before = self
            .fates
            .lock()
            .expect("no holder panicked")
            .get(&number)
            .copied();
        match (before, fate) {
            (Some(Fate::Job(_)), Fate::Unknown) => return false,
            (Some(Fate::Job(old)), now) => assert_eq!(Fate::Job(old), now, "request {number}"),
            (_, Fate::Job(_)) => self.jobs.send_modify(|jobs| *jobs += 1),
            _ => {}
        }
        self.fates
            .lock()
            .expect("no holder panicked")
            .insert(number, fate);
        fate != Fate::Unknown
    }

    /// Puts these at the end of the line and sends all that wait in it, many at a time, until the server is gone.
    async fn run(self: &Arc<Self>, numbers: impl IntoIterator<Item = usize>) {
        self.left
            .lock()
            .expect("no holder panicked")
            .extend(numbers);
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            let rush = self.clone();
            tasks.spawn(async move {
                loop {
                    let next = rush.left.lock().expect("no holder panicked").pop_front();
                    let Some(number) = next else { return };
                    if !rush.note(number).await {
                        return;
                    }
                }
            });
        }
        tasks.join_all().await;
    }

    /// The same until so many have a job in all: then the server is killed, with requests on their way.
    async fn run_until_killed(
        self: &Arc<Self>,
        app: &mut TestApp,
        numbers: impl IntoIterator<Item = usize>,
        jobs: usize,
    ) {
        let mut enough = self.jobs.subscribe();
        let rush = self.clone();
        let numbers: Vec<usize> = numbers.into_iter().collect();
        let running = tokio::spawn(async move { rush.run(numbers).await });
        enough
            .wait_for(|now| *now >= jobs)
            .await
            .expect("the rush lives");
        app.kill_server();
        running.await.expect("the rush ends");
        let left = self.left.lock().expect("no holder panicked").len();
        assert!(left > 0, "the server was killed in the midst of the rush");
        let unknown = |fate: &&Fate| **fate == Fate::Unknown;
        let lost = self
            .fates
            .lock()
            .expect("no holder panicked")
            .values()
            .filter(unknown)
            .count();
        assert!(lost > 0, "requests were on their way");
    }

    /// All whose answer was a job or was lost are sent again.
    async fn resend(self: &Arc<Self>) {
        let again: Vec<usize> = {
            let fates = self.fates.lock().expect("no holder panicked");
            let again = fates.iter().filter(|(_, fate)| **fate != Fate::NoMatch);
            again.map(|(number, _)| *number).collect()
        };
        let line = std::mem::take(&mut *self.left.lock().expect("no holder panicked"));
        self.run(again).await;
        *self.left.lock().expect("no holder panicked") = line;
        let fates = self.fates.lock().expect("no holder panicked");
        assert!(!fates.values().any(|fate| *fate == Fate::Unknown));
    }

    fn answered(&self) -> Vec<JobId> {
        let fates = self.fates.lock().expect("no holder panicked");
        let job = |fate: &Fate| match fate {
            Fate::Job(job) => Some(*job),
            _ => None,
        };
        fates.values().filter_map(job).collect()
    }
}

async fn all_jobs(account: &Account) -> Vec<JobSummary> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/jobs?limit=100{before}");
        let page: Page<JobSummary> = account.rest.get(&path).await.ok();
        all.extend(page.items);
        match page.next {
            Some(next) => before = format!("&before={next}"),
            None => return all,
        }
    }
}

/// Every slot runs a job, by the workers' own account.
async fn all_hired(fleet: &Fleet) {
    wait_until("every slot is hired", SOON, || async {
        (fleet.running().len() == SLOTS).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fault_skypilot_pr_9117_ten_thousand_requests_while_the_server_is_killed() {
    for database in Database::from_env() {
        let name = format!("{database:?}");
        let mut app = TestApp::start_with(database, &PATIENT).await;
        let (ada, bo) = (app.account("ada", Some("5000")), app.account("bo", None));
        let mut fleet = Fleet::join(&app, &bo, NODES, DEVICES).await;
        let rush = Rush::new(&ada.rest);

        // The first death: half of the slots are given, the other half is being given.
        rush.run_until_killed(&mut app, 0..REQUESTS - 1_000, SLOTS / 2)
            .await;
        app.start_server().await;
        fleet.reconnect().await;
        rush.resend().await;

        // The second one: slots are given, freed and given again.
        fleet.end_on_each(2).await;
        rush.run_until_killed(&mut app, [], SLOTS).await;
        app.start_server().await;
        fleet.reconnect().await;
        rush.resend().await;

        rush.run([]).await;
        all_hired(&fleet).await;

        // What is freed is had again: first by jobs that wait since a death of the server took the word of their lease with
        // it, so that the slots may well never be seen free.
        let ended = fleet.ends();
        fleet.end_on_each(2).await;
        wait_until("the slots are freed", SOON, || async {
            let all = fleet.ends() == ended + 2 * NODES;
            (all && fleet.all_closed()).then_some(())
        })
        .await;
        rush.run(REQUESTS - 1_000..REQUESTS).await;
        all_hired(&fleet).await;
        assert_eq!(
            rush.fates.lock().expect("no holder panicked").len(),
            REQUESTS,
            "{name}"
        );
        rush.resend().await;

        assert_eq!(
            fleet.doubles(),
            Vec::<String>::new(),
            "{name}: sold while in use"
        );
        let answered = rush.answered();
        let distinct: BTreeSet<JobId> = answered.iter().copied().collect();
        assert_eq!(
            answered.len(),
            distinct.len(),
            "{name}: each request its own job"
        );
        let jobs = all_jobs(&ada).await;
        let known: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        assert_eq!(
            known, distinct,
            "{name}: what was accepted, no less and no more"
        );

        let holds_a_slot =
            |job: &&JobSummary| matches!(job.state, JobState::Starting | JobState::Running);
        let hired: BTreeSet<JobId> = jobs.iter().filter(holds_a_slot).map(|job| job.id).collect();
        assert_eq!(
            fleet.running().into_iter().collect::<BTreeSet<_>>(),
            hired,
            "{name}: the workers run what the books say"
        );
        assert_eq!(hired.len(), SLOTS, "{name}: a job for each slot");
        let failed = jobs.iter().filter(|job| job.state == JobState::Failed);
        assert_eq!(failed.count(), 0, "{name}: none came to grief");

        let overlaps = "SELECT COUNT(*) FROM leases a JOIN leases b ON a.device = b.device AND a.id < b.id \
                        WHERE b.granted_at < COALESCE(a.ended_at, b.granted_at + 1) \
                        AND a.granted_at < COALESCE(b.ended_at, a.granted_at + 1)";
        assert_eq!(app.count(overlaps).await, 0, "{name}: never two at a time");
        let sum = "SELECT CAST(SUM(balance) AS BIGINT) FROM books";
        assert_eq!(app.count(sum).await, 0, "{name}: the books");
        // A run that ended as its worker says is paid for its second, whichever server heard of it.
        let over = "SELECT COUNT(*) FROM leases WHERE live = 0 AND ending LIKE '%exited%'";
        let over = app.count(over).await;
        assert_eq!(
            usize::try_from(over),
            Ok(fleet.ends()),
            "{name}: each end once"
        );
        let paid = "SELECT COUNT(*) FROM leases WHERE live = 0 AND seconds = 1 AND charged > 0";
        let paid = app.count(paid).await;
        assert_eq!(paid, over, "{name}: each run is paid");
    }
}
