//! For those who run it: alive, ready, figures.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use exchange::Exchange;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;

use super::problem::Chain;
use crate::chain::Link;

/// The process answers. It says nothing about the database: restarting us would not mend that.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Requests can be served: the database answers. Without the chain they are served too, and payouts wait.
pub async fn ready(State(exchange): State<Exchange>, State(link): State<Option<Link>>) -> Response {
    match exchange.ready().await {
        Ok(()) => match link.and_then(|link| link.trouble()) {
            None => "ready\n".into_response(),
            Some(trouble) => {
                format!("ready\npayouts over the chain wait: {trouble}\n").into_response()
            }
        },
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
