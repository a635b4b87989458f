//! The account: who is signed in, API keys, sessions. Language and theme stand in the footer of every page.

#[cfg(feature = "ssr")]
mod part;
#[cfg(feature = "ssr")]
mod secrets;
#[cfg(feature = "ssr")]
mod wallets;

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_router::hooks::use_location;
use serde::Deserialize;

use super::field_error;
use super::fragment::Fragment;
use crate::api::account::MakeKey;
use crate::api::session::{SignOut, SignOutEverywhere};
use crate::api::{Post, PostForm};
use crate::components::{
    CheckField, CopyLine, Field, PageHead, Parts, Submit, Tone, notice, part, skeleton_rows, tabs,
};
use crate::fault::form_fault;
use crate::i18n::words;
#[cfg(feature = "ssr")]
pub use part::{keys_part, who_part};
#[cfg(feature = "ssr")]
pub use secrets::secrets_part;
#[cfg(feature = "ssr")]
pub use wallets::wallets_part;

/// The account and its money are two sides of one place.
pub fn me_tabs() -> AnyView {
    let t = words();
    let path = use_location().pathname;
    tabs(
        t.nav_me(),
        vec![
            ("/account", t.tab_account(), "/account".to_owned()),
            ("/billing", t.tab_billing(), "/billing".to_owned()),
            ("/disputes", t.tab_disputes(), "/disputes".to_owned()),
            ("/notices", t.tab_notices(), "/notices".to_owned()),
        ],
        path.into(),
    )
}

/// Of a new key, all that the page needs.
#[derive(Deserialize)]
struct Secret {
    secret: String,
}

pub fn page() -> impl IntoView {
    let t = words();
    let who = Fragment::new("account", String::new);
    let wallets = Fragment::new("wallets", String::new);
    let secrets = Fragment::new("secrets", String::new);
    super::wallet::load();
    crate::session::watch_notices(move || {
        wallets.refresh();
        who.refresh();
    });
    view! {
        <PageHead title=t.account_title()/>
        {me_tabs()}
        <div class="grid gap-6">
            {who.view(|t| skeleton_rows(t.loading(), 1))}
            {wallets.view(|t| skeleton_rows(t.loading(), 1))}
            {keys()}
            {secrets.view(|t| skeleton_rows(t.loading(), 1))}
            {sign_outs()}
        </div>
    }
}

/// Plain forms: the page that follows is loaded afresh.
fn sign_outs() -> AnyView {
    let t = words();
    view! {
        <section class="card">
            <h2>{t.sessions()}</h2>
            <p class="prose mb-4">{t.sessions_text()}</p>
            <div class="row-actions">
                <form method="post" action=SignOut::url()><button class="btn" type="submit">{t.sign_out()}</button></form>
                <form method="post" action=SignOutEverywhere::url()>
                    <button class="btn danger" type="submit">{t.sign_out_everywhere()}</button>
                </form>
            </div>
        </section>
    }
    .into_any()
}

fn keys() -> AnyView {
    let t = words();
    let held = Fragment::new("keys", String::new);
    let make = Post::to::<MakeKey>();
    let fault = make.fault();
    let secret = RwSignal::new(String::new());
    make.on_answer(move |new: Secret| {
        secret.set(new.secret);
        held.refresh();
    });
    let boxes = [("read", t.scope_read()), ("jobs", t.scope_jobs()), ("nodes", t.scope_nodes())]
        .into_iter()
        .map(|(name, word)| view! { <CheckField name=name value=name label=word checked=name == "read"/> })
        .parts();
    let scope_error = field_error(fault, "scopes");
    view! {
        <section class="card grid gap-4">
            <h2>{t.keys_title()}</h2>
            <p class="prose">{t.keys_text()}</p>
            {part(move || {
                let secret = secret.get();
                (!secret.is_empty()).then(|| notice(Tone::Ok, view! {
                    <p class="font-medium mb-2">{t.key_made()}</p>
                    <CopyLine text=secret label=t.key_copy()/>
                }))
            })}
            {held.view(|t| skeleton_rows(t.loading(), 1))}
            {form_fault(fault, &["name", "scopes"])}
            <PostForm post=make>
                <div class="grid gap-3 max-w-md">
                    <Field name="name" label=t.key_name() required=true max_length=80 error=field_error(fault, "name")/>
                    <fieldset>
                        <legend class="legend">{t.key_scopes()}</legend>
                        {boxes}
                        {part(move || scope_error.get().map(|error| view! { <p class="field-error">{error}</p> }))}
                    </fieldset>
                    <Submit label=t.key_make() busy=make.pending/>
                </div>
            </PostForm>
        </section>
    }
    .into_any()
}
