//! The line to the exchange: one WebSocket, opened with a proof of the node's key, opened again when it breaks.
//!
//! It tells apart what a broken line means for running work. A server that **actively refuses** (connection refused, 502,
//! 503) is down, for everybody: nobody can give our leases away meanwhile, so work may go on for a while. **Silence** may be a
//! partition, in which our work is given to another: it stops when its lease ends.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use protocol::worker::{
    DeviceAsk, FRAME_BYTES_MAX, FromWorker, Hello, PROTOCOL_VERSION, Refusal, ToWorker, hello_bytes,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::identity::Identity;
use crate::sandbox::boottime_ms;

const CONNECT_WITHIN: Duration = Duration::from_secs(4);
const GREET_WITHIN: Duration = Duration::from_secs(5);
const SEND_WITHIN: Duration = Duration::from_secs(4);

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{0}")]
    Address(String),
    /// Somebody answers at the address, and says that the server is not there.
    #[error("the server is down: {0}")]
    Down(String),
    /// Nothing is known: the network, or the server, is silent.
    #[error("the server cannot be reached: {0}")]
    Silent(String),
    #[error("the server refuses this worker: {message}{}", advice(*.reason))]
    Refused { reason: Refusal, message: String },
    #[error("this is not an IOG server, or one of another version: {0}")]
    Foreign(String),
}

/// What the owner can do about a refusal. The exchange says what is the matter; how a worker is run is the worker's to tell.
const fn advice(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Malformed | Refusal::Protocol => " (install the iog-worker that fits this server)",
        Refusal::Signature => " (is --server exactly the address that the server knows itself by?)",
        Refusal::JoinToken => {
            " (make a new join line in the portal, under Earn; a worker that joined before runs without one)"
        }
        Refusal::UnknownNode => " (run: iog-worker join --server URL --token TOKEN)",
        Refusal::Removed => {
            " (its owner removed this node; to lend it again, join with a new state directory)"
        }
        Refusal::Duplicate => " (another worker uses the same key; was a state directory copied?)",
        Refusal::Limits => " (trying again later)",
    }
}

impl LinkError {
    /// Whether trying again can help.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Refused { reason, .. } => reason.is_final(),
            Self::Address(_) => true,
            Self::Down(_) | Self::Silent(_) | Self::Foreign(_) => false,
        }
    }
}

/// The exchange's address as people give it, made the origin that is signed: scheme, host, port, nothing more.
///
/// # Errors
/// What is wrong with it.
pub fn origin(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let url = reqwest::Url::parse(text).map_err(|error| {
        format!("`{text}` is not an address ({error}); write it like https://iog.example")
    })?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if fits {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(format!(
            "`{text}` must be http(s)://host[:port] and nothing more"
        ))
    }
}

/// What the exchange said at the beginning.
#[derive(Debug, Clone)]
pub struct Welcome {
    pub node: kernel::NodeId,
    pub node_name: String,
    pub heartbeat: Duration,
    pub lease_ttl_ms: u64,
    pub server_down_grace_ms: u64,
    /// Whether it takes what is measured.
    pub telemetry: bool,
    /// What the devices are offered for.
    pub asks: Vec<DeviceAsk>,
}

/// An open line.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub welcome: Welcome,
    /// When our hello was sent (`CLOCK_BOOTTIME`): the exchange knew us alive after it.
    pub greeted_at: u64,
}

