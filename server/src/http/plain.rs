//! Small pages of ours that stand outside of the portal: behind the links of letters, and in a job's stead. One style of their own,
//! no script, nothing loaded.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha2::{Digest, Sha256};

/// The portal's colours and measures (style/).
const STYLE: &str = ":root{color-scheme:light dark}\
    body{margin:0;background:light-dark(#F6F7F5,#0E1110);color:light-dark(#141816,#ECEFED);font:16px/1.5 \"IBM Plex Sans\",system-ui,sans-serif}\
    main{max-width:40rem;margin:15vh auto 0;padding:0 16px;overflow-wrap:anywhere}\
    h1{font-size:1.5rem;font-weight:600;margin:0 0 8px}p{margin:0 0 16px}\
    a{color:light-dark(#0B6475,#56C2D6)}\
    .button,button{display:inline-block;min-height:44px;box-sizing:border-box;padding:9px 16px;border:0;border-radius:6px;font:inherit;font-weight:500;\
    background:light-dark(#0B6475,#56C2D6);color:light-dark(#FFFFFF,#06222A);text-decoration:none;cursor:pointer}\
    :focus-visible{outline:2px solid light-dark(#0B6475,#56C2D6);outline-offset:2px}";

/// Nothing but the style above, and a form where the page has one.
static POLICIES: LazyLock<[HeaderValue; 2]> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    ["'none'", "'self'"].map(|form| {
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; frame-ancestors 'none'; base-uri 'none'; form-action {form}"
        );
        HeaderValue::try_from(policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    })
});

/// `body` is HTML, `title` is text.
pub fn page(lang: &str, title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
}

/// What such a page may do.
pub fn policy(has_form: bool) -> HeaderValue {
    let [without, with] = &*POLICIES;
    if has_form { with } else { without }.clone()
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_it_is_given_as_text() {
        let html = page("en", "<b>", "<p>so</p>");
        assert!(html.contains("<title>&lt;b&gt;</title>") && html.contains("<p>so</p>"));
        let policy = policy(true);
        let text = policy.to_str().unwrap();
        assert!(
            text.contains("style-src 'sha256-") && text.ends_with("form-action 'self'"),
            "{text}"
        );
    }
}
