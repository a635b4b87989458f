//! The browsers' socket, `/api/v1/live`: frames of the topics that its reader may watch.
//!
//! Each subscription has a task that reads the topic's channel and waits for room in the socket's one short queue. A
//! reader that is too slow fills the queue, its tasks wait, its channels overflow; then it is told `Lagged` and `Resync`
//! instead of being sent what is old. Nothing grows with the number of frames.

mod topics;

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use exchange::{Actor, Exchange};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use protocol::live::{FromBrowser, TOPICS_PER_SOCKET_MAX, ToBrowser, Topic};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::auth::{Asker, Ended, asked_again};
use crate::http::problem::{Chain, Refused};
use crate::state::{AppState, Closing};
use topics::Topics;

/// A subscription with a boot and two ids.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Frames that wait for one browser.
const QUEUE: usize = 64;
const SEND_WITHIN: Duration = Duration::from_secs(20);
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_mins(1);
const ASK_AGAIN_EVERY: Duration = Duration::from_mins(1);
/// Subscribing and unsubscribing in a circle costs us lookups: so many at once, then one a second.
const WISHES_BURST: u32 = 200;

/// # Errors
/// Too many sockets are open.
pub async fn open(
    State(state): State<AppState>,
    Extension(asker): Extension<Asker>,
    socket: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let seat = state.sockets.seat(asker.address)?;
    let socket = socket
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0);
    Ok(socket.on_upgrade(move |socket| async move {
        metrics::gauge!("iog_live_sockets").increment(1.0);
        serve(state.exchange, state.closing, asker, socket).await;
        metrics::gauge!("iog_live_sockets").decrement(1.0);
        drop(seat);
    }))
}

/// Why it ends, as far as the browser is told.
enum End {
    Gone,
    /// Code and reason of the close frame.
    Close(u16, &'static str),
}

async fn serve(exchange: Exchange, closing: Closing, asker: Asker, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let mut reader = Reader {
        topics: Topics::new(exchange.clone(), sender),
        exchange,
        actor: asker.actor.clone(),
        wishes: WISHES_BURST,
    };
    let start = Instant::now();
    let mut pings = interval_at(start + PING_EVERY, PING_EVERY);
    let mut checks = interval_at(start + ASK_AGAIN_EVERY, ASK_AGAIN_EVERY);
    let mut refill = interval_at(start, Duration::from_secs(1));
    for timer in [&mut pings, &mut checks, &mut refill] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut heard = start;
    let end = loop {
        let step = tokio::select! {
            message = stream.next() => {
                heard = Instant::now();
                match message {
                    Some(Ok(message)) => reader.receive(&mut sink, message).await,
                    Some(Err(_)) | None => Err(End::Gone),
                }
            }
            Some(text) = queue.recv() => push(&mut sink, Message::Text(text)).await,
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE_MAX { Err(End::Gone) } else { beat(&mut sink).await }
            }
            _ = refill.tick() => {
                reader.wishes = reader.wishes.saturating_add(1).min(WISHES_BURST);
                Ok(())
            }
            _ = checks.tick() => reader.still_allowed(&asker).await,
            () = closing.wait() => Err(End::Close(close_code::RESTART, "the server restarts")),
        };
        if let Err(end) = step {
            break end;
        }
    };
    if let End::Close(code, reason) = end {
        // The browser may be gone already.
        _ = push(
            &mut sink,
            Message::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            })),
        )
        .await;
    }
}

async fn push(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), End> {
    match timeout(SEND_WITHIN, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

async fn tell(sink: &mut SplitSink<WebSocket, Message>, message: &ToBrowser) -> Result<(), End> {
    push(sink, Message::Text(encode(message))).await
}

/// The browser answers a ping by itself and shows it to no page; the page is told in a frame that the line is alive.
async fn beat(sink: &mut SplitSink<WebSocket, Message>) -> Result<(), End> {
    push(sink, Message::Ping(bytes::Bytes::new())).await?;
    tell(sink, &ToBrowser::Beat {}).await
}

/// Our own enums of strings and numbers always encode.
fn encode(message: &ToBrowser) -> Utf8Bytes {
    serde_json::to_string(message).unwrap_or_default().into()
}

struct Reader {
    exchange: Exchange,
    actor: Option<Actor>,
    topics: Topics,
    wishes: u32,
}

impl Reader {
    async fn receive(
        &mut self,
        sink: &mut SplitSink<WebSocket, Message>,
        message: Message,
    ) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Gone),
            Message::Binary(_) => {
                return Err(End::Close(
                    close_code::UNSUPPORTED,
                    "messages are JSON in text frames",
                ));
            }
        };
        self.wishes = self.wishes.saturating_sub(1);
        if self.wishes == 0 {
            return Err(End::Close(close_code::POLICY, "too many messages"));
        }
        match serde_json::from_str(&text) {
            Ok(FromBrowser::Subscribe { topic, boot, since }) => {
                match self.may_watch(topic).await? {
                    Ok(()) => {
                        self.topics.subscribe(topic, boot.zip(since));
                        Ok(())
                    }
                    Err(message) => {
                        tell(
                            sink,
                            &ToBrowser::Refused {
                                topic: Some(topic),
                                message,
                            },
                        )
                        .await
                    }
                }
            }
            Ok(FromBrowser::Unsubscribe { topic }) => {
                self.topics.unsubscribe(topic);
                Ok(())
            }
            Err(error) => {
                let message = format!("The message cannot be read: {error}");
                tell(
                    sink,
                    &ToBrowser::Refused {
                        topic: None,
                        message,
                    },
                )
                .await
            }
        }
    }

    /// The inner error is a refusal that the page is told.
    async fn may_watch(&self, topic: Topic) -> Result<Result<(), String>, End> {
        if !self.topics.has_room_for(topic) {
            let message = format!("At most {TOPICS_PER_SOCKET_MAX} topics on one socket.");
            return Ok(Err(message));
        }
        match self.exchange.may_watch(self.actor.as_ref(), topic).await {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Ok(Err(
                "There is no such topic for you; sign in, or check the id.".to_owned(),
            )),
            // No refusal, which would be final: the page comes back and asks again.
            Err(error) => {
                tracing::error!(error = %Chain(&error), %topic, "a topic could not be checked");
                Err(End::Close(close_code::AGAIN, "this could not be checked"))
            }
        }
    }

    /// A session that ended, or a key that was revoked, must not go on watching.
    async fn still_allowed(&mut self, asker: &Asker) -> Result<(), End> {
        if asker.credential.is_none() {
            return Ok(());
        }
        match asked_again(asker.still(&self.exchange).await) {
            Ok(Some(actor)) => {
                self.actor = Some(actor);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(Ended) => Err(End::Close(close_code::POLICY, "the session has ended")),
        }
    }
}
