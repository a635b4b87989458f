//! Configuration: `Leptos.toml`, then the environment, read once at start. Every bad value gets its own line that names
//! the variable, what it held and what it may hold; nothing starts on a guess.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use config::{Config as Source, File, FileFormat};
use exchange::Settings;
use kernel::{Amount, BasisPoints, Seconds};
use leptos::config::LeptosOptions;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};

/// The file as it was when this binary was built: what holds where no file is found.
const BUILT_IN: &str = include_str!("../../Leptos.toml");
const FILE: &str = "Leptos.toml";

/// The names that the table `[iog]` and the environment (upper case, with `IOG_` in front) may hold.
pub const KEYS: [&str; 42] = [
    "data_dir",
    "database_url",
    "public_url",
    "origins",
    "fee_requester_bp",
    "fee_owner_bp",
    "demo_credit_io",
    "faucet_max_io",
    "payout_min_io",
    "payouts_open_max",
    "dispute_window_s",
    "disputes_open_max",
    "approval_ttl_s",
    "reconcile_interval_s",
    "refunds_per_day_io",
    "escrow_window_s",
    "escrow_minimum_s",
    "funds_low_s",
    "receipt_interval_s",
    "heartbeat_ms",
    "lease_ttl_ms",
    "regrant_margin_ms",
    "startup_grace_ms",
    "server_down_grace_ms",
    "log_bytes_max",
    "requeue_patience_s",
    "spot_notice_s",
    "session_ttl_s",
    "quote_ttl_s",
    "join_token_ttl_s",
    "sign_in_per_minute",
    "requests_per_second",
    "trust_forwarded",
    "webhooks_local",
    "smtp_url",
    "mail_from",
    "bundle_quota_bytes",
    "bundle_files_max",
    "disk_free_min_bytes",
    "sockets_per_address",
    "sockets_max",
    "log",
];
const LOG_FORMAT: &str = "log_format";

/// Everything the process is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    pub settings: Settings,
    pub leptos: LeptosOptions,
    pub limits: Limits,
    /// Absent: no e-mails are sent.
    pub mail: Option<Mail>,
    /// A filter of `tracing_subscriber::EnvFilter`.
    pub log: String,
    pub log_json: bool,
}

