//! A lease's files over HTTP: its bundle down (checked against its hash), its artefacts up.

use std::fs::File;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use kernel::LeaseId;
use protocol::spec::{BUNDLE_BYTES_MAX, is_inner_path};
use protocol::worker::{ARTEFACTS_MAX, CHECKPOINT_PREFIX, CheckpointFile};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tokio_util::io::ReaderStream;

use crate::early::Sent;

/// A server that restarts is waited for so long: longer than any lease goes on without it.
const AGAIN_WITHIN: Duration = Duration::from_secs(90);
/// What came damaged once may come whole; a bundle that is wrong stays wrong.
const WRONG_WITHIN: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// No progress for so long ends an attempt.
const STALLED: Duration = Duration::from_secs(20);

/// The exchange's file routes for one lease.
#[derive(Debug, Clone)]
pub struct Files {
    pub client: Client,
    pub server: String,
    pub token: String,
}

/// A client without a limit on the whole transfer, but on each wait.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(STALLED)
        .build()
}

/// Why a file did not travel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The file itself is not what the job names.
    #[error("{0}")]
    Wrong(String),
    /// Refused by the server or by this machine's disk: trying again cannot help.
    #[error("{0}")]
    Refused(String),
    /// The server or the line to it is away, perhaps not for long.
    #[error("{0}")]
    Again(String),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(format!("this worker's disk: {error}"))
    }
}

impl Files {
    /// Fetches the bundle with this hash into `to`.
    ///
    /// # Errors
    /// Why not, after a server that is away was waited for.
    pub async fn fetch(&self, hash: &str, to: &Path) -> Result<(), Failure> {
        let url = address(&self.server, &["bundles", hash], None)?;
        retry(|| self.fetch_once(&url, hash, to)).await
    }

    /// Fetches what a job left when it last ran, and makes a tar of it.
    ///
    /// # Errors
    /// Why not, after a server that is away was waited for.
    pub async fn fetch_checkpoint(
        &self,
        lease: LeaseId,
        files: &[CheckpointFile],
        to: &Path,
    ) -> Result<(), Failure> {
        let mut parts = Vec::with_capacity(files.len());
        for (n, file) in files.iter().enumerate() {
            if !is_inner_path(&file.path) {
                return Err(Failure::Wrong(format!("{} is no path here", file.path)));
            }
            let names = ["artefacts", &lease.to_string()];
            let url = address(&self.server, &names, Some(&file.path))?;
            let part = to.with_extension(format!("part-{n}"));
            retry(|| self.fetch_once(&url, &file.sha256, &part)).await?;
            parts.push((part, file.path.clone()));
        }
        let to = to.to_owned();
        let packed = tokio::task::spawn_blocking(move || pack(&to, &parts)).await;
        packed.map_err(|error| Failure::Refused(error.to_string()))??;
        Ok(())
    }

    async fn fetch_once(&self, url: &Url, hash: &str, to: &Path) -> Result<(), Failure> {
        let response = self
            .client
            .get(url.clone())
            .bearer_auth(&self.token)
            .send()
            .await?;
        accepted(response.status())?;
        let mut file = tokio::fs::File::create(to).await?;
        let mut digest = Sha256::new();
        let mut size = 0_u64;
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            size = size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if size > BUNDLE_BYTES_MAX {
                return Err(Failure::Wrong(format!(
                    "it is larger than {BUNDLE_BYTES_MAX} bytes"
                )));
            }
            digest.update(&bytes);
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        if hex::encode(digest.finalize()) == hash {
            Ok(())
        } else {
            Err(Failure::Wrong(
                "what came does not have the hash that the job names".to_owned(),
            ))
        }
    }

    /// Sends each file of the artefacts' tar that was not sent as it is, and notes what was. Answers a remark for each that could
    /// not be sent.
    pub async fn upload(&self, lease: LeaseId, tar: &Path, sent: &mut Sent) -> Vec<String> {
        let listing = {
            let tar = tar.to_owned();
            tokio::task::spawn_blocking(move || list(&tar)).await
        };
        let entries = match listing {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => return vec![format!("The artefacts cannot be read: {error}")],
            Err(error) => return vec![format!("The artefacts cannot be read: {error}")],
        };
        let mut remarks = Vec::new();
        // A checkpoint comes last and has its place all the same.
        let is_checkpoint = |entry: &Entry| entry.path.starts_with(CHECKPOINT_PREFIX);
        let others = ARTEFACTS_MAX
            .saturating_sub(entries.iter().filter(|entry| is_checkpoint(entry)).count());
        if entries.len() > ARTEFACTS_MAX {
            remarks.push(format!("Only the first {ARTEFACTS_MAX} of {} files are kept, the checkpoint's before others; pack many small ones into one.", entries.len()));
        }
        let kept = entries
            .iter()
            .enumerate()
            .filter(|(at, entry)| *at < others || is_checkpoint(entry));
        for (count, entry) in kept.take(ARTEFACTS_MAX) {
            let hash = {
                let (tar, from, size) = (tar.to_owned(), entry.position, entry.size);
                tokio::task::spawn_blocking(move || hash(&tar, from, size)).await
            };
            let hash = hash.map_or_else(|_| String::new(), Result::unwrap_or_default);
            if !hash.is_empty() && sent.get(&entry.path) == Some(&hash) {
                continue;
            }
            let Err(failure) = self.upload_one(lease, tar, entry).await else {
                sent.insert(entry.path.clone(), hash);
                continue;
            };
            if matches!(failure, Failure::Again(_)) {
                // It was waited for long enough with this one.
                let left = entries.len() - count;
                remarks.push(format!(
                    "{left} files from {} on were not kept: {failure}",
                    entry.path
                ));
                break;
            }
            remarks.push(format!("The file {} was not kept: {failure}", entry.path));
        }
        remarks
    }

