//! What is typed behind `iog-worker`: its commands, their options, and what each may be.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use kernel::PricePerSecond;
use protocol::spec::NAME_MAX;
use worker::link::origin;
use worker::sandbox::engine::Choice;
use worker::update;

/// Lends this machine's devices to jobs on IOG, isolated and paid by the second.
#[derive(Parser)]
#[command(name = "iog-worker", version, about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// What to log: error, warn, info, debug, or a tracing filter.
    #[arg(long, global = true, env = "IOG_WORKER_LOG", default_value = "info")]
    pub log: String,
    /// Log as JSON lines.
    #[arg(long, global = true, env = "IOG_WORKER_LOG_JSON")]
    pub log_json: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Enrol this machine with a join token from the portal, then run.
    Join(Join),
    /// Take jobs until told to stop (SIGTERM drains: no new jobs, running ones are waited for).
    Run(Run),
    /// Remove this worker from the machine: key, state, kept images, leftovers of jobs, and this program.
    Uninstall(Uninstall),
    /// Look at what this machine needs to earn: each check passes, or says what to do. Exit code 1 when one fails.
    Doctor(Doctor),
    /// Take no new jobs, or take them again; what runs goes on. The worker that runs here sees it at its next heartbeat. A maintenance
    /// that was begun in the portal is ended there.
    Maintenance(Maintenance),
    /// Print what this machine and its cards measure now, as Prometheus reads it. Needs no state; may run beside the worker.
    Metrics(Metrics),
}

#[derive(Args)]
pub struct Doctor {
    /// Address of the exchange [default: the one that this machine joined].
    #[arg(long, env = "IOG_WORKER_SERVER", value_parser = origin)]
    pub server: Option<String>,
    /// Directory of the worker's key and state.
    #[arg(long, alias = "state-dir", env = "IOG_WORKER_STATE")]
    pub state: Option<PathBuf>,
    /// The container engine that jobs are to run in [default: the one that this worker last ran with].
    #[arg(long, env = "IOG_WORKER_ENGINE", value_name = "ENGINE", value_parser = Choice::parse)]
    pub engine: Option<Choice>,
    /// For programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Metrics {
    /// NVIDIA's library, where it is not where the system looks for it.
    #[arg(long, env = "IOG_WORKER_NVML", value_name = "FILE")]
    pub nvml: Option<PathBuf>,
}

#[derive(Args)]
pub struct Maintenance {
    #[arg(value_parser = ["on", "off"])]
    pub switch: String,
    /// Directory of the worker's key and state.
    #[arg(long, alias = "state-dir", env = "IOG_WORKER_STATE")]
    pub state: Option<PathBuf>,
}

#[derive(Args)]
pub struct Join {
    /// Address of the exchange, such as https://iog.example.
    #[arg(long, env = "IOG_WORKER_SERVER", value_parser = origin)]
    pub server: String,
    /// The one-time token of a join line from the portal: Earn, Machines, Make a join line.
    #[arg(long, env = "IOG_JOIN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// How the portal calls this machine [default: its host name].
    #[arg(long, value_parser = node_name)]
    pub name: Option<String>,
    /// Where it stands: its country's two letters, such as CH.
    #[arg(long, value_parser = country)]
    pub country: Option<String>,
    /// The hall or switch it stands at, by a name of yours: jobs on several machines are put into one group first.
    #[arg(long, value_parser = group)]
    pub group: Option<String>,
    /// Its upload in Mbit/s, as you know it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub up_mbit: Option<u32>,
    /// Its download in Mbit/s.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub down_mbit: Option<u32>,
    /// Price of each device, in IO an hour; it can be changed in the portal [default: the fair price of its model in the market at that
    /// moment, or 0.09 where the market knows none; join says which].
    #[arg(long, value_parser = price)]
    pub price_per_hour: Option<PricePerSecond>,
    /// Only enrol; do not take jobs yet.
    #[arg(long)]
    pub enroll_only: bool,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Args)]
pub struct Run {
    /// Use this address of the exchange from now on.
    #[arg(long, env = "IOG_WORKER_SERVER", value_parser = origin)]
    pub server: Option<String>,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Args)]
pub struct Uninstall {
    /// Directory of the node's key and state, if it is not the usual one.
    #[arg(long, alias = "state-dir", env = "IOG_WORKER_STATE")]
    pub state: Option<PathBuf>,
    /// Also while a worker runs here: it is killed, and its jobs with it.
    #[arg(long)]
    pub force: bool,
    /// Leave the program where it is.
    #[arg(long)]
    pub keep_program: bool,
}

