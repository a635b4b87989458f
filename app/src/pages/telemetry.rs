//! What devices measure and what happened to them, as the server writes it into the pages of machines and jobs.

use leptos::prelude::*;
use protocol::telemetry::{
    DeviceMinutes, EventView, Field, JobTelemetryView, NodeTelemetryView, Reading, Values,
};

use super::wording;
use crate::components::{Cell, Column, Parts, row, table};
use crate::format;
use crate::i18n::{Words, fill};

/// What a table of devices shows; the rest is in the REST answer.
const SHOWN: [Field; 7] = [
    Field::GpuUtil,
    Field::FbUsed,
    Field::GpuTemp,
    Field::PowerUsage,
    Field::SmClock,
    Field::EccDbe,
    Field::XidErrors,
];

fn head(t: &'static Words) -> Vec<Column> {
    let columns = [
        t.tele_util(),
        t.tele_memory(),
        t.tele_temp(),
        t.tele_power(),
        t.tele_clock(),
        "ECC",
        "XID",
    ];
    let columns = columns.into_iter().map(Column::end);
    std::iter::once(Column::new(t.tele_device()))
        .chain(columns)
        .collect()
}

fn cells(values: &dyn Fn(Field) -> Option<f64>, t: &'static Words) -> Vec<Cell> {
    let units = ["%", "MiB", "°C", "W", "MHz", "", ""];
    let names = head(t).len();
    debug_assert_eq!(names, SHOWN.len() + 1);
    let labels = [
        t.tele_util(),
        t.tele_memory(),
        t.tele_temp(),
        t.tele_power(),
        t.tele_clock(),
        "ECC",
        "XID",
    ];
    SHOWN
        .into_iter()
        .zip(units)
        .zip(labels)
        .map(|((field, unit), label)| {
            let text =
                values(field).map_or_else(|| "–".to_owned(), |value| format!("{value:.0} {unit}"));
            Cell::end(label, text)
        })
        .collect()
}

fn now_row(device: &Reading, models: &[DeviceMinutes], t: &'static Words) -> impl IntoView + use<> {
    let known = models.iter().find(|known| known.uuid == device.uuid);
    let model = known.map(|known| known.model.clone()).unwrap_or_default();
    let title =
        view! { <strong>{model}</strong>" "<span class="mono hint">{device.uuid.clone()}</span> };
    let own = cells(&|field| device.values.get(&field).copied(), t);
    row(std::iter::once(Cell::title(title)).chain(own).collect())
}

fn host(values: &Values, t: &'static Words) -> Option<AnyView> {
    let cpu = values.get(&Field::HostCpu)?;
    let of = |field| values.get(&field).copied().unwrap_or_default();
    let line = fill(
        t.tele_host(),
        &[
            &format!("{cpu:.0}"),
            &format!("{:.0}", of(Field::HostMemory)),
            &format!("{:.0}", of(Field::HostRx) / 1_024.0),
            &format!("{:.0}", of(Field::HostTx) / 1_024.0),
        ],
    );
    Some(view! { <p class="num">{line}</p> }.into_any())
}

fn events(events: &[EventView], t: &'static Words) -> Option<AnyView> {
    if events.is_empty() {
        return None;
    }
    let rows = events
        .iter()
        .map(|seen| {
            row(vec![
                Cell::title(view! { <span class="num">{format::moment(seen.event.at)}</span> }),
                Cell::new(t.tele_device(), seen.model.clone()),
                Cell::new(t.tele_what(), wording::happening(seen.event.what, t)),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.tele_when()),
        Column::new(t.tele_device()),
        Column::new(t.tele_what()),
    ];
    Some(table(t.tele_events(), columns, rows))
}

/// On the machine's page.
pub fn section(measured: &NodeTelemetryView, t: &'static Words) -> AnyView {
    let now = match measured.at {
        None => view! { <p class="hint">{t.tele_none()}</p> }.into_any(),
        Some(at) => {
            let rows: Vec<_> = measured
                .now
                .iter()
                .map(|device| now_row(device, &measured.devices, t))
                .collect();
            let devices = (!rows.is_empty())
                .then(|| table(t.tele_title(), head(t), rows.into_iter().parts()));
            view! {
                {host(&measured.host_now, t)}
                {devices}
                <p class="hint">{fill(t.tele_at(), &[&format::moment(at)])}</p>
            }
            .into_any()
        }
    };
    let received: u64 = measured.series.iter().map(|series| series.received).sum();
    let missing: u64 = measured.series.iter().map(|series| series.missing).sum();
    let complete = (received > 0).then(|| {
        let text = fill(
            t.tele_complete(),
            &[&received.to_string(), &missing.to_string()],
        );
        view! { <p class="hint">{text}</p> }
    });
    let happened = events(&measured.events, t)
        .unwrap_or_else(|| view! { <p class="hint">{t.tele_no_events()}</p> }.into_any());
    view! {
        <section class="card grid gap-3">
            <h2>{t.tele_title()}</h2>
            {now}
            {complete}
            <h3>{t.tele_events()}</h3>
            {happened}
        </section>
    }
    .into_any()
}

/// On the page of the job that has or had the devices: the mean of its minutes, and what happened meanwhile. Nothing for what
/// measures nothing.
pub fn of_job(measured: &JobTelemetryView, t: &'static Words) -> Option<AnyView> {
    let mut rows = Vec::new();
    for device in measured.leases.iter().flat_map(|lease| &lease.devices) {
        let mean = |field: Field| {
            let stats = device
                .minutes
                .iter()
                .filter_map(|minute| minute.values.get(&field));
            let whole = stats.copied().reduce(protocol::telemetry::Stat::and)?;
            Some(match field {
                Field::EccDbe | Field::XidErrors => whole.max,
                _ => whole.mean(),
            })
        };
        if SHOWN.into_iter().any(|field| mean(field).is_some()) {
            let title = Cell::title(view! { <strong>{device.model.clone()}</strong> });
            rows.push(row(std::iter::once(title).chain(cells(&mean, t)).collect()));
        }
    }
    let all: Vec<EventView> = measured
        .leases
        .iter()
        .flat_map(|lease| lease.events.clone())
        .collect();
    let happened = events(&all, t);
    if rows.is_empty() && happened.is_none() {
        return None;
    }
    let means = (!rows.is_empty()).then(|| table(t.tele_job(), head(t), rows.into_iter().parts()));
    Some(
        view! { <section class="card grid gap-3 mb-4"><h2>{t.tele_job()}</h2>{means}{happened}</section> }
            .into_any(),
    )
}
