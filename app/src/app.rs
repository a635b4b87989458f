//! The root: contexts, the frame around every page, and the routes.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::hooks::use_location;
use leptos_router::{SsrMode, path};

use crate::api::session::SetPreferences;
use crate::components::icon::mark;
use crate::components::page::provide_announcer;
use crate::components::{Icon, Meter, Parts, ToastArea, attr, icon, part, provide_toasts};
use crate::i18n::{Locale, fill, words};
use crate::live::provide_link;
use crate::pages;
use crate::prefs::{Prefs, Theme};
use crate::session::{SessionContext, provide_session, reading};

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let prefs = Prefs::current();
    provide_context(prefs.locale);
    let t = words();
    provide_toasts();
    let announcer = provide_announcer();
    provide_link();
    let session = provide_session();
    crate::keyboard::listen();
    // Whole pages, not streamed fragments: a fragment needs a script to be put in its place.
    let whole = SsrMode::Async;
    view! {
        <Title formatter=|text| format!("{text} · IOG")/>
        <Router>
            <a class="skip" href="#main" rel="external">{t.skip()}</a>
            {header(session)}
            <main id="main">
                <div class="shell">
                    <FlatRoutes fallback=pages::not_found::page>
                        <Route path=path!("/") view=pages::market::page ssr=whole.clone()/>
                        <Route path=path!("/price") view=pages::price::page ssr=whole.clone()/>
                        <Route path=path!("/model") view=pages::model::page ssr=whole.clone()/>
                        <Route path=path!("/searches") view=pages::searches::page ssr=whole.clone()/>
                        <Route path=path!("/rounds") view=pages::rounds::page ssr=whole.clone()/>
                        <Route path=path!("/rounds/:id") view=pages::rounds::round_page ssr=whole.clone()/>
                        <Route path=path!("/explorer") view=pages::explorer::page ssr=whole.clone()/>
                        <Route path=path!("/reports") view=pages::reports::page ssr=whole.clone()/>
                        <Route path=path!("/verify") view=pages::verify::page ssr=whole.clone()/>
                        <Route path=path!("/sign-in") view=pages::sign_in::page ssr=whole.clone()/>
                        <Route path=path!("/sign-up") view=pages::sign_in::sign_up_page ssr=whole.clone()/>
                        <Route path=path!("/launch") view=pages::launch::page ssr=whole.clone()/>
                        <Route path=path!("/templates") view=pages::templates::page ssr=whole.clone()/>
                        <Route path=path!("/templates/:id") view=pages::templates::one_page ssr=whole.clone()/>
                        <Route path=path!("/jobs") view=pages::jobs::page ssr=whole.clone()/>
                        <Route path=path!("/jobs/:id") view=pages::job::page ssr=whole.clone()/>
                        <Route path=path!("/nodes") view=pages::nodes::page ssr=whole.clone()/>
                        <Route path=path!("/machine") view=pages::machine::page ssr=whole.clone()/>
                        <Route path=path!("/simulator") view=pages::simulator::page ssr=whole.clone()/>
                        <Route path=path!("/earnings") view=pages::earnings::page ssr=whole.clone()/>
                        <Route path=path!("/account") view=pages::account::page ssr=whole.clone()/>
                        <Route path=path!("/activity") view=pages::activity::page ssr=whole.clone()/>
                        <Route path=path!("/billing") view=pages::billing::page ssr=whole.clone()/>
                        <Route path=path!("/disputes") view=pages::disputes::page ssr=whole.clone()/>
                        <Route path=path!("/notices") view=pages::notices::page ssr=whole.clone()/>
                        <Route path=path!("/notifications") view=pages::notices::settings_page ssr=whole.clone()/>
                        <Route path=path!("/admin") view=pages::admin::page ssr=whole/>
                    </FlatRoutes>
                </div>
            </main>
            {footer(prefs)}
            {bottom(session)}
            <ToastArea/>
            {announcer.area()}
        </Router>
    }
}

