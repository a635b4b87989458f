//! What a new machine needs to join: `/install.sh`, and the worker's program at `/download/iog-worker-ARCH`, whose SHA-256
//! stands in the script.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use protocol::Code;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::problem::Refused;
use super::rest::send_file;

const SCRIPT: &str = include_str!("install.sh");
/// As `uname -m` says them.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// Size, time and SHA-256 of a file.
type Known = (u64, Option<SystemTime>, String);

/// Where the workers' programs lie.
#[derive(Debug)]
pub struct Installer {
    directory: PathBuf,
    server: String,
    /// Size and time of a file whose SHA-256 is known.
    known: Mutex<HashMap<PathBuf, Known>>,
}

impl Installer {
    /// `directory` holds `iog-worker-ARCH` for each architecture, or `iog-worker` for the server's own; without one, the
    /// directory of the server's program.
    pub fn new(directory: Option<PathBuf>, server: &str) -> Self {
        let own = || {
            let program = std::env::current_exe().ok()?;
            program.parent().map(Path::to_owned)
        };
        Self {
            directory: directory.or_else(own).unwrap_or_default(),
            server: server.to_owned(),
            known: Mutex::default(),
        }
    }

    fn program(&self, architecture: &str) -> Option<PathBuf> {
        if !ARCHITECTURES.contains(&architecture) {
            return None;
        }
        let named = self.directory.join(format!("iog-worker-{architecture}"));
        let own = self.directory.join("iog-worker");
        if named.is_file() {
            Some(named)
        } else {
            Some(own).filter(|own| architecture == std::env::consts::ARCH && own.is_file())
        }
    }

    async fn sha256(&self, path: &Path) -> std::io::Result<String> {
        let mut file = tokio::fs::File::open(path).await?;
        let about = file.metadata().await?;
        let stamp = (about.len(), about.modified().ok());
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((size, time, sum)) = known.get(path)
                && (*size, *time) == stamp
            {
                return Ok(sum.clone());
            }
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = file.read(&mut buffer).await?;
            match buffer.get(..count) {
                Some(bytes) if !bytes.is_empty() => hash.update(bytes),
                _ => break,
            }
        }
        let sum = hex::encode(hash.finalize());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_owned(), (stamp.0, stamp.1, sum.clone()));
        Ok(sum)
    }
}

/// The script that installs a worker.
pub async fn script(State(installer): State<Arc<Installer>>) -> Response {
    let mut programs = Vec::new();
    for architecture in ARCHITECTURES {
        if let Some(path) = installer.program(architecture)
            && let Ok(sum) = installer.sha256(&path).await
        {
            programs.push(format!("{architecture} {sum}"));
        }
    }
    // Both come from the configuration and the disk; neither can hold a quote (an origin, hexadecimal digits).
    let text = SCRIPT
        .replace("@SERVER@", &installer.server)
        .replace("@PROGRAMS@", &programs.join("\n"));
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/x-shellscript; charset=utf-8"),
    );
    // A script and a program of two versions would not fit.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The worker's program for an architecture.
///
/// # Errors
/// This server has none.
pub async fn program(
    State(installer): State<Arc<Installer>>,
    UrlPath(name): UrlPath<String>,
) -> Result<Response, Refused> {
    let found = name
        .strip_prefix("iog-worker-")
        .and_then(|architecture| installer.program(architecture));
    let Some(path) = found else {
        let message = "There is no such program here; /install.sh names those that are.";
        return Err(Refused::new(Code::NotFound, message));
    };
    let mut response = send_file(&path).await?;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
