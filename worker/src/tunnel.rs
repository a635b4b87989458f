//! One way into a running job: dials the exchange with a ticket, has the sandbox open the door, and carries bytes.
//!
//! Each tunnel has a connection of its own: however much flows through it, heartbeats do not wait behind it. A tunnel lives in a
//! task of its lease and dies with it.
//!
//! What comes in is kept in a bounded queue and written by a future of its own: words (what the reader took, a new size) are read on,
//! also while the job takes no input.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::mesh::{Mesh, route};
use protocol::tunnel::{
    Closed, Door, ERRORS, FromJob, MAIN, SHELL_WINDOW, Size, TUNNEL_FRAME_MAX, ToJob, TunnelOrder,
};
use rustix::net::Shutdown;
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::job::{Exit, Knock, Opened, Order};
use crate::sandbox::watched;

const DIAL_WITHIN: Duration = Duration::from_secs(5);
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// A reader that takes nothing for so long is gone.
const SEND_WITHIN: Duration = Duration::from_mins(2);
const READ_MAX: usize = 32 * 1024;
/// After a shell's own end: for what it left in its terminal. What runs on in the background holds nobody up.
const LINGER: Duration = Duration::from_millis(200);
/// The most that the kernel lets an ordinary user keep in a pipe.
const PIPE_MAX: u64 = 1024 * 1024;
/// What has come in and is not written yet.
const AHEAD_MAX: usize = 256 * 1024;
/// A program that waits for its reader reads nothing meanwhile, and its reader's word may stand behind what it does not read.
const OPENS_AFTER: Duration = Duration::from_millis(500);
/// After a shell's last word.
const HANG_UP_WITHIN: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Nothing can be told to anybody: the line is gone.
struct Gone;

impl From<WsError> for Gone {
    fn from(_: WsError) -> Self {
        Self
    }
}

/// Carries one tunnel from its beginning to its end. `mesh`: the job's place in the network of its machines.
pub async fn run(
    server: String,
    order: TunnelOrder,
    orders: mpsc::Sender<Order>,
    mesh: Option<Mesh>,
) {
    let socket = match timeout(DIAL_WITHIN, dial(&server, &order.ticket)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            tracing::warn!(lease = %order.lease, %error, "a tunnel could not be dialled");
            return;
        }
        Err(_) => {
            tracing::warn!(lease = %order.lease, "a tunnel could not be dialled in time");
            return;
        }
    };
    let lease = order.lease;
    if carry(socket, order.door, &orders, mesh).await.is_err() {
        tracing::debug!(%lease, "a tunnel broke off");
    }
}

/// Refuses one without asking the job.
pub async fn refuse(server: String, order: TunnelOrder, reason: Closed, message: &str) {
    if let Ok(Ok(socket)) = timeout(DIAL_WITHIN, dial(&server, &order.ticket)).await {
        let (mut sink, _stream) = socket.split();
        let message = message.to_owned();
        _ = say(&mut sink, &FromJob::Refused { reason, message }).await;
        _ = sink.close().await;
    }
}

async fn dial(server: &str, ticket: &str) -> Result<Socket, WsError> {
    let address = format!("{}/api/v1/worker/tunnel", server.replacen("http", "ws", 1));
    let mut request = address.into_client_request()?;
    let bearer = HeaderValue::from_str(&format!("Bearer {ticket}"))
        .map_err(|error| WsError::Io(io::Error::other(error)))?;
    request.headers_mut().insert("authorization", bearer);
    let config = WebSocketConfig::default()
        .max_message_size(Some(TUNNEL_FRAME_MAX))
        .max_frame_size(Some(TUNNEL_FRAME_MAX))
        .write_buffer_size(0);
    let connect = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    Ok(connect.await?.0)
}

