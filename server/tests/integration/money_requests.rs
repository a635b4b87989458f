//! The row of money requests: on every route that moves money the same key replays the answer, another request under it is
//! refused, and fifty at once make what one makes. The routes come from the document: one without a row fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use kernel::LeaseId;
use protocol::Code;
use protocol::money::{
    ApprovalView, BookView, ChainView, DayView, DepositView, DisputeView, EntryKind, LimitsView,
    PayoutState, PayoutView, StatementView, TransferView,
};
use protocol::state::{JobState, RunEnd};
use protocol::view::Page;
use protocol::worker::ToWorker;
use serde_json::{Value, json};
use test_support::{
    Account, Answer, Chain, Client, Database, FakeWorker, TestApp, job, wait_until,
};
use tokio::time::sleep;

use crate::SOON;
use crate::authorisation::browser;

const AT_ONCE: usize = 50;
/// Of each receipt, which brought ten times as much.
const CLAIM: &str = "1000000";
const WALLET: &str = "0xabcdef";

/// Routes that change something and move nothing, and why a repeat of them does no harm.
const MOVES_NOTHING: &[(&str, &str)] = &[
    // A job that is stopping is stopped; what is left of its hold comes back once, when it is over.
    ("DELETE", "/api/v1/jobs/{id}"),
    ("DELETE", "/api/v1/keys/{id}"),
    ("DELETE", "/api/v1/market/searches/{id}"),
    ("DELETE", "/api/v1/nodes/{id}"),
    ("PATCH", "/api/v1/devices/{id}"),
    ("PATCH", "/api/v1/market/searches/{id}"),
    // Sets all of it.
    ("PUT", "/api/v1/billing/limits"),
    // One proposal for a payout at a time, decided once; it holds money where it is.
    ("POST", "/api/v1/admin/approvals"),
    ("POST", "/api/v1/admin/approvals/{id}/decision"),
    ("POST", "/api/v1/admin/incidents/{id}/close"),
    // Compares.
    ("POST", "/api/v1/admin/ledger/reconcile"),
    ("POST", "/api/v1/bundles"),
    // Words.
    ("POST", "/api/v1/disputes/{id}/evidence"),
    ("POST", "/api/v1/keys"),
    ("POST", "/api/v1/market/searches"),
    ("POST", "/api/v1/nodes/join-tokens"),
    ("POST", "/api/v1/notifications/confirmation"),
    ("POST", "/api/v1/notifications/read"),
    ("POST", "/api/v1/notifications/confirmation"),
    ("PUT", "/api/v1/notifications/settings"),
    ("POST", "/api/v1/webhooks"),
    ("PATCH", "/api/v1/webhooks/{id}"),
    ("DELETE", "/api/v1/webhooks/{id}"),
    ("POST", "/api/v1/webhooks/{id}/secret"),
    ("POST", "/api/v1/webhooks/{id}/test"),
    ("POST", "/api/v1/webhooks/{id}/deliveries/{notice}"),
    // What a wallet is to sign; what was signed is sent once. A voucher is worth its sum once, however often it is asked for.
    ("POST", "/api/v1/channels"),
    ("POST", "/api/v1/channels/{channel}/transactions"),
    ("POST", "/api/v1/vouchers/{channel}/{payee}/redeem"),
    // Binds a price, not money.
    ("POST", "/api/v1/quotes"),
    // Each sets what it names.
    ("PUT", "/api/v1/secrets/{name}"),
    ("DELETE", "/api/v1/secrets/{name}"),
    ("PUT", "/api/v1/jobs/{id}/workdir/file"),
    ("PUT", "/api/v1/nodes/{id}/maintenance"),
    ("POST", "/api/v1/devices/prices"),
    // Another link opens the same port.
    ("POST", "/api/v1/jobs/{id}/ports/{port}/links"),
    // Whose a wallet is, and where payouts go from then on.
    ("POST", "/api/v1/wallets"),
    ("POST", "/api/v1/wallets/question"),
    ("POST", "/api/v1/wallets/sign-in"),
    ("POST", "/api/v1/wallets/sign-in/question"),
    ("DELETE", "/api/v1/wallets/{address}"),
    ("PUT", "/api/v1/payout-address"),
    ("DELETE", "/api/v1/payout-address/change"),
    // A proposal, and the wallet's signature under it: the chain takes it once, and its event credits once.
    ("POST", "/api/v1/deposits/transaction"),
    ("POST", "/api/v1/wallets/transactions/{id}"),
];

