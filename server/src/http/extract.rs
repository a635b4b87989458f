//! Reading requests, with a message for each thing that is not as it must be.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use protocol::{Code, FieldProblem, Problem};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::problem::Refused;

/// Bodies of JSON. The largest honest one is a job with 256 KiB of files and 64 KiB of command.
pub const JSON_BYTES_MAX: usize = 1024 * 1024;

/// A JSON body; a refusal names the field.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        if !has_type(&request, "application/json") {
            return Err(Refused::new(
                Code::Invalid,
                "Send JSON, with Content-Type: application/json.",
            )
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = body(request).await?;
        read_json(&bytes).map(Self)
    }
}

/// Whether the body says that it is of this type, whatever parameters follow.
pub fn has_type(request: &Request, mime: &str) -> bool {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(mime))
}

/// The whole body, bounded.
///
/// # Errors
/// `too_large`, or `invalid` when it broke off.
pub async fn body(request: Request) -> Result<bytes::Bytes, Refused> {
    let limit = JSON_BYTES_MAX;
    let too_large = || {
        Refused::new(
            Code::TooLarge,
            format!("The body may have at most {limit} bytes."),
        )
    };
    if super::content_length(request.headers()).is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    to_bytes(request.into_body(), limit).await.map_err(|error| {
        let limited = std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if limited {
            too_large()
        } else {
            Refused::new(Code::Invalid, "The body broke off; send it again.")
                .with_status(StatusCode::BAD_REQUEST)
        }
    })
}

/// # Errors
/// `invalid` (status 400 when it is not JSON at all, 422 when a field is wrong), naming the field by its path.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    // serde would read a struct from an array too, field by field in an order that nobody promised.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| not_json(&error))?;
        return Err(Refused::new(
            Code::Invalid,
            "The body must be a JSON object.",
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let place = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let message = inner.to_string();
            let problem = Problem::new(Code::Invalid, "Some fields need a change.");
            let field = field(&place, &message);
            Refused(problem.with_fields(vec![FieldProblem::new(field, plain(&message))]))
        } else {
            not_json(&inner)
        }
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(read)
}

/// The place that serde was at, and, where a field is missing there, that field.
fn field(place: &str, message: &str) -> String {
    let place = place.trim_start_matches('.');
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    match (place, missing) {
        (place, None) => place.to_owned(),
        ("", Some(missing)) => missing.to_owned(),
        (place, Some(missing)) => format!("{place}.{missing}"),
    }
}

/// What a deserializer says, in words for somebody who writes JSON and no Rust.
fn plain(message: &str) -> String {
    // The field is named; where it stands in the text helps nobody.
    let message = message.split(" at line ").next().unwrap_or(message);
    if message.starts_with("missing field") {
        return "is missing".to_owned();
    }
    if message == "invalid digit found in string"
        || message == "cannot parse integer from empty string"
    {
        return "expected a whole number".to_owned();
    }
    // serde counts a struct's fields when it is given a list for it.
    if message.starts_with("invalid length") && message.contains("expected struct ") {
        return "expected fields in { }, not a list".to_owned();
    }
    let halves = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "));
    if let Some((got, expected)) = halves {
        // A whole number, but a larger one than there is room for.
        let most = match expected {
            "u8" => Some(u64::from(u8::MAX)),
            "u16" => Some(u64::from(u16::MAX)),
            "u32" => Some(u64::from(u32::MAX)),
            _ => None,
        };
        let got = got_words(got);
        return match most
            .filter(|_| message.starts_with("invalid value: integer") && !got.contains('-'))
        {
            Some(most) => format!("expected a whole number from 0 to {most}, not {got}"),
            None => format!("expected {}, not {got}", expected_words(expected)),
        };
    }
    message.replace('`', "")
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not below zero",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "str" | "string" => "a text in quotes",
        "a boolean" | "bool" => "true or false",
        "a sequence" => "a list in [ ]",
        "a map" => "fields in { }",
        other if other.starts_with("struct ") => "fields in { }",
        other if other.starts_with("string or ") => "a text in quotes",
        other => other,
    }
}

fn got_words(got: &str) -> String {
    let got = got.replace('`', "");
    let (kind, value) = got.split_once(' ').unwrap_or((&got, ""));
    match kind {
        "string" => format!("the text {value}"),
        "integer" => format!("the number {value}"),
        "floating" => format!("the number {}", value.trim_start_matches("point ")),
        "boolean" => value.to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "fields in { }".to_owned(),
        _ => got.clone(),
    }
}

fn not_json(error: &serde_json::Error) -> Refused {
    Refused::new(Code::Invalid, format!("The body is not JSON: {error}."))
        .with_status(StatusCode::BAD_REQUEST)
}

