//! Money over the chain: what came in is credited, what is owed goes out, closed weeks are reported, and both sides are compared.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::every;
use crate::chain::Link;
use crate::http::problem::Chain as Causes;
use crate::state::AppState;

/// What pages show of the chain is read every so many rounds of settlement, and at least this often.
const WATCH_ROUNDS: u32 = 10;
const WATCH_MAX: Duration = Duration::from_secs(20);

/// Starts the loops.
pub fn start(state: &AppState, link: &Link) -> [JoinHandle<()>; 3] {
    let (settling, comparing, watching) = (state.clone(), state.clone(), state.clone());
    let (to_settle, to_compare, to_watch) = (link.clone(), link.clone(), link.clone());
    [
        tokio::spawn(async move {
            let period = to_settle.config().interval;
            let round = || settle(settling.clone(), to_settle.clone());
            every("settle", period, settling.closing.clone(), round).await;
        }),
        tokio::spawn(async move {
            let period = to_compare.config().compare;
            let round = || compare(comparing.clone(), to_compare.clone());
            every("vault", period, comparing.closing.clone(), round).await;
        }),
        tokio::spawn(async move {
            let rounds = to_watch.config().interval.saturating_mul(WATCH_ROUNDS);
            let round = || watch(watching.clone(), to_watch.clone());
            every(
                "watch",
                rounds.min(WATCH_MAX),
                watching.closing.clone(),
                round,
            )
            .await;
        }),
    ]
}

/// A round that stands still ends with the process: the next one makes it good, as after a crash.
async fn settle(state: AppState, link: Link) -> Result<(), exchange::Error> {
    let round = async {
        let aptos = link.aptos().await?;
        let settled = state.exchange.settle(aptos).await;
        // What holds payouts back holds no report back.
        let reported = state.exchange.report_weeks(aptos).await;
        settled.and(reported)
    };
    tokio::select! {
        done = round => {
            link.note(done.as_ref().err().map(|error| Causes(error).to_string()));
            done
        }
        () = state.closing.wait() => Ok(()),
    }
}

async fn compare(state: AppState, link: Link) -> Result<(), exchange::Error> {
    let round = async {
        let aptos = link.aptos().await?;
        state.exchange.compare_vault(aptos).await
    };
    tokio::select! {
        done = round => done,
        () = state.closing.wait() => Ok(()),
    }
}

async fn watch(state: AppState, link: Link) -> Result<(), exchange::Error> {
    let round = async {
        let aptos = link.aptos().await;
        let aptos = aptos.inspect_err(|error| state.exchange.chain_is_away(error))?;
        state.exchange.watch_chain(aptos).await
    };
    tokio::select! {
        done = round => done,
        () = state.closing.wait() => Ok(()),
    }
}
