//! The page /reports as the server writes it: the list, and all that may be said of a proof, of which the module in `verify/` shows
//! what is so. The attributes are what it looks for.

use exchange::Exchange;
use leptos::prelude::*;
use protocol::money::ReportView;

use crate::api::exchange;
use crate::components::{Cell, Column, Parts, Tone, notice, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, words};
use crate::pages::on_chain;

const WEEKS_PER_PAGE: u32 = 25;

/// `before` is the week that the list goes on after; empty for the newest.
pub async fn part(before: &str) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let page = exchange
        .reports(before.parse().ok(), WEEKS_PER_PAGE)
        .await?;
    let t = words();
    let list = if page.items.is_empty() {
        notice(Tone::Idle, t.reports_none())
    } else {
        list(&page.items, &exchange, t)
    };
    let older = page.next.map(|before| {
        view! { <p class="mt-4"><a class="btn" href=format!("/reports?before={before}")>{t.older()}</a></p> }
    });
    let network = exchange.settings().network.clone();
    let number = network.as_ref().map(|chain| chain.number.to_string());
    let contract = network.as_ref().map(|chain| chain.contract.to_string());
    let node = network.and_then(|chain| chain.public_url);
    let named = node.clone().map(|node| {
        view! { <p class="hint mt-3">{t.reports_node()}" "<span class="mono break-all">{node}</span></p> }
    });
    Ok(view! {
        <div data-report data-node=node data-chain=number data-contract=contract>
            {check(t)}
            <div class="mt-4" role="status">{verdict(t)}</div>
            {facts(t)}
            <h2 class="mt-6 mb-3">{t.reports_weeks()}</h2>
            {list}
            {older}
            <h2 class="mt-6 mb-3">{t.reports_how_title()}</h2>
            <p class="prose">{t.reports_how()}</p>
            <pre class="mt-3"><code>"iog verify-report iog-earnings.json"</code></pre>
            {named}
        </div>
    }
    .into_any())
}

fn list(weeks: &[ReportView], exchange: &Exchange, t: &'static Words) -> AnyView {
    let rows = weeks
        .iter()
        .map(|report| {
            let there = match report.published_at {
                Some(at) => format::moment(at),
                None => t.report_waits().to_owned(),
            };
            let transaction = report.transaction.as_deref().unwrap_or("–");
            row(vec![
                Cell::title(report.monday.clone()),
                Cell::end(t.report_version(), report.version.to_string()),
                Cell::end(t.report_owners(), report.owners.to_string()),
                Cell::end(t.report_total(), format::io(report.total)),
                Cell::wide(
                    t.report_root(),
                    view! { <span class="mono break-all">{report.root.clone()}</span> },
                ),
                Cell::new(t.report_on_chain(), there),
                Cell::new(
                    t.report_transaction(),
                    on_chain::reference(exchange, transaction),
                ),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.report_week()),
        Column::end(t.report_version()),
        Column::end(t.report_owners()),
        Column::end(t.report_total()),
        Column::new(t.report_root()),
        Column::new(t.report_on_chain()),
        Column::new(t.report_transaction()),
    ];
    table(t.reports_weeks(), columns, rows)
}

fn check(t: &'static Words) -> AnyView {
    view! {
        <noscript>{notice(Tone::Warn, t.verify_noscript())}</noscript>
        <div class="card grid grid-cols-1 gap-3" data-report-drop="">
            <h2>{t.report_check_title()}</h2>
            <p class="prose">{t.report_check_text()}</p>
            <div class="field">
                <label for="report-file">{t.report_choose()}</label>
                <input id="report-file" type="file" accept=".json,application/json" data-report-file=""/>
                <p class="hint">{t.report_drop()}</p>
            </div>
            <div class="field">
                <label for="report-text">{t.report_paste()}</label>
                <textarea class="input" id="report-text" rows="4" maxlength="16384" spellcheck="false" autocapitalize="off"
                    data-report-text=""></textarea>
            </div>
            <p><button class="btn primary" type="button" data-report-check="">{t.report_check()}</button></p>
        </div>
    }
    .into_any()
}

fn verdict(t: &'static Words) -> AnyView {
    let plain = |when: &'static str, tone: Tone, text: &'static str| {
        view! { <div data-show=when hidden>{notice(tone, text)}</div> }
    };
    view! {
        <p data-show="busy" hidden>{t.report_busy()}</p>
        {plain("right", Tone::Ok, t.report_right())}
        <div data-show="stale" hidden>
            {notice(Tone::Warn, view! { <p class="font-medium">{t.report_stale()}" "<span data-value="newest"></span></p> })}
        </div>
        {plain("changed", Tone::Bad, t.report_changed())}
        {plain("other-report", Tone::Bad, t.report_other())}
        {plain("absent", Tone::Bad, t.report_absent())}
        {plain("other-chain", Tone::Bad, t.report_other_chain())}
        {plain("other-contract", Tone::Bad, t.report_other_contract())}
        {plain("unreadable", Tone::Bad, t.report_unreadable())}
        {plain("no-chain", Tone::Warn, t.report_no_chain())}
        <div data-show="unasked" hidden>
            {notice(Tone::Warn, view! { <p class="font-medium">{t.report_unasked()}" "<span data-value="why"></span></p> })}
        </div>
    }
    .into_any()
}

/// What a file that fits in itself says.
fn facts(t: &'static Words) -> AnyView {
    let fact = |label: &'static str, name: &'static str| {
        view! { <dt>{label}</dt><dd class="break-all" data-value=name></dd> }
    };
    view! {
        <dl class="facts mt-4" data-show="right stale absent other-report no-chain unasked" hidden>
            {fact(t.report_week(), "week")}
            {fact(t.report_version(), "version")}
            {fact(t.report_owner(), "owner")}
            {fact(t.report_amount(), "amount")}
            {fact(t.report_total(), "total")}
            {fact(t.report_owners(), "owners")}
            {fact(t.report_root(), "root")}
        </dl>
    }
    .into_any()
}
