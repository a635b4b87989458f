//! Requests to jobs that serve: `/api/v1/endpoints/{job}/…` is answered by one of the job's members. Who answers is decided in the
//! exchange; here a request is carried, tried elsewhere when nobody answered, and counted.

mod carry;
mod counted;
mod look;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use bytes::Bytes;
use exchange::{Exchange, Heard, Place, Served};
use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, DATE, ETAG, HOST, HeaderName,
    LAST_MODIFIED, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri};
use hyper::body::Incoming;
use kernel::JobId;
use protocol::Code;
use protocol::endpoint::EndpointView;
use tokio::time::Instant;

use crate::auth::sockets::Seat;
use crate::auth::{Asker, Signed};
use crate::http::extract::{Id, JSON_BYTES_MAX};
use crate::http::layers::Waited;
use crate::http::problem::{Carried, Refused};
use crate::http::rest::Refusals;
use crate::state::AppState;
use carry::{Line, NoAnswer};
use counted::UnderWay;
pub use look::round;

/// So many members are tried for one request.
const TRIES_MAX: usize = 3;
/// A model may think for long before it says its first word.
const FIRST_BYTE_WITHIN: Duration = Duration::from_mins(2);
/// Of one connection, never of a request that is carried on.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONTENT_LENGTH,
];
/// What of an answer's head goes on, besides [`PASSED_FAMILIES`]. It is answered at the portal's own origin: whatever tells a browser what to
/// do there (cookies, storage, reporting, where to go next, whom to ask for a password) is not the job's to say.
const PASSED: [HeaderName; 11] = [
    ACCEPT_RANGES,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    CONTENT_TYPE,
    DATE,
    ETAG,
    HeaderName::from_static("x-request-id"),
    LAST_MODIFIED,
    RETRY_AFTER,
    VARY,
];
const PASSED_FAMILIES: [&str; 2] = ["openai-", "x-ratelimit-"];
/// What an answer may call itself; all else is only bytes. A stranger's page must not be one of ours.
const KINDS: [&str; 5] = [
    "application/json",
    "text/event-stream",
    "text/plain",
    "audio/",
    "image/png",
];

