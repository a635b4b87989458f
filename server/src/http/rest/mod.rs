//! REST under `/api/v1`, described by `/api/openapi.json`: each handler reads a request, calls one method of the exchange
//! and answers with its shape. The document is made from the same functions that the router serves.

mod account;
mod admin;
mod audit;
mod channels;
mod disputes;
mod invoices;
mod jobs;
pub use jobs::{disposition, reader, send_file};
mod market;
mod money;
mod nodes;
mod notifications;
mod ports;
mod reports;
mod rounds;
mod secrets;
mod settlement;
mod telemetry;
mod templates;
mod wallets;
mod webhooks;

use axum::Json;
use axum::Router;
use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use protocol::Problem;
use serde::Deserialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refused;
use crate::state::AppState;
use crate::tunnel;
use crate::tunnel::endpoints;

/// What every handler answers with.
type Answer<T> = Result<Json<T>, Refused>;

/// The routes and the document that describes them.
pub fn router() -> (Router<AppState>, OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(head())
        .routes(routes!(market::offers))
        .routes(routes!(market::prices))
        .routes(routes!(market::simulator))
        .routes(routes!(market::model))
        .routes(routes!(market::network))
        .routes(routes!(settlement::explorer))
        .routes(routes!(market::quote))
        .routes(routes!(market::orders))
        .routes(routes!(market::searches, market::save_search))
        .routes(routes!(market::change_search, market::delete_search))
        .routes(routes!(rounds::list))
        .routes(routes!(rounds::one))
        .routes(routes!(rounds::book))
        .routes(routes!(rounds::missed))
        .routes(routes!(endpoints::one))
        .routes(routes!(templates::list))
        .routes(routes!(templates::one))
        .routes(routes!(templates::launch))
        .routes(routes!(jobs::bundle))
        .routes(routes!(jobs::submit, jobs::list))
        .routes(routes!(jobs::one, jobs::stop))
        .routes(routes!(jobs::logs))
        .routes(routes!(jobs::search))
        .routes(routes!(jobs::whole_log))
        .routes(routes!(jobs::samples))
        .routes(routes!(telemetry::of_job))
        .routes(routes!(jobs::receipts))
        .routes(routes!(invoices::of_job))
        .routes(routes!(invoices::of_month))
        .routes(routes!(invoices::ledger))
        .routes(routes!(jobs::artefact))
        .routes(routes!(audit::recordings))
        .routes(routes!(audit::recording))
        .routes(routes!(ports::list))
        .routes(routes!(ports::open))
        .routes(routes!(ports::share))
        .routes(routes!(tunnel::shell::open))
        .routes(routes!(tunnel::tcp::open))
        .routes(routes!(tunnel::files::list))
        .routes(routes!(tunnel::files::get, tunnel::files::put))
        .routes(routes!(jobs::animation))
        .routes(routes!(jobs::picture))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::one, nodes::remove))
        .routes(routes!(nodes::challenges))
        .routes(routes!(nodes::checks))
        .routes(routes!(nodes::reputation))
        .routes(routes!(nodes::uptime))
        .routes(routes!(telemetry::of_node))
        .routes(routes!(telemetry::metrics))
        .routes(routes!(nodes::leases))
        .routes(routes!(nodes::maintenance))
        .routes(routes!(nodes::change_prices))
        .routes(routes!(nodes::make_join_token))
        .routes(routes!(nodes::join_token))
        .routes(routes!(nodes::change_device))
        .routes(routes!(nodes::price_check))
        .routes(routes!(nodes::earnings))
        .routes(routes!(invoices::earnings))
        .routes(routes!(reports::list))
        .routes(routes!(reports::versions))
        .routes(routes!(reports::proof))
        .routes(routes!(reports::tax))
        .routes(routes!(account::account))
        .routes(routes!(account::balance))
        .routes(routes!(account::demo_credit))
        .routes(routes!(account::entries))
        .routes(routes!(account::keys, account::make_key))
        .routes(routes!(account::revoke_key))
        .routes(routes!(audit::own))
        .routes(routes!(audit::own_export))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(wallets::question))
        .routes(routes!(wallets::sign_in))
        .routes(routes!(wallets::list, wallets::link))
        .routes(routes!(wallets::link_question))
        .routes(routes!(wallets::unlink))
        .routes(routes!(wallets::deposit))
        .routes(routes!(wallets::deeds))
        .routes(routes!(wallets::send_deed))
        .routes(routes!(
            wallets::payout_address,
            wallets::set_payout_address
        ))
        .routes(routes!(wallets::cancel_payout_address))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::read))
        .routes(routes!(notifications::settings, notifications::set))
        .routes(routes!(notifications::ask))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::one, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::redeliver))
        .routes(routes!(money::payouts, money::request_payout))
        .routes(routes!(money::payout))
        .routes(routes!(money::cancel_payout))
        .routes(routes!(money::convert))
        .routes(routes!(money::deposits, money::request_credit))
        .routes(routes!(channels::list, channels::open))
        .routes(routes!(channels::change))
        .routes(routes!(channels::vouchers))
        .routes(routes!(channels::voucher))
        .routes(routes!(channels::redeem))
        .routes(routes!(money::limits, money::set_limits))
        .routes(routes!(money::statement))
        .routes(routes!(money::days))
        .routes(routes!(money::proof))
        .routes(routes!(disputes::list, disputes::open))
        .routes(routes!(disputes::one))
        .routes(routes!(disputes::say))
        .routes(routes!(disputes::withdraw))
        .routes(routes!(admin::payouts))
        .routes(routes!(admin::move_payout))
        .routes(routes!(admin::approvals, admin::propose))
        .routes(routes!(admin::decide_approval))
        .routes(routes!(admin::deposits, admin::record_deposit))
        .routes(routes!(admin::decide_deposit))
        .routes(routes!(settlement::unclaimed))
        .routes(routes!(settlement::claim))
        .routes(routes!(settlement::settlement))
        .routes(routes!(settlement::batches))
        .routes(routes!(settlement::batch))
        .routes(routes!(admin::disputes))
        .routes(routes!(admin::rule))
        .routes(routes!(admin::incidents))
        .routes(routes!(admin::close_incident))
        .routes(routes!(admin::reconcile))
        .routes(routes!(admin::books))
        .routes(routes!(admin::transfers))
        .routes(routes!(admin::transfer))
        .routes(routes!(admin::chain))
        .routes(routes!(audit::all))
        .routes(routes!(audit::all_export))
        .routes(routes!(audit::chain))
        .split_for_parts();
    describe_successes(&mut document);
    (router, document)
}

