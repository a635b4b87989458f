//! The owner's fleet: joining a machine, its devices, why each earns or not, and its price.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use protocol::live::{Live, Topic};
use protocol::view::{JoinTokenView, NodeDeviceView, NodeView};

use super::{field_error, live_dot, load, stale_notice, wording};
use crate::api::nodes::{Fleet, MakeJoinToken, ReadFleet, RemoveNode, SetPaused, SetPrice};
use crate::api::{Post, PostForm, ask, then};
use crate::components::{
    CopyLine, Field, Icon, Kind, PageHead, Parts, Submit, Tone, attr, effect, icon, keyed, notice,
    part, skeleton_rows, state, tabs, tag, toast, toasts,
};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::live::{News, watch};

/// How often the page looks for a machine that has just been invited.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Machines and earnings are two sides of one place.
pub fn earn_tabs() -> AnyView {
    let t = words();
    let path = use_location().pathname;
    tabs(
        t.nav_earn,
        vec![
            ("/nodes", t.tab_machines, "/nodes".to_owned()),
            ("/earnings", t.tab_earnings, "/earnings".to_owned()),
        ],
        path.into(),
    )
}

pub fn page() -> impl IntoView {
    let t = words();
    let fleet = ask(ReadFleet {}).data();
    view! {
        <PageHead title=t.nodes_title lead=t.nodes_lead/>
        {earn_tabs()}
        {load(fleet, |t| skeleton_rows(t.loading, 2), show)}
    }
}

fn show(fleet: Fleet) -> AnyView {
    let t = words();
    let machines = RwSignal::new(fleet.nodes);
    let join = Post::to::<MakeJoinToken>();
    let line = RwSignal::new(fleet.join);
    join.on_answer(move |token: JoinTokenView| line.set(Some(token.command)));
    // Which machines there were when the line was made: a further one is the one that was waited for.
    let before = machines.with_untracked(Vec::len);
    let waiting =
        Signal::derive(move || line.with(Option::is_some) && machines.with(Vec::len) <= before);
    let reread = move || {
        then(ask(ReadFleet {}), move |fresh: Fleet| {
            _ = machines.try_set(fresh.nodes)
        });
    };
    effect(move || {
        if waiting.get()
            && let Ok(timer) = set_interval_with_handle(reread, LOOK_EVERY)
        {
            on_cleanup(move || timer.clear());
        }
    });
    let ids = move || {
        machines.with(|nodes| {
            nodes
                .iter()
                .map(|node| node.id.to_string())
                .collect::<Vec<_>>()
        })
    };
    let none = part(move || {
        machines
            .with(Vec::is_empty)
            .then(|| view! { <div class="empty"><h2>{t.nodes_empty}</h2><p>{t.nodes_empty_text}</p></div> })
    });
    view! {
        {stale_notice()}
        <div class="grid gap-6">
            {join_card(join, line, waiting, machines, before)}
            {none}
            <div class="row-actions justify-end">{live_dot()}</div>
            {keyed(ids, move |id| id.parse().map_or_else(|_| ().into_any(), |id| machine(id, machines, reread)))}
        </div>
    }
    .into_any()
}

/// One line to copy, and what has happened with it so far.
fn join_card(
    join: Post,
    line: RwSignal<Option<String>>,
    waiting: Signal<bool>,
    machines: RwSignal<Vec<NodeView>>,
    before: usize,
) -> AnyView {
    let t = words();
    let fault = join.fault();
    let shown = part(move || {
        line.get().map(|line| {
            view! {
                <p class="prose">{t.join_run}</p>
                <CopyLine text=line label=t.join_copy/>
                <p class="hint">{t.join_once}</p>
            }
        })
    });
    let steps = part(move || {
        line.with(Option::is_some).then(|| {
            let newest = machines.with(|nodes| {
                (nodes.len() > before)
                    .then(|| nodes.iter().max_by_key(|n| n.joined_at).cloned())
                    .flatten()
            });
            let joined = newest.is_some();
            let online = newest.as_ref().is_some_and(|node| node.online);
            let isolated = newest
                .as_ref()
                .is_some_and(|node| node.host.isolation_problems.is_empty());
            let devices = newest.as_ref().is_some_and(|node| !node.devices.is_empty());
            let steps = [
                (true, t.join_made),
                (joined, t.join_joined),
                (online, t.join_online),
                (joined && isolated, t.join_isolated),
                (devices, t.join_devices),
            ]
            .into_iter()
            .map(|(done, word)| {
                let (class, drawing) = if done {
                    ("tone-ok", Icon::Done)
                } else {
                    ("tone-idle", Icon::Waiting)
                };
                view! { <li><span class=class>{icon(drawing)}</span><span>{word}</span></li> }
            })
            .parts();
            let wait = waiting
                .get()
                .then(|| view! { <p class="hint" role="status">{t.join_waiting}</p> });
            view! {
                <ul class="checklist">{steps}</ul>
                {wait}
            }
        })
    });
    view! {
        <section class="card grid gap-4">
            <h2>{t.join_title}</h2>
            {form_fault(fault, &[])}
            {shown}
            {steps}
            <PostForm post=join>
                <Submit label=t.join_button kind=Kind::Primary busy=join.pending/>
            </PostForm>
        </section>
    }
    .into_any()
}

