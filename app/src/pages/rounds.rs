//! Matching rounds: the list of what the market was asked, and one round with its replay. Public.

#[cfg(feature = "ssr")]
mod missed;
#[cfg(feature = "ssr")]
mod part;

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::fragment::Fragment;
use crate::components::{PageHead, skeleton_block, skeleton_rows};
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use missed::part as missed_part;
#[cfg(feature = "ssr")]
pub use part::{list_part, one_part};

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let rounds = Fragment::new("rounds", move || {
        query.with(|query| query.get("before").unwrap_or_default())
    });
    view! {
        <PageHead title=t.rounds_title() lead=t.rounds_lead()/>
        {rounds.view(|t| skeleton_rows(t.loading(), 4))}
    }
}

/// `?replay=1` asks the round again.
pub fn round_page() -> impl IntoView {
    let t = words();
    let (params, query) = (use_params_map(), use_query_map());
    let round = Fragment::new("round", move || {
        let number = params.with(|params| params.get("id").unwrap_or_default());
        let replay = query.with(|query| query.get("replay").is_some());
        if replay {
            format!("{number} replay")
        } else {
            number
        }
    });
    view! {
        <PageHead title=t.round_title() lead=t.round_lead()
            actions=view! { <a class="btn" href="/rounds">{t.round_all()}</a> }.into_any()/>
        {round.view(|t| skeleton_block(t.loading()))}
    }
}
