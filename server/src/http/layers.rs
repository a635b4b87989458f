//! What happens to every request and answer, whatever its route.

use std::any::Any;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    UPGRADE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::Limited;
use protocol::Code;
use protocol::spec::BUNDLE_BYTES_MAX;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use super::extract::JSON_BYTES_MAX;
use super::problem::Refused;
use crate::state::AppState;

const DEADLINE: Duration = Duration::from_secs(30);
/// 256 MiB over a slow line.
const DEADLINE_FILES: Duration = Duration::from_mins(15);
/// Of a body that is refused for its size.
const DRAIN_BYTES_MAX: u64 = 8 * 1024 * 1024;
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Which server answers: a worker's doctor asks.
const VERSION: HeaderName = HeaderName::from_static("iog-version");

/// Bundles in, artefacts in and out.
fn moves_files(path: &str) -> bool {
    path == "/api/v1/bundles"
        || path.starts_with("/api/v1/worker/")
        || path.contains("/artefacts/")
        || path.ends_with("/workdir/file")
}

/// Answers of jobs take as long as they take; they have a bound of their own.
fn waits_long(path: &str) -> bool {
    moves_files(path) || is_endpoint(path)
}

/// Of a job that serves; its own errors and keys are not ours.
pub fn is_endpoint(path: &str) -> bool {
    path.strip_prefix("/api/v1/endpoints/")
        .is_some_and(|rest| rest.contains('/'))
}

/// A span with an id for each request, which the answer carries too, and the figures of `/metrics`.
pub async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = format!("{:016x}", rand::random::<u64>());
    let method = method_name(request.method());
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    // Only names of routes become labels: an address that somebody made up would be a new series each time.
    let route = matched.unwrap_or_else(|| "other".to_owned());
    let span = tracing::info_span!("request", id, method, route);
    let mut response = next.run(request).instrument(span.clone()).await;
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status();
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), seconds, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), seconds, "answered");
        }
    });
    let labels = [
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!("iog_http_requests_total", &labels).increment(1);
    if status != StatusCode::SWITCHING_PROTOCOLS {
        metrics::histogram!("iog_http_request_seconds", "route" => route).record(seconds);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    response.headers_mut().insert(VERSION, version);
    response
}

/// The standard methods alone become labels, as of routes: HTTP takes any word for a method, and each would stay in memory.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

/// Whether an answer is still waited for, for handlers that would go on for nothing: see [`deadline`].
#[derive(Clone)]
pub struct Waited(watch::Receiver<()>);

impl Waited {
    /// Comes back when whoever asked has left, or the deadline is over.
    pub async fn no_more(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// An answer in time, or `unavailable`. Sockets live outside of it: their handler returns at once.
///
/// The handler runs in a task of its own: a client that goes away, or the deadline, ends the waiting and not the work. A
/// command that was dropped in the middle of its commit would leave the database and the memory with different truths.
pub async fn deadline(mut request: Request, next: Next) -> Response {
    let (_waits, waited) = watch::channel(());
    request.extensions_mut().insert(Waited(waited));
    let limit = if waits_long(request.uri().path()) {
        DEADLINE_FILES
    } else {
        DEADLINE
    };
    let work = tokio::spawn(next.run(request).in_current_span());
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response,
        // To the layer that words panics; a task that nobody cancels ends in no other way.
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(cause) => std::panic::resume_unwind(cause),
            Err(_) => {
                Refused::new(Code::Unavailable, "The server is closing. Try again.").into_response()
            }
        },
        Err(_) => Refused::new(
            Code::Unavailable,
            "This took too long to wait for; it may still be done. Look first, then try again.",
        )
        .into_response(),
    }
}

/// No body is read beyond its route's bound, whoever reads it.
pub async fn bounded_body(request: Request, next: Next) -> Response {
    let limit = if moves_files(request.uri().path()) {
        BUNDLE_BYTES_MAX
    } else {
        JSON_BYTES_MAX as u64
    };
    let announced = super::content_length(request.headers()).unwrap_or(0);
    if announced > limit {
        if announced <= DRAIN_BYTES_MAX {
            drain(request.into_body()).await;
        }
        return Refused::new(
            Code::TooLarge,
            format!("The body may have at most {limit} bytes."),
        )
        .into_response();
    }
    // One byte more than allowed still passes here, so that the reader itself can say what was too large.
    let limit = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    next.run(request.map(|body| Body::new(Limited::new(body, limit))))
        .await
}

/// Takes what is on its way, up to [`DRAIN_BYTES_MAX`]: a connection that is closed on unread bytes is reset, and with it the refusal
/// would be lost on its way to the client.
async fn drain(body: Body) {
    let mut chunks = body.into_data_stream();
    let read = async { while let Some(Ok(_)) = chunks.next().await {} };
    // One who sends too slowly may lose the answer.
    _ = tokio::time::timeout(DRAIN_WITHIN, read).await;
}

pub fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let cause = match cause.downcast::<String>() {
        Ok(text) => *text,
        Err(cause) => cause
            .downcast::<&'static str>()
            .map_or_else(|_| "without words".to_owned(), |text| (*text).to_owned()),
    };
    tracing::error!(cause, "a handler panicked");
    Refused::new(
        Code::Internal,
        "Something went wrong on our side. Look whether it was done, then try again.",
    )
    .into_response()
}

