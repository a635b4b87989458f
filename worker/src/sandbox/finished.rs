//! What a running job has finished in its output: files that nobody writes to any more. Sent as a tar while the job goes on.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use protocol::tunnel::FileAnswer;
use protocol::worker::ARTEFACTS_MAX;

use super::sys;
use crate::runtime::CHECKPOINT;

const DEPTH_MAX: usize = 16;
/// Looked through at once: a directory with millions of names must not take minutes.
const NAMES_MAX: usize = 20_000;
/// The clock that files are stamped by ticks coarsely, and what was sent twice is seen by its hash.
const OVERLAP_NS: i128 = 1_000_000_000;
/// How people call what is not whole yet.
const UNFINISHED: [&str; 4] = [".new", ".tmp", ".part", ".partial"];

/// Files that changed since then, what stands in `checkpoint/` last: it was looked at first, so whatever it speaks of is sent
/// before it.
pub fn send(out: &Path, since_ns: i64, bytes_max: u64, line: &mut impl Write) -> io::Result<()> {
    let at_ns = now_ns();
    let mut look = Look {
        since: i128::from(since_ns) - OVERLAP_NS,
        room: bytes_max,
        names: 0,
        found: Vec::new(),
    };
    look.directory(&out.join(CHECKPOINT), Path::new(CHECKPOINT), 0);
    let checkpoint = std::mem::take(&mut look.found);
    look.directory(out, Path::new(""), 0);
    let mut text = serde_json::to_vec(&FileAnswer::Finished { at_ns })?;
    text.push(b'\n');
    line.write_all(&text)?;
    let mut tar = tar::Builder::new(line);
    for (name, file, size) in look.found.into_iter().chain(checkpoint) {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        // Should somebody begin to cut it now: the tar stays whole, and the file is sent again.
        let body = file.take(size).chain(io::repeat(0)).take(size);
        tar.append_data(&mut header, name, body)?;
    }
    tar.into_inner()?.flush()
}

fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}

struct Look {
    since: i128,
    room: u64,
    names: usize,
    found: Vec<(PathBuf, File, u64)>,
}

impl Look {
    fn directory(&mut self, at: &Path, name: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(at) else {
            return;
        };
        for entry in entries.flatten() {
            self.names += 1;
            if self.names > NAMES_MAX || self.found.len() >= ARTEFACTS_MAX {
                return;
            }
            let (Ok(kind), Ok(own)) = (entry.file_type(), entry.file_name().into_string()) else {
                continue;
            };
            let unfinished =
                own.starts_with('.') || UNFINISHED.iter().any(|end| own.ends_with(end));
            let is_checkpoint = depth == 0 && name.as_os_str().is_empty() && own == CHECKPOINT;
            let inner = name.join(&own);
            if kind.is_dir() && depth < DEPTH_MAX && !is_checkpoint {
                self.directory(&entry.path(), &inner, depth + 1);
            } else if kind.is_file()
                && !unfinished
                && let Some((file, size)) = self.fit(&entry.path())
            {
                self.room -= size;
                self.found.push((inner, file, size));
            }
        }
    }

    /// Opened here, so that a file which is replaced from now on is sent as it was.
    fn fit(&self, path: &Path) -> Option<(File, u64)> {
        let mut options = File::options();
        options.read(true);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = options.open(path).ok()?;
        let found = file.metadata().ok()?;
        let changed = i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
        let fits = found.is_file() && changed > self.since && found.len() <= self.room;
        (fits && !sys::is_written_to(&file)).then_some((file, found.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, Read};

    use super::*;

    /// When it was looked, and what came, in its order.
    fn sent(out: &Path, since: i64, bytes_max: u64) -> (i64, Vec<(String, String)>) {
        let mut line = Vec::new();
        send(out, since, bytes_max, &mut line).expect("sent");
        let mut rest = &line[..];
        let mut first = String::new();
        rest.read_line(&mut first).expect("a line");
        let FileAnswer::Finished { at_ns } = serde_json::from_str(&first).expect("an answer")
        else {
            panic!("{first}");
        };
        let mut tar = tar::Archive::new(rest);
        let files = tar.entries().expect("a tar").map(|entry| {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            (name, text)
        });
        (at_ns, files.collect())
    }

    #[test]
    fn what_is_whole_is_sent_and_the_checkpoint_last() {
        let dir = tempfile::tempdir().expect("tempdir");
        let out = dir.path();
        fs::create_dir_all(out.join("checkpoint")).expect("made");
        fs::create_dir_all(out.join("frames")).expect("made");
        let write = |name: &str, text: &str| fs::write(out.join(name), text).expect("written");
        write("checkpoint/done.json", "[1]");
        write("checkpoint/done.new", "[1, 2");
        write("frames/1.png", "one");
        write("frames/.2.png", "half");
        write("z", "zz");
        std::os::unix::fs::symlink("/etc/passwd", out.join("link")).expect("link");
        let mut open = File::create(out.join("open.log")).expect("created");
        open.write_all(b"a line").expect("written");
        let (at, files) = sent(out, 0, 1_000);
        assert_eq!(
            files.last(),
            Some(&("checkpoint/done.json".into(), "[1]".into()))
        );
        let all: BTreeMap<_, _> = files.into_iter().collect();
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        assert_eq!(names, ["checkpoint/done.json", "frames/1.png", "z"]);
        drop(open);
        let (_, files) = sent(out, at, 1_000);
        assert!(
            files
                .iter()
                .any(|(name, text)| name == "open.log" && text == "a line")
        );
        let later = at + 3_600_000_000_000;
        assert!(sent(out, later, 1_000).1.is_empty(), "nothing is newer");
        let (_, files) = sent(out, 0, 4);
        let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
        assert!((3..=4).contains(&bytes), "{files:?}");
        assert!(sent(&out.join("none"), 0, 1_000).1.is_empty());
    }
}