/// One request that moves money.
struct Row {
    /// As the document calls it.
    route: &'static str,
    client: Client,
    path: String,
    body: Value,
    /// Another request to the same route.
    other: Option<(String, Value)>,
    /// What of the answer is the same again; the whole where it is empty.
    same: &'static str,
    /// Transfers that it posts.
    transfers: i64,
}

/// People with money to move.
struct Bank {
    app: TestApp,
    rita: Account,
    otto: Account,
    /// Signed in.
    requester: Client,
    owner: Client,
    ann: Client,
    lease: LeaseId,
    _worker: FakeWorker,
}

const SETTINGS: [(&str, &str); 4] = [
    ("IOG_RECEIPT_INTERVAL_S", "1"),
    ("IOG_FAUCET_MAX_IO", "10"),
    ("IOG_DEMO_CREDIT_IO", "5"),
    ("IOG_PAYOUTS_OPEN_MAX", "100"),
];

/// A receipt a second, and the end.
async fn deliver(worker: &mut FakeWorker, seconds: u64) {
    let a = worker.assignment().await;
    worker.started(&a).await;
    let mut chain = Chain::default();
    for second in 1..=seconds {
        sleep(Duration::from_secs(1)).await;
        worker.beat_for(&a, &chain, second).await;
        let wanted = chain.seq;
        chain = worker
            .until("a countersigned receipt", |message| match message {
                ToWorker::ReceiptPosted { seq, hash, .. } if seq >= wanted => Some(Chain {
                    seq: seq + 1,
                    previous: hash,
                }),
                _ => None,
            })
            .await;
    }
    worker
        .end(&a, &chain, seconds, RunEnd::Exited { code: 0 })
        .await;
}

impl Bank {
    /// An owner who earned 0.1 IO a second, by as many receipts.
    async fn open(database: Database, seconds: u64) -> Self {
        let app = TestApp::start_with(database, &SETTINGS).await;
        let (rita, otto) = (app.account("rita", Some("500")), app.account("otto", None));
        let boss = app.admin_account("ann");
        let mut worker = app.fake(&otto, "one", "360").await;
        let id = rita.submit(&job("work", &["true"])).await.summary.id;
        deliver(&mut worker, seconds).await;
        let done = rita.wait_for(id, JobState::Finished, SOON).await;
        wait_until("the earnings matured", SOON, || async {
            let books = otto.balance().await;
            (books.earned.is_zero() && !books.withdrawable.is_zero()).then_some(())
        })
        .await;
        Self {
            requester: browser(&app, &rita).await,
            owner: browser(&app, &otto).await,
            ann: browser(&app, &boss).await,
            lease: done.leases[0].id,
            _worker: worker,
            app,
            rita,
            otto,
        }
    }

    async fn transfers(&self) -> i64 {
        self.app.count("SELECT COUNT(*) FROM transfers").await
    }

    async fn payout(&self) -> PayoutView {
        let body = json!({ "amount": CLAIM, "address": WALLET });
        self.owner.post("/api/v1/payouts", &body).await.ok()
    }

    async fn step(&self, payout: &PayoutView, body: &Value) -> Answer {
        let path = format!("/api/v1/admin/payouts/{}/steps", payout.id);
        self.ann.post(&path, body).await
    }

    async fn sent(&self, reference: &str) -> PayoutView {
        let payout = self.payout().await;
        let approve = json!({ "step": "approve" });
        self.step(&payout, &approve).await.ok::<PayoutView>();
        let send = json!({ "step": "send", "reference": reference });
        self.step(&payout, &send).await.ok()
    }

    async fn dispute(&self, seq: u64) -> DisputeView {
        let body = json!({ "lease": self.lease, "seq": seq, "claimed": CLAIM, "reason": "slow" });
        self.requester.post("/api/v1/disputes", &body).await.ok()
    }

    async fn deposit(&self, reference: &str) -> DepositView {
        let body = json!({ "email": self.rita.email, "amount": "7", "reference": reference });
        self.ann.post("/api/v1/admin/deposits", &body).await.ok()
    }

