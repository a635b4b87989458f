//! What the owner's devices have made.

#[cfg(feature = "ssr")]
mod part;

use std::time::Duration;

use leptos::prelude::*;

use super::fragment::Fragment;
use crate::components::{PageHead, skeleton_rows};
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;

/// While something earns, the figures are read again this often.
const REFRESH_EVERY: Duration = Duration::from_secs(5);

pub fn page() -> impl IntoView {
    let t = words();
    let made = Fragment::new("earnings", String::new);
    made.refresh_every(REFRESH_EVERY);
    view! {
        <PageHead title=t.earnings_title() lead=t.earnings_lead()/>
        {super::nodes::earn_tabs()}
        {super::stale_notice()}
        {made.view(|t| skeleton_rows(t.loading(), 3))}
    }
}
