//! Submitting and simulating transactions.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::control::{self, Treatment};
use super::rest::Answer;
use super::{App, is, show};
use crate::chain::{Fate, Refusal};
use crate::store::{Committed, Kind};
use crate::transaction::{AccountAuthenticator, Authenticator, SignedTransaction};

const SIGNED_BCS: &str = "application/x.aptos.signed_transaction+bcs";

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

pub async fn submit(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer<Response> {
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

pub async fn simulate(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
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
                kind: Kind::User {
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
