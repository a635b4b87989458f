//! The tests' worker: it speaks the real messages, and says what the test wants.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use exchange::{Actor, Error, NodeSession};
use kernel::{Amount, Energy, Epoch, LeaseId, PricePerSecond, Seconds, Timestamp};
use metering::Head;
use metering::receipt::sign_worker;
use protocol::spec::DeviceClass;
use protocol::state::RunEnd;
use protocol::view::Receipt;
use protocol::worker::{
    Assignment, DeviceFacts, FromWorker, Hello, HostFacts, HostLoad, LeaseBeat, LeaseClaim,
    PROTOCOL_VERSION, Refusal, ToWorker, hello_bytes,
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::world::World;

/// One lease as its worker runs it.
pub struct Run {
    pub assignment: Assignment,
    pub head: Head,
    pub seconds: u64,
    pub funded: u64,
    pub watts: Option<u64>,
}

impl Run {
    fn receipt(&self, key: &SigningKey, last: bool) -> Option<Receipt> {
        let a = &self.assignment;
        let seconds = Seconds::new(self.seconds);
        (self.seconds > 0).then(|| {
            let receipt = Receipt {
                lease: a.lease,
                job: a.job,
                node: a.node,
                device: a.device,
                epoch: a.epoch,
                seq: self.head.seq + 1,
                seconds,
                price: a.price,
                amount: a.price.times(seconds).expect("in range"),
                energy_mj: self
                    .watts
                    .map(|watts| Energy::try_new(self.seconds * watts * 1_000).expect("in range")),
                last,
                issued_at: Timestamp::from_millis(0),
                previous: self.head.hash.clone(),
                worker_signature: String::new(),
                platform_signature: None,
            };
            sign_worker(receipt, key).expect("signs")
        })
    }
}

/// A worker that does what the protocol says, by hand.
pub struct Worker {
    pub key: SigningKey,
    pub name: String,
    pub price: i64,
    pub group: Option<String>,
    pub country: &'static str,
    pub devices: usize,
    /// What its receipts tell of its energy.
    pub watts: Option<u64>,
    /// Of each: class, model, memory.
    pub device: (DeviceClass, &'static str, u64),
    /// What its devices' UUIDs begin with, when not with its name.
    pub uuid: Option<String>,
    pub session: Option<NodeSession>,
    inbox: mpsc::Receiver<ToWorker>,
    pub runs: Vec<Run>,
    pub seen: Vec<ToWorker>,
    /// The most seconds that it delivered under each lease, whatever became of them.
    pub delivered: BTreeMap<LeaseId, u64>,
    beats: u64,
}

impl Worker {
    pub fn new(n: u8, price: i64) -> Self {
        Self::of([n; 32], format!("worker-{n}"), price)
    }

    /// One of many.
    pub fn numbered(n: usize, price: i64) -> Self {
        let key = Sha256::digest(n.to_be_bytes());
        Self::of(key.into(), format!("worker-{n}"), price)
    }

    fn of(key: [u8; 32], name: String, price: i64) -> Self {
        Self {
            key: SigningKey::from_bytes(&key),
            name,
            price,
            group: None,
            country: "CH",
            devices: 1,
            watts: None,
            device: (DeviceClass::Cpu, "Test CPU", 8_000),
            uuid: None,
            session: None,
            inbox: mpsc::channel(1).1,
            runs: Vec::new(),
            seen: Vec::new(),
            delivered: BTreeMap::new(),
            beats: 0,
        }
    }

    pub fn hello(&self, nonce: &str, token: Option<&str>) -> Hello {
        let server = "http://127.0.0.1:3000";
        let public_key = hex::encode(self.key.verifying_key().as_bytes());
        let token_hash = hex::encode(Sha256::digest(token.unwrap_or("").as_bytes()));
        let signature = self
            .key
            .sign(&hello_bytes(server, nonce, &public_key, &token_hash));
        Hello {
            protocol: PROTOCOL_VERSION,
            public_key,
            server: server.into(),
            signature: hex::encode(signature.to_bytes()),
            join_token: token.map(str::to_owned),
            agent_version: "test".into(),
            name: self.name.clone(),
            country: Some(self.country.into()),
            // None: its owner named no price.
            price: (self.price > 0).then(|| {
                PricePerSecond::from_amount(Amount::try_from_base(self.price).expect("in range"))
            }),
            host: HostFacts {
                os: "Debian".into(),
                kernel: "6".into(),
                cpus: 4,
                memory_mib: 8_000,
                disk_mib: 50_000,
                isolation_problems: vec![],
                device_problems: Vec::new(),
                up_mbit: None,
                down_mbit: None,
                group: self.group.clone(),
            },
            devices: (0..self.devices)
                .map(|n| DeviceFacts {
                    uuid: match &self.uuid {
                        Some(uuid) => format!("{uuid}-{n}"),
                        None => format!("CPU-{}-{n}", self.name),
                    },
                    class: self.device.0,
                    model: self.device.1.into(),
                    memory_mib: self.device.2,
                    details: protocol::worker::DeviceDetails::default(),
                })
                .collect(),
            leases: self
                .runs
                .iter()
                .map(|run| LeaseClaim {
                    lease: run.assignment.lease,
                    epoch: run.assignment.epoch,
                })
                .collect(),
        }
    }

    pub async fn connect(
        &mut self,
        world: &World,
        token: Option<&str>,
    ) -> Result<(), (Refusal, String)> {
        let nonce = world.exchange.challenge();
        let (sender, inbox) = mpsc::channel(128);
        let session = world
            .exchange
            .worker_hello(&nonce, self.hello(&nonce, token), sender)
            .await?;
        self.session = Some(session);
        self.inbox = inbox;
        self.beats = 0;
        Ok(())
    }

    pub async fn join(&mut self, world: &World, owner: &Actor) {
        let token = world
            .exchange
            .create_join_token(owner)
            .await
            .expect("a token");
        self.connect(world, Some(&token.token))
            .await
            .expect("enrols");
        self.beat(world).await;
    }

    pub async fn disconnect(&mut self, world: &World) {
        if let Some(session) = self.session.take() {
            world.exchange.worker_gone(&session).await;
        }
    }

    pub async fn send(&mut self, world: &World, message: FromWorker) -> Result<(), Error> {
        let Some(session) = self.session.clone() else {
            return Ok(());
        };
        for answer in world.exchange.worker_message(&session, message).await? {
            self.take(answer);
        }
        self.read();
        Ok(())
    }

    /// Takes what the platform pushed.
    pub fn read(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
    }

    fn take(&mut self, message: ToWorker) {
        match &message {
            ToWorker::Assign(assignment) => self.runs.push(Run {
                assignment: (**assignment).clone(),
                head: Head::default(),
                seconds: 0,
                funded: assignment.funded.get(),
                watts: self.watts,
            }),
            ToWorker::ReceiptPosted {
                lease, seq, hash, ..
            } => {
                if let Some(run) = self.run(*lease) {
                    run.head.seq = *seq;
                    run.head.hash.clone_from(hash);
                }
            }
            ToWorker::Fund { lease, funded, .. } => {
                let funded = funded.get();
                if let Some(run) = self.run(*lease) {
                    run.funded = funded;
                }
            }
            ToWorker::Closed { lease, .. } | ToWorker::LeaseRefused { lease, .. } => {
                let lease = *lease;
                self.runs.retain(|run| run.assignment.lease != lease);
            }
            ToWorker::Renewed { refused, .. } => {
                self.runs.retain(|run| {
                    refused
                        .iter()
                        .all(|claim| claim.lease != run.assignment.lease)
                });
            }
            _ => {}
        }
        self.seen.push(message);
    }

    fn run(&mut self, lease: LeaseId) -> Option<&mut Run> {
        self.runs
            .iter_mut()
            .find(|run| run.assignment.lease == lease)
    }

    pub async fn start(&mut self, world: &World) -> (LeaseId, Epoch) {
        self.read();
        let run = self.runs.last().expect("an assignment");
        let (lease, epoch) = (run.assignment.lease, run.assignment.epoch);
        self.send(
            world,
            FromWorker::Started {
                lease,
                epoch,
                elapsed_ms: 0,
            },
        )
        .await
        .expect("starts");
        (lease, epoch)
    }

    /// What a heartbeat says now.
    pub fn beat_message(&mut self) -> FromWorker {
        self.beats += 1;
        let leases = self
            .runs
            .iter()
            .map(|run| LeaseBeat {
                lease: run.assignment.lease,
                epoch: run.assignment.epoch,
                receipt: run.receipt(&self.key, false),
            })
            .collect();
        FromWorker::Heartbeat {
            seq: self.beats,
            draining: false,
            load: HostLoad::default(),
            leases,
        }
    }

    pub async fn beat(&mut self, world: &World) {
        let message = self.beat_message();
        match self.send(world, message).await {
            Ok(()) | Err(Error::SupersededConnection) => {}
            Err(other) => panic!("a heartbeat failed: {other}"),
        }
    }

    /// One more second of each run, within what is paid for.
    pub fn deliver(&mut self) {
        for run in &mut self.runs {
            run.seconds = (run.seconds + 1).min(run.funded);
            self.delivered.insert(run.assignment.lease, run.seconds);
        }
    }

    /// Delivers seconds one by one, as the clock goes.
    pub async fn work(&mut self, world: &World, seconds: u64) {
        for _ in 0..seconds {
            world.pass(1_000);
            self.deliver();
            self.beat(world).await;
            world.tick().await;
            self.read();
        }
    }

    /// Says once that a run is over, unless the platform has closed it.
    pub async fn say_ended(&mut self, world: &World, lease: LeaseId, end: RunEnd) {
        let mut own = self.runs.iter();
        let Some(run) = own.find(|run| run.assignment.lease == lease) else {
            return;
        };
        let message = FromWorker::Ended {
            lease,
            epoch: run.assignment.epoch,
            end,
            receipt: run.receipt(&self.key, true).map(Box::new),
        };
        self.send(world, message).await.expect("ends");
    }

    /// Ends the run that was given last. Another may be given while it ends.
    /// It gives the last job that it was assigned back.
    pub async fn reject(&mut self, world: &World, reason: &str) {
        let run = &self.runs.last().expect("an assignment").assignment;
        let message = FromWorker::Rejected {
            lease: run.lease,
            epoch: run.epoch,
            reason: reason.to_owned(),
        };
        self.send(world, message).await.expect("taken");
    }

    pub async fn end(&mut self, world: &World, end: RunEnd) {
        let Some(lease) = self.runs.last().map(|run| run.assignment.lease) else {
            return;
        };
        for _ in 0..5 {
            self.say_ended(world, lease, end.clone()).await;
        }
        assert!(
            self.runs.iter().all(|run| run.assignment.lease != lease),
            "the lease was not closed: {:?}",
            self.seen.last()
        );
    }
}
