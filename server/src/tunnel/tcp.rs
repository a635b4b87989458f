//! A plain connection to a port of a running job, for its owner's programs: `iog port-forward`. Any port of the job's own
//! loopback, also one that the specification does not name: whoever may open a shell could reach it anyway.

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use exchange::{PortAt, Reach, Traffic};
use kernel::JobId;
use protocol::tunnel::{Door, FromJob};
use protocol::view::Scope;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shell::carry;
use super::{Tunnel, people};
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
    let at = PortAt {
        job,
        member: query.member,
        port,
    };
    state
        .exchange
        .reached(Some(&actor), Reach::Forwarded(at))
        .await?;
    let (seat, socket) = people::begin(
        &state,
        &asker,
        socket,
        "A connection is opened as a WebSocket.",
    )?;
    Ok(socket.on_upgrade(move |mut socket| async move {
        let opened = state
            .tunnels
            .open(&state.exchange, &place, Door::Port { port })
            .await;
        let ended = match opened {
            Ok(Tunnel {
                socket: mut worker,
                _room,
            }) => {
                let mut traffic = Traffic::default();
                Ok(carry(&state, &asker, &mut socket, &mut worker, &mut traffic, None).await)
            }
            Err(shut) => Err(FromJob::Refused {
                reason: shut.reason,
                message: super::sentence(&shut.message),
            }),
        };
        people::end(socket, ended).await;
        drop(seat);
    }))
}
