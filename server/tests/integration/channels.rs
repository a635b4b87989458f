//! Escrow channels over a real chain: jobs are paid from what a requester's wallet locked, and owners take their part with the
//! server gone.

use std::process::Command;
use std::time::Duration;

use chain_aptos::{Aptos, Settings};
use ed25519_dalek::SigningKey;
use kernel::Amount;
use protocol::money::{ChannelState, ChannelView, PayoutState, PayoutView, VoucherView};
use protocol::state::{JobState, RunEnd};
use protocol::view::{BalanceView, JobView};
use serde_json::{Value, json};
use settlement::{Address, Chain as _, Digest, Voucher, VoucherFile};
use test_support::{
    Account, Client, Database, Devchain, FakeWorker, KEYS, TestApp, binary, job, wait_until,
};
use tokio::time::sleep;

use crate::SOON;
use crate::authorisation::browser;
use crate::chain::{BLOCK_MS, PLATFORM, VAULT, app_over, in_order};
use crate::wallet::Wallet;

/// Of the requester's wallet, and what of it is locked first and later.
const HELD: i64 = 9_000_000_000;
const LOCKED: i64 = 4_000_000_000;
const MORE: i64 = 1_000_000_000;
/// The contract's day in which vouchers can be redeemed after a close was asked for.
const CHALLENGE_S: u64 = 86_400;
const GOOD: i32 = 0;
const BAD: i32 = 1;
const UNDECIDED: i32 = 2;

/// A requester with a channel, and an owner who is to be paid at a wallet.
struct Street {
    chain: Devchain,
    app: TestApp,
    ann: Client,
    /// Requests.
    wallet: Wallet,
    renter: Client,
    /// Owns the device.
    otto: Account,
    owner: Client,
    payee: String,
    worker: FakeWorker,
}

impl Street {
    async fn open(database: Database) -> Self {
        let chain = Devchain::start(BLOCK_MS).await;
        chain.deposit(PLATFORM, VAULT).await;
        let settings = [
            ("IOG_CHAIN_INTERVAL_MS", "100"),
            ("IOG_CHAIN_FEE_PAYER_KEY", KEYS[0]),
            ("IOG_PAYOUT_AUTO_MAX_IO", "1"),
            ("IOG_PAYOUT_MIN_IO", "0.000001"),
            ("IOG_LEASE_TTL_MS", "30000"),
        ];
        let app = app_over(&chain, database, &settings).await;
        let (otto, boss) = (app.account("otto", None), app.admin_account("ann"));
        let (wallet, owns) = (Wallet::new(0x71), Wallet::new(0x72));
        let held = u64::try_from(HELD).expect("small");
        chain.mint(&wallet.address.to_string(), held).await;
        let renter = wallet.browser(&app).await;
        let owner = browser(&app, &otto).await;
        let payee = owns.address.to_string();
        let body = json!({ "address": payee }).to_string();
        owner
            .send(
                http::Method::PUT,
                "/api/v1/payout-address",
                "application/json",
                body,
            )
            .await
            .ok::<Value>();
        let worker = app.fake(&otto, "one", "360").await;
        let ann = browser(&app, &boss).await;
        Self {
            chain,
            app,
            ann,
            wallet,
            renter,
            otto,
            owner,
            payee,
            worker,
        }
    }

    async fn channel(&self) -> ChannelView {
        let all: Vec<ChannelView> = self.renter.get("/api/v1/channels").await.ok();
        all.into_iter().next().expect("a channel")
    }

    async fn available(&self) -> i64 {
        let balance: BalanceView = self.renter.get("/api/v1/balance").await.ok();
        balance.available.base()
    }

    /// The wallet does that with the channel.
    async fn change(&self, address: &str, change: &Value) {
        let path = format!("/api/v1/channels/{address}/transactions");
        let proposal: Value = self.renter.post(&path, change).await.ok();
        self.wallet.sign(&self.renter, &proposal).await;
    }

