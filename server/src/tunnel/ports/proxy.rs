//! One request on its way into a job and its answer on the way back, both as they come, and WebSockets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use exchange::Place;
use futures::{Stream, StreamExt};
use http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, COOKIE, HeaderName, LOCATION, SET_COOKIE, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kernel::LeaseId;
use protocol::tunnel::Door as To;
use tokio::time::{Instant, timeout};

use super::access::{TOKEN, is_ours};
use super::{Asked, Door};
use crate::auth::sockets::Seat;
use crate::state::AppState;
use crate::tunnel::patient::{IDLE_MAX, Patient};
use crate::tunnel::{Shut, lock, stream};

/// A model that thinks before its first word.
const HEAD_WITHIN: Duration = Duration::from_mins(5);
/// A connection waits so long for another request, and so many do.
const KEPT_FOR: Duration = Duration::from_secs(15);
const KEPT_MAX: usize = 8;

/// Of this hop alone.
const HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];
/// What would reach beyond the job's own answer: to other names of its domain, or to later visits.
const FAR: [&str; 7] = [
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "report-to",
    "reporting-endpoints",
    "strict-transport-security",
];
/// Besides, below the portal's own address.
const PORTALS: [&str; 3] = ["service-worker-allowed", "set-cookie", "www-authenticate"];

/// What somebody holds while their answer comes.
pub(super) struct Stay {
    pub seat: Seat,
    /// Comes back when they may stay no longer.
    pub over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

type Sender = SendRequest<Body>;
type Key = (LeaseId, u16);
type Kept = HashMap<Key, Vec<(Instant, Sender)>>;

/// Connections into jobs that wait for another request.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Kept>>);

impl Pool {
    fn take(&self, key: Key) -> Option<Sender> {
        let mut pool = lock(&self.0);
        let kept = pool.get_mut(&key)?;
        while let Some((since, sender)) = kept.pop() {
            if since.elapsed() < KEPT_FOR && sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps it for another request when its answer has been read.
    fn keep(&self, key: Key, mut sender: Sender) {
        let pool = self.clone();
        tokio::spawn(async move {
            if !matches!(timeout(HEAD_WITHIN, sender.ready()).await, Ok(Ok(()))) {
                return;
            }
            {
                let mut pool = lock(&pool.0);
                let kept = pool.entry(key).or_default();
                if kept.len() < KEPT_MAX {
                    kept.push((Instant::now(), sender));
                }
            }
            tokio::time::sleep(KEPT_FOR).await;
            let mut pool = lock(&pool.0);
            if let Some(kept) = pool.get_mut(&key) {
                kept.retain(|(since, _)| since.elapsed() < KEPT_FOR);
                if kept.is_empty() {
                    pool.remove(&key);
                }
            }
        });
    }
}

/// # Errors
/// Nothing listens, or the job or its machine broke off before it answered.
pub(super) async fn pass(
    state: &AppState,
    place: &Place,
    asked: &Asked,
    mut request: Request,
    peer: Option<IpAddr>,
    stay: Stay,
) -> Result<Response, Shut> {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let wants_upgrade = request.headers().contains_key(UPGRADE);
    let outgoing = outgoing(state, asked, request, peer, wants_upgrade)?;
    let key = (place.lease, asked.at.port);
    let kept = (!wants_upgrade).then(|| state.pool.take(key)).flatten();
    let (sender, answer) = send(state, place, asked, kept, outgoing).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(switched(state, asked, answer, upgrade, stay));
    }
    if !wants_upgrade {
        state.pool.keep(key, sender);
    }
    let (mut parts, body) = answer.into_parts();
    clean(asked, &mut parts.headers);
    let pieces = Patient::new(Body::new(body).into_data_stream());
    let body = Body::from_stream(while_they_may(pieces, stay));
    Ok(Response::from_parts(parts, body))
}

/// An answer's pieces as long as they come, and whoever asked may stay.
fn while_they_may(
    pieces: impl Stream<Item = Result<Bytes, BoxError>> + Unpin,
    stay: Stay,
) -> impl Stream<Item = Result<Bytes, BoxError>> {
    futures::stream::unfold(Some((pieces, stay)), async |of| {
        let (mut pieces, mut stay) = of?;
        tokio::select! {
            // Of an answer that never pauses the end is looked at as well.
            biased;
            () = &mut stay.over => {
                Some((Err("the link has run out, or who opened it may no longer".into()), None))
            }
            piece = pieces.next() => Some((piece?, Some((pieces, stay)))),
        }
    })
}

async fn send(
    state: &AppState,
    place: &Place,
    asked: &Asked,
    kept: Option<Sender>,
    mut outgoing: Request,
) -> Result<(Sender, hyper::Response<hyper::body::Incoming>), Shut> {
    let broke = || Shut::failed("the job closed the connection without an answer");
    let slow = || Shut::failed("the job did not answer in time");
    if let Some(mut sender) = kept {
        match timeout(HEAD_WITHIN, sender.try_send_request(outgoing)).await {
            Ok(Ok(answer)) => return Ok((sender, answer)),
            // It was closed while it waited: nothing was sent, another is made.
            Ok(Err(mut failed)) => outgoing = failed.take_message().ok_or_else(broke)?,
            Err(_) => return Err(slow()),
        }
    }
    let port = asked.at.port;
    let tunnel = state
        .tunnels
        .open(&state.exchange, place, To::Port { port })
        .await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream(tunnel)))
        .await
        .map_err(|_| broke())?;
    tokio::spawn(connection.with_upgrades());
    match timeout(HEAD_WITHIN, sender.send_request(outgoing)).await {
        Ok(answer) => Ok((sender, answer.map_err(|_| broke())?)),
        Err(_) => Err(slow()),
    }
}

