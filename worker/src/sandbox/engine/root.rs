//! The root of a container. An engine is given a small image of ours, in which there are links, /etc and places to bind on; the
//! rest (the host's programs, or what the worker has pulled, checked and unpacked) is bound read-only by name. So an engine pulls
//! nothing itself, keeps no second copy, and the rules of docs/worker.md for names and addresses hold with it too.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::body::plain;
use crate::runtime::PROGRAMS;
use crate::sandbox::rootfs::{ETC, ETC_FILES, IMAGE_ROOT_MAX, Lent, OWN, lent_at, no_place};

/// Engines bind files of theirs in here (names, resolvers), for which a read-only tree may have no place: it is copied, and small.
const COPIED: &str = "etc";
/// Engines mount over what is below: what an image has there is bound piece by piece, so that there are places.
const OPEN: &str = "var";
const COPIED_MAX: u64 = 32 << 20;

/// What a container's root is made of.
#[derive(Debug)]
pub struct Root {
    /// By its content.
    pub key: String,
    pub tar: Vec<u8>,
    /// Read-only: where it is, where the job sees it.
    pub mounts: Vec<(PathBuf, PathBuf)>,
}

/// Of the unpacked image there, or of the host's programs. `lent`: where a job sees what the owner lends.
pub fn of(image: Option<&Path>, lent: &[&Path]) -> io::Result<Root> {
    let mut tar = tar::Builder::new(Bounded(Vec::new()));
    tar.follow_symlinks(false);
    let own = [
        ("dev", 0o755),
        ("proc", 0o755),
        ("sys", 0o755),
        (".iog", 0o755),
        ("run", 0o755),
        ("var", 0o755),
        ("var/tmp", 0o755),
        ("job", 0o1777),
        ("tmp", 0o1777),
    ];
    for (name, mode) in own {
        directory(&mut tar, name, mode)?;
    }
    let mounts = match image {
        Some(root) => image_into(&mut tar, root, lent)?,
        None => host_into(&mut tar)?,
    };
    let tar = tar.into_inner()?.0;
    let key = hex::encode(Sha256::digest(&tar)).chars().take(24).collect();
    Ok(Root { key, tar, mounts })
}

type Mounts = Vec<(PathBuf, PathBuf)>;

fn image_into(tar: &mut tar::Builder<Bounded>, root: &Path, lent: &[&Path]) -> io::Result<Mounts> {
    let mut mounts = Vec::new();
    for entry in entries(root)? {
        let name = entry.file_name();
        let is_own = OWN.iter().chain(&[".iog", "run"]).any(|own| name == *own);
        let is_dir = entry.file_type()?.is_dir();
        if name == COPIED && is_dir {
            tar.mode(tar::HeaderMode::Deterministic);
            tar.append_dir_all(&name, entry.path())?;
        } else if name == OPEN && is_dir {
            pieces_into(tar, root, Path::new(OPEN), lent, &mut mounts)?;
        } else if name != OPEN && !is_own {
            beside_lent(tar, root, Path::new(&name), &entry, lent, &mut mounts)?;
        }
    }
    Ok(mounts)
}

/// A directory of which the engine needs places of its own.
fn pieces_into(
    tar: &mut tar::Builder<Bounded>,
    root: &Path,
    folder: &Path,
    lent: &[&Path],
    mounts: &mut Mounts,
) -> io::Result<()> {
    for entry in entries(&root.join(folder))? {
        let place = folder.join(entry.file_name());
        if place != Path::new("var/tmp") {
            beside_lent(tar, root, &place, &entry, lent, mounts)?;
        }
    }
    Ok(())
}

fn beside_lent(
    tar: &mut tar::Builder<Bounded>,
    root: &Path,
    place: &Path,
    entry: &fs::DirEntry,
    lent: &[&Path],
    mounts: &mut Mounts,
) -> io::Result<()> {
    match lent_at(place, lent) {
        Lent::Instead => Ok(()),
        Lent::Above if !entry.file_type()?.is_dir() => Err(io::Error::other(no_place(place))),
        Lent::Above => {
            plain(place).map_err(io::Error::other)?;
            directory(tar, &place.to_string_lossy(), 0o755)?;
            pieces_into(tar, root, place, lent, mounts)
        }
        Lent::Apart => one_into(tar, place, entry, mounts),
    }
}