    /// Opens a channel and adds to it; both are there to spend when the chain says so.
    async fn lock(&self) -> String {
        let address = self.wallet.address.to_string();
        let ask = json!({ "address": address, "amount_io": "40" });
        let proposal: Value = self.renter.post("/api/v1/channels", &ask).await.ok();
        // Nothing is there that no wallet has signed.
        let none: Value = self.renter.get("/api/v1/channels").await.ok();
        assert_eq!((none, self.available().await), (json!([]), 0));
        let sent = self.wallet.sign(&self.renter, &proposal).await;
        assert_eq!(sent["kind"], "open_channel", "{sent}");
        wait_until("it can be spent", SOON, || async {
            (self.available().await == LOCKED).then_some(())
        })
        .await;
        self.renter
            .post("/api/v1/channels", &ask)
            .await
            .refused(409);
        let channel = self.channel().await;
        assert_eq!(channel.state, ChannelState::Open);
        let more = json!({ "deed": "top_up", "amount_io": "10" });
        self.change(&channel.address, &more).await;
        wait_until("the rest can be spent, too", SOON, || async {
            (self.available().await == LOCKED + MORE).then_some(())
        })
        .await;
        let left = self.chain.holding(&address).await;
        assert_eq!(left, HELD - LOCKED - MORE);
        channel.address
    }

    /// A job of so many seconds runs and ends, and what it earned is cleared. Somebody else pays for it than the channel's owner,
    /// if so.
    async fn work(&mut self, payer: &Client, seconds: u64) {
        let body = json!({ "spec": job("work", &["true"]) });
        let made: JobView = payer.post("/api/v1/jobs", &body).await.ok();
        let path = format!("/api/v1/jobs/{}", made.summary.id);
        let a = self.worker.assignment().await;
        self.worker.started(&a).await;
        let receipts = test_support::Chain::default();
        for second in 1..=seconds {
            sleep(Duration::from_secs(1)).await;
            self.worker.beat_for(&a, &receipts, second).await;
        }
        let end = RunEnd::Exited { code: 0 };
        self.worker.end(&a, &receipts, seconds, end).await;
        wait_until("it is finished", SOON, || async {
            let now: JobView = payer.get(&path).await.ok();
            (now.summary.state == JobState::Finished).then_some(())
        })
        .await;
        wait_until("the earnings matured", SOON, || async {
            self.otto.balance().await.earned.is_zero().then_some(())
        })
        .await;
    }

    async fn vouchers(&self) -> Vec<VoucherView> {
        self.owner.get("/api/v1/vouchers").await.ok()
    }

    /// A file in the test's folder.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.app.folder().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    }

    fn node(&self) -> String {
        format!("{}/v1", self.chain.url)
    }

    /// A stranger who holds APT and pays the fee.
    async fn helper(&self) -> String {
        let helper = Wallet::new(0x73);
        let address = helper.address.to_string();
        self.chain.fund(&address, 100_000_000).await;
        self.write("key", &hex::encode(helper.key.to_bytes()))
    }
}

/// Runs the program; its exit code, and what it said.
fn iog(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary("IOG_CLI_BIN", "iog"))
        .args(arguments)
        .output()
        .expect("starts");
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("not killed");
    (code, String::from_utf8(said).expect("text"))
}

/// It ends with this code and says these words.
fn says(arguments: &[&str], code: i32, words: &str) {
    let (ended, said) = iog(arguments);
    assert!(
        ended == code && said.contains(words),
        "{arguments:?} ended with {ended} instead of {code}, or does not say {words:?}: {said}"
    );
}

