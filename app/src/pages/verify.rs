//! Checks an invoice without sending it anywhere. The server writes the page with all its words; a module of its own does the
//! rest (`verify/`), which is loaded here, so that the portal's module does not carry it.

#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;

use super::fragment::Fragment;
use crate::components::{PageHead, effect, skeleton_block};
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;

const LOADER: &str = "/pkg/verify.js";

pub fn page() -> impl IntoView {
    let t = words();
    let check = Fragment::new("verify", String::new);
    effect(load);
    view! {
        <PageHead title=t.verify_title() lead=t.verify_lead()/>
        {check.view(|t| skeleton_block(t.loading()))}
    }
}

/// Once; it listens for whatever the page shows from then on.
pub(super) fn load() {
    super::script(LOADER);
}
