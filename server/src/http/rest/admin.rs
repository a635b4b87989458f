//! What admins do, signed in and never with a key: decide payouts, deposits and disputes, close incidents, read the ledger.

use axum::Json;
use axum::extract::State;
use exchange::Exchange;
use http::StatusCode;
use kernel::{Amount, ApprovalId, DepositId, DisputeId, IncidentId, JobId, PayoutId, TransferId};
use protocol::money::{
    ApprovalAction, ApprovalView, BookView, ChainView, DepositView, DisputeView, IncidentView,
    PayoutMove, PayoutView, TransferView,
};
use protocol::view::Page;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, DONE, Once, PAGE_DEFAULT, PAGE_MAX, Refusals, bounded};
use crate::auth::Signed;
use crate::http::extract::{self, Id, Query};
use crate::http::problem::Refused;

/// Which of a list, how many, and from where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OpenQuery {
    /// `true`: those that are not over; `false`: those that are; both without.
    open: Option<bool>,
    /// The `next` of the page before.
    before: Option<String>,
    /// 1 to 100; 50 without.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl OpenQuery {
    fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
    ) -> Result<(Option<bool>, Option<T>, u32), Refused> {
        let before = read("before", self.before.as_ref())?;
        Ok((
            self.open,
            before,
            bounded(self.limit, PAGE_MAX, PAGE_DEFAULT)?,
        ))
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: Option<&String>,
) -> Result<Option<T>, Refused> {
    let read = text.map(|text| text.parse::<T>()).transpose();
    read.map_err(|error| Refused::field(field, error.to_string()))
}

/// Payouts of all accounts, newest first.
#[utoipa::path(get, path = "/api/v1/admin/payouts", tag = "admin", params(OpenQuery),
    responses((status = 200, body = Page<PayoutView>), Refusals), security(("session" = ["admin"])))]
pub async fn payouts(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<OpenQuery>,
) -> Answer<Page<PayoutView>> {
    let (open, before, limit) = of.read()?;
    Ok(Json(
        exchange.find_payouts(&actor, open, before, limit).await?,
    ))
}

/// One step of a payout: `approve`, `send` (with the outside's `reference`), `confirm`, `fail` or `refuse` (with `why`,
/// which its owner reads). Of another account only. Failed and refused ones give the money back.
#[utoipa::path(post, path = "/api/v1/admin/payouts/{id}/steps", tags = ["admin", "money"], params(("id" = PayoutId, Path), Once),
    request_body = PayoutMove, responses((status = 200, body = PayoutView), Refusals), security(("session" = ["admin"])))]
pub async fn move_payout(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<PayoutId>,
    once: Once,
    extract::Json(change): extract::Json<PayoutMove>,
) -> Answer<PayoutView> {
    Ok(Json(
        exchange.move_payout(&actor, id, change, once.key()).await?,
    ))
}

/// What admins proposed and confirmed, the newest 200.
#[utoipa::path(get, path = "/api/v1/admin/approvals", tag = "admin",
    responses((status = 200, body = Vec<ApprovalView>), Refusals), security(("session" = ["admin"])))]
pub async fn approvals(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<ApprovalView>> {
    Ok(Json(exchange.approvals(&actor).await?))
}

/// What is to be decided by two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    payout: PayoutId,
    action: ApprovalAction,
    /// For the other admins, at most 500 characters.
    reason: String,
}

/// Proposes that a payout is frozen or thawed. Nothing is changed until another admin confirms it, within a day.
#[utoipa::path(post, path = "/api/v1/admin/approvals", tag = "admin", request_body = NewApproval,
    responses((status = 201, body = ApprovalView), Refusals), security(("session" = ["admin"])))]
pub async fn propose(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    extract::Json(new): extract::Json<NewApproval>,
) -> Result<(StatusCode, Json<ApprovalView>), Refused> {
    let id = exchange
        .propose(&actor, new.payout, new.action, &new.reason)
        .await?;
    let approval = exchange.approval(&actor, id).await?;
    Ok((StatusCode::CREATED, Json(approval)))
}

/// What becomes of a proposal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// `true` confirms, and it happens now; `false` drops it.
    confirm: bool,
}

