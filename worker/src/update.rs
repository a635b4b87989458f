//! Newer workers: fetched while idle, checked, put in place, and taken back when they do not come up.
//!
//! Two processes. The **supervisor** ([`supervisor::run`]) is what the owner or systemd started; it starts the agent as its child
//! and waits. The **agent** looks for a release, checks the signature, downloads it beside the program, and leaves with
//! [`LEAVES_FOR_UPDATE`]. The supervisor swaps the files and starts the new program **on trial**: until the exchange has welcomed it.
//! One that is not welcomed in time, or ends three times before, is replaced by the one before, and its version is never taken again.
//!
//! Invariant: whatever a new program does, the one that judges it is the old one, in a process of its own.

pub mod supervisor;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};
use protocol::release::{Release, ReleaseVersion, target};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// The agent's exit code when a newer program lies ready.
pub const LEAVES_FOR_UPDATE: u8 = 75;
/// Tells a program that a supervisor watches over it.
pub const SUPERVISED: &str = "IOG_WORKER_SUPERVISED";
/// The release key that is built in, if one was given to the build: 64 hex digits.
pub const BUILT_IN_KEY: Option<&str> = option_env!("IOG_RELEASE_KEY");

const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const LOAD_WITHIN: Duration = Duration::from_mins(15);

/// What an agent needs to look for releases.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    pub key: VerifyingKey,
    pub every: Duration,
}

/// Reads a release key.
///
/// # Errors
/// A sentence for people.
pub fn key(text: &str) -> Result<VerifyingKey, String> {
    let bytes = hex::decode(text.trim())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .ok_or_else(|| {
            "a release key is 64 hexadecimal digits, as `iog release key` prints them".to_owned()
        })
}

/// Why a release is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("the release is not signed by the release key")]
    Signature,
    #[error("the release is not formed as one, or is for another kind of machine")]
    Form,
    #[error("version {0} is not above this one ({1}): a downgrade is never taken")]
    NotNewer(String, String),
    #[error("version {0} was tried here and did not come up")]
    TriedBefore(String),
    #[error("the program is not what the release says")]
    Content,
    #[error("the exchange does not give it: {0}")]
    Fetch(#[from] reqwest::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Whether a release may replace the program of a version here.
///
/// # Errors
/// Why not.
pub fn admit(
    release: &Release,
    key: &VerifyingKey,
    own: &str,
    refused: &[String],
) -> Result<(), UpdateError> {
    if !release.is_formed() || release.target != target() {
        return Err(UpdateError::Form);
    }
    let bytes = hex::decode(&release.signature).ok();
    let signature = bytes.and_then(|bytes| Signature::from_slice(&bytes).ok());
    let signature = signature.ok_or(UpdateError::Signature)?;
    key.verify_strict(&release.signed_bytes(), &signature)
        .map_err(|_| UpdateError::Signature)?;
    if release.version() <= ReleaseVersion::parse(own) {
        return Err(UpdateError::NotNewer(
            release.version.clone(),
            own.to_owned(),
        ));
    }
    if refused.contains(&release.version) {
        return Err(UpdateError::TriedBefore(release.version.clone()));
    }
    Ok(())
}

/// What is remembered of updates in the worker's state directory.
#[derive(Debug, Clone)]
pub struct Files {
    directory: PathBuf,
}

/// A program that has not been welcomed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    pub version: String,
    /// How often it ended before it was welcomed.
    pub crashes: u32,
}

impl Files {
    pub fn of(state: &Path) -> Self {
        Self {
            directory: state.join("update"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path(name)).ok()?).ok()
    }

    /// Whole or not at all.
    fn write<T: Serialize>(&self, name: &str, value: &T) -> std::io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let new = self.path(&format!("{name}.new"));
        let mut file = fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(new, self.path(name))
    }

    /// The release key that was given once.
    pub fn known_key(&self) -> Option<String> {
        self.read("key.json")
    }

    /// Keeps it for the next start.
    ///
    /// # Errors
    /// The disk.
    pub fn remember_key(&self, key: &str) -> std::io::Result<()> {
        self.write("key.json", &key)
    }

    /// The program that lies ready, and its version.
    pub fn staged(&self) -> Option<(PathBuf, String)> {
        let version: String = self.read("staged.json")?;
        let program = self.path("staged");
        program.is_file().then_some((program, version))
    }

    pub fn trial(&self) -> Option<Trial> {
        self.read("trial.json")
    }

    /// The program in its place has yet to come up.
    ///
    /// # Errors
    /// The disk.
    pub fn set_trial(&self, trial: &Trial) -> std::io::Result<()> {
        self.write("trial.json", trial)
    }

    /// The program on trial is the program.
    pub fn end_trial(&self) {
        _ = fs::remove_file(self.path("trial.json"));
    }

    /// Versions that were tried here and did not come up.
    pub fn refused(&self) -> Vec<String> {
        self.read("refused.json").unwrap_or_default()
    }

    /// It did not come up; it is not tried again.
    ///
    /// # Errors
    /// The disk.
    pub fn refuse(&self, version: &str) -> std::io::Result<()> {
        let mut refused = self.refused();
        refused.push(version.to_owned());
        self.write("refused.json", &refused)
    }

    pub fn previous(&self) -> PathBuf {
        self.path("previous")
    }

    pub fn forget_staged(&self) {
        _ = fs::remove_file(self.path("staged.json"));
    }

    /// Lays a program ready whose bytes were checked.
    fn stage(&self, program: &[u8], version: &str) -> std::io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        self.forget_staged();
        let path = self.path("staged");
        _ = fs::remove_file(&path);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&path)?;
        file.write_all(program)?;
        file.sync_all()?;
        self.write("staged.json", &version)
    }
}

