//! A running job's files: looked at, fetched and put there while it works.

use axum::Json;
use axum::body::Body;
use axum::extract::ws::Message;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes, BytesMut};
use exchange::{Place, Reach};
use futures::TryStreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use kernel::JobId;
use protocol::Code;
use protocol::tunnel::{
    Door, FILE_BYTES_MAX, FileAnswer, FileWish, Listing, MAIN, TUNNEL_FRAME_MAX, is_job_path,
};
use protocol::view::Scope;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, timeout};
use utoipa::{IntoParams, ToSchema};

use super::{Tunnel, receive};
use crate::auth::Signed;
use crate::http::content_length;
use crate::http::extract::{Id, Query};
use crate::http::problem::Refused;
use crate::http::rest::{Refusals, disposition};
use crate::state::AppState;

/// A listing has at most a thousand names of 255 bytes.
const ANSWER_MAX: usize = 1024 * 1024;
/// Nothing comes, or nothing is taken, for so long: given up.
const STALLED: Duration = Duration::from_secs(30);

/// Which file.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// Relative to the job's working directory, `out/model.bin`; nothing: the directory itself.
    #[serde(default)]
    path: String,
    /// Which of the job's machines; 0 without.
    #[serde(default)]
    member: u32,
}

/// A file that was put into a job.
#[derive(Serialize, ToSchema)]
pub struct StoredView {
    path: String,
    size_bytes: u64,
}

impl FileQuery {
    async fn place(
        &self,
        state: &AppState,
        actor: &exchange::Actor,
        id: JobId,
        scope: Scope,
    ) -> Result<Place, Refused> {
        if !is_job_path(&self.path) {
            return Err(Refused::field(
                "path",
                "a relative path of at most 255 bytes without ..",
            ));
        }
        Ok(state
            .exchange
            .job_place(actor, id, self.member, scope)
            .await?)
    }
}

/// What a directory of a running job holds.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/workdir", tag = "jobs", params(("id" = JobId, Path), FileQuery),
    responses((status = 200, body = Listing), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(state): State<AppState>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<FileQuery>,
) -> Result<Json<Listing>, Refused> {
    let place = query.place(&state, &actor, id, Scope::Read).await?;
    listing(&state, &place, query.path).await.map(Json)
}

/// The same for a page.
///
/// # Errors
/// The job's machine does not answer, or there is no such directory.
pub async fn listing(state: &AppState, place: &Place, path: String) -> Result<Listing, Refused> {
    let wish = FileWish::List { path };
    let mut line = Line::open(state, place, wish).await?;
    match line.answer().await? {
        FileAnswer::List(listing) => Ok(listing),
        other => Err(refusal(other)),
    }
}

/// A file of a running job, as it is at this moment.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/workdir/file", tag = "jobs", params(("id" = JobId, Path), FileQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Refusals),
    security(("key" = ["read"]), ("session" = [])))]
pub async fn get(
    State(state): State<AppState>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<FileQuery>,
) -> Result<Response, Refused> {
    let place = query.place(&state, &actor, id, Scope::Read).await?;
    let reach = Reach::FilesRead(place.job, place.member);
    state.exchange.reached(Some(&actor), reach).await?;
    let path = query.path.clone();
    let mut line = Line::open(&state, &place, FileWish::Get { path }).await?;
    let size = match line.answer().await? {
        FileAnswer::File { size } => size,
        other => return Err(refusal(other)),
    };
    let body = futures::stream::try_unfold((line, size), |(mut line, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = line.bytes().await.ok_or_else(|| {
            std::io::Error::other("the file broke off: the job ended, or its machine is gone")
        })?;
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        piece.truncate(most);
        let left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        Ok::<_, std::io::Error>(Some((piece, (line, left))))
    });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    let name = HeaderValue::from_str(&disposition(&query.path));
    headers.insert(
        CONTENT_DISPOSITION,
        name.unwrap_or(HeaderValue::from_static("attachment")),
    );
    Ok(response)
}

