//! The balance and what it lasts for, budgets, spending by day and by job, every movement, statements.

#[cfg(feature = "ssr")]
mod channels;
#[cfg(feature = "ssr")]
mod moves;
#[cfg(feature = "ssr")]
mod overview;
#[cfg(feature = "ssr")]
mod spent;
#[cfg(feature = "ssr")]
mod statement;

use leptos::prelude::*;

use super::whole;
use crate::i18n::words;
use crate::session::{watch_account, watch_notices};

pub fn page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    super::wallet::load();
    let (view, shown) = whole("billing", t.billing_title(), t.billing_lead(), tabs);
    watch_account(move || shown.refresh());
    watch_notices(move || shown.refresh());
    view
}

#[cfg(feature = "ssr")]
pub async fn part(query: &str) -> Result<AnyView, crate::fault::Fault> {
    let actor = crate::api::actor().await?;
    let asked = super::Asked::of(query);
    let t = words();
    let tab = match asked.get("before") {
        Some(_) => "moves",
        None => asked.tab(&["overview", "days", "moves", "statement"]),
    };
    let body = match tab {
        "days" => spent::view(&actor, t).await?,
        "moves" => moves::view(&actor, asked.get("before").as_deref(), t).await?,
        "statement" => statement::view(&actor, asked.get("at").as_deref(), t).await?,
        _ => overview::view(&actor, t).await?,
    };
    let tabs = super::sub_tabs(
        t.billing_tabs(),
        "/billing",
        &[
            ("overview", t.billing_overview()),
            ("days", t.billing_days()),
            ("moves", t.entries_title()),
            ("statement", t.billing_statement()),
        ],
        tab,
    );
    Ok(view! { {tabs}{body} }.into_any())
}
