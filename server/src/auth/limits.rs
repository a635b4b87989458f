//! How often one client may ask. In memory and per process: a restart forgives, which is harmless.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::Method;
use protocol::Code;
use tokio::time::Instant;

use super::Asker;
use crate::http::problem::Refused;
use crate::state::AppState;

/// A form with an address and a password.
const SIGN_IN_BYTES_MAX: usize = 16 * 1024;
/// The server functions that take a password; a test in the integration suite holds them against the router's list.
pub const SIGN_INS: [&str; 2] = ["/fn/sign-in", "/fn/sign-up"];
/// A burst is this many seconds' worth.
const BURST_SECONDS: u32 = 4;
/// One address may hold many nodes, and each may leave 256 files at once.
const WORKER_FACTOR: u32 = 10;
/// A page of a job's may be of a hundred small files.
const PORT_FACTOR: u32 = 4;

/// Unknown API keys of one address within a minute: this many seconds' worth of requests.
const GUESS_SECONDS: u32 = 2;
const GUESS_WINDOW: Duration = Duration::from_mins(1);

pub struct RateLimits {
    address: DefaultKeyedRateLimiter<IpAddr>,
    worker: DefaultKeyedRateLimiter<IpAddr>,
    port: DefaultKeyedRateLimiter<IpAddr>,
    /// By hash: the limiter keeps no secrets.
    key: DefaultKeyedRateLimiter<u64>,
    /// Unknown keys in this minute, by address.
    guesses: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    guesses_max: u32,
    hasher: std::hash::RandomState,
    sign_in_address: DefaultKeyedRateLimiter<IpAddr>,
    sign_in_email: DefaultKeyedRateLimiter<String>,
    pub trust_forwarded: bool,
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

fn per_second(count: u32) -> Quota {
    Quota::per_second(at_least_one(count))
        .allow_burst(at_least_one(count.saturating_mul(BURST_SECONDS)))
}

impl RateLimits {
    pub fn new(sign_in_per_minute: u32, requests_per_second: u32, trust_forwarded: bool) -> Self {
        let sign_in = Quota::per_minute(at_least_one(sign_in_per_minute));
        Self {
            address: RateLimiter::keyed(per_second(requests_per_second)),
            worker: RateLimiter::keyed(per_second(
                requests_per_second.saturating_mul(WORKER_FACTOR),
            )),
            port: RateLimiter::keyed(per_second(requests_per_second.saturating_mul(PORT_FACTOR))),
            key: RateLimiter::keyed(per_second(requests_per_second)),
            guesses: Mutex::default(),
            guesses_max: requests_per_second.saturating_mul(GUESS_SECONDS),
            hasher: std::hash::RandomState::new(),
            sign_in_address: RateLimiter::keyed(sign_in),
            sign_in_email: RateLimiter::keyed(sign_in),
            trust_forwarded,
        }
    }

    /// # Errors
    /// `too_many_requests`.
    pub fn address(&self, address: IpAddr) -> Result<(), Refused> {
        check(&self.address, &address)
    }

    /// # Errors
    /// `too_many_requests`.
    pub fn worker(&self, address: IpAddr) -> Result<(), Refused> {
        check(&self.worker, &address)
    }

    /// What is asked of jobs' ports.
    ///
    /// # Errors
    /// `too_many_requests`.
    pub fn port(&self, address: IpAddr) -> Result<(), Refused> {
        check(&self.port, &address)
    }

    /// # Errors
    /// `too_many_requests`.
    pub fn key(&self, secret: &str) -> Result<(), Refused> {
        use std::hash::BuildHasher;
        check(&self.key, &self.hasher.hash_one(secret))
    }

    /// Whether this address may show a key. Looking costs nothing: whoever has a valid key is not slowed.
    ///
    /// # Errors
    /// `too_many_requests` after too many unknown ones.
    pub fn may_guess(&self, address: IpAddr) -> Result<(), Refused> {
        let guesses = self.guesses();
        match guesses.get(&address) {
            Some((count, since))
                if *count >= self.guesses_max && since.elapsed() < GUESS_WINDOW =>
            {
                Err(limited())
            }
            _ => Ok(()),
        }
    }

    /// Counts an unknown key.
    pub fn guessed(&self, address: IpAddr) {
        let mut guesses = self.guesses();
        let (count, since) = guesses.entry(address).or_insert((0, Instant::now()));
        if since.elapsed() >= GUESS_WINDOW {
            (*count, *since) = (0, Instant::now());
        }
        *count = count.saturating_add(1);
    }

