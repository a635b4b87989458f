//! The network of a job's machines: a packet that comes out of one machine's tunnel goes into another's of the same job. Nothing else
//! is reached from it, and nothing reaches it. What a machine does not take in time is lost, as on any network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::Message;
use bytes::Bytes;
use exchange::Place;
use futures::{SinkExt, StreamExt};
use kernel::JobId;
use protocol::mesh::{self, Mesh};
use protocol::tunnel::{Door, MAIN};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{PING_EVERY, Tunnel, lock};
use crate::state::AppState;

/// Frames that wait for one machine: 4 MB of large packets, which is more than a connection with 40 ms there and back fills.
const WAITING_MAX: usize = 256;
/// What one machine may send: the exchange's own line carries all networks.
const BYTES_PER_SLICE: usize = 8 * 1024 * 1024;
const SLICE: Duration = Duration::from_millis(100);

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
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    let out = async {
        let carried = metrics::counter!("iog_mesh_bytes_total");
        let lost = metrics::counter!("iog_mesh_refused_packets_total");
        let mut slice = Instant::now();
        let mut bytes = 0_usize;
        while let Some(Ok(message)) = from.next().await {
            let frame = match message {
                Message::Binary(frame) => frame,
                Message::Close(_) => return,
                _ => continue,
            };
            let packet = frame.split_first().filter(|(first, _)| **first == MAIN);
            let Some(to) = packet.and_then(|(_, packet)| mesh::route(packet, mesh)) else {
                lost.increment(1);
                continue;
            };
            carried.increment(frame.len() as u64);
            bytes = bytes.saturating_add(frame.len());
            state.meshes.send(place.job, to, frame);
            if bytes >= BYTES_PER_SLICE {
                // At most so much in so long: the rest waits in the machine's own connection.
                sleep_until(slice + SLICE).await;
                (slice, bytes) = (Instant::now(), 0);
            }
        }
    };
    tokio::select! {
        () = into => {}
        () = out => {}
    }
}
