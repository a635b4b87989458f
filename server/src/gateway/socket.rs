//! One worker's connection, from the challenge to its end.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use exchange::{Exchange, NodeSession};
use futures::future::BoxFuture;
use futures::stream::{SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, StreamExt};
use protocol::worker::{FRAME_BYTES_MAX, FromWorker, Hello, PROTOCOL_VERSION, Refusal, ToWorker};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::Instrument;

use super::meter::Meter;
use crate::auth::Asker;
use crate::http::problem::{Chain, Refused};
use crate::state::{AppState, Closing};

const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A frame that a worker does not take within this time ends the connection.
const SEND_WITHIN: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(15);
/// Nothing heard for so long, not even an answer to a ping: gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// What may wait of one worker's own; then its line is not read on.
const SAID_MAX: usize = 256;
/// What may wait for one worker; when it is full the exchange drops the connection.
const QUEUE: usize = 128;

/// # Errors
/// Too many sockets are open.
pub async fn open(
    State(state): State<AppState>,
    Extension(asker): Extension<Asker>,
    socket: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let seat = state.sockets.seat(asker.address)?;
    let socket = socket
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX);
    let span = tracing::info_span!("worker", node = tracing::field::Empty);
    Ok(socket.on_upgrade(move |socket| {
        async move {
            serve(state.exchange, state.closing, socket).await;
            drop(seat);
        }
        .instrument(span)
    }))
}

/// Why a connection ends, as far as the worker is told.
enum End {
    /// It left, or its line broke.
    Gone,
    Refused(Refusal, String),
    /// We stop, or could not handle what it said; it is to connect again.
    Again(&'static str),
}

async fn serve(exchange: Exchange, closing: Closing, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let session = match greet(&exchange, &mut sink, &mut stream, sender).await {
        Ok(session) => session,
        Err(end) => return finish(&mut sink, end).await,
    };
    tracing::Span::current().record("node", tracing::field::display(session.node));
    tracing::info!("a worker is connected");
    metrics::gauge!("iog_workers_connected").increment(1.0);
    let mut line = Line {
        exchange: &exchange,
        session: &session,
        sink: &mut sink,
        meter: Meter::new(Instant::now()),
    };
    let end = line.run(&mut stream, &mut queue, &closing).await;
    exchange.worker_gone(&session).await;
    metrics::gauge!("iog_workers_connected").decrement(1.0);
    finish(&mut sink, end).await;
    tracing::info!("a worker's connection ended");
}

/// Challenge, hello, welcome.
async fn greet(
    exchange: &Exchange,
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    sender: mpsc::Sender<ToWorker>,
) -> Result<NodeSession, End> {
    let nonce = exchange.challenge();
    send(
        sink,
        &ToWorker::Challenge {
            protocol: PROTOCOL_VERSION,
            nonce: nonce.clone(),
        },
    )
    .await?;
    let hello = timeout(HELLO_WITHIN, first_text(stream)).await;
    let text = hello
        .map_err(|_| End::Refused(Refusal::Limits, "No hello within ten seconds.".to_owned()))??;
    let hello = read_hello(&text)?;
    let session = exchange.worker_hello(&nonce, hello, sender).await.map_err(|(refusal, message)| {
        metrics::counter!("iog_workers_refused_total", "reason" => format!("{refusal:?}").to_lowercase()).increment(1);
        End::Refused(refusal, message)
    })?;
    send(sink, &session.welcome).await?;
    Ok(session)
}

async fn first_text(stream: &mut SplitStream<WebSocket>) -> Result<Utf8Bytes, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(not_text()),
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            Some(Err(error)) => return Err(broken(&error)),
        }
    }
}

fn not_text() -> End {
    End::Refused(
        Refusal::Malformed,
        "Messages are JSON in text frames.".to_owned(),
    )
}

