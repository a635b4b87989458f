//! What the reconciler found.

use exchange::Actor;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::IncidentView;

use super::{Saying, button};
use crate::api::admin::{CloseIncident, Reconcile};
use crate::api::{Post, exchange};
use crate::components::{Parts, Tone, notice, state};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::Words;

pub async fn view(actor: &Actor, t: &'static Words) -> Result<AnyView, Fault> {
    let incidents = exchange()?.incidents(actor).await?;
    let list = if incidents.is_empty() {
        notice(Tone::Ok, t.incidents_none())
    } else {
        incidents.iter().map(|incident| card(incident, t)).parts()
    };
    Ok(view! {
        <div class="grid grid-cols-1 gap-4">
            <p class="prose">{t.incidents_text()}</p>
            {form_fault(Post::to::<CloseIncident>().fault(), &[])}
            {button(Reconcile::url(), &[], t.incidents_look(), t.incidents_looked())}
            {list}
        </div>
    }
    .into_any())
}

fn card(incident: &IncidentView, t: &'static Words) -> AnyView {
    let id = incident.id.to_string();
    let (tone, word) = match (incident.closed_at, incident.gone_at) {
        (Some(_), _) => (Tone::Idle, t.incident_closed()),
        (None, Some(_)) => (Tone::Warn, t.incident_gone()),
        (None, None) => (Tone::Bad, t.incident_open()),
    };
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd class="mono">{value}</dd></div> };
    let seen = format!(
        "{} – {}",
        format::moment(incident.first_at),
        format::moment(incident.last_at)
    );
    let closed = incident.closed_by.clone().map(|by| {
        let at = incident.closed_at.map(format::moment).unwrap_or_default();
        fact(t.incident_note(), format!("{} ({by}, {at})", incident.note))
    });
    let close = incident.closed_at.is_none().then(|| {
        Saying {
            id: &id,
            action: CloseIncident::url(),
            fields: &[("id", id.clone())],
            name: "note",
            label: t.incident_note(),
            word: t.incident_close(),
            done: t.incident_was_closed(),
        }
        .view()
    });
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key=id.clone()>
            <div class="row-actions justify-between"><h2 class="mono">{incident.kind.as_str()}</h2>{state(tone, word)}</div>
            <p class="mono">{incident.subject.clone()}</p>
            <dl class="facts">
                {fact(t.incident_expected(), incident.expected.clone())}
                {fact(t.incident_found(), incident.found.clone())}
                {fact(t.incident_seen(), seen)}
                {closed}
            </dl>
            {close}
        </section>
    }
    .into_any()
}
