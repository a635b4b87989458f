//! A requester's jobs: inputs in, jobs, what they said and left.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use exchange::{Exchange, LogSearch};
use futures::TryStreamExt;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use http::{HeaderValue, StatusCode};
use kernel::{ArtefactId, DeviceId, JobId, QuoteId};
use protocol::spec::{BUNDLE_BYTES_MAX, from_toml};
use protocol::view::{
    BundleView, JobSummary, JobView, LogFound, LogPage, Page, ReceiptView, SampleView, Stream,
};
use protocol::{Code, JobSpec};
use serde::Deserialize;
use tokio_util::io::{ReaderStream, StreamReader};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Once, PageQuery, Refusals, bounded};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Ids, Query, has_type};
use crate::http::problem::{Chain, Refused, in_spec};

const LOG_LIMIT_MAX: u32 = 2_000;
const LOG_LIMIT_DEFAULT: u32 = 500;

/// Takes a tar of inputs and answers with its hash, which a job names in `bundle`.
#[utoipa::path(post, path = "/api/v1/bundles", tag = "jobs",
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 201, body = BundleView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn bundle(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    request: Request,
) -> Result<(StatusCode, Json<BundleView>), Refused> {
    if !has_type(&request, "application/x-tar") && !has_type(&request, "application/octet-stream") {
        return Err(Refused::new(
            Code::Invalid,
            "Send a tar, with Content-Type: application/x-tar.",
        )
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if crate::http::content_length(request.headers())
        .is_some_and(|length| length > BUNDLE_BYTES_MAX)
    {
        return Err(Refused::new(
            Code::TooLarge,
            format!("A bundle may have at most {BUNDLE_BYTES_MAX} bytes."),
        ));
    }
    let view = exchange
        .put_bundle(&actor, reader(request.into_body()))
        .await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// A body as the exchange reads files.
pub fn reader(body: Body) -> impl tokio::io::AsyncRead + Unpin + Send {
    StreamReader::new(Box::pin(
        body.into_data_stream().map_err(std::io::Error::other),
    ))
}

/// A job to run. `device` chooses an offer; without it the cheapest that matches is taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    spec: JobSpec,
    #[serde(default)]
    device: Option<DeviceId>,
    /// A quote that holds: the job runs at its prices. Its specification and device must be those that were quoted.
    #[serde(default)]
    quote: Option<QuoteId>,
}

/// Beside a `job.toml`, which has no place for the device.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubmitQuery {
    /// The offer to take; for `application/toml` only, JSON names it in its body.
    #[param(value_type = Option<DeviceId>)]
    device: Option<String>,
}

/// Sends a job. With an `Idempotency-Key`, sending it again answers with the same job.
#[utoipa::path(post, path = "/api/v1/jobs", tags = ["jobs", "money"], params(SubmitQuery, Once),
    request_body(content((NewJob = "application/json"), (String = "application/toml"))),
    responses((status = 201, body = JobView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn submit(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(query): Query<SubmitQuery>,
    once: Once,
    request: Request,
) -> Result<(StatusCode, Json<JobView>), Refused> {
    let at_root = has_type(&request, "application/toml");
    let new = new_job(query, request).await?;
    let job = exchange
        .submit_quoted(&actor, new.spec, new.device, new.quote, once.key())
        .await
        .map_err(if at_root { Refused::from } else { in_spec })?;
    Ok((StatusCode::CREATED, Json(job)))
}

async fn new_job(query: SubmitQuery, request: Request) -> Result<NewJob, Refused> {
    let chosen = query
        .device
        .map(|text| text.parse::<DeviceId>())
        .transpose();
    let chosen = chosen.map_err(|error| Refused::field("device", error.to_string()))?;
    if has_type(&request, "application/toml") {
        let bytes = extract::body(request).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Refused::new(Code::Invalid, "The body is not UTF-8.")
                .with_status(StatusCode::BAD_REQUEST)
        })?;
        let spec = from_toml(text).map_err(Refused::fields)?;
        return Ok(NewJob {
            spec,
            device: chosen,
            quote: None,
        });
    }
    if chosen.is_some() {
        return Err(Refused::field("device", "name it in the JSON body"));
    }
    let extract::Json(new) = extract::Json::<NewJob>::from_request(request, &()).await?;
    Ok(new)
}

/// The account's jobs, newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(PageQuery),
    responses((status = 200, body = Page<JobSummary>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(page): Query<PageQuery>,
) -> Answer<Page<JobSummary>> {
    let (before, limit) = page.read()?;
    Ok(Json(exchange.jobs(&actor, before, limit).await?))
}

/// One job with its leases, events and artefacts.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = JobView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn one(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<JobView> {
    Ok(Json(exchange.job(&actor, id).await?))
}

/// Stops a job. Seconds delivered until then are charged, the rest of its hold comes back.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = JobView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn stop(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<JobView> {
    Ok(Json(exchange.stop(&actor, id).await?))
}

