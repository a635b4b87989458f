//! A small page to look at accounts, transactions and events. It only reads, and works without JavaScript.

use std::fmt::Write;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::{App, rest, show};
use crate::NOT_APTOS;
use crate::chain::{Refusal, apt_metadata, development_address};
use crate::types::Address;

/// Transactions on a page.
const ROWS: usize = 50;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem;color-scheme:light dark;overflow-wrap:anywhere}\
    h1{font-size:1.5rem}.notice{border:2px solid;padding:.5rem 1rem;border-radius:.5rem}table{border-collapse:collapse;width:100%}\
    td,th{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top}pre{white-space:pre-wrap}\
    input{font:inherit;box-sizing:border-box;width:min(40rem,100%);padding:.5rem}button{font:inherit;padding:.5rem 1rem}\
    @media(max-width:40rem){thead{display:none}tr{display:block;border-top:1px solid;padding:.5rem 0}td{display:block;padding:0}}";

pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/find", get(find))
        .route("/account/{address}", get(account))
        .route("/transaction/{id}", get(transaction))
}

/// Text that goes into a page.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn page(title: &str, body: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><p><a href=\"/\">IOG development chain</a></p>\
         <p class=\"notice\" role=\"note\">{NOT_APTOS}</p><h1>{title}</h1>\
         <form action=\"/find\"><label>Address, hash or version<br><input name=\"q\" autocomplete=\"off\"></label> \
         <button>Look</button></form>{body}</body></html>"
    );
    let mut response = Html(html).into_response();
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    );
    response
}

fn absent(refusal: &Refusal) -> Response {
    let mut response = page("Not found", &format!("<p>{}</p>", escape(&refusal.message)));
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::NOT_FOUND);
    response
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn link_account(address: &str) -> String {
    let address = escape(address);
    format!("<a href=\"/account/{address}\">{address}</a>")
}

fn table(transactions: &[Value]) -> String {
    let mut rows = String::from(
        "<table><thead><tr><th>Version</th><th>What</th><th>Sender</th><th>Result</th><th>Events</th></tr></thead><tbody>",
    );
    for shown in transactions.iter().rev() {
        let version = escape(text(shown, "version"));
        let what = match shown["payload"]["function"].as_str() {
            Some(function) => escape(function),
            None => escape(text(shown, "type")),
        };
        let sender = match shown["sender"].as_str() {
            Some(sender) => link_account(sender),
            None => String::new(),
        };
        let events = shown["events"].as_array().map_or(0, Vec::len);
        // Writing into a String cannot fail.
        let _ = write!(
            rows,
            "<tr><td><a href=\"/transaction/{version}\">{version}</a></td><td>{what}</td><td>{sender}</td><td>{}</td><td>{events}</td></tr>",
            escape(text(shown, "vm_status")),
        );
    }
    rows.push_str("</tbody></table>");
    rows
}

async fn home(State(app): State<App>, headers: HeaderMap) -> Response {
    let wants = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !wants.contains("text/html") {
        return rest::ledger(State(app)).await.into_response();
    }
    let head = *app.head.borrow();
    let store = app.store.clone();
    let shown = app
        .with(move |chain| -> Result<_, Refusal> {
            let mut shown = Vec::new();
            for committed in store.latest_of_people(ROWS)? {
                shown.push(show::transaction(chain, &committed));
            }
            Ok((shown, chain.io_metadata(), chain.waiting()))
        })
        .await;
    let (shown, io, waiting) = match shown {
        Ok(found) => found,
        Err(refusal) => return absent(&refusal),
    };
    let io = io.map_or_else(
        || "none published".into(),
        |io| format!("<code>{io}</code>"),
    );
    let body = format!(
        "<p>Block {}, version {}, ledger time {} s since 1970. {waiting} transactions waiting.</p>\
         <p>Development account {}<br>IO {io}<br>APT <code>{}</code></p><h2>Latest transactions</h2>{}",
        head.height,
        head.version,
        head.micros / 1_000_000,
        link_account(&development_address().to_string()),
        apt_metadata(),
        table(&shown),
    );
    page("Development chain", &body)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
}

