//! A tick over a hundred thousand live leases whose workers send heartbeats: what it costs to find out that nothing is due, and
//! to go on. Beside it the bare arithmetic over as many plain rows in memory. CPU time of the process, heartbeats not counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ed25519_dalek::{Signer, SigningKey};
use exchange::{Exchange, NodeSession, Settings, SystemEntropy};
use kernel::{
    AccountId, Amount, Clock, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds,
    Timestamp,
};
use metering::Head;
use metering::receipt::sign_worker;
use protocol::spec::{DeviceClass, from_toml};
use protocol::view::Receipt;
use protocol::worker::{
    DeviceDetails, DeviceFacts, FromWorker, Hello, HostFacts, HostLoad, LeaseBeat, LeaseClaim,
    PROTOCOL_VERSION, ToWorker, hello_bytes,
};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::ledger::cpu;
use crate::row::{Goal, Row};

const LEASES: u32 = 100_000;
const CARDS: u32 = 50;
const PRICE: i64 = 25_000;
const FUNDED: i64 = 36_000;
/// A tick is every quarter of a second: four beats of each worker, and none of them is due to be posted.
const TICKS: u32 = 80;
const MODEL: &str = "NVIDIA GeForce RTX 4090";
const SERVER: &str = "http://127.0.0.1:3000";

struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct Rented {
    lease: LeaseId,
    job: JobId,
    device: DeviceId,
}

