//! The explorer, as the server writes it.

use kernel::Amount;
use leptos::prelude::*;
use protocol::money::{
    BatchView, ChainReach, CodeState, CodeView, ExplorerView, OnChainView, PaidView, VaultView,
};

use crate::api::exchange;
use crate::components::{Cell, Column, Parts, Tone, notice, row, state, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::on_chain;

pub async fn part() -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let seen = exchange.explorer().await?;
    let t = words();
    let reach = match &seen.chain {
        None => notice(Tone::Idle, t.explorer_by_hand()),
        Some(chain) => reach(chain, t),
    };
    let chain = seen.chain.as_ref().map(|chain| {
        view! {
            {token(chain, t)}
            {chain.vault.as_ref().map(|vault| vault_card(vault, t))}
        }
    });
    let contract = seen.chain.as_ref().map(|chain| contract(chain, t));
    let batches = if seen.batches.is_empty() {
        notice(Tone::Idle, t.explorer_no_batches())
    } else {
        batch_table(&seen.batches, false, t)
    };
    Ok(view! {
        <div class="grid grid-cols-1 gap-6">
            {reach}
            {figures(&seen, t)}
            {chain}
            <section data-key="batches">
                <h2 class="mb-3">{t.explorer_batches()}</h2>
                {batches}
                <p class="mt-3"><a href="/reports">{t.explorer_reports()}</a></p>
            </section>
            {contract}
        </div>
    }
    .into_any())
}

/// To the last unit: what is compared is not rounded.
pub fn exact(amount: Amount) -> String {
    format!("{} IO", amount.to_io())
}

fn figure(label: &'static str, value: String) -> AnyView {
    view! { <div><dt>{label}</dt><dd>{value}</dd></div> }.into_any()
}

fn fact(label: &'static str, value: impl IntoView + 'static) -> AnyView {
    view! { <div class="contents"><dt>{label}</dt><dd class="break-all">{value.into_any()}</dd></div> }.into_any()
}

fn reach(chain: &OnChainView, t: &'static Words) -> AnyView {
    let at = chain.seen_at.map(format::moment).unwrap_or_default();
    match chain.reach {
        ChainReach::Fresh => {
            view! { <p class="hint">{fill(t.explorer_fresh(), &[&at])}</p> }.into_any()
        }
        ChainReach::Stale => notice(Tone::Warn, fill(t.explorer_stale(), &[&at])),
        ChainReach::Unreached => notice(Tone::Warn, t.explorer_unreached()),
    }
}

fn figures(seen: &ExplorerView, t: &'static Words) -> AnyView {
    let paid = |label: &'static str, paid: PaidView| {
        let count = fill(t.explorer_payouts(), &[&paid.payouts.to_string()]);
        view! { <div><dt>{label}</dt><dd>{format::io(paid.amount)}</dd><dd class="hint">{count}</dd></div> }
    };
    let network = &seen.network;
    view! {
        <section data-key="network">
            <h2 class="mb-3">{t.explorer_network()}</h2>
            <dl class="figures">
                {figure(t.explorer_proven(), network.gpus_proven.to_string())}
                {figure(t.explorer_claimed(), network.gpus_claimed.to_string())}
                {figure(t.explorer_rented(), network.devices_hired.to_string())}
                {figure(t.explorer_nodes(), network.nodes_online.to_string())}
                {figure(t.explorer_spent(), format::io(seen.spent_day))}
                {paid(t.explorer_paid_day(), seen.paid_day)}
                {paid(t.explorer_paid(), seen.paid)}
            </dl>
        </section>
    }
    .into_any()
}

fn token(chain: &OnChainView, t: &'static Words) -> AnyView {
    let Some(supply) = chain.supply else {
        return ().into_any();
    };
    view! {
        <section data-key="token">
            <h2 class="mb-3">{t.explorer_token()}</h2>
            <dl class="figures wide">
                {figure(t.explorer_supply(), format::io(supply.supply))}
                {figure(t.explorer_circulating(), format::io(supply.circulating))}
                {figure(t.explorer_cap(), format::io(supply.cap))}
            </dl>
        </section>
    }
    .into_any()
}

