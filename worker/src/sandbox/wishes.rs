//! A running job's files, read and written from inside, with the job's own rights: a link leads where it would lead the job,
//! which is nowhere outside.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use protocol::tunnel::{
    ENTRIES_MAX, Entry, EntryKind, FILE_BYTES_MAX, FileAnswer, FileWish, Listing, is_job_path,
};

use super::finished;

/// Looked through for one listing: a directory with millions of names must not take minutes.
const NAMES_MAX: usize = 20_000;

/// Does it, and says what came of it on the first line.
pub fn fulfil(root: &Path, wish: &FileWish, line: &mut (impl Read + Write)) {
    // Whoever asked may be gone.
    let _ = match wish {
        FileWish::List { path } => {
            let answer = list(root, path).map_or_else(|answer| answer, FileAnswer::List);
            say(line, &answer)
        }
        FileWish::Get { path } => get(root, path, line),
        FileWish::Finished { since_ns } => {
            finished::send(&root.join("out"), *since_ns, FILE_BYTES_MAX, line)
        }
        FileWish::Put { path, size } => {
            let answer = put(root, path, *size, line).unwrap_or_else(|answer| answer);
            say(line, &answer)
        }
    };
}

fn say(line: &mut impl Write, answer: &FileAnswer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    line.write_all(&text)
}

fn unfit(why: &str) -> FileAnswer {
    FileAnswer::Unfit {
        why: why.to_owned(),
    }
}

fn failed(error: &io::Error) -> FileAnswer {
    match error.kind() {
        io::ErrorKind::NotFound => FileAnswer::Missing,
        io::ErrorKind::StorageFull => unfit("the job's disk limit is reached"),
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => unfit(&error.to_string()),
        _ => FileAnswer::Failed {
            why: error.to_string(),
        },
    }
}

fn place(root: &Path, path: &str) -> Result<PathBuf, FileAnswer> {
    if is_job_path(path) {
        Ok(root.join(path))
    } else {
        Err(unfit("a relative path of at most 255 bytes without .."))
    }
}

fn list(root: &Path, path: &str) -> Result<Listing, FileAnswer> {
    let names = fs::read_dir(place(root, path)?).map_err(|error| failed(&error))?;
    let mut listing = Listing::default();
    for (seen, entry) in names.enumerate() {
        if seen >= NAMES_MAX {
            listing.more = true;
            break;
        }
        let Ok(entry) = entry else { continue };
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // As the job would see it: through a link.
        let Ok(found) = fs::metadata(entry.path()) else {
            listing.entries.push(Entry {
                name,
                kind: EntryKind::Other,
                size_bytes: 0,
                changed_ms: 0,
            });
            continue;
        };
        let kind = if found.is_dir() {
            EntryKind::Directory
        } else if found.is_file() {
            EntryKind::File
        } else {
            EntryKind::Other
        };
        let changed = found
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        listing.entries.push(Entry {
            name,
            kind,
            size_bytes: if found.is_file() { found.len() } else { 0 },
            changed_ms: changed
                .and_then(|since| i64::try_from(since.as_millis()).ok())
                .unwrap_or(0),
        });
    }
    listing
        .entries
        .sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    listing.more |= listing.entries.len() > ENTRIES_MAX;
    listing.entries.truncate(ENTRIES_MAX);
    Ok(listing)
}

/// Only a plain file is opened: a pipe would wait for its writer for ever.
fn get(root: &Path, path: &str, line: &mut impl Write) -> io::Result<()> {
    let opened = place(root, path).and_then(|path| {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(|error| failed(&error))?;
        let found = file.metadata().map_err(|error| failed(&error))?;
        if !found.is_file() {
            return Err(unfit("this is no plain file"));
        }
        if found.len() > FILE_BYTES_MAX {
            return Err(unfit("this file is larger than may be read at once"));
        }
        Ok((file, found.len()))
    });
    match opened {
        Ok((file, size)) => {
            say(line, &FileAnswer::File { size })?;
            // It may have grown since; what was announced is what is sent.
            io::copy(&mut file.take(size), line).map(|_| ())
        }
        Err(answer) => say(line, &answer),
    }
}

/// Written beside its place and moved there whole, so that the job never reads half of it.
fn put(root: &Path, path: &str, size: u64, line: &mut impl Read) -> Result<FileAnswer, FileAnswer> {
    let target = place(root, path)?;
    if path.is_empty() || target.is_dir() {
        return Err(unfit("a directory stands in its place"));
    }
    if size > FILE_BYTES_MAX {
        return Err(unfit("this file is too large"));
    }
    let parent = target.parent().unwrap_or(root);
    fs::create_dir_all(parent).map_err(|error| failed(&error))?;
    let part = parent.join(format!(".iog-part-{}", std::process::id()));
    let mut written = || -> io::Result<()> {
        let mut file = File::create_new(&part)?;
        let taken = io::copy(&mut line.take(size), &mut file)?;
        if taken < size {
            return Err(io::Error::other("the upload broke off"));
        }
        drop(file);
        fs::rename(&part, &target)
    };
    match written() {
        Ok(()) => Ok(FileAnswer::Stored { size }),
        Err(error) => {
            let _ = fs::remove_file(&part);
            Err(failed(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from and what is written to.
    struct Line(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Line {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn asked(root: &Path, wish: &FileWish, body: &[u8]) -> (FileAnswer, Vec<u8>) {
        let mut line = Line(io::Cursor::new(body.to_vec()), Vec::new());
        fulfil(root, wish, &mut line);
        let end = line
            .1
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line");
        let answer = serde_json::from_slice(&line.1[..end]).expect("an answer");
        (answer, line.1[end + 1..].to_vec())
    }

    #[test]
    fn a_file_goes_in_is_listed_and_comes_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path();
        let put = |path: &str, size, body: &[u8]| {
            let path = path.to_owned();
            asked(root, &FileWish::Put { path, size }, body).0
        };
        assert_eq!(put("in/a.txt", 5, b"hello"), FileAnswer::Stored { size: 5 });
        assert!(matches!(put("b", 9, b"short"), FileAnswer::Failed { .. }));
        for bad in ["", "../x", "/etc/x", "in", "a\u{7}"] {
            assert!(
                matches!(put(bad, 1, b"x"), FileAnswer::Unfit { .. }),
                "{bad}"
            );
        }
        let list = |path: &str| {
            let path = path.to_owned();
            asked(root, &FileWish::List { path }, &[]).0
        };
        let FileAnswer::List(listing) = list("") else {
            panic!("a listing");
        };
        let names: Vec<_> = listing
            .entries
            .iter()
            .map(|e| (e.name.as_str(), e.kind))
            .collect();
        assert_eq!(
            names,
            [("in", EntryKind::Directory)],
            "nothing half is left"
        );
        assert_eq!(list("nowhere"), FileAnswer::Missing);
        let get = |path: &str| {
            let path = path.to_owned();
            asked(root, &FileWish::Get { path }, &[])
        };
        assert_eq!(
            get("in/a.txt"),
            (FileAnswer::File { size: 5 }, b"hello".to_vec())
        );
        assert!(matches!(get("in").0, FileAnswer::Unfit { .. }));
        assert_eq!(get("none").0, FileAnswer::Missing);
    }
}