/// Confirms another admin's proposal, or drops one.
#[utoipa::path(post, path = "/api/v1/admin/approvals/{id}/decision", tag = "admin", params(("id" = ApprovalId, Path)),
    request_body = ApprovalDecision, responses((status = 200, body = ApprovalView), Refusals), security(("session" = ["admin"])))]
pub async fn decide_approval(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<ApprovalId>,
    extract::Json(decision): extract::Json<ApprovalDecision>,
) -> Answer<ApprovalView> {
    exchange
        .decide_proposal(&actor, id, decision.confirm)
        .await?;
    Ok(Json(exchange.approval(&actor, id).await?))
}

/// Deposits of all accounts and what was asked of the faucet (`demo`), newest first.
#[utoipa::path(get, path = "/api/v1/admin/deposits", tag = "admin", params(OpenQuery),
    responses((status = 200, body = Page<DepositView>), Refusals), security(("session" = ["admin"])))]
pub async fn deposits(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<OpenQuery>,
) -> Answer<Page<DepositView>> {
    let (open, before, limit) = of.read()?;
    Ok(Json(
        exchange.find_deposits(&actor, open, before, limit).await?,
    ))
}

/// Something that came in from outside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeposit {
    /// Of the account that it is for.
    email: String,
    /// Base units.
    amount: Amount,
    /// What the transaction is called outside, at most 120 characters; one is credited once.
    reference: String,
}

/// Records what came in from outside for an account: in transit until it is decided. By hand, until a chain reports it.
#[utoipa::path(post, path = "/api/v1/admin/deposits", tags = ["admin", "money"], params(Once), request_body = NewDeposit,
    responses((status = 201, body = DepositView), Refusals), security(("session" = ["admin"])))]
pub async fn record_deposit(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    once: Once,
    extract::Json(new): extract::Json<NewDeposit>,
) -> Result<(StatusCode, Json<DepositView>), Refused> {
    let deposit = exchange
        .record_deposit(&actor, &new.email, new.amount, &new.reference, once.key())
        .await?;
    Ok((StatusCode::CREATED, Json(deposit)))
}

/// What becomes of a deposit.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "decision", rename_all = "snake_case", deny_unknown_fields)]
pub enum DepositDecision {
    Credit,
    /// The account reads why.
    Refuse {
        why: String,
    },
}

/// Credits a deposit or a faucet's request, or refuses it. Of another account only; once.
#[utoipa::path(post, path = "/api/v1/admin/deposits/{id}/decision", tags = ["admin", "money"], params(("id" = DepositId, Path), Once),
    request_body = DepositDecision, responses((status = 200, body = DepositView), Refusals), security(("session" = ["admin"])))]
pub async fn decide_deposit(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DepositId>,
    once: Once,
    extract::Json(decision): extract::Json<DepositDecision>,
) -> Answer<DepositView> {
    let refused = match &decision {
        DepositDecision::Credit => None,
        DepositDecision::Refuse { why } => Some(why.as_str()),
    };
    Ok(Json(
        exchange
            .decide_deposit(&actor, id, refused, once.key())
            .await?,
    ))
}

/// Disputes of all accounts with both sides' addresses, newest first.
#[utoipa::path(get, path = "/api/v1/admin/disputes", tag = "admin", params(OpenQuery),
    responses((status = 200, body = Page<DisputeView>), Refusals), security(("session" = ["admin"])))]
pub async fn disputes(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<OpenQuery>,
) -> Answer<Page<DisputeView>> {
    let (open, before, limit) = of.read()?;
    Ok(Json(
        exchange.find_disputes(&actor, open, before, limit).await?,
    ))
}

/// How a dispute is decided.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ruling {
    /// Base units for the requester, at most what is claimed; 0 decides for the owner.
    refund: Amount,
    /// Why, 1 to 4000 characters; both sides read it.
    ruling: String,
}

/// Decides a dispute, as no side of it. It is posted as new transfers and is final.
#[utoipa::path(post, path = "/api/v1/admin/disputes/{id}/ruling", tags = ["admin", "money"], params(("id" = DisputeId, Path), Once),
    request_body = Ruling, responses((status = 200, body = DisputeView), Refusals), security(("session" = ["admin"])))]
