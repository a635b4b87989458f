//! The document around the pages, and the policy that it is served under.

use http::{HeaderName, HeaderValue, header};
use leptos::nonce::use_nonce;
use leptos::{html, prelude::*};
use leptos_axum::ResponseOptions;
use leptos_meta::{HashedStylesheet, MetaTags};

use crate::app::App;
use crate::prefs::{Prefs, Theme};

/// The colours of the header, `--surface` of the style sheet, for the browser's own frame.
const FRAME_LIGHT: &str = "#FFFFFF";
const FRAME_DARK: &str = "#151918";

/// Only what we served runs, only to us is sent.
fn policy(nonce: &str, watching: bool) -> String {
    // cargo-leptos reloads the page over a socket of its own port.
    let reload = if watching { " ws:" } else { "" };
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; \
         img-src 'self' data:; connect-src 'self'{reload}; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// Headers that belong to a page. The server adds those that belong to every answer.
fn set_headers() {
    let Some(response) = use_context::<ResponseOptions>() else {
        return;
    };
    let watching = std::env::var_os("LEPTOS_WATCH").is_some();
    let csp = use_nonce().and_then(|nonce| HeaderValue::from_str(&policy(&nonce, watching)).ok());
    if let Some(csp) = csp {
        response.insert_header(header::CONTENT_SECURITY_POLICY, csp);
    }
    // The same address answers in two languages and two themes, and shows an account's data.
    response.insert_header(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    response.insert_header(
        header::VARY,
        HeaderValue::from_static("cookie, accept-language"),
    );
    // Forms without JavaScript come back to where they were by the Referer, which stays on this site.
    response.insert_header(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    response.insert_header(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
}

fn frame_colour(theme: Theme) -> AnyView {
    match theme {
        Theme::Light => view! { <meta name="theme-color" content=FRAME_LIGHT/> }.into_any(),
        Theme::Dark => view! { <meta name="theme-color" content=FRAME_DARK/> }.into_any(),
        Theme::Auto => [
            ("(prefers-color-scheme: light)", FRAME_LIGHT),
            ("(prefers-color-scheme: dark)", FRAME_DARK),
        ]
        .map(|(media, colour)| {
            html::meta()
                .name("theme-color")
                .attr("media", media)
                .content(colour)
        })
        .into_any(),
    }
}

pub fn shell(options: LeptosOptions) -> impl IntoView {
    set_headers();
    let prefs = Prefs::current();
    let t = prefs.locale.words();
    view! {
        <!DOCTYPE html>
        <html lang=prefs.locale.tag() data-theme=prefs.theme.code()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                <meta name="description" content=t.site_description()/>
                {frame_colour(prefs.theme)}
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="preload" href="/fonts/plex-sans.woff2" r#as="font" r#type="font/woff2" crossorigin="anonymous"/>
                <AutoReload options=options.clone()/>
                <HashedStylesheet id="leptos" options=options.clone()/>
                <HydrationScripts options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

#[cfg(test)]
mod tests {
    use super::policy;

    #[test]
    fn the_policy_names_no_other_host() {
        let csp = policy("abc", false);
        assert!(csp.contains("'nonce-abc'") && csp.contains("'wasm-unsafe-eval'"));
        for loose in [
            "unsafe-inline",
            "'unsafe-eval'",
            "*",
            "http:",
            "https:",
            "ws:",
        ] {
            assert!(!csp.contains(loose), "{loose} in {csp}");
        }
    }

    #[test]
    fn the_frame_has_the_colour_of_the_header() {
        let sheet = include_str!("../../style/main.css");
        let surface = format!(
            "--surface: light-dark({}, {});",
            super::FRAME_LIGHT,
            super::FRAME_DARK
        );
        assert!(sheet.contains(&surface));
    }
}
