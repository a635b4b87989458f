//! What was acknowledged stays: a process that posts transfers is killed again and again, another one sends the same keys
//! again, and at the end each is there once. And each connection is asked how sure its commits are.
//!
//! `IOG_SOAK_KILLS` and `IOG_SOAK_TRANSFERS` make it longer; scripts/soak.sh does.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod place;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kernel::{AccountId, Amount, JobId, Timestamp, TransferId};
use ledger::{BookId, Books, Transfer, chain};
use place::place;
use protocol::money::EntryKind;
use store::{ChainEnd, Store, StoreError};

/// Where the child finds its database, from which transfer on it posts, and up to which.
const CHILD: [&str; 3] = ["IOG_CRASH_URL", "IOG_CRASH_FROM", "IOG_CRASH_END"];
/// So many that were acknowledged are sent again by the next process.
const AGAIN: u64 = 20;
const ACCOUNTS: u64 = 16;

fn length(name: &str, short: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(short, |text| text.parse().unwrap())
}

/// The same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

fn book(n: u64) -> BookId {
    let n = u8::try_from(n % ACCOUNTS).unwrap();
    BookId::Available(AccountId::new(at(), [n; 10]))
}

/// The transfer with a number: first everybody gets something, then it goes round.
fn transfer(n: u64) -> Transfer {
    let (from, to, base) = if n < ACCOUNTS {
        (BookId::DemoSource, book(n), 1_000_000_000)
    } else {
        (book(n), book(n + 1 + n % 7), 1 + n % 97)
    };
    Transfer {
        key: format!("crash:{n}"),
        from,
        to,
        amount: Amount::try_from_base(i64::try_from(base).unwrap()).unwrap(),
        kind: EntryKind::Deposit,
        job: None,
    }
}

fn id(n: u64) -> TransferId {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&n.to_be_bytes());
    TransferId::new(at(), bytes)
}

/// The process that is killed: not a test of its own. Says what it tries and what is acknowledged, a line each.
#[tokio::test]
async fn child() {
    let Some([url, from, end]) = from_parent() else {
        return;
    };
    let (mut next, end): (u64, u64) = (from.parse().unwrap(), end.parse().unwrap());
    let mut dice = Dice(next);
    let store = Store::open(&url).await.unwrap();
    let mut say = std::io::stdout();
    writeln!(say).unwrap();
    while next < end {
        let last = (next + dice.roll(7)).min(end - 1);
        writeln!(say, "TRY {last}").unwrap();
        say.flush().unwrap();
        let linked: Vec<_> = (next..=last).map(|n| (id(n), transfer(n))).collect();
        let mut tx = store.begin().await.unwrap();
        tx.post_all(&linked, at()).await.unwrap();
        tx.commit().await.unwrap();
        writeln!(say, "ACK {last}").unwrap();
        say.flush().unwrap();
        next = last + 1;
    }
    store.close().await;
}

fn from_parent() -> Option<[String; 3]> {
    let [url, from, end] = CHILD.map(|name| std::env::var(name).ok());
    Some([url?, from?, end?])
}

