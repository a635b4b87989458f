//! A small exchange for the agent's tests: the worker's socket and file routes, with levers to be silent, to refuse, to go
//! away. It checks what a worker signs, and keeps all that it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use kernel::{
    AccountId, Amount, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp,
};
use metering::receipt::{countersign, hash, public_key, verify_worker};
use protocol::JobSpec;
use protocol::worker::{
    Assignment, FromWorker, Hello, LeaseClaim, PROTOCOL_VERSION, Refusal, Stream, ToWorker,
    hello_bytes,
};
use tokio::sync::mpsc;

pub const TTL_MS: u64 = 4_000;

pub struct Shared {
    pub heard: Vec<FromWorker>,
    pub hellos: Vec<Hello>,
    to_worker: Option<mpsc::UnboundedSender<ToWorker>>,
    /// Answer nothing any more, but keep the line.
    pub silent: bool,
    pub refuse: Option<Refusal>,
    /// Leases that are not acknowledged.
    pub refused: BTreeSet<LeaseId>,
    pub keep_open: bool,
    pub bundles: BTreeMap<String, Vec<u8>>,
    pub artefacts: BTreeMap<String, Vec<u8>>,
    /// Each artefact takes so long.
    pub slow_files: Duration,
    origin: String,
    node: NodeId,
}

type Door = Arc<Mutex<Shared>>;

pub struct Exchange {
    runtime: Option<tokio::runtime::Runtime>,
    pub address: SocketAddr,
    pub shared: Door,
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

impl Exchange {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let shared = Shared {
            heard: Vec::new(),
            hellos: Vec::new(),
            to_worker: None,
            silent: false,
            refuse: None,
            refused: BTreeSet::new(),
            keep_open: false,
            bundles: BTreeMap::new(),
            artefacts: BTreeMap::new(),
            slow_files: Duration::ZERO,
            origin: format!("http://{address}"),
            node: NodeId::new(at(), [7; 10]),
        };
        let mut exchange = Self {
            runtime: None,
            address,
            shared: Arc::new(Mutex::new(shared)),
        };
        exchange.serve(listener);
        exchange
    }

    fn serve(&mut self, listener: TcpListener) {
        listener.set_nonblocking(true).expect("nonblocking");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let router = Router::new()
            .route("/api/v1/worker", get(open))
            .route("/api/v1/worker/bundles/{hash}", get(bundle))
            .route("/api/v1/worker/artefacts/{lease}", put(artefact))
            .with_state(Arc::clone(&self.shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
            axum::serve(listener, router).await.expect("serve");
        });
        self.runtime = Some(runtime);
    }