    /// One that came in for nobody: on its way as any other, and no account's.
    async fn unclaimed(&self) -> DepositView {
        let deposit = self.deposit("0x73").await;
        for change in [
            "INSERT INTO unclaimed_deposits (id, reference, sender, amount, at) \
             SELECT id, '0x73', '0x0000000000000000000000000000000000000000000000000000000000000077', amount, requested_at \
             FROM deposits WHERE reference = '0x73'",
            "DELETE FROM deposits WHERE reference = '0x73'",
        ] {
            self.app.execute(change).await;
        }
        deposit
    }

    /// All books sum to zero, and nothing that is compared differs.
    async fn in_order(&self) {
        let found: Value = self
            .ann
            .send(Method::POST, "/api/v1/admin/ledger/reconcile", "", "")
            .await
            .ok();
        assert_eq!(found, json!([]));
        let proof: Value = self.app.anyone().get("/api/v1/ledger/proof").await.ok();
        assert_eq!(proof["sum"], 0);
    }
}

fn row(route: &'static str, client: &Client, path: &str, body: Value) -> Row {
    Row {
        route,
        client: client.clone(),
        path: path.to_owned(),
        body,
        other: None,
        same: "",
        transfers: 1,
    }
}

impl Row {
    /// Under the same key, to the same path.
    fn not(self, body: Value) -> Self {
        let other = Some((self.path.clone(), body));
        Self { other, ..self }
    }

    fn not_path(self, path: String) -> Self {
        let other = Some((path, self.body.clone()));
        Self { other, ..self }
    }

    fn posts(self, transfers: i64) -> Self {
        Self { transfers, ..self }
    }

    async fn ask(client: &Client, path: &str, body: &Value) -> Answer {
        if body.is_null() {
            client.send(Method::POST, path, "", "").await
        } else {
            client.post(path, body).await
        }
    }
}

async fn rows(bank: &Bank) -> Vec<Row> {
    let Bank {
        requester,
        owner,
        ann,
        rita,
        ..
    } = bank;
    let amount = json!({ "amount": CLAIM });
    let more = json!({ "amount": "1000001" });
    let mut rows = vec![
        row(
            "/api/v1/payouts",
            owner,
            "/api/v1/payouts",
            json!({ "amount": CLAIM, "address": WALLET }),
        )
        .not(json!({ "amount": CLAIM, "address": "0xabcdee" })),
        row(
            "/api/v1/earnings/convert",
            owner,
            "/api/v1/earnings/convert",
            amount.clone(),
        )
        .not(more.clone()),
        // Nothing moves before an admin gives it.
        row("/api/v1/deposits", requester, "/api/v1/deposits", amount)
            .not(more)
            .posts(0),
        row(
            "/api/v1/admin/deposits",
            ann,
            "/api/v1/admin/deposits",
            json!({ "email": rita.email, "amount": "7", "reference": "0x70" }),
        )
        .not(json!({ "email": rita.email, "amount": "8", "reference": "0x70" })),
        // What is set aside has matured: it is taken from one book.
        row(
            "/api/v1/disputes",
            requester,
            "/api/v1/disputes",
            json!({ "lease": bank.lease, "seq": 1, "claimed": CLAIM, "reason": "slow" }),
        )
        .not(json!({ "lease": bank.lease, "seq": 2, "claimed": CLAIM, "reason": "slow" })),
    ];
    let cancel = |payout: &PayoutView| format!("/api/v1/payouts/{}/cancel", payout.id);
    let (one, two) = (bank.payout().await, bank.payout().await);
    rows.push(
        row(
            "/api/v1/payouts/{id}/cancel",
            owner,
            &cancel(&one),
            Value::Null,
        )
        .not_path(cancel(&two)),
    );
    let steps = "/api/v1/admin/payouts/{id}/steps";
    let step = |payout: &PayoutView, body: Value, transfers: i64| {
        let path = format!("/api/v1/admin/payouts/{}/steps", payout.id);
        row(steps, ann, &path, body)
            .not(json!({ "step": "refuse", "why": "another" }))
            .posts(transfers)
    };
    rows.push(step(&bank.payout().await, json!({ "step": "approve" }), 0));
    rows.push(step(
        &bank.payout().await,
        json!({ "step": "refuse", "why": "unknown wallet" }),
        1,
    ));
    rows.push(step(
        &bank.sent("0xa1").await,
        json!({ "step": "confirm" }),
        1,
    ));
    rows.push(step(
        &bank.sent("0xa2").await,
        json!({ "step": "fail", "why": "it came back" }),
        1,
    ));
    let approved = bank.payout().await;
    let approve = json!({ "step": "approve" });
    bank.step(&approved, &approve).await.ok::<PayoutView>();
    rows.push(step(
        &approved,
        json!({ "step": "send", "reference": "0xa3" }),
        0,
    ));
    let (given, refused) = (bank.deposit("0x71").await, bank.deposit("0x72").await);
    for (deposit, body) in [
        (given, json!({ "decision": "credit" })),
        (
            refused,
            json!({ "decision": "refuse", "why": "another network" }),
        ),
    ] {
        let path = format!("/api/v1/admin/deposits/{}/decision", deposit.id);
        let other = json!({ "decision": "refuse", "why": "another reason" });
        rows.push(row("/api/v1/admin/deposits/{id}/decision", ann, &path, body).not(other));
    }
    let claim = "/api/v1/admin/unclaimed-deposits/{id}/claim";
    let path = claim.replace("{id}", &bank.unclaimed().await.id.to_string());
    let other = json!({ "email": "otto@example.com" });
    rows.push(row(claim, ann, &path, json!({ "email": rita.email })).not(other));
    let (back, rejected, refunded) = (
        bank.dispute(3).await,
        bank.dispute(4).await,
        bank.dispute(5).await,
    );
    let withdraw = |id| format!("/api/v1/disputes/{id}/withdraw");
    rows.push(
        row(
            "/api/v1/disputes/{id}/withdraw",
            requester,
            &withdraw(back.id),
            Value::Null,
        )
        .not_path(withdraw(rejected.id)),
    );
    // What was set aside goes back; of a part, the owner's and the platform's share are paid, and the rest goes back.
    for (dispute, refund, transfers) in [(rejected, "0", 1), (refunded, "400000", 3)] {
        let path = format!("/api/v1/admin/disputes/{}/ruling", dispute.id);
        let body = json!({ "refund": refund, "ruling": "as the records show" });
        let other = json!({ "refund": "1", "ruling": "as the records show" });
        let ruling = row("/api/v1/admin/disputes/{id}/ruling", ann, &path, body);
        rows.push(ruling.not(other).posts(transfers));
    }
    let path = "/api/v1/balance/demo-credit";
    // Of somebody to whom nothing else happens.
    let dora = browser(&bank.app, &bank.app.account("dora", None)).await;
    let credit = row(path, &dora, path, Value::Null);
    // By its nature once an account: there is no other request.
    rows.push(Row {
        same: "/available",
        ..credit
    });
    rows
}

