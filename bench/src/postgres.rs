//! The ledger beside Postgres as a payments service would use it by hand: transfers in sets of a thousand, each set one
//! transaction that writes its rows and changes its balances, and that is on the disk when its commit is answered. Neither keys
//! that came before nor sequences nor hashes are looked after there; ours does all that.
//!
//! Each way of writing has a server of its own, so that the time of the processes which write log and pages is its own too.
//! Of these servers only their own processes count, of ours the whole process with what a client does. What Postgres can put off
//! (vacuum) is not counted; what is in memory or log only is brought into the tables at the end, and that time of the processors
//! is counted for all. The wall clock counts one set after the other as a single client sees it: for ours with that end, for
//! Postgres without it, as other processes do that there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, query, query_as};
use store::Store;
use tokio::time::Instant;

use crate::ledger::{ACCOUNTS, GROUP, GROUPS, at, book, cpu, parties, post, transfer};
use crate::row::{Goal, Row};

/// Of a transfer by hand.
const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tables {
    /// The store's, with all their indexes and constraints.
    Same,
    /// Two that one would think of first: numbers for names, no index for reading them by account.
    Plain,
}

/// How rows come into the table of transfers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Copy,
    /// A statement for the set, a parameter for each column.
    Unnest,
    /// A prepared statement for each transfer, and one for each of its two balances.
    Single,
}

/// What each is called in its server's logs and in the table.
const WAYS: [(&str, &str, Tables, How); 5] = [
    (
        "bench-unnest",
        "Postgres, UNNEST",
        Tables::Same,
        How::Unnest,
    ),
    ("bench-copy", "Postgres, COPY", Tables::Same, How::Copy),
    (
        "bench-single",
        "Postgres, row by row",
        Tables::Same,
        How::Single,
    ),
    (
        "bench-plain",
        "Postgres, COPY, plain tables",
        Tables::Plain,
        How::Copy,
    ),
    (
        "bench-plain-single",
        "Postgres, row by row, plain tables",
        Tables::Plain,
        How::Single,
    ),
];

/// Half of each page is left free, so that a changed balance stays on its page.
const PLAIN: &str = "CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL, CHECK (balance >= 0 OR id = 0)) \
                     WITH (fillfactor = 50); \
                     CREATE TABLE transfers (id BIGINT PRIMARY KEY, key TEXT NOT NULL UNIQUE, \
                     debit BIGINT NOT NULL REFERENCES accounts, credit BIGINT NOT NULL REFERENCES accounts, \
                     amount BIGINT NOT NULL CHECK (amount > 0), at BIGINT NOT NULL)";

/// A server that this program has started.
struct Server {
    script: Child,
    socket: PgConnectOptions,
    process: u32,
}

impl Server {
    fn start(name: &str) -> Result<Self, String> {
        let mut script = Command::new("bash")
            .args(["scripts/bench-postgres.sh", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("bash: {error}"))?;
        let mut line = String::new();
        let said = script.stdout.take().expect("is piped");
        BufReader::new(said).read_line(&mut line).expect("reads");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [folder, port, process] = words[..] else {
            let mut why = String::new();
            let told = script.stderr.as_mut().expect("is piped");
            told.read_to_string(&mut why).expect("reads");
            script.wait().expect("ends");
            return Err(why.trim().trim_start_matches("error: ").to_owned());
        };
        Ok(Self {
            socket: PgConnectOptions::new_without_pgpass()
                .socket(folder)
                .port(port.parse().expect("a port"))
                .username("iog")
                .database("iog"),
            process: process.parse().expect("a process"),
            script,
        })
    }

    /// CPU seconds of each of its processes.
    fn cpu(&self) -> BTreeMap<u32, f64> {
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").expect("reads").flatten() {
            let Some(process) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // The name in parentheses can hold anything.
            let Some((_, stat)) = stat.rsplit_once(") ") else {
                continue;
            };
            let words: Vec<&str> = stat.split(' ').collect();
            let word = |n: usize| words.get(n).and_then(|word| word.parse::<u32>().ok());
            let (Some(parent), Some(user), Some(system)) = (word(1), word(11), word(12)) else {
                continue;
            };
            if parent == self.process || process == self.process {
                // Linux tells these in hundredths of a second, whatever it counts in.
                all.insert(process, f64::from(user + system) / 100.0);
            }
        }
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        _ = self.script.wait();
    }
}