/// One machine; it follows its own topic.
fn machine(
    id: kernel::NodeId,
    machines: RwSignal<Vec<NodeView>>,
    reread: impl Fn() + Copy + 'static,
) -> AnyView {
    let t = words();
    watch(Topic::Node(id), move |news| match news {
        News::Frame(Live::Node { node }) => {
            _ = machines.try_update(|nodes| {
                if let Some(known) = nodes.iter_mut().find(|known| known.id == id) {
                    known.clone_from(node);
                }
            });
        }
        News::Frame(_) => {}
        News::Reread => reread(),
    });
    let node = Signal::derive(move || {
        machines.with(|nodes| nodes.iter().find(|node| node.id == id).cloned())
    });
    let remove = Post::to::<RemoveNode>();
    remove.on_answer(move |()| reread());
    let fault = remove.fault();
    let devices = move || {
        node.with(|node| {
            node.iter()
                .flat_map(|node| node.devices.iter().map(|device| device.id.to_string()))
                .collect::<Vec<_>>()
        })
    };
    view! {
        <article class="card grid gap-4">
            {part(move || node.get().map(|node| machine_head(&node, t)))}
            {keyed(devices, move |id| id.parse().map_or_else(|_| ().into_any(), |id| device_card(id, node, machines)))}
            {form_fault(fault, &[])}
            <details>
                <summary class="min-h-11 flex items-center">{t.node_more}</summary>
                {part(move || node.get().map(|node| machine_facts(&node, t)))}
                <PostForm post=remove>
                    <input type="hidden" name="id" value=id.to_string()/>
                    <p class="hint my-2">{t.node_remove_hint}</p>
                    <Submit label=t.node_remove kind=Kind::Danger busy=remove.pending/>
                </PostForm>
            </details>
        </article>
    }
    .into_any()
}

fn machine_head(node: &NodeView, t: &'static Words) -> AnyView {
    let standing = if node.draining {
        state(Tone::Warn, t.node_draining)
    } else if node.online {
        state(Tone::Ok, t.node_online)
    } else {
        state(Tone::Bad, t.node_offline)
    };
    let seen = (!node.online)
        .then(|| {
            node.last_seen
                .map(|at| fill(t.node_seen, &[&format::moment(at)]))
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
            view! { <p class="font-medium">{t.node_no_isolation}</p><ul>{items}</ul> },
        )
    });
    let load = node.cpu_percent.map(|cpu| {
        let memory = node.memory_used_mib.map(format::mib).unwrap_or_default();
        fill(t.node_load, &[&format::number(f64::from(cpu)), &memory])
    });
    view! {
        <div class="flex flex-wrap items-center justify-between gap-x-4 gap-y-1">
            <h2>{node.name.clone()}</h2>
            <span class="flex flex-wrap items-center gap-3">
                <span class="hint num">{load}{seen}</span>
                <span class="hint num">{fill(t.node_reputation, &[&node.reputation.to_string()])}</span>
                {standing}
            </span>
        </div>
        {problems}
    }
    .into_any()
}

