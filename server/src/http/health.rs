//! For those who run it: alive, ready, figures.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use exchange::Exchange;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;

use super::problem::Chain;

/// The process answers. It says nothing about the database: restarting us would not mend that.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Requests can be served: the database answers.
pub async fn ready(State(exchange): State<Exchange>) -> Response {
    match exchange.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            )
                .into_response()
        }
    }
}

/// Prometheus' text format.
pub async fn figures(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics.render(),
    )
}
