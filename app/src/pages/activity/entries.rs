//! Entries of the audit log: the account's own on a page of its own, all of them in the admin console.

use exchange::{Actor, AuditQuery};
use kernel::Timestamp;
use leptos::prelude::*;
use leptos_router::location::Url;
use protocol::Code;
use protocol::audit::{ActorKind, AuditAction, AuditView, SubjectKind};

use crate::api::exchange;
use crate::components::{Cell, Column, Parts, Submit, Tone, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::{Asked, downloads};

const SHOWN: u32 = 50;
const FIELDS: [&str; 5] = ["actor", "action", "subject", "from", "to"];

/// Whose entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Own,
    All,
}

impl Of {
    /// The page, as far as its fields.
    const fn page(self) -> &'static str {
        match self {
            Self::Own => "/activity?",
            Self::All => "/admin?tab=audit&",
        }
    }

    const fn export(self) -> &'static str {
        match self {
            Self::Own => "/api/v1/audit/export?",
            Self::All => "/api/v1/admin/audit/export?",
        }
    }
}

/// A day as its field gives it, at midnight UTC.
fn day(text: Option<String>) -> Result<Option<Timestamp>, Fault> {
    let read = |text: String| {
        format!("{text}T00:00:00Z").parse().map_err(|_| {
            Fault::from(protocol::Problem::new(
                Code::Invalid,
                "Give a day as 2026-11-01.",
            ))
        })
    };
    text.map(read).transpose()
}

pub(in crate::pages) async fn view(actor: &Actor, asked: &Asked, of: Of) -> Result<AnyView, Fault> {
    let t = words();
    let exchange = exchange()?;
    let query = AuditQuery {
        actor: asked.get("actor").unwrap_or_default(),
        action: asked.get("action").as_deref().and_then(AuditAction::parse),
        subject: asked.get("subject").unwrap_or_default(),
        from: day(asked.get("from"))?,
        to: day(asked.get("to"))?,
        before: asked.get("before").and_then(|before| before.parse().ok()),
    };
    let (found, chain) = match of {
        Of::Own => (exchange.own_audit(actor, &query, SHOWN).await?, None),
        Of::All => {
            let chain = exchange.audit_chain(actor).await?;
            let (checked, all) = (chain.checked.to_string(), chain.position.to_string());
            let line = if chain.breaks == 0 {
                notice(Tone::Ok, fill(t.audit_checked(), &[&checked, &all]))
            } else {
                let breaks = chain.breaks.to_string();
                let text = fill(t.audit_broken(), &[&checked, &all, &breaks]);
                notice(
                    Tone::Bad,
                    view! { <p>{text}" "<a href="/admin">{t.admin_incidents()}</a></p> },
                )
            };
            let hash = view! { <p class="mono hint break-all">{chain.hash}</p> };
            (
                exchange.all_audit(actor, &query, SHOWN).await?,
                Some(view! { <div>{line}{hash}</div> }),
            )
        }
    };
    let given: Vec<String> = FIELDS
        .iter()
        .filter_map(|name| asked.get(name).map(|value| (name, value)))
        .map(|(name, value)| format!("{name}={}&", Url::escape(&value)))
        .collect();
    let given = given.concat();
    let older = found.next.as_ref().map(|next| {
        let href = format!("{}{given}before={next}", of.page());
        view! { <p class="mt-4"><a class="btn" href=href>{t.ledger_older()}</a></p> }
    });
    let list = if found.items.is_empty() {
        notice(Tone::Idle, t.audit_none())
    } else {
        let columns = vec![
            Column::new("#"),
            Column::new(t.audit_action()),
            Column::new(t.audit_actor()),
            Column::new(t.audit_subject()),
            Column::new(t.audit_detail()),
            Column::end(t.col_when()),
        ];
        let rows = found
            .items
            .iter()
            .map(|view| entry_row(view, actor, of, t))
            .parts();
        table(t.audit_title(), columns, rows)
    };
    let files = [
        (format!("{}{given}format=csv", of.export()), t.audit_csv()),
        (format!("{}{given}format=json", of.export()), t.audit_json()),
    ];
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            {chain}
            {form(asked, of, t)}
            <section><h2 class="mb-3">{t.audit_title()}</h2>{list}{older}{downloads(&files)}</section>
        </div>
    }
    .into_any())
}

