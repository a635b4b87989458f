//! The meter: rate, spent, runway. The same instrument in the header, in a phone's bottom bar and on every page
//! that has to do with money.

use leptos::prelude::*;

use super::dynamic::{attr, part};
use super::state::Tone;
use crate::i18n::words;

/// What the meter shows, already as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What is being spent now, per hour.
    pub rate: String,
    /// Spent so far.
    pub spent: String,
    /// What the third figure is: the runway, or the balance while nothing is spent.
    pub left_label: &'static str,
    pub left: String,
    /// [`Tone::Warn`] or [`Tone::Bad`] when the runway is short.
    pub tone: Tone,
}

/// With `href` the whole instrument leads there.
#[component]
pub fn Meter(
    #[prop(into)] reading: Signal<Reading>,
    #[prop(optional)] href: Option<&'static str>,
) -> AnyView {
    let t = words();
    let tone = attr(move || {
        Some(match reading.read().tone {
            Tone::Bad => "bad",
            Tone::Warn => "warn",
            Tone::Ok | Tone::Busy | Tone::Idle => "ok",
        })
    });
    // The frame's instrument is of all that runs now; a job's own is of that job, however it ended.
    let spent = if href.is_some() {
        t.meter_spent_running()
    } else {
        t.meter_spent()
    };
    let list = view! {
        <dl>
            <div><dt>{t.meter_rate()}</dt><dd>{part(move || reading.get().rate)}</dd></div>
            <div><dt>{spent}</dt><dd>{part(move || reading.get().spent)}</dd></div>
            <div class="runway"><dt>{part(move || reading.read().left_label)}</dt><dd>{part(move || reading.get().left)}</dd></div>
        </dl>
    };
    let body = match href {
        Some(href) => view! { <a href=href>{list}</a> }.into_any(),
        None => list.into_any(),
    };
    view! { <div class="meter" data-tone=tone>{body}</div> }.into_any()
}
