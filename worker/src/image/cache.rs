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

/// Unless the owner says otherwise.
const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Left free for everything else on the disk.
const DISK_RESERVE: u64 = 1024 * 1024 * 1024;
const BLOBS: &str = "blobs";
const TREES: &str = "trees";
const PART: &str = "part";
const ABOUT: &str = "image.json";
const STUCK: &str = "stuck.";
/// An unpacking that needs more than it was promised is promised so much more at once.
const STEP: u64 = 32 * 1024 * 1024;
/// The disk's free inodes are looked at after so many files.
const FILES_STEP: u64 = 256;

#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    limit: Option<u64>,
    count: AtomicU64,
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    held: Arc<Mutex<HashMap<String, usize>>>,
    /// Who counts what is left and promises some of it: one at a time.
    giving: Mutex<()>,
    promised: Mutex<Promised>,
}

/// What pulls under way may write, and how much of it is on the disk already.
#[derive(Debug, Default, Clone, Copy)]
struct Promised {
    bytes: u64,
    written: u64,
}

impl Promised {
    const fn wrote(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }

    const fn gave_back(&mut self, bytes: u64, written: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.written = self.written.saturating_sub(written);
    }
}

/// Room on the disk that is promised to one pull; given back when this is dropped.
#[derive(Debug)]
pub struct Room {
    cache: Arc<Cache>,
    own: Mutex<Promised>,
    /// When it was promised there was room for so much.
    reach: u64,
    files: AtomicU64,
}

impl Room {
    pub const fn reach(&self) -> u64 {
        self.reach
    }

    fn change(&self, change: impl Fn(&mut Promised)) {
        change(&mut lock(&self.own));
        change(&mut lock(&self.cache.promised));
    }

    /// What was promised for something that is kept now, or was kept already.
    pub fn give_back(&self, bytes: u64) {
        self.change(|promised| promised.gave_back(bytes, 0));
    }

    /// An unpacking comes to so many bytes and files. More is promised to it as long as there is room; nothing is removed for it.
    ///
    /// # Errors
    /// [`PullError::NoRoom`]
    pub fn cover(&self, bytes: u64, files: u64) -> Result<(), PullError> {
        if files
            >= self
                .files
                .load(Ordering::Relaxed)
                .saturating_add(FILES_STEP)
        {
            self.files.store(files, Ordering::Relaxed);
            let stat = rustix::fs::statvfs(&self.cache.directory).map_err(io::Error::from)?;
            if !has_inodes(stat.f_files, stat.f_favail) {
                return Err(PullError::NoRoom(
                    "its disk has hardly a place left for another file".to_owned(),
                ));
            }
        }
        let own = *lock(&self.own);
        if bytes > own.bytes {
            let more = self.cache.promise_more(bytes - own.bytes, own.bytes)?;
            lock(&self.own).bytes = own.bytes.saturating_add(more);
        }
        self.change(|promised| promised.wrote(bytes.saturating_sub(own.written)));
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let own = *lock(&self.own);
        lock(&self.cache.promised).gave_back(own.bytes, own.written);
    }
}