pub async fn rule(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<DisputeId>,
    once: Once,
    extract::Json(of): extract::Json<Ruling>,
) -> Answer<DisputeView> {
    Ok(Json(
        exchange
            .rule(&actor, id, of.refund, &of.ruling, once.key())
            .await?,
    ))
}

/// What the reconciler found, newest first.
#[utoipa::path(get, path = "/api/v1/admin/incidents", tag = "admin", params(OpenQuery),
    responses((status = 200, body = Page<IncidentView>), Refusals), security(("session" = ["admin"])))]
pub async fn incidents(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<OpenQuery>,
) -> Answer<Page<IncidentView>> {
    let (open, before, limit) = of.read()?;
    Ok(Json(
        exchange.find_incidents(&actor, open, before, limit).await?,
    ))
}

/// Why an incident is closed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// What was found out, at most 1000 characters.
    note: String,
}

/// Closes an incident. If the difference still stands, the next look opens another.
#[utoipa::path(post, path = "/api/v1/admin/incidents/{id}/close", tag = "admin", params(("id" = IncidentId, Path)),
    request_body = Closing, responses((status = 204), Refusals), security(("session" = ["admin"])))]
pub async fn close_incident(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<IncidentId>,
    extract::Json(closing): extract::Json<Closing>,
) -> Result<StatusCode, Refused> {
    exchange.close_incident(&actor, id, &closing.note).await?;
    Ok(DONE)
}

/// Compares all books now, as happens every five minutes, and answers with the open incidents and the newest closed ones.
#[utoipa::path(post, path = "/api/v1/admin/ledger/reconcile", tag = "admin",
    responses((status = 200, body = Vec<IncidentView>), Refusals), security(("session" = ["admin"])))]
pub async fn reconcile(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
) -> Answer<Vec<IncidentView>> {
    Ok(Json(exchange.reconcile_now(&actor).await?))
}

/// Which books.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BooksQuery {
    /// How a book's name, its owner's id or address begins; the platform's books without.
    search: Option<String>,
}

/// Books with what they hold, at most 200.
#[utoipa::path(get, path = "/api/v1/admin/ledger/books", tag = "admin", params(BooksQuery),
    responses((status = 200, body = Vec<BookView>), Refusals), security(("session" = ["admin"])))]
pub async fn books(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<BooksQuery>,
) -> Answer<Vec<BookView>> {
    let search = of.search.unwrap_or_default();
    Ok(Json(exchange.books(&actor, &search).await?))
}

/// Which transfers; all that is given must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TransfersQuery {
    /// A book's whole name, such as `platform:fees`.
    book: Option<String>,
    #[param(value_type = Option<JobId>)]
    job: Option<String>,
    /// The key under which it was posted.
    key: Option<String>,
    /// The `next` of the page before.
    before: Option<u64>,
}

/// Transfers, newest first, 200 a page.
#[utoipa::path(get, path = "/api/v1/admin/ledger/transfers", tag = "admin", params(TransfersQuery),
    responses((status = 200, body = Page<TransferView>), Refusals), security(("session" = ["admin"])))]
pub async fn transfers(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Query(of): Query<TransfersQuery>,
) -> Answer<Page<TransferView>> {
    let job = read("job", of.job.as_ref())?;
    let (book, key) = (of.book.as_deref(), of.key.as_deref());
    Ok(Json(
        exchange.inspect(&actor, book, job, key, of.before).await?,
    ))
}

/// One transfer.
#[utoipa::path(get, path = "/api/v1/admin/ledger/transfers/{id}", tag = "admin", params(("id" = TransferId, Path)),
    responses((status = 200, body = TransferView), Refusals), security(("session" = ["admin"])))]
pub async fn transfer(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<TransferId>,
) -> Answer<TransferView> {
    Ok(Json(exchange.transfer(&actor, id).await?))
}

/// How far the chain of transfers goes, and how far it was read and found whole.
#[utoipa::path(get, path = "/api/v1/admin/ledger/chain", tag = "admin",
    responses((status = 200, body = ChainView), Refusals), security(("session" = ["admin"])))]
pub async fn chain(State(exchange): State<Exchange>, Signed(actor): Signed) -> Answer<ChainView> {
    Ok(Json(exchange.chain(&actor).await?))
}
