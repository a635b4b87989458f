//! What a development chain can do that no chain does: hand out money, move time, and fail on request.

use std::sync::PoisonError;

use axum::extract::{Query, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::view::{ViewRequest, json_call};
use super::{App, rest, show};
use crate::chain::{Fate, Refusal};
use crate::transaction::{EntryFunction, SignedTransaction};
use crate::types::Address;

/// Time can be moved by so much at once: ten years.
const FARTHEST_S: u64 = 315_360_000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Done, but the connection ends without an answer.
    DropReply,
    /// Too many requests, with Retry-After; nothing is done.
    #[serde(rename = "status_429")]
    Status429,
    /// Not available; nothing is done.
    #[serde(rename = "status_503")]
    Status503,
    /// Accepted, and kept in the mempool until it expires or is released.
    Stall,
    /// Accepted, and gone with the next block as if it had expired there.
    Expire,
    /// Done and in a block; the answer is that to a second submission.
    DuplicateReply,
}

/// Which requests are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Submissions of transactions.
    #[default]
    Submit,
    /// Every request under /v1 but submissions; for the two statuses and dropped replies.
    Read,
}

/// Faults that are still to come.
#[derive(Debug, Default)]
pub struct Faults {
    waiting: Vec<(Scope, Fault, u32)>,
}

impl Faults {
    fn next(&mut self, scope: Scope) -> Option<Fault> {
        let index = self.waiting.iter().position(|(of, _, _)| *of == scope)?;
        let (_, fault, left) = &mut self.waiting[index];
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            self.waiting.remove(index);
        }
        Some(fault)
    }
}

/// What is to be done with a submission.
pub enum Treatment {
    Refuse(Response),
    Accept(Fate),
    DropReply,
    Twice,
}

pub fn treatment(app: &App) -> Treatment {
    let fault = app
        .faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .next(Scope::Submit);
    match fault {
        None => Treatment::Accept(Fate::Ordinary),
        Some(Fault::Stall) => Treatment::Accept(Fate::Stall),
        Some(Fault::Expire) => Treatment::Accept(Fate::Expire),
        Some(Fault::DropReply) => Treatment::DropReply,
        Some(Fault::DuplicateReply) => Treatment::Twice,
        Some(fault @ (Fault::Status429 | Fault::Status503)) => Treatment::Refuse(refusal(fault)),
    }
}

fn refusal(fault: Fault) -> Response {
    if fault == Fault::Status429 {
        let words = Refusal::new(
            429,
            "rate_limited",
            "Too many requests (a fault on request)",
        );
        ([(header::RETRY_AFTER, "1")], words).into_response()
    } else {
        Refusal::new(
            503,
            "internal_error",
            "Service unavailable (a fault on request)",
        )
        .into_response()
    }
}

/// Ends the connection without an answer.
pub fn drop_connection() -> ! {
    // Unwinding is how a task of the server can be ended from within; unlike a panic it reports nothing.
    std::panic::resume_unwind(Box::new("the reply was dropped on request"))
}

/// Faults of requests that are no submissions.
pub async fn inject_everywhere(State(app): State<App>, request: Request, next: Next) -> Response {
    let submission = request.uri().path().ends_with("/transactions")
        && request.method() == axum::http::Method::POST;
    if submission {
        return next.run(request).await;
    }
    let fault = app
        .faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .next(Scope::Read);
    match fault {
        Some(fault @ (Fault::Status429 | Fault::Status503)) => refusal(fault),
        Some(_) => {
            next.run(request).await;
            drop_connection()
        }
        None => next.run(request).await,
    }
}

pub fn routes() -> Router<App> {
    Router::new()
        .route("/mint", post(mint))
        .route("/fund", post(fund))
        .route("/devchain/faults", get(list).post(order).delete(forget))
        .route("/devchain/advance", post(advance))
        .route("/devchain/block", post(block))
        .route("/devchain/release", post(release))
        .route("/devchain/call", post(call))
}

#[derive(Deserialize)]
struct Order {
    next: u32,
    fault: Fault,
    #[serde(default)]
    scope: Scope,
}

fn listed(app: &App) -> Value {
    let faults = app.faults.lock().unwrap_or_else(PoisonError::into_inner);
    faults
        .waiting
        .iter()
        .map(|(scope, fault, next)| json!({"scope": scope, "fault": fault, "next": next}))
        .collect()
}

async fn list(State(app): State<App>) -> Json<Value> {
    Json(listed(&app))
}