fn broken(error: &axum::Error) -> End {
    if error.to_string().to_lowercase().contains("too long")
        || error.to_string().to_lowercase().contains("too big")
    {
        return End::Refused(
            Refusal::Limits,
            format!("A message has at most {FRAME_BYTES_MAX} bytes."),
        );
    }
    tracing::debug!(%error, "a worker's line broke");
    End::Gone
}

/// Another version may well have other fields: it is told so, rather than that its message cannot be read.
fn read_hello(text: &str) -> Result<Hello, End> {
    #[derive(serde::Deserialize)]
    struct Version {
        protocol: u32,
    }
    if let Ok(Version { protocol }) = serde_json::from_str(text)
        && protocol != PROTOCOL_VERSION
    {
        let message = format!(
            "This server speaks version {PROTOCOL_VERSION}, the worker {protocol}; update the older one."
        );
        return Err(End::Refused(Refusal::Protocol, message));
    }
    match read(text)? {
        FromWorker::Hello(hello) => Ok(*hello),
        _ => Err(End::Refused(
            Refusal::Malformed,
            "Say hello first.".to_owned(),
        )),
    }
}

fn read(text: &str) -> Result<FromWorker, End> {
    serde_json::from_str(text).map_err(|error| {
        End::Refused(
            Refusal::Malformed,
            format!("The message cannot be read: {error}"),
        )
    })
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, message: &ToWorker) -> Result<(), End> {
    let text = serde_json::to_string(message).map_err(|error| {
        tracing::error!(error = %Chain(&error), "a message to a worker cannot be written");
        End::Again("internal")
    })?;
    push(sink, Message::Text(text.into())).await
}

async fn push(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), End> {
    match timeout(SEND_WITHIN, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

async fn finish(sink: &mut SplitSink<WebSocket, Message>, end: End) {
    let (code, reason) = match end {
        End::Gone => return,
        End::Refused(reason, message) => {
            tracing::info!(?reason, message, "a worker is refused");
            _ = send(sink, &ToWorker::Refused { reason, message }).await;
            (close_code::POLICY, "refused")
        }
        End::Again(reason) => (close_code::RESTART, reason),
    };
    // The worker may be gone already.
    _ = push(
        sink,
        Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        })),
    )
    .await;
}

type Handled = Result<Vec<ToWorker>, exchange::Error>;

struct Line<'a> {
    exchange: &'a Exchange,
    session: &'a NodeSession,
    sink: &'a mut SplitSink<WebSocket, Message>,
    meter: Meter,
}

