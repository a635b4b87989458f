//! Aptos's REST, as far as clients use it.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, show, submit, view};
use crate::chain::{Chain, MIN_GAS_PRICE, Refusal, apt_metadata, development_address};
use crate::store::{Committed, StoreError};
use crate::types::{Address, ModuleId, StructTag};
use crate::vm::VmError;
use crate::{CHAIN_ID, NOT_APTOS};

/// Bodies are bounded: a transaction may have 64 KiB, and what is longer is told so by name.
const BODY_LIMIT: usize = 1024 * 1024;
const PAGE: usize = 25;
const PAGE_LIMIT: usize = 100;
/// How long `wait_by_hash` waits, as on Aptos.
const WAIT: Duration = Duration::from_secs(1);

pub type Answer<T = Json<Value>> = Result<T, Refusal>;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(ledger))
        .route(
            "/-/healthy",
            get(|| async { Json(json!({"message": "aptos-node:ok"})) }),
        )
        .route("/estimate_gas_price", get(estimate_gas_price))
        .route("/accounts/{address}", get(account))
        .route("/accounts/{address}/resources", get(resources))
        .route("/accounts/{address}/resource/{tag}", get(resource))
        .route("/accounts/{address}/modules", get(modules))
        .route("/accounts/{address}/module/{name}", get(module))
        .route("/accounts/{address}/balance/{asset}", get(balance))
        .route(
            "/accounts/{address}/transactions",
            get(account_transactions),
        )
        .route("/transactions", get(transactions).post(submit::submit))
        .route("/transactions/simulate", post(submit::simulate))
        .route("/transactions/by_hash/{hash}", get(by_hash))
        .route("/transactions/wait_by_hash/{hash}", get(wait_by_hash))
        .route("/transactions/by_version/{version}", get(by_version))
        .route("/blocks/by_height/{height}", get(block_by_height))
        .route("/blocks/by_version/{version}", get(block_by_version))
        .route("/view", post(view::view))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<VmError> for Refusal {
    fn from(error: VmError) -> Self {
        Self::internal(error.to_string())
    }
}

pub fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Answer<T>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| Refusal::invalid(format!("Invalid {what}: {error}")))
}

pub async fn ledger(State(app): State<App>) -> Json<Value> {
    let head = *app.head.borrow();
    let (io, waiting) = app
        .with(|chain| (chain.io_metadata(), chain.waiting()))
        .await;
    Json(json!({
        "chain_id": CHAIN_ID,
        "epoch": "1",
        "ledger_version": head.version.to_string(),
        "oldest_ledger_version": "0",
        "ledger_timestamp": head.micros.to_string(),
        "node_role": "full_node",
        "oldest_block_height": "0",
        "block_height": head.height.to_string(),
        "git_hash": null,
        "devchain": {
            "notice": NOT_APTOS,
            "version": env!("CARGO_PKG_VERSION"),
            "development_account": development_address().long(),
            "apt": apt_metadata().long(),
            "io": io.map(|io| io.long()),
            "waiting": waiting,
        },
    }))
}

async fn estimate_gas_price() -> Json<Value> {
    Json(json!({
        "deprioritized_gas_estimate": MIN_GAS_PRICE,
        "gas_estimate": MIN_GAS_PRICE,
        "prioritized_gas_estimate": MIN_GAS_PRICE * 3 / 2,
    }))
}

/// Every address has an account, with number 0 until it sends something, as on Aptos since accounts need not be created.
async fn account(State(app): State<App>, Path(address): Path<String>) -> Answer {
    let address: Address = parse(&address, "account address")?;
    let number = app.with(move |chain| chain.sequence_number(address)).await;
    Ok(Json(json!({
        "sequence_number": number.to_string(),
        "authentication_key": address.long(),
    })))
}

async fn resources(State(app): State<App>, Path(address): Path<String>) -> Answer {
    let address: Address = parse(&address, "account address")?;
    let shown = app
        .with(move |chain| -> Result<Vec<Value>, VmError> {
            let mut shown = Vec::new();
            for tag in chain.vm().state.resources(address) {
                if let Some(data) = chain.vm().resource(address, &tag)? {
                    shown.push(json!({"type": tag.to_string(), "data": data}));
                }
            }
            Ok(shown)
        })
        .await?;
    Ok(Json(shown.into()))
}

