//! The browser's one socket, `/api/v1/live`, with typed subscriptions.
//!
//! It reconnects for ever with back-off, and each topic goes on from the last frame it saw. Where frames were lost
//! (a long absence, a restarted server) the subscriber is told to read the whole again. A line on which nothing comes,
//! not even the server's beat, is dead and is dialled anew. Nothing here runs on the server: subscriptions are made in
//! effects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kernel::Timestamp;
use leptos::prelude::*;
use protocol::view::{LogLine, Meter};
use protocol::worker::Metric;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{MessageEvent, WebSocket};

use crate::components::Tone;
use crate::i18n::Words;

const FIRST_RETRY: Duration = Duration::from_millis(400);
const SLOWEST_RETRY: Duration = Duration::from_secs(15);
/// The server's beat comes every 20 s. A line that is silent for longer than two of them is dead, however open it looks.
const SILENCE_MAX_MS: f64 = 45_000.0;
const LISTEN_EVERY: Duration = Duration::from_secs(5);

/// How the page stands to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// As the server wrote it; no socket yet (or no JavaScript).
    #[default]
    Still,
    /// Frames arrive.
    Live,
    /// The socket was lost; what is shown may be old.
    Retrying,
    /// The browser says it has no network.
    Offline,
}

impl Link {
    pub const fn tone(self) -> Tone {
        match self {
            Self::Still => Tone::Idle,
            Self::Live => Tone::Ok,
            Self::Retrying => Tone::Warn,
            Self::Offline => Tone::Bad,
        }
    }

    pub const fn word(self, t: &Words) -> &'static str {
        match self {
            Self::Still => t.link_still(),
            Self::Live => t.link_live(),
            Self::Retrying => t.link_retrying(),
            Self::Offline => t.link_offline(),
        }
    }
}

/// What the server says, as much of it as pages show: `protocol::live::ToBrowser` is the whole. Offers, states and
/// machines are only noted as changed, because the server writes them (see `pages::fragment`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Incoming {
    subscribed: Option<Begin>,
    resync: Option<Begin>,
    frame: Option<Numbered>,
    refused: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Begin {
    topic: String,
    boot: String,
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct Numbered {
    topic: String,
    seq: u64,
    data: Frame,
}

#[derive(Debug, Deserialize)]
struct Refused {
    topic: Option<String>,
    message: String,
}

/// What happened: one of `protocol::live::Live`, with what pages need of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Frame {
    pub job: Option<WithMeter>,
    pub meter: Option<WithMeter>,
    pub log: Option<Lines>,
    pub samples: Option<Samples>,
    pub receipt: Option<IgnoredAny>,
    pub alerts: Option<Alerts>,
    pub notices: Option<Notices>,
}

#[derive(Debug, Deserialize)]
pub struct Alerts {
    pub unseen: u32,
}

#[derive(Debug, Deserialize)]
pub struct Notices {
    pub unread: u32,
}

#[derive(Debug, Deserialize)]
pub struct WithMeter {
    pub meter: Meter,
}

#[derive(Debug, Deserialize)]
pub struct Lines {
    pub lines: Vec<LogLine>,
}

#[derive(Debug, Deserialize)]
pub struct Samples {
    pub samples: Vec<SampleRow>,
}

impl Frame {
    /// What the meter says now, if the frame says it.
    pub fn reading(&self) -> Option<Meter> {
        self.job
            .as_ref()
            .or(self.meter.as_ref())
            .map(|with| with.meter)
    }
}

