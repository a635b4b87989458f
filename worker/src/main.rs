//! The `iog-worker` program: `join` once, `run` from then on.

mod arguments;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use protocol::telemetry::prometheus;
use protocol::worker::{AskChosen, DeviceAsk};
use tracing_subscriber::EnvFilter;
use worker::agent::{Agent, Left, Settings, wall_clock};
use worker::devices::{Devices, Sources};
use worker::doctor;
use worker::identity::{self, Identity, Network, State};
use worker::image::ImageOptions;
use worker::sandbox;
use worker::sandbox::engine::{Choice, Kept};
use worker::telemetry::Asked;
use worker::update::supervisor::Supervisor;
use worker::update::{self, UpdateSettings};

use crate::arguments::{Cli, Command, Doctor, Join, Maintenance, Metrics, Options, Uninstall};

const GIB: u64 = 1024 * 1024 * 1024;

fn main() -> ExitCode {
    // Before any thread exists: this same program is also the helper that makes a sandbox.
    if let Some(code) = sandbox::run_if_helper() {
        return code;
    }
    let cli = Cli::parse();
    if let Err(message) = start_logging(&cli) {
        return fail(&message);
    }
    sandbox::open_many_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match runtime.block_on(Box::pin(work(cli.command))) {
        Ok(code) => code,
        Err(message) => fail(&message),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the person at the terminal is told why"
)]
fn fail(message: &str) -> ExitCode {
    eprintln!("iog-worker: {message}");
    ExitCode::FAILURE
}

fn start_logging(cli: &Cli) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(&cli.log).map_err(|error| format!("--log {}: {error}", cli.log))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if cli.log_json {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
    Ok(())
}

