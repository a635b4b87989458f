//! Short messages about what just worked. What failed is said where it failed, not here.

use std::borrow::Cow;
use std::time::Duration;

use leptos::prelude::*;

use super::dynamic::keyed;
use super::icon::{Icon, icon};
use crate::i18n::words;

const SHOWN_FOR: Duration = Duration::from_secs(5);
/// More at once would cover the page.
const MOST: usize = 3;

/// The messages that stand now, with a number each.
#[derive(Debug, Clone, Copy)]
pub struct Toasts(RwSignal<Vec<(u32, Cow<'static, str>)>>);

pub fn provide_toasts() -> Toasts {
    let toasts = Toasts(RwSignal::new(Vec::new()));
    provide_context(toasts);
    toasts
}

pub fn toasts() -> Toasts {
    use_context().unwrap_or_else(provide_toasts)
}

/// Shows a message for five seconds.
pub fn toast(toasts: Toasts, message: impl Into<Cow<'static, str>>) {
    let Toasts(list) = toasts;
    let number = list.with_untracked(|list| list.last().map_or(0, |(n, _)| n.wrapping_add(1)));
    list.update(|list| {
        list.push((number, message.into()));
        if list.len() > MOST {
            list.remove(0);
        }
    });
    set_timeout(move || dismiss(list, number), SHOWN_FOR);
}

fn dismiss(list: RwSignal<Vec<(u32, Cow<'static, str>)>>, number: u32) {
    list.update(|list| list.retain(|(n, _)| *n != number));
}

/// Where they appear; polite, so that a screen reader finishes its sentence first.
#[component]
pub fn ToastArea() -> AnyView {
    let t = words();
    let Toasts(list) = toasts();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            {keyed(
                move || list.with(|list| list.iter().map(|(number, _)| number.to_string()).collect()),
                move |key| {
                    let number = key.parse().unwrap_or_default();
                    let message = list.with_untracked(|list| list.iter().find(|(known, _)| *known == number).map(|(_, message)| message.to_string()));
                    view! {
                        <div class="toast">
                            <span>{message}</span>
                            <button type="button" aria-label=t.close() on:click=move |_| dismiss(list, number)>{icon(Icon::Cross)}</button>
                        </div>
                    }
                    .into_any()
                },
            )}
        </div>
    }
    .into_any()
}