/// What is looked for stands in the address; it works without scripts.
fn form(asked: &Asked, of: Of, t: &'static Words) -> AnyView {
    let field = |name: &'static str, label: &'static str, kind: &'static str| {
        let value = asked.get(name).unwrap_or_default();
        let id = format!("audit-{name}");
        view! {
            <div class="field"><label for=id.clone()>{label}</label>
                <input class="input" id=id name=name type=kind value=value autocomplete="off"/></div>
        }
        .into_any()
    };
    let chosen = asked.get("action").unwrap_or_default();
    let options = AuditAction::ALL
        .iter()
        .map(|action| {
            let name = action.as_str();
            view! { <option value=name selected=name == chosen>{action_word(*action, t)}</option> }
                .into_any()
        })
        .parts();
    let tab = (of == Of::All).then(|| view! { <input type="hidden" name="tab" value="audit"/> });
    let action = of.page().split('?').next().unwrap_or_default();
    view! {
        <form method="get" action=action class="grid gap-3 md:grid-cols-3 items-end">
            {tab}
            {field("actor", t.audit_actor_field(), "text")}
            <div class="field"><label for="audit-action">{t.audit_action()}</label>
                <select class="input" id="audit-action" name="action"><option value="">{t.audit_any()}</option>{options}</select></div>
            {field("subject", t.audit_subject_field(), "text")}
            {field("from", t.audit_from(), "date")}
            {field("to", t.audit_to(), "date")}
            <div class="row-actions"><Submit label=t.ledger_find()/></div>
        </form>
    }
    .into_any()
}

fn entry_row(view: &AuditView, reader: &Actor, of: Of, t: &'static Words) -> AnyView {
    let entry = &view.entry;
    let is_own = entry.actor.account == Some(reader.account);
    let kind = kind_word(entry.actor.kind, t);
    let who = match (&view.who, of) {
        (Some(_), Of::Own) if is_own => t.audit_you().to_owned(),
        (Some(who), _) => who.clone(),
        (None, _) => String::new(),
    };
    let id = (!entry.actor.id.is_empty()).then(|| {
        view! { <p class="mono hint" title=entry.actor.id.clone()>{short(&entry.actor.id)}</p> }
    });
    let subject = entry.subject.id.clone();
    // What a reader has no page of is not linked.
    let href = match entry.subject.kind {
        SubjectKind::Job if of == Of::Own => Some(format!("/jobs/{subject}")),
        SubjectKind::Recording => Some(format!("/activity?recording={subject}")),
        _ if of == Of::All => Some(format!("{}subject={}", of.page(), Url::escape(&subject))),
        _ => None,
    };
    let named = match href {
        Some(href) => {
            view! { <a class="mono" href=href title=subject.clone()>{short(&subject)}</a> }
                .into_any()
        }
        None => {
            view! { <span class="mono" title=subject.clone()>{short(&subject)}</span> }.into_any()
        }
    };
    let concerned = (of == Of::All)
        .then_some(entry.account)
        .flatten()
        .filter(|account| entry.actor.account != Some(*account))
        .map(|account| {
            let account = account.to_string();
            let href = format!("{}subject={account}", of.page());
            view! { <p class="hint">{t.audit_concerns()}" "<a class="mono" href=href title=account.clone()>{short(&account)}</a></p> }
        });
    let detail = entry
        .detail
        .iter()
        .map(|(name, value)| {
            let value = match name.as_str() {
                "recording" => {
                    let href = format!("/activity?recording={value}");
                    view! { <a class="mono" href=href>{t.recording_open()}</a> }.into_any()
                }
                _ => view! { <span class="mono break-all">{value.clone()}</span> }.into_any(),
            };
            view! { <p class="hint">{name.clone()}": "{value}</p> }.into_any()
        })
        .parts();
    row(vec![
        Cell::new(
            "#",
            view! { <span class="whitespace-nowrap" title=entry.hash.clone()>{entry.position}</span> },
        ),
        Cell::wide(
            t.audit_action(),
            view! { <p>{action_word(entry.action, t)}</p><p class="mono hint">{entry.action.as_str()}</p> },
        ),
        Cell::new(
            t.audit_actor(),
            view! { <p class="break-all">{who}</p><p class="hint">{kind}</p>{id} },
        ),
        Cell::new(t.audit_subject(), view! { {named}{concerned} }),
        Cell::wide(t.audit_detail(), detail),
        Cell::end(t.col_when(), format::moment(entry.at)),
    ])
}