async fn resource(State(app): State<App>, Path((address, tag)): Path<(String, String)>) -> Answer {
    let address: Address = parse(&address, "account address")?;
    let tag: StructTag = parse(&tag, "resource type")?;
    let (name, version) = (tag.to_string(), app.head.borrow().version);
    let data = app
        .with(move |chain| chain.vm().resource(address, &tag))
        .await?;
    match data {
        Some(data) => Ok(Json(json!({"type": name, "data": data}))),
        None => Err(Refusal::new(
            404,
            "resource_not_found",
            format!(
                "Resource not found by Address({address}), Struct tag({name}) and Ledger version({version})"
            ),
        )),
    }
}

fn show_module(chain: &mut Chain, id: &ModuleId) -> Result<Option<Value>, VmError> {
    let Some(bytes) = chain.vm().state.module(id) else {
        return Ok(None);
    };
    let abi = chain.vm().abi(id)?;
    Ok(Some(
        json!({"bytecode": show::hexadecimal(&bytes), "abi": abi}),
    ))
}

async fn modules(State(app): State<App>, Path(address): Path<String>) -> Answer {
    let address: Address = parse(&address, "account address")?;
    let shown = app
        .with(move |chain| -> Result<Vec<Value>, VmError> {
            let mut shown = Vec::new();
            for name in chain.vm().state.modules(address) {
                shown.extend(show_module(chain, &ModuleId::new(address, &name))?);
            }
            Ok(shown)
        })
        .await?;
    Ok(Json(shown.into()))
}

async fn module(State(app): State<App>, Path((address, name)): Path<(String, String)>) -> Answer {
    let address: Address = parse(&address, "account address")?;
    let id = ModuleId::new(address, &name);
    let version = app.head.borrow().version;
    match app.with(move |chain| show_module(chain, &id)).await? {
        Some(shown) => Ok(Json(shown)),
        None => Err(Refusal::new(
            404,
            "module_not_found",
            format!(
                "Module not found by Address({address}), Module name({name}) and Ledger version({version})"
            ),
        )),
    }
}

/// The balance as a bare number. The asset is an address, or APT by its old name.
async fn balance(
    State(app): State<App>,
    Path((address, asset)): Path<(String, String)>,
) -> Answer<Json<u64>> {
    let owner: Address = parse(&address, "account address")?;
    let apt = asset == "0x1::aptos_coin::AptosCoin";
    let asset = if apt || asset.parse() == Ok(Address::small(0xa)) {
        apt_metadata()
    } else {
        parse(&asset, "asset")?
    };
    Ok(Json(
        app.with(move |chain| chain.balance(owner, asset)).await,
    ))
}

#[derive(Deserialize)]
struct Page {
    start: Option<u64>,
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> Answer<usize> {
        match self.limit {
            None => Ok(PAGE),
            Some(0) => Err(Refusal::invalid("Given limit value (0) must not be zero")),
            Some(limit) => Ok(limit.min(PAGE_LIMIT)),
        }
    }
}

async fn show_all(app: &App, found: Vec<Committed>) -> Answer {
    let shown: Vec<Value> = app
        .with(move |chain| {
            found
                .iter()
                .map(|one| show::transaction(chain, one))
                .collect()
        })
        .await;
    Ok(Json(shown.into()))
}

async fn transactions(State(app): State<App>, Query(page): Query<Page>) -> Answer {
    let limit = page.limit()?;
    let newest = app.head.borrow().version;
    let start = page
        .start
        .unwrap_or((newest + 1).saturating_sub(limit as u64));
    if start > newest {
        return Err(version_not_found(start, newest));
    }
    let store = app.store.clone();
    let found = blocking(move || store.range(start, limit)).await?;
    show_all(&app, found).await
}

