//! The browsers' socket, as a browser uses it.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use protocol::live::{FromBrowser, ToBrowser};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::client::Client;

pub struct LiveSocket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl LiveSocket {
    /// With the client's headers (key, cookie, origin).
    pub async fn open(client: &Client) -> Self {
        Self::try_open(client)
            .await
            .unwrap_or_else(|status| panic!("the live socket is refused: {status}"))
    }

    /// The same where it may be refused.
    ///
    /// # Errors
    /// The status that refused it.
    pub async fn try_open(client: &Client) -> Result<Self, StatusCode> {
        let address = format!("{}/api/v1/live", client.url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().expect("an address");
        let own = client
            .headers()
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        request
            .headers_mut()
            .extend(own.collect::<Vec<(http::HeaderName, HeaderValue)>>());
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("the live socket: {error}"),
        }
    }

    pub async fn say(&mut self, message: &FromBrowser) {
        self.say_text(serde_json::to_string(message).expect("JSON"))
            .await;
    }

    pub async fn say_text(&mut self, text: String) {
        self.socket
            .send(Message::text(text))
            .await
            .expect("the socket takes it");
    }

    /// The next message, or `None` when the server closed it.
    pub async fn hear(&mut self) -> Option<ToBrowser> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await;
            match next.expect("something within 20 seconds")? {
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

    /// Reads on until one message is what is looked for.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&ToBrowser) -> Option<T>,
    ) -> T {
        loop {
            let Some(message) = self.hear().await else {
                panic!("the socket closed before: {what}")
            };
            if let Some(found) = look(&message) {
                return found;
            }
        }
    }
}
