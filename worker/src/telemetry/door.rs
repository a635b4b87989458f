//! The newest values for the owner's Prometheus, on an address of the owner's choice: `--metrics 127.0.0.1:9400`.
//!
//! A few lines of HTTP in place of a server: one page, read only, and every answer ends its connection.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(5);
const REQUEST_MAX: usize = 8 * 1024;
const AT_ONCE: usize = 16;

/// What is shown; the agent changes it each second.
pub type Shown = Arc<RwLock<String>>;

/// Listens until the process ends.
///
/// # Errors
/// The address cannot be had.
pub async fn open(address: SocketAddr, shown: Shown) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let seats = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let shown = Arc::clone(&shown);
                    tokio::spawn(async move {
                        _ = timeout(WITHIN, answer(stream, &shown)).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody can be let in to read the metrics");
                    tokio::time::sleep(WITHIN).await;
                }
            }
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, shown: &Shown) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") && asked.len() < REQUEST_MAX {
        if stream.read_buf(&mut asked).await? == 0 {
            break;
        }
    }
    let first = asked
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let (status, body) = if first.starts_with(b"GET /metrics ") || first.starts_with(b"GET / ") {
        let text = shown.read().map(|text| text.clone()).unwrap_or_default();
        ("200 OK", text)
    } else {
        ("404 Not Found", "there is /metrics\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_is_read_and_nothing_else_is() {
        let shown = Shown::default();
        *shown.write().expect("lock") = "iog_host_cpu_percent 1\n".to_owned();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = open(any, shown).await.expect("listens");
        for (asked, status, body) in [
            (
                "GET /metrics HTTP/1.1",
                "200 OK",
                "iog_host_cpu_percent 1\n",
            ),
            (
                "POST /metrics HTTP/1.1",
                "404 Not Found",
                "there is /metrics\n",
            ),
        ] {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            let text = format!("{asked}\r\nHost: x\r\n\r\n");
            stream.write_all(text.as_bytes()).await.expect("asks");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("answers");
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{answer}"
            );
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        }
    }
}