/// The format wants words for each answer; for a success they are the operation's own.
fn describe_successes(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            let words = operation.summary.clone().unwrap_or_default();
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description.clone_from(&words);
                }
            }
        }
    }
}

/// `GET /api/openapi.json`.
pub async fn document() -> Json<OpenApi> {
    Json(router().1)
}

fn head() -> OpenApi {
    use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApiBuilder, Server};
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An API key from the portal; its scopes (read, jobs, nodes) bound what it may do",
        ))
        .build();
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        app::session::SESSION_COOKIE,
        "A browser's session; requests that change something must come from the portal's own origin",
    ));
    let mut components = Components::new();
    // Refusals are described for all routes at once, so nothing else brings their shape in.
    let mut shapes = Vec::new();
    Problem::schemas(&mut shapes);
    components.schemas.extend(shapes);
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    components.add_security_scheme("key", SecurityScheme::Http(key));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("IOG")
                .version("1")
                .description(Some(
                    "Rent devices by the second, and lend them. Amounts are strings of base units (1 IO = 100000000), \
                     times RFC 3339 in UTC, memory MiB. Every refusal is application/problem+json with a stable code.",
                ))
                .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
                .build(),
        )
        .servers(Some([Server::new("/")]))
        .components(Some(components))
        .build()
}

/// The refusals that a route may answer with; each is a problem.
#[derive(IntoResponses)]
#[expect(
    dead_code,
    reason = "only described, never made: handlers answer with Refused"
)]
pub(crate) enum Refusals {
    #[response(
        status = 400,
        description = "Not readable as what it should be",
        content_type = "application/problem+json"
    )]
    BadRequest(Problem),
    #[response(
        status = 401,
        description = "Not signed in, or no valid key",
        content_type = "application/problem+json"
    )]
    Unauthenticated(Problem),
    #[response(
        status = 402,
        description = "Not enough balance",
        content_type = "application/problem+json"
    )]
    InsufficientFunds(Problem),
    #[response(
        status = 403,
        description = "Not allowed to you, to this key, or from this page",
        content_type = "application/problem+json"
    )]
    Forbidden(Problem),
    #[response(
        status = 404,
        description = "No such thing, or not yours",
        content_type = "application/problem+json"
    )]
    NotFound(Problem),
    #[response(
        status = 409,
        description = "Not possible in this state, or no offer matches",
        content_type = "application/problem+json"
    )]
    Conflict(Problem),
    #[response(
        status = 413,
        description = "Too large",
        content_type = "application/problem+json"
    )]
    TooLarge(Problem),
    #[response(
        status = 415,
        description = "Another Content-Type than this route reads",
        content_type = "application/problem+json"
    )]
    MediaType(Problem),
    #[response(
        status = 422,
        description = "Fields need a change; they are named",
        content_type = "application/problem+json"
    )]
    Invalid(Problem),
    #[response(
        status = 429,
        description = "Too many requests",
        content_type = "application/problem+json"
    )]
    TooManyRequests(Problem),
    #[response(
        status = 503,
        description = "Not right now; try again",
        content_type = "application/problem+json"
    )]
    Unavailable(Problem),
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// By what a request that moves money is known when it comes again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
struct Once {
    /// 1 to 128 visible ASCII characters, kept for a day: the same request under it answers the same again, another one is
    /// refused.
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

impl Once {
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get(IDEMPOTENCY_KEY);
        // What is not ASCII stays so, and the exchange refuses it: its form is said in one place.
        let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Ok(Self { key: text })
    }
}

const PAGE_MAX: u32 = 100;
const PAGE_DEFAULT: u32 = 50;

/// How many of a list, and from where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// The `next` of the page before.
    before: Option<String>,
    /// 1 to 100; 50 without.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl PageQuery {
    fn read<T: std::str::FromStr>(&self) -> Result<(Option<T>, u32), Refused>
    where
        T::Err: std::fmt::Display,
    {
        let before = self.before.as_deref().map(str::parse).transpose();
        let before = before.map_err(|error: T::Err| Refused::field("before", error.to_string()))?;
        Ok((before, bounded(self.limit, PAGE_MAX, PAGE_DEFAULT)?))
    }
}

fn bounded(limit: Option<u32>, max: u32, default: u32) -> Result<u32, Refused> {
    match limit {
        None => Ok(default),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(Refused::field(
            "limit",
            format!("a whole number from 1 to {max}"),
        )),
    }
}

/// Nothing to say but that it is done.
const DONE: StatusCode = StatusCode::NO_CONTENT;