#[tokio::test]
async fn an_owner_redeems_a_voucher_with_the_server_gone_and_is_paid_once() {
    for database in Database::from_env() {
        let mut street = Street::open(database).await;
        let channel = street.lock().await;
        let renter = street.renter.clone();
        street.work(&renter, 2).await;
        let vouchers = street.vouchers().await;
        let [voucher] = vouchers.as_slice() else {
            panic!("one voucher: {vouchers:?}")
        };
        assert_eq!(
            (&voucher.channel, &voucher.payee),
            (&channel, &street.payee)
        );
        let due = voucher.cumulative.base();
        let books = street.otto.balance().await;
        assert!(due > 0 && books.vouched.base() == due, "{books:?}");
        assert!(books.withdrawable.is_zero(), "{books:?}");
        // Somebody without a channel pays for the next one; that part is a payout's.
        let rita = street.app.account("rita", Some("500"));
        street.work(&rita.rest, 1).await;
        let rest = street.otto.balance().await.withdrawable.base();
        assert!(rest > 0);
        assert_eq!(street.otto.balance().await.vouched.base(), due);
        let path = format!("/api/v1/vouchers/{channel}/{}", street.payee);
        street.renter.get(&path).await.refused(404);
        let file = street.owner.get(&path).await;
        file.ok::<Value>();
        let file = street.write("voucher.json", &file.text());
        let folder = street.app.folder().to_str().expect("text").to_owned();
        let (at, key) = (street.app.url.clone(), street.otto.key.clone());
        let platform = ["--server", &at, "--api-key", &key];
        let list = [&["voucher", "list"], platform.as_slice()].concat();
        says(&list, GOOD, &channel);
        let save = [&["voucher", "save", "--to", &folder], platform.as_slice()].concat();
        says(&save, GOOD, "voucher-");

        street.app.kill_server();
        let (node, key) = (street.node(), street.helper().await);
        says(&["voucher", "verify", &file], GOOD, "its own key");
        let verify = ["voucher", "verify", &file, "--node", &node];
        says(&verify, GOOD, "Redeemed now it brings");
        let redeem = [
            "voucher",
            "redeem",
            &file,
            "--node",
            &node,
            "--key-file",
            &key,
        ];
        says(&redeem, GOOD, "with transaction 0x");
        assert_eq!(street.chain.holding(&street.payee).await, due);
        says(&redeem, GOOD, "Nothing to do");
        assert_eq!(street.chain.holding(&street.payee).await, due);
        says(&list, UNDECIDED, "does not answer");

        // Killed once more after it heard of it, and all is read again.
        for _ in 0..2 {
            street.app.start_server().await;
            wait_until("the books know", SOON, || async {
                let books = street.otto.balance().await;
                (books.vouched.is_zero() && street.channel().await.redeemed.base() == due)
                    .then_some(())
            })
            .await;
            street.app.kill_server();
            street
                .app
                .execute("UPDATE chain_cursors SET next = 0")
                .await;
        }
        street.app.start_server().await;
        in_order(&street.app, &street.chain, &street.ann).await;
        assert_eq!(street.channel().await.redeemed.base(), due);
        let books = street.otto.balance().await;
        assert!(books.vouched.is_zero() && books.withdrawable.base() == rest);
        // A payout takes the rest and not a unit of what was redeemed.
        let payout = |amount: i64| json!({ "amount": amount.to_string() });
        street
            .owner
            .post("/api/v1/payouts", &payout(rest + 1))
            .await
            .refused(422);
        let asked: PayoutView = street
            .owner
            .post("/api/v1/payouts", &payout(rest))
            .await
            .ok();
        let path = format!("/api/v1/payouts/{}", asked.id);
        wait_until("it is paid", SOON, || async {
            let now: PayoutView = street.owner.get(&path).await.ok();
            (now.state == PayoutState::Paid).then_some(())
        })
        .await;
        assert_eq!(street.chain.holding(&street.payee).await, due + rest);
        in_order(&street.app, &street.chain, &street.ann).await;

        street.close(&channel).await;
        says(&verify, BAD, "its channel is closed");
    }
}

