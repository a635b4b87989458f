//! Looks at the health of every replica, again and again.

use std::time::Duration;

use bytes::Bytes;
use exchange::{Place, Served};
use futures::StreamExt;
use http::header::HOST;
use kernel::JobId;

use super::carry;
use crate::state::AppState;

const WITHIN: Duration = Duration::from_secs(4);
/// So many are looked at at once.
const AT_ONCE: usize = 32;

/// One look at all.
pub async fn round(state: AppState) {
    let all = state.exchange.endpoints();
    let state = &state;
    let mut looks = Vec::new();
    for (job, served) in &all {
        looks.extend(
            served
                .places
                .iter()
                .map(|place| look(state, *job, served, place)),
        );
    }
    futures::stream::iter(looks)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

async fn look(state: &AppState, job: JobId, served: &Served, place: &Place) {
    let well = tokio::time::timeout(WITHIN, is_well(state, served, place)).await;
    let well = well.unwrap_or(false);
    state
        .exchange
        .endpoint_looked(job, served, place.member, well)
        .await;
}

async fn is_well(state: &AppState, served: &Served, place: &Place) -> bool {
    let port = served.port.port;
    let Ok(mut line) = carry::open(state, place, port).await else {
        return false;
    };
    let request = http::Request::get(served.port.health.as_deref().unwrap_or("/"))
        .header(HOST, format!("127.0.0.1:{port}"))
        .body(Bytes::new());
    let Ok(request) = request else { return false };
    let answer = line.ask(request).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
