//! Ways into running jobs, from the browser or the program to the worker.
//!
//! The worker cannot be dialled: it is asked to dial, with a ticket that is good once and for seconds
//! (`/api/v1/worker/tunnel`). Each tunnel is a connection of its own, so that a flood in one delays nothing else. Flow
//! control is that of the two connections: what one side does not take, the other is not read for.

pub mod endpoints;
pub mod files;
pub mod mesh;
mod patient;
mod people;
pub mod ports;
pub mod shell;
pub mod tcp;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::{Buf, Bytes};
use exchange::{Exchange, Place};
use futures::{Sink, SinkExt, Stream, StreamExt};
use http::HeaderMap;
use kernel::{JobId, LeaseId};
use protocol::Code;
use protocol::tunnel::{
    Closed, Door, ERRORS, FromJob, MAIN, SHELLS_MAX, TUNNEL_FRAME_MAX, TUNNELS_MAX, ToJob,
};
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
/// A reader that takes nothing for so long is gone; until then the other side waits.
const SEND_WITHIN: Duration = Duration::from_mins(2);
/// Not even an answer to a ping: the line is dead. A job may leave what comes unread for as long as its first word may take, and pings wait
/// behind that, so this is not less.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// All tunnels of this process.
const ALL_TUNNELS_MAX: usize = 4_096;

/// Those that wait for their worker, and how many there are.
#[derive(Clone)]
pub struct Tunnels {
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<WebSocket>>>>,
    shells: Seats<JobId>,
    /// Those that are open and those that wait. Its worker counts them as well, but it is a stranger's.
    leases: Seats<LeaseId>,
    room: Arc<Semaphore>,
}

/// An open way into a job.
pub struct Tunnel {
    pub socket: WebSocket,
    _room: Room,
}

/// What one tunnel takes of what there is; dropping it makes room for another.
struct Room {
    _of_all: OwnedSemaphorePermit,
    _of_lease: Seat<LeaseId>,
}

/// How many there are of each.
type Taken<K> = Arc<Mutex<HashMap<K, usize>>>;

struct Seats<K>(Taken<K>);

impl<K> Clone for Seats<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Seats<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// A place among those of one; dropping it makes room for another.
struct Seat<K: Copy + Eq + Hash> {
    taken: Taken<K>,
    of: K,
}

/// A place among a job's shells.
pub struct ShellSeat {
    _seat: Seat<JobId>,
}

impl<K: Copy + Eq + Hash> Seats<K> {
    fn seat(&self, of: K, most: usize) -> Option<Seat<K>> {
        let mut seats = lock(&self.0);
        let taken = seats.entry(of).or_default();
        if *taken >= most {
            return None;
        }
        *taken = taken.saturating_add(1);
        Some(Seat {
            taken: Arc::clone(&self.0),
            of,
        })
    }
}

impl<K: Copy + Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut seats = lock(&self.taken);
        if let Some(taken) = seats.get_mut(&self.of) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                seats.remove(&self.of);
            }
        }
    }
}

/// Why there is no way in.
#[derive(Debug)]
pub struct Shut {
    pub reason: Closed,
    pub message: String,
    /// Nothing has failed: there is no room, or no answer in time.
    pub late: bool,
}

impl Shut {
    fn failed(message: &str) -> Self {
        Self {
            reason: Closed::Failed,
            message: message.to_owned(),
            late: false,
        }
    }

