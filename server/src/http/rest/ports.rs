//! The ports of a job, and who is let to them. What is asked of a port itself goes past REST: `tunnel::ports`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use exchange::{Exchange, PortAt};
use http::{HeaderMap, StatusCode};
use kernel::JobId;
use protocol::Code;
use protocol::view::{PortLinkView, PortView};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Refusals};
use crate::auth::{MaybeSigned, Signed};
use crate::http::extract::{self, Id, Ids, Query};
use crate::http::problem::Refused;

/// The ports that a job names, with their addresses.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/ports", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Vec<PortView>), Refusals), security(("key" = ["read"]), ("session" = [])))]
pub async fn list(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Id(id): Id<JobId>,
) -> Answer<Vec<PortView>> {
    Ok(Json(exchange.job_ports(&actor, id).await?))
}

/// Where in the port to go.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OpenQuery {
    /// Which of the job's machines; 0 without.
    #[serde(default)]
    member: u32,
    /// A path of the port's own address; `/` without.
    next: Option<String>,
}

/// Leads a browser to a port's own address, with a pass that its owner is let in by.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/ports/{port}/open", tag = "jobs",
    params(("id" = JobId, Path), ("port" = u16, Path), OpenQuery),
    responses((status = 303, description = "There"), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn open(
    State(exchange): State<Exchange>,
    MaybeSigned(actor): MaybeSigned,
    Ids(job, port): Ids<JobId, u16>,
    Query(query): Query<OpenQuery>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Some(actor) = actor else {
        let accept = headers.get(http::header::ACCEPT);
        let person = accept
            .and_then(|value| value.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        if person {
            let next = format!("/jobs/{job}?tab=work");
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            return Ok(Redirect::to(&format!("/sign-in?next={next}")).into_response());
        }
        return Err(Refused::new(
            Code::Unauthenticated,
            "Sign in, or send a valid API key as Authorization: Bearer.",
        ));
    };
    let at = PortAt {
        job,
        member: query.member,
        port,
    };
    let pass = exchange.enter_port(&actor, &at).await?;
    let origin = exchange.port_origin(&at).ok_or_else(|| {
        Refused::new(
            Code::Conflict,
            "This server has no addresses of their own for jobs' ports; its operator sets IOG_PORTS_DOMAIN. Programs use the path.",
        )
    })?;
    let next = query.next.unwrap_or_else(|| "/".to_owned());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("pass", &pass)
        .append_pair("next", &next)
        .finish();
    Ok(Redirect::to(&format!("{origin}/.iog/enter?{query}")).into_response())
}

/// For how long a link is good.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// 1 to 720 hours; at the latest it ends with the job.
    hours: u32,
    /// Which of the job's machines; 0 without.
    #[serde(default)]
    member: u32,
}

/// Makes a link that opens one port for whoever has it.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/ports/{port}/links", tag = "jobs",
    params(("id" = JobId, Path), ("port" = u16, Path)), request_body = NewLink,
    responses((status = 201, body = PortLinkView), Refusals), security(("key" = ["jobs"]), ("session" = [])))]
pub async fn share(
    State(exchange): State<Exchange>,
    Signed(actor): Signed,
    Ids(job, port): Ids<JobId, u16>,
    extract::Json(new): extract::Json<NewLink>,
) -> Result<(StatusCode, Json<PortLinkView>), Refused> {
    let at = PortAt {
        job,
        member: new.member,
        port,
    };
    let link = exchange.share_port(&actor, &at, new.hours).await?;
    Ok((StatusCode::CREATED, Json(link)))
}
