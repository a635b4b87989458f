//! The helper's side of the socket to the agent.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::sandbox::wire::{self, FromHelper, ToHelper};

/// Output to an agent that does not read is kept up to here; samples are dropped before.
const BACKLOG_MAX: usize = 64 * 1024;

/// The line-wise conversation with the agent. Never blocks: the agent may hang.
pub(super) struct Agent {
    pub(super) socket: UnixStream,
    pub(super) heard: Vec<u8>,
    pub(super) backlog: VecDeque<Line>,
}

/// What waits to be taken, and the files that go with its first byte.
pub(super) struct Line {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Agent {
    pub(super) fn say(&mut self, message: &FromHelper) {
        let waits: usize = self.backlog.iter().map(|line| line.bytes.len()).sum();
        if matches!(message, FromHelper::Sample(_)) && waits > BACKLOG_MAX {
            return;
        }
        self.say_with(message, Vec::new());
    }

    pub(super) fn say_with(&mut self, message: &FromHelper, fds: Vec<OwnedFd>) {
        if let Ok(mut bytes) = serde_json::to_vec(message) {
            bytes.push(b'\n');
            self.backlog.push_back(Line { bytes, fds });
        }
        self.push();
    }

    pub(super) fn push(&mut self) {
        while let Some(line) = self.backlog.front_mut() {
            let fds: Vec<BorrowedFd<'_>> = line.fds.iter().map(AsFd::as_fd).collect();
            let sent = wire::send_bytes(
                self.socket.as_fd(),
                &line.bytes,
                &fds,
                rustix::net::SendFlags::NOSIGNAL,
            );
            match sent {
                Ok(0) | Err(_) => return,
                Ok(sent) => {
                    line.fds.clear();
                    line.bytes.drain(..sent);
                }
            }
            if line.bytes.is_empty() {
                self.backlog.pop_front();
            }
        }
    }

    /// Waits for the backlog to be taken; the socket's buffer keeps it for an agent that reads after we are gone.
    pub(super) fn flush(&mut self) {
        let _ = self.socket.set_nonblocking(false);
        let _ = self.socket.set_write_timeout(Some(Duration::from_secs(10)));
        self.push();
    }

    /// Whole messages that have come; `None` when the agent is gone.
    pub(super) fn hear(&mut self) -> Option<Vec<ToHelper>> {
        let mut chunk = [0; 8 * 1024];
        let gone = loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => break true,
                Ok(count) => self.heard.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        let mut messages = Vec::new();
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            messages.extend(serde_json::from_slice(&line));
        }
        if gone { None } else { Some(messages) }
    }
}
