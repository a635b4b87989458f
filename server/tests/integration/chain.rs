//! Money over a real chain: the development chain executes the contracts, the server pays out and credits, and both are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use http::Method;
use kernel::{AccountId, Amount};
use protocol::money::{PayoutState, PayoutView};
use protocol::state::{JobState, RunEnd};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use settlement::Tag;
use test_support::{Account, Client, Database, Devchain, FakeWorker, TestApp, job, wait_until};
use tokio::time::{Instant, sleep};

use crate::SOON;
use crate::authorisation::browser;

/// What the vault begins with: more than anybody here can earn.
pub const VAULT: i64 = 10_000_000_000;
/// With this tag the platform's own money comes in.
pub const PLATFORM: [u8; 16] = [0; 16];
pub const BLOCK_MS: u32 = 100;
/// Past the expiry of all that is signed, and past the second look that proves absence.
const PAST_EXPIRY_S: u64 = 75;

/// A server that settles on this chain and compares every second.
pub async fn app_over(chain: &Devchain, database: Database, more: &[(&str, &str)]) -> TestApp {
    let own = chain.settings();
    let named = own.iter().map(|(name, text)| (*name, text.as_str()));
    let settings: Vec<(&str, &str)> = named
        .chain([("IOG_CHAIN_COMPARE_S", "1")])
        .chain(more.iter().copied())
        .collect();
    TestApp::start_with(database, &settings).await
}

struct Bank {
    chain: Devchain,
    app: TestApp,
    /// Has earned.
    owner: Client,
    ann: Client,
    otto: Account,
    _worker: FakeWorker,
}

impl Bank {
    /// Somebody has earned 0.1 IO a second.
    async fn open(database: Database, seconds: u64) -> Self {
        let chain = Devchain::start(BLOCK_MS).await;
        chain.deposit(PLATFORM, VAULT).await;
        let settings = [
            ("IOG_CHAIN_INTERVAL_MS", "100"),
            ("IOG_PAYOUT_AUTO_MAX_IO", "1"),
            ("IOG_PAYOUT_MIN_IO", "0.000001"),
            ("IOG_PAYOUTS_OPEN_MAX", "1000"),
            // Each payout goes to another wallet here.
            ("IOG_PAYOUT_ADDRESS_DELAY_S", "0"),
            // Killed again and again; no job is to be lost to that.
            ("IOG_LEASE_TTL_MS", "30000"),
        ];
        let app = app_over(&chain, database, &settings).await;
        let (rita, otto) = (app.account("rita", Some("500")), app.account("otto", None));
        let boss = app.admin_account("ann");
        let mut worker = app.fake(&otto, "one", "360").await;
        let id = rita.submit(&job("work", &["true"])).await.summary.id;
        let a = worker.assignment().await;
        worker.started(&a).await;
        let chain_of_receipts = test_support::Chain::default();
        for second in 1..=seconds {
            sleep(Duration::from_secs(1)).await;
            worker.beat_for(&a, &chain_of_receipts, second).await;
        }
        worker
            .end(&a, &chain_of_receipts, seconds, RunEnd::Exited { code: 0 })
            .await;
        rita.wait_for(id, JobState::Finished, SOON).await;
        wait_until("the earnings matured", SOON, || async {
            let books = otto.balance().await;
            (books.earned.is_zero() && !books.withdrawable.is_zero()).then_some(())
        })
        .await;
        Self {
            owner: browser(&app, &otto).await,
            ann: browser(&app, &boss).await,
            chain,
            app,
            otto,
            _worker: worker,
        }
    }

    async fn payout(&self, amount: i64, wallet: &str) -> PayoutView {
        let body = json!({ "amount": amount.to_string(), "address": wallet });
        self.owner.post("/api/v1/payouts", &body).await.ok()
    }

