//! Who is asking, and from where. One middleware answers both once for each request and leaves an [`Asker`] behind.
//!
//! - A browser's session is a secret in a cookie that only this host can set and read (`__Host-`, `Secure`, `HttpOnly`,
//!   `SameSite=Lax`); the server keeps its hash and can end it at any time.
//! - A program sends `Authorization: Bearer` with an API key; its scopes bound what it may do.
//! - Whatever changes something, or opens a socket, must come from one of our own pages, unless it carries a key: keys are
//!   never sent by a browser on its own, cookies are.

pub mod cookie;
pub mod limits;
pub mod origin;
pub mod sockets;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use app::session::SESSION_COOKIE;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use exchange::{Actor, Exchange, Holder};
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use protocol::Code;

use crate::http::layers::is_endpoint;
use crate::http::problem::{Chain, Refused};
use crate::state::AppState;

/// Who asks, left in the request's extensions.
#[derive(Clone)]
pub struct Asker {
    pub actor: Option<Actor>,
    pub address: IpAddr,
    pub credential: Option<Credential>,
}

/// What was shown to prove it, kept for what stays open: it is asked again every minute.
#[derive(Clone)]
pub enum Credential {
    Session(String),
    Key(String),
    /// A pass that was given by one of them.
    Pass(Holder),
}

/// Sessions end, keys are revoked; whoever came in by one goes at the latest so much later.
pub const ASK_AGAIN_EVERY: Duration = Duration::from_mins(1);

/// What was shown holds no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

impl Credential {
    /// Whose it still is.
    ///
    /// # Errors
    /// When the exchange cannot be asked.
    pub async fn actor(&self, exchange: &Exchange) -> Result<Option<Actor>, exchange::Error> {
        match self {
            Self::Session(secret) => exchange.actor_by_session(secret).await,
            Self::Key(secret) => exchange.actor_by_key(secret).await,
            Self::Pass(holder) => exchange.actor_by_holder(*holder).await,
        }
    }
}

/// What an answer to asking again means. `Ok(None)`: nobody knows, which is no reason to cut everybody off while the database restarts.
///
/// # Errors
/// It holds no longer.
pub fn asked_again<T>(answer: Result<Option<T>, exchange::Error>) -> Result<Option<T>, Ended> {
    match answer {
        Ok(found) => found.map(Some).ok_or(Ended),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "a session or a key could not be checked");
            Ok(None)
        }
    }
}

/// Comes back when what is asked every minute holds no longer.
pub async fn ended<T, F>(still: impl Fn() -> F)
where
    F: Future<Output = Result<Option<T>, exchange::Error>>,
{
    loop {
        tokio::time::sleep(ASK_AGAIN_EVERY).await;
        if asked_again(still().await).is_err() {
            return;
        }
    }
}

impl Asker {
    /// The actor of a request's parts, as pages and server functions need it.
    pub fn actor_of(parts: &Parts) -> Option<Actor> {
        parts
            .extensions
            .get::<Self>()
            .and_then(|asker| asker.actor.clone())
    }

    /// Whether what was shown still holds: sessions end, keys are revoked.
    ///
    /// # Errors
    /// When the exchange cannot be asked.
    pub async fn still(&self, exchange: &Exchange) -> Result<Option<Actor>, exchange::Error> {
        match &self.credential {
            None => Ok(None),
            Some(credential) => credential.actor(exchange).await,
        }
    }
}

/// Somebody who is signed in, or a refusal.
pub struct Signed(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Signed {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let actor = Asker::actor_of(parts);
        actor.map(Self).ok_or_else(|| {
            Refused::new(
                Code::Unauthenticated,
                "Sign in, or send a valid API key as Authorization: Bearer.",
            )
        })
    }
}

/// Somebody who may be signed in.
pub struct MaybeSigned(pub Option<Actor>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeSigned {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Asker::actor_of(parts)))
    }
}

/// What a path is for, as far as asking goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// Files that are the same for everybody, and health.
    Public,
    /// Workers: they prove themselves by signature or by a lease's transfer token.
    Worker,
    /// Pages and their server functions, which read the session themselves, through the exchange.
    Page,
    /// REST and the browsers' socket.
    Api,
    /// Links of e-mails, which carry their own proof; mail programs follow them too.
    Mail,
}

fn area(path: &str) -> Area {
    if path == "/api/v1/worker" || path.starts_with("/api/v1/worker/") {
        Area::Worker
    } else if path.starts_with("/pkg/")
        || matches!(
            path,
            "/healthz" | "/readyz" | "/metrics" | "/favicon.svg" | "/robots.txt"
        )
        || path.starts_with("/fonts/")
    {
        Area::Public
    } else if path.starts_with("/api/") {
        Area::Api
    } else if path.starts_with("/mail/") {
        Area::Mail
    } else {
        Area::Page
    }
}

/// The middleware. Refuses what comes too fast, from a foreign page, or with a key that is none.
pub async fn gate(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let area = area(request.uri().path());
    if area == Area::Public {
        return next.run(request).await;
    }
    let plain = !cookie::is_secure(&state.exchange.settings().public_url);
    if plain {
        cookie::name_on_the_way_in(request.headers_mut());
    }
    let (mut parts, body) = request.into_parts();
    let address = address(&parts, state.limits.trust_forwarded);
    let asker = match admit(&state, area, address, &parts).await {
        Ok(asker) => asker,
        Err(refused) => return refused.into_response(),
    };
    parts.extensions.insert(asker);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if plain {
        cookie::name_on_the_way_out(response.headers_mut());
    }
    response
}