/// The four places; a path below one of them counts as it.
fn places() -> [(&'static str, &'static [&'static str], Icon, &'static str); 4] {
    let t = words();
    [
        (
            "/",
            &["/launch", "/templates", "/model", "/searches", "/rounds"],
            Icon::Market,
            t.nav_market(),
        ),
        ("/jobs", &["/jobs"], Icon::Jobs, t.nav_jobs()),
        (
            "/nodes",
            &["/price", "/nodes", "/machine", "/simulator", "/earnings"],
            Icon::Earn,
            t.nav_earn(),
        ),
        (
            "/account",
            &[
                "/account",
                "/activity",
                "/billing",
                "/disputes",
                "/notices",
                "/notifications",
                "/admin",
                "/sign-in",
                "/sign-up",
            ],
            Icon::Me,
            t.nav_me(),
        ),
    ]
}

fn is_here(path: &str, href: &str, below: &[&str]) -> bool {
    path == href
        || below.iter().any(|below| {
            path.strip_prefix(below)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

fn place_links(with_icons: bool, count: usize) -> AnyView {
    let path = use_location().pathname;
    places()
        .into_iter()
        .take(count)
        .map(|(href, below, drawing, word)| {
            let here = attr(move || is_here(&path.read(), href, below).then_some("page"));
            let drawing = with_icons.then(|| icon(drawing));
            view! { <a href=href aria-current=here>{drawing}{word}</a> }
        })
        .parts()
        .into_any()
}

fn header(context: SessionContext) -> AnyView {
    let t = words();
    let me = part(move || {
        Suspend::new(async move {
            match context.session().await {
                Some(session) => {
                    context.follow(&session);
                    let first = session.meter;
                    let meter =
                        Signal::derive(move || reading(&context.meter.get().unwrap_or(first), t));
                    let known = session.alerts;
                    let alerts = part(move || {
                        let unseen = context.alerts.get().unwrap_or(known);
                        (unseen > 0).then(|| {
                            view! { <a class="me-link" href="/searches">{fill(t.alerts(), &[&unseen.to_string()])}</a> }
                        })
                    });
                    let known = session.unread;
                    let bell = part(move || {
                        let unread = context.unread.get().unwrap_or(known);
                        let word = fill(t.notices_unread(), &[&unread.to_string()]);
                        let count = (unread > 0).then(|| view! { <span class="count" aria-hidden="true">{unread.min(99)}</span> });
                        view! { <a class="me-link bell" href="/notices" aria-label=word>{icon(Icon::Bell)}{count}</a> }
                    });
                    view! {
                        <Meter reading=meter href="/billing"/>
                        {alerts}
                        {bell}
                        <a class="me-link" href="/account">{icon(Icon::Me)}{session.name}</a>
                    }
                    .into_any()
                }
                _ => view! { <a class="me-link" href="/sign-in">{t.sign_in()}</a> }.into_any(),
            }
        })
    });
    view! {
        <header class="top">
            <div class="shell">
                <a class="wordmark" href="/" aria-label=t.nav_home()>{mark()}"IOG"</a>
                <nav class="topnav" aria-label=t.nav_label()>{place_links(false, 3)}</nav>
                <div class="me"><Transition fallback=|| ()>{me}</Transition></div>
            </div>
        </header>
    }
    .into_any()
}

/// A phone's bar: the meter when signed in, then the places.
fn bottom(context: SessionContext) -> AnyView {
    let t = words();
    let meter = part(move || {
        Suspend::new(async move {
            context.session().await.map(|session| {
                let first = session.meter;
                let meter =
                    Signal::derive(move || reading(&context.meter.get().unwrap_or(first), t));
                view! { <Meter reading=meter href="/billing"/> }
            })
        })
    });
    view! {
        <aside class="bottom" aria-label=t.nav_bar()>
            <Transition fallback=|| ()>{meter}</Transition>
            <nav class="tabbar" aria-label=t.nav_phone()>{place_links(true, 4)}</nav>
        </aside>
    }
    .into_any()
}

/// Buttons of one plain form: the page is loaded again in what was chosen.
fn choice(
    name: &'static str,
    label: &'static str,
    options: Vec<(&'static str, &'static str, bool)>,
) -> AnyView {
    let buttons = options
        .into_iter()
        .map(|(code, word, chosen)| {
            let pressed = if chosen { "true" } else { "false" };
            let lang = (name == "locale").then_some(code);
            view! { <button class="link-btn" type="submit" name=name value=code lang=lang aria-pressed=pressed>{word}</button> }
        })
        .parts();
    view! {
        <form method="post" action=SetPreferences::url()><div role="group" aria-label=label>{buttons}</div></form>
    }
    .into_any()
}

fn footer(prefs: Prefs) -> AnyView {
    let t = words();
    let languages = Locale::ALL
        .map(|locale| (locale.code(), locale.name(), locale == prefs.locale))
        .to_vec();
    let theme_word = |theme| match theme {
        Theme::Auto => t.theme_auto(),
        Theme::Light => t.theme_light(),
        Theme::Dark => t.theme_dark(),
    };
    let themes = Theme::ALL
        .map(|theme| (theme.code(), theme_word(theme), theme == prefs.theme))
        .to_vec();
    view! {
        <footer class="foot">
            <div class="shell">
                {choice("locale", t.language(), languages)}
                {choice("theme", t.theme(), themes)}
                <a href="/templates">{t.templates_title()}</a>
                <a href="/explorer">{t.explorer_title()}</a>
                <a href="/rounds">{t.rounds_title()}</a>
                <a href="/reports">{t.reports_title()}</a>
                <a href="/verify">{t.verify_title()}</a>
                <a href="/api/openapi.json" rel="external">"API"</a>
                <span>{t.foot_note()}</span>
            </div>
        </footer>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn a_page_belongs_to_one_place() {
        assert!(is_here("/jobs/job_1", "/jobs", &["/jobs"]));
        assert!(!is_here("/jobsx", "/jobs", &["/jobs"]));
        assert!(is_here("/", "/", &["/launch"]));
        assert!(!is_here("/jobs", "/", &["/launch"]));
        assert!(is_here("/earnings", "/nodes", &["/nodes", "/earnings"]));
    }
}
