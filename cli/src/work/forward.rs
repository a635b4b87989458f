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
    // Asked before anything is promised: a job that is not there, or a port on which nothing listens, is refused here and now.
    line::open(&wanted.at, &path).await?.0.close().await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_server_refuses_is_not_listened_for() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = server.local_addr().expect("an address");
        let answers = async {
            let (mut stream, _) = server.accept().await.expect("asked");
            let mut asked = vec![0; READ_MAX];
            let count = stream.read(&mut asked).await.expect("read");
            let problem = r#"{"code":"not_found","title":"Not Found","status":404,"detail":"the job was not found"}"#;
            let answer = format!(
                "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{problem}",
                problem.len()
            );
            stream.write_all(answer.as_bytes()).await.expect("answered");
            String::from_utf8_lossy(asked.get(..count).unwrap_or_default()).into_owned()
        };
        let wanted = Forward {
            at: At {
                server: format!("http://{address}"),
                key: "key".into(),
            },
            member: 0,
            stdio: false,
            job: format!("job_{}", "0".repeat(32)).parse().expect("an id"),
            port: 8_888,
            local: Some(0),
        };
        let within = std::time::Duration::from_secs(10);
        let both = async { tokio::join!(forward(wanted), answers) };
        let (done, asked) = tokio::time::timeout(within, both).await.expect("it ends");
        assert!(asked.contains("/ports/8888/tcp?member=0"), "{asked}");
        let why = done.expect_err("refused").to_string();
        assert!(why.contains("the job was not found"), "{why}");
    }
}
