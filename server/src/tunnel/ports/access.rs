//! Who may reach a port: anybody, if its job says so; whoever shows a pass; a key of the job's owner.

use std::net::IpAddr;
use std::time::Duration;

use axum::response::Response;
use exchange::{Actor, Error, Exchange, OPEN_FOR, Opens, Pass, PortAt, Reach};
use http::header::{COOKIE, ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use kernel::Timestamp;
use protocol::Code;

use super::{Asked, Door, redirect};
use crate::auth::{ASK_AGAIN_EVERY, Credential, ended};
use crate::http::problem::Refused;
use crate::state::AppState;

pub(super) const TOKEN: &str = "x-iog-token";
/// Over HTTPS with the prefix that keeps it this host's own, whatever another name of the domain sets.
const COOKIE_HTTPS: &str = "__Host-iog_port";
const COOKIE_PLAIN: &str = "iog_port";
/// More of them are not looked at; a browser has one.
const COOKIES_MAX: usize = 4;

pub(super) enum Admitted {
    Yes(Until),
    /// A person in a browser of whom nothing is known: the portal may know them.
    SignIn,
}

/// How long somebody may stay who was let in.
pub(super) enum Until {
    /// As long as there is something to reach.
    Always,
    At(Timestamp),
    /// As long as this holds and the port is its holder's; of a pass, until then.
    Held(Credential, Option<Timestamp>),
}

impl Until {
    /// Comes back when it is over.
    pub async fn over(self, exchange: Exchange, at: PortAt) {
        match self {
            Self::Always => std::future::pending().await,
            Self::At(until) => reached(until, || exchange.now()).await,
            Self::Held(credential, until) => {
                let passed = async {
                    match until {
                        Some(until) => reached(until, || exchange.now()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = passed => {}
                    () = ended(|| holder(&exchange, &credential, &at)) => {}
                }
            }
        }
    }
}

/// By that clock, which may be set while somebody waits.
async fn reached(until: Timestamp, now: impl Fn() -> Timestamp) {
    while let Ok(left @ 1..) = u64::try_from(until.millis_since(now())) {
        tokio::time::sleep(Duration::from_millis(left).min(ASK_AGAIN_EVERY)).await;
    }
}

/// Whose the credential is, if the port is theirs.
async fn holder(
    exchange: &Exchange,
    credential: &Credential,
    at: &PortAt,
) -> Result<Option<Actor>, Error> {
    let Some(actor) = credential.actor(exchange).await? else {
        return Ok(None);
    };
    let may = exchange.may_use_port(&actor, at).await?;
    Ok(may.then_some(actor))
}

/// What a cookie of this port's address lets in: the one that is good for longest, of those whose holder still may.
async fn by_cookie(
    state: &AppState,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Option<Until>, Error> {
    let exchange = &state.exchange;
    let kept = cookies(headers).filter(|(name, _)| is_ours(name));
    let mut kept: Vec<Opens> = kept
        .filter_map(|(_, pass)| exchange.opens(&asked.at, Pass::Open, pass))
        .take(COOKIES_MAX)
        .collect();
    kept.sort_unstable_by_key(|opens| std::cmp::Reverse(opens.until));
    for Opens { until, by } in kept {
        let Some(by) = by else {
            return Ok(Some(Until::At(until)));
        };
        let credential = Credential::Pass(by);
        if holder(exchange, &credential, &asked.at).await?.is_some() {
            return Ok(Some(Until::Held(credential, Some(until))));
        }
    }
    Ok(None)
}

/// # Errors
/// They may not.
pub(super) async fn admit(
    state: &AppState,
    asked: &Asked,
    parts: &Parts,
    public: bool,
    address: IpAddr,
) -> Result<Admitted, Refused> {
    let headers = &parts.headers;
    if public {
        return Ok(Admitted::Yes(Until::Always));
    }
    if let Some(token) = headers.get(TOKEN) {
        let token = token.to_str().unwrap_or_default();
        let until = by_token(state, asked, token, address).await?;
        return until.map(Admitted::Yes).ok_or_else(|| {
            Refused::new(
                Code::Unauthenticated,
                "This token is unknown, too old, or for another port.",
            )
        });
    }
    if asked.door == Door::Origin {
        if let Some(until) = by_cookie(state, asked, headers).await? {
            // The browser adds the cookie whoever had it ask; a page of another job must not act through it.
            return if from_here(state, asked, parts) {
                Ok(Admitted::Yes(until))
            } else {
                Err(Refused::new(
                    Code::ForeignOrigin,
                    "Another site asked for this in your browser; it is not done.",
                ))
            };
        }
        if is_navigation(parts) {
            return Ok(Admitted::SignIn);
        }
    }
    Err(Refused::new(
        Code::Unauthenticated,
        "This port is not public. Open it from the job's page, or send a link's token or an API key of the job's owner as X-IOG-Token.",
    ))
}

/// A link's token or a key. Guesses are counted like those of keys elsewhere.
async fn by_token(
    state: &AppState,
    asked: &Asked,
    token: &str,
    address: IpAddr,
) -> Result<Option<Until>, Refused> {
    if let Some(opens) = state.exchange.opens(&asked.at, Pass::Link, token) {
        state.exchange.reached(None, Reach::Port(asked.at)).await?;
        return Ok(Some(Until::At(opens.until)));
    }
    if token.is_empty() || token.len() > 256 {
        return Ok(None);
    }
    state.limits.may_guess(address)?;
    if let Some(actor) = state.exchange.actor_by_key(token).await? {
        let may = state.exchange.may_use_port(&actor, &asked.at).await?;
        return Ok(may.then(|| Until::Held(Credential::Key(token.to_owned()), None)));
    }
    state.limits.guessed(address);
    Ok(None)
}

/// A pass in the address becomes this origin's cookie, and the address is left behind.
///
/// # Errors
/// The pass is none.
pub(super) async fn enter(
    state: &AppState,
    asked: &Asked,
    query: &str,
) -> Result<Response, Refused> {
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let pass = value("pass").unwrap_or_default();
    let exchange = &state.exchange;
    let now = exchange.now();
    let own = exchange.opens(&asked.at, Pass::Enter, &pass);
    let opens = own
        .map(|Opens { by, .. }| Opens {
            until: now.plus(OPEN_FOR),
            by,
        })
        .or_else(|| exchange.opens(&asked.at, Pass::Link, &pass))
        .ok_or_else(|| {
            Refused::new(
                Code::Unauthenticated,
                "This link has run out, or is for another port. Ask for a new one, or open the port from the job's page.",
            )
        })?;
    if own.is_none() {
        exchange.reached(None, Reach::Port(asked.at)).await?;
    }
    let next = value("next").filter(|next| is_own_path(next));
    let mut response = redirect(next.as_deref().unwrap_or("/"));
    let cookie = cookie(
        state,
        &exchange.pass(&asked.at, Pass::Open, opens),
        now,
        opens.until,
    );
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

/// Only a path of this very origin: never `//elsewhere`, in none of the spellings that browsers read as it (they leave tabs out).
fn is_own_path(next: &str) -> bool {
    next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control())
}

fn cookie(state: &AppState, pass: &str, now: Timestamp, until: Timestamp) -> HeaderValue {
    let seconds = until.millis_since(now).max(0) / 1_000;
    let https = state.exchange.settings().public_url.starts_with("https://");
    let (name, secure) = if https {
        (COOKIE_HTTPS, "; Secure")
    } else {
        (COOKIE_PLAIN, "")
    };
    let text = format!("{name}={pass}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// Ours, and the portal's: no job is to see or to set them.
pub(super) fn is_ours(name: &str) -> bool {
    let name = name.trim();
    matches!(name, COOKIE_HTTPS | COOKIE_PLAIN)
        || name.starts_with("__Host-iog_")
        || name.starts_with("iog_")
}

fn is_navigation(parts: &Parts) -> bool {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let html = parts
        .headers
        .get(http::header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    reads && html && !parts.headers.contains_key(http::header::UPGRADE)
}

/// Whether the port's own pages ask, or a person goes there.
fn from_here(state: &AppState, asked: &Asked, parts: &Parts) -> bool {
    let headers = &parts.headers;
    if let Some(origin) = headers.get(ORIGIN) {
        let own = state.exchange.port_origin(&asked.at);
        return own.is_some_and(|own| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()));
    }
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match word("sec-fetch-site") {
        None | Some("same-origin" | "none") => true,
        // A link elsewhere leads here: as a page of its own, not inside of another, and not to act.
        Some(_) => {
            matches!(parts.method, Method::GET | Method::HEAD)
                && word("sec-fetch-mode") == Some("navigate")
                && word("sec-fetch-dest") == Some("document")
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn who_enters_goes_on_to_no_other_site() {
        for own in ["/", "/page?x=1", "/a//b", "/%09/x"] {
            assert!(is_own_path(own), "{own}");
        }
        for other in [
            "",
            "page",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\r\n/evil.example",
            "/\u{7f}/evil.example",
        ] {
            assert!(!is_own_path(other), "{other:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_has_run_out_ends_what_it_opened() {
        let began = Instant::now();
        let now =
            || Timestamp::from_millis(i64::try_from(began.elapsed().as_millis()).expect("ms"));
        reached(Timestamp::from_millis(3_600_000), now).await;
        assert_eq!(began.elapsed().as_secs(), 3_600);
        reached(Timestamp::from_millis(0), now).await;
        assert_eq!(began.elapsed().as_secs(), 3_600);
    }
}
