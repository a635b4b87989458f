//! The fleet, as the server writes it. Its forms are plain forms; the page posts them without being left.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::fleet::UptimeSpan;
use protocol::spec::DeviceClass;
use protocol::state::DeviceState;
use protocol::view::{NodeDeviceView, NodeView};

use super::join::checklist;
use super::many::{maintenance, prices};
use super::strip::{share, strip};
use crate::api::nodes::{
    ChangePrices, JOIN_FLASH, RemoveNode, SetMaintenance, SetPaused, SetPrice,
};
use crate::api::{Post, actor, exchange, flashed};
use crate::components::{CopyLine, Field, Icon, Kind, Parts, Submit, Tone, icon, notice, tag};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::wording;

const STRIP_DAYS: usize = 30;

/// `arg` is the join token whose machine is waited for; then its checklist stands above.
pub async fn fleet_part(arg: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let nodes = exchange.nodes(&actor).await?;
    let uptimes = exchange.uptimes(&actor).await?;
    let t = words();
    // A plain form left the new line for this page.
    let flashed = flashed(JOIN_FLASH);
    let flashed = flashed.as_deref().and_then(|left| left.split_once('.'));
    let line =
        flashed.map(|(_, token)| exchange::join_line(&exchange.settings().public_url, token));
    let line = line.map(|line| {
        view! {
            <div class="mb-4"><p class="prose mb-2">{t.join_run()}</p><CopyLine text=line label=t.join_copy()/></div>
        }
    });
    let token = flashed.map_or(arg, |(id, _)| id).parse().ok();
    let steps = match token {
        Some(token) => {
            let used_by = exchange.join_token_state(&actor, token).await?.used_by;
            let node = used_by.and_then(|used_by| nodes.iter().find(|node| node.id == used_by));
            let ran = match node {
                Some(node) => !exchange
                    .node_leases(&actor, node.id, None)
                    .await?
                    .items
                    .is_empty(),
                None => false,
            };
            Some(checklist(node, ran, t))
        }
        None => None,
    };
    let refused = [
        Post::to::<SetPrice>(),
        Post::to::<SetPaused>(),
        Post::to::<RemoveNode>(),
        Post::to::<SetMaintenance>(),
        Post::to::<ChangePrices>(),
    ]
    .into_iter()
    .map(|post| form_fault(post.fault(), &[]))
    .parts();
    let machines = if nodes.is_empty() {
        view! { <div class="empty"><h2>{t.nodes_empty()}</h2><p>{t.nodes_empty_text()}</p></div> }
            .into_any()
    } else {
        nodes
            .iter()
            .map(|node| {
                let days = uptimes.get(&node.id).map(Vec::as_slice);
                machine(node, days.unwrap_or_default(), t)
            })
            .parts()
    };
    Ok(
        view! { {line}{steps}{refused}{prices(&nodes, t)}<div class="grid gap-4">{machines}</div> }
            .into_any(),
    )
}

fn machine(node: &NodeView, days: &[UptimeSpan], t: &'static Words) -> AnyView {
    let id = node.id.to_string();
    let devices = node
        .devices
        .iter()
        .map(|device| device_card(device, t))
        .parts();
    view! {
        <article class="card grid gap-4">
            {machine_head(node, t)}
            <div>
                {strip(days, STRIP_DAYS, t.strip_label(), t)}
                <p class="hint num flex flex-wrap gap-x-4">
                    {share(days).map(|share| view! { <span>{fill(t.strip_text(), &[&share])}</span> })}
                    <a href=format!("/machine?node={id}") class="btn quiet">{t.machine_open()}</a>
                </p>
            </div>
            {devices}
            {maintenance(node, t)}
            <details id=format!("more-{id}")>
                <summary class="min-h-11 flex items-center">{t.node_more()}</summary>
                {machine_facts(node, t)}
                <form method="post" action=RemoveNode::url() data-done=t.node_removed()>
                    <input type="hidden" name="id" value=id.clone()/>
                    <p class="hint my-2">{t.node_remove_hint()}</p>
                    <Submit label=t.node_remove() kind=Kind::Danger/>
                </form>
            </details>
        </article>
    }
    .into_any()
}

/// One device: what it does, what it has made, each rule of earning, and its price.
fn device_card(device: &NodeDeviceView, t: &'static Words) -> AnyView {
    let id = device.id.to_string();
    let paused = device.state == DeviceState::Paused;
    view! {
        <div class="border-t border-line pt-4 grid gap-4 md:grid-cols-2">
            <div class="min-w-0">{device_facts(device, t)}</div>
            <div class="min-w-0 grid gap-3 content-start">
                <form method="post" action=SetPrice::url() data-done=t.price_set() data-key=format!("set-{id}")>
                    <input type="hidden" name="device" value=id.clone()/>
                    <div class="flex items-end gap-2">
                        <div class="flex-1 min-w-0">
                            <Field name="per_hour" id=format!("price-{id}") label=t.price_label() unit=t.unit_price() input_mode="decimal"
                                value=format::owner_number(device.price)/>
                        </div>
                        <Submit label=t.price_button()/>
                    </div>
                </form>
                {rents(device, t)}
                <form method="post" action=SetPaused::url() data-done=t.state_set() data-key=format!("pause-{id}")>
                    <input type="hidden" name="device" value=id.clone()/>
                    <input type="hidden" name="paused" value=(!paused).to_string()/>
                    <button class="btn" type="submit">{if paused { t.resume() } else { t.pause() }}</button>
                </form>
            </div>
        </div>
    }
    .into_any()
}

