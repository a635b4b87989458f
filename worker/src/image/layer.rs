//! Layers, one on the other: tar streams (plain, gzip or zstd), each checked against the SHA-256 of its content.
//!
//! Read as raw entries: the tar library would take an entry that holds a long name into memory whole, however long.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tar::{EntryType, PaxExtensions};

use super::manifest::Descriptor;
use super::room::Room;
use super::tree::{self, Tree};
use super::{Progress, PullError};

const ENTRIES_MAX: u64 = 2_000_000;
/// A long name, or an entry's extended header.
const EXTENDED_MAX: u64 = 64 * 1024;
const BUFFER: usize = 256 * 1024;
/// What a file or directory takes on the disk at least, and in steps of what: an inode, and blocks of this size.
const BLOCK: u64 = 4096;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const PASSWD: &str = "job:x:1000:1000:job:/job:/bin/sh\n";
const GROUP: &str = "job:x:1000:\n";
const HOSTS: &str = "127.0.0.1 localhost job\n::1 localhost\n";

/// What is to be unpacked, and how far it may go.
pub struct Work {
    /// Lowest first: how a layer is named, where it lies, what its content hashes to.
    pub layers: Vec<(Descriptor, PathBuf, String)>,
    /// What it may take on this machine's disk.
    pub room: Arc<Room>,
    /// More is taken on no machine.
    pub most: u64,
    /// Set when nobody waits any more.
    pub stop: Arc<AtomicBool>,
    pub progress: Arc<Progress>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub bytes: u64,
    pub entries: u64,
}

/// Unpacks all layers into `root` and makes it fit for a job.
pub fn unpack_all(root: &Path, work: &Work) -> Result<Done, PullError> {
    let mut tree = Tree::open(root)?;
    let mut done = Done::default();
    for (layer, path, diff_id) in &work.layers {
        one(&mut tree, layer, path, diff_id, work, &mut done)?;
    }
    finish(&mut tree).map_err(|error| PullError::Disk(format!("the image's /etc: {error}")))?;
    Ok(done)
}

/// The job's own user is known by name, and the machine is called as the sandbox calls it.
fn finish(tree: &mut Tree) -> io::Result<()> {
    for (path, line) in [("etc/passwd", PASSWD), ("etc/group", GROUP)] {
        let path = Path::new(path);
        let mut text = tree.text(path)?;
        let known = |line: &str| line.split(':').nth(2) == Some("1000");
        if !text.lines().any(known) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            tree.replace_text(path, &(text + line))?;
        }
    }
    tree.replace_text(Path::new("etc/hosts"), HOSTS)?;
    tree.replace_text(Path::new("etc/hostname"), "job\n")?;
    tree.replace_text(Path::new("etc/resolv.conf"), "")
}

fn one(
    tree: &mut Tree,
    layer: &Descriptor,
    path: &Path,
    diff_id: &str,
    work: &Work,
    done: &mut Done,
) -> Result<(), PullError> {
    let compressed = Counted {
        inner: File::open(path)?,
        work,
    };
    let mut compressed = BufReader::with_capacity(BUFFER, compressed);
    // By its first bytes: media types are not always true.
    let magic = io::BufRead::fill_buf(&mut compressed)?;
    let plain: Box<dyn Read + '_> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(compressed))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(super::zstd::Frames::new(compressed))
    } else {
        Box::new(compressed)
    };
    let mut hashed = Hashed {
        inner: plain,
        hash: Sha256::new(),
    };
    let unpacked = entries(tree, &mut hashed, work, done);
    // What follows the last entry belongs to the content as well; and a layer that cannot be read to its end, or that
    // holds other bytes than its name says, is named as that, whatever its entries looked like.
    let rest = drain(&mut hashed, work);
    if work.stop.load(Ordering::Relaxed) {
        return Err(PullError::Disk("the job is over".to_owned()));
    }
    let found = hex::encode(hashed.hash.finalize());
    match (unpacked, rest) {
        (Err(error @ (PullError::TooLarge(_) | PullError::NoRoom(_) | PullError::Disk(_))), _) => {
            Err(error)
        }
        (_, Err(error)) => Err(damaged(layer, &error.to_string())),
        _ if found != diff_id => Err(damaged(
            layer,
            &format!("its content has the digest {found}, not {diff_id}"),
        )),
        (unpacked, Ok(())) => unpacked,
    }
}

