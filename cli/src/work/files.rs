//! `iog cp`: a file into a running job, or out of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use futures::StreamExt;
use kernel::JobId;
use reqwest::header::CONTENT_LENGTH;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::{At, accepted};

#[derive(Args)]
pub struct Copy {
    #[command(flatten)]
    at: At,
    /// Which of the job's machines.
    #[arg(long, short = 'm', default_value_t = 0, value_name = "N")]
    member: u32,
    /// A file here, or JOB:PATH; paths in a job begin at its working directory.
    from: String,
    /// The other of the two.
    to: String,
}

enum Place {
    Here(PathBuf),
    Job(JobId, String),
}

/// `job_…:path` is in a job, all else is here.
fn place(text: &str) -> Place {
    let named = text
        .split_once(':')
        .and_then(|(job, path)| Some((job.parse().ok()?, path)));
    match named {
        Some((job, path)) => {
            let path = path.strip_prefix("/job/").unwrap_or(path);
            Place::Job(job, path.trim_start_matches("./").to_owned())
        }
        None => Place::Here(PathBuf::from(text)),
    }
}

/// A directory is meant as the place for a file of the same name.
fn named(path: &str, other: &Path) -> anyhow::Result<String> {
    if !path.is_empty() && !path.ends_with('/') {
        return Ok(path.to_owned());
    }
    let name = other.file_name().and_then(|name| name.to_str());
    Ok(format!("{path}{}", name.context("name the file")?))
}

pub async fn copy(wanted: Copy) -> anyhow::Result<ExitCode> {
    let client = At::client()?;
    let url = |job: JobId, path: &str| {
        let query = [
            ("path", path.to_owned()),
            ("member", wanted.member.to_string()),
        ];
        let at = wanted.at.url(&format!("/api/v1/jobs/{job}/workdir/file"));
        reqwest::Url::parse_with_params(&at, &query).context("IOG_SERVER is no address")
    };
    match (place(&wanted.from), place(&wanted.to)) {
        (Place::Job(job, path), Place::Here(to)) => {
            let to = if to.is_dir() {
                to.join(path.rsplit('/').next().unwrap_or("file"))
            } else {
                to
            };
            let request = client.get(url(job, &path)?).bearer_auth(&wanted.at.key);
            let mut body = accepted(request.send().await?).await?.bytes_stream();
            // Beside its place, and moved there whole.
            let part = to.with_extension("iog-part");
            let mut file = tokio::fs::File::create(&part)
                .await
                .with_context(|| format!("{} cannot be written", part.display()))?;
            while let Some(piece) = body.next().await {
                let piece = piece.context("the file broke off; try again")?;
                file.write_all(&piece).await?;
            }
            file.sync_all().await?;
            tokio::fs::rename(&part, &to).await?;
        }
        (Place::Here(from), Place::Job(job, path)) => {
            let path = named(&path, &from)?;
            let file = tokio::fs::File::open(&from)
                .await
                .with_context(|| format!("{} cannot be read", from.display()))?;
            let size = file.metadata().await?.len();
            let request = client
                .put(url(job, &path)?)
                .bearer_auth(&wanted.at.key)
                .header(CONTENT_LENGTH, size)
                .body(reqwest::Body::wrap_stream(ReaderStream::new(file)));
            accepted(request.send().await?).await?;
        }
        _ => bail!("one of the two is JOB:PATH, the other a file here"),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_job_is_in_it_and_all_else_is_here() {
        let id = format!("job_{}", "0".repeat(32));
        for (text, path) in [("out/x", "out/x"), ("/job/x", "x"), ("./x", "x"), ("", "")] {
            match place(&format!("{id}:{text}")) {
                Place::Job(job, found) => {
                    assert_eq!((job.to_string(), found.as_str()), (id.clone(), path));
                }
                Place::Here(here) => panic!("{}", here.display()),
            }
        }
        for here in ["x", "./a:b", "job_1:x"] {
            assert!(matches!(place(here), Place::Here(_)), "{here}");
        }
        assert_eq!(
            named("in/", Path::new("/a/b.txt")).expect("named"),
            "in/b.txt"
        );
        assert_eq!(named("", Path::new("b")).expect("named"), "b");
        assert_eq!(named("c", Path::new("b")).expect("named"), "c");
    }
}
