//! Releases of the worker, as they lie in a directory: a worker asks for the newest of its kind, checks the signature itself, and
//! fetches the program. The server signs nothing and needs no key for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use protocol::Code;
use protocol::release::Release;
use serde::Deserialize;

use super::extract::Query;
use super::problem::Refused;
use super::rest::send_file;

const SUFFIX: &str = ".release.json";
/// More than this in a directory is not looked at.
const FILES_MAX: usize = 1_000;

/// Where they lie; absent: there are none.
#[derive(Debug, Clone)]
pub struct Releases(pub Option<Arc<PathBuf>>);

/// Each release with its program, as far as both are there and of the stated size.
async fn all(directory: &Path) -> std::io::Result<Vec<(Release, PathBuf)>> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(program) = name
            .strip_suffix(SUFFIX)
            .filter(|program| !program.is_empty())
        else {
            continue;
        };
        let program = directory.join(program);
        let text = tokio::fs::read_to_string(entry.path()).await?;
        let release = serde_json::from_str::<Release>(&text)
            .ok()
            .filter(Release::is_formed);
        let size = tokio::fs::metadata(&program)
            .await
            .map(|about| about.len())
            .ok();
        match release {
            Some(release) if size == Some(release.size_bytes) => found.push((release, program)),
            _ => tracing::warn!(name, "a release is not whole: it is passed over"),
        }
        if found.len() >= FILES_MAX {
            break;
        }
    }
    Ok(found)
}

fn none() -> Refused {
    Refused::new(Code::NotFound, "There is no such release here.")
}

impl Releases {
    async fn find(&self, fits: impl Fn(&Release) -> bool) -> Result<(Release, PathBuf), Refused> {
        let Some(directory) = &self.0 else {
            return Err(none());
        };
        let all = all(directory).await.map_err(|error| {
            tracing::error!(%error, directory = %directory.display(), "releases cannot be read");
            none()
        })?;
        let fitting = all.into_iter().filter(|(release, _)| fits(release));
        fitting
            .max_by_key(|(release, _)| release.version())
            .ok_or_else(none)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    target: String,
}

/// `GET /api/v1/worker/release?target=…`: the newest for this kind of machine.
///
/// # Errors
/// There is none.
pub async fn newest(
    State(releases): State<Releases>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Release>, Refused> {
    let found = releases
        .find(|release| release.target == wanted.target)
        .await?;
    Ok(Json(found.0))
}

/// `GET /api/v1/worker/release/{sha256}`: its program.
///
/// # Errors
/// No release has it.
pub async fn program(
    State(releases): State<Releases>,
    axum::extract::Path(sha256): axum::extract::Path<String>,
) -> Result<Response, Refused> {
    let (_, path) = releases.find(|release| release.sha256 == sha256).await?;
    send_file(&path).await
}
