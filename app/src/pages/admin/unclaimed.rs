//! What came in over the chain and named nobody: an admin says whose it is.

use exchange::Actor;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::UnclaimedView;

use super::Saying;
use crate::api::admin::ClaimDeposit;
use crate::api::{Post, exchange};
use crate::components::Parts;
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::Words;
use crate::pages::{explorer, on_chain};

/// Nothing where none waits: most platforms never have one.
pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let waiting = exchange()?.unclaimed_deposits(actor).await?;
    let refused = form_fault(Post::to::<ClaimDeposit>().fault(), &[]);
    if waiting.is_empty() {
        return Ok(view! { {refused} }.into_any());
    }
    let cards = waiting.iter().map(|one| card(one, t)).parts();
    Ok(view! {
        <section class="grid grid-cols-1 gap-3" data-key="unclaimed">
            <h2>{t.admin_unclaimed()}</h2>
            <p class="prose">{t.admin_unclaimed_text()}</p>
            {refused}
            {cards}
        </section>
    }
    .into_any())
}

fn card(one: &UnclaimedView, t: &'static Words) -> AnyView {
    let id = one.id.to_string();
    let hash = one.reference.split(':').next();
    let tag = match &one.tag {
        Some(tag) => view! { <span class="mono break-all">{tag.clone()}</span> }.into_any(),
        None => view! { {t.admin_unclaimed_no_tag()} }.into_any(),
    };
    let give = Saying {
        id: &id,
        action: ClaimDeposit::url(),
        fields: &[("id", id.clone())],
        name: "email",
        label: t.admin_unclaimed_email(),
        word: t.admin_unclaimed_give(),
        done: t.admin_unclaimed_given(),
    };
    view! {
        <div class="card grid grid-cols-1 gap-3" data-key=id.clone()>
            <h3>{explorer::exact(one.amount)}</h3>
            <dl class="facts">
                <div class="contents"><dt>{t.admin_unclaimed_sender()}</dt>
                    <dd>{on_chain::named(Some(&one.sender), one.sender_url.clone())}</dd></div>
                <div class="contents"><dt>{t.admin_unclaimed_tag()}</dt><dd>{tag}</dd></div>
                <div class="contents"><dt>{t.col_transaction()}</dt><dd>{on_chain::named(hash, one.transaction_url.clone())}</dd></div>
                <div class="contents"><dt>{t.col_when()}</dt><dd>{format::moment(one.at)}</dd></div>
            </dl>
            {give.view()}
        </div>
    }
    .into_any()
}
