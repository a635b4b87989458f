//! The earnings, as the server writes them.

use leptos::prelude::*;
use protocol::view::EarningsView;

use crate::api::{actor, exchange};
use crate::components::{Cell, Column, Parts, Tone, empty, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, words};
use crate::pages::wording;

pub async fn part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let made = exchange()?.earnings(&actor).await?;
    Ok(view(&made, words()))
}

fn view(made: &EarningsView, t: &'static Words) -> AnyView {
    if made.devices.is_empty() {
        return empty(
            t.earnings_empty(),
            t.earnings_empty_text(),
            Some((t.join_title(), "/nodes".to_owned())),
        );
    }
    let fact =
        |label: &'static str, value: String| view! { <div><dt>{label}</dt><dd>{value}</dd></div> };
    let devices = made
        .devices
        .iter()
        .map(|device| {
            row(vec![
                Cell::title(format!("{} · {}", device.node_name, device.model)),
                Cell::end(t.col_delivered(), format::duration(device.seconds, t)),
                Cell::end(t.col_earned(), format::io(device.earned)),
            ])
        })
        .parts();
    let leases = made
        .leases
        .iter()
        .map(|lease| {
            row(vec![
                Cell::title(format!("{} · {}", lease.node_name, lease.model)),
                Cell::new(t.col_state(), wording::lease_state(lease.state, t)),
                Cell::end(t.col_delivered(), format::duration(lease.seconds, t)),
                Cell::end(t.col_earned(), format::io(lease.earned)),
                Cell::end(t.col_begun(), format::moment(lease.granted_at)),
            ])
        })
        .parts();
    let leases = if made.leases.is_empty() {
        notice(Tone::Idle, t.earnings_no_leases())
    } else {
        let columns = vec![
            Column::new(t.col_device()),
            Column::new(t.col_state()),
            Column::end(t.col_delivered()),
            Column::end(t.col_earned()),
            Column::end(t.col_begun()),
        ];
        table(t.earnings_leases(), columns, leases)
    };
    let device_columns = vec![
        Column::new(t.col_device()),
        Column::end(t.col_delivered()),
        Column::end(t.col_earned()),
    ];
    view! {
        <dl class="figures mb-6">
            {fact(t.earnings_total(), format::io(made.earned))}
            {fact(t.earnings_today(), format::io(made.today))}
            <div><dt>{t.earnings_pending()}</dt><dd data-base=made.pending.base().to_string()
                data-rate=made.rate.per_second().base().to_string()>{format::io(made.pending)}</dd></div>
            {fact(t.book_withdrawable(), format::io(made.withdrawable))}
            {fact(t.earnings_rate(), format::per_hour(made.rate, t))}
        </dl>
        <h2 class="mb-3">{t.earnings_devices()}</h2>
        {table(t.earnings_devices(), device_columns, devices)}
        <h2 class="mt-6 mb-3">{t.earnings_leases()}</h2>
        {leases}
        <p class="hint prose mt-3">{t.earnings_note()}</p>
    }
    .into_any()
}
