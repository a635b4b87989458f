//! Refusals on their way out: every error of `/api` leaves as `application/problem+json` (RFC 9457), whoever made it.

use app::Fault;
use app::i18n::Locale;
use app::prefs::Prefs;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use protocol::{Code, FieldProblem, Problem};

pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// A plain-text refusal of axum or tower-http is at most a sentence.
const PLAIN_BYTES_MAX: usize = 4 * 1024;
/// By this header server_fn marks an answer that is a refusal.
const SERVER_FN_ERROR: &str = "serverfnerror";

/// A [`Problem`] as an answer.
#[derive(Debug, Clone)]
pub struct Refused(pub Problem);

impl Refused {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self(Problem::field(field, message))
    }

    /// The same words with another status: HTTP knows more of them than the house has codes.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status.as_u16();
        self
    }

    pub fn fields(fields: Vec<FieldProblem>) -> Self {
        Self(Problem::new(Code::Invalid, "Some fields need a change.").with_fields(fields))
    }
}

/// Of a request that holds a specification at `spec`: what the exchange calls `resources.cpus` stands at `spec.resources.cpus` there.
pub fn in_spec(error: exchange::Error) -> Refused {
    let exchange::Error::Invalid(mut fields) = error else {
        return error.into();
    };
    // Beside the specification: the body's other fields, and the header.
    let beside = ["device", "quote", "Idempotency-Key"];
    for field in &mut fields {
        let first = field.field.split(['.', '[']).next().unwrap_or_default();
        if !beside.contains(&first) {
            field.field = format!("spec.{}", field.field);
        }
    }
    exchange::Error::Invalid(fields).into()
}

impl From<exchange::Error> for Refused {
    fn from(error: exchange::Error) -> Self {
        let problem = error.problem();
        if problem.code == Code::Internal {
            // Logged here, once, with its whole chain; the client learns only that it was us.
            tracing::error!(error = %Chain(&error), "a request failed");
        }
        Self(problem)
    }
}

