//! What the owner's devices have made, and the ways to take it out.

#[cfg(feature = "ssr")]
mod address;
#[cfg(feature = "ssr")]
mod part;
#[cfg(feature = "ssr")]
mod payouts;
#[cfg(feature = "ssr")]
mod vouchers;
#[cfg(feature = "ssr")]
mod weeks;

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::fragment::Fragment;
use crate::components::{PageHead, effect, skeleton_rows};
use crate::format;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::part;
#[cfg(feature = "ssr")]
pub use payouts::part as payouts_part;

/// While something earns, the figures are read again this often; in between they are counted on.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
const COUNT_EVERY: Duration = Duration::from_secs(1);

pub fn page() -> impl IntoView {
    let t = words();
    let made = Fragment::new("earnings", String::new);
    let payouts = Fragment::new("payouts", String::new);
    made.refresh_every(REFRESH_EVERY);
    crate::session::watch_notices(move || payouts.refresh());
    effect(move || {
        if let Ok(timer) = set_interval_with_handle(accrue, COUNT_EVERY) {
            on_cleanup(move || timer.clear());
        }
    });
    view! {
        <PageHead title=t.earnings_title() lead=t.earnings_lead()/>
        {super::nodes::earn_tabs()}
        {super::stale_notice()}
        {made.view(|t| skeleton_rows(t.loading(), 3))}
        <div class="mt-6">{payouts.view(|t| skeleton_rows(t.loading(), 2))}</div>
    }
}

/// Counts on what accrues: `data-base` and `data-rate` (base units, and those a second) are the server's; `data-since`
/// is when this browser first saw them.
fn accrue() {
    let Ok(found) = document().query_selector_all("[data-rate]") else {
        return;
    };
    for index in 0..found.length() {
        let element = found.item(index);
        let Some(element) = element.and_then(|node| node.dyn_into::<web_sys::Element>().ok())
        else {
            continue;
        };
        let number = |name: &str| -> Option<i64> { element.get_attribute(name)?.parse().ok() };
        let (Some(base), Some(rate)) = (number("data-base"), number("data-rate")) else {
            continue;
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds of this century fit"
        )]
        let now = js_sys::Date::now() as i64;
        let since = number("data-since").unwrap_or_else(|| {
            _ = element.set_attribute("data-since", &now.to_string());
            now
        });
        let more = rate.saturating_mul(now.saturating_sub(since) / 1_000);
        if let Ok(amount) = kernel::Amount::try_from_base(base.saturating_add(more)) {
            element.set_text_content(Some(&format::io(amount)));
        }
    }
}
