//! Aptos's REST: one request, tried again as long as that can help.

use std::time::Duration;

use kernel::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use settlement::ChainError;

use crate::settings::Settings;

const SIGNED_BCS: &str = "application/x.aptos.signed_transaction+bcs";
const JSON: &str = "application/json";
/// A page of transactions is far below; a node that sends more is not one.
const BODY_MAX: usize = 32 * 1024 * 1024;
const WORDS_MAX: usize = 300;

/// Where the node's ledger stood when it answered.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub ledger_at: Timestamp,
    /// Of its newest transaction.
    pub version: Option<u64>,
}

/// An answer that is an answer, of whatever kind.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub at: Option<At>,
    pub body: Vec<u8>,
}

/// What Aptos says when it does not do something.
#[derive(Debug, Deserialize, Default)]
pub struct Problem {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub error_code: String,
}

#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: Url,
    tries: u32,
    pause: Duration,
    pause_max: Duration,
}

pub enum Body<'a> {
    None,
    Json(&'a serde_json::Value),
    Signed(&'a [u8]),
}

/// Trying it again can help: the node is busy, or behind, or not there.
fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error()
}

fn header(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

impl At {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let micros = header(headers, "x-aptos-ledger-timestampusec")?;
        Some(Self {
            ledger_at: Timestamp::from_millis(micros.div_euclid(1_000)),
            version: header(headers, "x-aptos-ledger-version")
                .and_then(|version| u64::try_from(version).ok()),
        })
    }
}

impl Answer {
    pub fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| Problem {
            message: short(&String::from_utf8_lossy(&self.body)),
            error_code: String::new(),
        })
    }

    /// # Errors
    /// It is not what was asked for.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ChainError> {
        if !self.status.is_success() {
            return Err(self.not_understood());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| ChainError::Answer(short(&error.to_string())))
    }

    pub fn not_understood(&self) -> ChainError {
        let problem = self.problem();
        ChainError::Answer(format!("{}: {}", self.status, short(&problem.message)))
    }
}

/// Words of somebody else, not more than a line of them.
pub fn short(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(WORDS_MAX)
        .collect()
}

fn unreachable(error: &reqwest::Error) -> ChainError {
    let why = if error.is_timeout() {
        "it took too long".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        // Without the address, which may carry a key.
        short(
            &std::error::Error::source(error)
                .map_or_else(|| "the connection broke".to_owned(), ToString::to_string),
        )
    };
    ChainError::Unreachable(why)
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, ChainError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if body.len().saturating_add(chunk.len()) > BODY_MAX {
            return Err(ChainError::Answer(format!("more than {BODY_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Rest {
    /// # Errors
    /// The address is none.
    pub fn new(settings: &Settings) -> Result<Self, ChainError> {
        // The whole house uses ring; whoever comes first says so.
        _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |why: String| {
            ChainError::Configuration(format!(
                "the address of the chain's node must be like https://api.testnet.aptoslabs.com/v1 ({why})"
            ))
        };
        let base = Url::parse(settings.url.trim_end_matches('/'))
            .map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("http or https, and a host".to_owned()));
        }
        let client = Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            // A node that sends elsewhere is not the one that was configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ChainError::Configuration(error.to_string()))?;
        Ok(Self {
            client,
            base,
            tries: settings.tries.max(1),
            pause: settings.pause,
            pause_max: settings.pause_max,
        })
    }

    async fn once(&self, path: &str, body: &Body<'_>) -> Result<(Answer, HeaderMap), ChainError> {
        let url = format!("{}{path}", self.base);
        let request = match body {
            Body::None => self.client.get(url),
            Body::Json(value) => self
                .client
                .post(url)
                .header(CONTENT_TYPE, JSON)
                .body(value.to_string()),
            Body::Signed(bytes) => self
                .client
                .post(url)
                .header(CONTENT_TYPE, SIGNED_BCS)
                .body(bytes.to_vec()),
        };
        let sent = request.header(ACCEPT, JSON).send().await;
        let response = sent.map_err(|error| unreachable(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer {
            status,
            at: At::of(&headers),
            body: read_body(response).await?,
        };
        Ok((answer, headers))
    }

    /// Asks until there is an answer, at most so often as is set. Everything that is asked here may be asked again: reading
    /// changes nothing, and a chain takes a signed transaction once.
    ///
    /// # Errors
    /// [`ChainError::Unreachable`] after the last try.
    pub async fn ask(&self, path: &str, body: Body<'_>) -> Result<Answer, ChainError> {
        let mut pause = self.pause;
        let mut tried = 1;
        loop {
            let (why, wanted) = match self.once(path, &body).await {
                Ok((answer, _)) if !is_temporary(answer.status) => return Ok(answer),
                Ok((answer, headers)) => {
                    let seconds = header(&headers, RETRY_AFTER.as_str());
                    let wanted = seconds.and_then(|seconds| u64::try_from(seconds).ok());
                    let why = format!("{}: {}", answer.status, short(&answer.problem().message));
                    (ChainError::Unreachable(why), wanted)
                }
                Err(error @ ChainError::Unreachable(_)) => (error, None),
                Err(error) => return Err(error),
            };
            if tried >= self.tries {
                return Err(why);
            }
            tracing::debug!(path, tried, %why, "the chain's node is asked again");
            let wait = wanted.map_or(pause, Duration::from_secs);
            tokio::time::sleep(wait.min(self.pause_max)).await;
            pause = pause.saturating_mul(2);
            tried = tried.saturating_add(1);
        }
    }

    /// # Errors
    /// No answer, or not what was asked for.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ChainError> {
        self.ask(path, Body::None).await?.read()
    }
}
