//! Calling views.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::rest::{Answer, parse};
use super::{App, is};
use crate::chain::{Chain, Refusal};
use crate::transaction::EntryFunction;
use crate::types::TypeTag;
use crate::value;
use crate::vm::{Call, resolve};

const VIEW_BCS: &str = "application/x.aptos.view_function+bcs";
const ANSWER_BCS: &str = "application/x-bcs";

#[derive(Deserialize)]
pub struct ViewRequest {
    pub function: String,
    #[serde(default)]
    type_arguments: Vec<String>,
    #[serde(default)]
    arguments: Vec<Value>,
}

/// Calls a view with arguments in JSON or BCS; the answer is JSON, or BCS if that is asked for.
pub async fn view(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer<Response> {
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

/// A call with its arguments in JSON, as many as the function has besides its signers.
pub fn json_call(chain: &mut Chain, request: &ViewRequest) -> Answer<Call> {
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
    let Some(mut parameters) = chain.vm().signature(&call, "params") else {
        return Err(Refusal::invalid(format!(
            "could not find function {}",
            request.function
        )));
    };
    parameters.retain(|text| !matches!(text.as_str(), "signer" | "&signer"));
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
