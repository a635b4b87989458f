//! E-mail, warnings of the runway, and webhooks with their deliveries, as the server writes them.

use exchange::Actor;
use kernel::{Seconds, WebhookId};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::notice::{
    DeliveryState, DeliveryView, Event, Language, NotificationSettingsView, WebhookView,
};

use crate::api::notices::{
    DeleteWebhook, MakeWebhook, Redeliver, RotateWebhook, SECRET_FLASH, SetNotifications,
    SwitchWebhook, TestWebhook,
};
use crate::api::{Post, actor, exchange, flashed, parse_id};
use crate::components::{
    Cell, CheckField, Column, CopyLine, Field, Parts, SelectField, Submit, Tone, notice, row,
    state, table, tabs, tag,
};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::{Asked, field_error};

const DELIVERIES: u32 = 50;

/// `query` may name a webhook whose deliveries are shown.
pub async fn part(query: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let t = words();
    let settings = exchange.notification_settings(&actor).await?;
    let hooks = exchange.webhooks(&actor).await?;
    let chosen = Asked::of(query).get("webhook");
    let chosen: Option<WebhookId> = chosen.as_deref().map(parse_id).transpose()?;
    // One that was deleted while its deliveries were open is no error.
    let chosen = chosen.filter(|id| hooks.iter().any(|hook| hook.id == *id));
    let deliveries = match chosen {
        Some(id) => Some(deliveries(&actor, id, t).await?),
        None => None,
    };
    // A plain form left the new secret for this page.
    let secret = flashed(SECRET_FLASH).map(|secret| {
        notice(
            Tone::Ok,
            view! { <p class="font-medium mb-2">{t.secret_made()}</p><CopyLine text=secret label=t.key_copy()/> },
        )
    });
    let cards = hooks.iter().map(|hook| card(hook, t)).parts();
    let none = hooks
        .is_empty()
        .then(|| view! { <p class="hint">{t.hooks_none()}</p> });
    let refused = [
        Post::to::<SwitchWebhook>(),
        Post::to::<TestWebhook>(),
        Post::to::<Redeliver>(),
    ]
    .map(|post| form_fault(post.fault(), &[]));
    Ok(view! {
        {notice_tabs("settings", t)}
        <div class="grid grid-cols-1 gap-6">
            {secret}
            {told(&settings, t)}
            <section class="grid grid-cols-1 gap-3">
                <h2>{t.hooks_title()}</h2>
                <p class="prose">{t.hooks_text()}</p>
                {refused.into_iter().parts()}
                {none}
                {cards}
                {new_hook(t)}
            </section>
            {deliveries}
        </div>
    }
    .into_any())
}

/// The list and its settings are two sides of one place.
pub fn notice_tabs(open: &'static str, t: &'static Words) -> AnyView {
    let known = vec![
        ("list", t.tab_notices(), "/notices".to_owned()),
        ("settings", t.told_title(), "/notifications".to_owned()),
    ];
    tabs(t.notices_title(), known, Signal::stored(open.to_owned()))
}

/// `1d`, `90m`: the longest unit that it is a whole number of.
fn time(seconds: Seconds) -> String {
    let seconds = seconds.get();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit));
    match unit {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn told(view: &NotificationSettingsView, t: &'static Words) -> AnyView {
    let fault = Post::to::<SetNotifications>().fault();
    let times: Vec<String> = view
        .settings
        .runway_seconds
        .iter()
        .map(|at| time(*at))
        .collect();
    let mail = if view.email_available {
        view! { <CheckField name="email" value="yes" label=t.told_mail() checked=view.settings.email/> }.into_any()
    } else {
        // What was chosen before stays chosen.
        let kept = view
            .settings
            .email
            .then(|| view! { <input type="hidden" name="email" value="yes"/> });
        view! { {kept}<p class="hint">{t.told_no_mail()}</p> }.into_any()
    };
    let languages = [(Language::En, "English"), (Language::Zh, "中文")]
        .map(|(code, name)| (code.as_str().to_owned(), name.to_owned()));
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="told">
            <h2>{t.told_how()}</h2>
            {form_fault(fault, &["runway"])}
            <form method="post" action=SetNotifications::url() data-done=t.told_saved() class="grid grid-cols-1 gap-3 max-w-md">
                {mail}
                <p class="hint">{fill(t.told_address(), &[&view.address])}</p>
                <SelectField name="language" label=t.told_language() options=languages.to_vec()
                    value=view.settings.language.as_str()/>
                <Field name="runway" label=t.told_runway() value=times.join(" ") hint=t.told_runway_hint()
                    error=field_error(fault, "runway")/>
                <Submit label=t.told_save()/>
            </form>
        </section>
    }
    .into_any()
}

