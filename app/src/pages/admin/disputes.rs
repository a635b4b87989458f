//! Disputes of all accounts, and rulings.

use exchange::Actor;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{DisputeState, DisputeView};

use crate::api::admin::Rule;
use crate::api::{Post, exchange};
use crate::components::{Kind, Parts, Submit, Tone, notice};
use crate::fault::{Fault, form_fault};
use crate::i18n::{Words, fill};
use crate::pages::disputes::card;

pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let disputes = exchange()?.all_disputes(actor).await?;
    if disputes.is_empty() {
        return Ok(notice(Tone::Idle, t.disputes_none()));
    }
    let cards = disputes.iter().map(|dispute| {
        let rule = (dispute.state == DisputeState::Open).then(|| ruling(dispute, t));
        view! { <div class="grid grid-cols-1 gap-2">{card(dispute, false, true, t)}{rule}</div> }
    });
    let refused = form_fault(Post::to::<Rule>().fault(), &[]);
    Ok(view! { <div class="grid grid-cols-1 gap-6">{refused}{cards.parts()}</div> }.into_any())
}

fn ruling(dispute: &DisputeView, t: &'static Words) -> AnyView {
    let id = dispute.id.to_string();
    let [refund, why] = ["refund", "ruling"].map(|name| format!("{name}-{id}"));
    let most = format!("{} IO", dispute.claimed.to_io());
    view! {
        <form method="post" action=Rule::url() data-done=t.admin_ruled() data-key=format!("rule-{id}") class="card grid grid-cols-1 gap-3">
            <h3>{t.admin_rule()}</h3>
            <input type="hidden" name="id" value=id.clone()/>
            <div class="field max-w-xs"><label for=refund.clone()>{t.admin_rule_refund()}</label>
                <div class="with-unit"><input class="input" id=refund.clone() name="refund" inputmode="decimal" required autocomplete="off"
                    aria-describedby=format!("{refund}-hint")/><span>"IO"</span></div>
                <p class="hint" id=format!("{refund}-hint")>{fill(t.admin_rule_hint(), &[&most])}</p></div>
            <div class="field"><label for=why.clone()>{t.admin_why()}</label>
                <textarea class="input" id=why name="ruling" rows="3" required maxlength="2000"></textarea></div>
            <Submit label=t.admin_rule_do() kind=Kind::Danger/>
        </form>
    }
    .into_any()
}
