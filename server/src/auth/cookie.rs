//! The session's cookie where browsers would drop it: plain HTTP to another machine, for instance a try-out in one's own
//! network. Pages always speak of [`SESSION_COOKIE`], `__Host-` and `Secure`; there alone it travels under a plain name.

use app::session::SESSION_COOKIE;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::config::is_loopback;

/// Without the prefix that browsers accept over HTTPS only.
const PLAIN: &str = "iog_session";

/// False only for plain HTTP to another machine. The process warns about it at start: passwords travel in clear there.
pub fn is_secure(public_url: &str) -> bool {
    !public_url.starts_with("http://") || is_loopback(public_url)
}

/// What the browser keeps under the plain name is what the pages look for.
pub fn name_on_the_way_in(headers: &mut HeaderMap) {
    let renamed = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(|header| {
            let pairs = header
                .split(';')
                .map(|pair| match pair.trim().split_once('=') {
                    Some((PLAIN, value)) => format!("{SESSION_COOKIE}={value}"),
                    _ => pair.trim().to_owned(),
                });
            pairs.collect::<Vec<_>>().join("; ")
        });
    let whole = renamed.collect::<Vec<_>>().join("; ");
    if let Ok(value) = HeaderValue::from_str(&whole)
        && !whole.is_empty()
    {
        headers.insert(COOKIE, value);
    }
}

/// What the pages set is what the browser can keep.
pub fn name_on_the_way_out(headers: &mut HeaderMap) {
    let plain = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let plain: Vec<HeaderValue> = plain
        .map(|cookie| {
            cookie
                .replacen(SESSION_COOKIE, PLAIN, 1)
                .replace("; Secure", "")
        })
        .filter_map(|cookie| HeaderValue::from_str(&cookie).ok())
        .collect();
    headers.remove(SET_COOKIE);
    for cookie in plain {
        headers.append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_left_out_only_where_browsers_would_drop_the_cookie() {
        assert!(
            is_secure("https://iog.example")
                && is_secure("http://127.0.0.1:3000")
                && is_secure("http://localhost")
        );
        assert!(!is_secure("http://192.168.1.7:3000"));
    }

    #[test]
    fn the_plain_name_goes_in_and_out_as_the_real_one() {
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::from_static("iog_lang=zh; iog_session=abc; xiog_session=no"),
        );
        name_on_the_way_in(&mut headers);
        let cookie = headers[COOKIE].to_str().expect("text");
        assert_eq!(app::prefs::cookie(cookie, SESSION_COOKIE), Some("abc"));
        assert_eq!(app::prefs::cookie(cookie, "iog_lang"), Some("zh"));

        let mut headers = HeaderMap::new();
        let set = HeaderValue::from_static(
            "__Host-iog_session=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
        );
        headers.append(SET_COOKIE, set);
        headers.append(SET_COOKIE, HeaderValue::from_static("iog_lang=zh; Path=/"));
        name_on_the_way_out(&mut headers);
        let all: Vec<_> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().expect("text"))
            .collect();
        assert_eq!(
            all,
            [
                "iog_session=abc; Path=/; HttpOnly; SameSite=Lax",
                "iog_lang=zh; Path=/"
            ]
        );
    }
}