async fn carry(
    socket: Socket,
    door: Door,
    orders: &mpsc::Sender<Order>,
    mesh: Option<Mesh>,
) -> Result<(), Gone> {
    let (mut sink, stream) = socket.split();
    let is_shell = matches!(door, Door::Shell(_));
    // Of a terminal the reader says what it took, so that a flood stops soon after Ctrl-C. Without one the connection alone bounds what is on
    // its way: words behind a full standard input would come too late, and both sides would wait for each other.
    let has_window = matches!(&door, Door::Shell(shell) if shell.size.is_some());
    let is_mesh = matches!(door, Door::Mesh {});
    let opened = match open(door, orders).await {
        Ok(opened) => opened,
        Err((reason, message)) => {
            say(&mut sink, &FromJob::Refused { reason, message }).await?;
            sink.close().await?;
            return Ok(());
        }
    };
    let Opened { fds, exit } = opened;
    let Ends {
        input,
        output,
        errors,
    } = match Ends::new(fds) {
        Ok(ends) => ends,
        Err(error) => {
            let (reason, message) = (Closed::Failed, error.to_string());
            say(&mut sink, &FromJob::Refused { reason, message }).await?;
            return Ok(());
        }
    };
    say(&mut sink, &FromJob::Open {}).await?;
    if is_mesh {
        let mesh = mesh.ok_or(Gone)?;
        return packets(sink, stream, &output, mesh).await;
    }
    let window = Semaphore::new(SHELL_WINDOW);
    let sink = Mutex::new(sink);
    let up = async {
        let exit = deliver(
            &sink,
            [Some(output), errors],
            has_window.then_some(&window),
            is_shell.then_some(exit),
        )
        .await?;
        let mut sink = sink.lock().await;
        let last = match exit {
            Some((code, signal)) if is_shell => FromJob::Exit { code, signal },
            _ => FromJob::Eof {},
        };
        say(&mut sink, &last).await
    };
    let down = take(stream, input, has_window.then_some(&window), &sink);
    tokio::pin!(up, down);
    // A shell is over with its process. A connection may be closed on one side and go on on the other. Either way what still comes is read
    // until the other side hangs up: a socket that is closed on unread bytes is reset, and what was sent last would be lost.
    tokio::select! {
        done = &mut up => {
            done?;
            let patience = if is_shell { HANG_UP_WITHIN } else { SEND_WITHIN };
            _ = timeout(patience, down).await;
        }
        done = &mut down => done?,
    }
    _ = timeout(DIAL_WITHIN, sink.lock().await.close()).await;
    Ok(())
}

/// Carries packets both ways, one a frame. What one side does not take is lost, as on any network; ends with the connection.
async fn packets(
    mut sink: SplitSink<Socket, Message>,
    mut stream: SplitStream<Socket>,
    network: &AsyncFd<OwnedFd>,
    mesh: Mesh,
) -> Result<(), Gone> {
    let up = async {
        let mut buffer = vec![MAIN; READ_MAX + 1];
        loop {
            let count = read(network, buffer.get_mut(1..).unwrap_or_default()).await;
            if count == 0 {
                return Err(Gone);
            }
            let packet = buffer.get(1..=count).unwrap_or_default();
            // The exchange would drop it: a job's noise costs its machine's connection nothing.
            if route(packet, mesh).is_none() {
                continue;
            }
            let frame = Bytes::copy_from_slice(buffer.get(..=count).unwrap_or_default());
            match timeout(SEND_WITHIN, sink.send(Message::Binary(frame))).await {
                Ok(sent) => sent?,
                Err(_) => return Err(Gone),
            }
        }
    };
    let down = async {
        while let Some(message) = stream.next().await {
            if let Message::Binary(frame) = message?
                && frame.first() == Some(&MAIN)
            {
                // The kernel says which packets it does not like, and that its queue is full: neither ends the network.
                _ = rustix::io::write(network.get_ref(), frame.get(1..).unwrap_or_default());
            }
        }
        Ok(())
    };
    tokio::select! {
        done = up => done,
        done = down => done,
    }
}

async fn open(door: Door, orders: &mpsc::Sender<Order>) -> Result<Opened, (Closed, String)> {
    let (reply, answer): (Knock, _) = oneshot::channel();
    let not_running = || (Closed::NotRunning, "the job does not run".to_owned());
    let order = Order::Open { door, reply };
    orders.send(order).await.map_err(|_| not_running())?;
    match timeout(OPEN_WITHIN, answer).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_)) => Err(not_running()),
        Err(_) => Err((
            Closed::Failed,
            "the job's sandbox does not answer".to_owned(),
        )),
    }
}

/// Sends what comes out of the job, until all of it is sent. Answers how the process behind it ended.
async fn deliver(
    sink: &Mutex<SplitSink<Socket, Message>>,
    [main, errors]: [Option<End>; 2],
    window: Option<&Semaphore>,
    exit: Option<oneshot::Receiver<Exit>>,
) -> Result<Option<Exit>, Gone> {
    let moved = [Moved::default(), Moved::default()];
    let both = async {
        let [of_main, of_errors] = &moved;
        let main = pump(sink, main, MAIN, window, of_main);
        let errors = pump(sink, errors, ERRORS, window, of_errors);
        tokio::try_join!(main, errors).map(|_| ())
    };
    tokio::pin!(both);
    // A file or a connection has no process of its own.
    let Some(mut exit) = exit else {
        both.await?;
        return Ok(None);
    };
    tokio::select! {
        done = &mut both => {
            done?;
            Ok(timeout(OPEN_WITHIN, exit).await.ok().and_then(Result::ok))
        }
        Ok(ended) = &mut exit => {
            // What it left in its pipes is sent, however long its reader takes. It is over when nothing more was there for a while, or when
            // more came than pipes hold: then it is of something that runs on.
            let seen = || moved.each_ref().map(|of| of.bytes.load(Ordering::Relaxed));
            let first = seen();
            loop {
                let before = seen();
                if let Ok(done) = timeout(LINGER, &mut both).await {
                    done?;
                    break;
                }
                let now = seen();
                let holds = moved.iter().any(|of| of.holds.load(Ordering::Relaxed));
                let much = std::iter::zip(now, first).any(|(now, first)| now - first > PIPE_MAX);
                if (now == before && !holds) || much {
                    break;
                }
            }
            Ok(Some(ended))
        }
    }
}