/// How an endpoint does: its replicas, what came, how fast it answers.
#[utoipa::path(get, path = "/api/v1/endpoints/{id}", tag = "endpoints", params(("id" = JobId, Path)),
    responses((status = 200, body = EndpointView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn one(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(job): Id<JobId>,
) -> Result<Json<EndpointView>, Refused> {
    Ok(Json(exchange.endpoint(&actor, job).await?))
}

/// `/api/v1/endpoints/{job}/{path}`: what the job serves under `/{path}`.
///
/// # Errors
/// No such endpoint, not for this asker, too many connections of its address, or nobody answers.
pub async fn ask(
    State(state): State<AppState>,
    Path((id, path)): Path<(String, String)>,
    Extension(asker): Extension<Asker>,
    Extension(waited): Extension<Waited>,
    request: Request,
) -> Result<Response, Refused> {
    let nothing = || Refused::new(Code::NotFound, "Nothing serves here. Is the job running?");
    let job: JobId = id.parse().map_err(|_| nothing())?;
    let served = state.exchange.served(job).ok_or_else(nothing)?;
    state.exchange.may_ask(&served, asker.actor.as_ref())?;
    // An answer takes as long as a socket may be open, and a line into a job besides.
    let seat = state.sockets.seat(asker.address)?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, JSON_BYTES_MAX).await.map_err(|_| {
        Refused::new(
            Code::TooLarge,
            format!("The body may have at most {JSON_BYTES_MAX} bytes."),
        )
    })?;
    let asked = Asked {
        request: head(&parts, &path, served.port.port)?,
        again: may_be_repeated(&parts.method, &path),
        body,
    };
    let answered = tokio::select! {
        answered = answered(&state, job, &served, &asked, seat) => answered,
        // A model does not go on for somebody who is gone.
        () = waited.no_more() => {
            return Err(Refused::new(Code::Unavailable, "Nobody waits for this answer any more."));
        }
    };
    answered.ok_or_else(|| {
        state.exchange.endpoint_refused(job);
        Refused::new(
            Code::Unavailable,
            "No replica answers at the moment. Try again in a few seconds.",
        )
    })
}

/// A request as it is carried.
struct Asked {
    request: Parts,
    body: Bytes,
    /// Nothing is changed by asking twice.
    again: bool,
}

/// Methods that change nothing by being repeated; and what of the `OpenAI` format only computes.
fn may_be_repeated(method: &Method, path: &str) -> bool {
    method.is_idempotent()
        || (path.starts_with("v1/")
            && ["completions", "embeddings", "responses"]
                .iter()
                .any(|end| path.ends_with(end)))
}

fn head(parts: &Parts, path: &str, port: u16) -> Result<Parts, Refused> {
    let query = parts.uri.query().map(|query| format!("?{query}"));
    // The path as it came, not as it was decoded.
    let raw = parts.uri.path().splitn(6, '/').nth(5).unwrap_or(path);
    let uri: Uri = format!("/{raw}{}", query.unwrap_or_default())
        .parse()
        .map_err(|_| Refused::field("path", "no address"))?;
    let host = HeaderValue::from_str(&format!("127.0.0.1:{port}"));
    let host = host.map_err(|_| Refused::field("port", "no port"))?;
    let mut request = http::Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    for (name, value) in &parts.headers {
        // What proves who asks is for us, not for the job.
        let ours = [AUTHORIZATION, COOKIE, HOST].contains(name);
        if !ours && !HOP_BY_HOP.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(HOST, host);
    Ok(request.into_parts().0)
}

async fn answered(
    state: &AppState,
    job: JobId,
    served: &Served,
    asked: &Asked,
    seat: Seat,
) -> Option<Response> {
    let mut tried = Vec::new();
    while tried.len() < TRIES_MAX {
        let place = state.exchange.endpoint_pick(job, served, &tried)?;
        tried.push(place.member);
        let under_way = UnderWay::new(state.exchange.clone(), job, place.member);
        match once(state, served, &place, asked, under_way).await {
            Ok(answer) => return Some(response(answer, seat)),
            Err(NoAnswer::NotReached | NoAnswer::NoRoom) => {}
            Err(NoAnswer::BrokeOff | NoAnswer::TooSlow) if asked.again => {}
            Err(NoAnswer::BrokeOff | NoAnswer::TooSlow) => return None,
        }
    }
    None
}

/// An answer whose head has come.
struct Begun {
    head: http::response::Parts,
    body: Incoming,
    line: Line,
    under_way: UnderWay,
    first_ms: u64,
}

/// Asks one member.
async fn once(
    state: &AppState,
    served: &Served,
    place: &Place,
    asked: &Asked,
    under_way: UnderWay,
) -> Result<Begun, NoAnswer> {
    let begun = Instant::now();
    let line = carry::open(state, place, served.port.port).await;
    let mut line = line.inspect_err(|why| under_way.ended(heard(*why)))?;
    let mut request = http::Request::from_parts(asked.request.clone(), asked.body.clone());
    if !asked.body.is_empty() {
        let length = HeaderValue::from(asked.body.len());
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    let answer = tokio::time::timeout(FIRST_BYTE_WITHIN, line.ask(request)).await;
    let answer = answer.unwrap_or(Err(NoAnswer::TooSlow));
    let answer = answer.inspect_err(|why| under_way.ended(heard(*why)))?;
    let first_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    under_way.says();
    let (head, body) = answer.into_parts();
    Ok(Begun {
        head,
        body,
        line,
        under_way,
        first_ms,
    })
}

/// The answer is passed on as it comes; the seat is taken until it is whole, or nobody reads it any more.
fn response(begun: Begun, seat: Seat) -> Response {
    let Begun { head, body, .. } = begun;
    let streamed = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let held = (begun.line, seat);
    let body = counted::body(body, held, begun.under_way, begun.first_ms, streamed);
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = head.status;
    pass_on(&head.headers, response.headers_mut());
    response.extensions_mut().insert(Carried);
    response
}

const fn heard(why: NoAnswer) -> Heard {
    if why.is_late() {
        Heard::Late
    } else {
        Heard::Failed
    }
}

fn pass_on(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let of_family = |family: &&str| name.as_str().starts_with(family);
        if PASSED.contains(name) || PASSED_FAMILIES.iter().any(of_family) {
            to.append(name.clone(), value.clone());
        }
    }
    let kind = to.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let harmless = kind.is_some_and(|kind| KINDS.iter().any(|known| kind.starts_with(known)));
    if !harmless {
        to.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
    }
    to.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    to.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    use super::{head, may_be_repeated, pass_on};
    use http::{HeaderMap, HeaderValue, Method, Request};

    #[test]
    fn only_what_changes_nothing_is_asked_twice() {
        assert!(may_be_repeated(&Method::GET, "anything"));
        assert!(may_be_repeated(&Method::POST, "v1/chat/completions"));
        assert!(!may_be_repeated(&Method::POST, "v1/files"));
        assert!(!may_be_repeated(&Method::POST, "completions"));
    }

    #[test]
    fn a_request_is_carried_without_what_proves_who_asks() {
        let request = Request::get("/api/v1/endpoints/job_1/v1/models%2Fx?a=b%20c")
            .header("authorization", "Bearer secret")
            .header("cookie", "session=1")
            .header("connection", "keep-alive")
            .header("x-own", "1")
            .body(())
            .expect("a request");
        let (parts, ()) = request.into_parts();
        let head = head(&parts, "v1/models/x", 8_000).expect("a head");
        assert_eq!(head.uri, "/v1/models%2Fx?a=b%20c");
        assert_eq!(head.headers.len(), 2, "{:?}", head.headers);
        assert_eq!(head.headers["host"], "127.0.0.1:8000");
    }

    #[test]
    fn a_strangers_page_is_only_bytes() {
        let mut from = HeaderMap::new();
        from.insert("content-type", HeaderValue::from_static("text/html"));
        let mut to = HeaderMap::new();
        pass_on(&from, &mut to);
        assert_eq!(to["content-type"], "application/octet-stream");
        assert_eq!(to["content-security-policy"], "default-src 'none'; sandbox");
        assert_eq!(to["x-content-type-options"], "nosniff");
        assert_eq!(to.len(), 3);
    }

    #[test]
    fn an_answer_tells_a_browser_nothing_about_the_portals_origin() {
        let mut from = HeaderMap::new();
        for name in [
            "accept-ch",
            "access-control-allow-origin",
            "alt-svc",
            "clear-site-data",
            "content-length",
            "link",
            "location",
            "nel",
            "refresh",
            "report-to",
            "reporting-endpoints",
            "service-worker-allowed",
            "set-cookie",
            "strict-transport-security",
            "www-authenticate",
            "x-own",
        ] {
            from.insert(name, HeaderValue::from_static("x"));
        }
        let kept = [
            "cache-control",
            "etag",
            "openai-processing-ms",
            "retry-after",
            "vary",
            "x-ratelimit-remaining-tokens",
            "x-request-id",
        ];
        for name in kept {
            from.insert(name, HeaderValue::from_static("x"));
        }
        from.insert("content-type", HeaderValue::from_static("application/json"));
        from.insert("x-content-type-options", HeaderValue::from_static("x"));
        let mut to = HeaderMap::new();
        pass_on(&from, &mut to);
        assert!(kept.iter().all(|name| to.contains_key(*name)), "{to:?}");
        assert_eq!(to["content-type"], "application/json");
        assert_eq!(to["x-content-type-options"], "nosniff");
        assert_eq!(to.len(), kept.len() + 3, "{to:?}");
    }
}
