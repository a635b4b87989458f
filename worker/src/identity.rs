//! The node's identity: an Ed25519 key that never leaves this machine, and what the worker remembers between runs.
//!
//! All in one directory (0700) with the key in a file of its own (0600). Looser modes are refused: a key that others
//! could read is not an identity. One lock file keeps a second agent out.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use kernel::{NodeId, PricePerSecond};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub const KEY: &str = "node.key";
pub const STATE: &str = "state.json";
/// Holds the number of the process that holds it.
pub const LOCK: &str = "lock";
const LOCK_WAIT: Duration = Duration::from_secs(2);
pub const MAINTENANCE: &str = "maintenance";
pub const PORTAL_MAINTENANCE: &str = "maintenance.portal";
/// What a worker needs that runs jobs in an engine's containers.
pub const ENGINE: &str = "engine";

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "{path} can be read or changed by others (mode {mode:o}); close it with: chmod {wanted:o} {path}"
    )]
    TooOpen {
        path: String,
        mode: u32,
        wanted: u32,
    },
    #[error(
        "another iog-worker already uses {0}; give this one a directory of its own with --state"
    )]
    InUse(String),
    #[error(
        "{path} is damaged ({why}); restore it from a backup, or remove it and join again as a new node"
    )]
    Damaged { path: String, why: String },
    #[error("this worker has not joined yet; run: iog-worker join --server URL --token TOKEN")]
    NotJoined,
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.display().to_string();
    move |error| IdentityError::Io { path, error }
}

/// What the worker remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Origin of the exchange, such as `https://iog.example`.
    pub server: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PricePerSecond>,
    #[serde(default)]
    pub network: Network,
    /// Set when the server has taken the join token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
}

/// How this machine is connected, as its owner says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Machines that give the same name stand near each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_mbit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_mbit: Option<u32>,
}

/// The address that a state directory remembers, without opening it: an agent may have it.
pub fn server_of(directory: &Path) -> Option<String> {
    let text = fs::read_to_string(directory.join(STATE)).ok()?;
    let state: State = serde_json::from_str(&text).ok()?;
    Some(state.server)
}

/// Tells the agent of this directory to take no new jobs, or to take them again.
///
/// # Errors
/// No worker joined with it, or it cannot be written.
pub fn set_maintenance(directory: &Path, on: bool) -> Result<(), IdentityError> {
    if !directory.join(STATE).exists() {
        return Err(IdentityError::NotJoined);
    }
    mark(&directory.join(MAINTENANCE), on)
}

/// Whether the portal had the machine in maintenance when its agent last heard of it: its own switch does not end that.
pub fn portal_maintains(directory: &Path) -> bool {
    directory.join(PORTAL_MAINTENANCE).exists()
}

/// Makes or removes a file that says something by being there.
fn mark(path: &Path, on: bool) -> Result<(), IdentityError> {
    let done = if on {
        File::create(path).map(drop)
    } else {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    };
    done.map_err(io_at(path))
}

/// An opened state directory; the lock is held as long as this lives.
#[derive(Debug)]
pub struct Identity {
    directory: PathBuf,
    key: SigningKey,
    _lock: File,
    made: Made,
    shown: AtomicBool,
}

/// What was not there before this identity was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Nothing,
    Key,
    /// And the directory that it is in.
    All,
}

impl Identity {
    /// Opens the directory, and makes it and the key on the first start.
    ///
    /// # Errors
    /// [`IdentityError`] that says what to do.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        let is_there = directory.exists();
        let mut made = Made::Nothing;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io_at(directory))?;
        close_if_empty(directory)?;
        refuse_looser(directory, 0o700)?;
        let lock = lock(directory)?;
        let path = directory.join(KEY);
        let key = match fs::read_to_string(&path) {
            Ok(text) => {
                refuse_looser(&path, 0o600)?;
                parse_key(&path, &text)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = SigningKey::from_bytes(&rand::random());
                write_whole(
                    &path,
                    format!("{}\n", hex::encode(key.to_bytes())).as_bytes(),
                )?;
                made = if is_there { Made::Key } else { Made::All };
                key
            }
            Err(error) => return Err(io_at(&path)(error)),
        };
        Ok(Self {
            directory: directory.to_owned(),
            key,
            _lock: lock,
            made,
            shown: AtomicBool::new(false),
        })
    }

    /// The identity of a worker that has joined. Nothing is made where none has.
    ///
    /// # Errors
    /// [`IdentityError::NotJoined`], and as [`Self::open`].
    pub fn open_joined(directory: &Path) -> Result<(Self, State), IdentityError> {
        if !directory.join(STATE).exists() {
            return Err(IdentityError::NotJoined);
        }
        let identity = Self::open(directory)?;
        let state = identity.state()?;
        Ok((identity, state))
    }

    pub const fn made(&self) -> Made {
        self.made
    }

    /// The exchange is told of the key now.
    pub fn show(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// Whether an exchange may know it, as far as this process can tell.
    pub fn is_shown(&self) -> bool {
        self.made == Made::Nothing || self.shown.load(Ordering::Relaxed)
    }

    /// The owner wants no new jobs here.
    pub fn in_maintenance(&self) -> bool {
        self.directory.join(MAINTENANCE).exists()
    }

    /// The exchange says so with each heartbeat; kept for `iog-worker maintenance`, which asks nobody.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn note_portal_maintenance(&self, on: bool) -> Result<(), IdentityError> {
        let path = self.directory.join(PORTAL_MAINTENANCE);
        if path.exists() == on {
            return Ok(());
        }
        mark(&path, on)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// 64 hex digits.
    pub fn public_key(&self) -> String {
        hex::encode(self.key.verifying_key().to_bytes())
    }

    /// 128 hex digits.
    pub fn sign(&self, bytes: &[u8]) -> String {
        hex::encode(self.key.sign(bytes).to_bytes())
    }

    /// # Errors
    /// [`IdentityError::NotJoined`] before the first join.
    pub fn state(&self) -> Result<State, IdentityError> {
        let path = self.directory.join(STATE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| IdentityError::Damaged {
                path: path.display().to_string(),
                why: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(IdentityError::NotJoined),
            Err(error) => Err(io_at(&path)(error)),
        }
    }

    /// Durable when this returns: a power cut leaves the old state or the new one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, state: &State) -> Result<(), IdentityError> {
        let path = self.directory.join(STATE);
        let text = serde_json::to_vec_pretty(state).map_err(|error| io_at(&path)(error.into()))?;
        write_whole(&path, &text)
    }
}

