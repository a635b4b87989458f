//! The files of an image, written below one directory and never past it.
//!
//! Each path is resolved by the kernel as if that directory were the root (`openat2` with `RESOLVE_IN_ROOT`): links of
//! the image, absolute ones too, lead where they would lead inside. Nothing is ever written through the last part of a
//! path. Bits that give rights are dropped, and what a user without rights could not read is made readable: a job is
//! never its image's root.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Of a path as it is written, and of where a directory really lies: the image's own links shorten paths.
const DEPTH_MAX: usize = 128;
const NAME_MAX: usize = 255;
const SMALL_FILE_MAX: u64 = 1024 * 1024;

pub struct Tree {
    root: OwnedFd,
    /// Above its root.
    depth: usize,
    /// Directories that no entry named.
    made: u64,
    /// The directory that was used last: entries of one directory follow each other.
    last: Option<(PathBuf, OwnedFd)>,
}

/// A path split into the directory above and the name in it; `None` for the root itself.
pub fn split(path: &Path) -> io::Result<Option<(PathBuf, OsString)>> {
    let mut parts: Vec<&OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) if name.len() <= NAME_MAX => parts.push(name),
            Component::Normal(_) => return Err(io::Error::other("a name of more than 255 bytes")),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other("a path with `..`"));
            }
        }
    }
    if parts.len() > DEPTH_MAX {
        return Err(io::Error::other("deeper than 128 directories"));
    }
    Ok(parts
        .split_last()
        .map(|(name, above)| (above.iter().collect(), (*name).to_owned())))
}