struct Peer {
    name: &'static str,
    tables: Tables,
    how: How,
    connection: PgConnection,
    server: Server,
    before: BTreeMap<u32, f64>,
    cpu: f64,
    wall: f64,
}

impl Peer {
    async fn start(
        (logs, name, tables, how): (&str, &'static str, Tables, How),
    ) -> Result<Self, String> {
        let server = Server::start(logs)?;
        let why = |error: sqlx::Error| error.to_string();
        let mut connection = PgConnection::connect_with(&server.socket)
            .await
            .map_err(why)?;
        let sure: (String, String, String) = query_as(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes')",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(why)?;
        assert_eq!(
            [sure.0.as_str(), &sure.1, &sure.2],
            ["on"; 3],
            "a commit is on the disk"
        );
        match tables {
            Tables::Same => {
                let url = server.socket.to_url_lossy();
                let store = Store::open(url.as_str()).await;
                store.map_err(|error| error.to_string())?.close().await;
                query("ALTER TABLE books SET (fillfactor = 50)")
                    .execute(&mut connection)
                    .await
                    .map_err(why)?;
            }
            Tables::Plain => {
                sqlx::raw_sql(PLAIN)
                    .execute(&mut connection)
                    .await
                    .map_err(why)?;
            }
        }
        let mut peer = Self {
            name,
            tables,
            how,
            connection,
            server,
            before: BTreeMap::new(),
            cpu: 0.0,
            wall: 0.0,
        };
        peer.open_books().await.map_err(why)?;
        Ok(peer)
    }

    async fn open_books(&mut self) -> sqlx::Result<()> {
        let insert = match self.tables {
            Tables::Same => {
                "INSERT INTO books (id, balance, may_be_negative) SELECT $1, 0, $2 ON CONFLICT DO NOTHING"
            }
            Tables::Plain => "INSERT INTO accounts (id, balance) SELECT CAST($1 AS BIGINT), 0 * $2",
        };
        for account in 0..=ACCOUNTS {
            query(insert)
                .bind(self.name_of(account))
                .bind(i64::from(account == 0))
                .execute(&mut self.connection)
                .await?;
        }
        query("VACUUM ANALYZE")
            .execute(&mut self.connection)
            .await
            .map(|_| ())
    }

    fn name_of(&self, account: u32) -> String {
        match self.tables {
            Tables::Same => book(account).to_string(),
            Tables::Plain => account.to_string(),
        }
    }

    async fn post(&mut self, from: u32) -> sqlx::Result<()> {
        let begun = Instant::now();
        query("BEGIN").execute(&mut self.connection).await?;
        match self.how {
            How::Copy => self.copy(from).await?,
            How::Unnest => self.unnest(from).await?,
            How::Single => self.single(from).await?,
        }
        if self.how != How::Single {
            self.balances(from).await?;
        }
        query("COMMIT").execute(&mut self.connection).await?;
        self.wall += begun.elapsed().as_secs_f64();
        Ok(())
    }

    async fn copy(&mut self, from: u32) -> sqlx::Result<()> {
        let (mut text, at) = (String::new(), at().millis());
        for n in from..from + GROUP {
            let (id, transfer) = transfer(n);
            let (key, base) = (&transfer.key, transfer.amount.base());
            _ = match self.tables {
                Tables::Same => writeln!(
                    text,
                    "{id}\t{key}\t{}\t{}\t{base}\t{}\t\\N\t{at}\t{}\t0\t0\t{HASH}",
                    transfer.from,
                    transfer.to,
                    transfer.kind.as_str(),
                    n + 1
                ),
                Tables::Plain => {
                    let (give, take, _) = parties(n);
                    writeln!(text, "{n}\t{key}\t{give}\t{take}\t{base}\t{at}")
                }
            };
        }
        let columns = match self.tables {
            Tables::Same => {
                "id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash"
            }
            Tables::Plain => "id, key, debit, credit, amount, at",
        };
        let mut copy = self
            .connection
            .copy_in_raw(&format!("COPY transfers ({columns}) FROM STDIN"))
            .await?;
        copy.send(text.into_bytes()).await?;
        copy.finish().await.map(|_| ())
    }

    /// Into the store's tables.
    async fn unnest(&mut self, from: u32) -> sqlx::Result<()> {
        let (mut ids, mut keys, mut give, mut take, mut amounts) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for n in from..from + GROUP {
            let (id, transfer) = transfer(n);
            ids.push(id.to_string());
            keys.push(transfer.key);
            give.push(transfer.from.to_string());
            take.push(transfer.to.to_string());
            amounts.push(transfer.amount.base());
        }
        let insert = query(
            "INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash) \
             SELECT t.id, t.key, t.give, t.take, t.amount, $6, NULL, $7, $8 + t.n, 0, 0, $9 \
             FROM UNNEST($1, $2, $3, $4, $5) WITH ORDINALITY AS t (id, key, give, take, amount, n)",
        );
        insert
            .bind(ids)
            .bind(keys)
            .bind(give)
            .bind(take)
            .bind(amounts)
            .bind(transfer(from).1.kind.as_str())
            .bind(at().millis())
            .bind(i64::from(from))
            .bind(HASH)
            .execute(&mut self.connection)
            .await
            .map(|_| ())
    }

    async fn single(&mut self, from: u32) -> sqlx::Result<()> {
        for n in from..from + GROUP {
            match self.tables {
                Tables::Same => self.single_same(n).await?,
                Tables::Plain => self.single_plain(n).await?,
            }
        }
        Ok(())
    }

    async fn single_same(&mut self, n: u32) -> sqlx::Result<()> {
        let (id, transfer) = transfer(n);
        let base = transfer.amount.base();
        let (give, take) = (transfer.from.to_string(), transfer.to.to_string());
        let insert = query(
            "INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, NULL, $7, $8, 0, 0, $9)",
        );
        insert
            .bind(id.to_string())
            .bind(&transfer.key)
            .bind(&give)
            .bind(&take)
            .bind(base)
            .bind(transfer.kind.as_str())
            .bind(at().millis())
            .bind(i64::from(n) + 1)
            .bind(HASH)
            .execute(&mut self.connection)
            .await?;
        for (book, more) in [(give, -base), (take, base)] {
            query("UPDATE books SET balance = balance + $2 WHERE id = $1")
                .bind(book)
                .bind(more)
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    async fn single_plain(&mut self, n: u32) -> sqlx::Result<()> {
        let (give, take, base) = parties(n);
        let insert = query(
            "INSERT INTO transfers (id, key, debit, credit, amount, at) VALUES ($1, $2, $3, $4, $5, $6)",
        );
        insert
            .bind(i64::from(n))
            .bind(transfer(n).1.key)
            .bind(i64::from(give))
            .bind(i64::from(take))
            .bind(base)
            .bind(at().millis())
            .execute(&mut self.connection)
            .await?;
        for (account, more) in [(give, -base), (take, base)] {
            query("UPDATE accounts SET balance = balance + $2 WHERE id = $1")
                .bind(i64::from(account))
                .bind(more)
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    /// Each book of the set once, by what all its transfers together change.
    async fn balances(&mut self, from: u32) -> sqlx::Result<()> {
        let mut more: BTreeMap<u32, i64> = BTreeMap::new();
        for n in from..from + GROUP {
            let (give, take, base) = parties(n);
            *more.entry(give).or_default() -= base;
            *more.entry(take).or_default() += base;
        }
        let amounts: Vec<i64> = more.values().copied().collect();
        let done = match self.tables {
            Tables::Same => {
                let names: Vec<String> = more.keys().map(|account| self.name_of(*account)).collect();
                query("UPDATE books SET balance = balance + m.amount FROM UNNEST($1, $2) AS m (id, amount) WHERE books.id = m.id")
                    .bind(names)
            }
            Tables::Plain => {
                let names: Vec<i64> = more.keys().map(|account| i64::from(*account)).collect();
                query("UPDATE accounts SET balance = balance + m.amount FROM UNNEST($1, $2) AS m (id, amount) WHERE accounts.id = m.id")
                    .bind(names)
            }
        }
        .bind(amounts)
        .execute(&mut self.connection)
        .await?;
        assert_eq!(done.rows_affected(), more.len() as u64, "each is there");
        Ok(())
    }

    async fn checkpoint(&mut self) -> sqlx::Result<()> {
        query("CHECKPOINT")
            .execute(&mut self.connection)
            .await
            .map(|_| ())
    }

    /// From here on it counts.
    fn begin(&mut self) {
        self.before = self.server.cpu();
        self.wall = 0.0;
    }

    async fn end(&mut self) -> sqlx::Result<()> {
        self.checkpoint().await?;
        let after = self.server.cpu();
        // Those that were there all the time: not the workers of autovacuum.
        let spent = self
            .before
            .iter()
            .filter_map(|(process, before)| Some(after.get(process)? - before));
        self.cpu = spent.sum();
        let books = match self.tables {
            Tables::Same => "books",
            Tables::Plain => "accounts",
        };
        let sql = format!(
            "SELECT (SELECT CAST(SUM(balance) AS BIGINT) FROM {books}), (SELECT COUNT(*) FROM transfers)"
        );
        let (sum, count): (i64, i64) = query_as(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut self.connection)
            .await?;
        assert_eq!((sum, count), (0, i64::from(ACCOUNTS + GROUPS * GROUP)));
        Ok(())
    }
}

/// Both rows, or why there is no Postgres to measure.
pub async fn measure() -> Result<[Row; 2], String> {
    let mut peers = Vec::new();
    for way in WAYS {
        peers.push(Peer::start(way).await?);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("ours.db").display());
    let store = Store::open(&url).await.expect("opens");
    let first = ACCOUNTS / GROUP;
    for group in 0..first {
        post(&store, group * GROUP, GROUP).await;
        for peer in &mut peers {
            peer.post(group * GROUP).await.expect("posts");
        }
    }
    for peer in &mut peers {
        peer.checkpoint().await.expect("writes all");
        peer.begin();
    }
    // In turn, so that all meet the same machine.
    let (mut cpu_ours, mut wall_ours) = (0.0, 0.0);
    for group in first..first + GROUPS {
        let (from, begun) = (cpu(), Instant::now());
        post(&store, group * GROUP, GROUP).await;
        wall_ours += begun.elapsed().as_secs_f64();
        cpu_ours += cpu() - from;
        for peer in &mut peers {
            peer.post(group * GROUP).await.expect("posts");
        }
    }
    let (from, begun) = (cpu(), Instant::now());
    store.close().await;
    wall_ours += begun.elapsed().as_secs_f64();
    cpu_ours += cpu() - from;
    for peer in &mut peers {
        peer.end().await.expect("is right");
    }
    let all = f64::from(GROUPS * GROUP);
    println!("  {all} transfers in sets of {GROUP}, each set a commit on the disk:");
    let line = |name: &str, wall: f64, cpu: f64| {
        println!(
            "  {name:<40} {:>8.0}/s of wall time, {:>8.0} a CPU second",
            all / wall,
            all / cpu
        );
    };
    line("ours", wall_ours, cpu_ours);
    for peer in &peers {
        line(peer.name, peer.wall, peer.cpu);
    }
    // By each measure beside what is best by it.
    let best = |of: fn(&Peer) -> f64| {
        let best = peers.iter().min_by(|a, b| of(a).total_cmp(&of(b)));
        best.map_or(("Postgres", f64::NAN), |peer| (peer.name, all / of(peer)))
    };
    let goal = Goal::RatioAtLeast(5.0);
    Ok([
        Row::new(
            "ledger_postgres",
            "/s",
            all / wall_ours,
            best(|peer| peer.wall),
            &goal,
        ),
        Row::new(
            "ledger_postgres_cpu",
            "/cpu s",
            all / cpu_ours,
            best(|peer| peer.cpu),
            &goal,
        ),
    ])
}