/// Who carries e-mails, and whose they are.
#[derive(Clone)]
pub struct Mail {
    /// It may hold a password.
    pub smtp_url: String,
    pub from: Mailbox,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail from {}", self.from)
    }
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
        let mut settings = settings(&mut read, leptos.site_addr);
        let mail = mail(&mut read);
        settings.email = mail.is_some();
        let limits = Limits {
            sign_in_per_minute: read.number("sign_in_per_minute", 1, 10_000, 10),
            requests_per_second: read.number("requests_per_second", 1, 100_000, 50),
            trust_forwarded: read.boolean("trust_forwarded"),
            sockets_per_address: read.number("sockets_per_address", 1, 1_000_000, 256),
            sockets_max: read.number("sockets_max", 1, 1_000_000, 20_000),
        };
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
        for name in names.filter(|name| is_unknown(name)) {
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

fn settings(read: &mut Reader, site: SocketAddr) -> Settings {
    let d = Settings::default();
    let data_dir = read.text("data_dir").map_or(d.data_dir, PathBuf::from);
    let database_url = read
        .text("database_url")
        .unwrap_or_else(|| format!("sqlite://{}/iog.db", data_dir.display()));
    if !["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| database_url.starts_with(scheme))
    {
        // The address may hold a password: it is not repeated.
        read.problems.push(
            "IOG_DATABASE_URL: expected sqlite://path or postgres://user:password@host/name"
                .to_owned(),
        );
    }
    let public_url = public_url(read, site);
    let extra = read.text("origins").unwrap_or_default();
    let settings = Settings {
        data_dir,
        database_url,
        origins: origins(&public_url, site, &extra),
        public_url,
        fee_requester: read.share("fee_requester_bp", d.fee_requester),
        fee_owner: read.share("fee_owner_bp", d.fee_owner),
        demo_credit: read.amount("demo_credit_io"),
        faucet_max: read.amount("faucet_max_io"),
        payout_min: read.amount_above_zero("payout_min_io", d.payout_min),
        payouts_open_max: read.number("payouts_open_max", 1, 1_000, d.payouts_open_max),
        dispute_window: read.seconds("dispute_window_s", 1, 31_536_000, d.dispute_window),
        disputes_open_max: read.number("disputes_open_max", 1, 1_000, d.disputes_open_max),
        approval_ttl: read.seconds("approval_ttl_s", 60, 2_592_000, d.approval_ttl),
        reconcile_interval: read.seconds("reconcile_interval_s", 1, 86_400, d.reconcile_interval),
        refunds_per_day: read
            .amount("refunds_per_day_io")
            .unwrap_or(d.refunds_per_day),
        escrow_window: read.seconds("escrow_window_s", 1, 86_400, d.escrow_window),
        escrow_minimum: read.seconds("escrow_minimum_s", 1, 86_400, d.escrow_minimum),
        funds_low: read.seconds("funds_low_s", 1, 86_400, d.funds_low),
        receipt_interval: read.seconds("receipt_interval_s", 1, 3_600, d.receipt_interval),
        heartbeat_ms: read.number("heartbeat_ms", 100, 60_000, d.heartbeat_ms),
        lease_ttl_ms: read.number("lease_ttl_ms", 500, 600_000, d.lease_ttl_ms),
        regrant_margin_ms: read.number("regrant_margin_ms", 100, 60_000, d.regrant_margin_ms),
        startup_grace_ms: read.number("startup_grace_ms", 0, 600_000, d.startup_grace_ms),
        server_down_grace_ms: read.number(
            "server_down_grace_ms",
            0,
            3_600_000,
            d.server_down_grace_ms,
        ),
        log_bytes_max: read.number("log_bytes_max", 1_024, 1 << 30, d.log_bytes_max),
        requeue_patience: read.seconds("requeue_patience_s", 1, 604_800, d.requeue_patience),
        spot_notice: read.seconds("spot_notice_s", 1, 600, d.spot_notice),
        session_ttl: read.seconds("session_ttl_s", 60, 31_536_000, d.session_ttl),
        quote_ttl: read.seconds("quote_ttl_s", 1, 3_600, d.quote_ttl),
        join_token_ttl: read.seconds("join_token_ttl_s", 1, 604_800, d.join_token_ttl),
        bundle_quota_bytes: read.number("bundle_quota_bytes", 0, 1 << 50, d.bundle_quota_bytes),
        bundle_files_max: read.number("bundle_files_max", 0, 1_000_000, d.bundle_files_max),
        disk_free_min_bytes: read.number("disk_free_min_bytes", 0, 1 << 50, d.disk_free_min_bytes),
        // With whoever carries them.
        email: false,
        webhooks_local: read.boolean("webhooks_local"),
    };
    if settings.lease_ttl_ms < settings.heartbeat_ms.saturating_mul(2) {
        read.problems.push(format!(
            "IOG_LEASE_TTL_MS={}: at least twice IOG_HEARTBEAT_MS ({}), or one lost heartbeat ends a job",
            settings.lease_ttl_ms, settings.heartbeat_ms
        ));
    }
    if settings.escrow_minimum > settings.escrow_window {
        read.problems
            .push("IOG_ESCROW_MINIMUM_S: at most IOG_ESCROW_WINDOW_S".to_owned());
    }
    settings
}

/// Both or neither. The address may hold a password: it is not repeated.
fn mail(read: &mut Reader) -> Option<Mail> {
    let url = read.text("smtp_url");
    let from = read.text("mail_from");
    let (smtp_url, text) = match (url, from) {
        (Some(url), Some(from)) => (url, from),
        (None, None) => return None,
        _ => {
            read.problems
                .push("IOG_SMTP_URL and IOG_MAIL_FROM: set both, or neither".to_owned());
            return None;
        }
    };
    // In clear only where nobody listens.
    let secure = smtp_url.starts_with("smtps://")
        || smtp_url.starts_with("smtp://")
            && (smtp_url.ends_with("?tls=required") || is_loopback(&smtp_url));
    if !secure || AsyncSmtpTransport::<Tokio1Executor>::from_url(&smtp_url).is_err() {
        read.problems.push(
            "IOG_SMTP_URL: expected smtps://user:password@host or smtp://user:password@host:587?tls=required".to_owned(),
        );
        return None;
    }
    let Ok(from) = text.parse() else {
        let expected = "a sender such as IOG <noreply@iog.example>";
        read.wrong("mail_from", &text, expected);
        return None;
    };
    Some(Mail { smtp_url, from })
}

fn public_url(read: &mut Reader, site: SocketAddr) -> String {
    let Some(text) = read.text("public_url") else {
        let host = if site.ip().is_unspecified() {
            IpAddr::from([127, 0, 0, 1])
        } else {
            site.ip()
        };
        return format!("http://{}", SocketAddr::new(host, site.port()));
    };
    let url = text.trim_end_matches('/').to_owned();
    let uri = url.parse::<http::Uri>().ok();
    let plain = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    });
    if !plain {
        read.wrong(
            "public_url",
            &text,
            "an origin such as https://iog.example, without a path",
        );
    }
    url
}

