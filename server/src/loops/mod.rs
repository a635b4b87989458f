//! The background reconcilers. Each takes no input and re-reads state, so that one that was late, failed or was killed is
//! made good by the next.

pub mod chain;
pub mod guard;
pub mod mail;
pub mod webhooks;

use std::time::Duration;

use exchange::Exchange;
use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::Mail;
use crate::http::problem::Chain;
use crate::state::{AppState, Closing};
use mail::Postman;
use webhooks::Courier;

const TICK_EVERY: Duration = Duration::from_millis(250);
const PRUNE_EVERY: Duration = Duration::from_mins(1);
const CARRY_EVERY: Duration = Duration::from_millis(250);
const JOIN_EVERY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const MAIL_EVERY: Duration = Duration::from_secs(1);
/// The same failure, four times a second, says nothing new.
const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// Starts them; they end by themselves when the process closes.
///
/// # Errors
/// Webhooks or e-mails cannot be carried: no TLS can be set up, or the mail's host cannot be used.
pub fn start(state: &AppState, mail: Option<&Mail>) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let client = webhooks::client(guard::system(), state.exchange.settings().webhooks_local)?;
    let couriers = Courier::both(&state.exchange, &client).map(|courier| {
        let closing = state.closing.clone();
        tokio::spawn(async move {
            let round = || courier.clone().round();
            every(courier.name(), CARRY_EVERY, closing, round).await;
            courier.settle().await;
        })
    });
    let mut loops: Vec<JoinHandle<()>> = reconcilers(state).into_iter().chain(couriers).collect();
    loops.extend(
        state
            .chain
            .iter()
            .flat_map(|link| chain::start(state, link)),
    );
    if let Some(mail) = mail {
        let postman = Postman::new(state.exchange.clone(), mail)?;
        let closing = state.closing.clone();
        loops.push(tokio::spawn(async move {
            let round = || postman.clone().round();
            every("mail", MAIL_EVERY, closing, round).await;
            postman.settle().await;
        }));
    }
    Ok(loops)
}

fn reconcilers(state: &AppState) -> [JoinHandle<()>; 7] {
    let reconcile = state.exchange.clone();
    let tick = state.exchange.clone();
    let prove = state.exchange.clone();
    let check = state.exchange.clone();
    let prune = state.clone();
    let look = state.clone();
    let join = state.clone();
    [
        tokio::spawn(every(
            "meshes",
            JOIN_EVERY,
            state.closing.clone(),
            move || {
                crate::tunnel::mesh::round(&join);
                std::future::ready(Ok(()))
            },
        )),
        tokio::spawn(every(
            "endpoints",
            LOOK_EVERY,
            state.closing.clone(),
            move || looked(look.clone()),
        )),
        tokio::spawn(every(
            "tick",
            TICK_EVERY,
            state.closing.clone(),
            move || ticked(tick.clone()),
        )),
        tokio::spawn(every(
            "prove",
            TICK_EVERY,
            state.closing.clone(),
            move || proven(prove.clone()),
        )),
        tokio::spawn(every(
            "check",
            TICK_EVERY,
            state.closing.clone(),
            move || checked(check.clone()),
        )),
        tokio::spawn(every(
            "prune",
            PRUNE_EVERY,
            state.closing.clone(),
            move || pruned(prune.clone()),
        )),
        tokio::spawn(every(
            "reconcile",
            Duration::from_secs(state.exchange.settings().reconcile_interval.get()),
            state.closing.clone(),
            move || reconciled(reconcile.clone()),
        )),
    ]
}

async fn looked(state: AppState) -> Result<(), exchange::Error> {
    crate::tunnel::endpoints::round(state).await;
    Ok(())
}

async fn ticked(exchange: Exchange) -> Result<(), exchange::Error> {
    exchange.tick().await
}

async fn proven(exchange: Exchange) -> Result<(), exchange::Error> {
    exchange.prove().await
}

async fn checked(exchange: Exchange) -> Result<(), exchange::Error> {
    exchange.look_after_checks().await
}

async fn reconciled(exchange: Exchange) -> Result<(), exchange::Error> {
    exchange.reconcile().await.map(|_| ())
}

async fn pruned(state: AppState) -> Result<(), exchange::Error> {
    state.limits.forget_quiet();
    state.metrics.run_upkeep();
    state.exchange.prune().await
}

/// Calls `work` for ever. Neither an error nor a panic of one round ends the loop.
async fn every<W, F>(name: &'static str, period: Duration, closing: Closing, work: W)
where
    W: Fn() -> F,
    F: Future<Output = Result<(), exchange::Error>>,
{
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complaint = Complaint::default();
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = closing.wait() => return,
        }
        let started = Instant::now();
        let outcome = std::panic::AssertUnwindSafe(work()).catch_unwind().await;
        metrics::histogram!("iog_loop_seconds", "loop" => name)
            .record(started.elapsed().as_secs_f64());
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Chain(&error).to_string()),
            Err(_) => Some("it panicked".to_owned()),
        };
        complaint.about(name, failure, started);
    }
}

/// Says a failure once, then again only when it changes or a minute has passed.
#[derive(Default)]
struct Complaint {
    last: Option<(String, Instant)>,
}

impl Complaint {
    /// Whether it was said.
    fn about(&mut self, name: &str, failure: Option<String>, now: Instant) -> bool {
        let Some(failure) = failure else {
            if self.last.take().is_some() {
                tracing::info!(name, "a background loop works again");
            }
            return false;
        };
        metrics::counter!("iog_loop_failures_total", "loop" => name.to_owned()).increment(1);
        let known = self
            .last
            .as_ref()
            .is_some_and(|(said, at)| *said == failure && now.duration_since(*at) < REPEAT_AFTER);
        if !known {
            tracing::error!(name, failure, "a background loop failed; it goes on");
            self.last = Some((failure, now));
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_said_once_and_again_after_a_minute() {
        let mut complaint = Complaint::default();
        let mut say = |text: &str| complaint.about("tick", Some(text.to_owned()), Instant::now());
        assert!(say("no database"));
        assert!(!say("no database"));
        assert!(say("another"));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(say("another"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_does_not_end_the_loop() {
        let rounds = Arc::new(AtomicU32::new(0));
        let (sender, closing) = Closing::new();
        let counted = rounds.clone();
        let run = every("test", Duration::from_millis(250), closing, move || {
            let round = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(round != 1, "the second round goes wrong");
                Ok(())
            }
        });
        let task = tokio::spawn(run);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(rounds.load(Ordering::SeqCst) > 4);
        sender.send(true).expect("the loop listens");
        task.await.expect("ended by itself");
    }
}
