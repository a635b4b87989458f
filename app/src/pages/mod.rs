//! The pages: each reads through [`crate::api`], shows with [`crate::components`], and has all five states
//! (loading, empty, error, stale, offline).

pub mod account;
pub mod activity;
pub mod admin;
pub mod billing;
#[cfg(feature = "ssr")]
mod checks;
pub mod disputes;
pub mod earnings;
pub mod explorer;
mod fragment;
pub mod job;
pub mod jobs;
mod kept;
pub mod launch;
pub mod machine;
pub mod market;
pub mod model;
pub mod nodes;
pub mod not_found;
pub mod notices;
#[cfg(feature = "ssr")]
mod on_chain;
pub mod price;
pub mod reports;
pub mod rounds;
pub mod searches;
pub mod sign_in;
pub mod simulator;
#[cfg(feature = "ssr")]
mod telemetry;
pub mod templates;
pub mod verify;
pub mod wallet;
#[cfg(feature = "ssr")]
mod wording;

use std::sync::Arc;

use leptos::prelude::*;
use leptos_router::components::Redirect;
use leptos_router::hooks::use_location;
use protocol::Code;
use serde::de::DeserializeOwned;

use crate::api::{Data, decode};
use crate::components::{PageHead, failed, notice, part, shape};
use crate::fault::Fault;
use crate::i18n::{Words, locale, words};
use crate::live::{Link, link};

/// Adds a script of our own to the document, once. It serves whatever the page shows from then on.
fn script(source: &str) {
    let document = document();
    let there = document.query_selector(&format!("script[src=\"{source}\"]"));
    if !matches!(there, Ok(None)) {
        return;
    }
    let (Ok(script), Some(head)) = (document.create_element("script"), document.head()) else {
        return;
    };
    _ = script.set_attribute("type", "module");
    _ = script.set_attribute("src", source);
    _ = head.append_child(&script);
}