fn vault_card(vault: &VaultView, t: &'static Words) -> AnyView {
    let (tone, word) = if vault.held == vault.owed {
        (Tone::Ok, t.explorer_vault_equal())
    } else {
        (Tone::Bad, t.explorer_vault_differs())
    };
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="vault">
            <div class="row-actions justify-between"><h2>{t.explorer_vault()}</h2>{state(tone, word)}</div>
            <dl class="facts">
                {fact(t.explorer_vault_held(), exact(vault.held))}
                {fact(t.explorer_vault_owed(), exact(vault.owed))}
            </dl>
            <p class="hint prose">{fill(t.explorer_vault_text(), &[&format::moment(vault.at)])}</p>
        </section>
    }
    .into_any()
}

fn contract(chain: &OnChainView, t: &'static Words) -> AnyView {
    let address = match chain.contract_url.clone() {
        Some(href) => {
            view! { <a class="mono break-all" href=href rel="external noopener">{chain.contract.clone()}</a> }
                .into_any()
        }
        None => view! { <span class="mono break-all">{chain.contract.clone()}</span> }.into_any(),
    };
    let version = chain.version;
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="contract">
            <h2>{t.explorer_contract()}</h2>
            <dl class="facts">
                {fact(t.explorer_address(), address)}
                {fact(t.explorer_chain_id(), chain.number.to_string())}
                {fact(t.explorer_node(), view! { <span class="mono break-all">{chain.node.clone()}</span> })}
                {version.map(|version| fact(t.explorer_version(), version.to_string()))}
                {code(&chain.code, t)}
            </dl>
            <p class="hint prose">{t.explorer_code_text()}</p>
        </section>
    }
    .into_any()
}

fn code(code: &CodeView, t: &'static Words) -> AnyView {
    let (tone, word) = match code.state {
        CodeState::Same => (Tone::Ok, t.explorer_code_same()),
        CodeState::Different => (Tone::Warn, t.explorer_code_different()),
        CodeState::NotCompared => (Tone::Idle, t.explorer_code_not_compared()),
    };
    let hash = |hash: String| view! { <span class="mono break-all">{hash}</span> };
    view! {
        {fact(t.explorer_code(), state(tone, word))}
        {fact(t.explorer_code_built(), hash(code.built.clone()))}
        {code.held.clone().map(|held| fact(t.explorer_code_held(), hash(held)))}
    }
    .into_any()
}

pub fn batch_state(batch: &BatchView, t: &'static Words) -> AnyView {
    match (batch.settled_at, batch.skipped) {
        (None, _) => state(Tone::Busy, t.batch_under_way()),
        (Some(_), None | Some(0)) => state(Tone::Ok, t.batch_settled()),
        (Some(_), Some(skipped)) => {
            state(Tone::Warn, fill(t.batch_skipped(), &[&skipped.to_string()]))
        }
    }
}

/// `inside`: with a link to its lines, for admins.
pub fn batch_table(batches: &[BatchView], inside: bool, t: &'static Words) -> AnyView {
    let rows = batches
        .iter()
        .map(|batch| {
            let name = on_chain::short(&batch.id);
            let name = if inside {
                let href = format!("/admin?tab=settlement&batch={}", batch.id);
                view! { <a class="mono" href=href data-row="1">{name}</a> }.into_any()
            } else {
                view! { <span class="mono" title=batch.id.clone()>{name}</span> }.into_any()
            };
            let transaction =
                on_chain::named(batch.transaction.as_deref(), batch.transaction_url.clone());
            row(vec![
                Cell::title(name),
                Cell::new(t.col_state(), batch_state(batch, t)),
                Cell::end(t.col_lines(), batch.lines.to_string()),
                Cell::end(t.col_amount(), format::io(batch.total)),
                Cell::new(t.col_transaction(), transaction),
                Cell::end(
                    t.col_when(),
                    format::moment(batch.settled_at.unwrap_or(batch.made_at)),
                ),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_batch()),
        Column::new(t.col_state()),
        Column::end(t.col_lines()),
        Column::end(t.col_amount()),
        Column::new(t.col_transaction()),
        Column::end(t.col_when()),
    ];
    table(t.explorer_batches(), columns, rows)
}
