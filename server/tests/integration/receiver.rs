//! Somebody who takes webhooks: answers as planned, and keeps what came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use test_support::wait_until;

use crate::SOON;

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub after: Duration,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            after: Duration::ZERO,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Got {
    pub headers: HeaderMap,
    pub body: String,
}

impl Got {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or_else(
            || panic!("no {name} in {:?}", self.headers),
            |value| value.to_str().expect("text"),
        )
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct Kept {
    got: Vec<Got>,
    planned: VecDeque<Reply>,
}

/// Listens until the test ends. When nothing is planned it answers 204.
pub struct Receiver {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

async fn take(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    let planned = {
        let mut kept = kept.lock().expect("unpoisoned");
        kept.got.push(Got { headers, body });
        kept.planned.pop_front()
    };
    let reply = planned.unwrap_or_else(|| Reply::status(204));
    tokio::time::sleep(reply.after).await;
    let status = StatusCode::from_u16(reply.status).expect("a status");
    let mut response = status.into_response();
    for (name, value) in reply.headers {
        let value = value.parse().expect("a header's value");
        response.headers_mut().insert(name, value);
    }
    response
}

impl Receiver {
    pub async fn start(planned: impl IntoIterator<Item = Reply>) -> Self {
        let kept = Kept {
            got: Vec::new(),
            planned: planned.into_iter().collect(),
        };
        let kept = Arc::new(Mutex::new(kept));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/iog", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(take).with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    pub fn got(&self) -> Vec<Got> {
        self.kept.lock().expect("unpoisoned").got.clone()
    }

    /// Waits for so many, and returns them.
    pub async fn until(&self, count: usize) -> Vec<Got> {
        wait_until("the receiver got it", SOON, || {
            let got = self.got();
            async move { (got.len() >= count).then_some(got) }
        })
        .await
    }
}
