//! The images kept on this machine.
//!
//! ```text
//! images/blobs/HEX        what came from a registry, under its SHA-256
//! images/trees/HEX/root   the files of the image whose manifest has this SHA-256, beside them `image.json`
//! images/part/…           what is not whole yet, or on its way out; emptied at each start
//! images/stuck.N          a `part` that could not be emptied; tried again at each start
//! ```
//! Everything is made in `part`, written through, and renamed: what stands in `blobs` and `trees` is whole. One worker
//! uses a state directory at a time (its lock says so), so the rest is a matter of this process.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::PullError;
use super::layer::{self, Work};
use super::manifest::ImageConfig;
use super::room::{Promised, Room};

const BLOBS: &str = "blobs";
pub(super) const TREES: &str = "trees";
const PART: &str = "part";
const ABOUT: &str = "image.json";
const STUCK: &str = "stuck.";

#[derive(Debug)]
pub struct Cache {
    pub(super) directory: PathBuf,
    pub(super) limit: Option<u64>,
    count: AtomicU64,
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    pub(super) held: Arc<Mutex<HashMap<String, usize>>>,
    /// Who counts what is left and promises some of it: one at a time.
    pub(super) giving: Mutex<()>,
    pub(super) promised: Mutex<Promised>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this lives, the blob or tree of this digest is not removed.
#[derive(Debug)]
pub struct InUse {
    digest: String,
    held: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct About {
    bytes: u64,
    config: ImageConfig,
}

/// One thing that could be removed.
pub(super) struct Kept {
    pub path: PathBuf,
    pub digest: String,
    pub bytes: u64,
    pub used: SystemTime,
}

impl Cache {
    pub fn open(directory: &Path, limit: Option<u64>) -> io::Result<Self> {
        let part = directory.join(PART);
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(STUCK)
                && let Err(error) = remove_tree(&entry.path())
            {
                tracing::warn!(%error, path = %entry.path().display(), "this is still in the way");
            }
        }
        if let Err(error) = remove_tree(&part) {
            // It must not keep the machine from every job with an image.
            let aside = (0..=u32::MAX)
                .map(|number| directory.join(format!("{STUCK}{number}")))
                .find(|path| path.symlink_metadata().is_err())
                .ok_or_else(|| io::Error::other("no name is left for what cannot be removed"))?;
            fs::rename(&part, &aside)?;
            tracing::warn!(%error, path = %aside.display(), "what was half done cannot be removed; it is put aside");
        }
        for name in [BLOBS, TREES, PART] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory.join(name))?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            limit,
            count: AtomicU64::new(0),
            turns: Mutex::default(),
            held: Arc::default(),
            giving: Mutex::default(),
            promised: Mutex::default(),
        })
    }

    /// One at a time for each digest.
    pub async fn turn(&self, digest: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, lock| lock.strong_count() > 0);
            let known = turns.get(digest).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                turns.insert(digest.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    pub fn hold(&self, digest: &str) -> InUse {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(digest.to_owned()).or_default() += 1;
        InUse {
            digest: digest.to_owned(),
            held: Arc::clone(&self.held),
        }
    }

    pub fn blob(&self, digest: &str) -> PathBuf {
        self.directory.join(BLOBS).join(digest)
    }

    /// Whether it is here, and marks it as used.
    pub fn has_blob(&self, digest: &str, size: u64) -> bool {
        let path = self.blob(digest);
        let here = fs::metadata(&path).is_ok_and(|found| found.len() == size);
        if here {
            touch(&path);
        }
        here
    }

    /// A manifest or configuration, checked anew.
    pub fn small(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.blob(digest);
        if fs::metadata(&path).ok()?.len() > super::manifest::MANIFEST_BYTES_MAX {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        if super::manifest::digest_of(&bytes) == digest {
            touch(&path);
            Some(bytes)
        } else {
            let _ = fs::remove_file(path);
            None
        }
    }

    pub fn keep_small(&self, digest: &str, bytes: &[u8]) -> Result<(), PullError> {
        let mut part = self.part(digest, None)?;
        part.write(bytes)?;
        part.finish()
    }

    pub fn forget_blob(&self, digest: &str) {
        let _ = fs::remove_file(self.blob(digest));
    }

    pub(super) fn fresh(&self, digest: &str) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.directory.join(PART).join(format!("{digest}.{number}"))
    }

    /// A file that becomes the blob of this digest once it is whole.
    pub fn part(&self, digest: &str, room: Option<&Arc<Room>>) -> io::Result<Part> {
        let path = self.fresh(digest);
        Ok(Part {
            file: File::options().write(true).create_new(true).open(&path)?,
            path,
            to: self.blob(digest),
            hash: Sha256::new(),
            size: 0,
            room: room.map(Arc::clone),
        })
    }

    /// An unpacked image, marked as used.
    pub fn tree(&self, digest: &str) -> Option<(PathBuf, ImageConfig)> {
        let path = self.directory.join(TREES).join(digest);
        let about: About = serde_json::from_slice(&fs::read(path.join(ABOUT)).ok()?).ok()?;
        touch(&path.join(ABOUT));
        Some((path.join("root"), about.config))
    }

    /// Unpacks layers into a new tree. Answers its root and how many entries the layers had.
    pub fn grow_tree(
        &self,
        digest: &str,
        config: &ImageConfig,
        work: &Work,
    ) -> Result<(PathBuf, u64), PullError> {
        let part = self.fresh(digest);
        fs::DirBuilder::new().mode(0o700).create(&part)?;
        let grown = self.grow_into(&part, digest, config, work);
        if grown.is_err() {
            let _ = remove_tree(&part);
        }
        if let Err(PullError::Damaged(_)) = &grown {
            // Its layers were whole when they came: the disk has changed one, or the image contradicts itself.
            for (layer, _, _) in &work.layers {
                self.forget_blob(&layer.digest);
            }
        }
        grown
    }

    fn grow_into(
        &self,
        part: &Path,
        digest: &str,
        config: &ImageConfig,
        work: &Work,
    ) -> Result<(PathBuf, u64), PullError> {
        let root = part.join("root");
        fs::create_dir(&root)?;
        // Past the umask: a job's user has to come through.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        let done = layer::unpack_all(&root, work)?;
        let about = About {
            bytes: done.bytes,
            config: config.clone(),
        };
        let text = serde_json::to_vec(&about).map_err(io::Error::from)?;
        fs::write(part.join(ABOUT), text)?;
        // One call for all its files.
        rustix::fs::syncfs(File::open(part)?).map_err(io::Error::from)?;
        let to = self.directory.join(TREES).join(digest);
        if to.exists() {
            // Without its description, or it would have been found.
            self.remove(&to)?;
        }
        fs::rename(part, &to)?;
        sync_directory(&to)?;
        Ok((to.join("root"), done.entries))
    }

    pub(super) fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for name in [BLOBS, TREES] {
            for entry in fs::read_dir(self.directory.join(name))? {
                let entry = entry?;
                let path = entry.path();
                let digest = entry.file_name().to_string_lossy().into_owned();
                let about = if name == TREES {
                    path.join(ABOUT)
                } else {
                    path.clone()
                };
                let (bytes, used) = match fs::metadata(&about) {
                    Ok(found) if name == BLOBS => (found.len(), found.modified()?),
                    Ok(found) => {
                        let about: Option<About> = fs::read(&about)
                            .ok()
                            .and_then(|text| serde_json::from_slice(&text).ok());
                        (about.map_or(0, |about| about.bytes), found.modified()?)
                    }
                    Err(_) => (0, SystemTime::UNIX_EPOCH),
                };
                kept.push(Kept {
                    path,
                    digest,
                    bytes,
                    used,
                });
            }
        }
        Ok(kept)
    }

    /// It is first taken out of sight, so that half of it is never found.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let away = self.fresh("away");
        fs::rename(path, &away)?;
        remove(&away)
    }
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        remove_tree(path)
    } else {
        fs::remove_file(path)
    }
}

