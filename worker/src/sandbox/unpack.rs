//! Unpacks a job's inputs. Runs inside the sandbox, without any right, so that even a fault here reaches nothing; and
//! still refuses what no honest bundle holds: paths that leave, devices, hard links, absolute links.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

const ENTRIES_MAX: usize = 50_000;
const DEPTH_MAX: usize = 32;

/// Writes small files given in the specification.
pub fn write_files(root: &Path, files: &[(String, String)]) -> Result<(), String> {
    for (path, content) in files {
        let to = inner(root, Path::new(path))?;
        parents(root, &to)?;
        let explain = |error: io::Error| format!("cannot write the input file {path}: {error}");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&to)
            .map_err(explain)?;
        io::Write::write_all(&mut file, content.as_bytes()).map_err(explain)?;
    }
    Ok(())
}

/// Unpacks a tar into `root`.
///
/// # Errors
/// What is wrong with the bundle, naming the entry.
pub fn unpack(root: &Path, bundle: impl Read) -> Result<(), String> {
    entries(root, bundle, false)
}

/// Unpacks what a job left; of a file that its inputs bring too, what it left counts.
///
/// # Errors
/// What is wrong with it, naming the entry.
pub fn restore(root: &Path, left: impl Read) -> Result<(), String> {
    entries(root, left, true)
}

fn entries(root: &Path, bundle: impl Read, replace: bool) -> Result<(), String> {
    let mut archive = tar::Archive::new(bundle);
    let entries = archive
        .entries()
        .map_err(|error| format!("the bundle is not a tar: {error}"))?;
    for (count, entry) in entries.enumerate() {
        if count >= ENTRIES_MAX {
            return Err(format!("the bundle has more than {ENTRIES_MAX} entries"));
        }
        let mut entry = entry.map_err(|error| format!("the bundle is damaged: {error}"))?;
        let path = entry
            .path()
            .map_err(|error| format!("the bundle names a bad path: {error}"))?
            .into_owned();
        one(root, &path, &mut entry, replace)
            .map_err(|why| format!("bundle entry {}: {why}", path.display()))?;
    }
    Ok(())
}

fn one(
    root: &Path,
    path: &Path,
    entry: &mut tar::Entry<'_, impl Read>,
    replace: bool,
) -> Result<(), String> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader)
        || path.components().all(|part| part == Component::CurDir)
    {
        return Ok(());
    }
    let to = inner(root, path)?;
    parents(root, &to)?;
    let text = |error: io::Error| error.to_string();
    match kind {
        EntryType::Directory => directory(&to),
        EntryType::Regular | EntryType::Continuous => {
            let executable = entry.header().mode().unwrap_or(0o644) & 0o100 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            if replace && fs::symlink_metadata(&to).is_ok_and(|found| !found.is_dir()) {
                fs::remove_file(&to).map_err(text)?;
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&to)
                .map_err(text)?;
            io::copy(entry, &mut file).map(drop).map_err(text)
        }
        EntryType::Symlink => {
            let target = entry
                .link_name()
                .map_err(text)?
                .ok_or("a link without a target")?;
            stays_inside(path, &target)?;
            symlink(target, &to).map_err(text)
        }
        other => Err(format!(
            "only files, directories and symbolic links are taken, not {other:?}"
        )),
    }
}

/// `root` joined with a path that cannot leave it.
fn inner(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let mut to = root.to_owned();
    let mut depth = 0;
    for part in path.components() {
        match part {
            Component::Normal(name) => {
                to.push(name);
                depth += 1;
            }
            Component::CurDir => {}
            _ => return Err("an absolute path or one with `..`".to_owned()),
        }
    }
    match depth {
        0 => Err("an empty path".to_owned()),
        1..=DEPTH_MAX => Ok(to),
        _ => Err(format!("deeper than {DEPTH_MAX} directories")),
    }
}

/// A link may point anywhere below the root, seen from where it lies.
fn stays_inside(link: &Path, target: &Path) -> Result<(), String> {
    let mut depth = link
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .count()
        .saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return Err(format!("a link that leads out, to {}", target.display())),
        }
    }
    Ok(())
}