async fn admit(
    state: &AppState,
    area: Area,
    address: IpAddr,
    parts: &Parts,
) -> Result<Asker, Refused> {
    let nobody = Asker {
        actor: None,
        address,
        credential: None,
    };
    if area == Area::Worker {
        state.limits.worker(address)?;
        if parts.headers.contains_key(ORIGIN) {
            return Err(Refused::new(
                Code::ForeignOrigin,
                "Workers connect here; a page cannot.",
            ));
        }
        return Ok(nobody);
    }
    let headers = &parts.headers;
    if let Some(value) = headers.get(AUTHORIZATION)
        && area == Area::Api
    {
        // A public endpoint takes any key, for its clients always send one; whether it is public is asked later.
        return match by_key(state, nobody.clone(), value).await {
            Err(_) if is_endpoint(parts.uri.path()) => {
                state.limits.address(address)?;
                Ok(nobody)
            }
            known => known,
        };
    }
    state.limits.address(address)?;
    // A program that asks what anybody may ask sends neither a cookie nor an origin: there is nothing to misuse.
    let program = matches!(area, Area::Api | Area::Mail)
        && cookie_of(headers).is_none()
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key("sec-fetch-site");
    if origin::matters(parts)
        && !program
        && !origin::is_ours(&state.exchange.settings().origins, headers)
    {
        return Err(Refused::new(
            Code::ForeignOrigin,
            "This came from a page of another site, or without saying from where. Programs send an API key as Authorization: Bearer.",
        ));
    }
    if area == Area::Page {
        return Ok(nobody);
    }
    let Some(secret) = cookie_of(headers) else {
        return Ok(nobody);
    };
    let actor = state.exchange.actor_by_session(&secret).await?;
    let credential = actor.is_some().then_some(Credential::Session(secret));
    Ok(Asker {
        actor,
        credential,
        ..nobody
    })
}

async fn by_key(state: &AppState, nobody: Asker, value: &HeaderValue) -> Result<Asker, Refused> {
    let unknown = || {
        Refused::new(
            Code::Unauthenticated,
            "This API key is unknown or was revoked; make a new one in the portal.",
        )
    };
    let text = value.to_str().map_err(|_| unknown())?;
    let secret = text
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let secret = secret
        .map(|(_, secret)| secret.trim())
        .filter(|secret| !secret.is_empty() && secret.len() <= 256)
        .ok_or_else(|| {
            Refused::new(
                Code::Unauthenticated,
                "Send the API key as Authorization: Bearer KEY.",
            )
        })?;
    // Before the lookup: each guess is another key, so guesses are counted by where they come from.
    state.limits.may_guess(nobody.address)?;
    state.limits.key(secret)?;
    let Some(actor) = state.exchange.actor_by_key(secret).await? else {
        state.limits.guessed(nobody.address);
        return Err(unknown());
    };
    Ok(Asker {
        actor: Some(actor),
        credential: Some(Credential::Key(secret.to_owned())),
        ..nobody
    })
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let secret = values.find_map(|header| app::prefs::cookie(header, SESSION_COOKIE))?;
    (!secret.is_empty() && secret.len() <= 256).then(|| secret.to_owned())
}

/// What counts as one client: an IPv4 address however it is written, or the /64 that one IPv6 line has to itself.
fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        other => other,
    }
}

/// Of the client, or of the proxy's client where the proxy is trusted. Only the last entry of `X-Forwarded-For` was
/// written by that proxy; the ones before it anybody may have sent.
pub fn address(parts: &Parts, trust_forwarded: bool) -> IpAddr {
    one_client(peer_address(parts, trust_forwarded))
}

fn peer_address(parts: &Parts, trust_forwarded: bool) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |ConnectInfo(peer)| {
        peer.ip()
    });
    if !trust_forwarded {
        return peer;
    }
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next());
    last.and_then(|last| last.trim().parse().ok())
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use axum::body::Body;

    #[tokio::test(start_paused = true)]
    async fn what_is_revoked_ends_what_it_opened_and_an_unknown_state_does_not() {
        let asked = Cell::new(0);
        let still = || async {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => Ok(Some(())),
                2 => Err(exchange::Error::Unavailable("the database restarts")),
                _ => Ok(None),
            }
        };
        let over = tokio::time::timeout(ASK_AGAIN_EVERY * 10, ended(still)).await;
        assert!(over.is_ok() && asked.get() == 3);
    }

    #[test]
    fn only_the_proxys_own_entry_counts() {
        let request = |value: &str| {
            let request = Request::builder().header("x-forwarded-for", value);
            request.body(Body::empty()).expect("valid").into_parts().0
        };
        let spoofed = request("1.1.1.1, 9.9.9.9");
        assert_eq!(address(&spoofed, true).to_string(), "9.9.9.9");
        assert_eq!(address(&spoofed, false).to_string(), "127.0.0.1");
        assert_eq!(address(&request("rubbish"), true).to_string(), "127.0.0.1");
    }

    #[test]
    fn one_line_is_one_client_whichever_of_its_addresses_it_uses() {
        let client = |text: &str| one_client(text.parse().expect("an address")).to_string();
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(client("2001:db8:1:2::9"), "2001:db8:1:2::");
        assert_eq!(client("::ffff:10.0.0.7"), "10.0.0.7");
        assert_eq!(client("10.0.0.7"), "10.0.0.7");
        assert_eq!(client("::1"), "::1");
    }

    #[test]
    fn a_path_that_only_begins_like_the_workers_is_not_theirs() {
        assert_eq!(area("/api/v1/worker"), Area::Worker);
        assert_eq!(area("/api/v1/worker/bundles/x"), Area::Worker);
        assert_eq!(area("/api/v1/workers"), Area::Api);
        assert_eq!(area("/api/v1/live"), Area::Api);
        assert_eq!(area("/pkgs"), Area::Page);
        assert_eq!(area("/fn/launch"), Area::Page);
    }
}