impl Link {
    /// Connects and proves the key. `hello` comes with everything but the signature.
    ///
    /// # Errors
    /// [`LinkError`], which tells a server that is down from silence.
    pub async fn open(identity: &Identity, mut hello: Hello) -> Result<Self, LinkError> {
        let address = format!("{}/api/v1/worker", hello.server.replacen("http", "ws", 1));
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let connect = tokio_tungstenite::connect_async_with_config(&address, Some(config), true);
        let mut socket = match timeout(CONNECT_WITHIN, connect).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(error)) => return Err(classify(&error)),
            Err(_) => {
                return Err(LinkError::Silent(format!(
                    "no answer from {} within {CONNECT_WITHIN:?}",
                    hello.server
                )));
            }
        };
        let greet = async {
            let ToWorker::Challenge { protocol, nonce } = receive(&mut socket).await? else {
                return Err(LinkError::Foreign("no challenge came".to_owned()));
            };
            if protocol != PROTOCOL_VERSION {
                let why = format!(
                    "it speaks version {protocol}, this worker {PROTOCOL_VERSION}; update the older one"
                );
                return Err(LinkError::Refused {
                    reason: Refusal::Protocol,
                    message: why,
                });
            }
            let token = hex::encode(Sha256::digest(
                hello.join_token.as_deref().unwrap_or_default(),
            ));
            hello.signature = identity.sign(&hello_bytes(
                &hello.server,
                &nonce,
                &hello.public_key,
                &token,
            ));
            let greeted_at = boottime_ms();
            let text = serde_json::to_string(&FromWorker::Hello(Box::new(hello)))
                .map_err(|error| LinkError::Address(error.to_string()))?;
            identity.show();
            socket
                .send(Message::text(text))
                .await
                .map_err(|error| classify(&error))?;
            match receive(&mut socket).await? {
                ToWorker::Welcome {
                    node,
                    node_name,
                    heartbeat_ms,
                    lease_ttl_ms,
                    server_down_grace_ms,
                    platform_key: _,
                    telemetry,
                    asks,
                } => Ok((
                    Welcome {
                        node,
                        node_name,
                        heartbeat: Duration::from_millis(heartbeat_ms.clamp(100, 60_000)),
                        lease_ttl_ms,
                        server_down_grace_ms,
                        telemetry,
                        asks,
                    },
                    greeted_at,
                )),
                ToWorker::Refused { reason, message } => {
                    Err(LinkError::Refused { reason, message })
                }
                _ => Err(LinkError::Foreign("no welcome came".to_owned())),
            }
        };
        let (welcome, greeted_at) = timeout(GREET_WITHIN, greet).await.map_err(|_| {
            LinkError::Silent(format!("the server did not greet within {GREET_WITHIN:?}"))
        })??;
        Ok(Self {
            socket,
            welcome,
            greeted_at,
        })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the line is broken, or so slow that it is as good as broken.
    pub async fn send(&mut self, message: &FromWorker) -> Result<(), LinkError> {
        let text = serde_json::to_string(message)
            .map_err(|error| LinkError::Address(error.to_string()))?;
        match timeout(SEND_WITHIN, self.socket.send(Message::text(text))).await {
            Ok(sent) => sent.map_err(|error| classify(&error)),
            Err(_) => Err(LinkError::Silent("the server takes nothing".to_owned())),
        }
    }

    /// The next message; may be cancelled without loss.
    ///
    /// # Errors
    /// When the line ended.
    pub async fn next(&mut self) -> Result<ToWorker, LinkError> {
        receive(&mut self.socket).await
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}

async fn receive(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
) -> Result<ToWorker, LinkError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text).map_err(|error| {
                    LinkError::Foreign(format!("a message cannot be read: {error}"))
                });
            }
            Some(Ok(Message::Close(frame))) => {
                let why = frame.map_or_else(
                    || "it closed the line".to_owned(),
                    |frame| frame.reason.to_string(),
                );
                return Err(LinkError::Silent(why));
            }
            // Pings are answered by the library.
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(classify(&error)),
            None => return Err(LinkError::Silent("the line ended".to_owned())),
        }
    }
}

fn classify(error: &WsError) -> LinkError {
    match error {
        WsError::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            LinkError::Down("connection refused".to_owned())
        }
        WsError::Http(response) => match response.status().as_u16() {
            status @ (502 | 503) => LinkError::Down(format!("HTTP {status}")),
            429 => LinkError::Refused {
                reason: Refusal::Limits,
                message: "too many connections".to_owned(),
            },
            status => LinkError::Foreign(format!("HTTP {status}")),
        },
        WsError::Url(error) => LinkError::Address(error.to_string()),
        other => LinkError::Silent(other.to_string()),
    }
}