struct Worker {
    key: SigningKey,
    node: NodeId,
    rented: Vec<Rented>,
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

fn bytes(n: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[6..].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn workers() -> Vec<Worker> {
    let rented = |n: u32| Rented {
        lease: LeaseId::new(at(), bytes(n)),
        job: JobId::new(at(), bytes(n)),
        device: DeviceId::new(at(), bytes(n)),
    };
    let worker = |n: u32| Worker {
        key: SigningKey::from_bytes(&Sha256::digest(n.to_be_bytes()).into()),
        node: NodeId::new(at(), bytes(n)),
        rented: (n * CARDS..(n + 1) * CARDS).map(rented).collect(),
    };
    (0..LEASES / CARDS).map(worker).collect()
}

fn host() -> HostFacts {
    HostFacts {
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-28-amd64".into(),
        cpus: 64,
        memory_mib: 257_800,
        disk_mib: 1_800_000,
        isolation_problems: Vec::new(),
        device_problems: Vec::new(),
        up_mbit: None,
        down_mbit: None,
        group: None,
    }
}

fn uuid(device: DeviceId) -> String {
    format!("GPU-{device}")
}

fn fill(path: &std::path::Path, workers: &[Worker]) -> rusqlite::Result<()> {
    let mut database = Connection::open(path)?;
    database.execute_batch("PRAGMA synchronous=OFF")?;
    let tx = database.transaction()?;
    let [requester, owner] = [1, 2].map(|n| AccountId::new(at(), bytes(n)).to_string());
    let spec = from_toml("name = 'x'\ncommand = ['true']\n[limits]\nduration_seconds = 2592000");
    let spec = serde_json::to_string(&spec.expect("valid")).expect("plain");
    let facts = serde_json::to_string(&host()).expect("plain");
    let (since, zeros) = (at().millis(), "0".repeat(64));
    {
        for account in [&requester, &owner] {
            tx.execute(
                "INSERT INTO accounts (id, email, name, password_hash, roles, created_at) VALUES (?1, ?1, 'x', '', 'owner', 0)",
                [account],
            )?;
        }
        let mut node = tx.prepare(
            "INSERT INTO nodes (id, owner, public_key, name, country, reputation, agent_version, host, joined_at) \
             VALUES (?1, ?2, ?3, ?1, 'DE', 80, '0.1.0', ?4, 0)",
        )?;
        let mut device = tx.prepare(
            "INSERT INTO devices (id, node, uuid, class, model, memory_mib, price, paused, present, details, rules) \
             VALUES (?1, ?2, ?3, 'gpu', ?4, 24564, ?5, 0, 1, '{}', '{}')",
        )?;
        let mut job = tx.prepare(
            "INSERT INTO jobs (id, account, name, spec, state, epoch, restarts, stop_requested, created_at, started_at, members) \
             VALUES (?1, ?2, 'x', ?3, 'running', 1, 0, 0, ?4, ?4, 1)",
        )?;
        let mut hold = tx.prepare(
            "INSERT INTO holds (id, account, job, reserved, paid, released) VALUES (?1, ?2, ?3, ?4, 0, 0)",
        )?;
        let mut lease = tx.prepare(
            "INSERT INTO leases (id, job, account, epoch, node, device, owner, price, fee_requester, fee_owner, state, live, \
             funded, transfer_hash, head_seq, head_hash, seconds, head_last, charged, earned, granted_at, started_at, devices) \
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, 25, 25, 'active', 1, ?8, '', 0, ?9, 0, 0, 0, 0, ?10, ?10, ?11)",
        )?;
        let mut slot =
            tx.prepare("INSERT INTO lease_devices (lease, device, live) VALUES (?1, ?2, 1)")?;
        for worker in workers {
            let id = worker.node.to_string();
            let key = hex::encode(worker.key.verifying_key().as_bytes());
            node.execute(params![id, owner, key, facts])?;
            for one in &worker.rented {
                let (own, rented) = (one.device.to_string(), one.lease.to_string());
                let of = one.job.to_string();
                device.execute(params![own, id, uuid(one.device), MODEL, PRICE])?;
                job.execute(params![of, requester, spec, since])?;
                let held = of.replacen("job_", "hold_", 1);
                hold.execute(params![held, requester, of, FUNDED * PRICE * 2])?;
                let devices = format!("[[\"{own}\",\"{PRICE}\"]]");
                lease.execute(params![
                    rented, of, requester, id, own, owner, PRICE, FUNDED, zeros, since, devices
                ])?;
                slot.execute(params![rented, own])?;
            }
        }
    }
    tx.commit()
}

fn hello(worker: &Worker, nonce: &str) -> Hello {
    let public_key = hex::encode(worker.key.verifying_key().as_bytes());
    let token_hash = hex::encode(Sha256::digest(b""));
    let signed = hello_bytes(SERVER, nonce, &public_key, &token_hash);
    Hello {
        protocol: PROTOCOL_VERSION,
        server: SERVER.into(),
        signature: hex::encode(worker.key.sign(&signed).to_bytes()),
        public_key,
        join_token: None,
        agent_version: "bench".into(),
        name: worker.node.to_string(),
        country: Some("DE".into()),
        price: None,
        host: host(),
        devices: worker
            .rented
            .iter()
            .map(|one| DeviceFacts {
                uuid: uuid(one.device),
                class: DeviceClass::Gpu,
                model: MODEL.into(),
                memory_mib: 24_564,
                details: DeviceDetails::default(),
            })
            .collect(),
        leases: worker
            .rented
            .iter()
            .map(|one| LeaseClaim {
                lease: one.lease,
                epoch: Epoch::new(1),
            })
            .collect(),
    }
}

fn receipt(worker: &Worker, one: &Rented, seconds: u64) -> Option<Receipt> {
    let price = PricePerSecond::from_amount(Amount::try_from_base(PRICE).ok()?);
    let head = Head::default();
    let receipt = Receipt {
        lease: one.lease,
        job: one.job,
        node: worker.node,
        device: one.device,
        epoch: Epoch::new(1),
        seq: 1,
        seconds: Seconds::new(seconds),
        price,
        amount: price.times(Seconds::new(seconds)).ok()?,
        energy_mj: None,
        last: false,
        issued_at: at(),
        previous: head.hash,
        worker_signature: String::new(),
        platform_signature: None,
    };
    sign_worker(receipt, &worker.key).ok()
}

async fn beat(exchange: &Exchange, worker: &Worker, session: &NodeSession, seconds: Option<u64>) {
    let beats = worker.rented.iter().map(|one| LeaseBeat {
        lease: one.lease,
        epoch: Epoch::new(1),
        receipt: seconds.and_then(|seconds| receipt(worker, one, seconds)),
    });
    let message = FromWorker::Heartbeat {
        seq: 1,
        draining: false,
        load: HostLoad::default(),
        leases: beats.collect(),
    };
    let answers = exchange.worker_message(session, message).await;
    let answers = answers.expect("is taken");
    let renewed = |answer: &ToWorker| match answer {
        ToWorker::Renewed { renewed, .. } => renewed.len(),
        _ => 0,
    };
    let renewed: usize = answers.iter().map(renewed).sum();
    assert_eq!(renewed, worker.rented.len(), "all its leases live");
}

/// What any tick must do at least, if it looks at each: is it funded, is something to be posted?
fn floor() -> f64 {
    let rows: Vec<(u64, u64, u64)> = (0..u64::from(LEASES))
        .map(|n| (n % 60, 36_000, n % 7))
        .collect();
    let from = cpu();
    for _ in 0..TICKS {
        let due = rows.iter().filter(|(seconds, funded, head)| {
            seconds - head.min(seconds) >= 60 || seconds + 300 > *funded
        });
        std::hint::black_box(due.count());
    }
    (cpu() - from) / f64::from(TICKS) * 1e3
}

pub async fn measure() -> Row {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("iog.db");
    let settings = Settings {
        data_dir: folder.path().to_path_buf(),
        database_url: format!("sqlite://{}", path.display()),
        // Its cards are rows, and answer nothing.
        unproven_gpus: true,
        // So that all of them can come back before the first is given up.
        startup_grace_ms: 3_600_000,
        ..Settings::default()
    };
    let clock = Arc::new(ManualClock(AtomicI64::new(at().millis())));
    let open = || async {
        Exchange::open(settings.clone(), clock.clone(), Arc::new(SystemEntropy))
            .await
            .expect("opens")
    };
    open().await.shutdown().await;
    let workers = workers();
    fill(&path, &workers).expect("rows");
    let exchange = open().await;
    let mut sessions = Vec::with_capacity(workers.len());
    let mut inboxes = Vec::with_capacity(workers.len());
    for worker in &workers {
        let nonce = exchange.challenge();
        let (sender, inbox) = mpsc::channel(1_024);
        let session = exchange
            .worker_hello(&nonce, hello(worker, &nonce), sender)
            .await;
        sessions.push(session.expect("is let in"));
        inboxes.push(inbox);
    }
    clock.0.fetch_add(20_000, Ordering::SeqCst);
    for (worker, session) in workers.iter().zip(&sessions) {
        beat(&exchange, worker, session, Some(15)).await;
    }
    for _ in 0..4 {
        exchange.tick().await.expect("a tick");
    }
    let (mut all, mut most) = (0.0_f64, 0.0_f64);
    for tick in 0..TICKS {
        clock.0.fetch_add(250, Ordering::SeqCst);
        if tick % 4 == 0 {
            for (worker, session) in workers.iter().zip(&sessions) {
                beat(&exchange, worker, session, None).await;
            }
        }
        let from = cpu();
        exchange.tick().await.expect("a tick");
        let spent = cpu() - from;
        all += spent;
        most = most.max(spent);
    }
    println!(
        "  the dearest of {TICKS} ticks over {LEASES} live leases: {:.2} ms",
        most * 1e3
    );
    exchange.shutdown().await;
    Row::new(
        "billing_tick_100k",
        "ms",
        all / f64::from(TICKS) * 1e3,
        ("arithmetic over plain rows", floor()),
        &Goal::AtMost(2.5),
    )
}
