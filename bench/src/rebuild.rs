//! The start of an exchange over a database of a million offers: all of its index from rows. Beside it the same rows read
//! by a plain SQLite client that makes nothing of them.

use std::sync::Arc;
use std::time::Duration;

use exchange::{Exchange, Settings, SystemClock, SystemEntropy};
use kernel::{AccountId, DeviceId, NodeId, Timestamp};
use protocol::worker::HostFacts;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rusqlite::{Connection, params};
use tokio::time::Instant;

use crate::row::{Goal, Row};

const OFFERS: u32 = 1_000_000;
/// Cards of one node.
const CARDS: u32 = 4;
const MODELS: [(&str, u32); 4] = [
    ("NVIDIA GeForce RTX 4090", 24_564),
    ("NVIDIA GeForce RTX 3090", 24_576),
    ("NVIDIA A100-SXM4-80GB", 81_920),
    ("NVIDIA H100 80GB HBM3", 81_559),
];

fn host(n: u32) -> HostFacts {
    HostFacts {
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-28-amd64".into(),
        cpus: 64,
        memory_mib: 257_800,
        disk_mib: 1_800_000,
        isolation_problems: Vec::new(),
        device_problems: Vec::new(),
        up_mbit: Some(1_000),
        down_mbit: Some(1_000),
        group: Some(format!("hall-{}", n % 2_000)),
    }
}

fn fill(path: &std::path::Path) -> rusqlite::Result<()> {
    let mut random = SmallRng::seed_from_u64(3);
    let at = Timestamp::from_millis(1_750_000_000_000);
    let mut database = Connection::open(path)?;
    database.execute_batch("PRAGMA synchronous=OFF")?;
    let tx = database.transaction()?;
    {
        let owner = AccountId::new(at, random.random()).to_string();
        tx.execute(
            "INSERT INTO accounts (id, email, name, password_hash, roles, created_at) VALUES (?1, 'o', 'o', '', 'owner', 0)",
            [&owner],
        )?;
        let mut node = tx.prepare(
            "INSERT INTO nodes (id, owner, public_key, name, country, reputation, agent_version, host, joined_at) \
             VALUES (?1, ?2, ?3, ?4, 'DE', 80, '0.1.0', ?5, ?6)",
        )?;
        let mut device = tx.prepare(
            "INSERT INTO devices (id, node, uuid, class, model, memory_mib, price, paused, present, details, rules) \
             VALUES (?1, ?2, ?3, 'gpu', ?4, ?5, ?6, 0, 1, ?7, '{}')",
        )?;
        let details = r#"{"driver":"550.54.15","cuda":"12.4","watts":450}"#;
        for n in 0..OFFERS / CARDS {
            let id = NodeId::new(at, random.random()).to_string();
            let facts = serde_json::to_string(&host(n)).expect("plain");
            node.execute(params![
                id,
                owner,
                format!("{n:064x}"),
                format!("node-{n}"),
                facts,
                0
            ])?;
            let (model, memory) = MODELS[random.random_range(0..MODELS.len())];
            for card in 0..CARDS {
                let own = DeviceId::new(at, random.random()).to_string();
                let price = random.random_range(5_000..80_000);
                let uuid = format!("GPU-{n:08x}-0000-0000-0000-{card:012x}");
                device.execute(params![own, id, uuid, model, memory, price, details])?;
            }
        }
    }
    tx.commit()
}

/// All values of all rows.
fn read(path: &std::path::Path) -> rusqlite::Result<usize> {
    let database = Connection::open(path)?;
    let mut bytes = 0;
    for sql in ["SELECT * FROM nodes", "SELECT * FROM devices"] {
        let mut statement = database.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                bytes += row.get_ref(column)?.as_str().map_or(8, str::len);
            }
        }
    }
    Ok(bytes)
}

pub async fn measure() -> Row {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("iog.db");
    let settings = Settings {
        data_dir: folder.path().to_path_buf(),
        database_url: format!("sqlite://{}", path.display()),
        // Its cards are rows, and answer nothing.
        unproven_gpus: true,
        ..Settings::default()
    };
    let open = || async {
        let from = Instant::now();
        let clock = Arc::new(SystemClock);
        let exchange = Exchange::open(settings.clone(), clock, Arc::new(SystemEntropy)).await;
        (exchange.expect("opens"), from.elapsed())
    };
    open().await.0.shutdown().await;
    fill(&path).expect("rows");
    let from = Instant::now();
    std::hint::black_box(read(&path).expect("reads"));
    let floor = from.elapsed();
    let (exchange, ours) = open().await;
    let offers = exchange.offers(&protocol::view::OfferFilter::default());
    assert_eq!(offers.expect("a list").matching, OFFERS);
    let ticks = ticks(&exchange).await;
    println!("  a tick with {OFFERS} offers and nothing to do: {ticks:.1?}");
    exchange.shutdown().await;
    Row::new(
        "market_rebuild_1m",
        "s",
        ours.as_secs_f64(),
        ("the rows read, nothing made", floor.as_secs_f64()),
        &Goal::AtMost(5.0),
    )
}

/// The median of a few ticks after the first.
async fn ticks(exchange: &Exchange) -> Duration {
    let mut times = Vec::new();
    for _ in 0..6 {
        let from = Instant::now();
        exchange.tick().await.expect("a tick");
        times.push(from.elapsed());
    }
    println!("  the first tick: {:.1?}", times[0]);
    times.sort_unstable();
    times[times.len() / 2]
}