impl Tree {
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self {
            depth: depth(&root)?,
            root,
            made: 0,
            last: None,
        })
    }

    /// How many directories were made since the last question because a path led through them.
    pub const fn take_made(&mut self) -> u64 {
        std::mem::replace(&mut self.made, 0)
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        rustix::fs::openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
        )
    }

    /// The directory at `path`, made where it is missing.
    pub fn directory(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if let Some((known, fd)) = &self.last
            && known == path
        {
            return fd.try_clone();
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let fd = match self.resolve(path, flags) {
            Err(Errno::NOENT) => {
                let Some((above, name)) = split(path)? else {
                    return Err(Errno::NOENT.into());
                };
                let above = self.directory(&above)?;
                self.make_directory(&above, &name, 0o755)?;
                self.made += 1;
                self.resolve(path, flags)?
            }
            other => other?,
        };
        self.last = Some((path.to_owned(), fd.try_clone()?));
        Ok(fd)
    }

    pub fn add_directory(&mut self, above: &Path, name: &OsStr, mode: u32) -> io::Result<()> {
        let above = self.directory(above)?;
        if kind(&above, name)? != Some(FileType::Directory) {
            self.forget();
            remove(&above, name)?;
        }
        self.make_directory(&above, name, mode)
    }

    fn make_directory(&self, above: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<()> {
        // What is deeper is removed by nobody who keeps a directory open for each step.
        if depth(above)?.saturating_sub(self.depth) >= DEPTH_MAX {
            return Err(io::Error::other("deeper than 128 directories"));
        }
        make_directory(above, name, mode)
    }

    /// A new file, in place of whatever has its name.
    pub fn add_file(&mut self, above: &Path, name: &OsStr, mode: u32) -> io::Result<File> {
        let above = self.directory(above)?;
        self.clear(&above, name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&above, name, flags, Mode::from_raw_mode(0o600))?;
        // Past the umask.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(file_mode(mode)))?;
        Ok(File::from(file))
    }

    /// A symbolic link; where it leads is not looked at, since nothing here follows it out.
    pub fn add_link(&mut self, above: &Path, name: &OsStr, target: &OsStr) -> io::Result<()> {
        let above = self.directory(above)?;
        self.clear(&above, name)?;
        Ok(rustix::fs::symlinkat(target, &above, name)?)
    }

    /// Another name for a file of the image.
    pub fn add_hard_link(&mut self, above: &Path, name: &OsStr, of: &Path) -> io::Result<()> {
        let (of_above, of_name) = split(of)?.ok_or(Errno::INVAL)?;
        let from = self.resolve(&of_above, OFlags::DIRECTORY | OFlags::PATH)?;
        if kind(&from, &of_name)? == Some(FileType::Directory) {
            return Err(io::Error::other("a hard link to a directory"));
        }
        let to = self.directory(above)?;
        // The same name: nothing to do, and clearing it would lose the file.
        let same = |fd: &OwnedFd, name: &OsStr| {
            rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)
                .map(|stat| (stat.st_dev, stat.st_ino))
        };
        if let (Ok(a), Ok(b)) = (same(&from, &of_name), same(&to, name))
            && a == b
        {
            return Ok(());
        }
        self.clear(&to, name)?;
        // Without following: a link is linked itself.
        Ok(rustix::fs::linkat(
            &from,
            &of_name,
            &to,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Takes a name of a layer below away.
    pub fn whiteout(&mut self, above: &Path, name: &OsStr) -> io::Result<()> {
        match self.resolve(above, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(above) => {
                self.forget();
                remove(&above, name)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in a directory; none when it is not there.
    pub fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let fd = match self.resolve(path, OFlags::DIRECTORY | OFlags::RDONLY) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// A small file's content as text; empty when it is not there.
    pub fn text(&self, path: &Path) -> io::Result<String> {
        let fd = match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()),
            other => other?,
        };
        let mut bytes = Vec::new();
        File::from(fd)
            .take(SMALL_FILE_MAX)
            .read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn replace_text(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let (above, name) = split(path)?.ok_or(Errno::INVAL)?;
        self.add_file(&above, &name, 0o644)?
            .write_all(text.as_bytes())
    }

    fn clear(&mut self, above: &OwnedFd, name: &OsStr) -> io::Result<()> {
        if kind(above, name)?.is_some() {
            self.forget();
            remove(above, name)?;
        }
        Ok(())
    }

    /// A directory may have been replaced: its descriptor would lead to what is gone.
    fn forget(&mut self) {
        self.last = None;
    }
}

/// Sets when a file was changed last: programs compare it (Python with what it compiled before).
pub fn set_changed(file: &File, seconds: u64) -> io::Result<()> {
    let time = |tv_nsec| rustix::fs::Timespec {
        tv_sec: i64::try_from(seconds).unwrap_or(0),
        tv_nsec,
    };
    let times = rustix::fs::Timestamps {
        last_access: time(rustix::fs::UTIME_OMIT),
        last_modification: time(0),
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// How many directories lie above it.
fn depth(directory: &OwnedFd) -> io::Result<usize> {
    let at = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    Ok(at.components().count())
}

fn kind(above: &impl AsFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn make_directory(above: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<()> {
    match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let made = rustix::fs::openat(above, name, flags, Mode::empty())?;
    Ok(rustix::fs::fchmod(
        &made,
        Mode::from_raw_mode(directory_mode(mode)),
    )?)
}

/// Removes a name and all below it; never through a link.
fn remove(above: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match kind(above, name)? {
        None => Ok(()),
        Some(FileType::Directory) => {
            // The standard library's removal follows no link, also while somebody changes the tree.
            let at = Path::new("/proc/self/fd").join(above.as_raw_fd().to_string());
            fs::remove_dir_all(at.join(name))
        }
        Some(_) => Ok(rustix::fs::unlinkat(above, name, AtFlags::empty())?),
    }
}

/// Readable, runnable where anybody might run it, never with the rights of an owner or a group.
const fn file_mode(mode: u32) -> u32 {
    let run = if mode & 0o111 == 0 { 0 } else { 0o111 };
    mode & 0o755 | 0o444 | run
}

const fn directory_mode(mode: u32) -> u32 {
    mode & 0o755 | 0o755
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_by_rights_in_a_mode_is_dropped() {
        for (mode, wanted) in [
            (0o600, 0o644),
            (0o4755, 0o755),
            (0o2711, 0o755),
            (0o777, 0o755),
            (0, 0o444),
        ] {
            assert_eq!(file_mode(mode), wanted, "{mode:o}");
        }
        assert_eq!(directory_mode(0o1700), 0o755);
    }

    #[test]
    fn escape_through_links_of_a_layer_below_ends_inside() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir(&root).expect("root");
        fs::create_dir(&outside).expect("outside");
        let mut tree = Tree::open(&root).expect("tree");
        let name = OsStr::new;
        let up = Path::new("../outside");
        for (link, target) in [("abs", outside.as_os_str()), ("up", up.as_os_str())] {
            tree.add_link(Path::new(""), name(link), target)
                .expect("link");
            let wrote = tree.add_file(Path::new(link), name("x"), 0o644);
            if let Ok(mut file) = wrote {
                file.write_all(b"in").expect("write");
            }
            let _ = tree.add_hard_link(Path::new(""), name("hard"), &Path::new(link).join("y"));
            tree.whiteout(Path::new(link), name("kept"))
                .expect("whiteout");
        }
        fs::write(outside.join("kept"), "").expect("write");
        tree.whiteout(Path::new("up"), name("kept"))
            .expect("whiteout");
        let found: Vec<_> = fs::read_dir(&outside).expect("read").collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn a_file_is_replaced_and_never_written_through_its_link() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("victim"), "old").expect("write");
        let mut tree = Tree::open(dir.path()).expect("tree");
        tree.add_link(Path::new(""), OsStr::new("x"), OsStr::new("victim"))
            .expect("link");
        tree.replace_text(Path::new("x"), "new").expect("replace");
        assert_eq!(tree.text(Path::new("victim")).expect("text"), "old");
        assert_eq!(tree.text(Path::new("x")).expect("text"), "new");
        assert_eq!(tree.text(Path::new("none/x")).expect("text"), "");
    }
}
