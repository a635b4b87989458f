//! `iog verify-report`: what an owner earned in a week, against the chain itself.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use settlement::Address;
use settlement::check::{ANSWER_BYTES_MAX, Check, CheckError, Progress, Question};
use settlement::proof::{Proof, ProofError, Standing};

use crate::{NOT_CHECKED, WRONG, read, say};

/// A node that says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Who runs nodes for everybody, by the chain's number.
const PUBLIC: [(u8, &str); 2] = [
    (1, "https://api.mainnet.aptoslabs.com/v1"),
    (2, "https://api.testnet.aptoslabs.com/v1"),
];

#[derive(Args)]
pub struct VerifyReport {
    /// The proof (GET /api/v1/reports/WEEK/proof, or "Download proof" on the page of earnings), or - for standard input.
    file: String,
    /// A node of the chain, with /v1; without it one of those that everybody may ask.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// IOG's contract, from where you trust it; without it the file's own is taken.
    #[arg(long, value_name = "ADDRESS")]
    contract: Option<Address>,
}

/// Exit codes as of the other check.
///
/// # Errors
/// The file cannot be read; the node does not answer.
pub fn verify(wanted: &VerifyReport) -> anyhow::Result<u8> {
    let text = read(&wanted.file)?;
    let check = match Check::begin(&text, None) {
        Ok(check) => check,
        Err(error) => return refused(&error),
    };
    let proof = check.proof().clone();
    if let Some(contract) = wanted.contract
        && let Err(error) = proof.belongs_to(proof.chain, contract)
    {
        return refused(&error);
    }
    let known = PUBLIC.iter().find(|(chain, _)| *chain == proof.chain);
    let Some(node) = wanted.node.as_deref().or(known.map(|(_, url)| *url)) else {
        bail!(
            "its line leads to its root; to compare that with chain {}, name a node of it with --node",
            proof.chain
        );
    };
    match ask_all(node.trim_end_matches('/'), check)? {
        Ok(Standing::Current) => {
            say(&format!(
                "{}Right: the chain says the same.\n",
                told(&proof)
            ))?;
            Ok(0)
        }
        Ok(Standing::Corrected { newest }) => {
            say(&format!(
                "{}Stale: the chain has corrected this week since, version {newest} counts. Download its proof.\n",
                told(&proof)
            ))?;
            Ok(WRONG)
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &ProofError) -> anyhow::Result<u8> {
    say(&format!("Refused: {error}.\n"))?;
    Ok(match error {
        ProofError::NotOne(_) | ProofError::Format(_) => NOT_CHECKED,
        _ => WRONG,
    })
}

fn told(proof: &Proof) -> String {
    format!(
        "Week       {} (version {})\nOwner      {}\nEarned     {} of {} by {} in all\nRoot       {}\nContract   {} on chain {}\n\n",
        proof.week,
        proof.version,
        proof.owner,
        proof.amount,
        proof.total,
        proof.owners,
        proof.root,
        proof.contract,
        proof.chain,
    )
}

fn ask_all(node: &str, mut check: Check) -> anyhow::Result<Result<Standing, ProofError>> {
    // As the other programs do; it fails only where one is there already.
    _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    loop {
        let question = check.question();
        let answer = runtime
            .block_on(ask(&client, node, question))
            .with_context(|| format!("asking {node}"))?;
        match check.answered(&answer) {
            Ok(Progress::More(next)) => check = *next,
            Ok(Progress::Done(standing)) => return Ok(Ok(standing)),
            Err(CheckError::Proof(error)) => return Ok(Err(error)),
            Err(other) => return Err(other.into()),
        }
    }
}

async fn ask(client: &reqwest::Client, node: &str, question: Question) -> anyhow::Result<String> {
    let url = format!("{node}{}", question.path);
    let request = match question.body {
        None => client.get(&url),
        Some(body) => client
            .post(&url)
            .header("content-type", "application/json")
            .body(body),
    };
    let mut response = request.send().await?.error_for_status()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            bail!("its answer is too long");
        }
    }
    Ok(String::from_utf8(bytes)?)
}
