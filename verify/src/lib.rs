//! `iog verify-invoice` for the browser: the same code as a WebAssembly module of its own, so that the portal's module does not
//! carry signatures and curves. The page /verify loads it when it is opened; nothing is sent anywhere.
//!
//! Owns: the door to the page, which the server wrote with all its words (`app/src/pages/verify`). What is said is found there
//! by attributes: `data-verify` is the whole, with the platform's key; `data-verify-drop` takes files; `data-show` names what is shown when;
//! `data-value` takes a figure, `data-rule` holds a finding's sentence. Deliberately absent: rules, which are `metering`'s, and words.

use std::cell::Cell;

use protocol::invoice::{Finding, Receipted, Subject, Summary, Verdict};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Document, DragEvent, Element, Event, File, HtmlInputElement};

/// A file beyond this would not fit into the browser's memory several times over.
const FILE_BYTES_MAX: f64 = 256.0 * 1024.0 * 1024.0;

thread_local! {
    /// Which file was chosen last: one that is read longer must not be shown after it.
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// Listens from now on, wherever and whenever the page puts its part in.
#[wasm_bindgen(start)]
pub fn start() {
    let Some(document) = document() else { return };
    listen(&document, "change", |event| {
        let input = event
            .target()
            .and_then(|it| it.dyn_into::<HtmlInputElement>().ok());
        let Some(input) = input.filter(|it| it.has_attribute("data-verify-file")) else {
            return;
        };
        chosen(&input);
    });
    for name in ["dragenter", "dragover", "dragleave", "drop"] {
        listen(&document, name, move |event| dragged(name, event));
    }
    // A file that was chosen while this module was still on its way.
    let input = root().and_then(|root| one(&root, "[data-verify-file]"));
    if let Some(input) = input.and_then(|it| it.dyn_into::<HtmlInputElement>().ok()) {
        chosen(&input);
    }
}

fn chosen(input: &HtmlInputElement) {
    if let Some(file) = input.files().and_then(|files| files.item(0)) {
        spawn_local(look_at(file));
    }
    // The same file may be chosen again, after it was changed.
    input.set_value("");
}

fn listen(document: &Document, name: &str, act: impl Fn(&Event) + 'static) {
    let act = Closure::<dyn Fn(Event)>::new(move |event: Event| act(&event));
    // Cannot fail for these names; a page without it still has the terminal's command.
    _ = document.add_event_listener_with_callback(name, act.as_ref().unchecked_ref());
    // As long as the page lives.
    act.forget();
}

fn dragged(name: &str, event: &Event) {
    let target = event.target().and_then(|it| it.dyn_into::<Element>().ok());
    let place = target.and_then(|it| it.closest("[data-verify-drop]").ok().flatten());
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
        spawn_local(look_at(file));
    }
}

async fn look_at(file: File) {
    let turn = TURN.get().wrapping_add(1);
    TURN.set(turn);
    let Some(root) = root() else { return };
    set(&root, "file", &file.name());
    if file.size() > FILE_BYTES_MAX {
        show(&root, "unreadable");
        return;
    }
    show(&root, "busy");
    let text = JsFuture::from(file.text())
        .await
        .ok()
        .and_then(|it| it.as_string());
    // Lets "checking" be painted first.
    _ = JsFuture::from(js_sys::Promise::new(&mut |go, _| {
        if let Some(window) = web_sys::window() {
            _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&go, 20);
        }
    }))
    .await;
    if TURN.get() != turn {
        return;
    }
    let Some(text) = text else {
        show(&root, "unreadable");
        return;
    };
    let key = root.get_attribute("data-platform-key");
    tell(&root, &metering::invoice::check(&text, key.as_deref()));
}

