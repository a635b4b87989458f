//! Ways into a running job: who waits at one, and what is told when the process behind it has ended.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use protocol::tunnel::Closed;
use tokio::sync::oneshot;

/// Code and signal.
pub type Exit = (Option<i32>, Option<i32>);

/// Who waits at a door.
pub type Knock = oneshot::Sender<Result<Opened, (Closed, String)>>;

/// A door that is open.
#[derive(Debug)]
pub struct Opened {
    /// A terminal or a connection; or input, output and errors.
    pub fds: Vec<OwnedFd>,
    /// Of the process behind it, when there is one and it has ended.
    pub exit: oneshot::Receiver<Exit>,
}

/// Those that wait and those that are open, by the number that the sandbox knows them by.
#[derive(Default)]
pub(super) struct Doors {
    last: u32,
    waiting: BTreeMap<u32, Knock>,
    open: BTreeMap<u32, oneshot::Sender<Exit>>,
}

impl Doors {
    pub(super) fn knock(&mut self, knock: Knock) -> u32 {
        self.last = self.last.wrapping_add(1);
        // Who waits no more leaves nothing behind.
        self.waiting.retain(|_, knock| !knock.is_closed());
        self.open.retain(|_, exit| !exit.is_closed());
        self.waiting.insert(self.last, knock);
        self.last
    }

    pub(super) fn opened(&mut self, id: u32, fds: Vec<OwnedFd>) {
        let (told, exit) = oneshot::channel();
        if let Some(knock) = self.waiting.remove(&id)
            && knock.send(Ok(Opened { fds, exit })).is_ok()
        {
            self.open.insert(id, told);
        }
    }

    pub(super) fn shut(&mut self, id: u32, reason: Closed, why: String) {
        if let Some(knock) = self.waiting.remove(&id) {
            _ = knock.send(Err((reason, why)));
        }
    }

    pub(super) fn closed(&mut self, id: u32, code: Option<i32>, signal: Option<i32>) {
        if let Some(exit) = self.open.remove(&id) {
            _ = exit.send((code, signal));
        }
    }
}
