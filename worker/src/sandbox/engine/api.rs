//! An engine's REST interface over its unix socket: the few calls that are made, one connection each.
//!
//! Spoken with `hyper`, which is here anyway. `bollard` would bring the whole interface (some 36,000 lines, most generated) for these
//! seven calls, and would say no more about what an engine keeps of them: that is looked at from inside (see [`super::inside`]).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Answers of an engine are small; more is not read.
const ANSWER_MAX: usize = 4 << 20;
const WITHIN: Duration = Duration::from_secs(20);
/// The forms of the interface that are spoken here. Podman 4 says 1.41, Docker 29 no longer anything below 1.44.
const OLDEST: (u32, u32) = (1, 40);
const NEWEST: (u32, u32) = (1, 44);

/// Where an engine listens, and which form of its interface was agreed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Api {
    socket: PathBuf,
    version: String,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Such as `Podman Engine 4.3.1`.
    pub name: String,
    pub version: String,
    /// What makes its containers, such as `runc`.
    pub runtime: String,
    pub cgroups: String,
}

impl About {
    pub fn is_podman(&self) -> bool {
        self.name.starts_with("Podman")
    }

    /// crun refuses resources of version 1 where both versions are mounted.
    pub fn is_crun_on_v1(&self) -> bool {
        self.runtime == "crun" && self.cgroups == "1"
    }
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            version,
            runtime,
            cgroups,
        } = self;
        write!(
            f,
            "{name} (interface {version}, {runtime}, cgroups version {cgroups})"
        )
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the container engine at {0} does not answer: {1}")]
    Silent(String, io::Error),
    #[error("the container engine refuses ({status}): {why}")]
    Said { status: u16, why: String },
    #[error("the container engine's answer cannot be read: {0}")]
    Unread(String),
}

impl Refused {
    /// What was asked about is not there.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Said { status: 404, .. })
    }
}

impl Api {
    /// Asks the engine who it is, and agrees on a version.
    ///
    /// # Errors
    /// Nobody answers, or in a form that is not spoken here.
    pub async fn negotiate(socket: &Path) -> Result<(Self, About), Refused> {
        let mut api = Self {
            socket: socket.to_owned(),
            version: String::new(),
        };
        let told = api.get("/version").await?;
        let number = |name: &str| told.get(name).and_then(Value::as_str).and_then(version);
        let spoken = number("ApiVersion")
            .ok_or_else(|| Refused::Unread("it names no version of its interface".to_owned()))?;
        let oldest = number("MinAPIVersion").unwrap_or(OLDEST);
        if spoken < OLDEST || oldest > NEWEST {
            return Err(Refused::Unread(format!(
                "it speaks {}.{} to {}.{}, this worker {}.{} to {}.{}",
                oldest.0, oldest.1, spoken.0, spoken.1, OLDEST.0, OLDEST.1, NEWEST.0, NEWEST.1
            )));
        }
        let (major, minor) = spoken.min(NEWEST);
        api.version = format!("/v{major}.{minor}");
        let info = api.get("/info").await?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("?").to_owned();
        let engine = text(told.pointer("/Components/0/Name"));
        let about = About {
            name: format!("{engine} {}", text(told.get("Version"))),
            version: format!("{major}.{minor}"),
            runtime: text(info.get("DefaultRuntime")),
            cgroups: text(info.get("CgroupVersion")),
        };
        Ok((api, about))
    }

    /// # Errors
    /// What the engine says, or that it says nothing.
    pub async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.ask(Method::GET, path, None).await
    }

    /// # Errors
    /// What the engine says, or that it says nothing.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.ask(Method::POST, path, body).await
    }

    /// # Errors
    /// What the engine says, or that it says nothing.
    pub async fn post_tar(&self, path: &str, tar: Vec<u8>) -> Result<Value, Refused> {
        let body = Some(("application/x-tar", Bytes::from(tar)));
        self.ask(Method::POST, path, body).await
    }

    /// # Errors
    /// What the engine says, or that it says nothing.
    pub async fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(
        &self,
        verb: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Value, Refused> {
        let silent = |error| Refused::Silent(self.socket.display().to_string(), error);
        let talked = tokio::time::timeout(WITHIN, self.talk(verb, path, body)).await;
        let (status, body) = talked
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(silent)?;
        let text = String::from_utf8_lossy(&body);
        // An import answers with a line for each of its steps; the last one counts.
        let last = text.trim().lines().next_back().unwrap_or_default();
        let told: Value = serde_json::from_str(text.trim())
            .or_else(|_| serde_json::from_str(last))
            .unwrap_or(Value::Null);
        let error = told.get("error").and_then(Value::as_str);
        if (200..300).contains(&status) && error.is_none() {
            return Ok(told);
        }
        let why = told.get("message").and_then(Value::as_str).or(error);
        let why = why.unwrap_or(last).chars().take(400).collect();
        Err(Refused::Said { status, why })
    }

    async fn talk(
        &self,
        verb: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> io::Result<(u16, Bytes)> {
        let stream = tokio::net::UnixStream::connect(&self.socket).await?;
        let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut line, carrier) = opened.map_err(io::Error::other)?;
        let mut request = Request::builder()
            .method(verb)
            .uri(format!("{}{path}", self.version))
            .header(HOST, "engine")
            .header(CONNECTION, "close");
        if let Some((kind, _)) = &body {
            request = request.header(CONTENT_TYPE, *kind);
        }
        let bytes = body.map(|(_, bytes)| bytes).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(io::Error::other)?;
        let exchange = async {
            let answer = line.send_request(request).await.map_err(io::Error::other)?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect();
            Ok((status, body.await.map_err(io::Error::other)?.to_bytes()))
        };
        // The carrier moves the bytes; it is done when the engine closes, which may be a moment before the answer is read.
        let (exchange, carrier) = (std::pin::pin!(exchange), std::pin::pin!(carrier));
        match select(exchange, carrier).await {
            Either::Left((answer, _)) => answer,
            Either::Right((_, exchange)) => exchange.await,
        }
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// As a part of a path's query.
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_queries() {
        assert_eq!(encoded(r#"{"a":1}"#), "%7B%22a%22%3A1%7D");
        assert_eq!(
            (version("1.41"), version("1.44.2"), version("x")),
            (Some((1, 41)), Some((1, 44)), None)
        );
    }
}