/// Ids are told by their ends; names and short words stay.
fn short(id: &str) -> String {
    if id.len() > 24 {
        format::short_id(id)
    } else {
        id.to_owned()
    }
}

fn kind_word(kind: ActorKind, t: &'static Words) -> &'static str {
    match kind {
        ActorKind::User => t.audit_by_user(),
        ActorKind::Key => t.audit_by_key(),
        ActorKind::Admin => t.audit_by_admin(),
        ActorKind::System => t.audit_by_system(),
        ActorKind::Node => t.audit_by_node(),
        ActorKind::Link => t.audit_by_link(),
    }
}

const fn action_word(action: AuditAction, t: &'static Words) -> &'static str {
    use AuditAction as A;
    match action {
        A::AccountCreated => t.did_account_created(),
        A::SessionSignedIn => t.did_signed_in(),
        A::SessionSignedOut => t.did_signed_out(),
        A::SessionsEnded => t.did_sessions_ended(),
        A::PasswordChanged => t.did_password_changed(),
        A::WalletLinked => t.did_wallet_linked(),
        A::WalletUnlinked => t.did_wallet_unlinked(),
        A::KeyCreated => t.did_key_created(),
        A::KeyRevoked => t.did_key_revoked(),
        A::SecretSet => t.did_secret_set(),
        A::SecretDeleted => t.did_secret_deleted(),
        A::WebhookCreated => t.did_webhook_created(),
        A::WebhookChanged => t.did_webhook_changed(),
        A::WebhookSecretRotated => t.did_webhook_rotated(),
        A::WebhookDeleted => t.did_webhook_deleted(),
        A::LimitsChanged => t.did_limits_changed(),
        A::PayoutAddressAsked => t.did_address_asked(),
        A::PayoutAddressCancelled => t.did_address_cancelled(),
        A::PayoutAddressChanged => t.did_address_changed(),
        A::PayoutRequested => t.did_payout_requested(),
        A::PayoutCancelled => t.did_payout_cancelled(),
        A::PayoutApproved => t.did_payout_approved(),
        A::PayoutSent => t.did_payout_sent(),
        A::PayoutConfirmed => t.did_payout_confirmed(),
        A::PayoutFailed => t.did_payout_failed(),
        A::PayoutRefused => t.did_payout_refused(),
        A::PayoutFrozen => t.did_payout_frozen(),
        A::PayoutThawed => t.did_payout_thawed(),
        A::FreezeProposed => t.did_freeze_proposed(),
        A::ThawProposed => t.did_thaw_proposed(),
        A::ProposalDropped => t.did_proposal_dropped(),
        A::DepositRecorded => t.did_deposit_recorded(),
        A::DepositCredited => t.did_deposit_credited(),
        A::DepositRefused => t.did_deposit_refused(),
        A::DepositClaimed => t.did_deposit_claimed(),
        A::DemoCreditTaken => t.did_demo_taken(),
        A::DemoCreditApproved => t.did_demo_approved(),
        A::DemoCreditRefused => t.did_demo_refused(),
        A::RulingPosted => t.did_ruling_posted(),
        A::IncidentClosed => t.did_incident_closed(),
        A::JoinTokenMade => t.did_join_token(),
        A::NodeJoined => t.did_node_joined(),
        A::NodeRemoved => t.did_node_removed(),
        A::NodeTakesNoJobs => t.did_node_declines(),
        A::NodeTakesJobs => t.did_node_accepts(),
        A::MaintenanceOn => t.did_maintenance_on(),
        A::MaintenanceOff => t.did_maintenance_off(),
        A::JobStopped => t.did_job_stopped(),
        A::ShellOpened => t.did_shell_opened(),
        A::ShellClosed => t.did_shell_closed(),
        A::RecordingViewed => t.did_recording_viewed(),
        A::PortConnected => t.did_port_connected(),
        A::PortShared => t.did_port_shared(),
        A::FilesRead => t.did_files_read(),
        A::FilesStored => t.did_files_stored(),
    }
}
