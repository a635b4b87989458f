//! `iog-server`: serves the exchange, or does one administrative thing and ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use exchange::{Actor, Exchange, SystemClock, SystemEntropy};
use kernel::Amount;
use protocol::view::{Role, Scope};
use server::chain::Link;
use server::copy::CopyDatabase;
use server::replay::Replay;
use server::state::{AppState, Closing};
use server::{Config, auth, http, loops, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long requests under way may take after the signal to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
Configuration: Leptos.toml in the working directory (or --config), then the environment:
  LEPTOS_SITE_ADDR   address to listen on, 127.0.0.1:3000
  LEPTOS_SITE_ROOT   folder of the built site
  IOG_PUBLIC_URL     what people type into their browser; absent: http:// and the address
  IOG_DATA_DIR       bundles, artefacts, keys and, without IOG_DATABASE_URL, the SQLite database
  IOG_DATABASE_URL   postgres://user:password@host/name, or sqlite://path
  IOG_DEMO_CREDIT_IO what a new account may take once, in IO; absent: nothing
  IOG_LOG            filter such as info,exchange=debug     IOG_LOG_FORMAT  text or json
Each name of the table [iog] in Leptos.toml can be set as IOG_ and the name in capitals.";

#[derive(Parser)]
#[command(name = "iog-server", version, about = "The IOG exchange: pages, REST and sockets in one process", after_help = AFTER_HELP)]
struct Cli {
    /// Another file than Leptos.toml in the working directory.
    #[arg(long, env = "IOG_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C (what happens without a command, too)
    Serve,
    /// Accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Invitations for workers
    #[command(subcommand)]
    JoinToken(JoinTokenCommand),
    /// Print the OpenAPI document of the REST interface
    Openapi,
    /// Check published matching rounds: the same books, asked again. Needs no database
    Replay(Replay),
    /// Copy all books, jobs and accounts into another, empty database, and compare
    CopyDatabase(CopyDatabase),
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Make an account, unless the e-mail has one; prints its id
    Create(NewAccount),
}

#[derive(Args)]
struct NewAccount {
    #[arg(long)]
    email: String,
    /// The environment variable that holds the password (an argument would show in the list of processes)
    #[arg(long, value_name = "VAR")]
    password_env: String,
    #[arg(long)]
    name: String,
    /// Besides requester and owner, which every account is
    #[arg(long, value_parser = role)]
    role: Vec<Role>,
    /// Give it demo money, in IO
    #[arg(long, value_name = "IO", value_parser = Amount::parse_io)]
    demo_credit_io: Option<Amount>,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make an API key and print its secret, once
    Create {
        #[arg(long)]
        email: String,
        #[arg(long)]
        name: String,
        /// read, jobs, nodes
        #[arg(long, value_delimiter = ',', value_parser = scope, required = true)]
        scopes: Vec<Scope>,
    },
}

#[derive(Subcommand)]
enum JoinTokenCommand {
    /// Make a token with which one worker can join, and print it, once
    Create {
        #[arg(long)]
        email: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "requester, owner or admin".to_owned())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "read, jobs or nodes".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("iog-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::Replay(replay)) = &cli.command {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return Ok(runtime.block_on(replay.done()));
    }
    if let Some(Command::CopyDatabase(copy)) = cli.command {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return Ok(runtime.block_on(copy.done()));
    }
    if matches!(cli.command, Some(Command::Openapi)) {
        println!("{}", http::rest::router().1.to_pretty_json()?);
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(cli.config.as_deref())?;
    telemetry::start_logs(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(cli.command.unwrap_or(Command::Serve), config))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(command: Command, mut config: Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.settings.data_dir).with_context(|| {
        format!(
            "IOG_DATA_DIR={} cannot be made",
            config.settings.data_dir.display()
        )
    })?;
    let exchange = Exchange::open(
        config.settings.clone(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .await
    .context("the exchange cannot be opened")?;
    match command {
        Command::Serve => {
            config.check_site();
            Config::warn_of_unknown_names();
            return serve(exchange, &config).await;
        }
        Command::Account(AccountCommand::Create(new)) => create_account(&exchange, new).await?,
        Command::Key(KeyCommand::Create {
            email,
            name,
            scopes,
        }) => {
            let actor = actor(&exchange, &email).await?;
            let key = exchange.create_key(&actor, &name, &scopes).await?;
            eprintln!(
                "key {} for {email}; the secret below is shown once",
                key.key.id
            );
            println!("{}", key.secret);
        }
        Command::JoinToken(JoinTokenCommand::Create { email }) => {
            let actor = actor(&exchange, &email).await?;
            let token = exchange.create_join_token(&actor).await?;
            eprintln!(
                "for one worker of {email}, until {}: {}",
                token.expires_at, token.command
            );
            println!("{}", token.token);
        }
        Command::Openapi | Command::Replay(_) | Command::CopyDatabase(_) => {
            bail!("this command needs no exchange")
        }
    }
    exchange.shutdown().await;
    Ok(())
}

async fn create_account(exchange: &Exchange, new: NewAccount) -> anyhow::Result<()> {
    let password = std::env::var(&new.password_env).map_err(|_| {
        anyhow!(
            "--password-env names {}, which is not set",
            new.password_env
        )
    })?;
    let mut roles = vec![Role::Requester, Role::Owner];
    roles.extend(new.role);
    roles.sort_unstable();
    roles.dedup();
    let (account, created) = exchange
        .admin_create_account(&new.email, &password, &new.name, &roles, new.demo_credit_io)
        .await?;
    eprintln!(
        "{} {}",
        new.email,
        if created {
            "has an account now"
        } else {
            "had an account already; nothing was changed"
        }
    );
    println!("{}", account.id);
    Ok(())
}

async fn actor(exchange: &Exchange, email: &str) -> anyhow::Result<Actor> {
    let actor = exchange.actor_by_email(email).await?;
    actor.ok_or_else(|| {
        anyhow!(
            "{email} has no account; make one with: iog-server account create --email {email} …"
        )
    })
}

async fn serve(exchange: Exchange, config: &Config) -> anyhow::Result<()> {
    // Before anybody can know that it serves: a signal that nobody listens to kills.
    let mut ending = Ending::listen()?;
    let address = config.leptos.site_addr;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("LEPTOS_SITE_ADDR={address} cannot be listened on"))?;
    let chain = match &config.chain {
        // The one wait of the start that can be long.
        Some(chain) => tokio::select! {
            link = Link::open(chain) => Some(link.context("IOG_CHAIN_…")?),
            () = ending.given() => {
                tracing::info!("ended before anything was served");
                exchange.shutdown().await;
                return Ok(());
            }
        },
        None => None,
    };
    // Only the process that has the port: another command beside it must not take its uploads away.
    exchange.clear_incoming();
    if let Err(error) = exchange.close_recordings().await {
        tracing::error!(%error, "recordings of shells that a process before left open could not be closed");
    }
    // Who connects meanwhile is heard after it: five seconds for a million offers.
    exchange
        .open_record()
        .await
        .context("the market's record cannot be begun")?;
    let (close, closing) = Closing::new();
    let state = AppState::new(
        exchange.clone(),
        config,
        telemetry::start_metrics(),
        chain,
        closing.clone(),
    );
    let loops = loops::start(&state, config.mail.as_ref())
        .context("webhooks and e-mails cannot be carried")?;
    let router = http::router(&state);
    let public = &config.settings.public_url;
    if !auth::cookie::is_secure(public) {
        tracing::warn!(
            public,
            "plain HTTP to other machines: passwords and sessions travel in clear; put HTTPS in front"
        );
    }
    tracing::info!(%address, public, "serving");
    // For people and scripts that wait for it; logs go to stderr.
    println!("iog-server is at {public}");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let graceful = closing.clone();
    let serving = tokio::spawn(async move {
        axum::serve(listener, service)
            .with_graceful_shutdown(async move { graceful.wait().await })
            .await
    });
    ending.given().await;
    tracing::info!("closing; leases stay, workers connect again");
    // Sockets, loops and the listener all wait for this one word.
    _ = close.send(true);
    if let Ok(served) = tokio::time::timeout(CLOSE_WITHIN, serving).await {
        served??;
    } else {
        tracing::warn!("some requests took too long and were cut off");
    }
    for task in loops {
        task.await?;
    }
    exchange.shutdown().await;
    Ok(())
}

/// SIGTERM and Ctrl-C.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn given(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
