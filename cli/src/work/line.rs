//! A WebSocket into a job: the words and bytes of `protocol::tunnel`.

use anyhow::{Context, anyhow};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::tunnel::{FromJob, MAIN, TUNNEL_FRAME_MAX, ToJob};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{At, told};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub struct Sender(SplitSink<Socket, Message>);
pub struct Receiver(SplitStream<Socket>);

pub enum Heard {
    Word(FromJob),
    Bytes(u8, Vec<u8>),
    /// The line is closed, with the server's reason.
    Closed(String),
}

/// Dials, and waits for the door to open.
pub async fn open(at: &At, path: &str) -> anyhow::Result<(Sender, Receiver)> {
    let address = at.url(path).replacen("http", "ws", 1);
    let mut request = address
        .into_client_request()
        .context("IOG_SERVER is no address")?;
    let bearer =
        HeaderValue::from_str(&format!("Bearer {}", at.key)).context("IOG_API_KEY is no key")?;
    request.headers_mut().insert("authorization", bearer);
    let (socket, _) = match tokio_tungstenite::connect_async(request).await {
        Ok(connected) => connected,
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let problem = serde_json::from_slice::<protocol::Problem>(body);
            return Err(problem.map_or_else(
                |_| anyhow!("the server answered {}", response.status()),
                |problem| anyhow!("{}", told(&problem)),
            ));
        }
        Err(error) => return Err(error).context("the server cannot be reached"),
    };
    let (sink, stream) = socket.split();
    let (sender, mut receiver) = (Sender(sink), Receiver(stream));
    match receiver.hear().await {
        Heard::Word(FromJob::Open {}) => Ok((sender, receiver)),
        Heard::Word(FromJob::Refused { message, .. }) => Err(anyhow!(message)),
        Heard::Closed(reason) => Err(anyhow!("the server closed the line: {reason}")),
        _ => Err(anyhow!("the server speaks another version")),
    }
}

impl Sender {
    pub async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for piece in bytes.chunks(TUNNEL_FRAME_MAX / 2) {
            let mut frame = Vec::with_capacity(piece.len() + 1);
            frame.push(MAIN);
            frame.extend_from_slice(piece);
            self.0.send(Message::binary(frame)).await?;
        }
        Ok(())
    }

    pub async fn say(&mut self, word: &ToJob) -> anyhow::Result<()> {
        let text = serde_json::to_string(word)?;
        Ok(self.0.send(Message::text(text)).await?)
    }

    pub async fn close(&mut self) {
        // The other side may be gone.
        _ = self.0.close().await;
    }
}

impl Receiver {
    pub async fn hear(&mut self) -> Heard {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(word) => return Heard::Word(word),
                    Err(_) => return Heard::Closed("a word cannot be read".to_owned()),
                },
                Some(Ok(Message::Binary(frame))) => {
                    if let Some((channel, bytes)) = frame.split_first() {
                        return Heard::Bytes(*channel, bytes.to_vec());
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map_or_else(
                        || "without a reason".to_owned(),
                        |frame| frame.reason.to_string(),
                    ));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Heard::Closed(error.to_string()),
                None => return Heard::Closed("the line ended".to_owned()),
            }
        }
    }
}