/// From where to read on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// The `next` of the page before; 0, or nothing, from the start.
    after: Option<u64>,
    /// 1 to 2000 chunks; 500 without.
    #[param(minimum = 1, maximum = 2000)]
    limit: Option<u32>,
}

/// What the job printed, oldest first.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/logs", tag = "jobs", params(("id" = JobId, Path), LogQuery),
    responses((status = 200, body = LogPage), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn logs(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<LogQuery>,
) -> Answer<LogPage> {
    let limit = bounded(query.limit, LOG_LIMIT_MAX, LOG_LIMIT_DEFAULT)?;
    Ok(Json(
        exchange
            .logs(&actor, id, query.after.unwrap_or(0), limit)
            .await?,
    ))
}

/// What is looked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// 1 to 200 characters; upper and lower case are alike.
    q: String,
    /// `stdout`, `stderr` or `note`; all without.
    stream: Option<Stream>,
    /// Which of the places is shown, from 1; the last when there are fewer.
    at: Option<usize>,
}

/// How often a text stands in the log, and the lines around one of the places.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/logs/search", tag = "jobs", params(("id" = JobId, Path), SearchQuery),
    responses((status = 200, body = LogFound), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn search(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<SearchQuery>,
) -> Answer<LogFound> {
    let search = LogSearch {
        text: query.q,
        stream: query.stream,
        at: query.at.unwrap_or(1),
    };
    Ok(Json(exchange.search_log(&actor, id, &search).await?))
}

/// Which of a log's streams.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WholeQuery {
    /// `stdout`, `stderr` or `note`; all without.
    stream: Option<Stream>,
}

/// The whole log as text, as it was printed.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/log", tag = "jobs", params(("id" = JobId, Path), WholeQuery),
    responses((status = 200, content_type = "text/plain", body = String), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn whole_log(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<WholeQuery>,
) -> Result<Response, Refused> {
    // The first page before the answer: whoever may not read it is told so.
    let first = exchange.logs(&actor, id, 0, LOG_LIMIT_MAX).await?;
    let stream = query.stream;
    let pages = futures::stream::try_unfold(Some(first), move |page| {
        let (exchange, actor) = (exchange.clone(), actor.clone());
        async move {
            let Some(page) = page else {
                return Ok::<_, exchange::Error>(None);
            };
            let lines = page.lines.iter();
            let lines = lines.filter(|line| stream.is_none_or(|stream| stream == line.stream));
            let text: String = lines.map(|line| line.text.as_str()).collect();
            let next = if page.more {
                Some(exchange.logs(&actor, id, page.next, LOG_LIMIT_MAX).await?)
            } else {
                None
            };
            Ok(Some((text, next)))
        }
    });
    let mut response = Body::from_stream(pages).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    let name = HeaderValue::from_str(&disposition(&format!("{id}.log")));
    headers.insert(
        CONTENT_DISPOSITION,
        name.unwrap_or(HeaderValue::from_static("attachment")),
    );
    Ok(response)
}

/// Utilisation and parsed metrics over the job's life, thinned to at most 600 points.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/samples", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Vec<SampleView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn samples(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<Vec<SampleView>> {
    Ok(Json(exchange.samples(&actor, id).await?))
}

