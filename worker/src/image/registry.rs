//! The distribution API, as far as pulling needs it: manifests, blobs, anonymous tokens.
//!
//! Written over `reqwest` and not with `oci-client`: that library offers no way to say which addresses may be dialled
//! for a name, a redirect or a token's realm, and all three are a stranger's words here.

use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use protocol::image::ImageName;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::{Instant, sleep};

use super::address::Rules;
use super::cache::Part;
use super::manifest::{self, Descriptor, MANIFEST_BYTES_MAX};
use super::{Progress, PullError};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
const BEARER: &str = "bearer ";

/// One repository of one registry.
pub struct Registry<'a> {
    pub name: ImageName,
    client: &'a Client,
    rules: &'a Rules,
    base: Url,
    token: Mutex<Option<String>>,
    /// A registry that is away is waited for so long, counted from the last byte that came.
    patience: Duration,
}

/// What can be said of one attempt.
enum Attempt {
    Final(PullError),
    /// Again, perhaps not before so long.
    Again(PullError, Option<Duration>),
}

impl From<PullError> for Attempt {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Unreachable(_) => Self::Again(error, None),
            other => Self::Final(other),
        }
    }
}

impl<'a> Registry<'a> {
    /// # Errors
    /// [`PullError::Private`] when its address is not one that may be dialled.
    pub fn new(
        client: &'a Client,
        rules: &'a Rules,
        name: ImageName,
        patience: Duration,
    ) -> Result<Self, PullError> {
        Ok(Self {
            base: rules.base(&name.registry)?,
            name,
            client,
            rules,
            token: Mutex::new(None),
            patience,
        })
    }

    /// A manifest by tag or digest: its own digest, and its bytes.
    ///
    /// # Errors
    /// Why not, after a registry that is away was waited for.
    pub async fn manifest(&self, reference: &str) -> Result<(String, Vec<u8>), PullError> {
        let url = self.url("manifests", reference)?;
        let mut waiting = Waiting::new(self.patience);
        let bytes = loop {
            let attempt = async {
                let response = self.ask(&url, None).await?;
                read_all(response, MANIFEST_BYTES_MAX, "the image's manifest")
                    .await
                    .map_err(Attempt::from)
            };
            match attempt.await {
                Ok(bytes) => break bytes,
                Err(attempt) => waiting.again(attempt).await?,
            }
        };
        Ok((manifest::digest_of(&bytes), bytes))
    }

    /// A blob into `part`, which goes on where an attempt before this one was cut off.
    ///
    /// # Errors
    /// It is not what its digest and size say; or why it cannot be had.
    pub async fn blob(
        &self,
        blob: &Descriptor,
        part: &mut Part,
        progress: &Progress,
    ) -> Result<(), PullError> {
        let url = self.url("blobs", &format!("sha256:{}", blob.digest))?;
        let mut waiting = Waiting::new(self.patience);
        loop {
            let before = part.size();
            match self.blob_once(&url, blob, part, progress).await {
                Ok(()) => return part.is(&blob.digest, blob.size),
                Err(attempt) => {
                    if part.size() > before {
                        waiting = Waiting::new(self.patience);
                    }
                    waiting.again(attempt).await?;
                }
            }
        }
    }