/// Its state and its meter go on; it is the same job.
fn submission(rita: &Account) -> Row {
    let path = "/api/v1/jobs";
    let submit = row(
        path,
        &rita.rest,
        path,
        json!({ "spec": job("x", &["true"]) }),
    )
    .not(json!({ "spec": job("y", &["true"]) }));
    Row {
        same: "/id",
        ..submit
    }
}

/// What comes of a template is a job like any other.
fn launch(rita: &Account) -> Row {
    let launch = row(
        "/api/v1/templates/{id}/launch",
        &rita.rest,
        "/api/v1/templates/raytrace/launch",
        json!({ "inputs": { "frames": 1 } }),
    )
    .not(json!({ "inputs": { "frames": 2 } }));
    Row {
        same: "/id",
        ..launch
    }
}

async fn check(bank: &Bank, row: &Row, number: usize) {
    let what = format!("POST {} {}", row.path, row.body);
    let keyed = row.client.with("idempotency-key", &format!("row-{number}"));
    let before = bank.transfers().await;
    let answers = join_all((0..AT_ONCE).map(|_| Row::ask(&keyed, &row.path, &row.body))).await;
    let seen: BTreeSet<String> = answers
        .iter()
        .map(|answer| part(answer, row.same))
        .collect();
    assert_eq!(seen.len(), 1, "{what}: {seen:?}");
    let after = bank.transfers().await;
    assert_eq!(after - before, row.transfers, "{what}: transfers");

    let again = part(&Row::ask(&keyed, &row.path, &row.body).await, row.same);
    assert!(seen.contains(&again), "{what} again: {again} and {seen:?}");
    if let Some((path, body)) = &row.other {
        let refused = Row::ask(&keyed, path, body).await.refused(422);
        assert_eq!(refused.code, Code::IdempotencyMismatch, "{what} and {body}");
        let wrong = row.client.with("idempotency-key", "with space");
        let refused = Row::ask(&wrong, &row.path, &row.body).await.refused(422);
        assert_eq!(refused.fields[0].field, "Idempotency-Key", "{what}");
    }
    assert_eq!(
        bank.transfers().await,
        after,
        "{what}: a refusal moves nothing"
    );
}

