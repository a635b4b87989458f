//! Submit → process start, on a worker that is idle. The job is `date +%s%N`: what it prints is the moment at which it ran,
//! by the same clock as ours.

use std::time::{Duration, SystemTime};

use protocol::state::JobState;
use test_support::{Database, TestApp, job};

use crate::floor;
use crate::row::{Goal, Row, percentile};

const RUNS: usize = 200;
const WARM_UP: usize = 10;
/// An idle worker keeps a sandbox ready; right after a job it is still making the next one (40 ms), as Ray's worker is
/// still there only because its job left it. How jobs that come without a pause fare is another row's question.
const PAUSE: Duration = Duration::from_millis(150);
const DATE: [&str; 2] = ["/usr/bin/date", "+%s%N"];
/// Ray's warm worker on a machine of this kind (published in docs/benchmarks.md with how it was taken).
const RAY_P50_MS: f64 = 3.4;
const RAY_P99_MS: f64 = 10.0;

#[expect(
    clippy::disallowed_methods,
    reason = "the job prints the system's time; this is what it is compared with"
)]
fn now_ns() -> u128 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

/// Milliseconds from `before` to the moment that the job printed.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds with six digits behind the point"
)]
fn latency(before: u128, printed: &str) -> Option<f64> {
    let ran: u128 = printed.trim().parse().ok()?;
    Some(ran.saturating_sub(before) as f64 / 1e6)
}

async fn floor_once(client: &reqwest::Client, url: &str) -> Option<f64> {
    let before = now_ns();
    let printed = client
        .post(format!("{url}/jobs"))
        .body(DATE.join(" "))
        .send()
        .await
        .ok()?
        .text()
        .await
        .ok()?;
    latency(before, &printed)
}

async fn ours_once(account: &test_support::Account) -> Option<f64> {
    tokio::time::sleep(PAUSE).await;
    let before = now_ns();
    let job = account.submit(&job("bench", &DATE)).await;
    let id = job.summary.id;
    account
        .wait_for(id, JobState::Finished, Duration::from_secs(20))
        .await;
    latency(before, &account.log(id).await)
}

/// Both in turn, so that a slow moment of the machine meets both.
pub async fn measure() -> Vec<Row> {
    let app = TestApp::start_with(Database::Sqlite, &[]).await;
    let (owner, requester) = (
        app.account("owner", None),
        app.account("requester", Some("1000")),
    );
    let node = app.node(&owner, "bench", "0.1").await;
    node.on_the_market(&app.anyone()).await;
    let (url, _worker) = match floor::start().await {
        Ok(started) => started,
        Err(error) => {
            eprintln!("the floor could not be started: {error}");
            return Vec::new();
        }
    };
    let client = reqwest::Client::new();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 0..RUNS + WARM_UP {
        let (floor, own) = (floor_once(&client, &url).await, ours_once(&requester).await);
        if run >= WARM_UP {
            bare.extend(floor);
            ours.extend(own);
        }
    }
    assert_eq!(
        (ours.len(), bare.len()),
        (RUNS, RUNS),
        "each run is counted or the figure is void"
    );
    let floor = "HTTP, WebSocket, spawn; nothing else";
    vec![
        Row::new(
            "submit_start_p50",
            "ms",
            percentile(&mut ours, 0.5),
            (floor, percentile(&mut bare, 0.5)),
            &Goal::AtMost(RAY_P50_MS),
        ),
        Row::new(
            "submit_start_p99",
            "ms",
            percentile(&mut ours, 0.99),
            (floor, percentile(&mut bare, 0.99)),
            &Goal::AtMost(1.5 * RAY_P99_MS),
        ),
    ]
}
