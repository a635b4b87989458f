//! Escrow channels of requesters, and the vouchers with which owners take their earnings on the chain.

use axum::Json;
use axum::extract::{Path, State};
use exchange::{ChannelDeed, Exchange};
use http::StatusCode;
use kernel::Amount;
use protocol::money::{ChannelView, DeedProposal, VoucherDocument, VoucherView};
use serde::Deserialize;
use settlement::Address;
use utoipa::ToSchema;

use super::wallets::{chain, reach, wallet_address};
use super::{Answer, Refusals};
use crate::auth::Signed;
use crate::http::extract;
use crate::http::problem::Refused;
use crate::state::AppState;

fn address(text: &str, what: &'static str) -> Result<Address, Refused> {
    let read = text.parse();
    read.map_err(|_| exchange::Error::NotFound(what).into())
}

fn amount(text: &str) -> Result<Amount, Refused> {
    Amount::parse_io(text).map_err(|error| Refused::field("amount_io", error.to_string()))
}

/// The account's escrow channels, newest first: money on the chain that its jobs are paid from.
#[utoipa::path(get, path = "/api/v1/channels", tag = "wallets",
    responses((status = 200, body = Vec<ChannelView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<ChannelView>> {
    Ok(Json(exchange.channels(&actor).await?))
}

/// A channel to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// Of the wallet, `0x` and up to 64 digits.
    address: String,
    /// IO, with a point and at most 8 decimals.
    amount_io: String,
}

/// Makes the transaction that opens an escrow channel, for the wallet to sign; the platform pays its fee. The wallet's signature
/// goes to `POST /api/v1/wallets/transactions/{id}`; the money is there to spend when the chain has it.
#[utoipa::path(post, path = "/api/v1/channels", tag = "wallets", request_body = NewChannel,
    responses((status = 201, body = DeedProposal), Refusals), security(("session" = [])))]
pub async fn open(
    State(state): State<AppState>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewChannel>,
) -> Result<(StatusCode, Json<DeedProposal>), Refused> {
    actor.require_person()?;
    let deposit = amount(&new.amount_io)?;
    let wallet = wallet_address(&new.address)?;
    let chain = chain(state.chain.as_ref()).await?;
    let made = state.exchange.open_channel(&actor, chain, wallet, deposit);
    Ok((StatusCode::CREATED, Json(made.await?)))
}

/// What is to be done with a channel.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelChange {
    /// Adds to it.
    TopUp {
        /// IO, with a point and at most 8 decimals.
        amount_io: String,
    },
    /// Asks for its close: no job is paid from it any more, and owners have a day to redeem.
    StartClose,
    /// After that day: the rest goes back to the wallet.
    FinishClose,
}

/// Makes the transaction that adds to a channel or closes it, for the wallet that opened it to sign; the platform pays its fee.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/transactions", tag = "wallets",
    params(("channel" = String, Path)), request_body = ChannelChange,
    responses((status = 201, body = DeedProposal), Refusals), security(("session" = [])))]
pub async fn change(
    State(state): State<AppState>,
    Signed(actor): Signed,
    Path(channel): Path<String>,
    extract::Json(change): extract::Json<ChannelChange>,
) -> Result<(StatusCode, Json<DeedProposal>), Refused> {
    actor.require_person()?;
    let channel = address(&channel, "the channel")?;
    let change = match change {
        ChannelChange::TopUp { amount_io } => ChannelDeed::TopUp(amount(&amount_io)?),
        ChannelChange::StartClose => ChannelDeed::StartClose,
        ChannelChange::FinishClose => ChannelDeed::FinishClose,
    };
    let chain = reach(state.chain.as_ref()).await?;
    let made = state
        .exchange
        .change_channel(&actor, chain, channel, change);
    Ok((StatusCode::CREATED, Json(made.await?)))
}

/// The newest voucher of each channel that owes the account, the latest first.
#[utoipa::path(get, path = "/api/v1/vouchers", tag = "wallets",
    responses((status = 200, body = Vec<VoucherView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn vouchers(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<VoucherView>> {
    Ok(Json(exchange.vouchers(&actor).await?))
}

/// One of them, to be kept: `iog voucher redeem` redeems it without this server.
#[utoipa::path(get, path = "/api/v1/vouchers/{channel}/{payee}", tag = "wallets",
    params(("channel" = String, Path), ("payee" = String, Path)),
    responses((status = 200, body = VoucherDocument), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn voucher(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Path((channel, payee)): Path<(String, String)>,
) -> Answer<VoucherDocument> {
    let channel = address(&channel, "the voucher")?;
    let payee = address(&payee, "the voucher")?;
    Ok(Json(exchange.voucher(&actor, channel, payee).await?))
}

/// Has a voucher handed in from here, at the platform's expense. What it brings goes to its address. Asking again changes nothing.
#[utoipa::path(post, path = "/api/v1/vouchers/{channel}/{payee}/redeem", tag = "wallets",
    params(("channel" = String, Path), ("payee" = String, Path)),
    responses((status = 200, body = VoucherView), Refusals), security(("session" = [])))]
pub async fn redeem(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Path((channel, payee)): Path<(String, String)>,
) -> Answer<VoucherView> {
    actor.require_person()?;
    let channel = address(&channel, "the voucher")?;
    let payee = address(&payee, "the voucher")?;
    let asked = exchange.redeem_voucher(&actor, channel, payee);
    Ok(Json(asked.await?))
}