fn directory(at: &Path) -> Result<(), String> {
    match fs::symlink_metadata(at) {
        Ok(kind) if kind.is_dir() => Ok(()),
        Ok(_) => Err("a file is where a directory should be".to_owned()),
        Err(_) => fs::DirBuilder::new()
            .mode(0o755)
            .create(at)
            .map_err(|error| error.to_string()),
    }
}

/// Makes the directories above `to`; never through a link.
fn parents(root: &Path, to: &Path) -> Result<(), String> {
    let Some(above) = to
        .parent()
        .and_then(|parent| parent.strip_prefix(root).ok())
    else {
        return Ok(());
    };
    let mut at = root.to_owned();
    for part in above.components() {
        at.push(part);
        directory(&at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (kind, path, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            // Written raw: the library's own setter refuses the paths that an attacker would write.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if matches!(kind, EntryType::Regular) {
                header.set_size(content.len() as u64);
                header.set_cksum();
                builder.append(&header, content.as_bytes()).expect("append");
            } else {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, io::empty()).expect("append");
            }
        }
        builder.into_inner().expect("tar")
    }

    fn refused(entries: &[(EntryType, &str, &str)]) -> String {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().join("job");
        fs::create_dir(&root).expect("mkdir");
        let why = unpack(&root, tar_of(entries).as_slice()).expect_err("must be refused");
        assert_eq!(
            fs::read_dir(dir.path()).expect("list").count(),
            1,
            "nothing was written outside"
        );
        why
    }

    #[test]
    fn an_honest_bundle_is_unpacked() {
        let dir = tempfile::tempdir().expect("tempdir");
        let bundle = tar_of(&[
            (EntryType::Directory, "./", ""),
            (EntryType::Directory, "src/", ""),
            (EntryType::Regular, "src/train.py", "print(1)"),
            (EntryType::Regular, "deep/er/file", "x"),
            (EntryType::Symlink, "src/latest", "../deep/er"),
        ]);
        unpack(dir.path(), bundle.as_slice()).expect("unpacks");
        assert_eq!(
            fs::read_to_string(dir.path().join("src/train.py")).expect("read"),
            "print(1)"
        );
        assert_eq!(
            fs::read_to_string(dir.path().join("src/latest/file")).expect("read"),
            "x"
        );
    }

    #[test]
    fn what_a_job_left_counts_before_what_it_brought() {
        let dir = tempfile::tempdir().expect("tempdir");
        let step = |text| tar_of(&[(EntryType::Regular, "checkpoint/step", text)]);
        unpack(dir.path(), step("0").as_slice()).expect("its inputs");
        assert!(unpack(dir.path(), step("9").as_slice()).is_err());
        restore(dir.path(), step("25").as_slice()).expect("what it left");
        let read = fs::read_to_string(dir.path().join("checkpoint/step"));
        assert_eq!(read.expect("read"), "25");
        let out = [(EntryType::Regular, "../step", "1")];
        assert!(restore(dir.path(), tar_of(&out).as_slice()).is_err());
    }

    #[test]
    fn escape_bundle_paths_links_and_devices_are_refused() {
        assert!(refused(&[(EntryType::Regular, "../x", "")]).contains("`..`"));
        assert!(refused(&[(EntryType::Regular, "/etc/x", "")]).contains("absolute"));
        assert!(refused(&[(EntryType::Regular, "a/../../x", "")]).contains("`..`"));
        assert!(refused(&[(EntryType::Symlink, "l", "/etc")]).contains("leads out"));
        assert!(refused(&[(EntryType::Symlink, "a/l", "../../etc")]).contains("leads out"));
        assert!(refused(&[(EntryType::Link, "h", "/etc/passwd")]).contains("only files"));
        assert!(refused(&[(EntryType::Char, "c", "")]).contains("only files"));
        assert!(refused(&[(EntryType::Fifo, "p", "")]).contains("only files"));
    }

    #[test]
    fn escape_through_a_link_of_the_bundle_is_refused() {
        let why = refused(&[
            (EntryType::Symlink, "l", "."),
            (EntryType::Regular, "l/x", ""),
        ]);
        assert!(
            why.contains("a file is where a directory should be"),
            "{why}"
        );
    }

    #[test]
    fn a_file_is_not_written_twice() {
        assert!(
            refused(&[
                (EntryType::Regular, "a", "1"),
                (EntryType::Regular, "a", "2")
            ])
            .contains("exists")
        );
    }
}