fn damaged(layer: &Descriptor, why: &str) -> PullError {
    PullError::Damaged(format!(
        "the image's layer {} is damaged: {why}",
        layer.digest
    ))
}

/// Bounded like an entry: a bomb may as well lie behind the last one.
fn drain(from: &mut impl Read, work: &Work) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut left = work.most.min(work.room.reach());
    loop {
        let count = from.read(&mut buffer)? as u64;
        if count == 0 {
            return Ok(());
        }
        left = left
            .checked_sub(count)
            .ok_or_else(|| io::Error::other("it does not end"))?;
    }
}

/// What was said about the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn entries(
    tree: &mut Tree,
    from: impl Read,
    work: &Work,
    done: &mut Done,
) -> Result<(), PullError> {
    let bad = |error: io::Error| PullError::Invalid(format!("a layer of the image: {error}"));
    let mut archive = tar::Archive::new(from);
    let mut next = Extended::default();
    // Of this layer: whiteouts take away only what layers below have.
    let mut own = HashSet::new();
    for entry in archive.entries().map_err(bad)?.raw(true) {
        let mut entry = entry.map_err(bad)?;
        spend(work, done, 1, 0)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => next.path = Some(text(&mut entry)?),
            EntryType::GNULongLink => next.link = Some(text(&mut entry)?),
            EntryType::XHeader => extended(&mut entry, &mut next)?,
            EntryType::XGlobalHeader => {}
            _ => {
                let said = std::mem::take(&mut next);
                spend(work, done, 0, BLOCK)?;
                put(tree, &mut entry, said, &mut own, work, done)?;
                // Those that its path led through are as much on the disk as those that have an entry.
                let made = tree.take_made();
                spend(work, done, made, made.saturating_mul(BLOCK))?;
            }
        }
    }
    Ok(())
}