    /// Like kill -9: every line breaks, and connecting is refused.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
        self.lock().to_worker = None;
    }

    pub fn restart(&mut self) {
        let bound = super::common::within(Duration::from_secs(5), || {
            TcpListener::bind(self.address)
                .map(|listener| self.serve(listener))
                .is_ok()
        });
        assert!(bound, "the port is free again");
    }

    pub fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn say(&self, message: ToWorker) {
        self.lock()
            .to_worker
            .as_ref()
            .expect("a worker is connected")
            .send(message)
            .expect("sent");
    }

    /// Waits for a message that `pick` takes; later ones of the same kind can be asked for with another `pick`.
    pub fn hear<T>(
        &self,
        limit: Duration,
        what: &str,
        mut pick: impl FnMut(&FromWorker) -> Option<T>,
    ) -> T {
        let mut found = None;
        super::common::within(limit, || {
            found = self.lock().heard.iter().find_map(&mut pick);
            found.is_some()
        });
        found.unwrap_or_else(|| {
            panic!(
                "{what} was not heard; heard: {:#?}",
                self.lock().heard.iter().rev().take(8).collect::<Vec<_>>()
            )
        })
    }

    /// The text of a lease's log, in order, each byte once.
    pub fn log(&self, of: LeaseId) -> String {
        let mut parts = BTreeMap::new();
        for message in &self.lock().heard {
            if let FromWorker::Log {
                lease,
                offset,
                stream,
                text,
                ..
            } = message
                && *lease == of
                && *stream != Stream::Note
            {
                parts.insert(*offset, text.clone());
            }
        }
        parts.into_values().collect()
    }

    /// Gives the worker a job on its first device.
    pub fn assign(&self, number: u8, epoch: u64, spec: JobSpec) -> Assignment {
        let (node, device_uuid) = {
            let shared = self.lock();
            (
                shared.node,
                shared.hellos.last().expect("hello").devices[0].uuid.clone(),
            )
        };
        let assignment = Assignment {
            lease: LeaseId::new(at(), [number; 10]),
            epoch: Epoch::new(epoch),
            job: JobId::new(at(), [number; 10]),
            account: AccountId::new(at(), [1; 10]),
            node,
            device: DeviceId::new(at(), [2; 10]),
            device_uuid,
            more_device_uuids: Vec::new(),
            checkpoint: Vec::new(),
            member: 0,
            members: 1,
            price: PricePerSecond::from_amount(Amount::try_from_base(100).expect("amount")),
            spec,
            funded: Seconds::HOUR,
            transfer_token: "transfer".into(),
            log_bytes_max: 10_000_000,
            granted_at: at(),
        };
        self.say(ToWorker::Assign(Box::new(assignment.clone())));
        assignment
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn bundle(State(door): State<Door>, Path(hash): Path<String>) -> Result<Vec<u8>, StatusCode> {
    door.lock()
        .expect("lock")
        .bundles
        .get(&hash)
        .cloned()
        .ok_or(StatusCode::NOT_FOUND)
}

async fn artefact(
    State(door): State<Door>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> StatusCode {
    let slow = door.lock().expect("lock").slow_files;
    tokio::time::sleep(slow).await;
    door.lock()
        .expect("lock")
        .artefacts
        .insert(query["path"].clone(), body.to_vec());
    StatusCode::CREATED
}

async fn open(State(door): State<Door>, upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(move |socket| async move {
        let _ = talk(door, socket).await;
    })
}

async fn send(socket: &mut WebSocket, message: &ToWorker) -> Option<()> {
    socket
        .send(Message::text(serde_json::to_string(message).ok()?))
        .await
        .ok()
}

async fn receive(socket: &mut WebSocket) -> Option<FromWorker> {
    loop {
        if let Message::Text(text) = socket.recv().await?.ok()? {
            return Some(serde_json::from_str(&text).expect("a message of the protocol"));
        }
    }
}

async fn talk(door: Door, mut socket: WebSocket) -> Option<()> {
    let nonce = "ab".repeat(32);
    send(
        &mut socket,
        &ToWorker::Challenge {
            protocol: PROTOCOL_VERSION,
            nonce: nonce.clone(),
        },
    )
    .await?;
    let FromWorker::Hello(hello) = receive(&mut socket).await? else {
        return None;
    };
    if let Some(reason) = check_hello(&door, &hello, &nonce) {
        let refused = ToWorker::Refused {
            reason,
            message: "no".into(),
        };
        send(&mut socket, &refused).await?;
        return socket.send(Message::Close(None)).await.ok();
    }
    let (sender, mut queue) = mpsc::unbounded_channel();
    let welcome = {
        let mut shared = door.lock().expect("lock");
        shared.to_worker = Some(sender);
        let welcome = ToWorker::Welcome {
            node: shared.node,
            node_name: hello.name.clone(),
            heartbeat_ms: 500,
            lease_ttl_ms: TTL_MS,
            server_down_grace_ms: 60_000,
            platform_key: "cd".repeat(32),
            telemetry: true,
            asks: Vec::new(),
        };
        shared.hellos.push(*hello);
        welcome
    };
    send(&mut socket, &welcome).await?;
    loop {
        tokio::select! {
            message = receive(&mut socket) => {
                let message = message?;
                for answer in answers(&door, message) {
                    send(&mut socket, &answer).await?;
                }
            }
            message = queue.recv() => send(&mut socket, &message?).await?,
        }
    }
}

fn check_hello(door: &Door, hello: &Hello, nonce: &str) -> Option<Refusal> {
    use ed25519_dalek::{Signature, Verifier};
    use sha2::{Digest, Sha256};
    let shared = door.lock().expect("lock");
    let token = hex::encode(Sha256::digest(
        hello.join_token.as_deref().unwrap_or_default(),
    ));
    let bytes = hello_bytes(&shared.origin, nonce, &hello.public_key, &token);
    let key = public_key(&hello.public_key).expect("key");
    let signature: [u8; 64] = hex::decode(&hello.signature)
        .expect("hex")
        .try_into()
        .expect("64 bytes");
    if key
        .verify(&bytes, &Signature::from_bytes(&signature))
        .is_err()
    {
        return Some(Refusal::Signature);
    }
    shared.refuse
}

fn answers(door: &Door, message: FromWorker) -> Vec<ToWorker> {
    let mut shared = door.lock().expect("lock");
    shared.heard.push(message.clone());
    if shared.silent {
        return Vec::new();
    }
    match message {
        FromWorker::Heartbeat { seq, leases, .. } => {
            let key = public_key(&shared.hellos.last().expect("hello").public_key).expect("key");
            for receipt in leases.iter().filter_map(|beat| beat.receipt.as_ref()) {
                verify_worker(receipt, &key).expect("the worker's signature");
            }
            let claims = leases.into_iter().map(|beat| LeaseClaim {
                lease: beat.lease,
                epoch: beat.epoch,
            });
            let (refused, renewed) =
                claims.partition(|claim| shared.refused.contains(&claim.lease));
            vec![ToWorker::Renewed {
                seq,
                renewed,
                refused,
                maintenance: false,
            }]
        }
        FromWorker::Log {
            lease,
            epoch,
            offset,
            text,
            ..
        } => {
            vec![ToWorker::LogAck {
                lease,
                epoch,
                offset: offset + text.len() as u64,
            }]
        }
        FromWorker::Ended { lease, epoch, .. } | FromWorker::Rejected { lease, epoch, .. }
            if !shared.keep_open =>
        {
            vec![ToWorker::Closed { lease, epoch }]
        }
        _ => Vec::new(),
    }
}

/// The answer to a heartbeat's receipt: countersigned.
pub fn post(receipt: &protocol::view::Receipt, worker_key: &str) -> ToWorker {
    let platform = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let worker = public_key(worker_key).expect("key");
    let posted = countersign(receipt.clone(), &worker, &platform).expect("countersigned");
    ToWorker::ReceiptPosted {
        lease: receipt.lease,
        epoch: receipt.epoch,
        seq: receipt.seq,
        hash: hash(&posted).expect("hash"),
    }
}
