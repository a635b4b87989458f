//! `iog logs`: what a job printed, and with `-f` what it prints.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use kernel::JobId;
use protocol::view::{JobView, LogPage, Stream};

use super::{At, job};

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    at: At,
    /// Go on until the job is over.
    #[arg(long, short = 'f')]
    follow: bool,
    /// The job.
    #[arg(value_parser = job)]
    job: JobId,
}

pub async fn logs(wanted: Logs) -> anyhow::Result<ExitCode> {
    let client = At::client()?;
    let path = format!("/api/v1/jobs/{}", wanted.job);
    let mut after = 0;
    loop {
        // Asked first: what was printed before it was over is read after.
        let job: JobView = wanted.at.get(&client, &path).await?.json().await?;
        loop {
            let page = format!("{path}/logs?after={after}&limit=2000");
            let page: LogPage = wanted.at.get(&client, &page).await?.json().await?;
            for line in &page.lines {
                let text = line.text.as_bytes();
                let written = if line.stream == Stream::Stdout {
                    std::io::stdout().write_all(text)
                } else {
                    std::io::stderr().write_all(text)
                };
                // A reader that has seen enough, such as `head`, is no fault.
                if written.is_err() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            after = page.next;
            if !page.more {
                break;
            }
        }
        _ = std::io::stdout().flush();
        if !wanted.follow || job.summary.state.is_final() {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
