//! The searches, as the server writes them.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::view::SearchView;

use crate::api::searches::{ChangeSearch, DeleteSearch};
use crate::api::{actor, exchange};
use crate::components::{Parts, empty, tag};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::market::launch_link;

pub async fn part() -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let searches = exchange()?.searches(&actor).await?;
    let t = words();
    if searches.is_empty() {
        let action = Some((t.not_found_action(), "/".to_owned()));
        return Ok(empty(t.searches_empty(), t.searches_empty_text(), action));
    }
    let cards = searches.iter().map(|search| card(search, t)).parts();
    Ok(view! { <div class="grid gap-4">{cards}</div> }.into_any())
}

fn card(search: &SearchView, t: &'static Words) -> AnyView {
    let id = search.id.to_string();
    let href = format!("/?q={}", leptos_router::location::Url::escape(&search.q));
    let unseen =
        (search.unseen > 0).then(|| tag(fill(t.search_unseen(), &[&search.unseen.to_string()])));
    let seen = (search.unseen > 0).then(|| {
        view! {
            <form method="post" action=ChangeSearch::url() data-done=t.state_set()>
                <input type="hidden" name="id" value=id.clone()/>
                <input type="hidden" name="seen" value="true"/>
                <button class="btn" type="submit">{t.search_seen()}</button>
            </form>
        }
    });
    let name_id = format!("name-{id}");
    view! {
        <section class="card grid gap-3" data-key=id.clone()>
            <div class="row-actions justify-between"><h2>{search.name.clone()}</h2>{unseen}</div>
            <p class="mono">{search.q.clone()}</p>
            {alert(search, t)}
            <div class="row-actions">
                <a class="btn primary" href=href>{fill(t.search_open(), &[&search.matching.to_string()])}</a>
                {seen}
            </div>
            <details>
                <summary class="legend min-h-11 flex items-center">{t.search_change()}</summary>
                <div class="row-actions items-end mt-2">
                    <form class="row-actions items-end" method="post" action=ChangeSearch::url() data-done=t.state_set()>
                        <input type="hidden" name="id" value=id.clone()/>
                        <div class="field"><label for=name_id.clone()>{t.name()}</label>
                            <input class="input" id=name_id name="name" value=search.name.clone() maxlength="80" autocomplete="off"/></div>
                        <button class="btn" type="submit">{t.search_rename()}</button>
                    </form>
                    <form method="post" action=DeleteSearch::url() data-done=t.search_deleted()>
                        <input type="hidden" name="id" value=id.clone()/>
                        <button class="btn danger" type="submit">{t.search_delete()}</button>
                    </form>
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// The newest alert, or why there is none.
fn alert(search: &SearchView, t: &'static Words) -> AnyView {
    if search.too_broad {
        return view! { <p class="hint">{t.search_broad()}</p> }.into_any();
    }
    let Some(alert) = &search.alert else {
        return view! { <p class="hint">{t.search_quiet()}</p> }.into_any();
    };
    let words = fill(
        t.search_alert(),
        &[
            &format::moment(alert.at),
            &alert.model,
            &alert.node_name,
            &format::per_hour_amount(alert.per_hour, t),
        ],
    );
    let href = launch_link(alert.device, alert.kind);
    view! { <p>{words}" "<a href=href>{t.rent()}</a></p> }.into_any()
}
