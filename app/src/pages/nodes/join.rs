//! The checklist of a machine that joins: what is done, what is next, and what to do about it.

use leptos::prelude::*;
use protocol::state::DeviceState;
use protocol::view::{EarnRule, NodeDeviceView, NodeView};

use crate::components::{Icon, Parts, icon};
use crate::i18n::Words;

/// What has happened with a join line so far. `ran`: a job was on it.
pub fn checklist(newest: Option<&NodeView>, ran: bool, t: &'static Words) -> AnyView {
    let any = |test: fn(&NodeDeviceView) -> bool| {
        newest.is_some_and(|node| node.devices.iter().any(test))
    };
    let rentable =
        |device: &NodeDeviceView| matches!(device.state, DeviceState::Idle | DeviceState::Hired);
    let steps = [
        (true, t.join_made(), ""),
        (newest.is_some(), t.join_joined(), t.join_fix_joined()),
        (
            newest.is_some_and(|node| node.online),
            t.join_online(),
            t.join_fix_online(),
        ),
        (
            newest.is_some_and(|node| node.host.isolation_problems.is_empty()),
            t.join_isolated(),
            t.join_fix_isolated(),
        ),
        (
            newest.is_some_and(|node| !node.devices.is_empty()),
            t.join_devices(),
            t.join_fix_devices(),
        ),
        (any(is_proven), t.join_proven(), t.join_fix_proven()),
        (
            any(|device| !device.price.per_second().is_zero()),
            t.join_priced(),
            t.join_fix_priced(),
        ),
        (any(rentable), t.join_rentable(), t.join_fix_rentable()),
        (ran, t.join_first(), t.join_fix_first()),
    ];
    let next = steps.iter().position(|(done, _, _)| !done);
    let items = steps
        .into_iter()
        .enumerate()
        .map(|(n, (done, word, fix))| {
            let (class, drawing) = if done {
                ("tone-ok", Icon::Done)
            } else {
                ("tone-idle", Icon::Waiting)
            };
            let state = if done { t.rule_pass() } else { t.rule_fail() };
            // Of those that are not done, the first is the one to look at.
            let fix = (Some(n) == next).then(|| view! { <br/><span class="hint">{fix}</span> });
            view! {
                <li><span class=class>{icon(drawing)}</span><span>{word}<span class="sr">": "{state}</span>{fix}</span></li>
            }
        })
        .parts();
    let wait = next.map(|_| view! { <p class="hint mt-2" role="status">{t.join_waiting()}</p> });
    view! { <div class="card mb-4"><ul class="checklist">{items}</ul>{wait}</div> }.into_any()
}

/// The same rule that decides whether it may be hired.
fn is_proven(device: &NodeDeviceView) -> bool {
    device
        .checks
        .iter()
        .any(|check| check.rule == EarnRule::Proven && check.pass)
}
