//! One request over one tunnel into a job: HTTP/1.1 to a port of its own loopback.

use bytes::Bytes;
use exchange::Place;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use protocol::tunnel::Door;
use tokio::task::JoinSet;

use crate::state::AppState;
use crate::tunnel::stream;

/// Why a member gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// It did not get the request: there was no room, or no answer in time.
    NoRoom,
    /// It did not get the request.
    NotReached,
    /// It may have got it.
    BrokeOff,
    /// It may have got it, and has not answered in time.
    TooSlow,
}

impl NoAnswer {
    /// Whether nothing failed: others may be before this request.
    pub const fn is_late(self) -> bool {
        matches!(self, Self::NoRoom | Self::TooSlow)
    }
}

/// An open line to a member; dropped, it is closed.
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    _driven: JoinSet<()>,
}

/// # Errors
/// Nothing listens there, or the machine cannot be reached.
pub async fn open(state: &AppState, place: &Place, port: u16) -> Result<Line, NoAnswer> {
    let door = Door::Port { port };
    let tunnel = state.tunnels.open(&state.exchange, place, door).await;
    let tunnel = tunnel.map_err(|shut| {
        tracing::debug!(job = %place.job, member = place.member, why = shut.message, "a replica is not reached");
        if shut.late {
            NoAnswer::NoRoom
        } else {
            NoAnswer::NotReached
        }
    })?;
    let shaken = handshake(TokioIo::new(stream(tunnel))).await;
    let (sender, connection) = shaken.map_err(|_| NoAnswer::NotReached)?;
    let mut driven = JoinSet::new();
    driven.spawn(async move { _ = connection.await });
    Ok(Line {
        sender,
        _driven: driven,
    })
}

impl Line {
    /// # Errors
    /// It broke off before its answer began.
    pub async fn ask(&mut self, request: Request<Bytes>) -> Result<Response<Incoming>, NoAnswer> {
        let answer = self.sender.send_request(request.map(Full::new)).await;
        answer.map_err(|_| NoAnswer::BrokeOff)
    }
}