fn start(url: &str, from: u64, end: u64) -> Child {
    let values = [url.to_owned(), from.to_string(), end.to_string()];
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .envs(CHILD.iter().zip(&values))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What a child said before it ended.
struct Said {
    acknowledged: Option<u64>,
    tried: Option<u64>,
    lines: u64,
}

/// Lets a child live until it has acknowledged so many groups and a moment longer (`None`: to its end).
fn live(mut child: Child, groups: Option<(u64, Duration)>) -> Said {
    let mut said = Said {
        acknowledged: None,
        tried: None,
        lines: 0,
    };
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = 0;
    let mut killed = false;
    // What is in the pipe still counts: it was said before the end.
    for line in out.lines() {
        let line = line.unwrap();
        let Some((word, number)) = line.split_once(' ') else {
            continue;
        };
        let number = number.parse().ok();
        match word {
            "TRY" => said.tried = number,
            "ACK" => {
                said.acknowledged = number;
                acknowledged += 1;
            }
            _ => continue,
        }
        said.lines += 1;
        if let Some((most, moment)) = groups
            && acknowledged >= most
            && !killed
        {
            std::thread::sleep(moment);
            // SIGKILL: nothing of it runs any more.
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(killed || status.success(), "the child failed: {status}");
    said
}

/// How many are posted: they are in order, so that number `n` is the last where `n + 1` are.
async fn posted(store: &Store) -> u64 {
    store
        .seq_at(Timestamp::from_millis(i64::MAX))
        .await
        .unwrap()
}

async fn killed_again_and_again(backend: &str) {
    let place = place(backend).await;
    let (kills, end) = (
        length("IOG_SOAK_KILLS", 5),
        length("IOG_SOAK_TRANSFERS", 600),
    );
    let each = (end / (kills + 1)).max(1);
    let mut dice = Dice(length("IOG_SOAK_SEED", 1));
    // Posted when the last process was dead, its last word or not.
    let mut known = 0;
    let (mut acknowledged, mut done, mut between) = (None::<u64>, 0, 0);
    while done < kills {
        let from = acknowledged.map_or(0, |last| (last + 1).saturating_sub(AGAIN));
        assert!(
            from + AGAIN < end,
            "all was posted after {done} kills of {kills}"
        );
        let groups = 1 + dice.roll((each / 4).max(1));
        let moment = Duration::from_micros(dice.roll(4_000));
        let said = live(start(&place.url, from, end), Some((groups, moment)));
        done += 1;
        acknowledged = acknowledged.max(said.acknowledged);
        let store = Store::open(&place.url).await.unwrap();
        let there = posted(&store).await;
        let lowest = acknowledged.map_or(0, |last| last + 1).max(known);
        let highest = said.tried.map_or(lowest, |last| last + 1).max(lowest);
        // All that was acknowledged; and of what was on its way, everything or nothing.
        assert!(
            there == lowest || there == highest,
            "{backend}, kill {done}: {there} are posted, {lowest} were acknowledged or seen, {highest} were sent"
        );
        between += u64::from(there == highest && highest > lowest);
        known = there;
        assert_eq!(store.sum_of_books().await.unwrap(), 0);
        store.close().await;
    }
    let from = acknowledged.map_or(0, |last| (last + 1).saturating_sub(AGAIN));
    live(start(&place.url, from, end), None);
    // And once more from the beginning: nothing is posted twice.
    live(start(&place.url, 0, end), None);
    let store = Store::open(&place.url).await.unwrap();
    compare(&store, end).await;
    store.close().await;
    println!(
        "{backend}: {end} transfers, {kills} kills, {between} of them between a commit and its word; all are there once"
    );
}

/// Against the books in memory, which saw each once.
async fn compare(store: &Store, end: u64) {
    let mut books = Books::default();
    let (mut seen, mut at_end) = (BTreeMap::new(), ChainEnd::BEGIN);
    loop {
        let page = store.transfers_after(at_end.seq, 1_000).await.unwrap();
        if page.is_empty() {
            break;
        }
        for row in page {
            let number = u64::try_from(seen.len()).unwrap();
            let stored = row.transfer().unwrap();
            assert_eq!(stored, transfer(number));
            assert!(seen.insert(row.key.clone(), row.seq).is_none());
            at_end.seq += 1;
            assert_eq!(row.seq, at_end.seq);
            at_end.hash = chain::hash(at_end.hash, row.seq, row.at, row.id, &stored);
            assert_eq!(row.hash, at_end.hash.to_string());
            books.post(&[stored]).unwrap();
        }
    }
    assert_eq!(u64::try_from(seen.len()).unwrap(), end);
    for n in 0..ACCOUNTS {
        let mut tx = store.begin().await.unwrap();
        let held = tx.balance(book(n)).await.unwrap();
        assert_eq!(held.base(), books.balance(book(n)), "{}", book(n));
    }
    assert_eq!(store.differences().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_kill_9_sqlite() {
    killed_again_and_again("sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_kill_9_postgres() {
    if std::env::var_os("IOG_TEST_POSTGRES").is_some() {
        killed_again_and_again("postgres").await;
    }
}

#[tokio::test]
async fn each_connection_keeps_what_it_acknowledged_through_a_power_loss() {
    let place = place("sqlite").await;
    let store = Store::open(&place.url).await.unwrap();
    let all = store.durability().await.unwrap();
    assert_eq!(all.len(), 9, "one that writes, eight that read");
    // WAL; 2 is FULL.
    assert!(all.iter().all(|one| one == "wal/2"), "{all:?}");
    store.close().await;
}

#[tokio::test]
async fn a_careless_postgres_is_made_sure() {
    if std::env::var_os("IOG_TEST_POSTGRES").is_none() {
        return;
    }
    let place = place("postgres").await;
    let name = place.url.rsplit_once('/').unwrap().1;
    let name = name.split('?').next().unwrap();
    let careless = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    place::run(&place.url, careless).await.unwrap();
    let store = Store::open(&place.url).await.unwrap();
    let all = store.durability().await.unwrap();
    assert_eq!(all.len(), 9);
    let sure = |one: &String| one.starts_with("on/");
    assert!(all.iter().all(sure), "{all:?}");
    store.close().await;
}

#[tokio::test]
async fn nothing_stays_of_a_posting_that_failed() {
    for backend in ["sqlite", "postgres"] {
        if backend == "postgres" && std::env::var_os("IOG_TEST_POSTGRES").is_none() {
            continue;
        }
        let place = place(backend).await;
        let store = Store::open(&place.url).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let linked: Vec<_> = (0..ACCOUNTS * 2).map(|n| (id(n), transfer(n))).collect();
        assert_eq!(tx.post_all(&linked, at()).await.unwrap(), linked.len());
        tx.commit().await.unwrap();
        let end = store.chain_end().await.unwrap();

        // The second has an id that another transfer has: the first was written by then.
        let mut tx = store.begin().await.unwrap();
        let linked = [(id(200), transfer(200)), (id(0), transfer(201))];
        tx.post_all(&linked, at()).await.unwrap_err();
        let refused = tx.commit().await.unwrap_err();
        assert!(matches!(refused, StoreError::Spoilt), "{refused}");

        // A job that there is not is noticed when the transaction ends.
        let mut tx = store.begin().await.unwrap();
        let stray = Transfer {
            job: Some(JobId::new(at(), [7; 10])),
            ..transfer(202)
        };
        tx.post_all(&[(id(202), stray)], at()).await.unwrap();
        tx.commit().await.unwrap_err();

        assert_eq!(store.chain_end().await.unwrap().hash, end.hash);
        assert_eq!(store.sum_of_books().await.unwrap(), 0);
        let mut tx = store.begin().await.unwrap();
        let again = [(id(0), transfer(0)), (id(200), transfer(200))];
        assert_eq!(tx.post_all(&again, at()).await.unwrap(), 1, "one is new");
        let mut other = transfer(0);
        other.key = transfer(1).key;
        tx.post_all(&[(id(203), other)], at()).await.unwrap_err();
        tx.commit().await.unwrap();
        assert_eq!(store.chain_end().await.unwrap().seq, end.seq + 1);
        store.close().await;
    }
}
