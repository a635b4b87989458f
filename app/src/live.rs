//! The browser's one socket, `/api/v1/live`, with typed subscriptions.
//!
//! It reconnects for ever with back-off, and each topic goes on from the last frame it saw. Where frames were lost
//! (a long absence, a restarted server) the subscriber is told to read the whole again. A line on which nothing comes,
//! not even the server's beat, is dead and is dialled anew. Nothing here runs on the server: subscriptions are made in
//! effects.

mod frame;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{MessageEvent, WebSocket};

use crate::components::Tone;
use crate::i18n::Words;
use frame::{Begin, Incoming};
pub use frame::{Frame, SampleRow, halve};

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
    fn what_is_asked_is_understood() {
        use protocol::live::{FromBrowser, Topic};

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
