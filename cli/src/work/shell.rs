//! `iog ssh`: a shell in a job, or one command. It is no SSH: the same WebSocket as the portal's shell carries it. What needs a
//! remote shell command takes it all the same: `rsync -e 'iog ssh' out/ job_…:in/`.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use kernel::JobId;
use protocol::tunnel::{ERRORS, FromJob, Size, ToJob};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::line::{self, Heard, Receiver};
use super::{At, job};

/// So many bytes are shown before the job is told that they were.
const ACK_EVERY: usize = 32 * 1024;
const READ_MAX: usize = 16 * 1024;

#[derive(Args)]
pub struct Ssh {
    #[command(flatten)]
    at: At,
    /// Which of the job's machines.
    #[arg(long, short = 'm', default_value_t = 0, value_name = "N")]
    member: u32,
    /// A terminal although a command is given.
    #[arg(short = 't')]
    terminal: bool,
    /// The job.
    #[arg(value_parser = job)]
    job: JobId,
    /// A command and its arguments; without one, a shell.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// The terminal as it was, put back when this is dropped.
struct Raw(Termios);

impl Raw {
    fn make() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).context("the terminal cannot be read")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw)
            .context("the terminal cannot be changed")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let stdin = std::io::stdin();
        _ = tcsetattr(stdin.as_fd(), OptionalActions::Now, &self.0);
    }
}

fn size() -> Size {
    let found = tcgetwinsize(std::io::stdout().as_fd());
    found.map_or(Size { cols: 80, rows: 24 }, |size| Size {
        cols: size.ws_col,
        rows: size.ws_row,
    })
}

/// Standard input on a thread of its own: a read of it cannot be given up.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; READ_MAX];
        loop {
            let count = match std::io::stdin().read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let piece = buffer.get(..count).unwrap_or_default().to_vec();
            if sender.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    receiver
}

pub async fn ssh(wanted: Ssh) -> anyhow::Result<ExitCode> {
    let typed_at = std::io::stdin().is_terminal();
    let terminal = typed_at
        && std::io::stdout().is_terminal()
        && (wanted.command.is_empty() || wanted.terminal);
    let mut query = vec![("member", wanted.member.to_string())];
    if terminal || (wanted.command.is_empty() && typed_at) {
        let size = size();
        query.push(("cols", size.cols.max(2).to_string()));
        query.push(("rows", size.rows.max(1).to_string()));
    }
    let command = command(&wanted.command, typed_at);
    if !command.is_empty() {
        query.push(("command", serde_json::to_string(&command)?));
    }
    let url = reqwest::Url::parse_with_params("http://x/", &query)?;
    let query = url.query().unwrap_or_default();
    let path = format!("/api/v1/jobs/{}/shell?{query}", wanted.job);
    let (mut to, mut from) = line::open(&wanted.at, &path).await?;
    let raw = terminal.then(Raw::make).transpose()?;
    let mut resized = signal(SignalKind::window_change())?;
    let (mut input, mut open) = (typed(), true);
    let (words, mut said) = mpsc::unbounded_channel();
    // Both ways at once: who stops hearing while it says something would wait for a job that waits for it. What can no longer be said is no
    // reason to stop hearing.
    let saying = async {
        loop {
            let done = tokio::select! {
                biased;
                Some(word) = said.recv() => to.say(&word).await,
                _ = resized.recv(), if terminal => to.say(&ToJob::Resize(size())).await,
                piece = input.recv(), if open => if let Some(piece) = piece {
                    to.write(&piece).await
                } else {
                    open = false;
                    to.say(&ToJob::Eof {}).await
                },
            };
            if done.is_err() {
                return;
            }
        }
    };
    let hearing = hear(&mut from, &words);
    let ended = tokio::select! {
        ended = async { saying.await; std::future::pending().await } => ended,
        ended = hearing => ended,
    };
    to.close().await;
    drop(raw);
    Ok(match ended {
        Ended::Over(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Ended::NobodyReads => ExitCode::from(1),
        Ended::Closed(reason) => {
            eprintln!("The line is closed: {reason}.");
            ExitCode::from(255)
        }
    })
}

/// What is run; nothing: the job's own shell in a terminal. Where nobody types it is the same shell without one, as ssh does it: it reads its
/// commands from a pipe, which ends.
fn command(words: &[String], typed_at: bool) -> Vec<String> {
    let line = match words {
        [] if typed_at => return Vec::new(),
        [] => "exec \"${SHELL:-/bin/sh}\"",
        // One word is for a shell to read.
        [line] => line.as_str(),
        words => return words.to_vec(),
    };
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

enum Ended {
    /// With this code.
    Over(i32),
    /// Standard output is closed.
    NobodyReads,
    /// The line, and why.
    Closed(String),
}

/// Writes what comes out of the job, and says how much was taken, until it is over.
async fn hear(from: &mut Receiver, words: &mpsc::UnboundedSender<ToJob>) -> Ended {
    let mut taken = 0;
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    loop {
        match from.hear().await {
            Heard::Bytes(channel, bytes) => {
                taken += bytes.len();
                let written = if channel == ERRORS {
                    err.write_all(&bytes)
                } else {
                    out.write_all(&bytes).and_then(|()| out.flush())
                };
                if written.is_err() {
                    return Ended::NobodyReads;
                }
                if taken >= ACK_EVERY {
                    let bytes = u32::try_from(taken).unwrap_or(u32::MAX);
                    _ = words.send(ToJob::Ack { bytes });
                    taken = 0;
                }
            }
            Heard::Word(FromJob::Exit { code, signal }) => {
                let code = code.or_else(|| signal.map(|signal| 128 + signal));
                return Ended::Over(code.unwrap_or(1));
            }
            Heard::Word(_) => {}
            Heard::Closed(reason) => return Ended::Closed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_shell_that_nobody_types_into_has_an_input_that_ends() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        assert!(command(&[], true).is_empty(), "a terminal's shell");
        let piped = command(&[], false);
        assert_eq!(
            piped,
            words(&["/bin/sh", "-c", "exec \"${SHELL:-/bin/sh}\""])
        );
        // It is a shell that reads what comes and ends with it.
        let (program, rest) = piped.split_first().expect("a program");
        let mut child = std::process::Command::new(program)
            .args(rest)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("starts");
        let mut input = child.stdin.take().expect("its input");
        std::io::Write::write_all(&mut input, b"echo hi\nexit 3\n").expect("typed");
        drop(input);
        let done = child.wait_with_output().expect("ends");
        assert_eq!(
            (done.status.code(), done.stdout.as_slice()),
            (Some(3), &b"hi\n"[..])
        );
        assert_eq!(
            command(&words(&["ls; pwd"]), true),
            words(&["/bin/sh", "-c", "ls; pwd"])
        );
        assert_eq!(command(&words(&["ls", "-l"]), false), words(&["ls", "-l"]));
    }
}
