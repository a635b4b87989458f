//! Wallets: signing in with one, those of an account, and where payouts go.

use app::session::SESSION_COOKIE;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use chain_aptos::Aptos;
use http::header::{ORIGIN, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use protocol::wallet::{
    PayoutAddressView, WalletAnswer, WalletQuestion, WalletSignInView, WalletView,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, DONE, Refusals};
use crate::auth::{Asker, Signed};
use crate::chain::Link;
use crate::http::extract;
use crate::http::problem::Refused;
use crate::state::AppState;

/// The chain that says which key signs for an address.
async fn chain(link: Option<&Link>) -> Result<&Aptos, exchange::Error> {
    match link {
        Some(link) => Ok(link.aptos().await?),
        None => Err(exchange::NO_CHAIN),
    }
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN)?.to_str().ok()
}

/// Asks a wallet to sign in: what it is to sign. The answer goes to `POST /api/v1/wallets/sign-in`, once.
#[utoipa::path(post, path = "/api/v1/wallets/sign-in/question", tag = "wallets",
    responses((status = 200, body = WalletQuestion), Refusals), security(()))]
pub async fn question(
    State(state): State<AppState>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
) -> Answer<WalletQuestion> {
    state.limits.sign_in(asker.address, None)?;
    let question = state.exchange.ask_wallet(None, origin(&headers));
    Ok(Json(question.await?))
}

/// Signs in whoever holds the wallet, and sets the session's cookie. A wallet that nobody linked gets an account of its own.
#[utoipa::path(post, path = "/api/v1/wallets/sign-in", tag = "wallets", request_body = WalletAnswer,
    responses((status = 200, body = WalletSignInView), Refusals), security(()))]
pub async fn sign_in(
    State(state): State<AppState>,
    Extension(asker): Extension<Asker>,
    extract::Json(answer): extract::Json<WalletAnswer>,
) -> Result<Response, Refused> {
    state.limits.sign_in(asker.address, None)?;
    let exchange = &state.exchange;
    let chain = chain(state.chain.as_ref()).await?;
    let (view, secret) = exchange.sign_in_by_wallet(chain, &answer).await?;
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Lax",
        secret.0,
        exchange.settings().session_ttl.get()
    );
    Ok(([(SET_COOKIE, cookie)], Json(view)).into_response())
}

/// The wallets that sign in to this account.
#[utoipa::path(get, path = "/api/v1/wallets", tag = "wallets",
    responses((status = 200, body = Vec<WalletView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(State(state): State<AppState>, Signed(actor): Signed) -> Answer<Vec<WalletView>> {
    Ok(Json(state.exchange.wallets(&actor).await?))
}

/// Asks a wallet to be linked: what it is to sign. The answer goes to `POST /api/v1/wallets`, once.
#[utoipa::path(post, path = "/api/v1/wallets/question", tag = "wallets",
    responses((status = 200, body = WalletQuestion), Refusals), security(("session" = [])))]
pub async fn link_question(
    State(state): State<AppState>,
    Signed(actor): Signed,
    headers: HeaderMap,
) -> Answer<WalletQuestion> {
    let exchange = &state.exchange;
    let question = exchange.ask_wallet(Some(&actor), origin(&headers));
    Ok(Json(question.await?))
}

/// Lets a wallet sign in to this account from now on.
#[utoipa::path(post, path = "/api/v1/wallets", tag = "wallets", request_body = WalletAnswer,
    responses((status = 200, body = WalletView), Refusals), security(("session" = [])))]
pub async fn link(
    State(state): State<AppState>,
    Signed(actor): Signed,
    extract::Json(answer): extract::Json<WalletAnswer>,
) -> Answer<WalletView> {
    actor.require_person()?;
    let chain = chain(state.chain.as_ref()).await?;
    Ok(Json(
        state.exchange.link_wallet(chain, &actor, &answer).await?,
    ))
}

/// The wallet signs in here no more. Not the last one of an account without an e-mail address.
#[utoipa::path(delete, path = "/api/v1/wallets/{address}", tag = "wallets", params(("address" = String, Path)),
    responses((status = 204), Refusals), security(("session" = [])))]
pub async fn unlink(
    State(state): State<AppState>,
    Signed(actor): Signed,
    Path(address): Path<String>,
) -> Result<StatusCode, Refused> {
    state.exchange.unlink_wallet(&actor, &address).await?;
    Ok(DONE)
}

/// Where payouts go, and a change that waits.
#[utoipa::path(get, path = "/api/v1/payout-address", tags = ["wallets", "money"],
    responses((status = 200, body = PayoutAddressView), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn payout_address(
    State(state): State<AppState>,
    Signed(actor): Signed,
) -> Answer<PayoutAddressView> {
    Ok(Json(state.exchange.payout_address(&actor).await?))
}

/// Where payouts are to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayoutAddress {
    /// `0x` and up to 64 digits.
    address: String,
}

/// Changes where payouts go. The first address counts at once, a change after the delay; the account is told at once.
#[utoipa::path(put, path = "/api/v1/payout-address", tags = ["wallets", "money"], request_body = NewPayoutAddress,
    responses((status = 200, body = PayoutAddressView), Refusals), security(("session" = [])))]
pub async fn set_payout_address(
    State(state): State<AppState>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewPayoutAddress>,
) -> Answer<PayoutAddressView> {
    let exchange = &state.exchange;
    Ok(Json(
        exchange.set_payout_address(&actor, &new.address).await?,
    ))
}

/// Takes back a change that waits.
#[utoipa::path(delete, path = "/api/v1/payout-address/change", tags = ["wallets", "money"],
    responses((status = 200, body = PayoutAddressView), Refusals), security(("session" = [])))]
pub async fn cancel_payout_address(
    State(state): State<AppState>,
    Signed(actor): Signed,
) -> Answer<PayoutAddressView> {
    Ok(Json(state.exchange.cancel_payout_address(&actor).await?))
}