/// The countersigned receipts, oldest first, with the keys that check them.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/receipts", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Vec<ReceiptView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn receipts(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<Vec<ReceiptView>> {
    Ok(Json(exchange.receipts(&actor, id).await?))
}

/// A file that the job left behind.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/artefacts/{artefact}", tag = "jobs",
    params(("id" = JobId, Path), ("artefact" = ArtefactId, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn artefact(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Ids(job, id): Ids<JobId, ArtefactId>,
) -> Result<Response, Refused> {
    let (view, path) = exchange.artefact(&actor, job, id).await?;
    let mut response = send_file(&path).await?;
    let disposition = HeaderValue::from_str(&disposition(&view.path));
    response.headers_mut().insert(
        CONTENT_DISPOSITION,
        disposition.unwrap_or(HeaderValue::from_static("attachment")),
    );
    Ok(response)
}

/// How a row of frames is shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AnimationQuery {
    /// Frames a second, 1 to 60; 12 without.
    #[param(minimum = 1, maximum = 60)]
    fps: Option<u32>,
    /// Only the first so many; all without.
    frames: Option<u32>,
}

/// The frames that a job has left so far, of all its members (`frames/….png`, by name), as one moving picture (APNG).
#[utoipa::path(get, path = "/api/v1/jobs/{id}/animation", tag = "jobs", params(("id" = JobId, Path), AnimationQuery),
    responses((status = 200, content_type = "image/png", body = Vec<u8>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn animation(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<AnimationQuery>,
) -> Result<Response, Refused> {
    let fps = match query.fps {
        None => 12,
        Some(fps @ 1..=60) => u16::try_from(fps).unwrap_or(12),
        Some(_) => return Err(Refused::field("fps", "a whole number from 1 to 60")),
    };
    let moving = exchange.animation(&actor, id, fps, query.frames).await?;
    Ok(shown("image/png", moving.into_response()))
}

/// A picture that a job left (PNG, JPEG, GIF or WebP, by what is in it), to be shown in a page.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/pictures/{artefact}", tag = "jobs",
    params(("id" = JobId, Path), ("artefact" = ArtefactId, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn picture(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Ids(job, id): Ids<JobId, ArtefactId>,
) -> Result<Response, Refused> {
    let (kind, path) = exchange.picture(&actor, job, id).await?;
    Ok(shown(kind, send_file(&path).await?))
}

/// What a stranger's job wrote is shown as a picture and as nothing else, wherever it is opened.
fn shown(kind: &'static str, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=600"),
    );
    response
}

/// Always a download, under its own last name: what a stranger's job wrote is never shown as a page of ours.
pub fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or("artefact");
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | ';') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let whole: String = form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20");
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

/// # Errors
/// `internal` when a file that the books know of cannot be read.
pub async fn send_file(path: &std::path::Path) -> Result<Response, Refused> {
    let opened = async {
        let file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        Ok::<_, std::io::Error>((file, length))
    };
    let (file, length) = opened.await.map_err(|error| {
        tracing::error!(path = %path.display(), error = %Chain(&error), "a stored file cannot be read");
        Refused::new(Code::Internal, "The file is not readable on our side. Try again later.")
    })?;
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_downloads_name_cannot_leave_its_quotes() {
        let text = disposition("out/é\"; filename=\"evil.html");
        assert!(HeaderValue::from_str(&text).is_ok(), "{text}");
        assert_eq!(text.matches('"').count(), 2, "{text}");
        assert!(disposition("model/final.npz").contains("filename=\"final.npz\""));
    }
}