/// The request as the job sees it.
fn outgoing(
    state: &AppState,
    asked: &Asked,
    request: Request,
    peer: Option<IpAddr>,
    upgrade: bool,
) -> Result<Request, Shut> {
    let (mut parts, body) = request.into_parts();
    parts.uri = Uri::from(asked.target.clone());
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let headers = &mut parts.headers;
    drop_hop(headers, upgrade);
    headers.remove(TOKEN);
    drop_cookies(headers, asked.door);
    for name in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-real-ip",
    ] {
        headers.remove(name);
    }
    let public = &state.exchange.settings().public_url;
    let proto = if public.starts_with("https://") {
        "https"
    } else {
        "http"
    };
    let mut tell = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    tell("x-forwarded-proto", proto);
    if let Some(peer) = peer {
        tell("x-forwarded-for", &peer.to_string());
    }
    if asked.door == Door::Path {
        tell("x-forwarded-prefix", &PortPath::of(asked).0);
    }
    if !headers.contains_key(http::header::HOST) {
        let host = format!("localhost:{}", asked.at.port);
        let host = HeaderValue::from_str(&host).map_err(|_| Shut::failed("a bad host"))?;
        headers.insert(http::header::HOST, host);
    }
    Ok(Request::from_parts(parts, body))
}

fn drop_hop(headers: &mut HeaderMap, upgrade: bool) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| name != UPGRADE)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
}

/// The portal's and our own never reach a job; below the portal's address none do.
fn drop_cookies(headers: &mut HeaderMap, door: Door) {
    let kept = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|header| header.split(';'))
        .map(str::trim)
        .filter(|pair| !is_ours(pair.split_once('=').map_or(*pair, |(name, _)| name)));
    let kept = kept.collect::<Vec<_>>().join("; ");
    headers.remove(COOKIE);
    if door == Door::Origin
        && !kept.is_empty()
        && let Ok(value) = HeaderValue::from_str(&kept)
    {
        headers.insert(COOKIE, value);
    }
}

