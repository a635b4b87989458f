//! Durable transfers: posted through the store in linked groups of a thousand, with keys, balances, numbers and hashes, beside
//! the same rows written by a plain SQLite client that checks nothing. Both commit each group with `synchronous=FULL` into the
//! same schema, and bring their logs into the database at the end. What counts is CPU time; the wall clock of a shared disk says
//! little.
//!
//! The plain client is a process of its own, since CPU time is counted by process. It adds to both books of each transfer, as
//! one does who keeps no books in mind: some 2,000 writes a group where ours writes each of some 1,400 books once.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use kernel::{AccountId, Amount, Timestamp, TransferId};
use ledger::{BookId, Transfer};
use protocol::money::EntryKind;
use rusqlite::{Connection, params};
use rustix::time::{ClockId, clock_gettime};
use store::Store;
use tokio::time::Instant;

use crate::row::{Goal, Row};

pub const GROUP: u32 = 1_000;
pub const GROUPS: u32 = 120;
pub const ACCOUNTS: u32 = 2_000;
/// One by one, to see what a group saves.
const SINGLE: u32 = 400;

/// The first word of the plain client's command line; the second is its database, the third its settings beside those
/// that make it as durable as ours.
pub const PLAIN: &str = "plain-sqlite";
const AS_IT_COMES: &str = "PRAGMA foreign_keys=ON";
/// CPU time of all threads of this process, seconds.
pub fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of a benchmark, far below 2^52"
    )]
    let (seconds, rest) = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds + rest / 1e9
}

pub fn at() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