    fn late(reason: Closed, message: &str) -> Self {
        Self {
            reason,
            message: message.to_owned(),
            late: true,
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
            shells: Seats::default(),
            leases: Seats::default(),
            room: Arc::new(Semaphore::new(ALL_TUNNELS_MAX)),
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
        let room = self.room(place.lease)?;
        let ticket = exchange.tunnel_ticket();
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(ticket.clone(), sender);
        let waiting = Waiting {
            tunnels: self,
            ticket,
        };
        exchange
            .knock(place, &waiting.ticket, door)
            .map_err(|error| match error {
                exchange::Error::Busy(why) => Shut::late(Closed::TooMany, why),
                other => Shut::failed(&other.problem().detail),
            })?;
        let opened = async {
            let mut socket = receiver
                .await
                .map_err(|_| Shut::failed("the server is closing"))?;
            match first_word(&mut socket).await {
                Some(FromJob::Open {}) => Ok(socket),
                Some(FromJob::Refused { reason, message }) => Err(Shut {
                    reason,
                    message,
                    late: reason == Closed::TooMany,
                }),
                _ => Err(Shut::failed("the job's machine broke off")),
            }
        };
        match timeout(OPEN_WITHIN, opened).await {
            Ok(socket) => Ok(Tunnel {
                socket: socket?,
                _room: room,
            }),
            Err(_) => Err(Shut::late(
                Closed::Failed,
                "the job's machine does not answer; try again in a few seconds",
            )),
        }
    }

    fn room(&self, lease: LeaseId) -> Result<Room, Shut> {
        let too_many = |message: &str| Shut::late(Closed::TooMany, message);
        let of_lease = self.leases.seat(lease, TUNNELS_MAX);
        let of_all = Arc::clone(&self.room).try_acquire_owned();
        Ok(Room {
            _of_lease: of_lease
                .ok_or_else(|| too_many("too many connections into this job are open"))?,
            _of_all: of_all
                .map_err(|_| too_many("too many connections into jobs are open at the moment"))?,
        })
    }

    /// How many ways into a lease are open.
    fn open_into(&self, lease: LeaseId) -> usize {
        lock(&self.leases.0).get(&lease).copied().unwrap_or(0)
    }

    /// A place for one more shell in a job.
    pub fn shell_seat(&self, job: JobId) -> Option<ShellSeat> {
        let seat = self.shells.seat(job, SHELLS_MAX)?;
        Some(ShellSeat { _seat: seat })
    }
}

/// The next bytes that come out of a job; `None` when nothing more comes.
async fn receive(
    from: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
) -> Option<Bytes> {
    while let Ok(Some(Ok(message))) = timeout(SILENCE_MAX, from.next()).await {
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
        let (sink, from) = socket.split();
        join(sink, from, theirs).await;
    });
    ours
}

async fn join(
    mut sink: impl Sink<Message> + Unpin,
    mut from: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    stream: DuplexStream,
) {
    let (mut read, mut write) = tokio::io::split(stream);
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
            if !matches!(timeout(SILENCE_MAX, sink.send(message)).await, Ok(Ok(()))) {
                return;
            }
        }
        if let Ok(eof) = serde_json::to_string(&ToJob::Eof {}) {
            _ = timeout(SEND_WITHIN, sink.send(Message::Text(eof.into()))).await;
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

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;

    #[test]
    fn one_lease_takes_no_more_than_its_own_tunnels() {
        let tunnels = Tunnels::default();
        let lease = |last| LeaseId::new(Timestamp::from_millis(1), [last; 10]);
        let mut open: Vec<Room> = (0..TUNNELS_MAX)
            .map(|_| tunnels.room(lease(1)).expect("there is room"))
            .collect();
        let shut = tunnels.room(lease(1)).map(drop).expect_err("no more");
        assert_eq!(shut.reason, Closed::TooMany);
        let other = tunnels.room(lease(2)).expect("another lease has its own");
        open.pop();
        open.push(tunnels.room(lease(1)).expect("one was closed"));
        drop((open, other));
        assert!(lock(&tunnels.leases.0).is_empty());
        assert_eq!(tunnels.room.available_permits(), ALL_TUNNELS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_breaks_in_silence_is_given_up() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let nothing = futures::stream::pending();
        tokio::spawn(join(futures::sink::drain(), nothing, theirs));
        let read = timeout(SILENCE_MAX * 2, ours.read_u8()).await;
        assert!(read.expect("it ends").is_err());
    }
}