impl Street {
    /// The wallet takes its rest back: what was locked less what its jobs cost, to the unit.
    async fn close(&self, channel: &str) {
        let before = self.available().await;
        let cost = LOCKED + MORE - before;
        let path = format!("/api/v1/channels/{channel}/transactions");
        let finish = json!({ "deed": "finish_close" });
        self.renter.post(&path, &finish).await.refused(409);
        self.change(channel, &json!({ "deed": "start_close" }))
            .await;
        wait_until(
            "what nothing promises is no more to spend",
            SOON,
            || async {
                let now = self.channel().await;
                (now.state == ChannelState::Closing && self.available().await == 0).then_some(())
            },
        )
        .await;
        let body = json!({ "spec": job("work", &["true"]) });
        let refused = self.renter.post("/api/v1/jobs", &body).await;
        assert!(!refused.status.is_success(), "{}", refused.text());
        let early = self.renter.post(&path, &finish).await.refused(409);
        assert!(early.detail.contains("can redeem until"), "{early:?}");
        // The platform hands in what the channel owes the vault.
        wait_until("all that was promised was redeemed", SOON, || async {
            let now = self.channel().await;
            (now.promised.base() == cost && now.redeemed == now.promised).then_some(())
        })
        .await;
        self.chain.advance(CHALLENGE_S + 1).await;
        self.change(channel, &finish).await;
        let closed = wait_until("it is closed", SOON, || async {
            let now = self.channel().await;
            (now.state == ChannelState::Closed).then_some(now)
        })
        .await;
        assert_eq!(closed.returned.map(Amount::base), Some(before));
        let wallet = self.wallet.address.to_string();
        assert_eq!(self.chain.holding(&wallet).await, HELD - cost);
        assert_eq!(self.available().await, 0);
        in_order(&self.app, &self.chain, &self.ann).await;
    }
}

/// What the test signs itself, for a channel that it opened without the platform.
struct Own {
    key: SigningKey,
    file: VoucherFile,
}

impl Own {
    fn write(&self, street: &Street, change: impl FnOnce(&mut VoucherFile)) -> String {
        let mut file = self.file.clone();
        change(&mut file);
        let voucher = Voucher {
            chain: file.chain,
            channel: file.channel,
            payee: file.payee,
            cumulative: file.cumulative,
        };
        file.signature = voucher.sign(&self.key).signature;
        // Only the last one is there.
        street.write("own.json", &serde_json::to_string(&file).expect("json"))
    }
}

