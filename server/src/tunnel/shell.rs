//! A shell in a running job: the browser's or the program's WebSocket on one side, the worker's on the other.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use exchange::{Exchange, Place, RECORDING_WRITTEN_AFTER, Recorder, Traffic, check_shell};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use kernel::JobId;
use protocol::tunnel::{Closed, Door, FromJob, MAIN, SHELLS_MAX, Shell, Size, ToJob};
use protocol::view::Scope;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use utoipa::IntoParams;

use super::{SEND_WITHIN, Tunnel, people};
use crate::auth::{ASK_AGAIN_EVERY, Asker, Signed, ended};
use crate::http::extract::{Id, Query};
use crate::http::problem::{Chain, Refused};
use crate::state::AppState;

/// Neither typed nor shown for so long: somebody has left it open.
const IDLE_MAX: Duration = Duration::from_mins(30);
const PING_EVERY: Duration = Duration::from_secs(20);
/// Not even an answer to a ping.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// What to run, and where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShellQuery {
    /// Which of the job's machines; 0 without.
    #[serde(default)]
    member: u32,
    /// The terminal's size; without it there is no terminal, and standard error comes apart.
    cols: Option<u16>,
    rows: Option<u16>,
    /// A program and its arguments as a JSON array; without it a shell that reads what is typed.
    command: Option<String>,
}

impl ShellQuery {
    fn read(&self) -> Result<Shell, Refused> {
        let size = match (self.cols, self.rows) {
            (Some(cols), Some(rows)) => Some(Size { cols, rows }),
            (None, None) => None,
            _ => return Err(Refused::field("cols", "give cols and rows, or neither")),
        };
        let command = self.command.as_deref().map(serde_json::from_str);
        let command: Vec<String> = command
            .transpose()
            .map_err(|_| Refused::field("command", "a JSON array of texts, [\"ls\", \"-l\"]"))?
            .unwrap_or_default();
        if size.is_none() && command.is_empty() {
            return Err(Refused::field(
                "command",
                "name a command, or a terminal's cols and rows",
            ));
        }
        let shell = Shell { command, size };
        check_shell(&shell)?;
        Ok(shell)
    }
}

/// Opens a shell in a running job, as a WebSocket. Binary frames carry bytes behind a first byte: 0 for input and output, 1 for
/// errors. Text frames are JSON: `resize`, `ack`, `eof` from the client; `open`, `refused`, `exit` from the server.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/shell", tag = "jobs", params(("id" = JobId, Path), ShellQuery),
    responses((status = 101, description = "The shell"), crate::http::rest::Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn open(
    State(state): State<AppState>,
    Extension(asker): Extension<Asker>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
    Query(query): Query<ShellQuery>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let place = state
        .exchange
        .job_place(&actor, id, query.member, Scope::Jobs)
        .await?;
    let shell = query.read()?;
    let (seat, socket) =
        people::begin(&state, &asker, socket, "A shell is opened as a WebSocket.")?;
    Ok(socket.on_upgrade(move |mut socket| async move {
        let ended = begin(&state, &asker, &place, shell, &mut socket).await;
        people::end(socket, ended).await;
        drop(seat);
    }))
}

/// From the open door to the end, which is noted whatever it was.
async fn begin(
    state: &AppState,
    asker: &Asker,
    place: &Place,
    shell: Shell,
    socket: &mut WebSocket,
) -> Result<&'static str, FromJob> {
    let refused = |reason, message: &str| FromJob::Refused {
        reason,
        message: message.to_owned(),
    };
    let Some(_seat) = state.tunnels.shell_seat(place.job) else {
        let why = format!("At most {SHELLS_MAX} shells may be open in one job; close another.");
        return Err(refused(Closed::TooMany, &why));
    };
    let Some(actor) = asker.actor.clone() else {
        return Err(refused(Closed::Failed, "Please sign in."));
    };
    let exchange = &state.exchange;
    let note = |error: exchange::Error| {
        tracing::error!(error = %Chain(&error), "work in a job could not be noted");
        refused(
            Closed::Failed,
            "This could not be noted, so it is not done. Try again.",
        )
    };
    // Before anything can be typed.
    let mut recorder = exchange
        .shell_opened(&actor, place, &shell)
        .await
        .map_err(note)?;
    let door = Door::Shell(shell);
    let opened = state.tunnels.open(exchange, place, door).await;
    let began = Instant::now();
    let mut traffic = Traffic::default();
    let ended = match opened {
        Ok(Tunnel {
            socket: mut worker,
            _room,
        }) => {
            let recorder = Some(&mut recorder);
            Ok(carry(state, asker, socket, &mut worker, &mut traffic, recorder).await)
        }
        Err(shut) => Err(refused(shut.reason, &super::sentence(&shut.message))),
    };
    traffic.seconds = began.elapsed().as_secs();
    metrics::counter!("iog_shells_total").increment(1);
    exchange
        .shell_closed(&actor, place, traffic, recorder)
        .await
        .map_err(note)?;
    ended
}

