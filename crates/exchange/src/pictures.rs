//! Pictures among the files of a job: shown one by one, and a row of frames as one moving picture.

use std::path::{Path, PathBuf};

use kernel::{ArtefactId, JobId};
use protocol::view::ArtefactView;
use tokio::io::AsyncReadExt;

use crate::actor::Actor;
use crate::apng;
use crate::desk::{Exchange, file_error};
use crate::error::Error;

/// Frames of one moving picture, and their bytes together.
const FRAMES_MAX: usize = 600;
const FRAMES_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The kinds that are shown, by how a file of them begins: what its name says proves nothing.
fn kind(beginning: &[u8]) -> Option<&'static str> {
    let riff = beginning.starts_with(b"RIFF") && beginning.get(8..12) == Some(b"WEBP");
    match beginning {
        _ if beginning.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        _ if beginning.starts_with(b"\xff\xd8\xff") => Some("image/jpeg"),
        _ if beginning.starts_with(b"GIF8") => Some("image/gif"),
        _ if riff => Some("image/webp"),
        _ => None,
    }
}

impl Exchange {
    /// A picture that a job left: its media type and where it lies.
    ///
    /// # Errors
    /// Not this account's job, no such file, or no picture.
    pub async fn picture(
        &self,
        actor: &Actor,
        job: JobId,
        id: ArtefactId,
    ) -> Result<(&'static str, PathBuf), Error> {
        let (_, path) = self.artefact(actor, job, id).await?;
        let mut beginning = [0; 12];
        let read = async {
            let mut file = tokio::fs::File::open(&path).await?;
            file.read(&mut beginning).await
        };
        let count = read
            .await
            .map_err(|source| file_error("reading a file", &path, source))?;
        let kind = kind(beginning.get(..count).unwrap_or_default());
        let none = || Error::Conflict("this file is no PNG, JPEG, GIF or WebP picture".into());
        Ok((kind.ok_or_else(none)?, path))
    }

    /// The first so many frames of a job (all without `frames`) as one moving picture, so many a second: the PNG files of all
    /// its members below `frames/`, by name.
    ///
    /// # Errors
    /// Not this account's job; no frames, or more than one picture can hold.
    pub async fn animation(
        &self,
        actor: &Actor,
        job: JobId,
        per_second: u16,
        frames: Option<u32>,
    ) -> Result<Vec<u8>, Error> {
        let view = self.job(actor, job).await?;
        let most = frames.map_or(FRAMES_MAX, |n| usize::try_from(n).unwrap_or(FRAMES_MAX));
        let found = frames_of(&view.artefacts);
        let found = found.get(..most.min(found.len())).unwrap_or_default();
        let bytes = found
            .iter()
            .fold(0_u64, |sum, file| sum.saturating_add(file.size_bytes));
        if found.len() > FRAMES_MAX || bytes > FRAMES_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "one moving picture holds at most {FRAMES_MAX} frames of {FRAMES_BYTES_MAX} bytes together; ask for fewer with `frames`"
            )));
        }
        let mut read = Vec::with_capacity(found.len());
        for file in found {
            let path = self.artefact_path(job, file.id);
            read.push(read_whole(&path).await?);
        }
        let moving = apng::animate(read.iter().map(Vec::as_slice), per_second);
        let (moving, _) = moving.ok_or(Error::NotFound("a frame of this job"))?;
        Ok(moving)
    }
}

/// The frames that a job has left so far, in their order.
pub fn frames_of(artefacts: &[ArtefactView]) -> Vec<&ArtefactView> {
    let is_frame = |file: &&ArtefactView| {
        let name = file.path.strip_prefix("frames/");
        let png = name.and_then(|name| name.strip_suffix(".png"));
        png.is_some_and(|name| !name.is_empty() && !name.contains('/'))
    };
    let mut found: Vec<_> = artefacts.iter().filter(is_frame).collect();
    found.sort_by(|a, b| (&a.path, a.member).cmp(&(&b.path, b.member)));
    found
}

async fn read_whole(path: &Path) -> Result<Vec<u8>, Error> {
    let read = tokio::fs::read(path).await;
    read.map_err(|source| file_error("reading a frame", path, source))
}

#[cfg(test)]
mod tests {
    use super::{frames_of, kind};
    use protocol::view::ArtefactView;

    #[test]
    fn a_picture_is_known_by_its_beginning() {
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(kind(b"RIFF....WEBP"), Some("image/webp"));
        for bad in [&b"<svg onload=x>"[..], b"<!doctype", b"", b"RIFF....WAVE"] {
            assert_eq!(kind(bad), None);
        }
    }

    #[test]
    fn frames_of_all_members_are_in_one_row() {
        let file = |member, path: &str| ArtefactView {
            id: kernel::ArtefactId::new(kernel::Timestamp::from_millis(1), [0; 10]),
            member,
            path: path.to_owned(),
            size_bytes: 1,
            sha256: String::new(),
        };
        let files = [
            file(0, "frames/0002.png"),
            file(1, "frames/0001.png"),
            file(0, "frames/0000.png"),
            file(0, "frames/.png"),
            file(0, "frames/a/0.png"),
            file(0, "report.png"),
        ];
        let names: Vec<_> = frames_of(&files)
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(
            names,
            ["frames/0000.png", "frames/0001.png", "frames/0002.png"]
        );
    }
}