#[derive(Args)]
pub struct Options {
    /// Directory of this node's key and state [default: /var/lib/iog-worker for root, else ~/.local/state/iog-worker].
    #[arg(long, alias = "state-dir", env = "IOG_WORKER_STATE")]
    pub state: Option<PathBuf>,
    /// Memory offered to a job, in MiB: its memory and its disk together [default: all but a tenth].
    #[arg(long)]
    pub memory_mib: Option<u64>,
    /// A directory of this machine that jobs may read, such as /opt/models, or /data/models:/models where they see it elsewhere. May
    /// be given again.
    #[arg(long = "lend", value_name = "DIRECTORY[:PLACE]", value_parser = lent)]
    pub lend: Vec<(PathBuf, PathBuf)>,
    /// Run jobs in containers of this engine instead of in the worker's own sandbox: docker or podman, or podman=/path/of/its.sock.
    #[arg(long, env = "IOG_WORKER_ENGINE", value_name = "ENGINE", value_parser = Choice::parse)]
    pub engine: Option<Choice>,
    /// NVIDIA's library, where it is not where the system looks for it.
    #[arg(long, env = "IOG_WORKER_NVML", value_name = "FILE")]
    pub nvml: Option<PathBuf>,
    /// Show the newest values to Prometheus at this address, such as 127.0.0.1:9400 (path /metrics). Whoever reaches it may read.
    #[arg(long, env = "IOG_WORKER_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,
    /// The most that kept container images may take on the disk, in GiB [default: half of what is free, at most 64].
    #[arg(long, value_name = "GIB")]
    pub image_cache_gib: Option<u64>,
    /// A registry in your own network (host, or host:port) that jobs may pull images from; all others there are refused.
    /// May be given again.
    #[arg(long = "registry", value_name = "HOST")]
    pub registries: Vec<String>,
    /// Take newer workers from the exchange when they are signed by the release key; one that does not come up is taken back.
    #[arg(long, env = "IOG_WORKER_AUTO_UPDATE")]
    pub auto_update: bool,
    /// The key that releases are signed with, 64 hexadecimal digits; remembered [default: the built-in one].
    #[arg(long, env = "IOG_RELEASE_KEY", value_name = "HEX", value_parser = release_key)]
    pub release_key: Option<String>,
    /// Between two looks for a newer worker, in seconds.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub update_every: u64,
    /// A newer worker has so long to be welcomed by the exchange, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub update_within: u64,
    /// How long running jobs may go on after SIGTERM, in seconds; then they are stopped.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub drain_timeout: u64,
}

fn node_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let fits =
        !name.is_empty() && name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control);
    if fits {
        Ok(name.to_owned())
    } else {
        Err(format!("1 to {NAME_MAX} characters on one line"))
    }
}

fn country(text: &str) -> Result<String, String> {
    let code = protocol::country::known(text).map(str::to_owned);
    code.ok_or_else(|| "a country's two letters, such as CH".to_owned())
}

/// As the market's query reads it: lower case, a blank for `_`.
fn group(text: &str) -> Result<String, String> {
    let name = text.trim().to_lowercase().replace('_', " ");
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err("1 to 64 characters on one line".into());
    }
    Ok(name)
}

fn release_key(text: &str) -> Result<String, String> {
    update::key(text).map(|_| text.trim().to_owned())
}

pub fn price(text: &str) -> Result<PricePerSecond, String> {
    protocol::rent::asked_price_of("price", text).map_err(|problem| problem.message)
}

/// Where it is and where jobs see it: there only what the sandbox's own root does not hold already.
fn lent(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (from, place) = match text.split_once(':') {
        Some((from, place)) => (from, Some(PathBuf::from(place))),
        None => (text, None),
    };
    let from = Path::new(from)
        .canonicalize()
        .map_err(|error| format!("{from}: {error}"))?;
    let place = place.unwrap_or_else(|| from.clone());
    let taken = [
        "/job", "/tmp", "/dev", "/proc", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64",
        "/space",
    ];
    let plain = place.components().all(|part| {
        matches!(
            part,
            std::path::Component::RootDir | std::path::Component::Normal(_)
        )
    });
    if !from.is_dir() || from == Path::new("/") {
        return Err("give a directory, such as /opt/models".to_owned());
    }
    if !place.is_absolute()
        || !plain
        || place == Path::new("/")
        || taken.iter().any(|taken| place.starts_with(taken))
    {
        return Err(format!(
            "{}: jobs may see it outside of /usr, /etc, /tmp and the like, such as /data/models:/models",
            place.display()
        ));
    }
    Ok((from, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_directory_is_seen_where_the_owner_says() {
        let pair = |from: &str, to: &str| Ok((PathBuf::from(from), PathBuf::from(to)));
        assert_eq!(
            lent("/usr/lib:/opt/models"),
            pair("/usr/lib", "/opt/models")
        );
        assert_eq!(lent("/home"), pair("/home", "/home"));
        for wrong in [
            "/usr/lib",
            "/",
            "/:/opt/all",
            "/tmp",
            "/nowhere:/opt/a",
            "/home:/",
            "/home:opt/a",
            "/home:/opt/../etc",
            "/home:/usr/share/a",
            "/home:",
        ] {
            assert!(lent(wrong).is_err(), "{wrong}");
        }
    }
}
