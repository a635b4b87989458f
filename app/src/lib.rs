//! The portal: what people see of IOG, rendered on the server and then taken over in the browser.
//!
//! One crate compiled twice: feature `ssr` for the server (pages, and the bodies of the server functions), feature
//! `hydrate` for the browser's module. Never both: `--all-features` does not build.
//!
//! Owns: pages, the component kit, the words in English and Chinese, the doors to the exchange ([`api`]), the
//! browser's live socket ([`live`]), and the two things only a page knows: its Content-Security-Policy and the
//! session's cookie. Deliberately absent: rules, arithmetic on money, SQL; a page shows what the exchange says.
//!
//! Invariants: every text is in both languages; market, lists and forms work without JavaScript; nothing is fetched
//! from another host; no inline style, so the policy needs no exception.
#![recursion_limit = "256"]
#![expect(
    clippy::needless_pass_by_value,
    clippy::large_types_passed_by_value,
    reason = "a component owns what it is given: its closures outlive the call"
)]
#![cfg_attr(
    feature = "ssr",
    expect(
        clippy::unused_async,
        reason = "a server function is async, also one that need not wait"
    )
)]

pub mod api;
mod app;
pub mod components;
mod fault;
pub mod format;
pub mod i18n;
mod keyboard;
pub mod launch_form;
mod live;
#[cfg(feature = "ssr")]
mod markdown;
mod pages;
pub mod prefs;
pub mod rent_form;
pub mod session;
#[cfg(feature = "ssr")]
mod shell;
pub mod template_form;
mod templates;

pub use app::App;
pub use fault::Fault;
#[cfg(feature = "ssr")]
pub use shell::{page_headers, shell};

/// The browser's entry: takes over the page that the server wrote.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_body(App);
    // For tests, and for whoever wonders: from here on the page answers without the server.
    if let Some(body) = leptos::prelude::document().body() {
        _ = body.set_attribute("data-ready", "");
    }
}
