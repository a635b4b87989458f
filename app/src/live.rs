//! The browser's one socket, `/api/v1/live`, with typed subscriptions.
//!
//! It reconnects for ever with back-off, and each topic goes on from the last frame it saw. Where frames were lost
//! (a long absence, a restarted server) the subscriber is told to read the whole again. Nothing here runs on the
//! server: subscriptions are made in effects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use protocol::live::{FromBrowser, Live, ToBrowser, Topic};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{MessageEvent, WebSocket};

use crate::components::Tone;
use crate::i18n::Words;

const FIRST_RETRY: Duration = Duration::from_millis(400);
const SLOWEST_RETRY: Duration = Duration::from_secs(15);

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
            Self::Still => t.link_still,
            Self::Live => t.link_live,
            Self::Retrying => t.link_retrying,
            Self::Offline => t.link_offline,
        }
    }
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum News<'a> {
    Frame(&'a Live),
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
    attempts: u32,
    topics: BTreeMap<Topic, Watched>,
    next_handler: u32,
    link: Option<RwSignal<Link>>,
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
            hub(|hub| hub.attempts = 0);
            connect();
        });
        let gone = window_event_listener_untyped("offline", |_| set_link(Link::Offline));
        on_cleanup(move || {
            back.remove();
            gone.remove();
        });
    });
    link
}

pub fn link() -> RwSignal<Link> {
    use_context().unwrap_or_else(|| RwSignal::new(Link::Still))
}

/// Watches a topic as long as the calling component lives. The first thing a handler hears is `Reread`: what the
/// server rendered may be older than the subscription.
pub fn watch(topic: Topic, handler: impl Fn(&News) + 'static) {
    let handler: Handler = Rc::new(handler);
    Effect::new(move || {
        let handler = Rc::clone(&handler);
        let (number, watched) = hub(|hub| {
            let number = hub.next_handler;
            hub.next_handler = number.wrapping_add(1);
            let watched = hub.topics.contains_key(&topic);
            hub.topics
                .entry(topic)
                .or_default()
                .handlers
                .insert(number, Rc::clone(&handler));
            (number, watched)
        });
        if watched {
            // The subscription stands already, so its beginning will not be told again.
            handler(&News::Reread);
        } else {
            subscribe(topic);
        }
        connect();
        on_cleanup(move || unwatch(topic, number));
    });
}

fn unwatch(topic: Topic, number: u32) {
    let last = hub(|hub| {
        let Some(watched) = hub.topics.get_mut(&topic) else {
            return false;
        };
        watched.handlers.remove(&number);
        let last = watched.handlers.is_empty();
        if last {
            hub.topics.remove(&topic);
        }
        last
    });
    if last {
        send(&FromBrowser::Unsubscribe { topic });
    }
}

fn send(message: &FromBrowser) {
    let Ok(text) = serde_json::to_string(message) else {
        return;
    };
    let socket = hub(|hub| {
        hub.open
            .then(|| hub.socket.as_ref().map(|s| s.socket.clone()))
            .flatten()
    });
    if let Some(socket) = socket {
        // A socket that is closing reports it through its close event.
        _ = socket.send_with_str(&text);
    }
}

fn subscribe(topic: Topic) {
    let seen = hub(|hub| {
        hub.topics
            .get(&topic)
            .and_then(|watched| watched.seen.clone())
    });
    let (boot, since) = seen.unzip();
    send(&FromBrowser::Subscribe { topic, boot, since });
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
        let topics: Vec<Topic> = hub(|hub| hub.topics.keys().copied().collect());
        topics.into_iter().for_each(subscribe);
    });
    let on_message = Closure::new(|event: MessageEvent| {
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
        hub.socket = Some(Socket {
            socket,
            _callbacks: [on_open, on_message, on_close],
        })
    });
}

fn retry() {
    let online = window().navigator().on_line();
    set_link(if online {
        Link::Retrying
    } else {
        Link::Offline
    });
    let attempts = hub(|hub| {
        hub.attempts = hub.attempts.saturating_add(1);
        hub.attempts
    });
    let reopen = || {
        // Dropping the old socket here, not in its own close callback, which would free itself while it runs.
        let stale = hub(|hub| if hub.open { None } else { hub.socket.take() });
        if let Some(stale) = stale {
            stale.socket.set_onclose(None);
        }
        connect();
    };
    set_timeout(reopen, wait(attempts, js_sys::Math::random()));
}

fn receive(message: ToBrowser) {
    match message {
        ToBrowser::Subscribed { topic, boot, seq } => {
            // Going on from where we were: what was missed follows as frames. Otherwise this is the beginning.
            let first = hub(|hub| {
                let watched = hub.topics.get_mut(&topic)?;
                let first = watched.seen.is_none();
                if first {
                    watched.seen = Some((boot, seq));
                }
                first.then_some(())
            });
            if first.is_some() {
                tell(topic, &News::Reread);
            }
        }
        ToBrowser::Frame { topic, seq, data } => {
            let fresh = hub(|hub| {
                let Some((_, last)) = hub
                    .topics
                    .get_mut(&topic)
                    .and_then(|watched| watched.seen.as_mut())
                else {
                    return false;
                };
                let fresh = seq > *last;
                if fresh {
                    *last = seq;
                }
                fresh
            });
            if fresh {
                tell(topic, &News::Frame(&data));
            }
        }
        ToBrowser::Resync { topic, boot, seq } => {
            hub(|hub| {
                if let Some(watched) = hub.topics.get_mut(&topic) {
                    watched.seen = Some((boot, seq));
                }
            });
            tell(topic, &News::Reread);
        }
        // `Resync` follows by itself.
        ToBrowser::Lagged { .. } => {}
        ToBrowser::Refused { topic, message } => {
            // Signed out elsewhere, most likely; the page's next request says so properly.
            leptos::logging::log!("live: {topic:?} refused: {message}");
        }
    }
}

fn tell(topic: Topic, news: &News) {
    // Cloned first: a handler may watch or unwatch.
    let handlers: Vec<Handler> = hub(|hub| {
        hub.topics
            .get(&topic)
            .map(|w| w.handlers.values().cloned().collect())
            .unwrap_or_default()
    });
    for handler in handlers {
        handler(news);
    }
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
}