    /// Under way, it is the chain's alone: who said that it failed would have it paid twice.
    async fn nobody_else_decides(&self, payout: &PayoutView) {
        let path = format!("/api/v1/payouts/{}", payout.id);
        wait_until("it is sent", SOON, || async {
            let now: PayoutView = self.owner.get(&path).await.ok();
            (now.state == PayoutState::Sent).then_some(())
        })
        .await;
        let path = format!("/api/v1/admin/payouts/{}/steps", payout.id);
        let fail = json!({ "step": "fail", "why": "It did not arrive." });
        self.ann.post(&path, &fail).await.refused(409);
        self.ann
            .post(&path, &json!({ "step": "confirm" }))
            .await
            .refused(409);
    }

    async fn is_paid(&self, payout: &PayoutView) -> Option<PayoutView> {
        let path = format!("/api/v1/payouts/{}", payout.id);
        let now: PayoutView = self.owner.get(&path).await.ok();
        assert!(now.state != PayoutState::Failed, "{now:?}");
        (now.state == PayoutState::Paid).then_some(now)
    }

    async fn in_order(&self) {
        in_order(&self.app, &self.chain, &self.ann).await;
    }
}

/// Books and chain are equal to the unit, and nothing that is compared differs.
pub async fn in_order(app: &TestApp, chain: &Devchain, admin: &Client) {
    let outside = "SELECT -balance FROM books WHERE id = 'platform:outside'";
    assert_eq!(chain.vault().await, app.count(outside).await);
    // One whole comparison that began after this.
    sleep(Duration::from_millis(2_500)).await;
    let found: Value = admin
        .send(Method::POST, "/api/v1/admin/ledger/reconcile", "", "")
        .await
        .ok();
    // A batch that needed many attempts was told, and is right since.
    let was_told = |one: &Value| {
        let expected = one["expected"].as_str().unwrap_or_default();
        !one["gone_at"].is_null() && expected.starts_with("settled at attempt")
    };
    let found = found.as_array().expect("incidents");
    assert!(found.iter().all(was_told), "{found:?}");
    let proof: Value = app.anyone().get("/api/v1/ledger/proof").await.ok();
    assert_eq!(proof["sum"], 0);
    assert_eq!(app.count("SELECT COUNT(*) FROM chain_faults").await, 0);
}

/// An ordinary address, each time another one.
fn wallet(number: usize) -> String {
    format!("0x{:064x}", 0x00c0_ffee_0000_usize + number)
}

#[tokio::test]
async fn a_deposit_on_the_chain_is_credited_once_however_often_it_is_read() {
    for database in Database::from_env() {
        let mut chain = Devchain::start(BLOCK_MS).await;
        let settings = [("IOG_CHAIN_INTERVAL_MS", "50")];
        let mut app = app_over(&chain, database, &settings).await;
        let (rita, boss) = (app.account("rita", None), app.admin_account("ann"));
        let id: AccountId = rita.id.parse().expect("an id");
        let available = || async { rita.balance().await.available.base() };

        chain.deposit(*Tag::of(id).as_bytes(), 700).await;
        wait_until("it is credited", SOON, || async {
            (available().await == 700).then_some(())
        })
        .await;
        // Killed while it reads, and the whole chain is read again from its beginning.
        for _ in 0..2 {
            app.kill_server();
            app.execute("UPDATE chain_cursors SET next = 0").await;
            app.start_server().await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(available().await, 700);
        }
        // And so while it runs: a hundred readings.
        for _ in 0..100 {
            app.execute("UPDATE chain_cursors SET next = 0").await;
            sleep(Duration::from_millis(60)).await;
        }
        chain.kill();
        chain.start_again().await;
        chain.deposit(*Tag::of(id).as_bytes(), 7).await;
        wait_until("the second is credited", SOON, || async {
            (available().await == 707).then_some(())
        })
        .await;
        assert_eq!(app.count("SELECT COUNT(*) FROM deposits").await, 2);
        assert_eq!(chain.vault().await, 707);
        sleep(Duration::from_millis(2_500)).await;
        let ann = browser(&app, &boss).await;
        let found: Value = ann
            .send(Method::POST, "/api/v1/admin/ledger/reconcile", "", "")
            .await
            .ok();
        assert_eq!(found, json!([]));
    }
}