async fn work(command: Command) -> Result<ExitCode, String> {
    // Two TLS libraries' worth of defaults are in reach; this one is meant.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(supervisor) = supervisor(&command)? {
        return supervisor.run().await.map_err(|error| error.to_string());
    }
    match command {
        Command::Doctor(doctor) => return Box::pin(run_doctor(doctor)).await,
        Command::Maintenance(order) => maintain(&order)?,
        Command::Metrics(asked) => print_metrics(asked),
        Command::Uninstall(uninstall) => run_uninstall(uninstall).await?,
        Command::Join(join) => return Box::pin(run_join(join)).await,
        Command::Run(run) => {
            let directory = directory(run.options.state.as_ref())?;
            let joined = Identity::open_joined(&directory);
            let (identity, mut state) = joined.map_err(|error| error.to_string())?;
            if let Some(server) = run.server {
                state.server = server;
            }
            let agent = agent(identity, state, &run.options, None).await?;
            return run_agent(agent).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_agent(agent: Agent) -> Result<ExitCode, String> {
    let left = Box::pin(agent.run()).await;
    Ok(match left.map_err(|error| error.to_string())? {
        Left::Stopped => ExitCode::SUCCESS,
        Left::ForUpdate => ExitCode::from(update::LEAVES_FOR_UPDATE),
    })
}

/// Where the program updates itself: the process that starts the agent, and what it may have to take back.
fn supervisor(command: &Command) -> Result<Option<Supervisor>, String> {
    let options = match command {
        Command::Run(run) => &run.options,
        Command::Join(join) if !join.enroll_only => &join.options,
        _ => return Ok(None),
    };
    if !options.auto_update || std::env::var_os(update::SUPERVISED).is_some() {
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(Some(Supervisor {
        program,
        arguments: std::env::args_os().skip(1).collect(),
        files: update::Files::of(&directory(options.state.as_ref())?),
        welcomed_within: Duration::from_secs(options.update_within),
    }))
}

/// How this agent looks for newer programs; only under a supervisor, which puts them in place.
fn updates(options: &Options, identity: &Identity) -> Result<Option<UpdateSettings>, String> {
    if !options.auto_update || std::env::var_os(update::SUPERVISED).is_none() {
        return Ok(None);
    }
    let files = update::Files::of(identity.directory());
    if let Some(key) = &options.release_key {
        files.remember_key(key).map_err(|error| error.to_string())?;
    }
    let known = files.known_key();
    let text = known.as_deref().or(update::BUILT_IN_KEY);
    let text =
        text.ok_or("--auto-update needs the key that releases are signed with: --release-key HEX")?;
    Ok(Some(UpdateSettings {
        key: update::key(text)?,
        every: Duration::from_secs(options.update_every),
    }))
}

#[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
async fn run_doctor(asked: Doctor) -> Result<ExitCode, String> {
    let state = directory(asked.state.as_ref())?;
    let server = asked.server.or_else(|| identity::server_of(&state));
    let place = doctor::place(&state);
    let engine = match (asked.engine, Choice::kept(&state.join(identity::ENGINE))) {
        (None, Kept::Choice(choice)) => Some(choice),
        (named, _) => named,
    };
    let look = doctor::look(&place, server.as_deref(), engine.as_ref(), wall_clock);
    let checks = look.await;
    if asked.json {
        println!(
            "{}",
            doctor::json(&checks).map_err(|error| error.to_string())?
        );
    } else {
        print!("{}", doctor::text(&checks));
    }
    Ok(if doctor::is_well(&checks) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
fn maintain(order: &Maintenance) -> Result<(), String> {
    let on = order.switch == "on";
    let directory = directory(order.state.as_ref())?;
    identity::set_maintenance(&directory, on).map_err(|error| error.to_string())?;
    println!("{}", switched(on, identity::portal_maintains(&directory)));
    Ok(())
}

/// What the switch of this machine does, beside the one in the portal.
const fn switched(on: bool, portal: bool) -> &'static str {
    match (on, portal) {
        (true, _) => "Maintenance: no new jobs are taken; what runs goes on.",
        (false, false) => "Jobs are taken again.",
        (false, true) => {
            "This machine's own switch is off, but the portal still has it in maintenance: no jobs are taken until that is ended there \
             (Earn, this machine, End maintenance)."
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
fn print_metrics(asked: Metrics) {
    let sources = Sources {
        nvml: asked.nvml,
        ..Sources::default()
    };
    // The name of a processor follows from the node's key; here it names nothing.
    let devices = Devices::find("", None, &sources);
    let batch = Asked::of(&devices, &sources).look();
    let model = |uuid: &str| {
        let known = devices.facts.iter().find(|device| device.uuid == uuid);
        known.map_or_else(String::new, |device| device.model.clone())
    };
    print!("{}", prometheus(&batch.host, &batch.devices, &model));
}

#[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
async fn run_join(join: Join) -> Result<ExitCode, String> {
    let identity = open(&join.options)?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let state = State {
        server: join.server.clone(),
        name: join.name.unwrap_or(host),
        country: join.country,
        price: join.price_per_hour,
        network: Network {
            group: join.group,
            up_mbit: join.up_mbit,
            down_mbit: join.down_mbit,
        },
        node: None,
    };
    let mut agent = agent(identity, state, &join.options, Some(join.token)).await?;
    let welcome = match agent.enroll().await {
        Ok(welcome) => welcome,
        Err(error) => {
            agent.give_up(&error);
            return Err(error.to_string());
        }
    };
    println!(
        "Joined {} as {} ({}).",
        join.server, welcome.node_name, welcome.node
    );
    for line in asked(&welcome.asks) {
        println!("{line}");
    }
    if join.enroll_only {
        return Ok(ExitCode::SUCCESS);
    }
    run_agent(agent).await
}

/// What the devices are offered for, like ones once.
fn asked(asks: &[DeviceAsk]) -> Vec<String> {
    let mut told: Vec<(usize, &DeviceAsk)> = Vec::new();
    for ask in asks {
        match told.iter_mut().find(|(_, known)| *known == ask) {
            Some((count, _)) => *count += 1,
            None => told.push((1, ask)),
        }
    }
    let mut lines: Vec<String> = told
        .iter()
        .map(|(count, ask)| {
            let times = if *count > 1 {
                format!("{count} × ")
            } else {
                String::new()
            };
            let why = match ask.chosen {
                AskChosen::ByOwner => "",
                AskChosen::ByMarket => ": no price was named, and this is the market's fair one",
                AskChosen::ByPlatform => {
                    ": no price was named, and the market knows none for this model"
                }
            };
            let price = ask.price.to_io_per_hour();
            format!("{times}{} at {price} IO an hour{why}.", ask.model)
        })
        .collect();
    if !lines.is_empty() {
        lines.push("Prices are changed in the portal, under Earn.".to_owned());
    }
    lines
}

#[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
async fn run_uninstall(uninstall: Uninstall) -> Result<(), String> {
    let directory = directory(uninstall.state.as_ref())?;
    let program = if uninstall.keep_program {
        None
    } else {
        Some(std::env::current_exe().map_err(|error| error.to_string())?)
    };
    let done = worker::uninstall::uninstall(&directory, program.as_deref(), uninstall.force)
        .await
        .map_err(|error| error.to_string())?;
    for sentence in done {
        println!("{sentence}");
    }
    Ok(())
}

fn open(options: &Options) -> Result<Identity, String> {
    let directory = directory(options.state.as_ref())?;
    Identity::open(&directory).map_err(|error| error.to_string())
}

/// Where key and state are.
fn directory(named: Option<&PathBuf>) -> Result<PathBuf, String> {
    Ok(match named {
        Some(directory) => directory.clone(),
        None if rustix::process::geteuid().is_root() => PathBuf::from("/var/lib/iog-worker"),
        None => std::env::home_dir()
            .ok_or("no home directory; name one with --state")?
            .join(".local/state/iog-worker"),
    })
}

async fn agent(
    identity: Identity,
    state: State,
    options: &Options,
    join_token: Option<String>,
) -> Result<Agent, String> {
    // The very program that runs, also after an update has put another in its place.
    let helper = PathBuf::from("/proc/self/exe");
    let instance = sandbox::instance(&identity.public_key());
    let updates = updates(options, &identity)?;
    let settings = Settings {
        updates,
        engine: options.engine.clone(),
        sandbox: sandbox::Options {
            helper,
            instance,
            lent: options.lend.clone(),
        },
        images: ImageOptions {
            own_registries: options.registries.clone(),
            cache_bytes: options.image_cache_gib.map(|gib| gib.saturating_mul(GIB)),
            patience: None,
        },
        memory_mib: options.memory_mib,
        drain_timeout: Duration::from_secs(options.drain_timeout),
        sources: Sources {
            nvml: options.nvml.clone(),
            ..Sources::default()
        },
        metrics: options.metrics,
    };
    Agent::new(identity, state, settings, join_token)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{asked, switched};
    use crate::arguments::price;
    use protocol::worker::{AskChosen, DeviceAsk};

    #[test]
    fn a_switch_that_is_not_the_only_one_says_so() {
        assert!(switched(true, true).starts_with("Maintenance:"));
        assert_eq!(switched(false, false), "Jobs are taken again.");
        assert!(switched(false, true).contains("the portal still has it in maintenance"));
    }

    #[test]
    fn whoever_joins_hears_the_price_and_who_chose_it() {
        let ask = |model: &str, io: &str, chosen| DeviceAsk {
            model: model.into(),
            price: price(io).expect("a price"),
            chosen,
        };
        let own = ask("RTX 4090", "0.9", AskChosen::ByOwner);
        let told = asked(&[own.clone(), own, ask("CPU", "0.18", AskChosen::ByMarket)]);
        assert_eq!(
            told,
            [
                "2 × RTX 4090 at 0.90 IO an hour.",
                "CPU at 0.18 IO an hour: no price was named, and this is the market's fair one.",
                "Prices are changed in the portal, under Earn.",
            ]
        );
        assert!(asked(&[]).is_empty());
    }
}
