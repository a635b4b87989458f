//! `iog voucher`: what an owner has earned from requesters' escrow channels, kept as files and redeemed on the chain, with or
//! without the platform.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chain_aptos::{Aptos, Settings};
use clap::{Args, Subcommand};
use kernel::Amount;
use protocol::Problem;
use protocol::money::{VoucherDocument, VoucherView};
use settlement::{Address, Chain, VoucherFile};

use crate::{WRONG, read};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

#[derive(Subcommand)]
pub enum Vouchers {
    /// List what the platform has for you.
    List(Platform),
    /// Save the newest voucher of each channel as a file, so that you can redeem it without the platform.
    Save(Save),
    /// Check a voucher: its signature, and with --node what the chain says of it.
    ///
    /// Exit code 0: it is good. 1: something is wrong with it. 2: it could not be checked.
    Verify(Verify),
    /// Redeem a voucher on the chain with your own key, which pays the fee. The platform is not asked.
    ///
    /// Exit code 0: it was redeemed, or had been before. 1: something is wrong with it. 2: it could not be done.
    Redeem(Redeem),
}

#[derive(Args)]
pub struct Platform {
    /// The platform, such as `https://iog.example`.
    #[arg(long, value_name = "URL", env = "IOG_URL")]
    server: String,
    /// An API key with the scope `read`.
    #[arg(long, value_name = "KEY", env = "IOG_API_KEY", hide_env_values = true)]
    api_key: String,
}

#[derive(Args)]
pub struct Save {
    #[command(flatten)]
    platform: Platform,
    /// Where to.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    to: PathBuf,
}

#[derive(Args)]
pub struct Verify {
    /// The voucher, or - for standard input.
    file: String,
    /// A node of the chain, such as `https://api.testnet.aptoslabs.com/v1`.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// The contract's address from where you trust it; by default the file's own is taken.
    #[arg(long, value_name = "ADDRESS")]
    contract: Option<Address>,
}

#[derive(Args)]
pub struct Redeem {
    /// The voucher, or - for standard input.
    file: String,
    /// A node of the chain, such as `https://api.testnet.aptoslabs.com/v1`.
    #[arg(long, value_name = "URL")]
    node: String,
    /// A file with the secret key of an account that pays the fee. The money goes to the voucher's address, whoever pays.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The contract's address from where you trust it; by default the file's own is taken.
    #[arg(long, value_name = "ADDRESS")]
    contract: Option<Address>,
}

/// What is wrong with the voucher itself, not with the attempt.
struct Bad(String);

impl From<settlement::voucher::FileError> for Bad {
    fn from(error: settlement::voucher::FileError) -> Self {
        Self(error.to_string())
    }
}

type Looked<T> = anyhow::Result<Result<T, Bad>>;

pub fn run(wanted: &Vouchers) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done: Looked<String> = match wanted {
        Vouchers::List(platform) => runtime.block_on(list(platform)).map(Ok),
        Vouchers::Save(save) => runtime.block_on(keep(save)).map(Ok),
        Vouchers::Verify(verify) => runtime.block_on(check(verify)),
        Vouchers::Redeem(redeem) => runtime.block_on(hand_in(redeem)),
    };
    Ok(match done? {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(Bad(why)) => {
            eprintln!("This voucher is not good: {why}.");
            ExitCode::from(WRONG)
        }
    })
}

async fn ask<T: serde::de::DeserializeOwned>(platform: &Platform, path: &str) -> anyhow::Result<T> {
    let url = format!("{}{path}", platform.server.trim_end_matches('/'));
    _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
    let answer = client
        .get(&url)
        .bearer_auth(&platform.api_key)
        .send()
        .await
        .with_context(|| format!("{url} does not answer"))?;
    let (status, text) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => bail!("{}", problem.detail),
            Err(_) => bail!("{url} answers {status}"),
        }
    }
    serde_json::from_str(&text).with_context(|| format!("{url} answers something else"))
}

async fn list(platform: &Platform) -> anyhow::Result<String> {
    let vouchers: Vec<VoucherView> = ask(platform, "/api/v1/vouchers").await?;
    if vouchers.is_empty() {
        return Ok("No channel owes you anything.".to_owned());
    }
    let mut lines = Vec::new();
    for voucher in vouchers {
        let until = voucher.closing_until.map_or(String::new(), |until| {
            format!("; its channel is being closed: redeem it before {until}")
        });
        lines.push(format!(
            "{} for {}: {} in all, {} redeemed{until}",
            voucher.channel, voucher.payee, voucher.cumulative, voucher.redeemed
        ));
    }
    Ok(lines.join("\n"))
}

/// One file a channel and address: a newer voucher is worth the older ones too.
fn name_of(voucher: &VoucherView) -> anyhow::Result<String> {
    let short = |text: &str| text.parse::<Address>().map(|one| one.to_string());
    let channel = short(&voucher.channel).context("the platform names a channel that is none")?;
    let payee = short(&voucher.payee).context("the platform names an address that is none")?;
    let part = |text: &str| text.get(2..18).unwrap_or_default().to_owned();
    Ok(format!("voucher-{}-{}.json", part(&channel), part(&payee)))
}

