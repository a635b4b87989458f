//! What the chain answers over HTTP: Aptos's REST under `/v1`, the faucet, faults on request, and a page to look at.

mod control;
mod page;
mod rest;
mod show;
mod submit;
mod view;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub use control::{Fault, Faults};

use crate::CHAIN_ID;
use crate::chain::{Accepted, Chain, ChainError, Fate, Refusal};
use crate::store::{Batch, Head, Store, Waiting};
use crate::transaction::SignedTransaction;

/// Rows that wait for the next flush, each with whom to tell.
type Saves = mpsc::UnboundedSender<((u64, Waiting), oneshot::Sender<()>)>;

/// Everything a request needs. Cheap to clone.
#[derive(Clone)]
pub struct App {
    chain: Arc<Mutex<Chain>>,
    store: Arc<Store>,
    head: watch::Sender<Head>,
    faults: Arc<Mutex<Faults>>,
    saves: Saves,
    /// Rung when a block should be made at once; none when blocks come by the clock.
    bell: Option<Arc<Notify>>,
    /// Rung when the chain can no longer write.
    broken: Arc<Notify>,
}

impl App {
    /// Starts what writes accepted transactions to the disk. Blocks are up to [`App::blocks`].
    pub fn new(chain: Chain, on_demand: bool) -> Self {
        let store = chain.store();
        let (head, _) = watch::channel(chain.head());
        let (saves, rows) = mpsc::unbounded_channel();
        let broken = Arc::new(Notify::new());
        tokio::spawn(save(Arc::clone(&store), rows, Arc::clone(&broken)));
        Self {
            chain: Arc::new(Mutex::new(chain)),
            store,
            head,
            faults: Arc::default(),
            saves,
            bell: on_demand.then(|| Arc::new(Notify::new())),
            broken,
        }
    }

    /// Makes blocks: each `pace`, or whenever something was accepted. Ends when the chain cannot write.
    pub async fn blocks(self, pace: std::time::Duration) {
        let mut interval = tokio::time::interval(pace.max(std::time::Duration::from_millis(1)));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            match &self.bell {
                Some(bell) => {
                    bell.notified().await;
                    if self.with(|chain| chain.waiting()).await == 0 {
                        continue;
                    }
                }
                None => {
                    interval.tick().await;
                }
            }
            if self.produce().await.is_err() {
                return;
            }
        }
    }

    /// Resolves when the chain can no longer write and the process should end.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    async fn produce(&self) -> Result<Head, Refusal> {
        let app = self.clone();
        let made = self
            .with(move |chain| {
                let made = chain.produce();
                if let Ok(head) = &made {
                    // Under the lock, so that heads are told in their order.
                    app.head.send_replace(*head);
                }
                made
            })
            .await;
        made.map_err(|error: ChainError| {
            tracing::error!(%error, "the chain cannot write a block and ends");
            self.broken.notify_one();
            Refusal::internal(error.to_string())
        })
    }

    /// Works on the chain off the threads that serve.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Chain) -> T + Send + 'static,
    ) -> T {
        let chain = Arc::clone(&self.chain);
        let task = tokio::task::spawn_blocking(move || {
            work(&mut chain.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match task.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                // The work itself panicked: let it be seen as such where it was asked for.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process is ending, and nobody will hear an answer.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Accepts a verified transaction and returns when it is on the disk.
    async fn accept(
        &self,
        transaction: SignedTransaction,
        fate: Fate,
    ) -> Result<Accepted, Refusal> {
        let mut accepted = self
            .with(move |chain| chain.accept(transaction, fate))
            .await?;
        self.save(accepted.row.take()).await?;
        Ok(accepted)
    }

    /// Returns when the row of an accepted transaction is on the disk.
    async fn save(&self, row: Option<(u64, Waiting)>) -> Result<(), Refusal> {
        if let Some(row) = row {
            let (done, saved) = oneshot::channel();
            let lost = || Refusal::internal("the chain cannot write and is ending");
            self.saves.send((row, done)).map_err(|_| lost())?;
            saved.await.map_err(|_| lost())?;
        }
        if let Some(bell) = &self.bell {
            bell.notify_one();
        }
        Ok(())
    }
}

/// Writes accepted transactions, all that have come meanwhile with one flush.
async fn save(
    store: Arc<Store>,
    mut rows: mpsc::UnboundedReceiver<((u64, Waiting), oneshot::Sender<()>)>,
    broken: Arc<Notify>,
) {
    let mut arrived = Vec::new();
    while rows.recv_many(&mut arrived, 1_000).await > 0 {
        let (waiting, tell): (Vec<_>, Vec<_>) = arrived.drain(..).unzip();
        let store = Arc::clone(&store);
        let batch = Batch {
            waiting,
            ..Batch::default()
        };
        match tokio::task::spawn_blocking(move || store.commit(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the chain cannot write an accepted transaction and ends");
                broken.notify_one();
                return;
            }
            Err(_) => return,
        }
        for done in tell {
            // Whoever asked may have gone; the transaction is accepted all the same.
            let _ = done.send(());
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "message": self.message,
            "error_code": self.code,
            "vm_error_code": self.vm_code,
        });
        (status, axum::Json(body)).into_response()
    }
}

fn is(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .split(';')
                .next()
                .is_some_and(|value| value.trim() == wanted)
        })
}

/// All routes.
pub fn router(app: App) -> Router {
    let v1 =
        rest::routes().fallback(|| async { Refusal::new(404, "web_framework_error", "not found") });
    Router::new()
        .nest("/v1", v1)
        // `nest` does not match the prefix with a slash alone.
        .route("/v1/", get(rest::ledger))
        .layer(middleware::from_fn_with_state(app.clone(), newest_only))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            control::inject_everywhere,
        ))
        .layer(middleware::from_fn_with_state(app.clone(), ledger_headers))
        .merge(control::routes())
        .merge(page::routes())
        .route("/healthz", get(|| async { "ok" }))
        .layer(middleware::from_fn(any_origin))
        .with_state(app)
}

/// Only the newest state is kept: a question about an older one is refused, as on a node that pruned it.
async fn newest_only(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("ledger_version="));
    if let Some(asked) = asked {
        let newest = app.head.borrow().version;
        match asked.parse::<u64>() {
            Ok(version) if version < newest => {
                let words = format!(
                    "Ledger version({version}) has been pruned: the development chain keeps only the newest state"
                );
                return Refusal::new(410, "version_pruned", words).into_response();
            }
            Ok(version) if version > newest => {
                let words = format!("Ledger version({version}) not found: the newest is {newest}");
                return Refusal::new(404, "version_not_found", words).into_response();
            }
            Ok(_) => {}
            Err(_) => return Refusal::invalid("ledger_version is a number").into_response(),
        }
    }
    next.run(request).await
}

/// Where the ledger stands, on every answer of the REST.
async fn ledger_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let head = *app.head.borrow();
    let headers = response.headers_mut();
    put(headers, "x-aptos-chain-id", u64::from(CHAIN_ID));
    put(headers, "x-aptos-ledger-version", head.version);
    put(headers, "x-aptos-ledger-oldest-version", 0);
    put(headers, "x-aptos-ledger-timestampusec", head.micros);
    put(headers, "x-aptos-epoch", 1);
    put(headers, "x-aptos-block-height", head.height);
    put(headers, "x-aptos-oldest-block-height", 0);
    response
}

fn put(headers: &mut HeaderMap, name: &'static str, value: u64) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

/// Browsers may ask from any page, as on Aptos: nothing here belongs to anybody's session.
async fn any_origin(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any.clone());
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, any);
    response
}
