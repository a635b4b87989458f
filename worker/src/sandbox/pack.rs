//! Packs what a job left in /job/out. Runs inside the sandbox, after every process of the job is dead.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::report::Artefacts;
use crate::runtime::CHECKPOINT;

const FILES_MAX: u64 = 10_000;
const DEPTH_MAX: usize = 32;

/// Whether a job left anything: the directory for its checkpoint was there before it.
pub fn has_something(root: &Path) -> bool {
    let some = |at: &Path| fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_some());
    let Ok(entries) = fs::read_dir(root) else {
        return false;
    };
    let mut entries = entries.flatten();
    entries.any(|entry| {
        entry.file_name() != CHECKPOINT || some(&entry.path()) || !entry.path().is_dir()
    })
}

/// Writes a tar of the regular files below `root`; links and special files are left out, and what does not fit. A checkpoint has its room
/// first and comes last: it may speak of any of the others, and each travels by itself. Should the machine die meanwhile, the job
/// goes on from one that speaks of nothing that was lost.
pub fn pack(root: &Path, to: File, bytes_max: u64) -> io::Result<Artefacts> {
    let checkpoint = root.join(CHECKPOINT);
    // A link would lead out of what is packed.
    let is_there = fs::symlink_metadata(&checkpoint).is_ok_and(|found| found.is_dir());
    let (files, bytes) = if is_there {
        room_of(&checkpoint, 0)
    } else {
        (0, 0)
    };
    let mut packer = Packer {
        tar: tar::Builder::new(io::BufWriter::new(to)),
        done: Artefacts::default(),
        files_max: FILES_MAX.saturating_sub(files),
        bytes_max: bytes_max.saturating_sub(bytes),
    };
    packer.directory(root, Path::new(""), 0)?;
    if is_there {
        (packer.files_max, packer.bytes_max) = (FILES_MAX, bytes_max);
        packer.directory(&checkpoint, Path::new(CHECKPOINT), 1)?;
    }
    packer
        .tar
        .into_inner()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    Ok(packer.done)
}

/// How many files, and how many bytes of a tar.
fn room_of(at: &Path, depth: usize) -> (u64, u64) {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        let (more, size) = match entry.metadata() {
            Ok(found) if found.is_dir() && depth < DEPTH_MAX => room_of(&entry.path(), depth + 1),
            Ok(found) if found.is_file() => (1, cost(found.len())),
            _ => (0, 0),
        };
        files = files.saturating_add(more);
        bytes = bytes.saturating_add(size);
    }
    (files, bytes)
}

/// A tar rounds each file up to 512 bytes after a header of 512.
const fn cost(size: u64) -> u64 {
    size.saturating_add(1_024)
}

struct Packer {
    tar: tar::Builder<io::BufWriter<File>>,
    done: Artefacts,
    files_max: u64,
    bytes_max: u64,
}

impl Packer {
    fn directory(&mut self, at: &Path, name: &Path, depth: usize) -> io::Result<()> {
        // A directory that the job made unreadable is its own choice.
        let Ok(entries) = fs::read_dir(at) else {
            self.done.left_out += 1;
            return Ok(());
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = name.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() && name == Path::new(CHECKPOINT) {
                continue;
            }
            if kind.is_dir() && depth < DEPTH_MAX {
                self.directory(&entry.path(), &name, depth + 1)?;
            } else if !(kind.is_file() && self.file(&entry.path(), &name)?) {
                self.done.left_out += 1;
            }
        }
        Ok(())
    }

    fn file(&mut self, at: &Path, name: &Path) -> io::Result<bool> {
        let Ok(mut file) = File::open(at) else {
            return Ok(false);
        };
        let size = file.metadata()?.len();
        let fits = self.done.files < self.files_max
            && self.done.bytes.saturating_add(cost(size)) <= self.bytes_max;
        if !fits || self.tar.append_file(name, &mut file).is_err() {
            return Ok(false);
        }
        self.done.files += 1;
        self.done.bytes += size;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_checkpoint_is_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert!(!has_something(&dir.path().join("not there")));
        assert!(!has_something(dir.path()));
        let checkpoint = dir.path().join("checkpoint");
        fs::create_dir(&checkpoint).expect("made");
        assert!(!has_something(dir.path()));
        fs::write(checkpoint.join("step"), "3").expect("written");
        assert!(has_something(dir.path()));
        fs::remove_dir_all(&checkpoint).expect("removed");
        fs::write(&checkpoint, "a file of that name").expect("written");
        assert!(has_something(dir.path()));
    }

    #[test]
    fn files_are_packed_links_are_not_and_the_size_is_bounded() {
        let dir = tempfile::tempdir().expect("tempdir");
        let out = dir.path().join("out");
        fs::create_dir_all(out.join("sub")).expect("mkdir");
        fs::create_dir_all(out.join("checkpoint")).expect("mkdir");
        fs::write(out.join("checkpoint/c"), "c").expect("write");
        fs::write(out.join("a"), "aaa").expect("write");
        fs::write(out.join("sub/b"), "bb").expect("write");
        fs::write(out.join("z-large"), vec![0; 100_000]).expect("write");
        std::os::unix::fs::symlink("/etc/passwd", out.join("link")).expect("link");
        let tar = dir.path().join("tar");
        let done = pack(&out, File::create(&tar).expect("create"), 50_000).expect("pack");
        assert_eq!(
            done,
            Artefacts {
                files: 3,
                bytes: 6,
                left_out: 2
            }
        );
        let mut archive = tar::Archive::new(File::open(&tar).expect("open"));
        let names: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                entry
                    .expect("entry")
                    .path()
                    .expect("path")
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(names, ["a", "sub/b", "checkpoint/c"]);
        // The others give way to it.
        let done = pack(&out, File::create(&tar).expect("create"), 1_030).expect("pack");
        assert_eq!((done.files, done.bytes), (1, 1));
    }
}
