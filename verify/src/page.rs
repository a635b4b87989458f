//! What both checks need of the page: files that are chosen or dropped, and parts that are shown when they say something.

use std::cell::Cell;

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DragEvent, Element, Event, File, HtmlInputElement};

thread_local! {
    /// What was chosen last: something that takes longer must not be shown after it.
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// A newer check ends those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn(u32);

impl Turn {
    pub fn begin() -> Self {
        let turn = TURN.get().wrapping_add(1);
        TURN.set(turn);
        Self(turn)
    }

    pub fn is_over(self) -> bool {
        TURN.get() != self.0
    }
}

/// Takes the files that are chosen in inputs with the attribute `input`, or dropped on what has the attribute `place`.
pub fn take_files(
    document: &Document,
    input: &'static str,
    place: &'static str,
    take: impl Fn(File) + Copy + 'static,
) {
    listen(document, "change", move |event| {
        let chosen = event
            .target()
            .and_then(|it| it.dyn_into::<HtmlInputElement>().ok());
        if let Some(chosen) = chosen.filter(|it| it.has_attribute(input)) {
            chosen_in(&chosen, take);
        }
    });
    for name in ["dragenter", "dragover", "dragleave", "drop"] {
        listen(document, name, move |event| {
            dragged(name, event, place, take);
        });
    }
    // A file that was chosen while this module was still on its way.
    let early = document
        .query_selector(&format!("[{input}]"))
        .ok()
        .flatten();
    if let Some(early) = early.and_then(|it| it.dyn_into::<HtmlInputElement>().ok()) {
        chosen_in(&early, take);
    }
}

fn chosen_in(input: &HtmlInputElement, take: impl Fn(File)) {
    if let Some(file) = input.files().and_then(|files| files.item(0)) {
        take(file);
    }
    // The same file may be chosen again, after it was changed.
    input.set_value("");
}

fn dragged(name: &str, event: &Event, place: &str, take: impl Fn(File)) {
    let target = event.target().and_then(|it| it.dyn_into::<Element>().ok());
    let place = target.and_then(|it| it.closest(&format!("[{place}]")).ok().flatten());
    let (Some(place), Some(event)) = (place, event.dyn_ref::<DragEvent>()) else {
        return;
    };
    // Otherwise the browser opens the file in the page's stead.
    event.prevent_default();
    if name == "dragleave" || name == "drop" {
        _ = place.remove_attribute("data-over");
    } else {
        _ = place.set_attribute("data-over", "");
    }
    let file = event
        .data_transfer()
        .filter(|_| name == "drop")
        .and_then(|it| it.files()?.item(0));
    if let Some(file) = file {
        take(file);
    }
}

/// The text of a file of at most so many bytes.
pub async fn text_of(file: &File, bytes_max: f64) -> Option<String> {
    if file.size() > bytes_max {
        return None;
    }
    JsFuture::from(file.text()).await.ok()?.as_string()
}

/// Lets "checking" be painted first.
pub async fn painted() {
    _ = JsFuture::from(js_sys::Promise::new(&mut |go, _| {
        if let Some(window) = web_sys::window() {
            _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&go, 20);
        }
    }))
    .await;
}

pub fn listen(document: &Document, name: &str, act: impl Fn(&Event) + 'static) {
    let act = Closure::<dyn Fn(Event)>::new(move |event: Event| act(&event));
    // Cannot fail for these names; a page without it still has the terminal's command.
    _ = document.add_event_listener_with_callback(name, act.as_ref().unchecked_ref());
    // As long as the page lives.
    act.forget();
}

pub fn document() -> Option<Document> {
    web_sys::window()?.document()
}

pub fn one(root: &Element, selector: &str) -> Option<Element> {
    root.query_selector(selector).ok().flatten()
}

fn each(root: &Element, selector: &str, act: impl Fn(&Element)) {
    let Ok(found) = root.query_selector_all(selector) else {
        return;
    };
    for element in (0..found.length()).filter_map(|at| found.item(at)) {
        if let Some(element) = element.dyn_ref::<Element>() {
            act(element);
        }
    }
}

/// Of what is shown at times, that which is for now.
pub fn show(root: &Element, now: &str) {
    each(root, "[data-show]", |element| {
        let whens = element.get_attribute("data-show").unwrap_or_default();
        hidden(element, !whens.split(' ').any(|when| when == now));
    });
}

pub fn hide(root: &Element, selector: &str, is_hidden: bool) {
    each(root, selector, |element| hidden(element, is_hidden));
}

fn hidden(element: &Element, is_hidden: bool) {
    if is_hidden {
        _ = element.set_attribute("hidden", "");
    } else {
        _ = element.remove_attribute("hidden");
    }
}

pub fn set(root: &Element, name: &str, value: &str) {
    each(root, &format!("[data-value=\"{name}\"]"), |element| {
        element.set_text_content(Some(value));
    });
}
