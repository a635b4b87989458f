//! Logs and figures of the process itself.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Seconds: from a lookup in memory to an upload.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Lines for people, or JSON for a log store. Called once.
pub fn start_logs(config: &Config) {
    // `Config` has checked the filter; a filter that cannot be read here would only mean more lines.
    let filter = EnvFilter::try_new(&config.log).unwrap_or_default();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if config.log_json {
        lines.json().flatten_event(true).init();
    } else {
        lines.init();
    }
}

/// The recorder that `/metrics` reads. A second call in one process gives a handle of its own that records nothing.
pub fn start_metrics() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let builder = builder
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    // Fails when there is one already: in a test that starts two servers in one process.
    _ = metrics::set_global_recorder(recorder);
    handle
}
