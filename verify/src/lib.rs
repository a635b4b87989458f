//! `iog verify-invoice` and `iog verify-report` for the browser: the same code as a WebAssembly module of its own, so that the
//! portal's module does not carry signatures, curves and hashes. The pages /verify and /reports load it when they are opened.
//! An invoice is sent nowhere; of a report's proof, the chain's own node is asked.
//!
//! Owns: the door to the pages, which the server wrote with all their words (`app/src/pages/verify`, `app/src/pages/reports`).
//! What is said is found there by attributes: `data-verify` is an invoice's whole, with the platform's key; `data-report` that of
//! a report's proof, with the chain's node, number and contract; `data-verify-drop` and `data-report-drop` take files;
//! `data-show` names what is shown when; `data-value` takes a figure, `data-rule` holds a finding's sentence. Deliberately absent:
//! rules, which are `metering`'s and `settlement`'s, and words.

mod invoice;
mod page;
mod report;

use wasm_bindgen::prelude::wasm_bindgen;

/// Listens from now on, wherever and whenever a page puts its part in.
#[wasm_bindgen(start)]
pub fn start() {
    if let Some(document) = page::document() {
        invoice::start(&document);
        report::start(&document);
    }
}