/// In an order of ours, so that the same image has the same key.
fn entries(of: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(of)?.collect::<io::Result<Vec<_>>>()?;
    if entries.len() > IMAGE_ROOT_MAX {
        let shown = of.file_name().unwrap_or_default().to_string_lossy();
        return Err(io::Error::other(format!(
            "the image has more than {IMAGE_ROOT_MAX} entries in `{shown}`"
        )));
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// A link stays one: whoever bound it would bind what it names on the host.
fn one_into(
    tar: &mut tar::Builder<Bounded>,
    name: &Path,
    entry: &fs::DirEntry,
    mounts: &mut Mounts,
) -> io::Result<()> {
    plain(name).map_err(io::Error::other)?;
    let (kind, shown) = (entry.file_type()?, name.to_string_lossy());
    if kind.is_symlink() {
        return link(tar, &shown, &fs::read_link(entry.path())?);
    }
    if kind.is_dir() {
        directory(tar, &shown, 0o755)?;
    } else {
        file(tar, &shown, "")?;
    }
    mounts.push((entry.path(), Path::new("/").join(name)));
    Ok(())
}

fn host_into(tar: &mut tar::Builder<Bounded>) -> io::Result<Mounts> {
    let mut mounts = Vec::new();
    for name in PROGRAMS {
        let host = Path::new("/").join(name);
        match host.symlink_metadata() {
            Ok(about) if about.is_symlink() => link(tar, name, &fs::read_link(&host)?)?,
            Ok(_) => {
                directory(tar, name, 0o755)?;
                mounts.push((host.clone(), host));
            }
            Err(_) => {}
        }
    }
    directory(tar, "etc", 0o755)?;
    for (name, text) in ETC_FILES {
        file(tar, &format!("etc/{name}"), text)?;
    }
    let etc = ETC.iter().map(|name| Path::new("/etc").join(name));
    mounts.extend(
        etc.filter(|path| path.exists())
            .map(|path| (path.clone(), path)),
    );
    Ok(mounts)
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(u64::try_from(size).unwrap_or(0));
    header
}

fn directory<W: Write>(tar: &mut tar::Builder<W>, name: &str, mode: u32) -> io::Result<()> {
    let mut header = header(tar::EntryType::Directory, mode, 0);
    tar.append_data(&mut header, format!("{name}/"), io::empty())
}

fn file<W: Write>(tar: &mut tar::Builder<W>, name: &str, text: &str) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, 0o644, text.len());
    tar.append_data(&mut header, name, text.as_bytes())
}

fn link<W: Write>(tar: &mut tar::Builder<W>, name: &str, target: &Path) -> io::Result<()> {
    tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), name, target)
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if u64::try_from(self.0.len()).unwrap_or(u64::MAX) > COPIED_MAX {
            return Err(io::Error::other(
                "the image's /etc and /run are too large for a container engine",
            ));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link in an image's root must not lead an engine to the host's files: it is kept as a link, never bound.
    #[test]
    fn escape_by_a_link_in_an_images_root_stays_a_link() {
        let image = tempfile::tempdir().expect("tempdir");
        let at = image.path();
        fs::create_dir_all(at.join("usr/bin")).expect("usr");
        fs::create_dir_all(at.join("etc")).expect("etc");
        fs::create_dir_all(at.join("job")).expect("job");
        fs::write(at.join("etc/motd"), "hello").expect("motd");
        std::os::unix::fs::symlink("/root", at.join("srv")).expect("link");
        let root = of(Some(at), &[]).expect("a root");
        assert_eq!(root.mounts, [(at.join("usr"), PathBuf::from("/usr"))]);
        let mut tar = tar::Archive::new(root.tar.as_slice());
        let entries = tar.entries().expect("entries").map(|entry| {
            let entry = entry.expect("entry");
            let name = entry.path().expect("path").display().to_string();
            (
                name,
                entry
                    .link_name()
                    .expect("link")
                    .map(std::borrow::Cow::into_owned),
            )
        });
        let entries: Vec<_> = entries.collect();
        assert!(
            entries.contains(&("srv".to_owned(), Some("/root".into()))),
            "{entries:?}"
        );
        assert!(
            entries.contains(&("etc/motd".to_owned(), None)),
            "{entries:?}"
        );
        assert_eq!(root.key, of(Some(at), &[]).expect("again").key);
    }

    #[test]
    fn escape_by_a_link_above_what_is_lent_is_refused() {
        let image = tempfile::tempdir().expect("tempdir");
        let at = image.path();
        fs::create_dir_all(at.join("opt/tool")).expect("opt");
        fs::create_dir_all(at.join("opt/models/old")).expect("opt");
        let lent = [Path::new("/opt/models")];
        let root = of(Some(at), &lent).expect("a root");
        assert_eq!(
            root.mounts,
            [(at.join("opt/tool"), PathBuf::from("/opt/tool"))]
        );
        fs::rename(at.join("opt"), at.join("srv")).expect("renamed");
        std::os::unix::fs::symlink("/var/tmp", at.join("opt")).expect("link");
        let why = of(Some(at), &lent).expect_err("refused").to_string();
        assert!(why.contains("/opt is no directory"), "{why}");
    }

    #[test]
    fn escape_by_a_name_in_an_images_root_is_refused() {
        for name in ["x,source=home", "var/x,source=home"] {
            let image = tempfile::tempdir().expect("tempdir");
            fs::create_dir_all(image.path().join(name)).expect("a directory");
            let why = of(Some(image.path()), &[])
                .expect_err("refused")
                .to_string();
            assert!(why.contains("x,source=home"), "{why}");
        }
    }
}
