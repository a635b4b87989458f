//! Sends on what a running job has finished, while it runs: pictures are seen as they come, and a checkpoint outlives its
//! machine. What is not whole yet, or comes after the last look, travels when the job has ended.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel::LeaseId;
use protocol::tunnel::{Door, FileAnswer, FileWish};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::files::Files;
use crate::job::{Opened, Order};

const SOON: Duration = Duration::from_secs(1);
/// A job that leaves nothing is looked at less often.
const SELDOM: Duration = Duration::from_secs(4);
/// A look that took long is followed by a pause that many times as long, so that the job has its line and disk for itself most of the time.
const REST: u32 = 2;
/// But one slow answer must not keep files back for minutes: a machine that dies takes along what was not sent.
const REST_MAX: Duration = Duration::from_mins(1);
const LINE_MAX: u64 = 1_024;

/// What was sent of each path: the hash of its content.
pub type Sent = BTreeMap<String, String>;

/// Looks again and again, for as long as it is asked to.
pub async fn send(
    files: &Files,
    lease: LeaseId,
    spool: &Path,
    orders: mpsc::Sender<Order>,
    sent: &mut Sent,
) -> Infallible {
    let (mut since_ns, mut pause) = (0, SOON);
    loop {
        sleep(pause).await;
        let begun = Instant::now();
        let tar = spool.join("finished.tar");
        let looked = look(&orders, since_ns, &tar).await;
        let news = match looked {
            Ok(at_ns) => {
                let known = sent.len();
                let before: Vec<String> = sent.values().cloned().collect();
                // What could not be sent is looked for again.
                if files.upload(lease, &tar, sent).await.is_empty() {
                    since_ns = at_ns;
                }
                sent.len() > known || !sent.values().eq(before.iter())
            }
            Err(error) => {
                tracing::debug!(%lease, %error, "a running job's files could not be looked at");
                false
            }
        };
        _ = std::fs::remove_file(&tar);
        pause = if news { SOON } else { (pause * 2).min(SELDOM) };
        pause = pause.max((begun.elapsed() * REST).min(REST_MAX));
    }
}

/// Has the sandbox pack what is new into a file here. Answers when it looked, by the machine's clock.
async fn look(orders: &mpsc::Sender<Order>, since_ns: i64, tar: &Path) -> io::Result<i64> {
    let (reply, answer) = oneshot::channel();
    let door = Door::Files(FileWish::Finished { since_ns });
    let gone = |_| io::Error::other("the job is over");
    orders
        .send(Order::Open { door, reply })
        .await
        .map_err(|_| io::Error::other("the job is over"))?;
    let opened = answer.await.map_err(gone)?;
    let Opened { fds, .. } = opened.map_err(|(_, why)| io::Error::other(why))?;
    let fd = fds.into_iter().next();
    let fd = fd.ok_or_else(|| io::Error::other("no line came"))?;
    let tar = tar.to_owned();
    tokio::task::spawn_blocking(move || keep(fd, &tar)).await?
}

fn keep(fd: OwnedFd, tar: &PathBuf) -> io::Result<i64> {
    let mut from = BufReader::new(File::from(fd));
    let mut line = String::new();
    (&mut from).take(LINE_MAX).read_line(&mut line)?;
    let FileAnswer::Finished { at_ns } = serde_json::from_str(&line)? else {
        return Err(io::Error::other(line));
    };
    if let Some(folder) = tar.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Each file may take a block more than it has, and a header.
    let most = protocol::spec::BUNDLE_BYTES_MAX.saturating_mul(2);
    io::copy(&mut from.take(most), &mut File::create(tar)?)?;
    Ok(at_ns)
}
