//! The `iog` program: what can be done with IOG from a terminal.
//!
//! Owns: `iog verify-invoice` and `iog verify-audit`, which need no network and trust nobody; `iog verify-report`, which asks the chain and trusts nobody
//! else; `iog voucher`, which redeems what an owner earned without the platform; work in a running job (`iog ssh` and what belongs to it).
//! Deliberately absent, still: renting.

mod audit;
mod release;
mod report;
mod voucher;
mod words;
mod work;

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use metering::invoice;
use protocol::invoice::{Receipted, Subject, Summary, Verdict};

/// Works in running jobs; checks what IOG billed and what it says was earned, and takes what was earned.
#[derive(Parser)]
#[command(name = "iog", version, about, long_about = None, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check an invoice offline: both signatures of every receipt, the chain of each lease, every second to money, the sums.
    ///
    /// Exit code 0: all fits. 1: something is wrong. 2: it could not be checked, since it cannot be read or is no invoice.
    VerifyInvoice(VerifyInvoice),
    /// Check an export of the audit log offline: that each entry is what was written, and follows from the one before.
    ///
    /// Exit code 0: it is. 1: something was changed, or is missing between two entries (an export that was made with filters has such places:
    /// --filtered). 2: it could not be checked, since it cannot be read or is no export.
    VerifyAudit(audit::VerifyAudit),
    /// Check a proof of earnings: from its line to its root, and that the chain's contract published this root.
    ///
    /// Exit code 0: the chain says the same. 1: it was changed, is not on the chain, or a newer version counts. 2: it could not be
    /// checked, since it is no proof or the node does not answer.
    VerifyReport(report::VerifyReport),
    /// What requesters' escrow channels owe you: list it, keep it, check it, redeem it with or without the platform.
    #[command(subcommand)]
    Voucher(voucher::Vouchers),
    /// A shell in a running job, or one command in it; also as `rsync -e 'iog ssh'`.
    ///
    /// Exit code: that of the shell or the command; 255 when the line broke.
    Ssh(work::Ssh),
    /// A port of a running job, here.
    PortForward(work::Forward),
    /// What a job printed.
    Logs(work::Logs),
    /// Copy a file into a running job, or out of it: `iog cp model.bin job_…:in/`.
    Cp(work::Copy),
    /// Sign releases of the worker, for those who run a server.
    #[command(subcommand)]
    Release(release::Releases),
}

#[derive(Args)]
struct VerifyInvoice {
    /// The invoice as JSON (GET /api/v1/jobs/ID/invoice), or - for standard input.
    file: String,
    /// The platform's public key, 64 hexadecimal digits, from where you trust it; without it the invoice's own is taken.
    #[arg(long, value_name = "HEX", value_parser = key)]
    platform_key: Option<String>,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
}

fn key(text: &str) -> Result<String, String> {
    metering::receipt::public_key(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

const WRONG: u8 = 1;
const NOT_CHECKED: u8 = 2;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::VerifyInvoice(wanted) => verify_invoice(&wanted).map(ExitCode::from),
        Command::VerifyAudit(wanted) => audit::verify(&wanted).map(ExitCode::from),
        Command::VerifyReport(wanted) => report::verify(&wanted).map(ExitCode::from),
        Command::Voucher(wanted) => voucher::run(&wanted),
        Command::Ssh(wanted) => work::run(work::ssh(wanted)),
        Command::PortForward(wanted) => work::run(work::forward(wanted)),
        Command::Logs(wanted) => work::run(work::logs(wanted)),
        Command::Cp(wanted) => work::run(work::copy(wanted)),
        Command::Release(wanted) => release::run(&wanted),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(NOT_CHECKED)
        }
    }
}

fn verify_invoice(wanted: &VerifyInvoice) -> anyhow::Result<u8> {
    let text = read(&wanted.file)?;
    let verdict = invoice::check(&text, wanted.platform_key.as_deref());
    let said = if wanted.json {
        let mut json = serde_json::to_string_pretty(&verdict)?;
        json.push('\n');
        json
    } else {
        told(&verdict)
    };
    say(&said)?;
    Ok(match (verdict.fits, &verdict.summary) {
        (true, _) => 0,
        (false, Some(_)) => WRONG,
        (false, None) => NOT_CHECKED,
    })
}

fn say(text: &str) -> anyhow::Result<()> {
    // A reader that has seen enough, such as `head`, is no fault.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn read(file: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read as text")?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("{file} cannot be read as text"))?;
    }
    Ok(text)
}

fn told(verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    if let Some(summary) = &verdict.summary {
        summed_up(summary, &mut lines);
    }
    if verdict.fits {
        lines.push("Every receipt is signed by both sides, the sums are right.".to_owned());
    } else {
        let count = words::count(verdict.findings.len(), verdict.more);
        lines.push(format!("{count} wrong:"));
        for finding in &verdict.findings {
            let place = [finding.place.as_str(), finding.id.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(", ");
            let place = if place.is_empty() {
                "the document".to_owned()
            } else {
                place
            };
            lines.push(format!(
                "  [{}] {place}: {}",
                finding.rule.as_str(),
                words::of(finding.rule)
            ));
            if !finding.expected.is_empty() {
                lines.push(format!("      expected {}", finding.expected));
            }
            lines.push(format!("      found    {}", finding.found));
        }
        if verdict.more > 0 {
            lines.push(format!("  and {} more", verdict.more));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn summed_up(summary: &Summary, lines: &mut Vec<String>) {
    let about = match &summary.subject {
        Subject::Job { job, name, state } => format!("{job} {name:?}, {}", state.as_str()),
        Subject::Month { month, .. } => format!("{month} (UTC)"),
    };
    let totals = &summary.totals;
    let receipted = match summary.receipted {
        Receipted::All => "",
        Receipted::Ends => " (the last of each lease; all are in the jobs' receipts)",
    };
    let compared = if summary.key_compared {
        "compared"
    } else {
        "not compared with another source; --platform-key does it"
    };
    let so_far = if summary.is_final { "" } else { " so far" };
    lines.extend([
        format!("Invoice    {}", summary.number),
        format!("For        {about}"),
        format!(
            "Customer   {:?}, {}, {}",
            summary.customer.name, summary.customer.email, summary.customer.account
        ),
        format!(
            "Checked    {}, {}{receipted}, {}",
            words::number(summary.leases, "lease"),
            words::number(summary.receipts, "receipt"),
            words::number(summary.signatures, "signature")
        ),
        format!("Delivered  {}{so_far}", totals.seconds),
        format!(
            "Charged    {} = {} + fee {}",
            totals.charged, totals.gross, totals.fee
        ),
    ]);
    if !totals.refunded.is_zero() {
        lines.push(format!("Given back {}", totals.refunded));
    }
    if let Some(energy) = summary.energy_mj {
        lines.push(format!("Energy     {energy}, by the workers' word"));
    }
    lines.extend([
        format!("Key        {} ({compared})", summary.platform_key),
        String::new(),
    ]);
}
