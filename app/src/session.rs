//! The signed-in account as pages see it, and the meter in the header.

use leptos::prelude::*;
use protocol::view::Meter as MeterView;
use serde::{Deserialize, Serialize};

use crate::api::billing::ReadMeter;
use crate::api::session::Who;
use crate::api::{Data, ask, decode, then};
use crate::components::{Reading, Tone, effect};
use crate::format;
use crate::i18n::Words;
use crate::live::{News, watch};

/// `__Host-`: only over a secure connection (or this machine itself), for this host alone, never to a script.
pub const SESSION_COOKIE: &str = "__Host-iog_session";

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub name: String,
    /// The account's topic on the live socket.
    pub topic: String,
    pub meter: MeterView,
    /// Alerts of saved searches that were not seen.
    pub alerts: u32,
    /// Notices that were not read.
    pub unread: u32,
}

/// Who is signed in (read once per page load; signing in and out load the page again) and what the meter shows.
#[derive(Debug, Clone, Copy)]
pub struct SessionContext {
    data: Data,
    /// What the live socket said last; before that the session's own reading counts.
    pub meter: RwSignal<Option<MeterView>>,
    /// The same for alerts.
    pub alerts: RwSignal<Option<u32>>,
    /// The same for notices.
    pub unread: RwSignal<Option<u32>>,
}

pub fn provide_session() -> SessionContext {
    let context = SessionContext {
        data: ask(Who {}).data(),
        meter: RwSignal::new(None),
        alerts: RwSignal::new(None),
        unread: RwSignal::new(None),
    };
    provide_context(context);
    context
}

impl SessionContext {
    /// Who is signed in, if anybody; nobody when it cannot be told.
    pub async fn session(self) -> Option<Session> {
        let answer = self.data.await.ok()?;
        decode::<Option<Session>>(&answer).ok()?
    }

    /// Follows the account's topic as long as the calling component lives.
    pub fn follow(self, session: &Session) {
        let (meter, alerts, unread) = (self.meter, self.alerts, self.unread);
        watch(session.topic.clone(), move |news| match news {
            News::Frame(frame) => {
                if let Some(fresh) = frame.reading() {
                    _ = meter.try_set(Some(fresh));
                }
                if let Some(fresh) = &frame.alerts {
                    _ = alerts.try_set(Some(fresh.unseen));
                }
                if let Some(fresh) = &frame.notices {
                    _ = unread.try_set(Some(fresh.unread));
                }
            }
            News::Reread => then(ask(ReadMeter {}), move |fresh| {
                _ = meter.try_set(Some(fresh));
            }),
        });
    }
}

/// Tells when a job of the account, and with it its money, changed.
pub fn watch_account(changed: impl Fn() + Copy + Send + Sync + 'static) {
    let Some(context) = use_context::<SessionContext>() else {
        return;
    };
    // Who is signed in may still be on its way.
    let topic = Memo::new(move |_| {
        let answer = context.data.get().and_then(Result::ok);
        let session = answer.and_then(|answer| decode::<Option<Session>>(&answer).ok().flatten());
        session.map(|session| session.topic).unwrap_or_default()
    });
    effect(move || {
        let topic = topic.get();
        if !topic.is_empty() {
            watch(topic, move |news| match news {
                News::Frame(frame) if frame.job.is_some() => changed(),
                News::Frame(_) => {}
                News::Reread => changed(),
            });
        }
    });
}

/// Tells when the account was told something: a payout moved, a dispute was decided.
pub fn watch_notices(changed: impl Fn() + Copy + Send + Sync + 'static) {
    if let Some(context) = use_context::<SessionContext>() {
        effect(move || {
            if context.unread.get().is_some() {
                changed();
            }
        });
    }
}

/// The cookie that keeps somebody signed in for so many seconds.
#[cfg(feature = "ssr")]
pub fn session_cookie(secret: &str, seconds: u64) -> String {
    format!("{SESSION_COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Lax")
}

/// The meter in words. Under half an hour is a warning, under five minutes an alarm.
pub fn reading(meter: &MeterView, t: &Words) -> Reading {
    let tone = match meter.runway.map(kernel::Seconds::get) {
        None => Tone::Idle,
        Some(left) if left < 300 => Tone::Bad,
        Some(left) if left < 1_800 => Tone::Warn,
        Some(_) => Tone::Ok,
    };
    Reading {
        rate: format::per_hour(meter.rate, t),
        spent: format::io(meter.spent),
        left_label: if meter.runway.is_some() {
            t.meter_runway()
        } else {
            t.meter_balance()
        },
        left: match meter.runway {
            Some(left) => format::duration(left, t),
            None => format::io(meter.available),
        },
        tone,
    }
}

/// A path of our own to go back to, never another site.
pub fn safe_next(next: Option<String>) -> String {
    next.filter(|next| {
        let mut chars = next.chars();
        chars.next() == Some('/')
            && !matches!(chars.next(), Some('/' | '\\'))
            && !next.chars().any(char::is_control)
    })
    .unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Locale;
    use kernel::Seconds;

    #[test]
    fn only_our_own_pages_are_gone_back_to() {
        let next = |text: &str| safe_next(Some(text.to_owned()));
        assert_eq!(next("/jobs?tab=logs"), "/jobs?tab=logs");
        for foreign in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "jobs",
            "",
            "/\n/evil",
        ] {
            assert_eq!(next(foreign), "/", "{foreign:?}");
        }
    }

    #[test]
    fn a_short_runway_is_an_alarm() {
        let tone = |left| {
            let meter = MeterView {
                runway: Some(Seconds::new(left)),
                ..MeterView::default()
            };
            reading(&meter, Locale::En.words()).tone
        };
        assert_eq!(tone(299), Tone::Bad);
        assert_eq!(tone(1_799), Tone::Warn);
        assert_eq!(tone(1_800), Tone::Ok);
        assert_eq!(
            reading(&MeterView::default(), Locale::En.words()).tone,
            Tone::Idle
        );
    }
}