fn bytes(n: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[6..].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// Account 0 is where demo money comes from.
pub fn book(account: u32) -> BookId {
    match account.checked_sub(1) {
        Some(n) => BookId::Available(AccountId::new(at(), bytes(n))),
        None => BookId::DemoSource,
    }
}

/// From which account to which, and how much. The first give everybody something, the others go round.
pub fn parties(n: u32) -> (u32, u32, i64) {
    let account = |n: u32| 1 + n % ACCOUNTS;
    if n < ACCOUNTS {
        (0, account(n), 1_000_000_000)
    } else {
        let other = n.wrapping_mul(2_654_435_761) >> 8;
        (
            account(n),
            account(n + 1 + other % (ACCOUNTS - 1)),
            1 + i64::from(n % 97),
        )
    }
}

pub fn transfer(n: u32) -> (TransferId, Transfer) {
    let (from, to, base) = parties(n);
    let transfer = Transfer {
        key: format!("bench:{n}"),
        from: book(from),
        to: book(to),
        amount: Amount::try_from_base(base).unwrap_or_default(),
        kind: EntryKind::Charge,
        job: None,
    };
    (TransferId::new(at(), bytes(n)), transfer)
}

pub async fn post(store: &Store, from: u32, count: u32) {
    let linked: Vec<_> = (from..from + count).map(transfer).collect();
    let mut tx = store.begin().await.expect("begins");
    let new = tx.post_all(&linked, at()).await.expect("posts");
    assert_eq!(new, linked.len(), "each is new");
    tx.commit().await.expect("commits");
}

/// A group by a plain client: the row, and its two balances.
fn raw(database: &mut Connection, from: u32, count: u32) -> rusqlite::Result<()> {
    let tx = database.transaction()?;
    {
        let mut insert = tx.prepare_cached(
            "INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, ?8, 0, 0, ?9)",
        )?;
        let mut add = tx.prepare_cached(
            "INSERT INTO books (id, balance, may_be_negative) VALUES (?1, ?2, 1) \
             ON CONFLICT (id) DO UPDATE SET balance = balance + ?2",
        )?;
        let hash = "0".repeat(64);
        for n in from..from + count {
            let (id, transfer) = transfer(n);
            let (give, take) = (transfer.from.to_string(), transfer.to.to_string());
            let base = transfer.amount.base();
            // The books first, as rows of transfers name them.
            add.execute(params![give, -base])?;
            add.execute(params![take, base])?;
            insert.execute(params![
                id.to_string(),
                transfer.key,
                give,
                take,
                base,
                transfer.kind.as_str(),
                at().millis(),
                n + 1,
                hash
            ])?;
        }
    }
    tx.commit()
}

/// Writes the group whose first transfer each line of its input names, and answers with the CPU seconds that it took.
pub fn plain(words: &[String]) -> rusqlite::Result<()> {
    let path = words.get(1).expect("a database");
    let mut database = Connection::open(path)?;
    database.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")?;
    database.execute_batch(words.get(2).expect("settings"))?;
    for line in std::io::stdin().lines() {
        let first = line.expect("a line").parse().expect("a number");
        let from = cpu();
        raw(&mut database, first, GROUP)?;
        println!("{}", cpu() - from);
    }
    let from = cpu();
    database.close().map_err(|(_, error)| error)?;
    println!("{}", cpu() - from);
    Ok(())
}

struct Plain {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Plain {
    fn start(path: &Path, settings: &str) -> Self {
        let own = std::env::current_exe().expect("this program");
        let mut process = Command::new(own)
            .arg(PLAIN)
            .arg(path)
            .arg(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let answers = BufReader::new(process.stdout.take().expect("is piped"));
        Self { process, answers }
    }

    fn post(&mut self, from: u32) -> f64 {
        let asked = self.process.stdin.as_mut().expect("is piped");
        writeln!(asked, "{from}").expect("is heard");
        self.seconds()
    }

    fn seconds(&mut self) -> f64 {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("answers");
        answer.trim().parse().expect("seconds")
    }

    /// Closes its database.
    fn end(mut self) -> f64 {
        drop(self.process.stdin.take());
        let seconds = self.seconds();
        assert!(
            self.process.wait().is_ok_and(|how| how.success()),
            "posted all"
        );
        seconds
    }
}

pub async fn measure() -> Row {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let url = |path: &Path| format!("sqlite://{}", path.display());
    // The same schema, indexes and triggers for all.
    for name in ["raw.db", "tuned.db"] {
        let plain = Store::open(&url(&path(name))).await.expect("opens");
        plain.close().await;
    }
    let ours = url(&path("ours.db"));
    let store = Store::open(&ours).await.expect("opens");
    let mut peer = Plain::start(&path("raw.db"), AS_IT_COMES);
    let mut tuned = Plain::start(
        &path("tuned.db"),
        &store::sqlite_settings(store::WRITER_CACHE_KIB),
    );
    let first = ACCOUNTS / GROUP;
    for group in 0..first {
        post(&store, group * GROUP, GROUP).await;
        peer.post(group * GROUP);
        tuned.post(group * GROUP);
    }
    // In turn, so that both meet the same machine.
    let (mut cpu_ours, mut cpu_raw, mut cpu_tuned) = (0.0, 0.0, 0.0);
    let begun = Instant::now();
    for group in first..first + GROUPS {
        let from = cpu();
        post(&store, group * GROUP, GROUP).await;
        cpu_ours += cpu() - from;
        cpu_raw += peer.post(group * GROUP);
        cpu_tuned += tuned.post(group * GROUP);
    }
    // What is in the log only is brought into the database at the end, by each as much as it had put off.
    let from = cpu();
    store.close().await;
    cpu_ours += cpu() - from;
    cpu_raw += peer.end();
    cpu_tuned += tuned.end();
    let together = begun.elapsed();
    let store = Store::open(&ours).await.expect("opens");
    let next = (first + GROUPS) * GROUP;
    let begun = Instant::now();
    for n in 0..SINGLE {
        post(&store, next + n, 1).await;
    }
    let single = f64::from(SINGLE) / begun.elapsed().as_secs_f64();
    assert_eq!(store.sum_of_books().await.ok(), Some(0));
    store.close().await;
    let all = f64::from(GROUPS * GROUP);
    println!(
        "  {all} transfers in groups of {GROUP}, three times, took {together:.1?} of wall time; one by one ours commits {single:.0}/s\n  \
         raw SQLite with our settings: {:.0} a CPU second, ours is {:.2} of it",
        all / cpu_tuned,
        cpu_tuned / cpu_ours
    );
    Row::new(
        "ledger_durable",
        "/cpu s",
        all / cpu_ours,
        ("raw SQLite, the same rows", all / cpu_raw),
        &Goal::RatioAtLeast(1.0),
    )
}
