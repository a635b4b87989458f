//! Buttons that submit or act. A link that looks like a button is an `<a class="btn">` in the page itself.

use leptos::prelude::*;

use super::dynamic::{attr, flag, part};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    Primary,
    #[default]
    Plain,
    Danger,
}

impl Kind {
    const fn class(self) -> &'static str {
        match self {
            Self::Primary => "btn primary",
            Self::Plain => "btn",
            Self::Danger => "btn danger",
        }
    }
}

/// Submits its form. While `busy` it cannot be pressed twice; a button that is off says why.
#[component]
pub fn Submit(
    label: &'static str,
    #[prop(optional)] kind: Kind,
    #[prop(optional, into)] busy: Signal<bool>,
    #[prop(optional, into)] off_because: Signal<Option<String>>,
) -> AnyView {
    view! {
        <div class="field">
            <button class=kind.class() type="submit" aria-busy=attr(move || busy.get().then_some("true"))
                disabled=flag(move || busy.get() || off_because.get().is_some())>
                {label}
            </button>
            {part(move || off_because.get().map(|why| view! { <p class="hint">{why}</p> }))}
        </div>
    }
    .into_any()
}
