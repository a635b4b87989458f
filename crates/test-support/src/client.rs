//! A REST client that says what it asked when an answer is not as expected.

use http::{HeaderMap, Method, StatusCode};
use protocol::{JobSpec, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One caller: a server, and a key, a session or nothing to show.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    http: reqwest::Client,
    headers: HeaderMap,
}

/// What came back.
pub struct Answer {
    pub asked: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: bytes::Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok<T: DeserializeOwned>(&self) -> T {
        assert!(
            self.status.is_success(),
            "{}: {} {}",
            self.asked,
            self.status,
            self.text()
        );
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.text()))
    }

    /// The problem of a refusal, in the form that every refusal has.
    #[track_caller]
    pub fn refused(&self, status: u16) -> Problem {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}: {}",
            self.asked,
            self.text()
        );
        let kind = self.header("content-type");
        assert_eq!(
            kind,
            Some("application/problem+json"),
            "{}: {}",
            self.asked,
            self.text()
        );
        let problem: Problem = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.text()));
        assert_eq!(
            problem.status, status,
            "{}: the body names another status",
            self.asked
        );
        assert!(
            !problem.detail.is_empty(),
            "{}: nothing to read",
            self.asked
        );
        problem
    }
}

impl Client {
    pub fn new(url: &str) -> Self {
        // reqwest asks for a TLS provider even where only plain HTTP is spoken. A second test may have installed it.
        _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        Self {
            url: url.to_owned(),
            http: http.expect("a client"),
            headers: HeaderMap::new(),
        }
    }

    #[must_use]
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client
            .headers
            .insert(name, value.parse().expect("a header's value"));
        client
    }

    #[must_use]
    pub fn without(&self, name: &'static str) -> Self {
        let mut client = self.clone();
        client.headers.remove(name);
        client
    }

    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        self.with("authorization", &format!("Bearer {key}"))
    }

    /// As one of our own pages.
    #[must_use]
    pub fn at_home(&self) -> Self {
        let url = self.url.clone();
        self.with("origin", &url)
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let answer = self.try_send(method.clone(), path, kind, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same where the server may not be there.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, reqwest::Error> {
        let asked = format!("{method} {path}");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .headers(self.headers.clone());
        if !kind.is_empty() {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer {
            asked,
            status,
            headers,
            body: response.bytes().await?,
        })
    }

    pub async fn json(&self, method: Method, path: &str, body: &impl Serialize) -> Answer {
        self.send(
            method,
            path,
            "application/json",
            serde_json::to_vec(body).expect("JSON"),
        )
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", "").await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.json(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", "").await
    }
}

/// The shortest job that runs this.
pub fn job(name: &str, command: &[&str]) -> JobSpec {
    let spec = serde_json::json!({
        "name": name, "command": command,
        "resources": {"memory_mib": 64, "disk_mib": 16, "pids": 32},
        "limits": {"duration_seconds": 600},
    });
    serde_json::from_value(spec).expect("a valid job")
}

/// A job that runs a shell's lines.
pub fn shell(name: &str, script: &str) -> JobSpec {
    job(name, &["sh", "-c", script])
}
