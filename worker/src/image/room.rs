//! Room on the disk for images: what is left is promised to pulls before they write, so that several at once do not take it twice; and
//! what was used least lately goes for it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::PullError;
use super::cache::{Cache, Kept, lock, remove};

/// Left free for everything else on the disk.
const DISK_RESERVE: u64 = 1024 * 1024 * 1024;
/// Unless the owner says otherwise.
const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// An unpacking that needs more than it was promised is promised so much more at once.
const STEP: u64 = 32 * 1024 * 1024;
/// The disk's free inodes are looked at after so many files.
const FILES_STEP: u64 = 256;

/// What pulls under way may write, and how much of it is on the disk already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Promised {
    pub(super) bytes: u64,
    pub(super) written: u64,
}

impl Promised {
    pub(super) const fn wrote(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }

    pub(super) const fn gave_back(&mut self, bytes: u64, written: u64) {
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

    pub(super) fn change(&self, change: impl Fn(&mut Promised)) {
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

impl Cache {
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
}

fn used(kept: &[Kept]) -> u64 {
    kept.iter()
        .fold(0_u64, |sum, kept| sum.saturating_add(kept.bytes))
}

#[cfg(test)]
mod tests {
    use super::super::cache::TREES;
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
}
