//! Wallets: signing in with one, those of an account, and where payouts go.

use app::session::session_cookie;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ORIGIN, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use kernel::{Amount, DeedId};
use protocol::money::{DeedProposal, DeedView};
use protocol::wallet::{
    PayoutAddressView, WalletAnswer, WalletQuestion, WalletSignInView, WalletView,
};
use serde::Deserialize;
use settlement::chain::Deed;
use settlement::{Address, Chain, Tag};
use utoipa::ToSchema;

use super::{Answer, DONE, Refusals};
use crate::auth::{Asker, Signed};
use crate::chain::Link;
use crate::http::extract::{self, Id};
use crate::http::problem::Refused;
use crate::state::AppState;

/// The chain, if this site has one.
pub(super) async fn reach(link: Option<&Link>) -> Result<Option<&dyn Chain>, exchange::Error> {
    match link {
        Some(link) => Ok(Some(link.aptos().await?)),
        None => Ok(None),
    }
}

pub(super) async fn chain(link: Option<&Link>) -> Result<&dyn Chain, exchange::Error> {
    reach(link).await?.ok_or(exchange::NO_CHAIN)
}

/// Not one of the chain's own, which nobody signs for.
pub(super) fn wallet_address(text: &str) -> Result<Address, Refused> {
    let read = settlement::sign_in::account_address(text);
    read.map_err(|_| Refused::field("address", "a wallet's address: 0x and up to 64 digits"))
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN)?.to_str().ok()
}

/// Asks a wallet to sign in: what it is to sign. The answer goes to `POST /api/v1/wallets/sign-in`, once.
#[utoipa::path(post, path = "/api/v1/wallets/sign-in/question", tag = "wallets",
    responses((status = 200, body = WalletQuestion), Refusals), security(()))]
pub async fn question(State(state): State<AppState>, headers: HeaderMap) -> Answer<WalletQuestion> {
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
    let cookie = session_cookie(&secret.0, exchange.settings().session_ttl.get());
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

/// Money to bring in from a wallet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWalletDeposit {
    /// Of the wallet, `0x` and up to 64 digits.
    address: String,
    /// IO, with a point and at most 8 decimals.
    amount_io: String,
}

/// Makes the transaction of a deposit, for the wallet to sign; the platform pays its fee. It is tried on the chain first. The
/// wallet's signature goes to `POST /api/v1/wallets/transactions/{id}`; the money is credited when the chain has it.
#[utoipa::path(post, path = "/api/v1/deposits/transaction", tag = "wallets", request_body = NewWalletDeposit,
    responses((status = 201, body = DeedProposal), Refusals), security(("session" = [])))]
pub async fn deposit(
    State(state): State<AppState>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewWalletDeposit>,
) -> Result<(StatusCode, Json<DeedProposal>), Refused> {
    actor.require_person()?;
    let amount = Amount::parse_io(&new.amount_io)
        .map_err(|error| Refused::field("amount_io", error.to_string()))?;
    if amount.is_zero() {
        return Err(Refused::field("amount_io", "more than nothing"));
    }
    let wallet = wallet_address(&new.address)?;
    let chain = chain(state.chain.as_ref()).await?;
    let tag = Tag::of(actor.account);
    let deed = Deed::Deposit { tag, amount };
    let made = state.exchange.propose_deed(&actor, chain, wallet, &deed);
    Ok((StatusCode::CREATED, Json(made.await?)))
}

/// The transactions that were made for the account's wallets lately, newest first.
#[utoipa::path(get, path = "/api/v1/wallets/transactions", tag = "wallets",
    responses((status = 200, body = Vec<DeedView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn deeds(State(state): State<AppState>, Signed(actor): Signed) -> Answer<Vec<DeedView>> {
    Ok(Json(state.exchange.wallet_deeds(&actor).await?))
}

/// A wallet's signature.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WalletSignature {
    /// The wallet's authenticator in BCS, hexadecimal.
    authenticator: String,
}

/// Adds the platform's signature to the wallet's, and sends the transaction. The same again answers the same.
#[utoipa::path(post, path = "/api/v1/wallets/transactions/{id}", tag = "wallets", params(("id" = DeedId, Path)),
    request_body = WalletSignature, responses((status = 200, body = DeedView), Refusals), security(("session" = [])))]
pub async fn send_deed(
    State(state): State<AppState>,
    Signed(actor): Signed,
    Id(id): Id<DeedId>,
    extract::Json(signed): extract::Json<WalletSignature>,
) -> Answer<DeedView> {
    actor.require_person()?;
    let digits = signed
        .authenticator
        .strip_prefix("0x")
        .unwrap_or(&signed.authenticator);
    let authenticator =
        hex::decode(digits).map_err(|_| Refused::field("authenticator", "hexadecimal digits"))?;
    let chain = reach(state.chain.as_ref()).await?;
    let sent = state
        .exchange
        .submit_deed(&actor, chain, id, &authenticator);
    Ok(Json(sent.await?))
}

/// Where payouts go, and a change that waits.
#[utoipa::path(get, path = "/api/v1/payout-address", tag = "wallets",
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
#[utoipa::path(put, path = "/api/v1/payout-address", tag = "wallets", request_body = NewPayoutAddress,
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
#[utoipa::path(delete, path = "/api/v1/payout-address/change", tag = "wallets",
    responses((status = 200, body = PayoutAddressView), Refusals), security(("session" = [])))]
pub async fn cancel_payout_address(
    State(state): State<AppState>,
    Signed(actor): Signed,
) -> Answer<PayoutAddressView> {
    Ok(Json(state.exchange.cancel_payout_address(&actor).await?))
}