/// What went through one stream, and whether a piece of it is read and not sent yet.
#[derive(Default)]
struct Moved {
    bytes: AtomicU64,
    holds: AtomicBool,
}

async fn pump(
    sink: &Mutex<SplitSink<Socket, Message>>,
    from: Option<End>,
    channel: u8,
    window: Option<&Semaphore>,
    moved: &Moved,
) -> Result<(), Gone> {
    let Some(from) = from else { return Ok(()) };
    let mut buffer = vec![0; READ_MAX + 1];
    if let Some(first) = buffer.first_mut() {
        *first = channel;
    }
    loop {
        let count = read(&from, buffer.get_mut(1..).unwrap_or_default()).await;
        if count == 0 {
            return Ok(());
        }
        moved.holds.store(true, Ordering::Relaxed);
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        moved.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(window) = window {
            let permits = u32::try_from(count).unwrap_or(u32::MAX);
            let permits = window.acquire_many(permits).await;
            permits.map_err(|_| Gone)?.forget();
        }
        let frame = Bytes::copy_from_slice(buffer.get(..=count).unwrap_or_default());
        let mut sink = sink.lock().await;
        match timeout(SEND_WITHIN, sink.send(Message::Binary(frame))).await {
            Ok(sent) => sent?,
            Err(_) => return Err(Gone),
        }
        moved.holds.store(false, Ordering::Relaxed);
    }
}

/// Writes what comes in into the job, until nothing more comes.
async fn take(
    stream: SplitStream<Socket>,
    input: End,
    window: Option<&Semaphore>,
    sink: &Mutex<SplitSink<Socket, Message>>,
) -> Result<(), Gone> {
    let room = Semaphore::new(AHEAD_MAX);
    let (queue, waiting) = mpsc::unbounded_channel();
    // A pipe is closed by letting go of it, so only who writes holds it.
    let terminal = Arc::downgrade(&input);
    let hears = hear(stream, queue, &room, window, &terminal);
    let writes = feed(input, waiting, &room);
    tokio::pin!(hears, writes);
    let heard = tokio::select! {
        heard = &mut hears => heard,
        // A job that reads no more is no reason to stop showing what it says.
        () = &mut writes => return hears.await.map_err(|_| Gone),
    };
    match heard {
        // What came before the end is written, if somebody reads it.
        Ok(()) => {
            _ = timeout(SEND_WITHIN, writes).await;
            Ok(())
        }
        Err(Unheard::Gone) => Err(Gone),
        Err(Unheard::NobodyReads) => {
            let mut word = vec![MAIN];
            word.extend_from_slice(
                b"\r\nThe program in this terminal reads no input, and more waits for it than is kept. The connection is closed.\r\n",
            );
            let mut sink = sink.lock().await;
            _ = timeout(DIAL_WITHIN, sink.send(Message::Binary(word.into()))).await;
            Err(Gone)
        }
    }
}

/// Why nothing more is heard.
enum Unheard {
    Gone,
    NobodyReads,
}

