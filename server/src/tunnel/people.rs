//! What the WebSockets of people into a job have in common: how they begin, and how they end.

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use futures::StreamExt;
use http::StatusCode;
use protocol::Code;
use protocol::tunnel::{FromJob, TUNNEL_FRAME_MAX};
use tokio::time::timeout;

use crate::auth::Asker;
use crate::auth::sockets::Seat;
use crate::http::problem::Refused;
use crate::state::AppState;

/// A last word that is not taken in so long is not waited for: the seat is somebody else's.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(20);

/// Who does not close its own side in so long is not waited for.
const HANG_UP_WITHIN: Duration = Duration::from_secs(5);

/// A seat among the address's sockets, and the socket with its bounds. `refusal` is said to what is no WebSocket.
pub fn begin(
    state: &AppState,
    asker: &Asker,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    refusal: &'static str,
) -> Result<(Seat, WebSocketUpgrade), Refused> {
    let socket = socket.map_err(|_| {
        Refused::new(Code::Invalid, refusal).with_status(StatusCode::UPGRADE_REQUIRED)
    })?;
    let seat = state.sockets.seat(asker.address)?;
    let socket = socket
        .max_message_size(TUNNEL_FRAME_MAX)
        .max_frame_size(TUNNEL_FRAME_MAX)
        .write_buffer_size(0);
    Ok((seat, socket))
}

/// Says why it did not begin, or ended, and closes.
pub async fn end(mut socket: WebSocket, ended: Result<&'static str, FromJob>) {
    let reason = match ended {
        Ok(reason) => reason,
        Err(refused) => {
            let text = serde_json::to_string(&refused).unwrap_or_default();
            _ = timeout(LAST_WORD_WITHIN, socket.send(Message::Text(text.into()))).await;
            "refused"
        }
    };
    let close = CloseFrame {
        code: close_code::NORMAL,
        reason: reason.into(),
    };
    _ = timeout(LAST_WORD_WITHIN, socket.send(Message::Close(Some(close)))).await;
    // A socket that is closed on unread bytes is reset, and the last words with it.
    let drained = async { while let Some(Ok(_)) = socket.next().await {} };
    _ = timeout(HANG_UP_WITHIN, drained).await;
}
