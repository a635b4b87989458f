//! Configuration: `Leptos.toml`, then the environment, read once at start. Every bad value gets its own line that names
//! the variable, what it held and what it may hold; nothing starts on a guess.

mod chain;
mod mail;
mod names;
mod origins;
mod reader;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use exchange::Settings;
use leptos::config::LeptosOptions;

pub use chain::Chain;
pub use mail::Mail;
pub use names::KEYS;
use names::LOG_FORMAT;
pub use origins::is_loopback;
use reader::Reader;

/// The file as it was when this binary was built: what holds where no file is found.
const BUILT_IN: &str = include_str!("../../../Leptos.toml");
const FILE: &str = "Leptos.toml";

/// Everything the process is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    pub settings: Settings,
    pub leptos: LeptosOptions,
    pub limits: Limits,
    /// Absent: no e-mails are sent.
    pub mail: Option<Mail>,
    /// Absent: payouts and deposits are done by hand.
    pub chain: Option<Chain>,
    /// Where the programs lie that machines fetch when they join; `None`: beside the server's own.
    pub worker_dir: Option<PathBuf>,
    /// Where signed releases of the worker lie. Absent: there are none.
    pub worker_releases: Option<PathBuf>,
    /// A filter of `tracing_subscriber::EnvFilter`.
    pub log: String,
    pub log_json: bool,
}

/// How often one client may ask.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tries to sign in or up, for one address and for one e-mail.
    pub sign_in_per_minute: u32,
    /// Of one key or, without one, of one address.
    pub requests_per_second: u32,
    /// Take the client's address from `X-Forwarded-For`; only behind a proxy that sets it itself.
    pub trust_forwarded: bool,
    /// Browsers' and workers' sockets that may be open at once: from one address, and in all.
    pub sockets_per_address: usize,
    pub sockets_max: usize,
}

/// All that is wrong with the configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has to be changed:\n{}", .0.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the file that `path` names (`Leptos.toml` in the working directory without one, or the built-in values
    /// when there is none), then the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with a line for each bad value.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        Self::from_parts(&text, &|name| std::env::var(name).ok())
    }

    /// The same from a text and a lookup, so that a test need not touch the process's environment (the first table is
    /// still read by Leptos itself, which looks there).
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_parts(
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let leptos = leptos::config::get_config_from_str(text)
            .map_err(|error| ConfigError(vec![format!("the leptos table (LEPTOS_…): {error}")]))?;
        let mut read = Reader::open(text, environment)?;
        let mut settings = settings::settings(&mut read, leptos.site_addr);
        let mail = mail::mail(&mut read);
        settings.email = mail.is_some();
        let chain = chain::chain(&mut read);
        settings.network = chain.as_ref().map(|chain| chain.network.clone());
        let limits = Limits {
            sign_in_per_minute: read.number("sign_in_per_minute", 1, 10_000, 10),
            requests_per_second: read.number("requests_per_second", 1, 100_000, 50),
            trust_forwarded: read.boolean("trust_forwarded"),
            sockets_per_address: read.number("sockets_per_address", 1, 1_000_000, 256),
            sockets_max: read.number("sockets_max", 1, 1_000_000, 20_000),
        };
        let worker_dir = read.text("worker_dir").map(PathBuf::from);
        let worker_releases = read.text("worker_releases").map(PathBuf::from);
        let log = read.text("log").unwrap_or_else(|| "info".to_owned());
        if let Err(error) = log.parse::<tracing_subscriber::EnvFilter>() {
            read.wrong(
                "log",
                &log,
                &format!("a filter such as info,server=debug ({error})"),
            );
        }
        let log_json = match read.text(LOG_FORMAT).as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                read.wrong(LOG_FORMAT, other, "text or json");
                false
            }
        };
        if read.problems.is_empty() {
            Ok(Self {
                settings,
                leptos,
                limits,
                mail,
                chain,
                worker_dir,
                worker_releases,
                log,
                log_json,
            })
        } else {
            Err(ConfigError(read.problems))
        }
    }

    /// Says which variables look like settings and are none: a misspelt name would otherwise change nothing, silently. Only
    /// said, since scripts and tests have names of their own that begin alike.
    pub fn warn_of_unknown_names() {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in names.filter(|name| names::is_unknown(name)) {
            tracing::warn!(name, "is set and is no setting of this server; misspelt?");
        }
    }

    /// Leptos names the site's files after the hashes in a file beside the program, and panics on each page when that
    /// file is missing. Better: pages without their scripts and styles, and one line that says why.
    pub fn check_site(&mut self) {
        let beside = std::env::current_exe()
            .ok()
            .and_then(|path| path.parent().map(Path::to_path_buf))
            .unwrap_or_default();
        let hashes = beside.join(self.leptos.hash_file.as_ref());
        if self.leptos.hash_files && !hashes.is_file() {
            tracing::error!(file = %hashes.display(), "the site was not built for this program; pages come without scripts and styles");
            self.leptos.hash_files = false;
        }
    }
}

fn read_file(path: Option<&Path>) -> Result<String, ConfigError> {
    let (path, named) = path.map_or((Path::new(FILE), false), |path| (path, true));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(BUILT_IN.to_owned())
        }
        Err(error) => Err(ConfigError(vec![format!("{}: {error}", path.display())])),
    }
}