/// A tenth of a disk's inodes is left alone. Some file systems make them as they are needed, and name none.
const fn has_inodes(all: u64, free: u64) -> bool {
    all == 0 || free > all / 10
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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
struct Kept {
    path: PathBuf,
    digest: String,
    bytes: u64,
    used: SystemTime,
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

    fn fresh(&self, digest: &str) -> PathBuf {
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

    /// Promises room for `bytes` more, and removes what was used least lately until there is as much. Takes as long as that takes.
    ///
    /// # Errors
    /// [`PullError::NoRoom`]
    pub fn make_room(self: &Arc<Self>, bytes: u64) -> Result<Room, PullError> {
        loop {
            let (room, away) = {
                let _one = lock(&self.giving);
                let kept = self.kept()?;
                let room = self.room(used(&kept))?;
                if room >= bytes {
                    lock(&self.promised).bytes += bytes;
                    return Ok(Room {
                        cache: Arc::clone(self),
                        own: Mutex::new(Promised { bytes, written: 0 }),
                        reach: room,
                        files: AtomicU64::new(0),
                    });
                }
                (room, self.take_away(kept, bytes - room)?)
            };
            if away.is_empty() {
                return Err(PullError::NoRoom(format!(
                    "it needs {} MiB, {} MiB are left for images",
                    bytes >> 20,
                    room >> 20
                )));
            }
            for path in away {
                remove(&path)?;
            }
        }
    }

    /// Takes what was used least lately, and is not in use, out of sight until it comes to `bytes`. Answers where it lies now.
    fn take_away(&self, mut kept: Vec<Kept>, bytes: u64) -> io::Result<Vec<PathBuf>> {
        kept.sort_by_key(|kept| kept.used);
        let (mut away, mut sum) = (Vec::new(), 0_u64);
        for oldest in kept {
            if sum >= bytes {
                break;
            }
            let to = self.fresh("away");
            {
                // Under the lock, so that nobody begins to use it meanwhile; and no longer, since others wait for it.
                let held = lock(&self.held);
                if held.contains_key(&oldest.digest) {
                    continue;
                }
                match fs::rename(&oldest.path, &to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                }
            }
            tracing::info!(
                digest = oldest.digest,
                "removed a kept image for a newer one"
            );
            sum = sum.saturating_add(oldest.bytes);
            away.push(to);
        }
        Ok(away)
    }

    /// Promises `bytes` more to one that has `had`, or some more than that. Answers how many.
    fn promise_more(&self, bytes: u64, had: u64) -> Result<u64, PullError> {
        let _one = lock(&self.giving);
        let room = self.room(used(&self.kept()?))?;
        if room < bytes {
            return Err(PullError::NoRoom(format!(
                "unpacked, the image has more than the {} MiB that are left for images",
                had.saturating_add(room) >> 20
            )));
        }
        let more = bytes.max(STEP).min(room);
        lock(&self.promised).bytes += more;
        Ok(more)
    }

    /// Bytes that may still be promised when `used` are kept.
    fn room(&self, used: u64) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        if !has_inodes(stat.f_files, stat.f_favail) {
            return Ok(0);
        }
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let promised = *lock(&self.promised);
        let limit = self.limit.unwrap_or_else(|| {
            let ours = used.saturating_add(promised.written);
            (ours.saturating_add(free) / 2).min(CACHE_BYTES_MAX)
        });
        // What is written is not free any more.
        let to_come = promised.bytes.saturating_sub(promised.written);
        Ok(limit
            .saturating_sub(used)
            .saturating_sub(promised.bytes)
            .min(free.saturating_sub(DISK_RESERVE).saturating_sub(to_come)))
    }

    fn kept(&self) -> io::Result<Vec<Kept>> {
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

fn used(kept: &[Kept]) -> u64 {
    kept.iter()
        .fold(0_u64, |sum, kept| sum.saturating_add(kept.bytes))
}

fn remove(path: &Path) -> io::Result<()> {
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

    const MIB: u64 = 1 << 20;

    fn cache(limit: u64) -> (Arc<Cache>, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = Cache::open(dir.path(), Some(limit)).expect("open");
        (Arc::new(cache), dir)
    }

    #[test]
    fn what_one_pull_was_promised_no_other_gets() {
        let (cache, _dir) = cache(10 * MIB);
        let first = Arc::new(cache.make_room(6 * MIB).expect("room"));
        let refused = cache.make_room(6 * MIB);
        assert!(matches!(refused, Err(PullError::NoRoom(_))), "{refused:?}");
        // What it has written is kept: it counts once, and as that.
        let mut part = cache.part("a", Some(&first)).expect("part");
        part.write(&vec![1; 1 << 20]).expect("write");
        assert_eq!(lock(&cache.promised).written, MIB);
        part.finish().expect("finish");
        assert_eq!(lock(&cache.promised).written, 0);
        drop(cache.make_room(4 * MIB).expect("the rest"));
        assert!(
            cache.make_room(4 * MIB + 1).is_ok(),
            "`a` is removed for it"
        );
        assert!(!cache.blob("a").exists());
        // One that was begun and left.
        let mut part = cache.part("b", Some(&first)).expect("part");
        part.write(b"half").expect("write");
        drop(part);
        assert_eq!(lock(&cache.promised).written, 0);
        // Unpacked it is larger than it was thought to be.
        let second = cache.make_room(MIB).expect("room");
        second.cover(2 * MIB, 1).expect("more");
        assert!(second.cover(6 * MIB, 1).is_err(), "five are promised");
        drop((first, second));
        assert_eq!(lock(&cache.promised).bytes, 0);
        cache.make_room(10 * MIB).expect("all of it");
    }

    #[test]
    fn what_is_removed_for_room_is_out_of_sight_before() {
        let (cache, _dir) = cache(MIB);
        let tree = cache.directory.join(TREES).join("t");
        fs::create_dir_all(tree.join("root/bin")).expect("tree");
        let away = cache.take_away(cache.kept().expect("kept"), MIB);
        let away = away.expect("renamed");
        assert!(!tree.exists() && away.len() == 1);
        assert!(away[0].join("root/bin").exists(), "it is removed later");
        assert!(cache.held.try_lock().is_ok(), "and others need not wait");
        let in_use = cache.hold("t");
        fs::rename(&away[0], &tree).expect("back");
        let away = cache.take_away(cache.kept().expect("kept"), MIB);
        assert!(away.expect("nothing").is_empty() && tree.exists());
        drop(in_use);
    }

    #[test]
    fn a_tenth_of_a_disks_inodes_is_left() {
        assert!(has_inodes(0, 0), "btrfs names none");
        assert!(has_inodes(1_000, 101) && !has_inodes(1_000, 100));
    }

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