    async fn upload_one(&self, lease: LeaseId, tar: &Path, entry: &Entry) -> Result<(), Failure> {
        if !is_inner_path(&entry.path) {
            return Err(Failure::Wrong("its name cannot be a path here".to_owned()));
        }
        let url = address(
            &self.server,
            &["artefacts", &lease.to_string()],
            Some(&entry.path),
        )?;
        retry(|| async {
            let mut file = tokio::fs::File::open(tar).await?;
            file.seek(SeekFrom::Start(entry.position)).await?;
            let body = reqwest::Body::wrap_stream(ReaderStream::new(file.take(entry.size)));
            let request = self.client.put(url.clone()).bearer_auth(&self.token);
            let response = request
                .header("content-length", entry.size)
                .body(body)
                .send()
                .await?;
            let status = response.status();
            if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
                let detail = response
                    .json::<protocol::Problem>()
                    .await
                    .map(|problem| problem.detail);
                return Err(Failure::Refused(
                    detail.unwrap_or_else(|_| format!("refused ({status})")),
                ));
            }
            accepted(status)
        })
        .await
    }
}

/// A tar of files under the names that they had in the job's output; the files go.
fn pack(to: &Path, parts: &[(PathBuf, String)]) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(File::create(to)?);
    for (part, name) in parts {
        tar.append_path_with_name(part, name)?;
        std::fs::remove_file(part)?;
    }
    tar.into_inner().map(drop)
}

fn address(server: &str, parts: &[&str], path: Option<&str>) -> Result<Url, Failure> {
    let mut url = Url::parse(&format!("{server}/api/v1/worker"))
        .map_err(|error| Failure::Refused(error.to_string()))?;
    url.path_segments_mut()
        .map_err(|()| Failure::Refused("the server's address takes no path".to_owned()))?
        .extend(parts);
    if let Some(path) = path {
        url.query_pairs_mut().append_pair("path", path);
    }
    Ok(url)
}

fn accepted(status: StatusCode) -> Result<(), Failure> {
    if status.is_success() {
        Ok(())
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Err(Failure::Again(format!("the server answered {status}")))
    } else {
        Err(Failure::Refused(format!("the server answered {status}")))
    }
}

async fn retry<F: Future<Output = Result<(), Failure>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(Failure::Again(_)) if begun.elapsed() < AGAIN_WITHIN => {}
            Err(Failure::Wrong(_)) if begun.elapsed() < WRONG_WITHIN => {}
            result => return result,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: String,
    position: u64,
    size: u64,
}

/// Of a piece of a file.
fn hash(file: &Path, from: u64, size: u64) -> std::io::Result<String> {
    let mut file = File::open(file)?;
    std::io::Seek::seek(&mut file, SeekFrom::Start(from))?;
    let mut digest = Sha256::new();
    let mut rest = std::io::Read::take(file, size);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match std::io::Read::read(&mut rest, &mut piece)? {
            0 => return Ok(hex::encode(digest.finalize())),
            count => digest.update(piece.get(..count).unwrap_or_default()),
        }
    }
}

fn list(tar: &PathBuf) -> std::io::Result<Vec<Entry>> {
    let mut archive = tar::Archive::new(File::open(tar)?);
    let mut entries = Vec::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        entries.push(Entry {
            path: entry.path()?.to_string_lossy().into_owned(),
            position: entry.raw_file_position(),
            size: entry.size(),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_where_they_lie_in_the_tar() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("tar");
        let mut tar = tar::Builder::new(File::create(&path).expect("create"));
        for (name, content) in [("a", "xx"), ("sub/b", "yyy")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes())
                .expect("append");
        }
        tar.into_inner().expect("tar");
        let whole = std::fs::read(&path).expect("read");
        let entries = list(&path).expect("list");
        let content = |entry: &Entry| {
            let from = usize::try_from(entry.position).expect("small");
            whole[from..from + usize::try_from(entry.size).expect("small")].to_vec()
        };
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.path.as_str())
                .collect::<Vec<_>>(),
            ["a", "sub/b"]
        );
        assert_eq!(
            (content(&entries[0]), content(&entries[1])),
            (b"xx".to_vec(), b"yyy".to_vec())
        );
    }

    /// Answers how many seconds were spent on a fault that stays, and how it ended.
    async fn tried(fault: fn() -> Failure) -> (u64, Result<(), Failure>) {
        let begun = Instant::now();
        let result = retry(|| async { Err(fault()) }).await;
        (begun.elapsed().as_secs(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarting_server_is_waited_for_and_a_refusal_is_not() {
        let (seconds, result) = tried(|| Failure::Again("down".into())).await;
        assert!((90..100).contains(&seconds), "{seconds}");
        assert_eq!(result, Err(Failure::Again("down".into())));
        let (seconds, _) = tried(|| Failure::Wrong("hash".into())).await;
        assert!((5..12).contains(&seconds), "{seconds}");
        let (seconds, _) = tried(|| Failure::Refused("no".into())).await;
        assert_eq!(seconds, 0);
        let mut down = 20;
        let result = retry(|| {
            down -= 1;
            async move {
                if down > 0 {
                    Err(Failure::Again("down".into()))
                } else {
                    Ok(())
                }
            }
        });
        assert_eq!(result.await, Ok(()));
    }

    #[test]
    fn names_are_encoded_in_the_address() {
        let url = address("http://h:1", &["artefacts", "x"], Some("a b/ü&c")).expect("url");
        assert_eq!(
            url.as_str(),
            "http://h:1/api/v1/worker/artefacts/x?path=a+b%2F%C3%BC%26c"
        );
    }
}