/// A hash has as many digits as an address: it is one if a transaction has it.
async fn find(State(app): State<App>, Query(query): Query<Asked>) -> Response {
    let q = query.q.trim().to_owned();
    let hash = show::read_hash(&q);
    let known = match hash {
        Some(hash) => {
            let store = app.store.clone();
            app.with(move |chain| {
                chain.pending(&hash).is_some() || matches!(store.by_hash(&hash), Ok(Some(_)))
            })
            .await
        }
        None => q.parse::<u64>().is_ok(),
    };
    if known {
        return Redirect::to(&format!("/transaction/{q}")).into_response();
    }
    match q.parse::<Address>() {
        Ok(address) => Redirect::to(&format!("/account/{address}")).into_response(),
        Err(error) => absent(&Refusal::new(404, "", format!("{error}"))),
    }
}

async fn account(State(app): State<App>, Path(address): Path<String>) -> Response {
    let address: Address = match address.parse() {
        Ok(address) => address,
        Err(error) => return absent(&Refusal::new(404, "", format!("{error}"))),
    };
    let store = app.store.clone();
    let found = app
        .with(move |chain| -> Result<_, Refusal> {
            let mut sent = Vec::new();
            for committed in store.by_sender(address, None, ROWS)? {
                sent.push(show::transaction(chain, &committed));
            }
            let io = chain.io_metadata().map(|io| chain.balance(address, io));
            let apt = chain.balance(address, apt_metadata());
            let mut resources = Vec::new();
            for tag in chain.vm().state.resources(address) {
                let data = chain.vm().resource(address, &tag)?.unwrap_or_default();
                resources.push((tag.to_string(), data));
            }
            let modules = chain.vm().state.modules(address);
            Ok((
                sent,
                io,
                apt,
                resources,
                modules,
                chain.sequence_number(address),
            ))
        })
        .await;
    let (sent, io, apt, resources, modules, number) = match found {
        Ok(found) => found,
        Err(refusal) => return absent(&refusal),
    };
    let mut body = format!("<p>Next sequence number {number}. APT {apt} octas.");
    if let Some(io) = io {
        let _ = write!(body, " IO {io} base units.");
    }
    body.push_str("</p>");
    if !modules.is_empty() {
        let _ = write!(
            body,
            "<h2>Modules</h2><p>{}</p>",
            escape(&modules.join(", "))
        );
    }
    let _ = write!(body, "<h2>Sent</h2>{}<h2>Resources</h2>", table(&sent));
    for (tag, data) in resources {
        let data = serde_json::to_string_pretty(&data).unwrap_or_default();
        let _ = write!(
            body,
            "<h3>{}</h3><pre>{}</pre>",
            escape(&tag),
            escape(&data)
        );
    }
    page(&format!("Account {address}"), &body)
}

async fn transaction(State(app): State<App>, Path(id): Path<String>) -> Response {
    let store = app.store.clone();
    let asked = id.clone();
    let found = app
        .with(move |chain| -> Result<Value, Refusal> {
            let committed = match (show::read_hash(&asked), asked.parse()) {
                (Some(hash), _) => match chain.pending(&hash).cloned() {
                    Some(signed) => return Ok(show::pending(chain, &signed)),
                    None => store.by_hash(&hash)?,
                },
                (None, Ok(version)) => store.by_version(version)?,
                (None, Err(_)) => None,
            };
            match committed {
                Some(committed) => Ok(show::transaction(chain, &committed)),
                None => Err(Refusal::new(
                    404,
                    "transaction_not_found",
                    "There is no such transaction.",
                )),
            }
        })
        .await;
    let shown = match found {
        Ok(shown) => shown,
        Err(refusal) => return absent(&refusal),
    };
    let mut body = String::new();
    for event in shown["events"].as_array().into_iter().flatten() {
        let data = serde_json::to_string_pretty(&event["data"]).unwrap_or_default();
        let _ = write!(
            body,
            "<h3>{}</h3><pre>{}</pre>",
            escape(text(event, "type")),
            escape(&data)
        );
    }
    if !body.is_empty() {
        body.insert_str(0, "<h2>Events</h2>");
    }
    let whole = serde_json::to_string_pretty(&shown).unwrap_or_default();
    let _ = write!(body, "<h2>All of it</h2><pre>{}</pre>", escape(&whole));
    page(&format!("Transaction {id}"), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<a href='x\"&'>"),
            "&lt;a href=&#39;x&quot;&amp;&#39;&gt;"
        );
    }
}
