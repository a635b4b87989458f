//! Status as shape, word and colour together, so that none of them has to be seen for it to be understood.

use std::borrow::Cow;

use leptos::prelude::*;

/// What a status means to the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Good, nothing to do.
    Ok,
    /// Something is under way.
    Busy,
    /// Resting, over, or not yet begun.
    Idle,
    /// Will need attention.
    Warn,
    /// Broken.
    Bad,
}

impl Tone {
    pub const fn class(self) -> &'static str {
        match self {
            Self::Ok => "state tone-ok",
            Self::Busy => "state tone-busy",
            Self::Idle => "state tone-idle",
            Self::Warn => "state tone-warn",
            Self::Bad => "state tone-bad",
        }
    }

    /// Disc, half disc, ring, triangle, square.
    const fn shape(self) -> &'static str {
        match self {
            Self::Ok => "M5 .5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
            Self::Busy => "M5 .5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM5 2v6a3 3 0 0 0 0-6z",
            Self::Idle => {
                "M5 .5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM5 2.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6z"
            }
            Self::Warn => "M5 .5l4.7 8.7H.3z",
            Self::Bad => "M.8 .8h8.4v8.4H.800z",
        }
    }
}

/// The shape alone, for a place that has its own word.
pub fn shape(tone: Tone) -> AnyView {
    view! {
        <svg viewBox="0 0 10 10" fill="currentColor" fill-rule="evenodd" aria-hidden="true">
            <path d=tone.shape()/>
        </svg>
    }
    .into_any()
}

/// Shape, word and colour.
pub fn state(tone: Tone, word: impl Into<Cow<'static, str>>) -> AnyView {
    let word = word.into();
    view! { <span class=tone.class()>{shape(tone)}<span>{word}</span></span> }.into_any()
}

/// A short label without judgement, such as a device class.
pub fn tag(word: impl Into<Cow<'static, str>>) -> AnyView {
    let word = word.into();
    view! { <span class="tag">{word}</span> }.into_any()
}
