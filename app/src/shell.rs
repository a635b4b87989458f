//! The document around the pages, and the policy that it is served under.

use http::header::InvalidHeaderValue;
use http::{HeaderName, HeaderValue, header};
use leptos::{html, prelude::*};
use leptos_meta::{HashedStylesheet, MetaTags};

use crate::app::App;
use crate::prefs::{Prefs, Theme};

/// The colours of the header, `--surface` of the style sheet, for the browser's own frame.
const FRAME_LIGHT: &str = "#FFFFFF";
const FRAME_DARK: &str = "#151918";

/// Only what we served runs, only to us is sent; and what is checked against the chain is asked of its node, under its address alone.
fn policy(nonce: &str, watching: bool, node: Option<&str>) -> String {
    // cargo-leptos reloads the page over a socket of its own port.
    let reload = if watching { " ws:" } else { "" };
    let node = node.map_or_else(String::new, |url| format!(" {url}/"));
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; \
         img-src 'self' data:; connect-src 'self'{node}{reload}; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// Headers that belong to a page with this nonce. The server sets them on every HTML answer, from outside the rendering: a
/// page whose rendering lost its context must not go out under a policy that stops even its style sheet.
///
/// `node`: the address of the chain's node that pages may ask, with no slash at its end.
///
/// # Errors
/// The nonce cannot stand in a header.
pub fn page_headers(
    nonce: &str,
    node: Option<&str>,
) -> Result<[(HeaderName, HeaderValue); 5], InvalidHeaderValue> {
    let watching = std::env::var_os("LEPTOS_WATCH").is_some();
    let csp = HeaderValue::from_str(&policy(nonce, watching, node))?;
    let fixed = HeaderValue::from_static;
    Ok([
        (header::CONTENT_SECURITY_POLICY, csp),
        // The same address answers in two languages and two themes, and shows an account's data.
        (header::CACHE_CONTROL, fixed("private, no-store")),
        (header::VARY, fixed("cookie, accept-language")),
        // Forms without JavaScript come back to where they were by the Referer, which stays on this site.
        (header::REFERRER_POLICY, fixed("same-origin")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            fixed("same-origin"),
        ),
    ])
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
        let csp = policy("abc", false, None);
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
        // The chain's node alone is asked too, and nothing else of its host.
        let csp = policy("abc", false, Some("https://node.example/v1"));
        assert!(
            csp.contains("connect-src 'self' https://node.example/v1/; "),
            "{csp}"
        );
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
