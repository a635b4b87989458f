//! The admin console: incidents, payouts, deposits, disputes, the ledger, the audit log.

#[cfg(feature = "ssr")]
mod deposits;
#[cfg(feature = "ssr")]
mod disputes;
#[cfg(feature = "ssr")]
mod incidents;
#[cfg(feature = "ssr")]
mod ledger;
#[cfg(feature = "ssr")]
mod payouts;
#[cfg(feature = "ssr")]
mod settlement;
#[cfg(feature = "ssr")]
mod unclaimed;

use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::activity::entries;
use super::whole;
use crate::i18n::words;

pub fn page() -> impl IntoView {
    let t = words();
    let tabs = super::account::me_tabs();
    let (view, _) = whole("admin", t.admin_title(), t.admin_lead(), tabs);
    view
}

#[cfg(feature = "ssr")]
pub async fn part(query: &str) -> Result<AnyView, crate::fault::Fault> {
    let actor = crate::api::actor().await?;
    let asked = super::Asked::of(query);
    let t = words();
    let tab = asked.tab(&[
        "incidents",
        "payouts",
        "deposits",
        "settlement",
        "disputes",
        "ledger",
        "audit",
    ]);
    let body = match tab {
        "payouts" => payouts::view(&actor, t).await?,
        "deposits" => deposits::view(&actor, t).await?,
        "settlement" => settlement::view(&actor, &asked, t).await?,
        "disputes" => disputes::view(&actor, t).await?,
        "ledger" => ledger::view(&actor, &asked, t).await?,
        "audit" => entries::view(&actor, &asked, entries::Of::All).await?,
        _ => incidents::view(&actor, t).await?,
    };
    let tabs = super::sub_tabs(
        t.admin_tabs(),
        "/admin",
        &[
            ("incidents", t.admin_incidents()),
            ("payouts", t.admin_payouts()),
            ("deposits", t.admin_deposits()),
            ("settlement", t.admin_settlement()),
            ("disputes", t.admin_disputes()),
            ("ledger", t.admin_ledger()),
            ("audit", t.admin_audit()),
        ],
        tab,
    );
    Ok(view! { {tabs}{body} }.into_any())
}

/// A form of one button.
#[cfg(feature = "ssr")]
fn button(
    action: &'static str,
    fields: &[(&'static str, String)],
    word: &'static str,
    done: &'static str,
) -> AnyView {
    use crate::components::Parts;

    let fields = fields
        .iter()
        .map(|(name, value)| view! { <input type="hidden" name=*name value=value.clone()/> })
        .parts();
    view! {
        <form method="post" action=action data-done=done>{fields}<button class="btn" type="submit">{word}</button></form>
    }
    .into_any()
}

/// A form of one text and one button. `id` makes the field's own.
#[cfg(feature = "ssr")]
#[derive(Debug)]
struct Saying<'a> {
    id: &'a str,
    action: &'static str,
    fields: &'a [(&'static str, String)],
    /// The field's name and what stands above it.
    name: &'static str,
    label: &'static str,
    word: &'static str,
    done: &'static str,
}

#[cfg(feature = "ssr")]
impl Saying<'_> {
    fn view(self) -> AnyView {
        use crate::components::Parts;

        let fields = self
            .fields
            .iter()
            .map(|(name, value)| view! { <input type="hidden" name=*name value=value.clone()/> })
            .parts();
        let id = format!("{}-{}", self.id, self.name);
        view! {
            <form method="post" action=self.action data-done=self.done class="row-actions items-end">
                {fields}
                <div class="field flex-1"><label for=id.clone()>{self.label}</label>
                    <input class="input" id=id name=self.name required maxlength="1000" autocomplete="off"/></div>
                <button class="btn" type="submit">{self.word}</button>
            </form>
        }
        .into_any()
    }
}