/// Both ways until one side ends. Answers why, as the client's close frame tells it. Of a shell, what it shows is recorded.
pub(super) async fn carry(
    state: &AppState,
    asker: &Asker,
    client: &mut WebSocket,
    worker: &mut WebSocket,
    traffic: &mut Traffic,
    recorder: Option<&mut Recorder>,
) -> &'static str {
    let Ok(open) = serde_json::to_string(&FromJob::Open {}) else {
        return "internal";
    };
    if client.send(Message::Text(open.into())).await.is_err() {
        return "gone";
    }
    let (mut to_client, from_client) = client.split();
    let (mut to_worker, from_worker) = worker.split();
    let at = std::sync::Mutex::new(Instant::now());
    let touch = || *super::lock(&at) = Instant::now();
    let (mut typed, mut shown) = (0, 0);
    let down = typing(from_client, &mut to_worker, &mut typed, &touch);
    let up = showing(from_worker, &mut to_client, &mut shown, &touch, recorder);
    let reason = tokio::select! {
        reason = down => reason,
        reason = up => reason,
        reason = watching(&state.exchange, asker, &at) => reason,
        () = state.closing.wait() => "the server restarts",
    };
    traffic.typed = typed;
    traffic.shown = shown;
    reason
}

type Sink<'a> = SplitSink<&'a mut WebSocket, Message>;
type Stream<'a> = SplitStream<&'a mut WebSocket>;

async fn push(sink: &mut Sink<'_>, message: Message) -> bool {
    matches!(timeout(SEND_WITHIN, sink.send(message)).await, Ok(Ok(())))
}

/// From the client to the job. Its words are read here, so that nothing but them reaches a worker.
async fn typing(
    mut from: Stream<'_>,
    to: &mut Sink<'_>,
    typed: &mut u64,
    touch: &impl Fn(),
) -> &'static str {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            message = from.next() => message,
            _ = pings.tick() => {
                // Clients answer pings; a line on which nothing at all comes is dead.
                if heard.elapsed() > SILENCE_MAX || !push(to, Message::Ping(bytes::Bytes::new())).await {
                    return "gone";
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else {
            return "gone";
        };
        heard = Instant::now();
        let passed = match message {
            Message::Binary(frame) if frame.first() == Some(&MAIN) => {
                touch();
                let bytes = frame.len().saturating_sub(1);
                *typed = typed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
                push(to, Message::Binary(frame)).await
            }
            Message::Text(text) => match serde_json::from_str::<ToJob>(&text) {
                Ok(_) => push(to, Message::Text(text)).await,
                Err(_) => return "a message cannot be read",
            },
            Message::Close(_) => return "gone",
            Message::Binary(_) => return "a message cannot be read",
            Message::Ping(_) | Message::Pong(_) => true,
        };
        if !passed {
            return "the job's machine broke off";
        }
    }
}

/// From the job to the client.
async fn showing(
    mut from: Stream<'_>,
    to: &mut Sink<'_>,
    shown: &mut u64,
    touch: &impl Fn(),
    mut recorder: Option<&mut Recorder>,
) -> &'static str {
    let began = Instant::now();
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut writes = interval_at(
        Instant::now() + RECORDING_WRITTEN_AFTER,
        RECORDING_WRITTEN_AFTER,
    );
    writes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = from.next() => message,
            _ = pings.tick() => {
                if !push(to, Message::Ping(bytes::Bytes::new())).await {
                    return "gone";
                }
                continue;
            }
            _ = writes.tick(), if recorder.is_some() => {
                if let Some(recorder) = &mut recorder {
                    recorder.written_by(began.elapsed()).await;
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else {
            return "the job's machine broke off";
        };
        match message {
            Message::Binary(frame) => {
                touch();
                let bytes = frame.len().saturating_sub(1);
                *shown = shown.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
                if let Some(recorder) = &mut recorder {
                    let bytes = frame.get(1..).unwrap_or_default();
                    recorder.shown(began.elapsed(), bytes).await;
                }
                if !push(to, Message::Binary(frame)).await {
                    return "gone";
                }
            }
            Message::Text(text) => {
                let exit = matches!(serde_json::from_str(&text), Ok(FromJob::Exit { .. }));
                if !push(to, Message::Text(text)).await {
                    return "gone";
                }
                if exit {
                    return "exit";
                }
            }
            Message::Close(_) => return "the job's machine closed it",
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

/// Ends when nobody has used it for long, or when the one who opened it may no longer.
async fn watching(
    exchange: &Exchange,
    asker: &Asker,
    at: &std::sync::Mutex<Instant>,
) -> &'static str {
    let idle = async {
        while super::lock(at).elapsed() <= IDLE_MAX {
            tokio::time::sleep(ASK_AGAIN_EVERY).await;
        }
    };
    tokio::select! {
        () = idle => "idle",
        () = ended(|| asker.still(exchange)) => "the session has ended",
    }
}