/// The origins whose pages may act for a signed-in person. The spellings of this machine itself count as long as the
/// site is one for this machine: behind a public address they would only widen the door.
fn origins(public_url: &str, site: SocketAddr, extra: &str) -> Vec<String> {
    let mut origins = vec![public_url.to_owned()];
    origins.extend(
        extra
            .split([',', ' '])
            .filter(|origin| !origin.is_empty())
            .map(str::to_owned),
    );
    if is_loopback(public_url) {
        let port = port_of(public_url);
        for port in [port, site.port()] {
            for host in ["127.0.0.1", "localhost", "[::1]"] {
                origins.push(format!("http://{host}:{port}"));
            }
        }
    }
    if public_url.starts_with("http://") && !site.ip().is_unspecified() {
        origins.push(format!("http://{site}"));
    }
    origins.sort();
    origins.dedup();
    origins
}

fn port_of(url: &str) -> u16 {
    let uri = url.parse::<http::Uri>().ok();
    let port = uri.as_ref().and_then(http::Uri::port_u16);
    port.unwrap_or(if url.starts_with("https://") { 443 } else { 80 })
}

/// Whether an address names this machine, where browsers accept `Secure` cookies over plain HTTP.
pub fn is_loopback(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

struct Reader<'a> {
    file: Source,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn open(
        text: &str,
        environment: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let whole = Source::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .build();
        let file = whole.map_err(|error| ConfigError(vec![error.to_string()]))?;
        let unknown = file.get_table("iog").unwrap_or_default().into_keys();
        let problems = unknown
            .filter(|key| key != LOG_FORMAT && !KEYS.contains(&key.as_str()))
            .map(|key| format!("[iog] {key}: unknown; misspelt?"))
            .collect();
        Ok(Self {
            file,
            environment,
            problems,
        })
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let named = (self.environment)(&variable(key)).filter(|text| !text.is_empty());
        named.or_else(|| self.file.get_string(&format!("iog.{key}")).ok())
    }

    fn wrong(&mut self, key: &str, value: &str, expected: &str) {
        self.problems
            .push(format!("{}={value}: expected {expected}", variable(key)));
    }

    fn number<T>(&mut self, key: &str, min: T, max: T, default: T) -> T
    where
        T: std::str::FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.text(key) else {
            return default;
        };
        match text.trim().parse::<T>() {
            Ok(number) if number >= min && number <= max => number,
            _ => {
                self.wrong(key, &text, &format!("a whole number from {min} to {max}"));
                default
            }
        }
    }

    fn seconds(&mut self, key: &str, min: u64, max: u64, default: Seconds) -> Seconds {
        Seconds::new(self.number(key, min, max, default.get()))
    }

    fn share(&mut self, key: &str, default: BasisPoints) -> BasisPoints {
        let points = self.number(key, 0, 10_000, default.get());
        BasisPoints::try_new(points).unwrap_or(default)
    }

    fn amount(&mut self, key: &str) -> Option<Amount> {
        let text = self.text(key)?;
        match Amount::parse_io(&text) {
            Ok(Amount::ZERO) => None,
            Ok(amount) => Some(amount),
            Err(error) => {
                self.wrong(key, &text, &format!("an amount of IO ({error})"));
                None
            }
        }
    }

    fn amount_above_zero(&mut self, key: &str, default: Amount) -> Amount {
        let text = self.text(key);
        match text.as_deref().map(Amount::parse_io) {
            None => default,
            Some(Ok(amount)) if !amount.is_zero() => amount,
            Some(_) => {
                let text = text.unwrap_or_default();
                self.wrong(key, &text, "an amount of IO above zero");
                default
            }
        }
    }

    fn boolean(&mut self, key: &str) -> bool {
        match self.text(key).as_deref() {
            Some("true" | "1") => true,
            None | Some("false" | "0") => false,
            Some(other) => {
                let other = other.to_owned();
                self.wrong(key, &other, "true or false");
                false
            }
        }
    }
}