/// An error and its sources on one line.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let too_many = self.0.code == Code::TooManyRequests;
        let mut response = (status, Json(&self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response.extensions_mut().insert(self);
        if too_many {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

/// The last word on errors: what a layer or a library refused in plain text becomes a problem.
pub async fn normalise(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let locale = locale_of(request.headers());
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let ours = ["/api/", "/fn/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
        || path == "/api";
    let carried = response.extensions().get::<Carried>().is_some();
    if !failed || !ours || carried {
        return response;
    }
    if is_problem(&response) {
        return worded(response, locale);
    }
    // A server function's own refusal: already a problem, in the encoding that its page reads.
    if response.headers().contains_key(SERVER_FN_ERROR) {
        return response;
    }
    worded(as_problem(response, &method, &path).await, locale)
}

/// The language that a page's script, or a client's `Accept-Language`, asks for.
fn locale_of(headers: &HeaderMap) -> Locale {
    let header = |name| {
        let value = headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    Prefs::from_headers(header(COOKIE), header(ACCEPT_LANGUAGE)).locale
}

/// A problem of ours in the reader's language, as far as the house knows its sentences; codes and names of fields stay.
fn worded(mut response: Response, locale: Locale) -> Response {
    let Some(refused) = response.extensions_mut().remove::<Refused>() else {
        return response;
    };
    if locale == Locale::En {
        return response;
    }
    let problem = Fault(refused.0).in_language(locale);
    let Ok(body) = serde_json::to_vec(&problem) else {
        return response;
    };
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = body.into();
    response
}

/// Of an answer that a job gave: its errors are its own.
#[derive(Clone, Copy)]
pub struct Carried;

fn is_problem(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE) == Some(&PROBLEM_JSON)
}

async fn as_problem(response: Response, method: &Method, path: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, PLAIN_BYTES_MAX).await.unwrap_or_default();
    let refused = match parts.status {
        StatusCode::NOT_FOUND => Refused::new(
            Code::NotFound,
            format!("There is no {path}; /api/openapi.json lists what there is."),
        ),
        StatusCode::METHOD_NOT_ALLOWED => Refused::new(
            Code::Invalid,
            format!("{method} is not possible on {path}; the Allow header names what is."),
        ),
        StatusCode::PAYLOAD_TOO_LARGE => Refused::new(
            Code::TooLarge,
            "The request's body is larger than this route takes.",
        ),
        StatusCode::UNAUTHORIZED => {
            Refused::new(Code::Unauthenticated, "Sign in, or send a valid API key.")
        }
        StatusCode::FORBIDDEN => Refused::new(Code::Forbidden, "This is not allowed."),
        status if status.is_client_error() => Refused::new(
            Code::Invalid,
            String::from_utf8_lossy(&text).trim().to_owned(),
        ),
        _ => {
            tracing::error!(status = %parts.status, path, body = %String::from_utf8_lossy(&text), "an answer failed");
            Refused::new(
                Code::Internal,
                "Something went wrong on our side. Look whether it was done, then try again.",
            )
        }
    };
    let mut out = refused.with_status(parts.status).into_response();
    // What the layer said in headers (Allow, Retry-After, Connection) stays true; its body's description does not.
    for name in [
        http::header::CONTENT_LENGTH,
        http::header::CONTENT_ENCODING,
        CONTENT_TYPE,
    ] {
        parts.headers.remove(name);
    }
    out.headers_mut().extend(parts.headers);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_read_in_the_language_that_was_asked_for() {
        let refused = || Refused::new(Code::Conflict, "No offer matches.").into_response();
        let read = async |response: Response| {
            let body = to_bytes(response.into_body(), 10_000).await.unwrap();
            serde_json::from_slice::<Problem>(&body).unwrap()
        };
        let chinese = worded(refused(), Locale::Zh);
        assert!(is_problem(&chinese));
        assert_eq!(chinese.status(), StatusCode::CONFLICT);
        let chinese = read(chinese).await;
        assert_eq!(
            (chinese.code, chinese.detail.as_str()),
            (Code::Conflict, "没有匹配的报价。")
        );
        let english = read(worded(refused(), Locale::En)).await;
        assert_eq!(english.detail, "No offer matches.");
    }

    #[test]
    fn fields_of_a_specification_are_named_where_they_stand() {
        let refused = |fields: &[&str]| {
            let fields = fields
                .iter()
                .map(|field| FieldProblem::new(*field, "at least 1"));
            in_spec(exchange::Error::Invalid(fields.collect())).0
        };
        let named = |field: &str| refused(&[field]).fields[0].field.clone();
        assert_eq!(named("resources.cpus"), "spec.resources.cpus");
        assert_eq!(named("files[0].path"), "spec.files[0].path");
        for beside in ["device", "quote", "Idempotency-Key"] {
            assert_eq!(named(beside), beside);
        }
        assert_eq!(
            refused(&["name", "name"]).detail,
            "spec.name: at least 1; spec.name: at least 1."
        );
    }

    #[test]
    fn what_is_wrong_with_fields_is_told_in_chinese_whole() {
        let field = FieldProblem::new(
            "spec.resources.cpus",
            "expected a number, not the text \"x\"",
        );
        let detail = "spec.resources.cpus: expected a number, not the text \"x\".";
        let problem = Problem::new(Code::Invalid, detail).with_fields(vec![field]);
        assert_eq!(
            Fault(problem).in_language(Locale::Zh).detail,
            "有内容需要修改：spec.resources.cpus：应为数字，而不是文本 \"x\"。"
        );
    }

    #[test]
    fn a_choice_on_the_page_wins_over_the_browser() {
        let mut headers = HeaderMap::new();
        assert_eq!(locale_of(&headers), Locale::En);
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("zh-CN,zh;q=0.9"));
        assert_eq!(locale_of(&headers), Locale::Zh);
        headers.insert(COOKIE, HeaderValue::from_static("iog_lang=en"));
        assert_eq!(locale_of(&headers), Locale::En);
    }
}