fn card(hook: &WebhookView, t: &'static Words) -> AnyView {
    let id = hook.id.to_string();
    let (tone, word) = match (hook.enabled, hook.failing_since) {
        (false, _) => (Tone::Idle, t.hook_off().to_owned()),
        (true, Some(since)) => (
            Tone::Warn,
            fill(t.hook_failing(), &[&format::moment(since)]),
        ),
        (true, None) => (Tone::Ok, t.hook_on().to_owned()),
    };
    let events = if hook.events.is_empty() {
        view! { <span class="hint">{t.hook_all()}</span> }.into_any()
    } else {
        let named = |event: &Event| {
            view! { <span title=event_word(*event, t)>{tag(event.as_str())}</span> }
        };
        hook.events.iter().map(named).parts()
    };
    let button = |action: &'static str,
                  word: &'static str,
                  done: &'static str,
                  class: &'static str,
                  more: Option<(&'static str, String)>| {
        let more = more.map(|(name, value)| view! { <input type="hidden" name=name value=value/> });
        view! {
            <form method="post" action=action data-done=done data-secret=(action == RotateWebhook::url()).then(|| t.secret_made())>
                <input type="hidden" name="id" value=id.clone()/>{more}
                <button class=class type="submit">{word}</button>
            </form>
        }
    };
    let switch = Some(("enabled", (!hook.enabled).to_string()));
    let word_of_switch = if hook.enabled {
        t.hook_switch_off()
    } else {
        t.hook_switch_on()
    };
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key=id.clone()>
            <div class="row-actions justify-between"><p class="mono">{hook.url.clone()}</p>{state(tone, word)}</div>
            <p class="flex flex-wrap gap-1">{events}</p>
            <div class="row-actions">
                <a class="btn" href=format!("/notifications?webhook={id}")>{t.hook_deliveries()}</a>
                {hook.enabled.then(|| button(TestWebhook::url(), t.hook_test(), t.hook_tested(), "btn", None))}
            </div>
            <details data-key=format!("more-{id}")>
                <summary class="legend min-h-11 flex items-center">{t.hook_more()}</summary>
                <div class="row-actions mt-2">
                    {button(SwitchWebhook::url(), word_of_switch, t.state_set(), "btn", switch)}
                    {button(RotateWebhook::url(), t.hook_rotate(), t.hook_rotated(), "btn", None)}
                    {button(DeleteWebhook::url(), t.hook_delete(), t.hook_deleted(), "btn danger", None)}
                </div>
            </details>
        </section>
    }
    .into_any()
}

fn new_hook(t: &'static Words) -> AnyView {
    let fault = Post::to::<MakeWebhook>().fault();
    // A test is sent when it is asked for, to whichever webhook.
    let boxes = Event::ALL
        .into_iter()
        .filter(|event| *event != Event::WebhookTest)
        .enumerate()
        .map(|(n, event)| {
            view! {
                <label class="check">
                    <input type="checkbox" name=format!("events[{n}]") value=event.as_str()/>
                    <span>{event_word(event, t)}" "<span class="mono hint">{event.as_str()}</span></span>
                </label>
            }
        })
        .parts();
    // Each name is ours, so a refusal of them comes from a page that is older than the server: it is said above the form.
    view! {
        <div class="card grid grid-cols-1 gap-3" data-key="new-hook">
            <h3>{t.hook_new()}</h3>
            {form_fault(fault, &["url"])}
            <form method="post" action=MakeWebhook::url() data-done=t.hook_made() data-secret=t.secret_made() class="grid grid-cols-1 gap-3">
                <div class="max-w-xl">
                    <Field name="url" label=t.hook_url() kind="url" required=true max_length=2048 error=field_error(fault, "url")/>
                </div>
                <fieldset aria-describedby="events-hint">
                    <legend class="legend">{t.hook_events()}</legend>
                    <p class="hint" id="events-hint">{t.hook_events_hint()}</p>
                    <div class="grid md:grid-cols-2 gap-x-6">{boxes}</div>
                </fieldset>
                <div><Submit label=t.hook_make()/></div>
            </form>
        </div>
    }
    .into_any()
}

