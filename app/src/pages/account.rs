//! The account: who is signed in, API keys, sessions. Language and theme stand in the footer of every page.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_router::hooks::use_location;
use protocol::view::{KeyView, NewKeyView, Scope};

use super::{field_error, load, wording};
use crate::api::account::{Keys, MakeKey, ReadKeys, RevokeKey};
use crate::api::session::{SignOut, SignOutEverywhere};
use crate::api::{Post, PostForm, ask, data};
use crate::components::{
    Cell, CheckField, Column, CopyLine, Field, PageHead, Parts, Submit, Tone, notice, part, row,
    skeleton_rows, table, tabs, tag,
};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::{Words, words};
use crate::session::SessionContext;

/// The account and its money are two sides of one place.
pub fn me_tabs() -> AnyView {
    let t = words();
    let path = use_location().pathname;
    tabs(
        t.nav_me,
        vec![
            ("/account", t.tab_account, "/account".to_owned()),
            ("/billing", t.tab_billing, "/billing".to_owned()),
        ],
        path.into(),
    )
}

pub fn page() -> impl IntoView {
    let t = words();
    let version = RwSignal::new(0_u32);
    let held = data(Signal::derive(move || ask(ReadKeys {}).nth(version.get())));
    view! {
        <PageHead title=t.account_title/>
        {me_tabs()}
        <div class="grid gap-6">
            {who()}
            {load(held, |t| skeleton_rows(t.loading, 2), move |keys| key_cards(keys, version))}
            {sign_outs()}
        </div>
    }
}

fn who() -> AnyView {
    let t = words();
    let Some(context) = use_context::<SessionContext>() else {
        return ().into_any();
    };
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    view! {
        <Transition fallback=move || skeleton_rows(t.loading, 1)>
            {part(move || Suspend::new(async move {
                context.session().await.map(|session| {
                    let account = session.account;
                    view! {
                        <section class="card">
                            <h2>{t.account_who}</h2>
                            <dl class="facts">
                                {fact(t.name, account.name)}
                                {fact(t.email, account.email)}
                                <div class="contents"><dt>{t.account_id}</dt><dd class="mono">{account.id.to_string()}</dd></div>
                                {fact(t.account_since, format::moment(account.created_at))}
                            </dl>
                        </section>
                    }
                })
            }))}
        </Transition>
    }
    .into_any()
}

/// Plain forms: the page that follows is loaded afresh.
fn sign_outs() -> AnyView {
    let t = words();
    view! {
        <section class="card">
            <h2>{t.sessions}</h2>
            <p class="prose mb-4">{t.sessions_text}</p>
            <div class="row-actions">
                <form method="post" action=SignOut::url()><button class="btn" type="submit">{t.sign_out}</button></form>
                <form method="post" action=SignOutEverywhere::url()>
                    <button class="btn danger" type="submit">{t.sign_out_everywhere}</button>
                </form>
            </div>
        </section>
    }
    .into_any()
}

fn key_cards(held: Keys, version: RwSignal<u32>) -> AnyView {
    let t = words();
    let make = Post::to::<MakeKey>();
    let fault = make.fault();
    let secret = RwSignal::new(held.secret);
    let list = RwSignal::new(held.keys);
    make.on_answer(move |new: NewKeyView| {
        secret.set(Some(new.secret));
        list.update(|list| list.insert(0, new.key));
    });
    let boxes = [("read", Scope::Read), ("jobs", Scope::Jobs), ("nodes", Scope::Nodes)]
        .into_iter()
        .map(|(name, scope)| view! { <CheckField name=name value=scope.as_str() label=wording::scope(scope, t) checked=scope == Scope::Read/> })
        .parts();
    let scope_error = field_error(fault, "scopes");
    view! {
        <section class="card grid gap-4">
            <h2>{t.keys_title}</h2>
            <p class="prose">{t.keys_text}</p>
            {part(move || secret.get().map(|secret| {
                notice(Tone::Ok, view! {
                    <p class="font-medium mb-2">{t.key_made}</p>
                    <CopyLine text=secret label=t.key_copy/>
                })
            }))}
            {part(move || key_table(&list.get(), version, t))}
            {form_fault(fault, &["name", "scopes"])}
            <PostForm post=make>
                <div class="grid gap-3 max-w-md">
                    <Field name="name" label=t.key_name required=true max_length=80 error=field_error(fault, "name")/>
                    <fieldset>
                        <legend class="legend">{t.key_scopes}</legend>
                        {boxes}
                        {part(move || scope_error.get().map(|error| view! { <p class="field-error">{error}</p> }))}
                    </fieldset>
                    <Submit label=t.key_make busy=make.pending/>
                </div>
            </PostForm>
        </section>
    }
    .into_any()
}

fn key_table(keys: &[KeyView], version: RwSignal<u32>, t: &'static Words) -> AnyView {
    if keys.is_empty() {
        return view! { <p class="hint">{t.keys_none}</p> }.into_any();
    }
    let rows = keys
        .iter()
        .map(|key| {
            let revoke = Post::to::<RevokeKey>();
            let id = key.id.to_string();
            revoke.on_answer(move |()| version.update(|version| *version += 1));
            let scopes = key.scopes.iter().map(|scope| tag(scope.as_str())).parts();
            let used = key.last_used_at.map_or_else(|| t.key_never.to_owned(), format::moment);
            row(vec![
                Cell::title(view! { {key.name.clone()}" "<span class="mono hint">{key.prefix.clone()}"…"</span> }),
                Cell::new(t.key_scopes, view! { <span class="flex flex-wrap gap-1">{scopes}</span> }),
                Cell::end(t.key_used, used),
                Cell::action(view! {
                    <PostForm post=revoke>
                        <input type="hidden" name="id" value=id/>
                        <button class="btn danger" type="submit">{t.key_revoke}</button>
                    </PostForm>
                }),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.key_name),
        Column::new(t.key_scopes),
        Column::end(t.key_used),
        Column::action(t.col_action),
    ];
    table(t.keys_title, columns, rows)
}
