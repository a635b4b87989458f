//! A plain connection to a port of a running job, for its owner's programs: `iog port-forward`. Any port of the job's own
//! loopback, also one that the specification does not name: whoever may open a shell could reach it anyway.

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade, close_code};
use axum::response::Response;
use exchange::Traffic;
use http::StatusCode;
use kernel::JobId;
use protocol::Code;
use protocol::tunnel::{Door, FromJob, TUNNEL_FRAME_MAX};
use protocol::view::Scope;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Tunnel;
use super::shell::carry;
use crate::auth::{Asker, Signed};
use crate::http::extract::{Ids, Query};
use crate::http::problem::Refused;
use crate::http::rest::Refusals;
use crate::state::AppState;

/// Where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TcpQuery {
    /// Which of the job's machines; 0 without.
    #[serde(default)]
    member: u32,
}

/// Connects to a port of a running job, as a WebSocket: binary frames carry bytes behind a first byte 0, and `eof` in a text frame
/// closes one side.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/ports/{port}/tcp", tag = "jobs",
    params(("id" = JobId, Path), ("port" = u16, Path), TcpQuery),
    responses((status = 101, description = "The connection"), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn open(
    State(state): State<AppState>,
    Extension(asker): Extension<Asker>,
    Signed(actor): Signed,
    Ids(job, port): Ids<JobId, u16>,
    Query(query): Query<TcpQuery>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let place = state
        .exchange
        .job_place(&actor, job, query.member, Scope::Jobs)
        .await?;
    let socket = socket.map_err(|_| {
        Refused::new(Code::Invalid, "A connection is opened as a WebSocket.")
            .with_status(StatusCode::UPGRADE_REQUIRED)
    })?;
    let seat = state.sockets.seat(asker.address)?;
    let socket = socket
        .max_message_size(TUNNEL_FRAME_MAX)
        .max_frame_size(TUNNEL_FRAME_MAX)
        .write_buffer_size(0);
    Ok(socket.on_upgrade(move |mut socket| async move {
        let opened = state
            .tunnels
            .open(&state.exchange, &place, Door::Port { port })
            .await;
        let reason = match opened {
            Ok(Tunnel {
                socket: mut worker,
                _room,
            }) => {
                carry(
                    &state,
                    &asker,
                    &mut socket,
                    &mut worker,
                    &mut Traffic::default(),
                )
                .await
            }
            Err(shut) => {
                let refused = FromJob::Refused {
                    reason: shut.reason,
                    message: super::sentence(&shut.message),
                };
                let text = serde_json::to_string(&refused).unwrap_or_default();
                _ = socket.send(Message::Text(text.into())).await;
                "refused"
            }
        };
        let close = CloseFrame {
            code: close_code::NORMAL,
            reason: reason.into(),
        };
        _ = socket.send(Message::Close(Some(close))).await;
        drop(seat);
    }))
}
