//! The owner's fleet: joining a machine, its devices, why each earns or not, and its price.

#[cfg(feature = "ssr")]
mod join;
#[cfg(feature = "ssr")]
mod many;
#[cfg(feature = "ssr")]
mod part;
#[cfg(feature = "ssr")]
pub(super) mod strip;

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use serde::Deserialize;

use super::fragment::Fragment;
use super::{live_dot, stale_notice};
use crate::api::nodes::MakeJoinToken;
use crate::api::{Post, PostForm};
use crate::components::{CopyLine, Kind, PageHead, Submit, part, skeleton_rows, tabs};
use crate::fault::form_fault;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::fleet_part;

/// States and loads of machines are read again this often.
const REFRESH_EVERY: Duration = Duration::from_secs(3);

/// Machines and earnings are two sides of one place.
pub fn earn_tabs() -> AnyView {
    let t = words();
    let path = use_location().pathname;
    tabs(
        t.nav_earn(),
        vec![
            ("/nodes", t.tab_machines(), "/nodes".to_owned()),
            ("/earnings", t.tab_earnings(), "/earnings".to_owned()),
            ("/simulator", t.tab_simulator(), "/simulator".to_owned()),
        ],
        path.into(),
    )
}

/// Of a join token, all that the page needs.
#[derive(Deserialize)]
struct JoinLine {
    id: String,
    command: String,
}

pub fn page() -> impl IntoView {
    let t = words();
    let join = Post::to::<MakeJoinToken>();
    let line = RwSignal::new(String::new());
    let token = RwSignal::new(String::new());
    // While a machine is waited for, the server writes the checklist of its token above the fleet.
    let fleet = Fragment::new("nodes", move || token.get());
    join.on_answer(move |made: JoinLine| {
        line.set(made.command);
        token.set(made.id);
    });
    fleet.refresh_every(REFRESH_EVERY);
    let query = use_query_map();
    let missed = Fragment::new("missed", move || {
        query.with(|query| query.get("device").unwrap_or_default())
    });
    let shown = part(move || {
        let line = line.get();
        (!line.is_empty()).then(|| {
            view! {
                <p class="prose">{t.join_run()}</p>
                <CopyLine text=line label=t.join_copy()/>
                <p class="hint">{t.join_once()}</p>
            }
        })
    });
    view! {
        <PageHead title=t.nodes_title() lead=t.nodes_lead()/>
        {earn_tabs()}
        {stale_notice()}
        <section class="card grid gap-4 mb-6">
            <h2>{t.join_title()}</h2>
            {form_fault(join.fault(), &[])}
            {shown}
            <PostForm post=join><Submit label=t.join_button() kind=Kind::Primary busy=join.pending/></PostForm>
        </section>
        <div class="row-actions justify-end mb-3">{live_dot()}</div>
        {fleet.view(|t| skeleton_rows(t.loading(), 2))}
        {missed.view(|t| skeleton_rows(t.loading(), 1))}
    }
}
