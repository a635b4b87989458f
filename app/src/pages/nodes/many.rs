//! What is done to many devices, or to a whole machine: prices at once, maintenance.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::view::NodeView;

use crate::api::nodes::{ChangePrices, SetMaintenance};
use crate::components::{Field, Parts, Submit};
use crate::format;
use crate::i18n::{Words, fill};

/// Prices of several devices; nothing where there is one device or none.
pub fn prices(nodes: &[NodeView], t: &'static Words) -> Option<AnyView> {
    let devices = nodes
        .iter()
        .flat_map(|node| node.devices.iter().map(move |device| (node, device)));
    let boxes: Vec<AnyView> = devices
        .enumerate()
        .map(|(n, (node, device))| {
            let (id, name) = (format!("bulk-{}", device.id), format!("devices[{n}]"));
            let price = format::owner_per_hour(device.price, t);
            view! {
                <label class="check" for=id.clone()>
                    <input type="checkbox" id=id.clone() name=name value=device.id.to_string()/>
                    <span>{format!("{} · {}", device.model, node.name)}" "<span class="hint num">{price}</span></span>
                </label>
            }
            .into_any()
        })
        .collect();
    if boxes.len() < 2 {
        return None;
    }
    let form = view! {
        <details id="bulk" class="card mb-4">
            <summary class="min-h-11 flex items-center">{t.bulk_title()}</summary>
            <form method="post" action=ChangePrices::url() data-done=t.bulk_done() data-key="bulk" class="grid gap-3 mt-3">
                <fieldset class="grid gap-1"><legend class="font-medium mb-1">{t.bulk_which()}</legend>{boxes.into_iter().parts()}</fieldset>
                <div class="grid gap-3 sm:grid-cols-2">
                    <Field name="per_hour" id="bulk-price" label=t.bulk_price() unit=t.unit_price() input_mode="decimal"/>
                    <Field name="percent" id="bulk-percent" label=t.bulk_percent() unit="%" hint=t.bulk_percent_hint()/>
                </div>
                <p class="hint">{t.bulk_text()}</p>
                <div><Submit label=t.bulk_button()/></div>
            </form>
        </details>
    };
    Some(form.into_any())
}

/// Keeps a machine from new work, or offers it again.
pub fn maintenance(node: &NodeView, t: &'static Words) -> AnyView {
    let id = node.id.to_string();
    let hidden = |on: bool| {
        view! {
            <input type="hidden" name="id" value=id.clone()/>
            <input type="hidden" name="on" value=on.to_string()/>
        }
    };
    if let Some(maintenance) = node.maintenance {
        let until = maintenance.stops_at.map(
            |at| view! { <p class="hint">{fill(t.maintain_until(), &[&format::moment(at)])}</p> },
        );
        return view! {
            <form method="post" action=SetMaintenance::url() data-done=t.maintain_over() class="grid gap-2">
                {hidden(false)}
                <input type="hidden" name="hours" value=""/>
                <p class="hint">{t.maintain_text()}</p>
                {until}
                <div><Submit label=t.maintain_end()/></div>
            </form>
        }
        .into_any();
    }
    let choices = [
        ("", t.maintain_never()),
        ("1", t.maintain_hour()),
        ("6", t.maintain_six()),
        ("24", t.maintain_day()),
    ];
    let options = choices
        .into_iter()
        .map(|(value, word)| view! { <option value=value>{word}</option> })
        .parts();
    let select = format!("maintain-hours-{id}");
    view! {
        <details id=format!("maintain-{id}")>
            <summary class="min-h-11 flex items-center">{t.maintain_title()}</summary>
            <form method="post" action=SetMaintenance::url() data-done=t.maintain_begun() class="grid gap-2">
                {hidden(true)}
                <p class="hint">{t.maintain_text()}</p>
                <div class="field">
                    <label for=select.clone()>{t.maintain_stop()}</label>
                    <select class="input" id=select name="hours">{options}</select>
                </div>
                <div><Submit label=t.maintain_begin()/></div>
            </form>
        </details>
    }
    .into_any()
}
