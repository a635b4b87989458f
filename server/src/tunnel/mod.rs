//! Ways into running jobs, from the browser or the program to the worker.
//!
//! The worker cannot be dialled: it is asked to dial, with a ticket that is good once and for seconds
//! (`/api/v1/worker/tunnel`). Each tunnel is a connection of its own, so that a flood in one delays nothing else. Flow
//! control is that of the two connections: what one side does not take, the other is not read for.

pub mod endpoints;
pub mod files;
pub mod mesh;
mod people;
pub mod ports;
pub mod shell;
pub mod tcp;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::{Buf, Bytes};
use exchange::{Exchange, Place};
use futures::{SinkExt, Stream, StreamExt};
use http::HeaderMap;
use kernel::JobId;
use protocol::Code;
use protocol::tunnel::{Closed, Door, ERRORS, FromJob, MAIN, SHELLS_MAX, TUNNEL_FRAME_MAX, ToJob};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::gateway::token;
use crate::http::problem::Refused;
use crate::state::AppState;

/// From the question to the open door: a worker far away dials, and its job's sandbox answers.
const OPEN_WITHIN: Duration = Duration::from_secs(12);
const PING_EVERY: Duration = Duration::from_secs(20);
const HANG_UP_AFTER: Duration = Duration::from_secs(5);
/// All tunnels of this process.
const TUNNELS_MAX: usize = 4_096;

/// Those that wait for their worker, and how many there are.
#[derive(Clone)]
pub struct Tunnels {
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<WebSocket>>>>,
    shells: Arc<Mutex<HashMap<JobId, usize>>>,
    room: Arc<Semaphore>,
}

/// An open way into a job.
pub struct Tunnel {
    pub socket: WebSocket,
    _room: OwnedSemaphorePermit,
}

/// A place among a job's shells; dropping it makes room for another.
pub struct ShellSeat {
    shells: Arc<Mutex<HashMap<JobId, usize>>>,
    job: JobId,
}

/// Why there is no way in.
#[derive(Debug)]
pub struct Shut {
    pub reason: Closed,
    pub message: String,
}

impl Shut {
    fn failed(message: &str) -> Self {
        Self {
            reason: Closed::Failed,
            message: message.to_owned(),
        }
    }
}

impl From<Shut> for Refused {
    fn from(shut: Shut) -> Self {
        let code = match shut.reason {
            Closed::NotRunning => Code::Conflict,
            Closed::TooMany => Code::TooManyRequests,
            Closed::NothingListens | Closed::Failed => Code::Unavailable,
        };
        Self::new(code, sentence(&shut.message))
    }
}

/// What the worker said, as people read it.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            waiting: Arc::default(),
            shells: Arc::default(),
            room: Arc::new(Semaphore::new(TUNNELS_MAX)),
        }
    }
}

/// Who waits for a worker; gone from the list when it waits no more.
struct Waiting<'a> {
    tunnels: &'a Tunnels,
    ticket: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.tunnels.waiting).remove(&self.ticket);
    }
}