/// Puts a file into a running job, whole: the job sees it when all of it is there.
#[utoipa::path(put, path = "/api/v1/jobs/{id}/workdir/file", tag = "jobs", params(("id" = JobId, Path), FileQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = StoredView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn put(
    State(state): State<AppState>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<FileQuery>,
    request: Request,
) -> Result<(StatusCode, Json<StoredView>), Refused> {
    let place = query.place(&state, &actor, id, Scope::Jobs).await?;
    if query.path.is_empty() {
        return Err(Refused::field("path", "name the file"));
    }
    let size = content_length(request.headers()).ok_or_else(|| {
        Refused::new(
            Code::Invalid,
            "Say how long the file is: Content-Length is missing.",
        )
        .with_status(StatusCode::LENGTH_REQUIRED)
    })?;
    if size > FILE_BYTES_MAX {
        let why = format!("A file may have at most {FILE_BYTES_MAX} bytes.");
        return Err(Refused::new(Code::TooLarge, why));
    }
    let path = query.path.clone();
    let mut line = Line::open(&state, &place, FileWish::Put { path, size }).await?;
    let mut body = request.into_body().into_data_stream();
    while let Some(piece) = body.try_next().await.map_err(|_| {
        Refused::new(Code::Invalid, "The upload broke off; send it again.")
            .with_status(StatusCode::BAD_REQUEST)
    })? {
        if !line.send(piece).await {
            // It has said why.
            break;
        }
    }
    match line.answer().await? {
        FileAnswer::Stored { size } => {
            state
                .exchange
                .file_stored(&actor, &place, &query.path, size)
                .await?;
            let stored = StoredView {
                path: query.path,
                size_bytes: size,
            };
            Ok((StatusCode::CREATED, Json(stored)))
        }
        other => Err(refusal(other)),
    }
}

fn refusal(answer: FileAnswer) -> Refused {
    match answer {
        FileAnswer::Missing => Refused::new(Code::NotFound, "The job has no such file (any more)."),
        FileAnswer::Unfit { why } => Refused::new(Code::Conflict, super::sentence(&why)),
        FileAnswer::Failed { why } => Refused::new(Code::Unavailable, super::sentence(&why)),
        FileAnswer::List(_)
        | FileAnswer::File { .. }
        | FileAnswer::Stored { .. }
        | FileAnswer::Finished { .. } => broken(),
    }
}

fn broken() -> Refused {
    Refused::new(
        Code::Unavailable,
        "The line to the job's machine broke off. Try again.",
    )
}

/// A tunnel to a job's files.
struct Line {
    tunnel: Tunnel,
    /// Came behind the answer.
    rest: BytesMut,
}

impl Line {
    async fn open(state: &AppState, place: &Place, wish: FileWish) -> Result<Self, Refused> {
        let door = Door::Files(wish);
        let tunnel = state.tunnels.open(&state.exchange, place, door).await?;
        let rest = BytesMut::new();
        Ok(Self { tunnel, rest })
    }

    async fn answer(&mut self) -> Result<FileAnswer, Refused> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end.saturating_add(1));
                return serde_json::from_slice(&line).map_err(|_| broken());
            }
            if self.rest.len() > ANSWER_MAX {
                return Err(broken());
            }
            let piece = timeout(STALLED, receive(&mut self.tunnel.socket)).await;
            let piece = piece.ok().flatten().ok_or_else(broken)?;
            self.rest.extend_from_slice(&piece);
        }
    }

    /// What comes next of the file.
    async fn bytes(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            timeout(STALLED, receive(&mut self.tunnel.socket))
                .await
                .ok()?
        } else {
            Some(self.rest.split().freeze())
        }
    }

    /// False when the other side takes no more.
    async fn send(&mut self, mut piece: Bytes) -> bool {
        while piece.has_remaining() {
            let next = piece.split_to(piece.len().min(TUNNEL_FRAME_MAX / 2));
            let mut frame = BytesMut::with_capacity(next.len().saturating_add(1));
            frame.extend_from_slice(&[MAIN]);
            frame.extend_from_slice(&next);
            let sent = self.tunnel.socket.send(Message::Binary(frame.freeze()));
            if !matches!(timeout(STALLED, sent).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }
}