fn lock(directory: &Path) -> Result<File, IdentityError> {
    let path = directory.join(LOCK);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_at(&path))?;
    match lock_soon(&file) {
        Ok(()) => {
            let pid = rustix::process::getpid().as_raw_nonzero();
            let mut held = &file;
            held.set_len(0)
                .and_then(|()| writeln!(held, "{pid}"))
                .map_err(io_at(&path))?;
            Ok(file)
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(IdentityError::InUse(directory.display().to_string()))
        }
        Err(error) => Err(io_at(&path)(error.into())),
    }
}

/// A child that a killed worker had just forked holds its lock until it sees that it is alone: the next worker, which may be started in
/// the same moment, waits for that.
fn lock_soon(file: &File) -> rustix::io::Result<()> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// An empty directory was made for us by a person or a script; nobody can have read anything in it yet.
fn close_if_empty(directory: &Path) -> Result<(), IdentityError> {
    let empty = fs::read_dir(directory)
        .map_err(io_at(directory))?
        .next()
        .is_none();
    if empty {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            .map_err(io_at(directory))?;
    }
    Ok(())
}

fn refuse_looser(path: &Path, wanted: u32) -> Result<(), IdentityError> {
    let mode = fs::metadata(path)
        .map_err(io_at(path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & !wanted == 0 {
        return Ok(());
    }
    Err(IdentityError::TooOpen {
        path: path.display().to_string(),
        mode,
        wanted,
    })
}

fn parse_key(path: &Path, text: &str) -> Result<SigningKey, IdentityError> {
    let damaged = |why: &str| IdentityError::Damaged {
        path: path.display().to_string(),
        why: why.to_owned(),
    };
    let bytes = hex::decode(text.trim()).map_err(|_| damaged("not hexadecimal"))?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| damaged("not 32 bytes"))?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// Temporary file, fsync, rename, fsync of the directory.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent()
            .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    write().map_err(io_at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            server: "http://127.0.0.1:3000".into(),
            name: "rig".into(),
            country: Some("CH".into()),
            price: None,
            network: Network::default(),
            node: None,
        }
    }

    #[test]
    fn the_key_is_made_once_and_closed_to_others() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("state");
        let first = Identity::open(&at).expect("open").public_key();
        let mode =
            |path: PathBuf| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!((mode(at.clone()), mode(at.join(KEY))), (0o700, 0o600));
        assert_eq!(Identity::open(&at).expect("open again").public_key(), first);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("state");
        drop(Identity::open(&at).expect("open"));
        fs::set_permissions(at.join(KEY), fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = Identity::open(&at).expect_err("too open").to_string();
        assert!(
            error.contains("chmod 600") && error.contains("640"),
            "{error}"
        );
        fs::set_permissions(at.join(KEY), fs::Permissions::from_mode(0o600)).expect("chmod");
        fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).expect("chmod");
        assert!(matches!(
            Identity::open(&at),
            Err(IdentityError::TooOpen { wanted: 0o700, .. })
        ));
    }

    #[test]
    fn two_agents_never_share_a_directory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("state");
        let first = Identity::open(&at).expect("open");
        assert!(matches!(Identity::open(&at), Err(IdentityError::InUse(_))));
        drop(first);
        Identity::open(&at).expect("free again");
    }

    #[test]
    fn the_next_agent_waits_for_what_a_killed_one_leaves_behind() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("state");
        let first = Identity::open(&at).expect("open");
        let child = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
        });
        Identity::open(&at).expect("free soon");
        child.join().expect("join");
    }

    #[test]
    fn state_survives_and_damage_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("state");
        let identity = Identity::open(&at).expect("open");
        assert!(matches!(identity.state(), Err(IdentityError::NotJoined)));
        for on in [true, false] {
            let told = set_maintenance(identity.directory(), on);
            assert!(matches!(told, Err(IdentityError::NotJoined)));
        }
        identity.save(&state()).expect("save");
        assert_eq!(identity.state().expect("state"), state());
        set_maintenance(&at, true).expect("joined");
        for on in [true, true, false] {
            identity.note_portal_maintenance(on).expect("noted");
            assert_eq!(portal_maintains(&at), on);
            assert!(identity.in_maintenance(), "two switches");
        }
        fs::write(at.join(STATE), "{").expect("write");
        assert!(
            identity
                .state()
                .expect_err("damaged")
                .to_string()
                .contains("state.json")
        );
        drop(identity);
        let joined = Identity::open_joined(&at);
        assert!(matches!(joined, Err(IdentityError::Damaged { .. })));
        let none = dir.path().join("none");
        let joined = Identity::open_joined(&none);
        assert!(matches!(joined, Err(IdentityError::NotJoined)));
        assert!(!none.exists(), "nothing is made for who has not joined");
        fs::write(at.join(KEY), "xyz").expect("write");
        assert!(matches!(
            Identity::open(&at),
            Err(IdentityError::Damaged { .. })
        ));
    }
}
