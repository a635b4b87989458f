//! The few drawings of the interface, as strokes on a 20 px grid. Always beside a word, so hidden from readers.

use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Market,
    Jobs,
    Earn,
    Me,
    Bell,
    Copy,
    Done,
    Waiting,
    Cross,
    Warn,
    Info,
    Bad,
    Ascending,
    Descending,
    Download,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Market => "M3 8h14M4 8l1-4h10l1 4M5 8v8h10V8M8 16v-4h4v4",
            Self::Jobs => "M3 5h14v10H3zM6 8.5l2.5 2L6 12.5M10.5 12.5H14",
            Self::Earn => "M3 16V9M8 16V4M13 16v-5M17.5 16h-15",
            Self::Me => "M10 10a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM4 17c.6-3 3-4.5 6-4.5s5.4 1.5 6 4.5",
            Self::Bell => "M5 14V9a5 5 0 0 1 10 0v5l1.5 1.5h-13zM8.5 17.5h3",
            Self::Copy => "M7 7h9v9H7zM4 13V4h9",
            Self::Done => "M4 10.5l4 4 8-9",
            Self::Waiting => "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6.5V10l2.5 1.5",
            Self::Cross => "M5 5l10 10M15 5L5 15",
            Self::Warn => "M10 3l7.5 13.5h-15zM10 8v4M10 14.2v.1",
            Self::Info => "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 9v4.5M10 6.4v.1",
            Self::Bad => "M7 3h6l4 4v6l-4 4H7l-4-4V7zM10 6.5v4.5M10 13.4v.1",
            Self::Ascending => "M10 16V4M5.5 8.5L10 4l4.5 4.5",
            Self::Descending => "M10 4v12M5.5 11.5L10 16l4.5-4.5",
            Self::Download => "M10 3v10M5.5 8.5L10 13l4.5-4.5M4 16.5h12",
        }
    }
}

/// One drawing in the colour of its text.
pub fn icon(icon: Icon) -> AnyView {
    view! {
        <svg class="icon" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.5"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
            <path d=icon.path()/>
        </svg>
    }
    .into_any()
}

/// The mark of the house: a dial.
pub fn mark() -> AnyView {
    view! {
        <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true">
            <path d="M4.2 17a9 9 0 1 1 15.6 0M12 13l4.5-5.5M2.5 20.5h19"/>
        </svg>
    }
    .into_any()
}