/// Of the house's scripts and of `--config`, besides the settings.
const OTHER_NAMES: [&str; 6] = [
    "IOG_CONFIG",
    "IOG_CACHE",
    "IOG_SEEDS",
    "IOG_SERVER_BIN",
    "IOG_WORKER_BIN",
    "IOG_TEST_POSTGRES",
];

fn is_unknown(name: &str) -> bool {
    name.starts_with("IOG_")
        && !OTHER_NAMES.contains(&name)
        && name != variable(LOG_FORMAT)
        && !KEYS.iter().any(|key| variable(key) == name)
}

fn variable(key: &str) -> String {
    format!("IOG_{}", key.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_parts(BUILT_IN, &|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    /// The table under `[[workspace.metadata.leptos]]`, as values.
    fn leptos_table(text: &str) -> toml::Value {
        let whole: toml::Value = toml::from_str(text).expect("TOML");
        whole["workspace"]["metadata"]["leptos"][0].clone()
    }

    #[test]
    fn leptos_toml_repeats_the_header_of_cargo_toml() {
        let cargo = include_str!("../../Cargo.toml");
        assert_eq!(leptos_table(BUILT_IN), leptos_table(cargo));
    }

    #[test]
    fn the_file_as_it_stands_is_what_the_code_defaults_to() {
        let config = with(&[]).expect("valid");
        let d = Settings::default();
        let s = config.settings;
        assert_eq!(
            (
                s.heartbeat_ms,
                s.lease_ttl_ms,
                s.regrant_margin_ms,
                s.startup_grace_ms,
                s.server_down_grace_ms
            ),
            (
                d.heartbeat_ms,
                d.lease_ttl_ms,
                d.regrant_margin_ms,
                d.startup_grace_ms,
                d.server_down_grace_ms
            )
        );
        assert_eq!(
            (
                s.escrow_window,
                s.escrow_minimum,
                s.funds_low,
                s.receipt_interval,
                s.session_ttl
            ),
            (
                d.escrow_window,
                d.escrow_minimum,
                d.funds_low,
                d.receipt_interval,
                d.session_ttl
            )
        );
        assert_eq!(
            (s.fee_requester, s.fee_owner),
            (d.fee_requester, d.fee_owner)
        );
        assert_eq!(s.log_bytes_max, d.log_bytes_max);
        assert_eq!((s.demo_credit, s.faucet_max), (None, None));
        assert_eq!(
            (s.payout_min, s.dispute_window, s.approval_ttl),
            (d.payout_min, d.dispute_window, d.approval_ttl)
        );
    }

    #[test]
    fn each_bad_value_gets_its_own_line() {
        let error = with(&[
            ("IOG_LEASE_TTL_MS", "soon"),
            ("IOG_FEE_OWNER_BP", "10001"),
            ("IOG_DEMO_CREDIT_IO", "-1"),
            ("IOG_PUBLIC_URL", "iog.example/shop"),
            ("IOG_TRUST_FORWARDED", "perhaps"),
            ("IOG_LOG_FORMAT", "xml"),
            ("IOG_FAUCET_MAX_IO", "much"),
            ("IOG_PAYOUT_MIN_IO", "0"),
            ("IOG_DISPUTE_WINDOW_S", "0"),
            ("IOG_DATABASE_URL", "mysql://secret@host"),
        ])
        .expect_err("bad values");
        let text = error.to_string();
        for name in [
            "IOG_LEASE_TTL_MS=soon: expected a whole number from",
            "IOG_FEE_OWNER_BP=10001",
            "IOG_DEMO_CREDIT_IO=-1",
            "IOG_PUBLIC_URL=iog.example/shop",
            "IOG_TRUST_FORWARDED=perhaps",
            "IOG_LOG_FORMAT=xml: expected text or json",
            "IOG_DATABASE_URL: expected",
            "IOG_FAUCET_MAX_IO=much: expected an amount of IO",
            "IOG_PAYOUT_MIN_IO=0: expected an amount of IO above zero",
            "IOG_DISPUTE_WINDOW_S=0: expected a whole number from 1",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
        assert_eq!(error.0.len(), 10, "{text}");
        assert!(!text.contains("secret"), "a password must not be repeated");
    }

    #[test]
    fn e_mail_needs_a_host_that_nobody_overhears_and_a_sender() {
        let from = ("IOG_MAIL_FROM", "IOG <noreply@iog.example>");
        for url in [
            "smtps://me:secret@mail.example",
            "smtp://me:secret@mail.example:587?tls=required",
            "smtp://127.0.0.1:2525",
        ] {
            let config = with(&[("IOG_SMTP_URL", url), from]).expect("valid");
            assert!(config.settings.email && config.mail.is_some(), "{url}");
            assert!(!format!("{config:?}").contains("secret"));
        }
        assert!(!with(&[]).expect("valid").settings.email);
        for url in [
            "smtp://me:secret@mail.example",
            "smtp://me:secret@mail.example?tls=opportunistic",
            "http://mail.example/secret",
            "secret",
        ] {
            let error = with(&[("IOG_SMTP_URL", url), from]).expect_err("refused");
            assert!(
                error.to_string().contains("IOG_SMTP_URL: expected"),
                "{error}"
            );
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let sender = [
            ("IOG_SMTP_URL", "smtps://mail.example"),
            ("IOG_MAIL_FROM", "IOG"),
        ];
        let error = with(&sender).expect_err("no address");
        assert!(
            error.to_string().contains("IOG_MAIL_FROM=IOG: expected"),
            "{error}"
        );
        let error = with(&[from]).expect_err("no host");
        assert!(
            error.to_string().contains("set both, or neither"),
            "{error}"
        );
    }

    #[test]
    fn a_misspelt_name_in_the_file_is_refused() {
        let text = BUILT_IN.replace("lease_ttl_ms", "lease_tll_ms");
        let error = Config::from_parts(&text, &|_| None).expect_err("misspelt");
        assert!(
            error.to_string().contains("[iog] lease_tll_ms: unknown"),
            "{error}"
        );
    }

    #[test]
    fn a_misspelt_variable_is_noticed() {
        assert!(is_unknown("IOG_RECEIPT_INTERVAL_SECONDS"));
        assert!(!is_unknown("IOG_RECEIPT_INTERVAL_S") && !is_unknown("IOG_LOG_FORMAT"));
        assert!(!is_unknown("IOG_CONFIG") && !is_unknown("HOME"));
    }

    #[test]
    fn a_lease_outlives_two_heartbeats() {
        let error = with(&[("IOG_HEARTBEAT_MS", "5000"), ("IOG_LEASE_TTL_MS", "6000")])
            .expect_err("too short");
        assert!(
            error
                .to_string()
                .contains("at least twice IOG_HEARTBEAT_MS"),
            "{error}"
        );
    }

    #[test]
    fn a_public_site_does_not_trust_this_machines_own_pages() {
        let config = with(&[("IOG_PUBLIC_URL", "https://iog.example/")]).expect("valid");
        assert_eq!(config.settings.public_url, "https://iog.example");
        assert_eq!(config.settings.origins, ["https://iog.example"]);
        let local = with(&[]).expect("valid").settings.origins;
        for origin in [
            "http://127.0.0.1:3000",
            "http://localhost:3000",
            "http://[::1]:3000",
        ] {
            assert!(
                local.iter().any(|known| known == origin),
                "{origin} in {local:?}"
            );
        }
        assert!(
            is_loopback("http://[::1]:3000")
                && is_loopback("http://localhost")
                && !is_loopback("http://10.0.0.1")
        );
    }
}
