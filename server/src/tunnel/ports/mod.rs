//! Ports of running jobs, reached through the platform.
//!
//! What a job answers is a stranger's work: its pages must read nothing of the portal's and nothing of another job's. So
//! each port has an origin of its own, `<port>-<job>.<domain>`, with a cookie of its own that this server makes of a signed pass; the
//! portal's cookie never reaches it. Below the portal's own address (`/j/<job>/<port>/`) programs reach the same: no cookie
//! counts there or travels either way, and whatever is shown in a browser is in a sandbox without an origin.

mod access;
mod page;
mod proxy;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use exchange::PortAt;
use http::header::{HOST, LOCATION};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, StatusCode, Uri};
use protocol::Code;
use protocol::tunnel::Closed;

pub use proxy::Pool;

use crate::http::problem::Refused;
use crate::state::AppState;
use access::Admitted;

/// Below this path of a port's own origin things are ours, not the job's.
const OURS: &str = "/.iog/";
const ENTER: &str = "/.iog/enter";

/// By which of its addresses a port is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// An origin of its own.
    Origin,
    /// Below the portal's.
    Path,
}

/// What is asked for.
struct Asked {
    at: PortAt,
    door: Door,
    /// As the job is to see it.
    target: PathAndQuery,
}

/// The outermost layer: what is for a job's port goes there, everything else goes on.
pub async fn by_address(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match asked(&state, &request) {
        None => next.run(request).await,
        Some(Err(refused)) => page::refusal(request.headers(), &refused),
        Some(Ok(asked)) => serve(state, asked, request).await,
    }
}

fn asked(state: &AppState, request: &Request) -> Option<Result<Asked, Refused>> {
    let unknown = || {
        Refused::new(
            Code::NotFound,
            "No job's port has this address. The job's page in the portal has the right ones.",
        )
    };
    if let Some(rest) = request.uri().path().strip_prefix("/j/") {
        return Some(by_path(request.uri(), rest).ok_or_else(unknown));
    }
    let domain = state.exchange.settings().ports_domain.as_deref()?;
    let host = request
        .headers()
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(Authority::as_str))?;
    let label = below(host, domain)?;
    let target = request.uri().path_and_query().cloned();
    let asked = PortAt::parse(label).map(|at| Asked {
        at,
        door: Door::Origin,
        target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
    });
    Some(asked.ok_or_else(unknown))
}

/// The name before `.domain`; the port in the address is the proxy's own matter, if it has another.
fn below<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let name = |text: &'a str| text.rsplit_once(':').map_or(text, |(name, _)| name);
    let domain = domain.rsplit_once(':').map_or(domain, |(name, _)| name);
    let host = name(host).strip_suffix(domain)?;
    host.strip_suffix('.')
}

/// `/j/<job>[-<member>]/<port>/…`
fn by_path(uri: &Uri, rest: &str) -> Option<Asked> {
    let (job, rest) = rest.split_once('/')?;
    let (job, member) = match job.split_once('-') {
        Some((job, member)) => (job, member.parse().ok()?),
        None => (job, 0),
    };
    let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    Some(Asked {
        at: PortAt {
            job: job.parse().ok()?,
            member,
            port: port.parse().ok()?,
        },
        door: Door::Path,
        target: format!("/{path}{query}").parse().ok()?,
    })
}

