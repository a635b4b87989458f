//! A shell in a job, as a browser or the command uses it.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::StatusCode;
use protocol::tunnel::{FromJob, MAIN, ToJob};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::client::Client;

pub struct ShellSocket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a shell sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Word(FromJob),
    /// From standard output or, apart, errors.
    Bytes(u8, Vec<u8>),
}

impl ShellSocket {
    /// With the client's headers (key, cookie, origin).
    ///
    /// # Errors
    /// The status that refused it.
    pub async fn open(client: &Client, path: &str) -> Result<Self, StatusCode> {
        let address = format!("{}{path}", client.url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().expect("an address");
        for (name, value) in client.headers() {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    pub async fn say(&mut self, word: &ToJob) {
        let text = serde_json::to_string(word).expect("JSON");
        self.socket.send(Message::text(text)).await.expect("taken");
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        let mut frame = vec![MAIN];
        frame.extend_from_slice(bytes);
        let frame = Message::binary(frame);
        self.socket.send(frame).await.expect("taken");
    }

    /// The next thing, or `None` when the server closed it.
    pub async fn hear(&mut self) -> Option<Said> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await;
            match next.expect("something within 20 seconds")? {
                Ok(Message::Text(text)) => {
                    let word = serde_json::from_str(&text);
                    return Some(Said::Word(word.expect("a word")));
                }
                Ok(Message::Binary(frame)) => {
                    let (channel, bytes) = frame.split_first().expect("a channel");
                    return Some(Said::Bytes(*channel, bytes.to_vec()));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// All that is shown up to and with the mark.
    pub async fn until(&mut self, mark: &str) -> String {
        let mut all = String::new();
        while !all.contains(mark) {
            match self.hear().await {
                Some(Said::Bytes(_, bytes)) => all.push_str(&String::from_utf8_lossy(&bytes)),
                Some(Said::Word(FromJob::Open {})) => {}
                other => panic!("{other:?} before {mark:?}: {all}"),
            }
        }
        all
    }

    /// What came on both streams until the end, and the code.
    pub async fn finish(&mut self) -> (Vec<u8>, Vec<u8>, Option<i32>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match self.hear().await {
                Some(Said::Bytes(MAIN, bytes)) => out.extend(bytes),
                Some(Said::Bytes(_, bytes)) => err.extend(bytes),
                Some(Said::Word(FromJob::Open {})) => {}
                Some(Said::Word(FromJob::Exit { code, .. })) => return (out, err, code),
                other => panic!("{other:?} after {}", String::from_utf8_lossy(&out)),
            }
        }
    }
}
