//! Ways into a running job: a shell, a port it listens on, its files.
//!
//! 1. The server says [`ToWorker::Tunnel`](crate::worker::ToWorker::Tunnel) with a ticket. The worker dials
//!    `/api/v1/worker/tunnel` with the ticket as bearer; the ticket is good once, for seconds.
//! 2. The worker says [`FromJob::Open`] or [`FromJob::Refused`]. Then both sides send.
//! 3. Binary frames carry bytes: the first byte names the [`MAIN`] stream or the one for [`ERRORS`]. Text frames are
//!    [`FromJob`] and [`ToJob`], one JSON message each.
//!
//! A browser or a program that opens a shell speaks the same, through the server.

use kernel::{Epoch, LeaseId};
use serde::{Deserialize, Serialize};

/// Standard input and output, or all there is.
pub const MAIN: u8 = 0;
/// Standard error of a command without a terminal.
pub const ERRORS: u8 = 1;
pub const TUNNEL_FRAME_MAX: usize = 64 * 1024;
/// What a shell may have sent that its reader has not yet taken: a flood stops here, and Ctrl-C is heard soon.
pub const SHELL_WINDOW: usize = 256 * 1024;
/// Shells that may be open in one job at once.
pub const SHELLS_MAX: usize = 4;
/// All ways into one lease at once.
pub const TUNNELS_MAX: usize = 64;
/// A command without the shell's own: its words together.
pub const COMMAND_BYTES_MAX: usize = 8 * 1024;
/// A file that is put into a running job, or read from it.
pub const FILE_BYTES_MAX: u64 = crate::spec::BUNDLE_BYTES_MAX;
/// Names in one listing.
pub const ENTRIES_MAX: usize = 1_000;

/// What is behind a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Door {
    Shell(Shell),
    /// A connection to a port on the job's own loopback.
    Port {
        port: u16,
    },
    /// A line of JSON, [`FileAnswer`], and for `Get` the file's bytes after it.
    Files(FileWish),
    /// The network of the job's machines: each binary frame is one packet ([`mesh`](crate::mesh)).
    Mesh {},
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// Empty: a shell that reads what is typed.
    pub command: Vec<String>,
    /// Absent: no terminal; standard input, output and error are apart.
    pub size: Option<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    pub cols: u16,
    pub rows: u16,
}

impl Size {
    /// What a terminal can be: a page that is not laid out yet may say 0.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            cols: self.cols.clamp(2, 1_000),
            rows: self.rows.clamp(1, 500),
        }
    }
}

/// Paths are relative to the job's working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case", deny_unknown_fields)]
pub enum FileWish {
    /// Empty: the working directory itself.
    List {
        path: String,
    },
    Get {
        path: String,
    },
    /// So many bytes follow.
    Put {
        path: String,
        size: u64,
    },
    /// A tar of what stands in the output, changed since then, and is not written to any more. The worker's own wish.
    Finished {
        since_ns: i64,
    },
}

/// The first line that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum FileAnswer {
    List(Listing),
    /// The file's bytes follow.
    File {
        size: u64,
    },
    /// When it was looked, by the machine's clock; the tar follows.
    Finished {
        at_ns: i64,
    },
    /// It is in its place.
    Stored {
        size: u64,
    },
    Missing,
    /// Not what was asked for: a directory, or no plain file.
    Unfit {
        why: String,
    },
    Failed {
        why: String,
    },
}

/// What a directory of a running job holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Listing {
    /// By name, directories first.
    pub entries: Vec<Entry>,
    /// There is more than is listed.
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
    pub size_bytes: u64,
    /// Milliseconds since 1970, by the machine's clock.
    pub changed_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FileKind))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Directory,
    File,
    /// A pipe, a socket, or a link to nothing.
    Other,
}

/// The worker is asked to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunnelOrder {
    pub lease: LeaseId,
    pub epoch: Epoch,
    /// 64 hex digits.
    pub ticket: String,
    pub door: Door,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromJob {
    Open {},
    /// Nothing more comes.
    Refused {
        reason: Closed,
        message: String,
    },
    /// The command is over; after all of its output.
    Exit {
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// Nothing more comes on the main stream.
    Eof {},
}

/// Why a door stays shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// The job does not run (yet, or any more).
    NotRunning,
    /// Nothing listens on the port.
    NothingListens,
    TooMany,
    /// It could not be opened: no such program, a process limit, a machine that is too slow.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToJob {
    Resize(Size),
    /// So many bytes of the output were taken.
    Ack {
        bytes: u32,
    },
    /// Nothing more comes on standard input.
    Eof {},
}

/// Whether this names something at or below the working directory: no `..`, no control characters.
pub fn is_job_path(path: &str) -> bool {
    path.is_empty() || crate::spec::is_inner_path(path) && !path.chars().any(char::is_control)
}
