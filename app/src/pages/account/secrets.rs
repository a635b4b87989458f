//! The account's secrets, by name alone, as the server writes them.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::view::SecretView;

use crate::api::secrets::{DeleteSecret, SetSecret};
use crate::api::{Post, actor, exchange};
use crate::components::{Cell, Column, Field, Parts, Submit, row, table};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, words};
use crate::pages::field_error;

pub async fn secrets_part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let secrets = exchange()?.secrets(&actor).await?;
    let t = words();
    let set = Post::to::<SetSecret>().fault();
    Ok(view! {
        <section class="card grid grid-cols-1 gap-4" data-key="secrets">
            <h2>{t.secrets_title()}</h2>
            <p class="prose">{t.secrets_text()}</p>
            {form_fault(Post::to::<DeleteSecret>().fault(), &[])}
            {list(&secrets, t)}
            {form_fault(set, &["name", "value"])}
            <form method="post" action=SetSecret::url() data-done=t.secret_set_done() class="grid gap-3 max-w-md" autocomplete="off">
                <Field name="name" id="secret-name" label=t.secret_name() hint=t.secret_name_hint() required=true max_length=128 error=field_error(set, "name")/>
                <Field name="value" id="secret-value" label=t.secret_value() kind="password" autocomplete="new-password" required=true error=field_error(set, "value")/>
                <Submit label=t.secret_set()/>
            </form>
        </section>
    }
    .into_any())
}

fn list(secrets: &[SecretView], t: &'static Words) -> AnyView {
    if secrets.is_empty() {
        return view! { <p class="hint">{t.secrets_none()}</p> }.into_any();
    }
    let rows = secrets
        .iter()
        .map(|secret| {
            let name = secret.name.clone();
            row(vec![
                Cell::title(view! { <span class="mono">{name.clone()}</span> }),
                Cell::end(t.secret_changed(), format::moment(secret.changed_at)),
                Cell::action(view! {
                    <form method="post" action=DeleteSecret::url() data-done=t.secret_deleted() data-key=name.clone()>
                        <input type="hidden" name="name" value=name.clone()/>
                        <button class="btn danger" type="submit">{t.secret_delete()}</button>
                    </form>
                }),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.secret_name()),
        Column::end(t.secret_changed()),
        Column::action(t.col_action()),
    ];
    table(t.secrets_title(), columns, rows)
}
