//! Releases of the worker: the key that signs them, and the signing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use ed25519_dalek::{Signer, SigningKey};
use protocol::release::{Release, ReleaseVersion, target};
use sha2::{Digest, Sha256};

#[derive(Subcommand)]
pub enum Releases {
    /// Make a key that signs releases, in a new file for your eyes alone, and print its public part: workers are told that one.
    Key { file: PathBuf },
    /// Sign a program: writes PROGRAM.release.json beside it. Put both into the server's IOG_WORKER_RELEASES directory.
    Sign(Sign),
}

#[derive(Args)]
pub struct Sign {
    /// The worker's program.
    program: PathBuf,
    /// The file that `release key` made.
    #[arg(long)]
    key: PathBuf,
    /// What the program is, such as 0.4.1: workers take a higher one than their own.
    #[arg(long)]
    version: String,
    /// The kind of machine that it is for [default: this one's].
    #[arg(long)]
    target: Option<String>,
}

pub fn run(wanted: &Releases) -> anyhow::Result<ExitCode> {
    match wanted {
        Releases::Key { file } => make_key(file)?,
        Releases::Sign(wanted) => sign(wanted)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn make_key(file: &Path) -> anyhow::Result<()> {
    let key = SigningKey::from_bytes(&rand::random());
    let mut options = fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(file);
    let mut out = made.with_context(|| format!("{} cannot be made", file.display()))?;
    writeln!(out, "{}", hex::encode(key.to_bytes()))?;
    crate::say(&format!(
        "{}\n",
        hex::encode(key.verifying_key().as_bytes())
    ))
}

fn sign(wanted: &Sign) -> anyhow::Result<()> {
    let text =
        fs::read_to_string(&wanted.key).with_context(|| format!("{}", wanted.key.display()))?;
    let bytes: Option<[u8; 32]> = hex::decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let Some(bytes) = bytes else {
        bail!(
            "{} holds no key; `iog release key` makes one",
            wanted.key.display()
        );
    };
    let version = ReleaseVersion::parse(&wanted.version);
    ensure!(
        version.is_some(),
        "a version is three numbers, such as 0.4.1"
    );
    let program =
        fs::read(&wanted.program).with_context(|| format!("{}", wanted.program.display()))?;
    let mut release = Release {
        version: wanted.version.clone(),
        target: wanted.target.clone().unwrap_or_else(target),
        size_bytes: u64::try_from(program.len())?,
        sha256: hex::encode(Sha256::digest(&program)),
        signature: "0".repeat(128),
    };
    ensure!(
        release.is_formed(),
        "the program is empty or too large, or the target is no plain word"
    );
    let signature = SigningKey::from_bytes(&bytes).sign(&release.signed_bytes());
    release.signature = hex::encode(signature.to_bytes());
    let mut beside = wanted.program.clone().into_os_string();
    beside.push(".release.json");
    fs::write(
        &beside,
        format!("{}\n", serde_json::to_string_pretty(&release)?),
    )
    .with_context(|| format!("{}", PathBuf::from(&beside).display()))?;
    crate::say(&format!("{}\n", PathBuf::from(beside).display()))
}
