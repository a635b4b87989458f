//! The escrow channels of a requester, as the server writes them.

use exchange::Network;
use leptos::prelude::*;
use protocol::money::{ChannelState, ChannelView};

use crate::components::{Field, Parts, tag};
use crate::format;
use crate::i18n::Words;
use crate::pages::on_chain::{named, short};
use crate::pages::wallet::{Purpose, block};

pub fn section(channels: &[ChannelView], chain: &Network, t: &'static Words) -> AnyView {
    // What was never opened is of no interest.
    let cards = channels
        .iter()
        .filter(|channel| channel.state != ChannelState::Proposed)
        .map(|channel| card(channel, chain, t))
        .parts();
    // One at a time pays for jobs.
    let in_use = channels
        .iter()
        .any(|channel| matches!(channel.state, ChannelState::Open | ChannelState::Closing));
    let open = (!in_use).then(|| {
        doing(
            "open",
            t.channel_open_title(),
            None,
            true,
            &Purpose::OpenChannel,
            chain,
            t,
        )
    });
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="channels">
            <h2>{t.channels_title()}</h2>
            <p class="prose">{t.channels_text()}</p>
            {cards}
            {open}
        </section>
    }
    .into_any()
}

/// Something to do with a wallet, folded up until it is wanted.
fn doing(
    key: &str,
    title: &'static str,
    text: Option<&'static str>,
    amount: bool,
    purpose: &Purpose,
    chain: &Network,
    t: &'static Words,
) -> AnyView {
    let id = format!("amount-{key}");
    let amount = amount.then(|| {
        view! { <Field name="amount" id=id label=t.col_amount() unit="IO" input_mode="decimal"/> }
    });
    view! {
        <details data-key=key.to_owned()>
            <summary>{title}</summary>
            <div class="grid grid-cols-1 gap-3 mt-3" data-deposit="">
                {text.map(|text| view! { <p class="hint">{text}</p> })}
                {amount}
                {block(purpose, chain, t)}
            </div>
        </details>
    }
    .into_any()
}

fn card(channel: &ChannelView, chain: &Network, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: String| {
        view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> }
    };
    let address = channel.address.clone();
    let end: String = address.chars().rev().take(6).collect();
    let state = match channel.state {
        ChannelState::Proposed => t.channel_proposed(),
        ChannelState::Open => t.channel_is_open(),
        ChannelState::Closing => t.channel_closing(),
        ChannelState::Closed => t.channel_closed(),
        ChannelState::Idle => t.channel_idle(),
    };
    let url = address
        .parse()
        .ok()
        .and_then(|address| chain.explorer.of_account(address));
    let add = || {
        let (key, purpose) = (format!("add-{end}"), Purpose::TopUp(address.clone()));
        doing(&key, t.channel_add(), None, true, &purpose, chain, t)
    };
    let close = || {
        let (key, purpose) = (format!("close-{end}"), Purpose::StartClose(address.clone()));
        let text = Some(t.channel_close_text());
        doing(&key, t.channel_close(), text, false, &purpose, chain, t)
    };
    let finish = || {
        let (key, purpose) = (
            format!("finish-{end}"),
            Purpose::FinishClose(address.clone()),
        );
        doing(&key, t.channel_finish(), None, false, &purpose, chain, t)
    };
    let doings = match channel.state {
        ChannelState::Open => vec![add(), close()],
        // Nothing here uses it, but it can be closed like any other.
        ChannelState::Idle if channel.closing_until.is_none() => vec![close()],
        ChannelState::Idle | ChannelState::Closing => vec![finish()],
        ChannelState::Proposed | ChannelState::Closed => vec![],
    };
    let until = channel
        .closing_until
        .map(|until| fact(t.channel_until(), format::moment(until)));
    let returned = channel
        .returned
        .map(|returned| fact(t.channel_returned(), format::io(returned)));
    view! {
        <div class="grid grid-cols-1 gap-2" data-channel=address.clone()>
            <h3 class="flex flex-wrap items-center gap-2">{named(Some(&address), url)}{tag(state)}</h3>
            <dl class="facts">
                {fact(t.channel_wallet(), short(&channel.wallet))}
                {fact(t.channel_locked(), format::io(channel.locked))}
                {fact(t.channel_promised(), format::io(channel.promised))}
                {fact(t.channel_redeemed(), format::io(channel.redeemed))}
                {fact(t.channel_free(), format::io(channel.free))}
                {until}
                {returned}
            </dl>
            {doings.into_iter().parts()}
        </div>
    }
    .into_any()
}
