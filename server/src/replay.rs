//! `iog-server replay`: takes the rounds that a server publishes, puts their books together again and asks them anew.
//! It needs no database and no account, only the public answers, from the net or from a file.

use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use exchange::Replayer;
use protocol::round::{BookPage, ReplayCheck, ReplayStep, RoundView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// More rounds than this in one go are asked for in pieces.
const ROUNDS_MAX: u64 = 10_000;
const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Args)]
pub struct Replay {
    /// A server, such as https://iog.example, or a file that --save wrote
    #[arg(long)]
    from: String,
    /// Which round; of a file the one that it holds
    #[arg(long)]
    round: Option<u64>,
    /// The last one, to replay all rounds from --round on
    #[arg(long, requires = "round")]
    to: Option<u64>,
    /// Keep what was downloaded of the round, to replay it without the server
    #[arg(long, conflicts_with = "to")]
    save: Option<PathBuf>,
}

/// What `--save` keeps.
#[derive(Serialize, Deserialize)]
struct Kept {
    round: RoundView,
    pages: Vec<BookPage>,
}

/// The replay could not be made; 1 says that it was, and found something else than what is stated.
const NOT_DONE: u8 = 2;

impl Replay {
    pub async fn done(&self) -> ExitCode {
        match self.run().await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            // Whoever reads what is printed has seen enough, as `head` does.
            Err(error) if closed(&error) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("iog-server: {error:#}");
                ExitCode::from(NOT_DONE)
            }
        }
    }

    /// Whether everything was found as it is stated.
    ///
    /// # Errors
    /// Something could not be read or reached; the message names it.
    async fn run(&self) -> anyhow::Result<bool> {
        if !self.from.starts_with("http://") && !self.from.starts_with("https://") {
            return self.of_file(Path::new(&self.from));
        }
        let Some(first) = self.round else {
            bail!("say which round: --round 1");
        };
        let last = self.to.unwrap_or(first);
        if last < first || last.saturating_sub(first) >= ROUNDS_MAX {
            bail!("--to must be {first} or later, and at most {ROUNDS_MAX} rounds at once");
        }
        let server = Server::new(&self.from)?;
        let mut replayer = Replayer::default();
        let mut before: Option<RoundView> = None;
        let mut all_same = true;
        for number in first..=last {
            let mut view: RoundView = server.get(&format!("/{number}")).await?;
            // What was seen itself counts more than what is said about it.
            if let Some(before) = before {
                view.before = Some(before.record.hash);
            }
            let after = replayer.reaches(&view);
            if after.is_none() {
                replayer = Replayer::begin(&view);
            }
            let pages = server.book(&view, after).await?;
            for page in &pages {
                replayer.add(page)?;
            }
            all_same &= report(&view, &replayer.finish(&view)?)?;
            if let Some(path) = &self.save {
                let kept = Kept {
                    round: view.clone(),
                    pages,
                };
                let bytes = serde_json::to_vec(&kept)?;
                std::fs::write(path, bytes)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
            before = Some(view);
        }
        Ok(all_same)
    }

    fn of_file(&self, path: &Path) -> anyhow::Result<bool> {
        let bytes = std::fs::read(path).with_context(|| {
            format!(
                "--from {} is neither an address (http://…) nor a file that can be read",
                path.display()
            )
        })?;
        let kept: Kept = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not what --save writes", path.display()))?;
        let number = kept.round.record.round.number;
        if self.round.is_some_and(|round| round != number) || self.to.is_some() {
            bail!("{} holds round {number} alone", path.display());
        }
        let mut replayer = Replayer::begin(&kept.round);
        for page in &kept.pages {
            replayer.add(page)?;
        }
        Ok(report(&kept.round, &replayer.finish(&kept.round)?)?)
    }
}

fn closed(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// Prints what was found; whether all of it is as stated.
fn report(view: &RoundView, steps: &[ReplayStep]) -> std::io::Result<bool> {
    let mut out = stdout().lock();
    let round = &view.record.round;
    let same = steps.iter().all(ReplayStep::holds);
    let word = |same: bool| if same { "same" } else { "DIFFERENT" };
    writeln!(
        out,
        "round {} of {}: {} ({} offers, {} changes since the snapshot)",
        round.number,
        round.at,
        word(same),
        round.offers,
        view.changes
    )?;
    for step in steps {
        let what = step.what.as_str();
        writeln!(out, "  {:<9} {what}: {}", word(step.holds()), step.found)?;
        if !step.holds() {
            writeln!(out, "  {:<9} {what}: {}", "stated", step.stated)?;
        }
    }
    if view.before.is_none() {
        let previous = ReplayCheck::Previous.as_str();
        writeln!(
            out,
            "  {:<9} {previous}: the round before is not kept any more",
            "unknown"
        )?;
    }
    Ok(same)
}

struct Server {
    client: reqwest::Client,
    rounds: String,
}

impl Server {
    fn new(from: &str) -> anyhow::Result<Self> {
        // The client asks for one even where only plain HTTP is spoken.
        _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            client: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            rounds: format!("{}/api/v1/market/rounds", from.trim_end_matches('/')),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.rounds);
        let answer = self.client.get(&url).send().await;
        let answer = answer.with_context(|| format!("{url} does not answer"))?;
        let status = answer.status();
        let bytes = answer
            .bytes()
            .await
            .with_context(|| format!("{url} broke off"))?;
        if !status.is_success() {
            let problem = serde_json::from_slice::<protocol::Problem>(&bytes);
            let words = problem.map_or_else(|_| status.to_string(), |problem| problem.detail);
            bail!("{url}: {words}");
        }
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{url} answered with something that this version cannot read"))
    }

    async fn book(
        &self,
        view: &RoundView,
        mut after: Option<String>,
    ) -> anyhow::Result<Vec<BookPage>> {
        let number = view.record.round.number;
        let mut pages = Vec::new();
        loop {
            let from = after
                .as_ref()
                .map_or_else(String::new, |after| format!("?after={after}"));
            let page: BookPage = self.get(&format!("/{number}/book{from}")).await?;
            if after.is_some() && page.next == after {
                bail!("the server gives the same page of the book again and again");
            }
            after.clone_from(&page.next);
            pages.push(page);
            if after.is_none() {
                return Ok(pages);
            }
        }
    }
}