/// A blob that comes.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    to: PathBuf,
    hash: Sha256,
    size: u64,
    /// Out of which it is written.
    room: Option<Arc<Room>>,
}

impl Part {
    pub const fn size(&self) -> u64 {
        self.size
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        if let Some(room) = &self.room {
            room.change(|promised| promised.wrote(bytes.len() as u64));
        }
        Ok(())
    }

    pub fn restart(&mut self) -> io::Result<()> {
        self.file = File::create(&self.path)?;
        self.hash = Sha256::new();
        self.unwritten();
        self.size = 0;
        Ok(())
    }

    fn unwritten(&self) {
        if let Some(room) = &self.room {
            room.change(|promised| promised.gave_back(0, self.size));
        }
    }

    /// # Errors
    /// [`PullError::Damaged`] when it is not the blob that is meant.
    pub fn is(&self, digest: &str, size: u64) -> Result<(), PullError> {
        let found = hex::encode(self.hash.clone().finalize());
        if self.size == size && found == digest {
            return Ok(());
        }
        Err(PullError::Damaged(format!(
            "what the registry sent for blob {digest} has {} bytes and the digest {found}",
            self.size
        )))
    }

    /// Writes it through and puts it in its place.
    pub fn finish(self) -> Result<(), PullError> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.to)?;
        sync_directory(&self.to)?;
        if let Some(room) = &self.room {
            // It counts as kept from now on.
            room.give_back(self.size);
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.unwritten();
        // Gone already when it is in its place.
        let _ = fs::remove_file(&self.path);
    }
}

fn sync_directory(of: &Path) -> io::Result<()> {
    of.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Its last use is the time of change of a file that nobody changes.
fn touch(path: &Path) {
    if let Ok(file) = File::options().append(true).open(path) {
        // No finer clock is needed, and none may be read here: the kernel sets its own.
        let now = rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        let times = rustix::fs::Timestamps {
            last_access: now,
            last_modification: now,
        };
        let _ = rustix::fs::futimens(&file, &times);
    }
}

/// Directories of an image are writable for their owner (see `tree`), so this needs no right but to the directory.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With few open files, and deeper than the standard library's removal can go then.
    #[test]
    fn what_cannot_be_removed_keeps_nothing_from_starting() {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let usual = getrlimit(Resource::Nofile);
        let limited = rustix::process::Rlimit {
            current: Some(256),
            ..usual
        };
        let dir = tempfile::tempdir().expect("tempdir");
        let part = dir.path().join(PART);
        fs::create_dir(&part).expect("part");
        let mut at = rustix::fs::open(&part, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())
            .expect("open");
        for _ in 0..600 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).expect("deeper");
            let flags = rustix::fs::OFlags::PATH;
            at = rustix::fs::openat(&at, "d", flags, rustix::fs::Mode::empty()).expect("open");
        }
        setrlimit(Resource::Nofile, limited).expect("limit");
        let opened = Cache::open(dir.path(), None);
        let most = rustix::process::Rlimit {
            current: usual.maximum,
            ..usual
        };
        setrlimit(Resource::Nofile, most).expect("limit");
        opened.expect("it goes on");
        assert!(dir.path().join("stuck.0").exists());
        assert_eq!(fs::read_dir(&part).expect("part").count(), 0);
        Cache::open(dir.path(), None).expect("again");
        assert!(!dir.path().join("stuck.0").exists(), "tried again");
    }
}