/// What else is set for a device, and where to set it.
fn rents(device: &NodeDeviceView, t: &'static Words) -> AnyView {
    let rules = &device.rules;
    let price = |price| format::owner_per_hour(price, t);
    let spot = rules
        .spot
        .map(|spot| fill(t.rent_has_spot(), &[&price(spot)]));
    let term = rules
        .reserved
        .map(|term| fill(t.rent_has_term(), &[&price(term.price)]));
    let auto = rules
        .auto
        .map(|auto| fill(t.rent_has_auto(), &[&auto.percent.to_string()]));
    let until = device.hours_until.map(|until| {
        let text = if device.in_hours {
            t.rent_free_until()
        } else {
            t.rent_free_again()
        };
        fill(text, &[&format::moment(until)])
    });
    let set: Vec<String> = [spot, term, auto, until].into_iter().flatten().collect();
    let set = (!set.is_empty()).then(|| view! { <p class="hint num">{set.join(" · ")}</p> });
    let href = format!("/price?device={}", device.id);
    view! { {set}<div><a class="btn" href=href data-row="1">{t.rent_edit()}</a></div> }.into_any()
}

fn machine_head(node: &NodeView, t: &'static Words) -> AnyView {
    let standing = wording::standing(node.standing, t);
    let seen = (!node.online)
        .then(|| {
            node.last_seen
                .map(|at| fill(t.node_seen(), &[&format::moment(at)]))
        })
        .flatten();
    let problems = (!node.host.isolation_problems.is_empty()).then(|| {
        let items = node
            .host
            .isolation_problems
            .iter()
            .map(|why| view! { <li>{why.clone()}</li> })
            .parts();
        notice(
            Tone::Warn,
            view! { <p class="font-medium">{t.node_no_isolation()}</p><ul>{items}</ul> },
        )
    });
    let missing = (!node.host.device_problems.is_empty()).then(|| {
        let items = node
            .host
            .device_problems
            .iter()
            .map(|why| view! { <li>{why.clone()}</li> })
            .parts();
        notice(
            Tone::Warn,
            view! { <p class="font-medium">{t.node_problems()}</p><ul>{items}</ul> },
        )
    });
    let load = node.cpu_percent.map(|cpu| {
        let memory = node.memory_used_mib.map(format::mib).unwrap_or_default();
        fill(t.node_load(), &[&format::number(f64::from(cpu)), &memory])
    });
    view! {
        <div class="flex flex-wrap items-center justify-between gap-x-4 gap-y-1">
            <h2>{node.name.clone()}</h2>
            <span class="flex flex-wrap items-center gap-3">
                <span class="hint num">{load}{seen}</span>
                <span class="hint num">{fill(t.node_reputation(), &[&node.reputation.to_string()])}</span>
                {standing}
            </span>
        </div>
        {problems}
        {missing}
    }
    .into_any()
}

fn machine_facts(node: &NodeView, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let key = node.public_key.clone();
    view! {
        <dl class="facts my-2">
            {fact(t.fact_system(), format!("{} · {}", node.host.os, node.host.kernel))}
            {fact(t.fact_size(), format!("{} CPU · {} · {}", node.host.cpus, format::mib(node.host.memory_mib), format::mib(node.host.disk_mib)))}
            {fact(t.col_region(), node.country.clone().unwrap_or_else(|| "–".to_owned()))}
            {fact(t.fact_version(), node.agent_version.clone())}
            {fact(t.fact_joined(), format::moment(node.joined_at))}
            <div class="contents"><dt>{t.fact_key()}</dt><dd class="mono">{key}</dd></div>
        </dl>
    }
    .into_any()
}

fn device_facts(device: &NodeDeviceView, t: &'static Words) -> AnyView {
    let job = device.job.map(|job| {
        let id = job.to_string();
        view! { <p class="hint">{t.device_job()}" "<span class="mono">{format::short_id(&id)}</span></p> }
    });
    let checks = device
        .checks
        .iter()
        .map(|check| {
            let (rule, fix) = wording::earn_rule(check.rule, t);
            let (class, drawing, word) =
                if check.pass { ("tone-ok", Icon::Done, t.rule_pass()) } else { ("tone-warn", Icon::Cross, t.rule_fail()) };
            let fix = (!check.pass).then_some(fix);
            let figures = wording::earn_numbers(check, t).map(|text| view! { <span class="hint num">" · "{text}</span> });
            view! {
                <li>
                    <span class=class>{icon(drawing)}</span>
                    <span>{rule}{figures}<span class="sr">": "{word}</span>{fix.map(|fix| view! { <br/><span class="hint">{fix}</span> })}</span>
                </li>
            }
        })
        .parts();
    let (proof, reason) = wording::proof(device, t);
    let reason = reason.map(|reason| {
        view! { <p class="hint">{reason}" · "{device.proof.detail.clone()}</p> }
    });
    view! {
        <p class="flex flex-wrap items-center gap-2">
            <strong>{device.model.clone()}</strong>{tag(wording::class(device.class))}
            {(device.class == DeviceClass::Gpu).then(|| view! { <span>{format::mib(device.memory_mib)}</span> })}
            {wording::device_state(device.state, t)}
        </p>
        <p class="num">{fill(t.device_earned(), &[&format::io(device.earned)])}</p>
        {job}
        <p class="hint">{proof}</p>
        {reason}
        <h3 class="mt-3 mb-1">{t.earn_checks()}</h3>
        <ul class="checklist">{checks}</ul>
        <p class="mt-2"><a href=format!("/nodes?device={}", device.id) class="btn quiet">{t.device_missed()}</a></p>
    }
    .into_any()
}
