//! A whole exchange on a clock that only the test moves, with workers that speak the real messages.
//!
//! Runs on SQLite, and on Postgres too when `IOG_TEST_POSTGRES` names a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use exchange::{Actor, Entropy, Exchange, Settings};
use kernel::{Amount, Clock, Seconds, Timestamp};
use protocol::JobSpec;
use protocol::spec::from_toml;
use protocol::view::Role;
use settlement::Chain;
use sha2::{Digest, Sha256};

pub use crate::worker::Worker;

pub struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub struct SeededEntropy(AtomicU64);

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::SeqCst);
            piece.copy_from_slice(&Sha256::digest(n.to_be_bytes())[..piece.len()]);
        }
    }
}

pub struct World {
    pub exchange: Exchange,
    pub clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    pub settings: Settings,
    _folder: tempfile::TempDir,
}

/// The databases to run on.
pub fn backends() -> Vec<&'static str> {
    if std::env::var_os("IOG_TEST_POSTGRES").is_some() {
        vec!["sqlite", "postgres"]
    } else {
        vec!["sqlite"]
    }
}

async fn postgres_url(name: &str) -> String {
    use sqlx::Executor;
    sqlx::any::install_default_drivers();
    let admin = std::env::var("IOG_TEST_POSTGRES").expect("set");
    let pool = sqlx::AnyPool::connect(&admin)
        .await
        .expect("the test's Postgres answers");
    pool.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await
        .expect("a fresh database");
    let (base, query) = admin
        .split_once('?')
        .map_or((admin.as_str(), ""), |(base, query)| (base, query));
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    if query.is_empty() {
        format!("{server}/{name}")
    } else {
        format!("{server}/{name}?{query}")
    }
}

impl World {
    pub async fn new(backend: &str) -> Self {
        Self::with(backend, |_| {}).await
    }

    pub async fn with(backend: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let unique = format!("iog_flow_{}", hex::encode(rand::random::<[u8; 8]>()));
        let database_url = match backend {
            "postgres" => postgres_url(&unique).await,
            _ => format!("sqlite://{}/iog.db", folder.path().display()),
        };
        let mut settings = Settings {
            data_dir: folder.path().to_path_buf(),
            database_url,
            // One owner is paid at many addresses; tests of the delay set it.
            payout_address_delay: Seconds::ZERO,
            // Its workers show nothing by themselves; `proofs.rs` has those that do.
            challenges: None,
            unproven_gpus: true,
            ..Settings::default()
        };
        change(&mut settings);
        let clock = Arc::new(ManualClock(AtomicI64::new(1_795_000_000_000)));
        let entropy = Arc::new(SeededEntropy(AtomicU64::new(0)));
        let exchange = Exchange::open(settings.clone(), clock.clone(), entropy.clone())
            .await
            .expect("opens");
        Self {
            exchange,
            clock,
            entropy,
            settings,
            _folder: folder,
        }
    }

    /// As after `kill -9`: a new process over the same database.
    pub async fn crash(&mut self) {
        self.exchange = Exchange::open(
            self.settings.clone(),
            self.clock.clone(),
            self.entropy.clone(),
        )
        .await
        .expect("opens again");
    }

    /// A second process over the same database: what it commits, the first one does not hear of.
    pub async fn beside(&self) -> Self {
        let exchange = Exchange::open(
            self.settings.clone(),
            self.clock.clone(),
            self.entropy.clone(),
        )
        .await
        .expect("opens beside");
        Self {
            exchange,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            settings: self.settings.clone(),
            _folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn pass(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.0.load(Ordering::SeqCst)
    }

    pub async fn tick(&self) {
        self.exchange.tick().await.expect("a tick");
        self.exchange.look_after_checks().await.expect("a look");
    }

    pub async fn account(&self, name: &str, credit: &str) -> Actor {
        let email = format!("{name}@example.org");
        let credit =
            Some(Amount::parse_io(credit).expect("valid")).filter(|amount| !amount.is_zero());
        let roles = [Role::Requester, Role::Owner];
        self.exchange
            .admin_create_account(&email, "long enough", name, &roles, credit)
            .await
            .expect("an account");
        self.exchange
            .actor_by_email(&email)
            .await
            .expect("reads")
            .expect("exists")
    }

    /// A requester with so much money, and an owner.
    pub async fn people(&self, credit: &str) -> (Actor, Actor) {
        (
            self.account("rita", credit).await,
            self.account("otto", "0").await,
        )
    }

    /// Job and device of each lease that lives, as the database says.
    pub async fn live_leases(&self) -> Vec<(String, String)> {
        let store = store::Store::open(&self.settings.database_url)
            .await
            .expect("opens");
        let leases = store.live_leases().await.expect("reads");
        store.close().await;
        let names = |lease: &store::Lease| (lease.job.to_string(), lease.device.to_string());
        leases.iter().map(names).collect()
    }

    pub async fn sum_of_books(&self) -> i64 {
        let store = store::Store::open(&self.settings.database_url)
            .await
            .expect("opens");
        let sum = store.sum_of_books().await.expect("sums");
        store.close().await;
        sum
    }

    /// What is available becomes what can be withdrawn, as if it had been earned.
    pub async fn make_withdrawable(&self, of: &Actor, base: i64) {
        let transfer = ledger::Transfer {
            key: format!("test:earned:{}", of.account),
            from: ledger::BookId::Available(of.account),
            to: ledger::BookId::Withdrawable(of.account),
            amount: Amount::try_from_base(base).expect("in range"),
            kind: protocol::money::EntryKind::Matured,
            job: None,
        };
        self.post(transfer).await;
    }

    /// Money of the platform's own, from outside.
    pub async fn fill_treasury(&self, base: i64) {
        let transfer = ledger::Transfer {
            key: format!("test:treasury:{base}"),
            from: ledger::BookId::Outside,
            to: ledger::BookId::Treasury,
            amount: Amount::try_from_base(base).expect("in range"),
            kind: protocol::money::EntryKind::Deposit,
            job: None,
        };
        self.post(transfer).await;
    }

    async fn post(&self, transfer: ledger::Transfer) {
        let store = store::Store::open(&self.settings.database_url)
            .await
            .expect("opens");
        let now = self.clock.now();
        let id = kernel::TransferId::new(now, rand::random());
        let mut tx = store.begin().await.expect("begins");
        tx.post_all(&[(id, transfer)], now).await.expect("posts");
        tx.commit().await.expect("commits");
        store.close().await;
    }

    /// All events of a chain are read once more, as by a backup that is older than its books.
    pub async fn read_anew(&self, chain: &dyn Chain) {
        let store = store::Store::open(&self.settings.database_url)
            .await
            .expect("opens");
        let mut tx = store.begin().await.expect("begins");
        let contract = format!("{}:{}", chain.number(), chain.contract());
        assert!(tx.chain_cursor(&contract).await.expect("reads") > 0);
        tx.put_chain_cursor(&contract, 0).await.expect("writes");
        tx.commit().await.expect("commits");
        store.close().await;
    }

    pub async fn available(&self, actor: &Actor) -> i64 {
        self.exchange
            .balance(actor)
            .await
            .expect("reads")
            .available
            .base()
    }
}

pub fn spec(extra: &str) -> JobSpec {
    from_toml(&format!("name = 'test'\ncommand = ['true']\n{extra}")).expect("valid")
}