impl Tunnels {
    /// Has the job's worker open a door.
    ///
    /// # Errors
    /// Why it stays shut.
    pub async fn open(
        &self,
        exchange: &Exchange,
        place: &Place,
        door: Door,
    ) -> Result<Tunnel, Shut> {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|_| Shut {
            reason: Closed::TooMany,
            message: "too many connections into jobs are open at the moment".to_owned(),
        })?;
        let ticket = exchange.tunnel_ticket();
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(ticket.clone(), sender);
        let waiting = Waiting {
            tunnels: self,
            ticket,
        };
        exchange
            .knock(place, &waiting.ticket, door)
            .map_err(|error| Shut::failed(&error.problem().detail))?;
        let opened = async {
            let mut socket = receiver
                .await
                .map_err(|_| Shut::failed("the server is closing"))?;
            match first_word(&mut socket).await {
                Some(FromJob::Open {}) => Ok(socket),
                Some(FromJob::Refused { reason, message }) => Err(Shut { reason, message }),
                _ => Err(Shut::failed("the job's machine broke off")),
            }
        };
        match timeout(OPEN_WITHIN, opened).await {
            Ok(socket) => Ok(Tunnel {
                socket: socket?,
                _room: room,
            }),
            Err(_) => Err(Shut::failed(
                "the job's machine does not answer; try again in a few seconds",
            )),
        }
    }

    /// A place for one more shell in a job.
    pub fn shell_seat(&self, job: JobId) -> Option<ShellSeat> {
        let mut shells = lock(&self.shells);
        let open = shells.entry(job).or_default();
        if *open >= SHELLS_MAX {
            return None;
        }
        *open = open.saturating_add(1);
        Some(ShellSeat {
            shells: Arc::clone(&self.shells),
            job,
        })
    }
}

impl Drop for ShellSeat {
    fn drop(&mut self) {
        let mut shells = lock(&self.shells);
        if let Some(open) = shells.get_mut(&self.job) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                shells.remove(&self.job);
            }
        }
    }
}

/// The next bytes that come out of a job; `None` when nothing more comes.
async fn receive(
    from: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
) -> Option<Bytes> {
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(mut frame) => match frame.first() {
                Some(&MAIN) => {
                    frame.advance(1);
                    return Some(frame);
                }
                Some(&ERRORS) => {}
                _ => return None,
            },
            // Files and connections have one word to say, and it is that they are over.
            Message::Text(_) | Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    None
}

/// A tunnel to a port as a connection. It lives as long as the other end of the stream, or the job's.
fn stream(tunnel: Tunnel) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(TUNNEL_FRAME_MAX);
    tokio::spawn(async move {
        let Tunnel { socket, _room } = tunnel;
        let (mut sink, mut from) = socket.split();
        let (mut read, mut write) = tokio::io::split(theirs);
        let up = async {
            let mut pings = interval(PING_EVERY);
            pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut buffer = vec![MAIN; TUNNEL_FRAME_MAX / 2];
            loop {
                let message = tokio::select! {
                    count = read.read(buffer.get_mut(1..).unwrap_or_default()) => match count {
                        Ok(0) | Err(_) => break,
                        Ok(count) => Message::Binary(Bytes::copy_from_slice(
                            buffer.get(..=count).unwrap_or_default(),
                        )),
                    },
                    _ = pings.tick() => Message::Ping(Bytes::new()),
                };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            if let Ok(eof) = serde_json::to_string(&ToJob::Eof {}) {
                _ = sink.send(Message::Text(eof.into())).await;
            }
            // A job that does not hang up by itself is hung up on.
            tokio::time::sleep(HANG_UP_AFTER).await;
        };
        let down = async {
            while let Some(bytes) = receive(&mut from).await {
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            _ = write.shutdown().await;
        };
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    });
    ours
}

async fn first_word(socket: &mut WebSocket) -> Option<FromJob> {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
    None
}

/// `GET /api/v1/worker/tunnel`: a worker that was asked to dial. The ticket names who waits for it.
///
/// # Errors
/// The ticket is unknown, used or too old.
pub async fn dialled(
    State(state): State<AppState>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let ticket = token(&headers)?;
    let waiting = lock(&state.tunnels.waiting).remove(ticket);
    let waiting = waiting.ok_or_else(|| {
        Refused::new(
            Code::Unauthenticated,
            "This ticket is unknown, was used, or is too old.",
        )
    })?;
    let socket = socket
        .max_message_size(TUNNEL_FRAME_MAX)
        .max_frame_size(TUNNEL_FRAME_MAX)
        .write_buffer_size(0);
    // Who waited may be gone: then the socket is dropped here, and the worker closes the door.
    Ok(socket.on_upgrade(move |socket| async move { _ = waiting.send(socket) }))
}
