//! The wallets of the account, as the server writes them.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::wallet::WalletView;

use crate::api::wallets::{AddPassword, UnlinkWallet};
use crate::api::{Post, actor, exchange};
use crate::components::{Cell, Column, Field, Parts, Submit, row, table};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, words};
use crate::pages::field_error;
use crate::pages::on_chain::short;
use crate::pages::wallet::{Purpose, block};

pub async fn wallets_part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let wallets = exchange.wallets(&actor).await?;
    let chain = exchange.settings().network.as_ref();
    if chain.is_none() && wallets.is_empty() {
        return Ok(().into_any());
    }
    let t = words();
    let link = chain.map(|chain| block(&Purpose::Link, chain, t));
    let password = actor.has_wallet_alone().then(|| add_password(t));
    Ok(view! {
        <section class="card grid grid-cols-1 gap-4" data-key="wallets">
            <h2>{t.wallets_title()}</h2>
            <p class="prose">{t.wallets_text()}</p>
            {form_fault(Post::to::<UnlinkWallet>().fault(), &[])}
            {list(&wallets, t)}
            {link}
            {password}
        </section>
    }
    .into_any())
}

fn list(wallets: &[WalletView], t: &'static Words) -> AnyView {
    if wallets.is_empty() {
        return view! { <p class="hint">{t.wallets_no_wallet()}</p> }.into_any();
    }
    let rows = wallets
        .iter()
        .map(|wallet| {
            let address = wallet.address.clone();
            row(vec![
                Cell::title(wallet.name.clone()),
                Cell::new(
                    t.wallet_address(),
                    view! { <span class="mono" title=address.clone()>{short(&address)}</span> },
                ),
                Cell::end(t.wallet_used(), format::moment(wallet.used_at)),
                Cell::action(view! {
                    <form method="post" action=UnlinkWallet::url() data-done=t.wallet_unlinked_done() data-key=address.clone()>
                        <input type="hidden" name="address" value=address.clone()/>
                        <button class="btn danger" type="submit">{t.wallet_unlink()}</button>
                    </form>
                }),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.wallets_title()),
        Column::new(t.wallet_address()),
        Column::end(t.wallet_used()),
        Column::action(t.col_action()),
    ];
    table(t.wallets_title(), columns, rows)
}

fn add_password(t: &'static Words) -> AnyView {
    let fault = Post::to::<AddPassword>().fault();
    view! {
        <div class="grid grid-cols-1 gap-3 max-w-md">
            <h3>{t.wallet_add_password_title()}</h3>
            <p class="hint">{t.wallet_add_password_text()}</p>
            {form_fault(fault, &["email", "password"])}
            <form method="post" action=AddPassword::url() data-done=t.wallet_add_password_done() class="grid grid-cols-1 gap-3">
                <Field name="email" label=t.email() kind="email" autocomplete="username" required=true error=field_error(fault, "email")/>
                <Field name="password" label=t.password() kind="password" autocomplete="new-password" required=true
                    hint=t.password_hint() error=field_error(fault, "password")/>
                <Submit label=t.wallet_add_password()/>
            </form>
        </div>
    }
    .into_any()
}
