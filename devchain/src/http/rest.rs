//! Aptos's REST, as far as clients use it.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{self, Treatment};
use super::{App, show};
use crate::chain::{Chain, Fate, MIN_GAS_PRICE, Refusal, apt_metadata, development_address};
use crate::store::{Committed, StoreError};
use crate::transaction::{AccountAuthenticator, Authenticator, EntryFunction, SignedTransaction};
use crate::types::{Address, ModuleId, StructTag, TypeTag};
use crate::vm::{Call, VmError, resolve};
use crate::{CHAIN_ID, NOT_APTOS, value};

/// Bodies are bounded; publishing a package is the largest thing anybody sends.
const BODY_LIMIT: usize = 2 * 1024 * 1024;
const PAGE: usize = 25;
const PAGE_LIMIT: usize = 100;
/// How long `wait_by_hash` waits, as on Aptos.
const WAIT: Duration = Duration::from_secs(1);

const SIGNED_BCS: &str = "application/x.aptos.signed_transaction+bcs";
const VIEW_BCS: &str = "application/x.aptos.view_function+bcs";
const ANSWER_BCS: &str = "application/x-bcs";

type Answer<T = Json<Value>> = Result<T, Refusal>;

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
        .route("/transactions", get(transactions).post(submit))
        .route("/transactions/simulate", post(simulate))
        .route("/transactions/by_hash/{hash}", get(by_hash))
        .route("/transactions/wait_by_hash/{hash}", get(wait_by_hash))
        .route("/transactions/by_version/{version}", get(by_version))
        .route("/blocks/by_height/{height}", get(block_by_height))
        .route("/blocks/by_version/{version}", get(block_by_version))
        .route("/view", post(view))
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

fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Answer<T>
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
async fn find(app: &App, text: &str) -> Answer<(Value, bool)> {
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

fn read_signed(headers: &HeaderMap, body: &[u8]) -> Answer<SignedTransaction> {
    if !is(headers, header::CONTENT_TYPE, SIGNED_BCS) {
        return Err(Refusal::invalid(format!(
            "the development chain takes transactions in BCS only: content type {SIGNED_BCS}"
        )));
    }
    SignedTransaction::read(body).map_err(|error| {
        Refusal::invalid(format!(
            "Failed to deserialize input into SignedTransaction: {error}"
        ))
    })
}

async fn submit(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer<Response> {
    match control::treatment(&app) {
        Treatment::Refuse(response) => Ok(response),
        Treatment::Accept(fate) => accept(&app, &headers, &body, fate).await,
        Treatment::DropReply => {
            accept(&app, &headers, &body, Fate::Ordinary).await?;
            control::drop_connection()
        }
        Treatment::Twice => {
            // As if something between had sent it again: the answer is that to the second time.
            accept(&app, &headers, &body, Fate::Ordinary).await?;
            app.produce().await?;
            accept(&app, &headers, &body, Fate::Ordinary).await
        }
    }
}

async fn accept(app: &App, headers: &HeaderMap, body: &[u8], fate: Fate) -> Answer<Response> {
    let signed = read_signed(headers, body)?;
    signed.verify()?;
    let answer = signed.clone();
    app.accept(signed, fate).await?;
    let shown = app.with(move |chain| show::pending(chain, &answer)).await;
    Ok((StatusCode::ACCEPTED, Json(shown)).into_response())
}

/// Who simulates shows no valid signature: otherwise somebody in between could send what was only to be tried.
fn refuse_valid(signed: &SignedTransaction) -> Answer<()> {
    let unsigned = |authenticator: &AccountAuthenticator| match authenticator {
        AccountAuthenticator::Ed25519 { signature, .. } => signature.iter().all(|byte| *byte == 0),
        AccountAuthenticator::None => true,
        _ => false,
    };
    let simulated = match &signed.authenticator {
        Authenticator::Ed25519 { signature, .. } => signature.iter().all(|byte| *byte == 0),
        Authenticator::SingleSender(sender) => unsigned(sender),
        _ => false,
    };
    if !simulated && signed.verify().is_ok() {
        return Err(Refusal::invalid(
            "Simulated transactions must not have a valid signature",
        ));
    }
    Ok(())
}

async fn simulate(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let signed = read_signed(&headers, &body)?;
    refuse_valid(&signed)?;
    let head = *app.head.borrow();
    let shown = app
        .with(move |chain| -> Answer<Value> {
            let outcome = chain.simulate(&signed)?;
            let committed = Committed {
                version: head.version,
                height: head.height,
                micros: head.micros,
                hash: signed.hash(),
                kind: crate::store::Kind::User {
                    signed: signed.bytes(),
                },
                success: outcome.success,
                vm_status: outcome.vm_status,
                gas_used: outcome.gas_used,
                events: outcome
                    .events
                    .into_iter()
                    .map(|event| (event.tag, event.data.to_string()))
                    .collect(),
                state_change_hash: [0; 32],
                event_root_hash: [0; 32],
                accumulator: head.accumulator,
            };
            Ok(show::transaction(chain, &committed))
        })
        .await?;
    Ok(Json(json!([shown])))
}

#[derive(Deserialize)]
struct ViewRequest {
    function: String,
    #[serde(default)]
    type_arguments: Vec<String>,
    #[serde(default)]
    arguments: Vec<Value>,
}

/// Calls a view with arguments in JSON or BCS; the answer is JSON, or BCS if that is asked for.
async fn view(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer<Response> {
    let in_bcs = is(&headers, header::CONTENT_TYPE, VIEW_BCS);
    let out_bcs = is(&headers, header::ACCEPT, ANSWER_BCS);
    app.with(move |chain| -> Answer<Response> {
        let call = if in_bcs {
            let function: EntryFunction = bcs::from_bytes(&body).map_err(|error| {
                Refusal::invalid(format!(
                    "Failed to deserialize input into ViewRequest: {error}"
                ))
            })?;
            Call {
                module: function.module,
                function: function.function,
                type_arguments: function.type_arguments,
                arguments: function.arguments,
            }
        } else {
            let request: ViewRequest = serde_json::from_slice(&body).map_err(|error| {
                Refusal::invalid(format!(
                    "Failed to deserialize input into ViewRequest: {error}"
                ))
            })?;
            json_call(chain, &request)?
        };
        let values = chain.view(&call).map_err(Refusal::invalid)?;
        if !out_bcs {
            return Ok(Json(Value::from(values)).into_response());
        }
        let types = chain.vm().signature(&call, "return").unwrap_or_default();
        let mut encoded = Vec::new();
        for (text, shown) in types.iter().zip(&values) {
            let tag = resolve(text, &call.type_arguments)
                .ok_or_else(|| Refusal::internal(format!("the type {text} cannot be read")))?;
            encoded.push(value::encode(chain.vm(), &tag, shown).map_err(Refusal::internal)?);
        }
        let bytes =
            bcs::to_bytes(&encoded).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(([(header::CONTENT_TYPE, ANSWER_BCS)], bytes).into_response())
    })
    .await
}

fn json_call(chain: &mut Chain, request: &ViewRequest) -> Answer<Call> {
    let mut call: Call = Call::parse(&request.function)
        .map_err(|error| Refusal::invalid(format!("Invalid function: {error}")))?;
    for text in &request.type_arguments {
        call.type_arguments
            .push(parse::<TypeTag>(text, "type argument")?);
    }
    if chain.vm().state.module(&call.module).is_none() {
        return Err(Refusal::new(
            404,
            "module_not_found",
            format!("Module not found: {}", call.module),
        ));
    }
    let Some(parameters) = chain.vm().signature(&call, "params") else {
        return Err(Refusal::invalid(format!(
            "could not find function {}",
            request.function
        )));
    };
    if parameters.len() != request.arguments.len() {
        return Err(Refusal::invalid(format!(
            "expected {} arguments, got {}",
            parameters.len(),
            request.arguments.len()
        )));
    }
    for (index, (text, argument)) in parameters.iter().zip(&request.arguments).enumerate() {
        let tag = resolve(text, &call.type_arguments)
            .ok_or_else(|| Refusal::invalid(format!("the type {text} cannot be given")))?;
        let bytes = value::encode(chain.vm(), &tag, argument)
            .map_err(|words| Refusal::invalid(format!("argument {index}: {words}")))?;
        call.arguments.push(bytes);
    }
    Ok(call)
}
