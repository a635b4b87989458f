//! Telling watchers what happens: topics with a memory of their last frames.
//!
//! A frame is encoded once, whoever watches. Numbers rise over all topics together, so that a topic that was forgotten
//! for lack of watchers and made again never repeats one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::live::{Live, ToBrowser, Topic};
use tokio::sync::broadcast;

/// Frames that a topic remembers, and that a slow reader may lag behind.
const RING: usize = 512;

/// One frame, encoded as a [`ToBrowser::Frame`].
#[derive(Debug, Clone)]
pub struct LiveFrame {
    pub seq: u64,
    pub text: Arc<str>,
}

/// A watcher's beginning.
#[derive(Debug)]
pub struct Subscription {
    pub topic: Topic,
    /// The number after which `frames` go on.
    pub seq: u64,
    /// What was missed is no longer known: read the whole again.
    pub resync: bool,
    /// What was missed, to be sent first.
    pub missed: Vec<Arc<str>>,
    pub frames: broadcast::Receiver<LiveFrame>,
}

struct Channel {
    ring: VecDeque<LiveFrame>,
    /// The highest number that is no longer in the ring.
    forgotten: u64,
    sender: broadcast::Sender<LiveFrame>,
}

#[derive(Default)]
struct Channels {
    seq: u64,
    topics: HashMap<Topic, Channel>,
}

/// All topics.
pub struct LiveHub {
    boot: String,
    channels: Mutex<Channels>,
}

impl LiveHub {
    /// `boot` tells one run of the server from another.
    pub(crate) fn new(boot: String) -> Self {
        Self {
            boot,
            channels: Mutex::default(),
        }
    }

    pub fn boot(&self) -> &str {
        &self.boot
    }

    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn subscribe(&self, topic: Topic, since: Option<(&str, u64)>) -> Subscription {
        let mut channels = self.lock();
        let seq = channels.seq;
        let channel = channels.topics.entry(topic).or_insert_with(|| Channel {
            ring: VecDeque::new(),
            forgotten: seq,
            sender: broadcast::channel(RING).0,
        });
        let frames = channel.sender.subscribe();
        let (resync, missed) = match since {
            None => (false, Vec::new()),
            Some((boot, since)) if boot == self.boot && since >= channel.forgotten => {
                let missed = channel.ring.iter().filter(|frame| frame.seq > since);
                (false, missed.map(|frame| Arc::clone(&frame.text)).collect())
            }
            Some(_) => (true, Vec::new()),
        };
        Subscription {
            topic,
            seq,
            resync,
            missed,
            frames,
        }
    }

    /// Whether anyone watches: what costs a query is made only then.
    pub(crate) fn watched(&self, topic: Topic) -> bool {
        self.lock()
            .topics
            .get(&topic)
            .is_some_and(|channel| channel.sender.receiver_count() > 0)
    }

    /// All that somebody watches.
    pub(crate) fn watched_topics(&self) -> Vec<Topic> {
        let channels = self.lock();
        let topics = channels.topics.iter();
        topics
            .filter(|(_, channel)| channel.sender.receiver_count() > 0)
            .map(|(topic, _)| *topic)
            .collect()
    }

    pub(crate) fn publish(&self, topic: Topic, data: Live) {
        let mut channels = self.lock();
        channels.seq = channels.seq.saturating_add(1);
        let seq = channels.seq;
        let Some(channel) = channels.topics.get_mut(&topic) else {
            return;
        };
        let text = match serde_json::to_string(&ToBrowser::Frame { topic, seq, data }) {
            Ok(text) => Arc::<str>::from(text),
            Err(error) => {
                tracing::error!(%topic, %error, "a live frame could not be encoded");
                return;
            }
        };
        let frame = LiveFrame { seq, text };
        if channel.ring.len() == RING
            && let Some(old) = channel.ring.pop_front()
        {
            channel.forgotten = old.seq;
        }
        channel.ring.push_back(frame.clone());
        // Fails only when nobody watches at the moment; the ring keeps it for those who return.
        let _ = channel.sender.send(frame);
    }

    /// Forgets topics that nobody watches.
    pub(crate) fn prune(&self) {
        self.lock()
            .topics
            .retain(|_, channel| channel.sender.receiver_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{JobId, Timestamp};

    fn frame(hub: &LiveHub) {
        hub.publish(Topic::Market, Live::Log { lines: Vec::new() });
    }

    #[test]
    fn a_watcher_who_returns_gets_what_was_missed() {
        let hub = LiveHub::new("a".into());
        let first = hub.subscribe(Topic::Market, None);
        frame(&hub);
        frame(&hub);
        let again = hub.subscribe(Topic::Market, Some(("a", first.seq + 1)));
        assert_eq!((again.missed.len(), again.resync, again.seq), (1, false, 2));
    }

    #[test]
    fn a_watcher_of_another_boot_or_too_late_reads_anew() {
        let hub = LiveHub::new("a".into());
        let first = hub.subscribe(Topic::Market, None);
        assert!(hub.subscribe(Topic::Market, Some(("b", first.seq))).resync);
        for _ in 0..=RING {
            frame(&hub);
        }
        assert!(hub.subscribe(Topic::Market, Some(("a", first.seq))).resync);
        drop(first);
        hub.prune();
        let numbers_go_on = hub.subscribe(Topic::Market, None).seq;
        assert_eq!(numbers_go_on, 513);
    }

    #[test]
    fn topics_do_not_mix() {
        let hub = LiveHub::new("a".into());
        let job = Topic::Job(JobId::new(Timestamp::from_millis(1), [0; 10]));
        let mut watcher = hub.subscribe(job, None);
        hub.subscribe(Topic::Market, None);
        frame(&hub);
        assert!(watcher.frames.try_recv().is_err());
    }
}