/// How long to wait before the next attempt.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST_MS: u64 = 250;
    const MOST_MS: u64 = 30_000;
    /// A worker with leases must hear of the server's return well within their time.
    const MOST_WITH_LEASES_MS: u64 = 1_000;

    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Doubles with each failure; a random half of it, so that workers do not come back all at once. `random` is 0 to 1.
    pub fn next(&mut self, has_leases: bool, random: f64) -> Duration {
        let most = if has_leases {
            Self::MOST_WITH_LEASES_MS
        } else {
            Self::MOST_MS
        };
        let full = Self::FIRST_MS
            .saturating_mul(1 << self.failures.min(10))
            .min(most);
        self.failures = self.failures.saturating_add(1);
        let full = Duration::from_millis(full);
        full / 2 + (full / 2).mul_f64(random.clamp(0.0, 1.0))
    }
}

/// Until when work may go on, seen from when its lease was last renewed and when the server last was seen to be down.
pub fn work_until(
    renewed_at: u64,
    down_at: Option<u64>,
    lease_ttl_ms: u64,
    server_down_grace_ms: u64,
) -> u64 {
    let by_lease = renewed_at.saturating_add(lease_ttl_ms);
    let by_evidence = down_at.map_or(0, |at| at.saturating_add(lease_ttl_ms));
    by_lease.max(by_evidence.min(renewed_at.saturating_add(server_down_grace_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_once() {
        let told = |reason, message: &str| {
            let message = message.to_owned();
            LinkError::Refused { reason, message }.to_string()
        };
        for said in [
            "the join token is unknown, used or expired",
            "the join token was used meanwhile",
            "this worker is enrolled already, and the token is not of its owner",
        ] {
            let told = told(Refusal::JoinToken, said);
            let start = format!("the server refuses this worker: {said} (make a new join line");
            assert!(told.starts_with(&start), "{told}");
            assert_eq!(told.matches("portal").count(), 1, "{told}");
        }
    }

    #[test]
    fn an_address_becomes_an_origin_or_is_refused_with_an_example() {
        assert_eq!(
            origin("http://127.0.0.1:3000/").expect("valid"),
            "http://127.0.0.1:3000"
        );
        assert_eq!(
            origin("https://IOG.example:443").expect("valid"),
            "https://iog.example"
        );
        for bad in [
            "iog.example",
            "ftp://x",
            "http://x/path",
            "http://user@x",
            "http://x?y",
            "",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn waits_double_up_to_a_bound_that_leases_make_short() {
        let waits = |leases| {
            let mut backoff = Backoff::default();
            (0..12)
                .map(|_| backoff.next(leases, 1.0).as_millis())
                .collect::<Vec<_>>()
        };
        assert_eq!(&waits(false)[..4], [250, 500, 1_000, 2_000]);
        assert_eq!(waits(false)[11], 30_000);
        assert!(waits(true).iter().all(|wait| *wait <= 1_000));
        assert_eq!(Backoff::default().next(false, 0.0).as_millis(), 125);
    }

    #[test]
    fn silence_ends_work_with_its_lease_and_a_server_that_is_down_does_not() {
        // Renewed at 10 s, ttl 6 s, grace 60 s.
        let until = |down| work_until(10_000, down, 6_000, 60_000);
        assert_eq!(until(None), 16_000, "silence");
        assert_eq!(until(Some(15_000)), 21_000, "each refusal carries on");
        assert_eq!(until(Some(40_000)), 46_000);
        assert_eq!(until(Some(69_000)), 70_000, "but never past the grace");
        assert_eq!(until(Some(9_000)), 16_000, "old evidence shortens nothing");
    }

    #[test]
    fn only_refusals_that_time_can_heal_are_tried_again() {
        let refused = |reason| {
            LinkError::Refused {
                reason,
                message: String::new(),
            }
            .is_final()
        };
        assert!(
            refused(Refusal::JoinToken)
                && refused(Refusal::Removed)
                && refused(Refusal::UnknownNode)
        );
        assert!(!refused(Refusal::Duplicate) && !refused(Refusal::Limits));
        assert!(!LinkError::Down(String::new()).is_final());
    }
}