fn part(answer: &Answer, pointer: &str) -> String {
    let whole: Value = answer.ok();
    let part = whole.pointer(pointer);
    part.unwrap_or_else(|| panic!("{pointer} in {whole}"))
        .to_string()
}

/// Of the document: each operation that changes something, and whether it is one of money with a key.
async fn changing(app: &TestApp) -> BTreeMap<(String, String), (bool, bool)> {
    let document: Value = app.anyone().get("/api/openapi.json").await.ok();
    let mut all = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let tags = operation["tags"].as_array().expect("tags");
            let parameters = operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let keyed = parameters
                .iter()
                .any(|one| one["name"] == "Idempotency-Key");
            if method != "get" {
                let of = (method.to_uppercase(), path.clone());
                all.insert(of, (tags.iter().any(|tag| tag == "money"), keyed));
            }
        }
    }
    all
}

/// console#3449: a retry is no second payment. lago-api#5870: what came in is credited once. yagna#2765, golem-js#735: fifty
/// at once settle what one settles.
#[tokio::test]
async fn each_money_request_is_done_once() {
    for database in Database::from_env() {
        let bank = Bank::open(database, 6).await;
        let rows = rows(&bank).await;
        let documented = changing(&bank.app).await;
        let mut listed: BTreeSet<(String, String)> = MOVES_NOTHING
            .iter()
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        let submission = submission(&bank.rita);
        let launch = launch(&bank.rita);
        for row in rows.iter().chain([&submission, &launch]) {
            listed.insert(("POST".to_owned(), row.route.to_owned()));
        }
        let known: BTreeSet<(String, String)> = documented.keys().cloned().collect();
        assert_eq!(
            known, listed,
            "a new route needs a row here, or a place among those that move nothing"
        );
        for ((method, path), (money, keyed)) in &documented {
            let row = rows
                .iter()
                .chain([&submission, &launch])
                .find(|row| method == "POST" && row.route == path);
            assert_eq!(*money, row.is_some(), "{method} {path}: the tag `money`");
            let wants_key = row.is_some_and(|row| row.other.is_some());
            assert!(
                !wants_key || *keyed,
                "{method} {path}: documents no Idempotency-Key"
            );
        }
        for (number, row) in rows.iter().enumerate() {
            check(&bank, row, number).await;
        }
        // Who was given credit already is given none, whatever its amount was.
        let before = bank.transfers().await;
        let again = Method::POST;
        let path = "/api/v1/balance/demo-credit";
        bank.requester.send(again, path, "", "").await.ok::<Value>();
        assert_eq!(bank.transfers().await, before);
        // A worker that says nothing is soon off the market, so it comes now.
        let _free = bank.app.fake(&bank.otto, "two", "1").await;
        check(&bank, &submission, rows.len()).await;
        let _free = bank.app.fake(&bank.otto, "three", "1").await;
        check(&bank, &launch, rows.len() + 1).await;
        bank.in_order().await;

        // Another account's payout and dispute are not there, and an admin's eyes are.
        let payout = bank.payout().await;
        let path = format!("/api/v1/payouts/{}", payout.id);
        bank.rita.rest.get(&path).await.refused(404);
        bank.requester
            .send(Method::POST, &format!("{path}/cancel"), "", "")
            .await
            .refused(404);
        let seen: PayoutView = bank.ann.get(&path).await.ok();
        assert_eq!(seen.email.as_deref(), Some(bank.otto.email.as_str()));
        let theirs: PayoutView = bank.otto.rest.get(&path).await.ok();
        assert_eq!(theirs, payout);
    }
}

