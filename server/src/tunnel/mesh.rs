//! The network of a job's machines: a packet that comes out of one machine's tunnel goes into another's of the same job. Nothing else
//! is reached from it, and nothing reaches it. What a machine does not take in time is lost, as on any network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::Message;
use bytes::Bytes;
use exchange::Place;
use futures::{SinkExt, Stream, StreamExt};
use kernel::JobId;
use protocol::mesh::{self, Mesh};
use protocol::tunnel::{Door, MAIN};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::{PING_EVERY, SEND_WITHIN, Tunnel, lock};
use crate::state::AppState;

/// Frames that wait for one machine: 4 MB of large packets, which is more than a connection with 40 ms there and back fills.
const WAITING_MAX: usize = 256;
/// What one machine may send: the exchange's own line carries all networks.
const BYTES_PER_SLICE: usize = 8 * 1024 * 1024;
const SLICE: Duration = Duration::from_millis(100);
/// What a frame costs whatever is in it.
const FRAME_COST: usize = 256;
/// A packet behind the first byte.
const FRAME_MAX: usize = mesh::MTU as usize + 1;
/// Not even an answer to a ping: a machine reads its network at all times. The line is dead, and another is made.
const SILENCE_MAX: Duration = PING_EVERY.saturating_mul(3);

/// The networks that this process carries.
#[derive(Clone, Default)]
pub struct Meshes(Arc<Mutex<HashMap<(JobId, u32), Joined>>>);

/// One machine in its job's network; taken out of it when this is dropped.
struct Joined {
    place: Place,
    queue: mpsc::Sender<Bytes>,
    carrier: AbortHandle,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Meshes {
    fn send(&self, job: JobId, to: u32, frame: Bytes) {
        if let Some(joined) = lock(&self.0).get(&(job, to)) {
            _ = joined.queue.try_send(frame);
        }
    }
}

/// Joins machines that began to run, or whose tunnel broke, and lets those go that do not run any more.
pub fn round(state: &AppState) {
    let running = state.exchange.meshes();
    let mut joined = lock(&state.meshes.0);
    // Of a machine that took the place of a lost one the lease is another.
    joined.retain(|_, one| {
        !one.queue.is_closed() && running.iter().any(|(_, place)| *place == one.place)
    });
    for (mesh, place) in running {
        joined.entry((place.job, place.member)).or_insert_with(|| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            let carrier = tokio::spawn(carry(state.clone(), mesh, place, waiting));
            Joined {
                place,
                queue,
                carrier: carrier.abort_handle(),
            }
        });
    }
}

/// Carries one machine's packets until its tunnel breaks.
async fn carry(state: AppState, mesh: Mesh, place: Place, mut waiting: mpsc::Receiver<Bytes>) {
    let opened = state.tunnels.open(&state.exchange, &place, Door::Mesh {});
    let Tunnel { socket, _room } = match opened.await {
        Ok(tunnel) => tunnel,
        Err(shut) => {
            tracing::debug!(job = %place.job, member = place.member, why = shut.message, "a machine does not join its network yet");
            return;
        }
    };
    let (mut sink, mut from) = socket.split();
    let into = async {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                frame = waiting.recv() => match frame {
                    Some(frame) => Message::Binary(frame),
                    None => return,
                },
                _ = pings.tick() => Message::Ping(Bytes::new()),
            };
            if !matches!(timeout(SEND_WITHIN, sink.send(message)).await, Ok(Ok(()))) {
                return;
            }
        }
    };
    let out = hear(&mut from, mesh, |to, frame| {
        state.meshes.send(place.job, to, frame);
    });
    tokio::select! {
        () = into => {}
        () = out => {}
    }
}

/// What comes out of a machine, until nothing more comes. All of it counts, whether it goes anywhere or not.
async fn hear(
    from: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
    mesh: Mesh,
    pass: impl Fn(u32, Bytes),
) {
    let carried = metrics::counter!("iog_mesh_bytes_total");
    let lost = metrics::counter!("iog_mesh_refused_packets_total");
    let mut slice = Instant::now();
    let mut bytes = 0_usize;
    while let Ok(Some(Ok(message))) = timeout(SILENCE_MAX, from.next()).await {
        let (length, frame) = match message {
            Message::Binary(frame) => (frame.len(), Some(frame)),
            Message::Close(_) => return,
            Message::Text(text) => (text.len(), None),
            Message::Ping(word) | Message::Pong(word) => (word.len(), None),
        };
        bytes = bytes.saturating_add(length).saturating_add(FRAME_COST);
        if let Some(frame) = frame {
            match target(&frame, mesh) {
                Some(to) => {
                    carried.increment(frame.len() as u64);
                    pass(to, frame);
                }
                None => lost.increment(1),
            }
        }
        if bytes >= BYTES_PER_SLICE {
            // At most so much in so long: the rest waits in the machine's own connection.
            sleep_until(slice + SLICE).await;
            (slice, bytes) = (Instant::now(), 0);
        }
    }
}

/// For whom a frame is, if it is a packet that a machine's network may send.
fn target(frame: &[u8], mesh: Mesh) -> Option<u32> {
    let (first, packet) = frame.split_first()?;
    if *first != MAIN || frame.len() > FRAME_MAX {
        return None;
    }
    mesh::route(packet, mesh)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::stream;

    use super::*;

    const OWN: Mesh = Mesh {
        member: 0,
        members: 2,
    };

    /// From member 0 to the other, or to nobody.
    fn frame(length: usize, routed: bool) -> Bytes {
        let mut frame = vec![0; length];
        frame[0] = MAIN;
        frame[1] = 0x45;
        frame[13..17].copy_from_slice(&mesh::address(0).octets());
        frame[17..21].copy_from_slice(&mesh::address(u32::from(routed)).octets());
        frame.into()
    }

    async fn heard(messages: Vec<Message>) -> (usize, Duration) {
        let (passed, began) = (Cell::new(0), Instant::now());
        let mut from = stream::iter(messages.into_iter().map(Ok));
        hear(&mut from, OWN, |_, _| passed.set(passed.get() + 1)).await;
        (passed.get(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_counts_as_well() {
        // Of the largest frames hardly more than a slice's bytes, of the smallest by their number.
        let small = BYTES_PER_SLICE / (FRAME_COST + 29) + 1;
        let empty = BYTES_PER_SLICE / FRAME_COST;
        for (message, count) in [
            (Message::Binary(frame(29, true)), small),
            (Message::Binary(frame(29, false)), small),
            (
                Message::Binary(frame(FRAME_MAX + 1, true)),
                BYTES_PER_SLICE / FRAME_MAX,
            ),
            (Message::Text("".into()), empty),
            (Message::Ping(Bytes::new()), empty),
        ] {
            let (_, took) = heard(vec![message.clone(); count * 3]).await;
            assert!(took >= SLICE * 2, "{took:?} for {message:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_packet_is_larger_than_the_network_takes() {
        let both = [FRAME_MAX, FRAME_MAX + 1].map(|length| Message::Binary(frame(length, true)));
        assert_eq!(heard(both.into()).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_breaks_in_silence_is_given_up() {
        let mut from = stream::pending();
        let heard = hear(&mut from, OWN, |_, _| {});
        assert!(timeout(SILENCE_MAX * 2, heard).await.is_ok());
    }
}
