//! Where a page speaks with wallets. The server writes all that may be said; a script of its own (`wallet/wallet.js`), which is
//! loaded here, finds the wallets by their standard and shows what is so. The attributes are what it looks for.

#[cfg(feature = "ssr")]
use leptos::prelude::*;

use crate::components::effect;
#[cfg(feature = "ssr")]
use crate::components::{Tone, notice, unannounced};
#[cfg(feature = "ssr")]
use crate::i18n::Words;

const LOADER: &str = "/pkg/wallet.js";

/// Once for the document; it serves whatever the page shows from then on.
pub fn load() {
    effect(|| super::script(LOADER));
}

/// What the wallets of a block are for.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    SignIn {
        /// The page to go to.
        next: String,
    },
    Link,
    Deposit,
    OpenChannel,
    /// With a channel, by its address.
    TopUp(String),
    StartClose(String),
    FinishClose(String),
}

#[cfg(feature = "ssr")]
impl Purpose {
    /// The button's words, and what is said when it is done.
    fn words(&self, t: &'static Words) -> (&'static str, &'static str) {
        match self {
            Self::SignIn { .. } => (t.wallet_continue(), ""),
            Self::Link => (t.wallet_link_with(), t.wallet_linked_done()),
            Self::Deposit => (t.deposit_wallet_with(), t.deposit_wallet_sent()),
            Self::OpenChannel => (t.channel_open_with(), t.channel_sent()),
            Self::TopUp(_) => (t.channel_add_with(), t.channel_sent()),
            Self::StartClose(_) => (t.channel_close_with(), t.channel_sent()),
            Self::FinishClose(_) => (t.channel_finish_with(), t.channel_sent()),
        }
    }

    /// Where its transaction is asked for, and with what; the script fills in the wallet's address and the amount.
    fn transaction(&self) -> Option<(String, String)> {
        let with = |channel: &str, deed: &str| {
            (
                format!("/api/v1/channels/{channel}/transactions"),
                format!("{{\"deed\":\"{deed}\"}}"),
            )
        };
        let of_wallet = "{\"address\":\"\"}".to_owned();
        match self {
            Self::SignIn { .. } | Self::Link => None,
            Self::Deposit => Some(("/api/v1/deposits/transaction".to_owned(), of_wallet)),
            Self::OpenChannel => Some(("/api/v1/channels".to_owned(), of_wallet)),
            Self::TopUp(channel) => Some(with(channel, "top_up")),
            Self::StartClose(channel) => Some(with(channel, "start_close")),
            Self::FinishClose(channel) => Some(with(channel, "finish_close")),
        }
    }
}

/// The wallets, each as a button, and what became of it.
#[cfg(feature = "ssr")]
pub fn block(purpose: &Purpose, chain: &exchange::Network, t: &'static Words) -> AnyView {
    let (button, done) = purpose.words(t);
    let (name, next) = match purpose {
        Purpose::SignIn { next } => ("sign-in", Some(next.clone())),
        Purpose::Link => ("link", None),
        _ => ("deed", None),
    };
    let (path, body) = purpose.transaction().unzip();
    let told = |name: &'static str, tone: Tone, text: &'static str| {
        view! { <div data-show=name hidden>{unannounced(tone, view! { <p class="break-all">{text}" "<span data-detail=""></span></p> })}</div> }
    };
    let done = (!done.is_empty()).then(|| told("done", Tone::Ok, done));
    view! {
        <div data-wallets=name data-button=button data-next=next data-path=path data-body=body data-chain=chain.wallet_name()
            data-chain-number=chain.number.to_string() class="grid grid-cols-1 gap-3">
            <noscript>{notice(Tone::Idle, t.wallet_noscript())}</noscript>
            <p class="hint" data-show="looking" hidden>{t.wallet_looking()}</p>
            <div class="grid gap-2 max-w-md" data-list=""></div>
            <p class="hint" data-show="none" hidden>{t.wallet_none()}</p>
            <div role="status">
                <p data-show="busy" hidden>{t.wallet_busy()}</p>
                {told("rejected", Tone::Idle, t.wallet_rejected())}
                {told("failed", Tone::Bad, t.wallet_failed())}
                {told("refused", Tone::Bad, t.wallet_refused())}
                {told("unsupported", Tone::Bad, t.wallet_unsupported())}
                {told("offline", Tone::Bad, t.wallet_offline())}
                {told("amount", Tone::Bad, t.deposit_wallet_amount())}
                {done}
            </div>
        </div>
    }
    .into_any()
}

/// On the pages for signing in and up. Nothing where no chain is connected.
#[cfg(feature = "ssr")]
pub fn sign_in_part(next: &str) -> Result<AnyView, crate::fault::Fault> {
    let t = crate::i18n::words();
    let exchange = crate::api::exchange()?;
    let Some(chain) = &exchange.settings().network else {
        return Ok(().into_any());
    };
    let next = crate::session::safe_next(Some(next.to_owned()));
    Ok(view! {
        <section class="card mt-4 grid grid-cols-1 gap-3">
            <h2>{t.wallet_or()}</h2>
            <p class="hint">{t.wallet_text()}</p>
            {block(&Purpose::SignIn { next }, chain, t)}
        </section>
    }
    .into_any())
}