fn machine_facts(node: &NodeView, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let key = node.public_key.clone();
    view! {
        <dl class="facts my-2">
            {fact(t.fact_system, format!("{} · {}", node.host.os, node.host.kernel))}
            {fact(t.fact_size, format!("{} CPU · {} · {}", node.host.cpus, format::mib(node.host.memory_mib), format::mib(node.host.disk_mib)))}
            {fact(t.col_region, node.country.clone().unwrap_or_else(|| "–".to_owned()))}
            {fact(t.fact_version, node.agent_version.clone())}
            {fact(t.fact_joined, format::moment(node.joined_at))}
            <div class="contents"><dt>{t.fact_key}</dt><dd class="mono">{key}</dd></div>
        </dl>
    }
    .into_any()
}

/// One device: what it does, what it has made, each rule of earning, and its price.
fn device_card(
    id: kernel::DeviceId,
    node: Signal<Option<NodeView>>,
    machines: RwSignal<Vec<NodeView>>,
) -> AnyView {
    let t = words();
    let device = Signal::derive(move || {
        node.with(|node| {
            node.iter()
                .flat_map(|node| &node.devices)
                .find(|device| device.id == id)
                .cloned()
        })
    });
    let price = Post::to::<SetPrice>();
    let pause = Post::to::<SetPaused>();
    let price_fault = price.fault();
    let toasts = toasts();
    let take = move |fresh: NodeView, word: &'static str| {
        machines.update(|nodes| {
            if let Some(known) = nodes.iter_mut().find(|known| known.id == fresh.id) {
                *known = fresh;
            }
        });
        toast(toasts, word);
    };
    price.on_answer(move |node| take(node, t.price_set));
    pause.on_answer(move |node| take(node, t.state_set));
    let current = device.with_untracked(|device| {
        device
            .as_ref()
            .map(|device| device.price.to_io_per_hour())
            .unwrap_or_default()
    });
    let paused = Signal::derive(move || {
        device.with(|device| {
            device
                .as_ref()
                .is_some_and(|device| device.state == protocol::state::DeviceState::Paused)
        })
    });
    view! {
        <div class="border-t border-line pt-4 grid gap-4 md:grid-cols-2">
            <div class="min-w-0">{part(move || device.get().map(|device| device_facts(&device, t)))}</div>
            <div class="min-w-0 grid gap-3 content-start">
                {form_fault(price_fault, &["per_hour"])}
                <PostForm post=price>
                    <input type="hidden" name="device" value=id.to_string()/>
                    <div class="flex items-end gap-2">
                        <div class="flex-1 min-w-0">
                            <Field name="per_hour" id=format!("price-{id}") label=t.price_label unit="IO/h" input_mode="decimal" value=current
                                error=field_error(price_fault, "per_hour")/>
                        </div>
                        <Submit label=t.price_button busy=price.pending/>
                    </div>
                </PostForm>
                <PostForm post=pause>
                    <input type="hidden" name="device" value=id.to_string()/>
                    <input type="hidden" name="paused" value=attr(move || Some((!paused.get()).to_string()))/>
                    <button class="btn" type="submit">{part(move || if paused.get() { t.resume } else { t.pause })}</button>
                </PostForm>
            </div>
        </div>
    }
    .into_any()
}

fn device_facts(device: &NodeDeviceView, t: &'static Words) -> AnyView {
    let job = device.job.map(|job| {
        let id = job.to_string();
        view! { <p class="hint">{t.device_job}" "<span class="mono">{format::short_id(&id)}</span></p> }
    });
    let checks = device
        .checks
        .iter()
        .map(|check| {
            let (rule, fix) = wording::earn_rule(check.rule, t);
            let (class, drawing, word) =
                if check.pass { ("tone-ok", Icon::Done, t.rule_pass) } else { ("tone-warn", Icon::Cross, t.rule_fail) };
            let fix = (!check.pass).then_some(fix);
            view! {
                <li>
                    <span class=class>{icon(drawing)}</span>
                    <span>{rule}<span class="sr">": "{word}</span>{fix.map(|fix| view! { <br/><span class="hint">{fix}</span> })}</span>
                </li>
            }
        })
        .parts();
    view! {
        <p class="flex flex-wrap items-center gap-2">
            <strong>{device.model.clone()}</strong>{tag(wording::class(device.class))}
            <span>{format::mib(device.memory_mib)}</span>
            {wording::device_state(device.state, t)}
        </p>
        <p class="num">{fill(t.device_earned, &[&format::io(device.earned)])}</p>
        {job}
        <h3 class="mt-3 mb-1">{t.earn_checks}</h3>
        <ul class="checklist">{checks}</ul>
    }
    .into_any()
}
