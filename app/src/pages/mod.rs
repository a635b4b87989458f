//! The pages: each reads through [`crate::api`], shows with [`crate::components`], and has all five states
//! (loading, empty, error, stale, offline).

pub mod account;
pub mod billing;
pub mod earnings;
pub mod job;
pub mod jobs;
pub mod launch;
pub mod market;
pub mod nodes;
pub mod not_found;
pub mod sign_in;
mod wording;

use leptos::prelude::*;
use leptos_router::components::Redirect;
use leptos_router::hooks::use_location;
use protocol::Code;

use crate::components::{failed, notice, shape};
use crate::fault::Fault;
use crate::i18n::{Words, locale, words};
use crate::live::{Link, link};

/// Shows what a resource holds: grey rows while it loads, the cause when it failed, the sign-in page when nobody is
/// signed in.
fn load<T>(
    resource: Resource<Result<T, Fault>>,
    waiting: fn(&'static Words) -> AnyView,
    show: impl Fn(T) -> AnyView + Clone + Send + Sync + 'static,
) -> AnyView
where
    T: Clone + Send + Sync + 'static,
{
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
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    match resource.await {
                        Ok(value) => show(value),
                        Err(fault) if fault.code() == Code::Unauthenticated => {
                            view! { <Redirect path=sign_in_path(&here.get_untracked())/> }.into_any()
                        }
                        Err(fault) => {
                            answer_status(&fault);
                            let sentence = fault.sentence(locale);
                            failed(fault.title(t), sentence, (t.retry, here.get_untracked()))
                        }
                    }
                })
            }}
        </Transition>
    }
    .into_any()
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

/// Whether figures on this page are live, as shape and word.
fn live_dot() -> AnyView {
    let t = words();
    let link = link();
    view! {
        <span class="live" role="status">
            {move || {
                let link = link.get();
                let class = link.tone().class();
                view! { <span class=class>{shape(link.tone())}</span><span>{link.word(t)}</span> }
            }}
        </span>
    }
    .into_any()
}

/// Says that what is shown may be old, and why.
fn stale_notice() -> AnyView {
    let t = words();
    let link = link();
    (move || match link.get() {
        Link::Still | Link::Live => None,
        Link::Retrying => Some(notice(Link::Retrying.tone(), t.stale_retrying)),
        Link::Offline => Some(notice(Link::Offline.tone(), t.stale_offline)),
    })
    .into_any()
}

/// What a server action was refused with, while it was.
fn fault_of<T, S>(value: S) -> Signal<Option<Fault>>
where
    T: Send + Sync + 'static,
    S: With<Value = Option<Result<T, Fault>>> + Send + Sync + Copy + 'static,
{
    Signal::derive(move || {
        value.with(|value| {
            value
                .as_ref()
                .and_then(|answer| answer.as_ref().err().cloned())
        })
    })
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
