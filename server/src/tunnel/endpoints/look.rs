//! Looks at the health of every replica, again and again.

use std::time::Duration;

use bytes::Bytes;
use exchange::{Look, Place, Served};
use futures::StreamExt;
use http::header::HOST;
use kernel::JobId;

use super::carry::{self, NoAnswer};
use crate::state::AppState;

const WITHIN: Duration = Duration::from_secs(4);
/// So many are looked at at once.
const AT_ONCE: usize = 32;
/// With more connections into a replica than the last looks' own, somebody else is before this one.
const OWN_LINES: usize = 2;

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
    let crowded = state.tunnels.open_into(place.lease) > OWN_LINES;
    let looked = tokio::time::timeout(WITHIN, is_well(state, served, place)).await;
    let look = match looked.unwrap_or(Err(NoAnswer::TooSlow)) {
        Ok(true) => Look::Well,
        Err(why) if why.is_late() => Look::Late { crowded },
        Ok(false) | Err(_) => Look::Ill,
    };
    state
        .exchange
        .endpoint_looked(job, served, place.member, look)
        .await;
}

async fn is_well(state: &AppState, served: &Served, place: &Place) -> Result<bool, NoAnswer> {
    let port = served.port.port;
    let mut line = carry::open(state, place, port).await?;
    let request = http::Request::get(served.port.health.as_deref().unwrap_or("/"))
        .header(HOST, format!("127.0.0.1:{port}"))
        .body(Bytes::new());
    let Ok(request) = request else {
        return Ok(false);
    };
    Ok(line.ask(request).await?.status().is_success())
}