/// What happens, in a few plain words; its name stands beside them.
const fn event_word(event: Event, t: &'static Words) -> &'static str {
    match event {
        Event::JobStarted => t.on_job_started(),
        Event::JobEnded => t.on_job_ended(),
        Event::JobFundsLow => t.on_job_funds_low(),
        Event::JobOutOfFunds => t.on_job_out_of_funds(),
        Event::JobRefunded => t.on_job_refunded(),
        Event::LeaseRefunded => t.on_lease_refunded(),
        Event::BalanceRunway => t.on_balance_runway(),
        Event::PayoutUpdated => t.on_payout_updated(),
        Event::PayoutAddressUpdated => t.on_payout_address(),
        Event::WalletLinked => t.on_wallet_linked(),
        Event::DepositUpdated => t.on_deposit_updated(),
        Event::ChannelUpdated => t.on_channel_updated(),
        Event::VoucherUpdated => t.on_voucher_updated(),
        Event::DisputeUpdated => t.on_dispute_updated(),
        Event::IncidentOpened => t.on_incident_opened(),
        Event::DeviceFault => t.on_device_fault(),
        Event::SearchMatched => t.on_search_matched(),
        Event::WebhookDisabled => t.on_webhook_disabled(),
        Event::WebhookTest => t.on_webhook_test(),
    }
}

async fn deliveries(actor: &Actor, id: WebhookId, t: &'static Words) -> Result<AnyView, Fault> {
    let page = exchange()?
        .webhook_deliveries(actor, id, None, DELIVERIES)
        .await?;
    let list = if page.items.is_empty() {
        notice(Tone::Idle, t.deliveries_none())
    } else {
        let rows = page.items.iter().map(|one| delivery(id, one, t)).parts();
        let columns = vec![
            Column::new(t.hook_events()),
            Column::new(t.col_state()),
            Column::end(t.col_attempts()),
            Column::new(t.col_answer()),
            Column::end(t.col_when()),
            Column::action(t.hook_again()),
        ];
        table(t.hook_deliveries(), columns, rows)
    };
    Ok(view! { <section><h2 class="mb-3">{t.hook_deliveries()}</h2>{list}</section> }.into_any())
}

fn delivery(hook: WebhookId, one: &DeliveryView, t: &'static Words) -> AnyView {
    let (tone, word) = match one.state {
        DeliveryState::Waiting => (Tone::Busy, t.delivery_waiting()),
        DeliveryState::Delivered => (Tone::Ok, t.delivery_delivered()),
        DeliveryState::Failed => (Tone::Bad, t.delivery_failed()),
    };
    let answer = match (one.status, one.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.as_str().to_owned(),
        (None, None) => String::new(),
    };
    let again = (one.state != DeliveryState::Waiting).then(|| {
        view! {
            <form method="post" action=Redeliver::url() data-done=t.hook_tested()>
                <input type="hidden" name="id" value=hook.to_string()/>
                <input type="hidden" name="notice" value=one.notice.to_string()/>
                <button class="btn small" type="submit">{t.hook_again()}</button>
            </form>
        }
    });
    row(vec![
        Cell::title(view! { <span class="mono">{one.event.as_str()}</span> }),
        Cell::new(t.col_state(), state(tone, word)),
        Cell::end(t.col_attempts(), one.attempts.to_string()),
        Cell::new(t.col_answer(), view! { <span class="mono">{answer}</span> }),
        Cell::end(t.col_when(), format::moment(one.created_at)),
        Cell::action(again),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_read() {
        let of = |seconds| time(Seconds::new(seconds));
        let written = [86_400, 172_800, 3_600, 7_200, 600, 5_400, 60, 90].map(of);
        assert_eq!(written, ["1d", "2d", "1h", "2h", "10m", "90m", "1m", "90s"]);
    }
}