/// Reads what comes in: words are followed, bytes are queued.
async fn hear(
    mut stream: SplitStream<Socket>,
    queue: mpsc::UnboundedSender<Bytes>,
    room: &Semaphore,
    window: Option<&Semaphore>,
    terminal: &Weak<AsyncFd<OwnedFd>>,
) -> Result<(), Unheard> {
    let mut queue = Some(queue);
    // Whether what came last ends a line.
    let mut ended = true;
    while let Some(message) = stream.next().await {
        match message.map_err(|_| Unheard::Gone)? {
            Message::Binary(frame) if frame.first() == Some(&MAIN) => {
                let Some(to) = &queue else { continue };
                let bytes = frame.slice(1..);
                ended = bytes
                    .last()
                    .map_or(ended, |last| *last == b'\n' || *last == b'\r');
                if !find_room(bytes.len(), room, window).await? || to.send(bytes).is_err() {
                    queue = None;
                }
            }
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(ToJob::Resize(size)) => {
                    if let Some(terminal) = terminal.upgrade() {
                        resize(&terminal, size);
                    }
                }
                Ok(ToJob::Ack { bytes }) => {
                    if let Some(window) = window {
                        open_window(window, usize::try_from(bytes).unwrap_or(usize::MAX));
                    }
                }
                Ok(ToJob::Eof {}) => {
                    if let (Some(to), Some(end)) = (queue.take(), end_of_input(terminal)) {
                        // Behind a line that is not ended the first one only ends the line.
                        let ends = if ended { 1 } else { 2 };
                        _ = to.send(vec![end; ends].into());
                    }
                }
                Err(error) => tracing::debug!(%error, "a word to a job cannot be read"),
            },
            Message::Close(_) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn open_window(window: &Semaphore, bytes: usize) {
    let out = SHELL_WINDOW.saturating_sub(window.available_permits());
    window.add_permits(bytes.min(out));
}

/// Waits until so much more may be queued; false when the job reads no more. A terminal's program may be waiting for its reader, whose
/// word is not read meanwhile: it may go on.
async fn find_room(
    bytes: usize,
    room: &Semaphore,
    window: Option<&Semaphore>,
) -> Result<bool, Unheard> {
    let permits = u32::try_from(bytes.min(AHEAD_MAX)).unwrap_or(u32::MAX);
    let room = room.acquire_many(permits);
    tokio::pin!(room);
    let forgotten = |found: Result<tokio::sync::SemaphorePermit<'_>, _>| {
        found.map(tokio::sync::SemaphorePermit::forget).is_ok()
    };
    let Some(window) = window else {
        return Ok(forgotten(room.await));
    };
    let found = timeout(SEND_WITHIN, async {
        loop {
            match timeout(OPENS_AFTER, &mut room).await {
                Ok(found) => return forgotten(found),
                Err(_) => open_window(window, SHELL_WINDOW),
            }
        }
    });
    found.await.map_err(|_| Unheard::NobodyReads)
}

/// Writes what is queued, and closes the job's input after the last of it.
async fn feed(input: End, mut waiting: mpsc::UnboundedReceiver<Bytes>, room: &Semaphore) {
    while let Some(bytes) = waiting.recv().await {
        if !write_all(&input, &bytes).await {
            break;
        }
        room.add_permits(bytes.len());
    }
    room.close();
    // A connection is closed by saying so.
    _ = rustix::net::shutdown(input.get_ref(), Shutdown::Write);
}

/// What says in a terminal that nothing more is typed; a terminal cannot be closed as a pipe is. `None`: it is none, or has no such
/// character.
fn end_of_input(terminal: &Weak<AsyncFd<OwnedFd>>) -> Option<u8> {
    let modes = rustix::termios::tcgetattr(terminal.upgrade()?.get_ref()).ok()?;
    let end = modes.special_codes[rustix::termios::SpecialCodeIndex::VEOF];
    (end != 0).then_some(end)
}

fn resize(terminal: &AsyncFd<OwnedFd>, size: Size) {
    let size = size.bounded();
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // What is no terminal has no size.
    _ = rustix::termios::tcsetwinsize(terminal.get_ref(), size);
}

async fn say(sink: &mut SplitSink<Socket, Message>, word: &FromJob) -> Result<(), Gone> {
    let text = serde_json::to_string(word).map_err(|_| Gone)?;
    match timeout(SEND_WITHIN, sink.send(Message::text(text))).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(Gone),
    }
}

type End = Arc<AsyncFd<OwnedFd>>;

/// The descriptors of an open door. Input and output are one for a terminal and a connection.
struct Ends {
    input: End,
    output: End,
    errors: Option<End>,
}

impl Ends {
    fn new(fds: Vec<OwnedFd>) -> io::Result<Self> {
        let mut fds = fds.into_iter().map(|fd| {
            let flags = rustix::fs::fcntl_getfl(&fd)?;
            rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
            watched(fd).map(Arc::new)
        });
        let none = || io::Error::other("the sandbox sent no descriptor");
        let input = fds.next().ok_or_else(none)??;
        let output = fds
            .next()
            .transpose()?
            .unwrap_or_else(|| Arc::clone(&input));
        let errors = fds.next().transpose()?;
        Ok(Self {
            input,
            output,
            errors,
        })
    }
}

/// 0 at the end, also at that of a terminal whose last process has let go of it.
async fn read(from: &AsyncFd<OwnedFd>, into: &mut [u8]) -> usize {
    loop {
        let Ok(mut ready) = from.readable().await else {
            return 0;
        };
        match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *into)?)) {
            Ok(Ok(count)) => return count,
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(_)) => return 0,
            Err(_) => {}
        }
    }
}

/// False when the other side takes no more.
async fn write_all(to: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Ok(mut ready) = to.writable().await else {
            return false;
        };
        match ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
            Ok(Ok(count)) => bytes = bytes.get(count..).unwrap_or_default(),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(_)) => return false,
            Err(_) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
