//! `iog-devchain`: the development chain as a program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use devchain::chain::{Chain, Settings, development_address};
use devchain::http::{App, router};
use devchain::package::{self, Toolkit};
use devchain::vm::Libraries;
use devchain::{CHAIN_ID, NOT_APTOS};
use kernel::{Clock, Timestamp};
use tokio::signal::unix::{SignalKind, signal};

/// A development chain for demos and tests. It speaks the part of Aptos's REST that clients use. It is not Aptos.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one. The address is printed to standard output.
    #[arg(long, env = "IOG_DEVCHAIN_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The directory of the chain's file.
    #[arg(long, env = "IOG_DEVCHAIN_DATA", default_value = "data/devchain")]
    data: PathBuf,
    /// The Move package to publish when the chain is made.
    #[arg(long, env = "IOG_DEVCHAIN_PACKAGE")]
    package: Option<PathBuf>,
    /// The package's named address, which becomes the development account.
    #[arg(long, default_value = "iog")]
    named_address: String,
    /// The stand-in for the framework; by default the folder `standin` of the package.
    #[arg(long, env = "IOG_DEVCHAIN_STANDIN")]
    standin: Option<PathBuf>,
    /// Milliseconds from block to block; 0 makes a block whenever a transaction was accepted.
    #[arg(long, env = "IOG_DEVCHAIN_BLOCK_MS", default_value_t = 1_000)]
    block_ms: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Not for people: the compiler's child process.
    #[command(name = package::CHILD, hide = true)]
    Compiler {
        task: String,
        package: PathBuf,
        #[arg(long, default_value = "")]
        filter: String,
    },
}

/// The machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the shell that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Compiler {
            task,
            package,
            filter,
        }) => compile(&task, &package, &filter),
        None => serve(arguments.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iog-devchain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compile(task: &str, package: &std::path::Path, filter: &str) -> Result<(), Failed> {
    let libraries = Libraries::find()?;
    println!("{}", package::child(&libraries, task, package, filter)?);
    Ok(())
}

#[tokio::main]
async fn serve(serve: Serve) -> Result<(), Failed> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    tracing::warn!("{NOT_APTOS}");

    let standin = match (serve.standin, &serve.package) {
        (Some(standin), _) => standin,
        (None, Some(package)) => package.join("standin"),
        (None, None) => "contracts/standin".into(),
    };
    let settings = Settings {
        data: serve.data,
        package: serve.package,
        standin,
        named_address: serve.named_address,
    };
    let libraries = Libraries::find()?;
    let tools = Toolkit::new(libraries.clone(), std::env::current_exe()?);
    let chain = tokio::task::spawn_blocking(move || {
        Chain::open(&settings, &libraries, &tools, Arc::new(SystemClock))
    })
    .await??;
    let head = chain.head();

    let listener = tokio::net::TcpListener::bind(serve.listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(
        %address,
        chain_id = CHAIN_ID,
        height = head.height,
        version = head.version,
        development_account = %development_address(),
        "serving"
    );
    let app = App::new(chain, serve.block_ms == 0);
    let blocks = tokio::spawn(app.clone().blocks(Duration::from_millis(serve.block_ms)));
    // Whoever started this reads here where it listens, and that it is ready.
    println!("http://{address}");

    let (closing, closed) = tokio::sync::watch::channel(false);
    let mut graceful = closed.clone();
    let server = tokio::spawn(
        axum::serve(listener, router(app.clone()))
            .with_graceful_shutdown(async move {
                let _ = graceful.wait_for(|closing| *closing).await;
            })
            .into_future(),
    );
    let mut terminate = signal(SignalKind::terminate())?;
    let broken = tokio::select! {
        _ = terminate.recv() => false,
        _ = tokio::signal::ctrl_c() => false,
        () = app.broken() => true,
    };
    blocks.abort();
    closing.send_replace(true);
    // Connections that are kept open do not hold up the end.
    let _ = tokio::time::timeout(Duration::from_secs(3), server).await;
    if broken {
        return Err("the chain's file cannot be written; see the log".into());
    }
    tracing::info!("stopped");
    Ok(())
}
