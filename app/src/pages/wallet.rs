//! Where a page speaks with wallets. The server writes all that may be said; a script of its own (`wallet/wallet.js`), which is
//! loaded here, finds the wallets by their standard and shows what is so. The attributes are what it looks for.

use leptos::prelude::*;

use crate::components::{Tone, effect, notice};
use crate::i18n::Words;

const LOADER: &str = "/pkg/wallet.js";

/// Once for the document; it serves whatever the page shows from then on.
pub fn load() {
    effect(|| super::script(LOADER));
}

/// What the wallets of a block are for.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    SignIn,
    Link,
    Deposit,
}

/// The wallets, each as a button, and what became of it.
#[cfg(feature = "ssr")]
pub fn block(
    purpose: Purpose,
    next: Option<String>,
    chain: &exchange::Network,
    t: &'static Words,
) -> AnyView {
    let (name, button) = match purpose {
        Purpose::SignIn => ("sign-in", t.wallet_continue()),
        Purpose::Link => ("link", t.wallet_link_with()),
        Purpose::Deposit => ("deposit", t.deposit_wallet_with()),
    };
    let told = |name: &'static str, tone: Tone, text: &'static str| {
        view! { <div data-show=name hidden>{notice(tone, view! { <p>{text}" "<span data-detail=""></span></p> })}</div> }
    };
    let done = match purpose {
        Purpose::SignIn => None,
        Purpose::Link => Some(told("done", Tone::Ok, t.wallet_linked_done())),
        Purpose::Deposit => Some(told("done", Tone::Ok, t.deposit_wallet_sent())),
    };
    view! {
        <div data-wallets=name data-button=button data-next=next data-chain=chain.wallet_name() data-chain-number=chain.number.to_string() class="grid grid-cols-1 gap-3">
            <noscript>{notice(Tone::Idle, t.wallet_noscript())}</noscript>
            <p class="hint" data-show="looking" hidden>{t.wallet_looking()}</p>
            <div class="grid gap-2 max-w-md" data-list=""></div>
            <p class="hint" data-show="none" hidden>{t.wallet_none()}</p>
            <div role="status" class="grid gap-2">
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
            {block(Purpose::SignIn, Some(next), chain, t)}
        </section>
    }
    .into_any())
}
