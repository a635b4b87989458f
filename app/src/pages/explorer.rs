//! The chain for everybody to look at: what it holds beside the books, what went out over it, and whose code it runs. Public.

#[cfg(feature = "ssr")]
mod part;

use std::time::Duration;

use leptos::prelude::*;

use super::fragment::Fragment;
use crate::components::{PageHead, skeleton_block};
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::{batch_state, batch_table, exact, part};

/// As often as the server reads the chain.
const REFRESH_EVERY: Duration = Duration::from_secs(10);

pub fn page() -> impl IntoView {
    let t = words();
    let shown = Fragment::new("explorer", String::new);
    shown.refresh_every(REFRESH_EVERY);
    view! {
        <PageHead title=t.explorer_title() lead=t.explorer_lead()
            actions=view! { <a class="btn" href="/api/v1/explorer" rel="external">"JSON"</a> }.into_any()/>
        {super::stale_notice()}
        {shown.view(|t| skeleton_block(t.loading()))}
    }
}
