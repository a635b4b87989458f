//! Who is signed in and the list of keys, as the server writes them.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::view::KeyView;

use crate::api::account::{KEY_FLASH, RevokeKey};
use crate::api::{Post, actor, exchange, flashed};
use crate::components::{Cell, Column, CopyLine, Parts, Tone, notice, row, table, tag};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, words};

pub async fn who_part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let account = exchange()?.account(&actor).await?;
    let wallet_alone = actor.has_wallet_alone();
    let t = words();
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let console = actor.is(protocol::view::Role::Admin).then(|| {
        view! {
            <section class="card mt-6">
                <h2>{t.admin_title()}</h2>
                <p class="prose mb-4">{t.admin_text()}</p>
                <a class="btn" href="/admin">{t.admin_open()}</a>
            </section>
        }
    });
    Ok(view! {
        <section class="card">
            <h2>{t.account_who()}</h2>
            <dl class="facts">
                {fact(t.name(), account.name)}
                {fact(t.email(), if wallet_alone { t.wallet_is_login().to_owned() } else { account.email })}
                <div class="contents"><dt>{t.account_id()}</dt><dd class="mono">{account.id.to_string()}</dd></div>
                {fact(t.account_since(), format::moment(account.created_at))}
            </dl>
        </section>
        <section class="card mt-6">
            <h2>{t.activity_title()}</h2>
            <p class="prose mb-4">{t.activity_text()}</p>
            <a class="btn" href="/activity">{t.activity_open()}</a>
        </section>
        {console}
    }
    .into_any())
}

pub async fn keys_part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let keys = exchange()?.keys(&actor).await?;
    let t = words();
    // A plain form left the new secret for this page.
    let secret = flashed(KEY_FLASH).map(|secret| {
        notice(
            Tone::Ok,
            view! {
                <p class="font-medium mb-2">{t.key_made()}</p>
                <CopyLine text=secret label=t.key_copy()/>
            },
        )
    });
    let refused = form_fault(Post::to::<RevokeKey>().fault(), &[]);
    Ok(view! { {secret}{refused}{key_table(&keys, t)} }.into_any())
}

fn key_table(keys: &[KeyView], t: &'static Words) -> AnyView {
    if keys.is_empty() {
        return view! { <p class="hint">{t.keys_none()}</p> }.into_any();
    }
    let rows = keys
        .iter()
        .map(|key| {
            let id = key.id.to_string();
            let scopes = key.scopes.iter().map(|scope| tag(scope.as_str())).parts();
            let used = key.last_used_at.map_or_else(|| t.key_never().to_owned(), format::moment);
            row(vec![
                Cell::title(view! { {key.name.clone()}" "<span class="mono hint">{key.prefix.clone()}"…"</span> }),
                Cell::new(t.key_scopes(), view! { <span class="flex flex-wrap gap-1">{scopes}</span> }),
                Cell::end(t.key_used(), used),
                Cell::action(view! {
                    <form method="post" action=RevokeKey::url() data-done=t.key_revoked()>
                        <input type="hidden" name="id" value=id/>
                        <button class="btn danger" type="submit">{t.key_revoke()}</button>
                    </form>
                }),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.key_name()),
        Column::new(t.key_scopes()),
        Column::end(t.key_used()),
        Column::action(t.col_action()),
    ];
    table(t.keys_title(), columns, rows)
}