async fn keep(save: &Save) -> anyhow::Result<String> {
    let vouchers: Vec<VoucherView> = ask(&save.platform, "/api/v1/vouchers").await?;
    let mut saved = Vec::new();
    for voucher in &vouchers {
        let path = format!("/api/v1/vouchers/{}/{}", voucher.channel, voucher.payee);
        let document: VoucherDocument = ask(&save.platform, &path).await?;
        let text = serde_json::to_string_pretty(&document)?;
        // A platform that hands out what is worth nothing is told of now, not when it is needed.
        VoucherFile::read(&text).map_err(|error| {
            anyhow::anyhow!("the platform's voucher of {}: {error}", voucher.channel)
        })?;
        let file = save.to.join(name_of(voucher)?);
        write(&file, &text)?;
        saved.push(format!("{} ({})", file.display(), voucher.cumulative));
    }
    if saved.is_empty() {
        return Ok("No channel owes you anything.".to_owned());
    }
    Ok(saved.join("\n"))
}

/// All of it or nothing: the older one is money too.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, text).with_context(|| format!("{} cannot be written", new.display()))?;
    std::fs::rename(&new, file).with_context(|| format!("{} cannot be written", file.display()))
}

/// A connection with the chain that the file is for. The node says its number; the file must say the same.
async fn connect(
    file: &VoucherFile,
    node: &str,
    contract: Option<Address>,
    key: Option<ed25519_dalek::SigningKey>,
) -> Looked<Aptos> {
    if let Some(contract) = contract
        && let Err(wrong) = file.is_for(file.chain, contract)
    {
        return Ok(Err(wrong.into()));
    }
    let number = chain_aptos::number_of(node).await?;
    if let Err(wrong) = file.is_for(number, file.contract) {
        return Ok(Err(wrong.into()));
    }
    let mut settings = Settings::new(node, number, file.contract);
    settings.settlers.extend(key);
    Ok(Ok(Aptos::connect_alone(settings).await?))
}

async fn worth(file: &VoucherFile, chain: &dyn Chain) -> Looked<Amount> {
    let channel = chain.channel(file.channel).await?;
    let had = chain.redeemed(file.channel, file.payee).await?;
    Ok(file.worth(channel.as_ref(), had).map_err(Bad::from))
}

async fn check(verify: &Verify) -> Looked<String> {
    let file = match VoucherFile::read(&read(&verify.file)?) {
        Ok(file) => file,
        Err(wrong) => return Ok(Err(wrong.into())),
    };
    let about = format!(
        "{} in all for {}, from channel {} on chain {}",
        file.cumulative, file.payee, file.channel, file.chain
    );
    let Some(node) = &verify.node else {
        if let Some(contract) = verify.contract
            && let Err(wrong) = file.is_for(file.chain, contract)
        {
            return Ok(Err(wrong.into()));
        }
        return Ok(Ok(format!(
            "{about}.\nIts signature fits its own key; --node compares that with the chain."
        )));
    };
    let chain = match connect(&file, node, verify.contract, None).await? {
        Ok(chain) => chain,
        Err(bad) => return Ok(Err(bad)),
    };
    Ok(worth(&file, &chain)
        .await?
        .map(|worth| format!("{about}.\nRedeemed now it brings {worth}.")))
}

async fn hand_in(redeem: &Redeem) -> Looked<String> {
    let file = match VoucherFile::read(&read(&redeem.file)?) {
        Ok(file) => file,
        Err(wrong) => return Ok(Err(wrong.into())),
    };
    let path = redeem.key_file.display();
    let text = std::fs::read_to_string(&redeem.key_file)
        .with_context(|| format!("{path} cannot be read as text"))?;
    let key = chain_aptos::secret_key(&text).with_context(|| path.to_string())?;
    let chain = match connect(&file, &redeem.node, redeem.contract, Some(key)).await? {
        Ok(chain) => chain,
        Err(bad) => return Ok(Err(bad)),
    };
    let open = match worth(&file, &chain).await? {
        Ok(open) => open,
        Err(bad) => return Ok(Err(bad)),
    };
    if open.is_zero() {
        return Ok(Ok(format!(
            "Nothing to do: {} has had all of its {}.",
            file.payee, file.cumulative
        )));
    }
    let hash = chain.redeem_alone(&file.signed(), rand::random()).await?;
    // Told by the chain, not by the answer to the sending.
    let had = chain.redeemed(file.channel, file.payee).await?;
    ensure!(
        had >= file.cumulative,
        "the chain took {hash} and says that only {had} was redeemed"
    );
    Ok(Ok(format!(
        "{open} went to {} with transaction {hash}.",
        file.payee
    )))
}