/// A query; an unknown or unreadable parameter is refused by name.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let query = parts.uri.query().unwrap_or_default();
        let deserializer = serde_urlencoded::Deserializer::new(form_pairs(query));
        serde_path_to_error::deserialize(deserializer)
            .map(Self)
            .map_err(|error| {
                let path = error.path().to_string();
                let message = error.into_inner().to_string();
                let field = match field(&path, &message) {
                    none if none.is_empty() => "query".to_owned(),
                    field => field,
                };
                Refused::field(&field, plain(&message))
            })
    }
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// One id in the path. What is not an id cannot be found.
pub struct Id<T>(pub T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: std::str::FromStr + Send,
    T::Err: std::fmt::Display,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let [id] = path_params::<S, 1>(parts, state).await?;
        parse_id(&id).map(Self)
    }
}

/// One word in the path, as it stands there.
pub struct Text(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Text {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let [text] = path_params::<S, 1>(parts, state).await?;
        Ok(Self(text))
    }
}

/// Two ids in the path, outer first.
pub struct Ids<A, B>(pub A, pub B);

impl<S, A, B> FromRequestParts<S> for Ids<A, B>
where
    S: Send + Sync,
    A: std::str::FromStr + Send,
    A::Err: std::fmt::Display,
    B: std::str::FromStr + Send,
    B::Err: std::fmt::Display,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let [a, b] = path_params::<S, 2>(parts, state).await?;
        Ok(Self(parse_id(&a)?, parse_id(&b)?))
    }
}

async fn path_params<S: Send + Sync, const N: usize>(
    parts: &mut Parts,
    state: &S,
) -> Result<[String; N], Refused> {
    let unreadable = || Refused::new(Code::NotFound, "The path cannot be read.");
    let params = axum::extract::RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| unreadable())?;
    let values: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
    values.try_into().map_err(|_| unreadable())
}

fn parse_id<T: std::str::FromStr>(text: &str) -> Result<T, Refused>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        let why = plain(&error.to_string());
        Refused::new(Code::NotFound, format!("`{text}` in the path: {why}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::JobSpec;

    fn refusal(text: &str) -> Problem {
        read_json::<JobSpec>(text.as_bytes())
            .expect_err("refused")
            .0
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        let problem = refusal(r#"{"name":"x","command":["a"],"resources":{"memory_mib":"much"}}"#);
        assert_eq!(
            (problem.status, problem.fields[0].field.as_str()),
            (422, "resources.memory_mib")
        );
        let problem = refusal(r#"{"name":"x","command":["a"],"gpus":8}"#);
        assert_eq!(problem.fields[0].field, "gpus");
        assert!(
            problem.fields[0].message.contains("unknown field"),
            "{problem:?}"
        );
        let problem = refusal(r#"{"command":["a"]}"#);
        assert_eq!(problem.fields[0].field, "name");
        assert_eq!(problem.fields[0].message, "is missing");
        let problem = refusal(r#"{"name":"x","command":["a"],"files":[{"path":"x"}]}"#);
        assert_eq!(problem.fields[0].field, "files[0].content");
    }

    #[test]
    fn a_wrong_type_says_what_is_expected() {
        for (text, field, message) in [
            (
                r#"{"name":5,"command":["a"]}"#,
                "name",
                "expected a text in quotes, not the number 5",
            ),
            (
                r#"{"name":"x","command":["a"],"files":[["x"]]}"#,
                "files[0]",
                "expected fields in { }, not a list",
            ),
            (
                r#"{"name":"x","command":"a"}"#,
                "command",
                "expected a list in [ ], not the text \"a\"",
            ),
            (
                r#"{"name":"x","command":["a"],"resources":{"cpus":"two"}}"#,
                "resources.cpus",
                "expected a whole number that is not below zero, not the text \"two\"",
            ),
            (
                r#"{"name":"x","command":["a"],"resources":{"cpus":-1}}"#,
                "resources.cpus",
                "expected a whole number that is not below zero, not the number -1",
            ),
            (
                r#"{"name":"x","command":["a"],"resources":{"cpus":4294967296}}"#,
                "resources.cpus",
                "expected a whole number from 0 to 4294967295, not the number 4294967296",
            ),
            (
                r#"{"name":"x","command":["a"],"ports":[65536]}"#,
                "ports[0]",
                "expected a port from 1 to 65535, or its port, name, public and health in { }",
            ),
            (
                r#"{"name":"x","command":["a"],"resources":true}"#,
                "resources",
                "expected fields in { }, not true",
            ),
            (
                r#"{"name":"x","command":["a"],"env":null}"#,
                "env",
                "expected fields in { }, not null",
            ),
        ] {
            let problem = refusal(text);
            let found = &problem.fields[0];
            assert_eq!((&*found.field, &*found.message), (field, message));
        }
    }

    #[test]
    fn what_is_not_json_at_all_is_a_bad_request() {
        for text in [
            "",
            "{",
            "nonsense",
            r#"{"name":"x","command":["a"]} trailing"#,
        ] {
            assert_eq!(refusal(text).status, 400, "{text}");
        }
    }
}