async fn account_transactions(
    State(app): State<App>,
    Path(address): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let address: Address = parse(&address, "account address")?;
    let (start, limit) = (page.start, page.limit()?);
    let store = app.store.clone();
    let found = blocking(move || store.by_sender(address, start, limit)).await?;
    show_all(&app, found).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}

fn version_not_found(version: u64, newest: u64) -> Refusal {
    Refusal::new(
        404,
        "version_not_found",
        format!("Transaction not found by Ledger version({version}): the newest is {newest}"),
    )
}

/// The transaction as committed or waiting.
pub async fn find(app: &App, text: &str) -> Answer<(Value, bool)> {
    let hash =
        show::read_hash(text).ok_or_else(|| Refusal::invalid(format!("Invalid hash: {text:?}")))?;
    let store = app.store.clone();
    app.with(move |chain| -> Answer<(Value, bool)> {
        // Under the lock: between mempool and block it is never nowhere.
        if let Some(committed) = store.by_hash(&hash)? {
            return Ok((show::transaction(chain, &committed), true));
        }
        match chain.pending(&hash).cloned() {
            Some(signed) => Ok((show::pending(chain, &signed), false)),
            None => Err(Refusal::new(
                404,
                "transaction_not_found",
                format!(
                    "Transaction not found by Transaction hash({})",
                    show::hexadecimal(&hash)
                ),
            )),
        }
    })
    .await
}

async fn by_hash(State(app): State<App>, Path(hash): Path<String>) -> Answer {
    Ok(Json(find(&app, &hash).await?.0))
}

/// As by hash, but of one that waits the answer comes when it is committed, or after a second.
async fn wait_by_hash(State(app): State<App>, Path(hash): Path<String>) -> Answer {
    let mut heads = app.head.subscribe();
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let found = find(&app, &hash).await;
        if !matches!(found, Ok((_, false))) {
            return Ok(Json(found?.0));
        }
        if tokio::time::timeout_at(deadline, heads.changed())
            .await
            .is_err()
        {
            return Ok(Json(found?.0));
        }
    }
}

async fn by_version(State(app): State<App>, Path(version): Path<String>) -> Answer {
    let version: u64 = parse(&version, "version")?;
    let newest = app.head.borrow().version;
    let store = app.store.clone();
    let found = blocking(move || store.by_version(version)).await?;
    let found = found.ok_or_else(|| version_not_found(version, newest))?;
    Ok(Json(
        app.with(move |chain| show::transaction(chain, &found))
            .await,
    ))
}

#[derive(Deserialize)]
struct WithTransactions {
    #[serde(default)]
    with_transactions: bool,
}

async fn block(app: &App, height: u64, with: bool) -> Answer {
    let store = app.store.clone();
    let found = blocking(move || {
        let block = store.block(height)?;
        let inside = match &block {
            Some(block) if with => {
                let count = usize::try_from(block.last - block.first + 1).unwrap_or(usize::MAX);
                store.range(block.first, count)?
            }
            _ => Vec::new(),
        };
        Ok(block.map(|block| (block, inside)))
    })
    .await?;
    let Some((block, inside)) = found else {
        return Err(Refusal::new(
            404,
            "block_not_found",
            format!("Block not found by Block height({height})"),
        ));
    };
    let shown: Vec<Value> = app
        .with(move |chain| {
            inside
                .iter()
                .map(|one| show::transaction(chain, one))
                .collect()
        })
        .await;
    Ok(Json(show::block(&block, with.then_some(shown.as_slice()))))
}

async fn block_by_height(
    State(app): State<App>,
    Path(height): Path<String>,
    Query(query): Query<WithTransactions>,
) -> Answer {
    block(
        &app,
        parse(&height, "block height")?,
        query.with_transactions,
    )
    .await
}

async fn block_by_version(
    State(app): State<App>,
    Path(version): Path<String>,
    Query(query): Query<WithTransactions>,
) -> Answer {
    let version: u64 = parse(&version, "version")?;
    let newest = app.head.borrow().version;
    let store = app.store.clone();
    let found = blocking(move || store.by_version(version)).await?;
    let found = found.ok_or_else(|| version_not_found(version, newest))?;
    block(&app, found.height, query.with_transactions).await
}