async fn serve(state: AppState, asked: Asked, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let refusal = |refused: &Refused| page::refusal(&parts.headers, refused);
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip());
    let trusted = state.limits.trust_forwarded;
    let address = crate::auth::address(&parts, trusted);
    if let Err(refused) = state.limits.port(address) {
        return refusal(&refused);
    }
    if asked.door == Door::Origin && parts.uri.path().starts_with(OURS) {
        let answer = ours(&state, &asked, &parts.uri).await;
        return answer.unwrap_or_else(|refused| refusal(&refused));
    }
    let found = state.exchange.port_of(&asked.at);
    let public = found.as_ref().is_some_and(|(_, port)| port.public);
    let until = match access::admit(&state, &asked, &parts, public, address).await {
        Ok(Admitted::Yes(until)) => until,
        Ok(Admitted::SignIn) => return sign_in(&state, &asked),
        Err(refused) => return refusal(&refused),
    };
    let Some((place, _)) = found else {
        let why = "The job does not run at the moment, or does not name this port.";
        let refused = Refused::new(Code::Conflict, why).with_status(StatusCode::BAD_GATEWAY);
        return refusal(&refused);
    };
    let seat = match state.sockets.seat(address) {
        Ok(seat) => seat,
        Err(refused) => return refusal(&refused),
    };
    let wanted = page::Wanted::of(&parts.headers);
    let request = Request::from_parts(parts, body);
    let stay = proxy::Stay {
        seat,
        over: Box::pin(until.over(state.exchange.clone(), asked.at)),
    };
    let passed = proxy::pass(&state, &place, &asked, request, peer, stay).await;
    passed.unwrap_or_else(|shut| {
        let (code, status) = match shut.reason {
            Closed::TooMany => (Code::TooManyRequests, StatusCode::TOO_MANY_REQUESTS),
            Closed::NothingListens | Closed::NotRunning | Closed::Failed => {
                (Code::Unavailable, StatusCode::BAD_GATEWAY)
            }
        };
        let refused = Refused::new(code, super::sentence(&shut.message)).with_status(status);
        wanted.refusal(&refused)
    })
}

/// What this server itself answers at a port's own address: a pass becomes a cookie.
async fn ours(state: &AppState, asked: &Asked, uri: &Uri) -> Result<Response, Refused> {
    if uri.path() != ENTER {
        return Err(Refused::new(Code::NotFound, "There is nothing here."));
    }
    access::enter(state, asked, uri.query().unwrap_or_default()).await
}

/// To the portal, which knows who it is and sends them back with a pass.
fn sign_in(state: &AppState, asked: &Asked) -> Response {
    let PortAt { job, member, port } = asked.at;
    let next: String = form_urlencoded::byte_serialize(asked.target.as_str().as_bytes()).collect();
    let base = &state.exchange.settings().public_url;
    let to = format!("{base}/api/v1/jobs/{job}/ports/{port}/open?member={member}&next={next}");
    redirect(&to)
}

fn redirect(to: &str) -> Response {
    let Ok(to) = HeaderValue::from_str(to) else {
        return Refused::new(Code::Invalid, "This address cannot be gone to.").into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, to);
    page::guard(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_below_the_domain_is_a_jobs_and_no_other() {
        assert_eq!(
            below("8888-ab.localhost:3000", "localhost:3000"),
            Some("8888-ab")
        );
        assert_eq!(
            below("8888-ab.apps.example", "apps.example"),
            Some("8888-ab")
        );
        assert_eq!(
            below("8888-ab.apps.example:8443", "apps.example"),
            Some("8888-ab")
        );
        for other in [
            "apps.example",
            "xapps.example",
            "apps.example.evil",
            "127.0.0.1:3000",
            "",
        ] {
            assert_eq!(below(other, "apps.example"), None, "{other}");
        }
    }

    #[test]
    fn a_path_names_the_job_its_machine_and_its_port() {
        let job = format!("job_{}", "0".repeat(32));
        let read = |text: &str| {
            let uri: Uri = text.parse().expect("an address");
            let rest = uri.path().strip_prefix("/j/").expect("a port's").to_owned();
            by_path(&uri, &rest)
                .map(|asked| (asked.at.member, asked.at.port, asked.target.to_string()))
        };
        let asked = read(&format!("/j/{job}-2/8000/v1/models?x=1"));
        assert_eq!(asked, Some((2, 8_000, "/v1/models?x=1".to_owned())));
        assert_eq!(
            read(&format!("/j/{job}/8000")),
            Some((0, 8_000, "/".to_owned()))
        );
        for none in ["/j/x/8000/", "/j/", &format!("/j/{job}/http/")] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