    async fn blob_once(
        &self,
        url: &Url,
        blob: &Descriptor,
        part: &mut Part,
        progress: &Progress,
    ) -> Result<(), Attempt> {
        let had = part.size();
        let response = self.ask(url, (had > 0).then_some(had)).await?;
        if had > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // It sends the whole again.
            part.restart().map_err(PullError::from)?;
            progress.take_back(had);
        }
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| Attempt::from(explain(&error)))?;
            if part.size() + bytes.len() as u64 > blob.size {
                return Err(Attempt::Final(PullError::Damaged(format!(
                    "the registry sends more than the {} bytes that blob {} has",
                    blob.size, blob.digest
                ))));
            }
            part.write(&bytes).map_err(PullError::from)?;
            progress.add(bytes.len() as u64);
        }
        if part.size() < blob.size {
            let message = format!(
                "the line was cut after {} of {} bytes of a layer",
                part.size(),
                blob.size
            );
            return Err(Attempt::Again(PullError::Unreachable(message), None));
        }
        Ok(())
    }

    fn url(&self, kind: &str, reference: &str) -> Result<Url, PullError> {
        let path = format!("v2/{}/{kind}/{reference}", self.name.repository);
        self.base
            .join(&path)
            .map_err(|error| PullError::Invalid(error.to_string()))
    }

    /// One request; with an anonymous token where the registry wants one.
    async fn ask(&self, url: &Url, from: Option<u64>) -> Result<Response, Attempt> {
        let mut asked_for_token = false;
        loop {
            let mut request = self
                .client
                .get(url.clone())
                .header(ACCEPT, manifest::ACCEPT);
            if let Some(from) = from {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let token = self.token();
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request
                .send()
                .await
                .map_err(|error| Attempt::from(explain(&error)))?;
            let status = response.status();
            // A token may have run out between two blobs: a new one is asked for once.
            if status == StatusCode::UNAUTHORIZED && !asked_for_token {
                asked_for_token = true;
                if let Some(fresh) = self.fetch_token(response.headers()).await? {
                    *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
                    continue;
                }
            }
            return self.judge(response);
        }
    }

    fn token(&self) -> Option<String> {
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn judge(&self, response: Response) -> Result<Response, Attempt> {
        let status = response.status();
        let name = self.name.to_string();
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            StatusCode::NOT_FOUND => Err(Attempt::Final(PullError::NotFound(name))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Attempt::Final(PullError::NeedsCredentials(name)))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(Attempt::Again(
                PullError::Unreachable(format!(
                    "{} lets this machine pull no more for now (429)",
                    self.name.registry
                )),
                wait_of(response.headers()),
            )),
            status if status.is_server_error() => Err(Attempt::Again(
                PullError::Unreachable(format!("{} answers {status}", self.name.registry)),
                wait_of(response.headers()),
            )),
            status => Err(Attempt::Final(PullError::Invalid(format!(
                "{} answers {status} for {name}",
                self.name.registry
            )))),
        }
    }

    /// `None`: it does not say where tokens are had, or it gives none to the public.
    async fn fetch_token(&self, headers: &HeaderMap) -> Result<Option<String>, Attempt> {
        let wanted = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find(|value| {
                value
                    .get(..BEARER.len())
                    .is_some_and(|word| word.eq_ignore_ascii_case(BEARER))
            });
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let parameters = parameters(wanted.get(BEARER.len()..).unwrap_or_default());
        let find = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let Some(mut realm) = find("realm").and_then(|realm| Url::parse(&realm).ok()) else {
            return Ok(None);
        };
        if !self.rules.admits(&realm) {
            let host = realm.host_str().unwrap_or_default().to_owned();
            return Err(Attempt::Final(PullError::Private(host)));
        }
        let scope =
            find("scope").unwrap_or_else(|| format!("repository:{}:pull", self.name.repository));
        {
            let mut query = realm.query_pairs_mut();
            if let Some(service) = find("service") {
                query.append_pair("service", &service);
            }
            query.append_pair("scope", &scope);
        }
        let response = self
            .client
            .get(realm)
            .send()
            .await
            .map_err(|error| Attempt::from(explain(&error)))?;
        if matches!(
            response.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Ok(None);
        }
        let response = self.judge(response)?;
        let bytes = read_all(response, TOKEN_BYTES_MAX, "the registry's token").await?;
        let answer: TokenAnswer = serde_json::from_slice(&bytes).map_err(|error| {
            PullError::Unreachable(format!("the registry's token cannot be read: {error}"))
        })?;
        Ok(answer.token.or(answer.access_token))
    }
}

#[derive(serde::Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Pauses between attempts, until patience is over.
struct Waiting {
    until: Instant,
    pause: Duration,
}

impl Waiting {
    fn new(patience: Duration) -> Self {
        Self {
            until: Instant::now() + patience,
            pause: FIRST_PAUSE,
        }
    }

    async fn again(&mut self, attempt: Attempt) -> Result<(), PullError> {
        let (error, wanted) = match attempt {
            Attempt::Final(error) => return Err(error),
            Attempt::Again(error, wanted) => (error, wanted),
        };
        let pause = wanted.unwrap_or(self.pause).max(self.pause);
        if Instant::now() + pause > self.until {
            return Err(error);
        }
        sleep(pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The cause under what the client says of it: a refused address is no fault of the line.
fn explain(error: &reqwest::Error) -> PullError {
    let mut deepest = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(PullError::Private(host)) = inner.downcast_ref::<PullError>() {
            return PullError::Private(host.clone());
        }
        deepest = inner.to_string();
        cause = inner.source();
    }
    let host = error
        .url()
        .and_then(Url::host_str)
        .unwrap_or("the registry");
    PullError::Unreachable(format!("{host} cannot be reached: {deepest}"))
}

async fn read_all(response: Response, most: u64, what: &str) -> Result<Vec<u8>, PullError> {
    let mut all = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| explain(&error))?;
        if (all.len() + bytes.len()) as u64 > most {
            return Err(PullError::TooLarge(format!(
                "{what} has more than {most} bytes"
            )));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// `a="x, y",b=z` as pairs.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        pairs.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        rest = next.trim_start_matches([',', ' ']);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_with_and_without_quotes() {
        let read = parameters(
            r#"Realm="https://auth/token",service=reg.io, scope="repository:a/b:pull,push""#,
        );
        let wanted = [
            ("realm", "https://auth/token"),
            ("service", "reg.io"),
            ("scope", "repository:a/b:pull,push"),
        ];
        assert_eq!(read, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(parameters("nothing"), []);
        assert_eq!(
            parameters("realm=\"open"),
            [("realm".to_owned(), "open".to_owned())]
        );
    }
}
