//! What tests with real processes need: a server of their own on a free port, accounts, workers that are real programs
//! and workers that only speak the protocol, and waiting with a deadline.
//!
//! Owns: starting, killing, freezing and restarting programs, so that no test leaves one behind; a REST client that says
//! what it asked when an answer is not as expected. Deliberately absent: assertions about IOG, which stand in the tests.
//! A dev-dependency only; nothing here runs in production.
//!
//! Programs: `IOG_SERVER_BIN`, `IOG_WORKER_BIN`, `IOG_DEVCHAIN_BIN` and `IOG_CLI_BIN`, otherwise `iog-server`, `iog-worker`,
//! `iog-devchain` and `iog` beside the test's own folder (build them first: `cargo build -p server -p worker -p devchain -p cli`). Databases: SQLite in the test's folder, or, with
//! `IOG_TEST_POSTGRES` (an address whose user may create databases), what [`Database::from_env`] says.

mod account;
mod app;
mod client;
mod devchain;
mod fake;
mod fleet;
mod live;
mod node;
mod postgres;
mod process;
mod shell;

pub use account::Account;
pub use app::{Database, TestApp};
pub use client::{Answer, Client, job, shell};
pub use devchain::{Devchain, KEYS};
pub use fake::{Chain, FakeWorker, Talk};
pub use fleet::Fleet;
pub use live::LiveSocket;
pub use node::Node;
pub use process::{Process, binary};
pub use shell::{Said, ShellSocket};

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks again each 50 ms until there is an answer; ends the test with `what` after `within`.
pub async fn wait_until<T, F>(what: &str, within: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