fn tell(root: &Element, verdict: &Verdict) {
    if let Some(summary) = &verdict.summary {
        sum_up(root, summary);
    }
    if let Some(list) = one(root, "[data-findings]") {
        list.set_text_content(None);
        for finding in &verdict.findings {
            if let Some(item) = item(root, finding) {
                _ = list.append_child(&item);
            }
        }
    }
    set(root, "count", &total(verdict).to_string());
    set(root, "more", &verdict.more.to_string());
    hide(root, "[data-more]", verdict.more == 0);
    hide(root, "[data-summary]", verdict.summary.is_none());
    show(root, if verdict.fits { "fits" } else { "wrong" });
}

fn total(verdict: &Verdict) -> u64 {
    u64::try_from(verdict.findings.len())
        .unwrap_or(u64::MAX)
        .saturating_add(verdict.more)
}

fn sum_up(root: &Element, summary: &Summary) {
    let totals = &summary.totals;
    let about = match &summary.subject {
        Subject::Job { job, name, .. } => format!("{name} ({job})"),
        Subject::Month { month, .. } => month.clone(),
    };
    let energy = summary.energy_mj.map(|energy| energy.to_string());
    for (name, value) in [
        ("number", summary.number.as_str()),
        ("about", &about),
        ("customer", &summary.customer.name),
        ("issued", &summary.issued_at.to_string()),
        ("leases", &summary.leases.to_string()),
        ("receipts", &summary.receipts.to_string()),
        ("signatures", &summary.signatures.to_string()),
        ("seconds", &totals.seconds.get().to_string()),
        ("gross", &totals.gross.to_io()),
        ("fee", &totals.fee.to_io()),
        ("charged", &totals.charged.to_io()),
        ("refunded", &totals.refunded.to_io()),
        ("energy", energy.as_deref().unwrap_or_default()),
        ("key", &summary.platform_key),
    ] {
        set(root, name, value);
    }
    hide(root, "[data-energy]", energy.is_none());
    hide(root, "[data-refunded]", totals.refunded.is_zero());
    hide(root, "[data-so-far]", summary.is_final);
    hide(root, "[data-ends]", summary.receipted == Receipted::All);
}

/// A finding in the page's words. All of it is text, never markup: the file is a stranger's.
fn item(root: &Element, finding: &Finding) -> Option<Element> {
    let document = document()?;
    let rule = finding.rule.as_str();
    let sentence = one(root, &format!("[data-rule=\"{rule}\"]")).and_then(|it| it.text_content());
    let item = document.create_element("li").ok()?;
    let line = |class: &str, text: &str| {
        if let Ok(part) = document.create_element("p") {
            part.set_class_name(class);
            part.set_text_content(Some(text));
            _ = item.append_child(&part);
        }
    };
    line("font-medium", &sentence.unwrap_or_else(|| rule.to_owned()));
    let place = [finding.place.as_str(), finding.id.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    line("hint break-words", &place);
    let label = |name: &str| root.get_attribute(name).unwrap_or_default();
    if !finding.expected.is_empty() {
        let text = format!("{} {}", label("data-expected"), finding.expected);
        line("break-words", &text);
    }
    let text = format!("{} {}", label("data-found"), finding.found);
    line("break-words", &text);
    Some(item)
}

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

fn root() -> Option<Element> {
    document()?.query_selector("[data-verify]").ok().flatten()
}

fn one(root: &Element, selector: &str) -> Option<Element> {
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
fn show(root: &Element, now: &str) {
    each(root, "[data-show]", |element| {
        let whens = element.get_attribute("data-show").unwrap_or_default();
        hidden(element, !whens.split(' ').any(|when| when == now));
    });
}

fn hide(root: &Element, selector: &str, is_hidden: bool) {
    each(root, selector, |element| hidden(element, is_hidden));
}

fn hidden(element: &Element, is_hidden: bool) {
    if is_hidden {
        _ = element.set_attribute("hidden", "");
    } else {
        _ = element.remove_attribute("hidden");
    }
}

fn set(root: &Element, name: &str, value: &str) {
    each(root, &format!("[data-value=\"{name}\"]"), |element| {
        element.set_text_content(Some(value));
    });
}
