//! A line to copy: selectable text, and a button that copies it where the browser allows.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};

use super::dynamic::part;
use super::icon::{Icon, icon};
use super::toast::toast;
use crate::i18n::words;

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

#[component]
pub fn CopyLine(#[prop(into)] text: String, label: &'static str) -> AnyView {
    let t = words();
    let toasts = super::toast::toasts();
    let copied = RwSignal::new(false);
    let value = text.clone();
    let copy = move |_| {
        if write_clipboard(&value) {
            copied.set(true);
            toast(toasts, t.copied());
            set_timeout(
                move || _ = copied.try_set(false),
                std::time::Duration::from_secs(3),
            );
        } else {
            toast(toasts, t.copy_by_hand());
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