/// Shows what a resource holds: grey rows while it loads, the cause when it failed, the sign-in page when nobody is
/// signed in.
fn load<T: DeserializeOwned>(
    data: Data,
    waiting: fn(&'static Words) -> AnyView,
    show: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    // From here on without the type: this is compiled once.
    let show: Show = Arc::new(move |text| decode(text).map(&show));
    load_text(data, None, waiting, show)
}

/// The same for a page whose head is part of what is shown: this is its title where nothing can be shown.
fn load_page<T: DeserializeOwned>(
    data: Data,
    title: &'static str,
    waiting: fn(&'static Words) -> AnyView,
    show: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    let show: Show = Arc::new(move |text| decode(text).map(&show));
    load_text(data, Some(title), waiting, show)
}

type Show = Arc<dyn Fn(&str) -> Result<AnyView, Fault> + Send + Sync>;

fn load_text(
    data: Data,
    title: Option<&'static str>,
    waiting: fn(&'static Words) -> AnyView,
    show: Show,
) -> AnyView {
    let t = words();
    let location = use_location();
    let here = Signal::derive(move || {
        let search = location.search.get();
        let path = location.pathname.get();
        if search.is_empty() {
            path
        } else {
            format!("{path}?{search}")
        }
    });
    let locale = locale();
    view! {
        <Transition fallback=move || waiting(t)>
            {part(move || {
                let show = Arc::clone(&show);
                Suspend::new(async move {
                    match data.await.and_then(|text| show(&text)) {
                        Ok(view) => view,
                        Err(fault) if fault.code() == Code::Unauthenticated => {
                            view! { <Redirect path=sign_in_path(&here.get_untracked())/> }.into_any()
                        }
                        Err(fault) => {
                            answer_status(&fault);
                            let sentence = fault.sentence(locale);
                            let here = here.get_untracked();
                            // What is not there is not there the next time either.
                            let way = if fault.code() == Code::NotFound {
                                (t.go_back(), above(&here).to_owned())
                            } else {
                                (t.retry(), here)
                            };
                            let head = title.map(|title| view! { <PageHead title=title/> });
                            view! { {head}{failed(fault.title(t), sentence, way)} }.into_any()
                        }
                    }
                })
            })}
        </Transition>
    }
    .into_any()
}

/// The list that a page stands in: `/jobs` of `/jobs/job_…`.
fn above(here: &str) -> &str {
    let path = here.split('?').next().unwrap_or_default();
    match path.rsplit_once('/') {
        Some((above, _)) if !above.is_empty() => above,
        _ => "/",
    }
}

/// The sign-in page that leads back to `here`.
fn sign_in_path(here: &str) -> String {
    format!(
        "/sign-in?next={}",
        leptos_router::location::Url::escape(here)
    )
}

/// A page that could not be made says so to machines too.
fn answer_status(fault: &Fault) {
    #[cfg(feature = "ssr")]
    if let (Some(response), Ok(status)) = (
        use_context::<leptos_axum::ResponseOptions>(),
        http::StatusCode::from_u16(fault.0.status),
    ) {
        response.set_status(status);
    }
    #[cfg(not(feature = "ssr"))]
    let _ = fault;
}

/// A page that is one part which the server writes, tabs and forms in it: the part is asked for with the page's query.
fn whole(
    part: &'static str,
    title: &'static str,
    lead: &'static str,
    tabs: AnyView,
) -> (AnyView, fragment::Fragment) {
    let search = use_location().search;
    let shown = fragment::Fragment::new(part, move || search.get());
    let view = view! {
        <PageHead title=title lead=lead actions=live_dot()/>
        {tabs}
        {stale_notice()}
        {shown.view(|t| crate::components::skeleton_rows(t.loading(), 6))}
    };
    (view.into_any(), shown)
}

/// What a part was asked with: the page's query, decoded.
#[cfg(feature = "ssr")]
#[derive(Debug)]
struct Asked(Vec<(String, String)>);

#[cfg(feature = "ssr")]
impl Asked {
    fn of(query: &str) -> Self {
        let pairs = query.trim_start_matches('?').split('&');
        Self(
            pairs
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| {
                    let value = value.replace('+', " ");
                    (
                        name.to_owned(),
                        leptos_router::location::Url::unescape(&value),
                    )
                })
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// One of these tabs; the first where none of them is named.
    fn tab(&self, codes: &[&'static str]) -> &'static str {
        let named = self.get("tab").unwrap_or_default();
        let found = codes.iter().find(|code| **code == named);
        found.or(codes.first()).copied().unwrap_or_default()
    }
}

/// Tabs of a part, `?tab=`; the first one is the address without it.
#[cfg(feature = "ssr")]
fn sub_tabs(
    label: &'static str,
    base: &str,
    known: &[(&'static str, &'static str)],
    open: &'static str,
) -> AnyView {
    let links = known.iter().enumerate().map(|(index, (code, word))| {
        let href = match index {
            0 => base.to_owned(),
            _ => format!("{base}?tab={code}"),
        };
        (*code, *word, href)
    });
    crate::components::tabs(label, links.collect(), Signal::stored(open.to_owned()))
}

/// Links to files that the server writes.
#[cfg(feature = "ssr")]
fn downloads(files: &[(String, &'static str)]) -> AnyView {
    use crate::components::{Icon, Parts, icon};

    let links = files
        .iter()
        .map(|(href, word)| {
            view! { <a class="btn" href=href.clone() rel="external" download="">{icon(Icon::Download)}{*word}</a> }
        })
        .parts();
    view! { <p class="row-actions mt-3">{links}</p> }.into_any()
}

/// What makes a second press of a form's button the same request: the state that the form was written after.
#[cfg(feature = "ssr")]
fn after(last: Option<String>) -> AnyView {
    let key = format!("after-{}", last.as_deref().unwrap_or("nothing"));
    view! { <input type="hidden" name="request" value=key/> }.into_any()
}

/// Whether figures on this page are live, as shape and word.
fn live_dot() -> AnyView {
    let t = words();
    let link = link();
    view! {
        <span class="live" role="status">
            {part(move || {
                let link = link.get();
                let class = link.tone().class();
                view! { <span class=class>{shape(link.tone())}</span><span>{link.word(t)}</span> }
            })}
        </span>
    }
    .into_any()
}

/// Says that what is shown may be old, and why.
fn stale_notice() -> AnyView {
    let t = words();
    let link = link();
    part(move || match link.get() {
        Link::Still | Link::Live => None,
        Link::Retrying => Some(notice(Link::Retrying.tone(), t.stale_retrying())),
        Link::Offline => Some(notice(Link::Offline.tone(), t.stale_offline())),
    })
    .into_any()
}

/// The message for one field of a form.
fn field_error(fault: Signal<Option<Fault>>, field: &'static str) -> Signal<Option<String>> {
    let locale = locale();
    Signal::derive(move || {
        fault.with(|fault| {
            fault
                .as_ref()
                .and_then(|fault| fault.of_field(field, locale))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::above;

    #[test]
    fn a_page_that_is_not_there_leads_to_its_list() {
        assert_eq!(above("/jobs/job_x?tab=cost"), "/jobs");
        assert_eq!(above("/templates/none"), "/templates");
        assert_eq!(above("/model?model=none"), "/");
        assert_eq!(above("/"), "/");
    }
}