    fn guesses(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Guessing one password from many addresses is bounded by the e-mail, guessing many by the address.
    ///
    /// # Errors
    /// `too_many_requests`.
    pub fn sign_in(&self, address: IpAddr, email: Option<&str>) -> Result<(), Refused> {
        let slow = |_| {
            Refused::new(
                Code::TooManyRequests,
                "Too many tries. Wait a minute, then try again.",
            )
        };
        check(&self.sign_in_address, &address).map_err(slow)?;
        match email {
            Some(email) => check(&self.sign_in_email, &email.trim().to_lowercase()).map_err(slow),
            None => Ok(()),
        }
    }

    /// Forgets clients that have been quiet. Called each minute, so that the tables stay as small as the traffic.
    pub fn forget_quiet(&self) {
        self.address.retain_recent();
        self.worker.retain_recent();
        self.port.retain_recent();
        self.key.retain_recent();
        self.sign_in_address.retain_recent();
        self.sign_in_email.retain_recent();
        self.guesses()
            .retain(|_, (_, since)| since.elapsed() < GUESS_WINDOW);
    }
}

fn check<K: Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), Refused> {
    limiter.check_key(key).map_err(|_| limited())
}

fn limited() -> Refused {
    metrics::counter!("iog_rate_limited_total").increment(1);
    Refused::new(
        Code::TooManyRequests,
        "Too many requests from you at once. Wait a few seconds, then try again.",
    )
}

/// Before the server functions: signing in and up is bounded by address and by e-mail.
pub async fn sign_in_guard(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || !is_sign_in(request.uri().path()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, SIGN_IN_BYTES_MAX).await else {
        return Refused::new(Code::TooLarge, "A sign-in form is smaller than this.")
            .into_response();
    };
    let Some(asker) = parts.extensions.get::<Asker>() else {
        return Refused::new(Code::Internal, "The request was not looked at.").into_response();
    };
    if let Err(refused) = state
        .limits
        .sign_in(asker.address, email(&bytes).as_deref())
    {
        return refused.into_response();
    }
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

fn is_sign_in(path: &str) -> bool {
    SIGN_INS.contains(&path)
}

/// The field `email` of a JSON or a form body, at whatever depth the form library puts it.
fn email(bytes: &[u8]) -> Option<String> {
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        return find_email(&value).map(str::to_owned);
    }
    let mut pairs = form_urlencoded::parse(bytes);
    pairs
        .find(|(name, _)| name == "email" || name.ends_with("[email]"))
        .map(|(_, value)| value.into_owned())
}

fn find_email(value: &serde_json::Value) -> Option<&str> {
    let object = value.as_object()?;
    object
        .get("email")
        .and_then(|email| email.as_str())
        .or_else(|| object.values().find_map(find_email))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_email_is_found_in_each_form() {
        for body in [
            r#"{"email":"a@b.c","password":"x"}"#,
            r#"{"form":{"email":"a@b.c"}}"#,
            "email=a%40b.c&password=x",
            "form%5Bemail%5D=a%40b.c",
        ] {
            assert_eq!(email(body.as_bytes()).as_deref(), Some("a@b.c"), "{body}");
        }
        assert_eq!(email(b"\xff\xfe"), None);
        assert!(
            is_sign_in("/fn/sign-in") && is_sign_in("/fn/sign-up") && !is_sign_in("/api/v1/jobs")
        );
    }

    #[test]
    fn guessing_one_password_from_many_addresses_is_bounded() {
        let limits = RateLimits::new(3, 50, false);
        let tries = (0..20u8).filter(|n| {
            let address = IpAddr::from([10, 0, 0, *n]);
            limits
                .sign_in(
                    address,
                    Some(if n % 2 == 0 { "Ann@x.y" } else { " ann@x.y" }),
                )
                .is_ok()
        });
        assert_eq!(tries.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_keys_from_one_address_is_bounded_and_a_valid_key_costs_nothing() {
        let limits = RateLimits::new(3, 1, false);
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        assert!((0..100).all(|_| limits.may_guess(a).is_ok()));
        for _ in 0..2 {
            limits.guessed(a);
        }
        assert!(limits.may_guess(a).is_err());
        assert!(limits.may_guess(b).is_ok());
        tokio::time::advance(GUESS_WINDOW).await;
        assert!(limits.may_guess(a).is_ok());
    }

    #[test]
    fn who_has_been_quiet_is_forgotten_by_every_table() {
        let limits = RateLimits::new(60_000, 1_000, false);
        let address = IpAddr::from([10, 0, 0, 1]);
        for asked in [
            limits.address(address),
            limits.worker(address),
            limits.port(address),
            limits.key("a key"),
            limits.sign_in(address, Some("a@b.c")),
        ] {
            assert!(asked.is_ok());
        }
        std::thread::sleep(Duration::from_millis(50));
        limits.forget_quiet();
        let left = [
            limits.address.len(),
            limits.worker.len(),
            limits.port.len(),
            limits.key.len(),
            limits.sign_in_address.len(),
            limits.sign_in_email.len(),
        ];
        assert_eq!(left, [0; 6]);
    }

    #[test]
    fn one_address_does_not_slow_another() {
        let limits = RateLimits::new(3, 1, false);
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        assert!((0..10).filter(|_| limits.address(a).is_ok()).count() < 10);
        assert!(limits.address(b).is_ok());
    }
}