impl Line<'_> {
    async fn run(
        &mut self,
        stream: &mut SplitStream<WebSocket>,
        queue: &mut mpsc::Receiver<ToWorker>,
        closing: &Closing,
    ) -> End {
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let (exchange, session) = (self.exchange, self.session);
        // Starts and ends wait for the one who writes; a heartbeat must not wait behind them, or a lease is lost that is
        // well kept. Everything else is handled in the order in which it was said.
        let mut said: VecDeque<FromWorker> = VecDeque::new();
        let mut turn: Option<BoxFuture<'_, Handled>> = None;
        let end = loop {
            if turn.is_none()
                && let Some(message) = said.pop_front()
            {
                turn = Some(exchange.worker_message(session, message).boxed());
            }
            let step = tokio::select! {
                message = stream.next(), if said.len() < SAID_MAX => {
                    heard = Instant::now();
                    match message.map(|message| self.hear(message)) {
                        Some(Ok(Some(beat @ FromWorker::Heartbeat { .. }))) => {
                            let handled = exchange.worker_message(session, beat).await;
                            self.answer(handled, queue).await
                        }
                        Some(Ok(Some(message))) => {
                            said.push_back(message);
                            Ok(())
                        }
                        Some(Ok(None)) => Ok(()),
                        Some(Err(end)) => Err(end),
                        None => Err(End::Gone),
                    }
                }
                handled = async {
                    match &mut turn {
                        Some(turn) => turn.await,
                        None => std::future::pending().await,
                    }
                } => {
                    turn = None;
                    self.answer(handled, queue).await
                }
                message = queue.recv() => match message {
                    Some(message) => send(self.sink, &message).await,
                    // The exchange let go of this connection: its queue was full, or the node was removed.
                    None => Err(End::Again("dropped")),
                },
                _ = pings.tick() => {
                    if heard.elapsed() > SILENCE_MAX && said.len() < SAID_MAX { Err(End::Gone) } else { push(self.sink, Message::Ping(bytes::Bytes::new())).await }
                }
                () = closing.wait() => Err(End::Again("the server restarts")),
            };
            if let Err(end) = step {
                break end;
            }
        };
        // What is begun is not broken off in the midst of a commit.
        if let Some(turn) = turn {
            _ = turn.await;
        }
        end
    }

    /// What it says; `None`: nothing that is to be handled.
    fn hear(&mut self, message: Result<Message, axum::Error>) -> Result<Option<FromWorker>, End> {
        let text = match message.map_err(|error| broken(&error))? {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(not_text()),
            Message::Ping(_) | Message::Pong(_) => return Ok(None),
            Message::Close(_) => return Err(End::Gone),
        };
        if !self.meter.admits(text.len(), Instant::now()) {
            return Err(End::Refused(
                Refusal::Limits,
                "Too many messages at once.".to_owned(),
            ));
        }
        let message = read(&text)?;
        metrics::counter!("iog_worker_messages_total", "type" => kind(&message)).increment(1);
        Ok(Some(message))
    }

    async fn answer(
        &mut self,
        handled: Handled,
        queue: &mut mpsc::Receiver<ToWorker>,
    ) -> Result<(), End> {
        let replies = match handled {
            Ok(replies) => replies,
            Err(exchange::Error::SupersededConnection) => {
                return Err(End::Again("another connection took over"));
            }
            Err(error) => {
                // A worker says most things once a connection: cut off, it connects again and repeats them. Going on
                // would, for one, leave a run unbilled whose start we could not write.
                tracing::error!(error = %Chain(&error), "a worker's message could not be handled");
                return if error.is_internal() {
                    Err(End::Again("something failed here"))
                } else {
                    Ok(())
                };
            }
        };
        // What was pushed before the message was handled goes first, so that the worker sees one order of things.
        while let Ok(earlier) = queue.try_recv() {
            send(self.sink, &earlier).await?;
        }
        for reply in &replies {
            send(self.sink, reply).await?;
        }
        Ok(())
    }
}

fn kind(message: &FromWorker) -> &'static str {
    match message {
        FromWorker::Hello(_) => "hello",
        FromWorker::Heartbeat { .. } => "heartbeat",
        FromWorker::Preparing { .. } => "preparing",
        FromWorker::Started { .. } => "started",
        FromWorker::Log { .. } => "log",
        FromWorker::Samples { .. } => "samples",
        FromWorker::Ended { .. } => "ended",
        FromWorker::SecretKey { .. } => "secret_key",
        FromWorker::Rejected { .. } => "rejected",
        FromWorker::Proof { .. } => "proof",
        FromWorker::Telemetry { .. } => "telemetry",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Refusal {
        match read_hello(text) {
            Err(End::Refused(refusal, _)) => refusal,
            _ => panic!("not refused: {text}"),
        }
    }

    #[test]
    fn a_worker_of_another_version_is_told_so_whatever_else_it_says() {
        let hello =
            |protocol: u32| format!(r#"{{"type":"hello","protocol":{protocol},"new_field":true}}"#);
        let ours = protocol::worker::PROTOCOL_VERSION;
        assert_eq!(refusal(&hello(ours + 1)), Refusal::Protocol);
        assert_eq!(refusal(&hello(ours - 1)), Refusal::Protocol);
        assert_eq!(refusal(&hello(ours)), Refusal::Malformed);
        assert_eq!(
            refusal(
                r#"{"type":"heartbeat","seq":1,"draining":false,"load":{"cpu_percent":0,"memory_used_mib":0},"leases":[]}"#
            ),
            Refusal::Malformed
        );
        assert_eq!(refusal("rubbish"), Refusal::Malformed);
    }
}
