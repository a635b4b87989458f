//! The workers' side: their WebSocket, `/api/v1/worker`, and the routes on which their files travel.
//!
//! A worker is trusted with nothing: it proves its key on each connection, it has ten seconds to do so, its frames are
//! bounded in size and rate, and what it says about a lease counts only with that lease's epoch (the exchange checks).

mod files;
mod meter;
mod socket;

use axum::Router;
use axum::routing::get;

pub use files::token;

use crate::http::releases;
use crate::state::AppState;
use crate::tunnel;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/api/v1/worker", get(socket::open))
        .route("/api/v1/worker/tunnel", get(tunnel::dialled))
        .route("/api/v1/worker/bundles/{hash}", get(files::bundle))
        .route("/api/v1/worker/release", get(releases::newest))
        .route("/api/v1/worker/release/{sha256}", get(releases::program))
        .route(
            "/api/v1/worker/artefacts/{lease}",
            get(files::checkpoint).put(files::artefact),
        )
}
