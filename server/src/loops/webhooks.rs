//! Posts notices to webhooks. What is to be sent stands in the database until its receiver has taken it; this only carries.
//! Two couriers share the work, so that receivers which fail, and mostly by making us wait, have their own few hands and
//! cannot hold up those that work.

use std::collections::HashSet;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::{Exchange, Outcome, Parcel};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use kernel::{NoticeId, Seconds, Timestamp, WebhookId};
use protocol::notice::DeliveryError;
use reqwest::{Client, Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard::{Blocked, Guard, Lookup, check};
use crate::http::problem::Chain;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// From the first look-up of the name to the head of the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Nobody reads the body of an answer; taking a short one in lets the connection serve again.
const BODY_WITHIN: Duration = Duration::from_secs(1);
const BODY_MAX: usize = 16 * 1_024;
/// To one webhook at once.
const EACH: u32 = 2;
const WORKING: usize = 64;
const FAILING: usize = 16;
/// When the database does not take an answer, the receiver is spared until it may.
const UNWRITTEN: Duration = Duration::from_secs(5);
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// The client of both couriers: no proxy, no redirects, connections only to addresses that were checked.
///
/// # Errors
/// No TLS can be set up.
pub fn client(lookup: Lookup, local: bool) -> reqwest::Result<Client> {
    // The client asks for one even where only plain HTTP is spoken. A second call finds it there.
    _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent("IOG-Webhooks/1")
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(Guard { lookup, local }))
        .connect_timeout(CONNECT_WITHIN)
        .pool_max_idle_per_host(usize::try_from(EACH).unwrap_or(1))
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
}

/// Carries to the webhooks that work, or to those that fail.
#[derive(Clone)]
pub struct Courier(Arc<Bag>);

struct Bag {
    exchange: Exchange,
    client: Client,
    failing: bool,
    hands: Arc<Semaphore>,
    size: usize,
    /// What is under way in either bag: it stays due until it is answered, and a webhook changes sides when it fails.
    carried: Under,
}

type Under = Arc<Mutex<HashSet<(WebhookId, NoticeId)>>>;

/// Takes a parcel out of the bag whatever becomes of its task.
struct Carried {
    bag: Arc<Bag>,
    what: (WebhookId, NoticeId),
    _hand: OwnedSemaphorePermit,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.bag.carried().remove(&self.what);
    }
}

impl Bag {
    fn carried(&self) -> std::sync::MutexGuard<'_, HashSet<(WebhookId, NoticeId)>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Courier {
    /// The one for those that work, and the one for those that fail.
    pub fn both(exchange: &Exchange, client: &Client) -> [Self; 2] {
        let carried = Under::default();
        [(false, WORKING), (true, FAILING)].map(|(failing, size)| {
            Self(Arc::new(Bag {
                exchange: exchange.clone(),
                client: client.clone(),
                failing,
                hands: Arc::new(Semaphore::new(size)),
                size,
                carried: carried.clone(),
            }))
        })
    }

    pub fn name(&self) -> &'static str {
        if self.0.failing {
            "failing_webhooks"
        } else {
            "webhooks"
        }
    }

    /// Sets out with what is due, as far as there are hands.
    ///
    /// # Errors
    /// The database failed.
    pub async fn round(self) -> Result<(), exchange::Error> {
        let bag = self.0;
        // What is under way is still due, and must not hide the rest.
        let limit = u32::try_from(bag.size.saturating_mul(2)).unwrap_or(u32::MAX);
        // What comes back while the list is read stands in it and is done.
        let before = bag.carried().clone();
        let due = bag.exchange.due_webhooks(bag.failing, EACH, limit).await?;
        for parcel in due {
            let what = (parcel.webhook, parcel.notice);
            if before.contains(&what) {
                continue;
            }
            let Ok(hand) = bag.hands.clone().try_acquire_owned() else {
                break;
            };
            if !bag.carried().insert(what) {
                continue;
            }
            let carried = Carried {
                bag: bag.clone(),
                what,
                _hand: hand,
            };
            tokio::spawn(carry(carried, parcel));
        }
        Ok(())
    }

    /// Waits a moment for what is under way; what is not back by then is carried again after the next start.
    pub async fn settle(self) {
        let all = u32::try_from(self.0.size).unwrap_or(u32::MAX);
        _ = tokio::time::timeout(CLOSE_WITHIN, self.0.hands.acquire_many(all)).await;
    }
}

async fn carry(carried: Carried, parcel: Parcel) {
    let exchange = &carried.bag.exchange;
    let (webhook, notice) = carried.what;
    let url = parcel.url.clone();
    let outcome = post(&carried.bag.client, exchange, parcel).await;
    let taken = matches!(
        outcome,
        Outcome::Answered {
            status: 200..=299,
            ..
        }
    );
    metrics::counter!("iog_webhook_attempts_total", "taken" => taken.to_string()).increment(1);
    let noted = exchange.webhook_answered(webhook, notice, &url, outcome);
    if let Err(error) = noted.await {
        let failure = Chain(&error).to_string();
        tracing::error!(%webhook, %notice, failure, "a receiver's answer could not be kept; it is sent again");
        tokio::time::sleep(UNWRITTEN).await;
    }
}

/// One attempt.
async fn post(client: &Client, exchange: &Exchange, parcel: Parcel) -> Outcome {
    let now = exchange.now();
    let local = exchange.settings().webhooks_local;
    let Ok(headers) = parcel.headers(now) else {
        return Outcome::Failed(DeliveryError::Broken);
    };
    let asked = ask(client, local, &parcel.url, headers, parcel.body);
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(response)) => {
            let outcome = Outcome::Answered {
                status: response.status().as_u16(),
                retry_after: retry_after(response.headers(), now),
            };
            _ = tokio::time::timeout(BODY_WITHIN, drain(response)).await;
            outcome
        }
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => Outcome::Failed(DeliveryError::Timeout),
    }
}