/// What of the job's answer's head goes on.
fn clean(asked: &Asked, headers: &mut HeaderMap) {
    drop_hop(headers, false);
    for name in FAR {
        headers.remove(name);
    }
    if asked.door == Door::Origin {
        let cookies: Vec<HeaderValue> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter_map(own_cookie)
            .collect();
        headers.remove(SET_COOKIE);
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie);
        }
        return;
    }
    for name in PORTALS {
        headers.remove(name);
    }
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox allow-scripts allow-forms"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let within = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .filter(|to| to.starts_with('/') && !to.starts_with("//"))
        .and_then(|to| {
            let PortPath(base) = PortPath::of(asked);
            HeaderValue::from_str(&format!("{base}{to}")).ok()
        });
    if let Some(within) = within {
        headers.insert(LOCATION, within);
    }
}

/// `/j/<job>/<port>`, as [`exchange::Exchange::port_path`] writes it.
struct PortPath(String);

impl PortPath {
    fn of(asked: &Asked) -> Self {
        let at = &asked.at;
        Self(match at.member {
            0 => format!("/j/{}/{}", at.job, at.port),
            member => format!("/j/{}-{member}/{}", at.job, at.port),
        })
    }
}

/// A cookie stays with the host that set it, and is none of ours.
fn own_cookie(text: &str) -> Option<HeaderValue> {
    let name = text.split('=').next().unwrap_or_default();
    if is_ours(name) {
        return None;
    }
    let parts = text
        .split(';')
        .filter(|part| !part.trim().to_lowercase().starts_with("domain"));
    HeaderValue::from_str(&parts.collect::<Vec<_>>().join(";")).ok()
}

/// A WebSocket: from here on both sides' bytes go through as they are.
fn switched(
    state: &AppState,
    asked: &Asked,
    answer: hyper::Response<hyper::body::Incoming>,
    upgrade: Option<OnUpgrade>,
    stay: Stay,
) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let mut headers = answer.headers().clone();
    let protocol = headers.get(UPGRADE).cloned();
    clean(asked, &mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    *response.headers_mut() = headers;
    let closing = state.closing.clone();
    tokio::spawn(async move {
        let Some(upgrade) = upgrade else { return };
        let (Ok(client), Ok(job)) = tokio::join!(upgrade, hyper::upgrade::on(answer)) else {
            return;
        };
        let (mut client, mut job) = (Idle::new(TokioIo::new(client)), TokioIo::new(job));
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut job) => {}
            () = closing.wait() => {}
            () = stay.over => {}
        }
        drop(stay.seat);
    });
    response
}

/// Reads that wait too long end the connection. Both sides of a WebSocket send pings as they like; what says nothing either way
/// for so long is gone.
struct Idle<T> {
    inner: T,
    sleep: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl<T> Idle<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            sleep: Box::pin(tokio::time::sleep(IDLE_MAX)),
        }
    }

    fn touched(&mut self) {
        self.sleep.as_mut().reset(Instant::now() + IDLE_MAX);
    }
}

