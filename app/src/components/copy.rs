//! Text to copy: selectable, with a button that copies it where the browser allows.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};

use super::dynamic::part;
use super::icon::{Icon, icon};
use super::toast::{Toasts, toast};
use crate::i18n::{Words, words};

/// Asks the browser to put `text` on the clipboard; `false` where it has none (a page that came over plain HTTP).
/// Through `Reflect`, since web-sys offers the clipboard only as an unstable API.
fn write_clipboard(text: &str) -> bool {
    let get = |object: &JsValue, key: &str| {
        js_sys::Reflect::get(object, &key.into())
            .ok()
            .filter(JsValue::is_object)
    };
    let Some(clipboard) = get(&window().navigator(), "clipboard") else {
        return false;
    };
    let write = js_sys::Reflect::get(&clipboard, &"writeText".into()).ok();
    let Some(write) = write.and_then(|f| f.dyn_into::<js_sys::Function>().ok()) else {
        return false;
    };
    let Ok(promise) = write.call1(&clipboard, &text.into()) else {
        return false;
    };
    if let Ok(promise) = promise.dyn_into::<js_sys::Promise>() {
        // A refusal (no permission) must not become an unhandled rejection in the console; the text can be selected.
        let ignore = Closure::once_into_js(|_: JsValue| {});
        let catch = js_sys::Reflect::get(&promise, &"catch".into()).ok();
        if let Some(catch) = catch.and_then(|f| f.dyn_into::<js_sys::Function>().ok()) {
            _ = catch.call1(&promise, &ignore);
        }
    }
    true
}

/// Copies and says so, or says how else; `false` where it was not copied.
fn copy(text: &str, toasts: Toasts, t: &Words) -> bool {
    let is_copied = write_clipboard(text);
    toast(
        toasts,
        if is_copied {
            t.copied()
        } else {
            t.copy_by_hand()
        },
    );
    is_copied
}

/// In a part that the server wrote no button has a life of its own: this does for all of them what is pressed there. What
/// is copied stands before the button; where it is shortened, its title is the whole.
pub fn copy_pressed(event: &leptos::ev::MouseEvent, toasts: Toasts, t: &Words) {
    let pressed = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .and_then(|target| target.closest(".copy button").ok().flatten());
    let Some(shown) = pressed.and_then(|button| button.previous_element_sibling()) else {
        return;
    };
    let whole = shown
        .get_attribute("title")
        .or_else(|| shown.text_content());
    let whole = whole.unwrap_or_default();
    if !copy(&whole, toasts, t) {
        // What is to be selected has to be there.
        shown.set_text_content(Some(&whole));
        _ = shown.remove_attribute("title");
    }
}

/// A hash in one line of a table: its ends, the whole as title and to copy. Of a part that the server writes.
#[cfg(feature = "ssr")]
pub fn hash(whole: &str) -> AnyView {
    let label = words().hash_copy();
    view! {
        <span class="copy short">
            <code title=whole.to_owned()>{crate::format::short_hash(whole)}</code>
            <button type="button" aria-label=label title=label>{icon(Icon::Copy)}</button>
        </span>
    }
    .into_any()
}

#[component]
pub fn CopyLine(#[prop(into)] text: String, label: &'static str) -> AnyView {
    let t = words();
    let toasts = super::toast::toasts();
    let copied = RwSignal::new(false);
    let value = text.clone();
    let copy = move |_| {
        if copy(&value, toasts, t) {
            copied.set(true);
            set_timeout(
                move || _ = copied.try_set(false),
                std::time::Duration::from_secs(3),
            );
        }
    };
    view! {
        <div class="copy">
            <code>{text}</code>
            <button type="button" aria-label=label title=label on:click=copy>
                {part(move || icon(if copied.get() { Icon::Done } else { Icon::Copy }))}
            </button>
        </div>
    }
    .into_any()
}
