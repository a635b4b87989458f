//! A worker that only speaks the protocol: it runs nothing, and a test decides what it says and when.

use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use kernel::{Amount, NodeId, PricePerSecond, Seconds, Timestamp};
use metering::receipt::{NO_PREVIOUS, sign_worker};
use protocol::spec::DeviceClass;
use protocol::state::RunEnd;
use protocol::view::Receipt;
use protocol::worker::{
    Assignment, DeviceFacts, FromWorker, Hello, HostFacts, HostLoad, LeaseBeat, LeaseClaim,
    PROTOCOL_VERSION, Refusal, ToWorker, hello_bytes,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const WITHIN: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One connection, before and after the hello.
pub struct Talk {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    pub nonce: String,
}

impl Talk {
    /// Connects and takes the challenge.
    pub async fn open(url: &str) -> Self {
        let (socket, _) = connect_async(format!("{}/api/v1/worker", url.replacen("http", "ws", 1)))
            .await
            .expect("a socket");
        let (sink, stream) = socket.split();
        let mut talk = Self {
            sink,
            stream,
            nonce: String::new(),
        };
        match talk.hear().await {
            Some(ToWorker::Challenge { nonce, .. }) => talk.nonce = nonce,
            other => panic!("no challenge but {other:?}"),
        }
        talk
    }

    pub async fn say(&mut self, message: &FromWorker) {
        self.say_text(serde_json::to_string(message).expect("JSON"))
            .await;
    }

    pub async fn say_text(&mut self, text: String) {
        // The server may have closed already; the next `hear` tells.
        _ = self.sink.send(Message::text(text)).await;
    }

    /// The next message; `None` when the server has closed.
    pub async fn hear(&mut self) -> Option<ToWorker> {
        loop {
            let next = timeout(WITHIN, self.stream.next())
                .await
                .expect("something within 20 seconds")?;
            match next {
                Ok(Message::Text(text)) => {
                    return Some(
                        serde_json::from_str(&text)
                            .unwrap_or_else(|error| panic!("{error} in {text}")),
                    );
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// What the server refuses the connection with.
    pub async fn refusal(&mut self) -> Refusal {
        loop {
            match self.hear().await {
                Some(ToWorker::Refused { reason, .. }) => return reason,
                Some(_) => {}
                None => panic!("closed without a reason"),
            }
        }
    }
}

pub struct FakeWorker {
    pub url: String,
    pub key: SigningKey,
    pub name: String,
    pub price: PricePerSecond,
    pub node: NodeId,
    pub talk: Talk,
    devices: u16,
    beats: u64,
}

/// The last word of a receipt chain, as far as this worker knows it.
#[derive(Debug, Clone)]
pub struct Chain {
    pub seq: u64,
    pub previous: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            seq: 1,
            previous: NO_PREVIOUS.to_owned(),
        }
    }
}

impl FakeWorker {
    pub async fn join(url: &str, token: &str, name: &str, per_hour: &str) -> Self {
        Self::join_with(url, token, name, per_hour, 1).await
    }

    /// One with so many devices, on a host that has for each of them what the host of one has.
    pub async fn join_with(
        url: &str,
        token: &str,
        name: &str,
        per_hour: &str,
        devices: u16,
    ) -> Self {
        let key = SigningKey::from_bytes(&rand::random());
        let price = Amount::parse_io(per_hour)
            .and_then(PricePerSecond::from_per_hour)
            .expect("a price");
        let mut talk = Talk::open(url).await;
        let hello = Self::hello(url, &talk.nonce, &key, name, price, Some(token), vec![]);
        let node = Self::greet(&mut talk, many(hello, devices)).await;
        let mut worker = Self {
            url: url.to_owned(),
            key,
            name: name.to_owned(),
            price,
            node,
            talk,
            devices,
            beats: 0,
        };
        worker.beat(vec![]).await;
        worker
    }

    /// A new connection with the same key, as after a cut line. `claims`: what it still runs.
    pub async fn reconnect(&mut self, claims: Vec<LeaseClaim>) {
        let mut talk = Talk::open(&self.url).await;
        let hello = Self::hello(
            &self.url,
            &talk.nonce,
            &self.key,
            &self.name,
            self.price,
            None,
            claims,
        );
        self.node = Self::greet(&mut talk, many(hello, self.devices)).await;
        self.talk = talk;
        self.beats = 0;
    }

    async fn greet(talk: &mut Talk, hello: Hello) -> NodeId {
        talk.say(&FromWorker::Hello(Box::new(hello))).await;
        match talk.hear().await {
            Some(ToWorker::Welcome { node, .. }) => node,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// A well-signed hello; a test spoils what it wants to see refused.
    pub fn hello(
        url: &str,
        nonce: &str,
        key: &SigningKey,
        name: &str,
        price: PricePerSecond,
        token: Option<&str>,
        leases: Vec<LeaseClaim>,
    ) -> Hello {
        let public_key = hex::encode(key.verifying_key().to_bytes());
        let token_hash = hex::encode(Sha256::digest(token.unwrap_or_default()));
        let signature = key.sign(&hello_bytes(url, nonce, &public_key, &token_hash));
        Hello {
            protocol: PROTOCOL_VERSION,
            server: url.to_owned(),
            signature: hex::encode(signature.to_bytes()),
            join_token: token.map(str::to_owned),
            agent_version: "test".to_owned(),
            name: name.to_owned(),
            country: Some("CH".to_owned()),
            price: Some(price),
            host: HostFacts {
                os: "test".to_owned(),
                kernel: "test".to_owned(),
                cpus: 8,
                memory_mib: 16_384,
                disk_mib: 65_536,
                isolation_problems: vec![],
                device_problems: Vec::new(),
                up_mbit: None,
                down_mbit: None,
                group: None,
            },
            devices: vec![DeviceFacts {
                uuid: format!("CPU-{}", public_key.get(..16).unwrap_or_default()),
                class: DeviceClass::Cpu,
                model: "Test CPU".to_owned(),
                memory_mib: 8_192,
                details: protocol::worker::DeviceDetails::default(),
            }],
            leases,
            public_key,
        }
    }

    /// A heartbeat; the answer is heard later, among what else comes.
    pub async fn beat(&mut self, leases: Vec<LeaseBeat>) {
        self.beats = self.beats.saturating_add(1);
        let load = HostLoad {
            cpu_percent: 1.0,
            memory_used_mib: 1_000,
        };
        self.talk
            .say(&FromWorker::Heartbeat {
                seq: self.beats,
                draining: false,
                load,
                leases,
            })
            .await;
    }

    /// Reads on until one message is what is looked for.
    pub async fn until<T>(&mut self, what: &str, mut look: impl FnMut(ToWorker) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + WITHIN;
        loop {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{}: not heard: {what}",
                self.name
            );
            let Some(message) = self.talk.hear().await else {
                panic!("{}: closed before: {what}", self.name)
            };
            if let Some(found) = look(message) {
                return found;
            }
        }
    }

    pub async fn assignment(&mut self) -> Assignment {
        self.until("an assignment", |message| match message {
            ToWorker::Assign(assignment) => Some(*assignment),
            _ => None,
        })
        .await
    }

    pub async fn started(&mut self, a: &Assignment) {
        self.talk
            .say(&FromWorker::Started {
                lease: a.lease,
                epoch: a.epoch,
                elapsed_ms: 0,
            })
            .await;
    }

    /// A receipt for so many seconds, signed by this worker.
    pub fn receipt(&self, a: &Assignment, chain: &Chain, seconds: u64, last: bool) -> Receipt {
        let seconds = Seconds::new(seconds);
        let receipt = Receipt {
            lease: a.lease,
            job: a.job,
            node: a.node,
            device: a.device,
            epoch: a.epoch,
            seq: chain.seq,
            seconds,
            price: a.price,
            amount: a.price.times(seconds).expect("in range"),
            energy_mj: None,
            last,
            issued_at: Timestamp::from_millis(1_000),
            previous: chain.previous.clone(),
            worker_signature: String::new(),
            platform_signature: None,
        };
        sign_worker(receipt, &self.key).expect("a valid chain")
    }

    /// Says that it is over, after so many seconds; the answer is heard later, among what else comes.
    pub async fn say_ended(&mut self, a: &Assignment, chain: &Chain, seconds: u64, end: RunEnd) {
        let receipt = (seconds > 0).then(|| self.receipt(a, chain, seconds, true));
        self.talk
            .say(&FromWorker::Ended {
                lease: a.lease,
                epoch: a.epoch,
                end,
                receipt: receipt.map(Box::new),
            })
            .await;
    }

    /// A heartbeat for one lease with its receipt so far.
    pub async fn beat_for(&mut self, a: &Assignment, chain: &Chain, seconds: u64) {
        let receipt = (seconds > 0).then(|| self.receipt(a, chain, seconds, false));
        self.beat(vec![LeaseBeat {
            lease: a.lease,
            epoch: a.epoch,
            receipt,
        }])
        .await;
    }

    /// Says that it is over, after so many seconds, and waits until that is accounted for.
    pub async fn end(&mut self, a: &Assignment, chain: &Chain, seconds: u64, end: RunEnd) {
        self.say_ended(a, chain, seconds, end).await;
        let lease = a.lease;
        self.until("the lease is closed", |message| match message {
            ToWorker::Closed { lease: closed, .. } if closed == lease => Some(()),
            _ => None,
        })
        .await;
    }
}

/// The same worker with so many devices like its first.
fn many(mut hello: Hello, devices: u16) -> Hello {
    let Some(first) = hello.devices.pop() else {
        return hello;
    };
    let host = &mut hello.host;
    host.cpus = host.cpus.saturating_mul(u32::from(devices));
    host.memory_mib = host.memory_mib.saturating_mul(u64::from(devices));
    host.disk_mib = host.disk_mib.saturating_mul(u64::from(devices));
    hello.devices = (0..devices)
        .map(|n| DeviceFacts {
            uuid: format!("{}-{n}", first.uuid),
            ..first.clone()
        })
        .collect();
    hello
}