impl<T: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Idle<T> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let ready = std::pin::Pin::new(&mut self.inner).poll_read(cx, buffer);
        if ready.is_ready() {
            self.touched();
            return ready;
        }
        match self.sleep.as_mut().poll(cx) {
            std::task::Poll::Ready(()) => {
                std::task::Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
            }
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for Idle<T> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let ready = std::pin::Pin::new(&mut self.inner).poll_write(cx, bytes);
        if ready.is_ready() {
            self.touched();
        }
        ready
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn asked(door: Door) -> Asked {
        Asked {
            at: exchange::PortAt {
                job: format!("job_{}", "0".repeat(32)).parse().expect("an id"),
                member: 0,
                port: 8_888,
            },
            door,
            target: "/x".parse().expect("a path"),
        }
    }

    #[test]
    fn no_cookie_of_ours_reaches_a_job_and_none_below_the_portals_address() {
        let sent = || {
            headers(&[
                (
                    "cookie",
                    "__Host-iog_session=secret; theme=dark; iog_port=pass",
                ),
                ("cookie", "__Host-iog_port=pass; _xsrf=2"),
            ])
        };
        let mut at_origin = sent();
        drop_cookies(&mut at_origin, Door::Origin);
        assert_eq!(
            at_origin.get(COOKIE).expect("its own"),
            "theme=dark; _xsrf=2"
        );
        let mut below = sent();
        drop_cookies(&mut below, Door::Path);
        assert!(!below.contains_key(COOKIE));
    }

    #[test]
    fn what_a_job_answers_reaches_no_further_than_its_own_origin() {
        let said = || {
            headers(&[
                ("set-cookie", "a=1; Domain=apps.example; Path=/"),
                ("set-cookie", "__Host-iog_port=forged; Path=/; Secure"),
                ("set-cookie", "iog_session=forged"),
                ("clear-site-data", "\"*\""),
                ("strict-transport-security", "max-age=1; includeSubDomains"),
                ("reporting-endpoints", "x=\"https://elsewhere.example\""),
                ("content-security-policy", "default-src *"),
                ("location", "/login"),
                ("www-authenticate", "Basic"),
                ("transfer-encoding", "chunked"),
                ("x-own", "kept"),
            ])
        };
        let mut own = said();
        clean(&asked(Door::Origin), &mut own);
        let cookies: Vec<_> = own.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; Path=/"]);
        assert_eq!(
            own.get(CONTENT_SECURITY_POLICY).expect("its own"),
            "default-src *"
        );
        assert_eq!(own.get(LOCATION).expect("its own"), "/login");
        let mut portals = said();
        clean(&asked(Door::Path), &mut portals);
        assert!(!portals.contains_key(SET_COOKIE) && !portals.contains_key("www-authenticate"));
        let policy = portals.get(CONTENT_SECURITY_POLICY).expect("ours").to_str();
        let policy = policy.expect("text");
        assert!(policy.starts_with("sandbox") && !policy.contains("allow-same-origin"));
        let to = portals.get(LOCATION).expect("kept").to_str().expect("text");
        assert!(
            to.starts_with("/j/job_0") && to.ends_with("/8888/login"),
            "{to}"
        );
        for headers in [own, portals] {
            for gone in [
                "clear-site-data",
                "reporting-endpoints",
                "strict-transport-security",
                "transfer-encoding",
            ] {
                assert!(!headers.contains_key(gone), "{gone}");
            }
            assert_eq!(headers.get("x-own").expect("kept"), "kept");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_with_the_right_to_it_though_it_never_pauses() {
        let seat = crate::auth::sockets::Sockets::new(1, 1).seat([10, 0, 0, 1].into());
        let stay = Stay {
            seat: seat.expect("a seat"),
            over: Box::pin(tokio::time::sleep(Duration::from_mins(1))),
        };
        let pieces = futures::stream::repeat_with(|| Ok(Bytes::from_static(b"x")));
        let mut answer = std::pin::pin!(while_they_may(pieces, stay));
        assert!(answer.next().await.expect("a piece").is_ok());
        tokio::time::advance(Duration::from_mins(2)).await;
        assert!(answer.next().await.expect("the end's reason").is_err());
        assert!(answer.next().await.is_none());
    }

    #[test]
    fn headers_of_one_hop_stay_behind() {
        let mut sent = headers(&[
            ("connection", "keep-alive, X-Hop, Upgrade"),
            ("x-hop", "1"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            ("host", "x"),
        ]);
        drop_hop(&mut sent, true);
        assert_eq!(sent.get(CONNECTION).expect("one"), "upgrade");
        assert!(sent.contains_key(UPGRADE) && sent.contains_key("host"));
        assert!(!sent.contains_key("x-hop") && !sent.contains_key("te"));
    }
}