/// What everybody sees of the chain, what admins see of settlement, and a deposit that named nobody.
#[tokio::test]
async fn the_explorer_shows_what_is_on_the_chain_and_what_nobody_claimed_is_given_to_its_owner() {
    for database in Database::from_env() {
        let mut bank = Bank::open(database, 1).await;
        let payout = bank.payout(5_000, &wallet(0)).await;
        wait_until("it is paid", SOON, || bank.is_paid(&payout)).await;
        let anyone = bank.app.anyone();
        let seen = wait_until("it was read since", SOON, || async {
            let seen: Value = anyone.get("/api/v1/explorer").await.ok();
            let vault = (VAULT - 5_000).to_string();
            (seen["chain"]["vault"]["held"] == vault.as_str()).then_some(seen)
        })
        .await;
        let chain = &seen["chain"];
        assert_eq!(chain["reach"], "fresh", "{chain}");
        assert_eq!(chain["vault"]["held"], chain["vault"]["owed"], "{chain}");
        assert_eq!(chain["code"]["state"], "same", "{chain}");
        assert_eq!(chain["supply"]["cap"], "80000000000000000", "{chain}");
        let page = seen["batches"][0]["transaction_url"].as_str();
        let page = page.expect("a link").to_owned();
        assert!(page.contains("/transaction/0x"), "{page}");

        let batches: Value = bank.ann.get("/api/v1/admin/settlement/batches").await.ok();
        let id = batches["items"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let path = format!("/api/v1/admin/settlement/batches/{id}");
        let detail: Value = bank.ann.get(&path).await.ok();
        assert_eq!(detail["lines"][0]["payout"], payout.id.to_string());
        let carried = &detail["transactions"][0];
        assert_eq!(carried["state"], "landed", "{detail}");
        assert!(carried["gas_used"].as_u64().is_some_and(|gas| gas > 0));
        assert_eq!(carried["url"], page.as_str());
        let none = format!("/api/v1/admin/settlement/batches/0x{:064}", 0);
        bank.ann.get(&none).await.refused(404);
        let wrong = "/api/v1/admin/settlement/batches?before=first";
        bank.ann.get(wrong).await.refused(422);
        let stands: Value = bank.ann.get("/api/v1/admin/settlement").await.ok();
        assert!(!stands["fees"].as_array().expect("accounts").is_empty());

        let path = "/api/v1/admin/unclaimed-deposits";
        bank.chain.deposit([7; 16], 70).await;
        let waiting = wait_until("it waits", SOON, || async {
            let waiting: Value = bank.ann.get(path).await.ok();
            waiting.get(0).cloned()
        })
        .await;
        assert_eq!(waiting["tag"], "07".repeat(16));
        let before = bank.otto.balance().await.available.base();
        let claim = format!("{path}/{}/claim", waiting["id"].as_str().expect("an id"));
        let body = json!({ "email": bank.otto.email });
        bank.ann.post(&claim, &body).await.ok::<Value>();
        assert_eq!(bank.otto.balance().await.available.base(), before + 70);
        assert_eq!(bank.ann.get(path).await.ok::<Value>(), json!([]));

        // The page is one of figures and not an error while the chain is away.
        bank.chain.kill();
        let away: Value = anyone.get("/api/v1/explorer").await.ok();
        assert_eq!(away["batches"], seen["batches"]);
        assert!(anyone.get("/explorer").await.status.is_success());
    }
}

#[tokio::test]
async fn with_each_fault_of_the_chain_a_payout_is_paid_once() {
    for database in Database::from_env() {
        let bank = Bank::open(database, 2).await;
        let before = bank.otto.balance().await.withdrawable;
        let first = bank.payout(5_000, &wallet(0)).await;
        let paid = wait_until("it is paid", SOON, || bank.is_paid(&first)).await;
        let reference = paid.reference.expect("the transaction");
        assert!(
            reference.starts_with("0x") && reference.len() > 66,
            "{reference}"
        );
        assert_eq!(bank.chain.holding(&wallet(0)).await, 5_000);

        let faults = [
            "drop_reply",
            "status_429",
            "status_503",
            "duplicate_reply",
            "stall",
            "expire",
        ];
        for (number, fault) in (1..).zip(faults) {
            bank.chain.fail("submit", fault, 1).await;
            let payout = bank.payout(1_000, &wallet(number)).await;
            if fault == "stall" {
                bank.nobody_else_decides(&payout).await;
            }
            let deadline = Instant::now() + SOON;
            while bank.is_paid(&payout).await.is_none() {
                assert!(
                    Instant::now() < deadline,
                    "{fault}: {:?}\n{}",
                    payout,
                    bank.app.log()
                );
                sleep(Duration::from_millis(500)).await;
                if matches!(fault, "stall" | "expire") {
                    bank.chain.advance(PAST_EXPIRY_S).await;
                }
            }
            assert_eq!(bank.chain.holding(&wallet(number)).await, 1_000, "{fault}");
        }
        // Late: whatever was thought to be lost has had its time to land.
        bank.chain.advance(PAST_EXPIRY_S).await;
        bank.in_order().await;
        for number in 1..=faults.len() {
            assert_eq!(bank.chain.holding(&wallet(number)).await, 1_000);
        }
        assert_eq!(bank.chain.vault().await, VAULT - 11_000);
        let after = bank.otto.balance().await.withdrawable;
        assert_eq!(before.base() - after.base(), 11_000);
    }
}

#[tokio::test]
async fn a_wrong_chain_or_contract_is_refused_at_start_and_one_that_is_away_is_waited_for() {
    let mut chain = Devchain::start(0).await;
    let mut app = app_over(&chain, Database::Sqlite, &[]).await;
    app.kill_server();
    let refused = [
        ("IOG_CHAIN_ID", "2", "serves chain 4"),
        (
            "IOG_CHAIN_CONTRACT",
            &wallet(1),
            "does not hold IOG's contract",
        ),
        (
            "IOG_CHAIN_SETTLER_KEYS",
            &"01".repeat(32),
            "must make it a settler",
        ),
    ];
    for (name, value, words) in refused {
        let done = app.try_admin(&["serve"], &[(name, value)]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !done.status.success() && said.contains(words),
            "{name}: {said}"
        );
        assert!(
            !said.contains(&"01".repeat(32)),
            "a key is not repeated: {said}"
        );
    }

    chain.kill();
    app.start_server().await;
    let ready = app.anyone().get("/readyz").await;
    assert!(
        ready.status.is_success() && ready.text().contains("does not answer"),
        "{}",
        ready.text()
    );
    let rita = app.account("rita", None);
    chain.start_again().await;
    let id: AccountId = rita.id.parse().expect("an id");
    chain.deposit(*Tag::of(id).as_bytes(), 9).await;
    wait_until("it is credited after all", SOON, || async {
        (rita.balance().await.available == Amount::try_from_base(9).expect("small")).then_some(())
    })
    .await;
    wait_until("it is ready without a word", SOON, || async {
        (app.anyone().get("/readyz").await.text() == "ready\n").then_some(())
    })
    .await;
}

/// Asks for one payout, however often the server is killed meanwhile.
async fn ask(client: &Client, number: usize, amount: i64, wallet: &str) {
    let keyed = client.with("idempotency-key", &format!("payout-{number}"));
    let body = json!({ "amount": amount.to_string(), "address": wallet }).to_string();
    loop {
        let answer = keyed.try_send(
            Method::POST,
            "/api/v1/payouts",
            "application/json",
            body.clone(),
        );
        match answer.await {
            Ok(answer) if answer.status.is_success() => return,
            // As many are open as may be.
            Ok(answer) if answer.status == 409 => sleep(Duration::from_millis(200)).await,
            Ok(answer) => panic!("{} {}", answer.status, answer.text()),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// So slow that they go out in many batches.
const PACE: Duration = Duration::from_millis(50);
const FAULTS: [&str; 6] = [
    "drop_reply",
    "status_429",
    "status_503",
    "stall",
    "expire",
    "duplicate_reply",
];
const READ_FAULTS: [&str; 3] = ["drop_reply", "status_429", "status_503"];

impl Bank {
    /// Something goes wrong.
    async fn harm(&mut self, random: &mut StdRng) {
        match random.random_range(0..10) {
            0 => {
                self.app.kill_server();
                self.app.start_server().await;
            }
            1 => {
                self.chain.kill();
                sleep(Duration::from_millis(random.random_range(0..500))).await;
                self.chain.start_again().await;
            }
            2 | 3 => {
                self.chain
                    .advance(random.random_range(5..PAST_EXPIRY_S))
                    .await;
            }
            4..=6 => {
                let fault = FAULTS[random.random_range(0..FAULTS.len())];
                self.chain
                    .fail("submit", fault, random.random_range(1..3))
                    .await;
            }
            7 => {
                let fault = READ_FAULTS[random.random_range(0..READ_FAULTS.len())];
                self.chain
                    .fail("read", fault, random.random_range(1..5))
                    .await;
            }
            _ => {}
        }
    }
}

fn from_env(name: &str, otherwise: usize) -> usize {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// `make soak` runs it with 10,000 payouts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_payout_is_paid_once_whatever_fails_and_whoever_is_killed() {
    let databases = Database::from_env();
    let payouts = from_env("IOG_SOAK_PAYOUTS", 300) / databases.len();
    let seed = u64::try_from(from_env("IOG_SOAK_SEED", 3)).expect("small");
    for database in databases {
        let name = format!("{database:?}");
        let name = name.split('(').next().unwrap_or_default().to_owned();
        let mut bank = Bank::open(database, 3).await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut owed: BTreeMap<String, i64> = BTreeMap::new();
        let mut requests = Vec::new();
        for number in 0..payouts {
            let (to, amount) = (
                wallet(random.random_range(0..500)),
                random.random_range(100..1_500),
            );
            *owed.entry(to.clone()).or_default() += amount;
            requests.push((number, amount, to));
        }
        let total: i64 = owed.values().sum();
        let client = bank.owner.clone();
        let asking = tokio::spawn(async move {
            futures::stream::iter(requests)
                .for_each_concurrent(2, |(number, amount, to)| {
                    let client = client.clone();
                    async move {
                        ask(&client, number, amount, &to).await;
                        sleep(PACE).await;
                    }
                })
                .await;
        });

        let begun = Instant::now();
        let mut harms = 0;
        while !asking.is_finished() {
            bank.harm(&mut random).await;
            harms += 1;
            sleep(Duration::from_millis(random.random_range(50..400))).await;
        }
        asking.await.expect("all were asked for");
        bank.chain.heal().await;
        let open = "SELECT COUNT(*) FROM payouts WHERE state <> 'paid'";
        let limit = Duration::from_mins(3)
            + Duration::from_millis(u64::try_from(payouts).expect("small") * 100);
        while bank.app.count(open).await > 0 {
            assert!(
                begun.elapsed() < limit,
                "{} are open\n{}",
                bank.app.count(open).await,
                bank.app.log()
            );
            bank.chain.advance(PAST_EXPIRY_S).await;
            // What is signed now has time to land.
            sleep(Duration::from_secs(2)).await;
        }
        bank.chain.advance(PAST_EXPIRY_S).await;
        bank.in_order().await;
        for (to, amount) in &owed {
            assert_eq!(bank.chain.holding(to).await, *amount, "{to}");
        }
        assert_eq!(bank.chain.vault().await, VAULT - total);
        let transactions = bank.app.count("SELECT COUNT(*) FROM outgoing").await;
        let batches = bank.app.count("SELECT COUNT(*) FROM payout_batches").await;
        println!(
            "{name}: {payouts} payouts in {batches} batches by {transactions} transactions, {harms} times something was done to them, {:.0} s, seed {seed}",
            begun.elapsed().as_secs_f64()
        );
    }
}