async fn ask(
    client: &Client,
    local: bool,
    url: &str,
    headers: [(&'static str, String); 3],
    body: String,
) -> Result<Response, DeliveryError> {
    let url: Url = url.parse().map_err(|_| DeliveryError::Broken)?;
    check(&url, local).map_err(|blocked| blocked.0)?;
    let mut request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await.map_err(|error| why(&error))
}

/// The first cause that says more than that it failed.
fn why(error: &reqwest::Error) -> DeliveryError {
    let mut cause = error.source();
    while let Some(at) = cause {
        if let Some(blocked) = at.downcast_ref::<Blocked>() {
            return blocked.0;
        }
        if is_tls(at) {
            return DeliveryError::Tls;
        }
        cause = at.source();
    }
    if error.is_timeout() {
        DeliveryError::Timeout
    } else if error.is_connect() {
        DeliveryError::Unreachable
    } else {
        DeliveryError::Broken
    }
}

/// An I/O error's `source` leaves out what it wraps, and here one wraps another.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let within = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || within.is_some_and(|within| is_tls(within))
}

async fn drain(mut response: Response) {
    let mut taken = 0_usize;
    while let Ok(Some(piece)) = response.chunk().await {
        taken = taken.saturating_add(piece.len());
        if taken > BODY_MAX {
            return;
        }
    }
}

/// In seconds, or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Seconds> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Seconds::new(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = u64::try_from(now.millis().div_euclid(1_000)).ok()?;
    Some(Seconds::new(since.as_secs().saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::HeaderValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    /// Takes one request a connection; counts them.
    async fn receiver() -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let count = Arc::new(AtomicUsize::new(0));
        let taken = count.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                taken.fetch_add(1, Ordering::SeqCst);
                _ = stream.read(&mut [0; 4_096]).await;
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                _ = stream.write_all(answer).await;
            }
        });
        (port, count)
    }

    /// Answers the first question with the first list, and so on; the last one again and again.
    fn names(answers: Vec<Vec<IpAddr>>) -> (Lookup, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let lookup: Lookup = Arc::new(move |_| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            let answer = answers[n.min(answers.len() - 1)].clone();
            Box::pin(async move { Ok(answer) })
        });
        (lookup, asked)
    }

    async fn asked(client: &Client, local: bool, url: String) -> Result<u16, DeliveryError> {
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers = headers.map(|name| (name, "x".to_owned()));
        let answer = ask(client, local, &url, headers, "{}".into()).await;
        answer.map(|response| response.status().as_u16())
    }

    #[tokio::test]
    async fn a_name_that_comes_to_lead_inside_is_not_followed() {
        let (port, taken) = receiver().await;
        let (lookup, questions) = names(vec![vec![INSIDE, HOME], vec![INSIDE]]);
        let client = client(lookup, true).expect("a client");
        let url = format!("http://rebind.example:{port}/");
        // The address that may not be asked is left out, and the one that was checked is the one that is connected to.
        assert_eq!(asked(&client, true, url.clone()).await, Ok(204));
        assert_eq!(questions.load(Ordering::SeqCst), 1);
        let second = asked(&client, true, url).await;
        assert_eq!(second, Err(DeliveryError::NotPublic));
        assert_eq!(questions.load(Ordering::SeqCst), 2);
        assert_eq!(taken.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn where_others_have_accounts_no_name_leads_home() {
        let (port, taken) = receiver().await;
        for inside in [
            HOME,
            INSIDE,
            [172, 16, 0, 1].into(),
            [192, 168, 0, 1].into(),
            [100, 64, 0, 1].into(),
            [169, 254, 169, 254].into(),
            [224, 0, 0, 1].into(),
            [0, 0, 0, 0].into(),
            "::1".parse().expect("an address"),
            "fe80::1".parse().expect("an address"),
            "fd00:ec2::254".parse().expect("an address"),
            "ff02::1".parse().expect("an address"),
            "::ffff:127.0.0.1".parse().expect("an address"),
            "64:ff9b::7f00:1".parse().expect("an address"),
        ] {
            let (lookup, _) = names(vec![vec![inside]]);
            let client = client(lookup, false).expect("a client");
            let answer = asked(&client, false, format!("https://in.example:{port}/")).await;
            assert_eq!(answer, Err(DeliveryError::NotPublic), "{inside}");
        }
        assert_eq!(taken.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn each_failure_is_told_apart() {
        let (port, _) = receiver().await;
        let (lookup, _) = names(vec![vec![HOME]]);
        let home = client(lookup, true).expect("a client");
        let plain = asked(&home, true, format!("https://home.example:{port}/")).await;
        assert_eq!(plain, Err(DeliveryError::Tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let closed = listener.local_addr().expect("an address").port();
        drop(listener);
        let nobody = asked(&home, true, format!("http://home.example:{closed}/")).await;
        assert_eq!(nobody, Err(DeliveryError::Unreachable));
        let (lookup, _) = names(vec![vec![]]);
        let nowhere = client(lookup, true).expect("a client");
        let unknown = asked(&nowhere, true, "http://no.example/".into()).await;
        assert_eq!(unknown, Err(DeliveryError::NoAddress));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
            }
        });
        let other = asked(&home, true, format!("http://home.example:{port}/")).await;
        assert_eq!(other, Err(DeliveryError::Broken));
    }

    #[test]
    fn patience_is_asked_for_in_seconds_or_until_a_date() {
        let now = Timestamp::from_millis(784_111_777_000);
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now).map(Seconds::get)
        };
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