/// Headers that every answer has unless it says otherwise. Pages bring their own policy with a nonce.
pub async fn headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let upgrade = request.headers().contains_key(UPGRADE);
    let mut response = next.run(request).await;
    if upgrade && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let ok = response.status().is_success();
    let headers = response.headers_mut();
    let mut unless_set = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    unless_set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_set(X_FRAME_OPTIONS, "DENY");
    unless_set(REFERRER_POLICY, "same-origin");
    unless_set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    unless_set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    unless_set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    // What is no page runs nothing and is framed nowhere.
    unless_set(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    unless_set(CACHE_CONTROL, caching(&path, ok));
    if state.exchange.settings().public_url.starts_with("https://") {
        unless_set(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    keep_language_cookies_apart(headers);
    response
}

/// Files whose name holds a hash of what is in them never change; other files seldom; all else is asked for anew.
fn caching(path: &str, ok: bool) -> &'static str {
    let file = path.rsplit('/').next().unwrap_or_default();
    let is_file = !path.starts_with("/api/") && !path.starts_with("/fn/") && file.contains('.');
    let hashed = path.starts_with("/pkg/") && file.split('.').any(|part| part.len() >= 16);
    match (ok, is_file, hashed) {
        (true, true, true) => "public, max-age=31536000, immutable",
        (true, true, false) => "public, max-age=3600",
        _ => "private, no-store",
    }
}

/// A cached answer must not hand one visitor's cookie to another.
fn keep_language_cookies_apart(headers: &mut HeaderMap) {
    if headers.contains_key(http::header::SET_COOKIE) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::middleware::from_fn;
    use axum::routing::get;
    use axum::{Extension, Router};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    fn ask(path: &str) -> Request {
        Request::builder()
            .uri(path)
            .body(Body::empty())
            .expect("valid")
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_does_not_stop_the_work() {
        let done = Arc::new(AtomicBool::new(false));
        let set = done.clone();
        let slow = move || async move {
            tokio::time::sleep(DEADLINE * 2).await;
            set.store(true, Ordering::SeqCst);
        };
        let router = Router::new()
            .route("/slow", get(slow))
            .layer(from_fn(deadline));
        let answer = router.clone().oneshot(ask("/slow")).await.expect("answers");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(DEADLINE * 2).await;
        assert!(done.swap(false, Ordering::SeqCst));
        // A client that goes away drops the whole answer's future.
        let left = tokio::time::timeout(Duration::from_secs(1), router.oneshot(ask("/slow"))).await;
        assert!(left.is_err());
        tokio::time::sleep(DEADLINE * 2).await;
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_but_an_answer_stops_the_work_by_leaving() {
        let ended = Arc::new(AtomicBool::new(false));
        let set = ended.clone();
        let slow = move |Extension(waited): Extension<Waited>| async move {
            waited.no_more().await;
            set.store(true, Ordering::SeqCst);
        };
        let router = Router::new()
            .route("/slow", get(slow))
            .layer(from_fn(deadline));
        let left = tokio::time::timeout(Duration::from_secs(1), router.oneshot(ask("/slow"))).await;
        assert!(left.is_err());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_worded_though_it_was_in_a_task_of_its_own() {
        async fn broken() {
            panic!("on purpose");
        }
        let router = Router::new()
            .route("/broken", get(broken))
            .layer(from_fn(deadline))
            .layer(CatchPanicLayer::custom(panicked));
        let answer = router.oneshot(ask("/broken")).await.expect("answers");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_method_that_somebody_made_up_is_no_series_of_its_own() {
        assert_eq!(method_name(&Method::PATCH), "PATCH");
        for made_up in ["get", "GET1", &"X".repeat(4_096)] {
            let method = Method::from_bytes(made_up.as_bytes()).expect("a token");
            assert_eq!(method_name(&method), "other");
        }
    }

    #[test]
    fn only_what_carries_its_hash_is_kept_for_ever() {
        let forever = "public, max-age=31536000, immutable";
        assert_eq!(
            caching("/pkg/iog.Xk3v9aPq2mN7rT5wLs8yBg.wasm", true),
            forever
        );
        assert_eq!(caching("/pkg/iog.css", true), "public, max-age=3600");
        assert_eq!(
            caching("/fonts/plex-sans.woff2", true),
            "public, max-age=3600"
        );
        for path in [
            "/",
            "/jobs/job_1",
            "/api/v1/jobs",
            "/api/openapi.json",
            "/fn/sign-in",
        ] {
            assert_eq!(caching(path, true), "private, no-store", "{path}");
        }
        assert_eq!(
            caching("/pkg/iog.Xk3v9aPq2mN7rT5wLs8yBg.wasm", false),
            "private, no-store"
        );
    }
}
