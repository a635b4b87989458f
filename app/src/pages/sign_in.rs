//! Signing in and signing up.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::fragment::Fragment;
use super::{field_error, wallet};
use crate::api::session::{SignIn, SignUp};
use crate::api::{Post, PostForm};
use crate::components::{Field, Kind, PageHead, Submit};
use crate::fault::form_fault;
use crate::i18n::words;
use crate::session::safe_next;

/// Where to go afterwards, from the address.
fn next() -> String {
    safe_next(use_query_map().with_untracked(|query| query.get("next")))
}

/// Loads the next page from the server, so that nothing of the visitor is left in this one.
fn go(next: &str) {
    _ = window().location().set_href(next);
}

/// The other way in, where a chain is connected.
fn wallets(next: String) -> AnyView {
    wallet::load();
    let part = Fragment::new("wallet-sign-in", move || next.clone());
    part.view(|_| ().into_any())
}

pub fn page() -> impl IntoView {
    let t = words();
    let post = Post::to::<SignIn>();
    let fault = post.fault();
    let next = next();
    let other = format!(
        "/sign-up?next={}",
        leptos_router::location::Url::escape(&next)
    );
    post.on_answer(|next: String| go(&next));
    let wallets = wallets(next.clone());
    view! {
        <div class="max-w-md">
            <PageHead title=t.sign_in() lead=t.sign_in_lead()/>
            <PostForm post=post>
                <div class="card grid gap-4">
                    {form_fault(fault, &["email", "password"])}
                    <input type="hidden" name="next" value=next/>
                    <Field name="email" label=t.email() kind="email" autocomplete="username" required=true error=field_error(fault, "email")/>
                    <Field name="password" label=t.password() kind="password" autocomplete="current-password" required=true
                        error=field_error(fault, "password")/>
                    <Submit label=t.sign_in() kind=Kind::Primary busy=post.pending/>
                </div>
            </PostForm>
            {wallets}
            <p class="mt-4">{t.no_account()}" "<a href=other>{t.sign_up()}</a></p>
        </div>
    }
}

pub fn sign_up_page() -> impl IntoView {
    let t = words();
    let post = Post::to::<SignUp>();
    let fault = post.fault();
    let next = next();
    let other = format!(
        "/sign-in?next={}",
        leptos_router::location::Url::escape(&next)
    );
    post.on_answer(|next: String| go(&next));
    let wallets = wallets(next.clone());
    view! {
        <div class="max-w-md">
            <PageHead title=t.sign_up() lead=t.sign_up_lead()/>
            <PostForm post=post>
                <div class="card grid gap-4">
                    {form_fault(fault, &["name", "email", "password"])}
                    <input type="hidden" name="next" value=next/>
                    <Field name="name" label=t.name() autocomplete="name" required=true max_length=80 error=field_error(fault, "name")/>
                    <Field name="email" label=t.email() kind="email" autocomplete="username" required=true error=field_error(fault, "email")/>
                    <Field name="password" label=t.password() kind="password" autocomplete="new-password" required=true
                        hint=t.password_hint() error=field_error(fault, "password")/>
                    <Submit label=t.sign_up() kind=Kind::Primary busy=post.pending/>
                </div>
            </PostForm>
            {wallets}
            <p class="mt-4">{t.have_account()}" "<a href=other>{t.sign_in()}</a></p>
        </div>
    }
}
