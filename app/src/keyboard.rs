//! Keys for those who do not reach for the mouse: `/` goes to the search, J and K walk through rows, Esc leaves a
//! field. Never while something is typed, never with a modifier.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

fn is_typing(element: &HtmlElement) -> bool {
    matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
        || element.is_content_editable()
}

fn active() -> Option<HtmlElement> {
    document().active_element()?.dyn_into().ok()
}

/// Moves the focus among the rows of the page.
fn walk(down: bool) {
    let Ok(rows) = document().query_selector_all("[data-row]") else {
        return;
    };
    let row = |index: u32| {
        rows.get(index)
            .and_then(|node| node.dyn_into::<HtmlElement>().ok())
    };
    let here = active().and_then(|active| {
        (0..rows.length()).find(|index| row(*index).is_some_and(|row| row == active))
    });
    let next = match (here, down) {
        (None, _) => Some(0),
        (Some(here), true) => here.checked_add(1).filter(|next| *next < rows.length()),
        (Some(here), false) => here.checked_sub(1),
    };
    if let Some(row) = next.and_then(row) {
        _ = row.focus();
    }
}

fn press(event: &KeyboardEvent) {
    if event.ctrl_key() || event.meta_key() || event.alt_key() || event.default_prevented() {
        return;
    }
    let typing = active().filter(is_typing);
    match (event.key().as_str(), typing) {
        ("Escape", Some(field)) => _ = field.blur(),
        ("/", None) => {
            let search = document().query_selector("[data-search]").ok().flatten();
            if let Some(search) = search.and_then(|search| search.dyn_into::<HtmlElement>().ok()) {
                event.prevent_default();
                _ = search.focus();
            }
        }
        ("j" | "J", None) => walk(true),
        ("k" | "K", None) => walk(false),
        _ => {}
    }
}

/// Listens as long as the calling component lives.
pub fn listen() {
    Effect::new(|| {
        let listener = window_event_listener(ev::keydown, |event| press(&event));
        on_cleanup(move || listener.remove());
    });
}
