//! What a data view shows when it has no data: loading, empty, failed, stale.

use leptos::prelude::*;

use super::dynamic::Parts;
use super::icon::{Icon, icon};
use super::state::Tone;

/// A bordered message. `role` is "alert" for what just went wrong and "status" for the rest.
pub fn notice(tone: Tone, body: impl IntoView + 'static) -> AnyView {
    let (class, drawing, role) = match tone {
        Tone::Ok => ("notice ok", Icon::Done, "status"),
        Tone::Busy | Tone::Idle => ("notice", Icon::Info, "status"),
        Tone::Warn => ("notice warn", Icon::Warn, "status"),
        Tone::Bad => ("notice bad", Icon::Bad, "alert"),
    };
    view! { <div class=class role=role>{icon(drawing)}<div>{body.into_any()}</div></div> }
        .into_any()
}

/// The same inside of what is announced already, or is hidden until a script shows it.
pub fn unannounced(tone: Tone, body: impl IntoView + 'static) -> AnyView {
    let (class, drawing) = match tone {
        Tone::Ok => ("notice ok", Icon::Done),
        Tone::Busy | Tone::Idle => ("notice", Icon::Info),
        Tone::Warn => ("notice warn", Icon::Warn),
        Tone::Bad => ("notice bad", Icon::Bad),
    };
    view! { <div class=class>{icon(drawing)}<div>{body.into_any()}</div></div> }.into_any()
}

/// Nothing here yet, and the one thing to do about it.
pub fn empty(
    title: &'static str,
    text: &'static str,
    action: Option<(&'static str, String)>,
) -> AnyView {
    let action = action.map(|(word, href)| view! { <a class="btn primary" href=href>{word}</a> });
    view! { <div class="empty"><h2>{title}</h2><p>{text}</p>{action}</div> }.into_any()
}

/// It failed: what, why, and again.
pub fn failed(title: &'static str, cause: String, retry: (&'static str, String)) -> AnyView {
    let (word, href) = retry;
    notice(
        Tone::Bad,
        // A plain page load (`rel="external"`) asks the server again from nothing, whatever state we are in.
        view! {
            <p class="font-medium">{title}</p>
            <p>{cause}</p>
            <p class="mt-2"><a class="btn" href=href rel="external">{word}</a></p>
        },
    )
}

/// Grey rows of the height of the real ones, so that nothing jumps.
pub fn skeleton_rows(label: &'static str, rows: usize) -> AnyView {
    let rows = (0..rows).map(|_| view! { <span></span> }).parts();
    view! { <div class="skeleton rows" role="status" aria-label=label>{rows}</div> }.into_any()
}

/// One grey block, for a chart or a card.
pub fn skeleton_block(label: &'static str) -> AnyView {
    view! { <div class="skeleton block" role="status" aria-label=label><span></span></div> }
        .into_any()
}