async fn order(State(app): State<App>, Json(order): Json<Order>) -> Result<Json<Value>, Refusal> {
    let only_submissions = matches!(
        order.fault,
        Fault::Stall | Fault::Expire | Fault::DuplicateReply
    );
    if order.scope == Scope::Read && only_submissions {
        return Err(Refusal::invalid("this fault is one of submissions"));
    }
    if order.next > 0 {
        tracing::info!(next = order.next, fault = ?order.fault, scope = ?order.scope, "faults ordered");
        app.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .push((order.scope, order.fault, order.next));
    }
    Ok(Json(listed(&app)))
}

async fn forget(State(app): State<App>) -> Json<Value> {
    app.faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .waiting
        .clear();
    Json(listed(&app))
}

#[derive(Deserialize)]
struct Advance {
    seconds: u64,
}

async fn advance(
    State(app): State<App>,
    Json(advance): Json<Advance>,
) -> Result<Json<Value>, Refusal> {
    if advance.seconds > FARTHEST_S {
        return Err(Refusal::invalid(format!(
            "at most {FARTHEST_S} seconds at once"
        )));
    }
    app.with(move |chain| chain.advance(advance.seconds)).await;
    block(State(app)).await
}

async fn block(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let head = app.produce().await?;
    Ok(Json(json!({
        "block_height": head.height.to_string(),
        "ledger_version": head.version.to_string(),
        "ledger_timestamp": head.micros.to_string(),
    })))
}

async fn release(State(app): State<App>) -> Json<Value> {
    let released = app.with(crate::chain::Chain::release).await;
    Json(json!({"released": released}))
}

/// The development account calls an entry function; a name without an address is one of the package. Answers with the
/// transaction when it is in a block, whether it succeeded or not.
async fn call(
    State(app): State<App>,
    Json(mut request): Json<ViewRequest>,
) -> Result<Json<Value>, Refusal> {
    if request.function.split("::").count() == 2 {
        request.function = format!("{}::{}", crate::DEVELOPMENT_ADDRESS, request.function);
    }
    let hash = send(&app, move |chain| {
        let call = json_call(chain, &request)?;
        Ok(chain.sign_as_development(EntryFunction {
            module: call.module,
            function: call.function,
            type_arguments: call.type_arguments,
            arguments: call.arguments,
        }))
    })
    .await?;
    app.produce().await?;
    Ok(Json(rest::find(&app, &show::hexadecimal(&hash)).await?.0))
}

/// Which of the two the faucet gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Asset {
    Apt,
    Io,
}

#[derive(Deserialize)]
struct Mint {
    address: String,
    amount: u64,
    /// Both, when it is not said.
    asset: Option<Asset>,
}

async fn mint(
    State(app): State<App>,
    Query(mint): Query<Mint>,
) -> Result<Json<Vec<String>>, Refusal> {
    Ok(Json(give(&app, &mint).await?))
}

/// The same as a newer faucet is asked.
async fn fund(State(app): State<App>, Json(mint): Json<Mint>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({"txn_hashes": give(&app, &mint).await?})))
}

async fn give(app: &App, mint: &Mint) -> Result<Vec<String>, Refusal> {
    let to: Address = mint
        .address
        .parse()
        .map_err(|error| Refusal::invalid(format!("address: {error}")))?;
    let (amount, asset) = (mint.amount, mint.asset);
    let mut hashes = Vec::new();
    if asset != Some(Asset::Io) {
        hashes.push(send(app, move |chain| Ok(chain.apt_mint(to, amount))).await?);
    }
    if asset != Some(Asset::Apt) {
        let sent = send(app, move |chain| {
            let io = chain.io_metadata().ok_or_else(|| {
                Refusal::new(
                    404,
                    "module_not_found",
                    "no package with IO is published here",
                )
            })?;
            Ok(chain.io_transfer(io, to, amount))
        })
        .await;
        match (sent, asset) {
            (Ok(hash), _) => hashes.push(hash),
            // Without a package there is only APT, and nobody asked for the other by name.
            (Err(refusal), None) if refusal.status == 404 => {}
            (Err(refusal), _) => return Err(refusal),
        }
    }
    // Who asks a faucet wants the money, not a promise.
    app.produce().await?;
    Ok(hashes.iter().map(|hash| show::hexadecimal(hash)).collect())
}

/// Signs and accepts in one go, so that two requests never take the same number.
async fn send(
    app: &App,
    make: impl FnOnce(&mut crate::chain::Chain) -> Result<SignedTransaction, Refusal> + Send + 'static,
) -> Result<crate::transaction::Hash, Refusal> {
    let mut accepted = app
        .with(move |chain| {
            let signed = make(chain)?;
            chain.accept(signed, Fate::Ordinary)
        })
        .await?;
    app.save(accepted.row.take()).await?;
    Ok(accepted.hash)
}
