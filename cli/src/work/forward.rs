//! `iog port-forward`: a port of a job, here. With `--stdio` it is the line itself: `ssh -o ProxyCommand='iog port-forward --stdio
//! job_… 22' job` reaches an SSH server that the job runs.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use kernel::JobId;
use protocol::tunnel::{FromJob, ToJob};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::line::{self, Heard, Receiver, Sender};
use super::{At, job};

const READ_MAX: usize = 16 * 1024;

#[derive(Args)]
pub struct Forward {
    #[command(flatten)]
    at: At,
    /// Which of the job's machines.
    #[arg(long, short = 'm', default_value_t = 0, value_name = "N")]
    member: u32,
    /// Carry one connection over standard input and output instead of listening.
    #[arg(long)]
    stdio: bool,
    /// The job.
    #[arg(value_parser = job)]
    job: JobId,
    /// The port that the job listens on, on its loopback.
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The port to listen on here [default: the same]; 0 for a free one.
    local: Option<u16>,
}

pub async fn forward(wanted: Forward) -> anyhow::Result<ExitCode> {
    let path = format!(
        "/api/v1/jobs/{}/ports/{}/tcp?member={}",
        wanted.job, wanted.port, wanted.member
    );
    if wanted.stdio {
        let (to, from) = line::open(&wanted.at, &path).await?;
        let (ours, theirs) = tokio::io::duplex(READ_MAX);
        let shown = stdio(theirs);
        let (read, write) = tokio::io::split(ours);
        carry(to, from, read, write).await?;
        // What came last is still on its way to standard output.
        shown.await?;
        return Ok(ExitCode::SUCCESS);
    }
    let local = wanted.local.unwrap_or(wanted.port);
    let listener = TcpListener::bind(("127.0.0.1", local))
        .await
        .with_context(|| format!("port {local} cannot be listened on here; name another one"))?;
    let address = listener.local_addr()?;
    println!("http://{address} is port {} of {}", wanted.port, wanted.job);
    loop {
        let (stream, _) = listener.accept().await?;
        let (at, path) = (wanted.at.clone(), path.clone());
        tokio::spawn(async move {
            if let Err(error) = one(&at, &path, stream).await {
                eprintln!("{error:#}");
            }
        });
    }
}

async fn one(at: &At, path: &str, stream: TcpStream) -> anyhow::Result<()> {
    let (to, from) = line::open(at, path).await?;
    let (read, write) = stream.into_split();
    carry(to, from, read, write).await
}

/// Both ways until both are closed.
async fn carry(
    mut to: Sender,
    mut from: Receiver,
    mut read: impl AsyncReadExt + Unpin,
    mut write: impl AsyncWriteExt + Unpin,
) -> anyhow::Result<()> {
    // Both ways at once: a full line one way must not keep the other waiting.
    let saying = async {
        let mut buffer = vec![0; READ_MAX];
        loop {
            let said = match read.read(&mut buffer).await {
                Ok(0) | Err(_) => break to.say(&ToJob::Eof {}).await,
                Ok(count) => to.write(buffer.get(..count).unwrap_or_default()).await,
            };
            if said.is_err() {
                break said;
            }
        }
    };
    let hearing = async {
        loop {
            match from.hear().await {
                Heard::Bytes(_, bytes) => write.write_all(&bytes).await?,
                Heard::Word(FromJob::Eof {}) | Heard::Closed(_) => return anyhow::Ok(()),
                Heard::Word(_) => {}
            }
        }
    };

    tokio::select! {
        heard = hearing => heard?,
        () = async { _ = saying.await; std::future::pending().await } => {}
    }
    _ = write.shutdown().await;
    to.close().await;
    Ok(())
}

/// Standard input and output as the other end of a stream, on threads of their own.
fn stdio(stream: tokio::io::DuplexStream) -> JoinHandle<()> {
    use std::io::{Read, Write};

    let (mut read, mut write) = tokio::io::split(stream);
    let (typed, mut come) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; READ_MAX];
        while let Ok(count) = std::io::stdin().read(&mut buffer) {
            let piece = buffer.get(..count).unwrap_or_default().to_vec();
            if count == 0 || typed.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(piece) = come.recv().await {
            if write.write_all(&piece).await.is_err() {
                return;
            }
        }
        _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; READ_MAX];
        while let Ok(count) = read.read(&mut buffer).await {
            let piece = buffer.get(..count).unwrap_or_default();
            let mut out = std::io::stdout();
            if count == 0 || out.write_all(piece).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    })
}