/// One second of a job: `protocol::view::SampleView` without what charts do not show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    pub at: Timestamp,
    /// Which of the job's nodes.
    #[serde(default)]
    pub member: u32,
    pub cpu_percent: f32,
    pub memory_mib: f32,
    #[serde(default)]
    pub gpu_percent: Option<f32>,
    #[serde(default)]
    pub gpu_memory_mib: Option<f32>,
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// Every second sample goes; the last one stays. Numbers that a dropped one carried move on to the next that stays, unless
/// it has newer ones of that name.
pub fn halve(samples: &mut Vec<SampleRow>) {
    let dropped = samples.len() % 2;
    let mut carried: Vec<Metric> = Vec::new();
    let mut index = 0;
    samples.retain_mut(|sample| {
        carried.retain(|old| sample.metrics.iter().all(|new| new.name != old.name));
        carried.append(&mut sample.metrics);
        let stays = index % 2 != dropped;
        index += 1;
        if stays {
            sample.metrics = std::mem::take(&mut carried);
        }
        stays
    });
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum News<'a> {
    Frame(&'a Frame),
    /// Read the whole again; frames go on from there.
    Reread,
}

type Handler = Rc<dyn Fn(&News)>;

#[derive(Default)]
struct Watched {
    /// Of the last frame seen.
    seen: Option<(String, u64)>,
    handlers: BTreeMap<u32, Handler>,
}

/// The open socket with the callbacks that must live as long as it does.
struct Socket {
    socket: WebSocket,
    _callbacks: [Closure<dyn FnMut(MessageEvent)>; 3],
}

#[derive(Default)]
struct Hub {
    socket: Option<Socket>,
    open: bool,
    /// When anything last came, or the socket was made; milliseconds of the wall clock.
    heard: f64,
    attempts: u32,
    /// How many sockets were made: tells a retry that it comes too late.
    dials: u32,
    topics: BTreeMap<String, Watched>,
    next_handler: u32,
    link: Option<RwSignal<Link>>,
}

impl Hub {
    /// Frames after this one are news.
    fn begin(&mut self, begin: &Begin) {
        if let Some(watched) = self.topics.get_mut(&begin.topic) {
            watched.seen = Some((begin.boot.clone(), begin.seq));
        }
    }

    /// Whether this topic was ever granted to this page.
    fn was_granted(&self, topic: &str) -> bool {
        let watched = self.topics.get(topic);
        watched.is_some_and(|watched| watched.seen.is_some())
    }

    fn is_silent(&self, now: f64) -> bool {
        self.socket.is_some() && now - self.heard > SILENCE_MAX_MS
    }
}

thread_local! {
    static HUB: RefCell<Hub> = RefCell::default();
}

fn hub<T>(with: impl FnOnce(&mut Hub) -> T) -> T {
    HUB.with_borrow_mut(with)
}

/// The wait before try number `attempts`: doubling, bounded, and spread so that a restarted server is not met by
/// every browser at once. `spread` is between 0 and 1.
fn wait(attempts: u32, spread: f64) -> Duration {
    let full = FIRST_RETRY
        .saturating_mul(1 << attempts.min(10))
        .min(SLOWEST_RETRY);
    full.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
}

fn set_link(link: Link) {
    if let Some(signal) = hub(|hub| hub.link)
        && signal.try_get_untracked() != Some(link)
    {
        _ = signal.try_set(link);
    }
}

/// Call once, in the root: makes the signal that pages show.
pub fn provide_link() -> RwSignal<Link> {
    let link = RwSignal::new(Link::default());
    provide_context(link);
    Effect::new(move || {
        hub(|hub| hub.link = Some(link));
        let back = window_event_listener_untyped("online", |_| {
            // The old socket looks open for minutes after the network went.
            hang_up();
            let idle = hub(|hub| {
                hub.attempts = 0;
                hub.topics.is_empty()
            });
            set_link(if idle { Link::Still } else { Link::Retrying });
            connect();
        });
        let gone = window_event_listener_untyped("offline", |_| set_link(Link::Offline));
        let listen = || {
            if hub(|hub| hub.is_silent(js_sys::Date::now())) {
                hang_up();
                retry();
            }
        };
        let listening = set_interval_with_handle(listen, LISTEN_EVERY).ok();
        on_cleanup(move || {
            back.remove();
            gone.remove();
            if let Some(timer) = listening {
                timer.clear();
            }
        });
    });
    link
}

pub fn link() -> RwSignal<Link> {
    use_context().unwrap_or_else(|| RwSignal::new(Link::Still))
}

/// Watches a topic as long as the calling component lives. The first thing a handler hears is `Reread`: what the
/// server rendered may be older than the subscription.
pub fn watch(topic: String, handler: impl Fn(&News) + 'static) {
    let handler: Handler = Rc::new(handler);
    Effect::new(move || {
        let handler = Rc::clone(&handler);
        let (number, watched) = hub(|hub| {
            let number = hub.next_handler;
            hub.next_handler = number.wrapping_add(1);
            let watched = hub.topics.contains_key(&topic);
            hub.topics
                .entry(topic.clone())
                .or_default()
                .handlers
                .insert(number, Rc::clone(&handler));
            (number, watched)
        });
        if watched {
            // The subscription stands already, so its beginning will not be told again.
            untrack(|| handler(&News::Reread));
        } else {
            subscribe(&topic);
        }
        connect();
        let topic = topic.clone();
        on_cleanup(move || unwatch(&topic, number));
    });
}

fn unwatch(topic: &str, number: u32) {
    let last = hub(|hub| {
        let Some(watched) = hub.topics.get_mut(topic) else {
            return false;
        };
        watched.handlers.remove(&number);
        let last = watched.handlers.is_empty();
        if last {
            hub.topics.remove(topic);
        }
        last
    });
    if last {
        send(&format!(
            r#"{{"type":"unsubscribe","topic":{}}}"#,
            quoted(topic)
        ));
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn send(message: &str) {
    let socket = hub(|hub| {
        if hub.open {
            hub.socket.as_ref().map(|s| s.socket.clone())
        } else {
            None
        }
    });
    if let Some(socket) = socket {
        // A socket that is closing reports it through its close event.
        _ = socket.send_with_str(message);
    }
}

/// `protocol::live::FromBrowser::Subscribe`.
fn subscription(topic: &str, seen: Option<&(String, u64)>) -> String {
    let topic = quoted(topic);
    match seen {
        Some((boot, since)) => {
            format!(
                r#"{{"type":"subscribe","topic":{topic},"boot":{},"since":{since}}}"#,
                quoted(boot)
            )
        }
        None => format!(r#"{{"type":"subscribe","topic":{topic}}}"#),
    }
}

fn subscribe(topic: &str) {
    let message = hub(|hub| {
        let seen = hub
            .topics
            .get(topic)
            .and_then(|watched| watched.seen.as_ref());
        subscription(topic, seen)
    });
    send(&message);
}

fn address() -> Option<String> {
    let location = window().location();
    let scheme = if location.protocol().ok()? == "https:" {
        "wss"
    } else {
        "ws"
    };
    Some(format!("{scheme}://{}/api/v1/live", location.host().ok()?))
}

/// Opens the socket when there is none and somebody watches.
fn connect() {
    if hub(|hub| hub.socket.is_some() || hub.topics.is_empty()) {
        return;
    }
    let Some(socket) = address().and_then(|address| WebSocket::new(&address).ok()) else {
        retry();
        return;
    };
    let on_open = Closure::new(|_: MessageEvent| {
        hub(|hub| {
            hub.open = true;
            hub.attempts = 0;
        });
        set_link(Link::Live);
        let topics: Vec<String> = hub(|hub| hub.topics.keys().cloned().collect());
        for topic in &topics {
            subscribe(topic);
        }
    });
    let on_message = Closure::new(|event: MessageEvent| {
        hub(|hub| hub.heard = js_sys::Date::now());
        if let Some(message) = event
            .data()
            .as_string()
            .and_then(|text| serde_json::from_str(&text).ok())
        {
            receive(message);
        }
    });
    let on_close = Closure::new(|_: MessageEvent| {
        hub(|hub| hub.open = false);
        retry();
    });
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    hub(|hub| {
        hub.heard = js_sys::Date::now();
        hub.dials = hub.dials.wrapping_add(1);
        hub.socket = Some(Socket {
            socket,
            _callbacks: [on_open, on_message, on_close],
        });
    });
}

/// Lets the socket go, in whatever state it is. Not to be called by its own callbacks, which would free themselves.
fn hang_up() {
    let old = hub(|hub| {
        hub.open = false;
        hub.socket.take()
    });
    if let Some(old) = old {
        old.socket.set_onopen(None);
        old.socket.set_onmessage(None);
        old.socket.set_onclose(None);
        _ = old.socket.close();
    }
}

fn retry() {
    let online = window().navigator().on_line();
    set_link(if online {
        Link::Retrying
    } else {
        Link::Offline
    });
    let (attempts, dials) = hub(|hub| {
        hub.attempts = hub.attempts.saturating_add(1);
        (hub.attempts, hub.dials)
    });
    let reopen = move || {
        // Unless it was dialled anew meanwhile, because the network came back.
        if hub(|hub| hub.dials) == dials {
            hang_up();
            connect();
        }
    };
    set_timeout(reopen, wait(attempts, js_sys::Math::random()));
}

fn receive(message: Incoming) {
    if let Some(begin) = message.resync {
        hub(|hub| hub.begin(&begin));
        tell(&begin.topic, &News::Reread);
    }
    if let Some(begin) = message.subscribed {
        // Otherwise we go on from where we were, and what was missed follows as frames.
        let first = hub(|hub| {
            let first = hub
                .topics
                .get(&begin.topic)
                .is_some_and(|watched| watched.seen.is_none());
            if first {
                hub.begin(&begin);
            }
            first
        });
        if first {
            tell(&begin.topic, &News::Reread);
        }
    }
    if let Some(frame) = message.frame {
        let fresh = hub(|hub| {
            let seen = hub
                .topics
                .get_mut(&frame.topic)
                .and_then(|watched| watched.seen.as_mut());
            let fresh = seen.filter(|(_, last)| frame.seq > *last);
            fresh.map(|(_, last)| *last = frame.seq).is_some()
        });
        if fresh {
            tell(&frame.topic, &News::Frame(&frame.data));
        }
    }
    if let Some(refused) = message.refused {
        leptos::logging::log!("live: {}", refused.message);
        // It was ours before: the session has ended elsewhere, and nothing on this page will change any more. The server
        // writes what may be seen now.
        let was_ours = |topic: String| hub(|hub| hub.was_granted(&topic));
        if refused.topic.is_some_and(was_ours) {
            _ = window().location().reload();
        }
    }
}

fn tell(topic: &str, news: &News) {
    // Cloned first: a handler may watch or unwatch.
    let handlers: Vec<Handler> = hub(|hub| {
        let watched = hub.topics.get(topic);
        watched
            .map(|watched| watched.handlers.values().cloned().collect())
            .unwrap_or_default()
    });
    for handler in handlers {
        handler(news);
    }
}

/// Tells of any change on the market.
pub fn watch_market(changed: impl Fn() + 'static) {
    watch("market".to_owned(), move |_| changed());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_and_is_bounded() {
        assert_eq!(wait(0, 1.0), FIRST_RETRY);
        assert!(wait(3, 0.0) > wait(1, 0.0));
        assert_eq!(wait(40, 1.0), SLOWEST_RETRY);
        assert_eq!(wait(40, 0.0), SLOWEST_RETRY / 2);
        assert!(wait(40, 9.0) <= SLOWEST_RETRY);
    }

    #[test]
    fn thinning_keeps_the_numbers_that_a_job_printed() {
        let row = |at: i64, printed: &[(&str, f64)]| SampleRow {
            member: 0,
            at: Timestamp::from_millis(at),
            cpu_percent: 0.0,
            memory_mib: 0.0,
            gpu_percent: None,
            gpu_memory_mib: None,
            metrics: printed
                .iter()
                .map(|(name, value)| Metric {
                    name: (*name).into(),
                    value: *value,
                })
                .collect(),
        };
        for more in [0, 1] {
            let mut rows: Vec<_> = (0..more).map(|at| row(at, &[])).collect();
            rows.extend([
                row(1, &[("loss", 3.0), ("step", 1.0)]),
                row(2, &[("loss", 2.0)]),
                row(3, &[("loss", 1.0)]),
                row(4, &[]),
            ]);
            halve(&mut rows);
            let left: Vec<_> = rows.iter().map(|row| row.at.millis()).collect();
            assert!(left.ends_with(&[2, 4]), "{left:?}");
            let last = &rows[left.len() - 2..];
            assert_eq!(last[0].metrics.len(), 2);
            assert!((last[0].metrics[1].value - 2.0).abs() < 1e-9);
            assert!((last[1].metrics[0].value - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn only_a_topic_that_was_granted_is_missed() {
        let mut hub = Hub::default();
        hub.topics.insert("market".into(), Watched::default());
        assert!(!hub.was_granted("market") && !hub.was_granted("other"));
        hub.begin(&Begin {
            topic: "market".into(),
            boot: "b".into(),
            seq: 1,
        });
        assert!(hub.was_granted("market"));
        assert!(!hub.is_silent(1e12), "there is no socket");
    }

    #[test]
    fn what_the_server_says_is_understood() {
        use protocol::live::{FromBrowser, Live, ToBrowser, Topic};
        use protocol::view::{SampleData, SampleView};

        let lease = kernel::LeaseId::new(Timestamp::from_millis(1), [1; 10]);
        let sample = SampleView {
            member: 0,
            at: Timestamp::from_millis(7_000),
            lease,
            data: SampleData {
                seq: 3,
                second: 7,
                cpu_percent: 98.5,
                memory_mib: 12.0,
                gpu_percent: None,
                gpu_memory_mib: None,
                metrics: vec![Metric {
                    name: "loss".into(),
                    value: 0.25,
                }],
            },
        };
        let read = |message: &ToBrowser| {
            let text = serde_json::to_string(message).expect("json");
            serde_json::from_str::<Incoming>(&text).expect("understood")
        };
        let frame = |data| {
            let message = read(&ToBrowser::Frame {
                topic: Topic::Market,
                seq: 5,
                data,
            });
            message.frame.expect("a frame")
        };
        let refused = read(&ToBrowser::Refused {
            topic: Some(Topic::Market),
            message: "no".into(),
        });
        let refused = refused.refused.expect("refused");
        assert_eq!(refused.topic.as_deref(), Some("market"));
        assert!(read(&ToBrowser::Beat {}).frame.is_none());
        let samples = frame(Live::Samples {
            samples: vec![sample],
        });
        assert_eq!((samples.topic.as_str(), samples.seq), ("market", 5));
        let samples = samples.data.samples.expect("samples").samples;
        assert!((samples[0].metrics[0].value - 0.25).abs() < 1e-9);
        let meter = frame(Live::Meter {
            meter: Meter::default(),
            at: Timestamp::from_millis(1),
        });
        assert_eq!(meter.data.reading(), Some(Meter::default()));
        assert!(
            frame(Live::Receipt { seq: 1, lease })
                .data
                .receipt
                .is_some()
        );
        let gone = read(&ToBrowser::Refused {
            topic: None,
            message: "no".into(),
        });
        assert_eq!(gone.refused.expect("refused").message, "no");
        let begun = read(&ToBrowser::Subscribed {
            topic: Topic::Market,
            boot: "b".into(),
            seq: 4,
        });
        assert_eq!(
            begun.subscribed.map(|begin| (begin.boot, begin.seq)),
            Some(("b".to_owned(), 4))
        );

        let asked = subscription("market", Some(&("b\"1".to_owned(), 9)));
        let asked: FromBrowser = serde_json::from_str(&asked).expect("valid");
        assert_eq!(
            asked,
            FromBrowser::Subscribe {
                topic: Topic::Market,
                boot: Some("b\"1".into()),
                since: Some(9)
            }
        );
    }
}