#[tokio::test]
async fn fault_yagna_2765_one_transaction_outside_pays_one_payout() {
    for database in Database::from_env() {
        let bank = Bank::open(database, 1).await;
        let (one, two) = (bank.sent("0xfeed").await, bank.payout().await);
        bank.step(&two, &json!({ "step": "approve" }))
            .await
            .ok::<PayoutView>();
        let refused = bank
            .step(&two, &json!({ "step": "send", "reference": "0xfeed" }))
            .await
            .refused(422);
        assert_eq!(refused.fields[0].field, "reference");
        bank.step(&one, &json!({ "step": "confirm" }))
            .await
            .ok::<PayoutView>();
        let still: PayoutView = bank
            .owner
            .get(&format!("/api/v1/payouts/{}", two.id))
            .await
            .ok();
        assert_eq!(still.state, PayoutState::Approved);
        bank.in_order().await;
    }
}

#[tokio::test]
async fn fault_golem_js_735_two_ways_to_settle_that_race_settle_once() {
    for database in Database::from_env() {
        let bank = Bank::open(database, 1).await;
        let payout = bank.sent("0xace").await;
        let dispute = bank.dispute(1).await;
        let before = bank.transfers().await;
        let ends = [
            json!({ "step": "confirm" }),
            json!({ "step": "fail", "why": "lost" }),
        ];
        let ways = (0..AT_ONCE).map(|n| bank.step(&payout, &ends[n % 2]));
        let won = join_all(ways)
            .await
            .iter()
            .filter(|one| one.status.is_success())
            .count();
        assert_eq!(won, 1, "paid, or back with its owner");
        let ruling = json!({ "refund": "0", "ruling": "no" });
        let withdraw = format!("/api/v1/disputes/{}/withdraw", dispute.id);
        let rule = format!("/api/v1/admin/disputes/{}/ruling", dispute.id);
        let (bank, withdraw, rule, ruling) = (&bank, &withdraw, &rule, &ruling);
        let ways = (0..AT_ONCE).map(|n| async move {
            let answer = if n.is_multiple_of(2) {
                bank.requester.send(Method::POST, withdraw, "", "").await
            } else {
                bank.ann.post(rule, ruling).await
            };
            answer.status.is_success()
        });
        let won = join_all(ways).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "withdrawn, or decided");
        assert_eq!(bank.transfers().await - before, 2);
        bank.in_order().await;
    }
}

#[tokio::test]
async fn fault_akash_support_414_and_console_3600_withdrawals_of_one_moment_leave_nothing_below_zero()
 {
    for database in Database::from_env() {
        let bank = Bank::open(database, 1).await;
        let there = bank.otto.balance().await.withdrawable.base();
        // Each is a quarter, so that four of a hundred can be had, whichever they are and whatever they become.
        let quarter = json!({ "amount": (there / 4).to_string() });
        let payout = json!({ "amount": (there / 4).to_string(), "address": WALLET });
        let (bank, quarter, payout) = (&bank, &quarter, &payout);
        let ways = (0..2 * AT_ONCE).map(|n| async move {
            let answer = if n.is_multiple_of(2) {
                bank.owner.post("/api/v1/earnings/convert", quarter).await
            } else {
                bank.owner.post("/api/v1/payouts", payout).await
            };
            assert!(!answer.status.is_server_error(), "{}", answer.text());
            answer.status.is_success()
        });
        let won = join_all(ways).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 4);
        let left = bank.otto.balance().await.withdrawable.base();
        assert_eq!(left, there - 4 * (there / 4), "to the last unit");
        bank.in_order().await;
    }
}

#[tokio::test]
async fn two_admins_freeze_a_payout_over_rest() {
    let bank = Bank::open(Database::Sqlite, 1).await;
    let boss = bank.app.admin_account("bob");
    let bob = browser(&bank.app, &boss).await;
    let payout = bank.payout().await;
    let body = json!({ "payout": payout.id, "action": "freeze_payout", "reason": "stolen keys" });
    let proposal: ApprovalView = bank.ann.post("/api/v1/admin/approvals", &body).await.ok();
    bob.post("/api/v1/admin/approvals", &body)
        .await
        .refused(409);
    let decide = format!("/api/v1/admin/approvals/{}/decision", proposal.id);
    let confirm = json!({ "confirm": true });
    bank.ann.post(&decide, &confirm).await.refused(403);
    let done: ApprovalView = bob.post(&decide, &confirm).await.ok();
    assert_eq!(done.confirmed_by.as_deref(), Some(boss.email.as_str()));
    bank.step(&payout, &json!({ "step": "approve" }))
        .await
        .refused(409);
    let open: Value = bank.ann.get("/api/v1/admin/payouts?open=true").await.ok();
    assert_eq!(open["items"][0]["state"], "frozen");
    // Its owner is told.
    let told: Value = bank.owner.get("/api/v1/notifications?limit=1").await.ok();
    assert_eq!(told["items"][0]["type"], "payout.updated");
    assert_eq!(told["items"][0]["data"]["state"], "frozen");
    // Where the payout goes, too: it was the first.
    assert_eq!(told["unread"], 2);
    let read: Value = bank
        .owner
        .post("/api/v1/notifications/read", &json!({}))
        .await
        .ok();
    assert_eq!(read["unread"], 0);
}

