//! Whether a request came from one of our own pages. Leptos leaves this to us, and `SameSite=Lax` alone is not enough: a
//! sibling site is the same "site", and a socket is opened by GET.

use http::header::{ORIGIN, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method};

/// Requests that can change something or that open a socket.
pub fn matters(parts: &Parts) -> bool {
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    !reads || parts.headers.contains_key(UPGRADE)
}

/// `Origin` decides; without one, only a browser's own word that the page was ours.
pub fn is_ours(origins: &[String], headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(ORIGIN).iter();
    match (all.next(), all.next()) {
        (Some(origin), None) => origin
            .to_str()
            .is_ok_and(|origin| origins.iter().any(|ours| ours.eq_ignore_ascii_case(origin))),
        (None, _) => headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "same-origin"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        is_ours(&["https://iog.example".to_owned()], &headers)
    }

    #[test]
    fn only_our_own_pages_act() {
        assert!(ours(&[("origin", "https://iog.example")]));
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        for foreign in [
            "https://iog.example.evil.example",
            "http://iog.example",
            "https://iog.example:444",
            "https://sub.iog.example",
            "null",
            "",
        ] {
            assert!(!ours(&[("origin", foreign)]), "{foreign}");
            assert!(
                !ours(&[("origin", foreign), ("sec-fetch-site", "same-origin")]),
                "{foreign}"
            );
        }
        assert!(!ours(&[]));
        assert!(!ours(&[("sec-fetch-site", "same-site")]));
        assert!(!ours(&[("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[("sec-fetch-site", "none")]));
        assert!(!ours(&[
            ("origin", "https://iog.example"),
            ("origin", "https://evil.example")
        ]));
    }
}
