//! HTTP: the router with all its layers.

pub mod extract;
pub mod health;
pub mod install;
pub mod layers;
pub mod letters;
pub mod pages;
mod papers;
pub mod plain;
pub mod problem;
pub mod releases;
pub mod rest;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Uri};
use protocol::Code;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::compression::{CompressionLayer, CompressionLevel};

use crate::auth;
use crate::gateway;
use crate::live;
use crate::state::AppState;
use crate::tunnel::{endpoints, ports};
use problem::Refused;

/// Everything the process serves.
pub fn router(state: &AppState) -> Router {
    let api = Router::new()
        .merge(rest::router().0)
        .merge(gateway::router())
        .route("/api/v1/live", get(live::open))
        .route(
            "/api/v1/endpoints/{id}/{*path}",
            axum::routing::any(endpoints::ask),
        )
        .route("/api/openapi.json", get(rest::document))
        .route("/api", get(unknown))
        .route("/api/{*path}", axum::routing::any(unknown));
    let health = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::figures));
    let joining = Router::new()
        .route("/install.sh", get(install::script))
        .route("/download/{program}", get(install::program));
    let mail = Router::new()
        .route(
            "/mail/confirm",
            get(letters::confirm_page).post(letters::confirm),
        )
        .route(
            "/mail/unsubscribe",
            get(letters::unsubscribe_page).post(letters::unsubscribe),
        );
    let routes = pages::add(api.merge(health).merge(joining).merge(mail), state);
    // The last layer is the outermost. Who asks is known before anything reads a body; errors get their final form
    // before they are compressed; figures and headers see every answer.
    routes
        .layer(DefaultBodyLimit::max(extract::JSON_BYTES_MAX))
        .layer(from_fn_with_state(
            state.clone(),
            auth::limits::sign_in_guard,
        ))
        .layer(from_fn_with_state(state.clone(), auth::gate))
        .layer(from_fn(layers::deadline))
        .layer(from_fn(layers::bounded_body))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(problem::normalise))
        .layer(from_fn_with_state(state.clone(), pages::policy))
        .layer(compression())
        .layer(from_fn_with_state(state.clone(), layers::headers))
        // Jobs' ports are not the portal's: none of its layers touch what goes there and what comes back.
        .layer(from_fn_with_state(state.clone(), ports::by_address))
        .layer(from_fn(layers::observe))
        .with_state(state.clone())
}

fn compression() -> CompressionLayer<impl Predicate> {
    // Artefacts are whatever a job left, often packed already, and may be large.
    let worth_it = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("font/"));
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(worth_it)
}

async fn unknown(uri: Uri) -> impl IntoResponse {
    Refused::new(
        Code::NotFound,
        format!(
            "There is no {}; /api/openapi.json lists what there is.",
            uri.path()
        ),
    )
}

/// What the client says its body has.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