#[tokio::test]
async fn what_happened_is_accounted_for_over_rest() {
    let bank = Bank::open(Database::Sqlite, 1).await;
    let rest = &bank.rita.rest;
    let path = "/api/v1/billing/statement";
    let whole: StatementView = rest
        .get(&format!("{path}?from=1970-01-01T00:00:01Z"))
        .await
        .ok();
    let period = whole.period.expect("a beginning was named");
    assert!(period.opening.iter().all(|book| book.balance.is_zero()));
    let held: i64 = whole.books.iter().map(|book| book.balance.base()).sum();
    let moved = period
        .moved
        .iter()
        .map(|one| one.came.base() - one.went.base());
    assert_eq!(moved.sum::<i64>(), held, "{:?}", period.moved);
    let of = |kind| period.moved.iter().find(move |one| one.kind == kind);
    let given = of(EntryKind::DemoCredit).expect("credit");
    assert_eq!(given.came.base(), 50_000_000_000);
    assert!(
        of(EntryKind::Hold).is_none(),
        "from one of its books into another"
    );
    let before: StatementView = rest
        .get(&format!("{path}?at=1970-01-01T00:00:01Z"))
        .await
        .ok();
    assert_eq!((before.seq, before.period), (0, None));
    for (query, field) in [
        ("at=soon", "at"),
        ("to=1970-01-01T00:00:01Z", "from"),
        ("from=1970-01-02T00:00:00Z&to=1970-01-01T00:00:00Z", "to"),
        ("at=1970-01-02T00:00:00Z&from=1970-01-01T00:00:00Z", "at"),
    ] {
        let refused = rest.get(&format!("{path}?{query}")).await.refused(422);
        assert_eq!(refused.fields[0].field, field, "{query}");
    }
    let days: Vec<DayView> = rest.get("/api/v1/billing/days?days=2").await.ok();
    let spent: i64 = days.iter().map(|day| day.spent.base()).sum();
    assert_eq!((days.len(), spent), (2, given.came.base() - held));

    let _free = bank.app.fake(&bank.otto, "two", "1").await;
    let limits = json!({ "per_day": "100" });
    let set: LimitsView = bank
        .requester
        .json(Method::PUT, "/api/v1/billing/limits", &limits)
        .await
        .ok();
    assert_eq!(set.left.base(), 0, "more than that was spent today");
    let poor = bank
        .rita
        .try_submit(&job("more", &["true"]))
        .await
        .refused(402);
    assert!(poor.detail.contains("spending limits"), "{poor:?}");

    // The inspector: from an address to its books, a book's transfers, and one of them.
    let ann = &bank.ann;
    let books: Vec<BookView> = ann
        .get(&format!(
            "/api/v1/admin/ledger/books?search={}",
            bank.rita.email
        ))
        .await
        .ok();
    let book = books
        .iter()
        .find(|book| book.book.starts_with("available:"));
    let book = book.expect("rita's");
    assert_eq!(book.balance, held);
    let transfers: Page<TransferView> = ann
        .get(&format!(
            "/api/v1/admin/ledger/transfers?book={}",
            book.book
        ))
        .await
        .ok();
    let newest = &transfers.items[0];
    let one: TransferView = ann
        .get(&format!("/api/v1/admin/ledger/transfers/{}", newest.id))
        .await
        .ok();
    assert_eq!(&one, newest);
    bank.in_order().await;
    let chain: ChainView = ann.get("/api/v1/admin/ledger/chain").await.ok();
    assert_eq!(
        (chain.seq, &chain.hash),
        (chain.checked_seq, &chain.checked_hash)
    );
    assert_eq!(chain.breaks, 0);
    assert!(chain.seq >= newest.seq);
}
