//! No such page.

use leptos::prelude::*;

use crate::components::PageHead;
use crate::i18n::words;

pub fn page() -> impl IntoView {
    let t = words();
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <PageHead title=t.not_found_title() lead=t.not_found_text()/>
        <p><a class="btn primary" href="/">{t.not_found_action()}</a></p>
    }
}