fn small(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, PullError> {
    if entry.size() > EXTENDED_MAX {
        return Err(PullError::Invalid(
            "a layer of the image has a name of more than 64 KiB".to_owned(),
        ));
    }
    let mut bytes = Vec::new();
    entry
        .take(EXTENDED_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| PullError::Invalid(format!("a layer of the image: {error}")))?;
    Ok(bytes)
}

/// A long name ends with a zero byte.
fn text(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, PullError> {
    let mut bytes = small(entry)?;
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    Ok(bytes)
}

fn extended(entry: &mut tar::Entry<'_, impl Read>, next: &mut Extended) -> Result<(), PullError> {
    let bytes = small(entry)?;
    for pair in PaxExtensions::new(&bytes) {
        let pair = pair.map_err(|error| {
            PullError::Invalid(format!("a layer of the image has a bad header: {error}"))
        })?;
        match pair.key_bytes() {
            b"path" => next.path = Some(pair.value_bytes().to_vec()),
            b"linkpath" => next.link = Some(pair.value_bytes().to_vec()),
            // Raw entries are as long as their own header says.
            b"size" => {
                return Err(PullError::TooLarge(
                    "the image has a file of more than 8 GiB".to_owned(),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn put(
    tree: &mut Tree,
    entry: &mut tar::Entry<'_, impl Read>,
    said: Extended,
    own: &mut HashSet<u64>,
    work: &Work,
    done: &mut Done,
) -> Result<(), PullError> {
    let header = entry.header();
    let path = said
        .path
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let path = PathBuf::from(OsString::from_vec(path));
    let named = |error: io::Error| match error.raw_os_error() {
        // Not the image's fault, and another machine may do better.
        Some(libc::ENOSPC | libc::EDQUOT | libc::EIO | libc::EROFS | libc::EMFILE) => {
            PullError::Disk(error.to_string())
        }
        _ => PullError::Invalid(format!("the image's entry {}: {error}", path.display())),
    };
    let Some((above, name)) = tree::split(&path).map_err(named)? else {
        return Ok(());
    };
    // Tars of before 1988 know directories by their name alone.
    let kind = match header.entry_type() {
        EntryType::Regular if path.as_os_str().as_bytes().ends_with(b"/") => EntryType::Directory,
        kind => kind,
    };
    let mode = header.mode().unwrap_or(0o644);
    let link = said
        .link
        .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
        .map(OsString::from_vec);
    let no_target = || named(io::Error::other("a link without a target"));
    if name.as_bytes() == OPAQUE {
        for name in tree.names(&above).map_err(named)? {
            if !own.contains(&mark(&above, &name)) {
                tree.whiteout(&above, &name).map_err(named)?;
            }
        }
        return Ok(());
    }
    if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
        let hidden = OsStr::from_bytes(hidden);
        if !hidden.is_empty()
            && hidden != "."
            && hidden != ".."
            && !own.contains(&mark(&above, hidden))
        {
            tree.whiteout(&above, hidden).map_err(named)?;
        }
        return Ok(());
    }
    match kind {
        EntryType::Directory => tree.add_directory(&above, &name, mode).map_err(named)?,
        EntryType::Regular | EntryType::Continuous => {
            let mut file = tree.add_file(&above, &name, mode).map_err(named)?;
            let changed = entry.header().mtime().unwrap_or(0);
            copy(entry, &mut file, work, done, &named)?;
            tree::set_changed(&file, changed).map_err(named)?;
        }
        EntryType::Symlink => {
            let target = link.ok_or_else(no_target)?;
            tree.add_link(&above, &name, &target).map_err(named)?;
        }
        EntryType::Link => {
            let of = link.ok_or_else(no_target)?;
            tree.add_hard_link(&above, &name, Path::new(&of))
                .map_err(named)?;
        }
        // A job's /dev is the sandbox's: old images carry a few nodes there, and get none.
        EntryType::Char | EntryType::Block | EntryType::Fifo => return Ok(()),
        other => {
            return Err(named(io::Error::other(format!(
                "an entry of kind {other:?}"
            ))));
        }
    }
    // Its directories too: they are this layer's as much as what is in them.
    let (mut above, mut name) = (above, name);
    while own.insert(mark(&above, &name)) {
        match tree::split(&above).map_err(named)? {
            Some((higher, own_name)) => (above, name) = (higher, own_name),
            None => break,
        }
    }
    Ok(())
}

fn mark(above: &Path, name: &OsStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    above.join(name).hash(&mut hasher);
    hasher.finish()
}

fn copy(
    from: &mut impl Read,
    to: &mut File,
    work: &Work,
    done: &mut Done,
    named: &dyn Fn(io::Error) -> PullError,
) -> Result<(), PullError> {
    let mut buffer = vec![0; BUFFER];
    // The first block was counted with the entry.
    let (mut length, mut counted) = (0_u64, BLOCK);
    loop {
        let count = from.read(&mut buffer).map_err(named)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        length = length.saturating_add(bytes.len() as u64);
        let more = length.saturating_sub(counted).next_multiple_of(BLOCK);
        counted += more;
        spend(work, done, 0, more)?;
        to.write_all(bytes).map_err(named)?;
    }
}

/// Counts files and bytes against what may be used.
fn spend(work: &Work, done: &mut Done, files: u64, bytes: u64) -> Result<(), PullError> {
    done.entries = done.entries.saturating_add(files);
    done.bytes = done.bytes.saturating_add(bytes);
    if done.entries > ENTRIES_MAX {
        return Err(PullError::TooLarge(format!(
            "the image has more than {ENTRIES_MAX} files"
        )));
    }
    if done.bytes > work.most {
        return Err(PullError::TooLarge(format!(
            "unpacked, the image has more than {} GiB",
            work.most >> 30
        )));
    }
    work.room.cover(done.bytes, done.entries)
}

/// Tells how far it is, and ends when nobody waits any more.
struct Counted<'a> {
    inner: File,
    work: &'a Work,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.work.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the job is over"));
        }
        let count = self.inner.read(buffer)?;
        self.work.progress.add(count as u64);
        Ok(count)
    }
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
