//! The subscriptions of one socket.

use std::collections::BTreeMap;

use axum::extract::ws::Utf8Bytes;
use exchange::{Exchange, Subscription};
use protocol::live::{TOPICS_PER_SOCKET_MAX, ToBrowser, Topic};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::encode;

pub struct Topics {
    exchange: Exchange,
    sender: mpsc::Sender<Utf8Bytes>,
    tasks: BTreeMap<Topic, AbortHandle>,
}

impl Drop for Topics {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

impl Topics {
    pub fn new(exchange: Exchange, sender: mpsc::Sender<Utf8Bytes>) -> Self {
        Self {
            exchange,
            sender,
            tasks: BTreeMap::new(),
        }
    }

    pub fn has_room_for(&self, topic: Topic) -> bool {
        self.tasks.len() < TOPICS_PER_SOCKET_MAX || self.tasks.contains_key(&topic)
    }

    /// Starts it, or starts it anew: a page that subscribes again wants to be told where it stands.
    pub fn subscribe(&mut self, topic: Topic, since: Option<(String, u64)>) {
        let forward = forward(self.exchange.clone(), self.sender.clone(), topic, since);
        let task = tokio::spawn(forward).abort_handle();
        if let Some(before) = self.tasks.insert(topic, task) {
            before.abort();
        }
    }

    pub fn unsubscribe(&mut self, topic: Topic) {
        if let Some(task) = self.tasks.remove(&topic) {
            task.abort();
        }
    }
}

/// Ends when the socket's queue does.
async fn forward(
    exchange: Exchange,
    sender: mpsc::Sender<Utf8Bytes>,
    topic: Topic,
    since: Option<(String, u64)>,
) {
    let since = since.as_ref().map(|(boot, seq)| (boot.as_str(), *seq));
    let mut subscription = exchange.live().subscribe(topic, since);
    let boot = exchange.live().boot().to_owned();
    let first = beginning(&subscription, &boot, since.map(|(_, seq)| seq));
    if sender.send(encode(&first)).await.is_err() {
        return;
    }
    for text in std::mem::take(&mut subscription.missed) {
        if sender.send(text.as_ref().into()).await.is_err() {
            return;
        }
    }
    let mut sent = subscription.seq;
    loop {
        match subscription.frames.recv().await {
            // What was in the ring when we subscribed may come by the channel too.
            Ok(frame) if frame.seq <= sent => {}
            Ok(frame) => {
                sent = frame.seq;
                if sender.send(frame.text.as_ref().into()).await.is_err() {
                    return;
                }
            }
            Err(RecvError::Lagged(missed)) => {
                metrics::counter!("iog_live_lagged_total").increment(1);
                subscription = exchange.live().subscribe(topic, None);
                sent = subscription.seq;
                let resync = ToBrowser::Resync {
                    topic,
                    boot: boot.clone(),
                    seq: sent,
                };
                for message in [ToBrowser::Lagged { topic, missed }, resync] {
                    if sender.send(encode(&message)).await.is_err() {
                        return;
                    }
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// The first word about a topic: going on from where the reader was, from now, or from the whole read again.
fn beginning(subscription: &Subscription, boot: &str, since: Option<u64>) -> ToBrowser {
    let (topic, boot) = (subscription.topic, boot.to_owned());
    if subscription.resync {
        return ToBrowser::Resync {
            topic,
            boot,
            seq: subscription.seq,
        };
    }
    // Missed frames follow, and they come after what the reader had, not after the newest.
    let seq = if subscription.missed.is_empty() {
        subscription.seq
    } else {
        since.unwrap_or(0)
    };
    ToBrowser::Subscribed { topic, boot, seq }
}