/// Looks at what the exchange has, and lays it ready. `false`: nothing newer.
///
/// # Errors
/// Why a release that is there is not taken.
pub async fn look(
    server: &str,
    settings: &UpdateSettings,
    own: &str,
    files: &Files,
) -> Result<bool, UpdateError> {
    let client = reqwest::Client::builder().timeout(LOAD_WITHIN).build()?;
    let asked = client
        .get(format!(
            "{server}/api/v1/worker/release?target={}",
            target()
        ))
        .timeout(ANSWER_WITHIN);
    let answer = asked.send().await?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(false);
    }
    let release: Release = answer.error_for_status()?.json().await?;
    match admit(&release, &settings.key, own, &files.refused()) {
        // The ordinary case: it is what runs.
        Err(UpdateError::NotNewer(version, own)) if version == own => return Ok(false),
        other => other?,
    }
    let from = format!("{server}/api/v1/worker/release/{}", release.sha256);
    let mut answer = client.get(from).send().await?.error_for_status()?;
    let mut program = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        program.extend_from_slice(&piece);
        if u64::try_from(program.len()).unwrap_or(u64::MAX) > release.size_bytes {
            return Err(UpdateError::Content);
        }
    }
    if hex::encode(Sha256::digest(&program)) != release.sha256 {
        return Err(UpdateError::Content);
    }
    let (files, version) = (files.clone(), release.version);
    let staged = tokio::task::spawn_blocking(move || files.stage(&program, &version)).await;
    staged.map_err(std::io::Error::other)??;
    Ok(true)
}

/// An agent's side of it.
#[derive(Debug)]
pub(crate) struct Updates {
    settings: Option<UpdateSettings>,
    files: Files,
    next_at: Instant,
    looking: Option<JoinHandle<bool>>,
    leaving: bool,
}

impl Updates {
    pub fn of(settings: Option<UpdateSettings>, state: &Path) -> Self {
        Self {
            settings,
            files: Files::of(state),
            next_at: Instant::now(),
            looking: None,
            leaving: false,
        }
    }

    pub const fn are_on(&self) -> bool {
        self.settings.is_some()
    }

    /// Looks by then, if nobody looks already.
    pub fn look_within(&mut self, time: Duration) {
        self.next_at = self.next_at.min(Instant::now() + time);
    }

    /// Whether [`Updates::next`] is to be waited for: only while there is nothing else to do.
    pub fn looks(&self, idle: bool) -> bool {
        self.settings.is_some() && !self.leaving && (idle || self.looking.is_some())
    }

    /// Looks when it is time to. `true`: a newer program lies ready.
    pub async fn next(&mut self, server: &str) -> bool {
        if self.looking.is_none() {
            sleep_until(self.next_at).await;
            let Some(settings) = self.settings.clone() else {
                return false;
            };
            self.next_at = Instant::now() + settings.every;
            let (server, files) = (server.to_owned(), self.files.clone());
            self.looking = Some(tokio::spawn(async move {
                let own = env!("CARGO_PKG_VERSION");
                look(&server, &settings, own, &files)
                    .await
                    .unwrap_or_else(|error| {
                        tracing::warn!(%error, "no update was taken");
                        false
                    })
            }));
        }
        let Some(looking) = &mut self.looking else {
            return false;
        };
        let staged = looking.await.unwrap_or(false);
        self.looking = None;
        staged
    }

    pub const fn leave(&mut self) {
        self.leaving = true;
    }

    pub const fn leaving(&self) -> bool {
        self.leaving
    }

    /// The exchange has welcomed this program.
    pub fn passed(&self) {
        if self.settings.is_some() {
            self.files.end_trial();
        }
    }
}

#[cfg(test)]
mod tests;
