//! What is on a chain, as a link to a page that shows it.

use exchange::Exchange;
use leptos::prelude::*;

/// `0x12ab…90cd`: enough to tell a wallet from another; the whole stands in its title.
pub fn short(address: &str) -> String {
    match (
        address.get(..6),
        address.get(address.len().saturating_sub(4)..),
    ) {
        (Some(begin), Some(end)) if address.len() > 12 => format!("{begin}…{end}"),
        _ => address.to_owned(),
    }
}

/// Whose it is: by e-mail address, or by the wallet of an account that has no other name.
pub fn who(email: &str) -> AnyView {
    if email.contains('@') {
        return view! { {email.to_owned()} }.into_any();
    }
    view! { <span class="mono" title=email.to_owned()>{short(email)}</span> }.into_any()
}

/// A reference of the outside world: a transaction of the chain leads to its page; what an admin wrote is shown as it is.
pub fn reference(exchange: &Exchange, text: &str) -> AnyView {
    let network = exchange.settings().network.as_ref();
    let href = network.and_then(|network| network.explorer.of_reference(text));
    let hash = text.split(':').next().unwrap_or_default();
    match href {
        Some(href) => link(href, hash),
        None => view! { <span class="mono break-all">{text.to_owned()}</span> }.into_any(),
    }
}

/// An address of the chain.
pub fn account(exchange: &Exchange, address: &str) -> AnyView {
    let network = exchange.settings().network.as_ref();
    let parsed = address.parse().ok();
    let href = network
        .zip(parsed)
        .and_then(|(network, parsed)| network.explorer.of_account(parsed));
    named(Some(address), href)
}

/// A hash or an address, with the page that shows it if there is one.
pub fn named(whole: Option<&str>, href: Option<String>) -> AnyView {
    match (whole, href) {
        (Some(whole), Some(href)) => link(href, whole),
        (Some(whole), None) => {
            view! { <span class="mono" title=whole.to_owned()>{short(whole)}</span> }.into_any()
        }
        (None, _) => ().into_any(),
    }
}

fn link(href: String, whole: &str) -> AnyView {
    view! { <a class="mono" href=href rel="external noopener" title=whole.to_owned()>{short(whole)}</a> }
        .into_any()
}