#[tokio::test]
async fn a_voucher_that_is_not_good_is_refused_with_its_reason() {
    let street = Street::open(Database::Sqlite).await;
    let (node, key_file) = (street.node(), street.helper().await);
    let settings = street.chain.settings();
    let contract: Address = settings[2].1.parse().expect("an address");
    let aptos = Aptos::connect_alone(Settings::new(&node, 4, contract))
        .await
        .expect("connects");
    // The development account's, which is the contract's, too.
    let key = SigningKey::from_bytes(&[5; 32]);
    let public = key.verifying_key().to_bytes();
    let arguments = json!(["7", format!("0x{}", hex::encode(public)), "1000"]);
    street.chain.call("escrow::open", arguments).await;
    let channel = aptos.channel_address(contract, 7).await.expect("answers");
    let own = Own {
        key,
        file: VoucherFile {
            format: settlement::voucher::FORMAT.to_owned(),
            chain: 4,
            contract,
            channel,
            payee: street.payee.parse().expect("an address"),
            cumulative: Amount::try_from_base(600).expect("small"),
            voucher_key: Digest::from_bytes(public),
            signature: String::new(),
        },
    };
    let try_it = |file: &str, code: i32, words: &str| {
        says(&["voucher", "verify", file, "--node", &node], code, words);
        let redeem = ["voucher", "redeem", file, "--node", &node];
        let redeem = [redeem.as_slice(), &["--key-file", &key_file]].concat();
        says(&redeem, code, words);
    };

    let good = own.write(&street, |_| ());
    let text = std::fs::read_to_string(&good).expect("a file");
    let changed = street.write("changed.json", &text.replace("600", "601"));
    try_it(
        &changed,
        BAD,
        "something in it was changed, or it is forged",
    );
    let mut forged = own.file.clone();
    let other = SigningKey::from_bytes(&[6; 32]);
    forged.voucher_key = Digest::from_bytes(other.verifying_key().to_bytes());
    let by_other = Own {
        key: other,
        file: forged,
    };
    let forged = by_other.write(&street, |_| ());
    try_it(&forged, BAD, "the channel's key is another one");
    let elsewhere = own.write(&street, |file| file.chain = 1);
    try_it(&elsewhere, BAD, "it is for chain 1; this is chain 4");
    let nowhere = own.write(&street, |file| file.channel = file.payee);
    try_it(&nowhere, BAD, "the contract has no channel");
    let much = own.write(&street, |file| {
        file.cumulative = Amount::try_from_base(1_001).expect("small");
    });
    try_it(&much, BAD, "never held more than");
    let rubbish = street.write("rubbish.json", "{}");
    try_it(&rubbish, BAD, "this is no voucher");
    // Not signed, and so compared with the one that the owner trusts, and with what is there.
    let strange = own.write(&street, |file| file.contract = file.payee);
    let named = contract.to_string();
    let trusting = ["voucher", "verify", &strange, "--contract", &named];
    says(&trusting, BAD, "it is for the contract at");
    try_it(&strange, UNDECIDED, "does not hold IOG's contract");
    assert_eq!(street.chain.holding(&street.payee).await, 0);

    let good = own.write(&street, |_| ());
    let redeem = ["voucher", "redeem", &good, "--node", &node];
    let redeem = [redeem.as_slice(), &["--key-file", &key_file]].concat();
    says(&redeem, GOOD, "with transaction 0x");
    says(&redeem, GOOD, "Nothing to do");
    let older = own.write(&street, |file| {
        file.cumulative = Amount::try_from_base(599).expect("small");
    });
    try_it(&older, BAD, "which is less than the");
    assert_eq!(street.chain.holding(&street.payee).await, 600);
    // A channel that was not opened here is nobody's money here.
    assert!(street.vouchers().await.is_empty());
    in_order(&street.app, &street.chain, &street.ann).await;
}

/// The owner presses a button, and the platform pays the fee.
#[tokio::test]
async fn an_owner_has_a_voucher_redeemed_from_here_once() {
    let mut street = Street::open(Database::Sqlite).await;
    let channel = street.lock().await;
    let renter = street.renter.clone();
    street.work(&renter, 2).await;
    let [voucher] = street.vouchers().await.try_into().expect("one voucher");
    let due = voucher.cumulative.base();
    assert!(due > 0 && voucher.transaction.is_none());
    let path = format!("/api/v1/vouchers/{channel}/{}/redeem", street.payee);
    let none = json!({});
    street.renter.post(&path, &none).await.refused(404);
    let asked: VoucherView = street.owner.post(&path, &none).await.ok();
    assert!(asked.asked && asked.redeemed.is_zero());
    // Once more before it is there changes nothing.
    _ = street.owner.post(&path, &none).await;
    let transaction = wait_until("it is redeemed and has its transaction", SOON, || async {
        let [now] = street.vouchers().await.try_into().ok()?;
        let is_done = !now.asked && now.redeemed.base() == due;
        now.transaction.filter(|_| is_done)
    })
    .await;
    assert_eq!(street.chain.holding(&street.payee).await, due);
    assert!(street.otto.balance().await.vouched.is_zero());
    let again = street.owner.post(&path, &none).await.refused(409);
    assert!(again.detail.contains("is open"), "{again:?}");
    let there = street.chain.transaction(&transaction).await;
    assert_eq!(there["success"], true, "{there}");
    let function = there["payload"]["function"].as_str().unwrap_or_default();
    assert!(function.ends_with("::escrow::redeem"), "{there}");
    in_order(&street.app, &street.chain, &street.ann).await;
}
